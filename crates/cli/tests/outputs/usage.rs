//! What is asked wrongly, and the texts of help.

use crate::{compare, session};

#[test]
fn bad_requests_get_one_clear_text() {
    let requests: &[&[&str]] = &[
        &["check", "--only", "SA000"],
        &["check", "--root", "/no/such/tree"],
        &["check", "--root", "/usr/share"],
        &["check", "--root", "/", "--as", "alice"],
        &["check", "--json", "--terse"],
        &["explain"],
        &["explain", "alice", "--from", "node1"],
        &["help", "SA000"],
        &["help", "\u{1b}[2J"],
        &["no-such-command"],
        &["setup", "--only", "sshd", "--admins", "wheel"],
        &["setup", "--only", "pam,sshd", "--slurm-conf"],
    ];
    let texts: Vec<_> = requests.iter().map(|it| session(it)).collect();
    compare("usage.txt", &texts.join("\n").replace('\u{1b}', "ESC"));
}

#[test]
fn help_says_why_and_what_to_do() {
    let texts = ["SA224", "check", "explain", "status"].map(|it| session(&["help", it]));
    compare("help.txt", &texts.join("\n"));
}
