//! What libpam makes of the files.

use crate::pam::{ACCOUNT, SESSION, SSHD, account, ours, session};
use crate::tree::{Case, Tree, expect};

#[test]
fn files_at_which_libpam_gives_up_are_found() {
    expect(&[
        Case {
            name: "a missing @include",
            make: || {
                let tree = Tree::debian();
                tree.replace(SSHD, "@include common-account", "@include common-acount");
                tree
            },
            found: &["SA200 failure /etc/pam.d/sshd:4"],
        },
        Case {
            name: "the end within a continued line",
            make: || {
                let tree = Tree::debian();
                tree.append(SSHD, "session required \\\n");
                tree
            },
            found: &["SA200 failure /etc/pam.d/sshd:18"],
        },
        Case {
            name: "Windows line ends",
            make: || {
                let tree = Tree::debian();
                tree.replace(
                    SSHD,
                    "@include common-password\n",
                    "@include common-password\r\n",
                );
                tree
            },
            found: &["SA200 failure /etc/pam.d/sshd:17"],
        },
    ]);
}

#[test]
fn lines_that_keep_everybody_out_are_found() {
    expect(&[
        Case {
            name: "a mistyped control of ours",
            make: || account(Tree::debian(), &ours("account requierd")),
            found: &["SA201 failure /etc/pam.d/sshd:3"],
        },
        Case {
            name: "a mistyped control of another line",
            make: || {
                let tree = Tree::debian();
                tree.replace(
                    SSHD,
                    "account    required     pam_nologin.so",
                    "account require pam_nologin.so",
                );
                tree
            },
            found: &["SA201 failure /etc/pam.d/sshd:2"],
        },
        Case {
            name: "a missing include",
            make: || {
                let tree = Tree::redhat();
                tree.replace(
                    SSHD,
                    "session    include      postlogin",
                    "session    include      postlogon",
                );
                tree
            },
            found: &["SA201 failure /etc/pam.d/sshd:16"],
        },
    ]);
}

#[test]
fn lines_without_a_file_or_module_are_found() {
    expect(&[
        Case {
            name: "Windows line ends in includes",
            make: || {
                let tree = Tree::redhat();
                tree.replace(
                    SSHD,
                    "auth       substack     password-auth\n",
                    "auth       substack     password-auth\r\n",
                );
                tree.replace(
                    SSHD,
                    "account    include      password-auth\n",
                    "account    include      password-auth\r\n",
                );
                tree.replace(
                    SSHD,
                    "password   include      password-auth\n",
                    "password   include      password-auth\r\n",
                );
                tree
            },
            found: &[
                "SA201 failure /etc/pam.d/sshd:7",
                "SA201 warning /etc/pam.d/sshd:2",
                "SA204 warning /etc/pam.d/sshd:8",
            ],
        },
        Case {
            name: "no module",
            make: || account(Tree::redhat(), &format!("{ACCOUNT}account required")),
            found: &["SA201 failure /etc/pam.d/sshd:7"],
        },
    ]);
}

#[test]
fn jumps_that_keep_everybody_out_are_found() {
    expect(&[
        Case {
            name: "a line between the jump and its target",
            make: || {
                let tree = account(Tree::debian(), "");
                tree.replace(
                    "/etc/pam.d/common-account",
                    "account\trequisite",
                    &format!("{ACCOUNT}account\trequisite"),
                );
                tree
            },
            found: &["SA203 failure /etc/pam.d/common-account:1"],
        },
        Case {
            name: "a jump behind the end",
            make: || {
                let tree = Tree::debian();
                tree.replace("/etc/pam.d/common-account", "success=1", "success=3");
                tree
            },
            found: &["SA203 failure /etc/pam.d/common-account:1"],
        },
        Case {
            name: "a jump over the last line, and nothing else says yes",
            make: || {
                let tree = account(
                    Tree::debian(),
                    &format!(
                        "account [success=1 default=bad] pam_unix.so\n{}",
                        ACCOUNT.trim_end()
                    ),
                );
                tree.replace(SSHD, "@include common-account\n", "");
                tree
            },
            found: &["SA203 failure /etc/pam.d/sshd:3"],
        },
        Case {
            name: "no jump: pam_deny ends the stack before the line",
            make: || {
                account(
                    Tree::debian(),
                    &format!("account requisite pam_deny.so\n{}", ACCOUNT.trim_end()),
                )
            },
            found: &["SA203 failure /etc/pam.d/sshd:3"],
        },
    ]);
}

const DEBIANS: &str = "/usr/lib/x86_64-linux-gnu/security";

