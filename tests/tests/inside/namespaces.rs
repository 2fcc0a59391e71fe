//! `join_container`: a login is in its job's namespaces, wholly, and brings nothing along.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::{Cluster, Status};
use tests::session::Lines;
use tests::{Module, job_of_cgroup};

use crate::place::{
    AS_IT_IS, CONTAINERS, METHODS, Place, STRICT, Test, bare, inside, ssh, submit, use_module,
    wait_for, wait_for_file,
};

/// At each place whose jobs have namespaces of their own.
pub const TESTS: &[(&str, Test)] = &[
    ("the job's /tmp is the login's", tmp),
    ("the job's namespaces are the login's", all_of_them),
    ("a whole session, as the user", session),
    ("a session line joins them for good", session_line),
    ("no descriptor is left", descriptors),
    ("join_container=false stays outside", outside),
    ("both modules give the same environment", environment),
];

/// Where they have none.
pub const TESTS_WITHOUT: &[(&str, Test)] = &[("nothing is joined", outside_all)];

pub const BOTH: [Module; 2] = [Module::SchedMd, Module::Ours];

/// The namespaces of who runs it, a line each, and the ranges of user and group ids.
pub const SHOW: &str = "cd /proc/self/ns; readlink mnt pid pid_for_children user cgroup ipc net uts; \
                    cat /proc/self/uid_map /proc/self/gid_map";

/// Writes into its /tmp, tells what namespaces it is in, and takes out what it is given there.
pub fn job_script(text: &str) -> String {
    format!(
        "echo '{text}' > /tmp/of-the-job
         ({SHOW}) > /home/alice/.show && mv /home/alice/.show /home/alice/show
         until test -s /tmp/of-the-login; do sleep 0.05; done
         cp /tmp/of-the-login /home/alice/.got
         mv /home/alice/.got /home/alice/got
         exec sleep 100000"
    )
}

fn tmp(_: &Place, cluster: &Cluster) -> Result<()> {
    for module in BOTH {
        let node = inside(cluster);
        node.sh("rm -f /home/alice/show /home/alice/got")?;
        let text = format!("written by the job, for {module:?}");
        let job = submit(cluster, &job_script(&text))?;
        wait_for_file(cluster, "/home/alice/show")?;
        use_module(cluster, module, STRICT)?;

        let login = ssh(cluster, "cat /tmp/of-the-job").output()?;
        ensure!(login.clone().ok()?.trim() == text, "{module:?}: {login}");
        // And the other way: the job finds what scp brings.
        let copied = format!("brought by {module:?}");
        cluster
            .node(1)
            .write_owned("/tmp/bring", &copied, 0o644, (2001, 2001))?;
        let scp = [
            "scp",
            "-q",
            "-o",
            "BatchMode=yes",
            "/tmp/bring",
            "node2:/tmp/of-the-login",
        ];
        cluster
            .node(1)
            .run_as("alice", &scp)?
            .ok()
            .with_context(|| format!("{module:?}"))?;
        let got = wait_for_file(cluster, "/home/alice/got")?;
        ensure!(got == copied, "{module:?}: the job got '{got}'");

        let outside = node.list("/tmp")?;
        ensure!(
            !outside.iter().any(|name| name.starts_with("of-the")),
            "{module:?}: the host's /tmp has {outside:?}"
        );
        cluster.cancel(job)?;
    }
    Ok(())
}

fn all_of_them(place: &Place, cluster: &Cluster) -> Result<()> {
    let node = inside(cluster);
    node.sh("rm -f /home/alice/show")?;
    submit(cluster, &job_script("anything"))?;
    let of_job = wait_for_file(cluster, "/home/alice/show")?;
    let of_node = node.sh(SHOW)?;
    for kind in ["mnt", "pid", "user"] {
        let other = line_of(&of_job, kind)? != line_of(&of_node, kind)?;
        ensure!(
            other == place.joins.contains(&kind),
            "the job's {kind} is not as the test has it:\n{of_job}{of_node}"
        );
    }
    for module in BOTH {
        use_module(cluster, module, STRICT)?;
        let login = ssh(cluster, SHOW).output()?;
        ensure!(
            login.stdout == of_job,
            "{module:?}: not the job's, which are\n{of_job}{login}"
        );
        let seen = ssh(cluster, "ps -e -o args").output()?.ok()?;
        ensure!(
            seen.contains("slurm_script"),
            "{module:?}: no job in\n{seen}"
        );
        let own_pids = place.joins.contains(&"pid");
        ensure!(seen.contains("slurmd -N") != own_pids, "{module:?}: {seen}");
    }
    Ok(())
}

