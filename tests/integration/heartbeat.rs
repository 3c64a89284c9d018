//! Heartbeats: when they come, which frame they take, and where they must never stand (design `sse.md` 2; WHATWG HTML 9.2).
//!
//! Absence is proved by silence of the origin over several intervals: the client must then see the upstream's bytes and no other.

use std::time::Duration;

use ssedge::clock;

use crate::support::{ASK, Client, Edge, End, Origin, SUBSCRIBE, Script};

/// The interval of most tests here.
const BEAT: &str = "interval: 200ms";
const INTERVAL: Duration = Duration::from_millis(200);
/// Long enough for several beats.
const SILENCE: Duration = Duration::from_millis(900);

/// The proxy with a short interval in front of one script, and a client that nobody knows with its stream open.
async fn open(script: Script, request: &str) -> (Origin, Edge, Client) {
    let origin = Origin::start(script).await;
    let edge = Edge::with().heartbeat(BEAT).start(origin.address()).await;
    let (client, _) = Client::open(edge.address(), request).await;
    (origin, edge, client)
}

/// The body without comment lines that are empty, and without the blank line behind them.
fn without_beats(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body).into_owned();
    let mut kept = String::new();
    let mut rest = text.as_str();
    while let Some(end) = rest.find('\n') {
        let (line, after) = rest.split_at(end + 1);
        rest = after;
        if line.trim_end() == ":" {
            rest = rest.strip_prefix("\r\n").or(rest.strip_prefix('\n')).unwrap_or(rest);
        } else {
            kept.push_str(line);
        }
    }
    kept + rest
}

#[tokio::test]
async fn a_beat_comes_after_each_interval_of_silence() {
    let begin = clock::now();
    let (_origin, edge, mut client) = open(Script::stream().event("a").hang(), SUBSCRIBE).await;
    client.expects("data: a\n\n:\n\n").await;
    assert!(begin.elapsed() >= INTERVAL, "too early: {:?}", begin.elapsed());
    client.expects(":\n\n:\n\n").await;
    assert!(begin.elapsed() >= INTERVAL * 3, "too many: {:?}", begin.elapsed());
    assert!(edge.metric("ssedge_heartbeats_total", "").await >= 3.0);
}

#[tokio::test]
async fn a_beat_comes_when_the_upstream_has_sent_nothing_but_its_head() {
    let (_origin, _edge, mut client) = open(Script::stream().hang(), SUBSCRIBE).await;
    client.expects(":\n\n:\n\n").await;
}

#[tokio::test]
async fn a_stream_that_a_post_asked_for_is_kept_alive_too() {
    let (_origin, _edge, mut client) = open(Script::stream().event("a").hang(), ASK).await;
    client.expects("data: a\n\n:\n\n").await;
}

#[tokio::test]
async fn no_beat_comes_while_events_flow() {
    let mut script = Script::stream();
    let mut want = String::new();
    for number in 0..20 {
        script = script.event(&number.to_string()).silence(Duration::from_millis(80));
        want.push_str(&format!("data: {number}\n\n"));
    }
    let origin = Origin::start(script.end()).await;
    // A beat by the clock, rather than by idleness, would come once.
    let edge = Edge::with().heartbeat("interval: 1s").start(origin.address()).await;
    let (mut client, _) = Client::open(edge.address(), SUBSCRIBE).await;
    client.ends_with(want, End::Clean).await;
}

