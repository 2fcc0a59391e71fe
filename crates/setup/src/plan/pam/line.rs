//! The text of a line that calls the module.

use std::ops::Range;

use pamconf::Facility;

/// The module as new lines name it.
pub(super) const MODULE: &str = "pam_slurm_adopt.so";

/// The control of a line whose failure ends the stack.
pub(super) const REQUISITE: &str = "requisite";

/// A new line, in the columns of the distributions' files.
pub(super) fn new(
    facility: Facility,
    control: &str,
    module: &[u8],
    arguments: &[Vec<u8>],
) -> Vec<u8> {
    let mut line = format!("{:<10} {control:<12} ", facility.name()).into_bytes();
    line.extend_from_slice(module);
    for argument in arguments {
        line.push(b' ');
        line.extend(written(argument));
    }
    line
}

/// An argument as it is written: one with blanks stands in brackets, pam.conf(5).
fn written(argument: &[u8]) -> Vec<u8> {
    if !argument.iter().any(u8::is_ascii_whitespace) {
        return argument.to_vec();
    }
    let mut text = b"[".to_vec();
    for byte in argument {
        if *byte == b']' {
            text.push(b'\\');
        }
        text.push(*byte);
    }
    text.push(b']');
    text
}

/// Writes another control in the place of a line's own.
pub(super) fn with_control(text: &[u8], control: &str) -> Option<Vec<u8>> {
    let old = words(text).into_iter().nth(1)?;
    Some(spliced(text, old, control.as_bytes()))
}

/// Has a line act for a service alone: by `service=` in the place of the one that it has, or behind its last word.
pub(super) fn acting_for(text: &[u8], service: &str) -> Vec<u8> {
    let words = words(text);
    let new = format!("service={service}");
    let is_it = |it: &&Range<usize>| {
        let word = text.get((*it).clone()).unwrap_or_default();
        word.strip_prefix(b"[")
            .unwrap_or(word)
            .starts_with(b"service=")
    };
    match words.iter().skip(3).rfind(is_it) {
        // The last one counts.
        Some(old) => spliced(text, old.clone(), new.as_bytes()),
        None => {
            let end = words.last().map_or(text.len(), |it| it.end);
            spliced(text, end..end, format!(" {new}").as_bytes())
        }
    }
}

fn spliced(text: &[u8], place: Range<usize>, new: &[u8]) -> Vec<u8> {
    let [before, after] = [text.get(..place.start), text.get(place.end..)];
    [before.unwrap_or_default(), new, after.unwrap_or_default()].concat()
}

/// The places of the words, brackets included, up to a comment. A line may be continued.
fn words(text: &[u8]) -> Vec<Range<usize>> {
    let mut words = Vec::new();
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        let is_continuation = *byte == b'\\' && text.get(at + 1).is_some_and(|it| *it == b'\n');
        if byte.is_ascii_whitespace() || is_continuation {
            at += 1;
            continue;
        }
        if *byte == b'#' {
            break;
        }
        let rest = text.get(at..).unwrap_or_default();
        let length = match byte {
            b'[' => bracket(rest),
            _ => rest
                .iter()
                .position(u8::is_ascii_whitespace)
                .unwrap_or(rest.len()),
        };
        words.push(at..at + length);
        at += length;
    }
    words
}

/// The length of a word in brackets.
fn bracket(text: &[u8]) -> usize {
    let is_end = |at: &usize| {
        text.get(*at) == Some(&b']')
            && at.checked_sub(1).and_then(|it| text.get(it)) != Some(&b'\\')
    };
    (0..text.len()).find(is_end).map_or(text.len(), |it| it + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: Vec<u8>) -> String {
        String::from_utf8(bytes).expect("text")
    }

    #[test]
    fn a_new_line_has_the_options_of_another() {
        let arguments = [&b"strict=1"[..], b"message_no_jobs=See [{url}]"].map(<[u8]>::to_vec);
        assert_eq!(
            text(new(
                Facility::Session,
                "required",
                MODULE.as_bytes(),
                &arguments
            )),
            "session    required     pam_slurm_adopt.so strict=1 [message_no_jobs=See [{url\\]\\]]"
                .replace("{url\\]", "{url}")
        );
    }

    #[test]
    fn a_control_is_replaced_and_nothing_else() {
        for (line, expected) in [
            (
                "account sufficient a.so b # c\n",
                "account required a.so b # c\n",
            ),
            (
                "-account [success=ok  default=bad]\ta.so",
                "-account required\ta.so",
            ),
            (
                "account \\\n  optional \\\n a.so\n",
                "account \\\n  required \\\n a.so\n",
            ),
        ] {
            let found = with_control(line.as_bytes(), "required").map(text);
            assert_eq!(found.as_deref(), Some(expected));
        }
    }

    #[test]
    fn the_last_service_counts() {
        for (line, expected) in [
            (
                "account required a.so service=x b\n",
                "account required a.so service=sshd b\n",
            ),
            (
                "account required a.so [service=x y]\n",
                "account required a.so service=sshd\n",
            ),
            (
                "account required a.so service=x service=y",
                "account required a.so service=x service=sshd",
            ),
            (
                "account required a.so b # c\n",
                "account required a.so b service=sshd # c\n",
            ),
            (
                "account required \\\n a.so\n",
                "account required \\\n a.so service=sshd\n",
            ),
        ] {
            assert_eq!(text(acting_for(line.as_bytes(), "sshd")), expected);
        }
    }
}
