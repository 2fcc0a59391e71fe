//! What a user names: a job, and a node of it.

use std::fmt;

/// The beginning of host names that stand for jobs.
pub const PREFIX: &str = "job-";
/// The word for the job that started last.
const LATEST: &str = "latest";

/// A node of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The job.
    pub which: Which,
    /// The node's place in the job's list of nodes, from 0.
    pub node: u32,
}

/// A job, as its user names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// A job, or an array, by its number.
    Number(u32),
    /// A task of an array: the array's number and the task's.
    Task(u32, u32),
    /// A component of a heterogeneous job: its leader's number and the component's.
    Component(u32, u32),
    /// A job's name.
    Name(String),
    /// The job that started last.
    Latest,
}

/// Reason why a text names no job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TargetError {
    /// Nothing stands there.
    Empty,
    /// A number that no job can have.
    TooLarge(String),
}

impl Target {
    /// Parses `job-4711`, `job-4711_3`, `job-4711+1`, each also with `.2` for the third node, `job-NAME` or
    /// `job-latest`. The prefix may be missing.
    ///
    /// # Errors
    /// [`TargetError`].
    pub fn parse(host: &str) -> Result<Self, TargetError> {
        let text = host.strip_prefix(PREFIX).unwrap_or(host);
        if text.is_empty() {
            return Err(TargetError::Empty);
        }
        let (job, node) = match text.split_once('.') {
            Some((job, node)) if is_number(node) => (job, node),
            _ => (text, "0"),
        };
        let Some(numbers) = split(job) else {
            let which = match text {
                LATEST => Which::Latest,
                _ => Which::Name(text.to_owned()),
            };
            return Ok(Self { which, node: 0 });
        };
        let number = |digits: &str| {
            let too_large = |_| TargetError::TooLarge(text.to_owned());
            digits.parse::<u32>().map_err(too_large)
        };
        let which = match numbers {
            (job, None) => Which::Number(number(job)?),
            (array, Some(('_', task))) => Which::Task(number(array)?, number(task)?),
            (leader, Some((_, offset))) => Which::Component(number(leader)?, number(offset)?),
        };
        let node = number(node)?;
        Ok(Self { which, node })
    }

    /// The job of this name, by its first node.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self {
            which: Which::Name(name.to_owned()),
            node: 0,
        }
    }
}

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(job) => write!(f, "job {job}"),
            Self::Task(array, task) => write!(f, "job {array}_{task}"),
            Self::Component(leader, offset) => write!(f, "job {leader}+{offset}"),
            Self::Name(name) => write!(f, "job \"{name}\""),
            Self::Latest => f.write_str("the latest job"),
        }
    }
}

impl fmt::Display for TargetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("no job is named (expected job-NUMBER or job-NAME)"),
            Self::TooLarge(text) => write!(f, "{text}: a number is too large"),
        }
    }
}

impl std::error::Error for TargetError {}

/// A job's number, and the sign and number of a task or component; none if the text is a name.
fn split(text: &str) -> Option<(&str, Option<(char, &str)>)> {
    if is_number(text) {
        return Some((text, None));
    }
    let sign = text.find(['_', '+'])?;
    let (job, part) = (&text[..sign], &text[sign + 1..]);
    let sign = text[sign..].chars().next()?;
    (is_number(job) && is_number(part)).then_some((job, Some((sign, part))))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_names_a_job_and_a_node_of_it() {
        let name = |it: &str| Which::Name(it.to_owned());
        for (host, which, node) in [
            ("job-4711", Which::Number(4711), 0),
            ("4711", Which::Number(4711), 0),
            ("job-4711.2", Which::Number(4711), 2),
            ("job-4711_3", Which::Task(4711, 3), 0),
            ("job-4711_3.1", Which::Task(4711, 3), 1),
            ("job-4711+1", Which::Component(4711, 1), 0),
            ("job-latest", Which::Latest, 0),
            ("job-train", name("train"), 0),
            ("job-train.v2", name("train.v2"), 0),
            // Only a number can be followed by a node.
            ("job-train.2", name("train.2"), 0),
            ("job-4711_x", name("4711_x"), 0),
            ("job-_3", name("_3"), 0),
            ("job-Job-4711", name("Job-4711"), 0),
            ("job--x", name("-x"), 0),
            ("-x", name("-x"), 0),
            ("job-4711.", name("4711."), 0),
        ] {
            let target = Target::parse(host).expect(host);
            assert_eq!(target, Target { which, node }, "{host}");
        }
    }

    #[test]
    fn what_names_no_job_is_refused() {
        assert_eq!(Target::parse("job-"), Err(TargetError::Empty));
        assert_eq!(Target::parse(""), Err(TargetError::Empty));
        let large = "job-99999999999.4";
        assert!(matches!(
            Target::parse(large),
            Err(TargetError::TooLarge(_))
        ));
    }
}
