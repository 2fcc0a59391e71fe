//! Follows made-up PAM stacks twice: libpam, and our reading of them. Walks are compared with the host's libpam
//! and, as root, with that of each of the lab's roots.
//!
//! The modules are Linux-PAM's `pam_debug.so`, which answers what its line says; a copy of it that has our
//! name takes our place.
#![forbid(unsafe_code)]

mod dice;
mod files;
mod walks;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use adopt::session::stack::{Reach, Stack};
use pam::app::{Start, Transaction};
use pamconf::Facility;

use crate::dice::Dice;

/// Stacks that are made up; with the same numbers each time.
const STACKS: u64 = 200;
/// Stacks of as many lines as this get every answer, longer ones some by chance.
const FEW: usize = 4;
/// That many.
const SOME: usize = 40;

/// Where libpam is told to look for modules by their names.
const MODULES: [&str; 4] = [
    "/lib/x86_64-linux-gnu/security",
    "/lib/aarch64-linux-gnu/security",
    "/lib64/security",
    "/lib/security",
];

#[test]
fn libpam_and_we_follow_a_stack_alike() {
    let debug = MODULES.map(|dir| Path::new(dir).join("pam_debug.so"));
    let Some(debug) = debug.iter().find(|it| it.exists()) else {
        panic!("no pam_debug.so in {MODULES:?}");
    };
    let dir = Dir::make("stacks");
    fs::copy(debug, dir.0.join("pam_slurm_adopt.so")).expect("copy pam_debug.so");
    let mut seen = Seen::default();
    for seed in 0..STACKS {
        check(&dir.0, &Made::up(seed, &dir.0), &mut seen);
    }
    assert!(seen.always > 20, "{seen:?}");
    assert!(seen.passed > 20, "{seen:?}");
    assert!(seen.not_binding > 10, "{seen:?}");
}

/// How often each came out.
#[derive(Debug, Default)]
struct Seen {
    always: u32,
    passed: u32,
    not_binding: u32,
}

fn check(dir: &Path, made: &Made, seen: &mut Seen) {
    made.write(dir, &vec![CODES[0]; made.lines.len()]);
    let stack = Stack::read_in(&[dir.to_str().expect("text")], "sshd");
    let reach = stack.reach(Facility::Session);
    let shown = || format!("seed {}: {reach:?}\n{made}", made.seed);
    let (mut passed, mut survived) = (false, false);
    for answers in made.answers() {
        made.write(dir, &answers);
        let (is_success, ours) = call(dir);
        passed |= is_success && ours.is_empty();
        survived |= is_success && ours == [DENIAL];
    }
    let is_whole = made.lines.len() <= FEW;
    match reach {
        Reach::Always => {
            seen.always += 1;
            assert!(!passed, "libpam passes us over: {}", shown());
            assert!(
                !survived,
                "libpam takes no notice of our failure: {}",
                shown()
            );
        }
        Reach::MayBePassed(_) => {
            seen.passed += 1;
            assert!(
                passed || !is_whole,
                "libpam never passes us over: {}",
                shown()
            );
            assert!(
                !survived,
                "libpam takes no notice of our failure: {}",
                shown()
            );
        }
        Reach::NotBinding => {
            seen.not_binding += 1;
            assert!(survived || !is_whole, "libpam fails with us: {}", shown());
        }
        Reach::Absent => panic!("{}", shown()),
    }
}

/// Whether the session opens, and what ours answered.
fn call(dir: &Path) -> (bool, Vec<String>) {
    let mut transaction = Transaction::start(Start {
        service: "sshd",
        user: "root",
        confdir: Some(dir),
        conversation: true,
    })
    .expect("start PAM");
    let is_success = transaction.open_session().0 == 0;
    let said = transaction.messages();
    let ours = said.iter().filter_map(|it| it.text.strip_prefix(MARK));
    (is_success, ours.map(str::to_owned).collect())
}

/// pam_debug says its argument unless it answers success by default: only ours has one.
const MARK: &str = "open_session=";
const DENIAL: &str = "session_err";
const CODES: [&str; 3] = ["success", "ignore", "auth_err"];

