use std::collections::BTreeSet;

use super::*;

#[test]
fn ids_are_stable_and_unique() {
    let mut known = BTreeSet::new();
    for check in checks() {
        let digits = check.id.strip_prefix("SA").unwrap_or_default();
        let is_number = digits.len() == 3 && digits.bytes().all(|it| it.is_ascii_digit());
        assert!(is_number, "{}", check.id);
        assert!(known.insert(check.id), "{} is there twice", check.id);
    }
}

#[test]
fn every_check_says_why_and_what_to_do() {
    for check in checks() {
        for text in [check.title, check.why, check.fix] {
            assert!(
                text.is_ascii() && text.trim() == text && !text.is_empty(),
                "{}",
                check.id
            );
        }
        assert!(
            check.title.len() <= 72 && !check.title.ends_with('.'),
            "{}: title",
            check.id
        );
    }
}
