//! What operators see: liveness, readiness, metrics in Prometheus' text format, and the log's lines for streams and requests.

use crate::support::{ASK, Client, Edge, End, GET, Origin, SUBSCRIBE, Script, eventually};

#[tokio::test]
async fn health_and_readiness_are_told() {
    let edge = Edge::start("127.0.0.1:9").await;
    for path in ["/healthz", "/readyz"] {
        let (head, body) = edge.admin(&format!("GET {path}")).await;
        assert_eq!(head.status(), 200, "{path}");
        assert!(
            !body.is_empty() && head.get("content-type").is_some_and(|kind| kind.starts_with("text/plain")),
            "{head:?} {body:?}"
        );
    }
}

#[tokio::test]
async fn there_is_nothing_else_and_nothing_to_post() {
    let edge = Edge::start("127.0.0.1:9").await;
    for (request, status) in
        [("GET /", 404), ("GET /metricsx", 404), ("GET /metrics/", 404), ("POST /metrics", 405), ("DELETE /healthz", 405)]
    {
        assert_eq!(edge.admin(request).await.0.status(), status, "{request}");
    }
    let (head, _) = edge.admin("POST /readyz").await;
    assert!(head.list("allow").contains(&"get".to_owned()), "{head:?}");
}

#[tokio::test]
async fn a_head_request_is_answered_like_a_get_without_its_body() {
    let edge = Edge::start("127.0.0.1:9").await;
    let mut client = Client::send_to(edge.admin, "HEAD /metrics HTTP/1.1\r\nHost: admin\r\nConnection: close\r\n\r\n").await;
    assert_eq!(client.head_to_head().await.status(), 200);
    assert_eq!(client.rest().await.0, b"");
}

#[tokio::test]
async fn the_proxys_listener_does_not_serve_the_admins_pages() {
    let origin = Origin::start(Script::answer("from the origin")).await;
    let edge = Edge::start(origin.address()).await;
    let (mut client, _) = Client::open(edge.address(), "GET /metrics HTTP/1.1\r\nHost: test\r\n\r\n").await;
    client.ends_with("from the origin", End::Clean).await;
}

#[tokio::test]
async fn metrics_are_prometheus_text_and_complete_before_the_first_stream() {
    let edge = Edge::start("127.0.0.1:9").await;
    let (head, text) = edge.admin("GET /metrics").await;
    assert!(head.get("content-type").is_some_and(|kind| kind.starts_with("text/plain; version=0.0.4")), "{head:?}");
    let metrics = [
        ("ssedge_streams_open", "gauge"),
        ("ssedge_streams_started_total", "counter"),
        ("ssedge_streams_ended_total", "counter"),
        ("ssedge_heartbeats_total", "counter"),
        ("ssedge_stream_bytes_total", "counter"),
        ("ssedge_build_info", "gauge"),
    ];
    for (name, kind) in metrics {
        assert!(
            text.contains(&format!("# HELP {name} ")) && text.contains(&format!("# TYPE {name} {kind}\n")),
            "{name} in:\n{text}"
        );
    }
    for line in text.lines() {
        let is_sample = line.rsplit_once(' ').is_some_and(|(series, value)| !series.is_empty() && value.parse::<f64>().is_ok());
        assert!(line.starts_with("# HELP ") || line.starts_with("# TYPE ") || is_sample, "{line:?}");
    }
    for reason in ssedge::stream::EndReason::ALL {
        assert_eq!(edge.metric("ssedge_streams_ended_total", &format!("reason=\"{}\"", reason.label())).await, 0.0);
    }
    let version = format!("version=\"{}\"", env!("CARGO_PKG_VERSION"));
    assert_eq!(edge.metric("ssedge_build_info", &version).await, 1.0);
}

#[tokio::test]
async fn streams_are_counted_from_their_start_to_their_end() {
    let origin = Origin::start(Script::stream().event("a").gate().event("b").end()).await;
    let edge = Edge::with().heartbeat("interval: 200ms").start(origin.address()).await;
    let (mut client, _) = Client::open(edge.address(), SUBSCRIBE).await;
    client.expects("data: a\n\n:\n\n").await;
    assert_eq!(edge.metric("ssedge_streams_open", "").await, 1.0);
    assert_eq!(edge.metric("ssedge_streams_started_total", "").await, 1.0);
    assert_eq!(edge.metric("ssedge_streams_ended_total", "").await, 0.0);
    origin.open_gate();
    client.rest_of_body().await;
    edge.stream_ended("upstream_end").await;
    assert_eq!(edge.metric("ssedge_streams_open", "").await, 0.0);
    assert_eq!(edge.metric("ssedge_streams_ended_total", "").await, 1.0, "one stream has one end");
    assert!(edge.metric("ssedge_heartbeats_total", "").await >= 1.0);
    assert!(edge.metric("ssedge_stream_bytes_total", "").await >= 18.0);
}

#[tokio::test]
async fn an_ordinary_answer_is_no_stream() {
    let origin = Origin::start(Script::answer("ok")).await;
    let edge = Edge::start(origin.address()).await;
    let (mut client, _) = Client::open(edge.address(), GET).await;
    client.ends_with("ok", End::Clean).await;
    assert_eq!(edge.metric("ssedge_streams_started_total", "").await, 0.0);
    assert_eq!(edge.metric("ssedge_stream_bytes_total", "").await, 0.0);
}

#[tokio::test]
async fn no_label_is_taken_from_a_client() {
    let origin = Origin::start(Script::stream().event("a").end()).await;
    let edge = Edge::start(origin.address()).await;
    let request = ASK.replace("/v1/ask", "/made-up-by-the-client").replace("Host: test", "Host: made-up-by-the-client");
    let (mut client, _) = Client::open(edge.address(), request).await;
    client.rest_of_body().await;
    edge.stream_ended("upstream_end").await;
    let (_, text) = edge.admin("GET /metrics").await;
    assert!(!text.contains("made-up-by-the-client"), "{text}");
}

#[tokio::test]
async fn the_log_has_a_line_for_each_stream_and_each_request() {
    let origin = Origin::start_each([Script::stream().event("a").end(), Script::answer("ok")]).await;
    let edge = Edge::start(origin.address()).await;
    let (mut client, _) = Client::open(edge.address(), SUBSCRIBE).await;
    client.rest_of_body().await;
    let says = |words: &str| edge.process().stdout().contains(words).then_some(());
    eventually("the stream's lines", || says("kind=stream_open").and(says("reason=upstream_end"))).await;
    Client::open(edge.address(), "GET /ordinary?token=secret HTTP/1.1\r\nHost: test\r\n\r\n").await;
    eventually("the request's line", || says("kind=request").and(says("path=/ordinary "))).await;
    assert!(!edge.process().stdout().contains("secret"), "tokens live in queries");
}
