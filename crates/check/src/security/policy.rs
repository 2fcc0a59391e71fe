//! The policy modules of SELinux: those of packaging/selinux, or others in their place.

use std::net::{IpAddr, Ipv4Addr};

use adopt::options::RuntimeDir;
use adopt::state_dir;
use pamconf::Facility;

use crate::host::tree::Tree;
use crate::host::{Host, OwnLine};
use crate::security::checks;
use crate::security::selinux::{CONFIG, Mode, setting, type_of};
use crate::{Finding, Notes, Severity, Spot};

/// The policy module of packaging/selinux that every login needs.
const OURS: &str = "slurm_adopt";
/// Those beside it, each for an option.
const RUNTIME_DIR: &str = "slurm_adopt_runtime_dir";
const CALLER_ID: &str = "slurm_adopt_callerid";
/// All of packaging/selinux.
const ALL: [&str; 3] = [OURS, RUNTIME_DIR, CALLER_ID];
/// The type that [`OURS`] gives to /run/slurm-adopt.
const STATE_TYPE: &str = "slurm_adopt_runtime_t";

/// Judges whether the policy has rules for the module: ours, another of that name, or one that makes sshd permissive.
pub(super) fn look(host: &Host, mode: Mode, config: &str, has_logins: bool, notes: &mut Notes) {
    let kind = match setting(config, "SELINUXTYPE") {
        "" => "targeted",
        kind => kind,
    };
    let modules = match Modules::read(&host.tree, kind) {
        Ok(modules) => modules,
        Err(error) => {
            notes.unseen("SELinux policy modules", error.to_string());
            return;
        }
    };
    if modules.0.is_empty() {
        let what = format!("SELinux policy modules of {kind}");
        notes.unseen(what, "there is no store of modules");
        return;
    }
    let known = [OURS, "permissive_sshd_t", "unconfined_sshd"];
    let found = known.into_iter().find(|it| modules.has(it));
    if let Some(name) = found {
        notes.summary(format!("policy module {name}"));
    }
    let findings = match found {
        None => vec![without_ours(&modules, kind, has_logins)],
        Some(OURS) => {
            state_label(host, notes);
            let lines = own_lines(host);
            let runtime_dir = for_runtime_dir(&modules, &lines);
            let both = runtime_dir
                .into_iter()
                .chain(for_callerid(&modules, &lines));
            both.collect()
        }
        Some(_) => return,
    };
    for finding in findings {
        // A permissive policy denies nothing.
        notes.find(match mode {
            Mode::Permissive => finding.as_severe_as(Severity::Note),
            _ => finding,
        });
    }
}

/// The finding about a policy that has not our module.
fn without_ours(modules: &Modules, kind: &str, has_logins: bool) -> Finding {
    let mut others = modules
        .0
        .iter()
        .filter(|(_, it)| !ALL.contains(&it.as_str()));
    let of_slurm = others.find(|(_, name)| name.contains("slurm"));
    let of_site = modules.of_site();
    let detail = match (of_slurm, of_site.is_empty()) {
        (Some((_, name)), _) => format!(
            "{} is not the module {OURS}, and may lack rules that this release needs",
            name.escape_debug()
        ),
        (None, true) => format!("no policy module of {kind} has slurm in its name"),
        (None, false) => format!(
            "no policy module of {kind} has slurm in its name; of this site: {}",
            of_site.join(", ").escape_debug()
        ),
    };
    let finding = Finding::of(&checks::NO_POLICY, detail).at(Spot::file(CONFIG));
    // The site's module may have the rules.
    match of_slurm.is_some() || !of_site.is_empty() || has_logins {
        true => finding.as_severe_as(Severity::Note),
        false => finding,
    }
}

