//! Programs beside sshd that let users log in: those that run; in a tree those that systemd starts.

use crate::host::Host;
use crate::host::processes::Process;
use crate::host::unit::{Unit, is_enabled};
use crate::{Check, Finding, Notes, Severity, Spot};

pub(super) const OTHER_SERVER: Check = Check {
    id: "SA360",
    severity: Severity::Warning,
    title: "another program than sshd lets users log in",
    why: "It asks no PAM stack, or one of its own, and starts shells that are in no job: what the module decides for \
          sshd does not count there.",
    fix: "Stop it, or bind it to a network that users do not reach.",
};

pub(super) const IN_CONTAINER: Check = Check {
    id: "SA361",
    severity: Severity::Note,
    title: "an sshd runs in a container",
    why: "It has its own configuration and PAM stack, which are not looked at here. A login there is where the \
          container is, with a job or without.",
    fix: "Run slurm-adopt check --root on the container's tree if users log in there.",
};

/// Servers, and what they ask.
const SERVERS: [(&str, &str); 8] = [
    (
        "dropbear",
        "dropbear, which asks PAM only if it was built so",
    ),
    ("telnetd", "telnetd"),
    ("in.telnetd", "telnetd"),
    ("in.rshd", "rshd"),
    ("in.rlogind", "rlogind"),
    ("in.rexecd", "rexecd"),
    ("tinysshd", "tinysshd, which asks no PAM"),
    (
        "teleport",
        "teleport, which asks PAM only if its configuration says so",
    ),
];

/// Units that start one of them, and its program.
const UNITS: [(&str, &str); 9] = [
    ("dropbear.service", "dropbear"),
    ("dropbear.socket", "dropbear"),
    ("telnet.socket", "telnetd"),
    ("telnetd.socket", "telnetd"),
    ("rsh.socket", "in.rshd"),
    ("rlogin.socket", "in.rlogind"),
    ("rexec.socket", "in.rexecd"),
    ("tinysshd.socket", "tinysshd"),
    ("teleport.service", "teleport"),
];

pub(super) fn look(host: &Host, notes: &mut Notes) {
    if !host.is_live() {
        return enabled(host, notes);
    }
    for process in host.processes() {
        if let Some(what) = other_server(process) {
            let detail = format!("{what}, runs as root (pid {})", process.pid);
            notes.find(Finding::of(&OTHER_SERVER, detail));
        }
    }
    tailscale(host, notes);
    containers(host, notes);
}

/// Servers that a tree starts at boot.
fn enabled(host: &Host, notes: &mut Notes) {
    let is_on = |unit: &&str| {
        let read = Unit::read(&host.tree, &[unit]);
        is_enabled(&host.tree, unit) && read.exists && !read.is_masked
    };
    for (unit, program) in UNITS.iter().filter(|(unit, _)| is_on(unit)) {
        let server = SERVERS.iter().find(|(name, _)| name == program);
        let what = server.map_or(*program, |(_, what)| what);
        let finding = Finding::of(&OTHER_SERVER, format!("{unit} is enabled: {what}"));
        let place = Unit::read(&host.tree, &[unit]).settings.into_iter().next();
        notes.find(match place {
            Some(setting) => finding.at(Spot::file(setting.spot.file)),
            None => finding,
        });
    }
}

/// The server that a process of root's is.
fn other_server(process: &Process) -> Option<&'static str> {
    let is_it = |name: &str| process.program_name() == name || process.name == name;
    let found = SERVERS.iter().find(|(name, _)| is_it(name));
    found.filter(|_| process.uid == 0).map(|(_, what)| *what)
}

/// `tailscale set --ssh`: tailscaled then starts shells itself.
fn tailscale(host: &Host, notes: &mut Notes) {
    if !host
        .processes()
        .iter()
        .any(|it| it.program_name() == "tailscaled")
    {
        return;
    }
    match host.run("tailscale", &["debug", "prefs"]) {
        Ok(printed) if printed.is_success() => {
            let is_on = printed
                .out
                .lines()
                .any(|it| it.trim().starts_with("\"RunSSH\": true"));
            if is_on {
                let detail = "tailscaled lets users in by ssh without sshd and PAM";
                let finding = Finding::of(&OTHER_SERVER, detail);
                notes.find(finding.fix("tailscale set --ssh=false"));
            }
        }
        Ok(printed) => notes.unseen("tailscale debug prefs", printed.errors.trim()),
        Err(error) => notes.unseen("tailscale debug prefs", error.to_string()),
    }
}

fn containers(host: &Host, notes: &mut Notes) {
    let own = std::fs::read_link("/proc/self/ns/pid").ok();
    let is_elsewhere = |pid: i32| {
        let namespace = std::fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
        namespace.is_some() && own.is_some() && namespace != own
    };
    let listeners = host.processes().iter().filter(|it| {
        let is_listener = it
            .arguments
            .first()
            .is_some_and(|it| it.contains("[listener]"));
        it.program_name().starts_with("sshd") && is_listener && is_elsewhere(it.pid)
    });
    for process in listeners {
        let detail = format!("pid {} of uid {}", process.pid, process.uid);
        notes.find(Finding::of(&IN_CONTAINER, detail));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_of_root_are_found() {
        for (program, uid, expected) in [
            ("/usr/sbin/dropbear", 0, true),
            ("/usr/sbin/dropbear", 2001, false),
            ("/usr/sbin/in.telnetd", 0, true),
            ("/usr/sbin/sshd", 0, false),
        ] {
            let process = Process {
                pid: 1,
                uid,
                name: "x".to_owned(),
                program: Some(program.into()),
                arguments: Vec::new(),
            };
            assert_eq!(
                other_server(&process).is_some(),
                expected,
                "{program} {uid}"
            );
        }
    }
}
