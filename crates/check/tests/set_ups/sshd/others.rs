use super::{MAIN, debian_and, redhat_with};
use crate::tree::{Case, Tree, expect};

#[test]
fn slurm_variables_come_from_elsewhere() {
    expect(&[
        Case {
            name: "AcceptEnv SLURM_*",
            make: || debian_and("AcceptEnv FOO SLURM_*\n"),
            found: &["SA320 warning /etc/ssh/sshd_config:8"],
        },
        Case {
            name: "AcceptEnv *, in a Match block",
            make: || debian_and("Match Address 192.0.2.0/24\n  AcceptEnv *\n"),
            found: &["SA320 warning /etc/ssh/sshd_config:9"],
        },
        Case {
            name: "SetEnv for the module",
            make: || debian_and("SetEnv SLURM_CONF=/opt/slurm/etc/slurm.conf\n"),
            found: &["SA321 note /etc/ssh/sshd_config:8"],
        },
        Case {
            name: "SetEnv SLURM_JOB_ID",
            make: || debian_and("SetEnv LANG=C SLURM_JOB_ID=1\n"),
            found: &["SA321 warning /etc/ssh/sshd_config:8"],
        },
        Case {
            name: "PermitUserEnvironment",
            make: || debian_and("PermitUserEnvironment yes\n"),
            found: &["SA322 note /etc/ssh/sshd_config:8"],
        },
    ]);
}

#[test]
fn sshd_hangs_up_too_early() {
    expect(&[
        Case {
            name: "LoginGraceTime 10",
            make: || debian_and("LoginGraceTime 10\n"),
            found: &["SA330 warning /etc/ssh/sshd_config:8"],
        },
        Case {
            name: "timeout=60 against a hardened LoginGraceTime",
            make: || {
                let tree = debian_and("LoginGraceTime 1m\n");
                tree.write("/etc/security/slurm_adopt.conf", "timeout = 60\n");
                tree
            },
            found: &["SA330 warning /etc/ssh/sshd_config:8"],
        },
        Case {
            name: "logins that wait beyond LoginGraceTime",
            make: || {
                let tree = debian_and("LoginGraceTime 60\nMaxStartups 30:30:120\n");
                tree.write("/etc/security/slurm_adopt.conf", "wait_for_job = 55\n");
                tree
            },
            found: &["SA330 warning /etc/ssh/sshd_config:8"],
        },
        Case {
            name: "logins that wait, and the default MaxStartups",
            make: || {
                let tree = debian_and("MaxStartups 10:30:100\n");
                tree.write("/etc/security/slurm_adopt.conf", "wait_for_job = 30\n");
                tree
            },
            found: &["SA332 note /etc/ssh/sshd_config:8"],
        },
        Case {
            name: "MaxStartups 2",
            make: || debian_and("MaxStartups 2\n"),
            found: &["SA332 note /etc/ssh/sshd_config:8"],
        },
    ]);
}

#[test]
fn sshd_keeps_users_out_itself() {
    expect(&[
        Case {
            name: "PermitRootLogin no",
            make: || redhat_with("01-permitrootlogin.conf", "PermitRootLogin no\n"),
            found: &["SA340 note /etc/ssh/sshd_config.d/01-permitrootlogin.conf:1"],
        },
        Case {
            name: "AllowGroups without root's",
            make: || debian_and("AllowGroups hpcusers hpcadmin\n"),
            found: &[
                "SA340 note /etc/ssh/sshd_config:8",
                "SA341 note /etc/ssh/sshd_config:8",
            ],
        },
        Case {
            name: "DenyUsers root",
            make: || {
                let tree = Tree::debian();
                tree.append(MAIN, "DenyUsers mallory root\n");
                tree
            },
            found: &["SA340 note /etc/ssh/sshd_config:8"],
        },
        Case {
            name: "AllowUsers with root",
            make: || debian_and("AllowUsers root@192.0.2.1 alice\n"),
            found: &["SA341 note /etc/ssh/sshd_config:8"],
        },
    ]);
}
