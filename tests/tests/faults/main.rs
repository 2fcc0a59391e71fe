//! Faults of those whom a login talks to, and of the process and the node that it happens on: each
//! comes out as the man page says, within the deadline, with the true reason in the log.

#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "what was done is told in the run")]

mod answers;
mod caller;
mod case;
mod conf;
mod fake;
mod live;
mod policy;
mod process;
mod several;
mod spool;
mod stepd;
mod steps;

use anyhow::Result;
use lab::{Cluster, Node, Suite};
use tests::{Matrix, Shared};

fn start(suite: Suite) -> Result<Cluster> {
    tests::cluster(suite)?.start()
}

type Test = fn(&Node) -> Result<()>;

/// With fake peers: what the module does with them does not depend on the release.
const FAKE: &[(&str, Test)] = &[
    ("stepd, each step", steps::each_step),
    ("stepd, interrupted", steps::interrupted),
    ("stepd, connecting", steps::connecting),
    ("stepd of the caller's job", several::of_the_caller),
    ("stepd of the newest job", several::of_the_newest),
    ("munged, slurmd, SACK socket", caller::each_step),
    ("spool directory", spool::directory),
    ("slurm.conf", conf::spoilt),
    ("slurm.conf replaced", conf::replaced),
    ("process", process::process),
    ("junk", spool::junk),
    ("many steps", spool::many_steps),
    ("hung file system", spool::hung_file_system),
];

type LiveTest = fn(&Cluster) -> Result<()>;

/// With the real daemons.
const LIVE: &[(&str, LiveTest)] = &[
    ("a real stepd", live::stepd),
    ("the newest job is cancelled", live::newest_cancelled),
    ("the newest jobs hang", live::newest_hung),
    ("a full spool directory", live::full_spool),
    ("real slurmd and munged", live::slurmd_and_munged),
];

fn main() {
    let suites = [Suite::Bookworm, Suite::Forky];
    let mut matrix = Matrix::with_lanes(&suites, 2, |suite| Shared::new(suite, start));
    for (name, test) in FAKE {
        matrix.add_on(&[Suite::Forky], name, |_, stage| test(stage.up()?.node(1)));
    }
    // Later libpams want more memory themselves.
    matrix.add_on(&[Suite::Bookworm], "memory", |_, stage| {
        process::memory(stage.up()?.node(1))
    });
    for (name, test) in LIVE {
        matrix.add_on(&suites, name, |_, stage| {
            stage.run(|cluster| test(cluster), |cluster| cluster.cancel_all())
        });
    }
    matrix.run();
}
