//! `slurm-adopt explain`: dry-runs a login.

use std::cell::Cell;
use std::os::unix::fs::MetadataExt as _;
use std::process::ExitCode;

use adopt::explain::{Admission, Question};
use adopt::log::Sink;
use clap::Args;

/// Dry-run a login by USER and explain the decision.
///
/// Uses the code of the module: asks the slurmstepds and decides, but adopts nothing. Takes the options from the
/// module's line in the service's PAM stack and from /etc/security/slurm_adopt.conf.
///
/// Exit status: 0 the user gets in and is adopted, 1 gets in without adoption, 2 is denied.
#[derive(Debug, Args)]
pub struct Explain {
    /// The user's name
    user: String,
    /// PAM service of the login
    #[arg(long, value_name = "NAME", default_value = "sshd")]
    service: String,
    /// Arguments to use instead of those in the PAM stack, separated by blanks
    #[arg(long, value_name = "OPTIONS")]
    options: Option<String>,
}

/// Numbers the steps.
#[derive(Default)]
struct Steps(Cell<usize>);

impl Sink for Steps {
    fn line(&self, severity: pam::Severity, text: &str) {
        let number = self.0.get() + 1;
        self.0.set(number);
        match severity {
            pam::Severity::Error => println!("{number:2}  error: {text}"),
            _ => println!("{number:2}  {text}"),
        }
    }
}

impl Explain {
    /// Prints the steps and the decision.
    pub fn run(&self) -> ExitCode {
        if !std::fs::metadata("/proc/self").is_ok_and(|it| it.uid() == 0) {
            eprintln!("slurm-adopt explain: not root: cannot look at a running slurmd");
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
        };
        let explanation = adopt::explain::explain(&question, &Steps::default());
        println!("{explanation}");
        ExitCode::from(match explanation.admission() {
            Admission::Adopted => 0,
            Admission::NotAdopted => 1,
            Admission::Denied => 2,
        })
    }
}
