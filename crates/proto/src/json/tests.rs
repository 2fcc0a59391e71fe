use super::*;

fn string(text: &str) -> Result<String> {
    Json::read(text.as_bytes(), Json::string)
}

fn number(text: &str) -> Result<Option<u64>> {
    Json::read(text.as_bytes(), Json::number)
}

fn skip(text: &str) -> std::result::Result<(), &'static str> {
    Json::read(text.as_bytes(), Json::skip).map_err(|error| error.what)
}

#[test]
fn strings_are_unescaped() {
    for (text, expected) in [
        (r#""""#, ""),
        (r#" "a" "#, "a"),
        (r#""\"\\\/\b\f\n\r\t""#, "\"\\/\u{8}\u{c}\n\r\t"),
        (
            "\"\\u00e4\\u20AC\\ud83d\\ude00\u{e4}\"",
            "\u{e4}\u{20ac}\u{1f600}\u{e4}",
        ),
    ] {
        assert_eq!(string(text).as_deref(), Ok(expected), "{text}");
    }
    for text in [
        "",
        "\"",
        "\"a",
        "a\"",
        "\"\n\"",
        r#""\x""#,
        r#""\u12""#,
        r#""\u12g4""#,
        r#""\ud83d""#,
        r#""\ud83dxx""#,
        r#""\ud83d\u0041""#,
        r#""\ude00""#,
        r#""a" 1"#,
    ] {
        assert!(string(text).is_err(), "{text}");
    }
    assert!(Json::read(b"\"\xff\"", Json::string).is_err());
}

#[test]
fn only_plain_numbers_are_taken() {
    for (text, expected) in [
        ("0", Some(0)),
        (" 18446744073709551615\n", Some(u64::MAX)),
        ("18446744073709551616", None),
        ("-1", None),
        ("1.5", None),
        ("1e3", None),
        ("-0.5E-10", None),
    ] {
        assert_eq!(number(text), Ok(expected), "{text}");
    }
    for text in [
        "", "-", "01", "1.", ".5", "1e", "1e+", "+1", "0x10", "1 2", "- 1",
    ] {
        assert!(number(text).is_err(), "{text}");
    }
}

#[test]
fn values_are_skipped_within_bounds() {
    let deep = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    let keys = |count: u32| {
        let keys: Vec<String> = (0..count).map(|key| format!("\"{key}\":0")).collect();
        format!("{{{}}}", keys.join(","))
    };
    for text in [
        "true",
        "false",
        "null",
        "{}",
        "[]",
        " { \"a\" : [ 1 , { } ] , \"b\" : null } ",
        &deep(8),
        &keys(64),
    ] {
        assert_eq!(skip(text), Ok(()), "{text}");
    }
    for (text, expected) in [
        ("", "no digit"),
        ("tru", "no value"),
        ("{", "no string"),
        ("{\"a\"}", "no colon"),
        ("{\"a\":1,}", "no string"),
        ("{\"a\":1 \"b\":2}", "no end"),
        ("{\"a\":1,\"b\":2,\"a\":3}", "a key comes twice"),
        ("{\"x\":{\"a\":1,\"\\u0061\":3}}", "a key comes twice"),
        ("[1,]", "no digit"),
        ("[1", "no end"),
        ("[]]", "something follows"),
        (&deep(9), "nested too deep"),
        (&keys(65), "too many keys"),
        (&" ".repeat(LONGEST + 1), "longer than 64 KiB"),
    ] {
        assert_eq!(skip(text), Err(expected), "{text}");
    }
}

#[test]
fn a_written_string_is_read_back() {
    for text in ["", "lab", "\"\\\0\u{1f}\n \u{e9}\u{1f600}"] {
        let mut json = String::new();
        write_string(&mut json, text);
        assert_eq!(string(&json).as_deref(), Ok(text));
    }
}
