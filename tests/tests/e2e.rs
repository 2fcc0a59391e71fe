//! Real ssh into a real node with our module in sshd's stack, on each of the four OpenSSH versions.

#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use lab::{Cluster, Node, Status, Suite};
use tests::{CLI, Matrix, Shared, job_of_cgroup};

const NO_JOBS: &str = "Access denied by pam_slurm_adopt: you have no active jobs on this node";
const CGROUP: &[&str] = &["cat", "/proc/self/cgroup"];

type Test = fn(&Cluster) -> Result<()>;

/// Each starts without jobs and leaves none behind.
const TESTS: &[(&str, Test)] = &[
    ("without a job nobody gets in but root", without_a_job),
    ("the owner of a job gets into it, nobody else", into_the_job),
    ("root gets in whatever is broken", root_always),
    (
        "a login has the environment of SchedMD's module",
        environment,
    ),
    ("scp and sftp", copies),
    ("a terminal", terminal),
    ("twenty logins at once", twenty_at_once),
    ("the session ends with its job", ends_with_the_job),
    ("a job that ends during the login", ends_during_login),
    ("a login leaves one line in the log", one_log_line),
    ("bad options are logged and change nothing", bad_options),
    ("another's stopped stepd delays nobody", stopped_stepd),
    ("a stepd that was met before is not asked again", met_before),
    ("explain says what a login meets", explain),
    ("support writes what helps to find a fault", support),
];

/// What Slurm's cgroups decide: on each release, and in a machine with cgroup v2.
const BY_CGROUP: [&str; 4] = [
    "the owner of a job gets into it, nobody else",
    "the session ends with its job",
    "a job that ends during the login",
    "explain says what a login meets",
];

/// Its moments differ by less than a login takes in a machine, where the session that ends with its job shows the same.
const TOO_FAST: &str = "a job that ends during the login";

fn without_a_job(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    for user in ["alice", "bob"] {
        let login = node.ssh(user, "node1", CGROUP)?;
        ensure!(login.status == Status::Exited(255), "{login}");
        ensure!(login.stderr.contains(NO_JOBS), "{login}");
        ensure!(login.stdout.is_empty(), "{login}");
    }
    Ok(())
}

fn into_the_job(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    let job = cluster.submit("alice", &[])?;
    let login = node.ssh("alice", "node1", CGROUP)?.ok()?;
    ensure!(
        job_of_cgroup(node, &login)? == Some(job),
        "not in job {job}: {login}"
    );
    let login = node.ssh("bob", "node1", CGROUP)?;
    ensure!(login.stderr.contains(NO_JOBS), "{login}");
    cluster.cancel(job)?;
    let login = node.ssh("alice", "node1", CGROUP)?;
    ensure!(login.stderr.contains(NO_JOBS), "after the job: {login}");
    Ok(())
}

fn root_always(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    // Root's own key, made for this test alone.
    node.sh("mkdir -p -m 700 /root/.ssh; rm -f /root/.ssh/id; \
         ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id; \
         cp /root/.ssh/id.pub /root/.ssh/authorized_keys")?;
    let login = || {
        node.run(&[
            "ssh",
            "-i",
            "/root/.ssh/id",
            "-o",
            "BatchMode=yes",
            "root@node1",
            "id",
            "-u",
        ])
    };
    ensure!(login()?.ok()?.trim() == "0");
    node.sh("mv /etc/slurm/slurm.conf /etc/slurm/away")?;
    let broken = login();
    node.sh("mv /etc/slurm/away /etc/slurm/slurm.conf")?;
    ensure!(broken?.ok()?.trim() == "0");
    Ok(())
}

fn environment(cluster: &Cluster) -> Result<()> {
    let job = cluster.submit("alice", &[])?;
    let login = cluster.node(1).ssh("alice", "node1", &["env"])?.ok()?;
    let slurm: Vec<_> = login
        .lines()
        .filter(|line| line.starts_with("SLURM"))
        .collect();
    ensure!(slurm == [format!("SLURM_JOB_ID={job}")], "{slurm:?}");
    cluster.cancel(job)
}

