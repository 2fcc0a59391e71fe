//! `slurm-adopt check` on a host with systemd: the set-up as advised has no failure, breaks are named.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tests::session::{Lines, Method};
use tests::{CLI, Module};

use crate::Test;
use crate::site::{AS_ADVISED, Setup, Site};

pub const TESTS: &[(&str, Test)] = &[
    ("check names what is wrong", breaks),
    ("setup has sshd read its configuration", reload),
];

/// The account line alone, beside users' service managers.
const HALF: Setup = Setup {
    module: Module::Ours,
    lines: Lines::Account,
    closed: false,
};
const SSHD: &str = "/etc/ssh/sshd_config";
const UNIT: &str = "/etc/systemd/system/ssh.service.d/hardening.conf";

/// What check finds: ID, severity and file.
fn check(site: &mut Site) -> Result<BTreeSet<String>> {
    let text = site.sh(&format!("{CLI} check --json || true"))?;
    let report: Value = serde_json::from_str(&text).with_context(|| text.clone())?;
    let findings = report["findings"].as_array().context("findings")?;
    let part = |it: &Value, key: &str| it[key].as_str().unwrap_or_default().to_owned();
    let row = |it: &Value| {
        format!(
            "{} {} {}",
            part(it, "id"),
            part(it, "severity"),
            part(it, "file")
        )
    };
    Ok(findings.iter().map(row).collect())
}

fn breaks(site: &mut Site) -> Result<()> {
    site.set_up(AS_ADVISED)?;
    let sound = check(site)?;
    let failure = sound.iter().find(|it| it.contains(" failure"));
    ensure!(failure.is_none(), "{sound:?}");
    site.set_up(HALF)?;
    let job = site.submit()?;
    site.log_in(Method::PublicKey)?;
    let half = check(site)?;
    site.cancel(&job)?;
    ensure!(
        half.iter().any(|it| it.starts_with("SA600 warning")),
        "no SA600: {half:?}"
    );
    for expected in [
        "SA250 failure /etc/pam.d/common-session",
        "SA602 warning /etc/pam.d/common-session",
    ] {
        ensure!(half.contains(expected), "no {expected}: {half:?}");
    }
    site.set_up(AS_ADVISED)?;
    site.sh(&format!(
        "mkdir -p $(dirname {UNIT}); printf '[Service]\\nInaccessiblePaths=/var/spool/slurmd\\n' >{UNIT}
         cp {SSHD} /root/sshd_config; sed -i '1i UsePAM no' {SSHD}
         systemctl daemon-reload; systemctl restart ssh"
    ))?;
    let broken = check(site);
    let login = site.client(Method::PublicKey, &["ssh", "node1", "true"]);
    site.sh(&format!(
        "rm {UNIT}; cp /root/sshd_config {SSHD}; systemctl daemon-reload; systemctl restart ssh"
    ))?;
    let (broken, login) = (broken?, login?);
    for expected in [
        format!("SA300 failure {SSHD}"),
        format!("SA630 failure {UNIT}"),
    ] {
        ensure!(broken.contains(&expected), "no {expected}: {broken:?}");
    }
    ensure!(login.success(), "UsePAM no lets everyone in: {login}");
    // alice's service manager of the half set-up lives on.
    site.sh("systemctl stop user@2001.service")?;
    let is_sound = site.wait_for(|site| Ok(check(site)? == sound))?;
    ensure!(is_sound, "{:?}, before {sound:?}", check(site)?);
    Ok(())
}

/// setup changes sshd_config, and systemd reloads sshd: twice, as undo takes it back.
fn reload(site: &mut Site) -> Result<()> {
    site.set_up(AS_ADVISED)?;
    site.sh(&format!(
        "cp {SSHD} /root/sshd_config; sed -i /^PerSourcePenalties/d {SSHD}; systemctl restart ssh; journalctl --rotate
         sha256sum {SSHD} >/root/sums"
    ))?;
    let setup = site.sh(&format!("{CLI} setup --yes --only sshd || [ $? = 1 ]"));
    let reloads = "journalctl --sync; journalctl -u ssh -o cat --since=-5min | grep -c 'Received SIGHUP' || true";
    let first = site.sh(reloads)?;
    let found = check(site)?;
    let undo = site.sh(&format!("{CLI} undo --yes && sha256sum -c /root/sums"));
    let second = site.sh(reloads)?;
    site.sh(&format!(
        "cp /root/sshd_config {SSHD}; systemctl restart ssh"
    ))?;
    let (setup, undo) = (setup?, undo?);
    let is_penalizing = site.suite() >= lab::Suite::Trixie;
    ensure!(
        setup.contains("\n+PerSourcePenalties authfail:0\n") == is_penalizing,
        "{setup}"
    );
    if is_penalizing {
        ensure!(
            first.trim() == "1" && second.trim() == "2",
            "{first}, {second}: {setup}{undo}"
        );
    }
    for id in ["SA308", "SA333"] {
        ensure!(!found.iter().any(|it| it.starts_with(id)), "{found:?}");
    }
    Ok(())
}
