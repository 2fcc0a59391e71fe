//! Lets all that a user has stand still for a moment, to be looked at.

use std::collections::{BTreeSet, HashSet};
use std::io;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use sys::{Deadline, Guard, Proc, ProcessStatus};

/// The processes with these uids stand still. Those that are not ended go on when this is dropped, or this process is
/// killed.
#[derive(Debug)]
pub(super) struct Halt {
    halted: Halted,
    /// Without it nothing stands still.
    _guard: Option<Guard>,
}

#[derive(Debug)]
struct Halted {
    uids: BTreeSet<u32>,
    /// Those that stood still before, by pid and start.
    before: HashSet<(u32, u64)>,
}

impl Halt {
    /// Stops all that these users may signal, until the deadline.
    pub(super) fn of(uids: BTreeSet<u32>, deadline: &Deadline) -> Self {
        let before = processes(&uids, |it| it.is_stopped).unwrap_or_default();
        let halted = Halted { uids, before };
        let guard = Guard::new(&|| halted.go_on()).ok();
        // What cannot be stopped is looked at as it runs.
        if guard.is_some() {
            for uid in &halted.uids {
                let _ = sys::stop_all_of(*uid, deadline);
            }
        }
        Self {
            halted,
            _guard: guard,
        }
    }
}

impl Drop for Halt {
    fn drop(&mut self) {
        self.halted.go_on();
    }
}

impl Halted {
    /// Lets go on whatever did not stand still before, even what seems to run: one that waits for a disk stops later.
    fn go_on(&self) {
        let all = processes(&self.uids, |_| true).unwrap_or_default();
        for (pid, start) in all.difference(&self.before) {
            // One that is ended meanwhile needs nothing.
            let _ = go_on(*pid, *start);
        }
    }
}

/// The processes of this kind whose real or saved uid is one of these: of those that these users may signal.
fn processes(
    uids: &BTreeSet<u32>,
    is_meant: impl Fn(&ProcessStatus) -> bool,
) -> io::Result<HashSet<(u32, u64)>> {
    let proc = Proc::mounted()?;
    let mut found = HashSet::new();
    for pid in proc.pids()? {
        let Some(dir) = proc.process(pid)? else {
            continue;
        };
        let status = dir.status()?.filter(|it| {
            let [real, _, saved] = it.uids;
            is_meant(it) && (uids.contains(&real) || uids.contains(&saved))
        });
        if status.is_some() {
            found.extend(dir.stat()?.map(|it| (pid, it.start)));
        }
    }
    Ok(found)
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

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt as _;
    use std::process::{Child, Command};
    use std::time::Duration;

    use rustix::process::{getpgrp, kill_process_group};

    use super::*;

    struct Sleep(Child);

    impl Sleep {
        fn of(uid: u32) -> Self {
            let mut sleep = Command::new("sleep");
            Self(sleep.arg("1000").uid(uid).spawn().expect("root's rights"))
        }

        fn is_still(&self) -> bool {
            let proc = Proc::mounted().expect("/proc");
            let dir = proc.process(self.0.id()).expect("open").expect("it lives");
            dir.status().expect("read").expect("it lives").is_stopped
        }
    }

    impl Drop for Sleep {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    /// As slurmd does with an Epilog that takes too long. Needs root.
    #[test]
    fn what_stands_still_goes_on_even_if_sweep_is_killed() {
        // A uid of nobody.
        let uid = 4_294_960_003;
        let [stopped, spared] = [uid, uid].map(Sleep::of);
        let soon = Deadline::after(Duration::from_secs(20));
        let pid = Pid::from_child(&stopped.0);
        rustix::process::kill_process(pid, Signal::STOP).expect("signal");
        let until = |is_so: &dyn Fn() -> bool| while !is_so() && !soon.has_passed() {};
        until(&|| stopped.is_still());
        let killed = sys::by_copy(&soon, &|| {
            sys::lead_session().expect("no leader yet");
            let _halt = Halt::of([uid].into(), &soon);
            until(&|| spared.is_still());
            match spared.is_still() {
                true => drop(kill_process_group(getpgrp(), Signal::KILL)),
                false => return 1,
            }
            0
        });
        assert!(killed.is_err(), "it was not killed: {killed:?}");
        until(&|| !spared.is_still());
        assert!(!spared.is_still(), "it stands still for good");
        assert!(stopped.is_still(), "it stood still before");
    }
}
