//! Times in log-linear buckets: 32 to each power of two, so that a quantile is off by at most 2 %, and the size is fixed.
//!
//! Each thread fills its own [`Histogram`]; what is read of all of them is a [`Distribution`].

use std::time::Duration;

use super::totals::Counter;

/// Buckets to each power of two.
const SUB: u64 = 32;
const SUB_BITS: u32 = SUB.trailing_zeros();
/// Buckets for every 64-bit number of nanoseconds.
const BUCKETS: usize = (64 - SUB_BITS as usize + 1) * SUB as usize;

/// Durations as one thread records them.
#[derive(Debug)]
pub(super) struct Histogram {
    buckets: Box<[Counter]>,
    /// The shortest, counted down from the longest there can be, so that zero is none.
    shortness: Counter,
    max: Counter,
}

impl Default for Histogram {
    fn default() -> Self {
        let buckets = (0..BUCKETS).map(|_| Counter::default()).collect();
        Self { buckets, shortness: Counter::default(), max: Counter::default() }
    }
}

impl Histogram {
    pub(super) fn record(&self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.buckets[bucket(nanos)].add(1);
        self.shortness.raise(u64::MAX - nanos);
        self.max.raise(nanos);
    }
}

/// The durations of all threads.
#[derive(Debug, Clone)]
pub(super) struct Distribution {
    buckets: Vec<u64>,
    count: u64,
    min: u64,
    max: u64,
}

impl Distribution {
    /// What is in `histograms` by now.
    pub(super) fn of<'a>(histograms: impl IntoIterator<Item = &'a Histogram>) -> Self {
        let mut all = Self { buckets: vec![0; BUCKETS], count: 0, min: u64::MAX, max: 0 };
        for histogram in histograms {
            for (sum, records) in all.buckets.iter_mut().zip(&histogram.buckets) {
                *sum += records.get();
                all.count += records.get();
            }
            all.min = all.min.min(u64::MAX - histogram.shortness.get());
            all.max = all.max.max(histogram.max.get());
        }
        all
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// The time that `share` (0 to 1) of the records do not exceed; exact at 0 and 1, `None` without records.
    pub(super) fn quantile(&self, share: f64) -> Option<Duration> {
        if self.count == 0 {
            return None;
        }
        let rank = (share * self.count as f64).ceil() as u64;
        if rank == 0 || rank >= self.count {
            return Some(Duration::from_nanos(if rank == 0 { self.min } else { self.max }));
        }
        let mut seen = 0;
        let found = self.buckets.iter().position(|records| {
            seen += records;
            seen >= rank
        });
        Some(Duration::from_nanos(found.map_or(self.max, middle).clamp(self.min, self.max)))
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
    fn quantiles_of_a_known_distribution_over_several_threads() {
        let histograms = [Histogram::default(), Histogram::default(), Histogram::default()];
        assert_eq!(Distribution::of(&histograms).quantile(0.5), None);
        for ms in 1..=1000 {
            histograms[ms as usize % 2].record(Duration::from_millis(ms));
        }
        assert_eq!(Distribution::of(&histograms[..1]).count(), 500);
        let all = Distribution::of(&histograms);
        assert_eq!(all.count(), 1000);
        assert_eq!(all.quantile(0.0), Some(Duration::from_millis(1)));
        assert_eq!(all.quantile(1.0), Some(Duration::from_millis(1000)));
        for (share, ms) in [(0.5, 500.0), (0.99, 990.0)] {
            let found = all.quantile(share).unwrap().as_secs_f64() * 1000.0;
            assert!((found - ms).abs() <= ms / 50.0, "{share} is {found} ms");
        }
    }
}
