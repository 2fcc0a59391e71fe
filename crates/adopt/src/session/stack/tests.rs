use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;

/// A PAM directory, and one before it that does not exist.
struct Dir(PathBuf);

impl Dir {
    fn new(files: &[(&str, &str)]) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("stack-{}-{number}", std::process::id()));
        for (name, text) in files {
            let path = dir.join(name);
            fs::create_dir_all(path.parent().expect("a directory")).expect("make it");
            fs::write(path, text).expect("write");
        }
        Self(dir)
    }

    fn text(&self) -> &str {
        self.0.to_str().expect("text")
    }

    fn stack(&self) -> Stack {
        let none = self.0.join("none");
        Stack::read_in(&[none.to_str().expect("text"), self.text()], "sshd")
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        // A failed test must not fail again here.
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn session(lines: &str) -> Stack {
    Dir::new(&[("sshd", lines)]).stack()
}

#[test]
fn whether_other_account_modules_answer() {
    let ours = "account required pam_slurm_adopt.so\n";
    for (others, has) in [
        ("", false),
        ("session required pam_unix.so\n", false),
        ("account required pam_nologin.so\n", false),
        ("account substack inner\n", false),
        ("account required pam_unix.so\n", true),
        ("@include common\n", true),
    ] {
        let sshd = format!("{others}{ours}");
        let files = [
            ("sshd", sshd.as_str()),
            ("inner", "account required pam_nologin.so\n"),
            ("common", "account required pam_unix.so\n"),
        ];
        assert_eq!(Dir::new(&files).stack().has_others(), has, "{others}");
    }
}

#[test]
fn a_phase_without_lines_is_that_of_other() {
    let ours = "session required pam_slurm_adopt.so\naccount required pam_slurm_adopt.so\n";
    for (sshd, account, session) in [
        ("", Reach::Always, Reach::Always),
        ("account required pam_a.so\n", Reach::Absent, Reach::Always),
        ("session required pam_a.so\n", Reach::Always, Reach::Absent),
    ] {
        let stack = Dir::new(&[("sshd", sshd), ("other", ours)]).stack();
        assert_eq!(*stack.reach(Facility::Account), account, "{sshd}");
        assert_eq!(*stack.reach(Facility::Session), session, "{sshd}");
    }
    let stack = Dir::new(&[("other", ours)]).stack();
    assert_eq!(*stack.reach(Facility::Session), Reach::Always);
}

#[test]
fn a_file_that_is_there_and_not_read_is_told() {
    let dir = Dir::new(&[("sshd", "session required pam_a.so\n@include missing\n")]);
    assert_eq!(dir.stack().unread(), None);
    let dir = Dir::new(&[("sshd", "@include part\n"), ("part/file", "")]);
    let told = format!("read {}/part: not a regular file", dir.text());
    assert_eq!(dir.stack().unread(), Some(told.as_str()));
}

/// Lines of which the second may end the stack.
const PAST: &str =
    "session required pam_x.so\nsession sufficient pam_a.so\nsession required pam_b.so\n";
const OURS: &str = "session required pam_slurm_adopt.so\n";

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
fn a_failure_of_ours_need_not_count() {
    for (control, after, binds) in [
        ("required", "", true),
        ("requisite", "", true),
        ("optional", "", false),
        ("sufficient", "", false),
        ("[default=done]", "", true),
        ("[default=ok]", "", true),
        ("[default=ignore]", "", false),
        ("[success=ok ignore=ignore]", "", true),
        ("[session_err=ignore default=bad]", "", false),
        ("[success=ok session_err=1 default=bad]", "", false),
        ("[session_err=7 default=bad]", "", true),
        ("required", "session [default=reset] pam_a.so\n", false),
        ("requisite", "session [default=reset] pam_a.so\n", true),
    ] {
        let lines = format!(
            "session {control} pam_slurm_adopt.so\n{after}session required pam_b.so\nsession required \
             pam_b.so\n"
        );
        let stack = session(&lines);
        let reach = match binds {
            true => Reach::Always,
            false => Reach::NotBinding,
        };
        assert_eq!(*stack.reach(Facility::Session), reach, "{lines}");
        assert_eq!(
            stack.binding(Facility::Session).len(),
            usize::from(binds),
            "{lines}"
        );
    }
}

#[test]
fn ours_is_this_module_for_this_service() {
    for (line, reach) in [
        ("session required pam_slurm_adopt.so", Reach::Always),
        ("session required pam_slurm_adopt_ours.so", Reach::Always),
        ("session required pam_slurm_adopt_schedmd.so", Reach::Absent),
        ("session required pam_slurm.so", Reach::Absent),
        (
            "session required /nonexistent/pam_slurm_adopt.so",
            Reach::Absent,
        ),
        (
            "-session required /nonexistent/pam_slurm_adopt.so",
            Reach::Absent,
        ),
        (
            "session required /lib/security/$ISA/pam_slurm_adopt.so",
            Reach::Always,
        ),
        (
            "session required pam_slurm_adopt.so service=su",
            Reach::Absent,
        ),
        (
            "session required pam_slurm_adopt.so service=su,sshd",
            Reach::Always,
        ),
        (
            "session required pam_slurm_adopt.so [service=sshd]",
            Reach::Always,
        ),
        ("account required pam_slurm_adopt.so", Reach::Absent),
    ] {
        assert_eq!(*session(line).reach(Facility::Session), reach, "{line}");
    }
}

#[test]
fn lines_that_decide_are_counted_with_their_places() {
    let dir = Dir::new(&[
        (
            "sshd",
            "account sufficient pam_slurm_adopt.so\n@include common\naccount required pam_slurm_adopt.so\n",
        ),
        (
            "common",
            "\naccount required pam_slurm_adopt.so action_no_jobs=ignore\n",
        ),
    ]);
    let stack = dir.stack();
    let places: Vec<String> = stack
        .binding(Facility::Account)
        .iter()
        .map(|it| it.place.replace(dir.text(), "DIR"))
        .collect();
    assert_eq!(places, ["DIR/common:2", "DIR/sshd:3"]);
    assert_eq!(stack.binding(Facility::Account).len(), 2);
    assert_eq!(stack.binding(Facility::Session).len(), 0);
}

#[test]
fn pam_systemd_after_us_is_seen() {
    const SYSTEMD: &str = "-session optional pam_systemd.so\n";
    const OPTIONAL: &str = "session optional pam_slurm_adopt.so\n";
    for (lines, later) in [
        (&[][..], false),
        (&[SYSTEMD], false),
        (&[SYSTEMD, OURS], false),
        (&[OURS, SYSTEMD], true),
        (&[OURS, "session required pam_env.so\n", SYSTEMD], true),
        (&[OURS, SYSTEMD, OURS], false),
        (&[OPTIONAL, SYSTEMD], true),
    ] {
        let stack = session(&lines.concat());
        assert_eq!(stack.is_pam_systemd_later(), later, "{lines:?}");
    }
}

#[test]
fn modules_that_run_programs_as_root() {
    let ours = "account required pam_slurm_adopt.so\n";
    for (line, runs) in [
        ("", false),
        ("account required pam_unix.so\n", false),
        ("auth optional pam_exec.so /x\n", false),
        ("session optional pam_exec.so type=close_session /x\n", true),
        ("-account required /lib/security/pam_exec.so /x\n", false),
        ("account required pam_script.so\n", true),
        ("session include inner\n", true),
    ] {
        let inner = ("inner", "session optional pam_exec.so /x\n");
        let stack = Dir::new(&[("sshd", &format!("{ours}{line}")), inner]).stack();
        assert_eq!(stack.runs_programs(), runs, "{line}");
    }
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

#[test]
fn a_service_with_a_slash_is_other() {
    let other = "account required pam_a.so\n";
    let dir = Dir::new(&[("sshd", OURS), ("other", other)]);
    for (service, reach) in [("sshd", Reach::Always), ("x/sshd", Reach::Absent)] {
        let stack = Stack::read_in(&[dir.text()], service);
        assert_eq!(*stack.reach(Facility::Session), reach, "{service}");
        assert!(!stack.is_empty(), "{service}");
    }
    assert!(Dir::new(&[("login", OURS)]).stack().is_empty());
}
