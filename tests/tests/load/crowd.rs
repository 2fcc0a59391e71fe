//! A node with twenty users' jobs on it, some of which start and end all the time, and what is known
//! of when each was there.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use lab::{Cluster, Node, Suite};

/// Users with one job that stays.
const WITH_ONE: usize = 5;
/// Users with several jobs that stay.
const WITH_MANY: usize = 5;
/// Of these each.
const MANY: usize = 15;
/// Users whose jobs start and end.
const CHANGING: usize = 10;
/// Of these each at a time.
const AT_A_TIME: usize = 4;
/// Users who never have a job.
const WITHOUT: usize = 4;

/// All of them.
pub const USERS: usize = WITH_ONE + WITH_MANY + CHANGING + WITHOUT;

/// A user's name, from 0.
pub fn name(user: usize) -> String {
    format!("user{user:02}")
}

/// Two nodes: jobs run on the first, logins come from the second.
pub struct Crowd {
    /// The cluster.
    pub cluster: Cluster,
    jobs: Mutex<Vec<Job>>,
    began: (Instant, SystemTime),
}

/// A job's life as it was seen from outside.
#[derive(Debug, Clone)]
pub struct Job {
    /// Its number.
    pub id: u32,
    /// Whose.
    pub user: usize,
    /// Before this it was not submitted.
    submitted: Instant,
    /// From then on its extern step listened.
    up: Instant,
    /// Up to then nobody had cancelled it.
    cancelled: Option<Instant>,
    /// From then on its extern step listened no more.
    gone: Option<Instant>,
}

/// What a job was during a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// Not there at any moment.
    Absent,
    /// There at every moment.
    Present,
    /// It started or ended meanwhile, or both.
    Changing,
}

impl Job {
    /// What it was between these moments.
    pub fn presence(&self, from: Instant, to: Instant) -> Presence {
        let is_absent = to < self.submitted || self.gone.is_some_and(|gone| gone < from);
        let is_present = self.up <= from && self.cancelled.is_none_or(|it| to <= it);
        match (is_absent, is_present) {
            (true, _) => Presence::Absent,
            (_, true) => Presence::Present,
            _ => Presence::Changing,
        }
    }
}

impl Crowd {
    /// Starts the cluster with all users, still without jobs.
    pub fn start(suite: Suite) -> Result<Self> {
        let cluster = tests::cluster(suite)?
            .nodes(2)
            // squeue is to know of every job at the end.
            .slurm_conf("MinJobAge=3600\nMaxJobCount=20000")
            .start()?;
        let key = "/root/load-key";
        cluster
            .node(1)
            .sh(&format!("ssh-keygen -q -t ed25519 -N '' -f {key}"))?;
        let (secret, public) = (
            cluster.node(1).read(key)?,
            cluster.node(1).read(&format!("{key}.pub"))?,
        );
        for node in cluster.nodes() {
            node.write(key, &secret, 0o600)?;
            node.write(&format!("{key}.pub"), &public, 0o600)?;
            node.sh(&accounts(key))?;
        }
        Ok(Self {
            cluster,
            jobs: Mutex::default(),
            began: (Instant::now(), SystemTime::now()),
        })
    }

    /// The node that logins go to.
    pub fn target(&self) -> &Node {
        self.cluster.node(1)
    }

    /// The releases of Slurm and OpenSSH.
    pub fn versions(&self) -> Result<String> {
        let slurm = self.target().run(&["slurmd", "-V"])?.ok()?;
        let ssh = self.target().sh("ssh -V 2>&1")?;
        let slurm = slurm.split_whitespace().last().context("slurmd -V")?;
        let ssh = ssh.split([' ', ',']).next().context("ssh -V")?;
        Ok(format!("Slurm {slurm}, {}", ssh.trim().replace('_', " ")))
    }

    /// A job of that user's, once its extern step listens.
    pub fn submit(&self, user: usize) -> Result<u32> {
        let submitted = Instant::now();
        let id = self
            .cluster
            .submit_only(&name(user), &["--nodelist=node1"])?;
        let socket = self.target().extern_socket(id);
        lab::poll::until_true(&format!("job {id} to run"), LIMIT, || {
            Ok(self.target().unix_sockets()?.contains(&socket))
        })?;
        self.jobs().push(Job {
            id,
            user,
            submitted,
            up: Instant::now(),
            cancelled: None,
            gone: None,
        });
        Ok(id)
    }

