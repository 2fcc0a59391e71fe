//! The first login after a long time: nothing of the module is in the page cache.
//!
//! The lab's files on its nodes are in a tmpfs and never leave the memory. So both modules are loaded from
//! the host's disk, by a path through a process that is in the node's pid namespace and sees the host's
//! files. The libraries that SchedMD's module links to are on the disk anyway; slurm.conf is not.
//!
//! This axis has a cluster of its own: after the page cache was emptied, programs in a tmpfs have more page
//! faults than before (seen, Linux 6.18).

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use lab::{Node, Suite};

use crate::measure::{Before, Effort, Logins, stacks};
use crate::results::{Axis, Row};

/// ID of the row.
pub const ID: &str = "cold";

/// Measures the one row; nobody has a job.
pub fn row(node: &Node, suite: Suite, effort: Effort) -> Result<Row> {
    const DIR: &str = "/run/bench-cold";
    let window = Window::open(node)?;
    let ours = window.path(&tests::dist("pam_slurm_adopt.so")?);
    let original = suite.original_module().trim_start_matches('/');
    let schedmd = window.path(&lab::roots::ensure(suite)?.join(original));
    // The floor's own module is not part of the comparison.
    let permit = format!("{DIR}/pam_permit.so");
    node.sh(&format!(
        "mkdir -p {DIR}; cp \"$(find /lib/ /usr/lib/ -name pam_permit.so | head -n 1)\" {permit}"
    ))?;
    stacks(node, DIR, [&permit, &schedmd, &ours])?;
    let logins = Logins {
        node,
        stacks: DIR,
        user: "alice",
        adopted: false,
        env: Vec::new(),
        from: None,
        socket: None,
        before: Before::DropCaches,
    };
    let few = Effort {
        logins: effort.logins / 5,
        ..effort
    };
    let name = "no job on the node, empty page cache";
    Ok(logins.row(Axis::Cold, ID, name, few))
}

/// A process of the node through which the host's files have a path there.
struct Window<'a> {
    node: &'a Node,
    pid: u32,
    child: Child,
}

impl<'a> Window<'a> {
    fn open(node: &'a Node) -> Result<Self> {
        /// A time that nobody else sleeps.
        const SECONDS: &str = "86399";
        let host = node.host_pid();
        let child = Command::new("nsenter")
            .arg(format!("--pid=/proc/{host}/ns/pid_for_children"))
            .args(["--", "sleep", SECONDS])
            .stdin(Stdio::null())
            .spawn()
            .context("run nsenter")?;
        let mut window = Self {
            node,
            pid: 0,
            child,
        };
        let line = format!("sleep {SECONDS}");
        lab::poll::until_true("a process to appear", Duration::from_secs(10), || {
            let found = node.processes(&line)?;
            window.pid = found.first().map_or(0, |(pid, _)| *pid);
            Ok(window.pid != 0)
        })?;
        Ok(window)
    }

    fn path(&self, file: &Path) -> String {
        format!("/proc/{}/root{}", self.pid, file.display())
    }
}

impl Drop for Window<'_> {
    fn drop(&mut self) {
        // If this fails, it ends with the node at the latest.
        if self.pid == 0 || self.node.signal(self.pid, "KILL").is_err() {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}
