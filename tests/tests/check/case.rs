//! A row of a table: breaks a node, and compares what check finds and what ssh does with the sound node.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail, ensure};
use lab::{Cluster, Node, Suite};
use serde_json::Value;
use tests::{CLI, job_of_cgroup};

/// The suites of a row that does not depend on the release.
pub const SUITES: &[Suite] = &[Suite::Bullseye, Suite::Forky];

/// Functions for the scripts of rows.
pub const PRELUDE: &str = "
# Saves files before a change; they are put back when the row ends.
keep() { for it; do mkdir -p /run/kept$(dirname $it); cp -a $it /run/kept$it; done; }
# Waits until a command succeeds.
until_true() { for turn in $(seq 300); do \"$@\" && return; sleep 0.1; done; echo \"not true: $*\" >&2; return 1; }
is_gone() { ! kill -0 $1 2>/dev/null; }
listens() { grep -qi \"^ *[0-9]*: [0-9A-F]*:$1 .* 0A \" /proc/net/tcp /proc/net/tcp6; }
stop_slurmd() { pid=$(cat /run/slurmd.pid); kill $pid; until_true is_gone $pid; }
start_slurmd() { slurmd -N node1; until_true listens 1AA2; }
reload_sshd() { kill -HUP $(cat /run/sshd.pid); until_true listens 0016; }
";
const PUT_BACK: &str = "if [ -d /run/kept ]; then cp -a /run/kept/. /; rm -r /run/kept; fi";

/// A way to break a node.
#[derive(Clone, Copy)]
pub struct Case {
    /// The test's name: what is broken.
    pub name: &'static str,
    /// The suites whose nodes are broken.
    pub suites: &'static [Suite],
    /// The users who have a job, before the node is broken.
    pub jobs: &'static [&'static str],
    /// Breaks the node.
    pub breaks: &'static str,
    /// Restores what `keep` does not.
    pub restores: &'static str,
    /// All that check finds beyond what it finds on the sound node: `ID severity file:line`.
    pub found: &'static [&'static str],
    /// What ssh does.
    pub proof: Proof,
}

/// The fields that most rows leave as they are.
pub const CASE: Case = Case {
    name: "",
    suites: SUITES,
    jobs: &[],
    breaks: "",
    restores: "",
    found: &[],
    proof: Proof::None,
};

