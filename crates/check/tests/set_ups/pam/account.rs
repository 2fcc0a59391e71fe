//! The account line.

use crate::pam::{ACCOUNT, SSHD, account, ours};
use crate::tree::{Case, Tree, expect};

#[test]
fn a_stack_without_the_line_is_found() {
    expect(&[
        Case {
            name: "no account line",
            make: || account(Tree::debian(), ""),
            found: &["SA220 failure /etc/pam.d/sshd"],
        },
        Case {
            name: "commented out",
            make: || account(Tree::debian(), &format!("# {}", ACCOUNT.trim_end())),
            found: &["SA220 failure /etc/pam.d/sshd"],
        },
        Case {
            name: "the recipe for system-auth, which sshd does not read",
            make: || {
                let tree = account(Tree::redhat(), "");
                tree.append(
                    "/etc/pam.d/system-auth",
                    "account required pam_slurm_adopt.so\n",
                );
                tree
            },
            found: &["SA221 failure /etc/pam.d/system-auth:27"],
        },
        Case {
            name: "common-account, which only other services read",
            make: || {
                let tree = account(Tree::debian(), "account required pam_unix.so");
                tree.replace(SSHD, "@include common-account\n", "");
                tree.append("/etc/pam.d/common-account", ACCOUNT);
                tree
            },
            found: &["SA221 failure /etc/pam.d/common-account:4"],
        },
        Case {
            name: "a file with a mistyped name",
            make: || {
                let tree = account(Tree::debian(), "");
                tree.write("/etc/pam.d/ssh", "account required pam_slurm_adopt.so\n");
                tree
            },
            found: &["SA221 failure /etc/pam.d/ssh:1"],
        },
        Case {
            name: "pam.conf beside pam.d",
            make: || {
                let tree = account(Tree::debian(), "");
                tree.write(
                    "/etc/pam.conf",
                    "sshd account required pam_slurm_adopt.so\n",
                );
                tree
            },
            found: &["SA221 failure /etc/pam.conf:1"],
        },
    ]);
}

#[test]
fn a_line_that_does_not_act_is_found() {
    expect(&[
        Case {
            name: "another service=",
            make: || {
                account(
                    Tree::debian(),
                    "account required pam_slurm_adopt.so service=ssh",
                )
            },
            found: &["SA222 failure /etc/pam.d/sshd:3"],
        },
        Case {
            name: "a path that is not there, and sufficient",
            make: || {
                account(
                    Tree::debian(),
                    "-account sufficient /opt/lib/security/pam_slurm_adopt.so \
                     action_adopt_failure=deny action_generic_failure=deny",
                )
            },
            found: &["SA010 failure /etc/pam.d/sshd:3"],
        },
        Case {
            name: "no sshd",
            make: || {
                let tree = Tree::debian();
                tree.remove(SSHD);
                tree.remove("/etc/ssh/sshd_config");
                tree
            },
            found: &[],
        },
        Case {
            name: "not installed, and no compute node",
            make: || {
                let tree = account(Tree::debian(), "");
                tree.write("/etc/hostname", "login1\n");
                tree.remove("/usr/lib/x86_64-linux-gnu/security/pam_slurm_adopt.so");
                let session = crate::pam::SESSION;
                tree.replace(SSHD, session, "");
                for service in ["su", "su-l"] {
                    let line = "session required pam_slurm_adopt.so service=su,su-l\n";
                    tree.replace(&format!("/etc/pam.d/{service}"), line, "");
                }
                tree
            },
            found: &[],
        },
    ]);
}

#[test]
fn a_denial_that_does_not_count_is_found() {
    expect(&[
        Case {
            name: "optional",
            make: || account(Tree::debian(), &ours("account optional")),
            found: &["SA228 failure /etc/pam.d/sshd:3"],
        },
        Case {
            name: "sufficient before the distribution's lines",
            make: || account(Tree::debian(), &ours("account sufficient")),
            found: &["SA228 failure /etc/pam.d/sshd:3"],
        },
        Case {
            name: "default=ignore",
            make: || account(Tree::redhat(), &ours("account [success=ok default=ignore]")),
            found: &["SA228 failure /etc/pam.d/sshd:6"],
        },
        Case {
            name: "perm_denied=ignore",
            make: || {
                account(
                    Tree::debian(),
                    &ours("account [success=ok ignore=ignore perm_denied=ignore default=bad]"),
                )
            },
            found: &["SA228 failure /etc/pam.d/sshd:3"],
        },
    ]);
}

/// SchedMD's manual: sufficient, and then pam_access for administrators.
fn with_pam_access(rules: &str) -> Tree {
    let ours = &ours("account sufficient");
    let tree = account(
        Tree::debian(),
        &format!("{ours}\naccount required pam_access.so"),
    );
    tree.write("/etc/security/access.conf", rules);
    tree
}

