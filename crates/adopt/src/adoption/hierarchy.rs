//! The cgroup hierarchies as files, cgroups(7).

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;

use crate::access;

/// The cgroup v2 hierarchy: /proc/PID/cgroup names hierarchies by their controllers.
pub const UNIFIED: &str = "";

/// Puts a process into the cgroup at this path in the hierarchy of these controllers.
///
/// # Errors
/// The system's error; `NotFound` also if the hierarchy is not mounted.
pub fn put(pid: u32, controllers: &str, path: &str) -> io::Result<()> {
    let file = format!("{}/cgroup.procs", path.trim_end_matches('/'));
    let procs = find(controllers, &file)?.ok_or(io::ErrorKind::NotFound)?;
    let mut procs = File::options().write(true).open(procs)?;
    procs.write_all(pid.to_string().as_bytes())
}

/// Finds a file by its hierarchy's controllers and its path in the hierarchy; None if it does not exist.
///
/// # Errors
/// The system's error, with the path: the file may exist.
pub fn find(controllers: &str, file: &str) -> io::Result<Option<String>> {
    let usual = match controllers {
        UNIFIED => "/sys/fs/cgroup".to_owned(),
        _ => format!("/sys/fs/cgroup/{controllers}"),
    };
    let if_there = |path: String| {
        let found = Path::new(&path).symlink_metadata();
        Ok(access::unless_gone("stat", &path, found)?.map(|_| path))
    };
    if let Some(path) = if_there(format!("{usual}{file}"))? {
        return Ok(Some(path));
    }
    let mounts = Mounts::read()?;
    match mounts.and_then(|it| it.find(controllers, file)) {
        Some(path) => if_there(path),
        None => Ok(None),
    }
}

/// The mounts of cgroup hierarchies, proc_pid_mountinfo(5).
struct Mounts(String);

impl Mounts {
    fn read() -> io::Result<Option<Self>> {
        Ok(access::read_unless_gone("/proc/self/mountinfo")?.map(Self))
    }

    fn find(&self, controllers: &str, file: &str) -> Option<String> {
        let mut mounts = self.0.lines().filter_map(|line| {
            let (of_mount, of_system) = line.split_once(" - ")?;
            let mut words = of_mount.split(' ').skip(3);
            let (root, at) = (words.next()?, words.next()?);
            let mut words = of_system.split(' ');
            let (kind, options) = (words.next()?, words.nth(1)?);
            let has = |it: &str| options.split(',').any(|option| option == it);
            let is_it = match controllers {
                UNIFIED => kind == "cgroup2",
                _ => kind == "cgroup" && controllers.split(',').all(has),
            };
            // Only what is below the mount's root is visible there.
            let below = file
                .strip_prefix(root.trim_end_matches('/'))
                .filter(|_| is_it)?;
            below.starts_with('/').then(|| format!("{at}{below}"))
        });
        mounts.next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_it_is_mounted() {
        let mounts = Mounts(
            "30 24 0:26 / /sys/fs/cgroup ro,nosuid - tmpfs tmpfs ro,mode=755\n\
             31 30 0:27 / /sys/fs/cgroup/unified rw shared:9 - cgroup2 cgroup2 rw,nsdelegate\n\
             32 30 0:28 / /sys/fs/cgroup/systemd rw shared:10 - cgroup cgroup rw,xattr,name=systemd\n\
             33 30 0:29 /box /cg/freezer rw shared:11 - cgroup cgroup rw,freezer\n\
             34 30 0:30 / /cg/cpu rw shared:12 - cgroup cgroup rw,cpu,cpuacct\n"
                .to_owned(),
        );
        for (controllers, file, found) in [
            (
                "",
                "/a/cgroup.procs",
                Some("/sys/fs/cgroup/unified/a/cgroup.procs"),
            ),
            (
                "name=systemd",
                "/cgroup.procs",
                Some("/sys/fs/cgroup/systemd/cgroup.procs"),
            ),
            ("freezer", "/box/a/x", Some("/cg/freezer/a/x")),
            ("freezer", "/boxes/a", None),
            ("cpu,cpuacct", "/x", Some("/cg/cpu/x")),
            ("memory", "/x", None),
        ] {
            assert_eq!(
                mounts.find(controllers, file),
                found.map(str::to_owned),
                "{file}"
            );
        }
    }
}
