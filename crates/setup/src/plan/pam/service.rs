//! A PAM service of sshd, its own file, and what check says of it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use adopt::options::{self, Options};
use check::host::tree::is_absent;
use check::host::{Host, ModuleCall, OwnLine, PAM_CONF};
use check::{Finding, Spot};
use pamconf::{Action, Code, Facility, Handler, Item, Line, Problem, ProblemKind, ReadOther};

use crate::plan::lines::Lines;
use crate::plan::pam::line;
use crate::plan::{FileRefusal, PamRefusal, Refusal, Work};

/// A PAM service of sshd.
pub(super) struct Service<'a> {
    pub host: &'a Host,
    pub name: String,
    /// All services of sshd with this file: it may have several names.
    pub names: Vec<String>,
    pub read: Arc<pamconf::Service>,
    /// The file that libpam reads for it.
    pub file: PathBuf,
    /// The file to change: the same, or the one that overrides the vendor's.
    pub own: PathBuf,
    /// The findings of check about its lines.
    pub findings: Vec<Finding>,
}

/// The directory for files of admins.
const DIR: &str = "/etc/pam.d";

impl<'a> Service<'a> {
    /// Reads a service. None if it has no file, which advice then says; sshd's own must have one.
    pub fn open(work: &mut Work<'a>, name: &str) -> Result<Option<Self>, Refusal> {
        let host = work.host();
        let dirs = host.layout().dirs;
        if !dirs.iter().any(|it| host.tree.exists(it)) && host.tree.exists(PAM_CONF) {
            return Err(PamRefusal::OneFile { dir: DIR }.into());
        }
        let own = Path::new(DIR).join(name);
        refuse_odd(host, &own)?;
        let Some(mut service) = Self::of(host, name) else {
            if name == "sshd" {
                return Err(PamRefusal::NoSshd(own).into());
            }
            let title = format!("sshd names the PAM service {name}, which has no file");
            let [from, to] = [&Path::new(DIR).join("sshd"), &own].map(|it| host.tree.on_host(it));
            work.advise(title, &[&format!("cp {} {}", from.display(), to.display())]);
            return Ok(None);
        };
        service.findings = check::findings(host, &["pam/files", "pam/account", "pam/session"]);
        service.refuse()?;
        Ok(Some(service))
    }

    /// Reads a service of any program; None if it has no file.
    pub fn of(host: &'a Host, name: &str) -> Option<Self> {
        let dirs = host.layout().dirs;
        let mut files = dirs.iter().map(|it| it.join(name));
        Some(Self {
            host,
            name: name.to_owned(),
            names: vec![name.to_owned()],
            read: host.service(name),
            file: files.find(|it| host.tree.exists(it))?,
            own: Path::new(DIR).join(name),
            findings: Vec::new(),
        })
    }

    /// Refuses a file that libpam does not read as written: what is added could not be relied on.
    fn refuse(&self) -> Result<(), PamRefusal> {
        if let Some(problem) = self.read.fatal() {
            return Err(PamRefusal::GivesUp(problem.clone()));
        }
        let is_here = |it: &&Problem| {
            let place = it.place.as_ref();
            place.is_none_or(|it| !it.file.ends_with("other"))
        };
        let hides =
            |it: &&Problem| it.kind.hides_lines() || matches!(it.kind, ProblemKind::CarriageReturn);
        let mut problems = self.read.problems().iter().filter(is_here);
        if let Some(problem) = problems.find(hides) {
            return Err(PamRefusal::Misread(problem.clone()));
        }
        if let Some(gap) = self.gap() {
            return Err(gap);
        }
        for facility in [Facility::Account, Facility::Session] {
            if self.tops(facility).is_empty() {
                let file = self.file.clone();
                return Err(PamRefusal::NoLines { file, facility });
            }
        }
        Ok(())
    }

    /// A blank line or comment within a continued line of its own file: from Linux-PAM 1.6 on the line ends there, earlier
    /// releases read on behind it.
    pub fn gap(&self) -> Option<PamRefusal> {
        let text = self.text();
        let is_gap = |line: &[u8]| {
            let line = line.trim_ascii();
            line.is_empty() || line.starts_with(b"#") || line == b"\\"
        };
        let mut numbers = 1..text.count();
        let line = numbers.find(|it| is_continued(text.line(*it)) && is_gap(text.line(it + 1)))?;
        let file = self.file.clone();
        Some(PamRefusal::Gap { file, line })
    }

