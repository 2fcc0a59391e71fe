//! The module's options, parsed once from the options file and the arguments of the PAM line.
//!
//! [`TABLE`] is the only place that lists the options: the parser takes names and values from it, and
//! `cargo xtask docs` generates the manual from it.
//! Names and values match as in SchedMD's module: case-insensitively, and a value by its prefix
//! (`DENYxyz` is deny). Source: `contribs/pam_slurm_adopt/pam_slurm_adopt.c`, docs/differences.md.

mod error;
pub(crate) mod file;
mod hints;
pub(crate) mod message;
pub(crate) mod network;
pub mod origin;
mod setters;
mod table;
mod values;

use std::path::{Path, PathBuf};
use std::time::Duration;

pub use crate::options::error::BadArgument;
pub use crate::options::file::{PATH as FILE, Setting, settings};
use crate::options::message::Messages;
pub use crate::options::message::Template;
use crate::options::network::Network;
pub use crate::options::table::{OptionSpec, TABLE};
pub use crate::options::values::{
    AdoptFailure, EnvironmentLevel, Exempt, GenericFailure, Limits, LogFormat, LogLevel, Mode,
    NoJobs, RuntimeDir, Unknown,
};

/// The module's arguments as values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// `action_no_jobs=`
    pub no_jobs: NoJobs,
    /// `action_unknown=`
    pub unknown: Unknown,
    /// `action_adopt_failure=`
    pub adopt_failure: AdoptFailure,
    /// `action_generic_failure=`
    pub generic_failure: GenericFailure,
    /// `ignore_root=`: accepted so that old lines parse. Root always passes, with either value.
    pub ignore_root: bool,
    /// `single_job_skip_rpc=`
    pub single_job_skip_rpc: bool,
    /// `disable_x11=`
    pub disable_x11: bool,
    /// `join_container=`
    pub join_container: bool,
    /// `log_level=`
    pub log_level: LogLevel,
    /// `log_format=`
    pub log_format: LogFormat,
    /// `nodename=`
    pub node_name: Option<String>,
    /// `service=`
    pub service: String,
    /// `slurm_conf=`
    pub slurm_conf: Option<String>,
    /// `timeout=`
    pub timeout: Duration,
    /// `callerid_timeout=`
    pub callerid_timeout: Duration,
    /// `callerid_skip=`
    pub callerid_skip: Vec<Network>,
    /// `wait_for_job=`; zero: a login does not wait.
    pub wait_for_job: Duration,
    /// `wait_from=`; empty: from anywhere.
    pub wait_from: Vec<Network>,
    /// `limits=`
    pub limits: Limits,
    /// `runtime_dir=`
    pub runtime_dir: RuntimeDir,
    /// `environment=`
    pub environment: EnvironmentLevel,
    /// `banner=`
    pub banner: bool,
    /// `strict`
    pub strict: bool,
    /// `mode=`
    pub mode: Mode,
    /// `exempt_users=`, `exempt_groups=` and `exempt_uid_below=`
    pub exempt: Exempt,
    /// `kill_switch=`
    pub kill_switch: Option<PathBuf>,
    /// `message_no_jobs=` and the other messages.
    pub messages: Messages,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            no_jobs: NoJobs::Deny,
            unknown: Unknown::Newest,
            adopt_failure: AdoptFailure::Allow,
            generic_failure: GenericFailure::Ignore,
            ignore_root: true,
            single_job_skip_rpc: true,
            disable_x11: false,
            join_container: true,
            log_level: LogLevel::Info,
            log_format: LogFormat::Text,
            node_name: None,
            service: "sshd".into(),
            slurm_conf: None,
            timeout: Duration::from_secs(5),
            callerid_timeout: Duration::from_secs(2),
            callerid_skip: Vec::new(),
            wait_for_job: Duration::ZERO,
            wait_from: Vec::new(),
            limits: Limits::Sshd,
            runtime_dir: RuntimeDir::Leave,
            environment: EnvironmentLevel::JobId,
            banner: false,
            strict: false,
            mode: Mode::Enforce,
            exempt: Exempt::default(),
            kill_switch: None,
            messages: Messages::default(),
        }
    }
}

impl Options {
    /// Whether the module acts for this PAM service.
    #[must_use]
    pub fn acts_for(&self, service: &str) -> bool {
        // slurmstepd's own service (UsePAM=1 in slurm.conf; `pam_ses.c`): adoption would move slurmstepd itself.
        const SLURMSTEPD: &str = "slurm";
        let mut services = self.service.split(',');
        services.any(|it| it == service || it == "*" && service != SLURMSTEPD)
    }

    /// Whether a session that is already in its job needs more of it.
    #[must_use]
    pub fn wants_more_of_job(&self) -> bool {
        let level = EnvironmentLevel::Allocation;
        self.limits == Limits::Job || self.environment >= level || self.banner
    }

    /// Parses the options file and then the arguments of a PAM line; the last setting of an option wins. Also
    /// returns, for the log, settings without effect and settings that do not mean what they seem to.
    #[must_use]
    pub fn read<A: AsRef<[u8]>>(file: &Path, args: &[A]) -> (Self, Vec<BadArgument>) {
        let (text, unread) = match file::read(file) {
            Ok(text) => (text.unwrap_or_default(), None),
            Err(error) => {
                let place = file.display().to_string();
                let cause = format!("{error}; ignoring its settings and assuming strict");
                // Whatever the file would have closed must not stay open.
                let instead = STRICT.to_owned();
                (instead, Some(BadArgument::File { place, cause }))
            }
        };
        let (options, mut bad) = Self::of_text(file, &text, args);
        bad.splice(0..0, unread);
        (options, bad)
    }

