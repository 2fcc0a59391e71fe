//! Set-ups that work: nothing is found but notes.

use crate::tree::{Case, Tree, expect};

#[test]
fn stock_stacks_with_our_lines() {
    expect(&[
        Case {
            name: "Debian",
            make: Tree::debian,
            found: &[],
        },
        Case {
            name: "RHEL 9 with sssd",
            make: Tree::redhat,
            found: &[],
        },
    ]);
}
