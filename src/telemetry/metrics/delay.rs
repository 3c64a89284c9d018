//! How long an event is with us: from the read that brought it to the write with which the client had all of it. Sampled, because the
//! reading of the clock after each write would cost more than all other counting together.
//!
//! The choice falls at the read, before anybody knows how long it takes, so that what had to wait counts as often as what did not. It
//! is the first read of a stream, so that quiet streams are seen at all, and each [`EVERY`]th after it.

use std::time::{Duration, Instant};

/// One read in so many is measured.
const EVERY: u8 = 64;

/// The sampling of one stream. Its shell calls [`DelaySampler::read`] after each read of the upstream, and
/// [`DelaySampler::written`] whenever nothing waits for the client any more.
#[derive(Debug, Clone, Copy, Default)]
pub struct DelaySampler {
    /// When the read happened that is being measured.
    since: Option<Instant>,
    /// Reads until the next that is measured.
    skip: u8,
}

impl DelaySampler {
    /// The next read is measured.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Bytes came from the upstream.
    pub fn read(&mut self, now: Instant) {
        if self.skip > 0 {
            self.skip -= 1;
            return;
        }
        self.skip = EVERY - 1;
        // Of two reads that wait together the older one counts.
        self.since.get_or_insert(now);
    }

    /// The client took all there was. Gives the delay if this was a measured read; only then `now` is asked.
    pub fn written(&mut self, now: impl FnOnce() -> Instant) -> Option<Duration> {
        self.since.take().map(|since| now().saturating_duration_since(since))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{DelaySampler, EVERY};
    use crate::clock;

    #[test]
    fn the_first_read_and_every_sixty_fourth_are_measured_and_the_clock_is_read_for_no_other() {
        let start = clock::now();
        let mut sampler = DelaySampler::new();
        let mut asked = Vec::new();
        for read in 0..200_u32 {
            sampler.read(start);
            let delay = sampler.written(|| {
                asked.push(read);
                start + Duration::from_micros(5)
            });
            assert_eq!(delay.is_some(), asked.last() == Some(&read));
        }
        assert_eq!(asked, [0, u32::from(EVERY), 2 * u32::from(EVERY), 3 * u32::from(EVERY)]);
    }

    #[test]
    fn a_read_that_waits_for_the_client_is_measured_from_its_read_to_its_last_byte() {
        let start = clock::now();
        let mut sampler = DelaySampler::new();
        sampler.read(start);
        for later in 1..100 {
            sampler.read(start + Duration::from_secs(later));
        }
        assert_eq!(sampler.written(|| start + Duration::from_secs(150)), Some(Duration::from_secs(150)));
        assert_eq!(sampler.written(|| start + Duration::from_secs(160)), None, "one read, one sample");
    }
}
