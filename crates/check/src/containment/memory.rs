//! The memory limit of a login, and whether it counts what the login takes.

use std::io;

use adopt::survey::{Cgroup, Place};

use super::judge::size;
use super::login::Login;
use super::observe::read;
use super::probe::{Charge, Memory};
use super::trial::{CHARGE, Event, Order};
use crate::host::tree::Tree;

/// Below this room nothing is taken: the job's own processes must not come near their limit.
const ROOM: u64 = 64 << 20;
/// More than any node has: what cgroup v1 writes for no limit.
const NO_LIMIT: u64 = 1 << 60;
/// Others in the cgroup may give memory back at the same time.
const TRIES: usize = 2;

/// The files of the memory controller at one level.
struct Level {
    limit: Option<u64>,
    usage: Option<u64>,
    usage_file: Option<String>,
}

/// Finds the limit within the job, and tries it.
pub(super) fn look(tree: &Tree, place: &Place, login: &mut Login) -> io::Result<Memory> {
    let levels = levels(tree, place);
    let limit = levels.iter().filter_map(|it| it.limit).min();
    let room = levels.iter().filter_map(Level::room).min();
    let usage_file = levels.into_iter().find_map(|it| it.usage_file);
    let charge = match (limit, room, usage_file) {
        (None, ..) => Charge::Counted,
        (_, Some(room), _) if room < ROOM => {
            let left = size(room);
            Charge::Untried(format!(
                "only {left} are left of it, and the trial would take some"
            ))
        }
        (Some(_), Some(_), Some(file)) => try_charge(tree, &file, login)?,
        _ => Charge::Untried("the cgroup does not tell its usage".to_owned()),
    };
    Ok(Memory { limit, charge })
}

impl Level {
    fn at(tree: &Tree, cgroup: &Cgroup, dir: &str) -> Self {
        let file = |names: [&str; 2]| {
            let mut files = names.iter().filter_map(|it| cgroup.file(dir, it).ok()?);
            files.next()
        };
        let number = |file: &Option<String>| read(tree, file.as_ref()?)?.trim().parse().ok();
        let limit: Option<u64> = number(&file(["memory.max", "memory.limit_in_bytes"]));
        let usage_file = file(["memory.current", "memory.usage_in_bytes"]);
        Self {
            // cgroup v2 writes "max".
            limit: limit.filter(|it| *it < NO_LIMIT),
            usage: number(&usage_file),
            usage_file,
        }
    }

    fn room(&self) -> Option<u64> {
        Some(self.limit?.saturating_sub(self.usage?))
    }
}

/// From the login's cgroup up to the job's.
fn levels(tree: &Tree, place: &Place) -> Vec<Level> {
    let Place::Held { cgroups, .. } = place else {
        return Vec::new();
    };
    let Some(cgroup) = cgroups.iter().find(|it| it.has("memory")) else {
        return Vec::new();
    };
    let dirs = dirs(cgroup);
    dirs.iter()
        .map(|dir| Level::at(tree, cgroup, dir))
        .collect()
}

fn dirs(cgroup: &Cgroup) -> Vec<&str> {
    let Some(job_dir) = cgroup.job_dir() else {
        return Vec::new();
    };
    let mut dirs = vec![cgroup.path.as_str()];
    while let Some((above, _)) = dirs.last().and_then(|it| it.rsplit_once('/')) {
        if above.len() < job_dir.len() {
            break;
        }
        dirs.push(above);
    }
    dirs
}

fn try_charge(tree: &Tree, usage_file: &str, login: &mut Login) -> io::Result<Charge> {
    let usage = || read(tree, usage_file).and_then(|it| it.trim().parse::<u64>().ok());
    for _ in 0..TRIES {
        let before = usage();
        expect(login, Order::Charge, &Event::Charged)?;
        let after = usage();
        expect(login, Order::Release, &Event::Released)?;
        let (Some(before), Some(after)) = (before, after) else {
            return Ok(Charge::Untried("the cgroup is gone".to_owned()));
        };
        if after.saturating_sub(before) >= CHARGE / 2 {
            return Ok(Charge::Counted);
        }
    }
    Ok(Charge::NotCounted)
}

fn expect(login: &mut Login, order: Order, event: &Event) -> io::Result<()> {
    login.order(order)?;
    match login.next()? {
        Some(found) if found == *event => Ok(()),
        _ => Err(io::Error::other("the login ended during the trial")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn from_the_login_up_to_the_job() {
        let cgroup = |path: &str| Cgroup {
            controllers: String::new(),
            path: path.to_owned(),
        };
        assert_eq!(
            dirs(&cgroup("/x/job_7/step_extern/user/task_0")),
            [
                "/x/job_7/step_extern/user/task_0",
                "/x/job_7/step_extern/user",
                "/x/job_7/step_extern",
                "/x/job_7"
            ]
        );
        assert!(dirs(&cgroup("/user.slice")).is_empty());
    }
}