/// A stack of one line of ours among others, some of them in another file.
struct Made {
    seed: u64,
    /// Controls; ours is at `ours`.
    lines: Vec<String>,
    ours: usize,
    /// Those that are in the other file, and how that is included.
    part: std::ops::Range<usize>,
    include: String,
}

impl Made {
    fn up(seed: u64, dir: &Path) -> Self {
        let mut dice = Dice::of(seed);
        let count = 2 + dice.below(6);
        let ours = dice.below(count);
        let lines = (0..count).map(|index| match index == ours {
            true => dice.one(&[
                "required",
                "requisite",
                "required",
                "optional",
                "[default=done]",
            ]),
            false => control(&mut dice),
        });
        let lines = lines.collect();
        let start = dice.below(count);
        let end = start + dice.below(count - start + 1);
        let include = dice.one(&[
            "session include",
            "session substack",
            "@include",
            "session substack",
        ]);
        Self {
            seed,
            lines,
            ours,
            part: start..end,
            include: format!("{include} {}", dir.join("part").display()),
        }
    }

    /// Every answer of every module but ours, with ours answering either way; or some.
    fn answers(&self) -> Vec<Vec<&'static str>> {
        let mut dice = Dice::of(self.seed);
        let others = u32::try_from(self.lines.len() - 1).expect("a few");
        let all = CODES.len().pow(others) * 2;
        let numbers: Vec<usize> = match self.lines.len() <= FEW {
            true => (0..all).collect(),
            false => (0..SOME).map(|_| dice.below(all)).collect(),
        };
        let of_number = |mut number: usize| {
            let ours = ["success", DENIAL][number % 2];
            number /= 2;
            let answer = |index: usize| {
                if index == self.ours {
                    return ours;
                }
                let code = CODES[number % CODES.len()];
                number /= CODES.len();
                code
            };
            (0..self.lines.len()).map(answer).collect()
        };
        numbers.into_iter().map(of_number).collect()
    }

    fn write(&self, dir: &Path, answers: &[&str]) {
        let mut files = [String::new(), String::new()];
        for (index, (control, answer)) in self.lines.iter().zip(answers).enumerate() {
            let line = match index == self.ours {
                true => {
                    let ours = dir.join("pam_slurm_adopt.so");
                    format!("session {control} {} {MARK}{answer}\n", ours.display())
                }
                false => format!("session {control} {}\n", silent(answer)),
            };
            if index == self.part.start {
                files[0] += &format!("{}\n", self.include);
            }
            files[usize::from(self.part.contains(&index))] += &line;
        }
        for (name, text) in ["sshd", "part"].iter().zip(files) {
            fs::write(dir.join(name), text).expect("write the stack");
        }
    }
}

impl std::fmt::Display for Made {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "lines {:?} are in: {}", self.part, self.include)?;
        for (index, control) in self.lines.iter().enumerate() {
            let name = if index == self.ours {
                "ours"
            } else {
                "another"
            };
            writeln!(f, "{index}: {control} {name}")?;
        }
        Ok(())
    }
}

/// A module that answers that and says nothing.
fn silent(answer: &str) -> &'static str {
    match answer {
        "success" => "pam_permit.so",
        "ignore" => "pam_warn.so",
        _ => "pam_deny.so",
    }
}

fn control(dice: &mut Dice) -> String {
    const ACTIONS: [&str; 9] = ["ignore", "ok", "done", "bad", "die", "reset", "1", "2", "3"];
    if dice.below(3) == 0 {
        return dice.one(&["required", "requisite", "optional", "sufficient"]);
    }
    let mut pairs = vec![format!("success={}", dice.one(&ACTIONS))];
    if dice.below(2) == 0 {
        pairs.push(format!("ignore={}", dice.one(&ACTIONS)));
    }
    if dice.below(2) == 0 {
        pairs.push(format!("default={}", dice.one(&ACTIONS)));
    }
    format!("[{}]", pairs.join(" "))
}

struct Dir(PathBuf);

impl Dir {
    fn make(name: &str) -> Self {
        let dir = env::temp_dir().join(format!("{name}-{}", std::process::id()));
        fs::create_dir_all(&dir).expect("make the directory");
        Self(dir)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        // A test that failed half-way must not fail again here.
        let _ = fs::remove_dir_all(&self.0);
    }
}
