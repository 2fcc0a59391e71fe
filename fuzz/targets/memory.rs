//! Files that earlier logins left: the remembered node, and the owners of sockets. Both as they are, and
//! with the checksums that no fuzzer finds.
#![no_main]
#![forbid(unsafe_code)]

use adopt::fuzzing::{cache, owners, sealed_memo, sealed_owner};
use libfuzzer_sys::fuzz_target;

/// Bytes of an owner's record before its checksum: seven words.
const PLACES: usize = 56;
const RECORD: usize = PLACES + 8;

fuzz_target!(|bytes: &[u8]| {
    // Everything is read: writing it again gives the same bytes.
    let sealed = sealed_memo(bytes);
    if let Some(written) = cache(&sealed) {
        assert_eq!(written, sealed);
    }
    if let Some(written) = cache(bytes) {
        assert_eq!(written, bytes);
    }

    // As they are: only good records come out.
    assert!(owners(bytes).len() <= bytes.len());
    let records = bytes.chunks_exact(PLACES).map(sealed_owner);
    let records: Vec<_> = records.collect();
    let good: Vec<_> = records.iter().filter(|it| is_good(it)).collect();
    // The last record of a socket counts.
    let last = |record: &[u8]| good.iter().rfind(|it| it[..40] == record[..40]);
    let expected: Vec<u8> = good
        .iter()
        .filter_map(|it| last(it))
        .copied()
        .flatten()
        .copied()
        .collect();
    let whole = records.concat();
    assert_eq!(owners(&whole), expected);
    // A torn write loses only the last record.
    if let Some(torn) = whole.len().checked_sub(1) {
        let lost = good.len() - usize::from(records.last().is_some_and(|it| is_good(it)));
        assert_eq!(owners(&whole[..torn]).len(), lost * RECORD);
    }
});

/// Whether uid and protocol version are in range.
fn is_good(record: &[u8]) -> bool {
    let word = |at: usize| u64::from_ne_bytes(record[at..at + 8].try_into().expect("eight"));
    u32::try_from(word(40)).is_ok() && (1..=0xFFFF).contains(&word(48))
}
