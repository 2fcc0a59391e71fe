//! Host lists of slurm.conf. The first line is a name, the rest is a list.
#![no_main]
#![forbid(unsafe_code)]

use std::collections::HashMap;

use libfuzzer_sys::fuzz_target;
use proto::hostlist;

/// Number of names of a list that are checked.
const MOST: u64 = 200;

fuzz_target!(|text: &str| {
    let (name, list) = text.split_once('\n').unwrap_or(("node1", text));
    let Ok(count) = hostlist::count(list) else {
        return;
    };
    let nth = |index| hostlist::nth_or_last(list, index).expect("a list that could be counted");
    let position =
        |name: &str| hostlist::position(list, name).expect("a list that could be counted");
    // A list that can be counted can be searched.
    if let Some(index) = position(name) {
        assert!(index < count, "position {index} of {count}");
        assert_eq!(nth(index).as_deref(), Some(name));
    }
    let last = nth(u64::MAX);
    assert_eq!(last.is_some(), count > 0);
    if let Some(last) = &last {
        assert_eq!(nth(count - 1).as_ref(), Some(last));
        assert!(position(last).is_some(), "{last} in {list}");
    }
    // The position of a name is the first place where it occurs.
    let mut first = HashMap::new();
    for index in 0..count.min(MOST) {
        let name = nth(index).expect("there are so many");
        let place = *first.entry(name.clone()).or_insert(index);
        assert_eq!(position(&name), Some(place), "{name} in {list}");
    }
    // Two joined lists are one after the other.
    let twice = format!("{list},{list}");
    assert_eq!(hostlist::count(&twice).ok(), count.checked_mul(2));
    if count > 0 && count < 1 << 60 {
        assert_eq!(hostlist::nth_or_last(&twice, count), Ok(nth(0)));
    }
});
