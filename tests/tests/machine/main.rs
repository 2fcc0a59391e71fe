//! Logins on hosts with systemd: logind, pam_systemd and Debian's own PAM stacks, slurmd a unit of
//! systemd, cgroup v2; SchedMD's module and ours. In virtual machines.

#![forbid(unsafe_code)]

mod check;
mod ending;
mod escapes;
mod inside;
mod journal;
mod limits;
mod podman;
mod rows;
mod selinux;
mod site;
mod status;
mod suspended;
mod tracking;
mod trial;
mod which;

use anyhow::Result;
use lab::Suite;
use site::Site;
use tests::{Matrix, Shared};

type Test = fn(&mut Site) -> Result<()>;

fn main() {
    let mut matrix = Matrix::new(|suite| Shared::new(suite, Site::start));
    let tests = [
        rows::TESTS,
        escapes::TESTS,
        inside::TESTS,
        limits::TESTS,
        status::TESTS,
        suspended::TESTS,
        tracking::TESTS,
        journal::TESTS,
        trial::TESTS,
        check::TESTS,
        which::TESTS,
        ending::TESTS,
    ]
    .concat();
    // Debian 11 starts with cgroup v1 and v2 mixed; its Slurm has v1 alone.
    // The machine of Debian 13 has SELinux. It enforces only where that is meant: it must not be what keeps users in.
    // What others show too is for long runs: session and inside in the machine with a cluster have suspended jobs
    // and limits with cgroup v2, containment and status have clusters.
    let always = [
        "both lines",
        "ways out",
        "the job's memory, cores and devices",
        "the journal has each login once, with fields",
        "SELinux allows what options need",
        "SELinux without the policy",
    ];
    for name in always {
        let mut all = tests.iter().chain(selinux::TESTS);
        assert!(all.any(|(it, _)| *it == name), "no test '{name}'");
    }
    // First: its machine has gone when the others come.
    matrix.add_long(
        &[Suite::Bookworm, Suite::Trixie, Suite::Forky],
        podman::NAME,
        |suite, _| podman::podman(suite),
    );
    for (name, test) in selinux::TESTS.iter().copied().chain(tests) {
        let enforces = rows::TESTS
            .iter()
            .chain(selinux::TESTS)
            .any(|(it, _)| *it == name);
        let test = move |_, stage: &mut Shared<Site>| {
            let test = |site: &mut Site| site.enforce(enforces).and_then(|()| test(site));
            stage.run(test, Site::finish)
        };
        match always.contains(&name) {
            true => matrix.add_on(&[Suite::Trixie], name, test),
            false => matrix.add_long(&[Suite::Trixie], name, test),
        }
        if !selinux::TESTS.iter().any(|(it, _)| *it == name) {
            matrix.add_long(&[Suite::Bookworm, Suite::Forky], name, test);
        }
    }
    matrix.run_in_turn();
}
