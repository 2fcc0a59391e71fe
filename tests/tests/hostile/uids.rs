//! Uids and names of the user database that stand for more, or less, than one user.

use anyhow::Result;
use lab::Cluster;
use tests::Call;

use crate::fake::{Stepd, Then};
use crate::{Got, NO_JOB, SPOOL, STRICT, both, only_ours};

/// -1 as a uid: to most calls of the system it means no user.
const NONE: u32 = u32::MAX;

fn add_to_passwd(cluster: &Cluster, lines: &str) -> Result<()> {
    let tee = cluster.node(1).command(&["tee", "-a", "/etc/passwd"]);
    tee.stdin(lines).output()?.ok().map(drop)
}

/// Stepds, of root's and in their place, that say uids which nobody has; and one that ends the
/// connection when it is asked: SchedMD's module takes that for uid -1.
pub fn none(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    add_to_passwd(cluster, "minus:x:4294967295:4294967295::/:/bin/sh\n")?;
    let (alice, minus) = (Call::new("alice", STRICT), Call::new("minus", STRICT));
    both(node, "no stepd", &minus, Got::Out, Got::Out)?;
    let path = format!("{SPOOL}/node1_{NO_JOB}.4294967292");
    for (what, uid, then, theirs) in [
        ("uid 0", 0, Then::Adopt, Got::Out),
        ("uid -1", NONE, Then::Adopt, Got::Told(NO_JOB)),
        ("no uid", 0, Then::Close, Got::Told(NO_JOB)),
    ] {
        let stepd = Stepd::start(node, cluster.suite(), "root", &path, uid, then)?;
        both(node, what, &alice, Got::Out, Got::Out)?;
        both(node, what, &minus, Got::Out, theirs)?;
        stepd.stop()?;
        node.remove(&path)?;
    }
    Ok(())
}

/// What counts is the uid: a second name of root's is root, one of alice's is alice, one that looks
/// like alice's uid is nobody.
pub fn names(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    add_to_passwd(
        cluster,
        "toor:x:0:0::/root:/bin/sh\nalias:x:2001:2001::/:/bin/sh\n\
         0:x:2002:2002::/:/bin/sh\n",
    )?;
    let alices = cluster.submit("alice", &[])?;
    for (user, expected) in [
        ("toor", Got::Ignored),
        ("alias", Got::Job(alices)),
        // Bob's other name.
        ("0", Got::Out),
        ("2001", Got::NoUser),
        ("+2001", Got::NoUser),
        ("Alice", Got::NoUser),
        ("alice ", Got::NoUser),
    ] {
        both(node, user, &Call::new(user, STRICT), expected, expected)?;
    }
    // Nor does an option make root of anybody.
    let open = "action_unknown=allow action_adopt_failure=allow action_generic_failure=allow";
    only_ours(node, "0", &Call::new("0", open), Got::Out).map(drop)
}
