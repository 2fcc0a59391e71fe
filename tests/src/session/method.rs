//! Authentication methods: an sshd that accepts only one method, and its clients.

use std::fmt;
use std::time::Duration;

use anyhow::{Context, Result};
use lab::{Command, Node};

use super::yes_or_no;

/// Authentication method of a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// A key; PAM's auth stack is not called.
    PublicKey,
    /// A password that sshd asks for and passes to PAM.
    Password,
    /// PAM's own questions, in a helper process of sshd.
    KeyboardInteractive,
    /// A key, then PAM's questions: the usual second factor.
    KeyThenKeyboardInteractive,
}

impl Method {
    /// All methods.
    pub const ALL: [Self; 4] = [
        Self::PublicKey,
        Self::Password,
        Self::KeyboardInteractive,
        Self::KeyThenKeyboardInteractive,
    ];

    /// Settings with which sshd accepts only this method.
    fn settings(self) -> Vec<String> {
        let password = yes_or_no(self == Self::Password);
        let interactive = yes_or_no(self.is_keyboard_interactive());
        vec![
            format!("AuthenticationMethods={self}"),
            format!("PasswordAuthentication={password}"),
            // Both names of the setting: OpenSSH before 8.7 uses the second.
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

    /// Starts an sshd on the node that accepts only this method, and waits until it listens.
    ///
    /// # Errors
    /// It did not start.
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
        // sshd writes it when it listens.
        let until = format!("until test -s {pid_file}; do sleep 0.02; done");
        let wait = node.command(&["sh", "-ec", &until]);
        wait.time_limit(Duration::from_secs(20)).output()?.ok()?;
        Ok(())
    }

    /// PID of the sshd that accepts this method.
    ///
    /// # Errors
    /// None was started.
    pub fn sshd(self, node: &Node) -> Result<u32> {
        let pid = node.read_text(&self.pid_file())?;
        pid.trim().parse().context("sshd's pid")
    }

    /// Prepares ssh, scp or sftp with its arguments, on a node as one of the lab's users; [`ASKPASS`] must
    /// be there.
    #[must_use]
    pub fn client(self, from: &Node, user: &str, argv: &[&str]) -> Command {
        let argv = self.arguments(argv);
        let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
        let command = from.command(&argv).user(user);
        Self::ENV
            .iter()
            .fold(command, |command, (name, value)| command.env(name, value))
    }

    /// Environment of the clients.
    pub const ENV: [(&str, &str); 2] =
        [("SSH_ASKPASS", ASKPASS.0), ("SSH_ASKPASS_REQUIRE", "force")];

    /// Arguments of ssh, scp or sftp, including those that make it use this method.
    #[must_use]
    pub fn arguments(self, argv: &[&str]) -> Vec<String> {
        let (program, arguments) = argv.split_first().unwrap_or((&"ssh", &[]));
        let mut all = vec![(*program).to_owned()];
        for option in [
            "ConnectTimeout=20".to_owned(),
            // Otherwise sftp -b would not ask.
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

    /// Port of the sshd that accepts this method.
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

/// A program that prints its user's password, or a new password if asked for one: path and text.
pub const ASKPASS: (&str, &str) = (
    "/usr/local/bin/askpass",
    "#!/bin/sh\ncase $1 in *[Nn]ew*) echo 7HOW+DUMB42;; *) echo \"$USER-secret\";; esac\n",
);

/// Formats the method as in `AuthenticationMethods` of sshd_config(5).
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
