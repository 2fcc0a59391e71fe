//! Which processes slurmd or a slurmstepd has started.

use std::collections::HashMap;

use sys::ProcessStatus;

use crate::sweep::whose::Whose;

/// The beginnings of the names of Slurm's daemons on a node.
const DAEMONS: [&str; 2] = ["slurmd", "slurmstepd"];

/// Who has started whom.
#[derive(Debug, Default)]
pub(super) struct Ancestry {
    parents: HashMap<u32, u32>,
    /// Whether slurmd or a slurmstepd is among the parents of a process, or is that process, as far as is known.
    leads: HashMap<u32, bool>,
}

impl Ancestry {
    /// Adds a process.
    pub(super) fn add(&mut self, pid: u32, status: &ProcessStatus, whose: &Whose) {
        self.parents.insert(pid, status.parent);
        let is_named = |name: &str| DAEMONS.iter().any(|it| name.starts_with(it));
        // Whoever may start sudo can give it that name, but not its file.
        if is_named(&status.name) && whose.is_slurms(status.uids) {
            let program = std::fs::read_link(format!("/proc/{pid}/exe"));
            let program = program.unwrap_or_default();
            let name = program.file_name().unwrap_or_default().to_string_lossy();
            if is_named(&name) {
                self.leads.insert(pid, true);
            }
        }
    }

    /// Whether slurmd or a slurmstepd is among the parents. Looks at each process once: there may be long chains.
    pub(super) fn leads_to_slurm(&mut self, pid: i32) -> bool {
        let (mut at, mut below) = (pid as u32, Vec::new());
        let leads = loop {
            // One that is met again: what was read while processes ended may be a ring.
            if let Some(leads) = self.leads.get(&at) {
                break *leads;
            }
            self.leads.insert(at, false);
            below.push(at);
            match self.parents.get(&at) {
                Some(parent) => at = *parent,
                None => break false,
            }
        };
        self.leads.extend(below.into_iter().map(|it| (it, leads)));
        leads
    }
}

#[cfg(test)]
mod tests {
    use check::host::tree::Tree;
    use check::host::users::Ordinary;

    use super::*;

    #[test]
    fn what_slurm_has_started_is_no_stray() {
        let status = |name: &str, parent, uids| ProcessStatus {
            name: name.into(),
            parent,
            uids,
            is_stopped: false,
        };
        let whose = Whose::read(&Tree::live(), Ordinary { first: 0 }, 0);
        let mut ancestry = Ancestry::default();
        for (pid, parent) in [(2, 1), (3, 2), (4, 3), (5, 6), (6, 5), (7, 99)] {
            ancestry.add(pid, &status("x", parent, [2001; 3]), &whose);
        }
        // As a file of slurmd's would have it.
        ancestry.leads.insert(2, true);
        let leads = [2, 3, 4, 5, 6, 7].map(|it| ancestry.leads_to_slurm(it));
        assert_eq!(leads, [true, true, true, false, false, false]);
        // This test's file is another.
        let own = std::process::id();
        ancestry.add(own, &status("slurmd", 1, [0; 3]), &whose);
        assert!(!ancestry.leads_to_slurm(own as i32));
    }
}
