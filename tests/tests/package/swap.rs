//! The swap from SchedMD's module to ours and back, on a node where users log in all the time.

use anyhow::{Result, ensure};
use tests::Watch;

use crate::node::{NEWER, OLDER, OURS, PLACE, Packages, SCHEDMDS, THEIRS};

/// A command, and what serves logins afterwards.
type Step = (String, Module);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Module {
    Ours,
    Newer,
    Theirs,
}

/// By dpkg and by apt, with an upgrade in between and SchedMD's package removed and installed again.
pub fn back_and_forth(packages: &Packages) -> Result<()> {
    let steps = [
        (format!("dpkg -i {OURS}"), Module::Ours),
        ("dpkg -r slurm-adopt".into(), Module::Theirs),
        (format!("apt-get install -y {OURS}"), Module::Ours),
        (format!("dpkg -i {THEIRS}"), Module::Ours),
        ("apt-get remove -y libpam-slurm-adopt".into(), Module::Ours),
        (format!("dpkg -i {NEWER}"), Module::Newer),
        (format!("dpkg -i {OURS}"), Module::Ours),
        (format!("apt-get install -y {THEIRS}"), Module::Ours),
        ("apt-get purge -y slurm-adopt".into(), Module::Theirs),
    ];
    while_users_log_in(packages, &steps)?;
    watch_sees_a_gap(packages)
}

/// SchedMD's own package conflicts with Debian's, so that the swap between those two needs ours in between.
pub fn with_schedmds_own(packages: &Packages) -> Result<()> {
    let steps = [
        (format!("dpkg -i {OURS}"), Module::Ours),
        ("dpkg -r libpam-slurm-adopt".into(), Module::Ours),
        (format!("dpkg -i {SCHEDMDS}"), Module::Ours),
        ("dpkg -P slurm-adopt".into(), Module::Theirs),
        (format!("apt-get install -y {OURS}"), Module::Ours),
        (format!("dpkg -i {NEWER}"), Module::Newer),
        (
            "apt-get remove -y slurm-smd-libpam-slurm-adopt".into(),
            Module::Newer,
        ),
        (format!("dpkg -i {THEIRS}"), Module::Newer),
        ("dpkg -P slurm-adopt".into(), Module::Theirs),
    ];
    while_users_log_in(packages, &steps)
}

fn while_users_log_in(packages: &Packages, steps: &[Step]) -> Result<()> {
    let newer = [&packages.ours[..], b"newer\n"].concat();
    let modules: [&[u8]; 3] = [&packages.ours, &newer, &packages.theirs];
    packages.cluster.submit("alice", &[])?;
    let watch = Watch::begin(packages.node(), &[PLACE, OLDER])?;
    for (command, module) in steps {
        watch.wait()?;
        packages.run(command)?;
        let served = packages.served()?;
        let expected = modules[*module as usize];
        ensure!(served == expected, "{command}: not {module:?}");
    }
    watch.wait()?;
    watch.end()?.check(&modules)
}

/// The same watch notices what a package that conflicts with SchedMD's would do: one goes before the other comes.
fn watch_sees_a_gap(packages: &Packages) -> Result<()> {
    let watch = Watch::begin(packages.node(), &[PLACE, OLDER])?;
    watch.wait()?;
    packages.run("dpkg -r libpam-slurm-adopt")?;
    packages.run(&format!("dpkg -i {THEIRS}"))?;
    let seen = watch.end()?;
    ensure!(seen.missing > 0, "{} looks saw no gap", seen.looks);
    Ok(())
}
