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
mod starting;
mod x11;

use lab::Suite;
use tests::Matrix;

use crate::place::{PLACES, Place, Stage};

/// What depends on Slurm's release or on the namespaces that a job has. The rest is between sshd and the module.
const EVERYWHERE: [&str; 8] = [
    "nothing is joined",
    "a login reaches the job's display",
    "limits=job gives the job's limits",
    "the job's namespaces are the login's",
    "a session line joins them for good",
    "a login while the job starts",
    "a refused namespace is an adoption failure",
    "a killed session in the job's namespaces leaves nothing",
];

/// A place on a suite, and the tests that run there, in order.
struct Site {
    suite: Suite,
    place: &'static Place,
    chosen: Vec<(&'static str, place::Test)>,
}

fn main() {
    let mut matrix = Matrix::with_lanes(&Suite::ALL, PLACES.len(), Stage::new);
    let sites = PLACES.iter().flat_map(|place| {
        let suites = place.suites.iter();
        suites.map(move |suite| Site {
            suite: *suite,
            place,
            chosen: Vec::new(),
        })
    });
    let (mut with, mut without): (Vec<Site>, Vec<Site>) =
        sites.partition(|it| !it.place.joins.is_empty());
    for name in EVERYWHERE {
        let mut all = without
            .iter()
            .chain(&with)
            .flat_map(|it| tests_of(it.place));
        assert!(all.any(|(it, _)| it == name), "no test \"{name}\"");
    }
    choose(&mut matrix, &mut without);
    choose(&mut matrix, &mut with);
    let sites: Vec<Site> = without.into_iter().chain(with).collect();
    let most = sites.iter().map(|it| it.chosen.len()).max().unwrap_or(0);
    // The places take turns in the list, so that all of them have something to do.
    for turn in 0..most {
        for site in &sites {
            let Some((name, test)) = site.chosen.get(turn).copied() else {
                continue;
            };
            let (place, count) = (site.place, site.chosen.len());
            let lane = PLACES.iter().position(|it| it.name == place.name);
            let title = format!("{}: {name}", place.name);
            matrix.add_to_lane(site.suite, lane.unwrap_or(0), &title, move |_, stage| {
                stage.run(place, count, test)
            });
        }
    }
    matrix.run();
}

/// Gives each test to all sites that have it, or to one in turn.
fn choose(matrix: &mut Matrix<Stage>, sites: &mut [Site]) {
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in sites.iter().flat_map(|it| tests_of(it.place)) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    for name in names {
        let find = |site: &Site| tests_of(site.place).into_iter().find(|(it, _)| *it == name);
        let mut having: Vec<&mut Site> = sites.iter_mut().filter(|it| find(it).is_some()).collect();
        let chosen = match EVERYWHERE.contains(&name) {
            true => 0..having.len(),
            false => matrix.turn(having.len()),
        };
        for site in &mut having[chosen] {
            site.chosen.extend(find(site));
        }
    }
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
        let all = [
            namespaces::TESTS,
            starting::TESTS,
            x11::TESTS,
            failed_join::TESTS,
        ];
        let kept = [job_limits::TESTS, in_use::TESTS_INSIDE].concat();
        [&all.concat(), &of_one[..], watched, session::TESTS, &kept].concat()
    }
}
