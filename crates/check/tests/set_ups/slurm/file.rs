//! slurm.conf as a file, and what else it says about logins.

use super::{conf, flags, more, release};
use crate::tree::{Case, Tree, expect};

#[test]
fn files_that_slurm_cannot_read() {
    expect(&[
        Case {
            name: "a blank between flags",
            make: || flags("PrologFlags=Contain, X11"),
            found: &["SA410 failure /etc/slurm/slurm.conf:9"],
        },
        Case {
            name: "an Include that is missing",
            make: || more("Include nodes.conf\n"),
            found: &["SA410 failure /etc/slurm/slurm.conf:14"],
        },
        Case {
            name: "a fault in an Include",
            make: || {
                let tree = more("Include nodes.conf\n");
                tree.write("/etc/slurm/nodes.conf", "NodeName=m1\nNodeName m2\n");
                tree
            },
            found: &["SA410 failure /etc/slurm/nodes.conf:2"],
        },
        Case {
            name: "no ClusterName",
            make: || conf("ClusterName=cluster\n", ""),
            found: &["SA410 failure /etc/slurm/slurm.conf"],
        },
        Case {
            name: "an indented Include",
            make: || more("  Include nodes.conf\n"),
            found: &["SA410 failure /etc/slurm/slurm.conf:14"],
        },
        Case {
            name: "an empty value",
            make: || flags("PrologFlags="),
            found: &["SA410 failure /etc/slurm/slurm.conf:9"],
        },
        Case {
            name: "%c before ClusterName",
            make: || conf("ClusterName=", "Include %c.conf\nClusterName="),
            found: &["SA410 failure /etc/slurm/slurm.conf:1"],
        },
    ]);
}

#[test]
fn keys_that_slurm_does_not_know() {
    expect(&[
        Case {
            name: "PrologFlag",
            make: || flags("PrologFlag=contain,DeferBatch"),
            found: &[
                "SA400 failure /etc/slurm/slurm.conf",
                "SA411 failure /etc/slurm/slurm.conf:9",
            ],
        },
        Case {
            name: "ProctrackTypes",
            make: || conf("ProctrackType=", "ProctrackTypes="),
            found: &["SA411 failure /etc/slurm/slurm.conf:7"],
        },
        Case {
            name: "a key of cgroup.conf in slurm.conf, perhaps of a newer release",
            make: || more("ConstrainCores=yes\n"),
            found: &["SA411 warning /etc/slurm/slurm.conf:14"],
        },
        Case {
            name: "the same, of a release that is known",
            make: || release(more("ConstrainCores=yes\n"), 45),
            found: &["SA411 failure /etc/slurm/slurm.conf:14"],
        },
        Case {
            name: "a key that slurmd ends on",
            make: || more("SallocDefaultCommand=\"srun -n1 --pty bash\"\n"),
            found: &["SA411 failure /etc/slurm/slurm.conf:14"],
        },
        Case {
            name: "a key that went long ago",
            make: || more("CacheGroups=0\n"),
            found: &["SA411 warning /etc/slurm/slurm.conf:14"],
        },
        Case {
            name: "a key that went, on a release without it",
            make: || release(more("FrontendName=n9\n"), 45),
            found: &["SA411 failure /etc/slurm/slurm.conf:14"],
        },
        Case {
            name: "a key that is too new",
            make: || release(more("TLSType=tls/none\n"), 40),
            found: &["SA411 failure /etc/slurm/slurm.conf:14"],
        },
    ]);
}

#[test]
fn files_that_differ() {
    expect(&[
        Case {
            name: "Debian 10's directory left over",
            make: || {
                let tree = Tree::debian();
                tree.write("/etc/slurm-llnl/slurm.conf", "ClusterName=old\n");
                tree
            },
            found: &["SA413 warning /etc/slurm-llnl/slurm.conf"],
        },
        Case {
            name: "sshd is told of a file that is not there",
            make: || {
                let tree = Tree::debian();
                tree.write(
                    "/etc/default/ssh",
                    "SSHD_OPTS=\nSLURM_CONF=/opt/slurm/etc/slurm.conf\n",
                );
                tree
            },
            found: &["SA414 failure /etc/default/ssh:2"],
        },
        Case {
            name: "sshd is told of another file than slurmd",
            make: || {
                let tree = Tree::redhat();
                tree.write("/srv/slurm.conf", "ClusterName=cluster\n");
                tree.write(
                    "/etc/systemd/system/sshd.service.d/slurm.conf",
                    "[Service]\nEnvironment=SLURM_CONF=/srv/slurm.conf\n",
                );
                tree
            },
            found: &["SA414 warning /etc/systemd/system/sshd.service.d/slurm.conf:2"],
        },
    ]);
}

#[test]
fn values_that_slurm_refuses() {
    expect(&[
        Case {
            name: "on is not yes",
            make: || more("UsePAM=on\n"),
            found: &["SA415 failure /etc/slurm/slurm.conf:14"],
        },
        Case {
            name: "on is not yes, and 20.11 goes on without it",
            make: || release(more("UsePAM=on\n"), 36),
            found: &[
                "SA401 failure /etc/slurm/slurm.conf:9",
                "SA415 warning /etc/slurm/slurm.conf:14",
            ],
        },
        Case {
            name: "memory is limited twice",
            make: || more("JobAcctGatherParams=UsePss,OverMemoryKill\n"),
            found: &["SA428 failure /etc/slurm/slurm.conf:14"],
        },
    ]);
}

