//! The life of the Debian package on a node: installed, upgraded, removed and purged for real, beside SchedMD's
//! packages and without them, while users log in.

#![forbid(unsafe_code)]

mod aborts;
mod ansible;
mod files;
mod life;
mod node;
mod pages;
mod start;
mod swap;

use anyhow::{Result, ensure};
use lab::Suite;
use tests::{Matrix, Shared, page};

use crate::node::Packages;

/// The suites whose Slurm and dpkg the package is for; one is enough for what only dpkg decides.
const SUITES: [Suite; 3] = [Suite::Bookworm, Suite::Trixie, Suite::Forky];

type Test = fn(&Packages) -> Result<()>;

/// Each starts with SchedMD's package and without ours, and leaves it so.
const TESTS: &[(&str, Test)] = &[
    (
        "a purge leaves /etc and /usr as they were",
        life::leaves_nothing,
    ),
    ("README's quick start, and back", start::quick_start),
    (
        "a removal that would lock people out is refused",
        life::refused,
    ),
];

/// On Debian 12, where SchedMD's module is in another place, and in turn on the others.
const SWAP: &str = "swapped for SchedMD's and back, no login fails";

/// The same, where the release hardly matters.
const IN_TURN: &[(&str, Test)] = &[
    ("what is installed works", files::work),
    ("the commands of the pages for admins", pages::each),
    (
        "SchedMD's own package brings its module meanwhile",
        swap::with_schedmds_own,
    ),
    (
        "a purge where no other module is",
        life::leaves_nothing_alone,
    ),
    (
        "a failed installation leaves a module in its place",
        aborts::each,
    ),
    (
        "a purge beside SchedMD's own package",
        life::leaves_nothing_beside_schedmds,
    ),
    ("profiles of pam-auth-update", files::profiles),
];

fn run(test: Test, packages: &mut Shared<Packages>) -> Result<()> {
    packages.run(
        |it| test(it),
        |it| {
            it.cluster.cancel_all()?;
            ensure!(it.served()? == it.theirs, "the test left another module");
            ensure!(!it.is_installed()?, "the test left our package");
            Ok(())
        },
    )
}

fn main() {
    page::tell_not_run();
    let mut matrix = Matrix::with_lanes(&SUITES, 1, |suite| Shared::new(suite, Packages::start));
    let swap = |_, packages: &mut Shared<Packages>| run(swap::back_and_forth, packages);
    matrix.add_on(&SUITES[..1], SWAP, swap);
    matrix.add_in_turn(&SUITES[1..], SWAP, swap);
    for (name, test) in TESTS {
        matrix.add_on(&SUITES, name, |_, packages| run(*test, packages));
    }
    for (name, test) in IN_TURN {
        matrix.add_in_turn(&SUITES, name, |_, packages| run(*test, packages));
    }
    // One release is enough for what is Ansible's.
    let trixie = &SUITES[1..2];
    matrix.add_long(trixie, "the Ansible role", |suite, _| ansible::role(suite));
    matrix.run();
}
