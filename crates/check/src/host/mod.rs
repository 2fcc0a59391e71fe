//! The host that is judged: its files, processes and what more than one room needs to know.

pub mod command;
pub mod distribution;
pub mod fstab;
pub mod modules;
pub mod owner;
pub mod processes;
pub mod slurm_conf;
pub mod slurmd;
pub mod sshd;
pub mod tree;
pub mod unit;
pub mod users;

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use adopt::log::Sink;
use adopt::node::{Node, NodeError};
use adopt::options::{self, BadArgument, Options};
use pamconf::{Facility, Flavor, Handler, Item, Layout, ReadOther, Role, Service};
use sys::Deadline;

use crate::host::command::Printed;
use crate::host::distribution::{Distribution, Family};
use crate::host::modules::ModuleSearch;
use crate::host::processes::Process;
use crate::host::slurm_conf::{NoSlurmConf, SlurmConf};
use crate::host::sshd::daemon::{self, Sshd};
use crate::host::tree::Tree;

/// The host that is judged.
#[derive(Debug)]
pub struct Host {
    /// Its files.
    pub tree: Tree,
    /// When everything must have been looked at.
    pub deadline: Deadline,
    user: Option<String>,
    distribution: OnceLock<Distribution>,
    processes: OnceLock<Vec<Process>>,
    modules: OnceLock<ModuleSearch>,
    services: Mutex<BTreeMap<String, Arc<Service>>>,
    node: OnceLock<Result<Node, NodeError>>,
    slurm_conf: OnceLock<Result<SlurmConf, NoSlurmConf>>,
    sshds: OnceLock<Vec<Sshd>>,
    slurmd_version: OnceLock<Option<String>>,
}

/// A line of a PAM stack that calls this module, or SchedMD's.
#[derive(Debug)]
pub struct OwnLine {
    /// The stack.
    pub facility: Facility,
    /// The index of its entry in the stack.
    pub entry: usize,
    /// The line.
    pub line: pamconf::Line,
    /// Its arguments and those of the options file as values.
    pub options: Options,
    /// Settings without effect.
    pub bad: Vec<BadArgument>,
}

/// /etc/security/slurm_adopt.conf.
#[derive(Debug, Default)]
pub struct OptionsFile {
    /// Its text; empty if there is none. One that the module does not trust or cannot read counts as `strict`.
    pub text: String,
    /// The reason why it does not count.
    pub fault: Option<io::Error>,
}

/// Whether an error only says that the caller of `slurm-adopt` is not root: root may read everything.
#[must_use]
pub fn is_for_root(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied && sys::effective_uid() != 0
}

/// The file that libpam reads if there is no directory of services.
pub const PAM_CONF: &str = "/etc/pam.conf";

/// The largest options file that the module reads, in bytes.
const LARGEST_OPTIONS: usize = 1 << 20;

/// Takes the log of adopt, where only its results count.
#[derive(Debug)]
pub struct Nowhere;

impl Sink for Nowhere {
    fn line(&self, _: adopt::log::Severity, _: &str) {}
}

impl Host {
    /// A host with these files.
    #[must_use]
    pub fn new(tree: Tree, deadline: Deadline) -> Self {
        Self {
            tree,
            deadline,
            user: None,
            distribution: OnceLock::new(),
            processes: OnceLock::new(),
            modules: OnceLock::new(),
            services: Mutex::default(),
            node: OnceLock::new(),
            slurm_conf: OnceLock::new(),
            sshds: OnceLock::new(),
            slurmd_version: OnceLock::new(),
        }
    }

    /// Sets the user who makes a trial login.
    #[must_use]
    pub fn with_user(self, user: Option<String>) -> Self {
        Self { user, ..self }
    }

