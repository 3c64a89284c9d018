//! Floods over HTTP/2: what a client may send for nothing and no window bounds (RFC 9113 section 10.5). Each ends its connection with a
//! code, under a name of its own, in bounded memory; a stream on another connection loses nothing.

use h2::Reason;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::frames::{
    DATA, END_HEADERS, END_STREAM, HEADERS, PREFACE, block, data, frame, go_away, headers, reset, settings, window_update,
};
use crate::support::raw_http2::{GET_FIELDS, RawHttp2};
use crate::support::{Edge, Http2Client, Http2Stream, Origin, SUBSCRIBE, Script, StreamEnd, eventually, within};

/// What all floods of a test may cost together. A connection keeps a frame of 16 KiB, a head of 64 KiB and 128 streams; the rest is room
/// for an allocator that breathes.
pub(crate) const MEMORY: u64 = 24 << 20;

const PRIORITY: u8 = 2;
const PING: u8 = 6;
const CONTINUATION: u8 = 9;
const PADDED: u8 = 8;

const POST_FIELDS: [(&str, &str); 4] = [(":method", "POST"), (":scheme", "http"), (":authority", "test"), (":path", "/")];

/// A proxy, and beside the abuser a stream that has one event and is promised another.
pub(crate) struct Street {
    pub(crate) edge: Edge,
    pub(crate) origin: Origin,
    _client: Http2Client,
    stream: Http2Stream,
    before: u64,
}

impl Street {
    pub(crate) async fn quiet() -> Self {
        Self::with(Edge::with()).await
    }

    pub(crate) async fn with(edge: crate::support::EdgeBuilder) -> Self {
        let neighbour = Script::stream().event("a").gate().event("b").end();
        let origin = Origin::start_each([neighbour, Script::stream().event("c").hang()]).await;
        let edge = edge.start(origin.address()).await;
        let (client, mut stream, _) = Http2Client::open(edge.address(), SUBSCRIBE).await;
        stream.expects("data: a\n\n").await;
        let before = edge.resident();
        Self { edge, origin, _client: client, stream, before }
    }

    /// The abuser's connection ended under this name, and the log says who it was.
    pub(crate) async fn ended(&self, reason: &str) {
        self.edge.metric_becomes("ssedge_http2_connections_ended_total", &format!("reason=\"{reason}\""), 1.0).await;
        self.edge.process().logs(&format!("reason=\"{reason}\"")).await;
    }

    /// As [`Self::ended`], under one of these names.
    pub(crate) async fn ended_as(&self, reasons: &[&str]) {
        let log = self.edge.process();
        eventually("its end in the log", || {
            reasons.iter().any(|reason| log.log().contains(&format!("reason=\"{reason}\""))).then_some(())
        })
        .await;
    }

    /// Nothing was lost here.
    pub(crate) async fn stays_well(mut self) {
        let grown = self.edge.resident().saturating_sub(self.before);
        assert!(grown < MEMORY, "{grown} bytes more of memory");
        self.origin.open_gate();
        self.stream.ends_with("data: b\n\n", StreamEnd::Clean).await;
        assert!(!self.edge.process().log().contains("panicked"), "{}", self.edge.process().log());
    }
}

/// Sends `flood` again and again until the proxy closes, which it must: the code of its GOAWAY.
async fn until_it_ends(client: &mut RawHttp2, most: usize, mut flood: impl FnMut(usize) -> Vec<u8>) -> u32 {
    for round in 0..most {
        client.send(&flood(round)).await;
        if client.frames().look(|seen| !seen.go_aways.is_empty() || seen.closed.is_some()) {
            break;
        }
    }
    client.frames().wait_for("the end of the connection", |seen| seen.closed).await;
    client.frames().look(|seen| seen.go_aways.last().map(|(_, code)| *code)).expect("a GOAWAY before the end")
}

const CALM: u32 = 11;

#[tokio::test]
async fn frames_that_bring_nothing_end_their_connection_by_name() {
    for (reason, frame) in [
        ("ping_flood", frame(PING, 0, 0, &[7; 8])),
        ("ping_flood", frame(PING, 1, 0, &[7; 8])),
        ("settings_flood", settings(&[])),
        ("settings_flood", settings(&[(4, 0), (4, 0x7fff_ffff), (4, 65_535)])),
        ("priority_flood", frame(PRIORITY, 0, 3, &[0, 0, 0, 0, 1])),
        ("window_update_flood", window_update(0, 1)),
        ("other_frame_flood", frame(0x10, 0, 0, b"\0\0\0\x01u=1")),
        ("other_frame_flood", frame(0xbe, 0xff, 77, &[9; 100])),
    ] {
        let street = Street::quiet().await;
        let mut client = RawHttp2::connect(street.edge.address()).await;
        let code = until_it_ends(&mut client, 1000, |_| frame.repeat(100)).await;
        assert_eq!(code, CALM, "{reason}");
        street.ended(reason).await;
        assert_eq!(street.origin.requests(), 1, "{reason}");
        street.stays_well().await;
    }
}

