//! `slurm-adopt status` beside real logins: which job each is in, and what is outside any.

#![forbid(unsafe_code)]

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::command::Background;
use lab::{Cluster, Node, Status, Suite};
use serde_json::Value;
use tests::{CLI, Matrix, Shared, job_of_cgroup};

/// A limit for what comes in a moment, on a host that is busy.
const LIMIT: Duration = Duration::from_secs(60);
/// The file of options.
const FILE: &str = "/etc/security/slurm_adopt.conf";

type Test = fn(&Cluster) -> Result<()>;

const TESTS: &[(&str, Test)] = &[
    (
        "each login is shown in the job that holds it",
        logins_in_their_jobs,
    ),
    ("the table has what the object has", table),
    ("nothing is left after a job's end", after_the_end),
    ("what is moved out of a job is outside", moved_out),
    ("su in a login is a login of its own", su_in_a_login),
    ("an exempt user outside any job is named so", exempt),
    ("a refused login is told with its reason", refused),
    ("without root only one's own is shown", without_root),
    ("a stopped stepd is told and delays little", stopped_stepd),
    ("a job's time limit is counted down", time_left),
    ("without Slurm there is nothing to show", no_slurm),
];

fn main() {
    let suites = [Suite::Bullseye, Suite::Forky];
    let mut matrix = Matrix::with_lanes(&suites, 1, |suite| {
        Shared::new(suite, |suite| {
            tests::cluster(suite)?
                .copy(tests::dist("slurm-adopt")?, CLI)
                .cgroup_conf("ConstrainCores=yes\nConstrainRAMSpace=yes")
                .start()
        })
    });
    for (name, test) in TESTS {
        matrix.add_on(&suites, name, |_, stage| {
            stage.run(|cluster| test(cluster), |cluster| cluster.cancel_all())
        });
    }
    matrix.run();
}

/// What `slurm-adopt status --json` has.
fn status(node: &Node) -> Result<Value> {
    status_of(node, "root", &[])
}

fn status_of(node: &Node, user: &str, arguments: &[&str]) -> Result<Value> {
    let argv = [&[CLI, "status", "--json"], arguments].concat();
    let text = node.run_as(user, &argv)?.ok()?;
    serde_json::from_str(&text).with_context(|| text.clone())
}

/// The items of a list.
fn items<'a>(of: &'a Value, name: &str) -> &'a [Value] {
    of[name].as_array().map_or(&[], Vec::as_slice)
}

fn job(status: &Value, number: u32) -> Result<&Value> {
    let mut jobs = items(status, "jobs").iter();
    let job = jobs.find(|it| it["job"] == number);
    job.with_context(|| format!("no job {number}: {status}"))
}

/// What a user has outside any job; null if nothing.
fn outside<'a>(status: &'a Value, user: &str) -> &'a Value {
    let mut users = items(status, "outside").iter();
    users.find(|it| it["user"] == user).unwrap_or(&Value::Null)
}

/// Kind and terminal of each login of a job, sorted.
fn logins(of: &Value) -> Vec<String> {
    let shown = |it: &Value| {
        let tty = it["tty"].as_str().map_or("", |_| " with a terminal");
        format!("{}{tty}", it["kind"].as_str().unwrap_or_default())
    };
    let mut logins: Vec<_> = items(of, "logins").iter().map(shown).collect();
    logins.sort();
    logins
}

/// Waits until the job has these logins.
fn wait_for_logins(node: &Node, number: u32, expected: &[&str]) -> Result<Value> {
    let mut seen = Value::Null;
    let what = format!("job {number} to have {expected:?}");
    let waited = lab::poll::until_true(&what, LIMIT, || {
        seen = status(node)?;
        Ok(logins(job(&seen, number)?) == expected)
    });
    waited.with_context(|| seen.to_string())?;
    Ok(seen)
}

/// A login with a terminal that stays: what reads the end of the input is the shell, which waits for its child.
fn terminal(node: &Node, user: &str) -> Result<Background> {
    let argv = ["ssh", "-tt", "-o", "BatchMode=yes", node.name()];
    let ssh = node.command(&argv).user(user).stdin("sleep 1000\n");
    ssh.spawn()
}

