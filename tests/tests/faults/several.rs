//! Two jobs of alice's, where the stepd that is chosen does not take the login.

use anyhow::Result;
use lab::Node;

use crate::caller::Site;
use crate::case::{self, Case};
use crate::fake::Fake;
use crate::policy::Means::{self, Adopted, NoJob, Unknown, UnknownNotAdopted, UnknownSilent};
use crate::stepd::Fault::{
    self, Closes, Drips, HalfThenCloses, HalfThenHangs, Hangs, Killed, Says, Stopped,
};
use crate::stepd::{ENDING, JOB, OTHER, SILENT, options, prepare, stepd};

const NEWEST_REFUSES: &str = "job 9, the newest here: ";
const NEWEST_SILENT: &str = "of job 9 ";

type At = (&'static str, Fault);

const IS_ENDING: At = ("state", Says(&[ENDING]));

/// Fault of the newest job, of the older one, what the man page says, the reason.
const NEWEST: &[(At, Option<At>, Means, &str)] = &[
    // While it is being killed.
    (
        IS_ENDING,
        None,
        Unknown(JOB),
        "job 9, the newest here: the step is ending",
    ),
    (
        ("state after adoption", Says(&[ENDING])),
        None,
        Unknown(JOB),
        NEWEST_REFUSES,
    ),
    (("namespaces", Closes), None, Unknown(JOB), NEWEST_REFUSES),
    (("adoption", Killed), None, Unknown(JOB), NEWEST_REFUSES),
    // It has tried, which may have taken it almost all the time: another would fail too.
    (
        ("adoption", Says(&[-1])),
        None,
        UnknownNotAdopted,
        "adoption failed: slurmstepd's return code is -1",
    ),
    (
        IS_ENDING,
        Some(IS_ENDING),
        UnknownNotAdopted,
        NEWEST_REFUSES,
    ),
    (
        IS_ENDING,
        Some(("adoption", Hangs)),
        UnknownSilent,
        NEWEST_REFUSES,
    ),
    (("namespaces", Hangs), None, UnknownSilent, NEWEST_SILENT),
    (("adoption", Hangs), None, UnknownSilent, NEWEST_SILENT),
    (
        ("adoption", HalfThenHangs),
        None,
        UnknownSilent,
        NEWEST_SILENT,
    ),
];

/// The newest of several jobs does not take the login: then the next newest is to, but not after silence.
pub fn of_the_newest(node: &Node) -> Result<()> {
    prepare(node)?;
    let (mut cases, mut peers) = (Vec::new(), Vec::new());
    for (newest, older, means, reason) in NEWEST {
        let name = format!("w{}", cases.len());
        peers.extend([
            stepd(&name, JOB, *older),
            stepd(&name, OTHER, Some(*newest)),
        ]);
        // By action_unknown= it may not come to that.
        let reason = format!("{reason} | 2 jobs on this node, source job unknown");
        let what = format!("{newest:?} of the newest job, {older:?} of the older");
        let mut case = Case::new(what, options(&name), *means, &reason);
        case.timeout = 1.0;
        cases.push(case);
    }
    let _fake = Fake::start(node, &peers)?;
    case::run(node, &cases)
}

const CALLERS_REFUSES: &str = "job 7, where the connection comes from: ";
const CALLERS: &str = "the connection comes from this job";

/// Fault of the caller's job, of the other one, what the man page says, the reason.
const CALLER: &[(Fault, Option<Fault>, Means, &str)] = &[
    (Closes, None, Unknown(OTHER), CALLERS_REFUSES),
    (Killed, None, Unknown(OTHER), CALLERS_REFUSES),
    (HalfThenCloses, None, Unknown(OTHER), CALLERS_REFUSES),
    (Says(&[i32::MAX]), None, Unknown(OTHER), CALLERS_REFUSES),
    (Closes, Some(Closes), UnknownNotAdopted, CALLERS_REFUSES),
    (Closes, Some(Hangs), UnknownSilent, CALLERS_REFUSES),
    // Whoever makes the own stepd hang gets nowhere by that.
    (Hangs, None, NoJob, SILENT),
    (HalfThenHangs, None, NoJob, SILENT),
    (Stopped, None, Adopted(JOB), CALLERS),
    (Drips, None, Adopted(JOB), CALLERS),
];

/// The job that the connection comes from does not take the login: then action_unknown decides.
pub fn of_the_caller(node: &Node) -> Result<()> {
    prepare(node)?;
    let (mut cases, mut peers) = (Vec::new(), Vec::new());
    for step in ["namespaces", "adoption", "state after adoption"] {
        for (fault, other, means, reason) in CALLER {
            let name = format!("k{}", cases.len());
            let site = Site::new(node, &name, 7500 + cases.len(), false)?;
            peers.extend([
                stepd(&name, JOB, Some((step, *fault))),
                stepd(&name, OTHER, other.map(|it| (step, it))),
            ]);
            peers.extend(site.healthy());
            let what = format!("{step}: {fault:?} of the caller's job, {other:?} of the other");
            let mut case = site.case(what, *means, reason);
            if fault.is_silence() || other.is_some_and(Fault::is_silence) {
                case.timeout = 1.0;
            }
            cases.push(case);
        }
    }
    let _fake = Fake::start(node, &peers)?;
    case::run(node, &cases)
}
