//! Set-ups of Slurm that work.

use super::{CONF, conf, flags, more, release, script};
use crate::tree::{Case, Tree, expect};

/// Moves the base's slurm.conf and cgroup.conf.
fn moved(dir: &str) -> Tree {
    let tree = Tree::redhat();
    for file in ["slurm.conf", "cgroup.conf"] {
        let old = format!("/etc/slurm/{file}");
        let text = std::fs::read_to_string(tree.path(&old)).expect("the base's");
        tree.remove(&old);
        tree.write(&format!("{dir}/{file}"), &text);
    }
    tree
}

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
        Case {
            name: "AWS ParallelCluster's Includes and cloud nodes",
            make: parallel_cluster,
            found: &[],
        },
    ]);
}

fn parallel_cluster() -> Tree {
    let tree = moved("/opt/slurm/etc");
    let conf = "/opt/slurm/etc/slurm.conf";
    tree.replace(
        conf,
        "NodeName=n[1-4] CPUs=4 RealMemory=8000 State=UNKNOWN\n",
        "",
    );
    tree.replace(
        conf,
        "PartitionName=main Nodes=ALL Default=YES State=UP\n",
        "",
    );
    tree.append(
        conf,
        "SlurmctldParameters=idle_on_node_suspend,power_save_min_interval=30,cloud_dns\n\
         SuspendProgram=/etc/parallelcluster/slurm_plugin/slurm_suspend\n\
         PrivateData=CLOUD\nResumeTimeout=1800\ninclude slurm_parallelcluster.conf\n",
    );
    tree.write(
        "/opt/slurm/etc/slurm_parallelcluster.conf",
        "SlurmctldHost=ip-10-0-0-1(10.0.0.1)\nSuspendTime=600\ninclude \
         /opt/slurm/etc/pcluster/queue1_partition.conf\nPartitionName=queue1 Default=YES\n",
    );
    tree.write(
        "/opt/slurm/etc/pcluster/queue1_partition.conf",
        "NodeName=queue1-dy-c5-[1-10] CPUs=2 State=CLOUD Feature=dynamic,c5 Weight=1000\n\
         NodeSet=queue1_nodes Nodes=queue1-dy-c5-[1-10]\nPartitionName=queue1 Nodes=queue1_nodes\n",
    );
    tree.write("/etc/hostname", "queue1-dy-c5-1\n");
    tree
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
fn distributions_of_slurm() {
    expect(&[
        Case {
            name: "OpenHPC",
            make: open_hpc,
            found: &[],
        },
        Case {
            name: "Slinky's pods",
            make: slinky,
            found: &[],
        },
        Case {
            name: "an /etc/slurm that only includes",
            make: || {
                let tree = moved("/opt/slurm/etc");
                tree.write(
                    "/etc/slurm/slurm.conf",
                    "Include /opt/slurm/etc/slurm.conf\n",
                );
                tree.link("/etc/slurm/cgroup.conf", "/opt/slurm/etc/cgroup.conf");
                tree
            },
            found: &[],
        },
        Case {
            name: "nss_slurm beside sssd",
            make: || {
                let tree = more("LaunchParameters=enable_nss_slurm\n");
                tree.write("/etc/nsswitch.conf", "passwd: slurm files sss\n");
                tree
            },
            found: &[],
        },
    ]);
}

fn open_hpc() -> Tree {
    let tree = Tree::redhat();
    tree.append(
        CONF,
        "FastSchedule=1\nMpiDefault=none\nSlurmctldPidFile=/var/run/slurmctld.pid\nSlurmdPidFile=/var/run/slurmd.pid\n\
         SwitchType=switch/none\nJobCompType=jobcomp/filetxt\nEpilog=/etc/slurm/slurm.epilog.clean\n\
         SlurmctldParameters=enable_configless\nPropagateResourceLimitsExcept=MEMLOCK\n\
         HealthCheckProgram=/usr/sbin/nhc\nHealthCheckInterval=300\nGresTypes=gpu\n",
    );
    let epilog = "/etc/slurm/slurm.epilog.clean";
    tree.write(
        epilog,
        "#!/bin/sh\nif [ x$SLURM_UID = \"x\" ] ; then exit 0; fi\n\
         job_list=`${SLURM_BIN}squeue --noheader --format=%A --user=$SLURM_UID --node=localhost`\n\
         for job_id in $job_list\ndo\n  if [ $job_id -ne $SLURM_JOB_ID ]; then exit 0; fi\ndone\n\
         pkill -KILL -U $SLURM_UID\n",
    );
    tree.chmod(epilog, 0o755);
    tree
}

fn slinky() -> Tree {
    let tree = conf("AuthType=auth/munge", "AuthType=auth/slurm");
    tree.append(
        CONF,
        "MaxNodeCount=1024\nSlurmctldParameters=enable_configless,enable_stepmgr\nAuthAltTypes=auth/jwt\n\
         AuthInfo=use_client_ids\nAuthAltParameters=jwt_key=/etc/slurm/jwt_hs256.key\nPrologSlurmctld=/x/y\n\
         NodeSet=all Feature=all\n",
    );
    tree.write("/etc/slurm/slurm.key", "secret");
    tree.chmod("/etc/slurm/slurm.key", 0o600);
    tree
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
