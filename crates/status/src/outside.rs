//! What of users runs outside any job.

use std::collections::{BTreeMap, HashSet};

use adopt::exempt::{self, Exemption};
use adopt::log::Log;
use adopt::login::{Account as LoginAccount, Login as Question};
use adopt::options::{Exempt, LogLevel};
use check::host::Nowhere;
use jiff::Timestamp;
use sys::Deadline;

use crate::logins::{Found, Tree};
use crate::model::{Kind, Login, Outsider};
use crate::peers::Peers;
use crate::place::Place;
use crate::processes::Process;
use crate::users::Names;

/// A user outside any job, before it has a name.
#[derive(Debug, Default)]
pub(crate) struct Outside {
    pub uid: u32,
    logins: Vec<Found>,
    has_manager: bool,
    programs: BTreeMap<String, usize>,
    /// In seconds since 1970.
    since: Option<i64>,
}

/// The users with processes outside any job, by their uids.
pub(crate) fn list(
    processes: &[Process],
    logins: &[Found],
    is_shown: &dyn Fn(u32) -> bool,
) -> Vec<Outside> {
    let is_outside = |place: &Place| matches!(place, Place::Outside(_));
    let logins: Vec<_> = logins.iter().filter(|it| is_outside(&it.place)).collect();
    let told = processes_of(processes, &logins);
    let mut users: BTreeMap<u32, Outside> = BTreeMap::new();
    let mut user = |uid: u32, change: &dyn Fn(&mut Outside)| {
        let user = users.entry(uid).or_insert_with(|| Outside {
            uid,
            ..Outside::default()
        });
        change(user);
    };
    for login in &logins {
        user(login.uid, &|it| it.logins.push((*login).clone()));
    }
    let rest = processes
        .iter()
        .filter(|it| is_shown(it.uid) && is_outside(&it.place) && !told.contains(&it.pid));
    for process in rest {
        user(process.uid, &|it| it.add(process));
    }
    users.into_values().collect()
}

/// The processes of these logins: they need no mention of their own.
fn processes_of(processes: &[Process], logins: &[&Found]) -> HashSet<i32> {
    let tree = Tree::of(processes);
    let connections = logins.iter().filter_map(|it| it.sshd);
    let mut told: HashSet<i32> = connections.map(|(_, users)| users).collect();
    let mut open: Vec<i32> = logins.iter().map(|it| it.pid).collect();
    while let Some(pid) = open.pop() {
        // A pid that was used again could close a circle.
        if told.insert(pid) || logins.iter().any(|it| it.pid == pid) {
            let children = tree.children(pid).iter();
            open.extend(children.map(|it| it.pid).filter(|it| !told.contains(it)));
        }
    }
    told
}

impl Outside {
    fn add(&mut self, process: &Process) {
        // The manager's process and its helper.
        let is_manager = process.name == "systemd" || process.name == "(sd-pam)";
        if is_manager && process.cgroups.contains("/user@") {
            self.has_manager = true;
            return;
        }
        *self.programs.entry(process.name.clone()).or_default() += 1;
        let since = self.since.unwrap_or(process.started);
        self.since = Some(since.min(process.started));
    }

    /// The user with its name, and whether it is exempt.
    pub fn named(
        &self,
        names: &Names,
        peers: &Peers,
        exempt: &Exempt,
        deadline: &Deadline,
    ) -> Outsider {
        let user = names.account(self.uid);
        let exempt = exemption(&user.name, self.uid, exempt, deadline);
        let since = self.since.and_then(|it| Timestamp::from_second(it).ok());
        let programs = self.programs.iter();
        Outsider {
            user,
            exempt,
            logins: self
                .logins
                .iter()
                .map(|it| it.named(names, peers))
                .collect(),
            has_manager: self.has_manager,
            programs: programs
                .map(|(name, count)| (name.clone(), *count))
                .collect(),
            since,
        }
    }
}