    /// The user who makes a trial login, if that is asked for.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// Whether it runs: processes, sockets and programs can be looked at.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.tree.is_live()
    }

    /// Its distribution.
    pub fn distribution(&self) -> &Distribution {
        self.distribution
            .get_or_init(|| Distribution::read(&self.tree))
    }

    /// Its processes; none for a tree that does not run.
    pub fn processes(&self) -> &[Process] {
        match self.is_live() {
            true => self.processes.get_or_init(processes::all),
            false => &[],
        }
    }

    /// Runs one of its programs until the deadline.
    ///
    /// # Errors
    /// Those of [`command::run`]; `Unsupported` for a tree that does not run.
    pub fn run(&self, program: &str, args: &[&str]) -> io::Result<Printed> {
        match self.is_live() {
            true => command::run(program, args, &self.deadline),
            false => Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "the tree does not run",
            )),
        }
    }

    /// What the slurmd that runs here prints with `-V`.
    pub fn slurmd_version(&self) -> Option<&str> {
        let version = || slurmd::version(self);
        self.slurmd_version.get_or_init(version).as_deref()
    }

    /// Runs one of its programs for at most three seconds: what may ask a directory service, or wait for a lock, must
    /// not use up the time of all other checks.
    ///
    /// # Errors
    /// As [`Host::run`].
    pub fn run_briefly(&self, program: &str, args: &[&str]) -> io::Result<Printed> {
        let soon = self.deadline.remaining().min(Duration::from_secs(3));
        match self.is_live() {
            true => command::run(program, args, &Deadline::after(soon)),
            false => self.run(program, args),
        }
    }

    /// The services of /etc/pam.d, sshd first; without files that an editor or a package manager left there.
    ///
    /// # Errors
    /// Those of open(2).
    pub fn services(&self) -> io::Result<Vec<String>> {
        const LEFTOVERS: [&str; 9] = [
            ".rpm", ".dpkg", ".ucf", ".bak", ".orig", ".old", ".save", ".sw", ".tmp",
        ];
        let is_leftover = |name: &str| {
            name.ends_with('~')
                || name.starts_with('.')
                || LEFTOVERS.iter().any(|it| name.contains(it))
        };
        let mut names = self.tree.names("/etc/pam.d")?;
        names.retain(|it| !is_leftover(it));
        names.sort_by_key(|it| it != "sshd");
        Ok(names)
    }

    /// Where its libpam looks for files.
    #[must_use]
    pub fn layout(&self) -> Layout {
        let (flavor, vendor) = match self.distribution().family {
            Family::Debian => (Flavor::Debian, None),
            Family::Suse => (Flavor::Upstream, Some("/usr/etc/pam.d")),
            Family::RedHat => (Flavor::Upstream, Some("/usr/share/pam/pam.d")),
            Family::Other => (Flavor::Either, Some("/usr/share/pam/pam.d")),
        };
        let dirs = ["/etc/pam.d", "/usr/lib/pam.d"].into_iter().chain(vendor);
        Layout {
            dirs: dirs.map(PathBuf::from).collect(),
            flavor,
        }
    }

    /// Where its libpam looks for modules.
    pub fn modules(&self) -> &ModuleSearch {
        let find = || ModuleSearch::of(&self.tree, self.distribution().family);
        self.modules.get_or_init(find)
    }

    /// A PAM service as its libpam reads it.
    pub fn service(&self, name: &str) -> Arc<Service> {
        let mut services = self.services.lock().unwrap_or_else(PoisonError::into_inner);
        let read = || {
            let layout = self.layout();
            let mut read_file = |path: &Path| self.tree.read(path);
            let has_dir = layout.dirs.iter().any(|it| self.tree.exists(it));
            let service = match self.tree.read(PAM_CONF) {
                Ok(text) if !has_dir => {
                    let file = Path::new(PAM_CONF);
                    Service::read_pam_conf(&layout, file, &text, name, &mut read_file)
                }
                _ => Service::read(&layout, name, ReadOther::Always, &mut read_file),
            };
            Arc::new(service)
        };
        Arc::clone(services.entry(name.to_owned()).or_insert_with(read))
    }

    /// The options file as the module takes it.
    pub fn options_file(&self) -> OptionsFile {
        let path = options::FILE;
        if let Some(bytes) = self.tree.change(path) {
            return OptionsFile {
                text: String::from_utf8_lossy(bytes).into_owned(),
                fault: None,
            };
        }
        let read = self.tree.read(path).and_then(|bytes| {
            let status = self.tree.status(path)?;
            let is_safe = owner::is_roots(&self.tree, &status) && status.mode() & 0o022 == 0;
            let (uid, mode) = (status.uid(), status.mode() & 0o7777);
            if bytes.len() > LARGEST_OPTIONS {
                return Err(io::Error::other("larger than 1 MB"));
            }
            let unsafe_file = || io::Error::other(format!("owner uid {uid}, mode {mode:04o}"));
            is_safe.then_some(bytes).ok_or_else(unsafe_file)
        });
        match read {
            Ok(bytes) => OptionsFile {
                text: String::from_utf8_lossy(&bytes).into_owned(),
                fault: None,
            },
            Err(error) if tree::is_absent(&error) && self.tree.link_status(path).is_err() => {
                OptionsFile::default()
            }
            Err(error) => OptionsFile {
                text: "strict".to_owned(),
                fault: Some(error),
            },
        }
    }

    /// Its sshds: those that run, else those that would.
    pub fn sshds(&self) -> &[Sshd] {
        self.sshds.get_or_init(|| daemon::all(self))
    }

    /// The PAM services of ssh logins, at least one: `sshd`, unless PAMServiceName or sshd's name says otherwise.
    pub fn ssh_services(&self) -> Vec<String> {
        daemon::services(self.sshds())
    }

    /// The lines of a service's account and session stacks that call this module or SchedMD's.
    pub fn own_lines(&self, service: &str) -> Vec<OwnLine> {
        let read = self.service(service);
        let file = self.options_file().text;
        let mut lines = Vec::new();
        for facility in [Facility::Account, Facility::Session] {
            for (entry, handler) in read.stack(facility).iter().enumerate() {
                let call = ModuleCall::of(&read, handler);
                let Some(call) = call.filter(ModuleCall::is_own) else {
                    continue;
                };
                let place = Path::new(options::FILE);
                let (options, bad) = Options::of_text(place, &file, call.arguments);
                lines.push(OwnLine {
                    facility,
                    entry,
                    line: call.line.clone(),
                    options,
                    bad,
                });
            }
        }
        lines
    }

    /// The options that apply to ssh logins: those of the first account line, else of the first session line, else
    /// those of the options file.
    #[must_use]
    pub fn options(&self) -> Options {
        let lines = self.own_lines("sshd");
        match lines.into_iter().next() {
            Some(line) => line.options,
            None => {
                let file = self.options_file().text;
                Options::of_text::<&str>(Path::new(options::FILE), &file, &[]).0
            }
        }
    }

    /// This node as a login finds it; None for a tree that does not run.
    pub fn node(&self) -> Option<&Result<Node, NodeError>> {
        let find = || adopt::survey::node(&self.options(), &Nowhere);
        self.is_live().then(|| self.node.get_or_init(find))
    }

    /// slurm.conf: the one that a login reads, or in a tree that does not run the first of the usual places.
    ///
    /// # Errors
    /// [`NoSlurmConf`].
    pub fn slurm_conf(&self) -> Result<&SlurmConf, &NoSlurmConf> {
        let read = self.slurm_conf.get_or_init(|| SlurmConf::read(self));
        read.as_ref()
    }
}

/// A call of a module.
#[derive(Debug, Clone, Copy)]
pub struct ModuleCall<'a> {
    /// The line.
    pub line: &'a pamconf::Line,
    /// The module as the line names it.
    pub path: &'a [u8],
    /// Its arguments.
    pub arguments: &'a [Vec<u8>],
}

impl<'a> ModuleCall<'a> {
    /// The call of an entry; None for an include and for a line that libpam fails.
    #[must_use]
    pub fn of(service: &'a Service, handler: &Handler) -> Option<Self> {
        let line = service
            .line(handler)
            .filter(|_| handler.role == Role::Module)?;
        match &line.item {
            Item::Module { path, arguments } => Some(Self {
                line,
                path,
                arguments,
            }),
            _ => None,
        }
    }

    /// The file name of the module, such as `pam_unix.so`.
    #[must_use]
    pub fn name(&self) -> String {
        let name = self.path.rsplit(|sign| *sign == b'/').next();
        String::from_utf8_lossy(name.unwrap_or_default()).into_owned()
    }

    /// Whether this is this module or SchedMD's, under any file name.
    #[must_use]
    pub fn is_own(&self) -> bool {
        let name = self.name();
        name.starts_with("pam_slurm_adopt") && name.ends_with(".so")
    }
}
