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
    let mut matrix = Matrix::new(|suite| Shared::new(suite, Site::start)).by_release(&EACH_RELEASE);
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
    for (name, test) in tests.concat() {
        matrix.add_in_turn(&Suite::ALL, name, move |_, stage| {
            stage.run(|site| test(site), |site| site.finish())
        });
    }
    for (name, test) in programs::CLUSTERS {
        matrix.add_in_turn(&Suite::ALL, name, move |suite, _| test(suite));
    }
    matrix.run();
}
