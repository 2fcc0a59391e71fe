//! Slurm's host lists (`n[1-100],login,a[0-3]b[01-10]`), matched without expanding them.
//!
//! Source: Slurm 19.05 to 26.05, `src/common/hostlist.c`, seen through `scontrol show hostnames`;
//! docs/protocol.md. Names are numbered from 0 in the order in which Slurm expands the list, because
//! NodeName, NodeHostname and NodeAddr are paired by position.

use std::fmt;

/// Slurm's own limit of names in one range, `hostlist.c` MAX_RANGE.
const MAX_RANGE: u64 = 65536;
/// Limit on digits: more than any number in a host's name has.
const MAX_WIDTH: usize = 255;
/// Limit on pairs of brackets, more than any site has in one name; bounds the work of [`position`].
const MAX_BRACKETS: usize = 8;

/// Reason why a text is not a host list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostListError {
    /// A `[` without its `]`.
    Unclosed,
    /// A range that is empty, has other characters than digits, or ends before it starts.
    BadRange,
    /// More names in one element than Slurm accepts, or more brackets or digits than we do.
    TooMany,
}

impl fmt::Display for HostListError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unclosed => "a bracket is not closed",
            Self::BadRange => "a range is neither a number nor LOW-HIGH",
            Self::TooMany => "a range or name is too large",
        })
    }
}

/// The position of `name` in the expanded list, from 0; None if it is not in the list.
///
/// # Errors
/// An element of the list, up to the one that matches, is invalid.
pub fn position(list: &str, name: &str) -> Result<Option<u64>, HostListError> {
    let mut before = 0u64;
    for element in elements(list) {
        let element = Element::parse(element?)?;
        if let Some(at) = element.position(name)? {
            return before
                .checked_add(at)
                .map(Some)
                .ok_or(HostListError::TooMany);
        }
        before = before
            .checked_add(element.count()?)
            .ok_or(HostListError::TooMany)?;
    }
    Ok(None)
}

/// The number of names in the expanded list.
///
/// # Errors
/// An element of the list is invalid.
pub fn count(list: &str) -> Result<u64, HostListError> {
    elements(list).try_fold(0u64, |sum, element| {
        sum.checked_add(Element::parse(element?)?.count()?)
            .ok_or(HostListError::TooMany)
    })
}

/// The name at `index` in the expanded list; past its end the last name, as Slurm pairs lists.
///
/// # Errors
/// An element of the list, up to that name, is invalid.
pub fn nth_or_last(list: &str, index: u64) -> Result<Option<String>, HostListError> {
    let mut left = index;
    let mut last = None;
    for element in elements(list) {
        let element = Element::parse(element?)?;
        let count = element.count()?;
        if left < count {
            return element.nth(left).map(Some);
        }
        left -= count;
        last = Some((element, count));
    }
    last.map(|(element, count)| element.nth(count.saturating_sub(1)))
        .transpose()
}

/// Splits at commas and blanks outside brackets.
fn elements(list: &str) -> impl Iterator<Item = Result<&str, HostListError>> {
    let mut rest = list;
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches(is_separator);
        if rest.is_empty() {
            return None;
        }
        let mut open = false;
        let end = rest.find(|sign: char| {
            open = (open || sign == '[') && sign != ']';
            !open && is_separator(sign)
        });
        let (element, tail) = rest.split_at(end.unwrap_or(rest.len()));
        rest = tail;
        Some(if open {
            Err(HostListError::Unclosed)
        } else {
            Ok(element)
        })
    })
}

fn is_separator(sign: char) -> bool {
    matches!(sign, ',' | ' ' | '\t' | '\n' | '\r')
}

/// One list element: literal text and bracketed ranges in turn, then a last literal.
#[derive(Debug)]
struct Element<'a> {
    parts: Vec<(&'a str, Vec<Range>)>,
    suffix: &'a str,
}

/// `LOW-HIGH`, written with at least `width` digits.
#[derive(Debug, Clone, Copy)]
struct Range {
    low: u64,
    high: u64,
    width: usize,
}

impl<'a> Element<'a> {
    fn parse(text: &'a str) -> Result<Self, HostListError> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((literal, tail)) = rest.split_once('[') {
            let (ranges, tail) = tail.split_once(']').ok_or(HostListError::Unclosed)?;
            if parts.len() == MAX_BRACKETS {
                return Err(HostListError::TooMany);
            }
            let ranges: Result<Vec<_>, _> = ranges.split(',').map(Range::parse).collect();
            parts.push((literal, ranges?));
            rest = tail;
        }
        Ok(Self {
            parts,
            suffix: rest,
        })
    }

    /// The number of names that the element stands for.
    fn count(&self) -> Result<u64, HostListError> {
        self.parts.iter().try_fold(1u64, |product, (_, ranges)| {
            product
                .checked_mul(size(ranges))
                .ok_or(HostListError::TooMany)
        })
    }

