//! Users with jobs on the node.

use lab::Suite;
use tests::End;

use crate::case::*;
use crate::worlds::World;

/// The cases of this file.
pub fn cases() -> Vec<Case> {
    [
        one_job(),
        one_job_asked(),
        one_job_refused(),
        several_jobs(),
        several_jobs_refused(),
        kinds_of_jobs(),
        silent_stepds(),
    ]
    .concat()
}

/// Makes the call in a pid namespace whose next process has a number that no process has in the
/// node: the stepd can't adopt it, and says so.
pub const UNKNOWN_PID: &str = "exec unshare --pid --fork --mount-proc sh -ec \
    'echo $(($(cat /proc/sys/kernel/pid_max) - 100)) >/proc/sys/kernel/ns_last_pid; \
     \"$@\"; exit $?' sh \"$@\"";

fn one_job() -> Vec<Case> {
    use World::OneJob;
    let inside = || adopted(Inside::Newest);
    vec![
        case("one job", OneJob, "alice", "", inside()),
        case(
            "one job, all actions deny",
            OneJob,
            "alice",
            ALL_DENY,
            inside(),
        ),
        case(
            "node name given",
            OneJob,
            "alice",
            "nodename=node1",
            inside(),
        ),
        case(
            "no container",
            OneJob,
            "alice",
            "join_container=false",
            inside(),
        ),
        case("no X11", OneJob, "alice", "disable_x11=1", inside()),
        case("the other user", OneJob, "bob", "", denied(NO_JOBS)),
        case(
            "another service, one job",
            OneJob,
            "alice",
            "",
            ends(IGNORE),
        )
        .service("su"),
        case(
            "any service, one job",
            OneJob,
            "alice",
            "service=*",
            inside(),
        )
        .service("cron"),
    ]
}

fn one_job_asked() -> Vec<Case> {
    use World::OneJob;
    let inside = || adopted(Inside::Newest);
    vec![
        case(
            "asked, newest",
            OneJob,
            "alice",
            "single_job_skip_rpc=0",
            inside(),
        ),
        case(
            "asked, allow",
            OneJob,
            "alice",
            "single_job_skip_rpc=0 action_unknown=allow",
            inside(),
        )
        .differs("one-job-needs-no-caller", |suite, case| match suite {
            Suite::Forky => case.ours.clone(),
            _ => ends(SUCCESS),
        }),
        case(
            "asked, deny",
            OneJob,
            "alice",
            "single_job_skip_rpc=0 action_unknown=deny",
            inside(),
        )
        .differs("one-job-needs-no-caller", |suite, case| match suite {
            Suite::Forky => case.ours.clone(),
            _ => denied(UNKNOWN),
        }),
    ]
}

fn one_job_refused() -> Vec<Case> {
    let mut cases = Vec::new();
    for (options, ours) in [
        ("", ends(SUCCESS)),
        ("action_adopt_failure=allow", ends(SUCCESS)),
        ("action_adopt_failure=deny", denied(FAILURE)),
        (
            "action_adopt_failure=deny action_no_jobs=ignore",
            denied(FAILURE),
        ),
    ] {
        cases.push(
            case("adoption refused", World::OneJob, "alice", options, ours)
                .within(UNKNOWN_PID)
                .differs("texts-are-those-of-2605", |suite, case| {
                    match (suite, case.ours.end) {
                        (Suite::Forky, _) | (_, End::Code(0)) => case.ours.clone(),
                        _ => denied(FAILURE_TO_24_11),
                    }
                }),
        );
    }
    cases
}

const ALL_DENY: &str = "action_no_jobs=deny action_unknown=deny action_adopt_failure=deny \
                        action_generic_failure=deny";

fn several_jobs() -> Vec<Case> {
    let mut cases = Vec::new();
    for world in [World::LateStarter, World::ThirtyJobs] {
        for options in [
            "",
            "action_unknown=newest",
            "action_unknown=newest nodename=node1",
        ] {
            cases.push(
                case("newest", world, "alice", options, adopted(Inside::Newest))
                    .differs("newest-is-the-newest", |_, _| adopted(Inside::AnyOwn)),
            );
        }
        cases.push(case(
            "allow",
            world,
            "alice",
            "action_unknown=allow",
            ends(SUCCESS),
        ));
        cases.push(case(
            "deny",
            world,
            "alice",
            "action_unknown=deny",
            denied(UNKNOWN),
        ));
        cases.push(case(
            "not theirs",
            world,
            "bob",
            "action_unknown=allow",
            denied(NO_JOBS),
        ));
    }
    cases
}

fn several_jobs_refused() -> Vec<Case> {
    vec![
        case(
            "adoption refused, several jobs",
            World::LateStarter,
            "alice",
            "action_adopt_failure=deny",
            denied(FAILURE),
        )
        .within(UNKNOWN_PID)
        .differs("texts-are-those-of-2605", |suite, case| match suite {
            Suite::Forky => case.ours.clone(),
            _ => ends(PERM_DENIED),
        }),
        case(
            "adoption refused, several jobs, allow",
            World::LateStarter,
            "alice",
            "action_adopt_failure=allow",
            ends(SUCCESS),
        )
        .within(UNKNOWN_PID),
    ]
}

fn kinds_of_jobs() -> Vec<Case> {
    use World::{Array, Het, Salloc};
    let any = |_: Suite, _: &Case| adopted(Inside::AnyOwn);
    vec![
        case(
            "an array's task",
            Array,
            "alice",
            "",
            adopted(Inside::Newest),
        )
        .differs("newest-is-the-newest", any),
        case(
            "an array's tasks are jobs",
            Array,
            "alice",
            "action_unknown=deny",
            denied(UNKNOWN),
        ),
        case(
            "a het job's part",
            Het,
            "alice",
            "",
            adopted(Inside::Newest),
        ),
        case(
            "a het job's part, all actions deny",
            Het,
            "alice",
            ALL_DENY,
            adopted(Inside::Newest),
        ),
        case("salloc", Salloc, "alice", "", adopted(Inside::Newest)),
        case(
            "salloc, all actions deny",
            Salloc,
            "alice",
            ALL_DENY,
            adopted(Inside::Newest),
        ),
    ]
}

fn silent_stepds() -> Vec<Case> {
    use World::{BobStopped, OwnStopped};
    const HEADING: &str = "one-deadline-for-the-whole-login";
    const BOBS: &str = "Access denied by pam_slurm_adopt: you have no active jobs on this node \
                        (slurmstepd of job {bob} does not answer)";
    const OWN: &str = "Access denied by pam_slurm_adopt: you have no active jobs on this node \
                       (slurmstepd of job {alice} does not answer)";
    vec![
        case("another's stepd stopped", BobStopped, "alice", "", adopted(Inside::Newest))
            .hangs(HEADING),
        case("another's stepd stopped, no job", BobStopped, "carol", "timeout=1", denied(BOBS))
            .hangs(HEADING),
        case("own stepd stopped", OwnStopped, "alice", "timeout=1", denied(OWN)).hangs(HEADING),
        case(
            "own stepd stopped, all allowed",
            OwnStopped,
            "alice",
            "timeout=1 action_unknown=allow action_adopt_failure=allow action_generic_failure=allow",
            denied(OWN),
        )
        .hangs(HEADING),
        case(
            "own stepd stopped, ignore",
            OwnStopped,
            "alice",
            "timeout=1 action_no_jobs=ignore",
            ends(IGNORE),
        )
        .hangs(HEADING),
    ]
}
