//! The caller ID: which job a login comes from, asked of the slurmd at its source. Logins between
//! nodes with SchedMD's module and ours, on live clusters of all four versions.

#![forbid(unsafe_code)]

mod addresses;
mod changes;
mod fake;
mod liars;
mod releases;
mod silence;
mod site;
mod slurm;
mod sources;
mod words;

use anyhow::Result;
use lab::Suite;
use site::Site;
use tests::{Matrix, Shared};

const NODE1: &str = "10.88.0.1";
/// Its IPv4 address: a name would lead to the other one first.
const NODE2: &str = "10.88.0.2";
/// In the log: the source's slurmd was asked, and its answer counted.
const KNOWN: &str = "the connection comes from this job (slurmd at ";
/// In the log: it was asked, or should have been, and that came to nothing.
const NOT_KNOWN: &str = "source job unknown: ";

// Headings of docs/differences.md.
const NEWEST: &str = "newest-is-the-newest";
const CHECKED: &str = "the-caller-is-checked";
const ASKED: &str = "the-caller-is-asked-for-a-moment";

type Test = fn(&mut Site) -> Result<()>;

/// Each starts without jobs and leaves none behind.
const TESTS: &[(&str, Test)] = &[
    ("from a job", sources::from_a_job),
    ("from another job", sources::from_another_job),
    ("explained", sources::explained),
    ("from a login host", sources::from_a_login_host),
    ("from another user's job", sources::from_anothers_job),
    ("from the node itself", sources::from_the_node_itself),
    ("another connection", sources::another_connection),
    ("one job only", sources::one_job_only),
    ("a node's name that is given", sources::node_name_given),
    ("a silent source", silence::silent_source),
    ("a silent stepd", silence::silent_stepd),
    ("munged elsewhere", silence::munged_elsewhere),
    ("without munged", silence::without_munged),
    ("liars", liars::liars),
    ("other versions", releases::other_versions),
];

/// What is asked of Slurm's daemons in each release, and how they answer.
const EACH_RELEASE: [&str; 4] = [
    "from a job",
    "from another job",
    "from another user's job",
    "other versions",
];

fn main() {
    let mut matrix = Matrix::new(|suite| Shared::new(suite, |suite| Site::start(suite, "")))
        .by_release(&EACH_RELEASE);
    for (name, test) in TESTS {
        matrix.add_in_turn(&Suite::ALL, name, |_, stage| stage.run(*test, Site::finish));
    }
    matrix.add_in_turn(&Suite::ALL, "only IPv4", |_, stage| {
        stage.run(addresses::only_ipv4, Site::finish)
    });
    matrix.add_on(&[Suite::Forky], "TLS", |_, stage| {
        stage.run(releases::tls, Site::finish)
    });
    matrix.add_in_turn(&Suite::ALL, "IPv6", |suite, _| addresses::ipv6(suite));
    // A slurmd of 20.11 with a port of its own can't tell.
    let [oldest, others @ ..] = Suite::ALL;
    matrix.add_on(&[oldest], "ports", |suite, _| addresses::ports(suite));
    matrix.add_in_turn(&others, "ports", |suite, _| addresses::ports(suite));
    // 24.11 knows no slurmd of 22.05 any more.
    for (suite, old) in [
        (Suite::Bookworm, Suite::Bullseye),
        (Suite::Forky, Suite::Trixie),
    ] {
        matrix.add_on(&[suite], "a slurmd of an older release", move |_, _| {
            releases::older_release(suite, old)
        });
        matrix.add_on(&[suite], "steps of an older release", move |_, _| {
            releases::older_steps(suite, old)
        });
    }
    // There is no such plugin before 23.11.
    let with_it = [Suite::Trixie, Suite::Forky];
    matrix.add_on(&with_it, "auth/slurm", |suite, _| slurm::auth_slurm(suite));
    matrix.add_on(&with_it, "auth/slurm with slurm.jwks", |suite, _| {
        slurm::auth_slurm_jwks(suite)
    });
    matrix.run();
}
