//! The whole of `ssh node2 true` by public key, timed by a shell on the client's node.

use anyhow::{Context, Result, ensure};
use lab::{Cluster, Node};

use crate::measure::{Effort, Who};
use crate::results::{Axis, Row, Sample};
use crate::stats::{median, percentile};

/// ID of the row whose logins are adopted into a job.
pub const ADOPTED_ID: &str = "ssh-adopted";
/// ID of the row whose logins are denied.
pub const DENIED_ID: &str = "ssh-denied";

/// Measures logins on a cluster of three nodes, from the third to the second.
///
/// A denied login ends early, so its floor is pam_deny.
pub fn rows(cluster: &Cluster, effort: Effort, mut done: impl FnMut(Row)) -> Result<()> {
    let job = cluster.submit("alice", &["--nodelist=node2"])?;
    let name = "ssh node2 true, 1 job of the user";
    done(row(cluster, ADOPTED_ID, name, ("alice", true), effort));
    cluster.cancel(job)?;
    let name = "ssh node2 true, no job on the node";
    done(row(cluster, DENIED_ID, name, ("alice", false), effort));
    cluster
        .node(2)
        .write("/etc/pam.d/sshd", lab::config::SSHD_STACK, 0o644)
}

fn row(
    cluster: &Cluster,
    id: &str,
    name: &str,
    (user, adopted): (&str, bool),
    effort: Effort,
) -> Row {
    let mut millis = Who::MODULES.map(|who| (who, Some(Vec::new())));
    let mut failed = Vec::new();
    // They take a tenth of a second or more with any module.
    let each = (effort.logins * 2 / 5).div_ceil(Effort::TURNS);
    for _ in 0..Effort::TURNS {
        for (who, millis) in &mut millis {
            let Some(millis_so_far) = millis else {
                continue;
            };
            match turn(cluster, *who, user, adopted, each) {
                Ok(more) => millis_so_far.extend(more),
                Err(error) => {
                    failed.push(format!("{}: {error:#}", who.name()));
                    *millis = None;
                }
            }
        }
    }
    let [floor, schedmd, ours] = millis.map(|(_, millis)| millis.map(|it| sample(&it)));
    Row {
        axis: Axis::Ssh,
        id: id.into(),
        name: name.into(),
        adopted,
        floor,
        schedmd,
        ours,
        stepd: None,
        failed,
    }
}

fn turn(cluster: &Cluster, who: Who, user: &str, adopted: bool, count: u32) -> Result<Vec<f64>> {
    const LOOP: &str = "for ((i = 0; i < $1; i++)); do
        a=$EPOCHREALTIME; ssh -o BatchMode=yes node2 true 2>/dev/null; code=$?; b=$EPOCHREALTIME
        echo $((${b/./} - ${a/./})) $code; done";
    stack(cluster.node(2), who, adopted)?;
    let count = count.to_string();
    let argv = ["bash", "-c", LOOP, "bash", &count];
    let output = cluster.node(3).run_as(user, &argv)?.ok()?;
    let expected = if adopted { "0" } else { "255" };
    times(&output, expected)
}

/// Parses microseconds and exit status of each login.
fn times(output: &str, expected: &str) -> Result<Vec<f64>> {
    let time = |line: &str| {
        let (micros, code) = line.split_once(' ').context("the shell's answer")?;
        ensure!(code == expected, "ssh ended with {code}, not {expected}");
        let micros: f64 = micros.parse().context("the shell's answer")?;
        Ok(micros / 1e3)
    };
    output.lines().map(time).collect()
}

/// Writes the lab's own stack of sshd, with that module instead of the one under test.
fn stack(node: &Node, who: Who, adopted: bool) -> Result<()> {
    let module = match who {
        Who::Ours => ::tests::OURS,
        Who::SchedMd => lab::config::SCHEDMD_MODULE,
        _ if adopted => "pam_permit.so",
        _ => "pam_deny.so",
    };
    let stack = lab::config::SSHD_STACK.replace("pam_slurm_adopt.so", module);
    node.write("/etc/pam.d/sshd", stack, 0o644)
}

fn sample(millis: &[f64]) -> Sample {
    Sample {
        logins: millis.len(),
        median_ms: median(millis),
        p95_ms: percentile(millis, 95.0),
        p99_ms: percentile(millis, 99.0),
        ..Sample::default()
    }
}

#[cfg(test)]
mod tests {
    use super::times;

    #[test]
    fn the_shells_lines() {
        let read = times("1500 0\n2000 0\n", "0").expect("as expected");
        assert_eq!(read, [1.5, 2.0]);
        let error = times("1500 0\n2000 255\n", "0").expect_err("one was kept out");
        assert!(error.to_string().contains("255"), "{error}");
        times("what", "0").expect_err("no such line");
    }
}
