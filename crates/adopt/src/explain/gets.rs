//! What an adopted login would get of its job besides adoption.

use std::path::Path;
use std::time::Instant;

use pamconf::Facility;

use crate::explain::Question;
use crate::explain::steps::Recorder;
use crate::extras::{self, Extras};
use crate::gather::Stepds;
use crate::job_env::JobEnv;
use crate::options::{self, EnvironmentLevel, Options};
use crate::prepare::Prepared;
use crate::session::stack::{OwnLine, Stack};

/// What an adopted login would get of its job besides adoption.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gets {
    /// The names of the variables, in the order in which they are set.
    pub names: Vec<String>,
    /// The process of the job whose environment has them, but for what the node knows.
    pub process: Option<u32>,
    /// The line that the user would read.
    pub banner: Option<String>,
}

/// The module's session line: it has the banner, and may want more variables than the account line.
pub(super) struct SessionLine {
    line: OwnLine,
    options: Options,
}

impl SessionLine {
    /// The one in the service's stack; given options stand for both lines.
    pub fn of(question: &Question<'_>, account: &OwnLine) -> Option<Self> {
        let line = match question.options {
            Some(_) => account.clone(),
            None => Stack::read(question.service)
                .own_line(Facility::Session)?
                .clone(),
        };
        let (options, _) = Options::read(Path::new(options::FILE), &line.arguments);
        Some(Self { line, options })
    }
}

/// Finds it as a login does, and records the steps.
pub(super) fn find(
    prepared: &Prepared<'_>,
    (uid, job): (u32, u32),
    stepds: &Stepds,
    session: Option<&SessionLine>,
    recorder: &mut Recorder<'_>,
) -> Gets {
    let account = &prepared.options;
    // What either line sets stays set.
    let further = session.filter(|it| it.options.environment > account.environment);
    let wanted = Options {
        environment: further.map_or(account, |it| &it.options).environment,
        banner: session.is_some_and(|it| it.options.banner),
        ..account.clone()
    };
    let extras = Extras {
        options: &wanted,
        uid,
        user: &prepared.login.user,
        service: prepared.service(),
        may_greet: true,
        log: prepared.log,
    };
    let started = Instant::now();
    let env = extras.ask(stepds, job);
    let took = started.elapsed();
    let variables = extras.variables(stepds, job, &env);
    let gets = Gets {
        names: variables.into_iter().map(|it| it.name).collect(),
        process: env
            .process
            .filter(|_| wanted.environment >= EnvironmentLevel::Allocation),
        banner: wanted
            .banner
            .then(|| extras::banner(stepds, job, &env).text_now()),
    };
    let cause = |line: Option<&SessionLine>, option: &'static str| match line {
        Some(SessionLine { line, .. }) => {
            Recorder::new(&line.arguments, &line.line.place).cause(option)
        }
        None => recorder.cause(option),
    };
    let by_environment = cause(further, "environment");
    let by_banner = cause(session, "banner");
    if wanted.environment != Options::default().environment {
        let fact = environment(&wanted, &gets, &env);
        let step = recorder.add("environment", fact);
        (step.cause, step.took) = (Some(by_environment), Some(took));
    }
    let fact = match &gets.banner {
        Some(text) => text.clone(),
        None if account.banner => "none: the stack has no session line of the module".to_owned(),
        None => return gets,
    };
    recorder.add("banner", fact).cause = Some(by_banner);
    gets
}

fn environment(wanted: &Options, gets: &Gets, env: &JobEnv) -> String {
    let names = match gets.names.is_empty() {
        true => "none".to_owned(),
        false => gets.names.join(" "),
    };
    if wanted.environment < EnvironmentLevel::Allocation {
        return names;
    }
    match (env.process, env.is_of_whole_job) {
        (None, _) => format!("{names}; the job has no process of a step here"),
        (Some(pid), true) => format!("{names}; from process {pid} of its script"),
        (Some(pid), false) => format!("{names}; from process {pid} of its first step here"),
    }
}
