//! The one place that reads the clock. Everything else takes `now` as an argument, so that the stream engine can be simulated
//! and no rule depends on when a test happens to run. `.clippy.toml` bans the calls elsewhere.

use std::time::{Instant, SystemTime};

/// Monotonic time: deadlines and durations.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the clock")]
pub fn now() -> Instant {
    Instant::now()
}

/// Wall-clock time: timestamps that people read.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the clock")]
pub fn wall() -> SystemTime {
    SystemTime::now()
}
