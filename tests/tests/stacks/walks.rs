//! Walks through made-up stacks, libpam's beside those of pamconf.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use lab::Suite;
use pam::app::{Start, Transaction};
use pamconf::{Code, Facility, Flavor, Item, Layout, ProblemKind, ReadOther, Role, Service, Walk};
use serde_json::Value;
use tests::dist;
use tests::root::in_root;

use crate::Dir;
use crate::files::Made;

/// Services that are made up; with the same numbers each time.
const SERVICES: u64 = 2000;

#[test]
fn libpam_and_pamconf_walk_alike() {
    let dir = Dir::make("walks");
    let flavor = match Path::new("/etc/debian_version").exists() {
        true => Flavor::Debian,
        false => Flavor::Upstream,
    };
    let mut seen = Seen::default();
    for seed in 0..SERVICES {
        let place = dir.0.join("service");
        let made = Made::up(seed, place.to_str().expect("text"));
        write(&made, &place);
        let theirs = open_session(&place);
        let ours = walk(&place, &place, flavor, &mut seen);
        if let Some(ours) = ours {
            assert_eq!(ours, theirs, "seed {}\n{made}", made.seed);
        }
        fs::remove_dir_all(&place).expect("remove the service");
    }
    seen.check();
}

#[test]
fn root_of_bullseye() {
    walk_alike_in(Suite::Bullseye);
}

#[test]
fn root_of_bookworm() {
    walk_alike_in(Suite::Bookworm);
}

#[test]
fn root_of_trixie() {
    walk_alike_in(Suite::Trixie);
}

#[test]
fn root_of_forky() {
    walk_alike_in(Suite::Forky);
}

/// What came of a session: libpam's return value, that of pam_start(3) if it fails, and what the modules said that ran.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    code: i32,
    said: Vec<String>,
}

fn walk_alike_in(suite: Suite) {
    let root = lab::roots::ensure(suite).expect("the lab's root");
    let files = Dir::make(&format!("walks-{}", suite.name()));
    let program = dist("pamcall").expect("what was built");
    fs::copy(program, files.0.join("pamcall")).expect("copy what was built");
    let inner = |seed| PathBuf::from(format!("/mnt/{seed}"));
    let all: Vec<Made> = (0..SERVICES)
        .map(|seed| Made::up(seed, inner(seed).to_str().expect("text")))
        .collect();
    let mut list = String::new();
    for made in &all {
        write(made, &files.0.join(made.seed.to_string()));
        list += &format!("{}\n", inner(made.seed).display());
    }
    let mut theirs = open_sessions(&root, &files.0, &list).into_iter();
    let mut seen = Seen::default();
    for made in &all {
        let place = files.0.join(made.seed.to_string());
        let ours = walk(&place, &inner(made.seed), Flavor::Debian, &mut seen);
        let theirs = theirs.next().expect("a line for each");
        if let Some(ours) = ours {
            assert_eq!(ours, theirs, "seed {}\n{made}", made.seed);
        }
    }
    seen.check();
}

fn write(made: &Made, dir: &Path) {
    fs::create_dir_all(dir).expect("make the service's directory");
    for (name, text) in &made.files {
        fs::write(dir.join(name), text).expect("write a file of the service");
    }
}

fn open_session(dir: &Path) -> Outcome {
    let start = Transaction::start(Start {
        service: "sshd",
        user: "root",
        confdir: Some(dir),
        conversation: true,
    });
    let mut transaction = match start {
        Ok(transaction) => transaction,
        Err(answer) => {
            let (code, said) = (answer.0, Vec::new());
            return Outcome { code, said };
        }
    };
    let code = transaction.open_session().0;
    let said = transaction.messages().into_iter().map(|it| it.text);
    Outcome {
        code,
        said: said.collect(),
    }
}

