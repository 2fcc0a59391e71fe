//! `slurm-adopt sweep`: ends what users without a job have left, and removes their runtime directories.

use std::env;
use std::io;
use std::process::ExitCode;
use std::time::Duration;

use adopt::session::notes::Notes;
use adopt::session::runtime_dir::Users;
use clap::Args;
use ending::sweep::{self, Outcome, Process, Request, Spared, Swept, User, Whom};
use ending::syslog::{self, Severity};
use sys::Deadline;

use crate::COULD_NOT_LOOK;
use crate::output::{self, safe};

/// The exit status if a process would not end.
const LEFT: u8 = 1;
/// The user whose job ends, in the environment of an Epilog (`prep_script_slurmd.c`; Slurm 20.11 to 26.05).
const OF_EPILOG: &str = "SLURM_JOB_UID";
/// The processes that a line of the log names.
const TOLD: usize = 20;

/// End what a user without a job here has left outside any job
///
/// For slurmd's Epilog, instead of pkill -u: without USER it takes the user whose job ends. A user with another job
/// here keeps everything, and so do root, system users (a uid below UID_MIN of login.defs) and those exempt by exempt_users,
/// exempt_groups or exempt_uid_below of sshd's PAM stack or /etc/security/slurm_adopt.conf. What stands in the cgroup of any
/// job is left alone. The stepds are asked, not slurmctld; if one does not answer, or if it is not clear who is exempt,
/// nothing is ended. What is ended is logged like logins.
///
/// Then removes the runtime directories (runtime_dir=create) that nobody needs any more, whoever's.
///
/// Exit status: 0 if done, or nothing to do; 1 if a process would not end; 3 if it cannot be told whether the user has a
/// job here, and after a usage error. slurmd drains a node whose Epilog fails: end it with "slurm-adopt sweep || true"
/// if that is too much.
#[derive(Debug, Args)]
pub struct Sweep {
    /// The user's name or uid
    user: Option<String>,
    /// Sweep everyone who has a process here
    #[arg(long, conflicts_with = "user")]
    all: bool,
    /// Only print what would be ended
    #[arg(long)]
    dry_run: bool,
    /// Time from SIGTERM to SIGKILL, at most 60
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(0..=60))]
    grace: u64,
}

impl Sweep {
    /// Sweeps, and tells.
    pub fn run(&self) -> ExitCode {
        let failed = |cause: &str| {
            eprintln!("slurm-adopt sweep: {cause}");
            COULD_NOT_LOOK
        };
        if sys::effective_uid() != 0 {
            return failed("not root: cannot ask slurmstepds about others' jobs").into();
        }
        let of_epilog = || env::var(OF_EPILOG).ok();
        let whom = match (self.all, self.user.clone().or_else(of_epilog)) {
            (true, _) => Whom::All,
            (false, Some(user)) => Whom::One(user),
            (false, None) => {
                return failed("whose processes? Pass USER or --all (an Epilog has SLURM_JOB_UID)")
                    .into();
            }
        };
        let request = Request {
            whom,
            is_dry_run: self.dry_run,
            grace: Duration::from_secs(self.grace),
        };
        let swept = sweep::sweep(&request).map_err(|it| it.to_string());
        let status = match &swept {
            Ok(swept) => self.tell(swept),
            Err(cause) => {
                syslog::log(Severity::Error, &format!("sweep: {}", safe(cause)));
                failed(cause)
            }
        };
        if !self.dry_run {
            if let Err(cause) = tidy() {
                return status.max(failed(&cause.to_string())).into();
            }
        }
        status.into()
    }

    /// Prints and logs a line for each user, and returns the exit status.
    fn tell(&self, swept: &[Swept]) -> u8 {
        let mut text = String::new();
        for it in swept {
            let line = line(it, self.dry_run);
            let severity = severity(it);
            if let Some(severity) = severity.filter(|_| !self.dry_run) {
                syslog::log(severity, &format!("sweep: {line}"));
            }
            // Whoever sweeps everyone wants to see who loses something.
            if !self.all || severity.is_some() {
                text += &line;
                text.push('\n');
            }
            if self.dry_run {
                text.extend(it.ended.iter().map(row));
            }
        }
        let statuses = swept.iter().map(|it| status(&it.outcome));
        let status = statuses.max().unwrap_or_default();
        // An Epilog may have no standard output: that is no reason to drain the node.
        let _ = output::print("sweep", status, |out| out.write_all(text.as_bytes()));
        status
    }
}

/// Removes the runtime directories that nobody needs.
fn tidy() -> io::Result<()> {
    let deadline = Deadline::after(Duration::from_secs(5));
    match Notes::open(&deadline).and_then(|notes| Users::new(notes).tidy(&deadline)) {
        // The next login tidies up.
        Err(error) if error.kind() == io::ErrorKind::TimedOut => {
            eprintln!(
                "slurm-adopt sweep: another process has the lock; no runtime directory is removed"
            );
            Ok(())
        }
        result => result,
    }
}

fn status(outcome: &Outcome) -> u8 {
    match outcome {
        Outcome::Spared(_) | Outcome::HasJob(_) | Outcome::Done => 0,
        Outcome::Left { .. } => LEFT,
        Outcome::Unknown(_) => COULD_NOT_LOOK,
    }
}

