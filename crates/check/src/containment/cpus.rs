//! Lists of CPUs as the kernel writes them: `0-3,8`, cpuset(7), FORMATS.

use std::collections::BTreeSet;

/// A set of CPUs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CpuSet(BTreeSet<u32>);

/// More CPUs than any node has: a list that names more is none of the kernel's.
const MOST: usize = 1 << 16;

impl CpuSet {
    /// Parses a list; None if it is not one, or empty.
    pub fn parse(text: &str) -> Option<Self> {
        let mut cpus = BTreeSet::new();
        for range in text.trim().split(',') {
            let (low, high) = range.split_once('-').unwrap_or((range, range));
            let (low, high): (u32, u32) = (low.parse().ok()?, high.parse().ok()?);
            if low > high || (high - low) as usize >= MOST {
                return None;
            }
            cpus.extend(low..=high);
        }
        (cpus.len() <= MOST).then_some(Self(cpus))
    }

    /// The number of CPUs.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The number of CPUs that another set lacks.
    pub fn beyond(&self, other: &Self) -> usize {
        self.0.difference(&other.0).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_the_kernel() {
        for (text, count) in [
            ("0", Some(1)),
            ("0-3\n", Some(4)),
            ("0-1,4,6-7\n", Some(5)),
            ("0,0-1", Some(2)),
            ("", None),
            ("\n", None),
            ("3-1", None),
            ("a", None),
            ("0-", None),
            ("0-4294967295", None),
        ] {
            assert_eq!(CpuSet::parse(text).map(|it| it.count()), count, "{text:?}");
        }
    }

    #[test]
    fn what_another_set_lacks() {
        let set = |text| CpuSet::parse(text).expect("a list");
        assert_eq!(set("0-3").beyond(&set("2-5")), 2);
        assert_eq!(set("2").beyond(&set("2-5")), 0);
    }
}
