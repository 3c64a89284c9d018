//! When events are due, as durations since the origin began.
//!
//! Pure. A due time never depends on when the one before it was written: an event that is late stays due when it was.

use std::time::Duration;

/// 2^64 divided by the golden ratio: multiples of it, cut to 64 bits, spread evenly however many are taken.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// Equal steps without an end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Schedule {
    next: Duration,
    period: Duration,
}

impl Schedule {
    /// The first at once.
    pub(super) fn at_once(now: Duration, period: Duration) -> Self {
        Self { next: now, period }
    }

    /// At the multiples of the period, the same for everybody.
    pub(super) fn aligned(now: Duration, period: Duration) -> Self {
        Self::with_offset(now, period, 0)
    }

    /// At a place in the period that depends on the stream's number alone.
    pub(super) fn spread(now: Duration, period: Duration, number: u64) -> Self {
        let fraction = number.wrapping_mul(GOLDEN);
        Self::with_offset(now, period, (period.as_nanos() * u128::from(fraction)) >> 64)
    }

    /// `offset` nanoseconds, less than a period, behind its multiples.
    fn with_offset(now: Duration, period: Duration, offset: u128) -> Self {
        let step = period.as_nanos().max(1);
        let periods = now.as_nanos().saturating_sub(offset).div_ceil(step);
        Self { next: nanoseconds(offset + periods * step), period }
    }

    /// The next due time.
    pub(super) fn next(&mut self) -> Duration {
        let due = self.next;
        self.next += self.period;
        due
    }
}

fn nanoseconds(count: u128) -> Duration {
    Duration::from_nanos(u64::try_from(count).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERIOD: Duration = Duration::from_millis(100);

    fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    #[test]
    fn a_broadcast_is_due_at_the_same_moments_for_everybody() {
        let mut early = Schedule::aligned(ms(0), PERIOD);
        assert_eq!([early.next(), early.next(), early.next()], [ms(0), ms(100), ms(200)]);
        assert_eq!(Schedule::aligned(ms(1), PERIOD).next(), ms(100));
        assert_eq!(Schedule::aligned(ms(100), PERIOD).next(), ms(100));
    }

    #[test]
    fn streams_are_spread_evenly_over_the_period() {
        let now = Duration::from_secs(3600);
        let mut first: Vec<Duration> = (0..1000).map(|number| Schedule::spread(now, PERIOD, number).next()).collect();
        first.sort_unstable();
        assert!(first[0] >= now && first[999] < now + PERIOD, "{:?} to {:?}", first[0], first[999]);
        let mut edges = vec![now];
        edges.append(&mut first);
        edges.push(now + PERIOD);
        let widest = edges.windows(2).map(|pair| pair[1] - pair[0]).max();
        assert!(widest < Some(Duration::from_micros(300)), "a gap of {widest:?} where 100 µs are even");
    }

    #[test]
    fn a_stream_keeps_its_place_whenever_it_comes() {
        let place = |now| Schedule::spread(now, PERIOD, 7).next().as_nanos() % PERIOD.as_nanos();
        assert_eq!(place(ms(0)), place(ms(12_345)));
        let mut schedule = Schedule::spread(ms(5), PERIOD, 7);
        let (first, second) = (schedule.next(), schedule.next());
        assert_eq!(second - first, PERIOD);
    }

    #[test]
    fn tokens_begin_at_once() {
        let mut schedule = Schedule::at_once(ms(5), ms(20));
        assert_eq!([schedule.next(), schedule.next()], [ms(5), ms(25)]);
    }
}
