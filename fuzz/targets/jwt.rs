//! Tokens, the JSON in them, key sets, and a SACK socket's answers.
#![no_main]
#![forbid(unsafe_code)]

use base64ct::{Base64UrlUnpadded, Encoding};
use libfuzzer_sys::fuzz_target;
use proto::Version;
use proto::jwt::{NewClaims, claims, keys, sign, verify};
use proto::sack::{LONGEST, created_length, read_created, read_verified};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = std::str::from_utf8(bytes) {
        token(text);
        let new = NewClaims {
            issued: 1,
            expires: 2,
            version: Version::V26_05,
            restricted_to: 3,
            cluster: text,
            uid: 4,
            gid: 5,
            host: text,
            payload: bytes,
        };
        let ours = sign(Some(text), &new, bytes);
        assert!(verify(&ours, bytes));
        // A longer token may be too long to read.
        if bytes.len() < 4096 {
            let read = claims(&ours).expect("ours");
            assert_eq!((read.uid, read.restricted_to, read.expires), (4, 3, 2));
            assert_eq!(
                (read.payload.as_slice(), read.key_id.as_deref()),
                (bytes, Some(text))
            );
        }
    }
    // libFuzzer does not find base64 by itself.
    let part = Base64UrlUnpadded::encode_string(bytes);
    token(&format!("{part}.e30.e30"));
    token(&format!("eyJhbGciOiJIUzI1NiJ9.{part}.e30"));
    match keys(bytes) {
        Ok(keys) => assert!(keys.len() <= bytes.len()),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    if let Ok(Some(length)) = created_length(bytes) {
        assert!(length > 4 && length <= LONGEST);
    }
    if let Ok(created) = read_created(bytes) {
        assert!(!created.contains('\0'));
        token(created);
    }
    assert_eq!(read_verified(bytes).is_ok(), bytes.len() == 4);
});

fn token(text: &str) {
    match claims(text) {
        Ok(claims) => assert!(claims.payload.len() < text.len()),
        Err(error) => assert!(!error.to_string().chars().any(char::is_control)),
    }
    assert!(!verify(text, b"a key"));
}
