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
            name: "a directory instead of a file that sshd's includes, and a mistyped control",
            make: || {
                let tree = Tree::redhat();
                tree.remove("/etc/pam.d/password-auth");
                tree.make_dir("/etc/pam.d/password-auth");
                tree.append(SSHD, "account require pam_permit.so\n");
                tree
            },
            found: &["SA201 failure /etc/pam.d/sshd:18"],
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

#[test]
fn users_of_a_directory_are_kept_out() {
    expect(&[
        Case {
            name: "a file that includes itself, where local users are let in before",
            make: || {
                let tree = Tree::redhat();
                tree.append(SSHD, "account include sshd\n");
                tree
            },
            found: &[
                "SA204 failure /etc/pam.d/sshd:18",
                "SA204 failure /etc/pam.d/sshd:7",
                "SA234 warning /etc/pam.d/sshd:6",
            ],
        },
        Case {
            name: "a module that is not installed, behind the users of /etc/passwd",
            make: || {
                let tree = Tree::redhat();
                tree.append(SSHD, "account required pam_nodehealth.so\n");
                tree
            },
            found: &["SA205 failure /etc/pam.d/sshd:18"],
        },
        Case {
            name: "a control that does not exist, behind the users of /etc/passwd",
            make: || {
                let tree = Tree::redhat();
                tree.append(SSHD, "account require pam_permit.so\n");
                tree
            },
            found: &["SA204 failure /etc/pam.d/sshd:18"],
        },
    ]);
}

#[test]
fn a_file_with_windows_line_ends_has_one_finding_for_each_stack() {
    expect(&[Case {
        name: "sshd's file",
        make: || {
            let tree = Tree::redhat();
            let text = std::fs::read_to_string(tree.path(SSHD)).expect("the file");
            tree.write(SSHD, &text.replace('\n', "\r\n"));
            tree
        },
        found: &[
            "SA103 note /etc/pam.d/sshd:17",
            "SA103 note /etc/pam.d/sshd:6",
            "SA201 failure /etc/pam.d/sshd:10",
            "SA201 failure /etc/pam.d/sshd:4",
            "SA201 warning /etc/pam.d/sshd:2",
            "SA204 warning /etc/pam.d/sshd:8",
        ],
    }]);
}
