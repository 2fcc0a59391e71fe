//! The module's arguments, one per line; the file of options; and the log line, with PAM's items from the
//! same bytes.
#![no_main]
#![forbid(unsafe_code)]

use adopt::decide::{Answer, Reason, Verdict};
use adopt::login::{Account, Login};
use adopt::options::Options;
use adopt::report::Outcome;
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
    // Giving the arguments twice changes nothing.
    let (again, _) = Options::parse(&[&args[..], &args[..]].concat());
    assert_eq!(again, options);
    let text = String::from_utf8_lossy(bytes);
    file(&text);
    one_line(&text);
});

/// Checks that a setting means the same in the file as on a PAM line, and that each message is one line.
fn file(text: &str) {
    let (options, arguments) = adopt::fuzzing::options_of_file(text);
    assert_eq!(Options::parse(&arguments).0, options);
    let templates = [
        options.messages.no_jobs,
        options.messages.unknown,
        options.messages.adopt_failure,
    ];
    for template in templates.into_iter().flatten() {
        let shown = template.expand(&|name| format!("<{name}>"));
        assert!(!shown.is_some_and(|it| it.contains(char::is_control)));
    }
}

/// Checks that no user name or service looks like a field of the log line, or like a line.
fn one_line(text: &str) {
    let login = Login {
        service: Ok(text.into()),
        user: text.into(),
        account: Account::Known { uid: 7 },
        pid: 1,
    };
    let verdict = Verdict {
        answer: Answer::Ignore,
        reason: Reason::OtherService(text.into()),
    };
    let outcome = Outcome::from(verdict);
    let (line, json) = adopt::fuzzing::logged(&login, &outcome);
    assert!(!line.contains(char::is_control), "{line:?}");
    assert!(
        json.bytes().all(|it| (b' '..=b'~').contains(&it)),
        "{json:?}"
    );
    assert!(
        json.starts_with("{\"version\":1,") && json.ends_with('}'),
        "{json}"
    );
    let fields = line.strip_prefix("user=").expect("the first field");
    let fields = match fields.strip_prefix('"') {
        None => fields.split_once(' ').map(|(_, rest)| rest),
        Some(quoted) => after_quote(quoted).and_then(|rest| rest.strip_prefix(' ')),
    };
    let reason =
        fields.and_then(|it| it.strip_prefix("uid=7 decision=ignored job=- ms=0.0 reason=\""));
    assert_eq!(reason.and_then(after_quote), Some(""), "{line:?}");
}

/// The text after the first quote without a backslash before it.
fn after_quote(text: &str) -> Option<&str> {
    let mut escaped = false;
    let end = text.find(|sign| {
        let ends = sign == '"' && !escaped;
        escaped = sign == '\\' && !escaped;
        ends
    })?;
    text.get(end + 1..)
}
