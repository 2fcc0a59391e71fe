//! Runs some stages in a process of their own while this one runs others: clusters mostly wait, builds and emulated
//! processors never do. They get the processor time that the clusters leave.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::listen::limited;
use crate::report::Report;
use crate::workspace::Workspace;

/// Stages that run in another process.
pub struct Beside {
    child: Child,
    log: PathBuf,
}

impl Beside {
    /// Starts the stages of these names; their output goes into a file in the build directory.
    pub fn begin(workspace: &Workspace, stages: &[String]) -> Result<Self> {
        let log = workspace.target("beside.log");
        let file = File::create(&log).with_context(|| format!("make {}", log.display()))?;
        // Not by its own path: cargo may have put another file there since it started.
        let mut itself = Command::new(workspace.target("debug/xtask"));
        itself.arg("test").current_dir(workspace.root());
        for stage in stages {
            itself.args(["--only", stage]);
        }
        let child = yielding(&limited(&itself, LONGEST))
            .stdin(Stdio::null())
            .stdout(file.try_clone().context("share the log")?)
            .stderr(file)
            .spawn()
            .context("start this program again")?;
        println!("        beside the rest: {}", stages.join(", "));
        Ok(Self { child, log })
    }

    /// Waits until they are done, prints what they printed, and adds their results to the report's.
    pub fn end(mut self, report: &mut Report) {
        let name = "stages beside the rest";
        if let Err(error) = self.take(report) {
            report.not_run(name, &format!("{error:#}"));
        }
    }

    fn take(&mut self, report: &mut Report) -> Result<()> {
        let status = self.child.wait().context("wait for them")?;
        let log = fs::read(&self.log).with_context(|| format!("read {}", self.log.display()))?;
        let log = String::from_utf8_lossy(&log);
        print!("{log}");
        let failed = report.take_over(&log)?;
        ensure!(
            status.success() == (failed == 0),
            "{status}, with {failed} failures"
        );
        Ok(())
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The command in a session that yields to all others: with autogroups the kernel shares time out among sessions, and
/// nice(1) counts within one alone (sched(7)).
fn yielding(command: &Command) -> Command {
    let script = r#"echo 19 2>/dev/null >/proc/self/autogroup; exec nice -n 19 "$@""#;
    let mut yielding = Command::new("setsid");
    yielding.args(["sh", "-c", script, "sh"]);
    yielding.arg(command.get_program()).args(command.get_args());
    if let Some(dir) = command.get_current_dir() {
        yielding.current_dir(dir);
    }
    yielding
}

/// Time limit of them all, in minutes.
const LONGEST: u32 = 60;
