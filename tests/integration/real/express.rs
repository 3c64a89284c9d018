//! An Express server that is told what to send, `curl` and npm `eventsource` in step with it, and the README's demo.

use std::process::Command;
use std::time::Duration;

use ssedge::clock;

use super::tool::{CURL, Tool, curl, node, url};
use crate::support::{Edge, within};

/// An Express server with an event stream, as people write it.
struct Express {
    tool: Tool,
    port: u16,
}

impl Express {
    /// One that sends what it is told to send.
    async fn quiet() -> Self {
        Self::ticking(Duration::ZERO).await
    }

    /// One that broadcasts a `tick` so often.
    async fn ticking(every: Duration) -> Self {
        let mut tool = node("server.js", &[&every.as_millis().to_string()]);
        let port = tool.port().await;
        Self { tool, port }
    }

    /// Waits until one more stream has opened, and gives its `Last-Event-ID` as JSON.
    async fn opened(&mut self) -> String {
        let line = self.tool.line().await;
        let id = line.strip_prefix("{\"lastEventId\":").and_then(|rest| rest.strip_suffix('}'));
        id.unwrap_or_else(|| panic!("a stream should open, but: {line}")).to_owned()
    }

    /// ssedge before it; heartbeats come as quickly as the configuration allows.
    async fn edge(&self) -> Edge {
        Edge::with().heartbeat("interval: 100ms").start(format!("127.0.0.1:{}", self.port)).await
    }
}

/// What Ctrl-C may take on a loaded machine; a drain that waits for its streams would take far longer.
const AT_ONCE: Duration = Duration::from_secs(2);

/// Heartbeats sent, on all streams.
const HEARTBEATS: &str = "ssedge_heartbeats_total";

