//! Users without a job on the node.

use crate::case::*;
use crate::worlds::World;

/// The cases of this file.
pub fn cases() -> Vec<Case> {
    [
        action_no_jobs(),
        other_options(),
        users(),
        services(),
        jobs_of_others(),
    ]
    .concat()
}

/// The values of action_no_jobs=, on a node without jobs.
fn action_no_jobs() -> Vec<Case> {
    use World::Empty;
    vec![
        case("no steps", Empty, "alice", "", denied(NO_JOBS)),
        case(
            "no steps, deny",
            Empty,
            "alice",
            "action_no_jobs=deny",
            denied(NO_JOBS),
        ),
        case(
            "no steps, ignore",
            Empty,
            "alice",
            "action_no_jobs=ignore",
            ends(IGNORE),
        ),
        case(
            "any case, any tail",
            Empty,
            "alice",
            "ACTION_NO_JOBS=IGNOREd_x",
            ends(IGNORE),
        ),
        case(
            "a shortened value",
            Empty,
            "alice",
            "action_no_jobs=ign",
            denied(NO_JOBS),
        ),
        case(
            "a value of others",
            Empty,
            "alice",
            "action_no_jobs=allow",
            denied(NO_JOBS),
        ),
        case(
            "a bad value after a good one",
            Empty,
            "alice",
            "action_no_jobs=ignore action_no_jobs=x",
            ends(IGNORE),
        ),
        case(
            "the last setting wins",
            Empty,
            "alice",
            "action_no_jobs=ignore action_no_jobs=deny",
            denied(NO_JOBS),
        ),
    ]
}

/// Options that change nothing there.
fn other_options() -> Vec<Case> {
    use World::Empty;
    vec![
        case(
            "unknown options",
            Empty,
            "alice",
            "debug bogus=1 =x",
            denied(NO_JOBS),
        ),
        case(
            "log_level",
            Empty,
            "alice",
            "log_level=debug5",
            denied(NO_JOBS),
        ),
        case(
            "a bad log_level",
            Empty,
            "alice",
            "log_level=loud",
            denied(NO_JOBS),
        ),
        case(
            "actions for other things",
            Empty,
            "alice",
            "action_unknown=allow",
            denied(NO_JOBS),
        ),
        case(
            "generic failure is something else",
            Empty,
            "alice",
            "action_generic_failure=allow",
            denied(NO_JOBS),
        ),
    ]
}

/// Users whom no job decides about.
fn users() -> Vec<Case> {
    use World::Empty;
    vec![
        case(
            "root",
            Empty,
            "root",
            "action_generic_failure=deny",
            ends(IGNORE),
        ),
        case(
            "ignore_root=0",
            Empty,
            "root",
            "ignore_root=0",
            ends(IGNORE),
        ),
        case("unknown user", Empty, "nobodyhere", "", ends(SESSION_ERR)),
        case(
            "unknown user, all allowed",
            Empty,
            "nobodyhere",
            "action_no_jobs=ignore action_generic_failure=allow action_unknown=allow",
            ends(SESSION_ERR),
        ),
    ]
}

/// service= and PAM_SERVICE.
fn services() -> Vec<Case> {
    use World::Empty;
    vec![
        case("another service", Empty, "alice", "", ends(IGNORE)).service("su"),
        case(
            "the service given",
            Empty,
            "alice",
            "service=su",
            denied(NO_JOBS),
        )
        .service("su"),
        case(
            "not the service given",
            Empty,
            "alice",
            "service=su",
            ends(IGNORE),
        ),
        case("service=*", Empty, "alice", "service=*", denied(NO_JOBS)).service("login"),
        case(
            "service is exact",
            Empty,
            "alice",
            "service=SSHD",
            ends(IGNORE),
        ),
        case(
            "an empty service",
            Empty,
            "alice",
            "service=",
            denied(NO_JOBS),
        )
        .differs("an-empty-service-is-sshds", |_, _| ends(IGNORE)),
    ]
}

/// Jobs that are not the user's, and what is no job.
fn jobs_of_others() -> Vec<Case> {
    use World::{BobsJob, Empty, Junk};
    vec![
        case(
            "options separated by a comma",
            Empty,
            "alice",
            "action_no_jobs=ignore,action_no_jobs=deny",
            ends(IGNORE),
        ),
        case(
            "another node's name",
            BobsJob,
            "bob",
            "nodename=other",
            denied(NO_JOBS),
        ),
        case("another's job", BobsJob, "alice", "", denied(NO_JOBS)),
        case(
            "another's job, ignore",
            BobsJob,
            "alice",
            "action_no_jobs=ignore",
            ends(IGNORE),
        ),
        case(
            "another's job, any unknown",
            BobsJob,
            "alice",
            "action_unknown=allow",
            denied(NO_JOBS),
        ),
        case("its owner", BobsJob, "bob", "", adopted(Inside::Newest)),
        case("junk and stale sockets", Junk, "alice", "", denied(NO_JOBS)),
        case(
            "junk beside a job",
            Junk,
            "bob",
            "",
            adopted(Inside::Newest),
        ),
    ]
}
