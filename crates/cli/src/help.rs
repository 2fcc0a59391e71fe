//! `slurm-adopt help ID`: says more about a finding.

use std::io::{self, Write as _};
use std::process::ExitCode;

use check::Check;
use clap::{Args, CommandFactory as _};

use crate::check::write_filled;
use crate::{Arguments, COULD_NOT_LOOK};

/// Say more about a finding of check, or about a command
///
/// Without a name, list all checks.
#[derive(Debug, Args)]
pub struct Help {
    /// ID of a check, such as SA201, or a command
    name: Option<String>,
}

impl Help {
    /// Prints the text.
    pub fn run(&self) -> ExitCode {
        let Some(name) = &self.name else {
            return ended(list());
        };
        if let Some(check) = check::named(name) {
            return ended(explain(check));
        }
        let mut arguments = Arguments::command();
        arguments.build();
        match arguments.find_subcommand_mut(name) {
            Some(command) => ended(command.print_long_help()),
            None => {
                let name = name.escape_default();
                eprintln!("slurm-adopt help: no check and no command is called \"{name}\"");
                ExitCode::from(COULD_NOT_LOOK)
            }
        }
    }
}

fn ended(printed: io::Result<()>) -> ExitCode {
    match printed {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("slurm-adopt help: write: {error}");
            ExitCode::from(COULD_NOT_LOOK)
        }
    }
}

fn list() -> io::Result<()> {
    let mut out = io::stdout().lock();
    for check in check::checks() {
        let severity = check.severity.name();
        writeln!(out, "{}  {severity:7}  {}", check.id, check.title)?;
    }
    Ok(())
}

fn explain(check: &Check) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(
        out,
        "{} ({}): {}\n",
        check.id,
        check.severity.name(),
        check.title
    )?;
    write_filled(&mut out, "", "", check.why)?;
    writeln!(out)?;
    write_filled(&mut out, "fix   ", "      ", check.fix)
}
