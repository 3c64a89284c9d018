//! Nothing is held back and nothing is changed: heads at once, each read at once, byte for byte, however the upstream frames its body
//! (design `product.md`, "never buffers"; RFC 9112 sections 6 and 7).

use crate::support::{Client, Edge, End, Origin, SUBSCRIBE, Script, pattern};

const TYPE: &str = "Content-Type: text/event-stream\r\n";

#[tokio::test]
async fn the_head_reaches_the_client_before_the_first_event() {
    let origin = Origin::start(Script::stream().hang()).await;
    let edge = Edge::start(origin.address()).await;
    let (_client, head) = Client::open(edge.address(), SUBSCRIBE).await;
    assert_eq!((head.status(), head.get("content-type")), (200, Some("text/event-stream")));
}

#[tokio::test]
async fn each_event_arrives_while_the_upstream_says_nothing_more() {
    let origin = Origin::start(Script::stream().gate().event("a").gate().event("b").gate().event("c").hang()).await;
    let edge = Edge::start(origin.address()).await;
    let (mut client, _) = Client::open(edge.address(), SUBSCRIBE).await;
    for event in ["data: a\n\n", "data: b\n\n", "data: c\n\n"] {
        origin.open_gate();
        client.expects(event).await;
    }
}

#[tokio::test]
async fn each_byte_arrives_while_the_upstream_says_nothing_more() {
    let event = "id: 7\nevent: x\ndata: \u{e9}\r\n\r\n";
    let mut script = Script::stream();
    for byte in event.bytes() {
        script = script.chunk([byte]).gate();
    }
    let origin = Origin::start(script.end()).await;
    let edge = Edge::start(origin.address()).await;
    let (mut client, _) = Client::open(edge.address(), SUBSCRIBE).await;
    for byte in event.bytes() {
        client.expects([byte]).await;
        origin.open_gate();
    }
    client.ends_with("", End::Clean).await;
}

#[tokio::test]
async fn a_part_of_a_chunk_arrives_before_the_rest_of_it() {
    let head = format!("{TYPE}Transfer-Encoding: chunked\r\n");
    let script = Script::new().head("200 OK", &head).raw("12\r\ndata: a\n\n").gate().raw("data: b\n\n\r\n0\r\n\r\n");
    let origin = Origin::start(script).await;
    let edge = Edge::start(origin.address()).await;
    let (mut client, _) = Client::open(edge.address(), SUBSCRIBE).await;
    client.expects("data: a\n\n").await;
    origin.open_gate();
    client.ends_with("data: b\n\n", End::Clean).await;
}

#[tokio::test]
async fn every_way_to_frame_a_body_carries_the_same_events() {
    let events = "id: 1\ndata: a\n\nevent: x\r\ndata: b\r\n\r\ndata: c\r\rdata: last\n\n";
    let chunked = |head: &str, body: &str| format!("HTTP/1.1 {head}\r\n{TYPE}Transfer-Encoding: chunked\r\n\r\n{body}");
    let length = events.len();
    let (first, second) = events.split_at(23);
    let (one, two) = (first.len(), second.len());
    let wires = [
        chunked("200 OK", &format!("{length:x}\r\n{events}\r\n0\r\n\r\n")),
        chunked("200 OK", &format!("{one:X}\r\n{first}\r\n{two:X}\r\n{second}\r\n0\r\n\r\n")),
        chunked("200 OK", &format!("{one:010x}\r\n{first}\r\n{two:x}\r\n{second}\r\n000\r\n\r\n")),
        chunked("200 OK", &format!("{one:x};ext=\"a b\";x\r\n{first}\r\n{two:x} ; y\r\n{second}\r\n0;last\r\n\r\n")),
        chunked("200 OK", &format!("{length:x}\r\n{events}\r\n0\r\nX-Trailer: t\r\nDigest: d\r\n\r\n")),
        chunked("200", &format!("{length:x}\r\n{events}\r\n0\r\n\r\n")),
        format!("HTTP/1.1 200 OK\r\n{TYPE}Content-Length: {length}\r\n\r\n{events}"),
        format!("HTTP/1.1 200 OK\r\n{TYPE}Connection: close\r\n\r\n{events}"),
        format!("HTTP/1.1 200 OK\r\n{TYPE}\r\n{events}"),
        format!("HTTP/1.0 200 OK\r\n{TYPE}\r\n{events}"),
        format!("HTTP/1.0 200 OK\r\n{TYPE}Content-Length: {length}\r\n\r\n{events}"),
        format!("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n{TYPE}Content-Length: {length}\r\n\r\n{events}"),
        format!(
            "HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n{}",
            chunked("200 OK", &format!("{length:x}\r\n{events}\r\n0\r\n\r\n"))
        ),
    ];
    let at_once = wires.iter().map(|wire| Script::new().raw(wire).close());
    let bytewise = wires.iter().map(|wire| Script::new().one_byte_at_a_time(wire).close());
    let origin = Origin::start_each(at_once.chain(bytewise)).await;
    let edge = Edge::start(origin.address()).await;
    for wire in wires.iter().chain(&wires) {
        let (mut client, head) = Client::open(edge.address(), SUBSCRIBE).await;
        assert_eq!(head.status(), 200, "for {wire:?}");
        let (body, end) = client.rest_of_body().await;
        assert_eq!((String::from_utf8_lossy(&body).as_ref(), end), (events, End::Clean), "for {wire:?}");
    }
    edge.metric_becomes("ssedge_streams_ended_total", "reason=\"upstream_end\"", 2.0 * wires.len() as f64).await;
}

