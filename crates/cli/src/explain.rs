//! `slurm-adopt explain`: dry-runs a login.

mod connection;

use std::cell::RefCell;
use std::io::{self, Write};
use std::net::IpAddr;
use std::process::ExitCode;
use std::time::Duration;

use adopt::explain::{Admission, Explanation, Question, Step};
use adopt::log::Sink;
use clap::Args;
use serde::Serialize;

use crate::COULD_NOT_LOOK;
use crate::output::{self, safe};

/// Dry-run a login by USER and explain the decision
///
/// Uses the code of the module: asks the slurmstepds and decides, but adopts nothing. Takes the options from the
/// module's line in the service's PAM stack and from /etc/security/slurm_adopt.conf. With environment=, banner=1 or
/// wait_for_job= it names the variables that the login would get and the process that has them, shows the line that the
/// user would read, or says that the login would wait. It does not wait itself.
///
/// Exit status: 0 the user gets in and is adopted, 1 gets in without adoption, 2 is denied, 3 could not look.
#[derive(Debug, Args)]
pub struct Explain {
    /// The user's name
    user: String,
    /// Address that the login comes from: ask the slurmd there, as a login of a user with several jobs does
    ///
    /// If an ssh connection from there is open, its job is asked for.
    #[arg(long, value_name = "ADDRESS")]
    from: Option<IpAddr>,
    /// PAM service of the login
    #[arg(long, value_name = "NAME", default_value = "sshd")]
    service: String,
    /// Arguments to use instead of those in the PAM stack, separated by blanks
    #[arg(long, value_name = "OPTIONS")]
    options: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Also print each step of the exchange with the slurmstepds
    #[arg(long, short, conflicts_with = "json")]
    verbose: bool,
}

/// Keeps the lines that a login would leave in the log.
struct Lines {
    errors: RefCell<Vec<String>>,
    is_verbose: bool,
}

impl Sink for Lines {
    fn line(&self, severity: pam::Severity, text: &str) {
        match severity {
            pam::Severity::Error => self.errors.borrow_mut().push(text.to_owned()),
            _ if self.is_verbose => eprintln!("{text}"),
            _ => {}
        }
    }
}

impl Explain {
    /// Prints the steps and the decision.
    pub fn run(&self) -> ExitCode {
        if sys::effective_uid() != 0 {
            eprintln!("slurm-adopt explain: not root: cannot ask slurmstepds about others' jobs");
            return ExitCode::from(COULD_NOT_LOOK);
        }
        let words = |line: &String| {
            line.split_whitespace()
                .map(|it| it.as_bytes().to_vec())
                .collect()
        };
        let question = Question {
            user: &self.user,
            service: &self.service,
            options: self.options.as_ref().map(words),
            connection: self.from.map(connection::from),
        };
        let lines = Lines {
            errors: RefCell::default(),
            is_verbose: self.verbose,
        };
        let explanation = match adopt::explain::explain(&question, &lines) {
            Ok(explanation) => explanation,
            Err(error) => {
                eprintln!("slurm-adopt explain: {error}");
                return ExitCode::from(COULD_NOT_LOOK);
            }
        };
        let errors = lines.errors.into_inner();
        let status = match explanation.admission() {
            Admission::Adopted => 0,
            Admission::NotAdopted => 1,
            Admission::Denied => 2,
        };
        output::print("explain", status, |out| match self.json {
            true => write_json(out, &explanation, &errors),
            false => write_text(out, &explanation, &errors),
        })
    }
}

/// What a login of the user by ssh would meet, as a text for people.
pub(crate) fn text(user: &str) -> String {
    let question = Question {
        user,
        service: "sshd",
        options: None,
        connection: None,
    };
    let lines = Lines {
        errors: RefCell::default(),
        is_verbose: false,
    };
    match adopt::explain::explain(&question, &lines) {
        Ok(explanation) => {
            let mut text = Vec::new();
            // Writing to memory cannot fail.
            let _ = write_text(&mut text, &explanation, &lines.errors.into_inner());
            String::from_utf8_lossy(&text).into_owned()
        }
        Err(error) => error.to_string(),
    }
}

fn write_text(out: &mut dyn Write, explanation: &Explanation, errors: &[String]) -> io::Result<()> {
    for (number, step) in (1..).zip(&explanation.steps) {
        let cause = step.cause.as_ref();
        let cause = cause.map(|it| format!("{}={} ({})", it.option, safe(&it.value), it.place));
        let took = step.took.map(|it| format!("({:.1} ms)", ms(it)));
        let fact = (!step.fact.is_empty()).then(|| safe(&step.fact));
        let words: Vec<String> = [fact, cause, took].into_iter().flatten().collect();
        writeln!(out, "{number:2}  {:12}  {}", step.name, words.join("  "))?;
    }
    for error in errors {
        writeln!(out, "    error: {}", safe(error))?;
    }
    let uid = explanation.uid;
    let uid = uid.map_or(String::new(), |uid| format!(" (uid {uid})"));
    let user = explanation.user.escape_default();
    writeln!(out, "\nuser {user}{uid}\n{}", explanation.decision())?;
    match explanation.message() {
        Some(message) => writeln!(out, "message: {}", safe(&message)),
        None => Ok(()),
    }
}

fn ms(took: Duration) -> f64 {
    took.as_secs_f64() * 1e3
}

#[derive(Serialize)]
struct Object<'a> {
    user: &'a str,
    uid: Option<u32>,
    admission: &'static str,
    job: Option<u32>,
    decision: String,
    message: Option<String>,
    wait_seconds: Option<f32>,
    environment: Option<&'a [String]>,
    environment_pid: Option<u32>,
    banner: Option<&'a str>,
    steps: Vec<Row<'a>>,
    errors: &'a [String],
}

#[derive(Serialize)]
struct Row<'a> {
    step: &'static str,
    fact: &'a str,
    option: Option<&'static str>,
    value: Option<&'a str>,
    place: Option<&'a str>,
    ms: Option<f64>,
}

impl<'a> Row<'a> {
    fn of(step: &'a Step) -> Self {
        let cause = step.cause.as_ref();
        Self {
            step: step.name,
            fact: &step.fact,
            option: cause.map(|it| it.option),
            value: cause.map(|it| it.value.as_str()),
            place: cause.map(|it| it.place.as_str()),
            // Whole microseconds.
            ms: step.took.map(|it| (ms(it) * 1e3).round() / 1e3),
        }
    }
}

/// docs/explain.schema.json describes it.
fn write_json(out: &mut dyn Write, explanation: &Explanation, errors: &[String]) -> io::Result<()> {
    let gets = explanation.gets.as_ref();
    let object = Object {
        user: &explanation.user,
        uid: explanation.uid,
        admission: match explanation.admission() {
            Admission::Adopted => "adopted",
            Admission::NotAdopted => "without-adoption",
            Admission::Denied => "denied",
        },
        job: explanation.job(),
        decision: explanation.decision(),
        message: explanation.message(),
        wait_seconds: explanation.wait.map(|it| it.as_secs_f32()),
        environment: gets.map(|it| it.names.as_slice()),
        environment_pid: gets.and_then(|it| it.process),
        banner: gets.and_then(|it| it.banner.as_deref()),
        steps: explanation.steps.iter().map(Row::of).collect(),
        errors,
    };
    output::write_json(out, &object)
}
