//! What the man page says of each fault, put down here once more: not asked of the code under test.

use std::fmt;

use tests::{End, Outcome};

const SUCCESS: End = End::Code(0);
const PERM_DENIED: End = End::Code(6);
const IGNORE: End = End::Code(25);

/// The four options of what is to become of a login that is in no clear case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Actions {
    pub no_jobs: &'static str,
    pub unknown: &'static str,
    pub adopt_failure: &'static str,
    pub generic_failure: &'static str,
}

const LENIENT: Actions = Actions {
    no_jobs: "ignore",
    unknown: "allow",
    adopt_failure: "allow",
    generic_failure: "allow",
};
const STRICT: Actions = Actions {
    no_jobs: "deny",
    unknown: "deny",
    adopt_failure: "deny",
    generic_failure: "deny",
};

impl fmt::Display for Actions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            no_jobs,
            unknown,
            adopt_failure,
            generic_failure,
        } = self;
        write!(
            f,
            "action_no_jobs={no_jobs} action_unknown={unknown} \
             action_adopt_failure={adopt_failure} action_generic_failure={generic_failure}"
        )
    }
}

/// Which of the man page's sentences applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Means {
    /// No job of the user's answers: action_no_jobs.
    NoJob,
    /// The slurmstepd refuses, or ends before it has taken the process: action_adopt_failure.
    NotAdopted,
    /// Several jobs, and it can't be found out which: action_unknown, whose `newest` is this job.
    Unknown(u32),
    /// The same, and the newest job's slurmstepd does not take the process: with `newest`
    /// action_adopt_failure decides.
    UnknownNotAdopted,
    /// The same, and the newest job's slurmstepd does not answer when it is to: with `newest`
    /// action_no_jobs decides.
    UnknownSilent,
    /// It can't be known what runs here: action_generic_failure.
    Generic,
    /// The login gets into this job, whatever the options.
    Adopted(u32),
    /// Root passes (PAM_IGNORE), whatever the options.
    Root,
}

/// What is to be seen of a login.
#[derive(Debug, PartialEq, Eq)]
pub struct Expected {
    end: End,
    text: Option<&'static str>,
    job: Option<u32>,
}

impl Means {
    /// The settings under which a case runs: each value of the action that decides, with all others
    /// lenient and with all others strict. So another one's say would show.
    pub fn settings(self) -> Vec<Actions> {
        let mut settings = Vec::new();
        for others in [LENIENT, STRICT] {
            match self {
                Self::NoJob => {
                    for no_jobs in ["deny", "ignore"] {
                        settings.push(Actions { no_jobs, ..others });
                    }
                }
                Self::NotAdopted => {
                    for adopt_failure in ["deny", "allow"] {
                        settings.push(Actions {
                            adopt_failure,
                            ..others
                        });
                    }
                }
                Self::Unknown(_) => {
                    for unknown in ["newest", "allow", "deny"] {
                        settings.push(Actions { unknown, ..others });
                    }
                }
                Self::UnknownNotAdopted => {
                    for unknown in ["newest", "allow", "deny"] {
                        for adopt_failure in ["deny", "allow"] {
                            settings.push(Actions {
                                unknown,
                                adopt_failure,
                                ..others
                            });
                        }
                    }
                }
                Self::UnknownSilent => {
                    for unknown in ["newest", "allow", "deny"] {
                        for no_jobs in ["deny", "ignore"] {
                            settings.push(Actions {
                                unknown,
                                no_jobs,
                                ..others
                            });
                        }
                    }
                }
                Self::Generic => {
                    for generic_failure in ["deny", "allow", "ignore"] {
                        settings.push(Actions {
                            generic_failure,
                            ..others
                        });
                    }
                }
                Self::Adopted(_) | Self::Root => settings.push(others),
            }
        }
        settings
    }

    /// What the man page says that these settings make of it.
    pub fn outcome(self, actions: Actions) -> Expected {
        let adopted = |job| Expected {
            end: SUCCESS,
            text: None,
            job: Some(job),
        };
        let without = |end| Expected {
            end,
            text: None,
            job: None,
        };
        let denied = |text| Expected {
            end: PERM_DENIED,
            text: Some(text),
            job: None,
        };
        match (self, actions) {
            (Self::Adopted(job), _) => adopted(job),
            (Self::Root, _) => without(IGNORE),
            (
                Self::Unknown(_) | Self::UnknownNotAdopted | Self::UnknownSilent,
                Actions {
                    unknown: "allow", ..
                },
            ) => without(SUCCESS),
            (
                Self::Unknown(_) | Self::UnknownNotAdopted | Self::UnknownSilent,
                Actions {
                    unknown: "deny", ..
                },
            ) => denied("unable to determine source job"),
            (Self::Unknown(newest), _) => adopted(newest),
            (Self::NoJob | Self::UnknownSilent, Actions { no_jobs, .. }) => match no_jobs {
                "ignore" => without(IGNORE),
                _ => denied("you have no active jobs on this node"),
            },
            (Self::NotAdopted | Self::UnknownNotAdopted, Actions { adopt_failure, .. }) => {
                match adopt_failure {
                    "allow" => without(SUCCESS),
                    _ => denied("adoption failure"),
                }
            }
            (
                Self::Generic,
                Actions {
                    generic_failure, ..
                },
            ) => match generic_failure {
                "allow" => without(SUCCESS),
                "ignore" => without(IGNORE),
                _ => denied(""),
            },
        }
    }
}

impl Expected {
    /// Whether that is what came out. The job is the one of SLURM_JOB_ID.
    pub fn is(&self, outcome: &Outcome) -> bool {
        let job = outcome.env.get("SLURM_JOB_ID").map(String::as_str);
        let text = outcome.messages.concat();
        outcome.end == self.end
            && job == self.job.map(|it| it.to_string()).as_deref()
            && match self.text {
                None => text.is_empty(),
                Some(part) => {
                    text.starts_with("Access denied by pam_slurm_adopt: ") && text.contains(part)
                }
            }
    }
}