fn copies(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    let scp = |user: &str| {
        let paths = ["/etc/hostname", "node1:/tmp/copied"];
        node.run_as(
            user,
            &[&["scp", "-q", "-o", "BatchMode=yes"], &paths[..]].concat(),
        )
    };
    let sftp = |user: &str| {
        let argv = ["sftp", "-q", "-o", "BatchMode=yes", "-b", "-", "node1"];
        node.command(&argv)
            .user(user)
            .stdin("get /etc/hostname /tmp/got\n")
            .output()
    };
    let denied = [scp("alice")?, sftp("alice")?];
    for denied in denied {
        ensure!(!denied.success(), "without a job: {denied}");
    }
    let job = cluster.submit("alice", &[])?;
    scp("alice")?.ok()?;
    sftp("alice")?.ok()?;
    for path in ["/tmp/copied", "/tmp/got"] {
        ensure!(
            node.read(path)? == node.read("/etc/hostname")?,
            "{path} differs"
        );
        node.remove(path)?;
    }
    cluster.cancel(job)
}

fn terminal(cluster: &Cluster) -> Result<()> {
    let job = cluster.submit("alice", &[])?;
    let argv = ["ssh", "-tt", "-o", "BatchMode=yes", "node1"];
    let typed = "tty; cat /proc/self/cgroup; exit 7\n";
    let login = cluster
        .node(1)
        .command(&argv)
        .user("alice")
        .stdin(typed)
        .output()?;
    ensure!(login.status == Status::Exited(7), "{login}");
    ensure!(login.stdout.contains("/dev/pts/"), "{login}");
    let cgroup: Vec<_> = login
        .stdout
        .lines()
        .filter(|line| line.contains(":/"))
        .collect();
    ensure!(
        job_of_cgroup(cluster.node(1), &cgroup.join("\n"))? == Some(job),
        "{login}"
    );
    cluster.cancel(job)
}

fn twenty_at_once(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    let jobs = [cluster.submit("alice", &[])?, cluster.submit("bob", &[])?];
    let users = ["alice", "bob", "carol"];
    let mut logins = Vec::new();
    for turn in 0..20 {
        let user = users[turn % users.len()];
        logins.push((user, node.ssh_command(user, "node1", CGROUP).spawn()?));
    }
    for (user, mut login) in logins {
        let status = login
            .wait(Duration::from_secs(60))?
            .context("a login hangs")?;
        let (stdout, stderr) = (login.stdout()?, login.stderr()?);
        match users
            .iter()
            .position(|name| *name == user)
            .and_then(|at| jobs.get(at))
        {
            Some(job) => ensure!(
                job_of_cgroup(node, &stdout)? == Some(*job),
                "{user}: {stdout} {stderr}"
            ),
            None => ensure!(
                status == Status::Exited(255) && stderr.contains(NO_JOBS),
                "{stderr}"
            ),
        }
    }
    cluster.cancel_all()
}

fn ends_with_the_job(cluster: &Cluster) -> Result<()> {
    let job = cluster.submit("alice", &[])?;
    let argv = ["echo in; sleep 1000"];
    let mut login = cluster
        .node(1)
        .ssh_command("alice", "node1", &argv)
        .spawn()?;
    wait_for("the login", || Ok(login.stdout()?.contains("in")))?;
    cluster.cancel(job)?;
    let end = login.wait(Duration::from_secs(30))?;
    ensure!(
        end.is_some_and(|end| end != Status::Exited(0)),
        "the session lives on: {end:?}"
    );
    Ok(())
}

/// Jobs end while logins come in: whatever the moment, a login is kept out or ends with its job.
fn ends_during_login(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    for turn in 0..6u64 {
        let job = cluster.submit("alice", &[])?;
        let mut login = node
            .ssh_command("alice", "node1", &["sleep 1000"])
            .spawn()?;
        // From before the connection is there until after the session has begun.
        std::thread::sleep(Duration::from_millis(turn * 60));
        cluster.cancel(job)?;
        let Some(end) = login.wait(Duration::from_secs(30))? else {
            bail!("turn {turn}: the login outlives its job")
        };
        ensure!(end != Status::Exited(0), "turn {turn}: {end:?}");
    }
    wait_for("what was killed to be gone", || {
        Ok(node.processes("sleep 1000")?.is_empty())
    })
}

