//! Keeps the kernel's lock for moving processes between cgroups warm.
//!
//! A stepd adopts by moving the process. The first move after a quiet moment waits until all processors
//! have noticed (an RCU grace period, more than ten milliseconds); a move within some milliseconds after
//! another does not. Without this, the interval between a module's logins would decide how long they take.
//! With the lock warm, all are as fast as they can be; a row of its own includes the wait.

use std::fs::{self, File};
use std::io::Write as _;
use std::thread;
use std::time::Duration;

use crate::beside::Beside;

/// Starts; does nothing without cgroups.
pub fn start() -> Beside {
    const PAUSE: Duration = Duration::from_millis(1);
    let pid = std::process::id().to_string();
    let work = own_cgroup().map(|mut file| {
        move || {
            // A failure leaves it cold, as the figures then show.
            let _ = file.write_all(pid.as_bytes());
            thread::sleep(PAUSE);
        }
    });
    Beside::start(work)
}

/// Opens the file that takes processes into this process's own cgroup, in any hierarchy.
fn own_cgroup() -> Option<File> {
    let own = fs::read_to_string("/proc/self/cgroup").ok()?;
    let mut files = candidates(&own).into_iter();
    files.find_map(|path| File::options().write(true).open(path).ok())
}

/// Possible paths of that file, from the lines of /proc/self/cgroup: `4:freezer:/path`, `0::/path`.
fn candidates(own: &str) -> Vec<String> {
    let mut files = Vec::new();
    for line in own.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(hierarchy), Some(path)) = (fields.next(), fields.next()) else {
            continue;
        };
        let path = path.trim_end_matches('/');
        match hierarchy.trim_start_matches("name=") {
            "" => files.extend(
                ["", "/unified"].map(|it| format!("/sys/fs/cgroup{it}{path}/cgroup.procs")),
            ),
            name => files.push(format!("/sys/fs/cgroup/{name}{path}/cgroup.procs")),
        }
    }
    files
}

#[cfg(test)]
mod tests {
    use super::candidates;

    #[test]
    fn files_of_all_hierarchies() {
        let own = "4:cpu,cpuacct:/user\n1:name=systemd:/\n0::/user.slice\nnothing\n";
        assert_eq!(
            candidates(own),
            [
                "/sys/fs/cgroup/cpu,cpuacct/user/cgroup.procs",
                "/sys/fs/cgroup/systemd/cgroup.procs",
                "/sys/fs/cgroup/user.slice/cgroup.procs",
                "/sys/fs/cgroup/unified/user.slice/cgroup.procs",
            ]
        );
    }
}
