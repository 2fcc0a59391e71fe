//! Prologs and epilogs.

use super::{more, script};
use crate::tree::{Case, Tree, expect};

#[test]
fn scripts_that_reach_beyond_the_job() {
    expect(&[
        Case {
            name: "pkill by user in an Epilog",
            make: || {
                script(
                    "Epilog",
                    "#!/bin/sh\n# clean up\npkill -KILL -u $SLURM_JOB_USER\n",
                )
            },
            found: &["SA452 warning /etc/slurm/script.sh:3"],
        },
        Case {
            name: "killall in a TaskEpilog",
            make: || {
                script(
                    "TaskEpilog",
                    "#!/bin/bash\nkillall -9 -u \"$SLURM_JOB_USER\"\n",
                )
            },
            found: &["SA452 warning /etc/slurm/script.sh:2"],
        },
        Case {
            name: "loginctl, in one of a directory's scripts",
            make: || {
                let tree = more("Epilog=/etc/slurm/epilog.d/*\n");
                for (name, text) in [
                    ("10-tmp", "#!/bin/sh\nrm -rf /tmp/$SLURM_JOB_ID\n"),
                    (
                        "90-users",
                        "#!/bin/sh\nloginctl terminate-user $SLURM_JOB_USER\n",
                    ),
                ] {
                    let path = format!("/etc/slurm/epilog.d/{name}");
                    tree.write(&path, text);
                    tree.chmod(&path, 0o755);
                }
                tree
            },
            found: &["SA452 warning /etc/slurm/epilog.d/90-users:2"],
        },
        Case {
            name: "a script that runs a directory's scripts",
            make: || {
                let tree = script("Epilog", "#!/bin/sh\nrun-parts /etc/slurm/end.d\n");
                tree.write("/etc/slurm/end.d/kill", "pkill -9 -U $SLURM_JOB_UID\n");
                tree
            },
            found: &["SA452 warning /etc/slurm/end.d/kill:1"],
        },
    ]);
}

#[test]
fn scripts_that_let_users_linger() {
    expect(&[
        Case {
            name: "the linger recipe that SchedMD had until 2026",
            make: || script("Prolog", "loginctl enable-linger $SLURM_JOB_USER\nexit 0\n"),
            found: &["SA453 failure /etc/slurm/script.sh:1"],
        },
        Case {
            name: "beside slurm.conf, as a configless node has it",
            make: || {
                let tree = more("Prolog=prolog.sh\n");
                let path = "/etc/slurm/prolog.sh";
                tree.write(path, "loginctl enable-linger \"$SLURM_JOB_USER\"\n");
                tree.chmod(path, 0o755);
                tree
            },
            found: &["SA453 failure /etc/slurm/prolog.sh:1"],
        },
    ]);
}

#[test]
fn scripts_that_do_not_run() {
    expect(&[
        Case {
            name: "missing",
            make: || more("Prolog=/etc/slurm/prolog.sh\n"),
            found: &["SA451 warning /etc/slurm/slurm.conf:14"],
        },
        Case {
            name: "not executable",
            make: || {
                let tree = script("Epilog", "#!/bin/sh\n");
                tree.chmod("/etc/slurm/script.sh", 0o644);
                tree
            },
            found: &["SA451 warning /etc/slurm/slurm.conf:14"],
        },
        Case {
            name: "a directory",
            make: || {
                let tree = more("Epilog=/etc/slurm/epilog.d\n");
                tree.write("/etc/slurm/epilog.d/1", "");
                tree
            },
            found: &["SA451 warning /etc/slurm/slurm.conf:14"],
        },
        Case {
            name: "a pattern without a match",
            make: || more("Epilog=/etc/slurm/epilog*.sh\n"),
            found: &["SA451 warning /etc/slurm/slurm.conf:14"],
        },
    ]);
}

#[test]
fn scripts_that_others_can_change() {
    expect(&[
        Case {
            name: "the script",
            make: || {
                let tree = script("HealthCheckProgram", "#!/bin/sh\n");
                tree.chmod("/etc/slurm/script.sh", 0o777);
                tree
            },
            found: &["SA450 failure /etc/slurm/script.sh"],
        },
        Case {
            name: "its directory",
            make: || {
                let tree = more("Prolog=/srv/slurm/prolog\n");
                tree.write("/srv/slurm/prolog", "#!/bin/sh\n");
                tree.chmod("/srv/slurm/prolog", 0o755);
                tree.chmod("/srv/slurm", 0o777);
                tree
            },
            found: &["SA450 failure /srv/slurm"],
        },
        Case {
            name: "what a link leads to",
            make: || {
                let tree: Tree = more("Epilog=/etc/slurm/epilog\n");
                tree.link("/etc/slurm/epilog", "/home/hpc/epilog");
                tree.write("/home/hpc/epilog", "#!/bin/sh\n");
                tree.chmod("/home/hpc/epilog", 0o755);
                tree.chmod("/home/hpc", 0o777);
                tree
            },
            found: &["SA450 failure /home/hpc"],
        },
    ]);
}
