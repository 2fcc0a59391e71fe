//! Lines of ours in files that sshd does not read.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use adopt::options::Options;
use pamconf::{Facility, Line, Service};

use crate::host::{Host, PAM_CONF};
use crate::pam::modules::ModuleDirs;
use crate::pam::names_us;
use crate::{Finding, Spot};

/// The largest number of files that are looked at.
const MOST_FILES: usize = 500;

/// A line in a file that the service does not read.
pub(super) struct Stray {
    pub spot: Spot,
    /// The files that it reads, of those in which a line could stand.
    pub reads: String,
}

/// Lines of ours for a facility in files that a service does not read.
pub(super) fn strays(host: &Host, name: &str, facility: Facility) -> Vec<Stray> {
    let service = host.service(name);
    let read = files(&service);
    let mut paths = Vec::new();
    for dir in host.layout().dirs {
        let names = host.tree.names(&dir).unwrap_or_default();
        paths.extend(names.iter().take(MOST_FILES).map(|it| dir.join(it)));
    }
    let is_unread = |path: &Path| !read.contains(&*path.to_string_lossy());
    paths.retain(|it| is_unread(it));
    let mut strays = Vec::new();
    let reads: Vec<String> = read
        .into_iter()
        .filter(|it| !it.ends_with("/other"))
        .collect();
    let reads = reads.join(", ");
    let mut look = |path: &Path, is_one_file: bool| {
        let Ok(text) = host.tree.text(path) else {
            return;
        };
        for (number, line) in text.lines().enumerate() {
            if acts(line, is_one_file, name, facility) {
                let file = path.to_string_lossy().into_owned();
                let spot = Spot::line(file, number + 1, line.trim_end()).mark("pam_slurm_adopt");
                let reads = reads.clone();
                strays.push(Stray { spot, reads });
            }
        }
    };
    paths.iter().for_each(|it| look(it, false));
    if !reads.contains(PAM_CONF) {
        look(Path::new(PAM_CONF), true);
    }
    strays
}

/// Whether a line is one of ours that would act for the service.
fn acts(line: &str, has_service: bool, name: &str, facility: Facility) -> bool {
    let line = line.split('#').next().unwrap_or_default();
    let mut words = line.split_whitespace();
    if has_service && words.next() != Some(name) {
        return false;
    }
    let word = words.next().unwrap_or_default();
    let is_facility = word
        .trim_start_matches('-')
        .eq_ignore_ascii_case(facility.name());
    if !is_facility || !names_us(line.as_bytes()) {
        return false;
    }
    let mut arguments = words.skip_while(|it| !names_us(it.as_bytes())).skip(1);
    let arguments: Vec<&str> = arguments.by_ref().collect();
    let place = Path::new(adopt::options::FILE);
    Options::of_text(place, "", &arguments).0.acts_for(name)
}

/// The files with lines that libpam takes for a service. Those of `other` count if it has stacks for the service.
pub(super) fn files(service: &Service) -> BTreeSet<String> {
    let is_other = |it: &&Line| it.place.file.ends_with("other");
    let own = service.lines().iter().take_while(|it| !is_other(it));
    let handlers = Facility::ALL.into_iter().flat_map(|it| service.stack(it));
    let walked = handlers.filter_map(|it| service.line(it));
    let files = own.chain(walked).map(|it| &it.place.file);
    files.map(|it| it.to_string_lossy().into_owned()).collect()
}

/// Whether the module's file is here; None if that cannot be seen.
pub(super) fn is_installed(host: &Host, dirs: &ModuleDirs) -> Option<bool> {
    let files = dirs.files(&host.tree, "pam_slurm_adopt.so")?;
    Some(!files.is_empty())
}

/// Whether a service has a file of its own.
pub(super) fn has_file(host: &Host, service: &str) -> bool {
    let has_file = |dir: &PathBuf| host.tree.exists(dir.join(service));
    host.layout().dirs.iter().any(has_file)
}

/// Adds to a finding's advice that the service's file is to be copied first, where only the vendor's is there: a file
/// in /etc/pam.d with the new line alone would be the whole stack.
pub(super) fn with_copy(host: &Host, service: &str, finding: Finding) -> Finding {
    let dirs = host.layout().dirs;
    let mut files = dirs.iter().map(|it| it.join(service));
    let Some(file) = files.find(|it| host.tree.exists(it)) else {
        return finding;
    };
    let own = format!("/etc/pam.d/{service}");
    if file == Path::new(&own) {
        return finding;
    }
    let fix = format!("Copy {} to {own}. {}", file.display(), finding.advice());
    finding.fix(fix)
}

/// Whether there is an sshd that could use the service.
pub(crate) fn has_sshd(host: &Host, service: &str) -> bool {
    let files = ["/usr/sbin/sshd", "/usr/bin/sshd", "/etc/ssh/sshd_config"];
    has_file(host, service) || files.iter().any(|it| host.tree.exists(it))
}
