//! The options of the module's lines and of the options file.

use crate::host::Host;
use crate::{Notes, Room};

pub(crate) const ROOM: Room = Room {
    name: "options",
    checks: &[],
    look,
};

fn look(_: &Host, _: &mut Notes) {}
