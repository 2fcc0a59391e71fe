//! A job that is cancelled at each point of a login: the login is kept out, or ends with its job.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use lab::Status;
use serde_json::Value;
use tests::{Call, Module, STRACE, bring_strace, is_long, job_of_cgroup, left_out, record};

use crate::crowd::{Crowd, each_in_a_thread, name};

/// Seconds that an adopted process stays to be ended with its job.
const STAY: &str = "15";
/// At how many points a default run cancels the job.
const POINTS: usize = 12;
/// The first user whose job is cancelled only once the command runs.
const LATE: usize = 17;
/// Who logs in: those who have no other job.
const USERS: [usize; 4] = [20, 21, 22, 23];

/// A system call of the login: its name and how many of that name it is the last of.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Point {
    call: String,
    turn: usize,
}

/// What became of a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    KeptOut,
    WithItsJob,
    /// In another job of the user's.
    Elsewhere,
    /// The login did not come to the point at which its job is cancelled.
    NotReached,
}

/// The login is stopped behind each of its system calls in turn, and goes on when its job is gone.
pub fn at_each_call(crowd: &mut Crowd) -> Result<()> {
    crowd.settle().context("start the jobs that stay")?;
    bring_strace(crowd.target())?;
    let all = points(crowd)?;
    let step = match is_long() {
        true => 1,
        false => all.len().div_ceil(POINTS),
    };
    let chosen: Vec<_> = all.iter().step_by(step).collect();
    if chosen.len() < all.len() {
        let rest = all.len() - chosen.len();
        left_out(
            rest,
            "points of a login",
            "these are before, at and after the adoption",
        );
    }
    let users = Mutex::new(USERS.to_vec());
    let ends = each_in_a_thread(USERS.len(), &chosen, |point| {
        let lock = || users.lock().unwrap_or_else(PoisonError::into_inner);
        let user = lock().pop().context("as many users as threads")?;
        let end = cancel_at(crowd, user, point).with_context(|| format!("{point:?}"))?;
        lock().push(user);
        Ok(end)
    })?;
    let [kept_out, with_job, missed] =
        [End::KeptOut, End::WithItsJob, End::NotReached].map(|it| count(&ends, it));
    // Before the adoption and after it, and the most of what was meant.
    ensure!(
        kept_out > 0 && with_job > 0 && missed * 10 <= chosen.len(),
        "{kept_out} kept out, {with_job} ended with the job, {missed} not reached of {} points",
        chosen.len()
    );
    record(
        "job cancelled behind each system call of a login",
        &crowd.versions()?,
        &format!(
            "{} of {} calls: {kept_out} kept out, {with_job} adopted and ended with the job, {missed} not reached; outlived their job: 0",
            chosen.len(),
            all.len()
        ),
    )
}

fn count(ends: &[End], end: End) -> usize {
    ends.iter().filter(|it| **it == end).count()
}

fn login(crowd: &Crowd, user: usize, strace: &[&str]) -> Result<lab::Command> {
    let mut call = Call::new(
        &name(user),
        "action_adopt_failure=deny action_generic_failure=deny timeout=60",
    );
    let words = strace.join(" ");
    call.wrapper = Some(format!("exec {STRACE} {words} \"$@\" --stay {STAY}"));
    // The stack's file is put in place in one step, but only by one at a time.
    static STACK: Mutex<()> = Mutex::new(());
    let _one = STACK.lock().unwrap_or_else(PoisonError::into_inner);
    call.command(crowd.target(), Module::Ours)
}

/// All system calls from where libpam reads the stack until the answer is printed.
fn points(crowd: &Crowd) -> Result<Vec<Point>> {
    let log = "/run/strace.all";
    let job = crowd.submit(USERS[0])?;
    // Twice: the first login finds out what later ones know.
    for _ in 0..2 {
        let mut login = login(crowd, USERS[0], &["-o", log])?.spawn()?;
        lab::poll::until_true("the first login", Duration::from_secs(60), || {
            Ok(login.stdout()?.ends_with('\n'))
        })?;
        ensure!(
            login.is_running()?,
            "{} {}",
            login.stdout()?,
            login.stderr()?
        );
        // strace lives on otherwise, and with it the job's process.
        crowd.target().signal(login.pid(), "TERM")?;
        login.wait(Duration::from_secs(5))?;
    }
    crowd.cancel(&[job])?;
    let text = crowd.target().read_text(log)?;
    let mut turns = BTreeMap::<&str, usize>::new();
    let mut points = Vec::new();
    let mut is_login = false;
    for line in text.lines() {
        let Some((call, _)) = line.split_once('(') else {
            continue;
        };
        let turn = turns.entry(call).or_default();
        *turn += 1;
        is_login |= line.contains("/run/pamcall/");
        if line.starts_with("write(1,") {
            break;
        }
        if is_login {
            points.push(Point {
                call: call.to_owned(),
                turn: *turn,
            });
        }
    }
    ensure!(points.len() > 50, "strace saw {points:?} in {text}");
    Ok(points)
}

