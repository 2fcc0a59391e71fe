//! `slurm-adopt support`: one text with all that helps to find a fault.

mod redact;
mod sections;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use crate::{COULD_NOT_LOOK, output};
use redact::{Names, without_secrets};

/// The time that each look may take.
const LIMIT: Duration = Duration::from_secs(9);
/// For root alone.
const MODE: u32 = 0o600;

/// Write what helps to find a fault into one text
///
/// Versions, what check and status say, what explain says of a user, sshd's PAM stacks and configuration, the options
/// file, the lines of slurm.conf and cgroup.conf but those of nodes and partitions, and the module's lines in the log of
/// the last day. Values of passwords and the like are taken out, and no key is read. Read it before you send it.
///
/// Exit status: 0, or 3 if nothing could be written.
#[derive(Debug, Args)]
pub struct Support {
    /// Also explain a login by this user
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// Replace the names of users and hosts, and addresses: the same name by the same word throughout
    #[arg(long)]
    hash_names: bool,
    /// Write to this file, mode 0600, instead of to standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl Support {
    /// Writes the text.
    pub fn run(&self) -> ExitCode {
        if sys::effective_uid() != 0 {
            eprintln!("slurm-adopt support: not root: much is missing from what follows");
        }
        let gathered = sections::gather(self.user.as_deref());
        let mut text = without_secrets(&gathered.text);
        // Files and logs may have anything in them, and this may be read on a terminal.
        text = text.lines().map(|it| output::safe(it) + "\n").collect();
        if self.hash_names {
            text = Names::new(gathered.names).replace(&text);
        }
        let Some(path) = &self.out else {
            return output::print("support", 0, |out| out.write_all(text.as_bytes()));
        };
        match output::replace(path, MODE, &text) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("slurm-adopt support: write {}: {error}", path.display());
                ExitCode::from(COULD_NOT_LOOK)
            }
        }
    }
}
