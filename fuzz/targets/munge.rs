//! munged's answers.
#![no_main]
#![forbid(unsafe_code)]

use libfuzzer_sys::fuzz_target;
use proto::munge::{HEADER, LONGEST, MungeError, decode_request};
use proto::munge::{message_length, read_decoded, read_encoded};

fuzz_target!(|message: &[u8]| {
    match message_length(message) {
        Ok(None) => assert!(message.len() < HEADER),
        Ok(Some(length)) => assert!((HEADER..=LONGEST).contains(&length)),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    match read_encoded(message) {
        Ok(credential) => {
            assert!(!credential.contains(&0));
            assert!(decode_request(credential).len() > credential.len());
        }
        Err(error) => check(&error),
    }
    match read_decoded(message) {
        Ok(decoded) => assert!(message.ends_with(decoded.payload)),
        Err(error) => check(&error),
    }
});

/// Checks that the text for the log is one line.
fn check(error: &MungeError) {
    assert!(!error.to_string().chars().any(char::is_control));
}
