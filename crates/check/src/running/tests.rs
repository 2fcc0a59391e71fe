//! What is told, and how severe it is.

use std::sync::mpsc;
use std::time::Duration;

use adopt::survey::SlurmdProblem;

use super::*;
use crate::Finding;
use crate::finding::Note;

/// What a room says, a line each.
fn told(look: impl FnOnce(&mut Notes)) -> Vec<String> {
    let (sender, receiver) = mpsc::channel();
    let mut notes = Notes { room: 0, sender };
    look(&mut notes);
    drop(notes);
    let line = |note| match note {
        Note::Finding(it) => {
            let severity = it.severity.name();
            format!("{} {severity}: {}", it.check.id, it.detail)
        }
        Note::Summary(text) | Note::Measured(text) => text,
        Note::Unseen(it) => format!("unseen: {}: {}", it.what, it.why),
        Note::Shown => "shown".to_owned(),
        Note::Done => "done".to_owned(),
    };
    receiver.iter().map(|(_, note)| line(note)).collect()
}

#[test]
fn one_node_that_is_down_is_no_firewall() {
    let up = || Ok(Duration::from_millis(4));
    let down = || Err(SlurmdProblem::Unreachable("connect: timed out".into()));
    let lost = |name: &str, severity: &str| {
        let what = "cannot be traced: connect: timed out";
        format!("SA531 {severity}: logins from {name} {what}")
    };
    for (answers, may_be_down, expected) in [
        (
            vec![("n2", up()), ("n3", up())],
            false,
            vec!["n2, n3 answered in 4 ms".to_owned()],
        ),
        (
            vec![("n2", up()), ("n3", down())],
            false,
            vec!["n2 answered in 4 ms".to_owned(), lost("n3", "note")],
        ),
        (
            vec![("n2", down()), ("n3", down())],
            false,
            vec![lost("n2", "warning"), lost("n3", "warning")],
        ),
        // Idle nodes are powered down.
        (vec![("n2", down())], true, vec![lost("n2", "note")]),
        (
            vec![("n2", Err(SlurmdProblem::Refuses("it speaks 20.11".into())))],
            true,
            vec!["SA532 warning: logins from n2 cannot be traced: it speaks 20.11".to_owned()],
        ),
        (
            vec![("n2", Err(SlurmdProblem::NotAsked("TLS".into())))],
            false,
            vec!["unseen: the slurmd of n2: TLS".to_owned()],
        ),
        (vec![], false, vec![]),
    ] {
        let found = told(|notes| peers::judge(answers, may_be_down, notes));
        assert_eq!(found, expected);
    }
}

#[test]
fn many_jobs_of_one_kind_are_told_together() {
    let found: Vec<_> = (1..=30)
        .map(|job| (job, Finding::of(&steps::SILENT, format!("job {job}"))))
        .collect();
    let some = |count: usize| {
        let found: Vec<_> = found.iter().take(count).collect();
        told(|notes| steps::tell(&found, notes))
    };
    assert_eq!(some(0), [""; 0]);
    assert_eq!(some(1), ["SA521 failure: job 1"]);
    assert_eq!(some(4).len(), 4);
    assert_eq!(some(6)[4], "SA521 failure: 2 more jobs: 5, 6");
    let many = some(30);
    assert_eq!(many.len(), 5);
    assert!(
        many[4].starts_with("SA521 failure: 26 more jobs: 5, 6, "),
        "{many:?}"
    );
    assert!(many[4].ends_with(", 24, ..."), "{many:?}");
}
