use super::*;
use crate::control::Control;

/// Entries by their controls, each after one dot per enclosing substack; a substack is a `+`.
fn stack(controls: &[&str]) -> Vec<Handler> {
    let entry = |(line, text): (usize, &&str)| {
        let control = text.trim_start_matches('.');
        let is_substack = control == "+";
        Handler {
            line,
            role: if is_substack {
                Role::Substack
            } else {
                Role::Module
            },
            control: match is_substack {
                true => Control::FAILURE,
                false => Control::parse(control.as_bytes()).expect("a control"),
            },
            level: text.len() - control.len(),
        }
    };
    controls.iter().enumerate().map(entry).collect()
}

/// CODE: ENTRY ENTRY ...
fn walked(controls: &[&str], results: &[&str]) -> String {
    let result = |entry: usize| Code::named(results[entry]).expect("a code");
    let walk = Walk::of(&stack(controls), |entry, _| result(entry));
    let ran: Vec<String> = walk.steps.iter().map(|it| it.entry.to_string()).collect();
    format!("{}: {}", walk.code, ran.join(" "))
}

const OK: &str = "success";
const ERR: &str = "auth_err";

#[test]
fn the_first_failure_is_the_result() {
    for (control, results, expected) in [
        ("required", [OK, OK, OK], "success: 0 1 2"),
        ("required", [OK, ERR, "session_err"], "auth_err: 0 1 2"),
        ("requisite", [OK, ERR, OK], "auth_err: 0 1"),
        ("sufficient", [ERR, OK, ERR], "success: 0 1"),
        ("sufficient", [ERR, ERR, ERR], "perm_denied: 0 1 2"),
        ("optional", ["ignore", OK, ERR], "success: 0 1 2"),
        (
            "required",
            ["ignore", "ignore", "ignore"],
            "perm_denied: 0 1 2",
        ),
        (
            "required",
            ["new_authtok_reqd", OK, OK],
            "new_authtok_reqd: 0 1 2",
        ),
        ("default=ok", ["ignore", OK, OK], "ignore: 0 1 2"),
        ("default=bad", ["ignore", OK, OK], "perm_denied: 0 1 2"),
        ("default=bad", [OK, ERR, OK], "perm_denied: 0 1 2"),
        ("required", [OK, "incomplete", OK], "incomplete: 0 1"),
    ] {
        assert_eq!(
            walked(&[control; 3], &results),
            expected,
            "{control} {results:?}"
        );
    }
}

#[test]
fn jumps_count_entries_of_their_own_stack() {
    let over = ["default=1", "+", ".required", ".required", "required"];
    assert_eq!(walked(&over, &[OK, "", ERR, ERR, OK]), "success: 0 4");
    let inner = ["+", ".default=1", ".required", "required"];
    assert_eq!(walked(&inner, &["", OK, ERR, OK]), "success: 1 3");
    // A jump past the end of its own stack fails, and the walk continues.
    let past = ["+", ".default=2", ".required", "required"];
    assert_eq!(walked(&past, &["", OK, ERR, OK]), "perm_denied: 1 3");
    assert_eq!(
        walked(&["required", "default=1"], &[OK, OK]),
        "perm_denied: 0 1"
    );
    assert_eq!(
        walked(
            &["required", "default=1", "bad"]
                .map(|it| it.replace("bad", "required"))
                .each_ref()
                .map(String::as_str),
            &[OK, OK, ERR]
        ),
        "success: 0 1"
    );
}

#[test]
fn done_and_die_end_a_substack_alone() {
    let done = ["+", ".sufficient", ".required", "required"];
    assert_eq!(walked(&done, &["", OK, ERR, OK]), "success: 1 3");
    let die = ["+", ".requisite", ".required", "required"];
    assert_eq!(walked(&die, &["", ERR, OK, OK]), "auth_err: 1 3");
    // A stack that has failed does not end early with success.
    assert_eq!(
        walked(&["required", "sufficient", "required"], &[ERR, OK, OK]),
        "auth_err: 0 1 2"
    );
}

#[test]
fn reset_goes_back_to_the_beginning_of_the_substack() {
    assert_eq!(
        walked(&["required", "default=reset"], &[ERR, OK]),
        "perm_denied: 0 1"
    );
    let inner = ["required", "+", ".required", ".default=reset"];
    assert_eq!(walked(&inner, &[OK, "", ERR, OK]), "success: 0 2 3");
    assert_eq!(walked(&inner, &[ERR, "", OK, OK]), "auth_err: 0 2 3");
}

#[test]
fn a_step_says_what_came_of_it() {
    let walk = Walk::of(
        &stack(&["optional", "required", "required"]),
        |entry, _| match entry {
            1 => Code::AUTH_ERR,
            _ => Code::SUCCESS,
        },
    );
    let verdicts: Vec<Verdict> = walk.steps.iter().map(|it| it.verdict).collect();
    let failed = Verdict::Failed(Code::AUTH_ERR);
    assert_eq!(verdicts, [Verdict::Taken(Code::SUCCESS), failed, failed]);
    let actions: Vec<Option<Action>> = walk.steps.iter().map(|it| it.action).collect();
    assert_eq!(actions, [Action::Ok, Action::Bad, Action::Ok].map(Some));
    assert_eq!(walk.decided_by(), Some(1));
    assert_eq!(Walk::of(&[], |_, _| Code::SUCCESS).decided_by(), None);
}
