//! Tests with a directory of their own instead of /run/slurm-adopt.

use std::cell::RefCell;
use std::fs;
use std::thread;

use pam::Severity;

use super::*;
use crate::log::Sink;
use crate::node::Environment;
use crate::node::search::Search;
use crate::options::{LogLevel, Options};

/// A slurm.conf with an Include, and a state directory.
struct Scratch(PathBuf);

/// The lines of one login.
#[derive(Default)]
struct Lines(RefCell<Vec<String>>);

impl Sink for Lines {
    fn line(&self, _: Severity, text: &str) {
        self.0.borrow_mut().push(text.to_owned());
    }
}

const REMEMBERED: &str = "cached by an earlier login";

impl Scratch {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("cache-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir(&dir).expect("directory");
        let scratch = Self(dir);
        scratch.write("nodes.conf", "NodeName=n[1-9] NodeHostname=h[1-9]\n");
        scratch.write(
            "slurm.conf",
            "ClusterName=c\nSlurmdSpoolDir=/spool/%h/%n\nSlurmUser=slurm\nSlurmdUser=root\n\
             SlurmdPort=7000\nAuthType=auth/slurm\nInclude nodes.conf\n",
        );
        scratch.settle();
        scratch
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.0.join(name), text).expect("write");
    }

    fn settle(&self) {
        thread::sleep(2 * SETTLED);
    }

    fn place(&self) -> (PathBuf, PathBuf) {
        let dir = self.0.join("run");
        (dir.join("node"), dir)
    }

    /// The node, and whether it came from the cache.
    fn find(&self, more: &[u8], read_only: bool) -> (Node, bool) {
        let mut conf = b"slurm_conf=".to_vec();
        conf.extend(self.0.join("slurm.conf").as_os_str().as_bytes());
        let (options, bad) = Options::parse(&[&conf[..], more]);
        assert!(bad.is_empty(), "{bad:?}");
        let lines = Lines::default();
        let log = Log::new(&lines, LogLevel::Debug);
        let (_, dir) = self.place();
        let state_dir = StateDir::open(&dir, !read_only, log);
        let environment = Environment::default();
        let search = Search {
            options: &options,
            environment: &environment,
            state_dir: &state_dir,
            has_stepds: &|_| false,
            log,
        };
        let node = search.run().expect("found");
        let lines = lines.0.take();
        (node, lines.iter().any(|line| line.contains(REMEMBERED)))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const N2: &[u8] = b"nodename=n2";
const N3: &[u8] = b"nodename=n3";

#[test]
fn what_was_found_is_remembered_until_a_file_changes() {
    let scratch = Scratch::new("changes");
    let (first, remembered) = scratch.find(N2, false);
    assert!(!remembered, "by whom?");
    assert_eq!(first.spool_dirs, [Path::new("/spool/h2/n2")]);
    let (second, remembered) = scratch.find(N2, false);
    assert!(remembered);
    assert_eq!((&second.names, &second.path), (&first.names, &first.path));
    assert_eq!(second.spool_dirs, first.spool_dirs);
    assert_eq!(second.trusted.slurmd_uid, Some(0), "looked up anew");
    assert_eq!(second.trusted.slurm_user.as_deref(), Some("slurm"));
    assert_eq!(second.conf.slurmd_port(), 7000);
    assert_eq!(second.conf.auth_type.as_deref(), Some("auth/slurm"));
    assert_eq!(second.conf.auth_info, None);

    // The included file changes in place, with the same length.
    scratch.write("nodes.conf", "NodeName=n[1-9] NodeHostname=i[1-9]\n");
    scratch.settle();
    let (third, remembered) = scratch.find(N2, false);
    assert!(!remembered);
    assert_eq!(third.spool_dirs, [Path::new("/spool/i2/n2")]);
    assert!(scratch.find(N2, false).1);
    // The file is replaced, with its old time.
    let new = scratch.0.join("new.conf");
    fs::write(&new, "NodeName=n[1-9] NodeHostname=j[1-9]\n").expect("write");
    let old = fs::metadata(scratch.0.join("nodes.conf")).and_then(|it| it.modified());
    let file = fs::File::options().write(true).open(&new).expect("open");
    file.set_modified(old.expect("a time")).expect("set it");
    fs::rename(&new, scratch.0.join("nodes.conf")).expect("rename");
    scratch.settle();
    let (fourth, remembered) = scratch.find(N2, false);
    assert!(!remembered);
    assert_eq!(fourth.spool_dirs, [Path::new("/spool/j2/n2")]);

    // Another node of the same host.
    assert!(scratch.find(N2, false).1);
    let (other, remembered) = scratch.find(N3, false);
    assert!(!remembered);
    assert_eq!(other.spool_dirs, [Path::new("/spool/j3/n3")]);
    assert!(scratch.find(N3, false).1);
    // The file is removed.
    fs::remove_file(scratch.0.join("nodes.conf")).expect("remove");
    let path = scratch.0.join("slurm.conf");
    let (_, dir) = scratch.place();
    let lines = Lines::default();
    let log = Log::new(&lines, LogLevel::Debug);
    let mut cache = NodeCache::load(&StateDir::open(&dir, true, log), log);
    assert!(!cache.knows(&path));
}

#[test]
fn what_was_just_written_is_not_remembered() {
    let scratch = Scratch::new("fresh");
    scratch.write("nodes.conf", "NodeName=n2 NodeHostname=x\n");
    scratch.find(N2, false);
    assert!(!scratch.find(N2, false).1);
    scratch.settle();
    scratch.find(N2, false);
    assert!(scratch.find(N2, false).1);
    // Nor with a time in the future.
    let ahead = SystemTime::now() + Duration::from_secs(1000);
    let ahead = ahead.duration_since(UNIX_EPOCH).expect("after 1970");
    let mut status = sys::identify(&scratch.0.join("slurm.conf")).expect("there");
    let now = SystemTime::now();
    assert!(is_settled(&status, now));
    assert!(!is_settled(&status, now - Duration::from_secs(1000)));
    status.changed.0 = i64::try_from(ahead.as_secs()).expect("a time");
    assert!(!is_settled(&status, now));
}

#[test]
fn what_does_not_rest_on_files_alone_is_not_remembered() {
    // An Include beside the including file, where Slurm before 23.02 looked.
    let scratch = Scratch::new("beside");
    fs::create_dir(scratch.0.join("d")).expect("directory");
    scratch.write("d/a.conf", "Include b.conf\n");
    scratch.write("d/b.conf", "NodeName=n2 NodeHostname=k\n");
    let main = scratch.0.join("d/a.conf");
    scratch.write(
        "slurm.conf",
        &format!("ClusterName=c\nInclude {}\n", main.display()),
    );
    scratch.settle();
    scratch.find(N2, false);
    assert!(!scratch.find(N2, false).1);
    // An ignored line is logged each time.
    scratch.write("slurm.conf", "ClusterName=c\nNodeName=n[1\nNodeName=n2\n");
    scratch.settle();
    scratch.find(N2, false);
    assert!(!scratch.find(N2, false).1);
}

#[test]
fn who_only_reads_finds_all_afresh_and_leaves_nothing() {
    let scratch = Scratch::new("read-only");
    scratch.find(N2, true);
    assert!(!scratch.place().1.exists());
    scratch.find(N2, false);
    assert!(scratch.find(N2, false).1);
    assert!(!scratch.find(N2, true).1);
}

#[test]
fn a_file_of_others_is_not_believed_nor_replaced() {
    use std::os::unix::fs::PermissionsExt as _;
    let scratch = Scratch::new("foreign");
    scratch.find(N2, false);
    let (file, dir) = scratch.place();
    let before = fs::read(&file).expect("read");
    for (path, mode) in [(&file, 0o644), (&file, 0o660)] {
        let right = fs::metadata(path).expect("there").permissions();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("mode");
        assert!(!scratch.find(N2, false).1, "{} {mode:o}", path.display());
        assert!(!scratch.find(N3, false).1);
        assert_eq!(fs::read(&file).expect("read"), before);
        fs::set_permissions(path, right).expect("mode");
    }
    assert!(scratch.find(N2, false).1);
    // A directory that others could write to counts as absent.
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o777)).expect("mode");
    assert!(!scratch.find(N2, false).1);
    assert!(scratch.find(N2, false).1, "it has been made again");
}

