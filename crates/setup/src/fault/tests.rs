use super::*;

fn faults(faults: &[(&'static str, &str, &str)]) -> Vec<Fault> {
    let fault = |(id, file, text): &(&'static str, &str, &str)| Fault {
        id,
        file: (*file).to_owned(),
        text: (*text).to_owned(),
        words: format!("{id} {file} {text}"),
        advice: String::new(),
    };
    faults.iter().map(fault).collect()
}

fn change(file: &str, before: &str, after: &str) -> Change {
    let content = |text: &str| Content::File {
        bytes: text.into(),
        mode: 0o644,
        uid: 0,
        gid: 0,
    };
    Change {
        path: file.into(),
        before: Some(content(before)),
        after: Some(content(after)),
        why: String::new(),
    }
}

/// What is new after these changes.
fn found(
    before: &[(&'static str, &str, &str)],
    after: &[(&'static str, &str, &str)],
    changes: Vec<Change>,
) -> Vec<String> {
    let (before, after) = (faults(before), faults(after));
    let found = new(&before, &after, &changes);
    found.iter().map(|it| it.words.clone()).collect()
}

#[test]
fn a_failure_that_another_of_its_check_replaces_is_new() {
    let before = [("SA010", "/etc/pam.d/sshd", "account required a.so")];
    let after = [("SA010", "/etc/pam.d/sshd", "account required b.so")];
    assert_eq!(found(&before, &before, Vec::new()), [""; 0]);
    let other = found(&before, &after, Vec::new());
    assert_eq!(other, ["SA010 /etc/pam.d/sshd account required b.so"]);
    let twice = [before[0], before[0]];
    assert_eq!(found(&before, &twice, Vec::new()).len(), 1);
    let elsewhere = [("SA010", "/etc/pam.d/su", "account required a.so")];
    assert_eq!(found(&before, &elsewhere, Vec::new()).len(), 1);
}

#[test]
fn a_line_that_is_moved_or_edited_takes_its_failure_along() {
    let (old, new) = ("account optional a.so", "account required a.so");
    let before = [("SA010", "/etc/pam.d/system-auth", old)];
    let after = [("SA010", "/etc/pam.d/sshd", new)];
    let changes = vec![
        change("/etc/pam.d/system-auth", &format!("{old}\nx\n"), "x\n"),
        change("/etc/pam.d/sshd", "y\n", &format!("{new}\ny\n")),
    ];
    assert_eq!(found(&before, &after, changes.clone()), [""; 0]);
    // A new line has no failure to take along.
    let both = [before[0], after[0]];
    assert_eq!(found(&before, &both, changes).len(), 1);
}
