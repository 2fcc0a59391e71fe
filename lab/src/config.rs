//! Configuration files of a node: slurm.conf and its kin, users, PAM stacks, sshd_config.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::cgroup::Version;
use crate::keeper::{ipv4, ipv6};
use crate::suite::Suite;
use crate::users::USERS;

/// Path of the module under test, or of SchedMD's if there is none. All suites search here first.
pub const MODULE: &str = "/lib/x86_64-linux-gnu/security/pam_slurm_adopt.so";
/// Path of a copy of SchedMD's module in every cluster.
pub const SCHEDMD_MODULE: &str = "/lib/x86_64-linux-gnu/security/pam_slurm_adopt_schedmd.so";

/// Default PAM stack of sshd.
pub const SSHD_STACK: &str = "\
auth     required   pam_unix.so
account  required   pam_nologin.so
account  required   pam_unix.so
account  required   pam_slurm_adopt.so action_adopt_failure=deny action_generic_failure=deny
password required   pam_unix.so
session  required   pam_loginuid.so
session  required   pam_env.so
session  required   pam_permit.so
";

/// A node's names.
#[derive(Clone, Debug)]
pub struct Names {
    /// Node name in slurm.conf.
    pub node: String,
    /// Host name in the kernel.
    pub host: String,
    /// The arguments of slurmd.
    pub slurmd: Vec<String>,
}

/// Generates slurm.conf for these nodes. The lines of `extra` replace generated ones with the same key;
/// `node_lines`, if given, replaces the NodeName lines.
pub fn slurm_conf(names: &[Names], node_lines: Option<&str>, extra: &str) -> String {
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let mut conf = format!(
        "\
ClusterName=lab
SlurmctldHost={}
SlurmUser=slurm
AuthType=auth/munge
StateSaveLocation=/var/spool/slurmctld
SlurmdSpoolDir=/var/spool/slurmd
SlurmctldPidFile=/run/slurmctld.pid
SlurmdPidFile=/run/slurmd.pid
SlurmctldLogFile=/var/log/slurm/slurmctld.log
SlurmdLogFile=/var/log/slurm/slurmd.log
ProctrackType=proctrack/cgroup
TaskPlugin=task/cgroup,task/affinity
PrologFlags=contain
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_min_interval=0,batch_sched_delay=0,default_queue_depth=1000
ReturnToService=2
SlurmdTimeout=600
KillWait=1
MailProg=/bin/true
",
        names[0].host
    );
    let generated = (1..).zip(names).map(|(number, Names { node, host, .. })| {
        format!(
            "NodeName={node} NodeHostname={host} NodeAddr={} CPUs={cpus} State=UNKNOWN\n",
            ipv4(number)
        )
    });
    match node_lines {
        Some(lines) => conf.extend([lines, "\n"]),
        None => conf.extend(generated),
    }
    // Allow many more jobs than CPUs to run at once.
    conf += "PartitionName=debug Nodes=ALL Default=YES MaxTime=INFINITE OverSubscribe=FORCE:512\n";
    merge(&conf, extra, &["nodename", "partitionname", "include"])
}

/// Generates cgroup.conf for the cgroup version that the nodes see.
pub fn cgroup_conf(suite: Suite, version: Version, extra: &str) -> String {
    let mut conf = String::from("ConstrainRAMSpace=no\nConstrainCores=no\n");
    match (suite, version) {
        (Suite::Bullseye, _) => {}
        (_, Version::V1) => conf += "CgroupPlugin=cgroup/v1\n",
        (_, Version::V2) => conf += "CgroupPlugin=cgroup/v2\nIgnoreSystemd=yes\n",
    }
    merge(&conf, extra, &[])
}

/// Generates sshd_config; the lines of `extra` replace generated ones with the same key.
pub fn sshd_config(suite: Suite, extra: &str) -> String {
    let mut conf = String::from(
        "\
UsePAM yes
PasswordAuthentication yes
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
UseDNS no
PrintMotd no
PrintLastLog no
X11Forwarding no
MaxStartups 1000
MaxSessions 100
AcceptEnv LANG LC_*
Subsystem sftp /usr/lib/openssh/sftp-server
",
    );
    if suite >= Suite::Trixie {
        // A refused login must not penalize the next one from the same address.
        conf += "PerSourcePenalties no\n";
    }
    merge(&conf, extra, &["match", "include"])
}

/// Appends `extra` to `base` and drops the lines that it replaces: those with the same first word, unless
/// that word is repeatable.
fn merge(base: &str, extra: &str, repeatable: &[&str]) -> String {
    let key = |line: &str| {
        let word = line
            .trim()
            .split(['=', ' ', '\t'])
            .next()
            .unwrap_or_default();
        word.to_ascii_lowercase()
    };
    let replaced: Vec<String> = extra
        .lines()
        .map(key)
        .filter(|word| !repeatable.contains(&word.as_str()))
        .collect();
    let mut merged = String::new();
    for line in base.lines().filter(|line| !replaced.contains(&key(line))) {
        merged.extend([line, "\n"]);
    }
    merged += extra;
    if !merged.ends_with('\n') {
        merged.push('\n');
    }
    merged
}

/// Generates /etc/hosts, the same on every node.
pub fn hosts(names: &[Names]) -> String {
    let mut hosts = String::from("127.0.0.1 localhost\n::1 ip6-localhost\n");
    for (number, Names { node, host, .. }) in (1..).zip(names) {
        let both = if node == host {
            node.clone()
        } else {
            format!("{host} {node}")
        };
        hosts += &format!("{} {both}\n{} {both}\n", ipv4(number), ipv6(number));
    }
    hosts
}

/// Generates /etc/passwd, /etc/group and /etc/shadow: the root directory's entries plus the lab's users.
pub fn accounts(root: &Path) -> Result<[(&'static str, String, u32); 3]> {
    let read = |path: &str| {
        let path = root.join(path.trim_start_matches('/'));
        fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))
    };
    let [mut passwd, mut group, mut shadow] = [
        read("/etc/passwd")?,
        read("/etc/group")?,
        read("/etc/shadow")?,
    ];
    for user in USERS {
        let (name, uid, home) = (user.name, user.uid, user.home());
        passwd += &format!("{name}:x:{uid}:{uid}::{home}:/bin/bash\n");
        group += &format!("{name}:x:{uid}:\n");
        shadow += &format!("{name}:{}:19000:0:99999:7:::\n", user.hash);
    }
    Ok([
        ("/etc/passwd", passwd, 0o644),
        ("/etc/group", group, 0o644),
        ("/etc/shadow", shadow, 0o600),
    ])
}

#[cfg(test)]
mod tests {
    use super::merge;

    #[test]
    fn own_lines_replace_generated_ones() {
        let base = "A=1\nB=2\nNodeName=x\n";
        assert_eq!(
            merge(base, "b=3\nNodeName=y", &["nodename"]),
            "A=1\nNodeName=x\nb=3\nNodeName=y\n"
        );
        assert_eq!(merge("UsePAM yes\n", "usepam no", &[]), "usepam no\n");
        assert_eq!(merge(base, "", &[]), base);
    }
}