#[tokio::test]
async fn no_beat_comes_before_the_upstreams_head() {
    let script = Script::new().silence(SILENCE).raw("HTTP/1.1 200 OK\r\nContent-Type: text/ev");
    let script = script.silence(SILENCE).raw("ent-stream\r\nTransfer-Encoding: chunked\r\n\r\n").event("a").end();
    let origin = Origin::start(script).await;
    let edge = Edge::with().heartbeat(BEAT).start(origin.address()).await;
    let (bytes, _) = {
        let mut client = Client::connect(edge.address()).await;
        client.send(SUBSCRIBE.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n")).await;
        client.rest().await
    };
    let text = String::from_utf8_lossy(&bytes);
    assert!(text.starts_with("HTTP/1.1 200") && !text.contains("\r\n:\n"), "{text:?}");
}

#[tokio::test]
async fn no_beat_comes_inside_an_unfinished_line() {
    for half in ["data: ha", "d", "data: a\n\nid", ": comment", "data: \u{1f600}"] {
        let script = Script::stream().chunk(half).silence(SILENCE).chunk("lf\n\n").end();
        let (_origin, edge, mut client) = open(script, SUBSCRIBE).await;
        client.ends_with(format!("{half}lf\n\n"), End::Clean).await;
        assert_eq!(edge.metric("ssedge_heartbeats_total", "").await, 0.0, "after {half:?}");
    }
}

#[tokio::test]
async fn a_pair_of_cr_and_lf_is_never_broken_inside_a_block() {
    let script = Script::stream().chunk("data: a\r").silence(SILENCE).chunk("\n\r\n").end();
    let (_origin, _edge, mut client) = open(script, SUBSCRIBE).await;
    client.ends_with("data: a\r\n\r\n", End::Clean).await;
}

#[tokio::test]
async fn a_pair_of_cr_and_lf_that_ends_a_block_is_completed_before_the_beat() {
    let script = Script::stream().chunk("data: a\r\n\r").gate().chunk("\ndata: b\r\n\r\n").end();
    let (origin, _edge, mut client) = open(script, SUBSCRIBE).await;
    client.expects("data: a\r\n\r\n:\n").await;
    origin.open_gate();
    let (body, end) = client.rest_of_body().await;
    // The upstream's own LF is swallowed: it would be a blank line of its own.
    assert_eq!((without_beats(&body).as_str(), end), ("data: b\r\n\r\n", End::Clean));
}

#[tokio::test]
async fn between_the_lines_of_a_block_a_single_line_comes_after_two_intervals() {
    let begin = clock::now();
    let (origin, _edge, mut client) = open(Script::stream().chunk("data: a\n").gate().chunk("data: b\n\n").end(), SUBSCRIBE).await;
    // To this client, at a boundary, a beat would be a block: here it would dispatch half an event.
    client.expects("data: a\n:\n").await;
    assert!(begin.elapsed() >= INTERVAL * 2, "too early: {:?}", begin.elapsed());
    origin.open_gate();
    let (body, end) = client.rest_of_body().await;
    let text = String::from_utf8(body).unwrap();
    assert_eq!((text.trim_start_matches(":\n"), end), ("data: b\n\n", End::Clean));
}

#[tokio::test]
async fn a_stream_with_cr_and_lf_gets_beats_with_cr_and_lf() {
    let (_origin, _edge, mut client) = open(Script::stream().chunk("data: a\r\n\r\n").hang(), SUBSCRIBE).await;
    client.expects("data: a\r\n\r\n:\r\n\r\n:\r\n\r\n").await;
}

#[tokio::test]
async fn the_frame_is_a_line_for_clients_that_would_stumble_over_a_block() {
    let get = |fields: &str| format!("GET /events HTTP/1.1\r\nHost: test\r\nAccept: text/event-stream\r\n{fields}\r\n");
    let chrome =
        "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36\r\n";
    let lines = [
        get(&format!("Cache-Control: no-cache\r\n{chrome}")),
        get(&format!("Cache-Control: no-cache\r\n{chrome}Sec-Fetch-Dest: empty\r\nSec-Fetch-Mode: cors\r\n")),
        get("Last-Event-ID: 7\r\n"),
        get("MCP-Protocol-Version: 2025-06-18\r\n"),
        get("Mcp-Session-Id: abc\r\n"),
        get("User-Agent: OpenAI/Python 2.54.0\r\n"),
        ASK.replace("\r\n\r\n", &format!("\r\n{chrome}\r\n")),
    ];
    let blocks = [get(""), get("User-Agent: curl/8.14.1\r\n"), get("User-Agent: my-own-script/1\r\n")];
    let origin = Origin::start(Script::stream().event("a").hang()).await;
    let edge = Edge::with().heartbeat(BEAT).start(origin.address()).await;
    for (request, beat) in lines.iter().map(|request| (request, ":\n")).chain(blocks.iter().map(|request| (request, ":\n\n"))) {
        let (mut client, _) = Client::open(edge.address(), request).await;
        eprintln!("{request:?} must get {beat:?}");
        // The next beat begins with a colon: a frame of the other kind differs there.
        client.expects(format!("data: a\n\n{beat}{beat}:")).await;
    }
}

#[tokio::test]
async fn the_frame_is_a_line_for_everybody_once_an_id_was_seen() {
    let (_origin, _edge, mut client) = open(Script::stream().chunk("id: 1\ndata: a\n\n").hang(), SUBSCRIBE).await;
    client.expects("id: 1\ndata: a\n\n:\n:\n").await;
}

#[tokio::test]
async fn the_configured_frame_and_text_are_what_is_sent() {
    let frames = [
        ("interval: 200ms, frame: line", ":\n:\n"),
        ("interval: 200ms, frame: block", ":\n\n:\n\n"),
        ("interval: 200ms, frame: block, text: ping", ":ping\n\n:ping\n\n"),
    ];
    for (heartbeat, beats) in frames {
        let origin = Origin::start(Script::stream().event("a").hang()).await;
        let edge = Edge::with().heartbeat(heartbeat).start(origin.address()).await;
        let (mut client, _) = Client::open(edge.address(), SUBSCRIBE).await;
        client.expects(format!("data: a\n\n{beats}")).await;
    }
}

#[tokio::test]
async fn responses_that_must_not_be_touched_get_no_beat() {
    let head = |status: &str, fields: &str| {
        Script::new().head(status, &format!("Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n{fields}"))
    };
    let scripts = [
        head("500 Internal Server Error", ""),
        head("201 Created", ""),
        head("200 OK", "Content-Digest: sha-256=:AAAA:\r\n"),
        head("200 OK", "Repr-Digest: sha-256=:AAAA:\r\n"),
        head("200 OK", "Content-Encoding: br\r\n"),
        Script::new().head("200 OK", "Content-Type: text/plain\r\nTransfer-Encoding: chunked\r\n"),
    ];
    let scripts = scripts.map(|script| script.event("a").silence(Duration::from_millis(500)).event("b").end());
    let count = scripts.len();
    let origin = Origin::start_each(scripts).await;
    let edge = Edge::with().heartbeat("interval: 100ms").start(origin.address()).await;
    for number in 0..count {
        let (mut client, _) = Client::open(edge.address(), SUBSCRIBE).await;
        let (body, end) = client.rest_of_body().await;
        assert_eq!((body.as_slice(), end), (&b"data: a\n\ndata: b\n\n"[..], End::Clean), "response {number}");
    }
    assert_eq!(edge.metric("ssedge_heartbeats_total", "").await, 0.0);
}

#[tokio::test]
async fn the_answer_to_a_head_request_gets_no_beat() {
    let answers = [Script::stream(), Script::new().silence(SILENCE).head("200 OK", "Content-Length: 2\r\n").raw("ok")];
    let origin = Origin::start_each(answers).await;
    let edge = Edge::with().heartbeat(BEAT).start(origin.address()).await;
    let mut client = Client::send_to(edge.address(), SUBSCRIBE.replace("GET", "HEAD")).await;
    let head = client.head_to_head().await;
    assert_eq!(head.get("content-type"), Some("text/event-stream"));
    if head.list("connection").contains(&"close".to_owned()) {
        assert_eq!(client.rest().await, (Vec::new(), End::Clean));
    } else {
        client.send(SUBSCRIBE).await;
        client.head().await;
        client.ends_with("ok", End::Clean).await;
    }
}

#[tokio::test]
async fn no_beat_comes_after_the_last_event_of_a_token_stream() {
    for last in ["data: [DONE]\n\n", "event: message_stop\ndata: {}\n\n"] {
        let script = Script::stream().chunk(last).silence(SILENCE).end();
        let (_origin, _edge, mut client) = open(script, ASK).await;
        client.ends_with(last, End::Clean).await;
    }
}

#[tokio::test]
async fn a_byte_order_mark_that_comes_after_a_beat_is_removed() {
    for parts in [vec!["\u{feff}data: a\n\n".as_bytes()], vec![&b"\xef"[..], b"\xbb", b"\xbfdata: a\n\n"]] {
        let script = parts.into_iter().fold(Script::stream().gate(), |script, part| script.chunk(part)).end();
        let (origin, _edge, mut client) = open(script, SUBSCRIBE).await;
        client.expects(":\n\n").await;
        origin.open_gate();
        let (body, end) = client.rest_of_body().await;
        assert_eq!((without_beats(&body).as_str(), end), ("data: a\n\n", End::Clean));
    }
}

#[tokio::test]
async fn what_only_begins_like_a_byte_order_mark_is_kept() {
    let (origin, _edge, mut client) = open(Script::stream().gate().chunk(b"\xef\xbb").chunk(b"x\n\n").end(), SUBSCRIBE).await;
    client.expects(":\n\n").await;
    origin.open_gate();
    let (body, end) = client.rest_of_body().await;
    assert!(body.ends_with(b"\xef\xbbx\n\n") && end == End::Clean, "{body:?}");
}

#[tokio::test]
async fn a_byte_order_mark_that_comes_first_is_kept() {
    let (_origin, _edge, mut client) = open(Script::stream().chunk("\u{feff}data: a\n\n").hang(), SUBSCRIBE).await;
    client.expects("\u{feff}data: a\n\n:\n\n").await;
}

#[tokio::test]
async fn one_huge_chunk_written_slowly_does_not_hold_beats_back() {
    let head = "Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n";
    let script = Script::new()
        .head("200 OK", head)
        .raw("1b\r\ndata: a\n\n")
        .gate()
        .raw("data: b\n\n")
        .gate()
        .raw("data: c\n\n\r\n0\r\n\r\n");
    let (origin, _edge, mut client) = open(script, SUBSCRIBE).await;
    client.expects("data: a\n\n:\n\n").await;
    origin.open_gate();
    client.expects_after(":\n\n", "data: b\n\n").await;
    client.expects(":\n\n").await;
    origin.open_gate();
    client.expects_after(":\n\n", "data: c\n\n").await;
    client.ends_with("", End::Clean).await;
}

#[tokio::test]
async fn beats_come_by_default_and_are_switched_off_for_a_route() {
    // Longer than the default interval: the only way to tell `off` from it.
    let script = Script::stream().event("a").silence(Duration::from_secs(17)).end();
    let origin = Origin::start(script).await;
    let (on, off) = (Edge::start(origin.address()).await, Edge::with().heartbeat("off").start(origin.address()).await);
    let (mut with, _) = Client::open(on.address(), SUBSCRIBE).await;
    let (mut without, _) = Client::open(off.address(), SUBSCRIBE).await;
    without.expects("data: a\n\n").await;
    with.ends_with("data: a\n\n:\n\n", End::Clean).await;
    without.ends_with("", End::Clean).await;
}
