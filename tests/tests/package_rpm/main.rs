//! The rpm and the tarball on a node whose modules are in /usr/lib64/security, as on RHEL. The node is Debian's:
//! rpm runs on the host and changes the node's files, and the scripts of the package run on the node.

#![forbid(unsafe_code)]

mod bill;
mod header;
mod layout;
mod node;
mod pages;
mod removal;
mod rpms;
mod swap;
mod tarball;

use anyhow::{Result, ensure};
use lab::Suite;
use tests::{Matrix, Shared};

use crate::node::Site;

type Test = fn(&Site) -> Result<()>;

/// Each begins without slurm-adopt and without slurm-pam_slurm, and leaves it so.
const TESTS: &[(&str, Test)] = &[
    (
        "old and new rpms can read the package, and it names no host",
        header::is_plain,
    ),
    (
        "the bill of materials and the sums are complete",
        bill::is_complete,
    ),
    (
        "swapped for slurm-pam_slurm and back, no login fails",
        swap::back_and_forth,
    ),
    ("slurm-pam_slurm comes last", swap::theirs_last),
    ("a module that was built by hand comes back", swap::by_hand),
    (
        "a removal that would lock people out is refused",
        removal::refused,
    ),
    ("the commands of the pages for admins", pages::each),
    ("where /lib64 is a directory of its own", layout::of_suse),
    ("the tarball comes and goes", tarball::comes_and_goes),
    (
        "the tarball's script changes no stack and refuses to lock people out",
        tarball::refuses,
    ),
];

fn main() {
    // Nothing here depends on the release.
    let suites = [Suite::Trixie];
    let mut matrix = Matrix::with_lanes(&suites, 1, |suite| Shared::new(suite, Site::start));
    for (name, test) in TESTS {
        matrix.add_on(&suites, name, |_, site| {
            site.run(
                |site| test(site),
                |site| {
                    site.cluster.cancel_all()?;
                    let left = site.installed()?;
                    ensure!(left.is_empty(), "the test left {left}");
                    Ok(())
                },
            )
        });
    }
    matrix.run();
}
