//! The control of a line: the action of libpam for each return value of the module.

use std::fmt;

use crate::codes::Code;

/// An action of libpam for a return value (pam_dispatch.c).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Continues as if the module were absent.
    Ignore,
    /// Takes the value as the stack's, unless the stack already has a failure or a value other than success.
    Ok,
    /// The same, and ends the stack or the substack unless it has failed.
    Done,
    /// Fails the stack, with the first such value.
    Bad,
    /// The same, and ends the stack or the substack.
    Die,
    /// Forgets the result so far of this stack or substack.
    Reset,
    /// Skips this many of the next entries of the stack or substack; never 0. A substack counts as one.
    /// If there are fewer entries, the stack fails.
    Jump(u32),
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Jump(count) => write!(f, "{count}"),
            named => {
                let name = ACTIONS.iter().find(|(_, action)| action == named);
                f.write_str(name.map(|(name, _)| *name).unwrap_or_default())
            }
        }
    }
}

const ACTIONS: [(&str, Action); 6] = [
    ("ignore", Action::Ignore),
    ("ok", Action::Ok),
    ("done", Action::Done),
    ("bad", Action::Bad),
    ("die", Action::Die),
    ("reset", Action::Reset),
];

/// The action for each return value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Control([Action; Code::COUNT]);

impl Control {
    /// Fails the stack on every value: the control of a line whose control libpam cannot parse.
    pub const FAILURE: Self = Self([Action::Bad; Code::COUNT]);

    /// Parses a control's word, without brackets: `required`, `requisite`, `sufficient`, `optional` in any
    /// case, or pairs. libpam ignores whether a word was in brackets (`_pam_parse_conf_file`).
    ///
    /// # Errors
    /// The word cannot be parsed: libpam then uses [`Control::FAILURE`].
    pub fn parse(word: &[u8]) -> Result<Self, ControlError> {
        let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
        let [success, ignore, other] = if is("required") {
            [Action::Ok, Action::Ignore, Action::Bad]
        } else if is("requisite") {
            [Action::Ok, Action::Ignore, Action::Die]
        } else if is("optional") {
            [Action::Ok, Action::Ignore, Action::Ignore]
        } else if is("sufficient") {
            [Action::Done, Action::Ignore, Action::Ignore]
        } else {
            return Self::pairs(word);
        };
        let mut control = Self([other; Code::COUNT]);
        control.set(Code::SUCCESS, success);
        control.set(Code::NEW_AUTHTOK_REQD, success);
        control.set(Code::IGNORE, ignore);
        Ok(control)
    }

    /// The action for this value.
    #[must_use]
    pub fn action(&self, code: Code) -> Action {
        self.0.get(code.index()).copied().unwrap_or(Action::Bad)
    }

    fn set(&mut self, code: Code, action: Action) {
        if let Some(place) = self.0.get_mut(code.index()) {
            *place = action;
        }
    }

    /// Parses pairs of a return value's name and an action (`_pam_parse_control`). Blanks between and around them
    /// are optional: libpam takes the first name with which the text begins. Later pairs replace earlier ones.
    /// `default` sets the values that no pair before it names; values without any action get `bad`.
    fn pairs(text: &[u8]) -> Result<Self, ControlError> {
        let mut found = [None; Code::COUNT];
        let mut rest = skip_blanks(text);
        while !rest.is_empty() {
            let error = |expected, rest: &[u8]| ControlError {
                expected,
                rest: rest.to_vec(),
            };
            let (code, after) = value(rest).ok_or_else(|| error("a return value", rest))?;
            let after = skip_blanks(after);
            let equals = after.strip_prefix(b"=");
            let after = skip_blanks(equals.ok_or_else(|| error("\"=\"", after))?);
            let (action, after) = action(after).ok_or_else(|| error("an action", after))?;
            match code {
                Some(code) => {
                    if let Some(place) = found.get_mut(code.index()) {
                        *place = Some(action);
                    }
                }
                None => found.iter_mut().for_each(|it| *it = it.or(Some(action))),
            }
            rest = skip_blanks(after);
        }
        Ok(Self(found.map(|it| it.unwrap_or(Action::Bad))))
    }
}

/// A control that libpam cannot parse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlError {
    /// The element that libpam expects.
    pub expected: &'static str,
    /// The text in its place.
    pub rest: Vec<u8>,
}

impl fmt::Display for ControlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { expected, rest } = self;
        match rest.is_empty() {
            true => write!(f, "expected {expected} at its end"),
            false => write!(f, "expected {expected} at \"{}\"", rest.escape_ascii()),
        }
    }
}

