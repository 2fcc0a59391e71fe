//! `slurm-adopt tidy`: removes what sessions left behind.

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use adopt::session::notes::Notes;
use adopt::session::runtime_dir::Users;
use sys::Deadline;

/// Removes the runtime directories of users whose sessions have ended.
pub fn run() -> ExitCode {
    let deadline = Deadline::after(Duration::from_secs(5));
    match Notes::open(&deadline).and_then(|notes| Users::new(notes).tidy(&deadline)) {
        Ok(()) => ExitCode::SUCCESS,
        // An Epilog that fails takes the node out of service; the next login tidies up.
        Err(error) if error.kind() == io::ErrorKind::TimedOut => {
            eprintln!("slurm-adopt tidy: another process has the lock; nothing is removed");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("slurm-adopt tidy: {error}");
            ExitCode::FAILURE
        }
    }
}
