//! `slurm-adopt help ID`: says more about a finding.

use std::io::{self, Write};
use std::process::ExitCode;

use check::Check;
use clap::Args;

use crate::COULD_NOT_LOOK;
use crate::output::{self, write_filled};

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
            return output::print("help", 0, list);
        };
        if let Some(check) = check::named(name) {
            return output::print("help", 0, |out| explain(out, check));
        }
        match crate::command().find_subcommand_mut(name) {
            Some(command) => {
                let text = command.render_long_help();
                output::print("help", 0, |out| write!(out, "{text}"))
            }
            None => {
                let name = name.escape_default();
                eprintln!("slurm-adopt help: no check and no command is called \"{name}\"");
                ExitCode::from(COULD_NOT_LOOK)
            }
        }
    }
}

fn list(out: &mut dyn Write) -> io::Result<()> {
    for check in check::checks() {
        let severity = check.severity.name();
        writeln!(out, "{}  {severity:7}  {}", check.id, check.title)?;
    }
    Ok(())
}

fn explain(out: &mut dyn Write, check: &Check) -> io::Result<()> {
    let severity = check.severity.name();
    writeln!(out, "{} ({severity}): {}\n", check.id, check.title)?;
    write_filled(out, "", "", check.why)?;
    writeln!(out)?;
    write_filled(out, "fix   ", "      ", check.fix)
}
