//! What runs: slurmd, munged, slurmstepds, peers.

use crate::host::Host;
use crate::{Notes, Room};

pub(crate) const ROOM: Room = Room {
    name: "daemons",
    checks: &[],
    look,
};

fn look(_: &Host, _: &mut Notes) {}
