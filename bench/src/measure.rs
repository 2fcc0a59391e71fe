//! One row: the logins of one situation with both modules and without, in turns.

use std::fs;
use std::thread;
use std::time::Duration;

use ::tests::{End, PAMCALL};
use anyhow::{Context, Result, bail, ensure};
use lab::{Background, Node};
use serde_json::Value;

use crate::results::{Axis, Row, Sample};
use crate::stats::median;
use crate::taken::Taken;
use crate::trace;
use crate::warm;

/// Extent of the measurements.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    /// Fresh processes of each row and module.
    pub logins: u32,
    /// Time for all logins that take [`Effort::LONG`] or longer; at least [`Effort::FEWEST`] of them run.
    pub budget: Duration,
}

impl Effort {
    /// For a row that is to be published.
    pub const FULL: Self = Self {
        logins: 100,
        budget: Duration::from_secs(5),
    };
    /// Enough to see that the benchmark works.
    pub const QUICK: Self = Self {
        logins: 10,
        budget: Duration::from_secs(1),
    };
    const LONG: Duration = Duration::from_millis(100);
    const FEWEST: u32 = 3;
    /// Number of turns. The modules take turns, so that a slow moment affects all of them.
    pub const TURNS: u32 = 10;
    /// Time limit of a login.
    pub const LONGEST: Duration = Duration::from_secs(60);

    fn count(self, one: Duration) -> u32 {
        if one < Self::LONG {
            return self.logins;
        }
        let fit = self.budget.as_micros() / one.as_micros().max(1);
        u32::try_from(fit)
            .unwrap_or(u32::MAX)
            .clamp(Self::FEWEST.min(self.logins), self.logins)
    }
}

/// Module or client that handles a timed login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// One of libpam's own modules, which answers at once.
    Floor,
    /// SchedMD's module.
    SchedMd,
    /// Our module.
    Ours,
    /// No module: the minimum of requests to the stepd.
    Stepd,
}

impl Who {
    /// The ones with a PAM stack.
    pub const MODULES: [Self; 3] = [Self::Floor, Self::SchedMd, Self::Ours];

    /// Name in the output.
    pub fn name(self) -> &'static str {
        match self {
            Self::Floor => "pam_permit",
            Self::SchedMd => "SchedMD",
            Self::Ours => "ours",
            Self::Stepd => "stepd",
        }
    }
}

/// Preparation before each login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Before {
    /// Nothing.
    Nothing,
    /// Remove what our module keeps of earlier logins: the next is the node's first.
    Forget,
    /// Empty the page cache.
    DropCaches,
    /// Pause, as between the logins of a real node.
    Pause,
}

/// The logins of a row.
#[derive(Debug, Clone)]
pub struct Logins<'a> {
    /// Node of the logins.
    pub node: &'a Node,
    /// The directory of the stacks, see [`stacks`].
    pub stacks: &'a str,
    /// User who logs in.
    pub user: &'a str,
    /// Whether they are adopted into a job; denied otherwise.
    pub adopted: bool,
    /// Environment of the application.
    pub env: Vec<(String, String)>,
    /// Node and job that they come from over TCP, and that they are adopted into.
    pub from: Option<(&'a Node, u32)>,
    /// The socket of the stepd that adopts.
    pub socket: Option<String>,
    /// Preparation before each.
    pub before: Before,
}

/// Writes a stack for each of [`Who::MODULES`] to a directory of the node.
pub fn stacks(node: &Node, dir: &str, modules: [&str; 3]) -> Result<()> {
    for (who, module) in Who::MODULES.into_iter().zip(modules) {
        // The stack returns the module's code unchanged.
        let stack = format!("account [default=done] {module}\n");
        node.write(&format!("{dir}/{}/sshd", who.name()), stack, 0o644)?;
    }
    Ok(())
}

/// Longer than the kernel keeps anything ready for the next login.
const PAUSE: Duration = Duration::from_millis(100);

/// Address where the logins over TCP arrive.
const ADDRESS: &str = "10.88.0.2:2001";

