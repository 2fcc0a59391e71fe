//! A trial login of a user: is it in the user's job, and does the job hold it (`--as USER`).
//!
//! This program starts itself again to run sshd's PAM stack for the user, as sshd does, in a process of one thread.
//! There a process of the user looks from within; this one looks at it from without. Then the session is closed.

mod checks;
mod cpus;
mod devices;
mod family;
mod judge;
mod left;
mod login;
mod memory;
mod observe;
mod probe;
mod slurm;
#[cfg(test)]
mod tests;
pub mod trial;

use std::io;
use std::time::Duration;

use adopt::explain::{Admission, Question, explain};
use adopt::survey::{self, Place};
use sys::Deadline;

use self::left::Ended;
use self::login::Login;
use self::observe::Reference;
use self::probe::{Expected, Inside, Probe};
use self::trial::{Answer, Event, Gpu, Phase};
use crate::host::{Host, Nowhere, command};
use crate::{Notes, Room};

pub(crate) const ROOM: Room = Room {
    name: "containment",
    checks: &[
        &checks::GETS_IN,
        &checks::KEPT_OUT,
        &checks::DENIED,
        &checks::NOT_HELD,
        &checks::NOT_ADOPTED,
        &checks::HIERARCHY,
        &checks::MORE_CPUS,
        &checks::ALL_CPUS,
        &checks::NO_MEMORY_LIMIT,
        &checks::NOT_CHARGED,
        &checks::MORE_GPUS,
        &checks::ALL_GPUS,
        &checks::OTHER_NAMESPACE,
        &checks::MEMLOCK,
        &checks::LEFT,
    ],
    look,
};

/// What PAM may take beyond the module's own timeout.
const BEYOND: Duration = Duration::from_secs(3);
/// The time for the rest: processes to be killed, and looks that are bounded by themselves.
const REST: Duration = Duration::from_secs(10);

/// The time after which a trial login has been given up and ended.
pub(crate) fn limit(host: &Host) -> Duration {
    let timeout = host.options().timeout;
    // Explaining takes the timeout once, and so does the login.
    timeout * 2 + BEYOND + REST
}

fn look(host: &Host, notes: &mut Notes) {
    let Some(user) = host.user() else {
        return;
    };
    let probe = match probe(host, user) {
        Ok(probe) => probe,
        Err(error) => return notes.unseen("a trial login", error.to_string()),
    };
    let verdict = judge::judge(&probe);
    if verdict.is_held {
        notes.shown();
    }
    verdict.summary.into_iter().for_each(|it| notes.summary(it));
    verdict.findings.into_iter().for_each(|it| notes.find(it));
    let unseen = verdict.unseen.into_iter();
    unseen.for_each(|(what, why)| notes.unseen(what, why));
}

/// What the login has said so far.
#[derive(Default)]
struct Said {
    account: Option<Answer>,
    session: Option<Answer>,
    inside: Option<Inside>,
}

fn probe(host: &Host, user: &str) -> io::Result<Probe> {
    let uid = sys::uid_of_user(user.as_bytes());
    let uid = uid.map_err(|error| io::Error::other(error.to_string()))?;
    let question = Question {
        user,
        service: "sshd",
        options: None,
        connection: None,
    };
    let (expected, explanation) = match explain(&question, &Nowhere) {
        Ok(explanation) => {
            let expected = match explanation.admission() {
                Admission::Adopted => Expected::Adopted,
                Admission::NotAdopted => Expected::LetIn,
                Admission::Denied => Expected::Denied,
            };
            (expected, explanation.decision())
        }
        // The module has no part in it.
        Err(error) => (Expected::LetIn, error.to_string()),
    };
    let had_runtime_dir = host.tree.exists(left::runtime_dir(uid));
    let limit = host.options().timeout + BEYOND;
    let mut login = Login::start(user, &devices::gpus(host), Deadline::after(limit))?;
    let pid = login.pid();
    let mut said = Said::default();
    let watched = watch(host, &mut login, &mut said);
    login.end();
    let ended = Ended {
        pid,
        uid,
        had_runtime_dir,
    };
    let left = left::look(host, &ended);
    let Some(account) = said.account else {
        watched.map_err(|error| explained(error, limit))?;
        return Err(io::Error::other("the process of the login ended at once"));
    };
    if said.inside.is_none() {
        watched.map_err(|error| explained(error, limit))?;
    }
    Ok(Probe {
        user: user.to_owned(),
        expected,
        explanation: explanation.lines().collect::<Vec<_>>().join("; "),
        has_job: has_job(host, uid),
        account,
        session: said.session,
        inside: said.inside,
        left,
    })
}

