//! `slurm-adopt check --as USER`: a trial login tells what its job holds, and leaves nothing behind.

#![forbid(unsafe_code)]

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::{Cluster, Node, Status, Suite};
use serde_json::Value;
use tests::{CLI, Matrix, OURS, Shared, suspended};

type Test = fn(&Cluster) -> Result<()>;

const TESTS: &[(&str, Test)] = &[
    ("a login that its job holds has no failure", held),
    ("a login without a job is denied, and that is right", denied),
    (
        "a login that the stack lets in without a job is a failure",
        let_in,
    ),
    (
        "a login with a job that the stack denies is a failure",
        kept_out,
    ),
    ("a login that is moved out is a failure", moved_out),
    (
        "a login that a silent slurmstepd does not take is a failure",
        silent,
    ),
    (
        "a job whose memory is nearly full survives the trial",
        nearly_full,
    ),
    ("a stack that hangs is given up", hung),
    ("who cannot make a trial login is told", refused),
];

const LIMIT: Duration = Duration::from_secs(30);
/// The state directory's notes of sessions.
const NOTES: &str = "/run/slurm-adopt/sessions";

fn main() {
    let suites = [Suite::Bullseye, Suite::Forky];
    let mut matrix = Matrix::with_lanes(&suites, 1, |suite| Shared::new(suite, start));
    for (name, test) in TESTS {
        matrix.add_on(&suites, name, |_, stage| {
            stage.run(
                |cluster| {
                    let node = cluster.node(1);
                    node.sh("cp /etc/pam.d/sshd /etc/pam.d/sshd.saved")?;
                    let done = test(cluster);
                    node.sh("mv /etc/pam.d/sshd.saved /etc/pam.d/sshd")?;
                    done
                },
                |cluster| cluster.cancel_all(),
            )
        });
    }
    matrix.add_on(&suites, "proctrack/linuxproc holds no login", |suite, _| {
        other_tracking(suite)
    });
    matrix.run();
}

fn builder(suite: Suite) -> Result<lab::ClusterBuilder> {
    Ok(tests::cluster(suite)?
        .copy(tests::dist("slurm-adopt")?, CLI)
        .slurm_conf("SelectTypeParameters=CR_CPU_Memory")
        .node_lines("NodeName=node1 NodeAddr=10.88.0.1 CPUs=2 RealMemory=2000 State=UNKNOWN")
        .cgroup_conf("ConstrainRAMSpace=yes")
        .cgroup_conf("ConstrainCores=yes"))
}

fn start(suite: Suite) -> Result<Cluster> {
    builder(suite)?.start()
}

/// What check says of a user's trial login.
struct Told {
    status: Status,
    text: String,
    /// IDs with severities.
    findings: Vec<String>,
    unseen: String,
}

/// Makes a trial login, and looks that nothing is left of it.
fn check(node: &Node, user: &str) -> Result<Told> {
    const ONLY: &str = "--only=SA900,SA901,SA902,SA903,SA904,SA905,SA910,SA911,SA912,SA913,SA914,SA915,SA920,SA930";
    let before = traces(node)?;
    let text = node.run(&[CLI, "check", "--as", user, ONLY])?;
    let json = node.run(&[CLI, "check", "--as", user, ONLY, "--json"])?;
    let mut after = String::new();
    let waited = lab::poll::until_true("nothing to be left", LIMIT, || {
        after = traces(node)?;
        Ok(after == before)
    });
    waited.with_context(|| format!("{before}\nthen {after}"))?;
    let object: Value = serde_json::from_str(&json.stdout).with_context(|| json.to_string())?;
    let findings = object["findings"].as_array().context("findings")?;
    let name = |it: &Value, key: &str| it[key].as_str().unwrap_or_default().to_owned();
    Ok(Told {
        status: text.status,
        text: text.stdout,
        findings: findings
            .iter()
            .map(|it| format!("{} {}", name(it, "id"), name(it, "severity")))
            .collect(),
        unseen: object["unseen"].to_string(),
    })
}

/// What a login could leave: processes, notes, runtime directories, members of the jobs' cgroups.
fn traces(node: &Node) -> Result<String> {
    let look = format!(
        "ps -eo user=,args= | grep -v -e 'ps -eo' -e 'sh -' -e grep -e sort -e '\\[' | sort
         ls {NOTES} /run/user 2>/dev/null || :
         for it in $(find /sys/fs/cgroup -path '*step_extern*' -name cgroup.procs); do echo $it $(cat $it); done"
    );
    node.sh(&look)
}

