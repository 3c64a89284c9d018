//! Who ends a stream, and how it looks from the other side. A stream that is lost is never dressed up as one that ended: on HTTP/1.1
//! the final chunk is missing, on HTTP/1.0 the connection is reset (design `product.md`, "survives the upstream"; RFC 9112 section 8).

use crate::support::{ASK, Client, Edge, End, GET, Origin, SUBSCRIBE, SUBSCRIBE_1_0, Script, eventually};

const TYPE: &str = "Content-Type: text/event-stream\r\n";

/// Upstreams that fail after one whole event, and the reason that is to be counted.
fn losses() -> Vec<(&'static str, Script, &'static str)> {
    let length = |bytes: usize| Script::new().head("200 OK", &format!("{TYPE}Content-Length: {bytes}\r\n"));
    let chunked = || Script::stream().event("a");
    vec![
        ("resets", chunked().gate().reset(), "upstream_lost"),
        ("resets without framing", Script::new().head("200 OK", TYPE).raw("data: a\n\n").gate().reset(), "upstream_lost"),
        ("closes without the final chunk", chunked().close(), "upstream_lost"),
        ("closes within a chunk", chunked().raw("ff\r\ndata: b\n\n").close(), "upstream_lost"),
        ("closes within a chunk size", chunked().raw("f").close(), "upstream_lost"),
        ("closes after the last chunk, before its trailer's end", chunked().raw("0\r\n").close(), "upstream_lost"),
        ("sends less than its Content-Length", length(99).raw("data: a\n\n").close(), "upstream_lost"),
        ("sends a chunk size that is none", chunked().raw("xyz\r\ndata: b\n\n").hang(), "upstream_malformed"),
        ("sends a chunk size without end", chunked().raw("0".repeat(100_000)).hang(), "upstream_malformed"),
        ("sends a chunk size beyond 64 bits", chunked().raw("fffffffffffffffff\r\n").hang(), "upstream_malformed"),
        ("sends a negative chunk size", chunked().raw("-1\r\n").hang(), "upstream_malformed"),
        ("sends no line end after a chunk", chunked().raw("9\r\ndata: b\n\nX\r\n").hang(), "upstream_malformed"),
        ("sends a chunk without a size", chunked().raw("\r\ndata: b\n\n").hang(), "upstream_malformed"),
        ("sends an extension without a size", chunked().raw(";x\r\n\r\n").hang(), "upstream_malformed"),
        ("sends an LF in an extension", chunked().raw("9;a\ndata: b\n\n\r\n").hang(), "upstream_malformed"),
        ("ends chunk lines with a bare LF", chunked().raw("9\ndata: b\n\n\r\n").hang(), "upstream_malformed"),
    ]
}

#[tokio::test]
async fn a_stream_that_is_lost_has_no_clean_end() {
    for (number, (what, script, reason)) in losses().into_iter().enumerate() {
        let origin = Origin::start(script).await;
        let edge = Edge::start(origin.address()).await;
        let request = if number % 2 == 0 { SUBSCRIBE } else { ASK };
        let (mut client, _) = Client::open(edge.address(), request).await;
        client.expects("data: a\n\n").await;
        origin.open_gate();
        let (_, end) = client.rest_of_body().await;
        assert_ne!(end, End::Clean, "an upstream that {what} was given a clean end");
        edge.stream_ended(reason).await;
        edge.metric_becomes("ssedge_streams_open", "", 0.0).await;
    }
}

#[tokio::test]
async fn a_stream_that_is_lost_is_reset_for_a_client_that_knows_no_chunks() {
    for (what, script, reason) in losses() {
        let origin = Origin::start(script).await;
        let edge = Edge::start(origin.address()).await;
        let (mut client, _) = Client::open(edge.address(), SUBSCRIBE_1_0).await;
        client.expects("data: a\n\n").await;
        origin.open_gate();
        let (_, end) = client.rest_of_body().await;
        assert_eq!(end, End::Reset, "an upstream that {what}");
        edge.stream_ended(reason).await;
    }
}

