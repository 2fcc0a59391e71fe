//! The module's options.

use crate::tree::{Case, Tree, expect};

const FILE: &str = "/etc/security/slurm_adopt.conf";
const DENY: &str = "action_adopt_failure=deny action_generic_failure=deny";

/// Debian with other options on both lines.
fn lines(options: &str) -> Tree {
    let tree = Tree::debian();
    for facility in ["account", "session"] {
        let line =
            |options: &str| format!("{facility}    required     pam_slurm_adopt.so {options}");
        tree.replace("/etc/pam.d/sshd", &line(DENY), &line(options));
    }
    tree
}

/// Debian with options on the account line alone; the session line has those of the base.
fn account(options: &str) -> Tree {
    let tree = Tree::debian();
    let line = |options: &str| format!("account    required     pam_slurm_adopt.so {options}");
    tree.replace("/etc/pam.d/sshd", &line(DENY), &line(options));
    tree
}

/// Debian with an options file and nothing on the lines.
fn file(text: &str) -> Tree {
    let tree = lines("");
    tree.write(FILE, text);
    tree
}

#[test]
fn options_that_are_not_understood() {
    expect(&[
        Case {
            name: "a typo in a name on a line",
            make: || account("action_adopt_failures=deny strict"),
            found: &["SA100 warning /etc/pam.d/sshd:3"],
        },
        Case {
            name: "blanks around the equals sign",
            make: || account("strict action_no_jobs = deny"),
            found: &["SA100 warning /etc/pam.d/sshd:3"],
        },
        Case {
            name: "a typo in a name in the file",
            make: || file("strict\n\nexempt_user = root\n"),
            found: &["SA100 warning /etc/security/slurm_adopt.conf:3"],
        },
        Case {
            name: "a value of another option",
            make: || account(&format!("{DENY} action_no_jobs=reject")),
            found: &["SA101 warning /etc/pam.d/sshd:3"],
        },
        Case {
            name: "a word that only resembles one of the values",
            make: || account(&format!("{DENY} action_no_jobs=denied")),
            found: &["SA101 warning /etc/pam.d/sshd:3"],
        },
        Case {
            name: "a value in quotes",
            make: || account(&format!("{DENY} timeout=\"3\"")),
            found: &["SA101 warning /etc/pam.d/sshd:3"],
        },
        Case {
            name: "options with a comma between them",
            make: || account("action_generic_failure=deny,action_adopt_failure=deny strict"),
            found: &["SA102 warning /etc/pam.d/sshd:3"],
        },
        Case {
            name: "a value with something behind it",
            make: || account(&format!("{DENY} action_no_jobs=denyall")),
            found: &["SA103 note /etc/pam.d/sshd:3"],
        },
        Case {
            name: "a node name that is a host list",
            make: || file("strict\nnodename = n[1-4]\n"),
            found: &[
                "SA104 warning /etc/security/slurm_adopt.conf:2",
                "SA129 failure /etc/security/slurm_adopt.conf:2",
            ],
        },
    ]);
}

#[test]
fn settings_that_do_not_count() {
    expect(&[
        Case {
            name: "a line overrides the file",
            make: || {
                let tree = Tree::debian();
                tree.write(FILE, "timeout = 3\naction_adopt_failure = allow\n");
                tree
            },
            found: &["SA108 note /etc/security/slurm_adopt.conf:2"],
        },
        Case {
            name: "an option twice on a line",
            make: || account("strict action_no_jobs=ignore action_no_jobs=deny"),
            found: &["SA109 warning /etc/pam.d/sshd:3"],
        },
        Case {
            name: "the file is writable by its group",
            make: || {
                let tree = Tree::debian();
                tree.write(FILE, "exempt_users = root\n");
                tree.chmod(FILE, 0o664);
                tree
            },
            found: &["SA124 warning /etc/security/slurm_adopt.conf"],
        },
        Case {
            name: "the file is a link that leads nowhere",
            make: || {
                let tree = lines("");
                tree.link(FILE, "/srv/shared/slurm_adopt.conf");
                tree
            },
            found: &["SA124 warning /etc/security/slurm_adopt.conf"],
        },
        Case {
            name: "ignore_root=0",
            make: || account(&format!("{DENY} ignore_root=0")),
            found: &["SA125 warning /etc/pam.d/sshd:3"],
        },
        Case {
            name: "the same setting on the line and in the file",
            make: || {
                let tree = Tree::debian();
                tree.write(FILE, "action_adopt_failure = DENY\n");
                tree
            },
            found: &[],
        },
    ]);
}

