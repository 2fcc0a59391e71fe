//! The host's facts about itself: a process's files under /proc, /etc/hosts, AuthInfo, pid files, cgroups,
//! titles. A byte 0xFF, which no text contains, separates them.
#![no_main]
#![forbid(unsafe_code)]

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use adopt::fuzzing::{
    ConfHint, aliases, auth_info, is_helper, is_inside, of_files, pid, spool_dir,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut pieces = bytes.split(|byte| *byte == 0xFF);
    let mut next = || pieces.next().unwrap_or_default();

    let (exe, status, cmdline, environ) = (next(), next(), next(), next());
    let told = of_files(exe, status, cmdline, environ);
    if let Some(hint) = &told {
        // A process whose uids are not all root's is not slurmd, whatever its name.
        let uids = b"0\t0\t0\t0";
        assert!(status.windows(uids.len()).any(|it| it == uids));
        check(hint, exe, cmdline, environ);
    }
    // Use slurmd's name and uids, so that the fuzzer need not find them.
    let status = b"Name:\tslurmd\nUid:\t0\t0\t0\t0\n";
    let usual = b"/usr/sbin/slurmd";
    match of_files(usual, status, cmdline, environ) {
        Some(hint) => check(&hint, usual, cmdline, environ),
        // `slurmd -C` and its like print something and end.
        None => assert!(cmdline.iter().any(|it| b"CGhV".contains(it))),
    }

    let hosts = String::from_utf8_lossy(next()).into_owned();
    for alias in aliases(&hosts, "node1.example.org", "node1") {
        assert!(!alias.is_empty() && !alias.contains(char::is_whitespace));
        assert!(alias != "node1" && alias != "node1.example.org");
        assert!(hosts.contains(&alias));
    }

    let info = String::from_utf8_lossy(next()).into_owned();
    let (socket, _, disable_sack) = auth_info(&info);
    assert!(socket.is_none_or(|path| !path.is_empty() && info.contains(path)));
    assert!(!disable_sack || info.contains("disable_sack"));

    if let Some(pid) = pid(next()) {
        let text = pid.to_string();
        assert!(bytes.windows(text.len()).any(|it| it == text.as_bytes()));
    }

    let template = String::from_utf8_lossy(next()).into_owned();
    let dir = spool_dir(&template, "n1", None);
    let marks = template.matches("%h").count() + template.matches("%n").count();
    assert!(marks > 0 || dir == Path::new(&template));

    let (stepd, process) = (text(next()), text(next()));
    assert!(!is_inside(7, &stepd, &process) || process.contains("/step_extern"));
    // With v1 the stepd's own cgroup says nothing.
    assert!(!is_inside(7, "", &process) || process.contains("/job_7/step_extern"));

    let title = next();
    assert!(!is_helper(title) || title.windows(6).any(|it| it == b" [pam]"));
});

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Checks that the hint occurs somewhere in the input.
fn check(hint: &ConfHint, exe: &[u8], cmdline: &[u8], environ: &[u8]) {
    match hint {
        ConfHint::File(path) => {
            assert!(path.is_absolute());
            let path = path.as_os_str().as_bytes();
            let is_in = |text: &[u8]| text.windows(path.len()).any(|it| it == path);
            assert!(is_in(cmdline) || is_in(environ));
        }
        ConfHint::Configless => {
            assert!(cmdline.split(|byte| *byte == 0).skip(1).any(|word| {
                word.strip_prefix(b"--conf-server")
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with(b"="))
            }));
        }
        ConfHint::Default { prefix } => {
            let program = Path::new(OsStr::from_bytes(exe));
            assert!(prefix.as_ref().is_none_or(|it| program.starts_with(it)));
        }
    }
}
