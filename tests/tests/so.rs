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

// One test only: another one in this process would open descriptors of its own.
#[test]
fn a_thousand_calls_leave_nothing_behind() {
    let dir = env::temp_dir().join(format!("so-{}", std::process::id()));
    fs::create_dir_all(dir.join("spool")).expect("make a directory");
    let conf = dir.join("slurm.conf");
    let spool = dir.join("spool");
    fs::write(
        &conf,
        format!("ClusterName=t\nSlurmdSpoolDir={}\n", spool.display()),
    )
    .expect("write slurm.conf");
    let module = dist("pam_slurm_adopt.so");
    let panicking = dist("forced-panic/pam_slurm_adopt.so");
    let stacks = [
        (
            "nojobs",
            &module,
            format!("slurm_conf={}", conf.display()),
            "PAM_PERM_DENIED",
        ),
        (
            "noconf",
            &module,
            String::from("slurm_conf=/nonexistent"),
            "PAM_IGNORE",
        ),
        (
            "panics",
            &panicking,
            String::from("action_generic_failure=allow"),
            "PAM_SUCCESS",
        ),
    ];
    for (name, module, argument, _) in &stacks {
        let line = format!(
            "account [default=done] {} service=* nodename=n log_level=quiet {argument}\n",
            module.display()
        );
        fs::write(dir.join(name), line).expect("write a stack");
    }

    let mut before = None;
    for turn in 0..WARM_UP + CALLS {
        if turn == WARM_UP {
            before = Some((descriptors(), resident_kib()));
        }
        let (service, _, argument, expected) = &stacks[turn % stacks.len()];
        let start = Start {
            service,
            user: "nobody",
            confdir: Some(&dir),
            conversation: true,
        };
        let mut transaction = Transaction::start(start).expect("pam_start_confdir");
        let answer = transaction.account();
        assert_eq!(answer.name(), *expected, "turn {turn}, {argument}");
    }
    let (fds, kib) = before.expect("counted");
    assert_eq!(descriptors(), fds, "open descriptors");
    let grown = resident_kib().saturating_sub(kib);
    assert!(grown < MOST_KIB, "{grown} KiB more after {CALLS} calls");

    // -z nodelete: dlclose(3) at the end of each transaction did not unmap it.
    let maps = fs::read_to_string("/proc/self/maps").expect("read /proc/self/maps");
    assert!(
        maps.contains(&*module.to_string_lossy()),
        "{} is unmapped",
        module.display()
    );
    fs::remove_dir_all(&dir).expect("remove the directory");
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
