//! The session line.

use crate::elf::{Elf, OWN};
use crate::pam::{SESSION, SSHD, session};
use crate::tree::{Case, Tree, expect};

const ARGUMENTS: &str = "pam_slurm_adopt.so action_adopt_failure=deny action_generic_failure=deny";

fn with_control(tree: Tree, control: &str) -> Tree {
    session(tree, &format!("session {control} {ARGUMENTS}"))
}

const MODULE: &str = "/usr/lib/x86_64-linux-gnu/security/pam_slurm_adopt.so";
/// It has no functions for a session, as SchedMD's.
const WITHOUT_SESSION: Elf = Elf {
    exports: &["pam_sm_acct_mgmt"],
    ..OWN
};

#[test]
fn logins_that_pam_systemd_moves_are_found() {
    expect(&[
        Case {
            name: "no session line, Debian",
            make: || session(Tree::debian(), ""),
            found: &["SA250 failure /etc/pam.d/common-session:6"],
        },
        Case {
            name: "no session line, RHEL",
            make: || session(Tree::redhat(), ""),
            found: &["SA250 failure /etc/pam.d/password-auth:23"],
        },
        Case {
            name: "a session line in system-auth",
            make: || {
                let tree = session(Tree::redhat(), "");
                tree.append(
                    "/etc/pam.d/system-auth",
                    &format!("session required {ARGUMENTS}\n"),
                );
                tree
            },
            found: &["SA252 failure /etc/pam.d/system-auth:27"],
        },
        Case {
            name: "another service=",
            make: || {
                session(
                    Tree::debian(),
                    &format!("session required {ARGUMENTS} service=login"),
                )
            },
            found: &["SA259 failure /etc/pam.d/sshd:16"],
        },
    ]);
}

#[test]
fn modules_that_move_the_session_after_ours_are_found() {
    expect(&[
        Case {
            name: "a line before common-session",
            make: || {
                let tree = Tree::debian();
                tree.replace(SSHD, SESSION, "");
                let include = "@include common-session\n";
                tree.replace(SSHD, include, &format!("{SESSION}{include}"));
                tree
            },
            found: &["SA253 failure /etc/pam.d/common-session:6"],
        },
        Case {
            name: "pam_systemd appended after ours",
            make: || {
                let tree = Tree::redhat();
                tree.append(SSHD, "-session optional pam_systemd.so class=user\n");
                tree
            },
            found: &["SA253 failure /etc/pam.d/sshd:18"],
        },
        Case {
            name: "pam_cgroup after ours",
            make: || {
                let tree = Tree::debian();
                crate::pam::add_modules(&tree, "pam_cgroup.so");
                tree.append(SSHD, "session optional pam_cgroup.so\n");
                tree
            },
            found: &["SA253 failure /etc/pam.d/sshd:18"],
        },
    ]);
}

#[test]
fn a_session_line_of_schedmds_module_puts_nothing_back() {
    let tree = with_control(Tree::debian(), "optional");
    tree.write_bytes(MODULE, &WITHOUT_SESSION.bytes());
    let found = tree.found();
    let ours = found.iter().filter(|it| !it.starts_with("SA27"));
    assert_eq!(
        ours.collect::<Vec<_>>(),
        [
            "SA020 failure /etc/pam.d/sshd:16",
            "SA020 failure /etc/pam.d/su-l:10",
            "SA020 failure /etc/pam.d/su:9",
            "SA250 failure /etc/pam.d/common-session:6",
        ]
    );
}

#[test]
fn a_stack_without_pam_systemd_needs_no_session_line() {
    expect(&[
        Case {
            name: "pam_systemd taken out",
            make: || {
                let tree = session(Tree::debian(), "");
                tree.replace(
                    "/etc/pam.d/common-session",
                    "session\toptional\tpam_systemd.so ",
                    "#",
                );
                tree
            },
            found: &["SA251 note"],
        },
        Case {
            name: "pam_systemd not installed",
            make: || {
                let tree = session(Tree::debian(), "");
                tree.remove("/usr/lib/x86_64-linux-gnu/security/pam_systemd.so");
                tree
            },
            found: &["SA251 note"],
        },
        Case {
            name: "pam_systemd skipped for sshd",
            make: || {
                let tree = session(Tree::debian(), "");
                let systemd = "session\toptional\tpam_systemd.so ";
                let skip =
                    "session [success=1 default=ignore] pam_succeed_if.so service = sshd quiet\n";
                tree.replace(
                    "/etc/pam.d/common-session",
                    systemd,
                    &format!("{skip}{systemd}"),
                );
                crate::pam::add_modules(&tree, skip);
                tree
            },
            found: &["SA251 note"],
        },
    ]);
}

