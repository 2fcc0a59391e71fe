use std::collections::BTreeMap;

use super::*;
use crate::host::tree::is_match;

/// Reads `main` with files that a pattern names by their exact path or by `*`.
fn read(reader: &Reader, main: &str, files: &[(&str, &str)]) -> Config {
    let files: BTreeMap<&str, &str> = files.iter().copied().collect();
    let mut include = |pattern: &str| {
        let matching = files
            .iter()
            .filter(|(file, _)| is_match(pattern.as_bytes(), file.as_bytes()));
        let included = |(file, text): (&&str, &&str)| Included {
            file: (*file).to_owned(),
            bytes: Ok(text.as_bytes().to_vec()),
        };
        matching.map(included).collect()
    };
    Config::read(
        reader,
        &[],
        "/etc/ssh/sshd_config",
        main.as_bytes(),
        &mut include,
    )
}

/// The settings as `file:line keyword values [Match lines]`.
fn rows(config: &Config) -> Vec<String> {
    let row = |it: &Setting| {
        let file = it.place.file.rsplit('/').next().unwrap_or_default();
        let blocks: Vec<String> = it
            .blocks
            .iter()
            .map(|it| it.place.line.to_string())
            .collect();
        let values = it.arguments.join(" ");
        format!(
            "{file}:{} {} {values} [{}]",
            it.place.line,
            it.keyword,
            blocks.join(",")
        )
    };
    config.settings.iter().map(row).collect()
}

fn faults(config: &Config) -> Vec<String> {
    let row = |it: &Fault| format!("{} {} {:?}", it.place.line, it.word, it.kind);
    config.faults.iter().map(row).collect()
}

#[test]
fn includes_stand_in_their_place_and_sorted() {
    let config = read(
        &Reader::default(),
        "Include sshd_config.d/*.conf\nUsePAM no\n",
        &[
            ("/etc/ssh/sshd_config.d/50-b.conf", "Port 2\n"),
            ("/etc/ssh/sshd_config.d/10-a.conf", "usepam YES\n"),
        ],
    );
    let expected = [
        "10-a.conf:1 usepam YES []",
        "50-b.conf:1 port 2 []",
        "sshd_config:2 usepam no []",
    ];
    assert_eq!(rows(&config), expected);
    assert_eq!(faults(&config), [""; 0]);
}

#[test]
fn a_match_block_ends_with_its_file_and_holds_what_it_includes() {
    let config = read(
        &Reader::default(),
        "Match User a\nInclude /x\nMaxSessions 1\nMatch all\nUsePAM yes\nInclude /y\nUsePAM no\n",
        &[
            (
                "/x",
                "MaxAuthTries 1\nMatch Group b\nMaxAuthTries 2\nMatch all\nMaxAuthTries 3\n",
            ),
            ("/y", "Match Host c\nBanner none\n"),
        ],
    );
    let expected = [
        "x:1 maxauthtries 1 [1]",
        "x:3 maxauthtries 2 [1,2]",
        "x:5 maxauthtries 3 [1]",
        "sshd_config:3 maxsessions 1 [1]",
        "sshd_config:5 usepam yes []",
        "y:2 banner none [1]",
        "sshd_config:7 usepam no []",
    ];
    assert_eq!(rows(&config), expected);
}

#[test]
fn lines_that_sshd_does_not_take() {
    for (text, expected) in [
        ("UsePAMM yes", "1 UsePAMM UnknownKeyword"),
        ("Match User a\nUsePAM yes", "2 UsePAM InMatch(1)"),
        (
            "UsePAM true",
            "1 true Refused(\"sshd does not take this value\")",
        ),
        (
            "UsePAM yes please",
            "1 please Refused(\"something follows the value\")",
        ),
        ("UsePAM", "1 UsePAM Refused(\"its value is missing\")"),
        ("Banner \"x", "1 \"x Refused(\"a quote does not end\")"),
        (
            "Match Users a",
            "1 Users Refused(\"Match does not know this criterion\")",
        ),
        (
            "Match User",
            "1 User Refused(\"the criterion has no value\")",
        ),
        (
            "Match all User a",
            "1 all Refused(\"all must stand alone in a Match line\")",
        ),
        (
            "LoginGraceTime 2x",
            "1 2x Refused(\"sshd does not take this value\")",
        ),
    ] {
        assert_eq!(
            faults(&read(&Reader::default(), text, &[])),
            [expected],
            "{text}"
        );
    }
}

#[test]
fn keyboard_interactive_has_two_names() {
    let text = "ChallengeResponseAuthentication no\nKbdInteractiveAuthentication yes\n";
    let keywords = |version: &[u8]| {
        let reader = Reader {
            version: Version::in_program(version),
            ..Reader::default()
        };
        let config = read(&reader, text, &[]);
        config
            .settings
            .into_iter()
            .map(|it| it.keyword)
            .collect::<Vec<_>>()
    };
    let new = "kbdinteractiveauthentication";
    assert_eq!(keywords(b"OpenSSH_8.7p1\0"), [new, new]);
    assert_eq!(
        keywords(b"OpenSSH_8.4p1\0"),
        ["challengeresponseauthentication", new]
    );
}

#[test]
fn options_of_the_command_line_come_first() {
    let option = Place {
        file: "/etc/default/ssh".into(),
        line: 1,
        text: "UsePAM=no".to_owned(),
    };
    let mut include = |_: &str| Vec::new();
    let reader = Reader::default();
    let config = Config::read(&reader, &[option], "/c", b"UsePAM yes\n", &mut include);
    assert_eq!(rows(&config), ["ssh:1 usepam no []", "c:1 usepam yes []"]);
}

#[test]
fn a_file_that_includes_itself_ends() {
    let main = "Include /x\n";
    let once = read(&Reader::default(), main, &[("/x", "Include /x\n")]);
    assert_eq!((once.files.len(), once.faults.len()), (17, 1));
    let many = read(&Reader::default(), main, &[("/x", "Include /x /x /x /x\n")]);
    assert!(many.files.len() <= MOST_FILES && !many.faults.is_empty());
}

#[test]
fn the_program_knows_its_own_keywords_and_release() {
    let reader = Reader {
        version: Version::in_program(b"OpenSSH_10.0p2\0"),
        program: b"\0sitekeyword\0other".to_vec(),
    };
    let text = "SiteKeyword 1\nKeyword 1\nMatch version OpenSSH_10.*\nUsePAM yes\nMatch version OpenSSH_9*\nBanner x\n";
    let config = read(&reader, text, &[]);
    assert_eq!(faults(&config), ["2 Keyword UnknownKeyword"]);
    let expected = [
        "sshd_config:1 sitekeyword 1 []",
        "sshd_config:4 usepam yes []",
        "sshd_config:6 banner x [5]",
    ];
    assert_eq!(rows(&config), expected);
}
