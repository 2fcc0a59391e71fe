//! Many logins at once on a busy node, calls without end in one process, and what happens to Slurm
//! and to jobs meanwhile: whoever has a job gets into it, nobody else gets in.
//!
//! A default run has small sizes and Slurm 26.05 alone; `./test --long` the full ones and 22.05 too,
//! and leaves its counts for docs/reliability.md.

#![forbid(unsafe_code)]
#![allow(
    clippy::print_stdout,
    reason = "the counts are for the reader of the run"
)]

mod calls;
mod cancelled;
mod crowd;
mod outages;
mod storm;

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use lab::Suite;
use tests::{Matrix, Module, Shared, is_long, record};

use crowd::Crowd;
use storm::{Login, Tally};

/// Logins at a time, of users by chance.
const AT_A_TIME: usize = 50;

/// Logins across running jobs, while jobs start and end.
fn logins(crowd: &mut Crowd) -> Result<()> {
    let (turns, each) = match is_long() {
        true => (4, 250),
        false => (2, 60),
    };
    crowd.settle().context("start the jobs that stay")?;
    let mut made = [(Module::Ours, Vec::new()), (Module::SchedMd, Vec::new())];
    let mut running = Vec::new();
    let began = Instant::now();
    crowd.stir(|| {
        for turn in 0..turns {
            for (module, logins) in &mut made {
                storm::stack(crowd, *module)?;
                running.push(Instant::now());
                logins.extend(storm::logins(crowd, each, AT_A_TIME, turn)?);
            }
        }
        Ok(())
    })?;
    let ended = Instant::now();
    storm::stack(crowd, Module::Ours)?;
    let compared = crowd.compare_with_squeue()?;
    let running: Vec<usize> = running.iter().map(|it| crowd.running(*it)).collect();
    let (started, gone) = crowd.changes(began, ended);
    let jobs = format!(
        "{} to {} jobs at the turns, {started} started and {gone} ended meanwhile, squeue says the \
         same of all {compared}",
        running.iter().min().unwrap_or(&0),
        running.iter().max().unwrap_or(&0)
    );
    let [ours, theirs] = made.map(|(module, logins)| tallied(crowd, module, &logins, &jobs));
    let (ours, _) = (ours?, theirs?);
    ours.check("ours")?;
    // Most of it can be told for certain.
    ensure!(
        ours.logins() == turns as usize * each
            && ours.adopted * 4 >= ours.logins()
            && ours.kept_out * 10 >= ours.logins(),
        "{ours}"
    );
    ensure!(
        started >= 20 && gone >= 20 && running.iter().all(|it| (70..=130).contains(it)),
        "{jobs}"
    );
    Ok(())
}

/// Judges one module's logins, and leaves a row of them.
fn tallied(crowd: &Crowd, module: Module, logins: &[Login], jobs: &str) -> Result<Tally> {
    let mut tally = Tally::default();
    tally.add(crowd, logins);
    let who = match module {
        Module::Ours => "ours",
        Module::SchedMd => "SchedMD's module in the same run",
    };
    let times = tally.times();
    let result = format!("{tally}; p50 / p99 / max {times}; {jobs}");
    println!("{who}: {result}");
    if module == Module::SchedMd || tally.wrong.is_empty() {
        let what = format!("ssh logins, {AT_A_TIME} at a time, {who}");
        record(&what, &crowd.versions()?, &result)?;
    }
    Ok(tally)
}

type Test = fn(&mut Crowd) -> Result<()>;

const TESTS: &[(&str, Test)] = &[
    ("logins while jobs start and end", logins),
    ("calls in one process", calls::without_end),
    (
        "a job cancelled behind each system call",
        cancelled::at_each_call,
    ),
    ("jobs cancelled during ssh", cancelled::during_ssh),
    ("Slurm's daemons come and go", outages::all),
];

fn main() {
    let mut matrix = Matrix::new(|suite| Shared::new(suite, Crowd::start));
    for (name, test) in TESTS {
        matrix.add_on(&[Suite::Forky], name, |_, stage| test(stage.up()?));
    }
    for (name, test) in TESTS {
        matrix.add_long(&[Suite::Bookworm], name, |_, stage| test(stage.up()?));
    }
    matrix.run_in_turn();
}
