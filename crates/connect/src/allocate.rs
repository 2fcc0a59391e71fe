//! A job that holds an allocation for logins: submitted by the first ssh, shared by the others.
//!
//! The name is what makes it one job. Each is submitted with `--dependency=singleton`: of a user's jobs of one name only one
//! runs at a time, and of those that wait only the one with the lowest number may start. Of two proxies that submit at
//! the same moment, on whatever hosts, the one with the higher number sees the other and cancels its own.

use std::fmt;
use std::time::Duration;

use crate::choose::{Choice, choose};
use crate::client::Client;
use crate::error::Error;
use crate::find::{Found, absence, wait};
use crate::holder;
use crate::queue::{Job, Phase};
use crate::slurm::Slurm;
use crate::target::Which;
use crate::waiters::Waiters;

/// Options of sbatch that make no job to log in to, or another than the one that is looked for.
const REFUSED: [&str; 6] = [
    "array",
    "dependency",
    "wait",
    "wrap",
    "test-only",
    "clusters",
];
/// The same in short, and the short ones that have no value, which may stand before them in a word; sbatch's man page.
const REFUSED_SHORT: &str = "adWM";
const FLAGS: &str = "HIOQVhksuv";

/// A job to be submitted if there is none of its name.
#[derive(Debug)]
pub struct Allocation {
    name: String,
    /// Arguments of sbatch.
    options: Vec<String>,
    /// The time after the last connection.
    keep: Duration,
}

/// Reason why there can be no such job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AllocationError {
    /// A name that squeue would not show as it is.
    Name(String),
    /// Quotes that are not closed.
    Quotes(String),
    /// An option with which there would be no such job.
    Refused(String),
}

/// The node of a job that runs.
#[derive(Debug)]
pub struct Held {
    /// The node.
    pub found: Found,
    /// As long as this lives, others on this host know that the job is in use.
    _waiters: Waiters,
}

impl Allocation {
    /// A job of this name, with `options` of sbatch as in a shell's line, that ends so long after the last connection.
    ///
    /// # Errors
    /// [`AllocationError`].
    pub fn parse(name: &str, options: &str, keep: Duration) -> Result<Self, AllocationError> {
        let name = name.to_owned();
        if name.trim().is_empty() || name.chars().any(char::is_control) {
            return Err(AllocationError::Name(name));
        }
        let words = shlex::split(options);
        let options = words.ok_or_else(|| AllocationError::Quotes(options.to_owned()))?;
        match options.iter().find(|it| is_refused(it)) {
            Some(word) => Err(AllocationError::Refused(word.clone())),
            None => Ok(Self {
                name,
                options,
                keep,
            }),
        }
    }
}

fn is_refused(word: &str) -> bool {
    if let Some(long) = word.strip_prefix("--") {
        // getopt_long(3) takes the beginning of a name for all of it. "--" ends the options, of which more follow.
        let name = long.split('=').next().unwrap_or_default();
        return REFUSED.iter().any(|it| it.starts_with(name));
    }
    let short = word.strip_prefix('-').unwrap_or_default();
    let mut letters = short.chars().skip_while(|it| FLAGS.contains(*it));
    let is_refused = letters.next().is_some_and(|it| REFUSED_SHORT.contains(it));
    is_refused || word == ":"
}

/// Finds the job of that name, or submits it, and waits until it runs, while `client` is there. If nobody on this host
/// waits for it any more before it runs, it is cancelled.
///
/// # Errors
/// [`Error`].
pub fn allocate(
    allocation: &Allocation,
    client: &Client<'_>,
    say: &mut dyn FnMut(&str),
) -> Result<Held, Error> {
    let name = &allocation.name;
    let mut waiters = Waiters::join(name)?;
    let mut own = None;
    let mut found = wait(0, client, say, &mut |jobs, say| {
        pick(allocation, jobs, &mut own, &mut waiters, say)
    });
    // It may have gone, or got a signal, in the moment in which the job started.
    if found.is_ok()
        && client
            .is_gone_within(Duration::ZERO)
            .map_err(Error::Client)?
    {
        found = Err(Error::Gone);
    }
    match found {
        Ok(found) => {
            waiters.forget();
            client.be_mortal();
            Ok(Held {
                found,
                _waiters: waiters,
            })
        }
        Err(error) => {
            if let Err(failure) = leave(waiters, own, name) {
                say(&format!("cancel the job \"{name}\": {failure}"));
            }
            Err(error)
        }
    }
}

