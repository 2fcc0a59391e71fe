//! What leads past our line.

use super::*;

/// Lines of which the second may end the stack.
const PAST: &str =
    "session required pam_x.so\nsession sufficient pam_a.so\nsession required pam_b.so\n";

#[test]
fn what_leads_past_us() {
    for (before, past) in BEFORE {
        let lines = format!("{before}{OURS}session required pam_end.so\n");
        assert_eq!(passed_at(&lines).as_deref(), *past, "{lines}");
    }
}

#[test]
fn where_nothing_has_counted_by_then_the_stack_fails() {
    let jump = "session [success=1 default=ok] pam_a.so\n";
    assert_eq!(passed_at(&format!("{jump}{OURS}")), None);
    let counted = "session required pam_x.so\n";
    let lines = format!("{counted}{jump}{OURS}");
    assert_eq!(passed_at(&lines).as_deref(), Some("2"), "{lines}");
    let lines = lines.replace("=1", "=2");
    assert_eq!(passed_at(&lines), None, "past the end: {lines}");
}

/// The lines before ours, and the line that bypasses ours, if any.
const BEFORE: &[(&str, Option<&str>)] = &[
    ("", None),
    ("session required pam_a.so\n", None),
    ("session requisite pam_a.so\n", None),
    ("session optional pam_a.so\n", None),
    ("session sufficient pam_a.so\n", Some("1")),
    (
        "session required pam_a.so\nsession sufficient pam_b.so\n",
        Some("2"),
    ),
    ("session [default=1] pam_a.so\n", Some("1")),
    (
        "session required pam_x.so\nsession [success=1] pam_a.so\n",
        Some("2"),
    ),
    // The stack's only answer is a failure.
    ("session [success=ignore default=done] pam_a.so\n", None),
    ("session [ignore=done default=ok] pam_a.so\n", None),
    ("session [success=die default=die] pam_a.so\n", None),
    // Debian's common-session.
    (
        "session [default=1] pam_permit.so\nsession requisite pam_deny.so\nsession required \
             pam_permit.so\nsession optional pam_systemd.so\n",
        None,
    ),
    // Red Hat's password-auth and postlogin.
    (
        "session [success=1 default=ignore] pam_succeed_if.so service in crond quiet use_uid\n\
             session required pam_unix.so\nsession [success=1 default=ignore] pam_succeed_if.so quiet\n\
             session [default=1] pam_lastlog.so nowtmp\nsession optional pam_lastlog.so silent\n",
        None,
    ),
    // Words that libpam cannot parse.
    ("session [success=okay] pam_a.so\n", None),
    ("session [success=0] pam_a.so\n", None),
    ("session [nonsense=done] pam_a.so\n", None),
    (
        "session [ success = 1default = ignore ] pam_a.so\n",
        Some("1"),
    ),
    (
        "session required pam_x.so\nsession [success=reset] pam_a.so\n",
        None,
    ),
    ("session sufficient /nonexistent/pam_a.so\n", None),
    (
        "session required pam_x.so\n-session [module_unknown=1 default=ok] /nonexistent/pam_a.so\n",
        Some("2"),
    ),
    (
        "session include missing\nsession sufficient pam_a.so\n",
        None,
    ),
    (
        "session include missing\nsession [default=reset] pam_x.so\nsession sufficient pam_a.so\n",
        Some("3"),
    ),
];

/// The number of the line that bypasses ours.
fn passed_at(lines: &str) -> Option<String> {
    match session(lines).reach(Facility::Session) {
        Reach::MayBePassed(line) => line.place.rsplit(':').next().map(str::to_owned),
        Reach::Always => None,
        other => panic!("{lines}{other:?}"),
    }
}

#[test]
fn a_substack_keeps_its_ends_and_jumps() {
    let past = PAST;
    let jump = "session required pam_x.so\nsession [success=9 default=ok] pam_a.so\n";
    for (sshd, fragment, is_passed) in [
        ("session substack fragment\n", past, false),
        ("session include fragment\n", past, true),
        ("@include fragment\n", past, true),
        ("session substack fragment\n", jump, false),
        // The substack is one entry.
        (
            "session [default=1] pam_c.so\nsession substack fragment\n",
            past,
            false,
        ),
        (
            "session [default=2] pam_c.so\nsession substack fragment\n",
            past,
            true,
        ),
        (
            "session [default=2] pam_c.so\nsession include fragment\n",
            past,
            false,
        ),
    ] {
        let sshd = format!("session required pam_y.so\n{sshd}{OURS}session required pam_end.so\n");
        let stack = Dir::new(&[("sshd", &sshd), ("fragment", fragment)]).stack();
        let reach = stack.reach(Facility::Session);
        let found = matches!(reach, Reach::MayBePassed(_));
        assert_eq!(found, is_passed, "{sshd}{fragment}{reach:?}");
    }
}

#[test]
fn reset_within_a_substack_restores_what_counted_before_it() {
    let sshd =
        "session required pam_x.so\nsession substack fragment\nsession [default=1] pam_c.so\n";
    let reset = "session required pam_a.so\nsession [default=reset] pam_b.so\n";
    for (first, is_passed) in [("", true), ("session [default=reset] pam_a.so\n", false)] {
        let sshd = format!("{first}{sshd}{first}{OURS}");
        let sshd = if is_passed {
            sshd
        } else {
            sshd.replace("session required pam_x.so\n", "")
        };
        let stack = Dir::new(&[("sshd", &sshd), ("fragment", reset)]).stack();
        let reach = stack.reach(Facility::Session);
        assert_eq!(
            matches!(reach, Reach::MayBePassed(_)),
            is_passed,
            "{sshd}{reach:?}"
        );
    }
}

#[test]
fn a_substack_may_end_before_our_line_in_it() {
    let fragment = format!("{PAST}{OURS}");
    let stack = Dir::new(&[
        ("sshd", "session substack fragment\n"),
        ("fragment", &fragment),
    ]);
    assert!(matches!(
        stack.stack().reach(Facility::Session),
        Reach::MayBePassed(Line { text, .. }) if text == "session sufficient pam_a.so"
    ));
}

#[test]
fn a_stack_of_endless_ways_is_not_trusted() {
    let mut files = vec![("sshd".to_owned(), String::new())];
    for level in 0..15 {
        let next = format!("level{level}");
        let text = "session [success=ok try_again=ok auth_err=reset perm_denied=bad default=ignore] \
                    pam_a.so\n";
        let last = files.last_mut().expect("the first");
        last.1 = format!("{text}{text}session substack {next}\n{text}");
        files.push((next, text.to_owned()));
    }
    files[0].1.push_str(OURS);
    let files: Vec<(&str, &str)> = files
        .iter()
        .map(|(name, text)| (&**name, &**text))
        .collect();
    let stack = Dir::new(&files).stack();
    let Reach::MayBePassed(line) = stack.reach(Facility::Session) else {
        panic!("{stack:?}");
    };
    assert_eq!(line.text, "more than 4096 ways through the stack");
    assert!(line.place.ends_with("sshd:1"), "{line:?}");
}
