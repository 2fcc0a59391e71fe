//! The processes of this node.

use adopt::survey::cgroups_of;
use procfs::process::{Process as ProcProcess, all_processes};
use sys::Proc;

use crate::place::{Place, Places};

/// A process.
#[derive(Debug, Clone)]
pub(crate) struct Process {
    pub pid: i32,
    pub parent: i32,
    /// Its real uid.
    pub uid: u32,
    pub effective_uid: u32,
    /// Its name, cut to 15 bytes by the kernel.
    pub name: String,
    pub arguments: Vec<String>,
    /// Its terminal, such as `pts/0`.
    pub tty: Option<String>,
    /// Its start, in seconds since 1970.
    pub started: i64,
    pub place: Place,
    /// Its /proc/PID/cgroup.
    pub cgroups: String,
}

/// All processes that are there while this looks; one that ends in between is left out.
pub(crate) fn all(places: &Places) -> Vec<Process> {
    let (Ok(processes), Ok(proc)) = (all_processes(), Proc::mounted()) else {
        return Vec::new();
    };
    let booted = procfs::boot_time_secs().unwrap_or_default();
    let read = processes.filter_map(|it| of(&it.ok()?, &proc, booted, places));
    read.collect()
}

fn of(process: &ProcProcess, proc: &Proc, booted: u64, places: &Places) -> Option<Process> {
    // procfs takes no name that is not UTF-8, and a user may give a process any.
    let dir = proc.process(u32::try_from(process.pid).ok()?).ok()??;
    let status = dir.status().ok()??;
    let [uid, effective_uid, _] = status.uids;
    let stat = process.stat().ok()?;
    let cgroups = cgroups_of(&process.pid.to_string()).ok().flatten()?;
    let started = booted + stat.starttime / procfs::ticks_per_second().max(1);
    Some(Process {
        pid: process.pid,
        parent: stat.ppid,
        uid,
        effective_uid,
        name: status.name,
        arguments: process.cmdline().unwrap_or_default(),
        tty: tty_name(stat.tty_nr()),
        started: i64::try_from(started).unwrap_or(i64::MAX),
        place: places.place(&cgroups),
        cgroups,
    })
}

/// The name of a terminal by its device number (Linux, `Documentation/admin-guide/devices.txt`).
fn tty_name((major, minor): (i32, i32)) -> Option<String> {
    match (major, minor) {
        (136..=143, _) => Some(format!("pts/{}", (major - 136) * 256 + minor)),
        (4, 0..64) => Some(format!("tty{minor}")),
        (4, 64..) => Some(format!("ttyS{}", minor - 64)),
        (5, 1) => Some("console".to_owned()),
        (204, 64..) => Some(format!("ttyAMA{}", minor - 64)),
        (229, _) => Some(format!("hvc{minor}")),
        _ => None,
    }
}

/// Whether /proc shows other users' processes, as it does not with hidepid=2.
pub(crate) fn sees_others() -> bool {
    std::fs::metadata("/proc/1").is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminals_by_their_numbers() {
        for (device, name) in [
            ((136, 0), Some("pts/0")),
            ((136, 300), Some("pts/300")),
            ((137, 1), Some("pts/257")),
            ((4, 1), Some("tty1")),
            ((4, 64), Some("ttyS0")),
            ((204, 64), Some("ttyAMA0")),
            ((0, 0), None),
        ] {
            assert_eq!(tty_name(device).as_deref(), name, "{device:?}");
        }
    }

    #[test]
    fn this_process_is_among_them() {
        let all = all(&Places::default());
        let own = all.iter().find(|it| it.pid == std::process::id() as i32);
        assert!(own.is_some_and(|it| it.uid == it.effective_uid && it.started > 0));
    }

    #[test]
    fn a_name_that_is_no_text_hides_nothing() {
        use std::os::unix::ffi::OsStrExt as _;
        let name = std::ffi::OsStr::from_bytes(b"\xff\xfe");
        let dir = std::env::temp_dir().join(format!("status-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("make it");
        let program = dir.join(name);
        std::fs::copy("/bin/sleep", &program).expect("copy");
        let child = std::process::Command::new(&program).arg("100").spawn();
        let mut child = child.expect("sleep");
        // It has this program's name until exec(2).
        let is_it = |it: &Process| it.pid == child.id() as i32 && it.name.contains('\u{fffd}');
        let seen = (0..1000).any(|_| all(&Places::default()).iter().any(is_it));
        child.kill().expect("kill");
        child.wait().expect("reap");
        std::fs::remove_dir_all(&dir).expect("clean up");
        assert!(seen);
    }
}
