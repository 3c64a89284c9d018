//! Where a heartbeat may stand and which frame it takes. A heartbeat must never dispatch, split or change an event in any parser that
//! is in use: the table of measured clients in the design's `sse.md`, section 2, is the reason for each line here.

use crate::sse::{Frame, LineEnd, Position, Scanner, encode};

use super::policy::FrameChoice;

/// One heartbeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Beat {
    /// Comment line or comment block.
    pub frame: Frame,
    /// The stream's own line end, but LF for a stream of lone CRs.
    pub line_end: LineEnd,
    /// The upstream's last byte was a CR that ended a block: its LF comes first, so that the comment never stands between the two.
    pub completes_pair: bool,
}

impl Beat {
    pub(super) fn encode(self, text: &str, out: &mut Vec<u8>) {
        if self.completes_pair {
            out.push(b'\n');
        }
        encode::heartbeat(self.frame, self.line_end, text, out);
    }
}

/// How many intervals a heartbeat waits at this position; `None`: never from here.
pub(super) fn patience(position: Position, at_boundary: bool) -> Option<u32> {
    match position {
        _ if at_boundary => Some(1),
        // Legal between two lines of a block, but the block will most likely close soon: wait a whole interval more.
        Position::LineStart => Some(2),
        Position::EventStart | Position::AfterCr { .. } | Position::MidLine => None,
    }
}

/// The frame for a beat at the scanner's position, which [`patience`] allowed.
pub(super) fn choose(choice: FrameChoice, line_only: bool, scanner: &Scanner, pair_completed: bool) -> Beat {
    let line_end = match scanner.line_end() {
        Some(LineEnd::CrLf) => LineEnd::CrLf,
        // Never a CR as our last byte: it would own an LF that the upstream sends next, and so eat a blank line of its own.
        Some(LineEnd::Lf | LineEnd::Cr) | None => LineEnd::Lf,
    };
    match scanner.position() {
        Position::EventStart => {
            let frame = match choice {
                FrameChoice::Line => Frame::Line,
                FrameChoice::Block => Frame::Block,
                FrameChoice::Auto if line_only => Frame::Line,
                FrameChoice::Auto => Frame::Block,
            };
            Beat { frame, line_end, completes_pair: false }
        }
        Position::AfterCr { .. } => Beat { frame: Frame::Line, line_end: LineEnd::Lf, completes_pair: !pair_completed },
        // A blank line here would dispatch a half-built event.
        Position::LineStart | Position::MidLine => Beat { frame: Frame::Line, line_end, completes_pair: false },
    }
}
