//! The processes of a running host.

use std::path::PathBuf;

use procfs::process::{Process as ProcProcess, all_processes};
use sys::Proc;

/// A process.
#[derive(Debug, Clone)]
pub struct Process {
    /// Its pid.
    pub pid: i32,
    /// Its real uid.
    pub uid: u32,
    /// Its name, cut to 15 bytes by the kernel.
    pub name: String,
    /// Its program; none if it cannot be read, as for a kernel thread.
    pub program: Option<PathBuf>,
    /// Its command line.
    pub arguments: Vec<String>,
}

impl Process {
    /// The name of its program's file, or its own.
    #[must_use]
    pub fn program_name(&self) -> &str {
        let file = self
            .program
            .as_ref()
            .and_then(|it| it.file_name()?.to_str());
        let file = file.map(|it| it.strip_suffix(" (deleted)").unwrap_or(it));
        file.unwrap_or(&self.name)
    }
}

/// All processes that are there while this looks.
#[must_use]
pub fn all() -> Vec<Process> {
    let (Ok(processes), Ok(proc)) = (all_processes(), Proc::mounted()) else {
        return Vec::new();
    };
    // One that ends in between is left out.
    let processes = processes.filter_map(|it| of(&it.ok()?, &proc));
    processes.collect()
}

fn of(process: &ProcProcess, proc: &Proc) -> Option<Process> {
    // procfs takes no name that is not UTF-8, and a user may give a process any.
    let dir = proc.process(u32::try_from(process.pid).ok()?).ok()??;
    let status = dir.status().ok()??;
    Some(Process {
        pid: process.pid,
        uid: status.uids[0],
        name: status.name,
        program: process.exe().ok(),
        arguments: process.cmdline().unwrap_or_default(),
    })
}