#[test]
fn a_session_line_that_is_passed_over_is_found() {
    expect(&[
        Case {
            name: "a jump",
            make: || {
                session(
                    Tree::debian(),
                    &format!(
                        "session [success=1 default=ignore] pam_succeed_if.so service in sshd quiet\n{}",
                        SESSION.trim_end()
                    ),
                )
            },
            found: &["SA254 failure /etc/pam.d/sshd:16"],
        },
        Case {
            name: "sufficient",
            make: || {
                session(
                    Tree::redhat(),
                    &format!("session sufficient pam_sss.so\n{}", SESSION.trim_end()),
                )
            },
            found: &["SA254 failure /etc/pam.d/sshd:17"],
        },
        Case {
            name: "a jump for cron, which the module cannot judge",
            make: || {
                session(
                    Tree::redhat(),
                    &format!(
                        "session [success=1 default=ignore] pam_succeed_if.so service in crond quiet use_uid\n{}",
                        SESSION.trim_end()
                    ),
                )
            },
            found: &["SA254 warning /etc/pam.d/sshd:17"],
        },
    ]);
}

#[test]
fn a_session_line_whose_failure_does_not_count_is_found() {
    expect(&[
        Case {
            name: "optional",
            make: || with_control(Tree::debian(), "optional"),
            found: &["SA255 warning /etc/pam.d/sshd:16"],
        },
        Case {
            name: "sufficient",
            make: || with_control(Tree::redhat(), "sufficient"),
            found: &["SA255 warning /etc/pam.d/sshd:17"],
        },
        Case {
            name: "brackets",
            make: || with_control(Tree::debian(), "[success=ok default=ignore]"),
            found: &["SA255 warning /etc/pam.d/sshd:16"],
        },
        Case {
            name: "requisite is as good as required",
            make: || with_control(Tree::debian(), "requisite"),
            found: &[],
        },
        Case {
            name: "brackets that bind",
            make: || with_control(Tree::debian(), "[success=ok ignore=ignore default=bad]"),
            found: &[],
        },
    ]);
}

#[test]
fn pam_namespace_before_ours_is_found_if_it_does_anything() {
    expect(&[
        Case {
            name: "a /tmp for each user",
            make: || {
                let tree = Tree::redhat();
                tree.write(
                    "/etc/security/namespace.conf",
                    "# all\n/tmp /tmp/inst/ level root\n",
                );
                tree
            },
            found: &["SA256 warning /etc/pam.d/sshd:12"],
        },
        Case {
            name: "the same, by a file in namespace.d",
            make: || {
                let tree = Tree::redhat();
                tree.write(
                    "/etc/security/namespace.d/run.conf",
                    "/run /run-inst/ user root\n",
                );
                tree
            },
            found: &["SA256 warning /etc/pam.d/sshd:12"],
        },
        Case {
            name: "RHEL's stock file",
            make: || {
                let tree = Tree::redhat();
                tree.write(
                    "/etc/security/namespace.conf",
                    "# /tmp /tmp-inst/ level root,adm\n",
                );
                tree
            },
            found: &[],
        },
    ]);
}

#[test]
fn lines_that_disagree_are_found() {
    expect(&[
        Case {
            name: "a session line with other options",
            make: || session(Tree::debian(), "session required pam_slurm_adopt.so"),
            found: &["SA258 warning /etc/pam.d/sshd:16"],
        },
        Case {
            name: "two session lines",
            make: || session(Tree::debian(), &format!("{SESSION}{}", SESSION.trim_end())),
            found: &["SA257 warning /etc/pam.d/sshd:17"],
        },
        Case {
            name: "options of one phase",
            make: || {
                session(
                    Tree::debian(),
                    &format!("{} limits=job runtime_dir=create", SESSION.trim_end()),
                )
            },
            found: &[],
        },
        Case {
            name: "the same, written otherwise",
            make: || {
                session(
                    Tree::debian(),
                    "session required pam_slurm_adopt.so ACTION_ADOPT_FAILURE=Deny action_generic_failure=deny",
                )
            },
            found: &[],
        },
    ]);
}

#[test]
fn schedmds_module_gets_no_advice_to_add_a_session_line() {
    let tree = session(Tree::debian(), "");
    tree.write_bytes(MODULE, &WITHOUT_SESSION.bytes());
    let report = tree.report();
    let finding = report.findings().find(|it| it.check.id == "SA250");
    let advice = finding.expect("SA250").advice();
    assert!(advice.contains("SchedMD"), "{advice}");
    tree.remove("/usr/lib/x86_64-linux-gnu/security/pam_systemd.so");
    assert_eq!(
        tree.found(),
        [
            "SA020 failure /etc/pam.d/su-l:10",
            "SA020 failure /etc/pam.d/su:9"
        ]
    );
}
