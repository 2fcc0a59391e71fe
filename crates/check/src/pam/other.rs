//! The stacks of other services: ways out of a job, and in without one.

use std::collections::BTreeSet;
use std::path::PathBuf;

use pamconf::{Code, Facility, Item};

use crate::host::Host;
use crate::host::unit::is_enabled;
use crate::pam::bypass::Denial;
use crate::pam::modules::ModuleDirs;
use crate::pam::person::Person;
use crate::pam::stack::Stack;
use crate::pam::{bypass, elsewhere, names_us, pair, ways_out};
use crate::{Check, Finding, Notes, Room, Severity, Spot};

pub(crate) const ROOM: Room = Room {
    name: "pam/other",
    checks: &[&SU, &SUDO, &BY_NETWORK, &NO_EFFECT],
    look,
};

const SU: Check = Check {
    id: "SA270",
    severity: Severity::Warning,
    title: "su takes users out of their job",
    why: "su opens a session of its own, which pam_systemd moves into a session scope: a user in \
          a job who runs su, to another account or with their own password to their own, is out \
          of the job and its limits. See docs/session.md.",
    fix: "Add at the end of /etc/pam.d/su, and of su-l if it is a file of its own: session \
          required pam_slurm_adopt.so service=su,su-l",
};

const SUDO: Check = Check {
    id: "SA271",
    severity: Severity::Note,
    title: "sudo takes commands out of the job",
    why: "sudo opens a session of its own, which pam_systemd moves into a session scope: what \
          users of a job may run by sudo runs outside of the job. That matters if sudoers lets \
          ordinary users run anything.",
    fix: "If it does, add at the end of that file: session required pam_slurm_adopt.so \
          service=sudo,sudo-i. It puts back sessions of the job's own user, not sudo -i to another.",
};

const BY_NETWORK: Check = Check {
    id: "SA273",
    severity: Severity::Failure,
    title: "users get in by another service, without a job",
    why: "The service is enabled, opens sessions for users over the network, and its account \
          stack does not call the module: users without a job here work on the node all the same.",
    fix: "Disable the service, or add both of the module's lines to its file with \
          service=sshd,NAME.",
};

const NO_EFFECT: Check = Check {
    id: "SA274",
    severity: Severity::Warning,
    title: "the module's line does nothing for this service",
    why: "The module acts only for the PAM services that service= lists, by their exact names \
          (default: sshd), and ignores all others.",
    fix: "Add service=NAME with the service's name, or remove the line.",
};

/// Services over the network that start a shell or a desktop, and the units that enable them.
const BY_NETWORK_SERVICES: [(&str, &[&str]); 9] = [
    ("cockpit", &["cockpit.socket", "cockpit.service"]),
    ("xrdp-sesman", &["xrdp-sesman.service", "xrdp.service"]),
    ("rstudio", &["rstudio-server.service"]),
    ("dcv", &["dcvserver.service"]),
    ("nx", &["nxserver.service"]),
    ("remote", &["telnet.socket"]),
    ("rlogin", &["rlogin.socket"]),
    ("rsh", &["rsh.socket"]),
    ("rexec", &["rexec.socket"]),
];

fn look(host: &Host, notes: &mut Notes) {
    let ssh = host.ssh_services();
    let is_ours = |name: &String| {
        let lines = pair::acting(host, name, Facility::Account);
        !lines.is_empty()
    };
    // Where the module does not decide about ssh, nothing else matters.
    if !ssh.iter().any(is_ours) {
        return;
    }
    let dirs = ModuleDirs::of(host);
    for (name, check) in [
        ("su", &SU),
        ("su-l", &SU),
        ("sudo", &SUDO),
        ("sudo-i", &SUDO),
    ] {
        leaves(host, &dirs, name, check, notes);
    }
    for (name, units) in BY_NETWORK_SERVICES {
        if let Some(unit) = units.iter().find(|it| is_enabled(&host.tree, it)) {
            lets_in(host, &dirs, name, unit, notes);
        }
    }
    no_effect(host, notes);
    notes.summary("su, sudo and services over the network");
}

/// A service whose session leaves the job.
fn leaves(host: &Host, dirs: &ModuleDirs, name: &str, check: &'static Check, notes: &mut Notes) {
    if !elsewhere::has_file(host, name) {
        return;
    }
    let stack = Stack::of(host, dirs, name, Facility::Session);
    // It opens no session at all.
    if !stack.is_usable() {
        return;
    }
    let Some(mover) = ways_out::movers(&stack).last().copied() else {
        return;
    };
    let own = stack.own();
    let is_put_back = own.iter().any(|it| *it > mover)
        && bypass::passed(&stack, &own, Code::SESSION_ERR)
            .is_some_and(|it| !it.iter().any(|it| Person::USERS.contains(&it.person)));
    if is_put_back {
        return;
    }
    let module = stack.call(mover).map_or("it", |it| it.name.as_str());
    let why = match own.is_empty() {
        true => "and no line of pam_slurm_adopt acts for it",
        false => "and pam_slurm_adopt's line does not put the session back after it",
    };
    let detail = format!("{name} calls {module}, {why}");
    let finding = Finding::of(check, detail).at(own_spot(&stack, mover, module));
    let mut ssh = host.ssh_services().into_iter();
    notes.find(match ssh.all(|it| pair::has_session_phase(host, dirs, &it)) {
        true => elsewhere::with_copy(host, name, finding),
        false => finding.fix(format!(
            "Take {module} out of the session stack of {name}: SchedMD's module has no session phase."
        )),
    });
}

