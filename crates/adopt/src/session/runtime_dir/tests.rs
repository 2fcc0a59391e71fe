use super::*;
use std::os::unix::fs::{PermissionsExt as _, symlink};

struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let name = format!("runtime-{}-{name}", std::process::id());
        let dir = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir(&dir).expect("make it");
        Self(dir)
    }

    fn users(&self) -> Users {
        let notes = Notes::open_at(&self.0.join("run"), &soon()).expect("open");
        let [path, loginds] = ["user", "logind"].map(|it| self.0.join(it));
        Users {
            notes,
            path,
            loginds,
        }
    }
}

impl Scratch {
    fn tidy(&self) {
        self.users().tidy(&soon()).expect("tidy");
    }

    fn note(&self, name: &str, text: &str) {
        self.users().notes.write(name, text).expect("note");
    }
}

/// A uid of no process.
const NOBODYS: &str = "4294960007";
const OTHERS: &str = "4294960008";

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(5))
}

fn here() -> String {
    Judge::here().namespace().to_string()
}

fn names(users: &Users) -> Vec<String> {
    let mut names = users.notes.names().expect("list");
    names.retain(|name| !name.starts_with('.'));
    names
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A user of an existing directory leaves it there.
#[test]
fn a_directory_of_somebody_elses_making_stays() {
    let scratch = Scratch::new("there");
    let uid = sys::effective_uid();
    let users = scratch.0.join("user");
    let dir = users.join(uid.to_string());
    fs::create_dir(&users).expect("make it");
    fs::create_dir(&dir).expect("make it");
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o700)).expect("mode");
    assert_eq!(scratch.users().begin(uid, 0).expect("begin"), dir);
    let session = format!("{uid}.{}", Process::this().name());
    assert_eq!(names(&scratch.users()), [session]);
    scratch.users().end(uid, &soon()).expect("end");
    assert!(dir.is_dir() && names(&scratch.users()).is_empty());
}

#[test]
fn what_logind_has_come_to_use_stays() {
    let scratch = Scratch::new("logind");
    let dirs = [NOBODYS, OTHERS].map(|it| scratch.0.join("user").join(it));
    for (dir, name) in dirs.iter().zip([NOBODYS, OTHERS]) {
        fs::create_dir_all(dir).expect("make it");
        scratch.note(name, &here());
    }
    fs::create_dir(scratch.0.join("logind")).expect("make it");
    fs::write(scratch.0.join("logind").join(NOBODYS), "").expect("write");
    scratch.tidy();
    assert_eq!(dirs.map(|it| it.exists()), [true, false]);
    assert!(
        names(&scratch.users()).is_empty(),
        "{:?}",
        names(&scratch.users())
    );
}

#[test]
fn what_is_not_the_users_alone_is_not_used() {
    let scratch = Scratch::new("foreign");
    let uid = sys::effective_uid();
    let users = scratch.0.join("user");
    let dir = users.join(uid.to_string());
    fs::create_dir(&users).expect("make it");
    symlink("/tmp", &dir).expect("link");
    assert!(scratch.users().begin(uid, 0).is_err(), "a link");
    fs::remove_file(&dir).expect("remove");
    fs::write(&dir, "").expect("write");
    assert!(scratch.users().begin(uid, 0).is_err(), "a file");
    fs::remove_file(&dir).expect("remove");
    fs::create_dir(&dir).expect("make it");
    for mode in [0o755, 0o770, 0o701] {
        fs::set_permissions(&dir, fs::Permissions::from_mode(mode)).expect("mode");
        assert!(scratch.users().begin(uid, 0).is_err(), "{mode:o}");
    }
    fs::remove_dir(&dir).expect("remove");
    fs::set_permissions(&users, fs::Permissions::from_mode(0o777)).expect("mode");
    assert!(
        scratch.users().begin(uid, 0).is_err(),
        "anybody may put one there"
    );
    assert!(!dir.exists());
    assert!(names(&scratch.users()).is_empty(), "no note is left");
}