fn one_log_line(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    let job = cluster.submit("alice", &[])?;
    let mark = node.syslog_mark()?;
    node.ssh("alice", "node1", &["true"])?.ok()?;
    ensure!(!node.ssh("bob", "node1", &["true"])?.success());
    let ours = || -> Result<Vec<String>> {
        let log = node.syslog_since(mark)?;
        Ok(log
            .lines()
            .filter(|it| it.contains("decision="))
            .map(str::to_owned)
            .collect())
    };
    wait_for("two lines in the log", || Ok(ours()?.len() >= 2))?;
    let lines = ours()?;
    let [alice, bob] = &lines[..] else {
        bail!("not one line a login: {lines:?}")
    };
    for (line, parts) in [
        (
            alice,
            format!("user=alice uid=2001 decision=adopted job={job} ms="),
        ),
        (
            bob,
            "user=bob uid=2002 decision=denied job=- ms=".to_owned(),
        ),
        (alice, "the user's only job here".to_owned()),
        (bob, "no job on this node (1 job of other users".to_owned()),
        (alice, "pam_slurm_adopt(sshd:account)".to_owned()),
        // LOG_AUTHPRIV | LOG_INFO, syslog(3).
        (alice, "<86>".to_owned()),
    ] {
        ensure!(line.contains(&parts), "{line} lacks {parts}");
    }
    cluster.cancel(job)
}

fn bad_options(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    let call = tests::Call::new(
        "alice",
        "bogus=1 action_no_jobs=allow timeout=0 log_level=loud",
    );
    let mark = node.syslog_mark()?;
    let outcome = call.make(node, tests::Module::Ours)?;
    ensure!(outcome.end == tests::End::Code(6), "{outcome}");
    let log = node.syslog_since(mark)?;
    for part in [
        "ignoring unknown option \"bogus=1\"",
        "action_no_jobs: invalid value \"allow\" (expected deny or ignore); keeping deny",
        "timeout: invalid value \"0\"",
        "log_level: invalid value \"loud\"",
    ] {
        ensure!(
            log.matches(part).count() == 1,
            "{part} is not there once:\n{log}"
        );
    }
    let mark = node.syslog_mark()?;
    tests::Call::new("alice", "log_level=quiet bogus=1").make(node, tests::Module::Ours)?;
    ensure!(
        !node.syslog_since(mark)?.contains("pam_slurm_adopt"),
        "quiet is not"
    );
    Ok(())
}

fn stopped_stepd(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    let bobs = cluster.submit("bob", &[])?;
    let alices = cluster.submit("alice", &[])?;
    let stepd = node.pid_of_stepd(bobs)?;
    node.signal(stepd, "STOP")?;
    let mark = node.syslog_mark()?;
    let alice = node.ssh("alice", "node1", CGROUP);
    let log = node.syslog_since(mark);
    let bob = node.ssh("bob", "node1", CGROUP);
    let many = more_logins_than_its_backlog(node, alices);
    node.signal(stepd, "CONT")?;
    ensure!(job_of_cgroup(node, &alice?.ok()?)? == Some(alices));
    // Not a measurement: SchedMD's module hangs here for ever (compliance.rs shows it), ours would
    // wait for its deadline of 5 s if it did not know better.
    let (log, most) = (log?, Duration::from_secs(4));
    ensure!(
        tests::took(&log)? < most,
        "alice waited for bob's stepd: {log}"
    );
    many?;
    let bob = bob?;
    let reason = format!("{NO_JOBS} (slurmstepd of job {bobs} does not answer)");
    ensure!(bob.stderr.contains(&reason), "{bob}");
    ensure!(job_of_cgroup(node, &node.ssh("bob", "node1", CGROUP)?.ok()?)? == Some(bobs));
    cluster.cancel_all()
}

/// Each login leaves a connection in the stopped stepd's backlog of 32; then connecting blocks.
fn more_logins_than_its_backlog(node: &Node, job: u32) -> Result<()> {
    for (count, options) in [(38, ""), (3, "action_unknown=deny timeout=3")] {
        for turn in 1..=count {
            let call = tests::Call::new("alice", options);
            let outcome = call.make(node, tests::Module::Ours)?;
            ensure!(
                outcome.job(node)? == Some(job),
                "{options} login {turn}: {outcome}"
            );
        }
    }
    Ok(())
}

