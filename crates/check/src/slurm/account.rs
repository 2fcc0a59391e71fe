//! What else in slurm.conf concerns logins: authentication, launch parameters, Slurm's PAM service, namespaces.

use adopt::options::{Limits, Unknown};

use crate::host::OwnLine;
use crate::host::slurm_conf::is_yes;
use crate::slurm::place::Slurm;
use crate::slurm::release::Release;
use crate::{Check, Finding, Notes, Severity, Spot};

pub(super) const NO_AUTHENTICATION: Check = Check {
    id: "SA460",
    severity: Severity::Failure,
    title: "AuthType=auth/none: any user can pose as root to slurmd",
    why: "Nothing proves who asks: a user can let slurmd run anything as root, and answer the module's caller ID \
          question. It is meant only for tests of Slurm. slurm.conf(5), AuthType.",
    fix: "Use auth/munge or auth/slurm.",
};

pub(super) const UNKNOWN_AUTHENTICATION: Check = Check {
    id: "SA461",
    severity: Severity::Warning,
    title: "AuthType is one that the module cannot speak",
    why: "The module asks the slurmd where a login comes from which job it belongs to, with a credential of \
          auth/munge or auth/slurm. Without that the source job of a login is unknown, and users with several \
          jobs get what action_unknown says. Slurm itself has auth/munge, and auth/slurm from 23.11 on.",
    fix: "Write auth/munge or auth/slurm.",
};

pub(super) const TLS: Check = Check {
    id: "SA462",
    severity: Severity::Note,
    title: "TLSType: the source job of a login stays unknown",
    why: "From 25.05 on slurmd refuses questions without TLS, which neither this module nor SchedMD's of \
          older releases speaks. A user with several jobs on the node gets what action_unknown says: the newest \
          by default. slurm.conf(5), TLSType.",
    fix: "Set action_unknown= to what suits users with several jobs.",
};

pub(super) const LIMITS_TWICE: Check = Check {
    id: "SA463",
    severity: Severity::Note,
    title: "both ulimit_pam_adopt and limits=job give logins limits",
    why: "LaunchParameters=ulimit_pam_adopt lets slurmstepd set limits of the process that it adopts, from 23.02 \
          on; limits=job takes those of the job's own processes in the session phase, later. The later ones count.",
    fix: "Keep only limits=job.",
};

pub(super) const SLURMSTEPD_SERVICE: Check = Check {
    id: "SA464",
    severity: Severity::Failure,
    title: "the module acts in slurmstepd's own PAM session",
    why: "With UsePAM=1 slurmstepd opens a session of the service slurm for each job. With service=slurm the module \
          would move slurmstepd into its job's extern step, or deny the job its start; SchedMD's does so with \
          service=* too.",
    fix: "Take the module out of the stack of the service slurm, or name the service: service=sshd.",
};

pub(super) const NO_SERVICE: Check = Check {
    id: "SA465",
    severity: Severity::Warning,
    title: "UsePAM is on, and there is no PAM service slurm",
    why: "slurmstepd opens a session of the service slurm for each job; without its file the service other \
          decides, which denies all on most systems: then no job starts. This is not sshd's UsePAM, and the module \
          does not need it. slurm.conf(5), UsePAM.",
    fix: "Remove UsePAM from slurm.conf, or write /etc/pam.d/slurm.",
};

pub(super) const CONTAINER_NOT_JOINED: Check = Check {
    id: "SA466",
    severity: Severity::Warning,
    title: "jobs have directories of their own, and logins do not join them",
    why: "Slurm gives each job a /tmp and /dev/shm of its own; with join_container=false a login has the node's, \
          does not see its job's files, and leaves its own behind. namespace.html; pam_slurm_adopt(8), \
          join_container.",
    fix: "Remove join_container=false.",
};

pub(super) const USERS_OF_JOBS: Check = Check {
    id: "SA468",
    severity: Severity::Note,
    title: "nss_slurm knows users only inside their jobs",
    why: "slurmstepd answers for its job's user only to processes of the job. sshd asks before the login is in a job: \
          a user that no other source of nsswitch.conf has cannot log in. nss_slurm.html.",
    fix: "Have another source for the users who are to log in, such as sss, or put them into /etc/passwd.",
};

pub(super) const NO_NAMESPACE_FILE: Check = Check {
    id: "SA469",
    severity: Severity::Failure,
    title: "the file of the namespace plugin is missing",
    why: "slurmd does not start without it: no job starts on the node. job_container/tmpfs and namespace/tmpfs read \
          job_container.conf, namespace/linux reads namespace.yaml, beside slurm.conf. namespace.html.",
    fix: "Write the file, with AutoBasePath and BasePath, or remove the plugin from slurm.conf.",
};

