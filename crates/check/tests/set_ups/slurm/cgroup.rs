//! cgroup.conf.

use super::{more, release};
use crate::tree::{Case, Tree, expect};

const FILE: &str = "/etc/slurm/cgroup.conf";

/// The base with another cgroup.conf.
fn cgroup(text: &str) -> Tree {
    let tree = Tree::debian();
    tree.write(FILE, text);
    tree
}

/// The base with GPUs on its nodes.
fn gpus() -> Tree {
    let tree = more("GresTypes=gpu\n");
    tree.replace(super::CONF, "CPUs=4", "CPUs=4 Gres=gpu:a100:4");
    tree
}

#[test]
fn files_that_are_missing_or_broken() {
    expect(&[
        Case {
            name: "none",
            make: || {
                let tree = Tree::debian();
                tree.remove(FILE);
                tree
            },
            found: &["SA420 warning /etc/slurm/cgroup.conf"],
        },
        Case {
            name: "not beside slurm.conf",
            make: || {
                let tree = Tree::debian();
                for file in ["slurm.conf", "cgroup.conf"] {
                    let text = std::fs::read_to_string(tree.path(&format!("/etc/slurm/{file}")));
                    tree.remove(&format!("/etc/slurm/{file}"));
                    let dir = if file == "slurm.conf" {
                        "/opt/slurm/etc"
                    } else {
                        "/etc/slurm"
                    };
                    tree.write(&format!("{dir}/{file}"), &text.expect("the base's"));
                }
                tree
            },
            found: &["SA420 warning /opt/slurm/etc/cgroup.conf"],
        },
        Case {
            name: "a line that is no setting",
            make: || cgroup("ConstrainCores=yes\nConstrainDevices\n"),
            found: &["SA421 failure /etc/slurm/cgroup.conf:2"],
        },
        Case {
            name: "on is not yes, and 20.11 goes on without it",
            make: || {
                release(
                    cgroup("ConstrainCores=on\nConstrainRAMSpace=yes\nConstrainDevices=yes\n"),
                    36,
                )
            },
            found: &[
                "SA401 failure /etc/slurm/slurm.conf:9",
                "SA421 warning /etc/slurm/cgroup.conf:1",
            ],
        },
        Case {
            name: "on is not yes",
            make: || cgroup("ConstrainCores=on\nConstrainRAMSpace=yes\n"),
            found: &["SA421 failure /etc/slurm/cgroup.conf:1"],
        },
    ]);
}

#[test]
fn keys_of_other_releases() {
    expect(&[
        Case {
            name: "misspelt",
            make: || cgroup("ConstrainCores=yes\nConstrainRAMSpace=yes\nConstrainDevice=yes\n"),
            found: &["SA422 failure /etc/slurm/cgroup.conf:3"],
        },
        Case {
            name: "TaskAffinity of old recipes",
            make: || cgroup("TaskAffinity=no\nConstrainCores=yes\nConstrainRAMSpace=yes\n"),
            found: &["SA422 warning /etc/slurm/cgroup.conf:1"],
        },
        Case {
            name: "ConstrainKmemSpace on 24.11",
            make: || {
                let text = "ConstrainKmemSpace=no\nConstrainCores=yes\nConstrainRAMSpace=yes\n";
                release(cgroup(text), 42)
            },
            found: &["SA422 failure /etc/slurm/cgroup.conf:1"],
        },
        Case {
            name: "CgroupReleaseAgentDir on 22.05",
            make: || {
                let text = "CgroupReleaseAgentDir=\"/etc/slurm/cgroup\"\nConstrainCores=yes\n\
                            ConstrainRAMSpace=yes\n";
                release(cgroup(text), 38)
            },
            found: &["SA422 failure /etc/slurm/cgroup.conf:1"],
        },
        Case {
            name: "CgroupAutomount of every recipe",
            make: || cgroup("CgroupAutomount=yes\nConstrainCores=yes\nConstrainRAMSpace=yes\n"),
            found: &["SA426 note /etc/slurm/cgroup.conf:1"],
        },
    ]);
}

#[test]
fn plugins_that_do_not_work() {
    expect(&[
        Case {
            name: "disabled",
            make: || cgroup("CgroupPlugin=disabled\nConstrainCores=yes\nConstrainRAMSpace=yes\n"),
            found: &["SA423 failure /etc/slurm/cgroup.conf:1"],
        },
        Case {
            name: "without its prefix",
            make: || cgroup("CgroupPlugin=v2\nConstrainCores=yes\nConstrainRAMSpace=yes\n"),
            found: &["SA423 failure /etc/slurm/cgroup.conf:1"],
        },
    ]);
}

#[test]
fn resources_that_are_not_constrained() {
    expect(&[
        Case {
            name: "GPUs",
            make: || {
                let tree = gpus();
                tree.replace(FILE, "ConstrainDevices=yes", "ConstrainDevices=no");
                tree
            },
            found: &["SA424 warning /etc/slurm/cgroup.conf:2"],
        },
        Case {
            name: "GPUs by a default of all nodes",
            make: || {
                let tree = Tree::debian();
                tree.replace(
                    super::CONF,
                    "NodeName=n",
                    "NodeName=DEFAULT Gres=gpu:1\nNodeName=n",
                );
                tree.replace(FILE, "ConstrainDevices=yes\n", "");
                tree
            },
            found: &["SA424 warning /etc/slurm/cgroup.conf"],
        },
        Case {
            name: "nothing",
            make: || cgroup("CgroupPlugin=autodetect\n"),
            found: &["SA425 warning /etc/slurm/cgroup.conf"],
        },
        Case {
            name: "memory that is not allocated, as OpenHPC has it",
            make: || more("SelectType=select/cons_tres\nSelectTypeParameters=CR_Core\n"),
            found: &["SA429 note /etc/slurm/slurm.conf:15"],
        },
        Case {
            name: "memory",
            make: || cgroup("ConstrainCores=yes\nConstrainRAMSpace=no\n"),
            found: &["SA425 note /etc/slurm/cgroup.conf:2"],
        },
    ]);
}

#[test]
fn signals_to_logins() {
    expect(&[Case {
        name: "SignalChildrenProcesses",
        make: || {
            let tree = Tree::debian();
            tree.append(FILE, "SignalChildrenProcesses=yes\n");
            tree
        },
        found: &["SA427 note /etc/slurm/cgroup.conf:5"],
    }]);
}
