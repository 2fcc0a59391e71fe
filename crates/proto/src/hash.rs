//! The payload that binds a credential to its message.
//!
//! Source: Slurm 20.11.9 to 26.05, `src/common/slurm_protocol_api.c` (`_check_hash`) and
//! `src/plugins/hash`.

use k12::CustomRefKt128;
use k12::digest::{ExtendableOutput, Update, XofReader};

use crate::version::Version;

/// `HASH_PLUGIN_NONE`: the message's type stands for its hash.
const NONE: u8 = 1;
/// `HASH_PLUGIN_K12`: KangarooTwelve.
const K12: u8 = 2;
const LONGEST: usize = 33;

/// The payload of a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Payload {
    bytes: [u8; LONGEST],
    length: usize,
}

impl Payload {
    fn new(bytes: &[u8]) -> Self {
        let mut payload = Self {
            bytes: [0; LONGEST],
            length: bytes.len().min(LONGEST),
        };
        for (to, from) in payload.bytes.iter_mut().zip(bytes) {
            *to = *from;
        }
        payload
    }

    /// Its bytes: 3, or 33 with a hash.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

/// Makes the payload for a message that we send: `version` is the one in its header, `message` its
/// type, `body` the bytes after the credential.
///
/// Without a hash ([`Version::binds_payload_hash`]) it is the type in the byte order of this host:
/// servers compare it as it is in their memory. 20.11.9, 21.08.8 and builds with their fix refuse
/// everything else.
#[must_use]
pub fn payload(version: Version, message: u16, body: &[u8]) -> Payload {
    if version.binds_payload_hash() {
        return k12(message, body);
    }
    let [first, second] = message.to_ne_bytes();
    Payload::new(&[NONE, first, second])
}

/// Whether the credential of an answer was made for this answer.
///
/// Without a hash, the payload must be the type in either byte order, or empty, as 19.05 and
/// 20.02 leave it.
#[must_use]
pub fn payload_matches(version: Version, message: u16, body: &[u8], payload: &[u8]) -> bool {
    if version.binds_payload_hash() {
        return payload == k12(message, body).as_bytes();
    }
    match payload {
        [] => true,
        [NONE, message_type @ ..] => {
            message_type == message.to_be_bytes() || message_type == message.to_le_bytes()
        }
        _ => false,
    }
}

/// The body's KangarooTwelve in 32 bytes; the message's type is the customization string.
fn k12(message: u16, body: &[u8]) -> Payload {
    let customization = message.to_be_bytes();
    let mut hasher = CustomRefKt128::new_customized(&customization);
    hasher.update(body);
    let mut bytes = [K12; LONGEST];
    let [_, hash @ ..] = &mut bytes;
    hasher.finalize_xof().read(hash);
    Payload::new(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const K12_OF_NOTHING: &str = "1ac2d450fc3b4205d19da7bfca1b37513c0803577ac7167f06fe2ce1f0ef39e5";

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The vectors of RFC 9861, section 5, that are as short as a message.
    #[test]
    fn k12_gives_the_hashes_of_the_rfc() {
        fn k12(message: &[u8], customization: &[u8]) -> String {
            let mut hasher = CustomRefKt128::new_customized(customization);
            hasher.update(message);
            let mut hash = [0; 32];
            hasher.finalize_xof().read(&mut hash);
            hex(&hash)
        }
        let pattern = |length: u8| (0..length).collect::<Vec<u8>>();
        assert_eq!(k12(b"", b""), K12_OF_NOTHING);
        assert_eq!(
            k12(&pattern(17), b""),
            "6bf75fa2239198db4772e36478f8e19b0f371205f6a9a93a273f51df37122888"
        );
        assert_eq!(
            k12(b"", &pattern(1)),
            "fab658db63e94a246188bf7af69a133045f46ee984c56e3c3328caaf1aa1a583"
        );
    }

    #[test]
    fn up_to_21_08_the_payload_is_the_type_in_native_order() {
        let native = 5035_u16.to_ne_bytes();
        for version in [
            Version::V19_05,
            Version::V20_02,
            Version::V20_11,
            Version::V21_08,
        ] {
            let payload = payload(version, 5035, b"body");
            assert_eq!(payload.as_bytes(), [1, native[0], native[1]]);
        }
    }

    #[test]
    fn a_payload_matches_only_its_message() {
        const OLD: Version = Version::V21_08;
        const NEW: Version = Version::V22_05;
        let hash = payload(NEW, 5036, b"body");
        assert_eq!(hash.as_bytes().len(), 33);
        assert_eq!(hash.as_bytes().first(), Some(&2));
        let other = payload(NEW, 5036, b"bodY");
        let of_the_question = payload(NEW, 5035, b"body");
        let table: &[(Version, &[u8], bool)] = &[
            (NEW, hash.as_bytes(), true),
            (NEW, other.as_bytes(), false),
            (NEW, of_the_question.as_bytes(), false),
            (NEW, &hash.as_bytes()[..32], false),
            (NEW, &[1, 0x13, 0xAC], false),
            (NEW, &[1, 0xAC, 0x13], false),
            (NEW, &[], false),
            (OLD, &[1, 0x13, 0xAC], true),
            (OLD, &[1, 0xAC, 0x13], true),
            (OLD, &[], true),
            (OLD, &[1, 0x13, 0xAB], false),
            (OLD, &[1, 0x13], false),
            (OLD, &[1], false),
            (OLD, &[2, 0x13, 0xAC], false),
            (OLD, hash.as_bytes(), false),
        ];
        for (version, payload, expected) in table {
            assert_eq!(
                payload_matches(*version, 5036, b"body", payload),
                *expected,
                "{version} {}",
                hex(payload)
            );
        }
    }
}
