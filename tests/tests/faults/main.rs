//! Faults of those whom a login talks to, and of the process and the node that it happens on: each
//! comes out as the man page says, within the deadline, with the true reason in the log.

#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "what was done is told in the run")]

mod caller;
mod case;
mod fake;
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
    ("munged, slurmd, SACK socket", caller::each_step),
];

fn main() {
    let mut matrix = Matrix::new(|suite| Shared::new(suite, start));
    for (name, test) in FAKE {
        matrix.add_on(&[Suite::Forky], name, |_, stage| test(stage.up()?.node(1)));
    }
    matrix.run();
}
