//! The stages of a run, in order, the cheap ones first.

use clap::ValueEnum;

use crate::budgets;
use crate::licences;
use crate::rooms;
use crate::runner::Runner;

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

/// Kind of work in a stage.
pub enum Work {
    /// A function of its own.
    Own(fn(&mut Runner)),
    /// A program of the package tests that loads the module: its title and cargo's arguments to select it.
    Module(&'static str, &'static [&'static str]),
    /// The same, with clusters.
    Clusters(&'static str, &'static str),
}

impl Stage {
    /// What it does.
    pub fn work(self) -> Work {
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
    pub fn is_quick(self) -> bool {
        self < Self::Sanitize
    }

    /// Whether a default run has it in another process, beside the clusters: it computes, no clock decides what it finds,
    /// and no other stage needs what it builds.
    pub fn is_beside(self) -> bool {
        [
            Self::Clippy,
            Self::Budgets,
            Self::Sanitize,
            Self::Aarch64,
            Self::Fuzz,
        ]
        .contains(&self)
    }

    /// Name in `--only`.
    pub fn name(self) -> String {
        self.to_possible_value()
            .map(|it| it.get_name().to_owned())
            .unwrap_or_default()
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
