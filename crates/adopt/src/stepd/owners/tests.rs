//! Tests with a directory of their own instead of /run/slurm-adopt.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use pam::Severity;

use super::*;
use crate::log::Sink;
use crate::options::LogLevel;

struct Silent;

impl Sink for Silent {
    fn line(&self, _: Severity, _: &str) {}
}

fn log() -> Log<'static> {
    Log::new(&Silent, LogLevel::Debug)
}

struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("known-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir(&dir).expect("directory");
        Self(dir)
    }

    fn dir(&self) -> PathBuf {
        self.0.join("slurm-adopt")
    }

    fn file(&self) -> PathBuf {
        self.dir().join("owners")
    }

    fn socket(&self, job: u32) -> Identity {
        self.bind(job).1
    }

    fn bind(&self, job: u32) -> (PathBuf, Identity) {
        let name = format!("n1_{job}.4294967292");
        let path = self.0.join(&name);
        let _ = fs::remove_file(&path);
        drop(UnixListener::bind(&path).expect("bind"));
        let identity = Identity::new(name.as_bytes(), &status(&path));
        (path, identity)
    }

    fn load(&self) -> Owners<'static> {
        Owners::load(self.open(true), log())
    }

    /// Lives as long as the tests, and is no leak: it stays reachable.
    fn open(&self, is_to_write: bool) -> &'static StateDir {
        static OPENED: Mutex<Vec<&StateDir>> = Mutex::new(Vec::new());
        let opened: &StateDir =
            Box::leak(Box::new(StateDir::open(&self.dir(), is_to_write, log())));
        OPENED.lock().expect("nobody panics there").push(opened);
        opened
    }

    fn keep(&self, sockets: &[Identity], uid: u32) {
        let mut known = self.load();
        for socket in sockets {
            known.note(socket, owner(uid));
        }
        known.save(sockets, log());
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn status(path: &Path) -> FileStatus {
    FileStatus::from(&fs::symlink_metadata(path).expect("there"))
}

fn owner(uid: u32) -> Owner {
    Owner {
        uid,
        version: Version::V26_05,
    }
}

#[test]
fn what_was_said_is_known_until_the_socket_changes() {
    let scratch = Scratch::new("said");
    let sockets: Vec<_> = (1..100).map(|job| scratch.socket(job)).collect();
    assert_eq!(scratch.load().owner(&sockets[0]), None);
    scratch.keep(&sockets[..50], 2001);
    assert_eq!(scratch.load().owner(&sockets[0]), Some(owner(2001)));
    // A stepd with a new answer is believed.
    scratch.keep(&sockets, 2002);
    scratch.keep(&sockets, 2002);
    let known = scratch.load();
    for (index, socket) in sockets.iter().enumerate() {
        assert_eq!(known.owner(socket), Some(owner(2002)), "{index}");
    }
    assert_eq!(known.length, 149, "the first half was said otherwise");
    // Another socket of that name; the same file under another name.
    assert_eq!(known.owner(&scratch.socket(7)), None);
    let (path, _) = scratch.bind(8);
    let found = status(&path);
    scratch.keep(&[Identity::new(b"n1_8.4294967292", &found)], 2003);
    let renamed = Identity::new(b"n1_1000.4294967292", &found);
    let known = scratch.load();
    assert_eq!(known.owner(&renamed), None);
    assert_eq!(
        fs::metadata(scratch.dir()).expect("dir").mode() & 0o777,
        0o700
    );
    assert_eq!(
        fs::metadata(scratch.file()).expect("file").mode() & 0o777,
        0o600
    );
}

#[test]
fn what_is_damaged_foreign_or_old_is_not_there() {
    let scratch = Scratch::new("damaged");
    let sockets: Vec<_> = (1..4).map(|job| scratch.socket(job)).collect();
    scratch.keep(&sockets, 2001);
    let good = fs::read(scratch.file()).expect("read");
    let count = |bytes: &[u8]| {
        fs::write(scratch.file(), bytes).expect("write");
        let known = scratch.load();
        sockets
            .iter()
            .filter(|it| known.owner(it).is_some())
            .count()
    };
    assert_eq!(count(&good), 3);
    assert_eq!(count(&good[..good.len() - 1]), 2, "torn");
    assert_eq!(
        count(&[&[7; RECORD], &good[..]].concat()),
        3,
        "a foreign record first"
    );
    assert_eq!(count(&[&[7], &good[..]].concat()), 0, "out of step");
    assert_eq!(count(&[0; 640]), 0);
    for byte in 0..RECORD {
        let mut bad = good.clone();
        bad[byte] ^= 1;
        assert_eq!(count(&bad), 2, "byte {byte}");
    }
    // A record from an older boot.
    let old = encode(1, &sockets[0], owner(5));
    assert_eq!(count(&old), 0);
    assert_eq!(count(&good), 3);
}

#[test]
fn only_roots_own_file_counts() {
    let scratch = Scratch::new("trust");
    let socket = scratch.socket(1);
    scratch.keep(std::slice::from_ref(&socket), 2001);
    let known = || scratch.load().owner(&socket).is_some();
    assert!(known());
    let right = fs::metadata(scratch.file()).expect("there").mode();
    let set_mode = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("mode");
    };
    for mode in [0o606, 0o660, 0o604, 0o666] {
        set_mode(&scratch.file(), mode);
        assert!(!known(), "{mode:o}");
        let before = fs::read(scratch.file()).expect("read");
        scratch.keep(&[scratch.socket(2)], 2002);
        let after = fs::read(scratch.file()).expect("read");
        assert_eq!(after, before, "nor added to");
    }
    set_mode(&scratch.file(), right);
    // A directory that others can read is used; one that they can write to is replaced.
    set_mode(&scratch.dir(), 0o755);
    assert!(known());
    for mode in [0o707, 0o770, 0o777] {
        set_mode(&scratch.dir(), mode);
        assert!(!known(), "{mode:o}");
        scratch.keep(std::slice::from_ref(&socket), 2001);
        assert!(known(), "{mode:o}");
    }
    // Links and other non-files.
    let aside = scratch.0.join("aside");
    fs::rename(scratch.file(), &aside).expect("rename");
    std::os::unix::fs::symlink(&aside, scratch.file()).expect("link");
    assert!(!known());
    let before = fs::read(&aside).expect("read");
    scratch.keep(&[scratch.socket(3)], 2002);
    assert_eq!(fs::read(&aside).expect("read"), before);
    fs::remove_file(scratch.file()).expect("remove");
    fs::create_dir(scratch.file()).expect("directory");
    assert!(!known());
    if sys::effective_uid() == 0 {
        fs::remove_dir(scratch.file()).expect("remove");
        fs::rename(&aside, scratch.file()).expect("back");
        assert!(known());
        std::os::unix::fs::chown(scratch.file(), Some(2001), None).expect("chown");
        assert!(!known());
    }
}