/// What stepds have said is kept in a file of root's; whoever can't use it asks.
fn met_before(cluster: &Cluster) -> Result<()> {
    const FILE: &str = "/run/slurm-adopt/owners";
    let node = cluster.node(1);
    node.remove("/run/slurm-adopt")?;
    let bobs = cluster.submit("bob", &[])?;
    let alices = cluster.submit("alice", &[])?;
    let reason = format!("slurmstepd of job {bobs} does not answer");
    let carol = || node.ssh("carol", "node1", CGROUP);
    // A step that is still starting is not kept.
    lab::poll::until_true("both stepds to be kept", Duration::from_secs(20), || {
        ensure!(carol()?.stderr.contains(NO_JOBS));
        Ok(node.sh(&format!("stat -c %s {FILE}"))? == "128\n")
    })?;
    let kept = node.sh(&format!("stat -c '%a %U %s' /run/slurm-adopt {FILE}"))?;
    ensure!(
        kept.starts_with("700 root ") && kept.ends_with("\n600 root 128\n"),
        "{kept}"
    );

    let stepd = node.pid_of_stepd(bobs)?;
    node.signal(stepd, "STOP")?;
    let met = carol();
    // With action_unknown=deny all silent ones are waited for.
    let strict = tests::Call::new("alice", "action_unknown=deny timeout=15");
    let strict = strict.make(node, tests::Module::Ours);
    // Spoilt, it is as if it were not there.
    node.sh(&format!(
        "printf x >{FILE}.new; cat {FILE} >>{FILE}.new; cat {FILE}.new >{FILE}"
    ))?;
    let spoilt = carol();
    node.signal(stepd, "CONT")?;
    ensure!(
        !met?.stderr.contains(&reason),
        "bob's stepd was asked again"
    );
    let strict = strict?;
    ensure!(strict.job(node)? == Some(alices), "{strict}");
    ensure!(
        strict.micros < 10_000_000,
        "waited for a stepd that was met: {strict:?}"
    );
    ensure!(
        spoilt?.stderr.contains(&reason),
        "a spoilt file was believed"
    );

    ensure!(carol()?.stderr.contains(NO_JOBS));
    let mended = node.sh(&format!("stat -c %s {FILE}"))?;
    ensure!(mended == "128\n", "a spoilt file stays so: {mended}");

    // Where a file may not grow the kernel would end the process.
    node.remove("/run/slurm-adopt")?;
    let mut limited = tests::Call::new("alice", "");
    limited.wrapper = Some("(ulimit -f 0; exec \"$@\") | cat".into());
    let limited = limited.make(node, tests::Module::Ours)?;
    ensure!(limited.job(node)? == Some(alices), "{limited}");
    ensure!(node.list("/run/slurm-adopt")?.is_empty());

    // Jobs that come and go: never an owner kept out, never anybody else let in.
    cluster.cancel(bobs)?;
    let bobs = cluster.submit("bob", &[])?;
    for (user, job) in [("alice", alices), ("bob", bobs), ("alice", alices)] {
        let login = node.ssh(user, "node1", CGROUP)?.ok()?;
        ensure!(job_of_cgroup(node, &login)? == Some(job), "{user}: {login}");
    }
    ensure!(carol()?.stderr.contains(NO_JOBS));
    // Not until the node is idle: with 26.05 that takes a minute after a job that was so short.
    cluster.cancel(alices)?;
    cluster.cancel(bobs)
}

fn explain(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    let explain = |argv: &[&str]| {
        let argv: Vec<_> = [&[CLI, "explain"], argv].concat();
        node.run(&argv)
    };
    let nobody = explain(&["alice"])?;
    ensure!(
        nobody.status == Status::Exited(2) && nobody.stdout.contains(NO_JOBS),
        "{nobody}"
    );
    let job = cluster.submit("alice", &[])?;
    let before = node.read("/proc/1/cgroup")?;
    let alice = explain(&["alice"])?;
    ensure!(alice.status == Status::Exited(0), "{alice}");
    for part in [
        // The options are those of the line.
        "/etc/pam.d/sshd:4: account required pam_slurm_adopt.so action_adopt_failure=deny",
        "/etc/slurm/slurm.conf: node name node1",
        &format!("would be adopted into job {job}: the user's only job here"),
        "if its slurmstepd refuses: denied (PAM_PERM_DENIED)",
    ] {
        ensure!(alice.stdout.contains(part), "{alice}");
    }
    ensure!(alice.stderr.is_empty(), "{alice}");
    let json: serde_json::Value = serde_json::from_str(&explain(&["alice", "--json"])?.stdout)?;
    ensure!(
        json["job"] == job && json["admission"] == "adopted",
        "{json}"
    );
    let refused = json["steps"]
        .as_array()
        .and_then(|it| it.iter().find(|it| it["step"] == "if refused"));
    let refused = refused.with_context(|| format!("{json}"))?;
    ensure!(
        refused["option"] == "action_adopt_failure" && refused["place"] == "/etc/pam.d/sshd:4",
        "{json}"
    );
    let root = explain(&["root"])?;
    ensure!(root.status == Status::Exited(1), "{root}");
    let others = explain(&["alice", "--options", "exempt_users=bob service=su"])?;
    ensure!(others.status == Status::Exited(1), "{others}");
    let su = explain(&["alice", "--service", "su"])?;
    let none = "no line of the PAM stack of su calls pam_slurm_adopt.so";
    ensure!(
        su.status == Status::Exited(3) && su.stderr.contains(none),
        "{su}"
    );
    ensure!(
        node.read("/proc/1/cgroup")? == before,
        "explain moved something"
    );
    let newer = cluster.submit("alice", &[])?;
    let alice = explain(&["alice"])?;
    for part in [
        format!("would be adopted into job {newer}: the newest of 2 jobs here"),
        format!(
            "if that job is ending: job {job}, and so on; if no slurmstepd accepts the login: denied (PAM_PERM_DENIED)"
        ),
    ] {
        ensure!(alice.stdout.contains(&part), "{alice}");
    }
    cluster.cancel(newer)?;
    cluster.cancel(job)
}

