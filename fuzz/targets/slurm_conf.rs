//! slurm.conf. A line of three dashes separates the files: the first includes the others, whose
//! names are 1, 2, ...
#![no_main]
#![forbid(unsafe_code)]

use libfuzzer_sys::fuzz_target;
use proto::conf::{self, Query};

fuzz_target!(|bytes: &[u8]| {
    let mut files: Vec<Vec<u8>> = vec![Vec::new()];
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        if line == b"---\n" {
            files.push(Vec::new());
        } else if let Some(file) = files.last_mut() {
            file.extend_from_slice(line);
        }
    }
    let mut include = |name: &str, _: &str| {
        let number: usize = name.parse().map_err(|_| String::from("no number"))?;
        files
            .get(number)
            .cloned()
            .ok_or_else(|| String::from("no such file"))
    };
    let main = include("0", "").expect("there is a first");
    let query = Query {
        hosts: &["node1", "node1.example.org"],
        node: Some("node1"),
        ports: true,
    };
    match conf::parse("slurm.conf", &main, query, &mut include) {
        Ok(conf) => {
            assert_eq!(conf.nodes.len(), query.hosts.len());
            assert!(conf.ports().len() <= conf::MAX_PORTS + 1);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