fn expect(told: &Told, status: i32, findings: &[&str], texts: &[&str]) -> Result<()> {
    let Told { text, unseen, .. } = told;
    ensure!(
        told.findings == findings,
        "{:?}, expected {findings:?}\n{text}",
        told.findings
    );
    ensure!(
        told.status == Status::Exited(status),
        "{:?}\n{text}",
        told.status
    );
    for part in texts {
        ensure!(text.contains(part), "not told: {part}\n{text}{unseen}");
    }
    Ok(())
}

/// A job of one CPU.
fn submit(cluster: &Cluster, memory: &str) -> Result<u32> {
    let job = cluster.submit("alice", &["-n1", &format!("--mem={memory}")])?;
    cluster.wait_script(job)?;
    Ok(job)
}

fn held(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    let job = submit(cluster, "200")?;
    let job = format!("job {job}, step extern");
    let texts = [job.as_str(), "1 of ", "memory 200 MB"];
    for session in [
        "",
        "session required OURS",
        "session required OURS runtime_dir=create",
    ] {
        let line = session.replace("OURS", OURS);
        node.sh(&format!("echo '{line}' >>/etc/pam.d/sshd"))?;
        if line.contains("runtime_dir") {
            // The directory stays as long as the user has a process here.
            node.run(&[CLI, "check", "--as", "alice", "--only=SA930"])?;
        }
        let told = check(node, "alice")?;
        expect(&told, 0, &[], &texts).with_context(|| line)?;
        ensure!(told.unseen == "[]", "{}", told.unseen);
    }
    cluster.cancel_all()?;
    node.run(&[CLI, "sweep", "root"])?;
    let left = node.sh("ls /run/user /run/slurm-adopt/sessions 2>&1 || :")?;
    ensure!(!left.contains("2001"), "{left}");
    Ok(())
}

fn denied(cluster: &Cluster) -> Result<()> {
    let texts = [
        "PAM_PERM_DENIED",
        "you have no active jobs on this node",
        "not looked at: how a job",
    ];
    // That a job would hold the login is not shown.
    expect(
        &check(cluster.node(1), "alice")?,
        3,
        &["SA902 note"],
        &texts,
    )
}

/// The stack of sshd.
fn use_stack(node: &Node, stack: &str) -> Result<()> {
    node.write("/etc/pam.d/sshd", stack, 0o644)
}

fn let_in(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    let stack = format!(
        "account sufficient pam_localuser.so\naccount required {OURS}\nsession required pam_permit.so\n"
    );
    use_stack(node, &stack)?;
    expect(
        &check(node, "alice")?,
        2,
        &["SA900 failure"],
        &["in no job"],
    )?;
    let exempt = format!(
        "account required {OURS} exempt_users=alice\nsession required {OURS} exempt_users=alice\n"
    );
    use_stack(node, &exempt)?;
    expect(
        &check(node, "alice")?,
        3,
        &["SA904 note"],
        &["exempt_users has the user"],
    )
}

fn kept_out(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    submit(cluster, "200")?;
    node.write("/etc/nologin", "Maintenance until noon.\n", 0o644)?;
    let told = check(node, "alice");
    node.remove("/etc/nologin")?;
    expect(&told?, 2, &["SA901 failure"], &["Maintenance until noon."])?;
    use_stack(
        node,
        &format!("account required {OURS}\nsession required pam_deny.so\n"),
    )?;
    expect(
        &check(node, "alice")?,
        2,
        &["SA901 failure"],
        &["session phase: PAM_"],
    )
}

/// As pam_systemd does, behind our line, in all hierarchies or one.
fn moved_out(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    submit(cluster, "200")?;
    for (pattern, finding) in [("*", "SA903 failure"), ("memory", "SA905 failure")] {
        let script = format!(
            "#!/bin/sh\nfor it in /sys/fs/cgroup/{pattern}/cgroup.procs; do echo $PPID >$it 2>/dev/null || :\ndone\n"
        );
        node.write("/usr/local/sbin/move-out", script, 0o755)?;
        let stack = format!(
            "account required {OURS}\nsession required {OURS}\n\
             session required pam_exec.so type=open_session /usr/local/sbin/move-out\n"
        );
        use_stack(node, &stack)?;
        let told = check(node, "alice")?;
        ensure!(
            told.findings.iter().any(|it| it == finding),
            "{pattern}: {}",
            told.text
        );
        ensure!(told.status == Status::Exited(2), "{pattern}: {}", told.text);
    }
    Ok(())
}

