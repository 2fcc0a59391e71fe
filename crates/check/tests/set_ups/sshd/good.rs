use super::{DROP_INS, MAIN, debian_and, debian_without_session, redhat_with};
use crate::tree::{Case, Tree, expect};

#[test]
fn files_of_distributions_and_images() {
    expect(&[
        Case {
            name: "a cloud image",
            make: || {
                let tree = debian_and("PasswordAuthentication yes\n");
                tree.write(
                    &format!("{DROP_INS}/60-cloudimg-settings.conf"),
                    "PasswordAuthentication no\n",
                );
                tree.write(
                    &format!("{DROP_INS}/50-cloud-init.conf"),
                    "PasswordAuthentication yes\n",
                );
                tree
            },
            found: &[],
        },
        Case {
            name: "RHEL with its crypto policy",
            make: || {
                let policy =
                    "# comment\nInclude /etc/crypto-policies/back-ends/opensshserver.config\n";
                redhat_with("40-redhat-crypto-policies.conf", policy)
            },
            found: &[],
        },
        Case {
            name: "Debian's units, with options of their own",
            make: || {
                let tree = Tree::debian();
                let unit = "[Service]\nEnvironmentFile=-/etc/default/ssh\nExecStartPre=/usr/sbin/sshd -t\n\
                            ExecStart=/usr/sbin/sshd -D $SSHD_OPTS\n";
                tree.write("/usr/lib/systemd/system/ssh.service", unit);
                let unit = "[Service]\nEnvironmentFile=-/etc/default/ssh\nExecStart=-/usr/sbin/sshd -i $SSHD_OPTS\n";
                tree.write("/usr/lib/systemd/system/ssh@.service", unit);
                tree.write(
                    "/etc/default/ssh",
                    "SSHD_OPTS=\"-u0 -o LoginGraceTime=60\"\n",
                );
                tree
            },
            found: &[],
        },
    ]);
}

#[test]
fn files_in_other_places() {
    expect(&[
        Case {
            name: "openSUSE: the file is below /usr",
            make: || {
                let tree = Tree::redhat();
                tree.remove(MAIN);
                tree.write(
                    "/usr/etc/ssh/sshd_config",
                    "Include /etc/ssh/sshd_config.d/*.conf\nUsePAM yes\n",
                );
                tree
            },
            found: &[],
        },
        Case {
            name: "a container image without sshd",
            make: || {
                let tree = Tree::debian();
                tree.remove(MAIN);
                tree
            },
            found: &[],
        },
    ]);
}

#[test]
fn admins_own_files() {
    expect(&[
        Case {
            name: "a file of the admin's overrides Debian's keyboard-interactive, with a session line",
            make: || {
                let tree = Tree::debian();
                let lines = "KbdInteractiveAuthentication yes\nAuthenticationMethods publickey,keyboard-interactive\n";
                tree.write(&format!("{DROP_INS}/20-mfa.conf"), lines);
                tree
            },
            found: &[],
        },
        Case {
            name: "quotes, equals signs, comments, other letters",
            make: || {
                let tree = Tree::debian();
                tree.replace(MAIN, "UsePAM yes", "  usepam = \"Yes\" # as before");
                tree
            },
            found: &[],
        },
        Case {
            name: "UsePAM below Match all",
            make: || {
                let tree = Tree::debian();
                tree.replace(MAIN, "UsePAM yes\n", "");
                tree.append(
                    MAIN,
                    "Match User alice\n  X11Forwarding no\nMatch all\nUsePAM yes\n",
                );
                tree
            },
            found: &[],
        },
        Case {
            name: "an Include within an Include, by a relative name",
            make: || {
                let tree = Tree::redhat();
                tree.write(MAIN, "Include site/*.conf\n");
                tree.write(
                    "/etc/ssh/site/a.conf",
                    "Include sshd_config.d/50-redhat.conf\nUsePAM no\n",
                );
                tree.replace("/etc/ssh/site/a.conf", "UsePAM no\n", "");
                tree
            },
            found: &[],
        },
        Case {
            name: "HPN-SSH, and a keyword that the program itself has",
            make: || {
                let tree = debian_and("HPNDisabled no\nSiteKeyword yes\n");
                tree.write("/usr/sbin/sshd", "\0OpenSSH_9.2p1 x\0sitekeyword\0");
                tree
            },
            found: &[],
        },
    ]);
}

#[test]
fn methods() {
    expect(&[
        Case {
            name: "sftp users in a chroot",
            make: || {
                debian_and(
                    "Match Group sftponly\n\tChrootDirectory /srv/sftp/%u\n\tForceCommand internal-sftp\n\
                     \tAllowTcpForwarding no\n\tPasswordAuthentication yes\n",
                )
            },
            found: &[],
        },
        Case {
            name: "the account line alone, keys alone",
            make: || {
                let tree = debian_without_session();
                tree.replace(
                    MAIN,
                    "KbdInteractiveAuthentication no\n",
                    "AuthenticationMethods publickey\n",
                );
                tree
            },
            found: &["SA250 failure /etc/pam.d/common-session:6"],
        },
        Case {
            name: "the account line alone, a second factor for root",
            make: || {
                let tree = debian_without_session();
                tree.append(
                    MAIN,
                    "Match User root\n  KbdInteractiveAuthentication yes\n",
                );
                tree
            },
            found: &["SA250 failure /etc/pam.d/common-session:6"],
        },
    ]);
}

#[test]
fn users_and_limits() {
    expect(&[
        Case {
            name: "no root, admins exempt",
            make: || {
                let tree = debian_and("PermitRootLogin no\n");
                tree.write(
                    "/etc/security/slurm_adopt.conf",
                    "exempt_groups = hpcadmin\n",
                );
                tree
            },
            found: &[],
        },
        Case {
            name: "root from one network",
            make: || {
                debian_and(
                    "PermitRootLogin no\nMatch Address 192.0.2.0/24\n  PermitRootLogin prohibit-password\n",
                )
            },
            found: &[],
        },
        Case {
            name: "AllowUsers for all, hardened times",
            make: || {
                debian_and(
                    "AllowUsers *\nLoginGraceTime 30\nMaxStartups 10:30:60\nMaxStartups 10:30:60\n",
                )
            },
            found: &[],
        },
        Case {
            name: "logins that wait for a job within LoginGraceTime",
            make: || {
                let tree = debian_and("LoginGraceTime 60\nMaxStartups 30:30:120\n");
                tree.write("/etc/security/slurm_adopt.conf", "wait_for_job = 40\n");
                tree
            },
            found: &[],
        },
        Case {
            name: "LoginGraceTime without a limit",
            make: || {
                debian_and("LoginGraceTime 0\nAcceptEnv LANG LC_* GIT_* S_COLORS\nSetEnv TZ=UTC\n")
            },
            found: &[],
        },
    ]);
}

#[test]
fn what_depends_on_the_release() {
    expect(&[
        Case {
            name: "a service of sshd's own, with its stack",
            make: || {
                let tree = debian_and("PAMServiceName sshd-compute\n");
                tree.link("/etc/pam.d/sshd-compute", "sshd");
                tree
            },
            found: &["SA222 failure /etc/pam.d/sshd-compute:3"],
        },
        Case {
            name: "a new sshd takes the first MaxStartups, from its own file",
            make: || {
                let tree = debian_and("MaxStartups 10\nPerSourcePenalties no\n");
                tree.write(&format!("{DROP_INS}/10-startups.conf"), "MaxStartups 100\n");
                tree.write("/usr/sbin/sshd", "OpenSSH_10.6p1\0");
                tree
            },
            found: &[],
        },
    ]);
}
