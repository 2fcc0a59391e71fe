//! Set-ups that work: nothing is found but notes.

use std::fs;
use std::path::Path;

use crate::tree::{Case, Tree, expect};

#[test]
fn stock_stacks_with_our_lines() {
    expect(&[
        Case {
            name: "Debian",
            make: Tree::debian,
            found: &[],
        },
        Case {
            name: "RHEL 9 with sssd",
            make: Tree::redhat,
            found: &[],
        },
    ]);
}

#[test]
fn the_bases_have_the_files_of_packaging() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for unit in ["user@.service.d", "user@0.service.d"] {
        let file = format!("{unit}/slurm_adopt.conf");
        let read = |dir: &str| fs::read_to_string(root.join(dir).join(&file)).expect("the file");
        let packaged = read("../../packaging/systemd");
        for base in ["debian", "redhat"] {
            let dir = format!("tests/bases/{base}/etc/systemd/system");
            assert_eq!(read(&dir), packaged, "{base}");
        }
    }
}