    /// Its lines of ours that act for it.
    pub fn acting(&self, facility: Facility) -> Vec<OwnLine> {
        let mut lines = self.host.own_lines(&self.name);
        lines.retain(|it| it.facility == facility && self.is_meant_by(&it.options));
        lines
    }

    /// Whether a line with these options acts for the service, by all of its names.
    fn is_meant_by(&self, options: &Options) -> bool {
        self.names.iter().all(|it| options.acts_for(it))
    }

    /// What `service=` of a line that leaves the service out has to say: what it says, as far as there are such
    /// services, and the names of this one.
    pub fn services(&self, old: &str) -> String {
        let dirs = self.host.layout().dirs;
        let exists = |name: &str| dirs.iter().any(|it| self.host.tree.exists(it.join(name)));
        let mut names: Vec<&str> = old.split(',').filter(|it| exists(it)).collect();
        for name in &self.names {
            if !names.contains(&name.as_str()) {
                names.push(name);
            }
        }
        names.join(",")
    }

    /// The file as it is, links followed.
    pub fn real(&self) -> PathBuf {
        let real = self.host.tree.resolve(&self.file);
        real.unwrap_or_else(|_| self.file.clone())
    }

    /// The lines of ours in its own file that do not act for it.
    pub fn idle(&self, facility: Facility) -> Vec<OwnLine> {
        let mut lines = self.host.own_lines(&self.name);
        lines.retain(|it| {
            let is_here = it.line.depth == 0 && *it.line.place.file == *self.file;
            is_here && it.facility == facility && !self.is_meant_by(&it.options)
        });
        lines
    }

    /// The control with which a failure of a line counts: where a later line than this entry can have libpam forget it,
    /// the stack is to end there.
    pub fn control(&self, facility: Facility, entry: usize) -> &'static str {
        let forgets =
            |it: &Handler| Code::all().any(|code| it.control.action(code) == Action::Reset);
        match self.read.stack(facility).iter().skip(entry).any(forgets) {
            true => line::REQUISITE,
            false => "required",
        }
    }

    /// Has a line with these arguments act for the service: without `service=`, unless its default or the options file
    /// leaves the service out.
    pub fn include(&self, arguments: &mut Vec<Vec<u8>>) {
        arguments.retain(|it| !it.starts_with(b"service="));
        let text = self.host.options_file().text;
        let options = Options::of_text(Path::new(options::FILE), &text, arguments).0;
        if !self.is_meant_by(&options) {
            arguments.push(format!("service={}", self.names.join(",")).into_bytes());
        }
    }

    /// The service with a line before another one of its own file, and without an old one.
    pub fn with_line(&self, before: usize, text: &[u8], old: Option<&OwnLine>) -> pamconf::Service {
        let mut read = |path: &Path| {
            let bytes = self.host.tree.read(path)?;
            let mut lines = Lines::of(&bytes);
            let is_here = |it: &&OwnLine| *it.line.place.file == *path;
            if let Some(old) = old.filter(is_here) {
                lines.remove(extent(&lines, old.line.place.line));
            }
            if path == self.file {
                lines.insert(before, text);
            }
            Ok(lines.bytes())
        };
        let layout = self.host.layout();
        pamconf::Service::read(&layout, &self.name, ReadOther::Always, &mut read)
    }

    /// The lines of its own file that bring entries of a stack, in order. None if libpam uses those of `other`.
    pub fn tops(&self, facility: Facility) -> Vec<&Line> {
        let top = |index: usize| {
            let lines = self.read.lines().get(..=index).unwrap_or_default();
            let line = lines.iter().rfind(|it| it.depth == 0);
            line.filter(|it| *it.place.file == *self.file)
        };
        let stack = self.read.stack(facility).iter();
        let mut tops: Vec<&Line> = stack.filter_map(|it| top(it.line)).collect();
        tops.dedup();
        tops
    }

    /// The lines of its own file as text.
    pub fn text(&self) -> Lines {
        Lines::of(&self.host.tree.read(&self.file).unwrap_or_default())
    }

    /// The finding of a check about this service's stacks.
    pub fn finding(&self, id: &str) -> Option<&Finding> {
        let is_here = |spot: &Spot| {
            let file = Path::new(&spot.file);
            file == self.file || self.read.lines().iter().any(|it| *it.place.file == *file)
        };
        let is_it = |it: &&Finding| it.check.id == id && it.spot.as_ref().is_none_or(is_here);
        self.findings.iter().find(is_it)
    }

    /// The line of ours in a file that the service does not read, by the check that finds it.
    pub fn stray(&self, id: &str) -> Option<&Spot> {
        let start = format!("{} reads ", self.name);
        let is_it = |it: &&Finding| it.check.id == id && it.detail.starts_with(&start);
        self.findings.iter().find(is_it)?.spot.as_ref()
    }

    /// Makes the file that is changed, where only the vendor's is there.
    pub fn prepare(&self, work: &mut Work<'_>) -> Result<(), FileRefusal> {
        match self.file == self.own {
            true => Ok(()),
            false => {
                let file = self.file.display();
                let why = format!("{} overrides {file}, the package's", self.own.display());
                work.draft.copy(&self.file, &self.own, &why)
            }
        }
    }

    /// Makes sure that root still gets in by the files as they are to be, if root does now.
    pub fn verify(&self, work: &Work<'_>) -> Result<(), PamRefusal> {
        let layout = self.host.layout();
        let mut read = |path: &Path| work.draft.bytes(path);
        let new = pamconf::Service::read(&layout, &self.name, ReadOther::Always, &mut read);
        for facility in [Facility::Account, Facility::Session] {
            if lets_root_in(&self.read, facility) && !lets_root_in(&new, facility) {
                let service = self.name.clone();
                return Err(PamRefusal::RootOut { service, facility });
            }
        }
        Ok(())
    }
}

