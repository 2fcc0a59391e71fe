//! Set-ups of Slurm that work.

use super::{CONF, conf, flags, more, moved, release, script};
use crate::tree::{Case, Tree, expect};

#[test]
fn places_of_slurm_conf() {
    expect(&[
        Case {
            name: "configless",
            make: || moved("/run/slurm/conf"),
            found: &[],
        },
        Case {
            name: "an image that gets it at the start",
            make: || {
                let tree = Tree::debian();
                tree.remove(CONF);
                tree.remove("/etc/slurm/cgroup.conf");
                tree
            },
            found: &[],
        },
        Case {
            name: "/opt/slurm",
            make: || moved("/opt/slurm/etc"),
            found: &[],
        },
        Case {
            name: "a link from the other place",
            make: || {
                let tree = moved("/opt/slurm/etc");
                tree.link("/etc/slurm/slurm.conf", "/opt/slurm/etc/slurm.conf");
                tree.link("/etc/slurm/cgroup.conf", "../../opt/slurm/etc/cgroup.conf");
                tree
            },
            found: &[],
        },
        Case {
            name: "a copy with other comments",
            make: || {
                let tree = Tree::debian();
                let text = std::fs::read_to_string(tree.path(CONF)).expect("the base's");
                tree.write("/etc/slurm-llnl/slurm.conf", &format!("# copy\n\n{text}"));
                tree
            },
            found: &[],
        },
        Case {
            name: "sshd is told of the file that slurmd reads",
            make: || {
                let tree = Tree::debian();
                tree.write("/etc/default/ssh", "SLURM_CONF=/etc/slurm/slurm.conf\n");
                tree
            },
            found: &["SA414 note /etc/default/ssh:1"],
        },
    ]);
}

#[test]
fn ways_to_write_the_same() {
    expect(&[
        Case {
            name: "lower case and blanks",
            make: || flags("prologflags = alloc,contain,x11,deferbatch  # x"),
            found: &[],
        },
        Case {
            name: "X11 implies Contain",
            make: || flags("PrologFlags=X11,DeferBatch,ForceRequeueOnFail,Serial"),
            found: &[],
        },
        Case {
            name: "RunInJob implies Contain",
            make: || release(flags("PrologFlags=RunInJob,DeferBatch"), 45),
            found: &[],
        },
        Case {
            name: "before DeferBatch",
            make: || release(flags("PrologFlags=Contain"), 36),
            found: &[],
        },
        Case {
            name: "ProctrackType by default",
            make: || conf("ProctrackType=proctrack/cgroup\n", ""),
            found: &[],
        },
        Case {
            name: "task plugins without prefix",
            make: || conf("task/affinity,task/cgroup", "cgroup,affinity"),
            found: &[],
        },
        Case {
            name: "a value set twice alike",
            make: || more("PrologFlags=contain,DeferBatch\n"),
            found: &[],
        },
        Case {
            name: "a continued line",
            make: || flags("PrologFlags=\\\ncontain,DeferBatch"),
            found: &[],
        },
    ]);
}

#[test]
fn nodes_of_all_kinds() {
    expect(&[
        Case {
            name: "several NodeName lines, defaults, sets",
            make: || {
                more(
                    "NodeName=DEFAULT CPUs=8\nNodeName=DEFAULT RealMemory=9000\nNodeName=g[1-9]\n\
                     NodeSet=big Nodes=g[1-9]\nDownNodes=g9 State=DOWN\n",
                )
            },
            found: &[],
        },
        Case {
            name: "dynamic nodes",
            make: || {
                let tree = more("MaxNodeCount=100\nTreeWidth=65533\n");
                tree.replace(
                    CONF,
                    "NodeName=n[1-4] CPUs=4 RealMemory=8000 State=UNKNOWN\n",
                    "",
                );
                tree.write("/etc/hostname", "gpu-7\n");
                tree
            },
            found: &[],
        },
    ]);
}

#[test]
fn nodes_whose_names_are_not_their_hosts() {
    expect(&[
        Case {
            name: "several slurmds on a host",
            make: || {
                let tree = more("NodeName=m[1-2] NodeHostname=n1 Port=[7001-7002]\n");
                tree.replace(
                    CONF,
                    "NodeName=n[1-4]",
                    "NodeName=m[3-4] NodeHostname=n1 Port=[7003-7004]",
                );
                tree
            },
            found: &[],
        },
        Case {
            name: "the host's name is not the node's",
            make: || {
                let tree = more("GresTypes=gpu\nNodeName=g1 NodeHostname=h1 Gres=gpu:4\n");
                tree.write(
                    "/etc/slurm/cgroup.conf",
                    "ConstrainCores=yes\nConstrainRAMSpace=yes\n",
                );
                tree.replace(
                    CONF,
                    "NodeName=n[1-4]",
                    "NodeName=n[1-4] NodeHostname=x[1-4]",
                );
                tree.write("/etc/hostname", "x2.cluster.example\n");
                tree
            },
            found: &[],
        },
        Case {
            name: "GPUs on other nodes alone",
            make: || {
                let tree = more("GresTypes=gpu\nNodeName=g1 Gres=gpu:4\n");
                tree.write(
                    "/etc/slurm/cgroup.conf",
                    "ConstrainCores=yes\nConstrainRAMSpace=yes\n",
                );
                tree
            },
            found: &[],
        },
        Case {
            name: "an image without a name",
            make: || {
                let tree = Tree::redhat();
                tree.write("/etc/hostname", "localhost.localdomain\n");
                tree
            },
            found: &[],
        },
    ]);
}

