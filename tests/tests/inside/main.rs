//! What a login finds inside its job: the job's namespaces, its X11 display and its limits; real
//! ssh and a bare PAM call, our module beside SchedMD's.

#![forbid(unsafe_code)]

mod failed_join;
mod handed;
mod in_use;
mod job_limits;
mod limits;
mod memcheck;
mod namespaces;
mod place;
mod session;
mod x11;

use lab::Suite;
use tests::Matrix;

use crate::place::{PLACES, Place, Stage};

fn main() {
    let mut matrix = Matrix::new(Stage::new);
    for place in PLACES {
        let tests = tests_of(place);
        let count = tests.len();
        for (name, test) in tests {
            let title = format!("{}: {name}", place.name);
            matrix.add_on(place.suites, &title, move |_, stage: &mut Stage| {
                stage.run(place, count, test)
            });
        }
    }
    matrix.run();
}

/// The tests of a place, in order: all of them share its cluster.
fn tests_of(place: &Place) -> Vec<(&'static str, place::Test)> {
    if place.joins.is_empty() {
        let only_here = [x11::MORE_TESTS, limits::TESTS, namespaces::TESTS_WITHOUT];
        let kept = [job_limits::TESTS_WITHOUT, in_use::TESTS].concat();
        [
            x11::TESTS,
            &only_here.concat(),
            session::TESTS_WITHOUT,
            &kept,
        ]
        .concat()
    } else {
        let of_one = match place.joins {
            ["mnt"] => [failed_join::TESTS_OF_ONE, handed::TESTS_OF_ONE].concat(),
            _ => Vec::new(),
        };
        let watched = match (place.suites, place.joins) {
            ([Suite::Forky], ["mnt"]) => memcheck::TESTS_OF_ONE,
            ([Suite::Forky], [.., "user"]) => memcheck::TESTS_OF_ALL,
            _ => &[],
        };
        let all = [namespaces::TESTS, x11::TESTS, failed_join::TESTS];
        let kept = [job_limits::TESTS, in_use::TESTS_INSIDE].concat();
        [&all.concat(), &of_one[..], watched, session::TESTS, &kept].concat()
    }
}