fn command(node: &Node, user: &str) -> Result<Background> {
    let argv = ["sleep 1000; true"];
    node.ssh_command(user, node.name(), &argv).spawn()
}

/// An idle connection: the client waits for a local command, which outlives it a little.
fn sftp(node: &Node, user: &str) -> Result<Background> {
    let argv = ["sftp", "-o", "BatchMode=yes", "-b", "-", node.name()];
    let sftp = node.command(&argv).user(user).stdin("!exec sleep 200\n");
    sftp.spawn()
}

fn forwarding(node: &Node, user: &str) -> Result<Background> {
    let forward = "9999:localhost:22";
    let to = node.name();
    let argv = ["ssh", "-o", "BatchMode=yes", "-N", "-L", forward, to];
    node.command(&argv).user(user).spawn()
}

fn logins_in_their_jobs(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    let alices = cluster.submit("alice", &[])?;
    let bobs = cluster.submit("bob", &[])?;
    let _of_alice = [
        terminal(node, "alice")?,
        sftp(node, "alice")?,
        forwarding(node, "alice")?,
    ];
    let _of_bob = command(node, "bob")?;
    wait_for_logins(
        node,
        alices,
        &["forwarding", "sftp", "shell with a terminal"],
    )?;
    let seen = wait_for_logins(node, bobs, &["command"])?;
    for (number, user) in [(alices, "alice"), (bobs, "bob")] {
        let job = job(&seen, number)?;
        ensure!(job["user"] == user && job["state"] == "running", "{job}");
        ensure!(job["trouble"].is_null() && job["extern_step"] == true);
        ensure!(job["cpus"].as_u64().is_some_and(|it| it > 0), "{job}");
        for login in items(job, "logins") {
            ensure!(login["user"] == user && login["step"] == "extern");
            let from = login["from"].as_str().context("an address")?;
            ensure!(
                [node.ipv4(), node.ipv6()].contains(&from.to_owned()),
                "{login}"
            );
            // What the kernel says.
            let cgroup = node.sh(&format!("cat /proc/{}/cgroup", login["pid"]))?;
            ensure!(
                job_of_cgroup(node, &cgroup)? == Some(number),
                "{login}: {cgroup}"
            );
        }
    }
    // The clients run outside any job here, and are no logins.
    let alice = outside(&seen, "alice");
    ensure!(logins(alice).is_empty(), "{alice}");
    let programs = items(alice, "programs").iter();
    let names: Vec<_> = programs.filter_map(|it| it["name"].as_str()).collect();
    ensure!(names.contains(&"ssh") && names.contains(&"sftp"), "{alice}");
    Ok(())
}

fn table(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    let number = cluster.submit("alice", &[])?;
    let _login = terminal(node, "alice")?;
    let seen = wait_for_logins(node, number, &["shell with a terminal"])?;
    let table = node.run(&[CLI, "status"])?.ok()?;
    let login = &items(job(&seen, number)?, "logins")[0];
    let text = |name: &str| login[name].as_str().unwrap_or_default().to_owned();
    let shown = format!("1  {} {} ", text("tty"), text("from"));
    let line = table.lines().find(|it| it.contains(&shown));
    let line = line.with_context(|| format!("no line has \"{shown}\":\n{table}"))?;
    ensure!(line.starts_with(&format!("{number} ")), "{line}");
    ensure!(table.starts_with("JOB   USER   LEFT") && table.contains("outside any job: alice "));
    ensure!(!table.contains('\x1b'), "colours without a terminal");
    ensure!(table.lines().all(|it| it.len() <= 80), "{table}");
    // Again and again until it is interrupted.
    let mut watch = node.command(&[CLI, "status", "--watch"]).spawn()?;
    lab::poll::until_true("the second table", LIMIT, || {
        Ok(watch.stdout()?.matches("\nJOB ").count() >= 2)
    })?;
    ensure!(watch.is_running()?, "{}", watch.stderr()?);
    let head = node.sh(&format!("{CLI} status --watch | head -n 1"))?;
    ensure!(head.starts_with(node.name()), "{head}");
    Ok(())
}

