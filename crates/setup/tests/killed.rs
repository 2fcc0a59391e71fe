//! SIGKILL in the midst of a setup or an undo, at each of its system calls in turn: every file is old or new, root has a
//! way in, and an undo afterwards restores the tree byte for byte.
//!
//! The same for a file system that gets full, and for a kernel without openat2(2).
//!
//! This program starts itself again under strace(1), which kills it. By default every third call that changes
//! something is a point; with SLURM_ADOPT_LONG=1, each call of any kind.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a test program")]

mod made;

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use check::Host;
use check::host::tree::Tree;
use setup::End;
use sys::Deadline;

use made::{directory, plan, site, snapshot, tree};

/// What the program does when it is started again.
#[derive(Clone, Copy)]
enum Act {
    SetUp,
    Undo,
}

/// A system call at which the program is killed: its name, and its number among those of that name.
struct Point {
    call: String,
    number: usize,
}

/// The calls that change something.
const CHANGING: [&str; 9] = [
    "write",
    "fsync",
    "renameat",
    "unlinkat",
    "mkdirat",
    "symlinkat",
    "fchmod",
    "fchown",
    "utimensat",
];

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["set-up", root] => Act::SetUp.act(Path::new(root)),
        ["undo", root] => Act::Undo.act(Path::new(root)),
        // What cargo passes on, such as a filter that selects other tests.
        [filter, ..] if !filter.starts_with('-') && !"killed".contains(filter) => {}
        _ => {
            for act in [Act::SetUp, Act::Undo] {
                killed_at_each_call(act);
            }
            without_room();
            without_openat2();
        }
    }
}

impl Act {
    fn name(self) -> &'static str {
        match self {
            Self::SetUp => "set-up",
            Self::Undo => "undo",
        }
    }

    fn act(self, root: &Path) {
        let site = site(root);
        match self {
            Self::SetUp => {
                let end = site.carry_out(&plan(), &mut |_| {}).expect("carried out");
                assert!(matches!(end, End::Done { .. }), "{end:?}");
            }
            Self::Undo => {
                if let Some(mut store) = site.store().expect("records") {
                    site.recover(&mut store).expect("recovered");
                    let numbers: Vec<u32> = store.setups.keys().copied().collect();
                    if !numbers.is_empty() {
                        site.undo(&mut store, &numbers).expect("undone");
                    }
                    store.close().expect("closed");
                }
            }
        }
    }

    /// A tree as it is before this.
    fn tree(self) -> tempfile::TempDir {
        let dir = tree();
        if let Self::Undo = self {
            Self::SetUp.act(dir.path());
        }
        dir
    }

    /// Starts this program under strace.
    fn traced(self, options: &[&str], root: &Path) -> Command {
        let own = env::current_exe().expect("our own program");
        let mut command = Command::new("strace");
        command.args(["-f", "-qq"]).args(options);
        command.arg(own).args([self.name().as_ref(), root]);
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        command
    }

    /// Runs this while a system call fails; what it says if it fails too.
    fn failing(self, fault: &str, root: &Path) -> String {
        let call = fault.split(':').next().unwrap_or_default();
        let (trace, inject) = (format!("--trace={call}"), format!("--inject={fault}"));
        let ended = self
            .traced(&[&trace, &inject, "-o", "/dev/null"], root)
            .output();
        let ended = ended.expect("start strace");
        match ended.status.success() {
            true => String::new(),
            false => format!(
                "{} {}",
                ended.status,
                String::from_utf8_lossy(&ended.stderr)
            ),
        }
    }

    /// All points, in the order of a run that nobody kills.
    fn points(self) -> Vec<Point> {
        let dir = self.tree();
        let log = dir.path().with_extension("strace");
        let path = log.to_string_lossy();
        let output = self.traced(&["-o", &path], dir.path()).output();
        let output = output.expect("start strace: apt-get install strace");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {errors}", self.name());
        let text = fs::read_to_string(&log).expect("what strace wrote");
        fs::remove_file(&log).expect("remove it");
        let mut numbers: BTreeMap<(String, String), usize> = BTreeMap::new();
        let mut points = Vec::new();
        let (mut first, mut seen) = (None, 0);
        for line in text.lines() {
            let Some((pid, call)) = line.split_once(char::is_whitespace) else {
                continue;
            };
            let Some((call, rest)) = call.trim_start().split_once('(') else {
                continue;
            };
            let is_main = first.get_or_insert_with(|| pid.to_owned()) == pid;
            // The rooms of check look in threads of their own, and change nothing.
            if !is_main || call.contains(' ') {
                continue;
            }
            let number = numbers
                .entry((pid.to_owned(), call.to_owned()))
                .or_default();
            *number += 1;
            // To open a file changes something if that makes it.
            let is_changing = CHANGING.contains(&call) || rest.contains("O_CREAT");
            seen += usize::from(is_changing);
            if is_long() || is_changing && seen % 3 == 0 {
                points.push(Point {
                    call: call.to_owned(),
                    number: *number,
                });
            }
        }
        points
    }
}

