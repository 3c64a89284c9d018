//! A line of the log for what may happen thousands of times a second: written once in a while, with how often it happened since.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Between two lines about the same thing.
const PAUSE: Duration = Duration::from_secs(10);

/// Counts one kind of happening between its lines.
#[derive(Debug, Default)]
pub struct Seldom {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    next: Option<Instant>,
    untold: u64,
}

impl Seldom {
    /// It happened at `now`. How often since the last line, this time included, if a line is due.
    #[must_use]
    pub fn happened(&self, now: Instant) -> Option<u64> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.untold += 1;
        if state.next.is_some_and(|next| now < next) {
            return None;
        }
        state.next = Some(now + PAUSE);
        Some(std::mem::take(&mut state.untold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    #[test]
    fn the_first_is_told_at_once_and_the_others_together_once_the_pause_is_over() {
        let (seldom, start) = (Seldom::default(), clock::now());
        assert_eq!(seldom.happened(start), Some(1));
        for millis in 0..100 {
            assert_eq!(seldom.happened(start + Duration::from_millis(millis)), None);
        }
        assert_eq!(seldom.happened(start + PAUSE), Some(101));
        assert_eq!(seldom.happened(start + PAUSE), None);
        assert_eq!(seldom.happened(start + 3 * PAUSE), Some(2));
    }
}