/// Refuses what stands in the place of a file and is none.
fn refuse_odd(host: &Host, path: &Path) -> Result<(), Refusal> {
    let tree = &host.tree;
    match (tree.status(path), tree.link_target(path)) {
        (Ok(status), _) if !status.is_file() => {
            let kind = if status.is_dir() {
                "a directory"
            } else {
                "not a regular file"
            };
            let path = path.to_owned();
            Err(PamRefusal::NotFile { path, kind }.into())
        }
        (Err(error), Ok(target)) if is_absent(&error) => {
            let path = path.to_owned();
            Err(FileRefusal::Dangling { path, target }.into())
        }
        (Err(error), _) if !is_absent(&error) => Err(FileRefusal::io("open", path, error).into()),
        _ => Ok(()),
    }
}

/// Whether root passes a stack if nothing else is wrong.
fn lets_root_in(service: &pamconf::Service, facility: Facility) -> bool {
    let walk = service.walk(facility, |_, handler| {
        let Some(call) = ModuleCall::of(service, handler) else {
            return Code::PERM_DENIED;
        };
        match call.name().as_str() {
            "pam_deny.so" => Code::PERM_DENIED,
            "pam_nologin.so" => Code::IGNORE,
            _ if call.is_own() && facility == Facility::Account => Code::IGNORE,
            _ => Code::SUCCESS,
        }
    });
    walk.code == Code::SUCCESS
}

/// The physical lines of a line.
pub(super) fn extent(text: &Lines, first: usize) -> std::ops::Range<usize> {
    let mut end = first;
    while end < text.count() && is_continued(text.line(end)) {
        end += 1;
    }
    first..end + 1
}

/// Whether a line goes on in the next one, as libpam sees it (pam_line.c).
fn is_continued(line: &[u8]) -> bool {
    let line = line.trim_ascii_end();
    line.ends_with(b"\\") && !line.contains(&b'#')
}

/// The words of a call's line that name the module, and its arguments.
pub(super) fn call(line: &Line) -> (Vec<u8>, Vec<Vec<u8>>) {
    match &line.item {
        Item::Module { path, arguments } => (path.clone(), arguments.clone()),
        _ => (Vec::new(), Vec::new()),
    }
}
