//! The slurmds of this host, by their processes.

use std::path::Path;

use adopt::node::Node;
use proto::Version;
use proto::version::RELEASES;

use crate::host::processes::Process;
use crate::host::{Host, slurmd};
use crate::running::name_of;
use crate::{Check, Finding, Notes, Severity, Spot};

pub(super) const NOT_RUNNING: Check = Check {
    id: "SA501",
    severity: Severity::Warning,
    title: "no slurmd runs here, although slurm.conf names this node",
    why: "Users with a running job still get in, because slurmstepds outlive slurmd. No new job starts here, and a user \
          who goes on from here to another node cannot be traced to the job. Without slurmd the module also has to guess \
          which slurm.conf and node name count.",
    fix: "Start slurmd (systemctl enable --now slurmd) and look into SlurmdLogFile. On a host that is no compute node, take \
          it out of slurm.conf.",
};

pub(super) const SEVERAL: Check = Check {
    id: "SA502",
    severity: Severity::Failure,
    title: "slurmds of several nodes run here and sshd is not told which counts",
    why: "The module looks for jobs of one node. With several slurmds on a host it takes the first one that slurm.conf has \
          for the host's name: users with jobs only on another one are denied.",
    fix: "Run one sshd for each node, each with its own PAM service and nodename=NAME on the module's lines, or with \
          SLURMD_NODENAME=NAME in its environment.",
};

pub(super) const RELEASE: Check = Check {
    id: "SA503",
    severity: Severity::Warning,
    title: "this release of Slurm is not one that the module knows",
    why: "The module was made for Slurm 19.05 and the releases after it up to its own time. The numbers of requests to \
          slurmstepd have never changed, so that a later release usually works; what changed in it is unknown. An older \
          one does not take logins in.",
    fix: "Update this package, or Slurm if its release is older than 19.05.",
};

pub(super) const REPLACED: Check = Check {
    id: "SA504",
    severity: Severity::Note,
    title: "slurmd's program was replaced, and the old one still runs",
    why: "The package was upgraded without a restart. The old slurmd starts new jobs with the new slurmstepd. Logins work with \
          both, but what slurm -V and the package say is not what runs.",
    fix: "Restart slurmd: systemctl restart slurmd. Running jobs go on.",
};

pub(super) const ELSEWHERE: Check = Check {
    id: "SA505",
    severity: Severity::Warning,
    title: "slurmd runs in a container, and sshd does not",
    why: "This slurmd has another root directory: its spool directory with the slurmstepds' sockets, and its slurm.conf, are \
          not those that sshd's PAM module sees. Unless they are shared, the module finds no jobs here and denies every user.",
    fix: "Run sshd with the module in the same container as slurmd, or share SlurmdSpoolDir and slurm.conf with the host.",
};

pub(super) const STOPPED: Check = Check {
    id: "SA506",
    severity: Severity::Warning,
    title: "slurmd does not answer",
    why: "Users with a running job still get in. No new job starts here, slurmctld sets the node DOWN after SlurmdTimeout, and \
          a user who goes on from here to another node cannot be traced to the job: such a login waits there until \
          callerid_timeout.",
    fix: "If it is stopped, run kill -CONT PID; else restart it: systemctl restart slurmd. Running jobs go on.",
};

/// A slurmd.
#[derive(Debug, Clone)]
pub(super) struct Slurmd {
    pid: i32,
    /// The name given with `-N`.
    node_name: Option<String>,
    arguments: Vec<String>,
    program: String,
    is_stopped: bool,
}

/// The slurmds of this host.
#[derive(Debug, Default)]
pub(super) struct Slurmds {
    /// Those with our root directory, without duplicates.
    own: Vec<Slurmd>,
    /// The pid of one in a container.
    elsewhere: Option<i32>,
    /// The release of the first one, such as `24.11.5`.
    release: Option<String>,
}