    /// The lowest position of all ways to match: n[1-20][1-20] has n111 twice.
    fn position(&self, name: &str) -> Result<Option<u64>, HostListError> {
        // No position is larger: nothing below overflows.
        self.count()?;
        // For each place in the name to which the brackets so far may lead, the lowest sum of what they add.
        let mut ways = vec![None; name.len() + 1];
        ways[0] = Some(0);
        for ((literal, ranges), weight) in self.parts.iter().zip(self.weights()) {
            let mut longer = vec![None; name.len() + 1];
            for (place, sum) in ways.iter().enumerate() {
                let &Some(sum) = sum else { continue };
                let Some(rest) = name[place..].strip_prefix(literal) else {
                    continue;
                };
                let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
                for length in 1..=digits {
                    if let Some(index) = index_in(ranges, &rest[..length]) {
                        let way: &mut Option<u64> = &mut longer[place + literal.len() + length];
                        let sum: u64 = sum + index * weight;
                        *way = Some(way.map_or(sum, |it| it.min(sum)));
                    }
                }
            }
            ways = longer;
        }
        // The suffix holds no bracket: it fits at one place.
        let place = name.strip_suffix(self.suffix).map(str::len);
        Ok(place.and_then(|it| ways[it]))
    }

    /// What one more in each bracket adds to the position: the last bracket varies fastest, among those before it the
    /// first.
    fn weights(&self) -> Vec<u64> {
        let mut weights = Vec::new();
        if let Some(((_, last), firsts)) = self.parts.split_last() {
            let mut weight = size(last);
            for (_, ranges) in firsts {
                weights.push(weight);
                weight *= size(ranges);
            }
            weights.push(1);
        }
        weights
    }

    fn nth(&self, index: u64) -> Result<String, HostListError> {
        let mut name = String::new();
        if let Some(((last_literal, last_ranges), firsts)) = self.parts.split_last() {
            let last_size = size(last_ranges);
            let mut prefix = index / last_size;
            for (literal, ranges) in firsts {
                name.push_str(literal);
                write_nth(&mut name, ranges, prefix % size(ranges))?;
                prefix /= size(ranges);
            }
            name.push_str(last_literal);
            write_nth(&mut name, last_ranges, index % last_size)?;
        }
        name.push_str(self.suffix);
        Ok(name)
    }
}

impl Range {
    fn parse(text: &str) -> Result<Self, HostListError> {
        let (low, high) = match text.split_once('-') {
            // `5-` means just 5.
            Some((low, "")) => (low, low),
            Some(ends) => ends,
            None => (text, text),
        };
        // Blanks before a number count as digits of its width.
        let digits = |text: &str| number(text.trim_start_matches(is_separator));
        let range = Self {
            low: digits(low)?,
            high: digits(high)?,
            width: low.len(),
        };
        if range.high < range.low {
            return Err(HostListError::BadRange);
        }
        if range.width > MAX_WIDTH {
            return Err(HostListError::TooMany);
        }
        if range.high - range.low >= MAX_RANGE {
            return Err(HostListError::TooMany);
        }
        Ok(range)
    }

    fn size(&self) -> u64 {
        self.high - self.low + 1
    }

    /// The index of a number that is padded as in this range.
    fn index_of(&self, digits: &str) -> Option<u64> {
        let padded = digits.len() == self.width;
        let longer = digits.len() > self.width && !digits.starts_with('0');
        if !padded && !longer {
            return None;
        }
        let value = number(digits).ok()?;
        (self.low <= value && value <= self.high).then(|| value - self.low)
    }
}

fn number(digits: &str) -> Result<u64, HostListError> {
    // Leading zeros are padding.
    let value = digits.trim_start_matches('0');
    if digits.is_empty() || value.len() > 18 || !value.bytes().all(|sign| sign.is_ascii_digit()) {
        return Err(HostListError::BadRange);
    }
    match value {
        "" => Ok(0),
        value => value.parse().map_err(|_| HostListError::BadRange),
    }
}

/// The number of names that the ranges of one bracket stand for; never 0, and small by [`MAX_RANGE`].
fn size(ranges: &[Range]) -> u64 {
    ranges
        .iter()
        .fold(0, |sum, range| sum.saturating_add(range.size()))
}

fn index_in(ranges: &[Range], digits: &str) -> Option<u64> {
    let mut before = 0;
    for range in ranges {
        if let Some(index) = range.index_of(digits) {
            return Some(before + index);
        }
        before += range.size();
    }
    None
}

fn write_nth(name: &mut String, ranges: &[Range], index: u64) -> Result<(), HostListError> {
    use std::fmt::Write as _;
    let mut left = index;
    for range in ranges {
        if left < range.size() {
            let value = range.low + left;
            return write!(name, "{value:0width$}", width = range.width)
                .map_err(|_| HostListError::TooMany);
        }
        left -= range.size();
    }
    Err(HostListError::TooMany)
}

#[cfg(test)]
mod tests;