/// Why a user may be here without a job.
fn exemption(name: &str, uid: u32, exempt: &Exempt, deadline: &Deadline) -> Option<String> {
    let login = Question {
        service: Ok("sshd".to_owned()),
        user: name.to_owned(),
        account: LoginAccount::Known { uid },
        pid: std::process::id(),
    };
    let log = Log::new(&Nowhere, LogLevel::Error);
    let found = exempt::find(exempt, &login, deadline, log)?;
    Some(match found {
        Exemption::Group(name) => name,
        Exemption::User => "exempt_users".to_owned(),
        Exemption::Uid { .. } => "exempt_uid_below".to_owned(),
        Exemption::Recorded => return None,
    })
}

impl Found {
    /// The login with its user's name and its address.
    pub fn named(&self, names: &Names, peers: &Peers) -> Login {
        let step = match &self.place {
            Place::Job { step, .. } => Some(step.clone()),
            Place::UnknownJob | Place::Outside(_) => None,
        };
        Login {
            user: names.account(self.uid),
            kind: self.kind,
            tty: self.tty.clone(),
            from: match self.kind {
                Kind::Program(_) => None,
                _ => peers.of_login(self),
            },
            since: Timestamp::from_second(self.started).unwrap_or_default(),
            pid: self.pid,
            job: self.place.job(),
            step,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logins;

    fn process(pid: i32, parent: i32, uid: u32, name: &str, path: &str) -> Process {
        let place = match path.strip_prefix("job ") {
            Some(job) => Place::Job {
                job: job.parse().expect("a number"),
                step: "extern".to_owned(),
            },
            None => Place::Outside(path.to_owned()),
        };
        Process {
            pid,
            parent,
            uid,
            effective_uid: uid,
            name: name.to_owned(),
            arguments: vec![name.to_owned()],
            tty: None,
            started: i64::from(pid),
            place,
            cgroups: format!("0::{path}\n"),
        }
    }

    /// A line for each user.
    fn shown(processes: &[Process]) -> Vec<String> {
        let is_shown = |uid: u32| uid >= 1000;
        let logins = logins::find(processes, &is_shown);
        let list = list(processes, &logins, &is_shown);
        let line = |it: &Outside| {
            let logins: Vec<_> = it.logins.iter().map(|it| it.pid).collect();
            let manager = if it.has_manager { " manager" } else { "" };
            format!("{} {logins:?} {:?}{manager}", it.uid, it.programs)
        };
        list.iter().map(line).collect()
    }

    #[test]
    fn a_login_outside_tells_of_its_processes() {
        let processes = [
            process(10, 1, 0, "sshd", "/system.slice/ssh.service"),
            process(11, 10, 2001, "sshd", "/user.slice"),
            process(12, 11, 2001, "bash", "/user.slice"),
            process(13, 12, 2001, "make", "/user.slice"),
            // Left behind by another login.
            process(14, 1, 2001, "python3", "/user.slice"),
            process(15, 1, 2002, "cat", "job 7"),
        ];
        assert_eq!(shown(&processes), [r#"2001 [12] {"python3": 1}"#]);
    }

    #[test]
    fn what_a_login_in_a_job_has_outside_is_told() {
        let processes = [
            process(10, 1, 0, "sshd", "job 7"),
            process(11, 10, 2001, "sshd", "job 7"),
            process(12, 11, 2001, "bash", "job 7"),
            process(13, 12, 2001, "make", "/elsewhere"),
            process(14, 12, 2001, "make", "/elsewhere"),
        ];
        assert_eq!(shown(&processes), [r#"2001 [] {"make": 2}"#]);
    }

    #[test]
    fn a_user_manager_is_told_by_its_cgroup() {
        let manager = "/user.slice/user-2001.slice/user@2001.service";
        let processes = [
            process(10, 1, 2001, "systemd", &format!("{manager}/init.scope")),
            process(11, 10, 2001, "(sd-pam)", &format!("{manager}/init.scope")),
            process(12, 10, 2001, "podman", &format!("{manager}/app.slice/x")),
            process(13, 1, 2002, "systemd", "/user.slice"),
            process(14, 1, 33, "apache2", "/system.slice"),
        ];
        assert_eq!(
            shown(&processes),
            [
                r#"2001 [] {"podman": 1} manager"#,
                r#"2002 [] {"systemd": 1}"#
            ]
        );
    }
}
