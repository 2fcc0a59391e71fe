//! The trial login of `slurm-adopt check --as`: runs sshd's PAM stack for a user, as sshd does after authentication
//! (OpenSSH 8.4 to 10.6, auth-pam.c: `do_pam_account`, `do_pam_setcred`, `do_pam_session`, `sshpam_cleanup`).
//!
//! check starts this program again for it, because PAM and the copy of the process that looks from within want a
//! process of one thread.

use std::cell::RefCell;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::hint;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::process::ExitCode;
use std::time::Duration;

use check::trial::{Answer, CHARGE, Event, Gpu, Order, Phase, SUBCOMMAND};
use clap::Args;
use pam::app::{self, AppItem, Credentials, Transaction};
use sys::Deadline;

use crate::COULD_NOT_LOOK;

/// Make the trial login of check --as
#[derive(Debug, Args)]
pub struct TrialLogin {
    user: String,
    /// Milliseconds until the login is given up
    limit: u64,
    /// Devices to open from within
    gpus: Vec<String>,
}

/// The connection with check.
struct Check(RefCell<File>);

impl Check {
    /// Says something. If nobody listens any more, the login ends all the same.
    fn tell(&self, event: &Event) {
        if let Ok(mut line) = serde_json::to_vec(event) {
            line.push(b'\n');
            let _ = self.0.borrow_mut().write_all(&line);
        }
    }
}

/// The reason why no login can be tried.
#[derive(Debug)]
enum TrialError {
    /// setsid(2) failed.
    Session(io::Error),
    /// The process cannot be made the first to be killed.
    Score(io::Error),
    /// libpam does not begin.
    Start(app::Answer),
}

impl fmt::Display for TrialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Session(cause) => write!(f, "setsid: {cause}"),
            Self::Score(cause) => write!(f, "write /proc/self/oom_score_adj: {cause}"),
            Self::Start(answer) => write!(f, "pam_start: {answer}"),
        }
    }
}

impl TrialLogin {
    /// Makes the login, and closes it.
    pub fn run(&self) -> ExitCode {
        let input = match sys::take_standard_input() {
            Ok(input) => input,
            Err(error) => {
                eprintln!("slurm-adopt {SUBCOMMAND}: {error}");
                return ExitCode::from(COULD_NOT_LOOK);
            }
        };
        let check = Check(RefCell::new(input.into()));
        match self.login(&check) {
            Ok(()) => ExitCode::SUCCESS,
            Err(cause) => {
                check.tell(&Event::Failed(cause.to_string()));
                ExitCode::from(COULD_NOT_LOOK)
            }
        }
    }

    fn login(&self, check: &Check) -> Result<(), TrialError> {
        let deadline = Deadline::after(Duration::from_millis(self.limit));
        // sshd's monitor leads a session, and has no terminal.
        sys::lead_session().map_err(TrialError::Session)?;
        // If the job's memory comes to its end, this process is killed and none of the job's.
        let score = fs::write("/proc/self/oom_score_adj", "1000");
        score.map_err(TrialError::Score)?;
        app::open_log(c"slurm-adopt");
        let mut pam = self.start().map_err(TrialError::Start)?;
        if !said(check, &mut pam, Phase::Account, Transaction::account) {
            return Ok(());
        }
        // As with sshd, a failure counts only if it shows in the session.
        pam.set_credentials(Credentials::Establish);
        if said(check, &mut pam, Phase::Session, Transaction::open_session) {
            let inside = || u8::from(self.inside(check).is_ok());
            if let Err(error) = sys::by_copy(&deadline, &inside) {
                check.tell(&Event::Failed(format!("within the login: {error}")));
            }
            pam.set_credentials(Credentials::Delete);
            pam.close_session();
        } else {
            pam.set_credentials(Credentials::Delete);
        }
        drop(pam);
        check.tell(&Event::Closed);
        Ok(())
    }

    fn start(&self) -> Result<Transaction, app::Answer> {
        let mut pam = Transaction::begin("sshd", &self.user)?;
        pam.set(AppItem::RemoteHost, "localhost")?;
        pam.set(AppItem::Tty, "ssh")?;
        Ok(pam)
    }

    /// In a copy of this process: becomes the user, and looks from within until check has seen enough.
    fn inside(&self, check: &Check) -> io::Result<()> {
        let become_user = sys::become_user(&self.user);
        become_user.inspect_err(|error| {
            check.tell(&Event::Failed(format!("become {}: {error}", self.user)));
        })?;
        check.tell(&Event::Inside {
            gpus: self.gpus.iter().map(|it| opened(it)).collect(),
        });
        let orders = BufReader::new(check.0.borrow().try_clone()?);
        let mut taken = Vec::new();
        for order in orders.lines() {
            match serde_json::from_str(&order?)? {
                Order::Charge => {
                    taken = vec![1_u8; CHARGE as usize];
                    hint::black_box(&taken);
                    check.tell(&Event::Charged);
                }
                Order::Release => {
                    taken = Vec::new();
                    check.tell(&Event::Released);
                }
            }
        }
        drop(taken);
        Ok(())
    }
}

/// Calls a phase of PAM and tells how it ended; whether it succeeded.
fn said(
    check: &Check,
    pam: &mut Transaction,
    phase: Phase,
    call: fn(&mut Transaction) -> app::Answer,
) -> bool {
    let before = pam.messages().len();
    let answer = call(pam);
    let is_success = answer == app::Answer::SUCCESS;
    let texts = pam.messages().into_iter().skip(before);
    let answer = Answer {
        is_success,
        words: answer.to_string(),
        texts: texts.map(|it| it.text).collect(),
    };
    check.tell(&Event::Phase { phase, answer });
    is_success
}

/// Opens a device as a program that uses it does.
fn opened(path: &str) -> Gpu {
    /// O_NONBLOCK and O_NOCTTY of Linux on the processors that Slurm runs on.
    const FLAGS: i32 = 0o4000 | 0o400;
    let mut options = OpenOptions::new();
    let tried = options
        .read(true)
        .write(true)
        .custom_flags(FLAGS)
        .open(path);
    Gpu {
        path: path.to_owned(),
        refused: tried.err().map(|it| it.to_string()),
    }
}
