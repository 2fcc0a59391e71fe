//! Jobs on the node: of others and of the user.

use std::time::Duration;

use anyhow::{Context, Result};
use lab::{Cluster, Node};

use crate::beside::Beside;
use crate::machine;
use crate::measure::{Before, Effort, Logins};
use crate::parts;
use crate::results::{Axis, Row, StageTable};
use crate::targets;

/// Jobs of others.
pub const OTHERS: [u32; 5] = [0, 1, 10, 100, 500];
/// Jobs of the user.
const OWN: [u32; 3] = [0, 1, 10];
/// With this many of others the first login ever has a row of its own, and the stages a table.
const FIRST: u32 = 100;

/// Whose rows are wanted.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// The logins'.
    pub rows: bool,
    /// The stages'.
    pub stages: bool,
}

/// The identity of a row.
pub fn id(others: u32, own: u32) -> String {
    format!("jobs-{others}-{own}")
}

/// The row of the first login ever.
pub const FIRST_ID: &str = "jobs-100-0-first";

/// How many times the logins of a row whose own part is a target.
const MORE: u32 = 4;

/// The row whose logins have pauses between them.
const APART_ID: &str = "jobs-0-1-apart";

/// The row whose logins must share the processors with programs that use all of them, as jobs do.
const BUSY_ID: &str = "jobs-0-1-busy";

/// Goes through all numbers on one cluster, from few jobs to many.
pub fn rows(
    cluster: &Cluster,
    stacks: &str,
    wanted: Wanted,
    effort: Effort,
    mut done: impl FnMut(Row),
    mut done_stages: impl FnMut(StageTable),
) -> Result<()> {
    let node = cluster.node(1);
    let mut there = 0;
    let last = if wanted.rows { OTHERS.len() } else { 4 };
    for others in &OTHERS[..last] {
        let others = *others;
        submit(cluster, "bob", others - there)?;
        wait_for_steps(node, others)?;
        there = others;
        let mut own_jobs = 0;
        for own in OWN {
            let newest = own_job(cluster, own - own_jobs)?;
            wait_for_steps(node, others + own)?;
            own_jobs = own;
            machine::settle()?;
            let logins = Logins {
                node,
                stacks,
                user: "alice",
                adopted: own > 0,
                env: Vec::new(),
                from: None,
                socket: newest.map(|job| node.extern_socket(job)),
                before: Before::Nothing,
            };
            if wanted.rows {
                let id = id(others, own);
                let effort = match targets::wants_more_logins(&id) {
                    true => effort.times(MORE),
                    false => effort,
                };
                done(logins.row(Axis::Jobs, &id, &words(others, own), effort));
            }
            if wanted.rows && (others, own) == (0, 1) {
                let apart = Logins {
                    before: Before::Pause,
                    ..logins.clone()
                };
                let name = format!("{}, 0.1 s between logins", words(others, own));
                let few = Effort {
                    logins: effort.logins.div_ceil(4),
                    ..effort
                };
                done(apart.row(Axis::Jobs, APART_ID, &name, few));
                let name = format!("{}, all processors busy", words(others, own));
                let _busy = Beside::busy();
                done(logins.row(Axis::Jobs, BUSY_ID, &name, effort));
            }
            if wanted.rows && (others, own) == (FIRST, 0) {
                let first = Logins {
                    before: Before::Forget,
                    ..logins
                };
                let name = format!("{}, first login", words(others, own));
                done(first.row(Axis::Jobs, FIRST_ID, &name, effort));
            }
            if wanted.stages && [(0, 0), (0, 1), (FIRST, 0)].contains(&(others, own)) {
                done_stages(parts::table(node, &words(others, own), effort));
            }
        }
        cancel_own(cluster)?;
    }
    Ok(())
}

fn words(others: u32, own: u32) -> String {
    match (others, own) {
        (0, 0) => "no job on the node".into(),
        (0, own) => format!("{} of the user", jobs(own)),
        (others, 0) => format!("{} of others", jobs(others)),
        (others, own) => format!("{} of others, {own} of the user", jobs(others)),
    }
}

fn jobs(count: u32) -> String {
    match count {
        1 => "1 job".into(),
        count => format!("{count} jobs"),
    }
}

/// That many at once.
fn submit(cluster: &Cluster, user: &str, count: u32) -> Result<()> {
    match count {
        0 => Ok(()),
        count => {
            let tasks = format!("--array=1-{count}");
            cluster.submit_only(user, &[&tasks]).map(drop)
        }
    }
}

/// More jobs of the user's; the newest of them.
///
/// It starts a second after the others, by which both modules know it: they compare whole seconds.
fn own_job(cluster: &Cluster, count: u32) -> Result<Option<u32>> {
    if count == 0 {
        return Ok(None);
    }
    submit(cluster, "alice", count - 1)?;
    if count > 1 {
        std::thread::sleep(Duration::from_millis(2_500));
    }
    cluster.submit("alice", &[]).map(Some)
}

/// Waits until so many extern steps listen and the jobs' programs run, so that nothing starts any
/// more while logins are timed.
fn wait_for_steps(node: &Node, count: u32) -> Result<()> {
    const LIMIT: Duration = Duration::from_secs(240);
    let what = format!("{count} extern steps to listen");
    lab::poll::until_true(&what, LIMIT, || {
        let sockets = node.unix_sockets()?;
        let steps = sockets.iter().filter(|it| it.ends_with(".4294967292"));
        let count = count as usize;
        Ok(steps.count() == count && node.processes("sleep 100000")?.len() >= count)
    })
}

fn cancel_own(cluster: &Cluster) -> Result<()> {
    let list = ["squeue", "-h", "-r", "--user=alice", "--format=%A"];
    let list = cluster.node(1).run(&list)?.ok()?;
    cluster.node(1).run(&["scancel", "--user=alice"])?.ok()?;
    for job in list.split_whitespace() {
        cluster.wait_gone(job.parse().context("squeue's answer")?)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn situations_in_words() {
        for (others, own, expected) in [
            (0, 0, "no job on the node"),
            (0, 1, "1 job of the user"),
            (1, 0, "1 job of others"),
            (500, 10, "500 jobs of others, 10 of the user"),
        ] {
            assert_eq!(words(others, own), expected);
        }
        assert_eq!(FIRST_ID, format!("{}-first", id(FIRST, 0)));
    }
}
