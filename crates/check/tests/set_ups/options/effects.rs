//! What the options come to.

use super::{account, file};
use crate::tree::{Case, Tree, expect};

#[test]
fn who_gets_in() {
    expect(&[
        Case {
            name: "SchedMD's defaults",
            make: || account(""),
            found: &[
                "SA110 warning /etc/pam.d/sshd:3",
                "SA111 warning /etc/pam.d/sshd:3",
                "SA258 warning /etc/pam.d/sshd:16",
            ],
        },
        Case {
            name: "one of the two closed",
            make: || account("action_adopt_failure=deny"),
            found: &[
                "SA111 warning /etc/pam.d/sshd:3",
                "SA258 warning /etc/pam.d/sshd:16",
            ],
        },
        Case {
            name: "strict, but one of the two opened",
            make: || file("strict\naction_adopt_failure = allow\n"),
            found: &["SA110 warning /etc/security/slurm_adopt.conf:2"],
        },
        Case {
            name: "action_unknown=allow",
            make: || account("strict action_unknown=allow"),
            found: &[
                "SA112 warning /etc/pam.d/sshd:3",
                "SA258 warning /etc/pam.d/sshd:16",
            ],
        },
        Case {
            name: "action_no_jobs=ignore, and nothing after it decides",
            make: || account("strict action_no_jobs=ignore"),
            found: &[
                "SA113 failure /etc/pam.d/sshd:3",
                "SA258 warning /etc/pam.d/sshd:16",
            ],
        },
        Case {
            name: "mode=audit left in the file",
            make: || file("mode = audit\n"),
            found: &["SA114 warning /etc/security/slurm_adopt.conf:1"],
        },
        Case {
            name: "mode=adopt-only left on the line",
            make: || account("strict mode=adopt-only"),
            found: &[
                "SA114 warning /etc/pam.d/sshd:3",
                "SA258 warning /etc/pam.d/sshd:16",
            ],
        },
        Case {
            name: "log_level=quiet",
            make: || account("strict log_level=quiet"),
            found: &["SA126 note /etc/pam.d/sshd:3"],
        },
    ]);
}

#[test]
fn the_kill_switch() {
    expect(&[
        Case {
            name: "left on",
            make: || {
                let tree = file("strict\nkill_switch = /etc/security/slurm_adopt.off\n");
                tree.write("/etc/security/slurm_adopt.off", "");
                tree
            },
            found: &["SA120 failure /etc/security/slurm_adopt.off"],
        },
        Case {
            name: "in a directory of all users",
            make: || {
                let tree = file("strict\nkill_switch = /srv/tmp/slurm_adopt.off\n");
                tree.make_dir("/srv/tmp");
                tree.chmod("/srv/tmp", 0o1777);
                tree
            },
            found: &["SA121 warning /etc/security/slurm_adopt.conf:2"],
        },
        Case {
            name: "a link",
            make: || {
                let tree = file("strict\nkill_switch = /etc/security/slurm_adopt.off\n");
                tree.link("/etc/security/slurm_adopt.off", "/etc/hosts");
                tree
            },
            found: &["SA121 warning /etc/security/slurm_adopt.conf:2"],
        },
        Case {
            name: "in a directory that is not there",
            make: || file("strict\nkill_switch = /etc/slurm-adopt/off\n"),
            found: &["SA121 warning /etc/security/slurm_adopt.conf:2"],
        },
        Case {
            name: "off, in a directory that is made at boot",
            make: || file("strict\nkill_switch = /run/nologin.d/slurm_adopt.off\n"),
            found: &[],
        },
    ]);
}

