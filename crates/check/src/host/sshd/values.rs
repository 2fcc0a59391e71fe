//! Values of sshd_config that matter here, checked as sshd checks them.

/// A value that sshd refuses.
#[derive(Debug, PartialEq, Eq)]
pub struct Wrong<'a> {
    /// The word.
    pub word: &'a str,
    /// What is wrong with it.
    pub why: &'static str,
}

/// Keywords whose value is yes or no.
const FLAGS: [&str; 11] = [
    "usepam",
    "kbdinteractiveauthentication",
    "challengeresponseauthentication",
    "passwordauthentication",
    "pubkeyauthentication",
    "hostbasedauthentication",
    "permitemptypasswords",
    "strictmodes",
    "permittty",
    "usedns",
    "x11forwarding",
];

const ROOT_LOGIN: [&str; 5] = [
    "yes",
    "no",
    "prohibit-password",
    "without-password",
    "forced-commands-only",
];

const METHODS: [&str; 7] = [
    "publickey",
    "password",
    "keyboard-interactive",
    "hostbased",
    "gssapi-with-mic",
    "gssapi-keyex",
    "none",
];

/// Checks the arguments of a keyword in lower case; those of others pass.
pub fn check<'a>(keyword: &str, arguments: &'a [String]) -> Result<(), Wrong<'a>> {
    let Some(word) = arguments.first().map(String::as_str) else {
        return Ok(());
    };
    let is_one_of = |words: &[&str]| words.iter().any(|it| it.eq_ignore_ascii_case(word));
    if keyword == "authenticationmethods" {
        return methods(arguments);
    }
    let is_good = match keyword {
        _ if FLAGS.contains(&keyword) => is_one_of(&["yes", "no"]),
        "permitrootlogin" => is_one_of(&ROOT_LOGIN),
        "logingracetime" => seconds(word).is_some(),
        "maxstartups" => startups(word).is_some(),
        _ => return Ok(()),
    };
    if !is_good {
        let why = "sshd does not take this value";
        return Err(Wrong { word, why });
    }
    match arguments.get(1) {
        None => Ok(()),
        Some(word) => Err(Wrong {
            word,
            why: "something follows the value",
        }),
    }
}

/// Lists of methods, or `any` alone (`auth2_methods_valid`).
fn methods(lists: &[String]) -> Result<(), Wrong<'_>> {
    for word in lists {
        let mut names = word.split(',').map(|it| it.split(':').next().unwrap_or(it));
        let is_any = word == "any" && lists.len() == 1;
        if !is_any && !names.all(|it| METHODS.contains(&it)) {
            let why = "this is no list of methods";
            return Err(Wrong { word, why });
        }
    }
    Ok(())
}

/// A time such as `90` or `1h30m`, in seconds (`convtime`).
pub fn seconds(text: &str) -> Option<u64> {
    let (mut total, mut rest) = (0_u64, text);
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, after) = rest.split_at(digits);
        let unit = after.chars().next();
        let factor = match unit.map(|it| it.to_ascii_lowercase()) {
            None | Some('s') => 1,
            Some('m') => 60,
            Some('h') => 3600,
            Some('d') => 86_400,
            Some('w') => 604_800,
            Some(_) => return None,
        };
        total = total.checked_add(number.parse::<u64>().ok()?.checked_mul(factor)?)?;
        rest = after.get(1..).unwrap_or_default();
    }
    let is_number = !text.is_empty() && i32::try_from(total).is_ok();
    is_number.then_some(total)
}

/// `begin` of a MaxStartups value, `begin` or `begin:rate:full`.
pub fn startups(text: &str) -> Option<u32> {
    let parts: Option<Vec<u32>> = text.split(':').map(|it| it.parse().ok()).collect();
    match parts?.as_slice() {
        [begin] => Some(*begin),
        [begin, rate, full] if begin <= full && (1..=100).contains(rate) => Some(*begin),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        for (text, expected) in [
            ("120", Some(120)),
            ("2m", Some(120)),
            ("1H30m5", Some(5405)),
            ("0", Some(0)),
            ("", None),
            ("m", None),
            ("10x", None),
            ("-1", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(seconds(text), expected, "{text}");
        }
    }

    #[test]
    fn startups_have_one_or_three_numbers() {
        for (text, expected) in [
            ("10:30:100", Some(10)),
            ("4", Some(4)),
            ("10:30", None),
            ("10:0:100", None),
            ("100:30:10", None),
            ("0", Some(0)),
            ("x", None),
        ] {
            assert_eq!(startups(text), expected, "{text}");
        }
    }
}
