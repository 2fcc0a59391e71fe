//! `slurm-adopt sweep`.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::command::Background;
use lab::{Cluster, Node, Output, Status};
use tests::CLI;

use crate::{EPILOG_LOG, Test};

pub const TESTS: &[(&str, Test)] = &[
    ("the Epilog of the last job ends what is outside", as_epilog),
    ("a dry run ends nothing", dry_run),
    ("exempt users, root and daemons keep everything", spared),
    ("a stepd that hangs keeps everyone", hanging),
    ("a job that starts meanwhile keeps the rest", starting),
    ("a user without a slurmd to ask keeps everything", no_spool),
];
/// It waits for what hangs.
pub const LONG: (&str, Test) = (
    "of a job with one stepd that hangs another tells the owner",
    half_hanging,
);

const LIMIT: Duration = Duration::from_secs(30);
/// The file of options.
const FILE: &str = "/etc/security/slurm_adopt.conf";
/// Does not end by SIGTERM, of which it tells.
const STUBBORN: &str = "trap 'echo got TERM' TERM; echo ready; while :; do sleep 0.2; done";
pub const SLEEP: &[&str] = &["sleep", "100000"];

/// A process of the user's outside any job, once it is that program: the lab starts setpriv(1), as root.
pub fn stray(node: &Node, user: &str, argv: &[&str]) -> Result<Background> {
    let process = node.command(argv).user(user).spawn()?;
    let line = format!("/proc/{}/cmdline", process.pid());
    until("the program", || {
        // What forks may have ended by now.
        let is_it = |line: String| !line.is_empty() && !line.contains("--init-groups");
        Ok(node.read_text(&line).map_or(true, is_it))
    })?;
    Ok(process)
}

fn stubborn(node: &Node, user: &str) -> Result<Background> {
    let process = stray(node, user, &["sh", "-c", STUBBORN])?;
    until("its trap", || Ok(process.stdout()?.contains("ready")))?;
    Ok(process)
}

/// Waits until the lab, too, has seen the end of a process that sweep says it has ended.
pub fn has_ended(process: &mut Background) -> Result<bool> {
    Ok(process.wait(LIMIT)?.is_some())
}

pub fn sweep(node: &Node, arguments: &[&str]) -> Result<Output> {
    node.run(&[&[CLI, "sweep"], arguments].concat())
}

pub fn expect(output: &Output, status: i32, text: &str) -> Result<()> {
    ensure!(output.status == Status::Exited(status), "{output}");
    ensure!(output.stdout.contains(text), "no \"{text}\": {output}");
    Ok(())
}

pub fn until(what: &str, check: impl FnMut() -> Result<bool>) -> Result<()> {
    lab::poll::until_true(what, LIMIT, check)
}

/// What an Epilog printed of this job.
pub fn epilog_of(node: &Node, job: u32) -> Result<String> {
    let end = format!("of job {job}\n");
    let mut told = String::new();
    until("the Epilog", || {
        told = node.read_text(EPILOG_LOG).unwrap_or_default();
        Ok(told.contains(&end))
    })?;
    let (before, _) = told.split_once(&end).context("it has ended")?;
    let from = before.rfind(" of job ").map_or(0, |at| at + 1);
    Ok(before[from..].to_owned())
}

pub fn as_epilog(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    let first = cluster.submit("alice", &[])?;
    let second = cluster.submit("alice", &[])?;
    let mut strays = [stray(node, "alice", SLEEP)?, stubborn(node, "alice")?];
    let mut bobs = stray(node, "bob", SLEEP)?;
    let mut roots = stray(node, "root", SLEEP)?;
    cluster.cancel(first)?;
    let told = epilog_of(node, first)?;
    let spared = format!("alice (uid 2001): spared: has job {second} here\nstatus 0");
    ensure!(told.contains(&spared), "{told}");
    for it in &mut strays {
        ensure!(it.is_running()?, "ended while job {second} is here: {told}");
    }
    node.pid_of_stepd(second)?;
    let mark = node.syslog_mark()?;
    cluster.cancel(second)?;
    let told = epilog_of(node, second)?;
    ensure!(
        told.contains("alice (uid 2001): ended ") && told.contains("status 0"),
        "{told}"
    );
    for it in &mut strays {
        ensure!(has_ended(it)?, "not ended: {told}");
    }
    ensure!(bobs.is_running()? && roots.is_running()?, "{told}");
    let log = node.syslog_since(mark)?;
    let line = "slurm-adopt[";
    ensure!(
        log.contains(line)
            && log.contains("sweep: alice (uid 2001): ended ")
            && log.contains("sleep["),
        "{log}"
    );
    let state = node.sh("sinfo -h -o %T")?;
    ensure!(!state.contains("drain"), "{state}");
    Ok(())
}

