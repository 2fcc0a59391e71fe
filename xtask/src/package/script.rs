//! Shell scripts of packages, which share what they ask of PAM's stacks.

use std::fs;

use anyhow::{Context, Result, ensure};

use crate::workspace::Workspace;

/// Reads a script of `packaging`, with packaging/stacks.sh in its place.
///
/// # Errors
/// Those of reading; the script has no place for it.
pub fn read(workspace: &Workspace, name: &str) -> Result<String> {
    let read = |name: &str| {
        let path = workspace.path("packaging").join(name);
        fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))
    };
    let script = read(name)?;
    ensure!(script.contains(PLACE), "{name} has no line {PLACE}");
    Ok(script.replace(PLACE, &read("stacks.sh")?))
}

const PLACE: &str = "@STACKS@\n";