#[tokio::test]
async fn an_event_stream_is_the_same_wherever_its_chunks_and_writes_are_cut() {
    let events = b"\xef\xbb\xbfid: 1\r\ndata: \xc3\xa9\r\n\r\n: c\n\ndata: b\r\rretry: 9\n\n";
    let cut =
        |at: usize| Script::stream().chunk(&events[..at]).silence(std::time::Duration::from_millis(2)).chunk(&events[at..]).end();
    let origin = Origin::start_each((1..events.len()).map(cut)).await;
    let edge = Edge::start(origin.address()).await;
    for at in 1..events.len() {
        let (mut client, _) = Client::open(edge.address(), SUBSCRIBE).await;
        let (body, end) = client.rest_of_body().await;
        assert_eq!((body.as_slice(), end), (events.as_slice(), End::Clean), "cut at {at}");
    }
}

#[tokio::test]
async fn bytes_that_are_no_events_pass_as_they_came() {
    let bytes = pattern(100_000);
    let origin = Origin::start(Script::stream().chunk(&bytes[..777]).chunk(&bytes[777..]).end()).await;
    let edge = Edge::start(origin.address()).await;
    let (mut client, _) = Client::open(edge.address(), SUBSCRIBE).await;
    client.ends_with(&bytes, End::Clean).await;
}

#[tokio::test]
async fn a_line_of_many_megabytes_passes() {
    let line = format!("data: {}\n\n", "x".repeat(8 << 20));
    let origin = Origin::start(Script::stream().chunk(&line).end()).await;
    let edge = Edge::start(origin.address()).await;
    let (mut client, _) = Client::open(edge.address(), SUBSCRIBE).await;
    client.ends_with(&line, End::Clean).await;
}

#[tokio::test]
async fn many_streams_at_once_do_not_mix() {
    const STREAMS: usize = 50;
    let scripts = (0..STREAMS).map(|n| Script::stream().event(&format!("first {n}")).gate().event(&format!("second {n}")).end());
    let origin = Origin::start_each(scripts).await;
    let edge = Edge::start(origin.address()).await;
    let mut clients = Vec::new();
    for _ in 0..STREAMS {
        clients.push(Client::open(edge.address(), SUBSCRIBE).await.0);
    }
    edge.metric_becomes("ssedge_streams_open", "", STREAMS as f64).await;
    for (number, client) in clients.iter_mut().enumerate() {
        client.expects(format!("data: first {number}\n\n")).await;
        origin.open_gate();
    }
    for (number, client) in clients.iter_mut().enumerate() {
        client.ends_with(format!("data: second {number}\n\n"), End::Clean).await;
    }
    edge.metric_becomes("ssedge_streams_open", "", 0.0).await;
}

#[tokio::test]
async fn after_a_clean_end_the_connection_closes_as_announced_or_serves_again() {
    let origin = Origin::start(Script::stream().event("a").end()).await;
    let edge = Edge::start(origin.address()).await;
    let (mut client, head) = Client::open(edge.address(), SUBSCRIBE).await;
    client.ends_with("data: a\n\n", End::Clean).await;
    if head.list("connection").iter().any(|option| option == "close") {
        assert_eq!(client.rest().await, (Vec::new(), End::Clean));
    } else {
        client.send(SUBSCRIBE).await;
        client.head().await;
        client.ends_with("data: a\n\n", End::Clean).await;
    }
}

#[tokio::test]
async fn an_upstream_named_by_a_name_is_found() {
    let origin = Origin::start(Script::stream().event("a").end()).await;
    let edge = Edge::start(format!("localhost:{}", origin.address().port())).await;
    let (mut client, _) = Client::open(edge.address(), SUBSCRIBE).await;
    client.ends_with("data: a\n\n", End::Clean).await;
}
