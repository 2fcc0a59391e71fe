//! What the journal has of logins, and what slurm-adopt sums up of it.

use anyhow::{Context, Result, bail, ensure};
use lab::Status;
use serde_json::Value;
use tests::CLI;
use tests::session::Method;

use crate::Test;
use crate::site::{AS_ADVISED, Site};

pub const TESTS: &[(&str, Test)] = &[("the journal has each login once, with fields", journal)];

const OUT: &str = "/run/stats/slurm-adopt.prom";

/// The entry of an adoption has this MESSAGE_ID.
const ADOPTED: &str = "920474f1780a4f14b0ec59368fe407da";
/// The entry of a denial.
const DENIED: &str = "b4d8e78581ed47d0a2976cab88b8f061";

/// alice logs in with a job and without: two phases that adopt, one that denies.
fn journal(site: &mut Site) -> Result<()> {
    site.set_up(AS_ADVISED)?;
    site.sh("mkdir -p /run/stats")?;
    let before = denied(site)?;
    let cursor =
        site.sh("journalctl -n 1 -o json | grep -o '\"__CURSOR\":\"[^\"]*' | cut -d '\"' -f 4")?;
    let job = site.submit()?;
    log_in(site, 0)?;
    site.cancel(&job)?;
    log_in(site, 255)?;
    let entries = decisions_after(site, cursor.trim())?;
    let [account, session, kept_out] = &entries[..] else {
        bail!("not three entries: {entries:#?}");
    };
    let job = Value::from(job.id.to_string());
    has(account, ["account", "adopted", "only-job"], &job, ADOPTED)?;
    has(session, ["session", "adopted", "chosen-job"], &job, ADOPTED)?;
    has(
        kept_out,
        ["account", "denied", "no-job"],
        &Value::Null,
        DENIED,
    )?;
    sums(site, before)
}

fn log_in(site: &mut Site, status: i32) -> Result<()> {
    let argv = ["ssh", lab::systemd_node::NODE, "true"];
    let login = site.client(Method::PublicKey, &argv)?;
    ensure!(login.status == Status::Exited(status), "{login}");
    Ok(())
}

/// The module's entries of decisions.
fn decisions_after(site: &mut Site, cursor: &str) -> Result<Vec<Value>> {
    let text = site.sh(&format!(
        "journalctl --sync; journalctl -o json --after-cursor='{cursor}'"
    ))?;
    let entries = text.lines().map(serde_json::from_str::<Value>);
    let mut entries = entries
        .collect::<Result<Vec<_>, _>>()
        .context(text.clone())?;
    entries.retain(|it| {
        let message = it["MESSAGE"].as_str().unwrap_or_default();
        message.contains("pam_slurm_adopt") && message.contains("decision=")
    });
    Ok(entries)
}

/// All fields of alice's login by sshd.
fn has(entry: &Value, [phase, decision, reason]: [&str; 3], job: &Value, id: &str) -> Result<()> {
    for (name, value) in [
        ("SLURM_ADOPT_PHASE", phase.into()),
        ("SLURM_ADOPT_DECISION", decision.into()),
        ("SLURM_ADOPT_REASON", reason.into()),
        ("SLURM_ADOPT_JOB", job.clone()),
        ("SLURM_ADOPT_USER", "alice".into()),
        ("SLURM_ADOPT_UID", "2001".into()),
        ("SLURM_ADOPT_SERVICE", "sshd".into()),
        ("SLURM_ADOPT_NODE", lab::systemd_node::NODE.into()),
        ("MESSAGE_ID", id.into()),
        ("PRIORITY", "6".into()),
        ("SYSLOG_FACILITY", "10".into()),
        ("SYSLOG_PID", entry["_PID"].clone()),
        ("_TRANSPORT", "journal".into()),
        ("_UID", "0".into()),
    ] {
        ensure!(entry[name] == value, "{name} is not {value} in {entry:#}");
    }
    let text =
        format!("pam_slurm_adopt(sshd:{phase}): user=alice uid=2001 decision={decision} job=");
    let message = entry["MESSAGE"].as_str().unwrap_or_default();
    ensure!(message.starts_with(&text), "{entry:#}");
    let name = entry["SYSLOG_IDENTIFIER"].as_str().unwrap_or_default();
    ensure!(["sshd", "sshd-session"].contains(&name), "{entry:#}");
    Ok(())
}

/// A run adds what is new, and counts nothing that a user has written.
fn sums(site: &mut Site, before: u64) -> Result<()> {
    ensure!(denied(site)? == before + 1, "one more was denied");
    site.sh(&format!(
        "printf '%s\\n' MESSAGE=forged MESSAGE_ID={DENIED} SLURM_ADOPT_DECISION=denied \
         SLURM_ADOPT_REASON=no-job SLURM_ADOPT_PHASE=account SLURM_ADOPT_MS=1.0 >/run/forged
         chmod 644 /run/forged; runuser -u alice -- logger --journald=/run/forged
         journalctl --sync; journalctl -o json MESSAGE_ID={DENIED} _UID=2001 | grep -q forged"
    ))?;
    ensure!(
        denied(site)? == before + 1,
        "a user's own entry was counted"
    );
    // The sums outlive the entries.
    site.sh("journalctl --rotate; journalctl --vacuum-time=1s; journalctl --sync")?;
    ensure!(denied(site)? == before + 1, "sums do not go back");
    ensure!(
        site.sh("ls -A /run/stats")? == "slurm-adopt.prom\n",
        "something is left"
    );
    Ok(())
}

/// The logins that were denied for want of a job, as the collector reads it.
fn denied(site: &mut Site) -> Result<u64> {
    const NAME: &str =
        "slurm_adopt_logins_total{decision=\"denied\",reason=\"no-job\",phase=\"account\"} ";
    let text = site.sh(&format!(
        "journalctl --sync; {CLI} stats --out {OUT}; cat {OUT}"
    ))?;
    match text.lines().find_map(|it| it.strip_prefix(NAME)) {
        Some(count) => count.parse().context(text.clone()),
        None => Ok(0),
    }
}