/// A reading with every field set, and its file.
fn full() -> (Reading, Vec<u8>) {
    let mut reading = Reading {
        host: "n1".into(),
        node: Some(String::new()),
        files: vec![("/a".into(), [2; 40]), ("/b".into(), [0; 40])],
        found: Node {
            path: "/etc/slurm/slurm.conf".into(),
            conf: Conf {
                slurm_user: Some(String::new()),
                slurmd_user: Some("root".into()),
                auth_info: Some("a\0b".into()),
                proctrack_type: Some("proctrack/linuxproc".into()),
                ..Conf::default()
            },
            names: vec!["n1".into(), "n1.example.org".into()],
            spool_dirs: vec!["/s/1".into(), "/s/2".into()],
            is_named: true,
            of_host: Some("node7".into()),
            ..Node::default()
        },
    };
    let path = reading.found.path.clone();
    let key = NodeKey {
        path: &path,
        host: "n1",
        node: Some(""),
    };
    let bytes = written(key, &reading.files, &mut reading.found);
    (reading, bytes)
}

#[test]
fn what_is_written_is_what_is_read() {
    let (reading, bytes) = full();
    let again = parse(&bytes).and_then(|it| it.reading).expect("read");
    assert_eq!(format!("{again:?}"), format!("{reading:?}"));
}