#[tokio::test]
async fn floods_on_a_stream_end_their_connection_by_name() {
    for (reason, frame) in [
        ("empty_frame_flood", data(1, 0, b"")),
        // A piece that is all padding: it uses up a window, and is counted all the same.
        ("empty_frame_flood", frame(DATA, PADDED, 1, &[4, 0, 0, 0, 0])),
        ("window_update_flood", window_update(1, 1)),
        // With a stream open it does not end the connection.
        ("other_frame_flood", go_away(0, 0)),
    ] {
        let street = Street::quiet().await;
        let mut client = RawHttp2::connect(street.edge.address()).await;
        client.send(&headers(1, 0, &POST_FIELDS)).await;
        let code = until_it_ends(&mut client, 1000, |_| frame.repeat(100)).await;
        assert_eq!(code, CALM, "{reason}");
        street.ended(reason).await;
        street.stays_well().await;
    }
}

/// What is sent with an honest stream open: a flood is a connection's error, and that stream ends with it; a neighbour's does not.
#[tokio::test]
async fn a_flood_beside_a_stream_of_its_own_ends_that_too() {
    let street = Street::quiet().await;
    let mut client = RawHttp2::connect(street.edge.address()).await;
    client.send(&headers(1, END_STREAM, &GET_FIELDS)).await;
    client.frames().wait_for("an event", |seen| seen.streams.get(&1).filter(|stream| stream.data > 0).map(drop)).await;
    until_it_ends(&mut client, 1000, |_| frame(PING, 0, 0, &[7; 8]).repeat(100)).await;
    street.ended("ping_flood").await;
    street.edge.stream_ended("client_gone").await;
    street.stays_well().await;
}

/// As many as an honest client may send at the worst: a page of 128 streams closes at once, again and again, each with an answer.
#[tokio::test]
async fn streams_that_were_answered_may_be_cancelled_without_end() {
    let street = Street::quiet().await;
    let mut client = RawHttp2::connect(street.edge.address()).await;
    for round in 0..30_u32 {
        let ids: Vec<u32> = (0..100).map(|number| (round * 100 + number) * 2 + 1).collect();
        let opened: Vec<u8> = ids.iter().flat_map(|id| headers(*id, END_STREAM, &GET_FIELDS)).collect();
        client.send(&opened).await;
        let answered = |seen: &crate::support::frames::Seen| {
            ids.iter().all(|id| seen.streams.get(id).is_some_and(|stream| !stream.blocks.is_empty())).then_some(())
        };
        client.frames().wait_for("all heads", answered).await;
        client.send(&ids.iter().flat_map(|id| reset(*id, 8)).collect::<Vec<_>>()).await;
    }
    client.send(&headers(9001, END_STREAM, &GET_FIELDS)).await;
    client.frames().wait_for("an event", |seen| seen.streams.get(&9001).filter(|stream| stream.data > 0).map(drop)).await;
    assert!(client.frames().look(|seen| seen.go_aways.is_empty() && seen.closed.is_none()));
    street.stays_well().await;
}

/// CVE-2023-44487: what is reset in the packet that asked for it never reaches a server, and not even the connection lasts.
#[tokio::test]
async fn requests_that_are_reset_at_once_reach_nobody() {
    let street = Street::quiet().await;
    let mut client = RawHttp2::connect(street.edge.address()).await;
    let code = until_it_ends(&mut client, 100, |round| {
        let ids = (round as u32 * 100..).take(100).map(|number| number * 2 + 1);
        ids.flat_map(|id| [headers(id, END_STREAM, &GET_FIELDS), reset(id, 8)].concat()).collect()
    })
    .await;
    assert_eq!(code, CALM);
    street.ended("reset_flood").await;
    // A pair may be cut in two by a read.
    let asked = street.origin.requests();
    assert!(asked < 100, "{asked} requests that nobody wanted reached the server");
    street.stays_well().await;
}

