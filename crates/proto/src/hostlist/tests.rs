use super::*;

/// Expansions as `scontrol show hostnames` of 24.11.5 and 26.05.5 prints them.
const EXPANDED: &[(&str, &str)] = &[
    ("n1", "n1"),
    ("n[1-3]", "n1 n2 n3"),
    ("n[08-11]", "n08 n09 n10 n11"),
    ("n[1-03]", "n1 n2 n3"),
    ("n[01-03,7,009-010]", "n01 n02 n03 n7 n009 n010"),
    ("n01-03", "n01-03"),
    ("[1-3]", "1 2 3"),
    ("a,b c\td,,e", "a b c d e"),
    ("a[1-2]b[3-4]", "a1b3 a1b4 a2b3 a2b4"),
    (
        "a[1-2]b[3-4]c[5-6]",
        "a1b3c5 a1b3c6 a2b3c5 a2b3c6 a1b4c5 a1b4c6 a2b4c5 a2b4c6",
    ),
    ("n[1-3]-ib", "n1-ib n2-ib n3-ib"),
    ("n[1-2]5", "n15 n25"),
    ("n[5-]", "n5"),
    ("n[1, 2]", "n1 n02"),
    // More zeros and blanks than a number has digits.
    (
        "n[0000000000000000000001-2]",
        "n0000000000000000000001 n0000000000000000000002",
    ),
    ("[                      5]", "00000000000000000000005"),
    ("x,n[1-2],y", "x n1 n2 y"),
    (
        "[1,11,111][1,11,111]",
        "11 111 1111 111 1111 11111 1111 11111 111111",
    ),
];

#[test]
fn both_directions_agree_with_slurm() {
    for (list, names) in EXPANDED {
        let names: Vec<_> = names.split(' ').collect();
        assert_eq!(count(list), Ok(names.len() as u64), "{list}");
        for (index, name) in names.iter().enumerate() {
            let first = names.iter().position(|it| it == name).map(|it| it as u64);
            let index = index as u64;
            assert_eq!(position(list, name), Ok(first), "{name} in {list}");
            assert_eq!(
                nth_or_last(list, index),
                Ok(Some((*name).to_owned())),
                "{list}"
            );
        }
        let last = names.last().map(|name| (*name).to_owned());
        assert_eq!(
            nth_or_last(list, 1 << 40),
            Ok(last),
            "past the end of {list}"
        );
        for other in ["", "n", "n0", "n001", "n4", "n1x", "a1b", "zzz", "n[1-3]"] {
            if !names.contains(&other) {
                assert_eq!(position(list, other), Ok(None), "{other} in {list}");
            }
        }
    }
    assert_eq!(nth_or_last("", 0), Ok(None));
    assert_eq!(position("", ""), Ok(None));
}

#[test]
fn invalid_lists_are_errors() {
    for (list, error) in [
        ("n[1-3", HostListError::Unclosed),
        ("n[3-1]", HostListError::BadRange),
        ("n[]", HostListError::BadRange),
        ("n[1,]", HostListError::BadRange),
        ("n[a-b]", HostListError::BadRange),
        ("n[-1]", HostListError::BadRange),
        ("n[0-65536]", HostListError::TooMany),
        ("[1][1][1][1][1][1][1][1][1]", HostListError::TooMany),
    ] {
        assert_eq!(position(list, "zz"), Err(error), "{list}");
        assert_eq!(nth_or_last(list, 0), Err(error), "{list}");
    }
    assert_eq!(position("n[0-65535]", "n65535"), Ok(Some(65535)));
    // Wider than a name, and than std's padding.
    for width in [MAX_WIDTH + 1, 1 << 16, 1 << 17] {
        let list = format!("n[{}1]", " ".repeat(width));
        assert_eq!(
            nth_or_last(&list, 0),
            Err(HostListError::TooMany),
            "{width}"
        );
        assert_eq!(count(&list), Err(HostListError::TooMany), "{width}");
    }
}

/// One way after the other, this takes years: a hundred digits belong to eight brackets in C(99, 7) ways.
#[test]
fn a_name_that_matches_in_many_ways_is_found_at_once() {
    let widths: Vec<_> = (1..=100).map(|width| "0".repeat(width)).collect();
    let list = format!("[{}]", widths.join(",")).repeat(MAX_BRACKETS);
    let name = "0".repeat(100);
    assert_eq!(position(&list, &format!("{name}x")), Ok(None));
    // The seven that vary slowest have one digit each: the last has 93.
    assert_eq!(position(&list, &name), Ok(Some(92)));
}
