//! Names of files in the spool directory.
#![no_main]
#![forbid(unsafe_code)]

use libfuzzer_sys::fuzz_target;
use proto::socket_name::extern_step_job;

fuzz_target!(|name: &[u8]| {
    if let Some(job) = extern_step_job(name, "node1") {
        // Only numbers and dots follow the node's name.
        let text = std::str::from_utf8(name).expect("ASCII");
        let rest = text.strip_prefix("node1_").expect("ours");
        let (digits, step) = rest.split_once('.').expect("job.step");
        assert_eq!(digits.parse(), Ok(job));
        assert!(
            step.bytes()
                .all(|byte| byte.is_ascii_digit() || byte == b'.')
        );
    }
});
