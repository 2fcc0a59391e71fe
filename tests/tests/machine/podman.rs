//! Rootless Podman in a login, by the recipe of docs/podman.md. In a machine of its own.

use anyhow::{Context, Result, ensure};
use lab::Suite;
use tests::session::Method;
use tests::{CLI, page};

use crate::site::{AS_ADVISED, Job, Site};

pub const NAME: &str = "rootless Podman";

const PAGE: &str = "docs/podman.md";
const TEXT: &str = include_str!("../../../docs/podman.md");

/// A container is in the job, held to its memory, there for later logins, and ends with the job.
pub fn podman(suite: Suite) -> Result<()> {
    let mut site = Site::start_with_podman(suite)?;
    set_up(&mut site)?;
    let job = site.submit_with("--mem=400 --chdir=/tmp --wrap='exec sleep 100000'", "env")?;
    let commands = page::commands(PAGE, "A container without a registry")?;
    let told = alices(&mut site, &commands.join("\n"))?;
    ensure!(told.ends_with("\nhello\n"), "{told}");
    let pids = is_held(&mut site, &job)?;
    is_limited(&mut site, &job)?;
    let named = alices(&mut site, "podman ps --format {{.Names}}")?;
    ensure!(named == "stays\n", "to another login: {named}");
    site.cancel(&job)?;
    let look = format!("ps -o pid,args {pids} || true; pgrep -u alice -a || true");
    let has_ended = site.wait_for(|site| Ok(site.sh(&look)?.lines().count() == 1))?;
    ensure!(has_ended, "outlives the job: {}", site.sh(&look)?);
    Ok(())
}

fn set_up(site: &mut Site) -> Result<()> {
    site.set_up(AS_ADVISED)?;
    site.add_options("runtime_dir=create")?;
    site.without_pam_systemd()?;
    site.sh(&page::commands(PAGE, "On each node")?.join("\n"))?;
    let check = format!("{CLI} check --only SA610 || true");
    let told = site.sh(&check)?;
    ensure!(told.contains("SA610"), "not told: {told}");
    let config = TEXT.split("```toml\n").nth(1).context("containers.conf")?;
    let config = config.split("```").next().unwrap_or_default();
    site.sh(&format!(
        "printf %s '{config}' >/etc/containers/containers.conf"
    ))?;
    let told = site.sh(&check)?;
    ensure!(!told.contains("SA610"), "with the file: {told}");
    Ok(())
}

/// The container's process and its monitor are in the job's cgroup, and its memory counts there. Returns their pids.
fn is_held(site: &mut Site, job: &Job) -> Result<String> {
    let shared = format!(
        "sed -n 's/^shmem //p' /sys/fs/cgroup{}/memory.stat",
        job.step
    );
    let before: u64 = site.sh(&shared)?.trim().parse()?;
    let pids = alices(
        site,
        "podman run --detach --network=none --name=stays busybox \
             sh -c 'dd if=/dev/zero of=/dev/shm/zeros bs=1M count=50; exec sleep 100000' >/dev/null
         podman inspect --format '{{.State.Pid}} {{.State.ConmonPid}}' stays",
    )?;
    let pids = pids.trim().to_owned();
    ensure!(pids.split(' ').count() == 2, "pids: {pids}");
    for pid in pids.split(' ') {
        let cgroup = site.sh(&format!("cat /proc/{pid}/cgroup"))?;
        ensure!(job.has(&cgroup), "{cgroup}");
    }
    let mut after = before;
    let counts = site.wait_for(|site| {
        after = site.sh(&shared)?.trim().parse()?;
        Ok(after >= before + 50 * 1024 * 1024)
    })?;
    ensure!(counts, "shmem of {} bytes, then {after}", before);
    Ok(pids)
}

/// A container that takes more memory than the job has is killed, by the job's limit.
///
/// dd(1) takes its block at once, and the kernel fills it. A program that takes its time, such as tail(1) of
/// a line without an end, takes minutes in an emulated machine until it reaches the limit.
fn is_limited(site: &mut Site, job: &Job) -> Result<()> {
    const KILLED: &str = "sed -n 's/^oom_kill //p' memory.events";
    const LEFT: &str = "ps -u alice -o pid,stat,rss,wchan,args | cut -c1-120; dmesg | tail -n 40";
    let count = format!("cd /sys/fs/cgroup{}; {KILLED}", job.step);
    let before = site.sh(&count)?;
    let told = alices(
        site,
        "for size in 20M 600M; do
             timeout 120 podman run --rm --network=none busybox \
                 dd if=/dev/zero of=/dev/null bs=$size count=1 2>/dev/null && echo done || echo $?
         done",
    )?;
    let after = site.sh(&count)?;
    ensure!(told == "done\n137\n", "{told}{}", site.sh(LEFT)?);
    ensure!((&*before, &*after) == ("0\n", "1\n"), "{before}{after}");
    Ok(())
}

/// Runs a script in a login of alice's.
fn alices(site: &mut Site, script: &str) -> Result<String> {
    site.client(Method::PublicKey, &["ssh", "node1", script])?
        .ok()
}