#[test]
fn what_nothing_can_be_added_to_is_replaced() {
    for (name, spoil) in [
        ("long", vec![9; (ALWAYS + 1) * RECORD]),
        ("endless", vec![9; MOST_READ as usize + RECORD]),
        ("torn", vec![9; RECORD - 1]),
    ] {
        let scratch = Scratch::new(name);
        let (old, new) = (scratch.socket(1), scratch.socket(2));
        scratch.keep(&[old], 2001);
        let mut bytes = fs::read(scratch.file()).expect("read");
        bytes.extend(&spoil);
        fs::write(scratch.file(), bytes).expect("write");
        fs::write(scratch.dir().join("owners.new"), "left behind").expect("write");
        let readable = scratch.load().owner(&old).is_some();
        assert_eq!(readable, name != "endless");
        let mut known = scratch.load();
        known.note(&new, owner(2002));
        known.save(&[old, new], log());
        let known = scratch.load();
        assert_eq!(known.length, if readable { 2 } else { 1 }, "{name}");
        assert_eq!(known.owner(&old), readable.then(|| owner(2001)), "{name}");
        assert_eq!(known.owner(&new), Some(owner(2002)), "{name}");
        let left = fs::read_dir(scratch.dir()).expect("list").count();
        assert_eq!(left, 1, "{name}: something is left behind");
    }
}

