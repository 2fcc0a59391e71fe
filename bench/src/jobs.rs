//! Jobs on the node, of others and of the user.

use std::time::Duration;

use anyhow::{Context, Result};
use lab::{Cluster, Node};

use crate::beside::Beside;
use crate::machine;
use crate::measure::{Before, Effort, Logins};
use crate::results::{Axis, Row};

/// Numbers of jobs of others.
pub const OTHERS: [u32; 5] = [0, 1, 10, 100, 500];
/// Numbers of jobs of the user.
const OWN: [u32; 3] = [0, 1, 10];
/// The same if there are no jobs of others.
const OWN_ALONE: [u32; 4] = [0, 1, 10, 100];
/// With this many jobs of others, the first login ever has a row of its own.
const FIRST: u32 = 100;

/// ID of a row.
pub fn id(others: u32, own: u32) -> String {
    format!("jobs-{others}-{own}")
}

/// ID of the row of the first login ever.
pub const FIRST_ID: &str = "jobs-100-0-first";

/// ID of the row with pauses between its logins.
const APART_ID: &str = "jobs-0-1-apart";

/// ID of the row whose logins share the processors with programs that use all of them, as jobs do.
const BUSY_ID: &str = "jobs-0-1-busy";

/// Measures all numbers on one cluster, from few jobs to many.
pub fn rows(
    cluster: &Cluster,
    stacks: &str,
    effort: Effort,
    mut done: impl FnMut(Row),
) -> Result<()> {
    let node = cluster.node(1);
    let mut there = 0;
    for others in OTHERS {
        submit(cluster, "bob", others - there)?;
        wait_for_steps(node, others)?;
        there = others;
        let mut own_jobs = 0;
        let all_own: &[u32] = match others {
            0 => &OWN_ALONE,
            _ => &OWN,
        };
        for own in all_own {
            let newest = own_job(cluster, own - own_jobs)?;
            wait_for_steps(node, others + own)?;
            own_jobs = *own;
            machine::settle()?;
            let logins = Logins {
                node,
                stacks,
                user: "alice",
                adopted: *own > 0,
                env: Vec::new(),
                from: None,
                socket: newest.map(|job| node.extern_socket(job)),
                before: Before::Nothing,
            };
            let name = words(others, *own);
            done(logins.row(Axis::Jobs, &id(others, *own), &name, effort));
            match (others, own) {
                (0, 1) => one_job(logins, &name, effort, &mut done),
                (FIRST, 0) => {
                    let name = format!("{name}, first login");
                    let first = logins.before(Before::Forget);
                    done(first.row(Axis::Jobs, FIRST_ID, &name, effort));
                }
                _ => {}
            }
        }
        cancel_own(cluster)?;
    }
    Ok(())
}

/// Measures the additional rows with one job of the user.
fn one_job(logins: Logins<'_>, name: &str, effort: Effort, done: &mut impl FnMut(Row)) {
    let few = Effort {
        logins: effort.logins.div_ceil(4),
        ..effort
    };
    let apart = logins.clone().before(Before::Pause);
    let words = format!("{name}, 0.1 s between logins");
    done(apart.row(Axis::Jobs, APART_ID, &words, few));
    let _busy = Beside::busy();
    let words = format!("{name}, all processors busy");
    done(logins.row(Axis::Jobs, BUSY_ID, &words, effort));
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

/// Submits that many jobs at once.
fn submit(cluster: &Cluster, user: &str, count: u32) -> Result<()> {
    match count {
        0 => Ok(()),
        count => {
            let tasks = format!("--array=1-{count}");
            cluster.submit_only(user, &[&tasks]).map(drop)
        }
    }
}

/// Submits more jobs of the user; returns the newest.
///
/// The newest starts more than a second after the others, so both modules recognize it: they compare whole
/// seconds.
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

/// Waits until `count` extern steps listen and the jobs' programs run, so that nothing else starts while
/// logins are timed.
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
