//! The one bounded reader through which bytes of a peer go.

use std::fmt;

/// An answer that is not what the protocol says; names the field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DecodeError {
    /// The bytes end within this field.
    Short {
        /// The field, in the protocol's words.
        field: &'static str,
    },
    /// The field has a value that the protocol does not know.
    Value {
        /// The field, in the protocol's words.
        field: &'static str,
        /// What it says.
        value: i64,
    },
    /// Bytes are left over after the last field.
    Trailing {
        /// How many.
        count: usize,
    },
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short { field } => write!(f, "the answer ends within «{field}»"),
            Self::Value { field, value } => write!(f, "«{field}» can't be {value}"),
            Self::Trailing { count } => write!(f, "{count} bytes follow the answer"),
        }
    }
}

/// Takes fixed-width fields in native byte order (slurmstepd's Unix socket) off the front.
#[derive(Debug)]
pub struct Reader<'bytes> {
    rest: &'bytes [u8],
}

impl<'bytes> Reader<'bytes> {
    /// Reads from the start of `bytes`.
    #[must_use]
    pub fn new(bytes: &'bytes [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Takes an `i32`.
    ///
    /// # Errors
    /// [`DecodeError::Short`].
    pub fn i32(&mut self, field: &'static str) -> Result<i32, DecodeError> {
        self.array(field).map(i32::from_ne_bytes)
    }

    /// Takes a `u32`.
    ///
    /// # Errors
    /// [`DecodeError::Short`].
    pub fn u32(&mut self, field: &'static str) -> Result<u32, DecodeError> {
        self.array(field).map(u32::from_ne_bytes)
    }

    /// Checks that nothing is left.
    ///
    /// # Errors
    /// [`DecodeError::Trailing`].
    pub fn end(self) -> Result<(), DecodeError> {
        match self.rest.len() {
            0 => Ok(()),
            count => Err(DecodeError::Trailing { count }),
        }
    }

    fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], DecodeError> {
        let (head, rest) = self
            .rest
            .split_first_chunk()
            .ok_or(DecodeError::Short { field })?;
        self.rest = rest;
        Ok(*head)
    }
}