fn cancel_at(crowd: &Crowd, user: usize, point: &Point) -> Result<End> {
    let node = crowd.target();
    let log = format!("/run/strace.{user}");
    node.write(&log, "", 0o600)?;
    let job = crowd.submit(user)?;
    let inject = format!("inject={}:signal=STOP:when={}", point.call, point.turn);
    let mut login = login(crowd, user, &["-o", &log, "-e", "trace=all", "-e", &inject])?.spawn()?;
    let mut is_stopped = false;
    lab::poll::until_true("the login to stop", Duration::from_secs(60), || {
        is_stopped = node.read_text(&log)?.contains("--- stopped by SIGSTOP ---");
        Ok(is_stopped || !login.is_running()? || login.stdout()?.ends_with('\n'))
    })?;
    crowd.cancel(&[job])?;
    let title = format!("--user {} ", name(user));
    let ours: Vec<_> = node
        .processes(&title)?
        .into_iter()
        .filter(|(_, line)| line.starts_with(tests::PAMCALL))
        .collect();
    for (pid, _) in ours {
        // It may have ended with the job by now.
        node.run(&["kill", "-s", "CONT", &pid.to_string()])?;
    }
    let Some(status) = login.wait(Duration::from_secs(90))? else {
        bail!("the login hangs")
    };
    let told = login.stdout()?;
    let answer: Option<Value> = serde_json::from_str(&told).ok();
    let code = answer.as_ref().and_then(|it| it["code"].as_i64());
    match (status, code) {
        (Status::Signaled(_), _) => {}
        (Status::Exited(0), Some(6)) => {}
        _ => bail!("job {job} is gone; {status:?}: {told} {}", login.stderr()?),
    }
    Ok(match status {
        _ if !is_stopped => End::NotReached,
        Status::Signaled(_) => End::WithItsJob,
        _ => End::KeptOut,
    })
}

/// Twenty logins by ssh at once, each of whose newest jobs is cancelled a little later than the one before.
/// Whose job is gone in time is let into another of theirs, if they have one.
pub fn during_ssh(crowd: &mut Crowd) -> Result<()> {
    let rounds = if is_long() { 10 } else { 1 };
    crate::storm::stack(crowd, Module::Ours)?;
    let mut ends = Vec::new();
    for round in 0..rounds {
        ends.extend(twenty_by_ssh(crowd, round)?);
        lab::poll::until_true("all commands to end", Duration::from_secs(20), || {
            Ok(crowd.target().processes("sleep 1000.")?.is_empty())
        })?;
    }
    let [kept_out, with_job, elsewhere] =
        [End::KeptOut, End::WithItsJob, End::Elsewhere].map(|it| count(&ends, it));
    // Both sides of the moment.
    ensure!(
        kept_out + elsewhere > 0 && with_job > 0,
        "{kept_out} kept out, {elsewhere} in another job, {with_job} ended with theirs"
    );
    record(
        "job cancelled during ssh",
        &crowd.versions()?,
        &format!(
            "{} logins: {kept_out} kept out or ended before their command, {with_job} ended with the job, {elsewhere} in \
             another job of theirs; outlived it: 0",
            ends.len()
        ),
    )
}

fn twenty_by_ssh(crowd: &Crowd, round: u64) -> Result<Vec<End>> {
    let users: Vec<usize> = (0..20).collect();
    let jobs = each_in_a_thread(8, &users, |user| Ok((*user, crowd.submit(*user)?)))?;
    each_in_a_thread(jobs.len(), &jobs, |(user, job)| {
        // From before the connection is there until after the command has begun.
        let step = 75 * (1 + round % 3);
        let pause = Duration::from_millis(*user as u64 * step + round * 7);
        cancel_during_ssh(crowd, *user, *job, pause)
    })
}

/// Cancels the user's newest job that long after ssh was started.
fn cancel_during_ssh(crowd: &Crowd, user: usize, job: u32, pause: Duration) -> Result<End> {
    // To be told from the others'.
    let sleep = format!("sleep 1000.{user}");
    let command = format!("echo in; cat /proc/self/cgroup; echo read; {sleep}");
    let client = crowd.cluster.node(2);
    let ssh = client.ssh_command(&name(user), "node1", &[&command]);
    let mut login = ssh.dir("/tmp").spawn()?;
    std::thread::sleep(pause);
    // The last ones' for certain after that, however long it takes with twenty at once.
    if user >= LATE {
        lab::poll::until_true("the command", Duration::from_secs(60), || {
            Ok(login.stdout()?.contains("read\n") || !login.is_running()?)
        })?;
    }
    crowd.cancel(&[job])?;
    let end = Instant::now() + Duration::from_secs(180);
    let status = loop {
        if let Some(status) = login.wait(Duration::from_millis(200))? {
            break status;
        }
        let told = login.stdout()?;
        if let Some(other) = job_of_command(crowd, &told).filter(|other| *other != job) {
            is_in_their_own(crowd, user, other)?;
            for (pid, _) in crowd.target().processes(&sleep)? {
                crowd.target().run(&["kill", &pid.to_string()])?;
            }
            return Ok(End::Elsewhere);
        }
        ensure!(
            Instant::now() < end,
            "{} outlives job {job}: said '{told}'",
            name(user)
        );
    };
    ensure!(
        status != Status::Exited(0),
        "{} ended by itself",
        name(user)
    );
    Ok(match login.stdout()?.contains("in") {
        true => End::WithItsJob,
        false => End::KeptOut,
    })
}

/// The job that the command is in, once it has said so.
fn job_of_command(crowd: &Crowd, told: &str) -> Option<u32> {
    match told.contains("read\n") {
        true => job_of_cgroup(crowd.target(), told).unwrap_or(None),
        false => None,
    }
}

fn is_in_their_own(crowd: &Crowd, user: usize, job: u32) -> Result<()> {
    let argv = ["squeue", "-h", "-o", "%u", "-j", &job.to_string()];
    let owner = crowd.target().run(&argv)?.ok()?;
    ensure!(
        owner.trim() == name(user),
        "{} is in job {job} of {owner}",
        name(user)
    );
    Ok(())
}
