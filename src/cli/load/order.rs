//! The integrity of one stream: whether each id that is a number is one more than the one before.
//!
//! It outlives connections, so that what a reconnect loses or repeats shows.

/// Gaps that are remembered, to tell a late event from one that came twice.
const GAPS: usize = 8;

/// What an id says about those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing was there to compare it with.
    First,
    /// One more than the highest before.
    Next,
    /// So many between it and the highest never came.
    Missing(u64),
    /// It has come before.
    Doubled,
    /// It comes behind a higher one.
    Disordered,
}

/// The ids of one stream so far.
#[derive(Debug, Default)]
pub(super) struct Order {
    /// The first one and the highest.
    seen: Option<(u64, u64)>,
    /// Ids between the two that have not come, both ends included; the newest last.
    gaps: Vec<(u64, u64)>,
    /// More gaps than fit were there.
    has_forgotten: bool,
}

impl Order {
    /// Judges the next id.
    pub(super) fn judge(&mut self, id: u64) -> Verdict {
        let Some((first, highest)) = self.seen else {
            self.seen = Some((id, id));
            return Verdict::First;
        };
        if id > highest {
            self.seen = Some((first, id));
            let missing = id - highest - 1;
            if missing == 0 {
                return Verdict::Next;
            }
            self.remember(highest + 1, id - 1);
            return Verdict::Missing(missing);
        }
        if id < first {
            self.seen = Some((id, highest));
            self.remember(id + 1, first - 1);
            return Verdict::Disordered;
        }
        let Some(at) = self.gaps.iter().position(|(low, high)| (*low..=*high).contains(&id)) else {
            // What lies in a gap that was forgotten may be late; what is the highest surely came.
            return if self.has_forgotten && id < highest { Verdict::Disordered } else { Verdict::Doubled };
        };
        let (low, high) = self.gaps.remove(at);
        self.remember(low, id - 1);
        self.remember(id + 1, high);
        Verdict::Disordered
    }

    fn remember(&mut self, low: u64, high: u64) {
        if low > high {
            return;
        }
        if self.gaps.len() == GAPS {
            self.gaps.remove(0);
            self.has_forgotten = true;
        }
        self.gaps.push((low, high));
    }
}

#[cfg(test)]
mod tests {
    use super::Verdict::{Disordered, Doubled, First, Missing, Next};
    use super::*;

    fn judge(ids: &[u64]) -> Vec<Verdict> {
        let mut order = Order::default();
        ids.iter().map(|id| order.judge(*id)).collect()
    }

    #[test]
    fn each_id_is_one_more_or_the_fault_has_its_name() {
        assert_eq!(judge(&[7, 8, 9]), [First, Next, Next]);
        assert_eq!(judge(&[1, 2, 5, 5, 6]), [First, Next, Missing(2), Doubled, Next]);
        assert_eq!(judge(&[0, u64::MAX]), [First, Missing(u64::MAX - 1)]);
    }

    #[test]
    fn a_late_event_is_told_from_one_that_came_twice() {
        assert_eq!(
            judge(&[1, 5, 3, 3, 2, 4, 4, 1]),
            [First, Missing(3), Disordered, Doubled, Disordered, Disordered, Doubled, Doubled]
        );
        assert_eq!(judge(&[3, 4, 3, 4]), [First, Next, Doubled, Doubled]);
        assert_eq!(judge(&[3, 2, 2, 4]), [First, Disordered, Doubled, Next]);
    }

    #[test]
    fn a_stream_full_of_gaps_costs_no_more_memory() {
        let mut order = Order::default();
        for id in (0..10_000).step_by(2) {
            order.judge(id);
            order.judge(id.saturating_sub(101));
        }
        assert!(order.gaps.len() <= GAPS);
        assert_eq!(order.judge(9_998), Doubled);
        assert_eq!(order.judge(9_999), Next);
    }
}
