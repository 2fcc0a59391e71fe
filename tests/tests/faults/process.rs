//! The process that makes the call: its descriptors, its /proc, its memory. The stepds are fakes in health.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use lab::Node;
use tests::{Call, End, Module, STRACE};

use crate::case::{self, Case};
use crate::fake::Fake;
use crate::policy::Means::{self, Adopted, Generic, NotAdopted, Root, Unknown};
use crate::stepd::{self, FINE, JOB, OTHER};

const IN: Means = Adopted(JOB);

/// Runs the call without a /proc; as the test program needs it it is elsewhere.
pub const NO_PROC: &str = "exec unshare -m /bin/sh -ec 'mkdir -p /run/proc; mount --bind /proc /run/proc; \
     mount -t tmpfs none /proc; exec \"$@\" --proc /run/proc/self' sh \"$@\"";

/// Leaves a process few descriptors.
const FEW: &str = "ulimit -n 64; exec \"$@\"";
const ROOT_PASSES: &str = "root always passes";

/// The process that makes the call.
pub fn process(node: &Node) -> Result<()> {
    stepd::prepare(node)?;
    let peers = [
        stepd::healthy("p", JOB),
        stepd::healthy("q", JOB),
        stepd::healthy("q", OTHER),
    ];
    let _fake = Fake::start(node, &peers)?;
    tests::bring_strace(node)?;
    let mut cases = streams_and_signals();
    cases.extend(few_descriptors());
    cases.extend(without_proc());
    cases.extend(unreadable());
    case::run(node, &cases)
}

/// A login of alice's, or of root's where root passes, where alice has one job.
fn login(what: &str, means: Means, reason: &str, arguments: &[&str]) -> Case {
    let mut case = Case::new(what, stepd::options("p"), means, reason);
    case.arguments = arguments.iter().map(|it| it.to_string()).collect();
    if means == Root {
        case.user = "root";
    }
    case
}

/// The same, run by a script of the shell.
fn wrapped(what: &str, means: Means, reason: &str, arguments: &[&str], wrapper: &str) -> Case {
    Case {
        wrapper: Some(wrapper.to_owned()),
        ..login(what, means, reason, arguments)
    }
}

fn streams_and_signals() -> Vec<Case> {
    vec![
        login("no descriptors 0 to 2", IN, FINE, &["--close-streams"]),
        login("SIGPIPE ignored", IN, FINE, &["--ignore-sigpipe"]),
        login("SIGPIPE deadly", IN, FINE, &[]),
    ]
}

fn few_descriptors() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut add = |left, means, reason| {
        let what = format!("{left} descriptors, {means:?}");
        let arguments = ["--descriptors", left];
        cases.push(wrapped(&what, means, reason, &arguments, FEW));
    };
    add("1", Generic, "Too many open files");
    for left in ["2", "3", "4", "8"] {
        add(left, IN, FINE);
    }
    add("1", Root, ROOT_PASSES);
    cases
}

fn without_proc() -> Vec<Case> {
    let two_jobs = Case {
        options: stepd::options("q"),
        ..wrapped(
            "no /proc, two jobs",
            Unknown(OTHER),
            "list open descriptors: ",
            &[],
            NO_PROC,
        )
    };
    vec![
        wrapped("no /proc", IN, FINE, &[], NO_PROC),
        wrapped("no /proc, root", Root, ROOT_PASSES, &[], NO_PROC),
        two_jobs,
    ]
}

/// As a rule of AppArmor or SELinux makes files of /proc.
fn unreadable() -> Vec<Case> {
    [
        // Whether this is sshd's helper can't be seen then.
        (
            "/proc/self/cmdline",
            "openat",
            "read /proc/self/cmdline: Permission denied",
        ),
        // Whether the slurmstepd takes this process's number for another's can't be seen then.
        (
            "/proc/self/ns/pid",
            "readlink,readlinkat",
            "readlink /proc/self/ns/pid: Permission denied",
        ),
    ]
    .map(|(path, calls, reason)| {
        let what = format!("{path} can't be read");
        let wrapper = format!(
            "exec {STRACE} -f -o /dev/null -P {path} -e inject={calls}:error=EACCES \"$@\""
        );
        wrapped(&what, NotAdopted, reason, &[], &wrapper)
    })
    .into()
}
/// Almost all memory is taken. libpam itself wants a kilobyte.
pub fn memory(node: &Node) -> Result<()> {
    stepd::prepare(node)?;
    // Else libpam reads its files, and loads the module, once more at the second call.
    let other = "session required pam_deny.so\n";
    node.write("/run/pamcall/Ours/other", other, 0o644)?;
    let _fake = Fake::start(node, &[stepd::healthy("o", JOB)])?;
    let mut cases = Vec::new();
    for (left, user, means) in [
        ("1536", "root", Root),
        ("4096", "root", Root),
        ("65536", "root", Root),
        ("65536", "alice", IN),
    ] {
        let mut case = Case::new(
            format!("{left} bytes, {user}"),
            stepd::options("o"),
            means,
            "",
        );
        case.user = user;
        case.arguments = vec!["--memory".into(), left.into()];
        cases.push(case);
    }
    case::run(node, &cases)?;
    little_memory(node)
}

/// From what libpam needs to what a login needs. Who has a job is adopted or kept out, be it that the
/// process ends: Rust's allocator calls abort(3). Root always passes.
fn little_memory(node: &Node) -> Result<()> {
    /// PAM_BUF_ERR of libpam itself, which has not come as far as to the module.
    const NOT_CALLED: End = End::Code(5);
    const ABORTED: End = End::Killed(6);
    let strict = "action_adopt_failure=deny action_generic_failure=deny";
    let options = format!("{} {strict}", stepd::options("o"));
    let mut ends = BTreeMap::<String, usize>::new();
    for left in (512..48 * 1024).step_by(512) {
        for user in ["root", "alice"] {
            let mut call = Call::new(user, &options);
            call.arguments = vec!["--memory".into(), left.to_string()];
            let login = call.make(node, Module::Ours)?;
            let is_right = match (user, login.end) {
                (_, NOT_CALLED) => left < 2048,
                ("root", end) => end == End::Code(25),
                (_, End::Code(0)) => login.env.contains_key("SLURM_JOB_ID"),
                (_, end) => end == End::Code(6) || end == ABORTED,
            };
            ensure!(is_right, "{left} bytes, {user}: {login}");
            *ends.entry(format!("{user} {:?}", login.end)).or_default() += 1;
        }
    }
    println!("with 0.5 to 48 KB: {ends:?}");
    let adopted = ends.get("alice Code(0)").copied().unwrap_or(0);
    ensure!(adopted > 0, "never adopted: {ends:?}");
    Ok(())
}