/// With a key the account phase joins them, and the session phase begins inside; with keyboard-interactive
/// the session phase joins them. A session line alone does it too.
fn session_line(_: &Place, cluster: &Cluster) -> Result<()> {
    let node = inside(cluster);
    node.sh("rm -f /home/alice/show")?;
    let job = submit(cluster, &job_script("anything"))?;
    let of_job = wait_for_file(cluster, "/home/alice/show")?;
    let mut logins = Vec::new();
    for lines in [Lines::Both, Lines::Session] {
        let stack = tests::session::stack(Module::Ours, lines, STRICT, "");
        node.write("/etc/pam.d/sshd", stack, 0o644)?;
        for method in METHODS {
            let mark = node.syslog_mark()?;
            let script = format!("export LC_ALL=C; {SHOW}");
            let login = method.client(cluster.node(1), "alice", &["ssh", "node2", &script]);
            let login = login.output()?;
            ensure!(
                login.stdout == of_job,
                "{lines} {method}: not the job's, which are\n{of_job}{login}\n{}",
                node.syslog_since(mark)?
            );
            let stays = ["ssh", "node2", "echo in; exec sleep 77777"];
            let login = method.client(cluster.node(1), "alice", &stays).spawn()?;
            wait_for("the login", || Ok(login.stdout()?.contains("in")))?;
            logins.push(login);
        }
    }
    let shells = || {
        let mut all = node.processes("sleep 77777")?;
        all.retain(|(_, line)| line == "sleep 77777");
        anyhow::Ok(all)
    };
    // "in" comes before the program that stays.
    wait_for("a program in each login", || {
        Ok(shells()?.len() == logins.len())
    })?;
    for (pid, _) in shells()? {
        let cgroup = node.run(&["cat", &format!("/proc/{pid}/cgroup")])?.ok()?;
        ensure!(job_of_cgroup(node, &cgroup)? == Some(job), "{cgroup}");
    }
    cluster.cancel(job)?;
    for mut login in logins {
        let end = login.wait(Duration::from_secs(20))?;
        end.context("a login outlives the job")?;
    }
    ensure!(shells()?.is_empty(), "{:?}", shells()?);
    Ok(())
}

fn line_of<'a>(shown: &'a str, kind: &str) -> Result<&'a str> {
    let start = format!("{kind}:");
    let mut lines = shown.lines().filter(|line| line.starts_with(&start));
    lines
        .next()
        .with_context(|| format!("no {kind} in\n{shown}"))
}

/// A command's exit status, a terminal, sftp, and the user's own rights, seen from outside.
fn session(_: &Place, cluster: &Cluster) -> Result<()> {
    let node = inside(cluster);
    let job = submit(cluster, "touch /tmp/of-the-job; exec sleep 100000")?;
    for module in BOTH {
        use_module(cluster, module, STRICT)?;
        let login = ssh(cluster, "id -u; id -g; test -f /tmp/of-the-job; exit 7").output()?;
        ensure!(
            login.status == Status::Exited(7) && login.stdout == "2001\n2001\n",
            "{module:?}: {login}"
        );

        let argv = ["ssh", "-tt", "-o", "BatchMode=yes", "node2"];
        let typed = "stat -c '%U %n' $(tty); stty -a < $(tty) | head -n 1; ls /tmp; exit 8\n";
        let ssh_tt = cluster.node(1).command(&argv).user("alice").stdin(typed);
        let login = ssh_tt.output()?;
        ensure!(
            login.status == Status::Exited(8)
                && login.stdout.contains("alice /dev/pts/")
                && login.stdout.contains("speed ")
                && login.stdout.contains("of-the-job"),
            "{module:?}: {login}"
        );

        let argv = ["sftp", "-q", "-o", "BatchMode=yes", "-b", "-", "node2"];
        let sftp = cluster.node(1).command(&argv).user("alice");
        let listed = sftp.stdin("ls /tmp\n").output()?;
        ensure!(
            listed.clone().ok()?.contains("of-the-job"),
            "{module:?}: {listed}"
        );

        let mut login = ssh(cluster, "exec sleep 86421").spawn()?;
        wait_for("the login's sleep", || Ok(!sleeping(cluster)?.is_empty()))?;
        for pid in sleeping(cluster)? {
            let ids = node.sh(&format!(
                "grep -E '^(Uid|Gid|Groups|CapEff):' /proc/{pid}/status"
            ))?;
            let ids: Vec<&str> = ids.split_whitespace().collect();
            let alice = "Uid: 2001 2001 2001 2001 Gid: 2001 2001 2001 2001 Groups: 2001 \
                         CapEff: 0000000000000000";
            ensure!(ids.join(" ") == alice, "{module:?}: the login is {ids:?}");
            let login = node.read_text(&format!("/proc/{pid}/cgroup"))?;
            ensure!(
                tests::job_of_cgroup(node, &login)? == Some(job),
                "{module:?}: {login}"
            );
            node.signal(pid, "TERM")?;
        }
        let end = login.wait(Duration::from_secs(20))?;
        ensure!(end.is_some(), "{module:?}: the session hangs at its end");
    }
    Ok(())
}

