//! What is an event stream and what is not, and what follows for heads and framing (design `sse.md` 1; RFC 9110 8.3.1 and 12.5.3).

use crate::support::{ASK, Client, Edge, End, GET, Origin, SUBSCRIBE, SUBSCRIBE_1_0, Script};

/// A whole response with this content type, as a server that buffers would send it.
fn buffered(content_type: &str) -> Script {
    let fields = if content_type.is_empty() { String::new() } else { format!("Content-Type: {content_type}\r\n") };
    Script::new().head("200 OK", &format!("{fields}Content-Length: 9\r\n")).raw("data: a\n\n")
}

#[tokio::test]
async fn the_media_type_of_the_response_tells_an_event_stream() {
    let streams = [
        "text/event-stream",
        "text/event-stream; charset=utf-8",
        "text/event-stream;charset=UTF-8",
        "text/event-stream ; x=\"a;b\"",
        "Text/Event-Stream",
        "TEXT/EVENT-STREAM; CHARSET=UTF-8",
    ];
    let others = [
        "",
        "text/event-streamish",
        "text/event",
        "text/event-stream+json",
        "application/text/event-stream",
        "text/plain; x=text/event-stream",
        "application/x-ndjson",
        "multipart/x-mixed-replace",
    ];
    let origin = Origin::start_each(streams.iter().chain(&others).map(|content_type| buffered(content_type))).await;
    let edge = Edge::start(origin.address()).await;
    for (content_type, is_stream) in streams.iter().map(|name| (name, true)).chain(others.iter().map(|name| (name, false))) {
        let (mut client, head) = Client::open(edge.address(), GET).await;
        client.ends_with("data: a\n\n", End::Clean).await;
        assert_eq!(head.get("x-accel-buffering").is_some(), is_stream, "{content_type:?} made it {:?}", head);
        assert_eq!(head.get("content-length").is_none(), is_stream, "{content_type:?} made it {:?}", head);
        assert_eq!(head.get("content-type").unwrap_or_default(), *content_type, "the content type is the upstream's");
    }
    assert_eq!(edge.metric("ssedge_streams_started_total", "").await, streams.len() as f64);
}

#[tokio::test]
async fn a_post_that_is_answered_with_an_event_stream_is_one() {
    let origin = Origin::start(Script::stream().event("token").gate().end()).await;
    let edge = Edge::start(origin.address()).await;
    let (mut client, head) = Client::open(edge.address(), ASK).await;
    assert_eq!(head.get("x-accel-buffering"), Some("no"));
    client.expects("data: token\n\n").await;
    origin.open_gate();
    client.ends_with("", End::Clean).await;
}

#[tokio::test]
async fn a_content_length_on_an_event_stream_is_dropped_and_the_body_framed_anew() {
    let origin = Origin::start(buffered("text/event-stream")).await;
    let edge = Edge::start(origin.address()).await;
    let (mut client, head) = Client::open(edge.address(), SUBSCRIBE).await;
    assert_eq!((head.get("content-length"), head.get("transfer-encoding")), (None, Some("chunked")));
    client.ends_with("data: a\n\n", End::Clean).await;
}

#[tokio::test]
async fn hops_in_front_are_told_not_to_buffer_and_the_upstreams_own_words_stay() {
    let upstream = [
        "",
        "Cache-Control: private, max-age=0\r\n",
        "Cache-Control: No-Cache\r\n",
        "Cache-Control: no-transform\r\nCache-Control: s-maxage=1\r\n",
        "Cache-Control: no-store, no-cache=\"set-cookie\"\r\n",
        "X-Accel-Buffering: no\r\n",
    ];
    let origin = Origin::start_each(upstream.iter().map(|fields| Script::stream_with(fields).end())).await;
    let edge = Edge::start(origin.address()).await;
    let kept: [&[&str]; 6] = [&[], &["private", "max-age=0"], &[], &["s-maxage=1"], &["no-store", "no-cache=\"set-cookie\""], &[]];
    for (fields, kept) in upstream.iter().zip(kept) {
        let (mut client, head) = Client::open(edge.address(), SUBSCRIBE).await;
        client.ends_with("", End::Clean).await;
        assert_eq!(head.get("x-accel-buffering"), Some("no"), "beside {fields:?}");
        let directives = head.list("cache-control");
        for directive in ["no-cache", "no-transform"].iter().chain(kept) {
            assert_eq!(
                directives.iter().filter(|have| have == directive).count(),
                1,
                "{directive} in {directives:?} for {fields:?}"
            );
        }
    }
}

#[tokio::test]
async fn only_a_request_that_asks_for_an_event_stream_is_sent_on_with_identity() {
    let requests = [
        ("Accept: text/event-stream\r\nAccept-Encoding: gzip, br\r\n", "identity"),
        ("Accept: application/json, Text/Event-Stream;q=0.9\r\nAccept-Encoding: gzip\r\n", "identity"),
        ("Accept: text/event-stream\r\n", "identity"),
        ("Accept: */*\r\nAccept-Encoding: gzip, br\r\n", "gzip, br"),
        ("Accept: text/event-streamish\r\nAccept-Encoding: br\r\n", "br"),
        ("Accept: text/html\r\n", ""),
    ];
    let origin = Origin::start(Script::answer("ok")).await;
    let edge = Edge::start(origin.address()).await;
    for (number, (fields, seen)) in requests.into_iter().enumerate() {
        let (mut client, _) = Client::open(edge.address(), format!("GET / HTTP/1.1\r\nHost: test\r\n{fields}\r\n")).await;
        client.ends_with("ok", End::Clean).await;
        let head = origin.request(number).await.head;
        assert_eq!(head.get("accept-encoding").unwrap_or_default(), seen, "for {fields:?}");
    }
}

#[tokio::test]
async fn an_encoded_event_stream_passes_byte_for_byte_without_heartbeats() {
    // Not even Brotli: what matters is that nobody looks inside. Between the two parts stands what looks like a boundary, and a beat
    // would be due five times.
    let (first, second) = (b"\x1f\x8b\x08\x00\xff\x00data\n\n".as_slice(), b"\n\n\x00\x1f\xef\xbb\xbf\r\n\r\n".as_slice());
    let silence = std::time::Duration::from_millis(500);
    let script = Script::stream_with("Content-Encoding: br\r\n").chunk(first).silence(silence).chunk(second).end();
    let origin = Origin::start(script).await;
    let edge = Edge::with().heartbeat("interval: 100ms").start(origin.address()).await;
    let (mut client, head) = Client::open(edge.address(), SUBSCRIBE).await;
    assert_eq!(head.get("content-encoding"), Some("br"));
    client.ends_with([first, second].concat(), End::Clean).await;
}

#[tokio::test]
async fn an_http_1_0_client_gets_a_body_without_chunks_that_the_close_ends() {
    let origin = Origin::start(Script::stream().event("a").gate().event("b").end()).await;
    let edge = Edge::start(origin.address()).await;
    let (mut client, head) = Client::open(edge.address(), SUBSCRIBE_1_0).await;
    assert_eq!((head.get("transfer-encoding"), head.get("content-length")), (None, None));
    assert_eq!(head.list("connection"), ["close"]);
    client.expects("data: a\n\n").await;
    origin.open_gate();
    client.ends_with("data: b\n\n", End::Clean).await;
}