/// All of support's sections, without secrets and, if asked, without names.
fn support(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    let job = cluster.submit("alice", &[])?;
    let options = "/etc/security/slurm_adopt.conf";
    node.write(
        options,
        "message_url = x?token=hunter2\n# secret=hunter2\n",
        0o644,
    )?;
    let plain = node.run(&[CLI, "support", "--user", "alice"])?;
    let out = ["--hash-names", "--out", "/root/support"];
    let hashed = node.run(&[&[CLI, "support", "--user", "alice"][..], &out].concat())?;
    node.sh(&format!("rm {options}"))?;
    ensure!(
        plain.status == Status::Exited(0) && hashed.stdout.is_empty(),
        "{plain} {hashed}"
    );
    for part in [
        "==== versions\n",
        "==== check\n",
        "==== status\n",
        "==== explain alice\n",
        "==== PAM service sshd\n/etc/pam.d/sshd:1: ",
        "==== /etc/slurm/slurm.conf\n",
        "ProctrackType=proctrack/cgroup",
        "==== log\n",
        &format!("would be adopted into job {job}"),
    ] {
        ensure!(plain.stdout.contains(part), "no {part}: {plain}");
    }
    ensure!(!plain.stdout.contains("hunter2"), "a secret: {plain}");
    let hashed = node.read_text("/root/support")?;
    let mode = node.sh("stat -c %a /root/support; rm /root/support")?;
    ensure!(mode.trim() == "600", "mode {mode}");
    for name in ["alice", node.name()] {
        ensure!(
            plain.stdout.contains(name) && !hashed.contains(name),
            "{name}: {hashed}"
        );
    }
    cluster.cancel(job)
}

fn wait_for(what: &str, mut done: impl FnMut() -> Result<bool>) -> Result<()> {
    let end = Instant::now() + Duration::from_secs(60);
    while !done()? {
        ensure!(Instant::now() < end, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn start(suite: Suite) -> Result<Cluster> {
    tests::cluster(suite)?
        .copy(tests::dist("slurm-adopt")?, CLI)
        .start()
}

fn run(stage: &mut Shared<Cluster>, test: Test) -> Result<()> {
    let cluster = stage.up()?;
    test(cluster).map_err(|error| match cluster.cancel_all() {
        Ok(()) => error,
        Err(second) => error.context(format!("and clean up after it: {second:#}")),
    })
}

fn main() {
    let mut matrix = Matrix::new(|suite| Shared::new(suite, start));
    for name in BY_CGROUP {
        assert!(
            TESTS.iter().any(|(it, _)| *it == name),
            "no test \"{name}\""
        );
    }
    let in_machine = std::env::var_os("SLURM_ADOPT_MACHINE").is_some();
    for (name, test) in TESTS {
        let test = |_, stage: &mut Shared<Cluster>| run(stage, *test);
        let is_chosen = BY_CGROUP.contains(name) && (!in_machine || *name != TOO_FAST);
        match (in_machine, is_chosen) {
            // The newest Slurm, whose cgroup/v2 names a job's directory by chance.
            (true, true) => matrix.add_on(&[Suite::Forky], name, test),
            (true, false) => matrix.add_long(&[Suite::Forky], name, test),
            (false, true) => matrix.add(name, test),
            (false, false) => matrix.add_in_turn(&Suite::ALL, name, test),
        }
    }
    matrix.run();
}
