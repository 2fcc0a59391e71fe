//! The processes of this node.

use adopt::survey::cgroups_of;
use procfs::process::{Process as ProcProcess, all_processes};

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
    let Ok(processes) = all_processes() else {
        return Vec::new();
    };
    let booted = procfs::boot_time_secs().unwrap_or_default();
    let read = processes.filter_map(|it| of(&it.ok()?, booted, places));
    read.collect()
}

fn of(process: &ProcProcess, booted: u64, places: &Places) -> Option<Process> {
    let status = process.status().ok()?;
    let stat = process.stat().ok()?;
    let cgroups = cgroups_of(&process.pid.to_string()).ok().flatten()?;
    let started = booted + stat.starttime / procfs::ticks_per_second().max(1);
    Some(Process {
        pid: process.pid,
        parent: stat.ppid,
        uid: status.ruid,
        effective_uid: status.euid,
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
}
