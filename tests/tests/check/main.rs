//! `slurm-adopt check` on real clusters: each way to break a node is named, and a real login shows that it is broken.
//!
//! A row ([`case::Case`]) breaks the node with a shell script and lists all that check then finds beyond what it finds
//! on the sound node. To add one:
//!
//! 1. Put it into the table of its part (`daemons.rs`; a new part is a file with a table, named in [`PARTS`]).
//! 2. `breaks` runs as root on the node. It has the functions of [`case::PRELUDE`] (`keep FILE..` before changing a file:
//!    it is put back by itself) and, if `jobs` names users who shall have a job, `$JOB`, `$STEPD` (pid) and `$SOCKET` of
//!    the first one. `restores` undoes what `keep` does not.
//! 3. `found`: `ID severity file:line` each, without what the finding lacks. `{socket}`, `{job}` are the first job's, and
//!    `*` at the end is any rest.
//! 4. `then`: what happens to the node before the proof, if the set-up only shows in a fault.
//!    `proof`: what ssh then does, and what it did before: [`proof::Proof`]. Leave it out only for what no login shows.
//! 5. `suites`, if it depends on the release. A default run has the oldest or the newest of them in turn, a long one each.
//!
//! Run one with `cargo test -p tests --test check -- "26.05/a stopped"`, all with `cargo xtask test --only check`.

#![forbid(unsafe_code)]

mod bounds;
mod captures;
mod case;
mod daemons;
mod login;
mod module;
mod pam;
mod proof;
mod slurm;
mod sshd;

use anyhow::Result;
use lab::{Cluster, Suite};
use tests::session::ASKPASS;
use tests::{CLI, Matrix, Shared};

use crate::case::Case;

/// The tables of broken set-ups.
const PARTS: &[&[Case]] = &[
    daemons::CASES,
    pam::CASES,
    sshd::CASES,
    module::CASES,
    module::OPTIONS,
    module::GOOD,
    slurm::CASES,
];

type Test = fn(&Cluster) -> Result<()>;
type ClusterTest = fn(Suite) -> Result<()>;

/// Tests that are no rows.
const TESTS: &[(&str, Test)] = &[
    ("the sound node has no failure", case::sound),
    ("check ends in time whatever hangs", bounds::hanging),
    ("check changes nothing", bounds::unchanged),
    ("a user is told what needs root", bounds::as_a_user),
];

/// Tests with clusters of their own.
const CLUSTERS: &[(&str, ClusterTest)] = &[
    ("a job that is ending", daemons::ending),
    ("slurmds of other nodes", daemons::peers),
    (
        "a job from before PrologFlags=contain",
        daemons::before_contain,
    ),
    ("settings of slurm.conf", slurm::settings),
    ("limits of a login's CPUs", slurm::cpus),
    ("an Epilog that ends a user's other login", slurm::epilog),
    ("a trial login and GPUs, memlock", login::devices),
];

fn start(suite: Suite) -> Result<Cluster> {
    let program = tests::dist("slurm-adopt")?;
    let (askpass, text) = ASKPASS;
    let cluster = tests::cluster(suite)?.file(askpass, text, 0o755);
    cluster.copy(program, CLI).start()
}

fn main() {
    // By default rows are on two of the suites, which have two clusters each.
    let suites = [&Suite::ALL[..], case::SUITES].concat();
    let mut matrix = Matrix::with_lanes(&suites, 1, |suite| Shared::new(suite, start));
    for (name, test) in TESTS {
        matrix.add(name, |_, stage| {
            let test = |cluster: &mut Cluster| {
                case::without_jobs(cluster)?;
                test(cluster)
            };
            stage.run(test, |cluster| cluster.cancel_all())
        });
    }
    for case in PARTS.iter().copied().flatten() {
        let test = |_, stage: &mut Shared<Cluster>| {
            stage.run(|cluster| case.run(cluster), |cluster| case.finish(cluster))
        };
        let is_usual = |it: &Suite| case::SUITES.contains(it);
        let (usual, others): (Vec<_>, Vec<_>) = case.suites.iter().copied().partition(is_usual);
        matrix.add_in_turn(&usual, case.name, test);
        matrix.add_long(&others, case.name, test);
    }
    for (name, test) in CLUSTERS {
        matrix.add_in_turn(case::SUITES, name, |suite, _| test(suite));
    }
    matrix.add_on(
        &[Suite::Bookworm, Suite::Trixie],
        "a trial login outside its job's namespaces",
        |suite, _| login::namespaces(suite),
    );
    // The first release with it is 23.11.
    matrix.add_on(
        &[Suite::Forky],
        "auth/slurm instead of munged",
        |suite, _| daemons::auth_slurm(suite),
    );
    // The page has the newest release.
    matrix.add_on(
        &[Suite::Forky],
        "docs/tool.md shows what the tool prints",
        |suite, _| captures::compare(suite),
    );
    matrix.run();
}
