//! slurm.conf, cgroup.conf and what stands beside them, as slurmd and the module read them.

mod account;
mod cgroup;
mod conf;
mod contain;
mod environment;
mod keys;
mod node;
mod place;
mod release;
mod safe;
mod script;
mod scripts;
mod spool;

use crate::host::Host;
use crate::slurm::place::Slurm;
use crate::{Notes, Room};

pub(crate) const ROOM: Room = Room {
    name: "slurm.conf",
    checks: &[
        &contain::NO_EXTERN_STEP,
        &contain::BAD_FLAGS,
        &contain::NOT_TRACKED,
        &contain::NO_TASK_CGROUP,
        &contain::NO_DEFER_BATCH,
        &contain::RUN_IN_JOB,
        &conf::BROKEN,
        &conf::UNKNOWN_KEY,
        &conf::SET_TWICE,
        &conf::TWO_FILES,
        &environment::SSHD_NAMES_IT,
        &conf::BAD_SWITCH,
        &cgroup::MISSING,
        &cgroup::BROKEN,
        &cgroup::UNKNOWN_KEY,
        &cgroup::BAD_PLUGIN,
        &cgroup::NO_DEVICES,
        &cgroup::LEFT_OUT,
        &cgroup::WITHOUT_EFFECT,
        &cgroup::SIGNALS_ALL,
        &cgroup::LIMITED_TWICE,
        &cgroup::MEMORY_NOT_ALLOCATED,
        &node::NAMED_TWICE,
        &node::NOT_ROOT,
        &spool::RELATIVE,
        &spool::UNSAFE,
        &spool::SHARED,
        &safe::CHANGEABLE,
        &safe::READABLE_KEY,
        &scripts::CHANGEABLE,
        &scripts::CANNOT_RUN,
        &scripts::KILLS_BY_USER,
        &scripts::LINGER,
        &account::NO_AUTHENTICATION,
        &account::UNKNOWN_AUTHENTICATION,
        &account::TLS,
        &account::LIMITS_TWICE,
        &account::SLURMSTEPD_SERVICE,
        &account::NO_SERVICE,
        &account::CONTAINER_NOT_JOINED,
        &account::USER_NAMESPACE,
        &account::USERS_OF_JOBS,
        &account::NO_NAMESPACE_FILE,
    ],
    look,
};

/// What decides which settings Slurm should have here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlurmFacts {
    /// The installed release, such as 2605; None: unknown.
    pub release: Option<u16>,
    /// Whether jobs have GPUs.
    pub has_gpus: bool,
}

/// Looks for what decides which settings Slurm should have here. None without a slurm.conf.
#[must_use]
pub fn slurm_facts(host: &Host) -> Option<SlurmFacts> {
    let conf = host.slurm_conf().ok()?;
    let release = release::installed(host, &conf.path);
    let slurm = Slurm {
        host,
        conf,
        release,
    };
    Some(SlurmFacts {
        release: release.map(|it| it.0),
        has_gpus: node::has_gpus(&slurm),
    })
}

/// Whether slurm.conf names the host of a tree that does not run.
pub(crate) fn names_host(host: &Host) -> bool {
    let conf = host.slurm_conf().ok();
    conf.is_some_and(|conf| {
        let release = None;
        node::is_named(&Slurm {
            host,
            conf,
            release,
        })
    })
}

fn look(host: &Host, notes: &mut Notes) {
    environment::look(host, notes);
    let judged = host.slurm_conf().ok().map(|it| it.path.as_path());
    environment::look_at_slurmd(host, judged, notes);
    let found = match host.slurm_conf() {
        Ok(found) => found,
        Err(why) if host.is_live() => return notes.unseen("slurm.conf", why.to_string()),
        Err(why) => {
            let why = format!("{why}; a configless slurmd fetches it at its start");
            return notes.unseen("slurm.conf", why);
        }
    };
    let slurm = Slurm {
        host,
        conf: found,
        release: release::installed(host, &found.path),
    };
    notes.summary(found.path.display().to_string());
    if let Some(release) = slurm.release {
        notes.summary(format!("Slurm {release}"));
    }
    conf::look(&slurm, notes);
    safe::look(&slurm, notes);
    scripts::look(&slurm, notes);
    if slurm.conf.fault.is_some() {
        return notes.unseen("the rest of slurm.conf", "it ends in the fault");
    }
    contain::look(&slurm, notes);
    cgroup::look(&slurm, notes);
    node::look(&slurm, notes);
    spool::look(&slurm, notes);
    account::look(&slurm, notes);
}
