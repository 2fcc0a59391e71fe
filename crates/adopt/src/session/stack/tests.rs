mod passed;

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;

const OURS: &str = "session required pam_slurm_adopt.so\n";

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
