//! How a user proves who they are: an sshd that takes one method alone, and its clients.

use std::fmt;
use std::time::Duration;

use anyhow::{Context, Result};
use lab::{Command, Node};

use super::yes_or_no;

/// How the user proves who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// A key: PAM's auth stack is not asked.
    PublicKey,
    /// A password that sshd asks for and hands to PAM.
    Password,
    /// What PAM asks for itself, in a helper process of sshd's.
    KeyboardInteractive,
    /// A key, then what PAM asks for: the usual second factor.
    KeyThenKeyboardInteractive,
}

impl Method {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::PublicKey,
        Self::Password,
        Self::KeyboardInteractive,
        Self::KeyThenKeyboardInteractive,
    ];

    /// The settings under which sshd takes nothing else.
    fn settings(self) -> Vec<String> {
        let password = yes_or_no(self == Self::Password);
        let interactive = yes_or_no(self.is_keyboard_interactive());
        vec![
            format!("AuthenticationMethods={self}"),
            format!("PasswordAuthentication={password}"),
            // Both of its names: the second is the one that OpenSSH before 8.7 goes by.
            format!("KbdInteractiveAuthentication={interactive}"),
            format!("ChallengeResponseAuthentication={interactive}"),
        ]
    }

    /// Whether PAM's account phase runs in a helper process.
    #[must_use]
    pub fn is_keyboard_interactive(self) -> bool {
        matches!(
            self,
            Self::KeyboardInteractive | Self::KeyThenKeyboardInteractive
        )
    }

    /// Starts an sshd on the node that takes this method alone, and waits until it listens.
    ///
    /// # Errors
    /// It did not come up.
    pub fn start_sshd(self, node: &Node) -> Result<()> {
        let pid_file = self.pid_file();
        let port = self.port().to_string();
        let mut argv = vec!["/usr/sbin/sshd".to_owned(), "-p".to_owned(), port];
        let settings = self.settings().into_iter();
        for setting in settings.chain([format!("PidFile={pid_file}")]) {
            argv.extend(["-o".to_owned(), setting]);
        }
        let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
        node.run(&argv)?.ok()?;
        // Written when it listens.
        let until = format!("until test -s {pid_file}; do sleep 0.02; done");
        let wait = node.command(&["sh", "-ec", &until]);
        wait.time_limit(Duration::from_secs(20)).output()?.ok()?;
        Ok(())
    }

    /// The process of the sshd that takes it.
    ///
    /// # Errors
    /// None was started.
    pub fn sshd(self, node: &Node) -> Result<u32> {
        let pid = node.read_text(&self.pid_file())?;
        pid.trim().parse().context("sshd's pid")
    }

    /// ssh, scp or sftp with its arguments, from a node as one of the lab's users, who have
    /// [`ASKPASS`] there.
    #[must_use]
    pub fn client(self, from: &Node, user: &str, argv: &[&str]) -> Command {
        let argv = self.arguments(argv);
        let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
        let command = from.command(&argv).user(user);
        Self::ENV
            .iter()
            .fold(command, |command, (name, value)| command.env(name, value))
    }

    /// What the clients find in their environment.
    pub const ENV: [(&str, &str); 2] =
        [("SSH_ASKPASS", ASKPASS.0), ("SSH_ASKPASS_REQUIRE", "force")];

    /// ssh, scp or sftp with its arguments and what makes it take this method.
    #[must_use]
    pub fn arguments(self, argv: &[&str]) -> Vec<String> {
        let (program, arguments) = argv.split_first().unwrap_or((&"ssh", &[]));
        let mut all = vec![(*program).to_owned()];
        for option in [
            "ConnectTimeout=20".to_owned(),
            // sftp -b would not ask.
            "BatchMode=no".to_owned(),
            "NumberOfPasswordPrompts=1".to_owned(),
            format!("Port={}", self.port()),
            format!("PreferredAuthentications={self}"),
        ] {
            all.extend(["-o".to_owned(), option]);
        }
        all.extend(arguments.iter().map(|it| (*it).to_owned()));
        all
    }

    /// The port of the sshd that takes it.
    #[must_use]
    pub fn port(self) -> u16 {
        match self {
            Self::PublicKey => 2201,
            Self::Password => 2202,
            Self::KeyboardInteractive => 2203,
            Self::KeyThenKeyboardInteractive => 2204,
        }
    }

    fn pid_file(self) -> String {
        format!("/run/sshd-{}.pid", self.port())
    }
}

/// A program that says the password of who calls it, or a new one where one is asked for: its path
/// and its text.
pub const ASKPASS: (&str, &str) = (
    "/usr/local/bin/askpass",
    "#!/bin/sh\ncase $1 in *[Nn]ew*) echo 7HOW+DUMB42;; *) echo \"$USER-secret\";; esac\n",
);

/// As `AuthenticationMethods` in sshd_config(5) names it.
impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PublicKey => "publickey",
            Self::Password => "password",
            Self::KeyboardInteractive => "keyboard-interactive",
            Self::KeyThenKeyboardInteractive => "publickey,keyboard-interactive",
        })
    }
}
