//! Other services.

use crate::tree::{Case, Tree, expect};

#[test]
fn su_that_leaves_the_job_is_found() {
    expect(&[
        Case {
            name: "Debian's stock su",
            make: || {
                let tree = Tree::debian();
                tree.replace(
                    "/etc/pam.d/su",
                    "session required pam_slurm_adopt.so service=su,su-l\n",
                    "",
                );
                tree
            },
            found: &["SA270 warning /etc/pam.d/su:8"],
        },
        Case {
            name: "RHEL: su -l with a line for su alone",
            make: || {
                let tree = Tree::redhat();
                tree.replace("/etc/pam.d/su", "service=su,su-l", "service=su");
                tree
            },
            found: &["SA270 warning /etc/pam.d/su-l:6"],
        },
        Case {
            name: "the line before the include",
            make: || {
                let tree = Tree::debian();
                let line = "session required pam_slurm_adopt.so service=su,su-l\n";
                tree.replace("/etc/pam.d/su-l", line, "");
                let include = "@include common-session\n";
                tree.replace("/etc/pam.d/su-l", include, &format!("{line}{include}"));
                tree
            },
            found: &["SA270 warning /etc/pam.d/su-l:10"],
        },
    ]);
}

#[test]
fn sudo_that_leaves_the_job_is_a_note() {
    expect(&[
        Case {
            name: "RHEL's sudo: a note",
            make: || {
                let tree = Tree::redhat();
                tree.write(
                    "/etc/pam.d/sudo",
                    "auth include system-auth\n\
 account include system-auth\n\
 session include system-auth\n",
                );
                tree
            },
            found: &["SA271 note /etc/pam.d/sudo:3"],
        },
        Case {
            name: "Debian's sudo, without pam_systemd",
            make: || {
                let tree = Tree::debian();
                tree.write(
                    "/etc/pam.d/sudo",
                    "@include common-auth\n@include common-account\n\
 @include common-session-noninteractive\n",
                );
                tree
            },
            found: &[],
        },
    ]);
}

#[test]
fn a_line_that_does_nothing_is_found() {
    expect(&[
        Case {
            name: "su without service=",
            make: || {
                let tree = Tree::debian();
                tree.replace("/etc/pam.d/su", " service=su,su-l", "");
                tree
            },
            found: &[
                "SA270 warning /etc/pam.d/su:8",
                "SA274 warning /etc/pam.d/su:9",
            ],
        },
        Case {
            name: "login",
            make: || {
                let tree = Tree::debian();
                tree.append(
                    "/etc/pam.d/login",
                    "account required pam_slurm_adopt.so service=sshd\n",
                );
                tree
            },
            found: &["SA274 warning /etc/pam.d/login:18"],
        },
        Case {
            name: "sshd's file under another name, to which sshd is a link of a link",
            make: || {
                let tree = Tree::debian();
                tree.rename("/etc/pam.d/sshd", "/etc/pam.d/remote-shell");
                tree.link("/etc/pam.d/ssh", "remote-shell");
                tree.link("/etc/pam.d/sshd", "ssh");
                tree
            },
            found: &[],
        },
        Case {
            name: "a backup, and login with its name",
            make: || {
                let tree = Tree::debian();
                tree.append(
                    "/etc/pam.d/login",
                    "account required pam_slurm_adopt.so service=sshd,login\n",
                );
                tree.write(
                    "/etc/pam.d/login.bak",
                    "account required pam_slurm_adopt.so\n",
                );
                tree
            },
            found: &[
                "SA110 warning /etc/pam.d/login:18",
                "SA111 warning /etc/pam.d/login:18",
            ],
        },
    ]);
}

#[test]
fn a_service_over_the_network_is_found_if_it_is_enabled() {
    const UNIT: &str = "/usr/lib/systemd/system/cockpit.socket";
    fn cockpit(account: &str) -> Tree {
        let tree = Tree::redhat();
        let text = format!("auth include password-auth\n{account}account include password-auth\n");
        tree.write("/etc/pam.d/cockpit", &text);
        tree.write(UNIT, "[Socket]\n");
        tree
    }
    let stock = cockpit("");
    assert_eq!(stock.found(), [""; 0]);
    stock.link(
        "/etc/systemd/system/sockets.target.wants/cockpit.socket",
        UNIT,
    );
    assert_eq!(stock.found(), ["SA273 failure /etc/pam.d/cockpit"]);
    let held = cockpit("account required pam_slurm_adopt.so service=cockpit,sshd strict\n");
    held.link(
        "/etc/systemd/system/sockets.target.wants/cockpit.socket",
        UNIT,
    );
    assert_eq!(held.found(), [""; 0]);
}
