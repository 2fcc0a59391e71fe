//! PAM's configuration: a byte that selects how it is read, the results of the modules, and four files. A
//! byte 0xFF separates them.
#![no_main]
#![forbid(unsafe_code)]

use std::io;
use std::path::{Path, PathBuf};

use libfuzzer_sys::fuzz_target;
use pamconf::{
    Code, Facility, Flavor, Handler, Layout, MAX_LEVEL, MOST_FILES, Place, ReadOther, Role,
    Service, Walk, Ways,
};

/// Names of the four files.
const NAMES: [&str; 4] = ["sshd", "other", "a", "b"];

fuzz_target!(|bytes: &[u8]| {
    let mut pieces = bytes.split(|byte| *byte == 0xFF);
    let (how, results) = match pieces.next() {
        Some([how, results @ ..]) => (*how, results),
        _ => (0, &[][..]),
    };
    let files: [&[u8]; 4] = NAMES.map(|_| pieces.next().unwrap_or_default());
    let read = read(how, &files);
    for problem in read.problems() {
        assert!(
            problem.to_string().is_ascii()
                && problem.place.as_ref().is_none_or(|it| is_in(it, &files))
        );
    }
    for line in read.lines() {
        assert!(is_in(&line.place, &files) && line.depth < MAX_LEVEL && line.level <= line.depth);
        assert!(!line.text.contains(&0) && !line.text.contains(&b'#'));
    }
    for facility in Facility::ALL {
        let walk = read.walk(facility, |entry, _| result(results, entry));
        let stack = read.stack(facility);
        // An unreadable substack is two entries.
        assert!(stack.len() <= 2 * read.lines().len());
        for handler in stack {
            let line = read.line(handler).expect("each entry has a line");
            assert!(line.facility == Some(facility) && line.level == handler.level);
        }
        if read.fatal().is_some() {
            assert_eq!((walk.code, walk.steps.len()), (Code::ABORT, 0));
        } else {
            check(stack, &walk, usize::from(how));
        }
    }
});

fn read(how: u8, files: &[&[u8]; 4]) -> Service {
    let layout = Layout {
        dirs: vec![PathBuf::from("/")],
        flavor: [Flavor::Upstream, Flavor::Debian, Flavor::Either][usize::from(how % 3)],
    };
    let mut read = 0;
    let mut read_file = |path: &Path| {
        read += 1;
        assert!(read <= MOST_FILES);
        let name = path.strip_prefix("/").ok().and_then(Path::to_str);
        let index = NAMES.iter().position(|it| name == Some(it));
        let index = index.ok_or(io::ErrorKind::NotFound)?;
        Ok(files[index].to_vec())
    };
    match how & 0x80 {
        0 => Service::read(&layout, "sshd", ReadOther::Always, &mut read_file),
        _ => Service::read_pam_conf(
            &layout,
            Path::new("/sshd"),
            files[0],
            "sshd",
            &mut read_file,
        ),
    }
}

fn result(results: &[u8], entry: usize) -> Code {
    let number = results
        .get(entry % results.len().max(1))
        .copied()
        .unwrap_or_default();
    Code::new(i32::from(number % 32)).expect("all below 32 are codes")
}

fn is_in(place: &Place, files: &[&[u8]; 4]) -> bool {
    let mut named = NAMES.iter().zip(files);
    let name = place.file.strip_prefix("/").expect("it was read there");
    named.any(|(it, text)| {
        let lines = text.split(|byte| *byte == b'\n').count();
        Path::new(it) == name && (1..=lines).contains(&place.line)
    })
}

/// Checks that the walk goes forward, and that it is one of the ways as far as a single entry can tell.
fn check(stack: &[Handler], walk: &Walk, chosen: usize) {
    assert!(walk.steps.is_sorted_by(|a, b| a.entry < b.entry));
    assert!(
        walk.steps
            .iter()
            .all(|it| stack[it.entry].role != Role::Substack)
    );
    assert!(
        walk.decided_by()
            .is_none_or(|it| walk.steps.iter().any(|step| step.entry == it))
    );
    if walk.code != Code::SUCCESS {
        return;
    }
    let ways = Ways::new(stack, &|_| None);
    let entry = chosen % stack.len();
    let step = walk.steps.iter().find(|it| it.entry == entry);
    match (step, stack[entry].role) {
        (Some(step), _) => assert!(ways.binding(&[entry], step.code).is_empty()),
        (None, Role::Substack) => {}
        (None, _) => assert!(ways.bypass(&[entry]).is_some()),
    }
}
