//! What a login gets of its job besides adoption: variables (`environment=`) and the line that it reads (`banner=`).
//! `slurm-adopt explain` asks for the same.

use crate::gather::Stepds;
use crate::job_env::{self, JobEnv, Known, Variable};
use crate::log::Log;
use crate::options::{EnvironmentLevel, Options};
use crate::report::Banner;
use crate::session::stack::Stack;

/// A login, and what its options want.
pub(crate) struct Extras<'a> {
    pub options: &'a Options,
    pub uid: u32,
    pub user: &'a str,
    pub service: &'a str,
    /// Whether this phase has the banner, if it is wanted.
    pub may_greet: bool,
    pub log: Log<'a>,
}

impl Extras<'_> {
    /// The variables of the job, if any are wanted. The user's processes may keep the reader waiting: enough time is
    /// left for adoption.
    pub fn ask(&self, stepds: &Stepds, job: u32) -> JobEnv {
        let level = self.options.environment;
        let has_banner = self.options.banner && self.may_greet;
        if level < EnvironmentLevel::Allocation && !has_banner {
            return JobEnv::default();
        }
        let Stepds {
            census, deadline, ..
        } = stepds;
        let limit = deadline.within(deadline.remaining() / 4);
        JobEnv::ask(census, job, job_env::wanted(level), &limit, self.log)
    }

    /// The variables for the login; `env` are those of the job.
    pub fn variables(&self, stepds: &Stepds, job: u32, env: &JobEnv) -> Vec<Variable> {
        let level = self.options.environment;
        let known = Known {
            job,
            uid: self.uid,
            user: self.user,
            node: stepds.node.as_deref(),
            cluster: stepds.cluster.as_deref(),
        };
        let mut all = job_env::for_login(level, &known, env);
        let has = all.iter().any(|it| it.name == job_env::TMPDIR);
        // A root's shell would put its here-documents into the user's directory.
        if has && Stack::read(self.service).runs_programs() {
            self.log.debug(|| {
                "not setting TMPDIR, which pam_exec or pam_script would pass on to root's programs"
                    .to_owned()
            });
            all.retain(|it| it.name != job_env::TMPDIR);
        }
        all
    }
}

/// What a login with a terminal is told of its job.
pub(crate) fn banner(stepds: &Stepds, job: u32, env: &JobEnv) -> Banner {
    let own = stepds.census.own();
    let others = own.iter().map(|it| it.job).filter(|it| *it != job);
    Banner {
        job,
        end: env.end(),
        others: others.collect(),
    }
}
