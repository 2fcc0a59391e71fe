//! Runs programs of the host on a node.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use lab::Node;

/// Command that starts strace on a node after [`bring_strace`].
pub const STRACE: &str = "/opt/strace/loader --library-path /opt/strace /opt/strace/strace";

/// Copies the host's strace to the node.
///
/// # Errors
/// The host has no strace, or the node has no room.
pub fn bring_strace(node: &Node) -> Result<()> {
    bring(node, "strace").map(drop)
}

/// Copies a program of the host's, from the package of its name, with its libraries to the node; returns the command that
/// starts it. The nodes' roots lack the package, but with its own loader it runs in any of them.
///
/// # Errors
/// The host lacks the program, or the node has no room.
pub fn bring(node: &Node, name: &str) -> Result<String> {
    let run = |program: &str, argument: &str| -> Result<String> {
        let output = Command::new(program).arg(argument).output();
        let output = output.with_context(|| format!("start {program}"))?;
        ensure!(output.status.success(), "{program}: {}", output.status);
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (program, dir) = (format!("/usr/bin/{name}"), format!("/opt/{name}"));
    let list = run("ldd", &program);
    let list = list.with_context(|| format!("{name} is needed: apt-get install {name}"))?;
    let paths = list.split_whitespace().filter(|it| it.starts_with('/'));
    for path in paths.chain([program.as_str()]) {
        let name = path.rsplit('/').next().unwrap_or_default();
        // The loader gets the same name on all nodes.
        let name = if name.starts_with("ld-linux") {
            "loader"
        } else {
            name
        };
        node.copy(path.as_ref(), &format!("{dir}/{name}"))?;
    }
    Ok(format!("{dir}/loader --library-path {dir} {dir}/{name}"))
}
