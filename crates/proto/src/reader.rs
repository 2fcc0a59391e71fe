//! The bounded reader that all bytes from a peer go through.

use std::fmt;

/// An answer that breaks the protocol; names the field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DecodeError {
    /// The bytes end within this field.
    Short {
        /// The field's name.
        field: &'static str,
    },
    /// The field has a value that the protocol does not allow.
    Value {
        /// The field's name.
        field: &'static str,
        /// Its value.
        value: i64,
    },
    /// The field is not a string with a single NUL at its end, or not UTF-8 where it must be.
    Text {
        /// The field's name.
        field: &'static str,
    },
    /// Bytes follow the last field.
    Trailing {
        /// Their number.
        count: usize,
    },
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short { field } => write!(f, "the answer ends within \"{field}\""),
            Self::Value { field, value } => write!(f, "invalid value {value} for \"{field}\""),
            Self::Text { field } => write!(f, "\"{field}\" is not valid text"),
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
/// big-endian ones and strings with big-endian lengths (`be_`; `src/common/pack.c`, munged).
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

    /// Takes `count` bytes.
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

    /// Takes a big-endian `u32` and as many bytes as it announces.
    ///
    /// # Errors
    /// [`DecodeError::Short`].
    pub fn be_mem(&mut self, field: &'static str) -> Result<&'bytes [u8], DecodeError> {
        let count = self.be_u32(field)?;
        let count = usize::try_from(count).map_err(|_| DecodeError::Short { field })?;
        self.bytes(count, field)
    }

    /// Takes a string like [`Self::be_mem`] and returns it without the NUL that must end it; None if
    /// its length is 0 (`packstr`: a NULL pointer).
    ///
    /// # Errors
    /// [`DecodeError::Short`], or [`DecodeError::Text`] if the NUL is missing or is not the only one.
    pub fn be_str(&mut self, field: &'static str) -> Result<Option<&'bytes [u8]>, DecodeError> {
        match self.be_mem(field)? {
            [] => Ok(None),
            [text @ .., 0] if !text.contains(&0) => Ok(Some(text)),
            _ => Err(DecodeError::Text { field }),
        }
    }

    /// The number of bytes left.
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
