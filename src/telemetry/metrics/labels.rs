//! The enums whose values are labels. A label never comes from a client: what is counted is one of these, or a name of the
//! configuration.

use prometheus::IntCounter;

use crate::message::soft::SoftStatus;
use crate::stream::EndReason;

/// An enum whose values are values of a label.
pub(super) trait Label: Copy + PartialEq + 'static {
    /// All of them: each has its series from the start, since an alert on a series that does not exist never fires.
    const EVERY: &'static [Self];

    /// The value of the label.
    fn value(self) -> &'static str;
}

/// The class of a response's status (RFC 9110 section 15).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusClass {
    /// `1xx`, as a final answer: 101.
    Informational,
    /// `2xx`.
    Successful,
    /// `3xx`.
    Redirection,
    /// `4xx`.
    ClientError,
    /// `5xx`.
    ServerError,
    /// `gone`: the client left before there was an answer.
    ClientGone,
}

impl StatusClass {
    /// The class of a status. It is never [`StatusClass::ClientGone`], for which there is no status.
    #[must_use]
    pub fn of(status: u16) -> Self {
        match status {
            100..=199 => Self::Informational,
            200..=299 => Self::Successful,
            300..=399 => Self::Redirection,
            400..=499 => Self::ClientError,
            _ => Self::ServerError,
        }
    }
}

impl Label for StatusClass {
    const EVERY: &'static [Self] =
        &[Self::Informational, Self::Successful, Self::Redirection, Self::ClientError, Self::ServerError, Self::ClientGone];

    fn value(self) -> &'static str {
        match self {
            Self::Informational => "1xx",
            Self::Successful => "2xx",
            Self::Redirection => "3xx",
            Self::ClientError => "4xx",
            Self::ServerError => "5xx",
            Self::ClientGone => "gone",
        }
    }
}

/// The form of a heartbeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeartbeatFrame {
    /// A comment line.
    Line,
    /// A comment line and a blank one.
    Block,
}

impl Label for HeartbeatFrame {
    const EVERY: &'static [Self] = &[Self::Line, Self::Block];

    fn value(self) -> &'static str {
        match self {
            Self::Line => "line",
            Self::Block => "block",
        }
    }
}

/// The cap that a refused stream met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamCap {
    /// `caps.streams_per_client`.
    Client,
    /// `caps.streams`.
    Route,
    /// `limits.streams`.
    Total,
}

impl Label for StreamCap {
    const EVERY: &'static [Self] = &[Self::Client, Self::Route, Self::Total];

    fn value(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Route => "route",
            Self::Total => "total",
        }
    }
}

/// The cap that a refused connection met. A connection has no route yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionCap {
    /// `limits.connections_per_client`.
    Client,
    /// `limits.connections`.
    Total,
    /// `limits.connect_rate_per_client`.
    Rate,
    /// The process's limit of descriptors.
    Descriptors,
}

impl Label for ConnectionCap {
    const EVERY: &'static [Self] = &[Self::Client, Self::Total, Self::Rate, Self::Descriptors];

    fn value(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Total => "total",
            Self::Rate => "rate",
            Self::Descriptors => "descriptors",
        }
    }
}

/// Why the connection of a trusted proxy has no PROXY header that can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyHeaderFault {
    /// It begins with something else.
    Missing,
    /// It has an error.
    Malformed,
    /// It ended early, or did not come in time.
    Incomplete,
}

impl Label for ProxyHeaderFault {
    const EVERY: &'static [Self] = &[Self::Missing, Self::Malformed, Self::Incomplete];

    fn value(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Malformed => "malformed",
            Self::Incomplete => "incomplete",
        }
    }
}

/// What a connection was closed before because nothing came in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SilentBefore {
    /// Since it was accepted, or since its TLS stands.
    FirstRequest,
    /// Since the request before.
    NextRequest,
}

impl Label for SilentBefore {
    const EVERY: &'static [Self] = &[Self::FirstRequest, Self::NextRequest];

    fn value(self) -> &'static str {
        match self {
            Self::FirstRequest => "first_request",
            Self::NextRequest => "next_request",
        }
    }
}

/// How a TLS handshake with a client ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsHandshake {
    /// It stands.
    Done,
    /// The client said nothing.
    Silent,
    /// The client spoke HTTP in cleartext.
    PlainHttp,
    /// It did not end within `timeouts.request_head`.
    TimedOut,
    /// No common version, a client certificate that is not good, garbage.
    Failed,
}

impl Label for TlsHandshake {
    const EVERY: &'static [Self] = &[Self::Done, Self::Silent, Self::PlainHttp, Self::TimedOut, Self::Failed];

    fn value(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Silent => "silent",
            Self::PlainHttp => "plain_http",
            Self::TimedOut => "timed_out",
            Self::Failed => "failed",
        }
    }
}

/// Where a connection to a server came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionKind {
    /// Just made.
    Fresh,
    /// From the pool.
    Reused,
}

impl Label for ConnectionKind {
    const EVERY: &'static [Self] = &[Self::Fresh, Self::Reused];

    fn value(self) -> &'static str {
        match self {
            Self::Fresh => "fresh",
            Self::Reused => "reused",
        }
    }
}

impl Label for SoftStatus {
    const EVERY: &'static [Self] = &Self::ALL;

    fn value(self) -> &'static str {
        self.label()
    }
}

impl Label for EndReason {
    const EVERY: &'static [Self] = &Self::ALL;

    fn value(self) -> &'static str {
        self.label()
    }
}

/// A counter for each value of a label, resolved once.
#[derive(Debug)]
pub(super) struct CounterPer<L> {
    counters: Box<[(L, IntCounter)]>,
}

impl<L: Label> CounterPer<L> {
    /// The counters that `resolve` gives for the values.
    pub(super) fn new(resolve: impl Fn(&'static str) -> IntCounter) -> Self {
        Self { counters: L::EVERY.iter().map(|label| (*label, resolve(label.value()))).collect() }
    }

    /// One more of `label`.
    pub(super) fn inc(&self, label: L) {
        if let Some((_, counter)) = self.counters.iter().find(|(known, _)| *known == label) {
            counter.inc();
        }
    }

    /// How many of `label`.
    pub(super) fn get(&self, label: L) -> u64 {
        self.counters.iter().find(|(known, _)| *known == label).map_or(0, |(_, counter)| counter.get())
    }
}
