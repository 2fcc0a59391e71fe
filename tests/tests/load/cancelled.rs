//! A job that is cancelled at each point of a login: the login is kept out, or ends with its job.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    KeptOut,
    WithItsJob,
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
    let ends = Mutex::new(BTreeMap::<End, usize>::new());
    let users = Mutex::new(USERS.to_vec());
    each_in_a_thread(USERS.len(), &chosen, |point| {
        let lock = || users.lock().unwrap_or_else(PoisonError::into_inner);
        let user = lock().pop().context("as many users as threads")?;
        let end = cancel_at(crowd, user, point).with_context(|| format!("{point:?}"))?;
        lock().push(user);
        let mut ends = ends.lock().unwrap_or_else(PoisonError::into_inner);
        *ends.entry(end).or_default() += 1;
        Ok(())
    })?;
    let ends = ends.into_inner().unwrap_or_else(PoisonError::into_inner);
    let [kept_out, with_job, missed] = [End::KeptOut, End::WithItsJob, End::NotReached]
        .map(|it| ends.get(&it).copied().unwrap_or(0));
    // Before the adoption and after it, and the most of what was meant.
    ensure!(
        kept_out > 0 && with_job > 0 && missed * 10 <= chosen.len(),
        "{ends:?} of {} points",
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
    let node = crowd.target();
    crate::storm::stack(crowd, Module::Ours)?;
    let (mut kept_out, mut with_job, mut elsewhere) = (0_usize, 0, 0);
    for round in 0..rounds {
        let users: Vec<usize> = (0..20).collect();
        let jobs = Mutex::new(BTreeMap::new());
        each_in_a_thread(8, &users, |user| {
            let job = crowd.submit(*user)?;
            jobs.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(*user, job);
            Ok(())
        })?;
        let jobs = jobs.into_inner().unwrap_or_else(PoisonError::into_inner);
        let (came_in, in_another) = (AtomicUsize::new(0), AtomicUsize::new(0));
        each_in_a_thread(users.len(), &users, |user| {
            let job = jobs[user];
            // To be told from the others'.
            let sleep = format!("sleep 1000.{user}");
            let command = format!("echo in; cat /proc/self/cgroup; echo read; {sleep}");
            let client = crowd.cluster.node(2);
            let ssh = client.ssh_command(&name(*user), "node1", &[&command]);
            let mut login = ssh.dir("/tmp").spawn()?;
            // From before the connection is there until after the command has begun; the last ones' for certain,
            // however long that takes with twenty at once.
            let step = 75 * (1 + round % 3);
            std::thread::sleep(Duration::from_millis(*user as u64 * step + round * 7));
            if *user >= LATE {
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
                let other = match told.contains("read\n") {
                    true => job_of_cgroup(node, &told).unwrap_or(None),
                    false => None,
                };
                if let Some(other) = other.filter(|other| *other != job) {
                    let owner = ["squeue", "-h", "-o", "%u", "-j", &other.to_string()];
                    let owner = node.run(&owner)?.ok()?;
                    ensure!(
                        owner.trim() == name(*user),
                        "{} is in job {other} of {owner}",
                        name(*user)
                    );
                    for (pid, _) in node.processes(&sleep)? {
                        node.run(&["kill", &pid.to_string()])?;
                    }
                    in_another.fetch_add(1, Ordering::Relaxed);
                    return Ok(());
                }
                ensure!(
                    Instant::now() < end,
                    "{} outlives job {job}: said '{told}'",
                    name(*user)
                );
            };
            ensure!(
                status != Status::Exited(0),
                "{} ended by itself",
                name(*user)
            );
            came_in.fetch_add(
                usize::from(login.stdout()?.contains("in")),
                Ordering::Relaxed,
            );
            Ok(())
        })?;
        let (came_in, in_another) = (came_in.into_inner(), in_another.into_inner());
        with_job += came_in;
        elsewhere += in_another;
        kept_out += users.len() - came_in - in_another;
        let end = Instant::now() + Duration::from_secs(20);
        while let Some((_, left)) = node.processes("sleep 1000.")?.pop() {
            ensure!(Instant::now() < end, "left behind: {left}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
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
            kept_out + with_job + elsewhere
        ),
    )
}