    /// Cancels these jobs and waits until their extern steps are gone.
    pub fn cancel(&self, ids: &[u32]) -> Result<()> {
        let words: Vec<String> = ids.iter().map(u32::to_string).collect();
        let mut argv = vec!["scancel"];
        argv.extend(words.iter().map(String::as_str));
        let now = Instant::now();
        for job in self.jobs().iter_mut().filter(|it| ids.contains(&it.id)) {
            job.cancelled = Some(now);
        }
        self.target().run(&argv)?.ok()?;
        for id in ids {
            let socket = self.target().extern_socket(*id);
            // Seldom: many wait at once. Twice: what comes and goes meanwhile may hide a line of
            // /proc/net/unix.
            let mut without = 0;
            while without < 2 {
                ensure!(
                    now.elapsed() < LIMIT,
                    "job {id} was cancelled and does not end"
                );
                std::thread::sleep(Duration::from_millis(50));
                match self.target().unix_sockets()?.contains(&socket) {
                    true => without = 0,
                    false => without += 1,
                }
            }
            let gone = Instant::now();
            for job in self.jobs().iter_mut().filter(|it| it.id == *id) {
                job.gone = Some(gone);
            }
        }
        Ok(())
    }

    /// Cancels all that still run.
    pub fn cancel_all(&self) -> Result<()> {
        let left: Vec<u32> = self
            .jobs()
            .iter()
            .filter(|it| it.cancelled.is_none())
            .map(|it| it.id)
            .collect();
        match left.as_slice() {
            [] => Ok(()),
            left => self.cancel(left),
        }
    }

    /// The jobs that stay, submitted unless they are there.
    pub fn settle(&self) -> Result<()> {
        let wanted =
            (0..WITH_ONE).chain((WITH_ONE..WITH_ONE + WITH_MANY).flat_map(|user| [user; MANY]));
        let mut there: Vec<usize> = self
            .jobs()
            .iter()
            .filter(|it| it.cancelled.is_none())
            .map(|it| it.user)
            .collect();
        let missing: Vec<usize> = wanted
            .filter(|user| match there.iter().position(|it| it == user) {
                Some(at) => {
                    there.swap_remove(at);
                    false
                }
                None => true,
            })
            .collect();
        each_in_a_thread(8, &missing, |user| self.submit(*user)).map(drop)
    }