impl Logins<'_> {
    /// Sets the preparation before each.
    pub fn before(self, before: Before) -> Self {
        Self { before, ..self }
    }

    /// Measures the row, which also records failures.
    pub fn row(&self, axis: Axis, id: &str, name: &str, effort: Effort) -> Row {
        let mut row = Row {
            axis,
            id: id.into(),
            name: name.into(),
            adopted: self.adopted,
            floor: None,
            schedmd: None,
            ours: None,
            stepd: None,
            failed: Vec::new(),
        };
        // With pauses, everything is as on a real node.
        let is_close = self.socket.is_some() && self.before != Before::Pause;
        let _warm = is_close.then(warm::start);
        let mut all = Vec::new();
        for who in self.all() {
            match self.check(who) {
                Ok(took) => all.push((who, effort.count(took), Taken::default())),
                Err(error) => row.failed.push(format!("{}: {error:#}", who.name())),
            }
        }
        for turn in 0..Effort::TURNS {
            all.retain_mut(|(who, count, taken)| {
                let until = |turn: u32| *count * turn / Effort::TURNS;
                match self.turn(*who, until(turn + 1) - until(turn), taken) {
                    Ok(()) => true,
                    Err(error) => {
                        row.failed.push(format!("{}: {error:#}", who.name()));
                        false
                    }
                }
            });
        }
        for (who, _, taken) in all {
            let mut sample = taken.sample();
            if who != Who::Stepd {
                if let Err(error) = self.look_closer(who, &mut sample) {
                    row.failed.push(format!("{}: {error:#}", who.name()));
                }
            }
            *match who {
                Who::Floor => &mut row.floor,
                Who::SchedMd => &mut row.schedmd,
                Who::Ours => &mut row.ours,
                Who::Stepd => &mut row.stepd,
            } = Some(sample);
        }
        row
    }

    fn all(&self) -> Vec<Who> {
        let stepd = self.socket.is_some().then_some(Who::Stepd);
        Who::MODULES.into_iter().chain(stepd).collect()
    }

    /// Makes one login, checks its answer, and returns how long it took.
    fn check(&self, who: Who) -> Result<Duration> {
        if who == Who::Stepd {
            let mut taken = Taken::default();
            self.turn(who, 1, &mut taken)?;
            return Ok(Duration::from_secs_f64(median(&taken.millis) / 1e3));
        }
        self.prepare()?;
        let _client = self.client()?;
        let argv = self.argv(who);
        let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
        let outcome = ::tests::outcome(self.command(&argv).time_limit(Effort::LONGEST))?;
        if outcome.end == End::Hung {
            bail!("no answer within {} s", Effort::LONGEST.as_secs());
        }
        if who != Who::Floor {
            let job = outcome.job(self.node)?;
            let is_right = match self.from {
                Some((_, expected)) => job == Some(expected),
                None => job.is_some() == self.adopted,
            };
            ensure!(
                is_right && outcome.end == End::Code(self.code(who)),
                "unexpected answer: {outcome}"
            );
        }
        Ok(Duration::from_micros(outcome.micros))
    }

    /// PAM_SUCCESS, or PAM_PERM_DENIED.
    fn code(&self, who: Who) -> i64 {
        match self.adopted || who == Who::Floor {
            true => 0,
            false => 6,
        }
    }

    fn turn(&self, who: Who, count: u32, taken: &mut Taken) -> Result<()> {
        let (calls, each) = match self.before {
            _ if count == 0 => return Ok(()),
            Before::Nothing => (1, count),
            Before::Forget | Before::DropCaches | Before::Pause => (count, 1),
        };
        for _ in 0..calls {
            self.prepare()?;
            let _client = self.client()?;
            let repeat = ["--repeat".to_owned(), each.to_string()];
            let argv = [self.argv(who), repeat.to_vec()].concat();
            let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
            let limit = Effort::LONGEST * each;
            let output = self.command(&argv).time_limit(limit).output()?.ok()?;
            let answer: Value = serde_json::from_str(&output).context("pamcall's answer")?;
            taken.add(
                &answer,
                (who != Who::Stepd).then(|| self.code(who)),
                each as usize,
            )?;
        }
        Ok(())
    }

    /// Makes two more logins that are not timed: one reports its memory, one runs under strace.
    fn look_closer(&self, who: Who, sample: &mut Sample) -> Result<()> {
        let argv = [self.argv(who), vec!["--private".to_owned()]].concat();
        let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
        self.prepare()?;
        let client = self.client()?;
        let command = self.command(&argv).time_limit(Effort::LONGEST);
        let answer: Value = serde_json::from_str(&command.output()?.ok()?)?;
        sample.private_kib = answer["private_kib"].as_u64();
        drop(client);
        self.prepare()?;
        let _client = self.client()?;
        let argv = &argv[..argv.len() - 1];
        let traced = trace::count(self.node, argv, &self.env).context("traced")?;
        sample.syscalls = Some(traced.calls);
        sample.read_bytes = Some(traced.read_bytes);
        Ok(())
    }

    fn prepare(&self) -> Result<()> {
        match self.before {
            Before::Nothing => Ok(()),
            Before::Pause => {
                thread::sleep(PAUSE);
                Ok(())
            }
            Before::Forget => self.node.remove(adopt::state_dir::DIR),
            Before::DropCaches => {
                const FILE: &str = "/proc/sys/vm/drop_caches";
                fs::write(FILE, "1").with_context(|| format!("write {FILE}"))
            }
        }
    }

    fn argv(&self, who: Who) -> Vec<String> {
        let words: &[&str] = match (who, &self.socket) {
            (Who::Stepd, Some(socket)) => &["--stepd", socket],
            _ => &[
                "--confdir",
                &format!("{}/{}", self.stacks, who.name()),
                "--service",
                "sshd",
                "--user",
                self.user,
            ],
        };
        let accept: &[&str] = match self.from {
            Some(_) if who != Who::Stepd => &["--accept", ADDRESS],
            _ => &[],
        };
        let words = [&[PAMCALL], words, accept].concat();
        words.into_iter().map(str::to_owned).collect()
    }

    fn command(&self, argv: &[&str]) -> lab::Command {
        let command = self.node.command(argv);
        let env = self.env.iter();
        env.fold(command, |command, (name, value)| command.env(name, value))
    }

    /// Starts a process of the job that connects and stays until the other end closes.
    fn client(&self) -> Result<Option<Background>> {
        const CONNECT: &str = "until exec 3<>/dev/tcp/${0/:/\\/}; do sleep 0.02; done 2>/dev/null; \
                               exec cat <&3";
        let Some((node, job)) = self.from else {
            return Ok(None);
        };
        let job = format!("--jobid={job}");
        let place = format!("--nodelist={}", node.name());
        let step = ["srun", "--quiet", "--overlap", "-N1", "-n1", &job, &place];
        let argv = [&step[..], &["bash", "-c", CONNECT, ADDRESS]].concat();
        let client = node.command(&argv).user(self.user).dir("/tmp");
        client.spawn().map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_logins_are_fewer() {
        for (millis, logins) in [(1, 100), (99, 100), (100, 50), (1_000, 5), (30_000, 3)] {
            let count = Effort::FULL.count(Duration::from_millis(millis));
            assert_eq!(count, logins, "{millis} ms");
        }
        let small = Effort {
            logins: 2,
            ..Effort::QUICK
        };
        assert_eq!(small.count(Duration::from_secs(9)), 2);
    }
}