/// Chooses the job, and submits one if there is none. `own` is the number of the one that was submitted here.
fn pick<'a>(
    allocation: &Allocation,
    jobs: &'a [Job],
    own: &mut Option<u32>,
    waiters: &mut Waiters,
    say: &mut dyn FnMut(&str),
) -> Result<Option<Choice<'a>>, Error> {
    let name = &allocation.name;
    match (winner(jobs, name), *own) {
        (Some(choice), Some(number)) if choice.job.number != number => {
            Slurm.cancel(number, None, &[])?;
            *own = None;
            Ok(Some(choice))
        }
        (Some(choice), Some(number)) => {
            waiters.note(number)?;
            Ok(Some(choice))
        }
        (Some(choice), None) => Ok(Some(choice)),
        (None, Some(number)) => Err(lost(number, jobs, own, name)?),
        (None, None) => {
            let number = Slurm.submit(&arguments(allocation))?;
            *own = Some(number);
            say(&format!("submitted job {number} \"{name}\""));
            Ok(None)
        }
    }
}

/// Why the job that was submitted here is not found by its name. One that Slurm gave another name is cancelled: no proxy would
/// ever find it.
fn lost(number: u32, jobs: &[Job], own: &mut Option<u32>, name: &str) -> Result<Error, Error> {
    let is_own = |it: &&Job| it.number == number && it.phase() != Phase::Over;
    let Some(job) = jobs.iter().find(is_own) else {
        return absence(&Which::Number(number), jobs);
    };
    Slurm.cancel(number, None, &[])?;
    *own = None;
    Ok(Error::Renamed {
        job: job.id.clone(),
        wanted: name.to_owned(),
        name: job.name.clone(),
    })
}

/// Of the jobs of this name one that runs, or else the one with the lowest number: the others cannot start before it.
fn winner<'a>(jobs: &'a [Job], name: &str) -> Option<Choice<'a>> {
    let choice = choose(jobs, &Which::Name(name.to_owned()))?;
    let job = match choice.job.phase() {
        Phase::Running => choice.job,
        _ => {
            let waiting = jobs
                .iter()
                .filter(|it| it.name == name && it.phase() == Phase::Waiting);
            waiting.min_by_key(|it| it.number)?
        }
    };
    // That there are others of the name is the matter of their proxies.
    Some(Choice {
        job,
        others: Vec::new(),
    })
}

/// The arguments of sbatch. What stands before the user's can be changed by them. That a script is given first makes
/// sbatch refuse a word that it would take for another script.
fn arguments(allocation: &Allocation) -> Vec<String> {
    let Allocation {
        name,
        options,
        keep,
    } = allocation;
    let mut words = vec![
        format!("--wrap={}", holder::script(*keep)),
        "--output=/dev/null".to_owned(),
        "--chdir=/".to_owned(),
    ];
    words.extend(options.iter().cloned());
    words.push(format!("--job-name={name}"));
    let last = ["--parsable", "--no-requeue", "--dependency=singleton"];
    words.extend(last.map(str::to_owned));
    words
}

/// Waits no more.
fn leave(waiters: Waiters, own: Option<u32>, name: &str) -> Result<(), Error> {
    match waiters.leave(own)? {
        // What is noted may be old, and the number another job's; that of the own one may have got another name.
        Some(number) if Some(number) == own => end(number, None),
        Some(number) => end(number, Some(name)),
        None => Ok(()),
    }
}

