//! Variables in the block that execve(2) passes on: NAME=VALUE, each ended by a NUL.

/// One variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Variable {
    /// Its name: capitals, digits and underscores.
    pub name: String,
    /// Its value: text without control characters.
    pub value: String,
}

/// Limit for all of a job's variables, as a block.
pub(crate) const MOST: usize = 1 << 16;
/// Limit for one of them. The longest that Slurm sets are lists of nodes.
const LONGEST: usize = 1 << 13;

/// Limit for their number. Slurm sets some 100; sshd ends a login of 1000 variables (OpenSSH 8.4 to 10.6, misc.c:
/// `child_set_env`).
const MOST_VARIABLES: usize = 400;

/// The variables with wanted names, as far as they are text, and together not too long and not too many. Of several
/// with one name the first, as getenv(3) has it.
pub(crate) fn variables(block: &[u8], is_wanted: fn(&str) -> bool) -> Vec<Variable> {
    let mut all: Vec<Variable> = Vec::new();
    let mut left = MOST;
    for entry in block.split(|sign| *sign == 0) {
        if all.len() == MOST_VARIABLES {
            break;
        }
        let Some(variable) = variable(entry).filter(|it| is_wanted(&it.name)) else {
            continue;
        };
        if all.iter().any(|it| it.name == variable.name) || entry.len() >= left {
            continue;
        }
        left -= entry.len() + 1;
        all.push(variable);
    }
    all
}

fn variable(entry: &[u8]) -> Option<Variable> {
    if entry.len() > LONGEST {
        return None;
    }
    let text = std::str::from_utf8(entry).ok()?;
    let (name, value) = text.split_once('=')?;
    let is_plain = |it: u8| it.is_ascii_uppercase() || it.is_ascii_digit() || it == b'_';
    let is_name =
        name.starts_with(|it: char| it.is_ascii_uppercase()) && name.bytes().all(is_plain);
    let is_good = is_name && !value.contains(char::is_control);
    is_good.then(|| Variable {
        name: name.to_owned(),
        value: value.to_owned(),
    })
}

/// The variables as a block.
pub(crate) fn block(variables: &[Variable]) -> Vec<u8> {
    let mut block = Vec::new();
    for Variable { name, value } in variables {
        for part in [name, "=", value, "\0"] {
            block.extend(part.as_bytes());
        }
    }
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(block: &[u8]) -> Vec<String> {
        let all = variables(block, |name| name.starts_with("SLURM") || name == "TMPDIR");
        let text = all.iter().map(|it| format!("{}={}", it.name, it.value));
        text.collect()
    }

    #[test]
    fn names_and_values_that_are_taken() {
        for (entry, is_taken) in [
            ("SLURM_JOB_NAME=a b", true),
            ("SLURM_JOB_NAME=", true),
            ("SLURM_JOB_NAME=a=b=c", true),
            ("SLURM_JOB_NAME=\u{fc}", true),
            ("SLURM_1=x", true),
            ("TMPDIR=/tmp/x", true),
            ("PATH=/bin", false),
            ("LD_PRELOAD=/x.so", false),
            ("SLURM_JOB_NAME", false),
            ("=SLURM_JOB_NAME", false),
            ("SLURM_x=1", false),
            ("SLURM-X=1", false),
            ("SLURM_X%%=() { :;}", false),
            ("SLURM_JOB_NAME=a\nLD_PRELOAD=/x.so", false),
            ("SLURM_JOB_NAME=\u{1b}[2J", false),
            ("SLURM_JOB_NAME=\u{9b}2J", false),
            ("SLURM_JOB_NAME=\t", false),
            ("", false),
        ] {
            let found = read(format!("X=1\0{entry}\0Y=1\0").as_bytes());
            let expected: &[&str] = if is_taken { &[entry] } else { &[] };
            assert_eq!(found, expected, "{entry:?}");
        }
        assert!(read(b"SLURM_JOB_NAME=\xff\0").is_empty());
        assert_eq!(
            read(b"SLURM_A=1\0SLURM_B=2\0SLURM_A=3"),
            ["SLURM_A=1", "SLURM_B=2"]
        );
    }

    #[test]
    fn no_more_than_fits() {
        let long = |length| format!("SLURM_A={}", "x".repeat(length - 8));
        assert_eq!(read(long(LONGEST).as_bytes()), [long(LONGEST)]);
        assert!(read(long(LONGEST + 1).as_bytes()).is_empty());
        let value = "x".repeat(1000);
        let many: String = (0..1000)
            .map(|it| format!("SLURM_{it}={value}\0"))
            .collect();
        let found = variables(many.as_bytes(), |_| true);
        let again = block(&found);
        assert!(again.len() <= MOST && again.len() > MOST - 1020);
        assert!(many.as_bytes().starts_with(&again));
        assert_eq!(variables(&again, |_| true), found);
    }

    /// sshd ends a login that has too many, and each one is compared with those before.
    #[test]
    fn no_more_variables_than_sshd_takes() {
        let many: String = (0..40_000).map(|it| format!("SLURM_{it}=\0")).collect();
        let found = variables(many.as_bytes(), |_| true);
        assert_eq!(found.len(), MOST_VARIABLES);
    }
}