impl Slurmds {
    pub(super) fn find(host: &Host) -> Self {
        let mut found = Self::default();
        for slurmd in slurmd::running(host) {
            let process = slurmd.process;
            match slurmd.has_our_root {
                // A forking slurmd briefly appears twice.
                true if found.own.iter().any(|it| it.arguments == process.arguments) => {}
                true => found.own.push(Slurmd::of(process)),
                false => found.elsewhere = Some(process.pid),
            }
        }
        if !found.own.is_empty() {
            found.release = host.slurmd_version().and_then(release_in);
        }
        found
    }

    /// The protocol version of the first slurmd's release.
    pub(super) fn version(&self) -> Option<Version> {
        let known = RELEASES.iter();
        let release = self.release.as_deref()?;
        let mut known = known.filter(|it| is_of(release, it.name));
        known.next().map(|it| it.version)
    }

    /// Whether there is just one and it is not stopped, so that its port can be asked.
    pub(super) fn may_be_asked(&self) -> bool {
        matches!(&self.own[..], [slurmd] if !slurmd.is_stopped)
    }

    /// Slurm's client program with this name: beside slurmd if it has a directory of its own, such as /opt/slurm.
    pub(super) fn client(&self, host: &Host, name: &str) -> String {
        let prefix = self
            .own
            .first()
            .and_then(|it| Path::new(&it.program).parent()?.parent());
        let beside = prefix.map(|it| it.join("bin").join(name));
        let beside = beside.filter(|it| it.is_absolute() && host.tree.exists(it));
        beside.map_or_else(|| name.to_owned(), |it| it.to_string_lossy().into_owned())
    }

    pub(super) fn judge(&self, host: &Host, notes: &mut Notes) {
        let node = host.node().and_then(|it| it.as_ref().ok());
        let is_named = node.is_some_and(|it| it.is_named);
        match (self.own.is_empty(), self.elsewhere) {
            (false, _) => self.judge_own(host, notes),
            (true, Some(pid)) => notes.find(Finding::of(
                &ELSEWHERE,
                format!("slurmd (pid {pid}) has another root directory"),
            )),
            (true, None) if is_named => {
                let (name, path) = node.map_or(("", Path::new("")), |it| (name_of(it), &it.path));
                let detail = format!("{} names node {name}", path.display());
                notes.find(Finding::of(&NOT_RUNNING, detail));
            }
            (true, None) => {}
        }
        if let Some(node) = node.filter(|_| self.own.len() > 1) {
            self.judge_several(host, node, notes);
        }
    }

    fn judge_own(&self, host: &Host, notes: &mut Notes) {
        match &self.release {
            Some(release) => {
                notes.summary(format!("slurmd {release}"));
                if self.version().is_none() {
                    let (first, last) = (RELEASES.first(), RELEASES.last());
                    let name = |it: Option<&proto::version::Release>| it.map_or("", |it| it.name);
                    let (first, last) = (name(first), name(last));
                    let detail = format!("slurmd -V: {release}; known: {first} to {last}");
                    notes.find(Finding::of(&RELEASE, detail));
                }
            }
            None => notes.unseen("slurmd's release", "slurmd -V does not tell it"),
        }
        for slurmd in &self.own {
            let pid = slurmd.pid;
            if slurmd.is_stopped {
                let detail = format!("slurmd (pid {pid}) is stopped");
                notes.find(Finding::of(&STOPPED, detail));
            }
            let Some(path) = slurmd.program.strip_suffix(" (deleted)") else {
                continue;
            };
            let what = match host.tree.exists(path) {
                true => "was replaced",
                false => "was removed",
            };
            let detail = format!("slurmd (pid {pid}) runs from a file that {what}");
            notes.find(Finding::of(&REPLACED, detail).at(Spot::file(path)));
        }
    }

    fn judge_several(&self, host: &Host, node: &Node, notes: &mut Notes) {
        let of_host = node.of_host.as_deref();
        let mut names: Vec<_> = self.own.iter().map(|it| it.node_name.as_deref()).collect();
        names.iter_mut().for_each(|it| *it = it.or(of_host));
        names.sort_unstable();
        names.dedup();
        if names.len() < 2 || host.options().node_name.is_some() || is_sshd_told(host) {
            return;
        }
        let names: Vec<_> = names
            .into_iter()
            .map(|it| it.unwrap_or("a node without -N"))
            .collect();
        let detail = format!(
            "slurmds run as {}; logins find only the jobs of {}",
            names.join(" and "),
            name_of(node),
        );
        notes.find(Finding::of(&SEVERAL, detail));
    }
}