/// The login's own process, not the client, which names the command too.
fn sleeping(cluster: &Cluster) -> Result<Vec<u32>> {
    let all = inside(cluster).processes("sleep 86421")?;
    let of_login = all.into_iter().filter(|(_, line)| line == "sleep 86421");
    Ok(of_login.map(|(pid, _)| pid).collect())
}

/// SchedMD's module keeps the descriptors of the namespaces that it joined, in sshd, for as long as
/// the session is; its user's shell gets none, as sshd closes all before.
fn descriptors(place: &Place, cluster: &Cluster) -> Result<()> {
    let node = inside(cluster);
    submit(cluster, "exec sleep 100000")?;
    for module in BOTH {
        let left = match module {
            Module::Ours => 0,
            Module::SchedMd => place.joins.len(),
        };
        let call = bare(cluster, module, STRICT, AS_IT_IS)?;
        let found = call
            .new_descriptors
            .iter()
            .filter(|it| it.contains(CONTAINERS));
        ensure!(
            call.code == 0 && found.count() == left,
            "{module:?}: {call:?}"
        );
        if module == Module::Ours {
            ensure!(call.new_descriptors.is_empty(), "{call:?}");
        }

        use_module(cluster, module, STRICT)?;
        let mut login = ssh(cluster, "exec sleep 86421").spawn()?;
        wait_for("the login's sleep", || Ok(!sleeping(cluster)?.is_empty()))?;
        let title = "alice [";
        // That of an earlier login may still be there.
        let mut sshd = Vec::new();
        wait_for("one sshd", || {
            sshd = node.processes(title)?;
            Ok(sshd.len() == 1)
        })
        .with_context(|| format!("{module:?}: {title}"))?;
        let shell = sleeping(cluster)?;
        for (who, pid, left) in [("sshd", sshd[0].0, left), ("the shell", shell[0], 0)] {
            let kinds = node.sh(&format!("stat -L -f -c %T /proc/{pid}/fd/* || true"))?;
            let found = kinds.lines().filter(|kind| *kind == "nsfs").count();
            ensure!(
                found == left,
                "{module:?}: {who} has {found} of {left}: {kinds}"
            );
        }
        node.signal(shell[0], "TERM")?;
        login.wait(Duration::from_secs(20))?;
    }
    Ok(())
}

fn outside(_: &Place, cluster: &Cluster) -> Result<()> {
    let node = inside(cluster);
    let job = submit(cluster, "touch /tmp/of-the-job; exec sleep 100000")?;
    let of_node = node.sh(SHOW)?;
    for module in BOTH {
        use_module(cluster, module, &format!("{STRICT} join_container=false"))?;
        let login = ssh(cluster, &format!("{SHOW}; cat /proc/self/cgroup")).output()?;
        // Its cgroup namespace was the node's with the others, too.
        ensure!(
            login.stdout.starts_with(&of_node),
            "{module:?}: {of_node}{login}"
        );
        let cgroup = &login.stdout[of_node.len()..];
        ensure!(
            tests::job_of_cgroup(node, cgroup)? == Some(job),
            "{module:?}: {login}"
        );
        let listed = ssh(cluster, "ls /tmp").output()?.ok()?;
        ensure!(!listed.contains("of-the-job"), "{module:?}: {listed}");
    }
    Ok(())
}

/// Where Slurm has no namespaces for jobs, or can't hand them out (20.11.0 to 20.11.4).
fn outside_all(_: &Place, cluster: &Cluster) -> Result<()> {
    submit(cluster, "exec sleep 100000")?;
    let of_node = inside(cluster).sh(SHOW)?;
    for module in BOTH {
        use_module(cluster, module, STRICT)?;
        let login = ssh(cluster, SHOW).output()?;
        ensure!(login.stdout == of_node, "{module:?}: {of_node}{login}");
        let call = bare(cluster, module, STRICT, AS_IT_IS)?;
        ensure!(call.code == 0, "{module:?}: {call:?}");
        if module == Module::Ours {
            ensure!(call.new_descriptors.is_empty(), "{call:?}");
        }
    }
    Ok(())
}

fn environment(_: &Place, cluster: &Cluster) -> Result<()> {
    submit(cluster, "exec sleep 100000")?;
    same_environment(cluster, STRICT).map(drop)
}

/// The environment of alice's login, which is to be the same with both modules.
pub fn same_environment(cluster: &Cluster, options: &str) -> Result<Vec<String>> {
    let mut of_each = Vec::new();
    for module in BOTH {
        use_module(cluster, module, options)?;
        let login = ssh(cluster, "env").output()?.ok()?;
        let mut env: Vec<String> = login
            .lines()
            // They name the client's port.
            .filter(|line| !line.starts_with("SSH_C"))
            .map(str::to_owned)
            .collect();
        env.sort();
        of_each.push(env);
    }
    let [theirs, ours] = &of_each[..] else {
        unreachable!("there are two modules")
    };
    ensure!(theirs == ours, "SchedMD's: {theirs:?}\nours: {ours:?}");
    Ok(ours.clone())
}