pub(super) const USER_NAMESPACE: Check = Check {
    id: "SA467",
    severity: Severity::Warning,
    title: "user namespaces with ConstrainDevices need Linux 6.9",
    why: "namespace/linux with CLONE_NEWUSER hands the devices filter to the job by a BPF token, which older \
          kernels do not have: devices are not constrained, or no job starts. slurm.conf(5), NamespaceType.",
    fix: "Boot a kernel from 6.9 on, or leave CLONE_NEWUSER out of namespace.yaml.",
};

pub(super) fn look(slurm: &Slurm<'_>, notes: &mut Notes) {
    let lines = slurm.host.own_lines("sshd");
    authentication(slurm, notes);
    tls(slurm, &lines, notes);
    let launch = slurm.list("LaunchParameters");
    let adopts_limits = launch
        .iter()
        .find(|it| it.eq_ignore_ascii_case("ulimit_pam_adopt"));
    let takes_limits = lines.iter().find(|it| it.options.limits == Limits::Job);
    if let (Some(word), Some(line)) = (adopts_limits, takes_limits) {
        let detail = format!("limits=job stands in {}", Spot::pam(&line.line).file);
        let spot = slurm.at("LaunchParameters", word);
        notes.find(Finding::of(&LIMITS_TWICE, detail).at(spot));
    }
    pam_service(slurm, notes);
    user_database(slurm, notes);
    namespaces(slurm, &lines, notes);
}

fn authentication(slurm: &Slurm<'_>, notes: &mut Notes) {
    let Some((value, spot)) = slurm.value("AuthType") else {
        return;
    };
    let found = match value {
        "auth/munge" | "auth/slurm" => return notes.summary(value),
        "auth/none" | "none" => Finding::of(&NO_AUTHENTICATION, format!("AuthType is {value}")),
        "munge" | "slurm" => without_prefix(slurm, value),
        other => Finding::of(&UNKNOWN_AUTHENTICATION, format!("AuthType is {other}")),
    };
    notes.find(found.at(spot));
}

/// From 23.11 on Slurm does without the prefix, `src/interfaces/auth.c`.
fn without_prefix(slurm: &Slurm<'_>, value: &str) -> Finding {
    let severity = match slurm.is_from(Release(2311)) {
        Some(false) => Severity::Failure,
        _ => Severity::Warning,
    };
    let detail = format!("the module, and slurmd before 23.11, want auth/{value}");
    Finding::of(&UNKNOWN_AUTHENTICATION, detail).as_severe_as(severity)
}

fn tls(slurm: &Slurm<'_>, lines: &[OwnLine], notes: &mut Notes) {
    let Some((value, spot)) = slurm.value("TLSType") else {
        return;
    };
    if value == "tls/none" || slurm.is_from(Release(2505)) == Some(false) {
        return;
    }
    let unknown = lines
        .first()
        .map_or(Unknown::Newest, |it| it.options.unknown);
    let then = match unknown {
        Unknown::Newest => "are adopted into their newest job",
        Unknown::Oldest => "are adopted into their oldest job",
        Unknown::Longest => "are adopted into the job that ends last",
        Unknown::Largest => "are adopted into the job with the most CPUs",
        Unknown::Allow => "get in without adoption",
        Unknown::Deny => "are refused",
    };
    let detail = format!("users with several jobs here {then} (action_unknown)");
    notes.find(Finding::of(&TLS, detail).at(spot));
}

fn pam_service(slurm: &Slurm<'_>, notes: &mut Notes) {
    const SERVICE: &str = "slurm";
    let Some((value, spot)) = slurm.value("UsePAM") else {
        return;
    };
    if is_yes(value) != Some(true) {
        return;
    }
    for line in slurm.host.own_lines(SERVICE) {
        let options = &line.options;
        let acts = options.acts_for(SERVICE);
        if acts || options.acts_for("*") {
            let (severity, detail) = match acts {
                true => (Severity::Failure, "service= names slurm"),
                false => (
                    Severity::Warning,
                    "service=*: SchedMD's module acts here, this one does not",
                ),
            };
            let found = Finding::of(&SLURMSTEPD_SERVICE, detail);
            let spot = Spot::pam(&line.line).mark("service=");
            notes.find(found.at(spot).as_severe_as(severity));
        }
    }
    let layout = slurm.host.layout();
    let mut files = layout.dirs.iter().map(|it| it.join(SERVICE));
    if files.any(|it| slurm.host.tree.exists(it)) {
        return;
    }
    let other = slurm.host.tree.text("/etc/pam.d/other").unwrap_or_default();
    let mut other = other.lines().filter(|it| !it.trim_start().starts_with('#'));
    let (severity, then) = match other.any(|it| it.contains("pam_deny")) {
        true => (Severity::Warning, "the service other denies"),
        // Debian's goes on with common-*.
        false => (Severity::Note, "the service other decides"),
    };
    let detail = format!("UsePAM={value}, and no file {SERVICE} in /etc/pam.d: {then}");
    notes.find(
        Finding::of(&NO_SERVICE, detail)
            .at(spot)
            .as_severe_as(severity),
    );
}