fn explained(error: io::Error, limit: Duration) -> io::Error {
    match error.kind() {
        io::ErrorKind::TimedOut => {
            let seconds = limit.as_secs();
            io::Error::other(format!(
                "sshd's PAM stack takes more than {seconds} s; given up"
            ))
        }
        _ => error,
    }
}

/// Follows the login to its end.
fn watch(host: &Host, login: &mut Login, said: &mut Said) -> io::Result<()> {
    while let Some(event) = login.next()? {
        match event {
            Event::Phase { phase, answer } => match phase {
                Phase::Account => said.account = Some(answer),
                Phase::Session => said.session = Some(answer),
            },
            Event::Inside { gpus } => {
                said.inside = observed(host, login, gpus)?;
                return Ok(());
            }
            Event::Failed(cause) => return Err(io::Error::other(cause)),
            Event::Charged | Event::Released | Event::Closed => {}
        }
    }
    Ok(())
}

/// Looks at the process in the login; None if it has ended.
fn observed(host: &Host, login: &mut Login, gpus: Vec<Gpu>) -> io::Result<Option<Inside>> {
    let tree = &host.tree;
    let Some(pid) = login.inside() else {
        return Ok(None);
    };
    let place = match host.node() {
        Some(Ok(node)) => survey::place(node, pid)?,
        Some(Err(error)) => return Err(io::Error::other(error.to_string())),
        None => None,
    };
    let Some(place) = place else {
        return Ok(None);
    };
    let references: Vec<Reference> = observe::references(tree, &place);
    Ok(Some(Inside {
        missing: observe::missing(&place, pid),
        cpus: observe::cpus(tree, &place, pid),
        memory: memory::look(tree, &place, login)?,
        allocated_gpus: allocated_gpus(host, &place, &gpus),
        namespaces: observe::namespaces(&references, pid),
        memlock: observe::memlock(tree, &references, pid),
        slurm: slurm::settings(host),
        gpus,
        place,
    }))
}

/// The number of GPUs that the job has on this node, by slurmctld, if the node has any.
fn allocated_gpus(host: &Host, place: &Place, gpus: &[Gpu]) -> Option<u64> {
    /// slurmctld may be down.
    const PATIENCE: Duration = Duration::from_secs(1);
    let (Place::Held { job, .. }, Some(Ok(node))) = (place, host.node()) else {
        return None;
    };
    if gpus.is_empty() {
        return None;
    }
    let arguments = ["-d", "show", "job", &job.to_string()];
    let printed = command::run("scontrol", &arguments, &Deadline::after(PATIENCE)).ok()?;
    let name = node.names.first()?;
    slurm::gpus_of_job(&printed.out, name).filter(|_| printed.is_success())
}

/// Whether a process of the user runs in a job here.
fn has_job(host: &Host, uid: u32) -> bool {
    let Some(Ok(node)) = host.node() else {
        return false;
    };
    let mut own = host.processes().iter().filter(|it| it.uid == uid);
    own.any(|it| {
        let pid = u32::try_from(it.pid).unwrap_or_default();
        let place = survey::place(node, pid).ok().flatten();
        matches!(place, Some(Place::Held { .. } | Place::OtherStep { .. }))
    })
}
