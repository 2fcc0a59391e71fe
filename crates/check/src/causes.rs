//! One cause, one finding: several parts of a set-up may see the same fault at the same place.

use crate::RoomReport;

/// A check that names the cause, and one that sees what follows from it at the same file and line.
struct Pair {
    cause: &'static str,
    follows: &'static str,
}

const PAIRS: &[Pair] = &[
    // A misspelt module; with "sufficient" libpam goes on without it.
    pair("SA010", "SA202"),
    pair("SA010", "SA220"),
    // A carriage return is a part of the module's name, or of an option's value.
    pair("SA201", "SA010"),
    pair("SA204", "SA103"),
    // The module that cannot be loaded uses libslurm, which is what it lacks.
    pair("SA019", "SA013"),
    // A name that no node has, since it is none.
    pair("SA129", "SA104"),
    // A service without a file is not sshd.
    pair("SA222", "SA107"),
    // A switch that is neither yes nor no is not on.
    pair("SA421", "SA425"),
    // The same directory, by slurm.conf and as the module sees it.
    pair("SA436", "SA526"),
];

const fn pair(cause: &'static str, follows: &'static str) -> Pair {
    Pair { cause, follows }
}

/// Takes out the findings whose cause is found too, at the same place.
pub(crate) fn keep_causes(rooms: &mut [RoomReport]) {
    let places = rooms.iter().flat_map(|room| &room.findings);
    let places = places.filter_map(|it| {
        let spot = it.spot.as_ref()?;
        Some((it.check.id, (spot.file.clone(), spot.line)))
    });
    let found: Vec<_> = places.collect();
    let is_found = |id: &str, place: &(String, Option<usize>)| {
        found.iter().any(|(it, at)| *it == id && at == place)
    };
    for room in rooms {
        room.findings.retain(|finding| {
            let Some(spot) = &finding.spot else {
                return true;
            };
            let place = (spot.file.clone(), spot.line);
            let mut pairs = PAIRS.iter().filter(|it| it.follows == finding.check.id);
            !pairs.any(|it| is_found(it.cause, &place))
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::named;

    #[test]
    fn all_pairs_are_of_checks() {
        for Pair { cause, follows } in PAIRS {
            assert!(named(cause).is_some() && named(follows).is_some());
            assert_ne!(cause, follows);
        }
    }
}