/// The severity in the log; None: nothing happened.
fn severity(swept: &Swept) -> Option<Severity> {
    match &swept.outcome {
        Outcome::Left { .. } | Outcome::Unknown(_) => Some(Severity::Error),
        _ => (!swept.ended.is_empty()).then_some(Severity::Info),
    }
}

fn line(swept: &Swept, is_dry_run: bool) -> String {
    let outcome = match &swept.outcome {
        Outcome::Spared(Spared::SystemUser) => Some("spared: a system user".to_owned()),
        Outcome::Spared(Spared::Exempt(by)) => Some(format!("spared: exempt, {by}")),
        Outcome::HasJob(job) => Some(format!("spared: has job {job} here")),
        Outcome::Unknown(cause) => Some(format!("left alone: {}", safe(&cause.to_string()))),
        Outcome::Done if swept.ended.is_empty() => Some("nothing to end".to_owned()),
        Outcome::Done => None,
        Outcome::Left { left, cause } => {
            let cause = cause.as_ref().map(|it| format!(" ({it})"));
            let cause = cause.unwrap_or_default();
            Some(format!("would not end{cause}: {}", processes(left)))
        }
    };
    let done = if is_dry_run { "would end" } else { "ended" };
    let ended = (!swept.ended.is_empty()).then(|| format!("{done} {}", processes(&swept.ended)));
    let parts: Vec<_> = [ended, outcome].into_iter().flatten().collect();
    format!("{}: {}", shown(&swept.user), parts.join("; "))
}

fn shown(user: &User) -> String {
    match &user.name {
        Some(name) => format!("{} (uid {})", safe(name), user.uid),
        None => format!("uid {}", user.uid),
    }
}

/// The first ones by name and pid. Their user has chosen the names.
fn processes(all: &[Process]) -> String {
    let first = all.iter().take(TOLD);
    let mut words: Vec<_> = first
        .map(|it| format!("{}[{}]", name(it), it.pid))
        .collect();
    if let Some(more) = all.len().checked_sub(TOLD).filter(|it| *it > 0) {
        words.push(format!("and {more} more"));
    }
    words.join(" ")
}

fn name(process: &Process) -> String {
    process.name.escape_default().to_string()
}

/// A row of the list of a dry run.
fn row(process: &Process) -> String {
    let (pid, place) = (process.pid, process.place());
    format!("  {pid:>8}  {:15}  {place}\n", name(process))
}

#[cfg(test)]
mod tests {
    use super::*;
    use adopt::exempt::Exemption;
    use ending::sweep::Doubt;

    fn process(pid: i32, name: &str, path: &str) -> Process {
        Process {
            pid,
            start: 1,
            uid: 2001,
            real_uid: 2001,
            name: name.into(),
            cgroups: format!("0::{path}\n"),
        }
    }

    fn swept(ended: Vec<Process>, outcome: Outcome) -> Swept {
        let name = Some("alice".to_owned());
        Swept {
            user: User { uid: 2001, name },
            ended,
            outcome,
        }
    }

    #[test]
    fn each_outcome_has_a_line_and_a_status() {
        let stray = || vec![process(7, "sl\u{1b}eep", "/user.slice/session-3.scope")];
        let exempt = Spared::Exempt(Exemption::User);
        let left = Outcome::Left {
            left: vec![process(8, "b", "/")],
            cause: None,
        };
        for (ended, outcome, text, code) in [
            (
                Vec::new(),
                Outcome::Spared(Spared::SystemUser),
                "spared: a system user",
                0,
            ),
            (
                Vec::new(),
                Outcome::Spared(exempt),
                "spared: exempt, exempt_users has the user",
                0,
            ),
            (
                Vec::new(),
                Outcome::HasJob(4711),
                "spared: has job 4711 here",
                0,
            ),
            // It has started in the meantime.
            (
                stray(),
                Outcome::HasJob(4711),
                "ended sl\\u{1b}eep[7]; spared: has job 4711 here",
                0,
            ),
            (Vec::new(), Outcome::Done, "nothing to end", 0),
            (stray(), Outcome::Done, "ended sl\\u{1b}eep[7]", 0),
            (
                vec![process(7, "a", "/"), process(8, "b", "/")],
                left,
                "ended a[7] b[8]; would not end: b[8]",
                1,
            ),
            (
                Vec::new(),
                Outcome::Unknown(Doubt::LookUp("it hangs".into())),
                "left alone: it hangs",
                3,
            ),
        ] {
            assert_eq!(status(&outcome), code, "{text}");
            let swept = swept(ended, outcome);
            assert_eq!(line(&swept, false), format!("alice (uid 2001): {text}"));
        }
        let many = (0..30).map(|pid| process(pid, "x", "/")).collect();
        let told = line(&swept(many, Outcome::Done), true);
        assert!(told.starts_with("alice (uid 2001): would end x[0] x[1] "));
        assert!(told.ends_with(" x[19] and 10 more"), "{told}");
    }

    #[test]
    fn a_dry_run_has_a_row_for_each_process() {
        let manager = "/user.slice/user-2001.slice/user@2001.service/init.scope";
        for (process, expected) in [
            (
                process(812, "sleep", "/"),
                "       812  sleep            no session\n",
            ),
            (
                process(4_000_000, "(sd-pam)", manager),
                "   4000000  (sd-pam)         user service manager\n",
            ),
            (
                process(9, "bash", "/user.slice/user-2001.slice/session-3.scope"),
                "         9  bash             session\n",
            ),
        ] {
            assert_eq!(row(&process), expected);
        }
    }
}
