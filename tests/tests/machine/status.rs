//! `slurm-adopt status` on a host with systemd: session scopes, user managers, the journal.

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tests::session::{Lines, Method};
use tests::{CLI, Module};

use crate::Test;
use crate::site::{AS_ADVISED, Setup, Site};

pub const TESTS: &[(&str, Test)] = &[("who is where", who_is_where)];

/// The account line alone: pam_systemd moves the login out again.
const ACCOUNT: Setup = Setup {
    module: Module::Ours,
    lines: Lines::Account,
    closed: false,
};

fn status(site: &mut Site) -> Result<Value> {
    let text = site.sh(&format!("{CLI} status --json"))?;
    serde_json::from_str(&text).context(text)
}

fn who_is_where(site: &mut Site) -> Result<()> {
    site.set_up(ACCOUNT)?;
    let denied = site.client(Method::PublicKey, &["ssh", "node1", "true"])?;
    // The journal takes its time on an emulated machine.
    let has_some = |site: &mut Site| Ok(status(site)?["refused"][0].is_object());
    if !site.wait_for(has_some)? {
        let log =
            site.sh("journalctl --since=-1h --output=json | grep -a slurm_adopt | tail -n 3")?;
        anyhow::bail!("{denied}: {log}");
    }
    let seen = status(site)?;
    let refused = &seen["refused"][0];
    ensure!(
        refused["user"] == "alice" && refused["kind"] == "no-job",
        "{seen}"
    );
    let job = site.submit()?;
    site.log_in(Method::PublicKey)?;
    let seen = status(site)?;
    let shown = &seen["jobs"][0];
    ensure!(shown["job"] == job.id && shown["user"] == "alice", "{seen}");
    ensure!(
        shown["cpus"] == 1 && shown["memory_bytes"] == 200 << 20,
        "{seen}"
    );
    ensure!(shown["logins"].as_array().is_some_and(Vec::is_empty));
    let alice = &seen["outside"][0];
    ensure!(alice["user"] == "alice" && alice["user_manager"] == true);
    ensure!(alice["logins"][0]["kind"] == "command", "{seen}");

    site.set_up(AS_ADVISED)?;
    let login = site.log_in(Method::KeyboardInteractive)?;
    let shell = login.shell.as_ref().context("kept out")?;
    let seen = status(site)?;
    let inside = &seen["jobs"][0]["logins"][0];
    ensure!(inside["pid"] == shell.pids[2], "{seen}");
    ensure!(inside["step"] == "extern" && inside["from"].is_string());
    Ok(())
}
