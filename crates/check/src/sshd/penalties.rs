//! What sshd makes of refused logins: from OpenSSH 9.8 on it penalizes the address that they come from.

use pamconf::Facility;

use crate::host::sshd::daemon::{Effective, Sshd};
use crate::host::sshd::seconds;
use crate::host::{Host, OwnLine};
use crate::sshd::{Daemon, users};
use crate::{Check, Finding, Notes, Severity};

pub(super) const REFUSALS_PENALIZED: Check = Check {
    id: "SA333",
    severity: Severity::Warning,
    title: "refused logins shut out all who come from the same address",
    why: "From OpenSSH 9.8 on PerSourcePenalties is on by default. Each login that PAM refuses adds 5 s (authfail) to a \
          penalty of its source address; from 15 s (min) up to 10 min (max) sshd drops all connections from there. \
          Users come from a few login nodes, so four attempts by one user without a job, or one mpirun, keep everybody \
          out who comes from there: root, and users with jobs. Their ssh says \"Connection closed\" or \"Connection \
          reset\" and no reason, and the module is not asked; sshd logs \"drop connection ... penalty: failed \
          authentication\". A session that ends with its job counts nothing. When one refused login is enough \
          (authfail is not below min), this is a failure.",
    fix: "Set PerSourcePenalties authfail:0, as slurm-adopt setup does where nothing is set: sshd no longer slows down \
          who guesses passwords, then. Or exempt the addresses that users come from, login nodes and compute nodes: \
          PerSourcePenaltyExemptList 192.0.2.0/24,2001:db8::/64. Then reload sshd.",
};

/// The release from which on penalties are the default.
const SINCE: (u32, u32) = (9, 8);
/// The default of authfail, in seconds (sshd_config(5), 9.8 to 10.6).
const AUTHFAIL: f64 = 5.0;
/// The default of min.
const MIN: f64 = 15.0;
/// Addresses that no user of another host comes from.
const LOOPBACK: [&str; 4] = ["127.", "::1", "localhost", "none"];

pub(super) fn look(daemon: &Daemon, notes: &mut Notes) {
    if !refuses(&daemon.own_lines) || !daemon.effective.is_yes("usepam") {
        return;
    }
    let Some(Penalty { authfail, min }) = penalty(&daemon.effective, daemon.sshd) else {
        return;
    };
    let (attempts, severity) = match authfail >= min {
        true => ("one refused login".to_owned(), Severity::Failure),
        false => {
            let attempts = (min / authfail).floor() + 1.0;
            let text = format!("{attempts} refused logins within seconds");
            (text, Severity::Warning)
        }
    };
    let release = daemon.sshd.reader.version.as_ref();
    let release = release.map_or(String::new(), |it| format!(" ({})", it.name));
    let detail = format!(
        "authfail:{authfail} min:{min}{release}: {attempts} from an address shut it out for {min} s or more"
    );
    let spot = daemon.effective.spot("persourcepenalties");
    let finding = Finding::of(&REFUSALS_PENALIZED, detail).at(spot);
    notes.find(finding.as_severe_as(severity));
}

/// Whether an sshd, by its files, shuts out the addresses of logins that the module refuses.
pub fn penalizes_refusals(host: &Host, sshd: &Sshd) -> bool {
    let Ok(config) = &sshd.config else {
        return false;
    };
    let services = sshd.services();
    let lines = services.iter().flat_map(|(name, _)| host.own_lines(name));
    let effective = Effective::global(config, &sshd.reader, None);
    refuses(&lines.collect::<Vec<_>>()) && penalty(&effective, sshd).is_some()
}

fn refuses(lines: &[OwnLine]) -> bool {
    let mut lines = lines.iter();
    lines.any(|it| it.facility == Facility::Account && users::is_enforced(&it.options))
}

/// What a refused login costs its address; None if nothing, or if addresses of other hosts are exempt.
fn penalty(effective: &Effective, sshd: &Sshd) -> Option<Penalty> {
    let values = effective.values("persourcepenalties");
    let is_default = sshd.reader.version.is_some() && sshd.reader.is_at_least(SINCE);
    if is_exempt(effective) || values.is_empty() && !is_default {
        return None;
    }
    Penalty::of(&values)
}

/// Whether addresses of other hosts are exempt. Which ones users come from is not known here.
fn is_exempt(effective: &Effective) -> bool {
    let lists = effective.values("persourcepenaltyexemptlist");
    let mut addresses = lists.iter().flat_map(|it| it.split(','));
    let is_loopback = |it: &str| {
        let it = it.to_ascii_lowercase();
        it.is_empty() || LOOPBACK.iter().any(|start| it.starts_with(start))
    };
    addresses.any(|it| !is_loopback(it))
}

/// What failed authentication costs, in seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Penalty {
    authfail: f64,
    /// Below that nothing happens.
    min: f64,
}

impl Penalty {
    /// Reads `yes`, `no`, or `authfail:5 min:15 ...`; None if failed authentication costs nothing.
    fn of(values: &[String]) -> Option<Self> {
        let first = values.first().map_or("yes", String::as_str);
        // A time turns penalties on, in whichever line (servconf.c, 9.8 to 10.6).
        if first.eq_ignore_ascii_case("no") && !values.iter().any(|it| it.contains(':')) {
            return None;
        }
        // Of several the first counts.
        let value = |name: &str| {
            let mut pairs = values.iter().filter_map(|it| it.split_once(':'));
            let (_, text) = pairs.find(|(key, _)| key.eq_ignore_ascii_case(name))?;
            // sshd -T of 10.6 prints fractions.
            let fraction = || text.trim_end_matches('s').parse().ok();
            seconds(text)
                .and_then(|it| u32::try_from(it).ok())
                .map_or_else(fraction, |it| Some(f64::from(it)))
        };
        let authfail = value("authfail").unwrap_or(AUTHFAIL);
        let min = value("min").unwrap_or(MIN);
        (authfail > 0.0).then_some(Self { authfail, min })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_as_files_and_sshd_have_them() {
        let usual = Some((AUTHFAIL, MIN));
        for (text, expected) in [
            ("", usual),
            ("yes", usual),
            ("no", None),
            ("No", None),
            ("no crash:90", usual),
            ("authfail:0 no", None),
            ("authfail:0", None),
            ("crash:90 authfail:0s min:15", None),
            ("authfail:1h max:1d", Some((3600.0, MIN))),
            ("min:60 authfail:10 min:1", Some((10.0, 60.0))),
            (
                "crash:90.000000 authfail:5.000000 min:15.000000 overflow:permissive",
                usual,
            ),
            ("authfail:0.000000", None),
        ] {
            let values: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
            let found = Penalty::of(&values).map(|it| (it.authfail, it.min));
            assert_eq!(found, expected, "{text}");
        }
    }
}
