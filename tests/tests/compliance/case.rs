//! A call of both modules, and what each is to do.

use std::time::Duration;

use lab::Suite;
use tests::{Call, End};

use crate::worlds::World;

pub const SUCCESS: End = End::Code(0);
pub const PERM_DENIED: End = End::Code(6);
pub const SESSION_ERR: End = End::Code(14);
pub const IGNORE: End = End::Code(25);

pub const NO_STEPS: &str = "No Slurm jobs found on node.";
pub const NO_JOBS: &str = "Access denied by pam_slurm_adopt: you have no active jobs on this node";
pub const UNKNOWN: &str = "Access denied by pam_slurm_adopt: unable to determine source job";
pub const FAILURE: &str = "Access denied by pam_slurm_adopt: adoption failure";
pub const FAILURE_TO_24_11: &str = "Access denied by pam_slurm_adopt: failed to adopt process into cgroup, \
                                denying access because action_adopt_failure=deny";
pub const NO_CONF: &str = "Access denied by pam_slurm_adopt: this node's Slurm configuration can't be read; \
                       tell your administrator";

/// The job in which a login is to be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inside {
    None,
    /// The user's only job, or the one that started last.
    Newest,
    /// One of the user's.
    AnyOwn,
    /// Nowhere, but `SLURM_JOB_ID` says otherwise: the stepd reported success.
    ToldOnly,
}

/// What a module is to do. `{bob}` and `{alice}` in a message stand for the number of their job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    pub end: End,
    pub message: Option<&'static str>,
    pub inside: Inside,
}

pub fn ends(end: End) -> Expected {
    Expected {
        end,
        message: None,
        inside: Inside::None,
    }
}

pub fn denied(message: &'static str) -> Expected {
    Expected {
        end: PERM_DENIED,
        message: Some(message),
        inside: Inside::None,
    }
}

pub fn adopted(inside: Inside) -> Expected {
    Expected {
        end: SUCCESS,
        message: None,
        inside,
    }
}

/// One call, in one world.
#[derive(Clone)]
pub struct Case {
    pub name: &'static str,
    pub world: World,
    pub call: Call,
    pub ours: Expected,
    pub difference: Option<Difference>,
    /// How long SchedMD's module is watched before it counts as hanging.
    pub patience: Duration,
    pub by: By,
}

/// What of Slurm's release may matter for a case.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// Each may have its own way.
    Release,
    /// What is new in 24.11: SchedMD's module then waits for ten seconds, so not on each.
    Branch,
    /// Nothing.
    Nothing,
}

/// Where SchedMD's module does something else, and under which heading the reason stands.
#[derive(Clone, Copy)]
pub struct Difference {
    pub heading: &'static str,
    pub theirs: fn(Suite, &Case) -> Expected,
}

pub fn case(name: &'static str, world: World, user: &str, options: &str, ours: Expected) -> Case {
    let call = Call::new(user, options);
    Case {
        name,
        world,
        call,
        ours,
        difference: None,
        patience: tests::HANG,
        // Where nothing is set, what is in the world is all that matters.
        by: match options.is_empty() && world.is_by_release() {
            true => By::Release,
            false => By::Nothing,
        },
    }
}

impl World {
    /// Whether it has something that releases of Slurm may hold otherwise. Thirty jobs are as two.
    fn is_by_release(self) -> bool {
        !matches!(self, Self::Empty | Self::ThirtyJobs)
    }
}

impl Case {
    pub fn service(mut self, service: &str) -> Self {
        self.call.service = service.into();
        self
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.call.env.push((name.into(), value.into()));
        self
    }

    /// Runs the call from within a script; its `"$@"` is the call.
    pub fn within(mut self, script: &str) -> Self {
        self.call.wrapper = Some(script.into());
        self
    }

    pub fn differs(mut self, heading: &'static str, theirs: fn(Suite, &Case) -> Expected) -> Self {
        self.difference = Some(Difference { heading, theirs });
        // The difference may be the release's.
        if self.world != World::ThirtyJobs {
            self.by = By::Release;
        }
        self
    }

    /// SchedMD's module hangs here.
    pub fn hangs(mut self, heading: &'static str) -> Self {
        self.patience = Duration::from_secs(if tests::is_long() { 8 } else { 2 });
        self.differs(heading, |_, _| ends(End::Hung))
    }
}
