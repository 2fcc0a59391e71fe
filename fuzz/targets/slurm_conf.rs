//! slurm.conf. A line of three dashes separates the files. The first includes the others, whose names are
//! 1, 2, ...
#![no_main]
#![forbid(unsafe_code)]

use std::io;

use libfuzzer_sys::fuzz_target;
use proto::conf::{self, Conf, ConfError, Query};

fuzz_target!(|bytes: &[u8]| {
    let mut files: Vec<Vec<u8>> = vec![Vec::new()];
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        if line == b"---\n" {
            files.push(Vec::new());
        } else if let Some(file) = files.last_mut() {
            file.extend_from_slice(line);
        }
    }
    let found = parse(&files);
    match &found {
        Ok(conf) => {
            assert_eq!(conf.nodes.len(), HOSTS.len());
            assert!(conf.ports().len() <= conf::MAX_PORTS + 1);
        }
        Err(error) => assert!(!error.to_string().chars().any(char::is_control)),
    }
    let (settings, _) = conf::settings(MAIN, &files[0], &mut |_, _| {
        Err(io::ErrorKind::NotFound.into())
    });
    assert!(
        settings
            .iter()
            .all(|it| it.line > 0 && !it.pairs.is_empty())
    );
    // The parser reads most lines without a copy, and searches for rare bytes eight at a time. An empty
    // comment on each line changes nothing, but makes it read all of them the long way.
    let commented: Vec<_> = files.iter().map(|it| with_comments(it)).collect();
    assert_eq!(parse(&commented), found);
    // Lines at the front move every byte to another place within its eight.
    let mut moved = files;
    moved[0].splice(0..0, [b'\n'; LINES]);
    let moved = parse(&moved).map_err(back).map(|conf| Conf {
        passed_over: conf.passed_over.map(back),
        ..conf
    });
    assert_eq!(moved, found);
});

const HOSTS: &[&str] = &["node1", "node1.example.org"];
const MAIN: &str = "slurm.conf";
/// Number of empty lines put at the front.
const LINES: usize = 3;

fn parse(files: &[Vec<u8>]) -> Result<Conf, ConfError> {
    let mut include = |name: &str, _: &str| {
        let number: usize = name.parse().map_err(|_| io::ErrorKind::InvalidInput)?;
        // The main file itself is moved below.
        let file = files.get(number).filter(|_| number > 0);
        let bytes = file.ok_or(io::ErrorKind::NotFound)?.clone();
        let file = name.to_owned();
        Ok(conf::Included { file, bytes })
    };
    let query = Query {
        hosts: HOSTS,
        node: Some("node1"),
        ports: true,
        ..Query::default()
    };
    conf::parse(MAIN, &files[0], query, &mut include)
}

/// Appends `#` to each line that contains neither that nor a backslash.
fn with_comments(file: &[u8]) -> Vec<u8> {
    let mut commented = Vec::new();
    for line in file.split_inclusive(|byte| *byte == b'\n') {
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        commented.extend_from_slice(text);
        if !text.iter().any(|byte| matches!(byte, b'#' | b'\\')) {
            commented.push(b'#');
        }
        commented.extend_from_slice(&line[text.len()..]);
    }
    commented
}

/// The error as it would be without the lines at the front.
fn back(error: ConfError) -> ConfError {
    let is_moved = error.file == MAIN && error.line > 0;
    ConfError {
        line: error.line - if is_moved { LINES } else { 0 },
        ..error
    }
}