#[test]
fn exempt_users() {
    expect(&[
        Case {
            name: "a group that does not exist",
            make: || file("strict\nexempt_groups = wheel,hpcadmin\n"),
            found: &["SA122 warning /etc/security/slurm_adopt.conf:2"],
        },
        Case {
            name: "a user who does not exist",
            make: || file("strict\nexempt_users = alice, hpcadmin\n"),
            found: &["SA122 warning /etc/security/slurm_adopt.conf:2"],
        },
        Case {
            name: "a group as sudoers has it, with a directory service",
            make: || {
                let tree = file("strict\nexempt_groups = %wheel\n");
                tree.write("/etc/nsswitch.conf", "group: files sss\n");
                tree
            },
            found: &["SA122 warning /etc/security/slurm_adopt.conf:2"],
        },
        Case {
            name: "uids of people",
            make: || file("strict\nexempt_uid_below = 2000\n"),
            found: &["SA123 warning /etc/security/slurm_adopt.conf:2"],
        },
        Case {
            name: "all uids but the last",
            make: || file("strict\nexempt_uid_below = 60000\n"),
            found: &["SA123 failure /etc/security/slurm_adopt.conf:2"],
        },
        Case {
            name: "all uids",
            make: || file("strict\nexempt_uid_below = 100000\n"),
            found: &["SA123 failure /etc/security/slurm_adopt.conf:2"],
        },
        Case {
            name: "a group that only LDAP has",
            make: || {
                let tree = file("strict\nexempt_groups = ldapadmins\n");
                tree.write(
                    "/etc/nsswitch.conf",
                    "passwd: files sss\ngroup: files sss\n",
                );
                tree
            },
            found: &[],
        },
        Case {
            name: "a local group, a uid, and the system's users",
            make: || {
                file(
                    "strict\nexempt_groups = hpcadmin\nexempt_users = 5000\nexempt_uid_below = 1000\n",
                )
            },
            found: &[],
        },
    ]);
}

#[test]
fn nodes_and_files() {
    expect(&[
        Case {
            name: "a node that slurm.conf does not have",
            make: || account("strict nodename=node1"),
            found: &[
                "SA129 failure /etc/pam.d/sshd:3",
                "SA258 warning /etc/pam.d/sshd:16",
            ],
        },
        Case {
            name: "a dynamic node",
            make: || {
                let tree = account("strict nodename=dyn7");
                tree.append("/etc/slurm/slurm.conf", "MaxNodeCount=100\n");
                tree
            },
            found: &["SA258 warning /etc/pam.d/sshd:16"],
        },
        Case {
            name: "a slurm.conf that is not there",
            make: || file("strict\nslurm_conf = /etc/slurm-llnl/slurm.conf\n"),
            found: &["SA130 failure /etc/security/slurm_adopt.conf:2"],
        },
        Case {
            name: "a slurm.conf that is made at boot",
            make: || file("strict\nslurm_conf = /run/slurm/conf/slurm.conf\n"),
            found: &[],
        },
    ]);
}

#[test]
fn messages_and_the_session_phase() {
    expect(&[
        Case {
            name: "a message with {url}, and no URL",
            make: || file("strict\nmessage_no_jobs = \"No job here: {url}\"\n"),
            found: &["SA132 warning /etc/security/slurm_adopt.conf:2"],
        },
        Case {
            name: "limits=job on the account line",
            make: || account("strict limits=job"),
            found: &["SA127 warning /etc/pam.d/sshd:3"],
        },
        Case {
            name: "pam_limits after a session line with limits=job",
            make: || {
                let tree = Tree::debian();
                let session = "session    required     pam_slurm_adopt.so";
                tree.replace("/etc/pam.d/sshd", session, &format!("{session} limits=job"));
                tree.append("/etc/pam.d/sshd", "session required pam_limits.so\n");
                tree
            },
            found: &["SA128 warning /etc/pam.d/sshd:16"],
        },
        Case {
            name: "all options of the session phase in the file, with the manual's example",
            make: || {
                let text = "strict\nexempt_groups = hpcadmin\nkill_switch = /etc/security/slurm_adopt.off\n\
                            limits = job\nruntime_dir = create\n\
                            message_no_jobs = \"{user} has no job on {host}. How to get one: {url}\"\n\
                            message_url = https://hpc.example.org/ssh\n";
                file(text)
            },
            found: &[],
        },
        Case {
            name: "users without a job are left to pam_access, as in SchedMD's manual",
            make: || {
                let tree = account("strict action_no_jobs=ignore");
                tree.append("/etc/pam.d/sshd", "account required pam_access.so\n");
                tree.write("/usr/lib/x86_64-linux-gnu/security/pam_access.so", "");
                tree
            },
            found: &["SA258 warning /etc/pam.d/sshd:16"],
        },
    ]);
}
