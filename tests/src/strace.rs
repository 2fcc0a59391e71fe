//! Runs the host's strace on a node.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use lab::Node;

const DIR: &str = "/opt/strace";
/// Command that starts strace on a node after [`bring_strace`].
pub const STRACE: &str = "/opt/strace/loader --library-path /opt/strace /opt/strace/strace";

/// Copies the host's strace with its libraries to the node. The nodes' roots lack the package, but with its
/// own loader strace runs in any of them.
///
/// # Errors
/// The host has no strace, or the node has no room.
pub fn bring_strace(node: &Node) -> Result<()> {
    let run = |program: &str, argument: &str| -> Result<String> {
        let output = Command::new(program).arg(argument).output();
        let output = output.with_context(|| format!("start {program}"))?;
        ensure!(output.status.success(), "{program}: {}", output.status);
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let program = "/usr/bin/strace";
    let list = run("ldd", program).context("strace is needed: apt-get install strace")?;
    let paths = list.split_whitespace().filter(|it| it.starts_with('/'));
    for path in paths.chain([program]) {
        let name = path.rsplit('/').next().unwrap_or_default();
        // The loader gets the same name on all nodes.
        let name = if name.starts_with("ld-linux") {
            "loader"
        } else {
            name
        };
        node.copy(path.as_ref(), &format!("{DIR}/{name}"))?;
    }
    Ok(())
}