impl std::error::Error for ControlError {}

/// Skips the blanks of isspace(3).
fn skip_blanks(text: &[u8]) -> &[u8] {
    let is_blank = |it: &u8| matches!(it, b' ' | b'\t' | b'\n' | 0xb | 0xc | b'\r');
    let start = text.iter().position(|it| !is_blank(it));
    start.and_then(|it| text.get(it..)).unwrap_or_default()
}

/// The return value with whose name the text begins; None for `default`.
fn value(text: &[u8]) -> Option<(Option<Code>, &[u8])> {
    let mut named =
        Code::all().filter_map(|it| Some((it, text.strip_prefix(it.name().as_bytes())?)));
    match named.next() {
        Some((code, after)) => Some((Some(code), after)),
        None => Some((None, text.strip_prefix(b"default")?)),
    }
}

/// The action with which the text begins. A jump must fit into an int.
fn action(text: &[u8]) -> Option<(Action, &[u8])> {
    let mut named = ACTIONS
        .iter()
        .filter_map(|(name, it)| Some((*it, text.strip_prefix(name.as_bytes())?)));
    if let Some(found) = named.next() {
        return Some(found);
    }
    let end = text.iter().position(|it| !it.is_ascii_digit());
    let (digits, after) = text.split_at(end.unwrap_or(text.len()));
    if digits.is_empty() {
        return None;
    }
    let mut number: u32 = 0;
    for digit in digits {
        number = number
            .checked_mul(10)?
            .checked_add(u32::from(digit - b'0'))?;
    }
    let is_a_jump = number > 0 && i32::try_from(number).is_ok();
    is_a_jump.then_some((Action::Jump(number), after))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn actions(word: &str) -> [Action; 4] {
        let control = Control::parse(word.as_bytes()).expect("a control");
        [
            Code::SUCCESS,
            Code::NEW_AUTHTOK_REQD,
            Code::IGNORE,
            Code::AUTH_ERR,
        ]
        .map(|it| control.action(it))
    }

    #[test]
    fn words_stand_for_four_actions() {
        use Action::{Bad, Die, Done, Ignore, Ok};
        assert_eq!(actions("required"), [Ok, Ok, Ignore, Bad]);
        assert_eq!(actions("Requisite"), [Ok, Ok, Ignore, Die]);
        assert_eq!(actions("SUFFICIENT"), [Done, Done, Ignore, Ignore]);
        assert_eq!(actions("optional"), [Ok, Ok, Ignore, Ignore]);
    }

    #[test]
    fn pairs_name_a_value_and_an_action() {
        use Action::{Bad, Die, Done, Ignore, Jump, Ok, Reset};
        for (word, expected) in [
            ("", [Bad, Bad, Bad, Bad]),
            ("success=ok", [Ok, Bad, Bad, Bad]),
            ("default=die success=done", [Done, Die, Die, Die]),
            ("success=done default=die", [Done, Die, Die, Die]),
            ("success=ok success=3", [Jump(3), Bad, Bad, Bad]),
            ("default=1 default=2", [Jump(1); 4]),
            (
                " \tsuccess = 1default\n=\rreset ",
                [Jump(1), Reset, Reset, Reset],
            ),
            (
                "success=2147483647",
                [Jump(i32::MAX.unsigned_abs()), Bad, Bad, Bad],
            ),
            ("success=01 ignore=ignore", [Jump(1), Bad, Ignore, Bad]),
            ("success=okignore=ignore", [Ok, Bad, Ignore, Bad]),
        ] {
            assert_eq!(actions(word), expected, "{word}");
        }
    }

    #[test]
    fn an_unreadable_control_says_what_is_expected() {
        for (word, text) in [
            ("reqired", "expected a return value at \"reqired\""),
            ("SUCCESS=ok", "expected a return value at \"SUCCESS=ok\""),
            ("success=okay", "expected a return value at \"ay\""),
            ("success", "expected \"=\" at its end"),
            ("success:ok", "expected \"=\" at \":ok\""),
            ("success=", "expected an action at its end"),
            ("success=0", "expected an action at \"0\""),
            ("success=-1", "expected an action at \"-1\""),
            ("success=2147483648", "expected an action at \"2147483648\""),
            (
                "success=99999999999",
                "expected an action at \"99999999999\"",
            ),
            ("success=OK", "expected an action at \"OK\""),
        ] {
            let error = Control::parse(word.as_bytes()).expect_err("libpam can't read it");
            assert_eq!(error.to_string(), text, "{word}");
        }
    }
}