    /// Lets the jobs of some users start and end until that is done.
    pub fn stir<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let stop = AtomicBool::new(false);
        let first = WITH_ONE + WITH_MANY;
        std::thread::scope(|scope| {
            let stop = &stop;
            let stirring: Vec<_> = (first..first + CHANGING)
                .map(|user| scope.spawn(move || self.come_and_go(user, stop)))
                .collect();
            let done = work();
            stop.store(true, Ordering::Relaxed);
            for thread in stirring {
                let came = thread
                    .join()
                    .unwrap_or_else(|_| anyhow::bail!("a thread panicked"));
                came.context("jobs that start and end")?;
            }
            done
        })
    }

    /// One user's jobs: some seconds all of them, then some seconds none.
    fn come_and_go(&self, user: usize, stop: &AtomicBool) -> Result<()> {
        let mut chance = Chance::new(user as u64);
        let pause = |chance: &mut Chance| {
            let end = Instant::now() + Duration::from_millis(4_000 + chance.below(6_000));
            while Instant::now() < end && !stop.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(50));
            }
        };
        if chance.below(2) == 0 {
            pause(&mut chance);
        }
        while !stop.load(Ordering::Relaxed) {
            let mut ids = Vec::new();
            for _ in 0..=chance.below(2 * AT_A_TIME as u64 - 1) {
                ids.push(self.submit(user)?);
            }
            pause(&mut chance);
            self.cancel(&ids)?;
            pause(&mut chance);
        }
        Ok(())
    }

    /// All jobs of that user's that were ever there.
    pub fn of(&self, user: usize) -> Vec<Job> {
        self.jobs()
            .iter()
            .filter(|it| it.user == user)
            .cloned()
            .collect()
    }

    /// How many started and how many ended between these moments.
    pub fn changes(&self, from: Instant, to: Instant) -> (usize, usize) {
        let within = |it: &Instant| (from..to).contains(it);
        let jobs = self.jobs();
        let ended = |it: &&Job| it.gone.as_ref().is_some_and(within);
        (
            jobs.iter().filter(|it| within(&it.up)).count(),
            jobs.iter().filter(ended).count(),
        )
    }

    /// How many ran at that moment.
    pub fn running(&self, moment: Instant) -> usize {
        let is_there = |it: &&Job| it.presence(moment, moment) == Presence::Present;
        self.jobs().iter().filter(is_there).count()
    }

    /// Slurm's own history says the same: whose each job was, and when it started and ended.
    pub fn compare_with_squeue(&self) -> Result<usize> {
        let argv = ["squeue", "-h", "--states=all", "--format=%A %u %S %e"];
        let told = self
            .target()
            .command(&argv)
            .env("SLURM_TIME_FORMAT", "%s")
            .output()?
            .ok()?;
        let jobs = self.jobs().clone();
        for job in &jobs {
            let line = told
                .lines()
                .find(|it| it.split_whitespace().next() == Some(&job.id.to_string()))
                .with_context(|| format!("squeue has no job {}", job.id))?;
            let fields: Vec<&str> = line.split_whitespace().collect();
            let [_, user, start, end] = fields[..] else {
                anyhow::bail!("squeue said {line}")
            };
            let start: u64 = start.parse().with_context(|| line.to_owned())?;
            let mut agrees = user == name(job.user)
                && start >= self.second(job.submitted)
                && start <= self.second(job.up) + 1;
            if let (Some(cancelled), Some(gone)) = (job.cancelled, job.gone) {
                let end: u64 = end.parse().with_context(|| line.to_owned())?;
                agrees &= end >= self.second(cancelled) && end <= self.second(gone) + 1;
            }
            ensure!(agrees, "squeue: {line}; seen: {job:?}, {:?}", self.began);
        }
        Ok(jobs.len())
    }

    /// Seconds since 1970.
    fn second(&self, moment: Instant) -> u64 {
        let (instant, time) = self.began;
        let time = match moment.checked_duration_since(instant) {
            Some(later) => time + later,
            None => time - instant.duration_since(moment),
        };
        time.duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs()
    }

    fn jobs(&self) -> std::sync::MutexGuard<'_, Vec<Job>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Under load a job takes its time.
const LIMIT: Duration = Duration::from_secs(90);

/// A shell script that makes all users, with that key.
fn accounts(key: &str) -> String {
    let last = USERS - 1;
    format!(
        "for n in $(seq -w 00 {last}); do
             user=user$n; uid=$((3000 + 1$n - 100)); home=/home/$user
             echo \"$user:x:$uid:$uid::$home:/bin/bash\" >>/etc/passwd
             echo \"$user:x:$uid:\" >>/etc/group
             echo \"$user:*:19000:0:99999:7:::\" >>/etc/shadow
             install -d -m 755 -o $uid -g $uid $home
             install -d -m 700 -o $uid -g $uid $home/.ssh
             install -m 600 -o $uid -g $uid {key} $home/.ssh/id_ed25519
             install -m 600 -o $uid -g $uid {key}.pub $home/.ssh/authorized_keys
         done"
    )
}

/// Does that with each, in so many threads; the results in no particular order, or the first error.
pub fn each_in_a_thread<T: Sync, R: Send>(
    threads: usize,
    items: &[T],
    work: impl Fn(&T) -> Result<R> + Sync,
) -> Result<Vec<R>> {
    let next = Mutex::new(items.iter());
    let take = || next.lock().unwrap_or_else(PoisonError::into_inner).next();
    let some = || std::iter::from_fn(take).map(&work).collect();
    std::thread::scope(|scope| {
        let working: Vec<_> = (0..threads).map(|_| scope.spawn(some)).collect();
        let done: Result<Vec<Vec<R>>> = working
            .into_iter()
            .map(|thread| {
                thread
                    .join()
                    .unwrap_or_else(|_| anyhow::bail!("a thread panicked"))
            })
            .collect();
        Ok(done?.into_iter().flatten().collect())
    })
}

/// Numbers without an order, the same at each run: xorshift64*.
#[derive(Debug)]
pub struct Chance(u64);

impl Chance {
    /// Of that seed.
    pub fn new(seed: u64) -> Self {
        Self((seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// A number from 0 up to, not including, that one.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) % bound
    }
}
