//! Whether memory grew: medians of two windows of a soak, since one sample meets whatever happens at that moment.

use super::stats::Summary;

/// Memory early and late, KiB.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Growth {
    /// Around a sixth of the time: five minutes of thirty.
    pub early: f64,
    /// In the last fifteenth: two minutes of thirty.
    pub late: f64,
}

impl Growth {
    /// From samples of (seconds since the begin, KiB) over `seconds`; `None` where a window is empty.
    pub(crate) fn of(samples: &[(f64, f64)], seconds: f64) -> Option<Self> {
        let window = |from: f64, to: f64| {
            let values: Vec<f64> = samples.iter().filter(|(at, _)| (from..=to).contains(at)).map(|(_, kib)| *kib).collect();
            Summary::of(&values).map(|summary| summary.median)
        };
        let (sixth, around) = (seconds / 6.0, seconds / 30.0);
        Some(Self { early: window(sixth - around, sixth + around)?, late: window(seconds - 2.0 * around, f64::INFINITY)? })
    }

    /// How much more there is in the end, percent.
    pub(crate) fn percent(self) -> f64 {
        100.0 * (self.late / self.early - 1.0)
    }
}
