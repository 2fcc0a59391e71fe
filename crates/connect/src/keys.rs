//! The keys of a node, as this host knows them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::error::Error;

/// Files of all users, ssh_config(5), GlobalKnownHostsFile.
const GLOBAL: [&str; 2] = ["/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"];
/// The user's own, below the home directory.
const OWN: &str = ".ssh/known_hosts";

/// The keys that this host's known_hosts files have for `node`, as lines for `host`. If sshd's port is not the usual one, those for
/// that port come first, as with ssh itself.
///
/// # Errors
/// ssh-keygen could not be run.
pub fn host_keys(node: &str, port: Option<&str>, host: &str) -> Result<String, Error> {
    let of_port = match port {
        Some(port) => known(&format!("[{node}]:{port}"), host)?,
        None => String::new(),
    };
    match of_port.is_empty() {
        true => known(node, host),
        false => Ok(of_port),
    }
}

fn known(node: &str, host: &str) -> Result<String, Error> {
    let home = std::env::var_os("HOME").map(|it| Path::new(&it).join(OWN));
    let files = GLOBAL.iter().map(PathBuf::from).chain(home);
    let mut text = String::new();
    for file in files.filter(|it| it.exists()) {
        let mut find = Command::new("ssh-keygen");
        // With its value in one word, no name is an option.
        find.arg(format!("-F{node}")).arg("-f").arg(file);
        let output = find.stdin(Stdio::null()).output();
        let output = output.map_err(|cause| Error::Run {
            program: "ssh-keygen",
            cause,
        })?;
        text += &renamed(&String::from_utf8_lossy(&output.stdout), host);
    }
    Ok(text)
}

/// Lines of a known_hosts file, with another name of the host; sshd(8), SSH_KNOWN_HOSTS FILE FORMAT.
fn renamed(lines: &str, host: &str) -> String {
    let is_key = |it: &&str| !it.is_empty() && !it.starts_with('#');
    let rename = |line: &str| {
        let (marker, line) = match line.split_once(' ') {
            Some((marker, rest)) if marker.starts_with('@') => (format!("{marker} "), rest),
            _ => (String::new(), line),
        };
        let (_, key) = line.split_once(' ')?;
        Some(format!("{marker}{host} {key}\n"))
    };
    lines.lines().filter(is_key).filter_map(rename).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_a_node_become_those_of_the_host() {
        let lines = "# Host n1 found: line 1 \nn1,10.0.0.1 ssh-ed25519 AAAA comment\n\
                     # Host n1 found: line 2 CA\n@cert-authority n* ssh-rsa BBBB\n";
        let expected = "job-7 ssh-ed25519 AAAA comment\n@cert-authority job-7 ssh-rsa BBBB\n";
        assert_eq!(renamed(lines, "job-7"), expected);
    }
}