/// Ends a job for which nobody waits. If it has just started, its holder ends it unless somebody has connected. A signal that
/// comes before the script runs is lost, so it is sent again.
fn end(number: u32, name: Option<&str>) -> Result<(), Error> {
    Slurm.cancel(number, name, &["--state=PENDING"])?;
    let signal = format!("--signal={}", holder::SIGNAL);
    for pause in [0, 1, 2, 4] {
        std::thread::sleep(Duration::from_secs(pause));
        let runs = |it: &Job| it.number == number && it.phase() == Phase::Running;
        if Slurm.own_jobs().is_ok_and(|jobs| !jobs.iter().any(runs)) {
            break;
        }
        // One that has just ended is not found: that is no failure.
        let _ = Slurm.cancel(number, name, &["--state=RUNNING", "--batch", &signal]);
    }
    Ok(())
}

impl fmt::Display for AllocationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => write!(f, "\"{name}\" is no name for a job"),
            Self::Quotes(options) => write!(f, "--alloc \"{options}\": a quote is not closed"),
            Self::Refused(word) => write!(f, "--alloc cannot have sbatch's \"{word}\""),
        }
    }
}

impl std::error::Error for AllocationError {}

#[cfg(test)]
mod tests {
    use super::*;

    const KEEP: Duration = Duration::from_secs(600);

    #[test]
    fn options_are_words_of_a_shell() {
        let text = "-c4 --mem=8G -t 4:0:0 --comment='two words' -C \"a|b\"";
        let allocation = Allocation::parse("dev", text, KEEP).expect("options");
        let words = arguments(&allocation);
        let own = [
            "-c4",
            "--mem=8G",
            "-t",
            "4:0:0",
            "--comment=two words",
            "-C",
            "a|b",
        ];
        assert!(words[0].starts_with("--wrap="), "{words:?}");
        assert_eq!(words[3..10], own);
        assert_eq!(words[10], "--job-name=dev");
        assert_eq!(
            words.last().map(String::as_str),
            Some("--dependency=singleton")
        );
    }

    #[test]
    fn what_makes_no_such_job_is_refused() {
        let refused = |options| Allocation::parse("dev", options, KEEP).expect_err(options);
        for (options, word) in [
            ("-c4 -a0-3", "-a0-3"),
            ("--array=1-2", "--array=1-2"),
            ("--wrap hostname", "--wrap"),
            ("-n1 : -n2", ":"),
            ("-W", "-W"),
            // sbatch takes beginnings of long options, and several short ones in a word.
            ("--arr=1-2", "--arr=1-2"),
            ("--cluster other", "--cluster"),
            ("-Ha1-2", "-Ha1-2"),
            ("-svW", "-svW"),
            ("-n1 -- x", "--"),
        ] {
            assert_eq!(refused(options), AllocationError::Refused(word.to_owned()));
        }
        assert_eq!(refused("'-c4"), AllocationError::Quotes("'-c4".to_owned()));
        for options in [
            "--wait-all-nodes=1 --account=a --cluster-constraint=a",
            "-H -A dawn -pdata -Jwide -t4:0:0 -c4",
        ] {
            assert!(Allocation::parse("dev", options, KEEP).is_ok(), "{options}");
        }
        for name in ["", " ", "two\nlines"] {
            assert!(Allocation::parse(name, "", KEEP).is_err(), "{name:?}");
        }
    }

    #[test]
    fn one_that_runs_wins_and_then_the_lowest_number() {
        let won = |queue: &str| {
            let jobs = Job::parse(queue);
            winner(&jobs, "dev").map(|it| it.job.number)
        };
        let waits = "\
            9|9|PENDING|Dependency|N/A|N/A||1|a|dev\n\
            8|8|PENDING|Priority|2026-11-30T14:00:00|N/A||1|a|dev\n\
            7|7|PENDING|Priority|N/A|N/A||1|a|other\n\
            6|6|COMPLETING|None|2026-11-30T14:00:00|N/A|n|1|a|dev\n";
        assert_eq!(won(waits), Some(8));
        let runs = "10|10|RUNNING|None|2026-11-30T14:00:00|N/A|n|1|a|dev\n";
        assert_eq!(won(&format!("{waits}{runs}")), Some(10));
        assert_eq!(won("7|7|RUNNING|None|N/A|N/A|n|1|a|other\n"), None);
    }
}