#[tokio::test]
async fn an_event_that_was_never_finished_is_not_finished_by_us() {
    let scripts = [
        (Script::stream().chunk("data: a\n\ndata: half").end(), End::Clean),
        (Script::stream().chunk("data: a\n\ndata: half").close(), End::Truncated),
        (Script::stream().chunk("data: a\n\ndata: half\n").end(), End::Clean),
    ];
    let bodies = ["data: a\n\ndata: half", "data: a\n\ndata: half", "data: a\n\ndata: half\n"];
    let origin = Origin::start_each(scripts.clone().map(|(script, _)| script)).await;
    let edge = Edge::start(origin.address()).await;
    for ((_, clean), body) in scripts.into_iter().zip(bodies) {
        let (mut client, _) = Client::open(edge.address(), SUBSCRIBE).await;
        let (have, end) = client.rest_of_body().await;
        assert_eq!((have.as_slice(), end == End::Clean), (body.as_bytes(), clean == End::Clean));
    }
}

#[tokio::test]
async fn a_clean_end_is_passed_on_at_once() {
    // The origin keeps its connection open: the end is known from the framing alone.
    let length = Script::new().head("200 OK", &format!("{TYPE}Content-Length: 9\r\n")).raw("data: a\n\n").hang();
    for script in [Script::stream().event("a").end().hang(), length] {
        for request in [SUBSCRIBE, SUBSCRIBE_1_0, ASK] {
            let origin = Origin::start(script.clone()).await;
            let edge = Edge::start(origin.address()).await;
            let (mut client, _) = Client::open(edge.address(), request).await;
            client.ends_with("data: a\n\n", End::Clean).await;
            edge.stream_ended("upstream_end").await;
        }
    }
}

#[tokio::test]
async fn a_client_that_leaves_has_its_upstream_closed_though_nobody_speaks() {
    for (request, resets) in [(SUBSCRIBE, false), (SUBSCRIBE, true), (ASK, false), (SUBSCRIBE_1_0, false)] {
        let origin = Origin::start(Script::stream().event("a").hang()).await;
        // No beat is due in time that could find out by failing.
        let edge = Edge::with().heartbeat("interval: 1h").start(origin.address()).await;
        let (mut client, _) = Client::open(edge.address(), request).await;
        client.expects("data: a\n\n").await;
        if resets {
            client.reset();
        } else {
            drop(client);
        }
        origin.closed(0).await;
        edge.stream_ended("client_gone").await;
        edge.metric_becomes("ssedge_streams_open", "", 0.0).await;
    }
}

#[tokio::test]
async fn a_client_that_leaves_before_the_answer_has_its_upstream_closed() {
    let origin = Origin::start(Script::new().hang()).await;
    let edge = Edge::start(origin.address()).await;
    for (number, request) in [GET, SUBSCRIBE, ASK].into_iter().enumerate() {
        let client = Client::send_to(edge.address(), request).await;
        origin.request(number).await;
        drop(client);
        origin.closed(number).await;
    }
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_of_an_ordinary_answer_has_its_upstream_closed() {
    let origin = Origin::start(Script::new().head("200 OK", "Content-Length: 99\r\n").raw("half").hang()).await;
    let edge = Edge::start(origin.address()).await;
    let (mut client, _) = Client::open(edge.address(), GET).await;
    client.expects("half").await;
    drop(client);
    origin.closed(0).await;
}

#[tokio::test]
async fn whatever_ends_a_stream_leaves_no_descriptor_behind() {
    let origin = Origin::start_each((0..30).map(|number| match number % 3 {
        0 => Script::stream().event("a").hang(),
        1 => Script::stream().event("a").reset(),
        _ => Script::stream().event("a").end().close(),
    }))
    .await;
    let edge = Edge::start(origin.address()).await;
    // Once through everything, so that what is opened once and kept is open.
    edge.metric("ssedge_streams_open", "").await;
    let before = edge.descriptors();
    for _ in 0..30 {
        let (mut client, _) = Client::open(edge.address(), SUBSCRIBE).await;
        client.expects("data: a\n\n").await;
    }
    edge.metric_becomes("ssedge_streams_open", "", 0.0).await;
    // An idle connection upstream may be kept, and the last answer of the admin listener may still be closing.
    eventually("the descriptors to be given back", || (edge.descriptors() <= before + 2).then_some(())).await;
}
