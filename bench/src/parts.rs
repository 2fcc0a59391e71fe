//! The stages of a login with our module, by the program `stages`.

use ::tests::OURS;
use anyhow::{Context, Result, ensure};
use lab::Node;
use serde::Deserialize;

use crate::measure::Effort;
use crate::results::{Stage, StageTable};
use crate::stats::{median, percentile};

/// The program on every node.
pub const PROGRAM: &str = "/usr/local/bin/stages";

/// One login's line.
#[derive(Debug, Deserialize)]
struct Login {
    stages: Vec<Took>,
}

#[derive(Debug, Deserialize)]
struct Took {
    name: String,
    nanos: f64,
    minflt: f64,
}

/// Measures the stages as things are; what fails is told in the table.
pub fn table(node: &Node, situation: &str, effort: Effort) -> StageTable {
    let (logins, stages, failed) = match run(node, effort) {
        Ok((logins, stages)) => (logins, stages, None),
        Err(error) => (0, Vec::new(), Some(format!("{error:#}"))),
    };
    StageTable {
        name: situation.into(),
        logins,
        stages,
        failed,
    }
}

fn run(node: &Node, effort: Effort) -> Result<(usize, Vec<Stage>)> {
    let repeat = effort.logins.to_string();
    let argv = ["--module", OURS, "--user", "alice", "--repeat", &repeat];
    let argv = [&[PROGRAM], &argv[..]].concat();
    let output = node.run(&argv)?.ok()?;
    let logins: Vec<Login> = output
        .lines()
        .map(|line| serde_json::from_str(line).with_context(|| format!("stages: {line}")))
        .collect::<Result<_>>()?;
    Ok((logins.len(), summary(&logins)?))
}

fn summary(logins: &[Login]) -> Result<Vec<Stage>> {
    let first = logins.first().context("stages: no login")?;
    let of_all = |index: usize, name: &str| -> Result<Stage> {
        let (mut micros, mut faults) = (Vec::new(), Vec::new());
        for login in logins {
            let took = login.stages.get(index).context("stages: one is missing")?;
            ensure!(took.name == name, "stages: {} for {name}", took.name);
            micros.push(took.nanos / 1e3);
            faults.push(took.minflt);
        }
        Ok(Stage {
            name: name.into(),
            median_us: median(&micros),
            p95_us: percentile(&micros, 95.0),
            minflt: median(&faults),
        })
    };
    let names = first.stages.iter().enumerate();
    names
        .map(|(index, took)| of_all(index, &took.name))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login(name: &str, nanos: f64) -> Login {
        let took = |name: &str, nanos| Took {
            name: name.into(),
            nanos,
            minflt: 2.0,
        };
        Login {
            stages: vec![took("first", 1000.0), took(name, nanos)],
        }
    }

    #[test]
    fn stages_are_summed_up_by_name() {
        let logins = [
            login("second", 5000.0),
            login("second", 9000.0),
            login("second", 7000.0),
        ];
        let stages = summary(&logins).expect("all alike");
        assert_eq!(stages.len(), 2);
        assert_eq!((stages[1].median_us, stages[1].p95_us), (7.0, 9.0));
        assert_eq!((stages[0].median_us, stages[0].minflt), (1.0, 2.0));
        summary(&[login("second", 1.0), login("other", 1.0)]).expect_err("not the same stages");
        summary(&[]).expect_err("none");
    }
}
