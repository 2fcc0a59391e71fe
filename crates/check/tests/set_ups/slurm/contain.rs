//! Jobs that do not take logins in, or do not hold them.

use super::{conf, flags, more, release};
use crate::tree::{Case, expect};

#[test]
fn jobs_without_an_extern_step() {
    expect(&[
        Case {
            name: "no PrologFlags at all",
            make: || flags("# PrologFlags=contain"),
            found: &["SA400 failure /etc/slurm/slurm.conf"],
        },
        Case {
            name: "Alloc alone",
            make: || flags("PrologFlags=Alloc"),
            found: &["SA400 failure /etc/slurm/slurm.conf:9"],
        },
        Case {
            name: "the default of a recipe without contain",
            make: || flags("prologflags=alloc,deferbatch"),
            found: &["SA400 failure /etc/slurm/slurm.conf:9"],
        },
        Case {
            name: "set twice: the later line counts, lists are not joined",
            make: || more("PrologFlags=X11\nPrologFlags=Alloc\n"),
            found: &[
                "SA400 failure /etc/slurm/slurm.conf:15",
                "SA412 warning /etc/slurm/slurm.conf:14",
                "SA412 warning /etc/slurm/slurm.conf:9",
            ],
        },
    ]);
}

#[test]
fn flags_that_slurm_refuses() {
    expect(&[
        Case {
            name: "a plural",
            make: || flags("PrologFlags=contains"),
            found: &["SA401 failure /etc/slurm/slurm.conf:9"],
        },
        Case {
            name: "a semicolon",
            make: || flags("PrologFlags=Alloc;Contain"),
            found: &["SA401 failure /etc/slurm/slurm.conf:9"],
        },
        Case {
            name: "none is no flag",
            make: || flags("PrologFlags=none"),
            found: &["SA401 failure /etc/slurm/slurm.conf:9"],
        },
        Case {
            name: "a blank in quotes",
            make: || flags("PrologFlags=\"Contain, X11\""),
            found: &["SA401 failure /etc/slurm/slurm.conf:9"],
        },
        Case {
            name: "NoHold with Contain",
            make: || flags("PrologFlags=NoHold,Contain,DeferBatch"),
            found: &["SA401 failure /etc/slurm/slurm.conf:9"],
        },
        Case {
            name: "DeferBatch in 21.08",
            make: || release(super::Tree::debian(), 37),
            found: &["SA401 failure /etc/slurm/slurm.conf:9"],
        },
        Case {
            name: "X11 with linuxproc",
            make: || {
                let tree = flags("PrologFlags=X11,DeferBatch");
                tree.replace(super::CONF, "proctrack/cgroup", "proctrack/linuxproc");
                tree
            },
            found: &[
                "SA401 failure /etc/slurm/slurm.conf:9",
                "SA402 failure /etc/slurm/slurm.conf:7",
            ],
        },
    ]);
}

#[test]
fn jobs_that_do_not_hold_logins() {
    const OLD: &str = "proctrack/cgroup";
    expect(&[
        Case {
            name: "linuxproc, as OpenHPC's template had",
            make: || conf(OLD, "proctrack/linuxproc"),
            found: &["SA402 failure /etc/slurm/slurm.conf:7"],
        },
        Case {
            name: "pgid",
            make: || conf(OLD, "proctrack/pgid"),
            found: &["SA402 failure /etc/slurm/slurm.conf:7"],
        },
        Case {
            name: "without its prefix",
            make: || conf(OLD, "cgroup"),
            found: &["SA402 failure /etc/slurm/slurm.conf:7"],
        },
        Case {
            name: "a plural",
            make: || conf(OLD, "proctrack/cgroups"),
            found: &["SA402 failure /etc/slurm/slurm.conf:7"],
        },
    ]);
}

#[test]
fn jobs_without_limits() {
    const OLD: &str = "TaskPlugin=task/affinity,task/cgroup";
    expect(&[
        Case {
            name: "affinity alone",
            make: || conf(OLD, "TaskPlugin=task/affinity"),
            found: &["SA403 warning /etc/slurm/slurm.conf:8"],
        },
        Case {
            name: "not set",
            make: || conf(OLD, "#TaskPlugin="),
            found: &["SA403 warning /etc/slurm/slurm.conf"],
        },
        Case {
            name: "none turns all of them off",
            make: || conf(OLD, "TaskPlugin=task/none,task/cgroup"),
            found: &["SA403 warning /etc/slurm/slurm.conf:8"],
        },
        Case {
            name: "a plural: slurmd does not start",
            make: || conf(OLD, "TaskPlugin=task/affinity,task/cgroups"),
            found: &["SA403 failure /etc/slurm/slurm.conf:8"],
        },
    ]);
}

#[test]
fn nodes_that_are_not_ready() {
    expect(&[
        Case {
            name: "a Prolog without DeferBatch",
            make: || {
                let tree = super::script("Prolog", "#!/bin/sh\nmkdir /scratch/$SLURM_JOB_ID\n");
                tree.replace(super::CONF, super::FLAGS, "PrologFlags=Contain,X11");
                tree
            },
            found: &["SA404 warning /etc/slurm/slurm.conf:9"],
        },
        Case {
            name: "no DeferBatch, and no Prolog to wait for",
            make: || flags("PrologFlags=Contain"),
            found: &["SA404 note /etc/slurm/slurm.conf:9"],
        },
        Case {
            name: "the Prolog runs in the extern step",
            make: || {
                let tree = super::script("Prolog", "#!/bin/sh\nmkdir /scratch/$SLURM_JOB_ID\n");
                tree.replace(super::CONF, super::FLAGS, "PrologFlags=RunInJob,DeferBatch");
                tree
            },
            found: &["SA405 note /etc/slurm/slurm.conf:9"],
        },
    ]);
}
