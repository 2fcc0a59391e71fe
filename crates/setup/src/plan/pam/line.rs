//! The text of a line that calls the module.

use std::ops::Range;

/// The module as new lines name it.
pub(super) const MODULE: &str = "pam_slurm_adopt.so";

/// A new line, in the columns of the distributions' files.
pub(super) fn new(facility: &str, module: &[u8], arguments: &[Vec<u8>]) -> Vec<u8> {
    let mut line = format!("{facility:<10} required     ").into_bytes();
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

/// Writes `required` in the place of a line's control.
pub(super) fn with_required(text: &[u8]) -> Option<Vec<u8>> {
    let control = words(text).into_iter().nth(1)?;
    Some(spliced(text, control, b"required"))
}

/// Takes the arguments that begin with a text out of a line.
pub(super) fn without(text: &[u8], start: &[u8]) -> Vec<u8> {
    let mut text = text.to_vec();
    let is_it = |text: &[u8], it: &Range<usize>| {
        let word = text.get(it.clone()).unwrap_or_default();
        word.strip_prefix(b"[").unwrap_or(word).starts_with(start)
    };
    while let Some(word) = words(&text).into_iter().skip(3).find(|it| is_it(&text, it)) {
        let before = text.get(..word.start).unwrap_or_default();
        let blanks = before
            .iter()
            .rev()
            .take_while(|it| matches!(it, b' ' | b'\t'))
            .count();
        text = spliced(&text, word.start - blanks..word.end, b"");
    }
    text
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
            text(new("session", MODULE.as_bytes(), &arguments)),
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
            let found = with_required(line.as_bytes()).map(text);
            assert_eq!(found.as_deref(), Some(expected));
        }
    }

    #[test]
    fn an_argument_is_taken_out_with_the_blanks_before_it() {
        for (line, expected) in [
            (
                "account required a.so service=x b\n",
                "account required a.so b\n",
            ),
            (
                "account required a.so b service=x\n",
                "account required a.so b\n",
            ),
            (
                "account required a.so [service=x y] service=z\n",
                "account required a.so\n",
            ),
            (
                "account required a.so \\\n service=x\n",
                "account required a.so \\\n\n",
            ),
        ] {
            assert_eq!(text(without(line.as_bytes(), b"service=")), expected);
        }
    }
}
