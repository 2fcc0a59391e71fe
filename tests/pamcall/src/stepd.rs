//! A conversation with a stepd, without PAM.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use proto::stepd::{ADOPT_ANSWER, OWNER_ANSWER, adopt, ask_owner, read_adopted, read_owner};
use serde_json::{Value, json};
use sys::{Deadline, Interest};

use crate::meter::Meter;
use crate::process::ThisProcess;

/// Does the minimum for an adoption: the requests that our module sends for the owner and to adopt, one
/// after the other over one connection.
pub fn be_adopted(socket: &Path) -> Result<Value> {
    let pid = i32::try_from(std::process::id())?;
    let process = ThisProcess::open(Path::new("/proc/self"))?;
    let meter = Meter::start(&process)?;
    let stepd =
        sys::connect_unix(socket).with_context(|| format!("connect to {}", socket.display()))?;
    let owner = ask::<OWNER_ANSWER>(&stepd, &ask_owner())?;
    let adopted = ask::<ADOPT_ANSWER>(&stepd, &adopt(pid))?;
    let cost = meter.stop()?;
    let owner = read_owner(&owner).map_err(|error| anyhow!("whose job it is: {error}"))?;
    if let Err(error) = read_adopted(&adopted) {
        bail!("not adopted: {error}");
    }
    let mut answer = json!({ "uid": owner.uid });
    cost.put(&mut answer);
    Ok(answer)
}

fn ask<const N: usize>(stepd: &OwnedFd, question: &[u8]) -> Result<[u8; N]> {
    let deadline = Deadline::after(Duration::from_secs(10));
    sys::send(stepd, question).context("ask the stepd")?;
    let (mut answer, mut length) = ([0; N], 0);
    while length < N {
        ensure!(!deadline.has_passed(), "the stepd does not answer");
        match sys::receive(stepd, &mut answer[length..]) {
            Ok(0) => bail!("the stepd closed the connection"),
            Ok(count) => length += count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let mut interests = [Interest::readable(stepd)];
                sys::poll(&mut interests, deadline.remaining()).context("wait for the stepd")?;
            }
            Err(error) => return Err(error).context("read the stepd's answer"),
        }
    }
    Ok(answer)
}
