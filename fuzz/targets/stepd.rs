//! A slurmstepd's answers.
#![no_main]
#![forbid(unsafe_code)]

use libfuzzer_sys::fuzz_target;
use proto::stepd::{ADOPT_ANSWER, OWNER_ANSWER, X11_ANSWER, read_adopted, read_owner, read_x11};

fuzz_target!(|answer: &[u8]| {
    match read_owner(answer) {
        Ok(owner) => {
            assert_eq!(answer.len(), OWNER_ANSWER);
            assert!(owner.version > 0 && owner.uid != u32::MAX);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    match read_adopted(answer) {
        Ok(()) => assert!(answer.len() == ADOPT_ANSWER && answer[..4] == [0; 4]),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    match read_x11(answer) {
        Ok(x11) => assert!(answer.len() == X11_ANSWER && x11.authority <= 4096),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
