//! HTTP/2 through us as others speak it: gRPC's own library, Node's `http2` (nghttp2) and `curl` (nghttp2 too), none of which shares
//! code with ours.

use serde_json::{Value, json};

use super::tool::{Tool, curl, node, python, url};
use crate::support::{Edge, Http2Client, Origin, Script, StreamEnd};

/// A server that is started, and ssedge before it, with a heartbeat every 200 ms.
async fn before(mut server: Tool) -> (Tool, Edge) {
    let port = server.port().await;
    let edge = Edge::with().h2c().heartbeat("interval: 200ms").start(format!("127.0.0.1:{port}")).await;
    (server, edge)
}

async fn json_line(tool: &mut Tool) -> Value {
    serde_json::from_str(&tool.line().await).expect("a line of JSON")
}

/// Reads `{"ok": …}` lines up to `{"done": N}`, which must count them.
async fn all_went_well(tool: &mut Tool) {
    for passed in 0.. {
        let line = json_line(tool).await;
        if line["ok"].is_string() {
            continue;
        }
        assert_eq!(line, json!({ "done": passed }));
        assert!(passed > 10, "only {passed} checks");
        assert!(tool.process.exit().await.success());
        return;
    }
}

#[tokio::test]
#[ignore = "needs Python and grpcio: run by .ci/run"]
async fn grpc_calls_of_every_kind_pass_and_end_as_they_should() {
    let (mut server, edge) = before(python("grpc_check.py", &["serve"])).await;
    let mut client = python("grpc_check.py", &["call", &edge.address().to_string()]);
    all_went_well(&mut client).await;
    // The server learned of each call that its client gave up.
    for call in ["deadline", "cancelled", "unanswered"] {
        assert_eq!(json_line(&mut server).await, json!({ "call": call, "over": true }));
    }
    assert_eq!(edge.metric("ssedge_streams_started_total", "").await, 0.0, "none of it is an event stream");
}

#[tokio::test]
#[ignore = "needs node: run by .ci/run"]
async fn requests_of_every_kind_pass_between_a_client_and_a_server_in_node() {
    let (mut server, edge) = before(node("http2.js", &["serve"])).await;
    let mut client = node("http2.js", &["call", &url(&edge, "")]);
    all_went_well(&mut client).await;
    assert_eq!(json_line(&mut server).await, json!({ "path": "/fail", "code": 2 }));
    assert_eq!(json_line(&mut server).await, json!({ "path": "/hang", "code": 8 }));
}

#[tokio::test]
#[ignore = "needs node: run by .ci/run"]
async fn a_subscription_in_node_ends_cleanly_when_the_process_leaves() {
    let (_server, mut edge) = before(node("http2.js", &["serve"])).await;
    let mut client = node("http2.js", &["subscribe", &url(&edge, "")]);
    assert_eq!(json_line(&mut client).await, json!({ "event": "begun" }));
    edge.signal("TERM");
    // GOAWAY comes twice, and the end of the stream before, between or behind them: each has a task of its own.
    let (mut told, mut ended) = (false, false);
    while !(told && ended) {
        match json_line(&mut client).await {
            line if line == json!({ "goaway": 0 }) => told = true,
            line if line == json!({ "end": true }) => ended = true,
            line => panic!("neither GOAWAY without an error nor a clean end: {line}"),
        }
    }
    assert_eq!(edge.exit_code().await, Some(0));
}

#[tokio::test]
#[ignore = "needs curl and node: run by .ci/run"]
async fn curl_speaks_http_2_to_us_and_sees_each_event() {
    let (_server, edge) = before(node("http2.js", &["serve"])).await;
    let mut client = curl(&["--http2-prior-knowledge", "-D", "/dev/stdout", &url(&edge, "/events")]);
    let head = client.block().await;
    assert!(head[0].starts_with("HTTP/2 200"), "{head:?}");
    for number in 1..=4 {
        client.find(|line| line == format!("id: {number}")).await;
        assert_eq!(client.line().await, format!("data: event {number}"));
        assert_eq!(client.line().await, "");
        assert_eq!(client.line().await, ":", "a heartbeat while the server pauses");
    }
    assert!(client.process.exit().await.success(), "a clean end");
    // An upgrade that curl offers over HTTP/1.1 is not taken, and the answer comes all the same.
    let mut old = curl(&["--http2", "-D", "/dev/stdout", &url(&edge, "/cookies")]);
    let head = old.block().await;
    assert!(head[0].starts_with("HTTP/1.1 200"), "{head:?}");
    assert_eq!(old.process.exit().await.code(), Some(0));
}

