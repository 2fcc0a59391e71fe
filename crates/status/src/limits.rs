//! What a job's cgroup allows.

use std::path::Path;

use adopt::survey::cgroup_file;

/// The processors and the memory of a job that has a process with this /proc/PID/cgroup; None where nothing is set.
pub(crate) fn limits(cgroups: &str) -> (Option<u32>, Option<u64>) {
    let cpus = value(cgroups, "cpuset", &["cpuset.cpus.effective", "cpuset.cpus"]);
    let memory = value(cgroups, "memory", &["memory.max", "memory.limit_in_bytes"]);
    (
        cpus.and_then(|it| count(&it)),
        memory.and_then(|it| bytes(&it)),
    )
}

/// Reads the first of these files in the job's directory: of the controller's own hierarchy, else of cgroup v2's.
fn value(cgroups: &str, controller: &str, names: &[&str]) -> Option<String> {
    let (controllers, directory) = job_directory(cgroups, controller)?;
    names.iter().find_map(|name| {
        let path = cgroup_file(controllers, &format!("{directory}/{name}"))?;
        let text = sys::read_regular(Path::new(&path), 1 << 16).ok()?;
        Some(String::from_utf8_lossy(&text).trim().to_owned())
    })
}

/// The hierarchy of a controller, and the job's directory there.
fn job_directory<'a>(cgroups: &'a str, controller: &str) -> Option<(&'a str, &'a str)> {
    let lines = || {
        cgroups.lines().filter_map(|line| {
            let (_, rest) = line.split_once(':')?;
            rest.split_once(':')
        })
    };
    let has = |controllers: &str| controllers.split(',').any(|it| it == controller);
    let own = lines().find(|(controllers, _)| has(controllers));
    let (controllers, path) = own.or_else(|| lines().find(|(it, _)| it.is_empty()))?;
    let (directory, _) = path.rsplit_once("/step_")?;
    Some((controllers, directory))
}

/// The number of processors in a list such as `0-3,8`, cpuset(7); None if it is empty or broken.
fn count(list: &str) -> Option<u32> {
    let mut count: u32 = 0;
    for part in list.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        count = count.checked_add(last.checked_sub(first)?.checked_add(1)?)?;
    }
    Some(count)
}

/// A limit in bytes; None if there is none: `max`, or with v1 the largest multiple of a page.
fn bytes(text: &str) -> Option<u64> {
    const UNLIMITED: u64 = 1 << 60;
    text.parse().ok().filter(|it| *it < UNLIMITED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_are_counted() {
        for (list, number) in [
            ("0", Some(1)),
            ("0-3,8", Some(5)),
            ("", None),
            ("3-1", None),
            ("0-4294967295", None),
            ("x", None),
        ] {
            assert_eq!(count(list), number, "{list}");
        }
    }

    #[test]
    fn no_limit_is_none() {
        for (text, limit) in [
            ("max", None),
            ("9223372036854771712", None),
            ("68719476736", Some(68_719_476_736)),
            ("0", Some(0)),
            ("-1", None),
        ] {
            assert_eq!(bytes(text), limit, "{text}");
        }
    }

    #[test]
    fn the_jobs_directory_in_each_hierarchy() {
        let v1 = "4:memory:/slurm/uid_1/job_7/step_extern/task_0\n3:cpuset:/\n\
                  2:cpu,cpuacct:/slurm/uid_1/job_7/step_extern\n0::/x/step_1\n";
        assert_eq!(
            job_directory(v1, "memory"),
            Some(("memory", "/slurm/uid_1/job_7"))
        );
        assert_eq!(job_directory(v1, "cpuset"), None);
        assert_eq!(
            job_directory(v1, "cpuacct"),
            Some(("cpu,cpuacct", "/slurm/uid_1/job_7"))
        );
        let v2 = "0::/system.slice/n_slurmstepd.scope/s0DNM8M1FSF400/step_extern/user/task_0\n";
        let directory = "/system.slice/n_slurmstepd.scope/s0DNM8M1FSF400";
        assert_eq!(job_directory(v2, "memory"), Some(("", directory)));
    }
}
