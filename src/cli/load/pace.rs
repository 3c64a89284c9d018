//! How fast a slow client reads. Pure: driven by counts and times.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

/// Reads of a slow client in a second: often enough to be a stream, seldom enough that they cost nothing.
const READS: u32 = 10;

/// The reads of one connection.
#[derive(Debug, Clone)]
pub(super) struct Pace {
    /// Bytes per second.
    rate: NonZeroU32,
    /// When the next read is due.
    due: Instant,
}

impl Pace {
    /// The first read is due `now`.
    pub(super) fn new(rate: NonZeroU32, now: Instant) -> Self {
        Self { rate, due: now }
    }

    /// The bytes of one read.
    pub(super) fn most(&self) -> usize {
        usize::try_from(self.rate.get() / READS).unwrap_or(usize::MAX).max(1)
    }

    /// When the next read is due; nothing if it is by `now`.
    pub(super) fn due(&self, now: Instant) -> Option<Instant> {
        (self.due > now).then_some(self.due)
    }

    /// So many bytes were read `now`.
    pub(super) fn read(&mut self, bytes: usize, now: Instant) {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.due = self.due.max(now) + Duration::from_secs(1).mul_f64(f64::from(bytes) / f64::from(self.rate.get()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    #[test]
    fn a_second_holds_as_many_bytes_as_the_rate_says_and_silence_saves_none() {
        for rate in [1, 7, 1000, 100_000] {
            let began = clock::now();
            let mut pace = Pace::new(NonZeroU32::new(rate).unwrap(), began);
            let mut now = began;
            let mut total = 0;
            while now < began + Duration::from_secs(10) {
                assert_eq!(pace.due(now), None);
                pace.read(pace.most(), now);
                total += pace.most();
                now = pace.due(now).expect("a read costs time");
            }
            let due = rate as usize * 10;
            assert!(total >= due && total <= due + pace.most() * 2, "{total} at {rate} a second");
            // A minute without bytes, and the next second holds no more than any other.
            now += Duration::from_secs(60);
            pace.read(rate as usize, now);
            assert_eq!(pace.due(now), Some(now + Duration::from_secs(1)));
        }
    }
}