#[test]
fn sufficient_is_right_before_a_pam_access_that_denies() {
    expect(&[
        Case {
            name: "administrators",
            make: || with_pam_access("+:root wheel:ALL\n-:ALL:ALL\n"),
            found: &[
                "SA226 note /etc/pam.d/sshd:4",
                "SA229 note /etc/pam.d/sshd:3",
            ],
        },
        Case {
            name: "nobody but root",
            make: || with_pam_access("+:root:ALL\n-:ALL:ALL\n"),
            found: &["SA229 note /etc/pam.d/sshd:3"],
        },
        Case {
            name: "rules that deny nobody",
            make: || with_pam_access("# nothing\n"),
            found: &["SA228 failure /etc/pam.d/sshd:3"],
        },
        Case {
            name: "a program that decides about the rest",
            make: || {
                account(
                    Tree::redhat(),
                    &format!(
                        "{}\naccount requisite pam_exec.so /usr/local/sbin/is_admin",
                        ours("account sufficient")
                    ),
                )
            },
            found: &[
                "SA227 warning /etc/pam.d/sshd:7",
                "SA229 note /etc/pam.d/sshd:6",
            ],
        },
    ]);
}

/// Debian's tree with the account line after common-account.
fn late(base: fn() -> Tree, include: &str) -> Tree {
    let tree = base();
    tree.replace(SSHD, ACCOUNT, "");
    tree.replace(SSHD, include, &format!("{include}{ACCOUNT}"));
    tree
}

#[test]
fn an_expired_password_before_the_line_is_a_warning() {
    expect(&[
        Case {
            name: "Debian's common-account",
            make: || late(Tree::debian, "@include common-account\n"),
            found: &["SA230 warning /etc/pam.d/common-account:1"],
        },
        Case {
            name: "a line at the end of common-account",
            make: || {
                let tree = account(Tree::debian(), "");
                tree.append("/etc/pam.d/common-account", ACCOUNT);
                tree
            },
            found: &["SA230 warning /etc/pam.d/common-account:1"],
        },
        Case {
            name: "a substack, and a required pam_unix",
            make: || {
                let tree = late(Tree::redhat, "account    include      password-auth\n");
                tree.replace(
                    SSHD,
                    "account    include      password-auth",
                    "account    substack     password-auth",
                );
                tree
            },
            found: &[],
        },
    ]);
}

#[test]
fn a_line_that_is_passed_over_and_does_not_count_is_found_twice() {
    let access = "account [success=done new_authtok_reqd=done default=ignore] pam_access.so";
    let lines = format!("{access}\n{}", ours("account optional"));
    assert_eq!(
        account(Tree::debian(), &lines).found(),
        [
            "SA225 failure /etc/pam.d/sshd:3",
            "SA228 failure /etc/pam.d/sshd:4"
        ]
    );
}

#[test]
fn a_stack_with_too_many_ways_is_a_warning() {
    let tree = account(
        Tree::debian(),
        &format!("account substack way0\n{}", ACCOUNT.trim_end()),
    );
    let module = "account [success=ok try_again=ok auth_err=reset perm_denied=bad default=ignore] \
                  pam_exec.so /usr/local/sbin/way\n";
    for level in 0..14 {
        let next = format!("account substack way{}\n", level + 1);
        let text = format!("{module}{module}{next}");
        tree.write(&format!("/etc/pam.d/way{level}"), &text);
    }
    tree.write("/etc/pam.d/way14", module);
    crate::pam::add_modules(&tree, "pam_exec.so");
    assert_eq!(tree.found(), ["SA237 warning /etc/pam.d/sshd:4"]);
}

#[test]
fn pam_slurm_beside_ours_is_found() {
    let with = |control: &str| {
        account(
            Tree::debian(),
            &format!("account {control} pam_slurm.so\n{}", ACCOUNT.trim_end()),
        )
    };
    assert_eq!(
        with("sufficient").found(),
        ["SA232 failure /etc/pam.d/sshd:3"]
    );
    assert_eq!(
        with("required").found(),
        ["SA233 warning /etc/pam.d/sshd:3"]
    );
    let after = account(
        Tree::debian(),
        &format!("{ACCOUNT}account required pam_slurm.so"),
    );
    assert_eq!(after.found(), ["SA233 warning /etc/pam.d/sshd:4"]);
}

#[test]
fn two_account_lines_are_found() {
    expect(&[
        Case {
            name: "sshd and common-account",
            make: || {
                let tree = Tree::debian();
                tree.append(
                    "/etc/pam.d/common-account",
                    "account required pam_slurm_adopt.so\n",
                );
                tree
            },
            found: &[
                "SA110 warning /etc/pam.d/common-account:4",
                "SA111 warning /etc/pam.d/common-account:4",
                "SA234 warning /etc/pam.d/common-account:4",
            ],
        },
        Case {
            name: "a line for each of two clusters",
            make: || {
                let one = format!(
                    "{} nodename=a1 slurm_conf=/etc/a/slurm.conf",
                    ours("required")
                );
                let two = one.replace("a1", "b1").replace("/a/", "/b/");
                let tree = account(Tree::debian(), &format!("account {one}\naccount {two}"));
                crate::pam::session(tree, &format!("session {one}\nsession {two}"))
            },
            found: &[
                "SA130 failure /etc/pam.d/sshd:3",
                "SA130 failure /etc/pam.d/sshd:4",
            ],
        },
    ]);
}
