//! A line that the end of a chunk has cut: what must be remembered of it until it ends (WHATWG HTML 9.2.5, 9.2.6).
//!
//! The first [`HEAD_LEN`] bytes of a line decide everything but an id and a reconnection time, so no more than those are kept.
//! Nothing here looks at line ends, and nothing grows with the length of a line.

use super::event_id::{IdLine, Ids};
use super::field::Field;

/// Enough of a line to tell its field, and more than the longest line that means something as a whole, `event: message_stop`.
const HEAD_LEN: usize = 20;

/// Where in its line the next byte stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Line {
    /// In the first bytes; at the start of a line when there are none.
    Head(Head),
    /// In the value of an `id` field.
    Id(IdLine),
    /// In the value of a `retry` field.
    Retry(Digits),
    /// In the value of a `data` field that is longer than any word that matters.
    LongData,
    /// In the value of an `event` field that is longer than any word that matters.
    LongEvent,
    /// In a comment, or in a field that the standard does not know.
    Skip,
}

impl Line {
    /// At the start of a line.
    pub(super) const START: Self = Self::Head(Head { bytes: [0; HEAD_LEN], len: 0 });

    /// Whether no byte of the line was seen.
    #[inline]
    pub(super) fn is_start(&self) -> bool {
        matches!(self, Self::Head(Head { len: 0, .. }))
    }

    /// Takes the next `part` of the line; the bytes of an id go to `ids`.
    pub(super) fn push(&mut self, part: &[u8], ids: &mut Ids) {
        match self {
            Self::Head(head) => {
                let rest = head.fill(part);
                if head.is_full() {
                    let head = *head;
                    *self = Self::after_head(head.as_bytes(), ids);
                    self.push(rest, ids);
                }
            }
            Self::Id(line) => ids.push(line, part),
            Self::Retry(digits) => digits.push(part),
            Self::LongData | Self::LongEvent | Self::Skip => {}
        }
    }

    /// Where a line stands whose first [`HEAD_LEN`] bytes are `head`.
    fn after_head(head: &[u8], ids: &mut Ids) -> Self {
        match Field::parse(head) {
            Field::Data(_) => Self::LongData,
            Field::Event(_) => Self::LongEvent,
            Field::Id(value) => {
                let mut line = IdLine::default();
                ids.push(&mut line, value);
                Self::Id(line)
            }
            Field::Retry(value) => {
                let mut digits = Digits::default();
                digits.push(value);
                Self::Retry(digits)
            }
            Field::Comment(_) | Field::Other { .. } => Self::Skip,
        }
    }
}

/// The first bytes of a line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Head {
    bytes: [u8; HEAD_LEN],
    len: u8,
}

impl Head {
    /// What was seen of the line.
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    fn is_full(&self) -> bool {
        usize::from(self.len) == HEAD_LEN
    }

    /// Takes as much of `part` as fits and returns the rest.
    fn fill<'a>(&mut self, part: &'a [u8]) -> &'a [u8] {
        let free = &mut self.bytes[usize::from(self.len)..];
        let (taken, rest) = part.split_at(free.len().min(part.len()));
        free[..taken.len()].copy_from_slice(taken);
        self.len += u8::try_from(taken.len()).expect("a head is shorter than 256 bytes");
        rest
    }
}

/// A number in ASCII digits, read part by part.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Digits {
    value: u64,
    any: bool,
    other: bool,
}

impl Digits {
    /// Takes the next `part`.
    pub(super) fn push(&mut self, part: &[u8]) {
        for &byte in part {
            if !byte.is_ascii_digit() {
                self.other = true;
            }
            if self.other {
                return;
            }
            self.any = true;
            self.value = self.value.saturating_mul(10).saturating_add(u64::from(byte - b'0'));
        }
    }

    /// The number, at most [`u64::MAX`], if there was a digit and nothing else.
    pub(super) fn number(self) -> Option<u64> {
        (self.any && !self.other).then_some(self.value)
    }
}

#[cfg(test)]
mod tests {
    use super::{Digits, HEAD_LEN};

    fn number(parts: &[&str]) -> Option<u64> {
        let mut digits = Digits::default();
        parts.iter().for_each(|part| digits.push(part.as_bytes()));
        digits.number()
    }

    #[test]
    fn a_number_is_digits_only_and_at_least_one() {
        assert_eq!(number(&["0"]), Some(0));
        assert_eq!(number(&["15", "", "00"]), Some(1500));
        assert_eq!(number(&["0000000000000000000000000000000000000007"]), Some(7));
        assert_eq!(number(&[]), None);
        for bad in [" 1", "1 ", "+1", "-1", "1.5", "1_000", "1s", "0x10", "\u{661}", "\0"] {
            assert_eq!(number(&[bad]), None, "{bad:?}");
            assert_eq!(number(&[bad, "5"]), None, "{bad:?} and 5");
        }
    }

    #[test]
    fn a_number_too_large_saturates_and_never_overflows() {
        assert_eq!(number(&["18446744073709551615"]), Some(u64::MAX));
        assert_eq!(number(&["18446744073709551616"]), Some(u64::MAX));
        assert_eq!(number(&["9".repeat(100).as_str(), "0"]), Some(u64::MAX));
        assert_eq!(number(&["9".repeat(100).as_str(), "x"]), None);
    }

    #[test]
    fn the_head_is_longer_than_any_line_that_means_something_as_a_whole() {
        assert!(HEAD_LEN > "event: message_stop".len());
        assert!(HEAD_LEN > "data: [DONE]".len());
    }
}
