//! Many logins at once, and whether each was decided right.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use lab::{Output, Status};
use tests::{Module, job_of_cgroup};

use crate::crowd::{Chance, Crowd, Job, Presence, USERS, name};

/// A login that takes longer hangs: sshd's LoginGraceTime.
const HANG: Duration = Duration::from_secs(120);
/// How the user's text begins.
const DENIED: &str = "Access denied by pam_slurm_adopt: ";
const NO_JOBS: &str = "Access denied by pam_slurm_adopt: you have no active jobs on this node";

/// One login.
#[derive(Debug)]
pub struct Login {
    user: usize,
    from: Instant,
    to: Instant,
    landing: Landing,
    output: Output,
}

/// Where it came out.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Landing {
    /// In that job.
    Job(u32),
    /// Kept out, with a text.
    KeptOut,
    /// Let in, into no job.
    Outside,
    /// Not decided, or ended by something else.
    Lost,
    /// It did not end.
    Hung,
}

/// What is known of many logins.
#[derive(Debug, Default)]
pub struct Tally {
    /// Who had a job all the time got into it.
    pub adopted: usize,
    /// Who had none at any time was kept out.
    pub kept_out: usize,
    /// A job of theirs started or ended meanwhile.
    pub either: usize,
    /// Of these: kept out although another job of theirs was there all the time.
    pub despite: usize,
    /// Decided otherwise, and what was wrong.
    pub wrong: Vec<String>,
    /// Neither let in nor kept out by the module.
    pub lost: usize,
    /// Not ended in two minutes.
    pub hung: usize,
    /// Of the wrong ones: kept out because a stepd did not answer within the deadline.
    pub late: usize,
    /// What each took, in order.
    millis: Vec<u128>,
}

impl Tally {
    /// Adds what came of these, now that all about the jobs is known.
    pub fn add(&mut self, crowd: &Crowd, logins: &[Login]) {
        let jobs: BTreeMap<usize, Vec<Job>> =
            (0..USERS).map(|user| (user, crowd.of(user))).collect();
        for login in logins {
            self.millis.push((login.to - login.from).as_millis());
            self.judge(login, &jobs[&login.user]);
        }
        self.millis.sort_unstable();
    }

    fn judge(&mut self, login: &Login, jobs: &[Job]) {
        let mut there = Vec::new();
        let mut changing = Vec::new();
        for job in jobs {
            match job.presence(login.from, login.to) {
                Presence::Absent => {}
                Presence::Present => there.push(job.id),
                Presence::Changing => changing.push(job.id),
            }
        }
        let is_right = match (&login.landing, changing.is_empty()) {
            (Landing::Hung, _) => {
                self.hung += 1;
                false
            }
            (Landing::Job(job), true) => {
                self.adopted += 1;
                there.contains(job)
            }
            (Landing::Job(job), false) => {
                self.either += 1;
                there.contains(job) || changing.contains(job)
            }
            (Landing::KeptOut, true) => {
                self.kept_out += 1;
                there.is_empty() && login.output.stderr.contains(NO_JOBS)
            }
            (Landing::KeptOut, false) => {
                self.either += 1;
                self.despite += usize::from(!there.is_empty());
                true
            }
            // It was let in, and its job ended before it could say so.
            (Landing::Lost, false) => {
                self.either += 1;
                login.output.status == Status::Exited(255)
            }
            (Landing::Lost, true) => {
                self.lost += 1;
                false
            }
            (Landing::Outside, _) => false,
        };
        if !is_right {
            self.late += usize::from(login.output.stderr.contains("does not answer"));
            self.wrong.push(format!(
                "{} after {} ms, all the time with jobs {there:?}, with {changing:?} at times: {:?}: {}",
                name(login.user),
                (login.to - login.from).as_millis(),
                login.landing,
                login.output
            ));
        }
    }

    /// How many there were.
    pub fn logins(&self) -> usize {
        self.millis.len()
    }

    /// All were decided, and right.
    pub fn check(&self, what: &str) -> Result<()> {
        ensure!(
            self.wrong.is_empty(),
            "{what}: {self}; wrong:\n{}",
            self.wrong[..self.wrong.len().min(10)].join("\n")
        );
        Ok(())
    }

    fn percentile(&self, percent: usize) -> u128 {
        let last = self.millis.len().saturating_sub(1);
        self.millis.get(last * percent / 100).copied().unwrap_or(0)
    }

    /// Median, 99th percentile and maximum.
    pub fn times(&self) -> String {
        let [p50, p99, max] = [50, 99, 100].map(|it| self.percentile(it));
        format!("{p50} / {p99} / {max} ms")
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (into, out) = (self.adopted, self.kept_out);
        write!(
            f,
            "{} logins: {into} into their job, {out} kept out",
            self.logins()
        )?;
        if self.either != 0 {
            write!(f, ", {} while a job of theirs changed", self.either)?;
        }
        if self.despite != 0 {
            write!(
                f,
                " (of these {} kept out beside another job)",
                self.despite
            )?;
        }
        write!(f, "; wrong {}", self.wrong.len())?;
        if !self.wrong.is_empty() {
            let (lost, hung, late) = (self.lost, self.hung, self.late);
            write!(
                f,
                " (lost {lost}, hung {hung}, too late for the deadline {late})"
            )?;
        }
        Ok(())
    }
}

