mod broken;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use super::*;
use crate::codes::Code;

/// Files by their paths below the directories `/etc` and `/vendor`.
struct Files(BTreeMap<PathBuf, Vec<u8>>);

impl Files {
    fn new(files: &[(&str, &str)]) -> Self {
        let file = |(name, text): &(&str, &str)| {
            let name = if name.starts_with('/') {
                (*name).to_owned()
            } else {
                format!("/etc/{name}")
            };
            (PathBuf::from(name), text.as_bytes().to_vec())
        };
        Self(files.iter().map(file).collect())
    }

    fn read(&self, flavor: Flavor, name: &str) -> Service {
        let layout = Layout {
            dirs: ["/etc", "/vendor"].map(PathBuf::from).to_vec(),
            flavor,
        };
        Service::read(&layout, name, ReadOther::Always, &mut |path| {
            self.read_file(path)
        })
    }

    fn read_file(&self, path: &Path) -> io::Result<Vec<u8>> {
        if path.ends_with("secret") {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        // As in a file system.
        let mut plain = PathBuf::new();
        for part in path {
            if part == ".." {
                plain.pop();
            } else {
                plain.push(part);
            }
        }
        self.0
            .get(&plain)
            .cloned()
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

fn sshd(text: &str) -> Service {
    Files::new(&[("sshd", text), ("other", "")]).read(Flavor::Debian, "sshd")
}

/// LEVEL ROLE PLACE of each entry.
fn entries(service: &Service, facility: Facility) -> Vec<String> {
    let entry = |it: &Handler| {
        let line = service.line(it).expect("its line");
        let name = line.place.file.file_name().expect("a name");
        format!(
            "{} {:?} {}:{}",
            it.level,
            it.role,
            name.to_string_lossy(),
            line.place.line
        )
    };
    service.stack(facility).iter().map(entry).collect()
}

fn problems(service: &Service) -> Vec<String> {
    service.problems().iter().map(Problem::to_string).collect()
}

const SSHD: &str = "\
auth required pam_a.so
# session required pam_commented.so
session required pam_b.so one  two # three
-session optional pam_c.so
SESSION [success=ok ignore=ignore default=bad] pam_d.so [x=1 y\\]]
session \\
   requisite pam_e.so
@include common
session include fragment
session substack sub/fragment
account required pam_x.so
session required
what is this
";
const FRAGMENT: &str =
    "session required pam_h.so\naccount required pam_x.so\nbroken required pam_x.so\n";

fn everything() -> Service {
    let files = [
        ("sshd", SSHD),
        (
            "common",
            "session required pam_f.so\naccount required pam_g.so\nwhat is this\n",
        ),
        ("fragment", FRAGMENT),
        ("sub/fragment", FRAGMENT),
        ("other", "password required pam_deny.so\n"),
    ];
    Files::new(&files).read(Flavor::Debian, "sshd")
}

#[test]
fn a_stack_is_made_of_lines_and_included_files() {
    let service = everything();
    assert_eq!(
        entries(&service, Facility::Session),
        [
            "0 Module sshd:3",
            "0 Module sshd:4",
            "0 Module sshd:5",
            "0 Module sshd:6",
            "0 Module common:1",
            "0 Module fragment:1",
            // Has the including line's facility, and fails.
            "0 Fail fragment:3",
            "0 Substack sshd:10",
            "1 Module fragment:1",
            "1 Fail fragment:3",
            "0 Fail sshd:12",
        ]
    );
    let account = ["0 Module common:2", "0 Module sshd:11"];
    assert_eq!(entries(&service, Facility::Account), account);
    let auth = ["0 Module sshd:1", "0 Fail common:3", "0 Fail sshd:13"];
    assert_eq!(entries(&service, Facility::Auth), auth);
    assert_eq!(entries(&service, Facility::Password), ["0 Module other:1"]);
}

#[test]
fn each_line_says_what_it_asks_for() {
    let service = everything();
    let at = |line| {
        let mut lines = service.lines().iter();
        let found = lines.find(|it| it.place.line == line && it.depth == 0);
        found.expect("a line").clone()
    };
    let module = |path: &str, arguments: &[&str]| Item::Module {
        path: path.into(),
        arguments: arguments.iter().map(|it| it.as_bytes().to_vec()).collect(),
    };
    assert_eq!(at(3).item, module("pam_b.so", &["one", "two"]));
    assert_eq!(at(3).text, b"session required pam_b.so one  two ");
    assert!(at(4).is_silent && !at(3).is_silent);
    assert_eq!(at(5).facility, Some(Facility::Session));
    assert_eq!(at(5).control, b"success=ok ignore=ignore default=bad");
    assert_eq!(at(5).item, module("pam_d.so", &["x=1 y]"]));
    assert_eq!(at(6).item, module("pam_e.so", &[]));
    let common = Item::Include {
        name: b"common".to_vec(),
    };
    assert_eq!((at(8).item, at(8).facility), (common, None));
    let substack = Item::Substack {
        name: b"sub/fragment".to_vec(),
    };
    assert_eq!((at(10).item, at(10).level), (substack, 0));
    assert_eq!(at(12).item, Item::Nothing);
    let inner = service
        .lines()
        .iter()
        .filter(|it| it.place.file.ends_with("sub/fragment"));
    let inner: Vec<_> = inner
        .map(|it| (it.place.to_string(), it.depth, it.level))
        .collect();
    assert_eq!(inner[0], ("/etc/sub/fragment:1".to_owned(), 1, 1));
    assert_eq!(inner.len(), 2, "lines of other facilities are left out");
}

#[test]
fn an_include_with_an_unknown_facility_is_for_auth() {
    let files = [
        ("sshd", "what include fragment\n"),
        ("fragment", "auth required pam_a.so\n"),
    ];
    let service = Files::new(&files).read(Flavor::Upstream, "sshd");
    assert_eq!(entries(&service, Facility::Auth), ["0 Module fragment:1"]);
}

#[test]
fn at_include_is_known_to_debians_libpam() {
    let files = Files::new(&[
        (
            "sshd",
            "@Include common\nsession include beside\n-@include sub/two\n",
        ),
        ("common", "session required pam_a.so\n"),
        ("sub/two", "session required pam_c.so\n"),
        ("/vendor/beside", "session required pam_b.so\n"),
        ("other", ""),
    ]);
    let debian = files.read(Flavor::Debian, "sshd");
    let found = entries(&debian, Facility::Session);
    assert_eq!(
        found,
        ["0 Module common:1", "0 Fail sshd:2", "0 Module two:1"]
    );
    let upstream = files.read(Flavor::Upstream, "sshd");
    assert_eq!(entries(&upstream, Facility::Session), ["0 Module beside:1"]);
    assert_eq!(
        entries(&upstream, Facility::Auth),
        ["0 Fail sshd:1", "0 Fail sshd:3"]
    );
    let either = files.read(Flavor::Either, "sshd");
    let found = entries(&either, Facility::Session);
    assert_eq!(
        found,
        ["0 Module common:1", "0 Module beside:1", "0 Module two:1"]
    );
}

#[test]
fn a_relative_name_is_below_the_directory_and_another_a_path() {
    let files = Files::new(&[
        (
            "sshd",
            "@include sub/one\n@include ../beside\nsession include /far/one\n",
        ),
        ("sub/one", "session required pam_one.so\n"),
        ("/beside", "session required pam_beside.so\n"),
        ("/far/one", "session required pam_far.so\n"),
        ("other", ""),
    ]);
    let service = files.read(Flavor::Debian, "sshd");
    let places: Vec<String> = service
        .stack(Facility::Session)
        .iter()
        .map(|it| service.line(it).expect("its line").place.to_string())
        .collect();
    assert_eq!(places, ["/etc/sub/one:1", "/etc/../beside:1", "/far/one:1"]);
}

#[test]
fn a_service_has_a_base_name_in_lower_case() {
    let files = Files::new(&[("sshd", "auth required pam_a.so\n"), ("other", "")]);
    for name in ["sshd", "SSHD", "/usr/sbin/sshd"] {
        assert_eq!(
            files.read(Flavor::Upstream, name).lines().len(),
            1,
            "{name}"
        );
    }
}

#[test]
fn a_facility_without_entries_has_those_of_other() {
    let other = "auth required pam_o.so\naccount required pam_o.so\n";
    let files = Files::new(&[
        ("sshd", "account substack empty\n"),
        ("empty", ""),
        ("other", other),
    ]);
    let service = files.read(Flavor::Upstream, "sshd");
    assert_eq!(entries(&service, Facility::Auth), ["0 Module other:1"]);
    // A substack without entries is an entry itself: the stack is not empty, and fails.
    assert_eq!(entries(&service, Facility::Account), ["0 Substack sshd:1"]);
    let walk = service.walk(Facility::Account, |_, _| Code::SUCCESS);
    assert_eq!((walk.code, walk.steps.len()), (Code::PERM_DENIED, 0));
    let walk = service.walk(Facility::Session, |_, _| Code::SUCCESS);
    assert_eq!(walk.code, Code::PERM_DENIED, "no entry");
    let other = files.read(Flavor::Upstream, "other");
    assert_eq!(entries(&other, Facility::Account), ["0 Module other:2"]);
    let missing = files.read(Flavor::Upstream, "login");
    assert_eq!(entries(&missing, Facility::Account), ["0 Module other:2"]);
    let nothing = Files::new(&[]).read(Flavor::Upstream, "login");
    assert_eq!(
        problems(&nothing),
        ["neither the service nor \"other\" has a file"]
    );
    assert_eq!(
        nothing.walk(Facility::Auth, |_, _| Code::SUCCESS).code,
        Code::ABORT
    );
}

#[test]
fn pam_conf_has_a_service_in_front() {
    let text = "\
# sshd session required pam_no.so
SSHD session required pam_a.so
login session required pam_no.so
sshd session include fragment
other session required pam_no.so
other account required pam_o.so
sshd session required pam_x.so # comment
";
    let files = Files::new(&[("fragment", "session required pam_b.so\n")]);
    let layout = Layout {
        dirs: vec![PathBuf::from("/etc")],
        flavor: Flavor::Upstream,
    };
    let file = Path::new("/etc/pam.conf");
    let read = &mut |path: &Path| files.read_file(path);
    let service = Service::read_pam_conf(&layout, file, text.as_bytes(), "sshd", read);
    assert_eq!(
        entries(&service, Facility::Session),
        [
            "0 Module pam.conf:2",
            "0 Module fragment:1",
            "0 Module pam.conf:7"
        ]
    );
    assert_eq!(
        entries(&service, Facility::Account),
        ["0 Module pam.conf:6"]
    );
    assert!(service.problems().is_empty());
}

#[test]
fn bytes_need_not_be_text() {
    let bytes = b"session required /lib/pam_\xe9.so \xff # \xfe\n".to_vec();
    let mut files = Files::new(&[("other", "")]);
    files.0.insert(PathBuf::from("/etc/sshd"), bytes);
    let service = files.read(Flavor::Upstream, "sshd");
    let item = Item::Module {
        path: b"/lib/pam_\xe9.so".to_vec(),
        arguments: vec![vec![0xff]],
    };
    assert_eq!(service.lines()[0].item, item);
    assert!(service.problems().is_empty());
}

#[test]
fn other_is_left_out_on_request() {
    let files = Files::new(&[
        ("sshd", "auth required pam_a.so\n"),
        ("other", "@include missing\n"),
    ]);
    let layout = Layout {
        dirs: vec![PathBuf::from("/etc")],
        flavor: Flavor::Debian,
    };
    let read = |other| Service::read(&layout, "sshd", other, &mut |path| files.read_file(path));
    assert!(read(ReadOther::Always).fatal().is_some());
    assert!(
        read(ReadOther::IfLacking(&[Facility::Session]))
            .fatal()
            .is_some()
    );
    assert_eq!(read(ReadOther::IfLacking(&[Facility::Auth])).fatal(), None);
}
