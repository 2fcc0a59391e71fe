//! The module in a process that stays: loaded, called and let go a thousand times.
#![forbid(unsafe_code)]

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use pam::app::{Start, Transaction};

/// Calls before the first count: libc and libpam fill their own caches.
const WARM_UP: usize = 50;
const CALLS: usize = 1000;
/// More growth than this over all calls is a leak: 1 KiB a call.
const MOST_KIB: u64 = 1024;

/// A stack whose one line calls the module, and the module's answer.
struct Stack {
    service: &'static str,
    module: PathBuf,
    argument: String,
    answer: &'static str,
}

// One test only: another one in this process would open descriptors of its own.
#[test]
fn a_thousand_calls_leave_nothing_behind() {
    let dir = env::temp_dir().join(format!("so-{}", std::process::id()));
    let stacks = write_stacks(&dir);
    let call = |turn: usize| stacks[turn % stacks.len()].call(&dir, turn);
    (0..WARM_UP).for_each(call);
    let (fds, kib) = (descriptors(), resident_kib());
    (WARM_UP..WARM_UP + CALLS).for_each(call);
    assert_eq!(descriptors(), fds, "open descriptors");
    let grown = resident_kib().saturating_sub(kib);
    assert!(grown < MOST_KIB, "{grown} KiB more after {CALLS} calls");

    // -z nodelete: dlclose(3) at the end of each transaction did not unmap it.
    let maps = fs::read_to_string("/proc/self/maps").expect("read /proc/self/maps");
    let module = dist("pam_slurm_adopt.so");
    assert!(
        maps.contains(&*module.to_string_lossy()),
        "{} is unmapped",
        module.display()
    );
    fs::remove_dir_all(&dir).expect("remove the directory");
}

/// A user without a job, a slurm.conf that is missing, and a panic.
fn write_stacks(dir: &Path) -> [Stack; 3] {
    let (conf, spool) = (dir.join("slurm.conf"), dir.join("spool"));
    fs::create_dir_all(&spool).expect("make a directory");
    let text = format!("ClusterName=t\nSlurmdSpoolDir={}\n", spool.display());
    fs::write(&conf, text).expect("write slurm.conf");
    let stacks = [
        Stack {
            service: "nojobs",
            module: dist("pam_slurm_adopt.so"),
            argument: format!("slurm_conf={}", conf.display()),
            answer: "PAM_PERM_DENIED",
        },
        Stack {
            service: "noconf",
            module: dist("pam_slurm_adopt.so"),
            argument: "slurm_conf=/nonexistent".into(),
            answer: "PAM_IGNORE",
        },
        Stack {
            service: "panics",
            module: dist("forced-panic/pam_slurm_adopt.so"),
            argument: "action_generic_failure=allow".into(),
            answer: "PAM_SUCCESS",
        },
    ];
    for stack in &stacks {
        let line = format!(
            "account [default=done] {} service=* nodename=n log_level=quiet {}\n",
            stack.module.display(),
            stack.argument
        );
        fs::write(dir.join(stack.service), line).expect("write a stack");
    }
    stacks
}

impl Stack {
    fn call(&self, dir: &Path, turn: usize) {
        let start = Start {
            service: self.service,
            user: "nobody",
            confdir: Some(dir),
            conversation: true,
        };
        let mut transaction = Transaction::start(start).expect("pam_start_confdir");
        let answer = transaction.account();
        assert_eq!(answer.name(), self.answer, "turn {turn}, {}", self.argument);
    }
}

fn descriptors() -> Vec<PathBuf> {
    let entries = fs::read_dir("/proc/self/fd").expect("list /proc/self/fd");
    let mut targets: Vec<PathBuf> = entries
        .filter_map(|it| fs::read_link(it.expect("an entry").path()).ok())
        .collect();
    targets.sort();
    targets
}

fn resident_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("read /proc/self/status");
    let line = status
        .lines()
        .find_map(|it| it.strip_prefix("VmRSS:"))
        .expect("VmRSS");
    line.trim()
        .trim_end_matches(" kB")
        .parse()
        .expect("a number")
}

/// A file that `cargo xtask dist` made.
fn dist(name: &str) -> PathBuf {
    let default = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../target/dist/x86_64-unknown-linux-gnu"
    );
    let dir = env::var_os("SLURM_ADOPT_DIST").unwrap_or_else(|| default.into());
    let path = Path::new(&dir).join(name);
    fs::canonicalize(&path)
        .unwrap_or_else(|error| panic!("{}: {error}: run `cargo xtask dist`", path.display()))
}
