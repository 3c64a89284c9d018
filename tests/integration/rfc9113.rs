//! What RFC 9113 demands of a proxy that faces clients, rule by rule: each row breaks one, or uses what must be tolerated, on a
//! connection of its own, and says what has to come of it. Where the codec does something else, the row says that too, and why it is
//! harmless; a change of that shows here.

mod connections;
mod fields;
mod streams;

use crate::support::frames::{END_STREAM, frame, headers};
use crate::support::raw_http2::{GET_FIELDS, RawHttp2};
use crate::support::{Edge, Origin, Script};

/// Error codes (RFC 9113 section 7).
const NO_ERROR: u32 = 0;
const PROTOCOL_ERROR: u32 = 1;
const FLOW_CONTROL_ERROR: u32 = 3;
const STREAM_CLOSED: u32 = 5;
const FRAME_SIZE_ERROR: u32 = 6;
const CANCEL: u32 = 8;
const COMPRESSION_ERROR: u32 = 9;

/// Frame types (RFC 9113 section 6) and flags.
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PUSH_PROMISE: u8 = 5;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const ACK: u8 = 1;
const PADDED: u8 = 8;

const POST_FIELDS: [(&str, &str); 4] = [(":method", "POST"), (":scheme", "http"), (":authority", "test"), (":path", "/")];

/// What comes of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// GOAWAY with this code, and the end of the connection.
    Connection(u32),
    /// RST_STREAM with this code on this stream; the connection goes on.
    Reset(u32, u32),
    /// An answer of ours on this stream; the connection goes on.
    Answer(u32, u16),
    /// Nothing; the connection goes on.
    Ignored,
}

/// One rule.
struct Row {
    section: &'static str,
    what: &'static str,
    sent: Vec<u8>,
    /// What the standard demands.
    must: Outcome,
    /// What happens instead, and why that is harmless.
    but: Option<(Outcome, &'static str)>,
}

impl Row {
    fn new(section: &'static str, what: &'static str, sent: impl AsRef<[u8]>, must: Outcome) -> Self {
        Self { section, what, sent: sent.as_ref().to_vec(), must, but: None }
    }

    fn but(self, outcome: Outcome, why: &'static str) -> Self {
        assert_ne!(outcome, self.must, "{}: no difference", self.what);
        assert!(!why.is_empty());
        Self { but: Some((outcome, why)), ..self }
    }
}

/// A connection error in place of a stream's.
const HARSHER: &str =
    "an endpoint may treat a stream error as one of the connection (RFC 9113 section 5.4.2), and no honest client runs into it";
/// Another code.
const OTHER_CODE: &str = "the connection ends all the same, and no client acts on the code (RFC 9113 section 7)";

/// A request that nothing is wrong with, on a stream that no row uses.
const PROBE: u32 = 1001;

/// A ping whose answer says that all that was sent before was read.
const PROBE_PING: [u8; 8] = *b"are-you?";

/// Runs all rows, and tells of all that went wrong at once.
async fn hold(rows: Vec<Row>) {
    assert!(!rows.is_empty());
    let origin = Origin::start(Script::answer("ok")).await;
    let edge = Edge::start(origin.address()).await;
    let mut wrong = Vec::new();
    for row in rows {
        let expected = row.but.map_or(row.must, |(outcome, _)| outcome);
        let before = origin.requests();
        let (happened, went_on) = happens(&edge, &row.sent, expected).await;
        // The probe is a request too. What was refused reached nobody.
        let reached = origin.requests() - before - usize::from(went_on);
        let is_served = matches!(expected, Outcome::Answer(_, 200));
        let may_reach =
            is_served || row.section.starts_with("8.1") || row.section.starts_with("5.") || row.section.starts_with('6');
        if happened != expected || (reached > 0 && !may_reach) {
            wrong.push(format!("{} {}: {happened:?}, not {expected:?}; {reached} requests", row.section, row.what));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(!edge.process().log().contains("panicked"), "{}", edge.process().log());
}

/// What came of it, and whether the connection went on.
async fn happens(edge: &Edge, sent: &[u8], expected: Outcome) -> (Outcome, bool) {
    let mut client = RawHttp2::connect(edge.address()).await;
    client.send(sent).await;
    client.send(&frame(PING, 0, 0, &PROBE_PING)).await;
    let stream = match expected {
        Outcome::Reset(stream, _) | Outcome::Answer(stream, _) => Some(stream),
        Outcome::Connection(_) | Outcome::Ignored => None,
    };
    // Whatever comes, it comes before this ping's answer or, if the origin is asked first, on the stream in question.
    client
        .frames()
        .wait_for("an outcome", |seen| {
            let pong = seen.pongs.iter().any(|pong| *pong == PROBE_PING);
            let answered =
                stream.is_none_or(|stream| seen.streams.get(&stream).is_some_and(|stream| stream.ended || stream.reset.is_some()));
            (seen.closed.is_some() || (pong && answered)).then_some(())
        })
        .await;
    if let Some(code) = client.frames().look(|seen| seen.closed.and(seen.go_aways.last().map(|(_, code)| *code))) {
        return (Outcome::Connection(code), false);
    }
    client.send(&headers(PROBE, END_STREAM, &GET_FIELDS)).await;
    let probe = client.answer(PROBE).await;
    let seen = stream.and_then(|stream| client.frames().look(|seen| seen.streams.get(&stream).cloned()));
    if let Some(code) = client.frames().look(|seen| seen.go_aways.last().map(|(_, code)| *code)) {
        return (Outcome::Connection(code), false);
    }
    assert_eq!(probe.status(), Some(200), "the connection did not go on as before: {probe:?}");
    let outcome = match (stream, seen) {
        // Early answers are followed by a reset with NO_ERROR where the request goes on (RFC 9113 section 8.1).
        (Some(id), Some(seen)) => match (seen.status(), seen.reset) {
            (Some(status), None | Some(NO_ERROR)) => Outcome::Answer(id, status),
            (_, Some(code)) => Outcome::Reset(id, code),
            (None, None) => Outcome::Ignored,
        },
        _ => Outcome::Ignored,
    };
    (outcome, true)
}
