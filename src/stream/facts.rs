//! What is known of a stream when its response head stands, and what follows for it. Decided once; nothing here changes later.

use std::time::{Duration, Instant};

use super::policy::MaxAge;

/// Facts of the request and the response head that decide what may be done to a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamFacts {
    /// Which kind of stream it is.
    pub kind: StreamKind,
    /// The response's status is 200.
    pub status_ok: bool,
    /// The body is coded (`Content-Encoding` other than identity): its bytes are not events to us.
    pub opaque: bool,
    /// `Content-Digest` or `Repr-Digest` is on the response (RFC 9530): another byte would break it.
    pub digested: bool,
    /// The upstream said `Cache-Control: no-transform` (RFC 9111 section 5.2.2.6).
    pub no_transform: bool,
    /// The client's parser wants heartbeats as a single line (see `heartbeat.rs`).
    pub line_frames_only: bool,
}

/// What may be done to a stream beside forwarding it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamKind {
    /// A GET: its client comes back by itself, so it may end at a boundary.
    Subscription,
    /// Any other method, LLM tokens for example: it runs to its own end.
    Finite,
}

impl StreamFacts {
    /// Whether we may put bytes of our own between the upstream's.
    pub(super) fn may_inject(&self, strict_no_transform: bool) -> bool {
        let forbidden = self.no_transform && strict_no_transform;
        self.status_ok && !self.opaque && !self.digested && !forbidden
    }

    /// Whether we may plan an end: only where the client comes back, and where boundaries can be seen.
    pub(super) fn may_end_early(&self) -> bool {
        self.kind == StreamKind::Subscription && !self.opaque
    }
}

/// When a stream that opens at `now` ends: within the last `jitter_percent` before `age.after`, placed by `jitter`.
pub(super) fn planned_end(age: MaxAge, jitter: u16, now: Instant) -> Instant {
    let spread = age.after * u32::from(age.jitter_percent.min(100)) / 100;
    let earlier = spread.mul_f64(f64::from(jitter) / f64::from(u16::MAX));
    now + age.after.saturating_sub(earlier).max(Duration::from_millis(1))
}
