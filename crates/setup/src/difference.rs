//! A change as a unified difference.

use std::fmt::Write as _;

use crate::change::{Change, Content};

/// The reason in a line of its own, and the difference. What a terminal would act on is replaced.
#[must_use]
pub fn text(change: &Change) -> String {
    let path = change.path.display();
    let mut text = format!("# {path}: {}\n", change.why);
    let name = |side: &Option<Content>| match side {
        None => "/dev/null".to_owned(),
        Some(_) => path.to_string(),
    };
    let shown = |side: &Option<Content>| match side {
        None => String::new(),
        Some(Content::File { bytes, .. }) => String::from_utf8_lossy(bytes).into_owned(),
        Some(Content::Link { target }) => format!("link to {}\n", target.display()),
    };
    let (old, new) = (shown(&change.before), shown(&change.after));
    let mut options = diffy::DiffOptions::new();
    options.set_original_filename(name(&change.before));
    options.set_modified_filename(name(&change.after));
    let patch = options.create_patch(&old, &new).to_string();
    if old == new {
        let _ = writeln!(
            text,
            "--- {}\n+++ {}",
            name(&change.before),
            name(&change.after)
        );
    } else {
        text.extend(patch.chars().map(printable));
    }
    if let (Some(old), Some(new)) = (rights(&change.before), rights(&change.after)) {
        if old != new {
            let _ = writeln!(text, "# {old} becomes {new}");
        }
    }
    text
}

fn rights(side: &Option<Content>) -> Option<String> {
    match side {
        Some(Content::File { mode, uid, gid, .. }) => {
            Some(format!("mode {mode:04o}, owner {uid}:{gid}"))
        }
        _ => None,
    }
}

fn printable(character: char) -> char {
    match character.is_control() && !matches!(character, '\n' | '\t') {
        true => '?',
        false => character,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str, mode: u32) -> Content {
        Content::File {
            bytes: text.into(),
            mode,
            uid: 0,
            gid: 0,
        }
    }

    #[test]
    fn a_difference_has_its_reason_first() {
        let change = Change {
            path: "/etc/a".into(),
            before: Some(file("one\ntwo\n", 0o644)),
            after: Some(file("one\nthree\x1b[m\n", 0o600)),
            why: "three is more".into(),
        };
        let expected = "# /etc/a: three is more\n--- /etc/a\n+++ /etc/a\n@@ -1,2 +1,2 @@\n one\n-two\n\
                        +three?[m\n# mode 0644, owner 0:0 becomes mode 0600, owner 0:0\n";
        assert_eq!(text(&change), expected);
    }

    #[test]
    fn a_new_file_and_a_link_are_shown() {
        let mut change = Change {
            path: "/etc/a".into(),
            before: None,
            after: Some(file("one\n", 0o644)),
            why: "new".into(),
        };
        let expected = "# /etc/a: new\n--- /dev/null\n+++ /etc/a\n@@ -0,0 +1 @@\n+one\n";
        assert_eq!(text(&change), expected);
        change.before = Some(Content::Link { target: "b".into() });
        change.after = None;
        let expected = "# /etc/a: new\n--- /etc/a\n+++ /dev/null\n@@ -1 +0,0 @@\n-link to b\n";
        assert_eq!(text(&change), expected);
    }
}