/// So many logins of users by chance, so many at a time.
pub fn logins(crowd: &Crowd, count: usize, at_a_time: usize, seed: u64) -> Result<Vec<Login>> {
    let begun = AtomicUsize::new(0);
    storm(crowd, at_a_time, seed, |_| {
        begun.fetch_add(1, Ordering::Relaxed) < count
    })
}

/// Logins of users by chance, so many at a time, from a second before that is done until a second
/// after it, and on a slow host until there are [`ENOUGH`].
pub fn during(
    crowd: &Crowd,
    at_a_time: usize,
    seed: u64,
    work: impl FnOnce() -> Result<()>,
) -> Result<Vec<Login>> {
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let goes_on = |logins: &[Login]| !is_done.load(Ordering::Relaxed) || !is_enough(logins);
        let storm = scope.spawn(move || storm(crowd, at_a_time, seed, goes_on));
        std::thread::sleep(Duration::from_secs(1));
        let worked = work();
        std::thread::sleep(Duration::from_secs(1));
        is_done.store(true, Ordering::Relaxed);
        let logins = storm
            .join()
            .unwrap_or_else(|_| bail!("a thread panicked"))?;
        worked.map(|()| logins)
    })
}

/// Of those who got into a job and of those who were kept out.
pub const ENOUGH: usize = 5;

/// Whether there are enough, or so many that there never will be.
fn is_enough(logins: &[Login]) -> bool {
    let count = |is: fn(&Landing) -> bool| logins.iter().filter(|it| is(&it.landing)).count();
    let adopted = count(|it| matches!(it, Landing::Job(_)));
    let kept_out = count(|it| *it == Landing::KeptOut);
    adopted.min(kept_out) >= ENOUGH || logins.len() > 300
}

fn storm(
    crowd: &Crowd,
    at_a_time: usize,
    seed: u64,
    goes_on: impl Fn(&[Login]) -> bool + Sync,
) -> Result<Vec<Login>> {
    let logins = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..at_a_time)
            .map(|thread| {
                let mut chance = Chance::new(seed * 1000 + thread as u64);
                let (logins, goes_on) = (&logins, &goes_on);
                let all = || logins.lock().unwrap_or_else(PoisonError::into_inner);
                scope.spawn(move || -> Result<()> {
                    while goes_on(&all()) {
                        let user = chance.below(USERS as u64) as usize;
                        let login = log_in(crowd, user)?;
                        all().push(login);
                    }
                    Ok(())
                })
            })
            .collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().unwrap_or_else(|_| bail!("a thread panicked")))
    })?;
    Ok(logins.into_inner().unwrap_or_else(PoisonError::into_inner))
}

fn log_in(crowd: &Crowd, user: usize) -> Result<Login> {
    const LOOK: &str = "cat /proc/self/cgroup; echo SLURM_JOB_ID=$SLURM_JOB_ID";
    let from = Instant::now();
    let output = crowd
        .cluster
        .node(2)
        .ssh_command(&name(user), "node1", &[LOOK])
        .dir("/tmp")
        .time_limit(HANG)
        .output()
        .context("start ssh")?;
    Ok(Login {
        user,
        from,
        to: Instant::now(),
        landing: landing(crowd, &output),
        output,
    })
}

fn landing(crowd: &Crowd, output: &Output) -> Landing {
    match output.status {
        Status::TimedOut => return Landing::Hung,
        Status::Exited(0) => {}
        _ if output.stderr.contains(DENIED) => return Landing::KeptOut,
        _ => return Landing::Lost,
    }
    let Some((cgroup, told)) = output.stdout.split_once("SLURM_JOB_ID=") else {
        return Landing::Lost;
    };
    match job_of_cgroup(crowd.target(), cgroup) {
        Ok(None) => Landing::Outside,
        // The cgroup and the environment must say the same.
        Ok(Some(job)) if told.trim() == job.to_string() => Landing::Job(job),
        _ => Landing::Lost,
    }
}

/// sshd's stack on the node that logins go to: the lab's own with that module.
pub fn stack(crowd: &Crowd, module: Module) -> Result<()> {
    let path = match module {
        Module::Ours => tests::OURS,
        Module::SchedMd => lab::config::SCHEDMD_MODULE,
    };
    let stack = lab::config::SSHD_STACK.replace("pam_slurm_adopt.so", path);
    crowd.target().write("/etc/pam.d/sshd", stack, 0o644)
}
