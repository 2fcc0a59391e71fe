//! Files that libpam cannot use as they are.

use super::*;
use crate::layout::MOST_FILES;

#[test]
fn problems_have_their_places() {
    let text = "\
what is this
session
session required
session [success=okay] pam_a.so
session include
session include missing
session required pam_a.so\r
";
    let service = sshd(text);
    assert_eq!(
        problems(&service),
        [
            "/etc/sshd:1: \"what\" is none of auth, account, password, session",
            "/etc/sshd:1: control: expected a return value at \"is\"",
            "/etc/sshd:2: has no control",
            "/etc/sshd:3: names no module",
            "/etc/sshd:4: control: expected a return value at \"ay\"",
            "/etc/sshd:5: names no file to include",
            "/etc/sshd:6: no file \"missing\"",
            "/etc/sshd:7: ends with a carriage return, which is a part of its last word",
        ]
    );
    assert_eq!(service.fatal(), None);
    let roles: Vec<Role> = service
        .stack(Facility::Session)
        .iter()
        .map(|it| it.role)
        .collect();
    use Role::{Fail, Module};
    assert_eq!(roles, [Fail, Fail, Module, Fail, Fail, Module]);
    let control = &service.stack(Facility::Session)[2].control;
    assert_eq!(*control, Control::FAILURE);
}

#[test]
fn libpam_gives_up_on_some_lines() {
    for (text, problem) in [
        (
            "session required .so\n",
            "/etc/sshd:1: \".so\" is no name for a module",
        ),
        (
            "session required /lib/\n",
            "/etc/sshd:1: \"/lib/\" is no name for a module",
        ),
        (
            "session bad ?.so\n",
            "/etc/sshd:1: \"?.so\" is no name for a module",
        ),
        (
            "what required ?\n",
            "/etc/sshd:1: \"?\" is no name for a module",
        ),
        (
            "session substack a/.b\n",
            "/etc/sshd:1: \"a/.b\" is no name for a module",
        ),
        ("@include missing\n", "/etc/sshd:1: no file \"missing\""),
        ("@include\n", "/etc/sshd:1: names no file to include"),
        (
            "@include broken\n",
            "/etc/broken:1: the file ends within a continued line",
        ),
        (
            "session \\\n",
            "/etc/sshd:1: the file ends within a continued line",
        ),
    ] {
        let text = format!("{text}session required pam_after.so\n");
        let text = text.replace("\\\nsession required pam_after.so\n", "\\\n");
        let files = [("sshd", text.as_str()), ("broken", "auth\\"), ("other", "")];
        let service = Files::new(&files).read(Flavor::Debian, "sshd");
        let fatal = service.fatal().expect(&text);
        assert_eq!(fatal.to_string(), problem, "{text}");
        assert!(service.stack(Facility::Session).len() <= 1, "{text}");
        let walk = service.walk(Facility::Session, |_, _| Code::SUCCESS);
        assert_eq!(walk.code, Code::ABORT, "{text}");
    }
    // Within an include it is a line that fails.
    let text = "session include broken\nsession optional pam_a.so\n";
    let files = [
        ("sshd", text),
        ("broken", "session required pam_b.so\nsession\\"),
        ("other", ""),
    ];
    let service = Files::new(&files).read(Flavor::Debian, "sshd");
    let found = entries(&service, Facility::Session);
    assert_eq!(
        found,
        ["0 Module broken:1", "0 Fail sshd:1", "0 Module sshd:2"]
    );
    assert_eq!(service.fatal(), None);
}

#[test]
fn what_can_not_be_read_may_be_there_for_libpam() {
    let files = Files::new(&[
        (
            "sshd",
            "@include secret\nsession include secret\nsession required pam_a.so\n",
        ),
        ("other", ""),
    ]);
    let service = files.read(Flavor::Debian, "sshd");
    let found = entries(&service, Facility::Session);
    assert_eq!(found, ["0 Fail sshd:2", "0 Module sshd:3"]);
    assert_eq!(service.fatal(), None);
    assert!(service.problems()[0].kind.hides_lines());
    assert_eq!(
        problems(&service)[0],
        "/etc/sshd:1: read /etc/secret: permission denied"
    );
    let service = files.read(Flavor::Debian, "secret");
    assert!(service.problems()[0].kind.hides_lines());
    assert_eq!(service.fatal(), None);
}

#[test]
fn nesting_ends() {
    let deep = sshd("session include sshd\nsession required pam_a.so\n");
    assert_eq!(deep.stack(Facility::Session).len(), MAX_LEVEL + 1);
    let problem = "/etc/sshd:1: \"sshd\" is included more than 15 files deep";
    assert_eq!(problems(&deep), [problem]);
    let deep = sshd("session substack sshd\nsession required pam_a.so\n");
    let levels = deep.stack(Facility::Session).iter().map(|it| it.level);
    assert_eq!(levels.max(), Some(MAX_LEVEL - 1));
    let endless = sshd("session include sshd\nsession include sshd\n");
    let many = "/etc/sshd:2: read sshd: the stack has more than 256 files".to_owned();
    assert!(problems(&endless).contains(&many));
    assert!(endless.stack(Facility::Session).len() <= 2 * MOST_FILES);
    let loops = sshd("@include sshd\nsession required pam_a.so\n");
    assert!(loops.fatal().is_some());
}
