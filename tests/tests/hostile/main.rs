//! What users try who mean no good: sockets of their own where slurmstepds listen, names that are to
//! forge the log, logins from another's job, files in the module's way. Both modules on a live
//! cluster, SchedMD's where it is safe to run.
//!
//! Not here, because they are elsewhere: who lies about the job that a login comes from (callerid
//! "liars", "from another user's job"), unsafe directories (finding "an unsafe spool directory"),
//! stopped slurmstepds (compliance, e2e). docs/threat-model.md has the list.

#![forbid(unsafe_code)]

mod fake;
mod forging;
mod includes;
mod kept;
mod planted;
mod uids;
mod within;

use std::fmt;

use anyhow::{Context, Result, ensure};
use lab::{Cluster, Node, Suite};
use tests::{Call, End, Matrix, Module, Outcome, Shared};

/// The safe line of docs/session.md, and what no option should weaken.
const STRICT: &str = "action_adopt_failure=deny action_generic_failure=deny";
const NO_JOBS: &str = "Access denied by pam_slurm_adopt: you have no active jobs on this node";
const SPOOL: &str = "/var/spool/slurmd";
/// No job of Slurm's has this number.
const NO_JOB: u32 = 900;

/// What came of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Got {
    /// Let in, in the extern step of that job.
    Job(u32),
    /// Let in as one who was adopted into that job, but in no job's cgroup.
    Told(u32),
    /// Let in, and nothing said of a job.
    In,
    /// Kept out.
    Out,
    /// Left to the other modules.
    Ignored,
    /// The user is none.
    NoUser,
    /// No answer.
    Hung,
    /// The process ended by that signal.
    Killed(i32),
}

fn got(node: &Node, outcome: &Outcome) -> Result<Got> {
    let told = outcome.env.get("SLURM_JOB_ID");
    let told = told.map(|job| job.parse::<u32>()).transpose()?;
    Ok(match outcome.end {
        End::Code(0) => match (tests::job_of_cgroup(node, &outcome.cgroup)?, told) {
            (Some(job), Some(told)) if job == told => Got::Job(job),
            (None, Some(told)) => Got::Told(told),
            (None, None) => Got::In,
            differ => anyhow::bail!("in one job, told another: {differ:?}"),
        },
        End::Code(6) => Got::Out,
        End::Code(14) => Got::NoUser,
        End::Code(25) => Got::Ignored,
        End::Hung => Got::Hung,
        End::Killed(signal) => Got::Killed(signal),
        _ => anyhow::bail!("an answer that no test expects"),
    })
}

/// What that module does with the call.
fn with(node: &Node, call: &Call, module: Module) -> Result<Got> {
    let outcome = call.make(node, module)?;
    got(node, &outcome).with_context(|| format!("{module:?}: {outcome}"))
}

/// The call to both modules; the log of ours.
fn both(node: &Node, what: &str, call: &Call, ours: Got, theirs: Got) -> Result<String> {
    let found = with(node, call, Module::SchedMd).with_context(|| what.to_owned())?;
    ensure!(
        found == theirs,
        "{what}: SchedMD's: {found:?}, expected {theirs:?}"
    );
    only_ours(node, what, call, ours)
}

/// The same where SchedMD's module is not asked.
fn only_ours(node: &Node, what: &str, call: &Call, ours: Got) -> Result<String> {
    let mark = node.syslog_mark()?;
    let found = with(node, call, Module::Ours).with_context(|| what.to_owned())?;
    let log = node.syslog_since(mark)?;
    ensure!(
        found == ours,
        "{what}: ours: {found:?}, expected {ours:?}: {log}"
    );
    Ok(log)
}

fn says(what: impl fmt::Display, log: &str, text: &str) -> Result<()> {
    ensure!(log.contains(text), "{what}: the log lacks '{text}': {log}");
    Ok(())
}

/// The application with root's rights from its file, as su and sudo have them.
const SET_UID: &str = "/usr/local/bin/pamcall-suid";

/// A call that `user` makes through that application, by way of `how`: `"$@"` of that script.
fn set_uid(node: &Node, user: &str, mut call: Call, how: &str, module: Module) -> Result<Outcome> {
    call.service = "su".into();
    call.options += " service=*";
    call.wrapper = Some(format!("shift; set -- {SET_UID} \"$@\"\n{how}"));
    let command = call.command(node, module)?.user(user).dir("/tmp");
    tests::outcome(command)
}

fn start(suite: Suite) -> Result<Cluster> {
    let cluster = tests::cluster(suite)?.start()?;
    cluster.node(1).sh(&format!(
        "cp {} {SET_UID}; chmod 4755 {SET_UID}",
        tests::PAMCALL
    ))?;
    Ok(cluster)
}

type Test = fn(&Cluster) -> Result<()>;

/// Each starts without jobs and leaves none behind.
const TESTS: &[(&str, Test)] = &[
    ("planted sockets let nobody in", planted::let_nobody_in),
    ("a planted socket that is silent", planted::silent),
    ("a slurm.conf of the user's", planted::own_slurm_conf),
    ("an Include of the user's", includes::of_the_user),
    ("uids that are none", uids::none),
    ("a name for another's uid", uids::names),
    ("names that are to forge the log", forging::users),
    ("PAM_RHOST that is to lead astray", forging::hosts),
    ("a user in another's job", within::anothers_job),
    ("a request to adopt that is swallowed", within::swallowed),
    ("a flood of connections", within::flood),
    ("names that are nearly a socket's", within::nearly_sockets),
    ("a host's name of 64 letters", within::long_host_name),
    ("what is remembered, planted", kept::planted),
    ("what is remembered, with a user's mask", kept::masks),
    ("a login that is killed", kept::killed),
];

fn main() {
    let mut matrix = Matrix::with_lanes(&[Suite::Forky], 3, |suite| Shared::new(suite, start));
    for (name, test) in TESTS {
        matrix.add_on(&[Suite::Forky], name, |_, stage| {
            stage.run(|cluster| test(cluster), |cluster| cluster.cancel_all())
        });
    }
    matrix.run();
}
