//! The user whose a process is.
//!
//! Root's daemons act for users, and users act through set-user-ID programs: of all three uids (real, effective, saved) each
//! must be a person's. Then the real one counts, because a file of another user's with the set-user-ID bit would else hide a
//! process from both.
//!
//! In a user namespace, such as that of a rootless container, a process may have any uid of those that subuid(5) gives to
//! its user: the maker of the namespace counts, ioctl_nsfs(2). Root makes containers too (systemd-nspawn, userns-remap of
//! Docker): there uids that subuid(5) or systemd gives to containers are nobody's, even if that gives them to a user too.

use std::ops::{Range, RangeInclusive};

use check::host::tree::Tree;
use check::host::users::{Ordinary, users};

/// The uids that systemd gives to containers (`docs/UIDS-GIDS.md`).
const CONTAINERS: RangeInclusive<u32> = 524_288..=1_879_048_191;

/// Tells whose a process is.
#[derive(Debug)]
pub struct Whose {
    ordinary: Ordinary,
    /// SlurmdUser's uid.
    slurmd: u32,
    /// Uids for containers, and the uid of the user who has them; None if the user is not in /etc/passwd.
    subuids: Vec<(Range<u32>, Option<u32>)>,
}

impl Whose {
    /// By login.defs(5), subuid(5) and passwd(5) of this tree. `slurmd` is SlurmdUser's uid.
    #[must_use]
    pub fn read(tree: &Tree, ordinary: Ordinary, slurmd: u32) -> Self {
        let [subuid, passwd] =
            ["/etc/subuid", "/etc/passwd"].map(|it| tree.text(it).unwrap_or_default());
        Self {
            ordinary,
            slurmd,
            subuids: subuids(&subuid, &passwd),
        }
    }

    /// Whether any of the uids is a person's, or of a container.
    #[must_use]
    pub fn may_be_users(&self, uids: [u32; 3]) -> bool {
        uids.iter().any(|it| self.ordinary.has(*it))
    }

    /// Whether a process with these uids may be one of Slurm's.
    #[must_use]
    pub fn is_slurms(&self, uids: [u32; 3]) -> bool {
        uids == [0; 3] || uids == [self.slurmd; 3]
    }

    /// The user of a process with these uids, real, effective and saved. `maker` is that of its user namespace, if it is
    /// another than ours.
    #[must_use]
    pub fn user(&self, uids: [u32; 3], maker: Option<u32>) -> Option<u32> {
        if let Some(maker) = maker.filter(|it| self.ordinary.has(*it)) {
            // Its own container: it is not a user's if a user has made one in a container of root's.
            return self.sub(maker).unwrap_or(Some(maker));
        }
        let [real, ..] = uids;
        if !uids.iter().all(|it| self.ordinary.has(*it)) {
            return None;
        }
        match (self.sub(real), maker) {
            (Some(_), Some(_)) => None,
            (None, Some(_)) if CONTAINERS.contains(&real) => None,
            (Some(user), None) => user,
            (None, _) => Some(real),
        }
    }

    /// The user who has this uid for containers, if it is such a uid.
    fn sub(&self, uid: u32) -> Option<Option<u32>> {
        let mut ranges = self.subuids.iter();
        ranges
            .find(|(range, _)| range.contains(&uid))
            .map(|(_, user)| *user)
    }
}

/// The ranges of a subuid(5), with their users.
fn subuids(subuid: &str, passwd: &str) -> Vec<(Range<u32>, Option<u32>)> {
    let range = |line: &str| {
        let mut fields = line.trim().splitn(3, ':');
        let (name, first, count) = (fields.next()?, fields.next()?, fields.next()?);
        let (first, count): (u32, u32) = (first.parse().ok()?, count.parse().ok()?);
        let by_name = || users(passwd).find(|it| it.name == name).map(|it| it.uid);
        // A number is a uid.
        let user = name.parse().ok().or_else(by_name);
        Some((first..first.saturating_add(count), user))
    };
    subuid.lines().filter_map(range).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whose() -> Whose {
        let subuid =
            "alice:100000:65536\n2002:165536:65536\nof-directory:231072:9\n# x\nroot:1000000:9\n";
        let passwd = "root:x:0:0::/:\nalice:x:2001:2001::/:\n";
        Whose {
            ordinary: Ordinary { first: 1000 },
            slurmd: 900,
            subuids: subuids(subuid, passwd),
        }
    }

    #[test]
    fn whose_a_process_is() {
        let whose = whose();
        let (alice, bob) = (Some(2001), Some(2002));
        for (uids, maker, user) in [
            ([2001; 3], None, alice),
            // A daemon that acts for a user, and root's programs that a user has started.
            ([0, 2001, 0], None, None),
            ([2001, 0, 0], None, None),
            ([2001, 2001, 0], None, None),
            ([2001, 2001, 33], None, None),
            // Bob's program, which is to hide alice's process from both.
            ([2001, 2002, 2002], None, alice),
            ([0; 3], None, None),
            // In a container of alice's.
            ([100_005; 3], alice, alice),
            ([2001; 3], alice, alice),
            ([2001, 100_005, 100_005], alice, alice),
            // It was in one.
            ([100_005; 3], None, alice),
            ([165_536; 3], None, bob),
            ([231_073; 3], None, None),
            ([1_000_001; 3], None, Some(0)),
            // A container of root's, with the numbers that alice may use too.
            ([100_005; 3], Some(0), None),
            ([600_000; 3], Some(0), None),
            ([600_000; 3], None, Some(600_000)),
            ([2001; 3], Some(0), alice),
            // A user's container in root's.
            ([231_073; 3], Some(231_073), None),
        ] {
            assert_eq!(whose.user(uids, maker), user, "{uids:?} {maker:?}");
        }
    }

    #[test]
    fn what_may_be_slurms() {
        let whose = whose();
        assert!(whose.is_slurms([0; 3]) && whose.is_slurms([900; 3]));
        assert!(!whose.is_slurms([2001, 0, 0]) && !whose.is_slurms([2001; 3]));
    }
}
