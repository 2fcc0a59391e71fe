//! Where a login ends up, by the way in (a key, a password, what PAM asks) and by the lines of the
//! PAM stack that name the module: real ssh, our module and SchedMD's, on each of the four versions.

#![forbid(unsafe_code)]

mod admission;
mod between;
mod expired;
mod handover;
mod options;
mod programs;
mod reach;
mod rows;
mod site;
mod suspended;
mod ways;

use anyhow::Result;
use lab::Suite;
use site::Site;
use tests::{Matrix, Shared};

type Test = fn(&Site) -> Result<()>;

/// The table of docs/session.md, and what differs between releases of Slurm: the rest is between sshd, libpam
/// and the module.
const EACH_RELEASE: [&str; 7] = [
    "an account line, SchedMD's",
    "an account line",
    "a session line",
    "both lines",
    "a suspended job is passed over",
    "su from within a job stays in that job",
    "slurmstepd's PAM session is not ours",
];

fn main() {
    let mut matrix = Matrix::new(|suite| Shared::new(suite, Site::start));
    let tests = [
        rows::TESTS,
        ways::TESTS,
        handover::TESTS,
        admission::TESTS,
        expired::TESTS,
        reach::TESTS,
        between::TESTS,
        programs::TESTS,
        suspended::TESTS,
        options::TESTS,
    ];
    let tests = tests.concat();
    let clusters = programs::CLUSTERS.iter().map(|(name, _)| *name);
    let names: Vec<&str> = tests
        .iter()
        .map(|(name, _)| *name)
        .chain(clusters)
        .collect();
    for name in EACH_RELEASE {
        assert!(names.contains(&name), "no test \"{name}\"");
    }
    for (name, test) in tests {
        let test =
            move |_, stage: &mut Shared<Site>| stage.run(|site| test(site), |site| site.finish());
        match EACH_RELEASE.contains(&name) {
            true => matrix.add(name, test),
            false => matrix.add_in_turn(&Suite::ALL, name, test),
        }
    }
    for (name, test) in programs::CLUSTERS {
        let test = move |suite, _: &mut Shared<Site>| test(suite);
        match EACH_RELEASE.contains(name) {
            true => matrix.add(name, test),
            false => matrix.add_in_turn(&Suite::ALL, name, test),
        }
    }
    matrix.run();
}