fn dry_run(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    let mut alices = stray(node, "alice", SLEEP)?;
    let mut bobs = stray(node, "bob", SLEEP)?;
    let told = sweep(node, &["--dry-run", "alice"])?;
    expect(&told, 0, "alice (uid 2001): would end sleep[")?;
    expect(&told, 0, "  sleep            no session\n")?;
    let told = sweep(node, &["--dry-run", "--all"])?;
    expect(&told, 0, "alice (uid 2001): would end sleep[")?;
    expect(&told, 0, "bob (uid 2002): would end sleep[")?;
    ensure!(alices.is_running()? && bobs.is_running()?, "{told}");
    expect(&sweep(node, &["2002"])?, 0, "bob (uid 2002): ended sleep[")?;
    ensure!(alices.is_running()? && has_ended(&mut bobs)?);
    expect(&sweep(node, &["alice"])?, 0, "ended sleep[")?;
    expect(
        &sweep(node, &["alice"])?,
        0,
        "alice (uid 2001): nothing to end\n",
    )?;
    let wrong = sweep(node, &[])?;
    ensure!(wrong.status == Status::Exited(3), "{wrong}");
    let wrong = sweep(node, &["no-such-user"])?;
    ensure!(wrong.status == Status::Exited(3), "{wrong}");
    let user = node.run_as("alice", &[CLI, "sweep", "bob"])?;
    ensure!(user.status == Status::Exited(3), "{user}");
    Ok(())
}

fn spared(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    let mut carols = stray(node, "carol", SLEEP)?;
    let mut daemons = stray(node, "daemon", SLEEP)?;
    let done = (|| {
        node.write(FILE, "exempt_users = carol\n", 0o644)?;
        expect(
            &sweep(node, &["carol"])?,
            0,
            "carol (uid 2003): spared: exempt, exempt_users",
        )?;
        for user in ["root", "0", "daemon", "nobody", "slurm"] {
            expect(&sweep(node, &[user])?, 0, ": spared: a system user\n")?;
        }
        expect(&sweep(node, &["--all"])?, 0, "")?;
        ensure!(carols.is_running()? && daemons.is_running()?);
        // Who is exempt cannot be told.
        for text in ["exempt_groups = no-such-group\n", "exempt_uid_below = x\n"] {
            node.write(FILE, text, 0o644)?;
            expect(
                &sweep(node, &["carol"])?,
                3,
                "carol (uid 2003): left alone: ",
            )?;
        }
        node.write(FILE, "", 0o666)?;
        expect(
            &sweep(node, &["carol"])?,
            3,
            "carol (uid 2003): left alone: ",
        )?;
        ensure!(carols.is_running()?);
        Ok(())
    })();
    node.remove(FILE)?;
    done
}

fn hanging(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    let job = cluster.submit("bob", &[])?;
    let mut alices = stray(node, "alice", SLEEP)?;
    let stepds = stepds(node, job)?;
    let signal = |name| {
        stepds
            .iter()
            .try_for_each(|(pid, _)| node.signal(*pid, name))
    };
    signal("STOP")?;
    let told = sweep(node, &["alice"]);
    signal("CONT")?;
    let told = told?;
    let cause =
        format!("alice (uid 2001): left alone: the slurmstepd of job {job} does not answer");
    expect(&told, 3, &cause)?;
    ensure!(alices.is_running()?, "{told}");
    expect(
        &sweep(node, &["alice"])?,
        0,
        "alice (uid 2001): ended sleep[",
    )
}

/// Those of the extern and the batch step.
fn stepds(node: &Node, job: u32) -> Result<Vec<(u32, String)>> {
    let mut stepds = Vec::new();
    until("the batch step", || {
        stepds = node.processes(&format!("slurmstepd: [{job}."))?;
        Ok(stepds.len() > 1)
    })?;
    Ok(stepds)
}

fn half_hanging(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    let job = cluster.submit("bob", &[])?;
    stepds(node, job)?;
    let _alices = stray(node, "alice", SLEEP)?;
    let extern_stepd = node.pid_of_stepd(job)?;
    node.signal(extern_stepd, "STOP")?;
    let told = sweep(node, &["alice"]);
    node.signal(extern_stepd, "CONT")?;
    expect(&told?, 0, "alice (uid 2001): ended sleep[")
}

fn starting(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    let mut alices = stubborn(node, "alice")?;
    let argv = [CLI, "sweep", "--grace", "60", "alice"];
    let job = cluster.submit_only("alice", &["--hold"])?;
    let mut running = node.command(&argv).spawn()?;
    until("the first signal", || {
        Ok(alices.stdout()?.contains("got TERM"))
    })?;
    node.sh(&format!("scontrol release {job}"))?;
    cluster.wait_running(job)?;
    // What the shell starts gets a signal, and before each the stepds are asked again if there are new ones.
    until("sweep to end", || Ok(!running.is_running()?))?;
    let told = running.stdout()?;
    let spared = format!("spared: has job {job} here\n");
    ensure!(
        told.contains("alice (uid 2001): ended sh[") && told.contains(&spared),
        "{told}"
    );
    ensure!(alices.is_running()?, "{told}");
    Ok(())
}

fn no_spool(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    let mut alices = stray(node, "alice", SLEEP)?;
    let place = "/var/spool/slurmd";
    node.sh(&format!("mv {place} {place}.away"))?;
    let told = sweep(node, &["alice"]);
    node.sh(&format!("mv {place}.away {place}"))?;
    let told = told?;
    ensure!(told.status == Status::Exited(3), "{told}");
    ensure!(
        told.stderr.contains("slurm-adopt sweep: spool directory: "),
        "{told}"
    );
    ensure!(alices.is_running()?, "{told}");
    Ok(())
}
