//! What is wrong with the process that makes the call.

use std::fs::File;
use std::os::fd::OwnedFd;

use anyhow::{Context, Result};
use clap::Args;
use pam::app::{self, NoMemory};
use rustix::io::fcntl_dupfd_cloexec;
use rustix::stdio;

#[derive(Debug, Args)]
pub struct Faults {
    /// Have a signal interrupt the call every millisecond.
    #[arg(long)]
    interrupt: bool,
    /// Ignore SIGPIPE, as sshd does; else it ends the process.
    #[arg(long)]
    ignore_sigpipe: bool,
    /// Have descriptors 0, 1 and 2 closed during the call.
    #[arg(long)]
    close_streams: bool,
    /// Leave that many descriptors for the call.
    #[arg(long, value_name = "N")]
    descriptors: Option<usize>,
    /// Leave that much memory for the call.
    #[arg(long, value_name = "BYTES")]
    memory: Option<usize>,
}

/// What is undone when the call is over.
pub struct Held {
    streams: Option<[OwnedFd; 3]>,
    _descriptors: Vec<File>,
    _memory: Option<NoMemory>,
}

impl Faults {
    /// What an application is born with.
    pub fn before_start(&self) -> Result<()> {
        if !self.ignore_sigpipe {
            app::default_sigpipe();
        }
        if self.interrupt {
            app::interrupt_every_millisecond();
        }
        Ok(())
    }

    /// Whether there are some that are to befall the module, not libpam as it loads it.
    pub fn come_later(&self) -> bool {
        self.close_streams || self.descriptors.is_some() || self.memory.is_some()
    }

    /// What befalls it once libpam has loaded the module.
    pub fn during_call(&self) -> Result<Held> {
        let streams = match self.close_streams {
            true => Some(close_streams()?),
            false => None,
        };
        let descriptors = match self.descriptors {
            Some(rest) => take_descriptors(rest)?,
            None => Vec::new(),
        };
        let memory = self.memory.map(NoMemory::but).transpose();
        Ok(Held {
            streams,
            _descriptors: descriptors,
            _memory: memory.context("take the memory")?,
        })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some([input, output, error]) = &self.streams {
            // A failure shows: there is no answer then.
            let _ = stdio::dup2_stdin(input);
            let _ = stdio::dup2_stdout(output);
            let _ = stdio::dup2_stderr(error);
        }
    }
}

/// Copies of them, far from where the lowest free number is looked for.
fn close_streams() -> Result<[OwnedFd; 3]> {
    const ABOVE: i32 = 100;
    let copies = [
        fcntl_dupfd_cloexec(stdio::stdin(), ABOVE),
        fcntl_dupfd_cloexec(stdio::stdout(), ABOVE),
        fcntl_dupfd_cloexec(stdio::stderr(), ABOVE),
    ];
    let [input, output, error] = copies;
    let copies = [
        input.context("copy stdin")?,
        output.context("copy stdout")?,
        error.context("copy stderr")?,
    ];
    app::close_standard_streams().context("close the standard streams")?;
    Ok(copies)
}

fn take_descriptors(rest: usize) -> Result<Vec<File>> {
    const EMFILE: i32 = 24;
    let mut taken = Vec::new();
    loop {
        match File::open("/dev/null") {
            Ok(file) => taken.push(file),
            Err(error) if error.raw_os_error() == Some(EMFILE) => break,
            Err(error) => return Err(error).context("take the descriptors"),
        }
    }
    taken.truncate(taken.len().saturating_sub(rest));
    Ok(taken)
}
