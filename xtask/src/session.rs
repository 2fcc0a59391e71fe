//! The table in docs/session.md: where each kind of login ends up. Tests report its rows
//! (`tests::session`); a run compares its rows with the page, or writes them.

use std::fs;

use anyhow::{Context, Result, bail, ensure};

use crate::table::{self, Row, Table};
use crate::workspace::Workspace;

const PAGE: &str = "docs/session.md";
const TABLE: Table = Table {
    name: "session",
    columns: &[
        ("place", "where"),
        ("pam_systemd", "pam_systemd"),
        ("module", "module"),
        ("lines", "lines"),
        ("method", "method"),
        ("suite", "Slurm"),
        ("shell", "the shell is"),
        ("set", "set in it"),
        ("outlives", "outlives the job"),
    ],
    keys: 6,
};
/// Columns with all suites and all methods that a row holds for, separated by a comma and a blank.
const LISTS: [usize; 2] = [5, 4];
/// Text before a row in a test's output.
const MARK: &str = "session-row ";

/// Extracts the row from a line of a test's output, where other text may precede it.
pub fn told(line: &str) -> Option<&str> {
    let (_, row) = line.split_once(MARK)?;
    row.starts_with('{').then(|| row.trim_end())
}

/// Compares the rows of a run with the page, or writes them to it. Rows that the run did not make stay.
pub fn compare(workspace: &Workspace, told: &[String], write: bool) -> Result<String> {
    let made: Result<Vec<Row>> = told.iter().map(|it| TABLE.read(it, &[])).collect();
    let made = made?;
    ensure!(!made.is_empty(), "the run made no row");
    let path = workspace.path(PAGE);
    let page = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    let count = made.len();
    if write {
        let page = with_rows(&page, &made).with_context(|| PAGE.to_owned())?;
        fs::write(&path, page).with_context(|| format!("write {}", path.display()))?;
        return Ok(format!("{count} rows written"));
    }
    let differences = differences(&page, &made).with_context(|| PAGE.to_owned())?;
    if !differences.is_empty() {
        bail!("not as in {PAGE} (`cargo xtask test --write` puts it there):\n{differences}");
    }
    Ok(format!("{count} rows as they stand there"))
}

fn with_rows(page: &str, made: &[Row]) -> Result<String> {
    let mut rows = unfold(TABLE.rows(page)?);
    TABLE.update(&mut rows, made);
    rows.sort();
    TABLE.with(page, &fold(rows))
}

fn differences(page: &str, made: &[Row]) -> Result<String> {
    let there = unfold(TABLE.rows(page)?);
    let mut text = String::new();
    for row in made {
        let old = there.iter().find(|it| TABLE.is_like(it, row));
        if old != Some(row) {
            let old = old.map_or("(no such row)\n".into(), |it| {
                table::lines(std::slice::from_ref(it))
            });
            let new = table::lines(std::slice::from_ref(row));
            text += &format!("  there: {old}  now:   {new}");
        }
    }
    Ok(text)
}

/// Splits each row into one row per method and suite.
fn unfold(rows: Vec<Row>) -> Vec<Row> {
    LISTS.into_iter().fold(rows, split)
}

fn split(rows: Vec<Row>, column: usize) -> Vec<Row> {
    let of_one = |row: Row| {
        let parts: Vec<String> = row[column].split(", ").map(str::to_owned).collect();
        parts.into_iter().map(move |part| {
            let mut row = row.clone();
            row[column] = part;
            row
        })
    };
    rows.into_iter().flat_map(of_one).collect()
}

/// Merges rows that differ only in the suite, then those that differ only in the method.
fn fold(rows: Vec<Row>) -> Vec<Row> {
    LISTS.into_iter().fold(rows, merge)
}

fn merge(rows: Vec<Row>, column: usize) -> Vec<Row> {
    let mut merged: Vec<Row> = Vec::new();
    for row in rows {
        let same =
            |it: &&mut Row| it[..column] == row[..column] && it[column + 1..] == row[column + 1..];
        match merged.iter_mut().find(same) {
            Some(it) => {
                it[column] += ", ";
                it[column] += &row[column];
            }
            None => merged.push(row),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(suite: &str, shell: &str) -> Row {
        [
            "here", "no", "ours", "account", "password", suite, shell, "A", "nothing",
        ]
        .map(str::to_owned)
        .into()
    }

    fn page(rows: &[Row]) -> String {
        let page = include_str!("../../docs/session.md");
        TABLE.with(page, rows).expect("a table")
    }

    #[test]
    fn rows_are_heard_among_other_words() {
        assert_eq!(
            told("test x ... session-row {\"a\":1}\r"),
            Some("{\"a\":1}")
        );
        assert_eq!(told("no session-row here"), None);
        assert_eq!(told("ok"), None);
    }

    #[test]
    fn suites_alike_share_a_row() {
        let made = [row("24.11", "in"), row("20.11", "in"), row("22.05", "out")];
        let new = with_rows(&page(&[row("26.05", "in")]), &made).expect("a table");
        let rows = TABLE.rows(&new).expect("a table");
        assert_eq!(
            rows,
            [row("20.11, 24.11, 26.05", "in"), row("22.05", "out")]
        );
        assert_eq!(differences(&new, &made).expect("a table"), "");
    }

    #[test]
    fn methods_alike_share_a_row() {
        let of = |method: &str, suite, shell| {
            let mut row = row(suite, shell);
            row[4] = method.to_owned();
            row
        };
        let both = "publickey,keyboard-interactive";
        let made = [
            of("password", "20.11", "in"),
            of("password", "22.05", "in"),
            of(both, "20.11", "in"),
            of(both, "22.05", "in"),
            of("publickey", "20.11", "in"),
            of("publickey", "22.05", "out"),
        ];
        let new = with_rows(&page(&[row("20.11", "out")]), &made).expect("a table");
        let rows = TABLE.rows(&new).expect("a table");
        let expected = [
            of(&format!("password, {both}"), "20.11, 22.05", "in"),
            of("publickey", "20.11", "in"),
            of("publickey", "22.05", "out"),
        ];
        assert_eq!(rows, expected);
        assert_eq!(differences(&new, &made).expect("a table"), "");
    }

    #[test]
    fn what_differs_is_shown_and_what_is_missing() {
        let page = page(&[row("20.11, 22.05", "in")]);
        let made = [row("20.11", "in"), row("22.05", "out"), row("24.11", "in")];
        let text = differences(&page, &made).expect("a table");
        assert_eq!(
            text,
            "  there: | here | no | ours | account | password | 22.05 | in | A | nothing |\n  \
             now:   | here | no | ours | account | password | 22.05 | out | A | nothing |\n  \
             there: (no such row)\n  \
             now:   | here | no | ours | account | password | 24.11 | in | A | nothing |\n"
        );
    }
}
