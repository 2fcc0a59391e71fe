//! Real ssh into a real node with our module in sshd's stack, on each of the four OpenSSH versions.

#![forbid(unsafe_code)]

mod ending;
mod log;
mod logins;
mod stepds;
mod tool;

use anyhow::Result;
use lab::{Cluster, Suite};
use tests::{CLI, Matrix, Shared};

const NO_JOBS: &str = "Access denied by pam_slurm_adopt: you have no active jobs on this node";
const CGROUP: &[&str] = &["cat", "/proc/self/cgroup"];

type Test = fn(&Cluster) -> Result<()>;

/// Each starts without jobs and leaves none behind.
const TESTS: &[(&str, Test)] = &[
    (
        "without a job nobody gets in but root",
        logins::without_a_job,
    ),
    (
        "the owner of a job gets into it, nobody else",
        logins::into_the_job,
    ),
    ("root gets in whatever is broken", logins::root_always),
    (
        "a login has the environment of SchedMD's module",
        logins::environment,
    ),
    ("scp and sftp", logins::copies),
    ("a terminal", logins::terminal),
    ("twenty logins at once", logins::twenty_at_once),
    ("the session ends with its job", ending::with_the_job),
    ("a job that ends during the login", ending::during_the_login),
    ("a login leaves one line in the log", log::one_line),
    (
        "bad options are logged and change nothing",
        log::bad_options,
    ),
    ("another's stopped stepd delays nobody", stepds::stopped),
    (
        "a stepd that was met before is not asked again",
        stepds::met_before,
    ),
    ("explain says what a login meets", tool::explain),
    ("support writes what helps to find a fault", tool::support),
];

/// What Slurm's cgroups decide: on each release, and in a machine with cgroup v2.
const BY_CGROUP: [&str; 4] = [
    "the owner of a job gets into it, nobody else",
    "the session ends with its job",
    "a job that ends during the login",
    "explain says what a login meets",
];

/// Its moments differ by less than a login takes in a machine, where the session that ends with its job shows the same.
const TOO_FAST: &str = "a job that ends during the login";

fn start(suite: Suite) -> Result<Cluster> {
    tests::cluster(suite)?
        .copy(tests::dist("slurm-adopt")?, CLI)
        .start()
}

fn run(stage: &mut Shared<Cluster>, test: Test) -> Result<()> {
    let cluster = stage.up()?;
    test(cluster).map_err(|error| match cluster.cancel_all() {
        Ok(()) => error,
        Err(second) => error.context(format!("and clean up after it: {second:#}")),
    })
}

fn main() {
    let mut matrix = Matrix::new(|suite| Shared::new(suite, start));
    for name in BY_CGROUP {
        assert!(
            TESTS.iter().any(|(it, _)| *it == name),
            "no test \"{name}\""
        );
    }
    let in_machine = std::env::var_os("SLURM_ADOPT_MACHINE").is_some();
    for (name, test) in TESTS {
        let test = |_, stage: &mut Shared<Cluster>| run(stage, *test);
        let is_chosen = BY_CGROUP.contains(name) && (!in_machine || *name != TOO_FAST);
        match (in_machine, is_chosen) {
            // The newest Slurm, whose cgroup/v2 names a job's directory by chance.
            (true, true) => matrix.add_on(&[Suite::Forky], name, test),
            (true, false) => matrix.add_long(&[Suite::Forky], name, test),
            (false, true) => matrix.add(name, test),
            (false, false) => matrix.add_in_turn(&Suite::ALL, name, test),
        }
    }
    matrix.run();
}