/// The same, slow enough that each request is at work before it is reset.
#[tokio::test]
async fn requests_that_are_reset_before_their_answer_are_bounded() {
    let neighbour = Script::stream().event("a").gate().event("b").end();
    let origin = Origin::start_each([neighbour, Script::early().hang()]).await;
    let edge = Edge::with().listener_keys("h2: { streams: 16 }").start(origin.address()).await;
    let (_client, mut stream, _) = Http2Client::open(edge.address(), SUBSCRIBE).await;
    stream.expects("data: a\n\n").await;
    let before = edge.resident();
    let mut client = RawHttp2::connect(edge.address()).await;
    let mut most = 0;
    for round in 0..1_000_u32 {
        let ids: Vec<u32> = (0..16).map(|number| (round * 16 + number) * 2 + 1).collect();
        let asked = origin.requests();
        client.send(&ids.iter().flat_map(|id| headers(*id, END_STREAM, &GET_FIELDS)).collect::<Vec<_>>()).await;
        let over = || client.frames().look(|seen| !seen.go_aways.is_empty() || seen.closed.is_some());
        eventually("the requests at the origin", || (over() || origin.requests() >= asked + ids.len()).then_some(())).await;
        most = most.max(edge.descriptors());
        if over() {
            break;
        }
        client.send(&ids.iter().flat_map(|id| reset(*id, 8)).collect::<Vec<_>>()).await;
    }
    client.frames().wait_for("the end of the connection", |seen| seen.closed).await;
    edge.metric_becomes("ssedge_http2_connections_ended_total", "reason=\"reset_flood\"", 1.0).await;
    // At once: a connection to the server for each task, of which there are four for each stream at most, and what the process needs.
    assert!(most < 16 * 4 + 64, "{most} descriptors");
    let grown = edge.resident().saturating_sub(before);
    assert!(grown < MEMORY, "{grown} bytes more of memory");
    origin.open_gate();
    stream.ends_with("data: b\n\n", StreamEnd::Clean).await;
}

/// CVE-2025-8671: the client makes us reset what it asked for, and asks again.
#[tokio::test]
async fn resets_that_a_client_provokes_are_bounded() {
    type Provoke = fn(u32) -> Vec<u8>;
    let overflow: Provoke = |id| [headers(id, END_STREAM, &GET_FIELDS), window_update(id, 0x7fff_ffff)].concat();
    let itself: Provoke =
        |id| [headers(id, END_STREAM, &GET_FIELDS), frame(PRIORITY, 0, id, &[&id.to_be_bytes()[..], &[1]].concat())].concat();
    let length: Provoke =
        |id| [headers(id, 0, &[&POST_FIELDS[..], &[("content-length", "1")]].concat()), data(id, END_STREAM, b"xx")].concat();
    let connection: Provoke = |id| headers(id, END_STREAM, &[&GET_FIELDS[..], &[("connection", "close")]].concat());
    for (what, provoke) in [
        ("an overflow", overflow),
        ("itself as parent", itself),
        ("another length", length),
        ("a field of connections", connection),
    ] {
        let street = Street::quiet().await;
        let mut client = RawHttp2::connect(street.edge.address()).await;
        let code = until_it_ends(&mut client, 500, |round| {
            (round as u32 * 20..).take(20).flat_map(|number| provoke(number * 2 + 1)).collect()
        })
        .await;
        assert_eq!(code, CALM, "{what}");
        // Where two frames make an error, which of them is too much first is a matter of where a read ends.
        street.ended_as(&["error_flood", "window_update_flood", "priority_flood"]).await;
        let asked = street.origin.requests();
        assert!(asked < 3_000, "{what}: {asked} requests reached the server");
        street.stays_well().await;
    }
}

/// Streams beyond the bound are refused one by one, and not for ever.
#[tokio::test]
async fn a_client_that_ignores_the_number_of_streams_is_not_refused_for_ever() {
    let street = Street::quiet().await;
    let mut client = RawHttp2::connect(street.edge.address()).await;
    let code = until_it_ends(&mut client, 500, |round| {
        (round as u32 * 50..).take(50).flat_map(|number| headers(number * 2 + 1, END_STREAM, &GET_FIELDS)).collect()
    })
    .await;
    assert_eq!(code, CALM);
    street.ended("error_flood").await;
    assert!(street.origin.requests() <= 1 + 128, "{} requests reached the server", street.origin.requests());
    street.stays_well().await;
}

/// CVE-2024-27316: a field block that never ends, in frames with something, with nothing, and with its end after all.
#[tokio::test]
async fn field_blocks_that_go_on_and_on_end_their_connection() {
    let filled = frame(CONTINUATION, 0, 1, &block(&[("x", "y")]));
    let huge = frame(CONTINUATION, 0, 1, &[b'x'; 16_384]);
    let text = [&[0, 1, b'x', 127, 0x80, 0xff, 0x7f][..], &[b'y'; 100]].concat();
    let fields = block(&GET_FIELDS);
    for (what, first, more) in
        [("something", &fields, filled), ("nothing", &fields, frame(CONTINUATION, 0, 1, b"")), ("one string", &text, huge)]
    {
        let street = Street::quiet().await;
        let mut client = RawHttp2::connect(street.edge.address()).await;
        client.send(&frame(HEADERS, END_STREAM, 1, first)).await;
        let code = until_it_ends(&mut client, 1000, |_| more.repeat(10)).await;
        assert!(code == CALM || code == u32::from(Reason::COMPRESSION_ERROR), "{what}: {code}");
        let log = || street.edge.process().log();
        let reason = if code == CALM { "continuation_flood" } else { "compression_error" };
        street.ended(reason).await;
        assert_eq!(street.origin.requests(), 1, "{what}: {}", log());
        street.stays_well().await;
    }
}

