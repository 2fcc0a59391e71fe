//! Faults of those whom a login talks to, and of the process and the node that it happens on: each
//! comes out as the man page says, within the deadline, with the true reason in the log.

#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "what was done is told in the run")]

mod caller;
mod case;
mod environment;
mod fake;
mod live;
mod policy;
mod stepd;

use anyhow::Result;
use lab::{Cluster, Node, Suite};
use tests::{Matrix, Shared};

fn start(suite: Suite) -> Result<Cluster> {
    tests::cluster(suite)?.start()
}

type Test = fn(&Node) -> Result<()>;

/// With fake peers: what the module does with them does not depend on the release.
const FAKE: &[(&str, Test)] = &[
    ("stepd, each step", stepd::each_step),
    ("stepd, interrupted", stepd::interrupted),
    ("stepd, connecting", stepd::connecting),
    ("stepd of the caller's job", stepd::of_the_caller),
    ("stepd of the newest job", stepd::of_the_newest),
    ("munged, slurmd, SACK socket", caller::each_step),
    ("spool directory", environment::spool_directory),
    ("slurm.conf", environment::slurm_conf),
    ("slurm.conf replaced", environment::slurm_conf_replaced),
    ("process", environment::process),
    ("junk", environment::junk),
    ("many steps", environment::many_steps),
    ("hung file system", environment::hung_file_system),
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
        environment::memory(stage.up()?.node(1))
    });
    for (name, test) in LIVE {
        matrix.add_on(&suites, name, |_, stage| {
            stage.run(|cluster| test(cluster), |cluster| cluster.cancel_all())
        });
    }
    matrix.run();
}