/// The line of the service's own file that brings a module.
fn own_spot(stack: &Stack<'_>, entry: usize, module: &str) -> Spot {
    let index = stack.handler(entry).map_or(0, |it| it.line);
    let lines = stack.read.lines().get(..=index).unwrap_or_default();
    let Some(line) = lines.iter().rfind(|it| it.depth == 0) else {
        return stack.spot(entry);
    };
    let included = match &line.item {
        Item::Include { name } | Item::Substack { name } => String::from_utf8_lossy(name),
        _ => module.into(),
    };
    Spot::pam(line).mark(&included)
}

/// A service over the network.
fn lets_in(host: &Host, dirs: &ModuleDirs, name: &str, unit: &str, notes: &mut Notes) {
    if !elsewhere::has_file(host, name) {
        return;
    }
    let stack = Stack::of(host, dirs, name, Facility::Account);
    let own = stack.own();
    let denial = Denial {
        stack: &stack,
        ours: &own,
        passed: &[],
        code: Code::PERM_DENIED,
    };
    let is_held = !own.is_empty() && Person::USERS.iter().all(|it| denial.binds(*it));
    if is_held || !stack.is_usable() {
        return;
    }
    let detail = format!("{unit} is enabled, and its account stack does not call pam_slurm_adopt");
    let first = own_file(&stack, name);
    notes.find(Finding::of(&BY_NETWORK, detail).at(Spot::file(first)));
}

/// The service's own file.
fn own_file(stack: &Stack<'_>, name: &str) -> String {
    let files = elsewhere::files(&stack.read);
    let own = files
        .into_iter()
        .find(|it| it.ends_with(&format!("/{name}")));
    own.unwrap_or(format!("/etc/pam.d/{name}"))
}

/// Lines of ours in the own files of other services that do not act for them.
fn no_effect(host: &Host, notes: &mut Notes) {
    let ssh = host.ssh_services();
    let names = host.tree.names("/etc/pam.d").unwrap_or_default();
    let has_line = |name: &&String| {
        let text = host.tree.read(format!("/etc/pam.d/{name}"));
        text.is_ok_and(|it| names_us(&it))
    };
    let with_lines: Vec<&String> = names.iter().take(500).filter(has_line).collect();
    if with_lines.iter().all(|it| ssh.contains(it)) {
        return;
    }
    let included = included(host);
    let real = |name: &str| host.tree.resolve(format!("/etc/pam.d/{name}")).ok();
    let of_ssh: BTreeSet<PathBuf> = ssh.iter().filter_map(|it| real(it)).collect();
    // The file of sshd itself may be a link to another name.
    let is_sshs = |name: &str| real(name).is_some_and(|it| of_ssh.contains(&it));
    let is_no_service = |name: &str| name.contains(['~', '.']) || name == "other";
    for name in with_lines {
        if is_sshs(name) || included.contains(name.as_str()) || is_no_service(name) {
            continue;
        }
        for own in host.own_lines(name) {
            if own.line.depth > 0 || own.options.acts_for(name) {
                continue;
            }
            let mut words = own.line.text.split(u8::is_ascii_whitespace);
            let service = words.find(|it| it.starts_with(b"service="));
            let mark = service.unwrap_or(b"pam_slurm_adopt");
            let mark = String::from_utf8_lossy(mark).into_owned();
            let detail = format!("service={} does not name {name}", own.options.service);
            notes.find(Finding::of(&NO_EFFECT, detail).at(Spot::pam(&own.line).mark(&mark)));
        }
    }
}

/// The names that files include: those are no services.
fn included(host: &Host) -> BTreeSet<String> {
    let mut included = BTreeSet::new();
    let dirs = host.layout().dirs;
    let names = dirs
        .iter()
        .flat_map(|it| host.tree.names(it).unwrap_or_default());
    for name in names.take(500) {
        for line in host.service(&name).lines() {
            if let Item::Include { name } | Item::Substack { name } = &line.item {
                included.insert(String::from_utf8_lossy(name).into_owned());
            }
        }
    }
    // SUSE's common-account is a link to common-account-pc, RHEL 7's password-auth one to password-auth-ac.
    let target = |name: &String| {
        let path = host.tree.resolve(format!("/etc/pam.d/{name}")).ok()?;
        Some(path.file_name()?.to_string_lossy().into_owned())
    };
    let targets: Vec<String> = included.iter().filter_map(target).collect();
    included.extend(targets);
    included
}
