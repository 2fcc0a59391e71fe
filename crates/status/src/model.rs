//! What is shown.

use std::net::IpAddr;

pub use adopt::survey::StepState;
use jiff::Timestamp;

use crate::logs::NotKnown;

/// The node as it is now.
#[derive(Debug)]
pub struct Status {
    /// The host's name.
    pub host: String,
    /// The time of the look.
    pub taken: Timestamp,
    /// Whether all users are shown, not only the caller.
    pub is_all: bool,
    /// The jobs with steps here, by their numbers.
    pub jobs: Vec<Job>,
    /// The users with processes outside any job, by their uids.
    pub outside: Vec<Outsider>,
    /// The denied logins of the last hour, newest first; or why they are not known.
    pub refused: Result<Vec<Refusal>, NotKnown>,
    /// What could not be seen.
    pub notes: Vec<String>,
}

/// A user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The uid.
    pub uid: u32,
    /// The name; the uid if the user database does not know it.
    pub name: String,
}

/// The end of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// At this time, unless the limit has been changed since the job started.
    At(Timestamp),
    /// The job has no time limit.
    Never,
}

/// A job with a step on this node.
#[derive(Debug, Clone)]
pub struct Job {
    /// Its number.
    pub job: u32,
    /// Its owner; None if no slurmstepd says.
    pub user: Option<Account>,
    /// The state of its step, as the slurmstepd says.
    pub state: Option<StepState>,
    /// The reason why its slurmstepd gives no answer.
    pub trouble: Option<String>,
    /// Whether it has an extern step: without one nobody can log in to it.
    pub has_extern_step: bool,
    /// Its end, if it is known.
    pub end: Option<End>,
    /// The number of processors that its cgroup allows.
    pub cpus: Option<u32>,
    /// The limit of its memory cgroup, in bytes.
    pub memory: Option<u64>,
    /// The logins in it.
    pub logins: Vec<Login>,
}

/// A login.
#[derive(Debug, Clone)]
pub struct Login {
    /// Its user.
    pub user: Account,
    /// What it is for.
    pub kind: Kind,
    /// Its terminal, such as `pts/0`.
    pub tty: Option<String>,
    /// The address that it comes from.
    pub from: Option<IpAddr>,
    /// Its start.
    pub since: Timestamp,
    /// Its first process: a shell, an sftp-server, or sshd.
    pub pid: i32,
    /// The job whose cgroup that process is in.
    pub job: Option<u32>,
    /// The step, such as `extern`.
    pub step: Option<String>,
}

/// What a login is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A login shell.
    Shell,
    /// One command.
    Command,
    /// sftp, or scp of OpenSSH 9.0 or later.
    Sftp,
    /// scp.
    Scp,
    /// rsync.
    Rsync,
    /// A connection without any session: forwarded ports, or an idle master.
    Forwarding,
    /// Not by ssh: the program that let the user in, such as su.
    Program(&'static str),
}

impl Kind {
    /// One word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Shell => "shell",
            Self::Command => "command",
            Self::Sftp => "sftp",
            Self::Scp => "scp",
            Self::Rsync => "rsync",
            Self::Forwarding => "forwarding",
            Self::Program(name) => name,
        }
    }
}

/// A user with processes outside any job.
#[derive(Debug, Clone)]
pub struct Outsider {
    /// The user.
    pub user: Account,
    /// The exempt group or option, if the user may be here without a job.
    pub exempt: Option<String>,
    /// Logins outside any job.
    pub logins: Vec<Login>,
    /// Whether systemd runs a manager for the user.
    pub has_manager: bool,
    /// Programs that belong to no login outside a job, sorted, each with the number of its processes.
    pub programs: Vec<(String, usize)>,
    /// The start of the oldest of these programs.
    pub since: Option<Timestamp>,
}

/// A denied login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The time.
    pub time: Timestamp,
    /// The user's name.
    pub user: String,
    /// The reason as one word, such as `no-job`: one of docs/log.schema.json, or `other`.
    pub kind: String,
    /// The reason as the log has it.
    pub reason: String,
}
