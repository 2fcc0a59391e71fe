//! The settings that options get their values from, for `slurm-adopt explain` and `check`.

use crate::options::file::{self, Setting};
use crate::options::{STRICT, TABLE, taken_value};

/// The place of the setting that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SetBy {
    /// An argument of the PAM line, by its index.
    Argument(usize),
    /// A line of the options file, from 1.
    Line(usize),
    /// `strict` closes what is open by default.
    Strict,
    /// No setting.
    Default,
}

/// All settings that apply to a login.
#[derive(Debug)]
pub struct Settings<'a> {
    of_file: Vec<Setting>,
    arguments: &'a [Vec<u8>],
}

impl<'a> Settings<'a> {
    /// The settings in the text of the options file and the arguments of a PAM line.
    #[must_use]
    pub fn new(text: &str, arguments: &'a [Vec<u8>]) -> Self {
        Self {
            of_file: file::settings(text).collect(),
            arguments,
        }
    }

    /// The value of an option as written, and the place of the setting that counts: the last one that the option
    /// accepts.
    #[must_use]
    pub fn origin(&self, option: &str) -> (String, SetBy) {
        let arguments = self.arguments.iter().enumerate().rev();
        let mut given = arguments.filter_map(|(index, it)| {
            let value = taken_value(option, it)?;
            Some((value, SetBy::Argument(index)))
        });
        let lines = self.of_file.iter().rev();
        let mut in_file = lines.filter_map(|it| {
            let value = taken_value(option, it.argument.as_bytes())?;
            Some((value, SetBy::Line(it.line)))
        });
        let found = given.next().or_else(|| in_file.next());
        found.unwrap_or_else(|| self.default_of(option))
    }

    fn default_of(&self, option: &str) -> (String, SetBy) {
        let is_closed = ["action_adopt_failure", "action_generic_failure"].contains(&option);
        if is_closed && self.is_strict() {
            return ("deny".to_owned(), SetBy::Strict);
        }
        let spec = TABLE.iter().find(|it| it.name == option);
        (
            spec.map_or(String::new(), |it| it.default.to_owned()),
            SetBy::Default,
        )
    }

    fn is_strict(&self) -> bool {
        let (value, by) = self.origin(STRICT);
        by != SetBy::Default && value != "0"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_setting_that_counts() {
        let text = "# a comment\naction_no_jobs = ignore\naction_unknown = nonsense\nstrict\n";
        let arguments = ["action_no_jobs=deny", "mode=bogus", "action_unknown=allow"];
        let arguments: Vec<_> = arguments.iter().map(|it| it.as_bytes().to_vec()).collect();
        let settings = Settings::new(text, &arguments);
        for (option, value, by) in [
            ("action_no_jobs", "deny", SetBy::Argument(0)),
            ("action_unknown", "allow", SetBy::Argument(2)),
            ("mode", "enforce", SetBy::Default),
            ("action_adopt_failure", "deny", SetBy::Strict),
            ("strict", "1", SetBy::Line(4)),
        ] {
            assert_eq!(settings.origin(option), (value.to_owned(), by), "{option}");
        }
        let of_file = Settings::new(text, &[]);
        assert_eq!(
            of_file.origin("action_no_jobs"),
            ("ignore".to_owned(), SetBy::Line(2))
        );
        assert_eq!(
            of_file.origin("action_unknown"),
            ("newest".to_owned(), SetBy::Default)
        );
    }
}
