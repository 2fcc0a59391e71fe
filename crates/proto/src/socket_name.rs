//! Names of the sockets that slurmstepds leave in the spool directory:
//! `<node>_<job>.<step>` and, from Slurm 20.11 on, `.<het component>` after it.
//!
//! Source: Slurm 19.05 to 26.05, `src/slurmd/slurmstepd/req.c:_domain_socket_create`,
//! `src/common/stepd_api.c`; the step numbers `slurm/slurm.h.in`.

/// Step number of the extern step, 20.11 and later.
const EXTERN: u32 = 0xFFFF_FFFC;
/// Step number of the extern step, 19.05 and 20.02; never another kind of step in any release.
const EXTERN_BEFORE_20_11: u32 = 0xFFFF_FFFF;

/// The parts of the name of a stepd's socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepSocket<'a> {
    /// The node's name, as slurmd knows it.
    pub node: &'a [u8],
    /// The job's number.
    pub job: u32,
    /// Whether it is the job's extern step.
    pub is_extern: bool,
}

/// Parses the name of any step's socket on any node; a node's name may have dots and underscores.
#[must_use]
pub fn step_socket(file_name: &[u8]) -> Option<StepSocket<'_>> {
    let end = file_name.iter().rposition(|byte| *byte == b'_')?;
    let (node, numbers) = (&file_name[..end], &file_name[end + 1..]);
    let (job, rest) = number(numbers)?;
    let (step, mut rest) = number(rest.strip_prefix(b".")?)?;
    if let Some(het_component) = rest.strip_prefix(b".") {
        (_, rest) = number(het_component)?;
    }
    (rest.is_empty() && !node.is_empty()).then_some(StepSocket {
        node,
        job,
        is_extern: matches!(step, EXTERN | EXTERN_BEFORE_20_11),
    })
}

/// The job whose extern step the socket belongs to, if it is one on `node`.
///
/// The node's name is compared byte by byte (SchedMD's module puts it into a regular expression);
/// numbers are plain decimals of 32 bits.
#[must_use]
pub fn extern_step_job(file_name: &[u8], node: &str) -> Option<u32> {
    let found = step_socket(file_name)?;
    (found.is_extern && found.node == node.as_bytes()).then_some(found.job)
}

/// The number at the start of the text, and the rest after its last digit.
fn number(text: &[u8]) -> Option<(u32, &[u8])> {
    let mut value = 0_u32;
    let mut rest = text;
    while let [digit @ b'0'..=b'9', after @ ..] = rest {
        value = value
            .checked_mul(10)?
            .checked_add(u32::from(digit - b'0'))?;
        rest = after;
    }
    (rest.len() < text.len()).then_some((value, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_any_step_on_any_node_is_parsed() {
        for (file, expected) in [
            ("my_node.1_5.0", Some(("my_node.1", 5, false))),
            ("n_5.4294967291", Some(("n", 5, false))),
            ("n_5.4294967292.0", Some(("n", 5, true))),
            ("_5.4294967292", None),
            ("job00005_x", None),
            ("cred_state.old", None),
        ] {
            let found = step_socket(file.as_bytes());
            let found = found.map(|it| (it.node, it.job, it.is_extern));
            let expected = expected.map(|(node, job, is)| (node.as_bytes(), job, is));
            assert_eq!(found, expected, "{file}");
        }
    }

    #[test]
    fn only_extern_steps_of_this_node_count() {
        let table: &[(&str, &str, Option<u32>)] = &[
            ("node1_5.4294967292", "node1", Some(5)),
            ("node1_5.4294967295", "node1", Some(5)),
            ("node1_7.4294967292.0", "node1", Some(7)),
            ("n.1_4294967295.4294967292", "n.1", Some(u32::MAX)),
            ("my_node_5.4294967292", "my_node", Some(5)),
            ("node1_005.04294967292.00", "node1", Some(5)),
            ("node1_5.4294967291", "node1", None), // batch
            ("node1_5.0", "node1", None),
            ("node1_5.4294967292.x", "node1", None),
            ("node1_5.4294967292.1.2", "node1", None),
            ("node1_5.4294967292.", "node1", None),
            ("node1_5.4294967292.4294967296", "node1", None),
            ("node1_5.4294967292x", "node1", None),
            ("node1_5x.4294967292", "node1", None),
            ("node1_5..4294967292", "node1", None),
            ("node1_5.18446744073709551612", "node1", None), // 4294967292, were it cut to 32 bits
            ("node1_4294967296.4294967292", "node1", None),
            ("node1_.4294967292", "node1", None),
            ("node1_-5.4294967292", "node1", None),
            ("node1_+5.4294967292", "node1", None),
            ("node1_5", "node1", None),
            ("node12_5.4294967292", "node1", None),
            ("nodeX1_5.4294967292", "node.1", None),
            ("node1_5.4294967292", "", None),
            ("cred_state", "node1", None),
            ("", "node1", None),
        ];
        for (file, node, job) in table {
            assert_eq!(
                extern_step_job(file.as_bytes(), node),
                *job,
                "{file} on {node}"
            );
        }
    }
}