impl Slurmd {
    fn of(process: &Process) -> Self {
        let stat = procfs::process::Process::new(process.pid).and_then(|it| it.stat());
        let program = process.program.as_ref();
        Self {
            pid: process.pid,
            node_name: node_name(&process.arguments),
            arguments: process.arguments.clone(),
            program: program.map_or(String::new(), |it| it.to_string_lossy().into_owned()),
            is_stopped: stat.is_ok_and(|it| matches!(it.state, 'T' | 't')),
        }
    }
}

/// The value of `-N`, joined or as the next word.
fn node_name(arguments: &[String]) -> Option<String> {
    let mut words = arguments.iter().skip(1);
    while let Some(word) = words.next() {
        match word.strip_prefix("-N") {
            Some("") => return words.next().cloned(),
            Some(joined) => return Some(joined.to_owned()),
            None => {}
        }
    }
    None
}

/// Whether an sshd was given SLURMD_NODENAME.
fn is_sshd_told(host: &Host) -> bool {
    let is_told = |process: &Process| {
        let environ = host.tree.read(format!("/proc/{}/environ", process.pid));
        let environ = environ.unwrap_or_default();
        let mut words = environ.split(|byte| *byte == 0);
        words.any(|it| it.starts_with(b"SLURMD_NODENAME="))
    };
    let sshds = host.processes().iter();
    let mut sshds = sshds.filter(|it| it.uid == 0 && it.program_name() == "sshd");
    sshds.any(is_told)
}

/// The release in the output of `slurmd -V`: `slurm 26.05.3` or `slurm-wlm 20.11.4`.
fn release_in(text: &str) -> Option<String> {
    let mut words = text.split_whitespace();
    let is_release = |it: &&str| {
        let mut parts = it
            .split('.')
            .map(|it| it.len() == 2 && it.bytes().all(|it| it.is_ascii_digit()));
        parts.next() == Some(true) && parts.next() == Some(true)
    };
    let release = words.find(is_release)?;
    Some(release.escape_default().to_string())
}

/// Whether `24.11.5` is of `24.11`.
fn is_of(release: &str, name: &str) -> bool {
    let rest = release.strip_prefix(name);
    rest.is_some_and(|it| it.is_empty() || it.starts_with(['.', '-']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_release_is_read_from_what_slurmd_prints() {
        for (text, release, version) in [
            (
                "slurm-wlm 20.11.4\n",
                Some("20.11.4"),
                Some(Version::V20_11),
            ),
            ("slurm 26.05.3\n", Some("26.05.3"), Some(Version::V26_05)),
            (
                "slurm 25.11.0-0rc1\n",
                Some("25.11.0-0rc1"),
                Some(Version::V25_11),
            ),
            ("slurm 18.08.9\n", Some("18.08.9"), None),
            ("slurm 31.05.0\n", Some("31.05.0"), None),
            ("slurmd: error: no such file\n", None, None),
            ("", None, None),
        ] {
            let slurmds = Slurmds {
                release: release_in(text),
                ..Slurmds::default()
            };
            assert_eq!(slurmds.release.as_deref(), release, "{text}");
            assert_eq!(slurmds.version(), version, "{text}");
        }
    }

    #[test]
    fn the_node_name_that_a_slurmd_was_given() {
        for (line, name) in [
            ("slurmd", None),
            ("slurmd -N n1 -D", Some("n1")),
            ("slurmd -D -Nn1", Some("n1")),
            ("slurmd -N", None),
        ] {
            let words: Vec<_> = line.split(' ').map(str::to_owned).collect();
            assert_eq!(node_name(&words).as_deref(), name, "{line}");
        }
    }
}
