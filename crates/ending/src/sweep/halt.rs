//! Lets all that a user has stand still for a moment, to be looked at.

use std::collections::{BTreeSet, HashSet};
use std::io;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use sys::{Deadline, Proc};

/// The processes with these uids stand still. Those that are not ended go on when this is dropped.
#[derive(Debug)]
pub(super) struct Halt {
    uids: BTreeSet<u32>,
    /// Those that stood still before, by pid and start.
    before: HashSet<(u32, u64)>,
}

impl Halt {
    /// Stops all that these users may signal, until the deadline.
    pub(super) fn of(uids: BTreeSet<u32>, deadline: &Deadline) -> Self {
        let before = still(&uids).unwrap_or_default();
        for uid in &uids {
            // What cannot be stopped is looked at as it runs.
            let _ = sys::stop_all_of(*uid, deadline);
        }
        Self { uids, before }
    }
}

impl Drop for Halt {
    fn drop(&mut self) {
        let still = still(&self.uids).unwrap_or_default();
        for (pid, start) in still.difference(&self.before) {
            // One that is ended meanwhile needs nothing.
            let _ = go_on(*pid, *start);
        }
    }
}

/// The processes that stand still and whose real or saved uid is one of these: those that these users may signal.
fn still(uids: &BTreeSet<u32>) -> io::Result<HashSet<(u32, u64)>> {
    let proc = Proc::mounted()?;
    let mut still = HashSet::new();
    for pid in proc.pids()? {
        let Some(dir) = proc.process(pid)? else {
            continue;
        };
        let status = dir.status()?.filter(|it| {
            let [real, _, saved] = it.uids;
            it.is_stopped && (uids.contains(&real) || uids.contains(&saved))
        });
        if status.is_some() {
            still.extend(dir.stat()?.map(|it| (pid, it.start)));
        }
    }
    Ok(still)
}

fn go_on(pid: u32, start: u64) -> io::Result<()> {
    let Some(number) = i32::try_from(pid).ok().and_then(Pid::from_raw) else {
        return Ok(());
    };
    let fd = pidfd_open(number, PidfdFlags::empty())?;
    let dir = Proc::mounted()?.process(pid)?;
    let stat = dir.map(|it| it.stat()).transpose()?.flatten();
    if stat.is_some_and(|it| it.start == start) {
        pidfd_send_signal(&fd, Signal::CONT)?;
    }
    Ok(())
}
