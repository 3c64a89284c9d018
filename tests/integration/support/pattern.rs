//! Bytes whose order shows: a loss, a double or a swap is found at once, in bodies that nobody keeps whole.

use super::shown;

/// Every value of a byte and one more: a period that fits no buffer.
const PERIOD: usize = 257;

/// The first `bytes` of the pattern.
pub(crate) fn pattern(bytes: usize) -> Vec<u8> {
    Pattern::default().next(bytes)
}

/// A place in the pattern: of who makes it, or of who checks it.
#[derive(Debug, Default)]
pub(crate) struct Pattern {
    at: u64,
}

impl Pattern {
    /// How many bytes of it were made or checked.
    pub(crate) fn at(&self) -> u64 {
        self.at
    }

    /// The next `bytes` of it.
    pub(crate) fn next(&mut self, bytes: usize) -> Vec<u8> {
        let mut period: Vec<u8> = (0..=255).collect();
        period.push(0);
        period.rotate_left((self.at % PERIOD as u64) as usize);
        let mut next = period.repeat(bytes / PERIOD + 1);
        next.truncate(bytes);
        self.at += bytes as u64;
        next
    }

    /// `bytes` must be the next of it.
    pub(crate) fn check(&mut self, bytes: &[u8]) {
        let at = self.at;
        let want = self.next(bytes.len());
        assert!(bytes == want, "other bytes than were sent, from {at} on: {:?} for {:?}", shown(bytes), shown(&want));
    }
}
