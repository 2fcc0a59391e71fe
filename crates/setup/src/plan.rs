//! What is to be changed on a host, and why.

mod draft;
mod lines;
mod options;
mod pam;
mod refusal;
mod slurm;
mod sshd;
mod systemd;
mod units;

use std::os::unix::fs::MetadataExt as _;

use check::{Finding, Host};

use crate::change::Change;
use crate::plan::draft::Draft;

pub use refusal::{FileRefusal, PamRefusal, Refusal, SettingRefusal};

/// What the admin asks for.
#[derive(Debug, Clone, Default)]
pub struct Wish {
    /// Parts to look after; empty for all.
    pub only: Vec<Part>,
    /// Add the session line; None to add it where it is needed or does no harm.
    pub session: Option<bool>,
    /// Deny where the module cannot decide.
    pub strict: bool,
    /// Group whose members get in without a job.
    pub admins: Option<String>,
    /// Change slurm.conf and cgroup.conf too, instead of printing the lines.
    pub slurm_conf: bool,
    /// Leave sshd's penalties for refused logins on.
    pub keep_penalties: bool,
    /// Give users no service manager of their own (the drop-in of user@.service); None to ask.
    pub user_manager: Option<bool>,
}

/// A part of the set-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// sshd's PAM stack and /etc/security/slurm_adopt.conf.
    Pam,
    /// sshd_config.
    Sshd,
    /// Drop-ins of systemd's units, /run/slurm-adopt.
    Systemd,
    /// slurm.conf and cgroup.conf.
    Slurm,
}

/// What is to be changed, in the order in which it is to be done: after each step there is a way in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Files to be changed.
    pub changes: Vec<Change>,
    /// Commands that make the changes count, such as `systemctl reload ssh`; not run in a tree that does not run.
    pub commands: Vec<Command>,
    /// What the admin does elsewhere or decides, such as lines for the controller's slurm.conf.
    pub advice: Vec<Advice>,
    /// Checks whose failures are what the admin asks for.
    pub accepted: Vec<&'static str>,
}

impl Plan {
    /// Whether the admin is to decide about users' service managers, [`Wish::user_manager`]. An advice of the plan says
    /// what users lose.
    #[must_use]
    pub fn asks_user_manager(&self) -> bool {
        self.advice.iter().any(|it| it.title == systemd::QUESTION)
    }
}

/// A command and its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// Name of the program, which is looked up in the usual directories of root.
    pub program: String,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// The reason in one line.
    pub why: String,
}

/// Something that setup does not do itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advice {
    /// What and where, in one line.
    pub title: String,
    /// Lines to copy.
    pub lines: Vec<String>,
}

/// Works out what is to be changed. A host that is set up already gives an empty plan.
///
/// # Errors
/// [`Refusal`] if the host cannot be set up.
pub fn plan(host: &Host, wish: &Wish) -> Result<Plan, Refusal> {
    let mut work = Work {
        wish,
        draft: Draft::of(host),
        commands: Vec::new(),
        advice: Vec::new(),
    };
    if wish.wants(Part::Pam) {
        pam::plan(&mut work)?;
    }
    if wish.wants(Part::Sshd) {
        sshd::plan(&mut work)?;
    }
    if wish.wants(Part::Systemd) {
        systemd::plan(&mut work)?;
    }
    if wish.wants(Part::Slurm) {
        slurm::plan(&mut work)?;
    }
    let changes = work.draft.changes();
    tell_links(&mut work, &changes);
    Ok(Plan {
        changes,
        commands: work.commands,
        advice: work.advice,
        accepted: match wish.session {
            Some(false) => vec![WITHOUT_SESSION],
            _ => Vec::new(),
        },
    })
}

/// Tells of files with several names: each change replaces the file under one of them.
fn tell_links(work: &mut Work<'_>, changes: &[Change]) {
    let links = |it: &Change| {
        let status = work.host().tree.link_status(&it.path).ok()?;
        let count = status.nlink();
        (status.is_file() && count > 1).then(|| (it.path.display().to_string(), count))
    };
    let files: Vec<(String, u64)> = changes.iter().filter_map(links).collect();
    for (file, count) in files {
        let title = format!(
            "{file} has {count} names (hard links): it is replaced under this one, and keeps its content under the others"
        );
        let find = format!("find / -xdev -samefile {file}   # its names, before the change");
        let how = match work.host().is_live() {
            true => vec![find.as_str()],
            false => Vec::new(),
        };
        work.advise(title, &how);
    }
}

/// A plan that grows.
struct Work<'a> {
    wish: &'a Wish,
    draft: Draft<'a>,
    commands: Vec<Command>,
    advice: Vec<Advice>,
}

impl<'a> Work<'a> {
    fn host(&self) -> &'a Host {
        self.draft.host
    }

    fn command(&mut self, program: &str, arguments: &[&str], why: &str) {
        let command = Command {
            program: program.to_owned(),
            arguments: arguments.iter().map(|it| (*it).to_owned()).collect(),
            why: why.to_owned(),
        };
        if !self.commands.contains(&command) {
            self.commands.push(command);
        }
    }

    fn advise(&mut self, title: impl Into<String>, lines: &[&str]) {
        let advice = Advice {
            title: title.into(),
            lines: lines.iter().map(|it| (*it).to_owned()).collect(),
        };
        if !self.advice.contains(&advice) {
            self.advice.push(advice);
        }
    }

    /// The command that sets up with one more option.
    fn again(&self, option: &str) -> String {
        match self.host().tree.root() {
            Some(root) => format!("slurm-adopt setup --root {} {option}", root.display()),
            None => format!("slurm-adopt setup {option}"),
        }
    }

    /// Tells what was found and is left to the admin.
    fn leave(&mut self, finding: &Finding) {
        let place = finding
            .spot
            .as_ref()
            .map_or(String::new(), |spot| match spot.line {
                Some(line) => format!("{}:{line}: ", spot.file),
                None => format!("{}: ", spot.file),
            });
        let title = format!("{place}{} ({})", finding.detail, finding.check.id);
        self.advise(title, &[finding.advice()]);
    }
}

impl Wish {
    /// Whether a part is looked after.
    #[must_use]
    pub fn wants(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }
}

/// The failure that check finds where there is no session line.
const WITHOUT_SESSION: &str = "SA250";
