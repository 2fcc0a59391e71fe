//! Set-ups as vendors and common recipes make them.

use super::{CONF, conf, more, moved};
use crate::tree::{Case, Tree, expect};

#[test]
fn distributions_of_slurm() {
    expect(&[
        Case {
            name: "AWS ParallelCluster's Includes and cloud nodes",
            make: parallel_cluster,
            found: &[],
        },
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
