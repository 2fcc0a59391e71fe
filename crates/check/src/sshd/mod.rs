//! sshd's configuration: whether it asks PAM, by which methods it lets users in, and who else does. host/sshd reads it.

mod doors;
mod environment;
mod files;
mod keyboard;
mod limits;
mod lines;
mod penalties;
mod stale;
mod told;
mod usepam;
mod users;

use crate::host::sshd::config::Config;
use crate::host::sshd::daemon::{Effective, Sshd};
use crate::host::{Host, OwnLine};
use crate::{Notes, Room};

pub use penalties::penalizes_refusals;

pub(crate) const ROOM: Room = Room {
    name: "sshd",
    checks: &[
        &usepam::WITHOUT_PAM,
        &lines::IN_MATCH,
        &lines::UNKNOWN_KEYWORD,
        &lines::REFUSED,
        &files::MISSING,
        &files::WRITABLE,
        &files::UNREAD,
        &lines::WITHOUT_EFFECT,
        &stale::CHANGED,
        &keyboard::WITHOUT_SESSION,
        &keyboard::METHOD_OFF,
        &environment::ACCEPTED,
        &environment::SET,
        &environment::FROM_USERS,
        &limits::GRACE_TIME,
        &limits::SEVERAL_STARTUPS,
        &limits::FEW_STARTUPS,
        &penalties::REFUSALS_PENALIZED,
        &users::NO_WAY_FOR_ROOT,
        &users::ONLY_SOME,
        &usepam::NO_SERVICE,
        &doors::OTHER_SERVER,
        &doors::IN_CONTAINER,
    ],
    look,
};

/// An sshd whose configuration could be read.
struct Daemon<'a> {
    host: &'a Host,
    sshd: &'a Sshd,
    config: &'a Config,
    /// The values for connections that no Match line matches.
    effective: Effective<'a>,
    /// Its PAM services' lines that call this module or SchedMD's.
    own_lines: Vec<OwnLine>,
}

fn look(host: &Host, notes: &mut Notes) {
    doors::look(host, notes);
    for sshd in host.sshds() {
        let config = match &sshd.config {
            Ok(config) => config,
            Err(error) => {
                files::unreadable(host, sshd, error, notes);
                continue;
            }
        };
        let told = told::ask(host, sshd, config, notes);
        let services = sshd.services();
        let own_lines = services.iter().flat_map(|(name, _)| host.own_lines(name));
        let daemon = Daemon {
            host,
            sshd,
            config,
            effective: Effective::global(config, &sshd.reader, told.as_ref()),
            own_lines: own_lines.collect(),
        };
        lines::look(&daemon, told.is_some(), notes);
        files::look(&daemon, notes);
        stale::look(&daemon, notes);
        usepam::look(&daemon, notes);
        keyboard::look(&daemon, notes);
        environment::look(&daemon, notes);
        limits::look(&daemon, notes);
        penalties::look(&daemon, notes);
        users::look(&daemon, notes);
    }
}
