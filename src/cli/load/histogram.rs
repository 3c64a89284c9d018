//! Times in log-linear buckets: 32 to each power of two, so that a quantile is off by at most 2 %, and the size is fixed.
//!
//! All streams share one, therefore atomics; nothing is ordered by them.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Buckets to each power of two.
const SUB: u64 = 32;
const SUB_BITS: u32 = SUB.trailing_zeros();
/// Buckets for every 64-bit number of nanoseconds.
const BUCKETS: usize = (64 - SUB_BITS as usize + 1) * SUB as usize;

/// A distribution of durations.
#[derive(Debug)]
pub(super) struct Histogram {
    buckets: Box<[AtomicU64]>,
    count: AtomicU64,
    min: AtomicU64,
    max: AtomicU64,
}

impl Default for Histogram {
    fn default() -> Self {
        let buckets = (0..BUCKETS).map(|_| AtomicU64::new(0)).collect();
        Self { buckets, count: AtomicU64::new(0), min: AtomicU64::new(u64::MAX), max: AtomicU64::new(0) }
    }
}

impl Histogram {
    pub(super) fn record(&self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.buckets[bucket(nanos)].fetch_add(1, Relaxed);
        self.count.fetch_add(1, Relaxed);
        self.min.fetch_min(nanos, Relaxed);
        self.max.fetch_max(nanos, Relaxed);
    }

    pub(super) fn count(&self) -> u64 {
        self.count.load(Relaxed)
    }

    /// The time that `share` (0 to 1) of the records do not exceed; exact at 0 and 1, `None` without records.
    pub(super) fn quantile(&self, share: f64) -> Option<Duration> {
        let count = self.count();
        if count == 0 {
            return None;
        }
        let (min, max) = (self.min.load(Relaxed), self.max.load(Relaxed));
        let rank = (share * count as f64).ceil() as u64;
        if rank == 0 || rank >= count {
            return Some(Duration::from_nanos(if rank == 0 { min } else { max }));
        }
        let mut seen = 0;
        let found = self.buckets.iter().position(|records| {
            seen += records.load(Relaxed);
            seen >= rank
        });
        Some(Duration::from_nanos(found.map_or(max, middle).clamp(min, max)))
    }
}

/// Where `nanos` is counted.
fn bucket(nanos: u64) -> usize {
    let row = (u64::BITS - nanos.leading_zeros()).saturating_sub(SUB_BITS + 1);
    // Below 2 * SUB each number has its own bucket; above, each row is half as fine as the one before.
    usize::try_from(u64::from(row) * SUB + (nanos >> row)).unwrap_or(BUCKETS - 1)
}

/// The middle of a bucket, the inverse of [`bucket`].
fn middle(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    let row = (bucket / SUB).saturating_sub(1);
    let lowest = (bucket - row * SUB) << row;
    lowest + ((1_u64 << row) / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_falls_into_a_bucket_that_is_at_most_2_percent_off() {
        let mut last = 0;
        for shift in 0..64 {
            for nanos in [1_u64 << shift, (1 << shift) + (1 << shift) / 3, (1 << shift) - 1 + (1 << shift)] {
                let bucket = bucket(nanos);
                assert!(bucket < BUCKETS && bucket >= last, "{nanos}");
                last = bucket;
                let off = middle(bucket).abs_diff(nanos);
                assert!(off <= nanos / 50, "{nanos} is taken for {}", middle(bucket));
            }
        }
    }

    #[test]
    fn quantiles_of_a_known_distribution() {
        let histogram = Histogram::default();
        assert_eq!(histogram.quantile(0.5), None);
        for ms in 1..=1000 {
            histogram.record(Duration::from_millis(ms));
        }
        assert_eq!(histogram.quantile(0.0), Some(Duration::from_millis(1)));
        assert_eq!(histogram.quantile(1.0), Some(Duration::from_millis(1000)));
        for (share, ms) in [(0.5, 500.0), (0.99, 990.0)] {
            let found = histogram.quantile(share).unwrap().as_secs_f64() * 1000.0;
            assert!((found - ms).abs() <= ms / 50.0, "{share} is {found} ms");
        }
    }
}
