//! Files of the spool directory that no slurmstepd has made.

use std::cell::RefCell;

use super::*;

#[derive(Default)]
pub(super) struct Lines(pub RefCell<Vec<String>>);

impl Sink for Lines {
    fn line(&self, _: Severity, text: &str) {
        self.0.borrow_mut().push(text.to_owned());
    }
}

#[test]
fn each_directory_tells_of_its_own_files() {
    let (mut one, two) = (Spool::new("junk-one"), Spool::new("junk-two"));
    one.node.names.push("n2".to_owned());
    one.node.spool_dirs.push(two.dir.clone());
    for job in [1, 2] {
        fs::write(one.dir.join(format!("n1_{job}.4294967292")), "").expect("a file");
    }
    fs::write(two.dir.join("n2_3.4294967292"), "").expect("a file");

    let lines = Lines::default();
    let found = spool::find_sockets(&one.node, Log::new(&lines, LogLevel::Error));

    assert!(found.sockets.is_empty());
    let lines = lines.0.into_inner();
    let first = format!("ignoring 2 files in {} named", one.dir.display());
    assert!(lines[0].starts_with(&first), "{lines:?}");
    let second = two.dir.join("n2_3.4294967292");
    let second = format!("ignoring {}: not a socket", second.display());
    assert_eq!(lines[1..], [second]);
    assert_eq!(found.junk.count, 3);
}
