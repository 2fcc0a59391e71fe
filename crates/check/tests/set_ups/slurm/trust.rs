//! Who can change Slurm's files, and the spool directory.

use super::{CONF, conf, more};
use crate::tree::{Case, Tree, expect};

#[test]
fn files_that_others_can_change() {
    expect(&[
        Case {
            name: "slurm.conf",
            make: || {
                let tree = Tree::debian();
                tree.chmod(CONF, 0o666);
                tree
            },
            found: &["SA440 failure /etc/slurm/slurm.conf"],
        },
        Case {
            name: "an Include",
            make: || {
                let tree = more("Include nodes.conf\n");
                tree.write("/etc/slurm/nodes.conf", "NodeName=m1\n");
                tree.chmod("/etc/slurm/nodes.conf", 0o646);
                tree
            },
            found: &["SA440 failure /etc/slurm/nodes.conf"],
        },
        Case {
            name: "the directory, and all in it by that",
            make: || {
                let tree = Tree::debian();
                tree.chmod("/etc/slurm", 0o777);
                tree
            },
            found: &["SA440 failure /etc/slurm"],
        },
        Case {
            name: "Slurm's key can be read",
            make: || {
                let tree = conf("auth/munge", "auth/slurm");
                tree.write("/etc/slurm/slurm.key", "secret");
                tree
            },
            found: &["SA441 failure /etc/slurm/slurm.key"],
        },
    ]);
}

#[test]
fn libraries_that_others_can_change() {
    expect(&[
        Case {
            name: "plugstack.conf",
            make: || {
                let tree = Tree::redhat();
                tree.write("/etc/slurm/plugstack.conf", "");
                tree.chmod("/etc/slurm/plugstack.conf", 0o666);
                tree
            },
            found: &["SA440 failure /etc/slurm/plugstack.conf"],
        },
        Case {
            name: "a library that plugstack.conf's Include names",
            make: || {
                let tree = Tree::redhat();
                tree.write(
                    "/etc/slurm/plugstack.conf",
                    "include plugstack.conf.d/*.conf\n",
                );
                tree.write(
                    "/etc/slurm/plugstack.conf.d/a.conf",
                    "optional /opt/spank/a.so x=1\n",
                );
                tree.write("/opt/spank/a.so", "");
                tree.chmod("/opt/spank", 0o777);
                tree
            },
            found: &["SA440 failure /opt/spank"],
        },
    ]);
}

#[test]
fn spool_directories() {
    const OLD: &str = "SlurmdSpoolDir=/var/spool/slurmd";
    expect(&[
        Case {
            name: "relative",
            make: || conf(OLD, "SlurmdSpoolDir=spool/slurmd"),
            found: &["SA435 failure /etc/slurm/slurm.conf:5"],
        },
        Case {
            name: "writable by all, as an old recipe has it",
            make: || {
                let tree = Tree::debian();
                tree.write("/var/spool/slurmd/cred_state", "");
                tree.chmod("/var/spool/slurmd", 0o777);
                tree
            },
            found: &["SA436 failure /var/spool/slurmd"],
        },
        Case {
            name: "below a directory that all can write to",
            make: || {
                let tree = conf(OLD, "SlurmdSpoolDir=/scratch/slurm/%n");
                tree.write("/scratch/slurm/n1/cred_state", "");
                tree.chmod("/scratch", 0o777);
                tree
            },
            found: &["SA436 failure /scratch"],
        },
        Case {
            name: "on a file system that all nodes mount",
            make: || {
                let tree = conf(OLD, "SlurmdSpoolDir=/shared/slurm/spool");
                tree.write("/etc/fstab", "head:/shared /shared nfs4 defaults 0 0\n");
                tree
            },
            found: &["SA437 warning /etc/slurm/slurm.conf:5"],
        },
    ]);
}
