//! The counterpart of the reader, for what goes over a network: big-endian (`src/common/pack.c`).

/// Puts the length of `bytes` before them.
pub fn mem(to: &mut Vec<u8>, bytes: &[u8]) {
    to.extend_from_slice(&length(bytes.len()).to_be_bytes());
    to.extend_from_slice(bytes);
}

/// A text with the NUL that its length counts.
pub fn text(to: &mut Vec<u8>, text: &[u8]) {
    to.extend_from_slice(&length(text.len().saturating_add(1)).to_be_bytes());
    to.extend_from_slice(text);
    to.push(0);
}

/// As it goes over the wire. What could not be said in 32 bits is said wrongly, and then refused.
pub fn length(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
