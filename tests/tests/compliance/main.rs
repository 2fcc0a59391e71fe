//! The same call to SchedMD's module and to ours, on the same live cluster, for each of the four
//! Slurm versions: PAM code, messages, environment, cgroup.
//!
//! Every case states what ours does. SchedMD's does the same, or what the case states with the name
//! of the difference in docs/differences.md.

#![forbid(unsafe_code)]

mod case;
mod own_jobs;
mod without_conf;
mod without_job;
mod worlds;

use anyhow::{Context, Result, bail, ensure};
use lab::cgroup::{self, Version};
use lab::{Node, Status, Suite};
use tests::{CLI, Call, End, Matrix, Module, Outcome};

use case::{By, Case, Expected, IGNORE, Inside, SUCCESS, adopted};
use own_jobs::UNKNOWN_PID;
use worlds::{Jobs, Stage, World};

/// What slurm-adopt explain says of a case is what the login met. It has no environment of sshd's, and does not know
/// that a stepd will refuse.
fn explained(case: &Case, ours: &Outcome, node: &Node) -> Result<()> {
    let Call {
        user,
        service,
        options,
        wrapper,
        env,
        ..
    } = &case.call;
    if !env.is_empty() || wrapper.as_deref() == Some(UNKNOWN_PID) {
        return Ok(());
    }
    let explain = [
        CLI,
        "explain",
        user,
        "--service",
        service,
        "--options",
        options,
    ];
    let argv: Vec<&str> = match wrapper {
        Some(script) => ["/bin/sh", "-ec", script, "sh"]
            .into_iter()
            .chain(explain)
            .collect(),
        None => explain.to_vec(),
    };
    let job = ours.job(node)?;
    let expected = match (ours.end, job) {
        (SUCCESS, Some(_)) => 0,
        (SUCCESS | IGNORE, None) => 1,
        _ => 2,
    };
    let told = node.run(&argv)?;
    ensure!(
        told.status == Status::Exited(expected),
        "{ours}, explained: {told}"
    );
    if let Some(job) = job {
        let text = format!("would be adopted into job {job}: ");
        ensure!(told.stdout.contains(&text), "{ours}, explained: {told}");
    }
    if let [text] = &ours.messages[..] {
        ensure!(told.stdout.contains(text), "{ours}, explained: {told}");
    }
    Ok(())
}

fn check(suite: Suite, case: &Case, stage: &mut Stage) -> Result<()> {
    let (cluster, jobs) = stage.set(case.world)?;
    let node = cluster.node(1);
    let ours = case.call.make(node, Module::Ours)?;
    if case.call.wrapper.as_deref() == Some(UNKNOWN_PID) && cgroup::version(suite)? == Version::V2 {
        // With cgroup v2 no stepd minds that there is no such process. A login whose pid stands for
        // nothing in the stepd's eyes is told "adopted" by both modules.
        let told = adopted(Inside::ToldOnly);
        expect(&told, &ours, jobs, node).with_context(|| format!("ours: {ours}"))?;
        let theirs = case.call.make(node, Module::SchedMd)?;
        return expect(&told, &theirs, jobs, node).with_context(|| format!("SchedMD's: {theirs}"));
    }
    expect(&case.ours, &ours, jobs, node).with_context(|| format!("ours: {ours}"))?;
    if suite == Suite::Forky {
        explained(case, &ours, node)?;
    }

    let mut expected = case.ours.clone();
    if let Some(difference) = case.difference {
        expected = (difference.theirs)(suite, case);
        let known = include_str!("../../../docs/differences.md");
        let heading = format!("<a id=\"{}\"></a>", difference.heading);
        ensure!(
            known.contains(&heading),
            "docs/differences.md has no {heading}"
        );
    }
    let command = case
        .call
        .command(node, Module::SchedMd)?
        .time_limit(case.patience);
    let theirs = tests::outcome(command)?;
    expect(&expected, &theirs, jobs, node).with_context(|| format!("SchedMD's: {theirs}"))?;
    if ours.job(node)? == theirs.job(node)? && theirs.end != End::Died && theirs.end != End::Hung {
        ensure!(
            ours.cgroup == theirs.cgroup,
            "cgroups differ:\n{ours}\n{theirs}"
        );
        ensure!(
            ours.env == theirs.env,
            "environments differ:\n{ours}\n{theirs}"
        );
    }
    Ok(())
}

fn expect(expected: &Expected, outcome: &Outcome, jobs: &Jobs, node: &Node) -> Result<()> {
    ensure!(outcome.end == expected.end, "expected {expected:?}");
    let number = |job: Option<u32>| job.map(|job| job.to_string()).unwrap_or_default();
    let message = expected.message.map(|text| {
        text.replace("{alice}", &number(jobs.alice.first().copied()))
            .replace("{bob}", &number(jobs.bob))
    });
    ensure!(
        outcome.messages == message.into_iter().collect::<Vec<_>>(),
        "expected {expected:?}"
    );
    if expected.inside == Inside::ToldOnly {
        ensure!(
            tests::job_of_cgroup(node, &outcome.cgroup)?.is_none(),
            "in a job after all"
        );
        let newest = number(jobs.newest);
        ensure!(
            outcome.env.get("SLURM_JOB_ID") == Some(&newest),
            "expected job {newest}"
        );
        return Ok(());
    }
    let job = outcome.job(node)?;
    let right = match (expected.inside, job) {
        (Inside::None, None) => true,
        (Inside::Newest, Some(job)) => {
            Some(job) == jobs.newest || (jobs.newest.is_none() && Some(job) == jobs.bob)
        }
        (Inside::AnyOwn, Some(job)) => jobs.alice.contains(&job),
        _ => false,
    };
    if !right {
        bail!("expected {expected:?} with {jobs:?}");
    }
    Ok(())
}

fn main() {
    let mut matrix = Matrix::new(Stage::new);
    let mut branches = 0;
    for case in cases() {
        let name = format!("{:?}/{}/{}", case.world, case.name, case.call.options);
        let (by, world) = (case.by, case.world);
        let test = move |suite, stage: &mut Stage| check(suite, &case, stage);
        match (by, world) {
            (By::Release, _) => matrix.add(&name, test),
            (By::Branch, _) => {
                let (old, new) = Suite::ALL.split_at(2);
                // In one order all would come to 20.11 and 26.05, because each takes two turns.
                let is_even = branches / 2 % 2 == 0;
                branches += 1;
                for suites in if is_even { [old, new] } else { [new, old] } {
                    matrix.add_in_turn(suites, &name, test.clone());
                }
            }
            // It takes long to make: once for all of its cases.
            (By::Nothing, World::ThirtyJobs) => {
                let [others @ .., newest] = Suite::ALL;
                matrix.add_on(&[newest], &name, test.clone());
                matrix.add_long(&others, &name, test);
            }
            (By::Nothing, _) => matrix.add_in_turn(&Suite::ALL, &name, test),
        }
    }
    matrix.run();
}

/// All cases, those of one world together.
fn cases() -> Vec<Case> {
    [
        without_job::cases(),
        without_conf::cases(),
        own_jobs::cases(),
    ]
    .concat()
}