#[tokio::test]
#[ignore = "needs node: run by .ci/run"]
async fn a_server_in_node_shares_its_connection_among_our_clients() {
    let (mut server, edge) = before(node("http2.js", &["serve"])).await;
    let subscribe = "GET /hang HTTP/1.1\r\nHost: test\r\nAccept: text/event-stream\r\n\r\n";
    let mut clients = Vec::new();
    for _ in 0..3 {
        let mut client = Http2Client::connect(edge.address()).await;
        let mut streams = Vec::new();
        for _ in 0..20 {
            let (mut stream, _) = client.get(subscribe).await;
            stream.expects("data: begun\n\n").await;
            streams.push(stream);
        }
        clients.push((client, streams));
    }
    assert_eq!(edge.metric("ssedge_upstream_connections_total", "kind=\"fresh\"").await, 1.0);
    drop(clients.pop());
    for _ in 0..20 {
        assert_eq!(json_line(&mut server).await, json!({ "path": "/hang", "code": 8 }));
    }
    // Its end is the end of those that are left.
    server.process.signal("KILL");
    for (client, streams) in clients {
        for mut stream in streams {
            let (_, end) = stream.rest_of_body().await;
            assert_eq!(end, StreamEnd::Reset(h2::Reason::INTERNAL_ERROR));
        }
        drop(client);
    }
}

/// A state machine that holds its peer to the standard, and shares no code with the one we use.
#[tokio::test]
#[ignore = "needs Python and h2: run by .ci/run"]
async fn many_streams_of_a_strict_client_on_one_connection_lose_nothing() {
    const STREAMS: u64 = 60;
    let origin = Origin::start(Script::stream().event("a").gate().event("b").end()).await;
    let edge = Edge::with().heartbeat("interval: 200ms").start(origin.address()).await;
    let mut client = python("client_h2.py", &["streams", &edge.address().to_string(), &STREAMS.to_string()]);
    assert_eq!(json_line(&mut client).await, json!({ "open": STREAMS }));
    // Every third is cancelled, and nobody else notices.
    assert_eq!(json_line(&mut client).await, json!({ "cancelled": STREAMS / 3 }));
    edge.metric_becomes("ssedge_streams_open", "", (STREAMS - STREAMS / 3) as f64).await;
    // Once for each, the cancelled included.
    (0..STREAMS).for_each(|_| origin.open_gate());
    assert_eq!(json_line(&mut client).await, json!({ "ended": STREAMS - STREAMS / 3 }));
    assert!(client.process.exit().await.success(), "{}", client.process.log());
    // With a heartbeat unread when it closed, the close is a reset.
    edge.metric_becomes("ssedge_http2_connections_ended_total", "reason=\"client_", 1.0).await;
}

#[tokio::test]
#[ignore = "needs Python and h2: run by .ci/run"]
async fn windows_of_a_strict_client_are_kept_in_both_directions() {
    // What the script expects, and sends back: each byte tells its place.
    let body: Vec<u8> = (0..1_000_000_u32).map(|at| (at % 251) as u8).collect();
    let origin = Origin::start_each([Script::answer(&body), Script::answer("taken")]).await;
    let edge = Edge::start(origin.address()).await;
    let mut client = python("client_h2.py", &["windows", &edge.address().to_string(), &body.len().to_string()]);
    assert_eq!(json_line(&mut client).await, json!({ "downloaded": body.len() }));
    assert_eq!(json_line(&mut client).await, json!({ "uploaded": body.len() }));
    // Frames that may be ignored: all on a connection that goes on.
    assert_eq!(json_line(&mut client).await, json!({ "tolerated": 4 }));
    assert!(client.process.exit().await.success(), "{}", client.process.log());
    assert!(origin.request(1).await.body == body, "the upload is not what was sent");
    assert_eq!(edge.metric("ssedge_http2_connections_ended_total", "reason=\"protocol_error\"").await, 0.0);
}
