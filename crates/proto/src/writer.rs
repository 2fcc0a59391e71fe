//! The counterpart of the reader for big-endian messages (`src/common/pack.c`).

/// Appends the length of `bytes` and the bytes.
pub fn mem(to: &mut Vec<u8>, bytes: &[u8]) {
    to.extend_from_slice(&length(bytes.len()).to_be_bytes());
    to.extend_from_slice(bytes);
}

/// Appends a string and its NUL, with a length that counts both.
pub fn text(to: &mut Vec<u8>, text: &[u8]) {
    to.extend_from_slice(&length(text.len().saturating_add(1)).to_be_bytes());
    to.extend_from_slice(text);
    to.push(0);
}

/// A length as sent over the wire. A length beyond 32 bits is sent as a wrong one, which the peer
/// refuses.
pub fn length(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
