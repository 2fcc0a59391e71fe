//! Stacks that look wrong and are not.

use crate::pam::{ACCOUNT, SSHD, account, ours, session};
use crate::tree::{Case, Tree, expect};

#[test]
fn stacks_that_look_wrong_and_are_not() {
    expect(&[
        Case {
            name: "first in common-account",
            make: || {
                let tree = account(Tree::debian(), "");
                tree.prepend("/etc/pam.d/common-account", ACCOUNT);
                tree
            },
            found: &[],
        },
        Case {
            name: "requisite",
            make: || account(Tree::debian(), &ours("account requisite")),
            found: &[],
        },
        Case {
            name: "brackets that bind",
            make: || {
                account(
                    Tree::redhat(),
                    &ours("account [success=ok ignore=ignore default=die]"),
                )
            },
            found: &[],
        },
        Case {
            name: "required pam_access before ours",
            make: || {
                let tree = account(
                    Tree::debian(),
                    &format!("account required pam_access.so\n{}", ACCOUNT.trim_end()),
                );
                tree.write("/etc/security/access.conf", "+:ALL:ALL\n");
                tree
            },
            found: &[],
        },
    ]);
}

#[test]
fn lines_before_ours_that_lead_nobody_past_it() {
    expect(&[
        Case {
            name: "sufficient pam_deny and pam_nologin",
            make: || {
                account(
                    Tree::debian(),
                    &format!(
                        "account sufficient pam_deny.so\naccount sufficient pam_nologin.so\n{}",
                        ACCOUNT.trim_end()
                    ),
                )
            },
            found: &[],
        },
        Case {
            name: "a jump that stays before ours",
            make: || {
                account(
                    Tree::debian(),
                    &format!(
                        "account [success=1 default=ignore] pam_localuser.so\naccount required pam_time.so\n{}",
                        ACCOUNT.trim_end()
                    ),
                )
            },
            found: &[],
        },
        Case {
            name: "pam_localuser for other services",
            make: || {
                account(
                    Tree::debian(),
                    &format!(
                        "account [success=ignore default=1] pam_succeed_if.so service = login quiet\n\
                         account sufficient pam_localuser.so\n{}",
                        ACCOUNT.trim_end()
                    ),
                )
            },
            found: &[],
        },
        Case {
            name: "a substack with sufficient lines before ours",
            make: || {
                let tree = account(
                    Tree::redhat(),
                    &format!("account substack password-auth\n{}", ACCOUNT.trim_end()),
                );
                tree.replace(SSHD, "account    include      password-auth\n", "");
                tree
            },
            found: &[],
        },
    ]);
}

#[test]
fn options_and_places_other_than_the_manuals() {
    expect(&[
        Case {
            name: "options in the file alone",
            make: || {
                let tree = account(Tree::debian(), "account required pam_slurm_adopt.so");
                let tree = session(tree, "session required pam_slurm_adopt.so");
                tree.write(
                    "/etc/security/slurm_adopt.conf",
                    "strict\nexempt_groups = hpcadmin\n",
                );
                tree
            },
            found: &[],
        },
        Case {
            name: "service= with several names",
            make: || {
                let arguments = format!("{} service=login,sshd", ours("required"));
                let tree = account(Tree::debian(), &format!("account {arguments}"));
                session(tree, &format!("session {arguments}"))
            },
            found: &[],
        },
        Case {
            name: "a session line in common-session, last",
            make: || {
                let tree = session(Tree::debian(), "");
                let line = format!("{}\n", ours("session required"));
                tree.append("/etc/pam.d/common-session", &line);
                tree
            },
            found: &[],
        },
        Case {
            name: "lines in upper case and continued",
            make: || {
                account(
                    Tree::debian(),
                    "ACCOUNT Required \\\n  pam_slurm_adopt.so action_adopt_failure=deny action_generic_failure=deny",
                )
            },
            found: &[],
        },
    ]);
}

#[test]
fn files_that_look_odd() {
    expect(&[
        Case {
            name: "no newline at the end",
            make: || {
                let tree = Tree::redhat();
                tree.replace(SSHD, crate::pam::SESSION, crate::pam::SESSION.trim_end());
                tree
            },
            found: &[],
        },
        Case {
            name: "keys alone: pam_deny in the auth stack",
            make: || {
                let tree = Tree::debian();
                tree.replace(SSHD, "@include common-auth", "auth required pam_deny.so");
                tree
            },
            found: &[],
        },
        Case {
            name: "a stray copy of sshd's file",
            make: || {
                let tree = Tree::debian();
                tree.write(
                    "/etc/pam.d/sshd.dpkg-old",
                    "account optional pam_slurm_adopt.so\n",
                );
                tree
            },
            found: &[],
        },
    ]);
}