#[test]
fn what_nobody_would_read_is_not_written() {
    let scratch = Scratch::new("long");
    let mut conf = String::from("ClusterName=c\nNodeName=n2\n");
    for number in 0..900 {
        let name = format!("{number:0>60}.conf");
        scratch.write(&name, "\n");
        conf += &format!("Include {name}\n");
    }
    scratch.write("slurm.conf", &conf);
    scratch.settle();
    scratch.find(N2, false);
    assert!(!scratch.place().0.exists());
}

#[test]
fn what_is_torn_or_damaged_is_not_there() {
    let (_, bytes) = full();
    for length in 0..bytes.len() {
        assert!(parse(&bytes[..length]).is_none(), "{length} bytes");
    }
    for place in 0..bytes.len() {
        let mut bad = bytes.clone();
        bad[place] ^= 0x20;
        assert!(parse(&bad).is_none(), "byte {place}");
    }
    // Texts with a valid checksum that are not a cache.
    let sealed = |texts: &[u8]| [&seal(texts).to_ne_bytes(), texts].concat();
    let all = |texts: &[&[u8]]| {
        let mut bytes = Vec::new();
        texts.iter().for_each(|text| add(&mut bytes, text));
        sealed(&bytes)
    };
    let whole: &[&[u8]] = &[
        b"/c", b"h", b"0", b"", b"/f", &[1; 40], b"", b"n", b"/s", b"", b"1",
    ];
    let values = [&b"0"[..], b""].repeat(9);
    let with = |place: usize, text: &'static [u8]| {
        let mut texts = [whole, &values].concat();
        texts[place] = text;
        all(&texts)
    };
    assert!(parse(&with(1, b"host")).is_some());
    for (nonsense, why) in [
        (sealed(b""), "nothing"),
        (sealed(&[9, 0, 0, 0, 1]), "a text longer than the rest"),
        (sealed(&u32::MAX.to_ne_bytes()), "one longer than memory"),
        (all(whole), "half a reading"),
        (
            all(&[whole, &values, &[b""]].concat()),
            "more than a reading",
        ),
        (with(1, b"\xFF"), "no UTF-8"),
        (with(2, b"2"), "no flag"),
        (with(3, b"x"), "a name that there is not"),
        (with(5, b"short"), "half a mark"),
        (with(10, b"2"), "neither yes nor no"),
    ] {
        assert!(parse(&nonsense).is_none(), "{why}");
    }
}
