//! The part of JSON (RFC 8259) that tokens and key sets need, read in one pass without a tree. It is
//! strict: a repeated key in an object is an error, and sizes are bounded.

use std::fmt;

/// Length of the longest text that is read, in bytes.
pub const LONGEST: usize = 64 * 1024;
/// Limit on nested objects and arrays.
const DEEPEST: u8 = 8;
/// Limit on keys in one object.
const MOST_KEYS: usize = 64;

/// The place where a text is not the expected JSON, and the cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JsonError {
    at: usize,
    what: &'static str,
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "byte {}: {}", self.at, self.what)
    }
}

type Result<T> = std::result::Result<T, JsonError>;

/// A text, and the place up to which it was read.
pub struct Json<'text> {
    text: &'text [u8],
    at: usize,
    depth: u8,
}

impl<'text> Json<'text> {
    /// Reads a text with `value`, which must take all of it.
    pub fn read<T>(text: &'text [u8], value: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let mut json = Self {
            text,
            at: 0,
            depth: 0,
        };
        if text.len() > LONGEST {
            return json.error("longer than 64 KiB");
        }
        let value = value(&mut json)?;
        match json.next() {
            None => Ok(value),
            Some(_) => json.error("something follows"),
        }
    }

    /// Fails at the current place.
    pub fn error<T>(&self, what: &'static str) -> Result<T> {
        Err(JsonError { at: self.at, what })
    }

    /// Takes an object; `member` takes each value.
    pub fn object(&mut self, member: &mut dyn FnMut(&mut Self, &str) -> Result<()>) -> Result<()> {
        let mut keys: Vec<String> = Vec::new();
        self.items(*b"{}", &mut |json| {
            let key = json.string()?;
            if keys.contains(&key) {
                return json.error("a key comes twice");
            }
            if keys.len() == MOST_KEYS {
                return json.error("too many keys");
            }
            json.expect(b':')?;
            member(json, &key)?;
            keys.push(key);
            Ok(())
        })
    }

    /// Takes an array; `item` takes each value.
    pub fn array(&mut self, item: &mut dyn FnMut(&mut Self) -> Result<()>) -> Result<()> {
        self.items(*b"[]", item)
    }

    fn items(
        &mut self,
        [open, close]: [u8; 2],
        item: &mut dyn FnMut(&mut Self) -> Result<()>,
    ) -> Result<()> {
        self.expect(open)?;
        if self.depth == DEEPEST {
            return self.error("nested too deep");
        }
        self.depth += 1;
        if self.next() != Some(close) {
            item(self)?;
            while self.next() == Some(b',') {
                self.at += 1;
                item(self)?;
            }
        }
        self.depth -= 1;
        self.expect(close)
    }

    /// Takes a string.
    pub fn string(&mut self) -> Result<String> {
        self.expect(b'"')?;
        let mut bytes = Vec::new();
        loop {
            match self.byte()? {
                b'"' => break,
                b'\\' => {
                    let escaped = self.escaped()?;
                    bytes.extend_from_slice(escaped.encode_utf8(&mut [0; 4]).as_bytes());
                }
                0..0x20 => return self.error("a control character in a string"),
                byte => bytes.push(byte),
            }
        }
        match String::from_utf8(bytes) {
            Ok(string) => Ok(string),
            Err(_) => self.error("a string is not UTF-8"),
        }
    }

    /// Takes the rest of an escape, after its backslash.
    fn escaped(&mut self) -> Result<char> {
        Ok(match self.byte()? {
            byte @ (b'"' | b'\\' | b'/') => char::from(byte),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let mut units = [self.unit()?, 0];
                let count = if (0xD800..0xDC00).contains(&units[0]) {
                    if (self.byte()?, self.byte()?) != (b'\\', b'u') {
                        return self.error("half a character");
                    }
                    units[1] = self.unit()?;
                    2
                } else {
                    1
                };
                match char::decode_utf16(units.into_iter().take(count)).next() {
                    Some(Ok(character)) => character,
                    _ => return self.error("half a character"),
                }
            }
            _ => return self.error("no such escape"),
        })
    }

    /// Takes four hexadecimal digits.
    fn unit(&mut self) -> Result<u16> {
        let mut unit = 0;
        for _ in 0..4 {
            let Some(digit) = char::from(self.byte()?).to_digit(16) else {
                return self.error("no hexadecimal digit");
            };
            // A digit is less than 16.
            unit = unit << 4 | u16::try_from(digit).unwrap_or_default();
        }
        Ok(unit)
    }

    /// Takes a number; None if it is negative, written with a fraction or an exponent, or too large.
    pub fn number(&mut self) -> Result<Option<u64>> {
        let mut plain = true;
        self.next();
        if self.text.get(self.at) == Some(&b'-') {
            self.at += 1;
            plain = false;
        }
        let from = self.at;
        let whole = self.digits()?;
        if whole.len() > 1 && whole.first() == Some(&b'0') {
            self.at = from;
            return self.error("a number with a 0 before it");
        }
        if self.text.get(self.at) == Some(&b'.') {
            self.at += 1;
            plain = false;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.text.get(self.at) {
            self.at += 1;
            plain = false;
            if let Some(b'+' | b'-') = self.text.get(self.at) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(std::str::from_utf8(whole)
            .ok()
            .and_then(|whole| whole.parse().ok())
            .filter(|_| plain))
    }

    fn digits(&mut self) -> Result<&'text [u8]> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if count == 0 {
            return self.error("no digit");
        }
        self.at += count;
        Ok(rest.get(..count).unwrap_or_default())
    }

    /// Skips a value of any kind.
    pub fn skip(&mut self) -> Result<()> {
        match self.next() {
            Some(b'{') => self.object(&mut |json, _| json.skip()),
            Some(b'[') => self.array(&mut |json| json.skip()),
            Some(b'"') => self.string().map(drop),
            Some(b't') => self.literal(b"true"),
            Some(b'f') => self.literal(b"false"),
            Some(b'n') => self.literal(b"null"),
            _ => self.number().map(drop),
        }
    }

    fn literal(&mut self, word: &[u8]) -> Result<()> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        if !rest.starts_with(word) {
            return self.error("no value");
        }
        self.at += word.len();
        Ok(())
    }

    fn expect(&mut self, byte: u8) -> Result<()> {
        if self.next() != Some(byte) {
            return self.error(match byte {
                b'{' => "no object",
                b'[' => "no array",
                b'"' => "no string",
                b':' => "no colon",
                _ => "no end",
            });
        }
        self.at += 1;
        Ok(())
    }

    /// The next byte that is not blank.
    fn next(&mut self) -> Option<u8> {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.text.get(self.at) {
            self.at += 1;
        }
        self.text.get(self.at).copied()
    }

    /// Takes a byte of a string.
    fn byte(&mut self) -> Result<u8> {
        match self.text.get(self.at) {
            Some(byte) => {
                self.at += 1;
                Ok(*byte)
            }
            None => self.error("a string does not end"),
        }
    }
}

/// Writes a string.
pub fn write_string(to: &mut String, string: &str) {
    to.push('"');
    for character in string.chars() {
        match character {
            '"' | '\\' => {
                to.push('\\');
                to.push(character);
            }
            '\0'..' ' => {
                to.push_str("\\u00");
                for digit in [u32::from(character) >> 4, u32::from(character) & 15] {
                    to.push(char::from_digit(digit, 16).unwrap_or_default());
                }
            }
            _ => to.push(character),
        }
    }
    to.push('"');
}

#[cfg(test)]
mod tests;
