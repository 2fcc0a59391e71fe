//! Lines of `log_format=json` in a file, with or without what syslog puts before them.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use serde::Deserialize;
use serde_json::Number;

use crate::stats::sums::{Login, Sums};

/// A line about a decision, docs/log.schema.json.
#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    decision: &'a str,
    reason: &'a str,
    phase: &'a str,
    ms: Number,
}

/// Sums up a file; `-` is standard input. Other lines are skipped.
pub fn sum(path: &Path) -> io::Result<Sums> {
    match path == Path::new("-") {
        true => of_lines(io::stdin().lock()),
        false => of_lines(BufReader::new(File::open(path)?)),
    }
}

fn of_lines(lines: impl BufRead) -> io::Result<Sums> {
    let mut sums = Sums::default();
    for line in lines.split(b'\n') {
        let line = line?;
        let line = std::str::from_utf8(&line).ok().and_then(object);
        let Some(line) = line.and_then(|it| serde_json::from_str::<Line<'_>>(it).ok()) else {
            continue;
        };
        sums.add(Login {
            decision: line.decision,
            reason: line.reason,
            phase: line.phase,
            ms: &line.ms.to_string(),
        });
    }
    Ok(sums)
}

/// The object of a line: all of it, or what follows the module's name as pam_syslog(3) writes it.
fn object(line: &str) -> Option<&str> {
    if line.starts_with('{') {
        return Some(line);
    }
    let (_, after) = line.split_once("pam_slurm_adopt")?;
    let (_, object) = after.split_once("): ")?;
    object.starts_with('{').then_some(object)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"version":1,"level":"info","user":"a\"b","uid":2001,"decision":"denied","reason":"no-job","job":null,"ms":1.2,"rhost":null,"phase":"account","service":"sshd","node":null,"message":"no"}"#;

    #[test]
    fn only_lines_about_a_decision_count() {
        let text = format!(
            "{LINE}\n\
             Nov 30 05:33:50 node1 sshd[7]: pam_slurm_adopt(sshd:account): {LINE}\n\
             2026-11-30T05:33:50+00:00 node1 sshd-session[7]: pam_slurm_adopt(sshd:account): {LINE}\r\n\
             Nov 30 05:33:50 node1 sshd[7]: pam_slurm_adopt(sshd:account): {{\"version\":1,\"level\":\"error\",\"message\":\"x\"}}\n\
             Nov 30 05:33:50 node1 sshd[7]: pam_slurm_adopt(sshd:account): user=alice uid=2001 decision=denied\n\
             Nov 30 05:33:50 node1 sshd[7]: Invalid user pam_slurm_adopt(a): {LINE} from 10.0.0.1 port 5\n\
             Nov 30 05:33:50 node1 other: {LINE}\n\
             \u{0}\n{{\n\n"
        );
        let mut bytes = text.into_bytes();
        bytes.extend_from_slice(b"\xff\n");
        let sums = of_lines(&bytes[..]).expect("read");
        let counts: Vec<_> = sums.logins.iter().map(|it| it.count).collect();
        assert_eq!(counts, [3]);
    }

    #[test]
    fn a_file_that_is_not_there_is_an_error() {
        sum(Path::new("/nowhere/at/all")).expect_err("absent");
    }
}
