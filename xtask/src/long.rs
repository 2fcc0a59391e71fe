//! The results of the long runs: what the tests left as lines of JSON becomes the table in
//! docs/reliability.md.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::bench;
use crate::run;
use crate::workspace::Workspace;

const PAGE: &str = "docs/reliability.md";
const BEGIN: &str = "<!-- long:begin -->\n";
const END: &str = "<!-- long:end -->";
const HEAD: &str = "| what | with | result | when, commit |\n|---|---|---|---|\n";

/// Where a long run's results go; those of the last one are gone.
pub fn begin(workspace: &Workspace) -> PathBuf {
    let path = workspace.target("long.jsonl");
    // publish says so if it can't be written.
    let _ = fs::remove_file(&path);
    path
}

/// Puts them into the table: each row in the place of the one before it, the others stay.
pub fn publish(workspace: &Workspace, results: &Path) -> Result<String> {
    let lines = match fs::read_to_string(results) {
        Ok(lines) => lines,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok("none".into()),
        Err(error) => return Err(error).with_context(|| format!("read {}", results.display())),
    };
    let date = run::output(Command::new("date").args(["--utc", "+%Y-%m-%d"]))?;
    let made = format!("{}, {}", date.trim(), bench::commit(workspace)?);
    let rows: Result<Vec<Row>> = lines.lines().map(|it| Row::read(it, &made)).collect();
    let rows = rows?;
    let page = workspace.path(PAGE);
    let old = fs::read_to_string(&page).with_context(|| format!("read {}", page.display()))?;
    let new = with_rows(&old, &rows).with_context(|| PAGE.to_owned())?;
    fs::write(&page, new).with_context(|| format!("write {}", page.display()))?;
    Ok(format!("{} rows of {PAGE}", rows.len()))
}

/// One row; the first two cells say which.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Row([String; 4]);

impl Row {
    /// Of one line of `tests::record`.
    fn read(line: &str, made: &str) -> Result<Self> {
        let row: Value = serde_json::from_str(line).with_context(|| format!("read «{line}»"))?;
        let cell = |name: &str| {
            let text = row[name]
                .as_str()
                .with_context(|| format!("«{line}» has no {name}"))?;
            anyhow::Ok(text.replace('|', "/").replace('\n', " "))
        };
        Ok(Self([
            cell("what")?,
            cell("with")?,
            cell("result")?,
            made.to_owned(),
        ]))
    }

    /// Of one line of the table.
    fn parse(line: &str) -> Option<Self> {
        let cells = line.strip_prefix("| ")?.strip_suffix(" |")?;
        let cells: Vec<String> = cells.split(" | ").map(str::to_owned).collect();
        cells.try_into().ok().map(Self)
    }
}

fn with_rows(page: &str, new: &[Row]) -> Result<String> {
    let (before, rest) = page.split_once(BEGIN).context("no line long:begin")?;
    let (table, after) = rest.split_once(END).context("no line long:end")?;
    let old = table
        .strip_prefix(HEAD)
        .context("another head of the table")?;
    let mut rows: Vec<Row> = Vec::new();
    for line in old.lines() {
        rows.push(Row::parse(line).with_context(|| format!("not a row: {line}"))?);
    }
    for row in new {
        match rows.iter_mut().find(|it| it.0[..2] == row.0[..2]) {
            Some(old) => *old = row.clone(),
            None => rows.push(row.clone()),
        }
    }
    ensure!(!rows.is_empty(), "no row");
    let rows: String = rows
        .iter()
        .map(|row| format!("| {} |\n", row.0.join(" | ")))
        .collect();
    Ok(format!("{before}{BEGIN}{HEAD}{rows}{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_take_the_place_of_their_like() {
        let row = |line: &str| Row::read(line, "today, abc").expect("a row");
        let one = row(r#"{"what":"logins","with":"26.05","result":"5 | 6"}"#);
        let other = row(r#"{"what":"logins","with":"22.05","result":"7"}"#);
        let empty = format!("a\n{BEGIN}{HEAD}{END}\nb\n");
        let first = with_rows(&empty, &[one, other]).expect("a table");
        assert_eq!(
            first,
            format!(
                "a\n{BEGIN}{HEAD}| logins | 26.05 | 5 / 6 | today, abc |\n\
                 | logins | 22.05 | 7 | today, abc |\n{END}\nb\n"
            )
        );
        let again = row(r#"{"what":"logins","with":"26.05","result":"8"}"#);
        let second = with_rows(&first, &[again]).expect("a table");
        assert_eq!(second, first.replace("5 / 6", "8"));
    }

    #[test]
    fn the_page_takes_rows() {
        let page = include_str!("../../docs/reliability.md");
        let row = Row::read(r#"{"what":"a","with":"b","result":"c"}"#, "d").expect("a row");
        let new = with_rows(page, &[row]).expect("a table");
        assert!(
            new.contains("\n| a | b | c | d |\n<!-- long:end -->"),
            "{new}"
        );
    }

    #[test]
    fn what_is_no_table_is_not_overwritten() {
        let row = Row::read(r#"{"what":"a","with":"b","result":"c"}"#, "d").expect("a row");
        for page in [
            "nothing".to_owned(),
            format!("{BEGIN}{END}"),
            format!("{BEGIN}{HEAD}by hand\n{END}"),
        ] {
            with_rows(&page, std::slice::from_ref(&row)).expect_err(&page);
        }
        Row::read(r#"{"what":"a"}"#, "d").expect_err("no result");
    }
}
