//! The date of the sources. It stands in the packages instead of the time of packing, so that the same sources
//! give the same bytes.

use std::env;
use std::fs;
use std::process::Command;

use anyhow::{Context, Result};
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::package::VERSION;
use crate::run;
use crate::workspace::Workspace;

/// Finds the date: `SOURCE_DATE_EPOCH`, the day of this version's release in CHANGELOG.md, or the last commit.
/// A tarball of a release's sources needs no git.
///
/// # Errors
/// None of the three is there.
pub fn of(workspace: &Workspace) -> Result<i64> {
    if let Ok(set) = env::var("SOURCE_DATE_EPOCH") {
        return set
            .parse()
            .with_context(|| format!("SOURCE_DATE_EPOCH: \"{set}\" is no number"));
    }
    let path = workspace.path("CHANGELOG.md");
    let changes = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    if let Some(date) = released(&changes) {
        return Ok(date
            .to_zoned_datetime(TimeZone::UTC)?
            .timestamp()
            .as_second());
    }
    let mut git = Command::new("git");
    // sudo and containers build in other users' directories, which git refuses.
    git.args(["-c", "safe.directory=*", "log", "-1", "--format=%ct"]);
    let told = run::output(git.current_dir(workspace.root())).context(
        "CHANGELOG.md has no date for this version, and git none of a commit: set SOURCE_DATE_EPOCH",
    )?;
    told.trim()
        .parse()
        .with_context(|| format!("git log: \"{}\" is no number", told.trim()))
}

/// Finds the day in a heading like "## 1.2.3 (2026-11-30)".
fn released(changes: &str) -> Option<Date> {
    let heading = format!("## {VERSION} (");
    let rest = changes.lines().find_map(|it| it.strip_prefix(&heading))?;
    rest.strip_suffix(')')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_has_its_day_in_the_changelog() {
        let dated = format!("# Changes\n\n## {VERSION} (2026-12-24)\n\n* x\n");
        assert_eq!(released(&dated), Some(jiff::civil::date(2026, 12, 24)));
        let open = format!("# Changes\n\n## {VERSION} (not released)\n\n## 0.0.1 (2020-01-01)\n");
        assert_eq!(released(&open), None);
    }
}
