use expect_test::expect_file;

use super::*;
use crate::status::samples::{nothing, unusual, usual};

fn text(status: &Status, is_colored: bool) -> String {
    let style = Style {
        is_colored,
        has_time: false,
    };
    let mut out = Vec::new();
    style.write(&mut out, status).expect("write");
    String::from_utf8(out).expect("UTF-8")
}

#[test]
fn the_table_is_as_in_the_files() {
    for (status, expected) in [
        (usual(), expect_file!["usual.txt"]),
        (unusual(), expect_file!["unusual.txt"]),
        (nothing(), expect_file!["nothing.txt"]),
    ] {
        expected.assert_eq(&text(&status, false));
    }
}

#[test]
fn no_line_is_wider_than_the_screen() {
    for status in [usual(), unusual(), nothing()] {
        for line in text(&status, false).lines() {
            assert!(line.width() <= WIDTH, "{line}");
        }
    }
}

#[test]
fn colours_do_not_move_anything() {
    for status in [usual(), unusual(), nothing()] {
        let colored = text(&status, true);
        let mut plain = colored.clone();
        for code in [BOLD, RED, YELLOW, "0"] {
            plain = plain.replace(&format!("\x1b[{code}m"), "");
        }
        assert_eq!(plain, text(&status, false));
        assert_eq!(colored == plain, status.jobs.is_empty(), "{colored}");
    }
}

#[test]
fn names_are_cut_by_their_width() {
    for (name, short) in [
        ("alice", "alice"),
        ("sixteen-columns-", "sixteen-columns-"),
        ("seventeen-columns", "seventeen-colum+"),
        (&"\u{5f20}".repeat(9), &format!("{}+", "\u{5f20}".repeat(7))),
    ] {
        assert_eq!(cut(name), short);
        assert!(cut(name).width() <= LONGEST_USER);
    }
}
