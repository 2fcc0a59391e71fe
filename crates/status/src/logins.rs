//! Finds logins among the processes.
//!
//! A login is recognized by its parent: a process of root with the name of a program that lets users in. A user can
//! give a process of theirs any name, but cannot make it root's.

use std::collections::HashMap;

use crate::model::Kind;
use crate::place::Place;
use crate::processes::Process;

/// The names of sshd's processes; since OpenSSH 9.8 a connection has its own program.
const SSHDS: [&str; 2] = ["sshd", "sshd-session"];
/// Programs that run one command or a shell as another user: a login if there is a terminal.
const SWITCHES: [&str; 3] = ["su", "sudo", "runuser"];
/// Other programs that let users in, as the kernel has their names, and as they are shown.
const PROGRAMS: [(&str, &str); 6] = [
    ("login", "login"),
    ("cron", "cron"),
    ("crond", "cron"),
    ("atd", "at"),
    ("cockpit-session", "cockpit"),
    ("xrdp-sesman", "xrdp"),
];

/// A login, by its processes.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub uid: u32,
    pub kind: Kind,
    pub tty: Option<String>,
    /// Its first process.
    pub pid: i32,
    /// Its start, in seconds since 1970.
    pub started: i64,
    pub place: Place,
    /// For ssh: root's process that holds the connection, and the user's below it.
    pub sshd: Option<(i32, i32)>,
}

/// The logins of these users.
pub(crate) fn find(processes: &[Process], is_shown: &dyn Fn(u32) -> bool) -> Vec<Found> {
    let tree = Tree::of(processes);
    let users = processes.iter().filter(|it| is_shown(it.uid));
    let mut found: Vec<Found> = Vec::new();
    for process in users {
        let Some(parent) = tree.by_pid.get(&process.parent) else {
            continue;
        };
        if parent.effective_uid != 0 {
            continue;
        }
        // The user starts su, and its real uid stays the user's.
        if parent.uid == 0 && is_sshd(parent) && is_sshd(process) {
            found.extend(tree.sessions(parent, process));
        } else if let Some(program) = program(parent, process) {
            found.push(Found {
                kind: Kind::Program(program),
                ..Found::of(process)
            });
        }
    }
    found.sort_by_key(|it| (it.started, it.pid));
    found
}

fn is_sshd(process: &Process) -> bool {
    SSHDS.contains(&process.name.as_str())
}

/// The program other than sshd by which a process of a user's was let in by its parent.
fn program(parent: &Process, process: &Process) -> Option<&'static str> {
    let mut switches = SWITCHES.into_iter();
    if let Some(switch) = switches.find(|it| *it == parent.name) {
        return (process.tty.is_some() && parent.uid != process.uid).then_some(switch);
    }
    let mut programs = PROGRAMS.into_iter();
    let known = programs.find(|(name, _)| *name == parent.name && parent.uid == 0);
    known.map(|(_, shown)| shown)
}

/// The processes by their pids and by their parents.
pub(crate) struct Tree<'a> {
    pub by_pid: HashMap<i32, &'a Process>,
    children: HashMap<i32, Vec<&'a Process>>,
}

impl<'a> Tree<'a> {
    pub fn of(processes: &'a [Process]) -> Self {
        let mut children: HashMap<i32, Vec<&Process>> = HashMap::new();
        for process in processes {
            children.entry(process.parent).or_default().push(process);
        }
        Self {
            by_pid: processes.iter().map(|it| (it.pid, it)).collect(),
            children,
        }
    }

    pub fn children(&self, pid: i32) -> &[&'a Process] {
        self.children.get(&pid).map_or(&[], Vec::as_slice)
    }

    /// The sessions of a connection, or the connection itself if it has none.
    fn sessions(&self, monitor: &Process, connection: &Process) -> Vec<Found> {
        let sshd = Some((monitor.pid, connection.pid));
        let sessions = self.children(connection.pid).iter();
        let sessions: Vec<_> = sessions
            .filter_map(|it| {
                let kind = kind_of_session(it)?;
                Some(Found {
                    kind,
                    sshd,
                    ..Found::of(it)
                })
            })
            .collect();
        match sessions.is_empty() {
            false => sessions,
            true => vec![Found {
                kind: Kind::Forwarding,
                sshd,
                ..Found::of(connection)
            }],
        }
    }
}

impl Found {
    fn of(process: &Process) -> Self {
        Self {
            uid: process.uid,
            kind: Kind::Command,
            tty: process.tty.clone(),
            pid: process.pid,
            started: process.started,
            place: process.place.clone(),
            sshd: None,
        }
    }
}

/// The kind of a session by its first process; None while sshd has not started its program yet.
fn kind_of_session(process: &Process) -> Option<Kind> {
    let mut arguments = process.arguments.iter().map(String::as_str);
    let program = arguments.next().unwrap_or_default();
    if is_sshd(process) {
        return program.contains("internal-sftp").then_some(Kind::Sftp);
    }
    // login(1): a login shell's name begins with a dash.
    if program.starts_with('-') {
        return Some(Kind::Shell);
    }
    // sshd has the user's shell run the command; some shells replace themselves by it, others wait for it.
    let command = match (arguments.next(), arguments.next()) {
        (Some("-c"), Some(command)) => command.split_whitespace().next().unwrap_or_default(),
        _ => program,
    };
    Some(match command.rsplit('/').next().unwrap_or_default() {
        "sftp-server" => Kind::Sftp,
        "scp" => Kind::Scp,
        "rsync" => Kind::Rsync,
        _ => Kind::Command,
    })
}

#[cfg(test)]
mod tests;
