//! Asks before something is changed.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use crate::setup::Error;

/// Whether changes are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Consent {
    /// They are only to be shown.
    None,
    /// They are wanted, without a question.
    Given,
    /// Somebody at a terminal is to be asked.
    Ask,
}

/// What the command line and the terminal say.
///
/// # Errors
/// Nothing may be changed: the reason.
pub(crate) fn consent(is_dry_run: bool, has_yes: bool) -> Result<Consent, Error> {
    if sys::effective_uid() != 0 {
        return Err(Error::NotRoot);
    }
    if is_dry_run {
        return Ok(Consent::None);
    }
    match (has_yes, io::stdin().is_terminal()) {
        (true, _) => Ok(Consent::Given),
        (false, true) => Ok(Consent::Ask),
        (false, false) => Err(Error::NoTerminal),
    }
}

impl Consent {
    /// Asks; whether the answer is yes.
    pub fn to(self, question: &str) -> bool {
        match self {
            Self::None => false,
            Self::Given => true,
            Self::Ask => is_yes(question),
        }
    }
}

fn is_yes(question: &str) -> bool {
    print!("{question} [y/N] ");
    let mut answer = String::new();
    // Without a question or an answer, nothing is done.
    let asked = io::stdout().flush();
    let read = asked.and_then(|()| io::stdin().lock().read_line(&mut answer));
    let answer = answer.trim().to_ascii_lowercase();
    read.is_ok() && matches!(answer.as_str(), "y" | "yes")
}
