//! The files of sshd's configuration.

use std::io;
use std::os::unix::fs::MetadataExt as _;

use crate::host::Host;
use crate::host::sshd::config::{Config, Reader, Setting};
use crate::host::sshd::daemon::{Sshd, directory};
use crate::host::tree::is_absent;
use crate::sshd::Daemon;
use crate::{Check, Finding, Notes, Severity, Spot};

pub(super) const MISSING: Check = Check {
    id: "SA304",
    severity: Severity::Failure,
    title: "sshd has no configuration file",
    why: "Without its file sshd does not start: nobody gets in by ssh, root neither.",
    fix: "Restore the file from the distribution's package.",
};

pub(super) const WRITABLE: Check = Check {
    id: "SA305",
    severity: Severity::Failure,
    title: "others than root can write sshd's configuration",
    why: "Anyone who can write it, or the directory that it is in, can turn PAM off and so let everybody in without a job, \
          and can have root's sshd run programs (AuthorizedKeysCommand, Subsystem).",
    fix: "chown root:root and chmod go-w the file.",
};

pub(super) const UNREAD: Check = Check {
    id: "SA306",
    severity: Severity::Warning,
    title: "sshd does not read a file that configures logins",
    why: "sshd reads the files that an Include line names, mostly /etc/ssh/sshd_config.d/*.conf, and nothing by \
          itself. A file with another ending, or without an Include line (OpenSSH knows it from 8.2 on), has no \
          effect.",
    fix: "Rename the file to end in .conf, or add Include /etc/ssh/sshd_config.d/*.conf at the top of sshd_config.",
};

/// Keywords whose lines matter enough.
const WATCHED: [&str; 5] = [
    "usepam",
    "authenticationmethods",
    "kbdinteractiveauthentication",
    "pamservicename",
    "logingracetime",
];
/// Ends of names of files that nobody expects to be read.
const BACKUPS: [&str; 14] = [
    "~",
    ".bak",
    ".old",
    ".orig",
    ".save",
    ".swp",
    ".disabled",
    ".off",
    ".dpkg-old",
    ".dpkg-dist",
    ".dpkg-new",
    ".ucf-dist",
    ".rpmnew",
    ".rpmsave",
];
const DROP_INS: &str = "/etc/ssh/sshd_config.d";

/// The main file cannot be read.
pub(super) fn unreadable(host: &Host, sshd: &Sshd, error: &io::Error, notes: &mut Notes) {
    if !is_absent(error) {
        notes.unseen(&sshd.file, error.to_string());
        return;
    }
    if host.tree.exists(&sshd.server.program) {
        let detail = format!("there is no {}", sshd.file);
        notes.find(Finding::of(&MISSING, detail).at(Spot::file(&sshd.file)));
    } else {
        notes.summary("no sshd here");
    }
}

pub(super) fn look(daemon: &Daemon, notes: &mut Notes) {
    writable(daemon, notes);
    unread(daemon, notes);
}

fn writable(daemon: &Daemon, notes: &mut Notes) {
    let files = &daemon.config.files;
    let mut paths: Vec<String> = files.iter().map(|it| directory(it)).collect();
    let patterns = daemon.config.patterns.iter();
    paths.extend(
        patterns
            .map(|it| directory(it))
            .filter(|it| !it.contains(['*', '?'])),
    );
    paths.extend(files.iter().cloned());
    paths.sort();
    paths.dedup();
    let tree = &daemon.host.tree;
    // A tree that is no root's belongs to the one who made it, and will be root's.
    let Ok(root) = tree.status("/") else {
        return;
    };
    for path in paths {
        let Ok(status) = tree.status(&path) else {
            continue;
        };
        let mode = status.mode();
        let is_sticky = status.is_dir() && mode & 0o1000 != 0;
        let is_group = ![0, root.gid()].contains(&status.gid());
        let who = if ![0, root.uid()].contains(&status.uid()) {
            format!("it belongs to uid {}", status.uid())
        } else if mode & 0o002 != 0 && !is_sticky {
            format!("everybody can write it (mode {:04o})", mode & 0o7777)
        } else if mode & 0o020 != 0 && is_group && !is_sticky {
            format!(
                "group {} can write it (mode {:04o})",
                status.gid(),
                mode & 0o7777
            )
        } else {
            continue;
        };
        notes.find(Finding::of(&WRITABLE, who).at(Spot::file(path)));
    }
}

fn unread(daemon: &Daemon, notes: &mut Notes) {
    let patterns = daemon.config.patterns.iter().map(|it| directory(it));
    let mut dirs: Vec<String> = patterns
        .filter(|it| it != "/etc/ssh" && !it.contains(['*', '?']))
        .collect();
    // With -f another sshd may read them.
    if daemon.sshd.server.file.is_none() {
        dirs.push(DROP_INS.to_owned());
    }
    dirs.sort();
    dirs.dedup();
    for dir in dirs {
        for name in daemon.host.tree.names(&dir).unwrap_or_default() {
            let file = format!("{dir}/{name}");
            let is_backup = name.starts_with('.') || BACKUPS.iter().any(|it| name.ends_with(it));
            if is_backup || daemon.config.files.contains(&file) {
                continue;
            }
            let Ok(bytes) = daemon.host.tree.read(&file) else {
                continue;
            };
            let reader: &Reader = &daemon.sshd.reader;
            let config = Config::read(reader, &[], &file, &bytes, &mut |_| Vec::new());
            let matters = |it: &&Setting| is_missed(daemon, it);
            if let Some(line) = config.settings.iter().find(matters) {
                let detail = format!(
                    "no Include line names this file: its {} has no effect",
                    line.written
                );
                notes.find(Finding::of(&UNREAD, detail).at(line.spot()));
            }
        }
    }
}

/// Whether a line that is not read would change something.
fn is_missed(daemon: &Daemon, line: &Setting) -> bool {
    let lower = |it: &[String]| it.join(" ").to_ascii_lowercase();
    let is_watched = WATCHED.iter().find(|it| **it == line.keyword);
    let Some(keyword) = is_watched else {
        return false;
    };
    lower(&daemon.effective.values(keyword)) != lower(&line.arguments)
}
