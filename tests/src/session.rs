//! The table of docs/session.md: where a login's shell ends up, one row per kind of login. The tests print
//! the rows that they find; `cargo xtask test` compares them with the page.

mod method;
mod shell;

use std::fmt;

use lab::Suite;
use serde_json::json;

use crate::Module;

pub use method::{ASKPASS, Method};
pub use shell::Shell;

/// Environment of the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In namespaces, without systemd.
    Namespaces,
    /// In a virtual machine with systemd and cgroup v2.
    Machine,
}

/// The lines of sshd's PAM stack that name the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lines {
    /// Only `account`.
    Account,
    /// Only `session`.
    Session,
    /// Both.
    Both,
}

/// Results of one kind of login. The last three fields describe observations in a few words, without
/// numbers of jobs or processes: each run must find the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRow {
    /// The suite of Slurm and sshd.
    pub suite: Suite,
    /// Environment of the cluster.
    pub place: Place,
    /// Whether the session stack has pam_systemd.
    pub pam_systemd: bool,
    /// How the user logged in.
    pub method: Method,
    /// Lines of the stack with the module.
    pub lines: Lines,
    /// The module.
    pub module: Module,
    /// Place of the user's shell: "in the job", "kept out", or its cgroup.
    pub shell: String,
    /// Names set in its environment, wanted or not: `SLURM_JOB_ID`, `XDG_RUNTIME_DIR` ...
    pub set: String,
    /// Processes that remain after the job has been cancelled; "nothing" if all ended with it.
    pub outlives: String,
}

/// Prints one row for docs/session.md on standard output, which also gets out of a virtual machine.
#[allow(clippy::print_stdout, reason = "xtask's listen.rs reads it")]
pub fn session_row(row: &SessionRow) {
    println!("{row}");
}

impl fmt::Display for SessionRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = json!({
            "suite": self.suite.slurm(),
            "place": self.place.to_string(),
            "pam_systemd": yes_or_no(self.pam_systemd),
            "method": self.method.to_string(),
            "lines": self.lines.to_string(),
            "module": match self.module {
                Module::Ours => "ours",
                Module::SchedMd => "SchedMD's",
            },
            "shell": self.shell,
            "set": self.set,
            "outlives": self.outlives,
        });
        write!(f, "session-row {row}")
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Namespaces => "namespaces",
            Self::Machine => "machine with systemd",
        })
    }
}

const fn yes_or_no(is_so: bool) -> &'static str {
    if is_so { "yes" } else { "no" }
}

/// Lists the names in an environment, as env(1) prints it, that the PAM stack may have set; "nothing" if none.
#[must_use]
pub fn set_in(env: &str) -> String {
    let names = env.lines().filter_map(|line| line.split_once('='));
    let mut names: Vec<&str> = names
        .map(|(name, _)| name)
        .filter(|name| {
            ["SLURM", "XDG_", "DBUS_"]
                .iter()
                .any(|it| name.starts_with(it))
        })
        .collect();
    names.sort_unstable();
    if names.is_empty() {
        return "nothing".into();
    }
    names.join(", ")
}

/// A PAM stack for sshd with the module in those lines, each the last of its kind; `before` precedes its
/// session line.
#[must_use]
pub fn stack(module: Module, lines: Lines, options: &str, before: &str) -> String {
    let path = module.path();
    let without = lab::config::SSHD_STACK
        .lines()
        .filter(|line| !line.contains("pam_slurm_adopt.so"));
    let mut stack: Vec<String> = without.map(str::to_owned).collect();
    if lines != Lines::Session {
        stack.push(format!("account required {path} {options}"));
    }
    stack.extend(before.lines().map(str::to_owned));
    if lines != Lines::Account {
        stack.push(format!("session required {path} {options}"));
    }
    stack.join("\n") + "\n"
}

impl fmt::Display for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Account => "account",
            Self::Session => "session",
            Self::Both => "account, session",
        })
    }
}