fn user_database(slurm: &Slurm<'_>, notes: &mut Notes) {
    const FILE: &str = "/etc/nsswitch.conf";
    let text = slurm.host.tree.text(FILE).unwrap_or_default();
    let mut lines = text.lines().enumerate();
    let Some((index, line)) = lines.find(|(_, it)| it.trim_start().starts_with("passwd:")) else {
        return;
    };
    let code = line.split('#').next().unwrap_or_default();
    let sources: Vec<&str> = code.split_whitespace().skip(1).collect();
    let is_local =
        |it: &&str| ["files", "compat", "systemd", "slurm"].contains(it) || it.starts_with('[');
    if sources.contains(&"slurm") && sources.iter().all(is_local) {
        let spot = Spot::line(FILE, index + 1, line).mark("slurm");
        let detail = "sshd finds only users of /etc/passwd";
        notes.find(Finding::of(&USERS_OF_JOBS, detail).at(spot));
    }
}

fn namespaces(slurm: &Slurm<'_>, lines: &[OwnLine], notes: &mut Notes) {
    const KINDS: [(&str, &str); 3] = [
        ("job_container/tmpfs", "job_container.conf"),
        ("namespace/tmpfs", "job_container.conf"),
        ("namespace/linux", "namespace.yaml"),
    ];
    let mut keys = ["NamespaceType", "JobContainerType"].iter();
    let Some((plugin, place)) = keys.find_map(|key| slurm.value(key)) else {
        return;
    };
    let Some((_, file)) = KINDS.iter().find(|(kind, _)| *kind == plugin) else {
        return;
    };
    let path = slurm.beside(file);
    if !slurm.host.tree.exists(&path) {
        let detail = format!("there is no {}", path.display());
        notes.find(Finding::of(&NO_NAMESPACE_FILE, detail).at(place));
    }
    notes.summary(plugin);
    for line in lines.iter().filter(|it| !it.options.join_container) {
        let spot = Spot::pam(&line.line).mark("join_container");
        let detail = format!("jobs have the namespaces of {plugin}");
        notes.find(Finding::of(&CONTAINER_NOT_JOINED, detail).at(spot));
    }
    if plugin == "namespace/linux" {
        user_namespace(slurm, notes);
    }
}

fn user_namespace(slurm: &Slurm<'_>, notes: &mut Notes) {
    const FLAG: &str = "CLONE_NEWUSER";
    let (yaml, cgroup) = (slurm.beside("namespace.yaml"), slurm.beside("cgroup.conf"));
    let text = slurm.host.tree.text(&yaml).unwrap_or_default();
    let cgroup = slurm
        .host
        .tree
        .text(cgroup)
        .unwrap_or_default()
        .to_ascii_lowercase();
    let constrains = cgroup
        .lines()
        .any(|it| it.replace(' ', "").starts_with("constraindevices=yes"));
    let kernel = match slurm.host.is_live() {
        true => slurm
            .host
            .tree
            .text("/proc/sys/kernel/osrelease")
            .unwrap_or_default(),
        false => String::new(),
    };
    if !constrains || has_bpf_tokens(kernel.trim()) {
        return;
    }
    for (index, line) in text.lines().enumerate() {
        if !line.split('#').next().unwrap_or_default().contains(FLAG) {
            continue;
        }
        let (severity, detail) = match kernel.trim() {
            "" => (
                Severity::Note,
                "which kernel the node boots is not known".to_owned(),
            ),
            kernel => (Severity::Warning, format!("this is Linux {kernel}")),
        };
        let spot = Spot::line(yaml.to_string_lossy(), index + 1, line).mark(FLAG);
        let found = Finding::of(&USER_NAMESPACE, detail).at(spot);
        notes.find(found.as_severe_as(severity));
    }
}

/// Whether a kernel of this release has BPF tokens.
fn has_bpf_tokens(release: &str) -> bool {
    let mut numbers = release.split(|sign: char| !sign.is_ascii_digit());
    let mut next = || numbers.next().and_then(|it| it.parse::<u32>().ok());
    matches!((next(), next()), (Some(major), Some(minor)) if (major, minor) >= (6, 9))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_with_bpf_tokens() {
        for (release, expected) in [
            ("6.9.0", true),
            ("6.18.44-x", true),
            ("7.0", true),
            ("6.8.12-amd64", false),
            ("5.14.0-503.el9", false),
            ("", false),
        ] {
            assert_eq!(has_bpf_tokens(release), expected, "{release}");
        }
    }
}