/// What the tree is before and after.
struct World {
    act: Act,
    /// The tree before.
    base: tempfile::TempDir,
    old: BTreeMap<PathBuf, String>,
    new: BTreeMap<PathBuf, String>,
    /// The whole tree that nothing was done to.
    bare: BTreeMap<PathBuf, String>,
}

/// What a kill did.
#[derive(Default)]
struct Count {
    /// The programs that did not come to their end.
    killed: usize,
    /// The trees that were neither as before nor as after.
    halfway: usize,
}

fn killed_at_each_call(act: Act) {
    let begun = Instant::now();
    let (bare, done) = (tree(), Act::Undo.tree());
    let sides = match act {
        Act::SetUp => [&bare, &done],
        Act::Undo => [&done, &bare],
    };
    let [old, new] = sides.map(|it| contents(it.path()));
    let world = World {
        act,
        base: act.tree(),
        old,
        new,
        bare: whole(bare.path()),
    };
    let points = act.points();
    assert!(points.len() > 50, "{}: {} points", act.name(), points.len());
    let next = AtomicUsize::new(0);
    let work = || {
        let mut count = Count::default();
        while let Some(point) = points.get(next.fetch_add(1, Ordering::Relaxed)) {
            world.killed_at(point, &mut count);
        }
        count
    };
    let counts = thread::scope(|threads| {
        let workers: Vec<_> = (0..4).map(|_| threads.spawn(work)).collect();
        let ended = workers.into_iter().map(|it| it.join().expect("a worker"));
        ended.collect::<Vec<Count>>()
    });
    let killed: usize = counts.iter().map(|it| it.killed).sum();
    let halfway: usize = counts.iter().map(|it| it.halfway).sum();
    println!(
        "{}: {} points, killed at {killed}, {halfway} of them between old and new, {:.1} s",
        act.name(),
        points.len(),
        begun.elapsed().as_secs_f64()
    );
    assert!(killed * 10 >= points.len() * 9, "too few were killed");
    assert!(
        halfway > 5,
        "too few were killed in the midst of the changes"
    );
}

