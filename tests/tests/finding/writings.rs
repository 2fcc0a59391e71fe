//! The ways to write slurm.conf: what slurmd understands, both modules understand.

use anyhow::{Result, ensure};
use lab::Suite;
use tests::Module;

use crate::{Found, Stage, look};

/// A way to write slurm.conf: changes made to the generated one with sed, and what both find.
pub struct Writing {
    pub name: &'static str,
    sed: &'static str,
    ours: Found,
    theirs: fn(Suite) -> Found,
}

const fn both(name: &'static str, sed: &'static str, ours: Found) -> Writing {
    let theirs = match ours {
        Found::Job => (|_| Found::Job) as fn(Suite) -> Found,
        Found::NoJob => |_| Found::NoJob,
        Found::Rejected => |_| Found::Rejected,
    };
    Writing {
        name,
        sed,
        ours,
        theirs,
    }
}

/// In the order in which they are tried; alice has a job, and `/var/spool/of-node1` leads to it.
pub const WRITINGS: &[Writing] = &[
    both("as generated", "", Found::Job),
    both(
        "lower case",
        "s/^SlurmdSpoolDir/slurmdspooldir/; s/^NodeName/nodename/",
        Found::Job,
    ),
    both(
        "blanks and tabs",
        "s/^SlurmdSpoolDir=/  SlurmdSpoolDir\\t = /",
        Found::Job,
    ),
    both(
        "quotes",
        "s,^SlurmdSpoolDir=.*,SlurmdSpoolDir=\"/var/spool/slurmd\",",
        Found::Job,
    ),
    both(
        "a comment behind",
        "s,^SlurmdSpoolDir=.*,& # not this,",
        Found::Job,
    ),
    both("carriage returns", "s/$/\\r/", Found::Job),
    both(
        "a continued value",
        "s,^SlurmdSpoolDir=.*,SlurmdSpoolDir=/var/spo\\\\\\nol/slurmd,",
        Found::Job,
    ),
    both(
        "a continued line of nodes",
        "s/^NodeName=node1 /NodeName=node1 \\\\\\n/",
        Found::Job,
    ),
    both(
        "an escaped sign",
        "s,^SlurmdSpoolDir=.*,SlurmdSpoolDir=/var/spool/slur\\\\md,",
        Found::Job,
    ),
    both(
        "the last one wins",
        "s,^SlurmdSpoolDir=.*,SlurmdSpoolDir=/nowhere\\n&,",
        Found::Job,
    ),
    both(
        "and not the first",
        "s,^SlurmdSpoolDir=.*,&\\nSlurmdSpoolDir=/nowhere,",
        Found::NoJob,
    ),
    both(
        "%n",
        "s,^SlurmdSpoolDir=.*,SlurmdSpoolDir=/var/spool/of-%n,",
        Found::Job,
    ),
    both(
        "%h",
        "s,^SlurmdSpoolDir=.*,SlurmdSpoolDir=/var/spool/of-%h,",
        Found::Job,
    ),
    both(
        "another directory",
        "s,^SlurmdSpoolDir=.*,SlurmdSpoolDir=/var/spool/none,",
        Found::NoJob,
    ),
    both(
        "a range of nodes",
        "s/^NodeName=node1 .*/NodeName=node[1-90] CPUs=2/",
        Found::Job,
    ),
    both(
        "a list of nodes",
        "s/^NodeName=node1 .*/NodeName=a,node[7-9],node1 CPUs=2/",
        Found::Job,
    ),
    both(
        "another's range",
        "s/^NodeName=node1 .*/NodeName=other[1-90] CPUs=2/",
        Found::Job,
    )
    .only_new(),
    both(
        "hosts paired with nodes",
        "s/^NodeName=node1 .*/NodeName=a,node1,b NodeHostname=x,node1,y CPUs=2/",
        Found::Job,
    ),
    both(
        "another host's node",
        "s/^NodeName=node1 .*/NodeName=node1,node2 NodeHostname=x,node1 CPUs=2/",
        Found::NoJob,
    ),
    both(
        "defaults",
        "s/^NodeName=node1/NodeName=DEFAULT CPUs=2\\n&/",
        Found::Job,
    ),
    both(
        "an Include",
        "s/^NodeName=node1 .*/Include nodes.conf/",
        Found::Job,
    ),
    both(
        "an INCLUDE",
        "s/^NodeName=node1 .*/INCLUDE   nodes.conf/",
        Found::Job,
    ),
    both(
        "an Include of an Include",
        "s/^NodeName=node1 .*/Include more.conf/",
        Found::Job,
    ),
    both(
        "an Include with %c",
        "s/^NodeName=node1 .*/Include %c.conf/",
        Found::Job,
    ),
    both(
        "an absolute Include",
        "s,^NodeName=node1 .*,include /etc/slurm/nodes.conf,",
        Found::Job,
    ),
    both(
        "an indented Include",
        "s/^NodeName=node1 .*/ Include nodes.conf/",
        Found::Rejected,
    ),
    both(
        "two scalars on a line",
        "s/^SlurmdSpoolDir.*/& SlurmdUser=root/",
        Found::Rejected,
    ),
    both(
        "no value",
        "s/^SlurmdSpoolDir.*/SlurmdSpoolDir=/",
        Found::Rejected,
    ),
    both("no ClusterName", "/^ClusterName/d", Found::Rejected),
    both(
        "no pair",
        "s/^SlurmdSpoolDir.*/&\\nNonsense/",
        Found::Rejected,
    ),
    Writing {
        name: "a key of another release",
        sed: "s/^SlurmdSpoolDir.*/&\\nKeyOf2031=yes/",
        ours: Found::Job,
        theirs: |_| Found::Rejected,
    },
];

impl Writing {
    /// Up to 22.05 a host that slurm.conf does not name was a generic failure: no job either.
    const fn only_new(mut self) -> Self {
        self.theirs = |suite| match suite {
            Suite::Bullseye | Suite::Bookworm => Found::NoJob,
            _ => Found::Job,
        };
        self
    }
}

/// One writing, read by both.
pub fn writing(stage: &mut Stage, writing: &Writing) -> Result<()> {
    let (cluster, job) = stage.up()?;
    let suite = cluster.suite();
    let node = cluster.node(1);
    let put = ["sed", "-e", writing.sed, "/etc/slurm/generated"];
    let text = node.run(&put)?.ok()?;
    node.write("/etc/slurm/slurm.conf", &text, 0o644)?;
    for (module, expected) in [
        (Module::Ours, writing.ours),
        (Module::SchedMd, (writing.theirs)(suite)),
    ] {
        let found = look(node, job, module)?;
        ensure!(
            found == expected,
            "{module:?}: {found:?}, expected {expected:?}, with\n{text}"
        );
    }
    Ok(())
}
