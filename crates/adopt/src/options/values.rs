//! The values that options take. A choice has its words in `WORDS`.

/// The answer to a user without a job here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoJobs {
    /// Deny the user.
    Deny,
    /// Leave the user to the other modules of the stack.
    Ignore,
}

impl NoJobs {
    pub(super) const WORDS: &[(&str, Self)] = &[("deny", Self::Deny), ("ignore", Self::Ignore)];
}

/// The action for a user of several jobs if the source job is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unknown {
    /// Adopt into the job whose extern step started last on this node.
    Newest,
    /// Adopt into the job whose extern step started first on this node.
    Oldest,
    /// Adopt into the job that ends last.
    Longest,
    /// Adopt into the job with the most CPUs on this node.
    Largest,
    /// Admit the user without adoption.
    Allow,
    /// Deny the user.
    Deny,
}

impl Unknown {
    pub(super) const WORDS: &[(&str, Self)] = &[
        ("newest", Self::Newest),
        ("oldest", Self::Oldest),
        ("longest", Self::Longest),
        ("largest", Self::Largest),
        ("allow", Self::Allow),
        ("deny", Self::Deny),
    ];
}

/// The answer if the stepd refuses to adopt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdoptFailure {
    /// Admit the user without adoption.
    Allow,
    /// Deny the user.
    Deny,
}

impl AdoptFailure {
    pub(super) const WORDS: &[(&str, Self)] = &[("allow", Self::Allow), ("deny", Self::Deny)];
}

/// The answer if the node's configuration is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GenericFailure {
    /// Leave the user to the other modules of the stack.
    Ignore,
    /// Admit the user without adoption.
    Allow,
    /// Deny the user.
    Deny,
}

impl GenericFailure {
    pub(super) const WORDS: &[(&str, Self)] = &[
        ("ignore", Self::Ignore),
        ("allow", Self::Allow),
        ("deny", Self::Deny),
    ];
}

/// The maker of the directory in XDG_RUNTIME_DIR.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuntimeDir {
    /// pam_systemd, or nobody.
    Leave,
    /// This module, unless pam_systemd has made it.
    Create,
}

impl RuntimeDir {
    pub(super) const WORDS: &[(&str, Self)] = &[("leave", Self::Leave), ("create", Self::Create)];
}

/// The source of a login's resource limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limits {
    /// sshd and pam_limits.
    Sshd,
    /// The job.
    Job,
}

impl Limits {
    pub(super) const WORDS: &[(&str, Self)] = &[("sshd", Self::Sshd), ("job", Self::Job)];
}

/// The variables that a login gets of its job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum EnvironmentLevel {
    /// None.
    None,
    /// The job's number.
    JobId,
    /// What the job has on this node.
    Allocation,
    /// What Slurm has set for the job's script, but for what belongs to a task.
    Full,
}

impl EnvironmentLevel {
    pub(super) const WORDS: &[(&str, Self)] = &[
        ("jobid", Self::JobId),
        ("none", Self::None),
        ("allocation", Self::Allocation),
        ("full", Self::Full),
    ];
}

/// The effect of a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Carry it out.
    Enforce,
    /// Log it, and admit everyone without adoption.
    Audit,
    /// Adopt users who have a job, and admit everyone.
    AdoptOnly,
}

impl Mode {
    pub(super) const WORDS: &[(&str, Self)] = &[
        ("enforce", Self::Enforce),
        ("audit", Self::Audit),
        ("adopt-only", Self::AdoptOnly),
    ];
}

/// Users who get in without a job.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exempt {
    /// `exempt_users=`: names or uids.
    pub users: Vec<String>,
    /// `exempt_groups=`: names or gids.
    pub groups: Vec<String>,
    /// `exempt_uid_below=`
    pub uid_below: u32,
}

/// The amount written to the admin's log; each level includes the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Nothing.
    Quiet,
    /// SchedMD's fatal; the same as quiet, because nothing here is fatal to the application.
    Fatal,
    /// Faults that need an admin.
    Error,
    /// One line per login.
    Info,
    /// The same as info.
    Verbose,
    /// Each step of the exchange with the stepds. SchedMD's debug2 to debug5 mean this too.
    Debug,
}

impl LogLevel {
    pub(super) const WORDS: &[(&str, Self)] = &[
        ("quiet", Self::Quiet),
        ("fatal", Self::Fatal),
        ("error", Self::Error),
        ("info", Self::Info),
        ("verbose", Self::Verbose),
        ("debug", Self::Debug),
    ];
}

/// The form of the lines in the admin's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Words for people.
    Text,
    /// A JSON object each, docs/log.schema.json.
    Json,
}

impl LogFormat {
    pub(super) const WORDS: &[(&str, Self)] = &[("text", Self::Text), ("json", Self::Json)];
}