#[test]
fn this_node() {
    expect(&[
        Case {
            name: "named twice",
            make: || more("NodeName=n1 CPUs=8\n"),
            found: &["SA430 failure /etc/slurm/slurm.conf:14"],
        },
        Case {
            name: "named twice, with its host's name",
            make: || {
                let tree = more("NodeName=n[1-4] NodeHostname=h[1-4] CPUs=8\n");
                tree.replace(
                    "/etc/slurm/slurm.conf",
                    "NodeName=n[1-4] CPUs=4",
                    "NodeName=n1 NodeHostname=n1 CPUs=4",
                );
                tree
            },
            found: &["SA430 failure /etc/slurm/slurm.conf:14"],
        },
        Case {
            name: "two slurmds on this host",
            make: || more("NodeName=m1 NodeHostname=n1 Port=7001 CPUs=8\n"),
            found: &[],
        },
        Case {
            name: "slurmd as SlurmUser",
            make: || more("SlurmdUser=slurm\n"),
            found: &["SA431 failure /etc/slurm/slurm.conf:14"],
        },
    ]);
}

#[test]
fn authentication_and_launch_parameters() {
    const AUTH: &str = "AuthType=auth/munge";
    const SSHD: &str = "/etc/pam.d/sshd";
    expect(&[
        Case {
            name: "none",
            make: || conf(AUTH, "AuthType=auth/none"),
            found: &["SA460 failure /etc/slurm/slurm.conf:3"],
        },
        Case {
            name: "without its prefix, on a release that wants it",
            make: || release(conf(AUTH, "AuthType=munge"), 38),
            found: &["SA461 failure /etc/slurm/slurm.conf:3"],
        },
        Case {
            name: "jwt is for clients",
            make: || conf(AUTH, "AuthType=auth/jwt"),
            found: &["SA461 warning /etc/slurm/slurm.conf:3"],
        },
        Case {
            name: "TLS",
            make: || more("TLSType=tls/s2n\n"),
            found: &["SA462 note /etc/slurm/slurm.conf:14"],
        },
        Case {
            name: "limits from both",
            make: || {
                let tree = more("LaunchParameters=enable_nss_slurm,ulimit_pam_adopt\n");
                tree.append(SSHD, "session required pam_slurm_adopt.so limits=job\n");
                tree
            },
            found: &[
                "SA257 warning /etc/pam.d/sshd:18",
                "SA258 warning /etc/pam.d/sshd:18",
                "SA463 note /etc/slurm/slurm.conf:14",
            ],
        },
    ]);
}

#[test]
fn slurms_own_pam_service() {
    expect(&[
        Case {
            name: "UsePAM without the service",
            make: || {
                let tree = Tree::redhat();
                tree.append(super::CONF, "UsePAM=1\n");
                tree
            },
            found: &["SA465 warning /etc/slurm/slurm.conf:14"],
        },
        Case {
            name: "the same on Debian, whose service other lets in",
            make: || more("UsePAM=1\n"),
            found: &["SA465 note /etc/slurm/slurm.conf:14"],
        },
        Case {
            name: "our module in it",
            make: || {
                let tree = more("UsePAM=yes\n");
                tree.write(
                    "/etc/pam.d/slurm",
                    "account required pam_slurm_adopt.so service=sshd,slurm\n",
                );
                tree
            },
            found: &[
                "SA110 warning /etc/pam.d/slurm:1",
                "SA111 warning /etc/pam.d/slurm:1",
                "SA464 failure /etc/pam.d/slurm:1",
            ],
        },
    ]);
}

#[test]
fn users_that_only_slurm_knows() {
    expect(&[Case {
        name: "nss_slurm and no directory service",
        make: || {
            let tree = more("LaunchParameters=enable_nss_slurm\n");
            tree.write(
                "/etc/nsswitch.conf",
                "passwd: slurm files systemd\ngroup: slurm files\n",
            );
            tree
        },
        found: &["SA468 note /etc/nsswitch.conf:1"],
    }]);
}

#[test]
fn directories_of_jobs() {
    const SSHD: &str = "/etc/pam.d/sshd";
    expect(&[
        Case {
            name: "join_container=false with job_container/tmpfs",
            make: || {
                let tree = more("JobContainerType=job_container/tmpfs\n");
                tree.write(
                    "/etc/slurm/job_container.conf",
                    "AutoBasePath=true\nBasePath=/scratch\n",
                );
                let old = "account    required     pam_slurm_adopt.so";
                tree.replace(SSHD, old, &format!("{old} join_container=false"));
                tree
            },
            found: &[
                "SA258 warning /etc/pam.d/sshd:16",
                "SA466 warning /etc/pam.d/sshd:3",
            ],
        },
        Case {
            name: "no job_container.conf",
            make: || more("JobContainerType=job_container/tmpfs\n"),
            found: &["SA469 failure /etc/slurm/slurm.conf:14"],
        },
        Case {
            name: "no namespace.yaml",
            make: || release(more("NamespaceType=namespace/linux\n"), 45),
            found: &["SA469 failure /etc/slurm/slurm.conf:14"],
        },
    ]);
}

#[test]
fn user_namespaces_of_a_tree_whose_kernel_is_unknown() {
    expect(&[Case {
        name: "CLONE_NEWUSER",
        make: || {
            let tree = more("NamespaceType=namespace/linux\n");
            tree.write(
                "/etc/slurm/namespace.yaml",
                "defaults:\n  clone_ns_flags: CLONE_NEWNS|CLONE_NEWUSER\n",
            );
            tree
        },
        found: &["SA467 note /etc/slurm/namespace.yaml:2"],
    }]);
}