impl World {
    fn killed_at(&self, point: &Point, count: &mut Count) {
        let dir = directory();
        let root = &dir.path().join("tree");
        let copied = Command::new("cp")
            .arg("-a")
            .arg(self.base.path())
            .arg(root)
            .status();
        assert!(copied.is_ok_and(|it| it.success()), "cp");
        let Point { call, number } = point;
        let inject = format!("--inject={call}:signal=KILL:when={number}");
        let trace = format!("--trace={call}");
        let ended = self
            .act
            .traced(&[&trace, &inject, "-o", "/dev/null"], root)
            .output();
        let ended = ended.expect("start strace");
        count.killed += usize::from(!ended.status.success());
        let at = format!("{} killed at {call} {number}", self.act.name());

        let found = contents(root);
        count.halfway += usize::from(found != self.old && found != self.new);
        for (path, text) in &found {
            let is_known = [&self.old, &self.new]
                .iter()
                .any(|it| it.get(path) == Some(text));
            assert!(is_known, "{at}: {} is {text:?}", path.display());
        }
        for path in self.old.keys().filter(|it| self.new.contains_key(*it)) {
            assert!(found.contains_key(path), "{at}: {} is gone", path.display());
        }
        let limit = Deadline::after(Duration::from_secs(9));
        let host = Host::new(Tree::at(root).expect("a tree"), limit);
        assert_eq!(check::shut_for_root(&host), None, "{at}");
        Act::Undo.act(root);
        assert_eq!(whole(root), self.bare, "{at}");
    }
}

/// An undo on a full file system restores the tree, and a setup whose file system gets full at any of its writes leaves
/// nothing that the next undo does not take back.
fn without_room() {
    let bare = tree();
    let (bare, old) = (whole(bare.path()), contents(bare.path()));
    let dir = Act::Undo.tree();
    let ended = Act::Undo.failing("write:error=ENOSPC", dir.path());
    assert!(ended.is_empty(), "{ended}");
    assert_eq!(whole(dir.path()), bare, "undone without room");
    for first in 1..99 {
        let dir = tree();
        let ended = Act::SetUp.failing(&format!("write:error=ENOSPC:when={first}+"), dir.path());
        if ended.is_empty() {
            assert!(first > 10, "set up with {first} writes");
            return;
        }
        let at = format!("full at write {first}: {ended}");
        assert_eq!(contents(dir.path()), old, "{at}");
        let names = whole(dir.path()).into_keys();
        let beside: Vec<PathBuf> = names.filter(|it| is_beside(it)).collect();
        assert!(beside.is_empty(), "{at}: {beside:?}");
        Act::Undo.act(dir.path());
        assert_eq!(whole(dir.path()), bare, "{at}");
    }
    panic!("a setup writes so much?");
}

/// Before Linux 5.6 there is no openat2(2).
fn without_openat2() {
    let (bare, dir) = (tree(), tree());
    for act in [Act::SetUp, Act::Undo] {
        let ended = act.failing("openat2:error=ENOSYS", dir.path());
        assert!(ended.is_empty(), "{}: {ended}", act.name());
    }
    assert_eq!(whole(dir.path()), whole(bare.path()));
}

/// The contents of all files that a program may read, by their paths in the tree.
fn contents(root: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    for path in snapshot(root).into_keys() {
        let within = path.strip_prefix(root).expect("in the tree").to_owned();
        let is_ours = within.starts_with("var/lib/slurm-adopt") || is_beside(&within);
        let text = match fs::read_link(&path) {
            Ok(target) => format!("link to {}", target.display()),
            Err(_) if path.is_dir() => continue,
            Err(_) => fs::read_to_string(&path).expect("read"),
        };
        if !is_ours {
            found.insert(within, text);
        }
    }
    found
}

/// Whether a file is one that is written beside another.
fn is_beside(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with('.') && name.ends_with(".slurm-adopt")
}

/// The tree with its modes and owners, without times: two trees were not made at the same time.
fn whole(root: &Path) -> BTreeMap<PathBuf, String> {
    let within = |path: PathBuf| path.strip_prefix(root).expect("in the tree").to_owned();
    let timeless = |text: String| match text.split_once(") (") {
        Some((rights, rest)) => {
            let text = rest.split_once(") ").map_or(rest, |it| it.1);
            format!("{rights}) {text}")
        }
        None => text,
    };
    let all = snapshot(root).into_iter();
    all.map(|(path, text)| (within(path), timeless(text)))
        .collect()
}

fn is_long() -> bool {
    env::var_os("SLURM_ADOPT_LONG").is_some_and(|it| it == "1")
}