fn after_the_end(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    let number = cluster.submit("alice", &[])?;
    let _login = command(node, "alice")?;
    wait_for_logins(node, number, &["command"])?;
    cluster.cancel(number)?;
    let what = "nothing of the job to be left";
    lab::poll::until_true(what, LIMIT, || {
        let seen = status(node)?;
        Ok(items(&seen, "jobs").is_empty() && logins(outside(&seen, "alice")).is_empty())
    })
}

fn moved_out(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    let number = cluster.submit("alice", &[])?;
    let _login = terminal(node, "alice")?;
    let seen = wait_for_logins(node, number, &["shell with a terminal"])?;
    let pid = &items(job(&seen, number)?, "logins")[0]["pid"];
    node.sh(&format!(
        "for it in $(find /sys/fs/cgroup -maxdepth 2 -name cgroup.procs); do\n\
         echo {pid} >$it 2>/dev/null || :\ndone"
    ))?;
    let seen = status(node)?;
    ensure!(logins(job(&seen, number)?).is_empty(), "{seen}");
    let alice = outside(&seen, "alice");
    ensure!(logins(alice) == ["shell with a terminal"], "{seen}");
    ensure!(items(alice, "logins")[0]["pid"] == *pid && alice["exempt"].is_null());
    let table = node.run(&[CLI, "status"])?.ok()?;
    ensure!(table.contains("outside any job: alice pts/"), "{table}");
    Ok(())
}

/// By su's own stack, which does not call the module: the new shell stays in the job.
fn su_in_a_login(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    let number = cluster.submit("alice", &[])?;
    // Once su asks: it drops what was typed before.
    let typed = "(echo su - bob; until grep -q Password: /tmp/su; do sleep 0.1; done; \
                 echo bob-secret; exec sleep 200)";
    let ssh = format!("ssh -tt -o BatchMode=yes {} >/tmp/su", node.name());
    let script = format!("rm -f /tmp/su; {typed} | {ssh}");
    let _login = node.command(&["sh", "-c", &script]).user("alice").spawn()?;
    let expected = ["shell with a terminal", "su with a terminal"];
    let seen = wait_for_logins(node, number, &expected)?;
    let mut all = items(job(&seen, number)?, "logins").iter();
    let su = all.find(|it| it["kind"] == "su").context("su")?;
    ensure!(su["user"] == "bob" && su["from"].is_null(), "{su}");
    let table = node.run(&[CLI, "status"])?.ok()?;
    ensure!(table.contains("bob: su pts/"), "{table}");
    Ok(())
}

fn exempt(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    node.write(FILE, "exempt_users = carol\n", 0o644)?;
    let done = (|| {
        let _login = terminal(node, "carol")?;
        let is_in = || {
            let seen = status(node)?;
            Ok(logins(outside(&seen, "carol")) == ["shell with a terminal"])
        };
        lab::poll::until_true("carol's login", LIMIT, is_in)?;
        let seen = status(node)?;
        let carol = outside(&seen, "carol");
        ensure!(carol["exempt"] == "exempt_users", "{carol}");
        let table = node.run(&[CLI, "status"])?.ok()?;
        ensure!(table.contains("(exempt: exempt_users)"), "{table}");
        Ok(())
    })();
    node.remove(FILE)?;
    done
}

fn refused(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    let before = items(&status(node)?, "refused").len();
    ensure!(!node.ssh("bob", node.name(), &["true"])?.success());
    let what = "the refused login";
    let is_told = || Ok(items(&status(node)?, "refused").len() > before);
    lab::poll::until_true(what, LIMIT, is_told)?;
    let seen = status(node)?;
    let newest = &seen["refused"][0];
    ensure!(
        newest["user"] == "bob" && newest["kind"] == "no-job",
        "{newest}"
    );
    let reason = newest["reason"].as_str().unwrap_or_default();
    ensure!(
        reason.starts_with("no job on this node (0 jobs"),
        "{newest}"
    );
    let table = node.run(&[CLI, "status"])?.ok()?;
    ensure!(table.contains(" no job (bob"), "{table}");
    Ok(())
}

