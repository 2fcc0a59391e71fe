//! A row of a table: breaks a node, and compares what check finds and what ssh does with the sound node.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail, ensure};
use lab::{Cluster, Node, Suite};
use serde_json::Value;
use tests::CLI;

pub use crate::proof::Proof;

/// The suites that a default run has.
pub const SUITES: &[Suite] = &[Suite::Bullseye, Suite::Forky];

/// Functions for the scripts of rows.
pub const PRELUDE: &str = "
# Saves files before a change; they are put back when the row ends.
keep() { for it; do it=$(readlink -f $(dirname $it))/$(basename $it); [ -e /run/kept$it ] || { mkdir -p /run/kept$(dirname $it); cp -a $it /run/kept$it; }; done; }
# Writes a new file, which the row removes.
file() { mkdir -p $(dirname $1); printf '%b\\n' \"$2\" >$1; }
# Replaces the module's account line.
account() { keep /etc/pam.d/sshd; sed -i \"4s|.*|account $*|\" /etc/pam.d/sshd; }
as_user() { user=$1; shift; setpriv --reuid=$user --regid=$user --clear-groups \"$@\"; }
# Takes away the module that the packages of Debian 11 and 12 have in libpam's second directory.
alone() { [ ! -e /lib/security/$OURS ] || { keep /lib/security/$OURS; rm /lib/security/$OURS; }; }
OURS=pam_slurm_adopt.so
DENY='action_adopt_failure=deny action_generic_failure=deny'
SECURITY=/lib/x86_64-linux-gnu/security
# Waits until a command succeeds.
until_true() { for turn in $(seq 300); do \"$@\" && return; sleep 0.1; done; echo \"not true: $*\" >&2; return 1; }
asked() { [ $(grep -c \" $1$\" /proc/net/unix) -gt 1 ]; }
is_gone() { ! kill -0 $1 2>/dev/null; }
listens() { grep -qi \"^ *[0-9]*: [0-9A-F]*:$1 .* 0A \" /proc/net/tcp /proc/net/tcp6; }
stop_slurmd() { pid=$(cat /run/slurmd.pid); kill $pid; until_true is_gone $pid; }
start_slurmd() { slurmd -N node1; until_true listens 1AA2; }
# Expects a slurmd that is started now to end with a message.
refuses() { timeout 9 slurmd -D -N node1 >/run/refusal 2>&1 || :; grep -qi \"$1\" /run/refusal || { cat /run/refusal >&2; false; }; }
reload_sshd() { kill -HUP $(cat /run/sshd.pid); until_true listens 0016; }
stop_sshd() { [ ! -s /run/sshd.pid ] || { pid=$(cat /run/sshd.pid); kill $pid; until_true is_gone $pid; }; }
restart_sshd() { stop_sshd; /usr/sbin/sshd; until_true listens 0016; }
sshd_refuses() { stop_sshd; if /usr/sbin/sshd; then echo 'sshd started' >&2; return 1; fi; }
# Listens at a path, does that with each connection $c and closes it.
listen_with() {
    perl -MSocket -e '$p = shift; socket($l, PF_UNIX, SOCK_STREAM, 0) && bind($l, sockaddr_un($p)) && listen($l, 9)
        or die $!; while (accept($c, $l)) { '\"$1\"'; close $c }' $2 >/dev/null 2>&1 &
    echo $! >/run/listener; until_true test -S $2
}
# A login from this node that the module refuses.
refused() { ! as_user $1 ssh node1 true 2>/run/refusal || { echo \"$1 got in\" >&2; return 1; }; }
# Runs by itself at the end; for daemons that are to read the old file.
put_back() { [ ! -d /run/kept ] || { cp -a /run/kept/. /; rm -r /run/kept; }; }
";

/// A way to break a node.
#[derive(Clone, Copy)]
pub struct Case {
    /// The test's name: what is broken.
    pub name: &'static str,
    /// The suites whose nodes are broken: those of [`SUITES`] in turn, others in long runs.
    pub suites: &'static [Suite],
    /// The users who have a job, before the node is broken.
    pub jobs: &'static [&'static str],
    /// Whether the row leaves its job as it is: the first user's job is then that of the row before.
    pub keeps_job: bool,
    /// Breaks the node.
    pub breaks: &'static str,
    /// Restores what `keep` does not.
    pub restores: &'static str,
    /// All that check finds beyond what it finds on the sound node: `ID severity file:line`.
    pub found: &'static [&'static str],
    /// What happens after check has looked, before ssh: what the broken node does not stand.
    pub then: &'static str,
    /// What ssh does.
    pub proof: Proof,
}

/// The fields that most rows leave as they are.
pub const CASE: Case = Case {
    name: "",
    suites: &Suite::ALL,
    jobs: &[],
    keeps_job: false,
    breaks: "",
    restores: "",
    found: &[],
    then: "",
    proof: Proof::None,
};

/// The fields of a row that has a job of alice's and does nothing to it.
pub const WITH_JOB: Case = Case {
    jobs: &["alice"],
    keeps_job: true,
    ..CASE
};

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

/// Ends jobs that rows before have kept.
pub fn without_jobs(cluster: &Cluster) -> Result<()> {
    let listed = cluster.node(1).run(&["squeue", "-h"])?.ok()?;
    match listed.trim().is_empty() {
        true => Ok(()),
        false => cluster.cancel_all(),
    }
}

impl Case {
    /// Compares the broken node with the sound one, and restores it.
    pub fn run(&self, cluster: &Cluster) -> Result<()> {
        let node = cluster.node(1);
        let jobs = self.jobs(cluster)?;
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
            self.shell(node, self.then, &names)?;
            self.proof.show(node, true)?;
            Ok(after)
        });
        let restored = self.shell(node, self.restores, &names);
        self.shell(node, "put_back", &names)?;
        let after = after.context(self.breaks)?;
        restored.context(self.restores)?;
        let new: BTreeSet<_> = after.difference(&before).cloned().collect();
        let fill = |row: &&str| names.fill(row).replace("{module}", module(cluster.suite()));
        let expected: Vec<_> = self.found.iter().map(fill).collect();
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

    /// The jobs that it needs.
    fn jobs(&self, cluster: &Cluster) -> Result<Vec<u32>> {
        if !self.keeps_job {
            if !self.jobs.is_empty() {
                without_jobs(cluster)?;
            }
            let submit = |user: &&str| {
                let job = cluster.submit(user, &[])?;
                cluster.wait_script(job).map(|()| job)
            };
            return self.jobs.iter().map(submit).collect();
        }
        let [user] = self.jobs else {
            bail!("one user's job can be kept")
        };
        let of_user = ["squeue", "-h", "--states=R", "--format=%A", "-u", user];
        let listed = cluster.node(1).run(&of_user)?.ok()?;
        let job = match listed.lines().next() {
            Some(job) => job.trim().parse().context("a job's number")?,
            None => cluster.submit(user, &[])?,
        };
        cluster.wait_script(job)?;
        Ok(vec![job])
    }

    /// Ends the jobs, unless the next row may need them.
    pub fn finish(&self, cluster: &Cluster) -> Result<()> {
        match self.keeps_job || self.jobs.is_empty() {
            true => Ok(()),
            false => cluster.cancel_all(),
        }
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

/// The module's path on a node as its libpam has it.
fn module(suite: Suite) -> &'static str {
    match suite {
        Suite::Bullseye | Suite::Bookworm => lab::config::MODULE,
        _ => "/usr/lib/x86_64-linux-gnu/security/pam_slurm_adopt.so",
    }
}

impl Names {
    fn fill(&self, text: &str) -> String {
        let text = text.replace("{socket}", &self.socket);
        text.replace("{job}", &self.job.to_string())
    }
}
