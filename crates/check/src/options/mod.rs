//! The module's options: what is not understood, and what the rest comes to.

mod checks;
mod effects;
mod exempt;
mod places;
mod written;

use std::collections::BTreeSet;

use adopt::options::{self, Options};
use pamconf::{Facility, Item};

use crate::host::{Host, OwnLine, is_for_root};
use crate::options::written::Written;
use crate::{Finding, Notes, Room, Spot};

pub(crate) const ROOM: Room = Room {
    name: "options",
    checks: checks::ALL,
    look,
};

/// A PAM line of the module, as one service reads it.
#[derive(Debug)]
struct Line<'a> {
    /// The service.
    service: &'a str,
    own: &'a OwnLine,
    /// Its arguments.
    arguments: Vec<Written>,
}

/// What the options are set by.
#[derive(Debug, Clone, Copy)]
struct Settings<'a> {
    options: &'a Options,
    file: &'a [Written],
    line: &'a Line<'a>,
}

impl Settings<'_> {
    /// The place of an option: its setting, or the module's name on the line if it has its default.
    fn spot(&self, option: &str) -> Spot {
        let written = written::last(self.file, &self.line.arguments, option);
        let default = || Spot::pam(&self.line.own.line).mark("pam_slurm_adopt");
        written.map_or_else(default, |it| it.spot.clone())
    }

    /// Whether an option is set at all.
    fn is_set(&self, option: &str) -> bool {
        written::last(self.file, &self.line.arguments, option).is_some()
    }
}

fn look(host: &Host, notes: &mut Notes) {
    let options_file = host.options_file();
    let mut file = Vec::new();
    match &options_file.fault {
        None => file = written::of_file(&options_file.text),
        Some(fault) if is_for_root(fault) => notes.unseen(options::FILE, fault.to_string()),
        Some(fault) => {
            let spot = Spot::file(options::FILE);
            notes.find(Finding::of(&checks::IGNORED_FILE, fault.to_string()).at(spot));
        }
    }
    tell(notes, unread_files(host));
    tell(notes, written::misunderstood(&file));
    tell(notes, written::set_twice(&file));
    let services = services(host, notes);
    for service in &services {
        look_at_service(host, service, &file, notes);
    }
    summarize(host, notes);
}

fn look_at_service(host: &Host, service: &str, file: &[Written], notes: &mut Notes) {
    let own = host.own_lines(service);
    let line = |own| Line {
        service,
        own,
        arguments: written::of_line(&own.line),
    };
    let lines: Vec<Line<'_>> = own.iter().map(line).collect();
    for line in &lines {
        tell(notes, written::misunderstood(&line.arguments));
        tell(notes, written::set_twice(&line.arguments));
    }
    let arguments: Vec<&[Written]> = lines.iter().map(|it| it.arguments.as_slice()).collect();
    tell(notes, written::overridden(file, &arguments));
    tell(notes, effects::of_service(host, &lines, file));
    tell(notes, places::of_session_phase(host, &lines, file));
    for settings in deciding(&lines, file) {
        tell(notes, effects::of_actions(host, settings));
        let findings = places::look(host, settings, notes);
        tell(notes, findings);
        let findings = exempt::look(host, settings, notes);
        tell(notes, findings);
    }
}

/// The findings about files whose name is nearly that of the options file.
fn unread_files(host: &Host) -> Vec<Finding> {
    const NAMES: [&str; 6] = [
        "/etc/security/slurm-adopt.conf",
        "/etc/security/slurm_adopt",
        "/etc/security/pam_slurm_adopt.conf",
        "/etc/slurm_adopt.conf",
        "/etc/slurm/slurm_adopt.conf",
        "/etc/slurm/pam_slurm_adopt.conf",
    ];
    if host.tree.link_status(options::FILE).is_ok() {
        return Vec::new();
    }
    let names = NAMES.iter().filter(|it| host.tree.exists(it));
    let finding = |name: &&str| {
        let detail = format!("there is no {}", options::FILE);
        Finding::of(&checks::UNREAD_FILE, detail).at(Spot::file(*name))
    };
    names.map(finding).collect()
}

/// Says the findings at once: what comes later may hang.
fn tell(notes: &mut Notes, findings: Vec<Finding>) {
    findings.into_iter().for_each(|it| notes.find(it));
}

fn summarize(host: &Host, notes: &mut Notes) {
    if host.own_lines("sshd").is_empty() {
        return;
    }
    let options = host.options();
    notes.summary(match options.strict {
        true => "strict".to_owned(),
        false => format!("action_adopt_failure={:?}", options.adopt_failure).to_lowercase(),
    });
}

/// The services that applications may use: not the files that others include, as common-account.
fn services(host: &Host, notes: &mut Notes) -> Vec<String> {
    let all = host.services().unwrap_or_else(|error| {
        notes.unseen("/etc/pam.d", error.to_string());
        Vec::new()
    });
    let mut included = BTreeSet::new();
    for service in &all {
        for line in host.service(service).lines() {
            if let Item::Include { name } | Item::Substack { name } = &line.item {
                let name = String::from_utf8_lossy(name).into_owned();
                included.insert(name.rsplit('/').next().unwrap_or_default().to_owned());
            }
        }
    }
    all.into_iter()
        .filter(|it| !included.contains(it))
        .collect()
}

/// The lines that decide for a service: those of the account stack that act for it, else those of the session stack.
fn deciding<'a>(lines: &'a [Line<'a>], file: &'a [Written]) -> Vec<Settings<'a>> {
    let of = |facility: Facility| {
        let lines = lines
            .iter()
            .filter(move |it| it.own.facility == facility && it.own.options.acts_for(it.service));
        let settings = lines.map(|line| Settings {
            options: &line.own.options,
            file,
            line,
        });
        settings.collect::<Vec<_>>()
    };
    let account = of(Facility::Account);
    match account.is_empty() {
        true => of(Facility::Session),
        false => account,
    }
}