/// The same in a root, for each directory of a list.
fn open_sessions(root: &Path, files: &Path, list: &str) -> Vec<Outcome> {
    let prefix = in_root(root, files);
    let mut child = Command::new(&prefix[0])
        .args(&prefix[1..])
        .args(["/mnt/pamcall", "--user=root", "--confdirs"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("start pamcall");
    let mut stdin = child.stdin.take().expect("a pipe");
    let list = list.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(list.as_bytes()));
    let output = child.wait_with_output().expect("wait for pamcall");
    writer.join().expect("join").expect("write the list");
    assert!(output.status.success(), "{}", output.status);
    let outcome = |line: &str| {
        let answer: Value = serde_json::from_str(line).expect("a line of JSON");
        let said = answer["said"].as_array().expect("a list").iter();
        Outcome {
            code: serde_json::from_value(answer["code"].clone()).expect("a number"),
            said: said
                .map(|it| it.as_str().expect("text").to_owned())
                .collect(),
        }
    };
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    text.lines().map(outcome).collect()
}

/// What pamconf makes of the files in `dir`, which libpam sees at `inner`; `None` if that is said not to be
/// known.
fn walk(dir: &Path, inner: &Path, flavor: Flavor, seen: &mut Seen) -> Option<Outcome> {
    let layout = Layout {
        dirs: vec![inner.to_owned()],
        flavor,
    };
    let mut read_file = |path: &Path| {
        let name = path.strip_prefix(inner).unwrap_or(path);
        fs::read(dir.join(name))
    };
    let read = Service::read(&layout, "sshd", ReadOther::Always, &mut read_file);
    let unknown = read
        .problems()
        .iter()
        .any(|it| it.kind == ProblemKind::UnknownActions);
    if unknown && read.fatal().is_none() {
        seen.unknown += 1;
        return None;
    }
    let mut said = Vec::new();
    let walk = read.walk(Facility::Session, |_, handler| {
        let item = read.line(handler).map(|it| &it.item);
        let Some(Item::Module { path, arguments }) = item else {
            panic!("no module: {item:?}");
        };
        let (code, text) = answer(path, arguments);
        said.extend(text);
        code
    });
    seen.count(&read, &walk);
    Some(Outcome {
        code: walk.code.number(),
        said,
    })
}

/// What pam_debug.so returns and says: of the first argument that begins so, if it names a code.
fn answer(path: &[u8], arguments: &[Vec<u8>]) -> (Code, Option<String>) {
    if path != b"pam_debug.so" {
        return (Code::MODULE_UNKNOWN, None);
    }
    let mut named = arguments
        .iter()
        .filter(|it| it.starts_with(b"open_session="));
    let text = named.next().and_then(|it| std::str::from_utf8(it).ok());
    let code = text.and_then(|it| Code::named(it.strip_prefix("open_session=")?));
    match code {
        Some(code) => (code, text.map(str::to_owned)),
        None => (Code::SUCCESS, None),
    }
}

/// How often each came.
#[derive(Debug, Default)]
struct Seen {
    success: u32,
    failure: u32,
    given_up: u32,
    failing_entries: u32,
    substacks: u32,
    ended_early: u32,
    from_other: u32,
    unknown: u32,
}

impl Seen {
    fn count(&mut self, read: &Service, walk: &Walk) {
        let stack = read.stack(Facility::Session);
        let has = |role| u32::from(stack.iter().any(|it| it.role == role));
        let is_success = walk.code == Code::SUCCESS;
        let is_given_up = read.fatal().is_some();
        let skips = walk
            .steps
            .windows(2)
            .any(|it| it[1].entry - it[0].entry > 2);
        let first = stack.first().and_then(|it| read.line(it));
        self.success += u32::from(is_success);
        self.given_up += u32::from(is_given_up);
        self.failure += u32::from(!is_success && !is_given_up);
        self.failing_entries += has(Role::Fail);
        self.substacks += has(Role::Substack);
        self.ended_early += u32::from(skips);
        self.from_other += u32::from(first.is_some_and(|it| it.place.file.ends_with("other")));
    }

    /// Nothing is shown by what never came.
    fn check(&self) {
        let counts = [
            self.success,
            self.failure,
            self.given_up,
            self.failing_entries,
            self.substacks,
            self.ended_early,
            self.from_other,
        ];
        assert!(counts.iter().all(|it| *it >= 40), "{self:?}");
        assert!(self.unknown < 100, "{self:?}");
    }
}