#[test]
fn cgroup_confs() {
    const FILE: &str = "/etc/slurm/cgroup.conf";
    expect(&[
        Case {
            name: "v1 by name, as the kernel of an image is unknown",
            make: || {
                let tree = Tree::redhat();
                tree.append(
                    FILE,
                    "CgroupPlugin=cgroup/v1\nCgroupMountpoint=/sys/fs/cgroup\n",
                );
                tree
            },
            found: &[],
        },
        Case {
            name: "v2 with settings of newer releases",
            make: || {
                let tree = release(Tree::debian(), 45);
                tree.append(
                    FILE,
                    "CgroupPlugin=cgroup/v2\nEnableControllers=yes\nSystemdTimeout=2000\nAllowedRAMSpace=98.5\n",
                );
                tree
            },
            found: &[],
        },
        Case {
            name: "an Include",
            make: || {
                let tree = Tree::debian();
                tree.write(FILE, "Include cgroup_common.conf\nConstrainRAMSpace=yes\n");
                tree.write("/etc/slurm/cgroup_common.conf", "ConstrainCores=yes\n");
                tree
            },
            found: &[],
        },
        Case {
            name: "swap alone limits memory too",
            make: || {
                let tree = Tree::debian();
                tree.write(FILE, "constraincores=YES\nconstrainswapspace=true\n");
                tree
            },
            found: &[],
        },
    ]);
}

#[test]
fn scripts() {
    expect(&[
        Case {
            name: "an epilog that asks for other jobs first",
            make: || {
                script(
                    "Epilog",
                    "#!/bin/sh\njobs=`squeue --noheader --format=%A --user=$SLURM_UID --nodelist=n1`\n\
                     for id in $jobs; do [ $id -eq $SLURM_JOB_ID ] || exit 0; done\npkill -KILL -U $SLURM_UID\n",
                )
            },
            found: &[],
        },
        Case {
            name: "whole nodes alone: there is no other job",
            make: || {
                let tree = script("Epilog", "#!/bin/sh\npkill -KILL -u $SLURM_JOB_USER\n");
                tree.replace(CONF, "State=UP", "State=UP OverSubscribe=EXCLUSIVE");
                tree
            },
            found: &[],
        },
        Case {
            name: "on a file system that the image does not have",
            make: || more("Prolog=/shared/slurm/prolog\nHealthCheckProgram=/usr/sbin/nhc\n"),
            found: &[],
        },
        Case {
            name: "a program that is no script",
            make: || script("Prolog", "\x7fELF\0pkill -u $SLURM_JOB_USER\n"),
            found: &[],
        },
        Case {
            name: "kills its own processes and lets nobody linger",
            make: || {
                script(
                    "Epilog",
                    "#!/bin/sh\npkill -F /run/x\nloginctl disable-linger $SLURM_JOB_USER\n",
                )
            },
            found: &[],
        },
    ]);
}

#[test]
fn owners_and_spool_directories() {
    expect(&[
        Case {
            name: "shared, with a directory for each node",
            make: || {
                let tree = conf(
                    "SlurmdSpoolDir=/var/spool/slurmd",
                    "SlurmdSpoolDir=/shared/%n",
                );
                tree.write("/etc/fstab", "head:/shared /shared nfs4 defaults 0 0\n");
                tree
            },
            found: &[],
        },
        Case {
            name: "a root directory from a server",
            make: || {
                let tree = Tree::debian();
                tree.write("/etc/fstab", "head:/images/n / nfs ro 0 0\n");
                tree
            },
            found: &[],
        },
        Case {
            name: "sticky above the spool directory",
            make: || {
                let tree = conf(
                    "SlurmdSpoolDir=/var/spool/slurmd",
                    "SlurmdSpoolDir=/tmp/slurmd",
                );
                tree.write("/tmp/slurmd/cred_state", "");
                tree.chmod("/tmp", 0o1777);
                tree
            },
            found: &[],
        },
    ]);
}
