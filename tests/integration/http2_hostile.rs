//! Clients of HTTP/2 that mean no good, or are broken: what is malformed reaches nobody, what is too much is not kept, and whoever
//! shares the process, or the connection, with them goes on (RFC 9113 sections 8 and 10.5).

use std::time::Duration;

use h2::Reason;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::support::frames::{
    DATA, END_HEADERS, END_STREAM, HEADERS, PREFACE, data, frame, headers, reset, settings, window_update,
};
use crate::support::raw_http2::{GET_FIELDS, RawHttp2};
use crate::support::{
    Edge, GET, Http2Client, Http2Origin, Http2Script, Origin, SUBSCRIBE, Script, StreamEnd, eventually, settled, tls, within,
};

/// What one bad connection may cost.
const MEMORY: u64 = 16 << 20;

/// A request of the four pseudo-fields with something done to it.
type Fields = Vec<(&'static str, &'static str)>;

fn without(name: &str) -> Fields {
    GET_FIELDS.into_iter().filter(|(have, _)| *have != name).collect()
}

fn with(name: &'static str, value: &'static str) -> Fields {
    GET_FIELDS.into_iter().filter(|(have, _)| *have != name || !name.starts_with(':')).chain([(name, value)]).collect()
}

#[tokio::test]
async fn what_is_forbidden_in_http_2_is_refused_and_reaches_nobody() {
    let origin = Origin::start(Script::answer("ok")).await;
    let edge = Edge::start(origin.address()).await;
    let again = |name: &'static str, value| [&GET_FIELDS[..], &[(name, value)]].concat();
    // RFC 9113 sections 8.2.1 (characters), 8.2.2 (fields of a connection) and 8.3 (pseudo-fields).
    let bad: Vec<Fields> = vec![
        with("Upper", "case"),
        with("connection", "close"),
        with("connection", "keep-alive"),
        with("keep-alive", "1"),
        with("proxy-connection", "close"),
        with("transfer-encoding", "chunked"),
        with("upgrade", "websocket"),
        with("te", "gzip"),
        with("te", "trailers, deflate"),
        with("", "empty"),
        with("with space", "1"),
        with("x", "a\rb"),
        with("x", "a\nb"),
        with("x", "a\0b"),
        without(":method"),
        without(":scheme"),
        without(":path"),
        without(":authority"),
        with(":scheme", "ftp"),
        with(":path", "/a\u{7f}b"),
        with("content-length", "-1"),
        [&with("content-length", "0")[..], &[("content-length", "1")]].concat(),
        again(":method", "GET"),
        again(":path", "/other"),
        again(":authority", "test"),
        again(":status", "200"),
        again(":unknown", "1"),
        with(":path", ""),
        with(":path", "relative"),
        with(":path", "http://other/"),
        with(":path", "*"),
        with(":path", "/a b"),
        with(":method", "G T"),
        with(":method", ""),
        with(":authority", ""),
        with(":authority", "user@test"),
        with(":authority", "a/b"),
        with("host", "other"),
        [&[("x", "before")][..], &GET_FIELDS[..]].concat(),
        vec![(":method", "CONNECT"), (":authority", "test:80")],
        vec![(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"), (":authority", "test"), (":path", "/")],
    ];
    for fields in bad {
        let mut client = RawHttp2::connect(edge.address()).await;
        client.send(&headers(1, END_STREAM, &fields)).await;
        let answer = client.answer(1).await;
        let refused = answer.reset == Some(u32::from(Reason::PROTOCOL_ERROR))
            || answer.status().is_some_and(|status| matches!(status, 400 | 405 | 421 | 501));
        // The library ends the whole connection for some, which is its right (section 5.4.1).
        let gone = client.frames().look(|seen| seen.go_aways.iter().any(|(_, code)| matches!(code, 1 | 9)));
        assert!(refused || gone, "{fields:?}: {answer:?}");
        assert_eq!(origin.requests(), 0, "{fields:?}");
    }
    // What is allowed passes, lest all of it was refused for another reason.
    let only_host = [&without(":authority")[..], &[("host", "test")]].concat();
    let good = [with("te", "trailers"), with("x", "a b\t\u{e9}"), with("host", "test"), only_host, with(":scheme", "https")];
    for (number, fields) in good.into_iter().enumerate() {
        let mut client = RawHttp2::connect(edge.address()).await;
        client.send(&headers(1, END_STREAM, &fields)).await;
        assert_eq!(client.answer(1).await.status(), Some(200), "{fields:?}");
        let head = origin.request(number).await.head;
        assert_eq!((head.get("host"), head.get("te")), (Some("test"), None), "{fields:?}");
        assert_eq!(head.get("x-forwarded-proto"), Some(tls::scheme()), "whatever the client says of the scheme");
    }
}

#[tokio::test]
async fn a_body_that_is_not_as_long_as_announced_is_an_error_of_its_stream_alone() {
    let origin = Origin::start(Script::answer("ok")).await;
    let edge = Edge::start(origin.address()).await;
    let post = [(":method", "POST"), (":scheme", "http"), (":authority", "test"), (":path", "/"), ("content-length", "5")];
    let mut client = RawHttp2::connect(edge.address()).await;
    for (stream, body) in [(1, "longer than five"), (3, "less")] {
        client.send(&[headers(stream, 0, &post), data(stream, END_STREAM, body.as_bytes())].concat()).await;
        let answer = client.answer(stream).await;
        assert!(answer.reset == Some(u32::from(Reason::PROTOCOL_ERROR)) || answer.status() == Some(400), "{body}: {answer:?}");
    }
    client.send(&[headers(5, 0, &post), data(5, END_STREAM, b"right")].concat()).await;
    assert_eq!(client.answer(5).await.status(), Some(200));
    // What began at the origin besides, in whatever order, did not look whole there.
    let mut whole = Vec::new();
    for number in 0..origin.requests() {
        whole.extend(Some(origin.request_head(number).await).filter(|request| request.complete).map(|request| request.body));
    }
    assert_eq!(whole, [b"right"]);
}

#[tokio::test]
async fn frames_that_no_peer_may_send_end_the_connection_and_nothing_else() {
    let origin = Origin::start(Script::stream().event("a").hang()).await;
    let edge = Edge::start(origin.address()).await;
    let (_peaceful, mut stream, _) = Http2Client::open(edge.address(), SUBSCRIBE).await;
    stream.expects("data: a\n\n").await;
    let bad = [
        ("DATA on no stream", data(0, 0, b"x")),
        ("DATA on an idle stream", data(7, 0, b"x")),
        ("HEADERS on an even stream", headers(2, END_STREAM, &GET_FIELDS)),
        ("a block that is no HPACK", frame(HEADERS, END_STREAM | 4, 1, &[0xff; 20])),
        ("a frame that is too long", frame(DATA, 0, 1, &[0; 16_385])),
        ("SETTINGS of five bytes", frame(4, 0, 0, &[0; 5])),
        ("a window that overflows", window_update(0, 0x7fff_ffff)),
        ("a PUSH_PROMISE", frame(5, 4, 1, &[0, 0, 0, 2])),
        ("RST_STREAM on an idle stream", reset(9, 0)),
        ("a CONTINUATION of nothing", frame(9, 4, 1, b"")),
    ];
    for (what, bytes) in bad {
        let mut client = RawHttp2::connect(edge.address()).await;
        client.send(&bytes).await;
        client.frames().wait_for(what, |seen| seen.closed).await;
        assert!(client.frames().look(|seen| seen.go_aways.iter().any(|(_, code)| *code != 0)), "{what}");
    }
    assert_eq!(origin.requests(), 1);
    assert_eq!(edge.metric("ssedge_streams_open", "").await, 1.0);
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused_in_its_stream_and_without_end_is_not_kept() {
    let origin = Origin::start(Script::answer("ok")).await;
    let edge = Edge::with().limit("request_head", "8KiB").start(origin.address()).await;
    let before = edge.resident();
    let long = "x".repeat(12_000);
    let mut client = RawHttp2::connect(edge.address()).await;
    client.send(&headers(1, END_STREAM, &[&GET_FIELDS[..], &[("x", &long)]].concat())).await;
    let answer = client.answer(1).await;
    assert!(answer.status() == Some(431) || answer.reset.is_some(), "{answer:?}");
    assert_eq!(origin.requests(), 0);
    // A block that goes on and on in CONTINUATION frames.
    let mut endless = RawHttp2::connect(edge.address()).await;
    endless.send(&frame(HEADERS, 0, 1, &[0, 1, b'x', 127, 0x80, 0xff, 0x7f])).await;
    for _ in 0..4_000 {
        endless.send(&frame(9, 0, 1, &[b'x'; 16_384])).await;
        if endless.frames().look(|seen| seen.closed.is_some()) {
            break;
        }
    }
    endless.frames().wait_for("the end of the connection", |seen| seen.closed).await;
    assert!(edge.resident().saturating_sub(before) < 8 << 20);
}

/// A peaceful client next door, which must not notice anything.
struct Neighbour {
    client: Http2Client,
    stream: crate::support::Http2Stream,
}

impl Neighbour {
    async fn move_in(edge: &Edge) -> Self {
        let (client, mut stream, _) = Http2Client::open(edge.address(), SUBSCRIBE).await;
        stream.expects("data: a\n\n").await;
        Self { client, stream }
    }

    async fn is_well(&mut self) {
        self.client.ping().await;
        let (_, head) = self.client.get(SUBSCRIBE).await;
        assert_eq!(head.status, 200);
        self.stream.reset(Reason::CANCEL);
    }
}

#[tokio::test]
async fn streams_that_are_opened_and_reset_in_a_hurry_cost_little() {
    let origin = Origin::start(Script::stream().event("a").hang()).await;
    let edge = Edge::start(origin.address()).await;
    let mut neighbour = Neighbour::move_in(&edge).await;
    let before = edge.resident();
    let mut client = RawHttp2::connect(edge.address()).await;
    for batch in 0..200_u32 {
        let ids = (batch * 500..(batch + 1) * 500).map(|number| number * 2 + 1);
        let pairs = ids.flat_map(|id| [headers(id, END_STREAM, &GET_FIELDS), reset(id, 8)].concat());
        client.send(&pairs.collect::<Vec<_>>()).await;
        if client.frames().look(|seen| seen.closed.is_some()) {
            break;
        }
    }
    neighbour.is_well().await;
    let grown = edge.resident().saturating_sub(before);
    assert!(grown < 2 * MEMORY, "{grown} bytes more of memory");
    // A client that does this has nothing to say.
    let asked = origin.requests();
    assert!(asked < 20_000, "{asked} of a hundred thousand reached the server");
    drop(client);
    edge.metric_becomes("ssedge_connections_open", "", 1.0).await;
}

#[tokio::test]
async fn a_client_that_asks_for_answers_and_reads_none_is_not_answered_in_memory() {
    let origin = Origin::start(Script::stream().event("a").hang()).await;
    let edge = Edge::start(origin.address()).await;
    let mut neighbour = Neighbour::move_in(&edge).await;
    let before = edge.resident();
    for (what, flood) in [
        ("pings", frame(6, 0, 0, &[7; 8]).repeat(4000)),
        ("settings", settings(&[(4, 65_535)]).repeat(4000)),
        ("priorities", frame(2, 0, 3, &[0, 0, 0, 0, 1]).repeat(4000)),
        ("window updates", window_update(0, 1).repeat(4000)),
        ("empty pieces", data(1, 0, b"").repeat(4000)),
        ("resets of streams that are over", reset(1, 8).repeat(4000)),
    ] {
        let mut client = TcpStream::connect(edge.address()).await.unwrap();
        let post = [(":method", "POST"), (":scheme", "http"), (":authority", "test"), (":path", "/")];
        client.write_all(&[PREFACE, &settings(&[]), &headers(1, 0, &post)].concat()).await.unwrap();
        // Until it is stopped or cut off; what it takes for good it must not keep.
        for _ in 0..200 {
            match tokio::time::timeout(Duration::from_secs(1), client.write_all(&flood)).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) | Err(_) => break,
            }
        }
        let grown = edge.resident().saturating_sub(before);
        assert!(grown < MEMORY, "{grown} bytes more of memory for {what}");
    }
    neighbour.is_well().await;
}

/// One entry of the dynamic table, named again and again: a few kilobytes that unpack to hundreds of megabytes (RFC 7541 section 7).
#[tokio::test]
async fn a_head_that_unpacks_to_too_much_is_refused_while_it_unpacks() {
    let origin = Origin::start(Script::answer("ok")).await;
    let edge = Edge::start(origin.address()).await;
    let before = edge.resident();
    let mut client = RawHttp2::connect(edge.address()).await;
    // Literal with indexing, name of one byte, value of 3,900: 127 + 0xbd + 0x1d * 128.
    let entry = [&[0x40, 1, b'x', 127, 0xbd, 0x1d][..], &[b'y'; 3900]].concat();
    let mut sent = frame(HEADERS, END_STREAM, 1, &entry);
    for last in [false, false, false, true] {
        sent.extend(frame(9, if last { END_HEADERS } else { 0 }, 1, &[0xbe; 16_384]));
    }
    client.send(&sent).await;
    let answer = client.answer(1).await;
    assert!(answer.status().is_none_or(|status| status >= 400), "{answer:?}");
    assert_eq!(origin.requests(), 0);
    let grown = edge.resident().saturating_sub(before);
    assert!(grown < MEMORY, "{grown} bytes more of memory");
}

/// The library counts what small frames cost beside their payload, and ends a connection on which too many lie unread: a stalled
/// upload of small messages must not run into that before it runs out of its window.
#[tokio::test]
async fn a_stalled_upload_of_tiny_pieces_does_not_cost_the_other_streams_their_connection() {
    const PIECES: usize = 40_000;
    let script = Http2Script::early().stop_reading().gate().read_on().await_body().only_head(204, &[]);
    let origin = Http2Origin::start_each([script, Http2Script::answer("ok")]).await;
    let edge = Edge::with().h2c().start(origin.address()).await;
    let mut client = Http2Client::connect(edge.address()).await;
    let mut stream = client.begin("POST / HTTP/1.1\r\nHost: test\r\n\r\n").await;
    origin.request_head(0).await;
    let (sent, id) = (client.sent(), stream.id());
    {
        let upload = async {
            for _ in 0..PIECES {
                stream.upload(vec![b'x'; 40]).await;
            }
        };
        tokio::pin!(upload);
        let stopped =
            settled("the client to be stopped", || sent.look(|seen| seen.streams.get(&id).map_or(0, |stream| stream.frames)));
        tokio::select! {
            () = &mut upload => panic!("all of it was taken"),
            stopped = stopped => assert!(stopped > 5_000, "{stopped} pieces"),
        }
        let (mut other, head) = client.get(GET).await;
        assert_eq!(head.status, 200);
        other.ends_with("ok", StreamEnd::Clean).await;
        origin.open_gate();
        upload.await;
    }
    stream.finish();
    assert_eq!(stream.head().await.status, 204);
    assert_eq!(origin.request(0).await.body.len(), PIECES * 40);
}

#[tokio::test]
async fn a_client_that_never_acknowledges_anything_does_not_hold_the_process_when_it_leaves() {
    let origin = Origin::start(Script::answer("ok")).await;
    let mut edge = Edge::start(origin.address()).await;
    // Neither its SETTINGS nor its pings are answered: a client behind a cable that was cut looks like that.
    let mut client = RawHttp2::connect(edge.address()).await;
    client.send(&headers(1, END_STREAM, &GET_FIELDS)).await;
    assert_eq!(client.answer(1).await.status(), Some(200));
    edge.signal("TERM");
    let left = tokio::time::timeout(Duration::from_secs(9), edge.exit_code()).await;
    assert_eq!(left.expect("it waited for nobody"), Some(0));
}

#[tokio::test]
async fn a_connection_beyond_the_clients_cap_is_closed() {
    let origin = Origin::start(Script::answer("ok")).await;
    let edge = Edge::with().limit("connections_per_client", "1").start(origin.address()).await;
    let (mut first, mut stream, _) = Http2Client::open(edge.address(), GET).await;
    stream.ends_with("ok", StreamEnd::Clean).await;
    let mut second = RawHttp2::connect(edge.address()).await;
    second.send(&headers(1, END_STREAM, &GET_FIELDS)).await;
    second.frames().wait_for("the end of the connection", |seen| seen.closed).await;
    assert_eq!(origin.requests(), 1);
    first.ping().await;
    drop(first);
    within("the place of the one that left", async {
        loop {
            let mut next = RawHttp2::connect(edge.address()).await;
            next.send(&headers(1, END_STREAM, &GET_FIELDS)).await;
            if next.answer(1).await.status() == Some(200) {
                return;
            }
        }
    })
    .await;
    eventually("the second request", || (origin.requests() == 2).then_some(())).await;
}

/// A client that uploads does not know yet that its stream was answered and reset: what it had sent by then must not be held against
/// its connection.
#[tokio::test]
async fn uploads_that_are_refused_early_again_and_again_do_not_cost_a_subscription_its_connection() {
    let origin = Origin::start(Script::stream().event("a").gate().event("b").end()).await;
    let edge = Edge::with().route("caps", "{ streams_per_client: 1 }").start(origin.address()).await;
    let mut client = Http2Client::connect(edge.address()).await;
    let (mut subscription, _) = client.get(SUBSCRIBE).await;
    subscription.expects("data: a\n\n").await;
    let upload = "POST / HTTP/1.1\r\nHost: test\r\nAccept: text/event-stream\r\n\r\n";
    for _ in 0..100 {
        let mut streams = Vec::new();
        for _ in 0..20 {
            let mut stream = client.begin(upload).await;
            // As much of it as is taken: it may be refused by now.
            let _ = stream.try_upload(vec![b'x'; 40_000]).await;
            streams.push(stream);
        }
        for stream in &mut streams {
            assert_eq!(stream.head().await.status, 429);
        }
    }
    origin.open_gate();
    subscription.ends_with("data: b\n\n", StreamEnd::Clean).await;
    assert_eq!(client.frames().look(|seen| seen.go_aways.clone()), []);
}
