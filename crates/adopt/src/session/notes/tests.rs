use super::*;

#[test]
fn processes_by_their_names() {
    let (here, this) = (Judge::here(), Process::this());
    assert!(this.start > 0 && this.namespace > 0 && !here.is_gone(&this));
    assert!(!here.is_gone(&Process::parent()));
    assert_eq!(Process::named(&this.name()), Some(this));
    let earlier = Process { start: 1, ..this };
    assert!(here.is_gone(&earlier), "another process had that number");
    let unknown = Process { start: 0, ..this };
    assert!(!here.is_gone(&unknown));
    let pid = i32::MAX as u32;
    assert!(here.is_gone(&Process { pid, ..unknown }));
    for name in [
        "",
        "1",
        "1.2",
        "1.2.3.4",
        "a.2.3",
        "1.-2.3",
        "1..3",
        ".1.2",
        "4294967296.1.2",
    ] {
        assert_eq!(Process::named(name), None, "{name}");
    }
}

#[test]
fn a_number_of_another_namespace_says_nothing() {
    let here = Judge::here();
    let gone = Process {
        pid: i32::MAX as u32,
        ..Process::this()
    };
    for namespace in [0, gone.namespace + 1] {
        assert!(!here.is_gone(&Process { namespace, ..gone }), "{namespace}");
    }
    let nowhere = Judge {
        namespace: 0,
        proc: None,
    };
    assert!(!nowhere.is_gone(&gone));
    assert!(!nowhere.is_gone(&Process {
        namespace: 0,
        ..gone
    }));
    assert!(nowhere.in_use(&[0]).is_err(), "nobody can tell");
}

#[test]
fn one_process_as_far_as_is_known() {
    let this = Process {
        pid: 7,
        start: 8,
        namespace: 9,
    };
    for (pid, start, namespace, may_be) in [
        (7, 8, 9, true),
        (7, 0, 9, true),
        (7, 8, 0, true),
        (6, 8, 9, false),
        (7, 6, 9, false),
        (7, 8, 6, false),
    ] {
        let other = Process {
            pid,
            start,
            namespace,
        };
        assert_eq!(this.may_be(&other), may_be, "{other:?}");
        assert_eq!(other.may_be(&this), may_be, "{other:?}");
    }
}

#[test]
fn users_with_processes_here() {
    let uid = sys::effective_uid();
    let found = Judge::here().in_use(&[uid, u32::MAX - 7]);
    assert_eq!(found.expect("/proc"), [uid]);
}

#[test]
fn one_at_a_time() {
    let name = format!("notes-{}", std::process::id());
    let dir = std::env::temp_dir().join(name);
    let open = || Notes::open_at(&dir, &Deadline::after(Duration::from_millis(50)));
    let first = open().expect("open");
    let second = open().expect_err("the first has the lock");
    assert_eq!(second.kind(), io::ErrorKind::TimedOut);
    drop(first);
    let notes = open().expect("open");
    notes.write("a", "long text").expect("write");
    notes.write("a", "text").expect("write");
    let read = fs::read_to_string(dir.join(NAME).join("a"));
    assert_eq!(read.expect("read"), "text");
    let names = notes.names().expect("list");
    assert!(names.contains(&"a".to_owned()), "{names:?}");
    notes.remove("a").expect("remove");
    assert!(notes.remove("a").is_err());
    fs::remove_dir_all(&dir).expect("clean up");
}
