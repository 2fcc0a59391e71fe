//! What ssh does on a broken node, unlike on the sound one.

use anyhow::{Result, ensure};
use lab::Node;
use tests::job_of_cgroup;
use tests::session::Method;

/// The user is one with a job, unless it says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// No login shows it.
    None,
    /// A user without a job gets in; before, not.
    GetsIn(&'static str),
    /// The same at an sshd of this port, which the sound node does not have.
    GetsInAt(&'static str, u16),
    /// A user without a job gets in to change the password; before, not.
    ChangesPassword(&'static str),
    /// A user is kept out, who was in the job before.
    KeptOut(&'static str),
    /// A user and root are kept out; before, not.
    EveryoneKeptOut(&'static str),
    /// By a key and keyboard-interactive a user gets in but not into the job, as before.
    NotInJob(&'static str),
    /// By keyboard-interactive alone a user gets in but not into the job; before, not at all.
    NotInJobByKeyboard(&'static str),
    /// The user's client sets a variable of Slurm's in the login; before, it could not.
    SetsVariable(&'static str),
    /// A user gets into the job as before: what is broken shows elsewhere.
    StillInJob(&'static str),
    /// A user without a job is kept out, as before: what the admin wrote has no effect.
    StillOut(&'static str),
    /// Root is kept out; before, not.
    RootKeptOut,
    /// Root gets in, alice into her job, and carol, who has none, not: nothing is broken.
    Works,
}

/// How a login ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Login {
    Out,
    In,
    InJob,
    /// Let in by sshd, for no more than a new password.
    OldPassword,
    /// In the job with a variable that the client sent.
    InJobWithVariable,
}

/// A login, and how it ends on the sound and on the broken node.
struct Trial {
    user: &'static str,
    port: u16,
    methods: &'static str,
    sound: Login,
    broken: Login,
}

impl Trial {
    /// A login to the node's sshd, by a key unless the sshd asks for more.
    const fn new(user: &'static str, sound: Login, broken: Login) -> Self {
        Self {
            user,
            port: 22,
            methods: "publickey,keyboard-interactive",
            sound,
            broken,
        }
    }

    fn login(&self, node: &Node) -> Result<(Login, String)> {
        let port = format!("Port={}", self.port);
        let methods = format!("PreferredAuthentications={}", self.methods);
        let mut argv = vec!["ssh"];
        for option in [
            "ConnectTimeout=20",
            "NumberOfPasswordPrompts=1",
            "SetEnv=SLURM_FORGED=forged",
            &port,
            &methods,
        ] {
            argv.extend(["-o", option]);
        }
        argv.extend([node.name(), "echo $SLURM_FORGED; cat /proc/self/cgroup"]);
        let command = node.command(&argv).user(self.user);
        let with_askpass = Method::ENV
            .iter()
            .fold(command, |command, (name, value)| command.env(name, value));
        let ended = with_askpass.output()?;
        let login = if ended.success() {
            let is_in_job = job_of_cgroup(node, &ended.stdout)?.is_some();
            match (is_in_job, ended.stdout.starts_with("forged\n")) {
                (true, true) => Login::InJobWithVariable,
                (true, false) => Login::InJob,
                (false, _) => Login::In,
            }
        } else if ended.stderr.contains("Password change required") {
            Login::OldPassword
        } else {
            Login::Out
        };
        Ok((login, ended.to_string()))
    }
}

impl Proof {
    fn trials(self) -> Vec<Trial> {
        use Login::{In, InJob, InJobWithVariable, OldPassword, Out};
        let trial = |user, sound, broken| vec![Trial::new(user, sound, broken)];
        match self {
            Self::None => Vec::new(),
            Self::GetsIn(user) => trial(user, Out, In),
            Self::GetsInAt(user, port) => vec![Trial {
                port,
                ..Trial::new(user, Out, In)
            }],
            Self::ChangesPassword(user) => trial(user, Out, OldPassword),
            Self::KeptOut(user) => trial(user, InJob, Out),
            Self::EveryoneKeptOut(user) => {
                vec![Trial::new(user, InJob, Out), Trial::new("root", In, Out)]
            }
            Self::NotInJob(user) => trial(user, InJob, In),
            Self::NotInJobByKeyboard(user) => vec![Trial {
                methods: "keyboard-interactive",
                ..Trial::new(user, Out, In)
            }],
            Self::SetsVariable(user) => trial(user, InJob, InJobWithVariable),
            Self::StillInJob(user) => trial(user, InJob, InJob),
            Self::StillOut(user) => trial(user, Out, Out),
            Self::RootKeptOut => trial("root", In, Out),
            Self::Works => vec![
                Trial::new("root", In, In),
                Trial::new("alice", InJob, InJob),
                Trial::new("carol", Out, Out),
            ],
        }
    }

    /// Logs in, and compares how that ends.
    pub fn show(self, node: &Node, is_broken: bool) -> Result<()> {
        for trial in self.trials() {
            let expected = if is_broken { trial.broken } else { trial.sound };
            let (found, shown) = trial.login(node)?;
            let user = trial.user;
            ensure!(
                found == expected,
                "broken {is_broken}: {user} is {found:?}, expected {expected:?}: {shown}"
            );
        }
        Ok(())
    }
}
