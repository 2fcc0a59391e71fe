//! Logins on hosts with systemd: logind, pam_systemd and Debian's own PAM stacks, slurmd a unit of
//! systemd, cgroup v2; SchedMD's module and ours. In virtual machines.

#![forbid(unsafe_code)]

mod escapes;
mod inside;
mod rows;
mod site;

use anyhow::Result;
use lab::Suite;
use site::Site;
use tests::{Matrix, Shared};

type Test = fn(&mut Site) -> Result<()>;

fn main() {
    let mut matrix = Matrix::new(|suite| Shared::new(suite, Site::start));
    let tests = [rows::TESTS, escapes::TESTS, inside::TESTS].concat();
    // Debian 11 starts with cgroup v1 and v2 mixed; its Slurm has v1 alone.
    for (name, test) in tests {
        matrix.add_on(&[Suite::Trixie], name, move |_, stage| {
            stage.run(test, Site::finish)
        });
        let others = [Suite::Bookworm, Suite::Forky];
        matrix.add_long(&others, name, move |_, stage| stage.run(test, Site::finish));
    }
    matrix.run_in_turn();
}
