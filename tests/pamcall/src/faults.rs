//! Faults of the process that makes the call.

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
    /// Ignore SIGPIPE, as sshd does; otherwise it kills the process.
    #[arg(long)]
    ignore_sigpipe: bool,
    /// Close descriptors 0, 1 and 2 during the call.
    #[arg(long)]
    close_streams: bool,
    /// Leave only N descriptors for the call.
    #[arg(long, value_name = "N")]
    descriptors: Option<usize>,
    /// Leave only BYTES of memory for the call.
    #[arg(long, value_name = "BYTES")]
    memory: Option<usize>,
}

/// Faults that end when this is dropped.
pub struct Held {
    streams: Option<[OwnedFd; 3]>,
    _descriptors: Vec<File>,
    _memory: Option<NoMemory>,
}

impl Faults {
    /// Sets what an application starts with.
    pub fn before_start(&self) -> Result<()> {
        if !self.ignore_sigpipe {
            app::default_sigpipe();
        }
        if self.interrupt {
            app::interrupt_every_millisecond();
        }
        Ok(())
    }

    /// Whether some faults must hit only the module, not libpam while it loads the module.
    pub fn come_later(&self) -> bool {
        self.close_streams || self.descriptors.is_some() || self.memory.is_some()
    }

    /// Causes the faults that start after libpam has loaded the module.
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
            // A failure shows, because then there is no answer.
            let _ = stdio::dup2_stdin(input);
            let _ = stdio::dup2_stdout(output);
            let _ = stdio::dup2_stderr(error);
        }
    }
}

/// Copies the standard streams to high numbers, away from the lowest free ones, and closes them.
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