#[test]
fn modules_that_libpam_cannot_call_are_found() {
    expect(&[
        Case {
            name: "a mistyped name",
            make: || account(Tree::debian(), "account required pam_slurm-adopt.so"),
            found: &["SA010 failure /etc/pam.d/sshd:3"],
        },
        Case {
            name: "a mistyped module that was to let administrators in",
            make: || {
                let line = "account sufficient pam_acces.so";
                let tree = Tree::debian();
                tree.prepend("/etc/pam.d/sshd", &format!("{line}\n"));
                tree
            },
            found: &["SA211 warning /etc/pam.d/sshd:1"],
        },
        Case {
            name: "the same with a dash",
            make: || {
                let tree = Tree::debian();
                tree.prepend("/etc/pam.d/sshd", "-account sufficient pam_acces.so\n");
                tree
            },
            found: &[],
        },
        Case {
            name: "an absolute path that is not there, with a dash",
            make: || {
                account(
                    Tree::debian(),
                    "-account required /opt/slurm/lib/security/pam_slurm_adopt.so \
                     action_adopt_failure=deny action_generic_failure=deny",
                )
            },
            found: &["SA010 failure /etc/pam.d/sshd:3"],
        },
        Case {
            name: "Windows line ends in the account line",
            make: || account(Tree::redhat(), "account required pam_slurm_adopt.so\r"),
            found: &["SA201 failure /etc/pam.d/sshd:6"],
        },
    ]);
}

#[test]
fn modules_that_are_gone_are_found() {
    expect(&[
        Case {
            name: "installed into /usr/lib, where RHEL's libpam does not look",
            make: || {
                let tree = Tree::redhat();
                tree.rename(
                    "/usr/lib64/security/pam_slurm_adopt.so",
                    "/usr/lib/security/pam_slurm_adopt.so",
                );
                tree
            },
            found: &["SA010 failure /etc/pam.d/sshd:6"],
        },
        Case {
            name: "a session module that is gone",
            make: || {
                let tree = Tree::redhat();
                tree.remove("/usr/lib64/security/pam_loginuid.so");
                tree
            },
            found: &["SA202 failure /etc/pam.d/sshd:10"],
        },
    ]);
}

#[test]
fn modules_without_the_function_or_for_some_users_are_found() {
    expect(&[
        Case {
            name: "SchedMD's module in a session line",
            make: || {
                let tree = Tree::debian();
                tree.write(
                    &format!("{DEBIANS}/pam_slurm_adopt.so"),
                    "\x7fELF pam_sm_acct_mgmt /etc/security/slurm_adopt.conf",
                );
                tree
            },
            found: &["SA016 failure /usr/lib/x86_64-linux-gnu/security/pam_slurm_adopt.so"],
        },
        Case {
            name: "RHEL without sssd: local users get in",
            make: || {
                let tree = Tree::redhat();
                tree.remove("/usr/lib64/security/pam_sss.so");
                tree
            },
            found: &[
                "SA205 warning /etc/pam.d/password-auth:13",
                "SA205 warning /etc/pam.d/password-auth:7",
            ],
        },
        Case {
            name: "optional modules that are gone, and a dash",
            make: || {
                let tree = session(
                    Tree::debian(),
                    &format!(
                        "-session optional pam_ck_connector.so\nsession optional pam_motd.so\n{}",
                        SESSION.trim_end()
                    ),
                );
                tree.remove(&format!("{DEBIANS}/pam_ck_connector.so"));
                tree.remove(&format!("{DEBIANS}/pam_motd.so"));
                tree.remove(&format!("{DEBIANS}/pam_selinux.so"));
                tree
            },
            found: &[],
        },
        Case {
            name: "a dash with a module that is there, and $ISA",
            make: || {
                account(
                    Tree::debian(),
                    "-account required /lib/security/$ISA/pam_slurm_adopt.so \
                     action_adopt_failure=deny action_generic_failure=deny",
                )
            },
            found: &["SA010 failure /etc/pam.d/sshd:3"],
        },
    ]);
}

#[test]
fn lines_that_are_not_what_they_seem_are_found() {
    expect(&[
        Case {
            name: "a mistyped type",
            make: || account(Tree::debian(), "acount required pam_slurm_adopt.so"),
            found: &[
                "SA201 warning /etc/pam.d/sshd:3",
                "SA220 failure /etc/pam.d/sshd",
            ],
        },
        Case {
            name: "a carriage return after an argument",
            make: || account(Tree::debian(), &format!("{}\r", ACCOUNT.trim_end())),
            found: &["SA204 warning /etc/pam.d/sshd:3"],
        },
        Case {
            name: "an auth line of ours",
            make: || {
                account(
                    Tree::debian(),
                    &format!("auth required pam_slurm_adopt.so\n{}", ACCOUNT.trim_end()),
                )
            },
            found: &["SA206 warning /etc/pam.d/sshd:3"],
        },
        Case {
            name: "a password line of ours",
            make: || {
                account(
                    Tree::debian(),
                    &format!("{ACCOUNT}password optional pam_slurm_adopt.so"),
                )
            },
            found: &["SA206 warning /etc/pam.d/sshd:4"],
        },
    ]);
}

#[test]
fn services_without_a_file_are_found() {
    let tree = Tree::debian();
    tree.remove(SSHD);
    assert_eq!(
        tree.found(),
        [
            "SA207 warning /etc/pam.d/sshd",
            "SA220 failure /etc/pam.d/sshd"
        ]
    );
    let one_file = Tree::debian();
    let text = format!(
        "sshd {ACCOUNT}sshd account required pam_unix.so\nsshd {SESSION}sshd auth required pam_unix.so\n"
    );
    one_file.write("/etc/pam.conf", &text);
    one_file.rename("/etc/pam.d", "/etc/pam.d.old");
    assert_eq!(one_file.found(), ["SA208 note /etc/pam.conf"]);
}