/// Judges the label of /run/slurm-adopt, which may have been made before the policy was loaded.
fn state_label(host: &Host, notes: &mut Notes) {
    let label = host.tree.attribute(state_dir::DIR, "security.selinux");
    let label = label.map(|it| String::from_utf8_lossy(&it).into_owned());
    let kind = label.as_deref().and_then(type_of).unwrap_or(STATE_TYPE);
    if host.is_live() && kind != STATE_TYPE {
        let dir = state_dir::DIR;
        let detail = format!("{dir} is {}, not {STATE_TYPE}", kind.escape_debug());
        let finding = Finding::of(&checks::LABEL, detail).at(Spot::file(dir));
        let finding = finding.fix(format!("restorecon -RF {dir}"));
        notes.find(finding.as_severe_as(Severity::Warning));
    }
}

/// The module's lines in the stacks of sshd.
fn own_lines(host: &Host) -> Vec<OwnLine> {
    let mut lines = Vec::new();
    for service in host.ssh_services() {
        let mut own = host.own_lines(&service);
        own.retain(|it| it.options.acts_for(&service));
        lines.extend(own);
    }
    lines
}

fn for_runtime_dir(modules: &Modules, lines: &[OwnLine]) -> Option<Finding> {
    let mut session = lines.iter().filter(|it| it.facility == Facility::Session);
    let is_used = session.any(|it| it.options.runtime_dir == RuntimeDir::Create);
    let detail = "runtime_dir=create makes no directory";
    is_used.then(|| modules.without(RUNTIME_DIR, detail))?
}

fn for_callerid(modules: &Modules, lines: &[OwnLine]) -> Option<Finding> {
    // A network that has the first and the last address has all.
    let ends = [Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST].map(IpAddr::V4);
    let asks_nobody = |it: &OwnLine| {
        let mut skipped = it.options.callerid_skip.iter();
        skipped.any(|network| ends.iter().all(|it| network.contains(*it)))
    };
    let is_used = lines.iter().any(|it| !asks_nobody(it));
    let detail = "no login of a user with several jobs is traced to its job";
    is_used.then(|| modules.without(CALLER_ID, detail))?
}

/// The policy modules that are installed and not disabled, with their priorities.
struct Modules(Vec<(u32, String)>);

impl Modules {
    fn read(tree: &Tree, kind: &str) -> std::io::Result<Self> {
        let stores = [
            format!("/var/lib/selinux/{kind}/active/modules"),
            // RHEL 7
            format!("/etc/selinux/{kind}/active/modules"),
        ];
        let mut found = Vec::new();
        for store in stores {
            let disabled = tree.names(format!("{store}/disabled"))?;
            for priority in tree.names(&store)? {
                let Ok(number) = priority.parse::<u32>() else {
                    continue;
                };
                let mut names = tree.names(format!("{store}/{priority}"))?;
                names.retain(|it| !disabled.contains(it));
                found.extend(names.into_iter().map(|it| (number, it)));
            }
        }
        Ok(Self(found))
    }

    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(_, it)| it == name)
    }

    /// Those that are neither the distribution's nor ours.
    fn of_site(&self) -> Vec<&str> {
        // 100 is the distribution's, 200 that of packages; 400 is what semodule(8) uses by default.
        let of_site = self.0.iter().filter(|(priority, _)| *priority >= 300);
        let names = of_site.map(|(_, name)| name.as_str());
        names.filter(|it| !ALL.contains(it)).collect()
    }

    /// The finding about a module of ours that is not there, and what follows from that.
    fn without(&self, name: &str, detail: &str) -> Option<Finding> {
        if self.has(name) {
            return None;
        }
        let detail = format!("without {name} {detail}");
        let finding = Finding::of(&checks::NO_POLICY_FOR_OPTION, detail).at(Spot::file(CONFIG));
        let fix = format!("semodule -i /usr/share/selinux/packages/slurm-adopt/{name}.cil");
        let finding = finding.fix(fix);
        // The site's module may have the rules.
        Some(match self.of_site().is_empty() {
            true => finding,
            false => finding.as_severe_as(Severity::Note),
        })
    }
}
