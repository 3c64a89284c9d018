//! What an operator may decide about a stream. Plain values, shared by all streams of a route through an `Arc`.

use std::time::Duration;

/// How the streams of one route are treated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamPolicy {
    /// Comment heartbeats; `None` is `heartbeat: off`.
    pub heartbeat: Option<HeartbeatPolicy>,
    /// Obey `Cache-Control: no-transform` for heartbeats too (RFC 9111 section 5.2.2.6).
    pub strict_no_transform: bool,
    /// End abnormally when the upstream said nothing for so long.
    pub max_upstream_silence: Option<Duration>,
    /// Planned end of a subscription, at a boundary.
    pub max_age: Option<MaxAge>,
    /// End when the client took nothing of what waits for it for so long.
    pub write_stall: Duration,
}

/// Comment heartbeats of a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeartbeatPolicy {
    /// A beat is due when nothing was written to the client for so long.
    pub interval: Duration,
    /// Which frame carries it.
    pub frame: FrameChoice,
    /// Text of the comment, without line ends; empty by default.
    pub text: String,
}

/// `heartbeat.frame` of the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FrameChoice {
    /// Chosen so that no client breaks (see `heartbeat.rs`).
    #[default]
    Auto,
    /// A comment line, `:\n`.
    Line,
    /// A comment line and a blank line, `:\n\n`.
    Block,
}

/// Planned end of a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaxAge {
    /// The latest age at which the end comes due: it must lie before the cut of whatever stands in front of us.
    pub after: Duration,
    /// How much earlier it may come, in percent of `after` (0 to 100), so that clients do not come back in one wave.
    pub jitter_percent: u8,
}
