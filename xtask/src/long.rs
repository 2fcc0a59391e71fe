//! Results of the long runs: turns the JSON lines that the tests wrote into the table in docs/reliability.md.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::bench;
use crate::run;
use crate::table::{Row, Table};
use crate::workspace::Workspace;

const PAGE: &str = "docs/reliability.md";
const TABLE: Table = Table {
    name: "long",
    columns: &[
        ("what", "what"),
        ("with", "with"),
        ("result", "result"),
        ("made", "when, commit"),
    ],
    keys: 2,
};

/// Returns the path for a long run's results, and removes those of the last run.
///
/// # Errors
/// Those of unlink(2), if results of another run stay there.
pub fn begin(workspace: &Workspace) -> Result<PathBuf> {
    let path = workspace.target("long.jsonl");
    match fs::remove_file(&path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("remove {}", path.display()))
        }
        _ => Ok(path),
    }
}

/// Writes the results to the table: each row replaces the one before it; other rows stay.
pub fn publish(workspace: &Workspace, results: &Path) -> Result<String> {
    let lines = match fs::read_to_string(results) {
        Ok(lines) => lines,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok("none".into()),
        Err(error) => return Err(error).with_context(|| format!("read {}", results.display())),
    };
    let date = run::output(Command::new("date").args(["--utc", "+%Y-%m-%d"]))?;
    let made = format!("{}, {}", date.trim(), bench::commit(workspace)?);
    let new: Result<Vec<Row>> = lines.lines().map(|it| TABLE.read(it, &[&made])).collect();
    let new = new?;
    let page = workspace.path(PAGE);
    let old = fs::read_to_string(&page).with_context(|| format!("read {}", page.display()))?;
    let text = with_rows(&old, &new).with_context(|| PAGE.to_owned())?;
    fs::write(&page, text).with_context(|| format!("write {}", page.display()))?;
    Ok(format!("{} rows of {PAGE}", new.len()))
}

fn with_rows(page: &str, new: &[Row]) -> Result<String> {
    let mut rows = TABLE.rows(page)?;
    TABLE.update(&mut rows, new);
    TABLE.with(page, &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_takes_rows() {
        let page = include_str!("../../docs/reliability.md");
        let row = TABLE.read(r#"{"what":"a","with":"b","result":"c"}"#, &["d"]);
        let new = with_rows(page, &[row.expect("a row")]).expect("a table");
        assert!(
            new.contains("\n| a | b | c | d |\n<!-- long:end -->"),
            "{new}"
        );
    }
}