fn without_root(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    let alices = cluster.submit("alice", &[])?;
    let bobs = cluster.submit("bob", &[])?;
    let _of_alice = terminal(node, "alice")?;
    let _of_bob = command(node, "bob")?;
    wait_for_logins(node, alices, &["shell with a terminal"])?;
    wait_for_logins(node, bobs, &["command"])?;
    let seen = status_of(node, "alice", &[])?;
    ensure!(seen["all_users"] == false && seen["refused"].is_null());
    let jobs: Vec<_> = items(&seen, "jobs").iter().map(|it| &it["job"]).collect();
    ensure!(jobs == [alices], "{seen}");
    let alice = job(&seen, alices)?;
    ensure!(logins(alice) == ["shell with a terminal"], "{seen}");
    // By what sshd has told the session: the socket is root's.
    ensure!(alice["logins"][0]["from"].is_string(), "{seen}");
    ensure!(outside(&seen, "bob").is_null(), "{seen}");
    let table = node.run_as("alice", &[CLI, "status"])?.ok()?;
    ensure!(table.ends_with("other users are not shown\n"), "{table}");
    let root = status_of(node, "root", &["--mine"])?;
    ensure!(items(&root, "jobs").is_empty() && root["all_users"] == false);
    Ok(())
}

fn stopped_stepd(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    let bobs = cluster.submit("bob", &[])?;
    let alices = cluster.submit("alice", &[])?;
    let _login = command(node, "bob")?;
    wait_for_logins(node, bobs, &["command"])?;
    cluster.wait_script(bobs)?;
    let stepd = node.pid_of_stepd(bobs)?;
    node.signal(stepd, "STOP")?;
    let begun = std::time::Instant::now();
    let seen = status(node);
    let took = begun.elapsed();
    node.signal(stepd, "CONT")?;
    let seen = seen?;
    // It would have all of the nine seconds that status has.
    ensure!(took < Duration::from_secs(8), "took {took:?}");
    let bob = job(&seen, bobs)?;
    ensure!(
        // The batch step tells the owner.
        bob["trouble"] == "does not answer" && bob["user"] == "bob",
        "{bob}"
    );
    // Its processes are there all the same.
    ensure!(logins(bob) == ["command"], "{bob}");
    ensure!(job(&seen, alices)?["user"] == "alice", "{seen}");
    Ok(())
}

fn time_left(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    let limited = cluster.submit("alice", &["-t", "130"])?;
    let unlimited = cluster.submit("bob", &[])?;
    // Their environment has it.
    cluster.wait_script(limited)?;
    cluster.wait_script(unlimited)?;
    let table = || node.run(&[CLI, "status"])?.ok();
    let is_left = |table: &str, number: u32, left: &[&str]| {
        let mut lines = table.lines();
        let line = lines.find(|it| it.starts_with(&format!("{number} ")));
        line.and_then(|it| it.split_whitespace().nth(2))
            .is_some_and(|it| left.contains(&it))
    };
    let is_old = !node.sh("slurmd -V")?.contains(" 26.");
    if is_old {
        let table = table()?;
        ensure!(
            is_left(&table, limited, &["-"]),
            "Slurm before 23.02 does not tell: {table}"
        );
        return Ok(());
    }
    let table = table()?;
    // The first within the second in which the job has begun.
    ensure!(
        is_left(&table, limited, &["2:10", "2:09", "2:08"]),
        "{table}"
    );
    ensure!(is_left(&table, unlimited, &["unlim"]), "{table}");
    ensure!(job(&status(node)?, limited)?["end"].is_string());
    Ok(())
}

fn no_slurm(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    let place = "/var/spool/slurmd";
    node.sh(&format!("mv {place} {place}.away"))?;
    let seen = node.run(&[CLI, "status"]);
    node.sh(&format!("mv {place}.away {place}"))?;
    let seen = seen?;
    ensure!(seen.status == Status::Exited(3), "{seen}");
    ensure!(
        seen.stdout.is_empty() && seen.stderr.contains("no slurmd has run here"),
        "{seen}"
    );
    Ok(())
}
