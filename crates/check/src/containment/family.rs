//! The processes that a process has started.

use std::fs;

/// All descendants of a process that are there while this looks.
pub(super) fn descendants(pid: u32) -> Vec<u32> {
    let names = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = names.filter_map(|it| it.file_name().to_str()?.parse().ok());
    let pairs: Vec<(u32, u32)> = pids.filter_map(|pid| Some((pid, parent(pid)?))).collect();
    below(pid, &pairs)
}

fn parent(pid: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|it| it.strip_prefix("PPid:"))?;
    line.trim().parse().ok()
}

/// The descendants, by pairs of a process and its parent.
fn below(pid: u32, pairs: &[(u32, u32)]) -> Vec<u32> {
    let mut found = vec![pid];
    let mut next = 0;
    while let Some(above) = found.get(next).copied() {
        next += 1;
        for (child, parent) in pairs {
            if *parent == above && !found.contains(child) {
                found.push(*child);
            }
        }
    }
    found.split_off(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_and_theirs() {
        let pairs = [(2, 1), (3, 2), (4, 9), (5, 3), (6, 2), (7, 7)];
        assert_eq!(below(2, &pairs), [3, 6, 5]);
        assert!(below(7, &pairs).is_empty(), "no end of looking");
        assert!(below(8, &pairs).is_empty());
    }
}
