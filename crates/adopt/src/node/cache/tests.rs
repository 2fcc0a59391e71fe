//! With a directory of our own in the place of /run/slurm-adopt.

use std::cell::RefCell;
use std::fs;
use std::thread;

use pam::Severity;

use super::*;
use crate::log::Sink;
use crate::node::Environment;
use crate::options::{LogLevel, Options};

/// A slurm.conf with an Include, and the directory that logins leave things in.
struct Scratch(PathBuf);

/// The lines of one login.
#[derive(Default)]
struct Lines(RefCell<Vec<String>>);

impl Sink for Lines {
    fn line(&self, _: Severity, text: &str) {
        self.0.borrow_mut().push(text.to_owned());
    }
}

const REMEMBERED: &str = "as it was at an earlier login";

impl Scratch {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("memo-{}-{name}", std::process::id()));
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

    /// The node, and whether it was remembered.
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
        let node = Node::find(&options, &environment, &state_dir, &|_| false, log).expect("found");
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

    // The included file: as long as before, written in place.
    scratch.write("nodes.conf", "NodeName=n[1-9] NodeHostname=i[1-9]\n");
    scratch.settle();
    let (third, remembered) = scratch.find(N2, false);
    assert!(!remembered);
    assert_eq!(third.spool_dirs, [Path::new("/spool/i2/n2")]);
    assert!(scratch.find(N2, false).1);
    // And replaced, with its old time.
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
    // Gone altogether.
    fs::remove_file(scratch.0.join("nodes.conf")).expect("remove");
    let path = scratch.0.join("slurm.conf");
    let (_, dir) = scratch.place();
    let lines = Lines::default();
    let log = Log::new(&lines, LogLevel::Debug);
    let mut memo = Memo::load(&StateDir::open(&dir, true, log), log);
    assert!(!memo.knows(&path));
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
    // Nor with a time that is still to come.
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
    // An Include that is beside the including file, where Slurm before 23.02 looked.
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
    // A line that is passed over is told each time.
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
    // In a directory that others could write to it is as if it were not there.
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o777)).expect("mode");
    assert!(!scratch.find(N2, false).1);
    assert!(scratch.find(N2, false).1, "it has been made again");
}

/// A memo with all that it can have, and the file of it.
fn full(conf: ConfHint) -> (Memo, Vec<u8>) {
    let found = || Node {
        path: "/etc/slurm/slurm.conf".into(),
        conf: Conf {
            slurm_user: Some(String::new()),
            slurmd_user: Some("root".into()),
            auth_info: Some("a\0b".into()),
            ..Conf::default()
        },
        names: vec!["n1".into(), "n1.example.org".into()],
        spool_dirs: vec!["/s/1".into(), "/s/2".into()],
        is_named: true,
        ..Node::default()
    };
    let mut memo = Memo {
        hint: Some(Hint {
            trace: [[1; 40], [0; 40], [0; 40], [3; 40]],
            told: Told {
                node_name: matches!(conf, ConfHint::Configless).then(|| "n1".to_owned()),
                conf,
            },
        }),
        ..Memo::default()
    };
    let files = vec![("/a".into(), [2; 40]), ("/b".into(), [0; 40])];
    let mut node = found();
    let key = Key {
        path: &found().path,
        host: "n1",
        node: Some(""),
    };
    let bytes = memo.written(Some((key, &files, &mut node)));
    memo.reading = Some(Reading {
        host: "n1".into(),
        node: Some(String::new()),
        files,
        found: node,
    });
    (memo, bytes)
}

#[test]
fn what_is_written_is_what_is_read() {
    let prefix = |prefix: Option<&str>| ConfHint::Default {
        prefix: prefix.map(PathBuf::from),
    };
    for conf in [
        ConfHint::File("/a b/c".into()),
        ConfHint::Configless,
        prefix(None),
        prefix(Some("/opt/slurm")),
    ] {
        let (memo, bytes) = full(conf);
        let again = parse(&bytes).expect("read");
        assert_eq!(format!("{again:?}"), format!("{memo:?}"));
    }
    let nothing = Memo::default().written(None);
    let nothing = parse(&nothing).expect("read");
    assert!(nothing.hint.is_none() && nothing.reading.is_none());
}

#[test]
fn what_another_slurmd_told_is_no_hint() {
    let status = sys::identify(Path::new("/etc/passwd")).expect("there");
    let trace = Trace {
        first: "/run/slurmd.pid",
        found: [Some(status), None, None, None],
        when: SystemTime::now(),
    };
    let mut memo = Memo::default();
    assert_eq!(memo.hint(&trace), None);
    let told = Told {
        conf: ConfHint::Configless,
        node_name: Some("n1".into()),
    };
    memo.keep_hint(&trace, &told);
    assert_eq!(memo.hint(&trace), Some(&told));
    let mut others = [(); 5].map(|()| status);
    others[0].device += 1;
    others[1].inode += 1;
    others[2].size += 1;
    others[3].changed.0 -= 1;
    others[4].changed.1 ^= 1;
    for other in others {
        let mut trace = trace.clone();
        trace.found[0] = Some(other);
        assert_eq!(memo.hint(&trace), None, "{other:?}");
    }
    // A slurmd that has ended without removing its pid file, and one that leaves something else.
    for place in 1..Trace::PLACES {
        let mut trace = trace.clone();
        trace.found[place] = Some(status);
        assert_eq!(memo.hint(&trace), None, "{place}");
    }
    // What has just been left may be written again.
    let mut memo = Memo::default();
    let (seconds, nanos) = status.changed;
    let changed = Duration::new(seconds.unsigned_abs(), u32::try_from(nanos).expect("nanos"));
    let mut early = trace;
    early.when = UNIX_EPOCH + changed;
    memo.keep_hint(&early, &told);
    assert_eq!(memo.hint(&early), None);
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
    let (_, bytes) = full(ConfHint::Configless);
    for length in 0..bytes.len() {
        assert!(parse(&bytes[..length]).is_none(), "{length} bytes");
    }
    for place in 0..bytes.len() {
        let mut bad = bytes.clone();
        bad[place] ^= 0x20;
        assert!(parse(&bad).is_none(), "byte {place}");
    }
    // What has a checksum and is no memo all the same.
    let sealed = |texts: &[u8]| [&seal(texts).to_ne_bytes(), texts].concat();
    let all = |texts: &[&[u8]]| {
        let mut bytes = Vec::new();
        texts.iter().for_each(|text| add(&mut bytes, text));
        sealed(&bytes)
    };
    assert!(parse(&all(&[b""])).is_some());
    for (nonsense, why) in [
        (sealed(b""), "nothing"),
        (sealed(&[9, 0, 0, 0, 1]), "a text longer than the rest"),
        (sealed(&u32::MAX.to_ne_bytes()), "one longer than memory"),
        (all(&[b"", b"/c", b"h"]), "half a reading"),
        (
            all(&[b"/pid", b"short", b"file", b"1", b"/c"]),
            "half a mark",
        ),
        (all(&[b"/pid", &[0; 40], b"file", b"0", b""]), "no file"),
        (
            all(&[b"/pid", &[0; 40], b"mine", b"0", b""]),
            "an unknown kind",
        ),
        (all(&[b"/pid", &[0; 40], b"default", b"2", b""]), "no flag"),
        (all(&[b"\xFF"]), "no UTF-8"),
    ] {
        assert!(parse(&nonsense).is_none(), "{why}");
    }
}
