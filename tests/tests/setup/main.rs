//! `slurm-adopt setup` and `undo` on real nodes whose sshd has its distribution's own PAM stack.

#![forbid(unsafe_code)]

mod steps;

use lab::Suite;
use tests::{CLI, Matrix, Shared};

use crate::steps::Test;

/// Each begins on the bare node and leaves it so.
const TESTS: &[(&str, Test)] = &[
    ("set up, used, and taken back", steps::there_and_back),
    (
        "a module that keeps root out is taken out again",
        steps::root_kept_out,
    ),
    ("nothing is changed without consent", steps::consent),
    ("killed at any moment, undo goes back", steps::killed),
];

/// The same, where sshd penalizes the address of refused logins.
const PENALTIES: &[(&str, Test)] = &[
    (
        "check is green on a stock node, and refused logins of one user shut out nobody else",
        steps::stock_sshd,
    ),
    (
        "an sshd that waits for its first connection is set up",
        steps::idle_sshd,
    ),
];

fn main() {
    // sshd's PAM stack and configuration are the distribution's.
    let suites = [Suite::Bookworm, Suite::Forky];
    let mut matrix = Matrix::with_lanes(&suites, 1, |suite| {
        Shared::new(suite, |suite| {
            let program = tests::dist("slurm-adopt")?;
            let stack = steps::stack_of(suite)?;
            let cluster = tests::cluster(suite)?.pam("sshd", &stack);
            // Sound, so that check is green once setup is done.
            let cluster = cluster.cgroup_conf("ConstrainCores=yes");
            cluster.copy(program, CLI).start()
        })
    });
    for (name, test) in TESTS {
        matrix.add_on(&suites, name, |_, stage| {
            stage.run(|cluster| test(cluster), |cluster| cluster.cancel_all())
        });
    }
    for (name, test) in PENALTIES {
        matrix.add_on(&[Suite::Forky], name, |_, stage| {
            stage.run(|cluster| test(cluster), |cluster| cluster.cancel_all())
        });
    }
    matrix.run();
}
