//! The end of jobs on real nodes: what `slurm-adopt sweep` ends as an Epilog and what it leaves alone, and what
//! `slurm-adopt notify` writes to terminals.

#![forbid(unsafe_code)]

mod hiding;
mod notify;
mod sweep;

use anyhow::{Context as _, Result};
use lab::{Cluster, Suite};
use tests::{CLI, Matrix, Shared, page};

type Test = fn(&Cluster) -> Result<()>;

/// Where the Epilog writes what sweep printed, and its status.
const EPILOG_LOG: &str = "/var/log/epilog";

/// The Epilog of docs/tool.md, with a log and its status.
fn epilog() -> Result<String> {
    let commands = page::commands("docs/tool.md", "What do users leave behind?")?;
    let shown = commands.iter().find_map(|it| it.strip_suffix(" || true"));
    let command = shown.context("the Epilog of docs/tool.md")?;
    let sweep = command.replace("/usr/sbin/slurm-adopt", CLI);
    Ok(format!(
        "#!/bin/sh\nexec >>{EPILOG_LOG} 2>&1\n{sweep} --grace 1\n\
         status=$?; echo \"status $status of job $SLURM_JOB_ID\"; exit $status\n"
    ))
}

fn start(suite: Suite, flags: &str) -> Result<Cluster> {
    let conf = format!(
        "Epilog=/usr/local/bin/epilog\nProlog=/usr/local/bin/prolog\nPrologFlags=contain{flags}"
    );
    tests::cluster(suite)?
        .copy(tests::dist("slurm-adopt")?, CLI)
        .file("/usr/local/bin/epilog", epilog()?, 0o755)
        .file("/usr/local/bin/prolog", hiding::PROLOG, 0o755)
        .slurm_conf(&conf)
        .start()
}

fn main() {
    let suites = [Suite::Bookworm, Suite::Trixie, Suite::Forky];
    let mut matrix = Matrix::with_lanes(&suites, 1, |suite| {
        Shared::new(suite, |suite| start(suite, ""))
    });
    let tests = sweep::TESTS.iter().chain(hiding::TESTS);
    for (name, test) in tests.chain(notify::TESTS) {
        // One cluster is enough to see that it works.
        matrix.add_on(&[Suite::Forky], name, |_, stage| {
            stage.run(|cluster| test(cluster), |cluster| cluster.cancel_all())
        });
        let older = [Suite::Bookworm, Suite::Trixie];
        matrix.add_long(&older, name, |_, stage| {
            stage.run(|cluster| test(cluster), |cluster| cluster.cancel_all())
        });
    }
    let (name, test) = sweep::LONG;
    matrix.add_long(&suites, name, move |_, stage| {
        stage.run(|cluster| test(cluster), |cluster| cluster.cancel_all())
    });
    // Slurm has it from 24.05 on.
    let newer = [Suite::Trixie, Suite::Forky];
    let name = "an Epilog that runs in the job does not count it";
    matrix.add_long(&newer, name, |suite, _| {
        sweep::as_epilog(&start(suite, ",RunInJob")?)
    });
    matrix.run();
}
