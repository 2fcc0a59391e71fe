//! The decision of a login's account phase, recorded for its session phase.
//!
//! Within one process the record is kept in libpam's data. sshd's helper for keyboard-interactive leaves it
//! in a note of root alone, named after sshd's monitor ([`crate::session::notes`]). Users can write to neither,
//! unlike to the PAM environment (pam_env, ~/.pam_environment). The account phase leaves a record
//! whatever it decides, unless it denies the user: without a record nobody gets in.

use std::ffi::{CStr, CString};
use std::fmt;
use std::io;
use std::time::Duration;

use pam::Handle;
use sys::Deadline;

use crate::adoption::cgroup::Held;
use crate::log::Log;
use crate::options::{AdoptFailure, GenericFailure, Mode, NoJobs, Options};
use crate::session::notes::{self, Notes, Process};
use crate::session::runtime_dir::Users;
use crate::state_dir;

/// The decision of the account phase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The user.
    pub uid: u32,
    /// The chosen job. None: the user may come in, but for no job that we know.
    pub job: Option<u32>,
    /// Where the process was after the job had taken it.
    pub held: Held,
    /// Whether the session phase must enter the job's namespaces.
    pub leaves_namespaces: bool,
    /// The time that the account phase used of the login's deadline.
    pub used: Duration,
    /// Whether the user was admitted as exempt.
    pub is_exempt: bool,
    strict: Strict,
}

/// The denials of the account line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Strict {
    /// The mode is `enforce`.
    enforces: bool,
    no_jobs: bool,
    adopt_failure: bool,
    generic_failure: bool,
}

/// Pairs an account line with a session line: both look at the same cluster.
#[derive(Debug)]
pub struct RecordKey {
    data: CString,
    note: String,
}

impl RecordKey {
    /// The key of a line with these options.
    #[must_use]
    pub fn of(options: &Options) -> Self {
        let parts = [&options.slurm_conf, &options.node_name];
        let parts = parts.map(|it| it.as_deref().unwrap_or_default());
        let text = parts.join("\n");
        let note = match text.len() {
            1 => "login".to_owned(),
            _ => format!("login-{:016x}", state_dir::checksum(0, text.as_bytes())),
        };
        // An argument of a PAM line has no NUL.
        let data = CString::new(format!("slurm_adopt {text}")).unwrap_or_default();
        Self { data, note }
    }

    fn data(&self) -> &CStr {
        &self.data
    }

    /// The name of the note to sshd's monitor. Needs the monitor's start, or a later process could pass for it.
    fn note(&self, monitor: Process) -> io::Result<String> {
        match monitor.start {
            0 => Err(io::Error::other(
                "/proc does not show when sshd's monitor started",
            )),
            _ => Ok(format!("{}.{}", self.note, monitor.name())),
        }
    }
}

impl Record {
    /// A record for an admitted user; the caller fills in the job and the rest.
    #[must_use]
    pub fn new(options: &Options, uid: u32, used: Duration) -> Self {
        Self {
            uid,
            job: None,
            held: Held::default(),
            leaves_namespaces: false,
            used,
            is_exempt: false,
            strict: match options.mode {
                Mode::Enforce => Strict {
                    enforces: true,
                    no_jobs: options.no_jobs == NoJobs::Deny,
                    adopt_failure: options.adopt_failure == AdoptFailure::Deny,
                    generic_failure: options.generic_failure == GenericFailure::Deny,
                },
                Mode::Audit | Mode::AdoptOnly => Strict::default(),
            },
        }
    }

    /// Tightens the options to the stricter of both lines.
    pub fn tighten(&self, options: &mut Options) {
        if self.strict.enforces {
            options.mode = Mode::Enforce;
        }
        if self.strict.no_jobs {
            options.no_jobs = NoJobs::Deny;
        }
        if self.strict.adopt_failure {
            options.adopt_failure = AdoptFailure::Deny;
        }
        if self.strict.generic_failure {
            options.generic_failure = GenericFailure::Deny;
        }
    }

    /// The job that still holds the process, if the session phase has nothing else to do.
    #[must_use]
    pub fn job_that_holds(&self) -> Option<u32> {
        self.job
            .filter(|_| !self.leaves_namespaces && self.held.is_unchanged())
    }

    /// Keeps the record for a later call in this process.
    ///
    /// # Errors
    /// libpam's code.
    pub fn keep(&self, key: &RecordKey, handle: &Handle) -> Result<(), pam::Code> {
        handle.keep(key.data(), &self.to_string())
    }

    /// Leaves the record for sshd's monitor; this process is its helper.
    ///
    /// # Errors
    /// The system's error.
    pub fn leave(&self, key: &RecordKey) -> io::Result<()> {
        // No lock: the name is this login's own, and another login's fault must not deny this one.
        let name = key.note(Process::parent())?;
        let written = notes::write(&name, &self.to_string());
        if let Ok(Some(notes)) = Notes::try_open() {
            // Nothing else removes the notes of sessions that never began. If this fails, another login does it.
            let _ = Users::new(notes).tidy(&Deadline::after(Duration::ZERO));
        }
        written
    }

    /// Whether the account phase was called earlier in this transaction.
    #[must_use]
    pub fn is_kept(key: &RecordKey, handle: &Handle) -> bool {
        handle.kept(key.data()).is_some_and(|text| !text.is_empty())
    }

    /// Forgets the decision of an earlier call in this transaction.
    pub fn forget(key: &RecordKey, handle: &Handle) {
        if Self::is_kept(key, handle) {
            // The entry exists, so libpam needs no memory for it.
            let _ = handle.keep(key.data(), "");
        }
    }

