//! One file for every host: the module, as `cargo xtask dist` builds it, is loaded by the libpam and
//! the libc of each of the lab's roots (glibc 2.31 and later), and for aarch64 under qemu by Debian's
//! own. No cluster runs. As root, for the mounts.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "shown when a test fails")]

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use lab::Suite;
use serde_json::{Value, json};
use tests::dist;
use tests::root::in_root;

const NO_JOBS: &str = "Access denied by pam_slurm_adopt: you have no active jobs on this node";

#[test]
fn root_of_bullseye() {
    loads_in(&Host::root(Suite::Bullseye));
}

#[test]
fn root_of_bookworm() {
    loads_in(&Host::root(Suite::Bookworm));
}

#[test]
fn root_of_trixie() {
    loads_in(&Host::root(Suite::Trixie));
}

#[test]
fn root_of_forky() {
    loads_in(&Host::root(Suite::Forky));
}

#[test]
fn aarch64_under_qemu() {
    loads_in(&Host::aarch64());
}

/// Calls it where it must answer in each of the ways that need no Slurm, and the program beside it.
fn loads_in(host: &Host) {
    let ours = "pam_slurm_adopt.so";
    let panicking = "forced-panic/pam_slurm_adopt.so";
    let conf = "nodename=localhost slurm_conf=@/slurm.conf";
    let no_conf = "slurm_conf=/nonexistent action_generic_failure=allow";
    let denial = json!([{ "style": "error", "text": NO_JOBS }]);
    for (service, module, options, name, messages) in [
        // Loaded, and not asked: the first line of any PAM module.
        ("other", ours, "", "PAM_IGNORE", json!([])),
        ("sshd", ours, conf, "PAM_PERM_DENIED", denial),
        ("sshd", ours, no_conf, "PAM_SUCCESS", json!([])),
        // Panics are caught: unwinding works with what is linked in.
        ("sshd", panicking, "", "PAM_IGNORE", json!([])),
    ] {
        let line = format!("account [default=done] @/{module} {options}\n").replace('@', &host.dir);
        fs::create_dir_all(host.files.join("pam.d")).expect("make the PAM directory");
        fs::write(host.files.join("pam.d").join(service), &line).expect("write the stack");
        let confdir = format!("{}/pam.d", host.dir);
        let call = [
            "--confdir",
            &confdir,
            "--service",
            service,
            "--user",
            "nobody",
        ];
        let (code, stdout, stderr) = host.run("pamcall", &call);
        assert_eq!((code, stderr.as_str()), (Some(0), ""), "{line}{stdout}");
        let answer: Value = serde_json::from_str(&stdout).expect("one line of JSON");
        println!("{line}{answer}");
        assert_eq!(answer["name"], name, "{line}");
        assert_eq!(answer["messages"], messages, "{line}");
        assert_eq!(answer["fds_after"], answer["fds_before"], "{line}");
        assert_eq!(answer["signals_changed"], false, "{line}");
    }
    if !host.has_program {
        return;
    }
    let conf = format!("slurm_conf={}/slurm.conf", host.dir);
    let options = format!("nodename=localhost {conf}");
    let explain = ["explain", "nobody", "--options", &options];
    let (code, stdout, stderr) = host.run("slurm-adopt", &explain);
    assert_eq!(code, Some(2), "{stdout}{stderr}");
    assert!(stdout.contains("PAM_PERM_DENIED"), "{stdout}{stderr}");
}

/// Where the files are loaded.
struct Host {
    /// Our files: modules, programs, slurm.conf and an empty spool directory.
    files: PathBuf,
    /// What that directory is called for the programs.
    dir: String,
    /// What runs a program there.
    by: Vec<String>,
    /// Whether the admin's program is there: for aarch64 only long runs build it.
    has_program: bool,
}

impl Host {
    /// One of the lab's roots.
    fn root(suite: Suite) -> Self {
        let root = lab::roots::ensure(suite).expect("the lab's root");
        let has_program = true;
        let target = "x86_64-unknown-linux-gnu";
        let files = files(suite.name(), target, "/mnt", has_program);
        Self {
            by: in_root(&root, &files),
            dir: String::from("/mnt"),
            files,
            has_program,
        }
    }

    /// An emulated processor, with libc and libpam of Debian for aarch64.
    fn aarch64() -> Self {
        let default = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../target/tools/debian/run-aarch64"
        );
        let emulator = env::var("SLURM_ADOPT_RUN_AARCH64").unwrap_or_else(|_| default.to_owned());
        assert!(
            Path::new(&emulator).is_file(),
            "no {emulator}: run `cargo xtask test --only aarch64`"
        );
        let place = place("aarch64");
        let dir = path(&place).to_owned();
        let has_program = tests::is_long();
        let files = files("aarch64", "aarch64-unknown-linux-gnu", &dir, has_program);
        let by = pamcall::private_run().iter().map(|it| (*it).to_owned());
        let by = by.chain([emulator]).collect();
        Self {
            files,
            dir,
            by,
            has_program,
        }
    }

    /// Exit status, stdout and stderr.
    fn run(&self, program: &str, args: &[&str]) -> (Option<i32>, String, String) {
        let mut command = Command::new(&self.by[0]);
        command.args(&self.by[1..]);
        command
            .arg(format!("{}/{program}", self.dir))
            .args(args)
            .stdin(Stdio::null());
        let output = command.output().expect("start it");
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        (
            output.status.code(),
            text(output.stdout),
            text(output.stderr),
        )
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // A test that failed half-way must not fail again here.
        let _ = fs::remove_dir_all(&self.files);
    }
}

fn place(name: &str) -> PathBuf {
    env::temp_dir().join(format!("loading-{}-{name}", std::process::id()))
}

/// Copies what was built for the target, and configures Slurm for programs that see it in `dir`.
fn files(name: &str, target: &str, dir: &str, has_program: bool) -> PathBuf {
    let files = place(name);
    fs::create_dir_all(files.join("forced-panic")).expect("make a directory");
    fs::create_dir_all(files.join("spool")).expect("make a directory");
    let program = has_program.then_some("slurm-adopt");
    let others = [
        "pam_slurm_adopt.so",
        "forced-panic/pam_slurm_adopt.so",
        "pamcall",
    ];
    for file in others.into_iter().chain(program) {
        let built = dist(&format!("../{target}/{file}")).expect("what was built");
        fs::copy(built, files.join(file)).expect("copy what was built");
    }
    let conf = format!("ClusterName=t\nSlurmdSpoolDir={dir}/spool\nNodeName=localhost\n");
    fs::write(files.join("slurm.conf"), conf).expect("write slurm.conf");
    files
}

fn path(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}
