//! What libpam does with a module's answer: the second word of a line, pam.conf(5).

/// A code that a module answers, by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Code(usize);

impl Code {
    pub const SUCCESS: Self = Self(0);
    pub const PERM_DENIED: Self = Self(6);
    pub const SESSION_ERR: Self = Self(14);
    pub const MODULE_UNKNOWN: Self = Self(28);
    const NEW_AUTHTOK_REQD: Self = Self(12);
    const IGNORE: Self = Self(25);
    /// Ends the call wherever it is, for the application to call again.
    const INCOMPLETE: Self = Self(31);

    /// All after which libpam goes on.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..NAMES.len())
            .map(Self)
            .filter(|it| *it != Self::INCOMPLETE)
    }
}

/// Names of codes as they stand in brackets, by their number.
const NAMES: [&str; 32] = [
    "success",
    "open_err",
    "symbol_err",
    "service_err",
    "system_err",
    "buf_err",
    "perm_denied",
    "auth_err",
    "cred_insufficient",
    "authinfo_unavail",
    "user_unknown",
    "maxtries",
    "new_authtok_reqd",
    "acct_expired",
    "session_err",
    "cred_unavail",
    "cred_expired",
    "cred_err",
    "no_module_data",
    "conv_err",
    "authtok_err",
    "authtok_recover_err",
    "authtok_lock_busy",
    "authtok_disable_aging",
    "try_again",
    "ignore",
    "abort",
    "authtok_expired",
    "module_unknown",
    "bad_item",
    "conv_again",
    "incomplete",
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Ignore,
    Ok,
    Done,
    Bad,
    Die,
    Reset,
    /// Over that many of the next entries.
    Jump(u32),
}

/// The action for each code.
#[derive(Debug, Clone)]
pub(super) struct Control([Action; NAMES.len()]);

impl Control {
    /// That of the whole word, without its brackets. A word that libpam can't read makes every answer a
    /// failure.
    pub fn parse(word: &str) -> Self {
        let [success, other] = match word.to_ascii_lowercase().as_str() {
            "required" => [Action::Ok, Action::Bad],
            "requisite" => [Action::Ok, Action::Die],
            "optional" => [Action::Ok, Action::Ignore],
            "sufficient" => [Action::Done, Action::Ignore],
            _ => return Self::in_brackets(word).unwrap_or(Self::all(Action::Bad)),
        };
        let mut control = Self::all(other);
        control.set(Code::SUCCESS, success);
        control.set(Code::NEW_AUTHTOK_REQD, success);
        control.set(Code::IGNORE, Action::Ignore);
        control
    }

    pub fn all(action: Action) -> Self {
        Self([action; NAMES.len()])
    }

    pub fn action(&self, code: Code) -> Action {
        self.0.get(code.0).copied().unwrap_or(Action::Bad)
    }

    fn set(&mut self, code: Code, action: Action) {
        if let Some(place) = self.0.get_mut(code.0) {
            *place = action;
        }
    }

    /// Pairs of a code's name and an action. Blanks may stand between and around, and need not: libpam
    /// looks for the first name that the text begins with.
    fn in_brackets(text: &str) -> Option<Self> {
        let mut found = [None; NAMES.len()];
        let mut rest = trim(text);
        while !rest.is_empty() {
            let (code, after) = code(rest)?;
            let after = trim(trim(after).strip_prefix('=')?);
            let (action, after) = action(after)?;
            match code {
                Some(code) => *found.get_mut(code.0)? = Some(action),
                None => found.iter_mut().for_each(|it| *it = it.or(Some(action))),
            }
            rest = trim(after);
        }
        Some(Self(found.map(|it| it.unwrap_or(Action::Bad))))
    }
}

/// As isspace(3) has it.
fn trim(text: &str) -> &str {
    text.trim_start_matches([' ', '\t', '\n', '\u{b}', '\u{c}', '\r'])
}

/// The code that the text begins with, none for `default`.
fn code(text: &str) -> Option<(Option<Code>, &str)> {
    let names = NAMES.iter().enumerate();
    let mut named = names.filter_map(|(code, name)| Some((Code(code), text.strip_prefix(name)?)));
    match named.next() {
        Some((code, after)) => Some((Some(code), after)),
        None => Some((None, text.strip_prefix("default")?)),
    }
}

fn action(text: &str) -> Option<(Action, &str)> {
    for (name, action) in [
        ("ignore", Action::Ignore),
        ("ok", Action::Ok),
        ("done", Action::Done),
        ("bad", Action::Bad),
        ("die", Action::Die),
        ("reset", Action::Reset),
    ] {
        if let Some(after) = text.strip_prefix(name) {
            return Some((action, after));
        }
    }
    let end = text
        .find(|it: char| !it.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, after) = text.split_at(end);
    match number.parse::<u32>().ok()? {
        0 => None,
        number if i32::try_from(number).is_err() => None,
        number => Some((Action::Jump(number), after)),
    }
}
