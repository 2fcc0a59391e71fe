//! All gates and tests in order, the cheap ones first. ./test runs them.

use std::fs;
use std::process::ExitCode;
use std::time::{Instant, SystemTime};

use anyhow::ensure;
use clap::ValueEnum;

use crate::arch::Arch;
use crate::beside::Beside;
use crate::budgets;
use crate::crates;
use crate::dist;
use crate::docs;
use crate::fuzz;
use crate::licences;
use crate::long;
use crate::package;
use crate::rooms;
use crate::runner::{Runner, Size};
use crate::session;
use crate::so;
use crate::workspace::Workspace;

/// One group of gates or tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Stage {
    /// Cargo.lock is complete
    Lock,
    /// Foreign crates' licences and sources
    Licences,
    /// cargo fmt
    Fmt,
    /// `unsafe` in its two rooms only
    Unsafe,
    /// cargo clippy without a warning
    Clippy,
    /// Unit tests of the crates and of xtask
    Unit,
    /// Option tables, links, named tests and doc comments
    Docs,
    /// Build the module and the tool for old hosts
    Dist,
    /// Dependencies, exports and size of the module
    So,
    /// Instruction counts of the pure parts
    Budgets,
    /// Return codes, with a PAM directory of our own
    Retval,
    /// Unit tests and return codes under AddressSanitizer, return codes under valgrind
    Sanitize,
    /// Build the module for aarch64, look at it, and run unit tests and load it on an emulated processor
    Aarch64,
    /// Fuzzing of the decoders
    Fuzz,
    /// The lab's own tests: clusters
    Lab,
    /// Loading of the module in each of the lab's roots; host lists and slurm.conf against Slurm's own parser
    Loading,
    /// The packages: the same bytes twice, lintian, rpmlint, and their life on a node: clusters
    Package,
    /// Our module and SchedMD's in the same cases: clusters
    Compliance,
    /// slurm.conf and the node's name, read by both modules: clusters
    Finding,
    /// The job that a login comes from: clusters of three nodes
    Callerid,
    /// Steps of two releases on one node: clusters
    Mixed,
    /// Which of several jobs a login gets into, and logins that wait for one: clusters of two nodes
    Waiting,
    /// The file of options, exemptions, modes and messages: clusters
    Site,
    /// What slurm-adopt check finds on broken nodes: clusters
    Check,
    /// slurm-adopt setup and undo on bare nodes: clusters
    Setup,
    /// Trial logins of slurm-adopt check --as: clusters
    Containment,
    /// Who is where on a node, as status shows it: clusters
    Status,
    /// What sweep ends and notify writes at the end of jobs: clusters
    Ending,
    /// ssh, scp, rsync and editors by slurm-adopt proxy: clusters
    Connect,
    /// A login's view of its job, namespaces, X11 and limits: clusters
    Inside,
    /// The place where a login ends up, by its method and PAM stack: clusters
    Session,
    /// Attacks by users: a cluster
    Hostile,
    /// Faults of the daemons, the node and the process: clusters
    Faults,
    /// ssh into jobs: clusters
    E2e,
    /// Many logins at once while jobs and daemons come and go: a cluster
    Load,
    /// Whole machines with systemd: QEMU
    Vm,
}

/// Seconds that each fuzz target runs.
const FUZZ_SECONDS: u32 = 4;
/// Runs the chosen stages, or all. With `write`, writes the rows of docs/session.md. With `has_beside`, what computes
/// runs beside the clusters.
pub fn all(
    workspace: Workspace,
    size: Size,
    write: bool,
    has_beside: bool,
    only: &[Stage],
) -> ExitCode {
    let long = match (size == Size::Long)
        .then(|| long::begin(&workspace))
        .transpose()
    {
        Ok(long) => long,
        Err(error) => {
            println!("error: {error:#}");
            return ExitCode::FAILURE;
        }
    };
    let mut runner = Runner::new(workspace, size, long);
    let before = kept_on_host();
    let mut has_session = false;
    let mut beside = None;
    for stage in Stage::value_variants() {
        if !only.is_empty() && !only.contains(stage) {
            continue;
        }
        if size == Size::Quick && !stage.is_quick() {
            println!("left out by --quick: {}", stage.name());
            continue;
        }
        if has_beside && stage.is_beside() {
            continue;
        }
        if *stage == Stage::Clippy && only.is_empty() && size != Size::Quick {
            runner.begin_roots();
        }
        if has_beside && *stage == Stage::Lab {
            beside = begin_beside(&mut runner);
        }
        if *stage >= Stage::Lab {
            runner.finish_roots();
        }
        has_session |= *stage == Stage::Session;
        runner.stage(*stage);
    }
    if let Some(beside) = beside {
        beside.end(&mut runner.report);
    }
    if let Some(results) = &runner.long {
        let workspace = &runner.workspace;
        runner.report.gate("the long runs' results", || {
            long::publish(workspace, results)
        });
    }
    if has_session || !runner.session_rows.is_empty() {
        let (workspace, rows) = (&runner.workspace, &runner.session_rows);
        let write = write || size == Size::Long;
        runner.report.gate("docs/session.md", || {
            session::compare(workspace, rows, write)
        });
    }
    runner.report.gate("the host's /run", || {
        let after = kept_on_host();
        ensure!(after == before, "{KEPT} was {before:?}, is {after:?}");
        Ok("")
    });
    runner.report.finish()
}

