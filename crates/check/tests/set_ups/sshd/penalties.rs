use super::{DROP_INS, MAIN, debian_and};
use crate::tree::{Case, Tree, expect};

/// Debian's base with an sshd of a release, and lines of its own.
fn with_sshd(version: &str, lines: &str) -> Tree {
    let tree = debian_and(lines);
    tree.write("/usr/sbin/sshd", &format!("{version}\0"));
    tree
}

#[test]
fn refused_logins_shut_an_address_out() {
    expect(&[
        Case {
            name: "Debian 13's sshd, nothing said",
            make: || with_sshd("OpenSSH_10.0p2", ""),
            found: &["SA333 warning /etc/ssh/sshd_config"],
        },
        Case {
            name: "RHEL 10's sshd, on by name",
            make: || with_sshd("OpenSSH_9.9p1", "PerSourcePenalties yes\n"),
            found: &["SA333 warning /etc/ssh/sshd_config:8"],
        },
        Case {
            name: "longer ones for crashes alone",
            make: || with_sshd("OpenSSH_10.0p2", "PerSourcePenalties crash:3600s max:1d\n"),
            found: &["SA333 warning /etc/ssh/sshd_config:8"],
        },
        Case {
            name: "a recipe against guessing: one refused login shuts all out for an hour",
            make: || {
                let line = "PerSourcePenalties crash:3600s authfail:3600s max:86400s\n";
                with_sshd("OpenSSH_10.0p2", line)
            },
            found: &["SA333 failure /etc/ssh/sshd_config:8"],
        },
        Case {
            name: "in two lines",
            make: || {
                let lines = "PerSourcePenalties min:5\nPerSourcePenalties authfail:30\n";
                with_sshd("OpenSSH_10.6p1", lines)
            },
            found: &["SA333 failure /etc/ssh/sshd_config:8"],
        },
        Case {
            name: "switched off in a file of the site's, and on again by a time in the main file",
            make: || {
                let tree = with_sshd("OpenSSH_10.0p2", "PerSourcePenalties crash:60\n");
                tree.write(
                    &format!("{DROP_INS}/10-site.conf"),
                    "PerSourcePenalties no\n",
                );
                tree
            },
            found: &["SA333 warning /etc/ssh/sshd_config.d/10-site.conf:1"],
        },
        Case {
            name: "only this host is exempt",
            make: || {
                let line = "PerSourcePenaltyExemptList 127.0.0.0/8,::1\n";
                with_sshd("OpenSSH_10.0p2", line)
            },
            found: &["SA333 warning /etc/ssh/sshd_config"],
        },
    ]);
}

#[test]
fn refused_logins_shut_no_address_out() {
    expect(&[
        Case {
            name: "an sshd from before 9.8",
            make: || with_sshd("OpenSSH_9.6p1", ""),
            found: &[],
        },
        Case {
            name: "switched off in a file of the site's",
            make: || {
                let tree = with_sshd("OpenSSH_10.0p2", "");
                tree.write(
                    &format!("{DROP_INS}/10-site.conf"),
                    "PerSourcePenalties no\n",
                );
                tree
            },
            found: &[],
        },
        Case {
            name: "refused logins cost nothing",
            make: || with_sshd("OpenSSH_10.0p2", "PerSourcePenalties authfail:0 crash:90\n"),
            found: &[],
        },
        Case {
            name: "the login nodes are exempt",
            make: || {
                let line = "PerSourcePenaltyExemptList 127.0.0.1,10.1.0.0/16\n";
                with_sshd("OpenSSH_9.9p1", line)
            },
            found: &[],
        },
        Case {
            name: "the module only audits",
            make: || {
                let tree = with_sshd("OpenSSH_10.0p2", "");
                tree.write("/etc/security/slurm_adopt.conf", "mode = audit\n");
                tree
            },
            found: &["SA114 warning /etc/security/slurm_adopt.conf:1"],
        },
        Case {
            name: "no PAM, so that nobody is refused",
            make: || {
                let tree = with_sshd("OpenSSH_10.0p2", "");
                tree.replace(MAIN, "UsePAM yes", "UsePAM no");
                tree
            },
            found: &["SA300 failure /etc/ssh/sshd_config:3"],
        },
    ]);
}
