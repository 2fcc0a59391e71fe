//! Whom sshd itself keeps out: root, or users whatever their jobs.

use adopt::options::{Mode, NoJobs, Options};
use pamconf::Facility;

use crate::host::sshd::config::Setting;
use crate::host::tree::is_match;
use crate::host::{Host, ModuleCall, OwnLine};
use crate::sshd::Daemon;
use crate::{Check, Finding, Notes, Severity};

pub(super) const NO_WAY_FOR_ROOT: Check = Check {
    id: "SA340",
    severity: Severity::Note,
    title: "without a job nobody gets in by ssh, root neither",
    why: "The module lets root pass, but sshd does not let root in, and no other user is exempt: an admin reaches \
          this node by ssh only with a job of their own here. That may be meant, if there is another way (a console, \
          IPMI).",
    fix: "Name admins in exempt_groups= or exempt_users=, or set PermitRootLogin prohibit-password.",
};

pub(super) const ONLY_SOME: Check = Check {
    id: "SA341",
    severity: Severity::Note,
    title: "sshd lets only some users in, whatever their jobs",
    why: "sshd asks AllowUsers and AllowGroups itself, before PAM: whoever is not in these lists is kept out even \
          with a job here, and reads the same \"Permission denied\" as for a wrong password.",
    fix: "If users with jobs are to get in, leave the choice to the module and take the line out.",
};

/// Modules by which stacks let admins in ahead of this one.
const EXEMPTIONS: [&str; 5] = [
    "pam_access.so",
    "pam_listfile.so",
    "pam_succeed_if.so",
    "pam_localuser.so",
    "pam_exec.so",
];

pub(super) fn look(daemon: &Daemon, notes: &mut Notes) {
    only_some(daemon, notes);
    let mut lines = daemon.own_lines.iter();
    let Some(own) = lines.find(|it| it.facility == Facility::Account) else {
        return;
    };
    if !denies_everyone(&own.options) || has_exemption(daemon, own) {
        return;
    }
    if let Some((line, why)) = root_is_out(daemon) {
        notes.find(Finding::of(&NO_WAY_FOR_ROOT, why).at(line.spot()));
    }
}

/// Whether all but root need a job.
fn denies_everyone(options: &Options) -> bool {
    let exempt = &options.exempt;
    let names_some = !exempt.users.is_empty() || !exempt.groups.is_empty() || exempt.uid_below > 0;
    is_enforced(options) && !names_some && options.kill_switch.is_none()
}

/// Whether users without a job are denied.
pub(super) fn is_enforced(options: &Options) -> bool {
    options.mode == Mode::Enforce && options.no_jobs == NoJobs::Deny
}

/// Whether a line before ours may let admins in.
fn has_exemption(daemon: &Daemon, own: &OwnLine) -> bool {
    daemon.sshd.services().iter().any(|(name, _)| {
        let service = daemon.host.service(name);
        let before = service.stack(Facility::Account).iter().take(own.entry);
        let mut names = before.filter_map(|it| Some(ModuleCall::of(&service, it)?.name()));
        names.any(|it| EXEMPTIONS.contains(&it.as_str()))
    })
}

/// The line that keeps root out, and how.
fn root_is_out<'a>(daemon: &Daemon<'a>) -> Option<(&'a Setting, &'static str)> {
    let effective = daemon.effective;
    let of = |keyword: &'static str| {
        effective
            .setting(keyword)
            .map(|it| (it, effective.values(keyword)))
    };
    let is_root = |pattern: &String| {
        let user = pattern.split('@').next().unwrap_or(pattern);
        is_match(user.as_bytes(), b"root")
    };
    if effective.value("permitrootlogin") == "no" {
        let elsewhere = daemon.config.conditional("permitrootlogin");
        let is_somewhere = elsewhere
            .into_iter()
            .any(|it| !it.value().eq_ignore_ascii_case("no"));
        let line = effective
            .setting("permitrootlogin")
            .filter(|_| !is_somewhere)?;
        return Some((line, "sshd does not let root in"));
    }
    if let Some((line, users)) = of("denyusers") {
        if users.iter().any(|it| !it.contains('@') && is_root(it)) {
            return Some((line, "sshd keeps root out"));
        }
    }
    if let Some((line, users)) = of("allowusers") {
        if !users.iter().any(is_root) {
            return Some((line, "root is not among these users"));
        }
    }
    let (line, groups) = of("allowgroups")?;
    let roots = groups_of_root(daemon.host);
    let is_in = |pattern: &String| {
        roots
            .iter()
            .any(|it| is_match(pattern.as_bytes(), it.as_bytes()))
    };
    let is_out = !groups.iter().any(is_in);
    is_out.then_some((line, "root is in none of these groups"))
}

/// The groups of root in /etc/group.
fn groups_of_root(host: &Host) -> Vec<String> {
    let text = host.tree.text("/etc/group").unwrap_or_default();
    let group = |line: &str| {
        let mut fields = line.split(':');
        let name = fields.next()?.to_owned();
        let is_own = fields.nth(1) == Some("0");
        let is_member = fields.next()?.split(',').any(|it| it == "root");
        (is_own || is_member).then_some(name)
    };
    text.lines().filter_map(group).collect()
}

fn only_some(daemon: &Daemon, notes: &mut Notes) {
    for keyword in ["allowusers", "allowgroups"] {
        let is_everybody = |it: &String| it.chars().all(|it| it == '*');
        let Some(line) = daemon.effective.setting(keyword) else {
            continue;
        };
        let names = daemon.effective.values(keyword);
        if names.iter().any(is_everybody) {
            continue;
        }
        let detail = format!("{} {}", line.written, names.join(" "));
        notes.find(Finding::of(&ONLY_SOME, detail).at(line.spot()));
    }
}