/// Heads without a field, each whole: a request that is none, answered in its stream, and a flood of them is one of errors.
#[tokio::test]
async fn empty_heads_are_errors_of_their_streams_and_not_for_ever() {
    let street = Street::quiet().await;
    let mut client = RawHttp2::connect(street.edge.address()).await;
    client.send(&frame(HEADERS, END_STREAM | END_HEADERS, 1, b"")).await;
    let first = client.answer(1).await;
    assert!(first.reset.is_some() || first.status() == Some(400), "{first:?}");
    let code = until_it_ends(&mut client, 1000, |round| {
        (round as u32 * 20 + 1..)
            .take(20)
            .flat_map(|number| frame(HEADERS, END_STREAM | END_HEADERS, number * 2 + 1, b""))
            .collect()
    })
    .await;
    assert_eq!(code, CALM);
    street.ended("error_flood").await;
    assert_eq!(street.origin.requests(), 1);
    street.stays_well().await;
}

/// One entry of the dynamic table, named a million times (RFC 7541 section 7).
#[tokio::test]
async fn a_head_bomb_ends_its_connection_by_name() {
    let street = Street::quiet().await;
    let mut client = RawHttp2::connect(street.edge.address()).await;
    // Literal with indexing, name of one byte, value of 3,900: 127 + 0xbd + 0x1d * 128.
    let entry = [&block(&GET_FIELDS)[..], &[0x40, 1, b'x', 127, 0xbd, 0x1d], &[b'y'; 3900]].concat();
    let mut sent = frame(HEADERS, END_STREAM, 1, &entry);
    for last in [false, false, false, true] {
        sent.extend(frame(CONTINUATION, if last { END_HEADERS } else { 0 }, 1, &[0xbe; 16_384]));
    }
    client.send(&sent).await;
    client.frames().wait_for("the end of the connection", |seen| seen.closed).await;
    street.ended("head_bomb").await;
    assert_eq!(street.origin.requests(), 1);
    street.stays_well().await;
}

/// What is reset in the packet that asked for it costs no task and no line in the access log.
#[tokio::test]
async fn requests_that_are_reset_before_they_are_looked_at_are_not_begun() {
    const PAIRS: u32 = 60;
    let street = Street::quiet().await;
    let mut client = RawHttp2::connect(street.edge.address()).await;
    client.frames().wait_for("the settings", |seen| (seen.acknowledged > 0).then_some(())).await;
    let pairs = (0..PAIRS).flat_map(|number| [headers(number * 2 + 1, END_STREAM, &GET_FIELDS), reset(number * 2 + 1, 8)].concat());
    client.send(&pairs.chain(headers(PAIRS * 2 + 1, END_STREAM, &GET_FIELDS)).collect::<Vec<_>>()).await;
    let last = |seen: &crate::support::frames::Seen| seen.streams.get(&(PAIRS * 2 + 1)).filter(|stream| stream.data > 0).map(drop);
    client.frames().wait_for("an event on the one that was meant", last).await;
    // A read may cut a pair in two.
    let begun = street.edge.metric("ssedge_requests_total", "class=\"gone\"").await;
    assert!(begun < 10.0, "{begun} of {PAIRS} were begun");
    street.stays_well().await;
}

/// Who is still sending when its connection ends reads why all the same: a close over unread bytes would be a reset, which takes the last
/// frames with it.
#[tokio::test]
async fn a_client_that_is_still_sending_reads_the_last_word() {
    let street = Street::quiet().await;
    let mut client = TcpStream::connect(street.edge.address()).await.unwrap();
    let more = frame(0xfa, 0, 0, &[0; 16_000]).repeat(40);
    client.write_all(&[PREFACE, &settings(&[]), &window_update(0, 0), &more].concat()).await.unwrap();
    // It reads late: when all is over on the other side.
    street.ended("protocol_error").await;
    street.edge.metric_becomes("ssedge_connections_open", "", 1.0).await;
    let mut read = Vec::new();
    within("the end of the connection", client.read_to_end(&mut read)).await.expect("a close that is no reset");
    assert!(read.ends_with(&go_away(0, u32::from(Reason::PROTOCOL_ERROR))), "{:?}", read.escape_ascii().to_string());
    street.stays_well().await;
}
