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
    /// The field is no text that ends with a NUL and has no other.
    Text {
        /// The field, in the protocol's words.
        field: &'static str,
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
            Self::Text { field } => write!(f, "«{field}» is no text"),
            Self::Trailing { count } => write!(f, "{count} bytes follow the answer"),
        }
    }
}

impl DecodeError {
    pub(crate) fn value(field: &'static str, value: impl Into<i64>) -> Self {
        Self::Value {
            field,
            value: value.into(),
        }
    }
}

/// Takes fields off the front: integers in native byte order (slurmstepd's Unix socket), or
/// big-endian ones and what is made of them (`be_`; `src/common/pack.c`, munged).
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

    /// Takes a `u8`.
    ///
    /// # Errors
    /// [`DecodeError::Short`].
    pub fn u8(&mut self, field: &'static str) -> Result<u8, DecodeError> {
        self.array(field).map(u8::from_ne_bytes)
    }

    /// Takes a big-endian `u16`.
    ///
    /// # Errors
    /// [`DecodeError::Short`].
    pub fn be_u16(&mut self, field: &'static str) -> Result<u16, DecodeError> {
        self.array(field).map(u16::from_be_bytes)
    }

    /// Takes a big-endian `u32`.
    ///
    /// # Errors
    /// [`DecodeError::Short`].
    pub fn be_u32(&mut self, field: &'static str) -> Result<u32, DecodeError> {
        self.array(field).map(u32::from_be_bytes)
    }

    /// Takes a big-endian `u64`.
    ///
    /// # Errors
    /// [`DecodeError::Short`].
    pub fn be_u64(&mut self, field: &'static str) -> Result<u64, DecodeError> {
        self.array(field).map(u64::from_be_bytes)
    }

    /// Takes so many bytes.
    ///
    /// # Errors
    /// [`DecodeError::Short`].
    pub fn bytes(
        &mut self,
        count: usize,
        field: &'static str,
    ) -> Result<&'bytes [u8], DecodeError> {
        let (head, rest) = self
            .rest
            .split_at_checked(count)
            .ok_or(DecodeError::Short { field })?;
        self.rest = rest;
        Ok(head)
    }

    /// Takes a big-endian `u32` and as many bytes as it says.
    ///
    /// # Errors
    /// [`DecodeError::Short`].
    pub fn be_mem(&mut self, field: &'static str) -> Result<&'bytes [u8], DecodeError> {
        let count = self.be_u32(field)?;
        let count = usize::try_from(count).map_err(|_| DecodeError::Short { field })?;
        self.bytes(count, field)
    }

    /// Takes what [`Self::be_mem`] takes, and gives it back without the NUL that it must end with;
    /// a length of 0 is none (`packstr`: a NULL pointer).
    ///
    /// # Errors
    /// [`DecodeError::Short`], and [`DecodeError::Text`] for a NUL that is missing or comes early.
    pub fn be_str(&mut self, field: &'static str) -> Result<Option<&'bytes [u8]>, DecodeError> {
        match self.be_mem(field)? {
            [] => Ok(None),
            [text @ .., 0] if !text.contains(&0) => Ok(Some(text)),
            _ => Err(DecodeError::Text { field }),
        }
    }

    /// Bytes that are left.
    #[must_use]
    pub fn left(&self) -> usize {
        self.rest.len()
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
