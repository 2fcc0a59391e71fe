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
use site::Site;
use tests::{Matrix, Shared};

type Test = fn(&Site) -> Result<()>;

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
    for (name, test) in tests.concat() {
        matrix.add(name, move |_, stage| {
            stage.run(|site| test(site), |site| site.finish())
        });
    }
    for (name, test) in programs::CLUSTERS {
        matrix.add(name, move |suite, _| test(suite));
    }
    matrix.run();
}
