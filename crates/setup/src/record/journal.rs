//! journal.json: what a record says of its changes. The contents are beside it, in `before` and `after`, by their places.

use std::fmt::{self, Write as _};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::change::Content;
use crate::files::{Attribute, State};
use crate::plan::Command;
use crate::record::Progress;

/// The format's number.
const FORMAT: u32 = 2;
/// The format before, without digests: records of it are still undone.
const WITHOUT_DIGESTS: u32 = 1;

#[derive(Serialize, Deserialize)]
pub(super) struct Journal {
    pub format: u32,
    /// The version of the program that wrote it.
    pub program: String,
    /// Digest of the journal itself, with this field empty.
    #[serde(default)]
    pub digest: String,
    pub progress: Progress,
    pub undoes: Vec<u32>,
    pub left: Vec<PathBuf>,
    pub directories: Vec<PathBuf>,
    pub changes: Vec<Row>,
    pub commands: Vec<Run>,
}

/// A change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Row {
    pub place: PathBuf,
    pub why: String,
    pub before: Option<Kept>,
    pub after: Option<Kept>,
}

/// What a record says of a content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kept {
    File {
        mode: u32,
        uid: u32,
        gid: u32,
        attributes: Vec<Attribute>,
        modified: Option<(i64, i64)>,
        /// Digest of its bytes.
        #[serde(default)]
        digest: Option<String>,
    },
    Link {
        target: PathBuf,
    },
}

#[derive(Serialize, Deserialize)]
pub(super) struct Run {
    program: String,
    arguments: Vec<String>,
    why: String,
}

/// The reason why a journal cannot be used.
#[derive(Debug)]
pub(super) enum Fault {
    Json(serde_json::Error),
    Format { format: u32, program: String },
    Altered,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(error) => error.fmt(f),
            Self::Format { format, program } => write!(
                f,
                "format {format}, of slurm-adopt {program}; this one knows {FORMAT}"
            ),
            Self::Altered => f.write_str("it is not as slurm-adopt wrote it (its digest differs)"),
        }
    }
}

impl Journal {
    /// Reads a journal.
    pub fn of(text: &[u8]) -> Result<Self, Fault> {
        let mut journal: Self = serde_json::from_slice(text).map_err(Fault::Json)?;
        if ![FORMAT, WITHOUT_DIGESTS].contains(&journal.format) {
            return Err(Fault::Format {
                format: journal.format,
                program: journal.program,
            });
        }
        let told = std::mem::take(&mut journal.digest);
        let own = journal.digest().map_err(Fault::Json)?;
        match journal.format == WITHOUT_DIGESTS || told == own {
            true => Ok(journal),
            false => Err(Fault::Altered),
        }
    }

    /// The text of a journal, with its digest.
    pub fn text(mut self) -> serde_json::Result<Vec<u8>> {
        self.format = FORMAT;
        env!("CARGO_PKG_VERSION").clone_into(&mut self.program);
        self.digest = String::new();
        self.digest = self.digest()?;
        let mut text = serde_json::to_vec_pretty(&self)?;
        text.push(b'\n');
        Ok(text)
    }

    fn digest(&self) -> serde_json::Result<String> {
        Ok(digest(&serde_json::to_vec(self)?))
    }
}

impl Kept {
    pub fn of(state: &State) -> Self {
        match &state.content {
            Content::Link { target } => Self::Link {
                target: target.clone(),
            },
            Content::File {
                bytes,
                mode,
                uid,
                gid,
            } => Self::File {
                mode: *mode,
                uid: *uid,
                gid: *gid,
                attributes: state.attributes.clone(),
                modified: state.modified,
                digest: Some(digest(bytes)),
            },
        }
    }

    /// Whether these are the bytes that were kept. Records of the first format do not tell.
    pub fn fits(&self, bytes: &[u8]) -> bool {
        match self {
            Self::File {
                digest: Some(own), ..
            } => *own == digest(bytes),
            _ => true,
        }
    }

    /// Whether the bytes can be told from others.
    pub fn has_digest(&self) -> bool {
        matches!(
            self,
            Self::File {
                digest: Some(_),
                ..
            }
        )
    }

    /// The state with these bytes; a link has none.
    pub fn state(self, bytes: Vec<u8>) -> State {
        match self {
            Self::Link { target } => State::new(Content::Link { target }),
            Self::File {
                mode,
                uid,
                gid,
                attributes,
                modified,
                ..
            } => State {
                content: Content::File {
                    bytes,
                    mode,
                    uid,
                    gid,
                },
                attributes,
                modified,
            },
        }
    }
}

impl From<&Command> for Run {
    fn from(command: &Command) -> Self {
        let Command {
            program,
            arguments,
            why,
        } = command.clone();
        Self {
            program,
            arguments,
            why,
        }
    }
}

impl From<Run> for Command {
    fn from(run: Run) -> Self {
        Self {
            program: run.program,
            arguments: run.arguments,
            why: run.why,
        }
    }
}

/// SHA-256 in hexadecimal digits, as sha256sum(1) prints it.
fn digest(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in Sha256::digest(bytes) {
        let _ = write!(text, "{byte:02x}");
    }
    text
}
