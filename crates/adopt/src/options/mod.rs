//! The module's arguments, parsed once.
//!
//! [`TABLE`] is the one place that knows the options: the parser takes names and values from it,
//! the man page and the README are generated from it (`cargo xtask docs`).
//! Names and values match as SchedMD's module matches them: whatever the case, and a value by its
//! beginning (`DENYxyz` is deny). Source: `contribs/pam_slurm_adopt/pam_slurm_adopt.c`, docs/differences.md.

mod error;
mod hints;
pub(crate) mod network;
mod table;

use std::time::Duration;

pub use crate::options::error::BadArgument;
use crate::options::network::Network;
pub use crate::options::table::{OptionSpec, TABLE};

/// What to answer when a user without a job here logs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoJobs {
    /// Keep the user out.
    Deny,
    /// Leave it to the other modules of the stack.
    Ignore,
}

/// What to do with a user of several jobs when the connection's own job is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unknown {
    /// Adopt into the job whose extern step started last on this node.
    Newest,
    /// Let the user in without adoption.
    Allow,
    /// Keep the user out.
    Deny,
}

/// What to answer when the stepd refuses to adopt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdoptFailure {
    /// Let the user in without adoption.
    Allow,
    /// Keep the user out.
    Deny,
}

/// What to answer when it can't be known what runs on this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GenericFailure {
    /// Leave it to the other modules of the stack.
    Ignore,
    /// Let the user in without adoption.
    Allow,
    /// Keep the user out.
    Deny,
}

/// Who makes the directory that XDG_RUNTIME_DIR names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuntimeDir {
    /// pam_systemd, or nobody.
    Leave,
    /// We, unless it has.
    Create,
}

/// Whose resource limits a login has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limits {
    /// sshd's, and pam_limits'.
    Sshd,
    /// The job's.
    Job,
}

/// How much goes to the admin's log; each level contains those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Nothing at all.
    Quiet,
    /// SchedMD's fatal: here the same as quiet, nothing is fatal to the host.
    Fatal,
    /// What needs an admin.
    Error,
    /// One line a login.
    Info,
    /// The same as info.
    Verbose,
    /// Each step of the conversation with the stepds. SchedMD's debug2 to debug5 mean this too.
    Debug,
}

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
    /// `ignore_root=`: kept so that old lines parse. Root always passes, with either value.
    pub ignore_root: bool,
    /// `single_job_skip_rpc=`
    pub single_job_skip_rpc: bool,
    /// `disable_x11=`
    pub disable_x11: bool,
    /// `join_container=`
    pub join_container: bool,
    /// `log_level=`
    pub log_level: LogLevel,
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
    /// `limits=`
    pub limits: Limits,
    /// `runtime_dir=`
    pub runtime_dir: RuntimeDir,
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
            node_name: None,
            service: "sshd".into(),
            slurm_conf: None,
            timeout: Duration::from_secs(5),
            callerid_timeout: Duration::from_secs(2),
            callerid_skip: Vec::new(),
            limits: Limits::Sshd,
            runtime_dir: RuntimeDir::Leave,
        }
    }
}

impl Options {
    /// Whether the module acts for this PAM service.
    #[must_use]
    pub fn acts_for(&self, service: &str) -> bool {
        // slurmstepd's own service, with which it would move itself (UsePAM=1 in slurm.conf; `pam_ses.c`).
        const SLURMSTEPD: &str = "slurm";
        let mut services = self.service.split(',');
        services.any(|it| it == service || it == "*" && service != SLURMSTEPD)
    }

    /// Parses the arguments of a PAM line; the last setting of an option wins. Returns also, to be logged,
    /// the arguments that change nothing, and those that mean something else than it looks.
    #[must_use]
    pub fn parse<A>(args: A) -> (Self, Vec<BadArgument>)
    where
        A: IntoIterator<Item: AsRef<[u8]>, IntoIter: Clone>,
    {
        let args = args.into_iter();
        let mut options = Self::default();
        let mut bad = Vec::new();
        for (index, arg) in args.clone().enumerate() {
            if let Err(mut argument) = options.set(arg.as_ref()) {
                if let BadArgument::BadValue { name, kept, .. } = &mut argument {
                    let earlier = args.clone().take(index);
                    let taken = earlier.filter_map(|it| taken_value(name, it.as_ref()));
                    *kept = taken.last().unwrap_or_else(|| kept.clone());
                }
                bad.push(argument);
            }
        }
        (options, bad)
    }

    fn set(&mut self, arg: &[u8]) -> Result<(), BadArgument> {
        let arg: &str = &String::from_utf8_lossy(arg);
        let unknown = || BadArgument::UnknownOption(arg.to_owned());
        let (name, value) = arg.split_once('=').ok_or_else(unknown)?;
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
            kept: spec.default.to_owned(),
        })
    }
}

/// The value of an argument that sets this option.
fn taken_value(option: &str, arg: &[u8]) -> Option<String> {
    let arg = String::from_utf8_lossy(arg);
    let (name, value) = arg.split_once('=')?;
    let is_taken = || match Options::default().set(arg.as_bytes()) {
        Ok(()) | Err(BadArgument::Rest { .. } | BadArgument::OddName { .. }) => true,
        Err(BadArgument::Glued { taken, .. }) => taken.is_some(),
        Err(_) => false,
    };
    (name.eq_ignore_ascii_case(option) && is_taken()).then(|| value.to_owned())
}

#[cfg(test)]
mod tests;