    /// Parses the text of an options file and the arguments of a PAM line, as [`Options::read`] does.
    #[must_use]
    pub fn of_text<A: AsRef<[u8]>>(
        file: &Path,
        text: &str,
        args: &[A],
    ) -> (Self, Vec<BadArgument>) {
        let settings: Vec<_> = file::settings(text).collect();
        Self::merge(file, &settings, args)
    }

    /// Parses the arguments without a file.
    #[must_use]
    pub fn parse<A: AsRef<[u8]>>(args: &[A]) -> (Self, Vec<BadArgument>) {
        Self::merge(Path::new(file::PATH), &[], args)
    }

    fn merge<A: AsRef<[u8]>>(
        file: &Path,
        settings: &[Setting],
        args: &[A],
    ) -> (Self, Vec<BadArgument>) {
        let of_file = settings.iter().map(|it| it.argument.as_bytes());
        let all: Vec<&[u8]> = of_file.chain(args.iter().map(AsRef::as_ref)).collect();
        let mut options = Self::strict_or_not(&all);
        let mut bad = Vec::new();
        for (index, arg) in all.iter().enumerate() {
            let Err(mut argument) = options.set(arg) else {
                continue;
            };
            if let BadArgument::BadValue { name, kept, .. } = &mut argument {
                let mut earlier = all.iter().take(index).rev();
                let taken = earlier.find_map(|it| taken_value(name, it));
                *kept = taken.unwrap_or_else(|| kept.clone());
            }
            bad.push(match settings.get(index) {
                Some(setting) => BadArgument::File {
                    place: format!("{}:{}", file.display(), setting.line),
                    cause: argument.to_string(),
                },
                None => argument,
            });
        }
        (options, bad)
    }

    /// The defaults, as changed by `strict` anywhere among the settings.
    fn strict_or_not(args: &[&[u8]]) -> Self {
        let mut options = Self::default();
        for arg in args {
            let name = arg.split(|sign| *sign == b'=').next().unwrap_or_default();
            if name.eq_ignore_ascii_case(STRICT.as_bytes()) {
                // Its faults are logged when its turn comes.
                let _ = options.set(arg);
            }
        }
        if options.strict {
            options.adopt_failure = AdoptFailure::Deny;
            options.generic_failure = GenericFailure::Deny;
        }
        options
    }

    fn set(&mut self, arg: &[u8]) -> Result<(), BadArgument> {
        let arg: &str = &String::from_utf8_lossy(arg);
        let unknown = || BadArgument::UnknownOption(arg.to_owned());
        // A switch may have no value.
        let (name, value) = match arg.split_once('=') {
            Some(pair) => pair,
            None if arg.eq_ignore_ascii_case(STRICT) => (arg, "1"),
            None => return Err(unknown()),
        };
        let spec = TABLE
            .iter()
            .find(|spec| spec.name.eq_ignore_ascii_case(name))
            .ok_or_else(unknown)?;
        if (spec.set)(self, value) {
            return hints::of_taken(spec, value).map_or(Ok(()), Err);
        }
        if let Some(line) = hints::separated(spec.name, value) {
            return Err(BadArgument::Glued {
                name: spec.name,
                value: value.to_owned(),
                taken: None,
                line,
            });
        }
        Err(BadArgument::BadValue {
            name: spec.name,
            value: value.to_owned(),
            takes: spec.values.join(" or "),
            kept: self.default_of(spec),
        })
    }

    /// The value of an option without a setting.
    fn default_of(&self, spec: &OptionSpec) -> String {
        match spec.name {
            "action_adopt_failure" | "action_generic_failure" if self.strict => "deny".to_owned(),
            _ => spec.default.to_owned(),
        }
    }
}

/// Parses the text of the file alone; also returns its settings as arguments. For the fuzz targets.
#[cfg(fuzzing)]
#[must_use]
pub fn of_file(text: &str) -> (Options, Vec<String>) {
    let settings: Vec<_> = file::settings(text).collect();
    let (options, _) = Options::merge::<&str>(Path::new(file::PATH), &settings, &[]);
    let arguments = settings.into_iter().map(|it| it.argument);
    (options, arguments.collect())
}

/// The option that may have no value.
const STRICT: &str = "strict";

/// The value of an argument, if it sets this option.
fn taken_value(option: &str, arg: &[u8]) -> Option<String> {
    let arg = String::from_utf8_lossy(arg);
    let (name, value) = arg.split_once('=').unwrap_or((&arg, "1"));
    let is_taken = || match Options::default().set(arg.as_bytes()) {
        Ok(()) | Err(BadArgument::Rest { .. } | BadArgument::OddName { .. }) => true,
        Err(BadArgument::Glued { taken, .. }) => taken.is_some(),
        Err(_) => false,
    };
    (name.eq_ignore_ascii_case(option) && is_taken()).then(|| value.to_owned())
}

#[cfg(test)]
mod tests;
