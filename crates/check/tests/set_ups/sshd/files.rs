use super::{DROP_INS, MAIN, debian_and, redhat_with};
use crate::tree::{Case, Tree, expect};

#[test]
fn files_that_are_not_as_they_must_be() {
    expect(&[
        Case {
            name: "sshd_config is missing",
            make: || {
                let tree = Tree::debian();
                tree.remove(MAIN);
                tree.write("/usr/sbin/sshd", "OpenSSH_9.2p1\0");
                tree
            },
            found: &["SA304 failure /etc/ssh/sshd_config"],
        },
        Case {
            name: "everybody can write an included file",
            make: || {
                let tree = redhat_with("60-site.conf", "MaxSessions 20\n");
                tree.chmod(&format!("{DROP_INS}/60-site.conf"), 0o666);
                tree
            },
            found: &["SA305 failure /etc/ssh/sshd_config.d/60-site.conf"],
        },
        Case {
            name: "everybody can write the directory",
            make: || {
                let tree = Tree::debian();
                tree.write(&format!("{DROP_INS}/10-x.conf"), "MaxSessions 20\n");
                tree.chmod(DROP_INS, 0o777);
                tree
            },
            found: &["SA305 failure /etc/ssh/sshd_config.d"],
        },
    ]);
}

#[test]
fn files_that_nobody_reads() {
    expect(&[
        Case {
            name: "without .conf",
            make: || redhat_with("40-mfa", "AuthenticationMethods publickey\n"),
            found: &["SA306 warning /etc/ssh/sshd_config.d/40-mfa:1"],
        },
        Case {
            name: "another ending",
            make: || redhat_with("10-pam.cfg", "MaxSessions 10\nUsePAM no\n"),
            found: &["SA306 warning /etc/ssh/sshd_config.d/10-pam.cfg:2"],
        },
        Case {
            name: "a backup, and one that says what holds anyway",
            make: || {
                let tree = redhat_with("50-redhat.conf.rpmsave", "UsePAM no\n");
                tree.write(&format!("{DROP_INS}/README"), "UsePAM yes\n");
                tree.write(&format!("{DROP_INS}/.local.conf"), "UsePAM no\n");
                tree
            },
            found: &[],
        },
        Case {
            name: "a Match line in an included file ends with it",
            make: || {
                let tree = debian_and("");
                tree.write(
                    &format!("{DROP_INS}/10-sftp.conf"),
                    "Match Group sftp\nForceCommand internal-sftp\n",
                );
                tree
            },
            found: &[],
        },
    ]);
}