    /// Finds the record of this login's account phase. Moves a note's record into this process.
    #[must_use]
    pub fn find(key: &RecordKey, handle: &Handle, log: Log<'_>) -> Option<Self> {
        if let Some(kept) = handle.kept(key.data()).filter(|text| !text.is_empty()) {
            return Self::parse(&kept);
        }
        let name = key.note(Process::this());
        let name = name.inspect_err(|error| {
            log.error(|| format!("look for the record of the account phase: {error}"));
        });
        let name = name.ok()?;
        let text = notes::find(&name).unwrap_or_else(|error| {
            log.error(|| format!("read the record of the account phase, {name}: {error}"));
            None
        });
        let record = Self::parse(&text?)?;
        // If the record cannot be kept here, the note stays.
        if record.keep(key, handle).is_ok() {
            let _ = notes::remove(&name);
        }
        Some(record)
    }

    fn parse(text: &str) -> Option<Self> {
        let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
        let words: Vec<_> = first.split(' ').collect();
        let [uid, job, flags, used] = words[..] else {
            return None;
        };
        let has = |flag| flags.contains(flag);
        Some(Self {
            uid: uid.parse().ok()?,
            job: match job {
                "-" => None,
                job => Some(job.parse().ok()?),
            },
            held: Held::parse(rest),
            leaves_namespaces: has('l'),
            used: Duration::from_millis(used.parse().ok()?),
            is_exempt: has('x'),
            strict: Strict {
                enforces: has('e'),
                no_jobs: has('n'),
                adopt_failure: has('a'),
                generic_failure: has('g'),
            },
        })
    }
}

/// `UID JOB FLAGS MILLISECONDS`, then one line per cgroup.
impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.uid)?;
        match self.job {
            Some(job) => write!(f, "{job} -")?,
            None => f.write_str("- -")?,
        }
        for (flag, is_set) in [
            ('n', self.strict.no_jobs),
            ('a', self.strict.adopt_failure),
            ('g', self.strict.generic_failure),
            ('l', self.leaves_namespaces),
            ('e', self.strict.enforces),
            ('x', self.is_exempt),
        ] {
            if is_set {
                write!(f, "{flag}")?;
            }
        }
        let used = u64::try_from(self.used.as_millis()).unwrap_or(u64::MAX);
        write!(f, " {used}")?;
        write!(f, "\n{}", self.held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(line: &str) -> Options {
        Options::parse(&line.split_whitespace().collect::<Vec<_>>()).0
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let used = Duration::from_millis(60_000);
        let audit = options("mode=audit");
        let deny =
            options("action_no_jobs=deny action_adopt_failure=deny action_generic_failure=deny");
        for options in [
            Options::default(),
            options("action_no_jobs=ignore"),
            deny,
            audit,
        ] {
            for job in [None, Some(0), Some(u32::MAX)] {
                for (cgroups, leaves_namespaces) in [
                    ("", true),
                    ("4:freezer:/a/b c\n:0:/x\n0::/job_7/y\n", false),
                ] {
                    let record = Record {
                        job,
                        held: Held::parse(cgroups),
                        leaves_namespaces,
                        is_exempt: job.is_none(),
                        ..Record::new(&options, u32::MAX, used)
                    };
                    assert_eq!(Record::parse(&record.to_string()), Some(record));
                }
            }
        }
        for text in [
            "",
            "1",
            "1 2 3",
            "x 2 - 3",
            "1 x - 3",
            "1 2 - x",
            "1 2 - 3 4",
            "1 2 - -3",
        ] {
            assert_eq!(Record::parse(text), None, "{text}");
        }
    }

    /// Notes are read up to this length; a helper's record has no cgroups.
    #[test]
    fn the_longest_record_of_a_helper_is_short() {
        let strict =
            options("action_adopt_failure=deny action_generic_failure=deny action_no_jobs=deny");
        let record = Record {
            job: Some(u32::MAX),
            leaves_namespaces: true,
            is_exempt: true,
            ..Record::new(&strict, u32::MAX, Duration::from_secs(60))
        };
        assert!(record.to_string().len() < 64, "{record}");
    }

    #[test]
    fn the_stricter_line_counts() {
        let strict =
            options("action_adopt_failure=deny action_generic_failure=deny action_no_jobs=deny");
        let loose = options("action_no_jobs=ignore");
        let mut both = loose.clone();
        Record::new(&strict, 1, Duration::ZERO).tighten(&mut both);
        assert_eq!(both, strict);
        Record::new(&loose, 1, Duration::ZERO).tighten(&mut both);
        assert_eq!(both, strict);
        for mode in ["mode=audit", "mode=adopt-only"] {
            let open = options(mode);
            let mut both = open.clone();
            Record::new(&strict, 1, Duration::ZERO).tighten(&mut both);
            assert_eq!(
                both, strict,
                "what one line enforces the other does not undo"
            );
            let mut both = strict.clone();
            Record::new(&open, 1, Duration::ZERO).tighten(&mut both);
            assert_eq!(both, strict);
        }
    }

    #[test]
    fn lines_for_two_clusters_have_a_record_each() {
        let lines = [
            "",
            "action_no_jobs=ignore",
            "slurm_conf=/a/slurm.conf",
            "slurm_conf=/b/slurm.conf",
            "nodename=/a/slurm.conf",
        ];
        let keys = lines.map(|line| RecordKey::of(&options(line)));
        assert_eq!(keys[0].data, keys[1].data);
        assert_eq!(keys[0].note, keys[1].note);
        for (index, key) in keys.iter().enumerate().skip(2) {
            for other in &keys[..index] {
                assert_ne!(key.data, other.data, "{key:?}");
                assert_ne!(key.note, other.note, "{key:?}");
            }
        }
    }
}
