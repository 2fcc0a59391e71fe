//! Tables in the documentation that test runs write, between two marker lines. The first cells of a row
//! identify it.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// A table that test runs write.
#[derive(Debug)]
pub struct Table {
    /// Its markers are `<!-- NAME:begin -->` and `<!-- NAME:end -->`.
    pub name: &'static str,
    /// Name in JSON and title of each column.
    pub columns: &'static [(&'static str, &'static str)],
    /// Number of leading cells that identify a row.
    pub keys: usize,
}

/// The cells of one row.
pub type Row = Vec<String>;

impl Table {
    /// Reads a row from a JSON object; `known` has the last cells, which are not in the object.
    pub fn read(&self, line: &str, known: &[&str]) -> Result<Row> {
        let object: Value = serde_json::from_str(line).with_context(|| format!("read '{line}'"))?;
        let told = self.columns.len() - known.len();
        let mut row = Row::new();
        for (name, _) in &self.columns[..told] {
            let text = object[name]
                .as_str()
                .with_context(|| format!("'{line}' has no {name}"))?;
            row.push(text.replace('|', "/").replace('\n', " "));
        }
        row.extend(known.iter().map(|cell| (*cell).to_owned()));
        Ok(row)
    }

    /// Parses the rows in a page.
    pub fn rows(&self, page: &str) -> Result<Vec<Row>> {
        let [_, table, _] = self.split(page)?;
        let rows = table
            .strip_prefix(&self.head())
            .context("another head of the table")?;
        rows.lines()
            .map(|line| {
                let cells = line
                    .strip_prefix("| ")
                    .and_then(|it| it.strip_suffix(" |"))
                    .map(|it| it.split(" | ").map(str::to_owned).collect::<Row>());
                cells
                    .filter(|it| it.len() == self.columns.len())
                    .with_context(|| format!("not a row: {line}"))
            })
            .collect()
    }

    /// Returns the page with these rows instead of its own.
    pub fn with(&self, page: &str, rows: &[Row]) -> Result<String> {
        ensure!(!rows.is_empty(), "no row");
        let [before, _, after] = self.split(page)?;
        let (head, rows) = (self.head(), lines(rows));
        Ok(format!("{before}{head}{rows}{after}"))
    }

    /// Replaces the rows with the same keys, and appends those without one.
    pub fn update(&self, rows: &mut Vec<Row>, new: &[Row]) {
        for row in new {
            match rows.iter_mut().find(|it| self.is_like(it, row)) {
                Some(old) => old.clone_from(row),
                None => rows.push(row.clone()),
            }
        }
    }

    /// Whether both rows have the same keys.
    pub fn is_like(&self, one: &Row, other: &Row) -> bool {
        one[..self.keys] == other[..self.keys]
    }

    fn split<'a>(&self, page: &'a str) -> Result<[&'a str; 3]> {
        let (begin, end) = (
            format!("<!-- {}:begin -->\n", self.name),
            format!("<!-- {}:end -->", self.name),
        );
        let start = page
            .find(&begin)
            .with_context(|| format!("no line {begin}"))?
            + begin.len();
        let (before, rest) = page.split_at(start);
        let stop = rest.find(&end).with_context(|| format!("no line {end}"))?;
        let (table, after) = rest.split_at(stop);
        Ok([before, table, after])
    }

    fn head(&self) -> String {
        let titles: Vec<&str> = self.columns.iter().map(|(_, title)| *title).collect();
        let line = "|---".repeat(titles.len());
        format!("| {} |\n{line}|\n", titles.join(" | "))
    }
}

/// Formats rows as in a page, each with its line end.
pub fn lines(rows: &[Row]) -> String {
    rows.iter()
        .map(|row| format!("| {} |\n", row.join(" | ")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: Table = Table {
        name: "t",
        columns: &[("who", "who"), ("with", "with what"), ("result", "result")],
        keys: 2,
    };
    const EMPTY: &str = "a\n<!-- t:begin -->\n| who | with what | result |\n|---|---|---|\n\
                         <!-- t:end -->\nb\n";

    fn row(cells: [&str; 3]) -> Row {
        cells.map(str::to_owned).into()
    }

    #[test]
    fn rows_take_the_place_of_their_like() {
        let (one, other) = (row(["x", "y", "1"]), row(["x", "z", "2"]));
        let mut rows = TABLE.rows(EMPTY).expect("a table");
        TABLE.update(&mut rows, &[one, other]);
        let first = TABLE.with(EMPTY, &rows).expect("a table");
        assert_eq!(
            first,
            EMPTY.replace("<!-- t:end", "| x | y | 1 |\n| x | z | 2 |\n<!-- t:end")
        );
        let mut rows = TABLE.rows(&first).expect("a table");
        TABLE.update(&mut rows, &[row(["x", "y", "3"])]);
        let second = TABLE.with(&first, &rows).expect("a table");
        assert_eq!(second, first.replace("| 1 |", "| 3 |"));
    }

    #[test]
    fn what_is_no_table_is_not_overwritten() {
        let row = [row(["x", "y", "1"])];
        for page in ["nothing", "<!-- t:begin -->\n", "<!-- t:end -->"] {
            TABLE.with(page, &row).expect_err(page);
        }
        for page in [
            "<!-- t:begin -->\n<!-- t:end -->".to_owned(),
            EMPTY.replace("<!-- t:end", "by hand\n<!-- t:end"),
            EMPTY.replace("<!-- t:end", "| x | y |\n<!-- t:end"),
        ] {
            TABLE.rows(&page).expect_err(&page);
        }
        TABLE.with(EMPTY, &[]).expect_err("no row");
    }

    #[test]
    fn a_row_is_read_with_all_its_cells() {
        let read = TABLE.read(r#"{"who":"a|b","with":"c\nd"}"#, &["known"]);
        assert_eq!(read.expect("a row"), ["a/b", "c d", "known"]);
        TABLE
            .read(r#"{"who":"a"}"#, &["known"])
            .expect_err("a cell is missing");
        TABLE.read("{", &[]).expect_err("no JSON");
    }
}
