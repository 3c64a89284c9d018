//! Why an HTTP/2 connection ended: one word for each, which the metric and the log share.

use super::labels::Label;

/// Why an HTTP/2 connection of a client ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Http2End {
    /// The client closed it.
    ClientClosed,
    /// It broke: the client reset it, or was gone without a word.
    ClientLost,
    /// The client ended it with an error of its own (RFC 9113 section 6.8).
    ClientError,
    /// No stream was open for `listeners[].h2.idle`.
    Idle,
    /// We are leaving, and its last stream had ended.
    Drained,
    /// We left before its last stream had ended.
    DrainCut,
    /// What the client began was not finished in time: its preface, a head, a frame.
    SlowFrame,
    /// What came was no HTTP/2 (RFC 9113 section 3.4), or broke a rule that has no word of its own.
    ProtocolError,
    /// A window was overrun or overflowed (RFC 9113 section 5.2).
    FlowControlError,
    /// A frame had a length that it may not have (RFC 9113 section 4.2).
    FrameSizeError,
    /// A field block could not be unpacked (RFC 9113 section 4.3).
    CompressionError,
    /// A frame came for a stream that was over (RFC 9113 section 5.1).
    StreamClosed,
    /// Too many PINGs.
    PingFlood,
    /// Too many SETTINGS.
    SettingsFlood,
    /// Too many PRIORITYs.
    PriorityFlood,
    /// Too many requests that were reset before they had an answer (CVE-2023-44487).
    ResetFlood,
    /// Too many WINDOW_UPDATEs.
    WindowUpdateFlood,
    /// Too many frames without a byte, or with next to none.
    EmptyFrameFlood,
    /// Too many frames of types that are ignored.
    OtherFrameFlood,
    /// A field block in too many CONTINUATIONs (CVE-2024-27316).
    ContinuationFlood,
    /// Too many errors that are answered with a reset each (CVE-2025-8671).
    ErrorFlood,
    /// A field block that unpacks to far more than a head may have.
    HeadBomb,
    /// Too much of what the codec counts, and nobody could be told of what.
    Flood,
    /// Its task was dropped.
    Aborted,
}

impl Http2End {
    /// The word for it.
    #[must_use]
    pub fn label(self) -> &'static str {
        self.value()
    }

    /// Whether the client did what no honest one does: worth a line in the log.
    #[must_use]
    pub fn is_abuse(self) -> bool {
        !matches!(
            self,
            Self::ClientClosed
                | Self::ClientLost
                | Self::ClientError
                | Self::Idle
                | Self::Drained
                | Self::DrainCut
                | Self::SlowFrame
                | Self::Aborted
        )
    }
}

impl Label for Http2End {
    const EVERY: &'static [Self] = &[
        Self::ClientClosed,
        Self::ClientLost,
        Self::ClientError,
        Self::Idle,
        Self::Drained,
        Self::DrainCut,
        Self::SlowFrame,
        Self::ProtocolError,
        Self::FlowControlError,
        Self::FrameSizeError,
        Self::CompressionError,
        Self::StreamClosed,
        Self::PingFlood,
        Self::SettingsFlood,
        Self::PriorityFlood,
        Self::ResetFlood,
        Self::WindowUpdateFlood,
        Self::EmptyFrameFlood,
        Self::OtherFrameFlood,
        Self::ContinuationFlood,
        Self::ErrorFlood,
        Self::HeadBomb,
        Self::Flood,
        Self::Aborted,
    ];

    fn value(self) -> &'static str {
        match self {
            Self::ClientClosed => "client_closed",
            Self::ClientLost => "client_lost",
            Self::ClientError => "client_error",
            Self::Idle => "idle",
            Self::Drained => "drained",
            Self::DrainCut => "drain_cut",
            Self::SlowFrame => "slow_frame",
            Self::ProtocolError => "protocol_error",
            Self::FlowControlError => "flow_control_error",
            Self::FrameSizeError => "frame_size_error",
            Self::CompressionError => "compression_error",
            Self::StreamClosed => "stream_closed",
            Self::PingFlood => "ping_flood",
            Self::SettingsFlood => "settings_flood",
            Self::PriorityFlood => "priority_flood",
            Self::ResetFlood => "reset_flood",
            Self::WindowUpdateFlood => "window_update_flood",
            Self::EmptyFrameFlood => "empty_frame_flood",
            Self::OtherFrameFlood => "other_frame_flood",
            Self::ContinuationFlood => "continuation_flood",
            Self::ErrorFlood => "error_flood",
            Self::HeadBomb => "head_bomb",
            Self::Flood => "flood",
            Self::Aborted => "aborted",
        }
    }
}
