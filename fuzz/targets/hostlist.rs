//! Host lists of slurm.conf. First line: a name; the rest: a list.
#![no_main]
#![forbid(unsafe_code)]

use libfuzzer_sys::fuzz_target;
use proto::hostlist;

fuzz_target!(|text: &str| {
    let (name, list) = text.split_once('\n').unwrap_or(("node1", text));
    let Ok(count) = hostlist::count(list) else {
        return;
    };
    // What can be counted can be searched.
    if let Some(index) = hostlist::position(list, name).expect("a list that could be counted") {
        assert!(index < count, "position {index} of {count}");
        let found = hostlist::nth_or_last(list, index).expect("a list that could be counted");
        assert_eq!(found.as_deref(), Some(name));
    }
    let last = hostlist::nth_or_last(list, u64::MAX).expect("a list that could be counted");
    assert_eq!(last.is_some(), count > 0);
});