/// Starts the stages that need no attention while the clusters' run.
fn begin_beside(runner: &mut Runner) -> Option<Beside> {
    let stages = Stage::value_variants().iter().filter(|it| it.is_beside());
    let names: Vec<String> = stages.map(|it| it.name()).collect();
    match Beside::begin(&runner.workspace, &names) {
        Ok(beside) => Some(beside),
        Err(error) => {
            let reason = format!("{error:#}");
            runner.report.not_run(&names.join(", "), &reason);
            None
        }
    }
}

/// The module's files on this host, which no test may change.
const KEPT: &str = "/run/slurm-adopt";

/// Time when the module last wrote there, if there is anything.
fn kept_on_host() -> Option<SystemTime> {
    fs::metadata(KEPT).and_then(|it| it.modified()).ok()
}

/// Test programs, each with a part of its tests' names, for the machine with cgroup v2 and the newest
/// Slurm, which gives a job's directory there a random name. They select the tests that look into cgroups;
/// e2e selects its own.
const IN_MACHINE: [(&str, &str); 5] = [
    ("finding", "26.05/a service that changes"),
    ("session", "26.05/a suspended job is passed over"),
    (
        "inside",
        "26.05/no namespaces: limits=job gives the job's limits",
    ),
    (
        "status",
        "26.05/each login is shown in the job that holds it",
    ),
    ("e2e", ""),
];

