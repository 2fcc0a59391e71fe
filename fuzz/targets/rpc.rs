//! A slurmd's answers over TCP.
#![no_main]
#![forbid(unsafe_code)]

use libfuzzer_sys::fuzz_target;
use proto::hash::{payload, payload_matches};
use proto::rpc::{Auth, FrameError, LONGEST_FRAME, caller_id_request};
use proto::rpc::{frame_length, read_reply};
use proto::{DecodeError, Version};

/// Error for a request that is read as a reply: REQUEST_NETWORK_CALLERID.
const IS_A_QUESTION: DecodeError = DecodeError::Value {
    field: "message type",
    value: 5035,
};

fuzz_target!(|answer: &[u8]| {
    match frame_length(answer) {
        Ok(None) => assert!(answer.len() < 4),
        Ok(Some(length)) => assert!(length > 4 && length <= LONGEST_FRAME),
        Err(FrameError::Http) => assert!(answer.starts_with(b"HTTP")),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    match read_reply(answer) {
        Ok(reply) => {
            assert!(reply.version >= Version::OLDEST && answer.ends_with(reply.body));
            let number = reply.message.number();
            let good = payload(reply.version, number, reply.body);
            assert!(payload_matches(
                reply.version,
                number,
                reply.body,
                good.as_bytes()
            ));
            if let Some(auth) = reply.credential {
                let credential = match auth {
                    Auth::Munge(bytes) => bytes,
                    Auth::Slurm(token) => token.as_bytes(),
                };
                assert!(!credential.contains(&0));
                let request = caller_id_request(reply.version, auth, &[0; 52]);
                assert_eq!(
                    frame_length(&request).is_ok(),
                    request.len() <= LONGEST_FRAME
                );
                // Requests and replies have the same header, so the request is read up to its type.
                assert_eq!(read_reply(&request), Err(IS_A_QUESTION));
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
