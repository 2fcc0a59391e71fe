//! PAM stacks in which the module's lines would not do their work, or keep everybody out.

use std::fmt;
use std::path::PathBuf;

use check::host::PAM_CONF;
use pamconf::{Facility, Problem};

use crate::fault::Fault;

/// Reason why a PAM stack is left alone.
#[derive(Debug)]
pub enum PamRefusal {
    /// libpam reads pam.conf(5), as there is no such directory.
    OneFile {
        /// The directory.
        dir: &'static str,
    },
    /// sshd's own service has no file.
    NoSshd(PathBuf),
    /// None of sshd's services has a file; their names.
    NoService(String),
    /// Something else stands in the place of a file.
    NotFile {
        /// The path.
        path: PathBuf,
        /// What is there.
        kind: &'static str,
    },
    /// libpam gives up on a line.
    GivesUp(Problem),
    /// libpam does not read a line as written.
    Misread(Problem),
    /// A continued line goes on behind a blank line or comment: from Linux-PAM 1.6 on it ends there.
    Gap {
        /// The file.
        file: PathBuf,
        /// The number of the continued line.
        line: usize,
    },
    /// A service has no lines of its own.
    NoLines {
        /// Its file.
        file: PathBuf,
        /// The kind of line.
        facility: Facility,
    },
    /// Jumps would lead root astray.
    RootOut {
        /// The service.
        service: String,
        /// The stack.
        facility: Facility,
    },
    /// The module is in none of these files.
    NoModule(String),
    /// libpam cannot load the module.
    Unloadable {
        /// The fault.
        fault: String,
        /// The check that finds it.
        id: &'static str,
    },
    /// The module that is installed is another one.
    OtherModule(String),
    /// What check would find in the stacks as they are to be.
    WouldFail(Vec<Fault>),
}

impl fmt::Display for PamRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OneFile { dir } => write!(
                f,
                "libpam reads {PAM_CONF} here, as there is no {dir}: setup does not change that file; move its lines to \
                 files of {dir}"
            ),
            Self::NoSshd(file) => {
                write!(f, "there is no {}: is sshd installed?", file.display())
            }
            Self::NoService(names) => write!(
                f,
                "sshd names the PAM service {names}, which has no file in /etc/pam.d; copy /etc/pam.d/sshd to it first"
            ),
            Self::NotFile { path, kind } => {
                let path = path.display();
                write!(
                    f,
                    "{path} is {kind}: put the distribution's file there first"
                )
            }
            Self::GivesUp(problem) => write!(
                f,
                "{problem}: libpam gives up on it and lets nobody in; correct it first"
            ),
            Self::Misread(problem) => write!(f, "{problem}; correct it first"),
            Self::Gap { file, line } => write!(
                f,
                "{}:{line}: the line goes on behind a blank line or comment, where releases of libpam differ; write it \
                 in one piece first",
                file.display()
            ),
            Self::NoLines { file, facility } => write!(
                f,
                "{} has no {facility} lines, so that libpam uses those of the service \"other\"; add lines of the \
                 distribution first",
                file.display()
            ),
            Self::RootOut { service, facility } => write!(
                f,
                "with the module's line the {facility} stack of {service} would keep root out: its jumps count lines; \
                 add the line by hand"
            ),
            Self::NoModule(paths) => write!(
                f,
                "the module is not installed: there is no {paths}; a line that calls it would keep everybody out"
            ),
            Self::Unloadable { fault, id } => write!(
                f,
                "sshd cannot load the module, and a line that calls it would keep everybody out: {fault} ({id})"
            ),
            Self::OtherModule(module) => write!(
                f,
                "the installed {module} is not this project's: install the package first"
            ),
            Self::WouldFail(faults) => would_fail(faults, f),
        }
    }
}

fn would_fail(faults: &[Fault], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str("nothing is changed, as the module's lines would not count in this PAM stack:")?;
    for fault in faults {
        write!(f, "\n  {}\n    {}", fault.words, fault.advice)?;
    }
    if faults.iter().all(|it| it.id.starts_with(SESSION)) {
        f.write_str("\n  Or set up without the session line: --no-session.")?;
    }
    Ok(())
}

/// The start of the IDs of checks about the session line.
const SESSION: &str = "SA25";
