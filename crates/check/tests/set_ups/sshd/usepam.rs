use super::{DROP_INS, MAIN, debian_and, redhat_with};
use crate::tree::{Case, Tree, expect};

#[test]
fn sshd_does_not_ask_pam() {
    expect(&[
        Case {
            name: "UsePAM no",
            make: || {
                let tree = Tree::debian();
                tree.replace(MAIN, "UsePAM yes", "UsePAM no");
                tree
            },
            found: &["SA300 failure /etc/ssh/sshd_config:3"],
        },
        Case {
            name: "UsePAM is commented out, as upstream has it",
            make: || {
                let tree = Tree::debian();
                tree.replace(MAIN, "UsePAM yes", "#UsePAM yes");
                tree
            },
            found: &["SA300 failure /etc/ssh/sshd_config"],
        },
        Case {
            name: "an Include says no first",
            make: || {
                let tree = Tree::debian();
                tree.write(
                    &format!("{DROP_INS}/10-hardening.conf"),
                    "# CIS\nusepam = NO\n",
                );
                tree
            },
            found: &["SA300 failure /etc/ssh/sshd_config.d/10-hardening.conf:2"],
        },
        Case {
            name: "RHEL, a file that sorts before 50-redhat.conf",
            make: || redhat_with("00-local.conf", "UsePAM no\n"),
            found: &["SA300 failure /etc/ssh/sshd_config.d/00-local.conf:1"],
        },
        Case {
            name: "RHEL without its Include",
            make: || {
                let tree = Tree::redhat();
                tree.replace(MAIN, "Include /etc/ssh/sshd_config.d/*.conf\n", "");
                tree
            },
            found: &[
                "SA300 failure /etc/ssh/sshd_config",
                "SA306 warning /etc/ssh/sshd_config.d/50-redhat.conf:2",
            ],
        },
    ]);
}

#[test]
fn usepam_is_appended_below_a_match_line() {
    expect(&[
        Case {
            name: "echo UsePAM yes >> sshd_config, and no other line",
            make: || {
                let tree = Tree::debian();
                tree.replace(MAIN, "UsePAM yes\n", "");
                tree.append(MAIN, "Match User alice\n  X11Forwarding no\nUsePAM yes\n");
                tree
            },
            found: &["SA301 failure /etc/ssh/sshd_config:9"],
        },
        Case {
            name: "the same while it is set above too",
            make: || debian_and("Match Group sftp\n\tChrootDirectory %h\nUsePAM yes\n"),
            found: &["SA301 failure /etc/ssh/sshd_config:10"],
        },
        Case {
            name: "UsePAM no for admins",
            make: || debian_and("Match Group admins\n  UsePAM no\n"),
            found: &["SA301 failure /etc/ssh/sshd_config:9"],
        },
        Case {
            name: "an Include below a Match line",
            make: || {
                let tree = debian_and("Match User alice\nInclude /etc/ssh/more.conf\n");
                tree.write("/etc/ssh/more.conf", "MaxAuthTries 3\nUsePAM yes\n");
                tree
            },
            found: &["SA301 failure /etc/ssh/more.conf:2"],
        },
    ]);
}

#[test]
fn options_of_the_unit_turn_pam_off() {
    expect(&[
        Case {
            name: "OPTIONS in /etc/sysconfig/sshd",
            make: || {
                let tree = Tree::redhat();
                let unit = "[Service]\nEnvironmentFile=-/etc/sysconfig/sshd\nExecStart=/usr/sbin/sshd -D $OPTIONS\n";
                tree.write("/usr/lib/systemd/system/sshd.service", unit);
                tree.write(
                    "/etc/sysconfig/sshd",
                    "# options\nOPTIONS=\"-u0 -oUsePAM=no\"\n",
                );
                tree
            },
            found: &["SA300 failure /etc/sysconfig/sshd:2"],
        },
        Case {
            name: "a second sshd for admins",
            make: || {
                let tree = Tree::debian();
                let unit = "[Service]\nExecStart=/usr/sbin/sshd -D -f /etc/ssh/sshd_config.admin\n";
                tree.write("/etc/systemd/system/sshd-admin.service", unit);
                tree.link(
                    "/etc/systemd/system/multi-user.target.wants/sshd-admin.service",
                    "/etc/systemd/system/sshd-admin.service",
                );
                tree.write(
                    "/usr/lib/systemd/system/ssh.service",
                    "[Service]\nExecStart=/usr/sbin/sshd -D\n",
                );
                tree.write("/etc/ssh/sshd_config.admin", "Port 2222\n");
                tree
            },
            found: &["SA300 failure /etc/ssh/sshd_config.admin"],
        },
    ]);
}

#[test]
fn pam_has_no_file_for_the_service() {
    expect(&[
        Case {
            name: "PAMServiceName",
            make: || debian_and("PAMServiceName sshd-compute\n"),
            found: &[
                "SA207 warning /etc/pam.d/sshd-compute",
                "SA220 failure /etc/pam.d/sshd-compute",
                "SA350 failure /etc/ssh/sshd_config:8",
            ],
        },
        Case {
            name: "PAMServiceName for some",
            make: || debian_and("Match User alice\nPAMServiceName ssh\n"),
            found: &[
                "SA207 warning /etc/pam.d/ssh",
                "SA220 failure /etc/pam.d/ssh",
                "SA350 failure /etc/ssh/sshd_config:9",
            ],
        },
        Case {
            name: "an old sshd under another name",
            make: || {
                let tree = Tree::redhat();
                tree.write("/usr/sbin/sshd-compute", "OpenSSH_8.7p1\0");
                let unit = "[Service]\nExecStart=/usr/sbin/sshd-compute -D\n";
                tree.write("/etc/systemd/system/sshd.service", unit);
                tree
            },
            found: &[
                "SA203 failure /etc/pam.d/other:2",
                "SA203 failure /etc/pam.d/other:4",
                "SA207 warning /etc/pam.d/sshd-compute",
                "SA350 failure",
            ],
        },
    ]);
}
