//! The module's arguments, one a line.
#![no_main]
#![forbid(unsafe_code)]

use adopt::options::Options;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let args: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
    let (options, bad) = Options::parse(&args);
    assert!(bad.len() <= args.len());
    for problem in bad {
        let line = problem.to_string();
        assert!(
            !line.contains(char::is_control),
            "a log line of its own: {line:?}"
        );
    }
    assert!(!options.service.is_empty());
    assert!(!options.timeout.is_zero());
});
