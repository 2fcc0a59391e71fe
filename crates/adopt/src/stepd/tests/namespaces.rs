//! What is asked of a stepd for a job with namespaces and X11, before and after adoption.

use super::*;

#[test]
fn x11_is_asked_for_after_adoption_whatever_says_that_there_are_no_namespaces() {
    assert_asked(
        vec![own(0x2D00), (4, ints(&[0])), with_path(b"/tmp/a\0")],
        true,
        x11(Some("/tmp/a")),
    );
    assert_asked(
        vec![own(0x2A00), (4, ints(&[0])), with_path(b"/tmp/a\0")],
        true,
        x11(Some("/tmp/a")),
    );
    assert_asked(
        vec![own(0x2300), with_path(b"/tmp/a\0")],
        true,
        x11(Some("/tmp/a")),
    );
    assert_asked(
        vec![own(0x2D00), (4, ints(&[0])), (16, ints(&[0, 2, 10, 0]))],
        true,
        x11(None),
    );
    assert_asked(
        vec![own(0x2D00), (4, ints(&[0])), (16, ints(&[0, 2, 0, 0]))],
        true,
        none(),
    );
}

#[test]
fn a_fault_in_x11_denies_nobody() {
    assert_asked(
        vec![own(0x2D00), (4, ints(&[0])), (16, ints(&[0, 2, 10, 5000]))],
        true,
        none(),
    );
    assert_asked(
        vec![own(0x2D00), (4, ints(&[0])), with_path(b"/tmp/ab")],
        true,
        none(),
    );
    assert_asked(
        vec![own(0x2D00), (4, ints(&[0])), with_path(b"/t\0p/a\0")],
        true,
        none(),
    );
}

#[test]
fn a_step_knows_its_namespaces_after_its_setup() {
    // Versions without namespaces need not wait for the step's setup.
    assert_asked(
        vec![(12, ints(&[0x2300, 2001, 1])), (16, ints(&[0, 1, 10, 0]))],
        true,
        x11(None),
    );
    assert_asked(
        vec![
            (12, ints(&[0x2D00, 2001, 1])),
            (4, ints(&[0])),
            (4, ints(&[1])),
            (4, ints(&[2])),
            (4, ints(&[0])),
            with_path(b"/tmp/a\0"),
        ],
        true,
        x11(Some("/tmp/a")),
    );
    assert_asked(
        vec![(12, ints(&[0x2D00, 2001, 1])), (4, ints(&[4]))],
        true,
        Err(Some("the step is ending")),
    );
    assert_asked(
        vec![(12, ints(&[0x2D00, 2001, 4]))],
        true,
        Err(Some("the step is ending")),
    );
    assert_asked(
        vec![(12, ints(&[0x2D00, 2001, 1])), (4, vec![])],
        true,
        Err(None),
    );
    assert_asked(vec![own(0x2D00), (4, vec![])], true, Err(None));
}

#[test]
fn a_fault_in_the_namespaces_denies_before_anything_else_is_asked() {
    assert_asked(
        vec![own(0x2D00), (4, vec![])],
        false,
        Err(Some("closed the connection")),
    );
    assert_asked(
        vec![own(0x2D00), (4, ints(&[-1]))],
        true,
        Err(Some("number is -1")),
    );
    assert_asked(
        vec![own(0x2D00), (4, ints(&[9]))],
        true,
        Err(Some("number is 9")),
    );
    assert_asked(
        vec![own(0x2D00), (4, ints(&[1, 0x4000_0000]))],
        true,
        Err(Some("a kind is 0x40000000")),
    );
    assert_asked(
        vec![own(0x2D00), (4, [ints(&[1, 0x2_0000]), vec![0]].concat())],
        true,
        Err(Some("not one descriptor")),
    );
    assert_asked(
        vec![own(0x2D00), (4, ints(&[1, 0x2_0000]))],
        true,
        Err(None),
    );
    assert_asked(
        vec![own(0x2A00), (4, ints(&[-1]))],
        true,
        Err(Some("descriptor is -1")),
    );
    assert_asked(
        vec![own(0x2A00), (4, [ints(&[7]), vec![0]].concat())],
        true,
        Err(Some("not one descriptor")),
    );
    assert_asked(
        vec![own(0x2A00), (4, vec![])],
        false,
        Err(Some("closed the connection")),
    );
}

/// Requests by their lengths, each with its answer.
type Script = Vec<(usize, Vec<u8>)>;

/// Asks a stepd for namespaces, adoption and X11. `keep` says whether it keeps the connection open; an error is part of
/// the refusal, or None for silence.
#[track_caller]
fn assert_asked(script: Script, keep: bool, expected: Result<Adopted, Option<&str>>) {
    let spool = Spool::new("namespaces");
    spool.fake_script(3, script.clone(), keep);
    let request = request(Join::Now, true);
    let mut census = spool.census(true, 5000);
    let millis = match expected {
        Err(None) => 300,
        _ => 10_000,
    };
    let deadline = Deadline::after(Duration::from_millis(millis));
    let log = Log::new(&Silent, LogLevel::Debug);
    let result = adoption::adopt(&mut census, 3, request, &deadline, log);
    match (&result, &expected) {
        (Ok(found), Ok(expected)) => {
            assert_eq!(found.display, expected.display, "{script:?}");
            assert_eq!(found.authority, expected.authority, "{script:?}");
        }
        (Err(AdoptError::Silent), Err(None)) => {}
        (Err(AdoptError::Refused(cause)), Err(Some(part))) => {
            assert!(cause.contains(part), "{script:?}: {cause}");
        }
        _ => panic!("{script:?}: {result:?}, not {expected:?}"),
    }
}

fn own(version: i32) -> (usize, Vec<u8>) {
    (12, ints(&[version, 2001, 2]))
}

fn with_path(path: &[u8]) -> (usize, Vec<u8>) {
    (16, [&ints(&[0, 2, 10, 7]), path].concat())
}

fn none() -> Result<Adopted, Option<&'static str>> {
    Ok(Adopted::default())
}

fn x11(authority: Option<&str>) -> Result<Adopted, Option<&'static str>> {
    Ok(Adopted {
        display: Some("localhost:10.0".into()),
        authority: authority.map(str::to_owned),
        ..Adopted::default()
    })
}
