//! Compares instruction counts of a login's pure parts with committed budgets. Callgrind counts, so a busy
//! machine makes no difference. The program is built like the shipped files, by one compiler. libc's
//! instructions are left out, because libc picks its code by the processor.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::dist;
use crate::report::Report;
use crate::run;
use crate::workspace::Workspace;

/// File with the committed budgets.
const BUDGETS: &str = "budgets/instructions.txt";

/// Limits of a count, in percent of its budget.
const LEAST: u64 = 80;
const MOST: u64 = 102;

/// Instruction counts by case.
type Counts = BTreeMap<String, u64>;

/// Counts all cases and compares each with its budget.
pub fn gates(workspace: &Workspace, report: &mut Report) {
    let mut budgets = Counts::new();
    let mut counts = Counts::new();
    let counted = report.gate("budgets: count", || {
        budgets = read(&fs::read_to_string(workspace.path(BUDGETS)).context(BUDGETS)?)?;
        counts = count_all(workspace)?;
        Ok(format!("{} cases", counts.len()))
    });
    if !counted {
        return;
    }
    let names: BTreeSet<_> = budgets.keys().chain(counts.keys()).collect();
    for name in names {
        report.gate(&format!("budget: {name}"), || {
            judge(counts.get(name).copied(), budgets.get(name).copied())
        });
    }
}

/// Writes the current counts as the budgets.
pub fn write(workspace: &Workspace) -> Result<()> {
    let mut text = format!(
        "# Instructions of our own code, by case of budgets/src/cases.rs. A count above {MOST} % of its\n\
         # budget fails, and one below {LEAST} %: then lower the budget. `cargo xtask budgets --write`.\n"
    );
    for (name, count) in count_all(workspace)? {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{name} {count}");
    }
    let path = workspace.path(BUDGETS);
    fs::write(&path, text).with_context(|| format!("write {}", path.display()))
}

fn read(text: &str) -> Result<Counts> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let budget = |line: &str| {
        let (name, count) = line.split_once(' ')?;
        Some((name.to_owned(), count.parse().ok()?))
    };
    lines
        .map(|line| budget(line).with_context(|| format!("{BUDGETS}: no name and number: {line}")))
        .collect()
}

fn judge(count: Option<u64>, budget: Option<u64>) -> Result<String> {
    let (count, budget) = match (count, budget) {
        (Some(count), Some(budget)) => (count, budget),
        (Some(count), None) => bail!("{count} instructions and no budget: add one"),
        (None, _) => bail!("there is no such case: take its budget away"),
    };
    let percent = count.saturating_mul(100);
    ensure!(
        percent <= budget.saturating_mul(MOST),
        "{count} instructions, the budget is {budget}"
    );
    ensure!(
        percent >= budget.saturating_mul(LEAST),
        "{count} instructions, the budget is {budget}: lower the budget"
    );
    Ok(format!("{count} instructions of {budget}"))
}

fn count_all(workspace: &Workspace) -> Result<Counts> {
    let program = dist::budgets(workspace)?;
    let cases = run::output(&mut Command::new(&program))?;
    cases
        .lines()
        .map(|case| Ok((case.to_owned(), count(workspace, &program, case)?)))
        .collect()
}

fn count(workspace: &Workspace, program: &Path, case: &str) -> Result<u64> {
    let profile = workspace.target("callgrind.out");
    let mut valgrind = Command::new("valgrind");
    valgrind
        .args(["--tool=callgrind", "--toggle-collect=budgets::measured*"])
        .arg(format!("--callgrind-out-file={}", profile.display()))
        .arg(program)
        .arg(case);
    run::output(&mut valgrind).context("it is in Debian's package valgrind")?;
    let text =
        fs::read_to_string(&profile).with_context(|| format!("read {}", profile.display()))?;
    own_instructions(&text, program)
}

/// Sums the instructions of the program's own code in callgrind's profile, without the libraries that it calls.
fn own_instructions(profile: &str, program: &Path) -> Result<u64> {
    let program = program.to_str().context("its path is UTF-8")?;
    // An object appears as a number with its path, and later as the number alone.
    let mut objects = HashMap::new();
    let mut path_of = |text: &str| {
        let (number, path) = text.split_once(' ').unwrap_or((text, ""));
        let known = objects.entry(number.to_owned()).or_insert(path.to_owned());
        known.clone()
    };
    let (mut own, mut of_callee, mut sum) = (false, false, 0_u64);
    for line in profile.lines() {
        if let Some(text) = line.strip_prefix("ob=") {
            own = path_of(text) == program;
        } else if let Some(text) = line.strip_prefix("cob=") {
            path_of(text);
        } else if line.starts_with("calls=") {
            of_callee = true;
        } else if line.starts_with(|it: char| it.is_ascii_digit() || "+-*".contains(it)) {
            if own && !of_callee {
                let cost = line.split(' ').nth(1).and_then(|it| it.parse::<u64>().ok());
                sum += cost.with_context(|| format!("callgrind: no position and cost: {line}"))?;
            }
            of_callee = false;
        }
    }
    ensure!(sum > 0, "callgrind counted nothing of {program}");
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_must_be_close_to_its_budget() {
        for good in [800, 1000, 1020] {
            judge(Some(good), Some(1000)).expect("close");
        }
        let error = |count, budget| judge(count, budget).expect_err("not close").to_string();
        let more = error(Some(1021), Some(1000));
        assert_eq!(more, "1021 instructions, the budget is 1000");
        let fewer = error(Some(799), Some(1000));
        assert!(fewer.ends_with("lower the budget"), "{fewer}");
        assert!(error(Some(1), None).contains("add one"));
        assert!(error(None, Some(1)).contains("no such case"));
    }

    #[test]
    fn only_the_programs_own_costs_are_summed() {
        let profile = "\
events: Ir\n\
ob=(1) /lib/libc.so.6\nfl=(1) ???\nfn=(1) memcpy\n0 500\n\n\
ob=(2) /t/budgets\nfn=(2) measured\n16 3\n+2 4\ncob=(1)\ncfn=(1)\ncalls=1 0\n* 500\n-1 5\n\n\
ob=(1)\nfn=(3) malloc\n0 70\n\n\
ob=(2)\nfn=(4) parse\n7 30\n\
totals: 612\n";
        let sum = own_instructions(profile, Path::new("/t/budgets")).expect("a sum");
        assert_eq!(sum, 3 + 4 + 5 + 30);
        assert!(own_instructions(profile, Path::new("/t/other")).is_err());
    }

    #[test]
    fn a_line_without_number_is_no_budget() {
        let counts = read("# so\na 1\nb-c 20\n").expect("two");
        assert_eq!(
            counts.into_iter().collect::<Vec<_>>(),
            [("a".to_owned(), 1), ("b-c".to_owned(), 20)]
        );
        assert!(read("a\n").is_err() && read("a many\n").is_err());
    }
}