fn silent(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    let job = submit(cluster, "200")?;
    let use_options = |options: &str| {
        let ours = format!("required {OURS} timeout=1 {options}");
        let permit = "account required pam_permit.so";
        use_stack(node, &format!("account {ours}\n{permit}\nsession {ours}\n"))
    };
    let stepd = node.pid_of_stepd(job)?;
    for (options, status, finding) in [
        ("action_no_jobs=ignore", 2, "SA903 failure"),
        ("", 1, "SA901 warning"),
    ] {
        use_options(options)?;
        node.signal(stepd, "STOP")?;
        let told = check(node, "alice");
        node.signal(stepd, "CONT")?;
        expect(&told?, status, &[finding], &["does not answer"]).context(options)?;
    }
    // A suspended job takes nobody in either.
    use_options("action_adopt_failure=allow")?;
    node.sh(&suspended::begin(job))?;
    node.sh(&suspended::frozen(job))?;
    let told = check(node, "alice");
    node.sh(&suspended::resume(job))?;
    expect(&told?, 2, &["SA903 failure"], &["is suspended"])
}

fn nearly_full(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    let hog = "--wrap=exec perl -e 'open(Z, \"</dev/zero\"); sysread(Z, $x, 170 << 20); open(F, \">/tmp/full\"); close F; sleep 100000'";
    node.sh("rm -f /tmp/full")?;
    let job = cluster.submit("alice", &["-n1", "--mem=200", hog])?;
    node.sh("until [ -e /tmp/full ]; do sleep 0.1; done")?;
    let told = check(node, "alice")?;
    expect(
        &told,
        0,
        &[],
        &[
            "memory 200 MB",
            "not looked at: whether the memory limit counts a login",
        ],
    )?;
    let state = node
        .run(&["squeue", "-h", "-j", &job.to_string(), "-o", "%T"])?
        .ok()?;
    ensure!(state.trim() == "RUNNING", "{state}");
    ensure!(
        !node.processes("perl")?.is_empty(),
        "the job's process is gone"
    );
    Ok(())
}

fn hung(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    submit(cluster, "200")?;
    node.write("/usr/local/sbin/hang", "#!/bin/sh\nexec sleep 100\n", 0o755)?;
    let stack = format!(
        "account required {OURS} timeout=1\nsession required {OURS} timeout=1\n\
         session required pam_exec.so type=open_session /usr/local/sbin/hang\n"
    );
    use_stack(node, &stack)?;
    let told = node.run(&[CLI, "check", "--as", "alice", "--only=SA903"])?;
    // Long before it ends by itself.
    lab::poll::until_true("what was killed", LIMIT, || {
        let left = node.processes("sleep 100")?;
        Ok(left.iter().all(|(_, it)| it != "sleep 100"))
    })?;
    ensure!(
        told.stdout.contains("takes more than 4 s; given up") && told.status == Status::Exited(3),
        "{told}"
    );
    Ok(())
}

fn refused(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    for (arguments, text) in [
        (["--as", "nobody-here"], "there is no such user"),
        (["--as", "root"], "root is never taken into a job"),
        (["--root=/", "--as=alice"], "cannot be used with"),
        (["--as=alice", "--only=SA201"], "leave out all checks"),
    ] {
        let told = node.run(&[&[CLI, "check"][..], &arguments].concat())?;
        ensure!(told.status == Status::Exited(3), "{told}");
        ensure!(told.stderr.contains(text), "{told}");
    }
    let told = node.run_as("alice", &[CLI, "check", "--as", "alice"])?;
    ensure!(
        told.status == Status::Exited(3) && told.stderr.contains("only root"),
        "{told}"
    );
    Ok(())
}

fn other_tracking(suite: Suite) -> Result<()> {
    let cluster = builder(suite)?
        .slurm_conf("ProctrackType=proctrack/linuxproc")
        .start()?;
    let node = cluster.node(1);
    submit(&cluster, "200")?;
    use_stack(
        node,
        &format!("account required {OURS}\nsession required {OURS}\n"),
    )?;
    let told = check(node, "alice")?;
    ensure!(
        told.findings.iter().any(|it| it == "SA903 failure"),
        "{}",
        told.text
    );
    cluster.stop()
}
