//! What logs in while packages come and go: real ssh logins, bare PAM calls, and a loop that looks for the module
//! some ten times a millisecond.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use lab::{Background, Node, poll};

use crate::PAMCALL;

/// Users that log in all the time, and a look at the module's file.
pub struct Watch {
    node: Node,
    loops: Vec<Background>,
    stop: Arc<AtomicBool>,
    look: JoinHandle<Seen>,
}

/// What was seen of the module's file.
#[derive(Debug, Default)]
pub struct Seen {
    /// The number of looks.
    pub looks: u64,
    /// The looks that found no file in any place.
    pub missing: u64,
    /// The sizes of the files that were found.
    pub sizes: BTreeSet<u64>,
    /// The exit status of each login, in no particular order.
    pub logins: Vec<String>,
}

impl Watch {
    /// Starts it on a node with the PAM application; alice must have a job. libpam looks for the module in these
    /// places, in this order.
    ///
    /// # Errors
    /// The logins could not be started.
    pub fn begin(node: &Node, places: &[&str]) -> Result<Self> {
        node.sh(&format!("rm -f {STOP}"))?;
        let repeat = |login: &str| {
            let script = format!("until [ -e {STOP} ]; do {login}; echo $?; done");
            node.command(&["/bin/sh", "-c", &script])
        };
        let call = format!("{PAMCALL} --service sshd --user alice | grep -q '\"code\":0,'");
        let loops = vec![repeat(SSH).user("alice").spawn()?, repeat(&call).spawn()?];
        let stop = Arc::new(AtomicBool::new(false));
        let root = format!("/proc/{}/root", node.host_pid());
        let places: Vec<String> = places.iter().map(|it| format!("{root}{it}")).collect();
        let until = Arc::clone(&stop);
        let look = thread::spawn(move || look(&places, &until));
        Ok(Self {
            node: node.clone(),
            loops,
            stop,
            look,
        })
    }

    /// Waits for a whole login of each kind.
    ///
    /// # Errors
    /// There is none in a minute.
    pub fn wait(&self) -> Result<()> {
        for background in &self.loops {
            let before = count(background)?;
            poll::until_true("more logins", Duration::from_secs(60), || {
                Ok(count(background)? > before + 1)
            })?;
        }
        Ok(())
    }

    /// Ends it.
    ///
    /// # Errors
    /// A login hangs.
    pub fn end(mut self) -> Result<Seen> {
        self.node.write(STOP, "", 0o644)?;
        let mut logins = Vec::new();
        for background in &mut self.loops {
            let ended = background.wait(Duration::from_secs(60))?;
            ensure!(ended.is_some(), "a login hangs: {}", background.stderr()?);
            logins.extend(background.stdout()?.lines().map(str::to_owned));
        }
        self.stop.store(true, Ordering::Relaxed);
        let mut seen = self.look.join().map_err(|_| anyhow!("the look panicked"))?;
        seen.logins = logins;
        Ok(seen)
    }
}

impl Seen {
    /// Checks that each login succeeded, and that a whole one of these modules was there at every look.
    ///
    /// # Errors
    /// Says what was not so.
    pub fn check(&self, modules: &[&[u8]]) -> Result<()> {
        let is_failed = |it: &&String| *it != "0";
        let failed: Vec<&String> = self.logins.iter().filter(is_failed).collect();
        ensure!(
            failed.is_empty(),
            "of {} logins some failed, with status {failed:?}; the file was missing {} times of {}",
            self.logins.len(),
            self.missing,
            self.looks
        );
        ensure!(
            self.missing == 0,
            "missing {} times of {}",
            self.missing,
            self.looks
        );
        let whole: BTreeSet<u64> = modules.iter().map(|it| it.len() as u64).collect();
        ensure!(
            self.sizes == whole,
            "files of {:?} bytes, expected {whole:?}",
            self.sizes
        );
        Ok(())
    }
}

/// Looks for the module where libpam does, in its order.
fn look(places: &[String], until: &AtomicBool) -> Seen {
    let mut seen = Seen::default();
    while !until.load(Ordering::Relaxed) {
        seen.looks += 1;
        match places.iter().find_map(|it| fs::metadata(it).ok()) {
            Some(file) => drop(seen.sizes.insert(file.len())),
            None => seen.missing += 1,
        }
        // Some ten looks in a millisecond, and the processor is free for the logins.
        thread::sleep(Duration::from_micros(10));
    }
    seen
}

fn count(background: &Background) -> Result<usize> {
    Ok(background
        .stdout()
        .context("the logins so far")?
        .lines()
        .count())
}

const STOP: &str = "/run/no-more-logins";
/// A login succeeds if it ends up in the job.
const SSH: &str =
    "ssh -o BatchMode=yes -o ConnectTimeout=20 node1 grep -q step_extern /proc/self/cgroup";
