use super::{MAIN, debian_and, redhat_with};
use crate::tree::{Case, Tree, expect};

#[test]
fn sshd_does_not_start_with_it() {
    expect(&[
        Case {
            name: "a typo",
            make: || {
                let tree = Tree::debian();
                tree.replace(MAIN, "X11Forwarding yes", "X11Forwading yes");
                tree
            },
            found: &["SA302 failure /etc/ssh/sshd_config:4"],
        },
        Case {
            name: "a typo in UsePAM",
            make: || {
                let tree = Tree::debian();
                tree.replace(MAIN, "UsePAM yes", "UsePMA yes");
                tree
            },
            found: &[
                "SA300 failure /etc/ssh/sshd_config",
                "SA302 failure /etc/ssh/sshd_config:3",
            ],
        },
        Case {
            name: "another language's yes",
            make: || {
                let tree = Tree::debian();
                tree.replace(MAIN, "UsePAM yes", "UsePAM true");
                tree
            },
            found: &[
                "SA300 failure /etc/ssh/sshd_config",
                "SA303 failure /etc/ssh/sshd_config:3",
            ],
        },
    ]);
}

#[test]
fn sshd_does_not_start_with_such_blocks() {
    expect(&[
        Case {
            name: "a Match line without a value",
            make: || debian_and("Match Group\n  ForceCommand /bin/false\n"),
            found: &["SA303 failure /etc/ssh/sshd_config:8"],
        },
        Case {
            name: "Match Users",
            make: || debian_and("Match Users alice\n  ForceCommand /bin/false\n"),
            found: &["SA303 failure /etc/ssh/sshd_config:8"],
        },
        Case {
            name: "a file that includes itself",
            make: || redhat_with("60-loop.conf", "Include /etc/ssh/sshd_config.d/60-*.conf\n"),
            found: &["SA303 failure /etc/ssh/sshd_config.d/60-loop.conf:1"],
        },
        Case {
            name: "PAMServiceName, for which this sshd is too old",
            make: || {
                let tree = debian_and("PAMServiceName sshd\n");
                let program = format!("OpenSSH_9.2p1\0include\0{}", "x\0".repeat(60_000));
                tree.write("/usr/sbin/sshd", &program);
                tree
            },
            found: &["SA302 failure /etc/ssh/sshd_config:8"],
        },
    ]);
}

#[test]
fn sshd_does_not_take_these_values() {
    expect(&[Case {
        name: "LoginGraceTime in words",
        make: || debian_and("LoginGraceTime 2min\n"),
        found: &["SA303 failure /etc/ssh/sshd_config:8"],
    }]);
}

#[test]
fn a_line_is_in_vain() {
    expect(&[
        Case {
            name: "RHEL 9: keyboard-interactive below 50-redhat.conf, which has the old name",
            make: || {
                let tree = Tree::redhat();
                tree.append(MAIN, "KbdInteractiveAuthentication yes\n");
                tree
            },
            found: &["SA307 warning /etc/ssh/sshd_config:4"],
        },
        Case {
            name: "a file that sorts after 50-redhat.conf",
            make: || redhat_with("99-mfa.conf", "ChallengeResponseAuthentication yes\n"),
            found: &["SA307 warning /etc/ssh/sshd_config.d/99-mfa.conf:1"],
        },
        Case {
            name: "two lines of one file",
            make: || debian_and("KbdInteractiveAuthentication yes\n"),
            found: &["SA307 warning /etc/ssh/sshd_config:8"],
        },
        Case {
            name: "UsePAM no that does nothing",
            make: || debian_and("UsePAM no\n"),
            found: &["SA307 warning /etc/ssh/sshd_config:8"],
        },
        Case {
            name: "an old sshd takes the last MaxStartups",
            make: || {
                let tree = redhat_with("60-startups.conf", "MaxStartups 100:30:600\n");
                tree.append(MAIN, "MaxStartups 10:30:60\n");
                tree.write("/usr/sbin/sshd", "OpenSSH_8.7p1\0");
                tree
            },
            found: &["SA331 warning /etc/ssh/sshd_config.d/60-startups.conf:1"],
        },
        Case {
            name: "two MaxStartups lines, the release unknown",
            make: || debian_and("MaxStartups 100\nMaxStartups 200\n"),
            found: &["SA331 warning /etc/ssh/sshd_config:9"],
        },
    ]);
}
