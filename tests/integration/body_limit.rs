//! `limits.request_body`: what is larger is never forwarded as if it were whole, and its client is told as long as it can be.

use crate::duplex::Upload;
use crate::support::{
    Client, Edge, End, HOPS, Http2Client, Http2Script, ManualOrigin, Origin, Script, Server, StreamEnd, Version, chunk, pattern,
    shown,
};

const MOST: usize = 10_000;

fn limited(server: &Server) -> crate::support::EdgeBuilder {
    server.edge().limit("request_body", &format!("{MOST}B"))
}

fn hops() -> impl Iterator<Item = (Version, Version)> {
    HOPS.into_iter().chain([(Version::Http1, Version::Http1)])
}

#[tokio::test]
async fn a_body_at_the_limit_passes_and_one_byte_more_by_its_length_asks_no_server() {
    for (client, server) in hops() {
        let origin = Server::start(server, Http2Script::new().await_body().head(200, &[]).data("ok").end()).await;
        let edge = limited(&origin).start(origin.address()).await;
        let body = String::from_utf8(pattern(MOST).iter().map(|byte| b'a' + byte % 26).collect()).unwrap();
        let request = |body: &str| format!("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        let mut viewer = crate::support::Viewer::open(client, edge.address(), &request(&body)).await;
        assert_eq!(viewer.status(), 200, "{client:?} to {server:?}");
        viewer.ends_with("ok").await;
        assert_eq!(origin.body(0).await.len(), MOST);
        let viewer = crate::support::Viewer::open(client, edge.address(), &request(&format!("{body}x"))).await;
        assert_eq!(viewer.status(), 413, "{client:?} to {server:?}");
        assert_eq!(origin.requests(), 1);
        edge.metric_becomes("ssedge_requests_total", "class=\"4xx\",route=\"0\"", 1.0).await;
    }
}

#[tokio::test]
async fn a_client_that_waits_for_100_is_told_413_at_once() {
    let origin = Origin::start(Script::answer("ok")).await;
    let edge = Edge::with().limit("request_body", "9B").start(origin.address()).await;
    let request = "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n";
    let mut client = Client::send_to(edge.address(), request).await;
    let head = client.any_head().await;
    assert_eq!((head.status(), head.get("connection")), (413, Some("close")));
    let (body, end) = client.rest_of_body().await;
    assert_eq!(end, End::Clean);
    assert!(shown(&body).contains("larger than limits.request_body"), "{}", shown(&body));
    assert_eq!((client.rest().await, origin.connections()), ((Vec::new(), End::Clean), 0));
}

#[tokio::test]
async fn chunks_are_counted_as_they_come_and_the_server_never_sees_a_whole_request() {
    for server in [Version::Http1, Version::Http2] {
        let origin = Server::start(server, Http2Script::new().await_body().head(200, &[]).data("ok").end()).await;
        let edge = limited(&origin).start(origin.address()).await;
        let body = pattern(MOST);
        let mut client = Client::send_to(edge.address(), Upload::Chunked.head(0, "")).await;
        client.send([chunk(&body[..MOST / 2]), chunk(&body[MOST / 2..]), b"0\r\n\r\n".to_vec()].concat()).await;
        assert_eq!(client.head().await.status(), 200, "the limit counts the body, not its framing");
        client.ends_with("ok", End::Clean).await;

        let mut client = Client::send_to(edge.address(), Upload::Chunked.head(0, "")).await;
        client.send(chunk(&body)).await;
        origin.request_head(1).await;
        client.send_unheard([chunk("x"), b"0\r\n\r\n".to_vec()].concat()).await;
        let head = client.head().await;
        assert_eq!((head.status(), head.get("connection")), (413, Some("close")), "to {server:?}");
        origin.over(1).await;
        let complete = match &origin {
            Server::Http1(origin) => origin.request_head(1).await.complete,
            Server::Http2(origin) => origin.request_head(1).await.complete,
        };
        assert!(!complete, "it looked whole to {server:?}");
    }
}

#[tokio::test]
async fn over_http_2_one_stream_is_refused_and_its_connection_serves_on() {
    for server in [Version::Http1, Version::Http2] {
        let origin = Server::start(server, Http2Script::new().await_body().head(200, &[]).data("ok").end()).await;
        let edge = limited(&origin).start(origin.address()).await;
        let mut client = Http2Client::connect(edge.address()).await;
        let mut large = client.begin("POST / HTTP/1.1\r\nHost: test\r\n\r\n").await;
        large.upload(pattern(MOST)).await;
        origin.request_head(0).await;
        // It may be refused in the middle.
        let _ = large.try_upload(pattern(MOST)).await;
        assert_eq!(large.head().await.status, 413);
        origin.over(0).await;
        let (mut stream, head) = client.get("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 1\r\n\r\nx").await;
        assert_eq!(head.status, 200, "to {server:?}");
        stream.ends_with("ok", StreamEnd::Clean).await;
    }
}

#[tokio::test]
async fn behind_the_head_of_its_response_the_exchange_is_broken_off() {
    for (kind, body) in [("text/plain", "half"), ("text/event-stream", "data: half\n\n")] {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n");
        let origin = ManualOrigin::start().await;
        let edge = Edge::with().limit("request_body", &format!("{MOST}B")).start(origin.address()).await;

        let mut client = Client::send_to(edge.address(), Upload::Chunked.head(0, "")).await;
        let (server, _) = origin.request().await;
        server.send([head.as_bytes(), &chunk(body)].concat()).await;
        assert_eq!(client.head().await.status(), 200);
        client.expects(body).await;
        client.send_unheard(chunk(pattern(MOST + 1))).await;
        let (rest, end) = client.rest_of_body().await;
        assert!(rest.is_empty() && end != End::Clean, "{kind}: {} and {end:?}", shown(&rest));
        drop(server);

        let mut client = Http2Client::connect(edge.address()).await;
        let mut stream = client.begin("POST / HTTP/1.1\r\nHost: test\r\n\r\n").await;
        let (server, _) = origin.request().await;
        server.send([head.as_bytes(), &chunk(body)].concat()).await;
        assert_eq!(stream.head().await.status, 200);
        stream.expects(body).await;
        let _ = stream.try_upload(pattern(MOST + 1)).await;
        let (rest, end) = stream.rest_of_body().await;
        assert_eq!((shown(&rest), end), (String::new(), StreamEnd::Reset(h2::Reason::CANCEL)), "{kind}");
        client.ping().await;
        if kind == "text/event-stream" {
            let reason = "reason=\"upload_too_large\"";
            edge.metric_becomes("ssedge_streams_ended_total", reason, 2.0).await;
        }
    }
}

#[tokio::test]
async fn what_goes_through_a_tunnel_is_no_body() {
    let switch = "Upgrade: websocket\r\nConnection: Upgrade\r\n";
    let origin = ManualOrigin::start().await;
    let edge = Edge::with().limit("request_body", "1B").start(origin.address()).await;
    let upgrade = "GET / HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGVzdGluZyBhIHNlY3JldA==\r\nSec-WebSocket-Version: 13\r\n\r\n";
    let mut client = Client::send_to(edge.address(), upgrade).await;
    let (mut server, _) = origin.request().await;
    server.send(format!("HTTP/1.1 101 Switching Protocols\r\n{switch}\r\n")).await;
    assert_eq!(client.any_head().await.status(), 101);
    let tunnel = client.tunnel();
    let bytes = pattern(MOST);
    tunnel.send(&bytes).await;
    server.expects(&bytes).await;
}