/// Kind of work in a stage.
enum Work {
    /// A function of its own.
    Own(fn(&mut Runner)),
    /// A program of the package tests that loads the module: its title and cargo's arguments to select it.
    Module(&'static str, &'static [&'static str]),
    /// The same, with clusters.
    Clusters(&'static str, &'static str),
}

impl Stage {
    fn work(self) -> Work {
        match self {
            Self::Lock => Work::Own(Runner::lock),
            Self::Licences => Work::Own(|it| licences::gates(&it.workspace, &mut it.report)),
            Self::Fmt => Work::Own(Runner::fmt),
            Self::Unsafe => Work::Own(|it| {
                rooms::gate(&it.workspace, &mut it.report);
                rooms::order_gate(&it.workspace, &mut it.report);
            }),
            Self::Clippy => Work::Own(Runner::clippy),
            Self::Unit => Work::Own(Runner::unit),
            Self::Docs => Work::Own(Runner::docs),
            Self::Dist => Work::Own(Runner::dist),
            Self::So => Work::Own(Runner::so),
            Self::Budgets => Work::Own(|it| budgets::gates(&it.workspace, &mut it.report)),
            Self::Retval => Work::Module(
                "return codes",
                &[
                    "--package=pamcall",
                    "--lib",
                    "--test=retval",
                    "--test=so",
                    "--test=stacks",
                    "--",
                    "--skip=root_of_",
                ],
            ),
            Self::Sanitize => Work::Own(Runner::sanitize),
            Self::Aarch64 => Work::Own(Runner::aarch64),
            Self::Fuzz => Work::Own(Runner::fuzz),
            Self::Lab => Work::Own(Runner::lab),
            Self::Loading => Work::Own(Runner::loading),
            Self::Package => Work::Own(Runner::package),
            Self::Compliance => Work::Clusters("compliance", "compliance"),
            Self::Finding => Work::Clusters("finding the node", "finding"),
            Self::Callerid => Work::Clusters("caller ID", "callerid"),
            Self::Mixed => Work::Clusters("mixed versions", "mixed"),
            Self::Waiting => Work::Clusters("waiting for a job, and which", "waiting"),
            Self::Site => Work::Clusters("what a site sets", "site"),
            Self::Check => Work::Clusters("what check finds", "check"),
            Self::Setup => Work::Clusters("setup and undo", "setup"),
            Self::Containment => Work::Clusters("trial logins", "containment"),
            Self::Status => Work::Clusters("who is where", "status"),
            Self::Ending => Work::Clusters("the end of jobs", "ending"),
            Self::Connect => Work::Clusters("ssh to a job", "connect"),
            Self::Inside => Work::Clusters("inside the job", "inside"),
            Self::Session => Work::Clusters("session", "session"),
            Self::Hostile => Work::Clusters("hostile users", "hostile"),
            Self::Faults => Work::Clusters("faults", "faults"),
            Self::E2e => Work::Clusters("end to end", "e2e"),
            Self::Load => Work::Clusters("load", "load"),
            Self::Vm => Work::Own(Runner::vm),
        }
    }

    /// Whether it needs no cluster, no machine, no other processor and no long build.
    fn is_quick(self) -> bool {
        self < Self::Lab && ![Self::Sanitize, Self::Aarch64, Self::Fuzz].contains(&self)
    }

    /// Whether `--beside` has it in another process, beside the clusters: it keeps a processor busy for minutes.
    fn is_beside(self) -> bool {
        [Self::Sanitize, Self::Aarch64, Self::Fuzz, Self::Vm].contains(&self)
    }

    /// Name in `--only`.
    fn name(self) -> String {
        self.to_possible_value()
            .map(|it| it.get_name().to_owned())
            .unwrap_or_default()
    }
}

impl Runner {
    fn stage(&mut self, stage: Stage) {
        let start = Instant::now();
        match stage.work() {
            Work::Own(run) => run(self),
            Work::Module(title, programs) => {
                if self.has_dist(title) {
                    self.tests(title, &[&["--package=tests"], programs].concat());
                }
            }
            Work::Clusters(title, program) => {
                if self.has_dist(title) && self.has_lab(title) {
                    self.tests(title, &["--package=tests", "--test", program]);
                }
            }
        }
        self.report.stage(&stage.name(), start.elapsed());
    }

    fn lock(&mut self) {
        let [host, other] = Arch::ALL.map(Arch::target);
        let fetch = ["fetch", "--quiet", "--locked", "--target", host];
        let all = [&fetch[..], &["--target", other]].concat();
        self.cargo("Cargo.lock", "", &all);
        self.cargo("Cargo.lock: fuzz", "fuzz", &fetch);
    }

    fn fmt(&mut self) {
        self.cargo("fmt", "", &["fmt", "--all", "--check"]);
        self.cargo("fmt: fuzz", "fuzz", &["fmt", "--check"]);
    }

    fn clippy(&mut self) {
        let all = [
            "clippy",
            "--quiet",
            "--workspace",
            "--all-targets",
            "--features=pam/app",
            "--",
            "--deny=warnings",
        ];
        self.cargo("clippy", "", &all);
    }

    fn unit(&mut self) {
        let all = [
            "--workspace",
            "--exclude=lab",
            "--exclude=pamcall",
            "--exclude=tests",
            "--features=pam/app",
        ];
        self.tests("unit tests", &all);
    }

    fn docs(&mut self) {
        docs::gates(&self.workspace, &mut self.report);
        let all = [
            "doc",
            "--quiet",
            "--workspace",
            "--no-deps",
            "--features=pam/app",
        ];
        self.cargo("docs: comments", "", &all);
    }

    fn dist(&mut self) {
        let what: Vec<_> = self
            .arches()
            .iter()
            .map(|it| (*it, self.parts(*it)))
            .collect();
        let built = dist::build_each(&self.workspace, &what);
        for ((arch, _), dist) in what.iter().zip(built) {
            self.take_dist(*arch, dist);
        }
    }

    fn so(&mut self) {
        let arch = Arch::X86_64;
        if self.has_dist_for(arch, &format!("so {arch}")) {
            so::gates(&self.workspace, arch, &mut self.report);
        }
        crates::gates(&self.workspace, &mut self.report);
    }

    fn fuzz(&mut self) {
        fuzz::gates(&self.workspace, FUZZ_SECONDS, None, &mut self.report);
    }

    fn lab(&mut self) {
        if self.has_lab("lab") {
            self.tests("lab", &["--package=lab"]);
        }
    }

    fn loading(&mut self) {
        if self.has_dist("loading") && self.has_lab("loading") {
            let roots = [
                "--package=tests",
                "--test=loading",
                "--test=stacks",
                "root_of_",
            ];
            self.tests("loading", &roots);
            let parsers = ["--package=tests", "--test=parsers", "--test=sshd_config"];
            self.tests("parsers beside Slurm's and sshd's", &parsers);
        }
    }

    fn package(&mut self) {
        if self.has_dist("package")
            && self.has_lab("package")
            && package::gates(&self.workspace, &mut self.report)
        {
            let programs = ["--package=tests", "--test=package", "--test=package_rpm"];
            self.tests("package", &programs);
        }
    }

    fn vm(&mut self) {
        if self.has_dist("virtual machine") && self.has_lab("virtual machine") {
            self.machines(&IN_MACHINE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_starts_clusters_comes_last() {
        let slow = [
            Stage::Lab,
            Stage::Loading,
            Stage::Package,
            Stage::Compliance,
            Stage::Finding,
            Stage::Callerid,
            Stage::Mixed,
            Stage::Waiting,
            Stage::Site,
            Stage::Check,
            Stage::Setup,
            Stage::Containment,
            Stage::Status,
            Stage::Ending,
            Stage::Connect,
            Stage::Inside,
            Stage::Session,
            Stage::Hostile,
            Stage::Faults,
            Stage::E2e,
            Stage::Load,
            Stage::Vm,
        ];
        for stage in Stage::value_variants() {
            assert_eq!(*stage >= Stage::Lab, slow.contains(stage), "{stage:?}");
        }
    }
}