/// What ssh does on the broken node, unlike on the sound one. The user is one with a job, unless it says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(dead_code, reason = "each is for rows of some part")]
pub enum Proof {
    /// No login shows it.
    None,
    /// A user without a job gets in; before, not.
    GetsIn(&'static str),
    /// A user is kept out, who was in the job before.
    KeptOut(&'static str),
    /// A user gets in but not into the job, as before.
    NotInJob(&'static str),
    /// A user gets into the job as before: what is broken shows elsewhere.
    StillInJob(&'static str),
    /// Root is kept out; before, not.
    RootKeptOut,
}

/// How a login ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Login {
    Out,
    In,
    InJob,
}

/// A login by ssh, by key.
fn login(node: &Node, user: &str) -> Result<(Login, String)> {
    let ended = node.ssh(user, node.name(), &["cat", "/proc/self/cgroup"])?;
    let shown = ended.to_string();
    let login = match ended.success() {
        false => Login::Out,
        true => match job_of_cgroup(node, &ended.stdout)? {
            Some(_) => Login::InJob,
            None => Login::In,
        },
    };
    Ok((login, shown))
}

impl Proof {
    /// The user, and how the login ends on the sound and on the broken node.
    fn expected(self) -> Option<(&'static str, Login, Login)> {
        match self {
            Self::None => None,
            Self::GetsIn(user) => Some((user, Login::Out, Login::In)),
            Self::KeptOut(user) => Some((user, Login::InJob, Login::Out)),
            Self::NotInJob(user) => Some((user, Login::InJob, Login::In)),
            Self::StillInJob(user) => Some((user, Login::InJob, Login::InJob)),
            Self::RootKeptOut => Some(("root", Login::In, Login::Out)),
        }
    }

    fn show(self, node: &Node, is_broken: bool) -> Result<()> {
        let Some((user, sound, broken)) = self.expected() else {
            return Ok(());
        };
        let expected = if is_broken { broken } else { sound };
        let (found, shown) = login(node, user)?;
        ensure!(
            found == expected,
            "broken {is_broken}: {user} is {found:?}, expected {expected:?}: {shown}"
        );
        Ok(())
    }
}

/// What check finds, as rows have it.
pub fn check(node: &Node) -> Result<BTreeSet<String>> {
    let run = node.run(&[CLI, "check", "--json"])?;
    let report: Value =
        serde_json::from_str(&run.stdout).with_context(|| format!("check --json: {run}"))?;
    let findings = report["findings"].as_array().context("findings")?;
    Ok(findings.iter().map(row).collect())
}

/// Whether a finding is what a row expects; `*` at the row's end stands for the rest.
fn is_match(row: &str, finding: &str) -> bool {
    match row.strip_suffix('*') {
        Some(start) => finding.starts_with(start),
        None => finding == row,
    }
}

fn row(finding: &Value) -> String {
    let text = |key: &str| finding[key].as_str().unwrap_or_default();
    let mut row = format!("{} {}", text("id"), text("severity"));
    if finding["file"].is_string() {
        row += &format!(" {}", text("file"));
    }
    if let Some(line) = finding["line"].as_u64() {
        row += &format!(":{line}");
    }
    row
}

/// The lab's own stack with our lines, with a job and without.
pub fn sound(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    for user in [None, Some("alice")] {
        if let Some(user) = user {
            cluster.submit(user, &[])?;
        }
        let found = check(node)?;
        let failure = found.iter().find(|it| it.contains(" failure"));
        ensure!(failure.is_none(), "job of {user:?}: {found:?}");
    }
    Ok(())
}

impl Case {
    /// Compares the broken node with the sound one, and restores it.
    pub fn run(&self, cluster: &Cluster) -> Result<()> {
        let node = cluster.node(1);
        let mut jobs = Vec::new();
        for user in self.jobs {
            jobs.push(cluster.submit(user, &[])?);
        }
        let names = match jobs.first() {
            Some(job) => Names {
                job: *job,
                socket: node.extern_socket(*job),
                stepd: node.pid_of_stepd(*job)?,
            },
            None => Names::default(),
        };
        self.proof.show(node, false)?;
        let before = check(node)?;
        let broken = self.shell(node, self.breaks, &names);
        let after = broken.and_then(|()| {
            let after = check(node)?;
            self.proof.show(node, true)?;
            Ok(after)
        });
        let restored = self.shell(node, self.restores, &names);
        node.sh(PUT_BACK)?;
        let after = after.context(self.breaks)?;
        restored.context(self.restores)?;
        let new: BTreeSet<_> = after.difference(&before).cloned().collect();
        let expected: Vec<_> = self.found.iter().map(|it| names.fill(it)).collect();
        let are_all_expected = new
            .iter()
            .all(|it| expected.iter().any(|row| is_match(row, it)));
        let are_all_found = expected
            .iter()
            .all(|row| new.iter().any(|it| is_match(row, it)));
        ensure!(
            are_all_expected && are_all_found,
            "found {new:#?}, expected {expected:#?}; the sound node has {before:#?}"
        );
        let again = check(node)?;
        let left: Vec<_> = again.difference(&before).collect();
        if !left.is_empty() {
            bail!("still found when restored: {left:?}");
        }
        Ok(())
    }

    fn shell(&self, node: &Node, script: &str, names: &Names) -> Result<()> {
        let Names { job, socket, stepd } = names;
        let names = format!("JOB={job}; STEPD={stepd}; SOCKET={socket}");
        node.sh(&format!("{PRELUDE}\n{names}\n{script}")).map(drop)
    }
}

/// What a script knows of the first job.
#[derive(Default)]
struct Names {
    job: u32,
    socket: String,
    stepd: u32,
}

impl Names {
    fn fill(&self, text: &str) -> String {
        let text = text.replace("{socket}", &self.socket);
        text.replace("{job}", &self.job.to_string())
    }
}