#[test]
fn services_that_the_module_does_not_act_for() {
    expect(&[
        Case {
            name: "service=ssh on both lines",
            make: || lines(&format!("{DENY} service=ssh")),
            found: &[
                "SA105 failure /etc/pam.d/sshd:3",
                "SA105 warning /etc/pam.d/sshd:16",
                "SA107 note /etc/pam.d/sshd:16",
                "SA107 note /etc/pam.d/sshd:3",
            ],
        },
        Case {
            name: "service=SSHD in the file",
            make: || file("strict\nservice = SSHD\n"),
            found: &[
                "SA104 warning /etc/security/slurm_adopt.conf:2",
                "SA105 failure /etc/security/slurm_adopt.conf:2",
                "SA105 warning /etc/security/slurm_adopt.conf:2",
            ],
        },
        Case {
            name: "a line in the file of login, without service=",
            make: || {
                let tree = Tree::debian();
                tree.append(
                    "/etc/pam.d/login",
                    &format!("account required pam_slurm_adopt.so {DENY}\n"),
                );
                tree
            },
            found: &["SA106 warning /etc/pam.d/login:18"],
        },
        Case {
            name: "a line in a file that others include, and in one that an editor left",
            make: || {
                let tree = Tree::redhat();
                let line = format!("account    required     pam_slurm_adopt.so {DENY}\n");
                tree.replace("/etc/pam.d/sshd", &line, "");
                tree.append("/etc/pam.d/password-auth", &line);
                tree.write("/etc/pam.d/login.rpmsave", &line);
                tree
            },
            found: &[],
        },
        Case {
            name: "a line in the file of login, for login and a service that is not installed",
            make: || {
                let tree = Tree::debian();
                let line =
                    format!("account required pam_slurm_adopt.so {DENY} service=login,cockpit\n");
                tree.append("/etc/pam.d/login", &line);
                tree
            },
            found: &["SA107 note /etc/pam.d/login:18"],
        },
    ]);
}

#[test]
fn who_gets_in() {
    expect(&[
        Case {
            name: "SchedMD's defaults",
            make: || account(""),
            found: &[
                "SA110 warning /etc/pam.d/sshd:3",
                "SA111 warning /etc/pam.d/sshd:3",
            ],
        },
        Case {
            name: "one of the two closed",
            make: || account("action_adopt_failure=deny"),
            found: &["SA111 warning /etc/pam.d/sshd:3"],
        },
        Case {
            name: "strict, but one of the two opened",
            make: || file("strict\naction_adopt_failure = allow\n"),
            found: &["SA110 warning /etc/security/slurm_adopt.conf:2"],
        },
        Case {
            name: "action_unknown=allow",
            make: || account("strict action_unknown=allow"),
            found: &["SA112 warning /etc/pam.d/sshd:3"],
        },
        Case {
            name: "action_no_jobs=ignore, and nothing after it decides",
            make: || account("strict action_no_jobs=ignore"),
            found: &["SA113 warning /etc/pam.d/sshd:3"],
        },
        Case {
            name: "mode=audit left in the file",
            make: || file("mode = audit\n"),
            found: &["SA114 warning /etc/security/slurm_adopt.conf:1"],
        },
        Case {
            name: "mode=adopt-only left on the line",
            make: || account("strict mode=adopt-only"),
            found: &["SA114 warning /etc/pam.d/sshd:3"],
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
            name: "uids of people",
            make: || file("strict\nexempt_uid_below = 2000\n"),
            found: &["SA123 warning /etc/security/slurm_adopt.conf:2"],
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
fn nodes_files_and_the_session_phase() {
    expect(&[
        Case {
            name: "a node that slurm.conf does not have",
            make: || account("strict nodename=node1"),
            found: &["SA129 failure /etc/pam.d/sshd:3"],
        },
        Case {
            name: "a dynamic node",
            make: || {
                let tree = account("strict nodename=dyn7");
                tree.append("/etc/slurm/slurm.conf", "MaxNodeCount=100\n");
                tree
            },
            found: &[],
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
            found: &[],
        },
    ]);
}
