//! `slurm-adopt check`: judges a node.

mod json;
mod text;

use std::io::{self, IsTerminal as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use check::{Report, Request};
use clap::Args;

use crate::{COULD_NOT_LOOK, output};

/// The time after which what hangs is given up.
const LIMIT: Duration = Duration::from_secs(9);

/// Find what is wrong with this node's set-up
///
/// Looks at sshd, the PAM stacks, the module, slurm.conf, the daemons, systemd and SELinux; changes nothing. Each
/// finding has an ID, see `slurm-adopt help ID`.
///
/// With --as, makes a trial login of a user after that: runs sshd's PAM stack without authentication, looks from within
/// which job holds the login, and closes the session. That is a login in all else: what the stack's modules do at each
/// login, such as making a home directory, they do.
///
/// Exit status: 0 nothing is wrong, 1 warnings, 2 failures, 3 nothing could be judged. With --as never 0 unless the
/// trial login was held in a job: without a finding it is 3 if the login could not be made, or if the user was denied
/// or let in without a job.
#[derive(Debug, Args)]
pub struct Check {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Print no host name and no times, so that equal nodes print equal text (clush -b, dshbak -c)
    #[arg(long, conflicts_with = "json")]
    terse: bool,
    /// Judge the files of a tree that does not run, such as an image
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Make a trial login of this user and tell what of the job it has
    #[arg(long = "as", value_name = "USER", conflicts_with = "root")]
    user: Option<String>,
    /// The only checks to carry out
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    only: Vec<String>,
    /// Checks to leave out
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    skip: Vec<String>,
}

impl Check {
    /// Prints the findings.
    pub fn run(&self) -> ExitCode {
        let request = Request {
            root: self.root.clone(),
            only: self.only.clone(),
            skip: self.skip.clone(),
            user: self.user.clone(),
            limit: LIMIT,
        };
        let is_seen = io::stderr().is_terminal();
        let mut has_line = false;
        let mut waits_for = |rooms: &[&str]| {
            if is_seen {
                eprint!("\r\x1b[Kwaiting for {}", rooms.join(", "));
                has_line = true;
            }
        };
        let report = check::run(&request, &mut waits_for);
        if has_line {
            eprint!("\r\x1b[K");
        }
        let report = match report {
            Ok(report) => report,
            Err(error) => {
                eprintln!("slurm-adopt check: {error}");
                return ExitCode::from(COULD_NOT_LOOK);
            }
        };
        output::print("check", report.status(), |out| match self.json {
            true => json::write(out, &report),
            false => text::Style {
                is_terse: self.terse,
                is_colored: io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none(),
            }
            .write(out, &report),
        })
    }
}

/// The findings as a text for people.
pub(crate) fn text(report: &Report) -> String {
    let style = text::Style {
        is_terse: false,
        is_colored: false,
    };
    let mut text = Vec::new();
    // Writing to memory cannot fail.
    let _ = style.write(&mut text, report);
    String::from_utf8_lossy(&text).into_owned()
}
