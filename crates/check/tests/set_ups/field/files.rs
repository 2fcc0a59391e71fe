//! Files that cannot be read, or not as meant.

use super::SSHD;
use crate::tree::{Case, Tree, expect};

#[test]
fn an_unreadable_file_is_no_stack_that_fails() {
    expect(&[
        Case {
            name: "a directory instead of sshd's file",
            make: || {
                let tree = Tree::redhat();
                tree.remove(SSHD);
                tree.make_dir(SSHD);
                tree
            },
            found: &[],
        },
        Case {
            name: "a directory instead of a file that sshd's includes",
            make: || {
                let tree = Tree::redhat();
                tree.remove("/etc/pam.d/password-auth");
                tree.make_dir("/etc/pam.d/password-auth");
                tree
            },
            found: &[],
        },
    ]);
}
