//! How streams ended, as one sentence for the log. Plain numbers; a pure value.

use std::fmt;

use crate::stream::EndReason;

/// How many streams ended for each reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ends {
    /// In the order of [`EndReason::ALL`].
    counts: [u64; EndReason::ALL.len()],
}

impl Ends {
    /// The numbers that `count` gives.
    #[must_use]
    pub fn new(mut count: impl FnMut(EndReason) -> u64) -> Self {
        Self { counts: EndReason::ALL.map(&mut count) }
    }

    /// What came since `earlier`, during a drain for example.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut counts = self.counts;
        for (count, before) in counts.iter_mut().zip(earlier.counts) {
            *count = count.saturating_sub(before);
        }
        Self { counts }
    }

    /// All of them together.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The reasons that occurred, with their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (EndReason, u64)> {
        EndReason::ALL.into_iter().zip(self.counts).filter(|(_, count)| *count > 0)
    }
}

impl fmt::Display for Ends {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.total() {
            0 => return f.write_str("no stream ended"),
            1 => f.write_str("1 stream ended: ")?,
            total => write!(f, "{total} streams ended: ")?,
        }
        for (at, (reason, count)) in self.iter().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            write!(f, "{comma}{count} {}", reason.label())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Ends;
    use crate::stream::EndReason;

    fn ends(some: &[(EndReason, u64)]) -> Ends {
        Ends::new(|reason| some.iter().find(|(known, _)| *known == reason).map_or(0, |(_, count)| *count))
    }

    #[test]
    fn the_summary_names_each_reason_that_occurred_and_no_other() {
        let all = ends(&[(EndReason::Drained, 40), (EndReason::UpstreamEnd, 2), (EndReason::Aborted, 1)]);
        assert_eq!(all.to_string(), "43 streams ended: 2 upstream_end, 40 drained, 1 aborted");
        assert_eq!(ends(&[(EndReason::MaxAge, 1)]).to_string(), "1 stream ended: 1 max_age");
        assert_eq!(Ends::default().to_string(), "no stream ended");
    }

    #[test]
    fn the_ends_of_a_drain_leave_out_what_ended_before() {
        let before = ends(&[(EndReason::ClientGone, 7)]);
        let after = ends(&[(EndReason::ClientGone, 8), (EndReason::DrainCut, 3)]);
        assert_eq!(after.since(&before).iter().collect::<Vec<_>>(), [(EndReason::ClientGone, 1), (EndReason::DrainCut, 3)]);
    }
}