#[test]
fn what_nobody_uses_is_taken_down() {
    let scratch = Scratch::new("tidy");
    let dir = scratch.0.join("user").join(NOBODYS);
    fs::create_dir_all(&dir).expect("make it");
    let gone = Process {
        pid: i32::MAX as u32,
        ..Process::this()
    };
    let dead = [NOBODYS, "login"].map(|it| format!("{it}.{}", gone.name()));
    for name in [NOBODYS, &dead[0], &dead[1], "no note"] {
        scratch.note(name, &here());
    }
    scratch.tidy();
    assert!(!dir.exists());
    assert_eq!(names(&scratch.users()), ["no note"]);
    // It stays as long as somebody uses it.
    fs::create_dir_all(&dir).expect("make it");
    let this = format!("{NOBODYS}.{}", Process::this().name());
    for name in [NOBODYS, &this] {
        scratch.note(name, &here());
    }
    scratch.tidy();
    assert!(dir.exists());
    let uid = NOBODYS.parse().expect("a uid");
    scratch.users().end(uid, &soon()).expect("end");
    assert!(!dir.exists());
}

#[test]
fn what_can_be_in_use_stays() {
    let scratch = Scratch::new("use");
    let uid = sys::effective_uid().to_string();
    let dirs = [&uid, NOBODYS].map(|it| scratch.0.join("user").join(it));
    for dir in &dirs {
        fs::create_dir_all(dir).expect("make it");
    }
    let elsewhere = (Judge::here().namespace() + 1).to_string();
    // This process belongs to that user.
    scratch.note(&uid, &here());
    for namespace in ["", "0", &elsewhere] {
        scratch.note(NOBODYS, namespace);
        scratch.tidy();
        assert!(dirs.iter().all(|it| it.is_dir()), "made in {namespace:?}");
    }
    // Sessions of another namespace, and of another release.
    scratch.note(NOBODYS, &here());
    let pid = i32::MAX;
    for process in [
        format!("{pid}.5.{elsewhere}"),
        format!("{pid}.5"),
        "x".into(),
    ] {
        let name = format!("{NOBODYS}.{process}");
        scratch.note(&name, "");
        scratch.tidy();
        assert!(
            dirs[1].is_dir() && names(&scratch.users()).contains(&name),
            "{name}"
        );
        scratch.users().notes.remove(&name).expect("it is there");
    }
    scratch.tidy();
    assert_eq!(dirs.map(|it| it.is_dir()), [true, false]);
}

#[test]
fn a_name_of_the_users_directory() {
    for (name, is) in [
        ("/run/user/7", true),
        ("/run/user/7/", true),
        ("/run//user/./7", true),
        ("/run/user/70", false),
        ("/run/user/7/x", false),
        ("/run/user/../user/7", false),
        ("run/user/7", false),
        ("", false),
    ] {
        assert_eq!(Users::is_named(name, 7), is, "{name}");
    }
}

/// Logins during the search neither wait nor lose what they use.
#[test]
fn nobody_waits_for_the_search_and_what_begins_during_it_counts() {
    let scratch = Scratch::new("race");
    let uid = NOBODYS.parse().expect("a uid");
    let dir = scratch.0.join("user").join(NOBODYS);
    let after = |during: &dyn Fn()| {
        fs::create_dir_all(&dir).expect("make it");
        scratch.note(NOBODYS, &here());
        let search = |uids: &[u32]| {
            assert_eq!(uids, [uid]);
            during();
            Ok(Vec::new())
        };
        let users = scratch.users();
        let tidied = users.tidy_by(&Judge::here(), &soon(), search);
        tidied.expect("tidy");
        let names = names(&scratch.users());
        (dir.exists(), names.iter().any(|it| it == NOBODYS))
    };
    let begin = || scratch.users().note_session(uid).expect("note");
    assert_eq!(after(&begin), (true, true), "a session");
    let end = || {
        let name = format!("{NOBODYS}.{}", Process::this().name());
        scratch.users().notes.remove(&name).expect("remove");
    };
    end();
    let passes = || {
        begin();
        end();
    };
    assert_eq!(after(&passes), (true, true), "one that has ended too");
    let gone = || scratch.users().notes.remove(NOBODYS).expect("remove");
    assert_eq!(after(&gone), (true, false), "taken down by another");
    assert_eq!(after(&|| ()), (false, false));
}

#[test]
fn what_the_note_on_a_directory_says() {
    for (text, made) in [
        ("7 9", Some((7, 9))),
        ("7", Some((7, 0))),
        ("", None),
        ("x 9", None),
        ("7 x", None),
    ] {
        let made = made.map(|(namespace, count)| Made { namespace, count });
        assert_eq!(Made::parse(text), made, "{text}");
    }
    let made = Made {
        namespace: u64::MAX,
        count: u64::MAX,
    };
    assert_eq!(Made::parse(&made.to_string()), Some(made));
    assert!(made.to_string().len() <= 64, "as long as a note is read");
}
