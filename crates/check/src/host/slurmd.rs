//! The slurmds that run on a host.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::time::Duration;

use crate::host::processes::Process;
use crate::host::{Host, command};

/// The time in which a program answers that only prints its release.
const PATIENCE: Duration = Duration::from_secs(3);

/// A slurmd, and whether it has our root directory: one in a container has not.
#[derive(Debug, Clone, Copy)]
pub struct Slurmd<'a> {
    /// Its process.
    pub process: &'a Process,
    /// Whether it sees the same files as this program.
    pub has_our_root: bool,
}

/// The slurmds that run here, in the order of their pids. Those that have just ended are left out.
pub fn running(host: &Host) -> impl Iterator<Item = Slurmd<'_>> {
    let node = host.node().and_then(|it| it.as_ref().ok());
    let user = node.and_then(|it| it.trusted.slurmd_uid).unwrap_or(0);
    let slurmds = host.processes().iter();
    slurmds
        .filter(move |it| is_slurmd(it, user))
        .filter_map(|process| {
            let has_our_root = has_our_root(process.pid).ok()?;
            Some(Slurmd {
                process,
                has_our_root,
            })
        })
}

/// What the first slurmd with our root directory prints with `-V`.
pub(super) fn version(host: &Host) -> Option<String> {
    let slurmd = running(host).find(|it| it.has_our_root)?;
    // The file that runs, even if another has come into its place.
    let program = format!("/proc/{}/exe", slurmd.process.pid);
    let printed = command::run(&program, &["-V"], &host.deadline.within(PATIENCE)).ok()?;
    Some(printed.out)
}

/// Whether this is a slurmd that stays, as node/slurmd.rs of the module sees it, but also one of SlurmdUser's.
fn is_slurmd(process: &Process, slurmd_user: u32) -> bool {
    let program = process.program_name();
    let only_tells = |it: &String| matches!(it.as_str(), "-C" | "-G" | "-V" | "-h");
    (process.uid == 0 || process.uid == slurmd_user)
        && (program == "slurmd" || program.starts_with("slurmd-"))
        && !process.arguments.iter().skip(1).any(only_tells)
}

fn has_our_root(pid: i32) -> io::Result<bool> {
    let identity = |path: &str| fs::metadata(path).map(|it| (it.dev(), it.ino()));
    Ok(identity(&format!("/proc/{pid}/root"))? == identity("/")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slurmds_are_told_from_what_looks_like_one() {
        for (uid, program, line, expected) in [
            (0, "/usr/sbin/slurmd", "slurmd -D -s", true),
            (0, "/usr/sbin/slurmd-wlm (deleted)", "slurmd", true),
            (0, "/usr/sbin/slurmd", "slurmd -C", false),
            (0, "/usr/sbin/slurmstepd", "slurmstepd: [7.extern]", false),
            (0, "/usr/sbin/slurmdbd", "slurmdbd -D", false),
            (2001, "/home/alice/slurmd", "slurmd", false),
            (900, "/usr/sbin/slurmd", "slurmd", true),
        ] {
            let process = Process {
                pid: 1,
                uid,
                name: "slurmd".to_owned(),
                program: Some(program.into()),
                arguments: line.split(' ').map(str::to_owned).collect(),
            };
            assert_eq!(is_slurmd(&process, 900), expected, "{program} {line}");
        }
    }
}