#[test]
fn read_only_leaves_all_as_it_is() {
    let scratch = Scratch::new("read-only");
    let socket = scratch.socket(1);
    let mut known = Owners::load(scratch.open(false), log());
    known.note(&socket, owner(2001));
    known.save(&[socket], log());
    assert!(!scratch.dir().exists());
    scratch.keep(&[socket], 2001);
    let known = Owners::load(scratch.open(false), log());
    assert_eq!(known.owner(&socket), Some(owner(2001)));
}

#[test]
fn many_at_once_lose_nothing() {
    let scratch = Scratch::new("many");
    let sockets: Vec<_> = (1..=200).map(|job| scratch.socket(job)).collect();
    scratch.keep(&sockets[..1], 1);
    std::thread::scope(|scope| {
        for part in sockets.chunks(10) {
            let scratch = &scratch;
            scope.spawn(move || {
                for socket in part {
                    scratch.keep(std::slice::from_ref(socket), 7);
                }
            });
        }
    });
    let known = scratch.load();
    assert!(sockets.iter().all(|it| known.owner(it).is_some()));
}

#[test]
fn a_storm_of_logins_makes_no_wrong_record() {
    const LOGINS: u32 = 2000;
    const THREADS: u32 = 50;
    let scratch = Scratch::new("storm");
    let sockets: Vec<_> = (1..=300).map(|job| scratch.socket(job)).collect();
    let uid_of = |at: usize| 1000 + at as u32;
    let next = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let login = next.fetch_add(1, Ordering::Relaxed);
                    if login >= LOGINS {
                        return;
                    }
                    // Every fortieth login knows nobody, as if its records had been lost.
                    let state_dir = StateDir::open(&scratch.dir(), true, log());
                    let mut known = Owners::load(&state_dir, log());
                    let forgetful = login % 40 == 0;
                    for (at, socket) in sockets.iter().enumerate() {
                        let told = known.owner(socket).map(|it| it.uid);
                        assert!(told.is_none_or(|uid| uid == uid_of(at)), "{at}: {told:?}");
                        if forgetful {
                            let record = encode(known.boot, socket, owner(uid_of(at)));
                            known.fresh.extend_from_slice(&record);
                        } else {
                            known.note(socket, owner(uid_of(at)));
                        }
                    }
                    known.save(&sockets, log());
                }
            });
        }
    });
    let known = scratch.load();
    let most = PER_SOCKET * sockets.len() + (THREADS as usize + 1) * sockets.len();
    assert!(known.length <= most, "{} records", known.length);
    let mut known = scratch.load();
    for (at, socket) in sockets.iter().enumerate() {
        known.note(socket, owner(uid_of(at)));
    }
    known.save(&sockets, log());
    let known = scratch.load();
    for (at, socket) in sockets.iter().enumerate() {
        assert_eq!(known.owner(socket), Some(owner(uid_of(at))));
    }
}

#[test]
fn where_only_memory_is_the_boot_need_not_be_asked() {
    let dir = Path::new("/dev/shm").join(format!("known-{}", std::process::id()));
    let scratch = Scratch(dir.clone());
    fs::create_dir(&dir).expect("directory");
    let socket = scratch.socket(1);
    scratch.keep(&[socket], 2001);
    scratch.keep(&[socket], 2002);
    let known = scratch.load();
    assert_eq!(
        (known.boot, known.owner(&socket)),
        (FORMAT, Some(owner(2002)))
    );
    let elsewhere = Scratch::new("disk");
    elsewhere.keep(&[socket], 2001);
    if !elsewhere.open(false).is_in_memory() {
        assert_ne!(elsewhere.load().boot, FORMAT);
        // Records made there do not count here.
        fs::copy(elsewhere.file(), scratch.file()).expect("copy");
        assert_eq!(scratch.load().owner(&socket), None);
    }
}
