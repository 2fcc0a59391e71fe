//! What a site sets beyond SchedMD's options: the file of options, exemptions, modes, the kill switch, messages and logs.

#![forbid(unsafe_code)]

mod banner;
mod environment;
mod exempt;
mod logs;
mod modes;
mod options;

use anyhow::{Context, Result, ensure};
use lab::{Cluster, Node, Suite};
use serde_json::Value;
use tests::{CLI, Call, End, Matrix, Module, Outcome, PAMCALL, Shared, job_of_cgroup, suspended};

/// The file of options.
const FILE: &str = "/etc/security/slurm_adopt.conf";
const NO_JOB: &str = "Access denied by pam_slurm_adopt: you have no active jobs on this node";

type Test = fn(&Cluster) -> Result<()>;

fn main() {
    // Nothing here depends on the release but what ssh shows of a message.
    let suites = [Suite::Bullseye, Suite::Forky];
    let mut matrix = Matrix::with_lanes(&Suite::ALL, 1, |suite| {
        Shared::new(suite, |suite| {
            let program = tests::dist("slurm-adopt")?;
            tests::cluster(suite)?.copy(program, CLI).start()
        })
    });
    for (name, test) in [exempt::TESTS, options::TESTS, modes::TESTS, logs::TESTS].concat() {
        matrix.add_on(&suites, name, move |_, stage| run(stage, test));
    }
    // Each release sets other variables; one shows the rest.
    for (name, test) in [environment::TESTS, banner::TESTS].concat() {
        matrix.add_on(&[Suite::Forky], name, move |_, stage| run(stage, test));
        let others = [Suite::Bookworm, Suite::Trixie];
        matrix.add_long(&others, name, move |_, stage| run(stage, test));
    }
    matrix.run();
}

/// Runs a test on the suite's cluster.
fn run(stage: &mut Shared<Cluster>, test: Test) -> Result<()> {
    stage.run(
        |cluster| {
            let done = test(cluster);
            cluster.node(1).sh(&format!("rm -f {FILE}"))?;
            done
        },
        |cluster| cluster.cancel_all(),
    )
}

/// A login by the account line with these options: PAM's code, and the job that the login is in.
fn expect(node: &Node, user: &str, options: &str, code: i64, job: Option<u32>) -> Result<Outcome> {
    let outcome = Call::new(user, options).make(node, Module::Ours)?;
    let found = outcome.job(node)?;
    ensure!(
        outcome.end == End::Code(code) && found == job,
        "{user}, {options}: {outcome}, in job {found:?}, expected {code} and {job:?}"
    );
    Ok(outcome)
}

/// What the log has of a login.
fn logged(node: &Node, act: impl FnOnce() -> Result<()>, texts: &[&str]) -> Result<()> {
    let mark = node.syslog_mark()?;
    act()?;
    let log = node.syslog_since(mark)?;
    for text in texts {
        ensure!(log.contains(text), "not in the log: {text}\n{log}");
    }
    Ok(())
}

/// The code of a stack's phase, and the job that the login ends up in.
fn by_stack(node: &Node, stack: &str, user: &str, phase: &str) -> Result<(i64, Option<u32>)> {
    const DIR: &str = "/run/site";
    node.write(&format!("{DIR}/sshd"), stack, 0o644)?;
    let argv = [PAMCALL, "--confdir", DIR, "--user", user, "--phase", phase];
    let answer: Value = serde_json::from_str(&node.run(&argv)?.ok()?)?;
    let code = answer["code"].as_i64().context("its code")?;
    let cgroup = answer["cgroup"].as_str().context("its cgroup")?;
    Ok((code, job_of_cgroup(node, cgroup)?))
}

/// Does something while the job is suspended.
fn while_suspended<T>(node: &Node, job: u32, act: impl FnOnce() -> Result<T>) -> Result<T> {
    node.sh(&suspended::begin(job))?;
    node.sh(&suspended::frozen(job))?;
    let done = act();
    node.sh(&suspended::resume(job))?;
    done
}