/// Posts JSON through the proxy with `curl`, and gives the whole body of the answer.
fn post(edge: &Edge, path: &str, json: &str) -> String {
    let arguments = ["-d", json, "-H", "Content-Type: application/json", &url(edge, path)];
    let output = Command::new("curl").args(CURL).args(arguments).output().expect("curl is installed");
    assert!(output.status.success(), "POST {path}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("the server answers in UTF-8")
}

/// A real EventSource client on the stream.
fn event_source(edge: &Edge) -> Tool {
    node("client.js", &[&url(edge, "/events")])
}

/// Waits until `count` more heartbeats were sent, on whatever streams are open.
async fn heartbeats(edge: &Edge, count: f64) {
    let enough = edge.metric(HEARTBEATS, "").await + count;
    within("heartbeats", async { while edge.metric(HEARTBEATS, "").await < enough {} }).await;
}

/// What the EventSource client prints for the `n`th note of a broadcast, sent with `id`.
fn note(id: usize, n: usize) -> String {
    format!(r#"{{"type":"note","id":"{id}","data":"{{\"n\":{n},\"text\":\"hello\"}}"}}"#)
}

/// What `curl` prints for the same, without the blank line.
fn note_lines(id: usize, n: usize) -> [String; 3] {
    [format!("id: {id}"), "event: note".to_owned(), format!("data: {{\"n\":{n},\"text\":\"hello\"}}")]
}

fn has_header(head: &[String], wanted: &str) -> bool {
    head.iter().any(|line| line.eq_ignore_ascii_case(wanted))
}

fn names_header(head: &[String], name: &str) -> bool {
    head.iter().any(|line| line.split_once(':').is_some_and(|(found, _)| found.eq_ignore_ascii_case(name)))
}

#[tokio::test]
#[ignore = "needs node and npm: run by .ci/run"]
async fn curl_has_the_headers_before_the_first_event() {
    let express = Express::quiet().await;
    let edge = express.edge().await;
    let mut client = curl(&["-D", "/dev/stdout", &url(&edge, "/events")]);

    // Nobody has triggered anything yet: this waits for nothing but the head.
    let head = client.block().await;
    assert_eq!(head[0], "HTTP/1.1 200 OK");
    assert!(has_header(&head, "content-type: text/event-stream; charset=utf-8"), "{head:?}");
    assert!(has_header(&head, "x-accel-buffering: no"), "{head:?}");
    assert!(names_header(&head, "cache-control"), "{head:?}");
    assert!(!names_header(&head, "content-length"), "{head:?}");
}

#[tokio::test]
#[ignore = "needs node and npm: run by .ci/run"]
async fn curl_sees_each_event_when_it_is_sent_and_heartbeats_between_them() {
    let mut express = Express::quiet().await;
    let edge = express.edge().await;
    let mut client = curl(&[&url(&edge, "/events")]);
    assert_eq!(express.opened().await, "null");

    // No id was seen: whatever the client is, a block is the safest frame for it.
    assert_eq!(client.lines(4).await, [":", "", ":", ""]);
    for id in 1..=3 {
        assert_eq!(post(&edge, "/trigger", "{}"), r#"{"sent":1,"to":1}"#);
        client.find(|line| line == format!("id: {id}")).await;
        assert_eq!(client.block().await, note_lines(id, 1)[1..]);
        // From the first id on it is a line: a blank one would repeat the id to some SDKs.
        assert_eq!(client.lines(2).await, [":", ":"]);
    }
}

#[tokio::test]
#[ignore = "needs node and npm: run by .ci/run"]
async fn curl_with_http_1_0_gets_a_body_that_the_close_ends() {
    let mut express = Express::quiet().await;
    let edge = express.edge().await;
    let mut client = curl(&["-0", "-D", "/dev/stdout", &url(&edge, "/events")]);
    express.opened().await;

    let head = client.block().await;
    assert!(head[0].ends_with(" 200 OK"), "{head:?}");
    assert!(!names_header(&head, "transfer-encoding") && !names_header(&head, "content-length"), "{head:?}");
    assert_eq!(client.lines(2).await, [":", ""]);
    post(&edge, "/trigger", "{}");
    client.find(|line| line == "id: 1").await;
    assert_eq!(client.block().await, note_lines(1, 1)[1..]);
    post(&edge, "/end", "");
    client.find(|line| line == "retry: 200").await;
    assert_eq!(client.line().await, "");
    assert!(client.process.exit().await.success());
}

#[tokio::test]
#[ignore = "needs node and npm: run by .ci/run"]
async fn curl_posts_and_reads_the_stream_that_answers() {
    let express = Express::quiet().await;
    let edge = express.edge().await;
    let answer = post(&edge, "/chat", r#"{"words":["one","two","three"]}"#);
    assert_eq!(answer, "data: one\n\ndata: two\n\ndata: three\n\ndata: [DONE]\n\n");
}

#[tokio::test]
#[ignore = "needs node and npm: run by .ci/run"]
async fn a_broadcast_reaches_every_curl() {
    const CLIENTS: usize = 20;
    let mut express = Express::quiet().await;
    let edge = express.edge().await;
    let mut clients: Vec<Tool> = (0..CLIENTS).map(|_| curl(&[&url(&edge, "/events")])).collect();
    for _ in 0..CLIENTS {
        express.opened().await;
    }

    assert_eq!(post(&edge, "/trigger", r#"{"count":2}"#), format!(r#"{{"sent":2,"to":{CLIENTS}}}"#));
    for client in &mut clients {
        client.find(|line| line == "id: 1").await;
        assert_eq!(client.block().await, note_lines(1, 1)[1..]);
        client.find(|line| line == "id: 2").await;
        assert_eq!(client.block().await, note_lines(2, 2)[1..]);
    }
}

#[tokio::test]
#[ignore = "needs node and npm: run by .ci/run"]
async fn a_curl_that_leaves_is_gone_for_the_server_too() {
    let mut express = Express::quiet().await;
    let edge = express.edge().await;
    let mut client = curl(&[&url(&edge, "/events")]);
    express.opened().await;
    assert_eq!(client.line().await, ":");

    drop(client);
    assert_eq!(express.tool.line().await, r#"{"closed":true}"#);
}

#[tokio::test]
#[ignore = "needs node and npm: run by .ci/run"]
async fn event_source_gets_every_event_of_a_broadcast_in_order_and_nothing_else() {
    let mut express = Express::quiet().await;
    let edge = express.edge().await;
    let mut client = event_source(&edge);
    assert_eq!(client.line().await, r#"{"open":true}"#);
    express.opened().await;

    heartbeats(&edge, 5.0).await;
    post(&edge, "/trigger", r#"{"count":10}"#);
    heartbeats(&edge, 5.0).await;
    post(&edge, "/trigger", r#"{"count":10}"#);
    let expected: Vec<String> = (1..=20).map(|id| note(id, (id - 1) % 10 + 1)).collect();
    assert_eq!(client.lines(20).await, expected);
}

#[tokio::test]
#[ignore = "needs node and npm: run by .ci/run"]
async fn event_source_sees_an_interval_tick_by_tick_between_heartbeats() {
    const TICK: Duration = Duration::from_millis(250);
    let express = Express::ticking(TICK).await;
    let edge = express.edge().await;
    let mut client = event_source(&edge);
    assert_eq!(client.line().await, r#"{"open":true}"#);

    let first = client.line().await;
    let began = clock::now();
    let from: usize = first.split('"').nth(7).and_then(|id| id.parse().ok()).expect("a tick has an id");
    let expected: Vec<String> =
        (from..from + 9).map(|id| format!(r#"{{"type":"tick","id":"{id}","data":"{{\"tick\":{id}}}"}}"#)).collect();
    assert_eq!([vec![first], client.lines(8).await].concat(), expected);

    // Eight intervals lie between the first and the last; anything that gathers ticks shows them in a burst.
    let took = clock::now() - began;
    assert!(took > TICK * 5, "nine ticks came within {took:?}");
    assert!(edge.metric(HEARTBEATS, "").await >= 8.0, "two heartbeats fit between two ticks");
}

#[tokio::test]
#[ignore = "needs node and npm: run by .ci/run"]
async fn event_source_comes_back_with_its_last_event_id_after_the_server_ended_the_stream() {
    let mut express = Express::quiet().await;
    let edge = express.edge().await;
    let mut client = event_source(&edge);
    assert_eq!(client.line().await, r#"{"open":true}"#);
    assert_eq!(express.opened().await, "null");
    post(&edge, "/trigger", r#"{"count":3}"#);
    assert_eq!(client.lines(3).await, [note(1, 1), note(2, 2), note(3, 3)]);

    assert_eq!(post(&edge, "/end", ""), r#"{"ended":1}"#);
    assert_eq!(express.tool.line().await, r#"{"closed":true}"#);
    // A clean end: the client is connecting again (state 0), not closed for good.
    assert_eq!(client.line().await, r#"{"error":null,"state":0}"#);
    // Whether this is sent before or after it is back, it gets it once.
    post(&edge, "/trigger", r#"{"count":2}"#);
    assert_eq!(express.opened().await, r#""3""#);
    assert_eq!(client.lines(3).await, [r#"{"open":true}"#.to_owned(), note(4, 1), note(5, 2)]);
}

/// The README's first command, with the binary that is under test.
#[tokio::test]
#[ignore = "needs curl: run by .ci/run"]
async fn the_demo_shows_events_and_heartbeats_and_ends_at_once_on_ctrl_c() {
    let mut demo = Tool::start(env!("CARGO_BIN_EXE_ssedge"), &["demo", "--listen", "127.0.0.1:0"]);
    let line = demo.find(|line| line.contains("curl -N http")).await;
    let url = line.split("curl -N ").nth(1).and_then(|rest| rest.split_whitespace().next()).expect("the URL follows");
    let mut client = curl(&[url]);
    for wanted in ["id: ", "data: ", ":", "data: "] {
        client.find(|line| line.starts_with(wanted)).await;
    }

    let asked = clock::now();
    demo.process.signal("INT");
    assert_eq!(demo.process.exit().await.code(), Some(0));
    let took = clock::now() - asked;
    assert!(took < AT_ONCE, "Ctrl-C took {took:?}");
}
