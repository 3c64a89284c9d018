//! A slow reader slows the writer: memory stays bounded, nothing is lost, and who takes nothing for too long is let go (design
//! `product.md`, "a slow reader").

use std::time::Duration;

use crate::support::{ASK, Client, Edge, End, Origin, SUBSCRIBE, Script, pattern, script::flood, settled};

/// More than kernel buffers take on the way, by far.
const FLOOD: usize = 64 << 20;
/// What may be on the way: the proxy's own socket buffers, which grow with how fast they were read at first (to 32 MiB where `tcp_rmem`
/// says so), and nothing of ours, which [`MEMORY`] bounds.
const ON_THE_WAY: u64 = 40 << 20;
/// What the proxy itself may need more than before.
const MEMORY: u64 = 12 << 20;

#[tokio::test]
async fn a_slow_client_slows_the_upstream_and_loses_nothing() {
    let origin = Origin::start(Script::stream().flood(FLOOD).end()).await;
    let edge = Edge::with().heartbeat("interval: 100ms").start(origin.address()).await;
    let before = edge.resident();
    let mut client = Client::connect_slow(edge.address()).await;
    client.send(SUBSCRIBE).await;
    client.head().await;

    let written = settled("the origin to be stopped", || origin.written()).await;
    assert!(written < ON_THE_WAY, "{written} bytes are on their way to a client that does not read");
    let grown = edge.resident().saturating_sub(before);
    assert!(grown < MEMORY, "{grown} bytes more of memory for a client that does not read");

    // Beats are skipped while the client is behind, never queued: at least five are due while we look.
    let beats = edge.metric("ssedge_heartbeats_total", "").await;
    settled("the origin to be stopped still", || origin.written()).await;
    assert_eq!(edge.metric("ssedge_heartbeats_total", "").await, beats, "beats were made for a client that is behind");

    for event in flood(FLOOD) {
        client.expects_after(b":\n\n", &event).await;
    }
    client.expects_after(b":\n\n", "").await;
    client.ends_with("", End::Clean).await;
    edge.stream_ended("upstream_end").await;
    let bytes = edge.metric("ssedge_stream_bytes_total", "").await;
    let sent: usize = flood(FLOOD).map(|event| event.len()).sum();
    assert!(bytes >= sent as f64, "{bytes} bytes counted of {sent}");
}

#[tokio::test]
async fn a_client_that_takes_nothing_for_too_long_is_let_go() {
    let origin = Origin::start(Script::stream().flood(FLOOD).hang()).await;
    let edge = Edge::with().timeout("write_stall", "1s").start(origin.address()).await;
    let mut client = Client::connect_slow(edge.address()).await;
    client.send(SUBSCRIBE).await;
    client.head().await;
    edge.stream_ended("write_stall").await;
    origin.closed(0).await;
    let (_, end) = client.rest_of_body().await;
    assert_ne!(end, End::Clean);
}

#[tokio::test]
async fn a_client_that_reads_slowly_but_steadily_is_kept() {
    let origin = Origin::start(Script::stream().flood(1 << 20).end()).await;
    let edge = Edge::with().timeout("write_stall", "1s").heartbeat("off").start(origin.address()).await;
    let mut client = Client::connect_slow(edge.address()).await;
    client.send(SUBSCRIBE).await;
    client.head().await;
    let events: Vec<Vec<u8>> = flood(1 << 20).collect();
    // Longer in all than the limit, each pause shorter.
    for part in events.chunks(events.len() / 8) {
        tokio::time::sleep(Duration::from_millis(250)).await;
        client.expects(part.concat()).await;
    }
    client.ends_with("", End::Clean).await;
}

#[tokio::test]
async fn a_slow_client_of_an_ordinary_answer_slows_the_upstream_too() {
    let head = "Content-Type: application/octet-stream\r\nTransfer-Encoding: chunked\r\n";
    let origin = Origin::start(Script::new().head("200 OK", head).flood(FLOOD).end()).await;
    let edge = Edge::start(origin.address()).await;
    let before = edge.resident();
    let mut client = Client::connect_slow(edge.address()).await;
    client.send(SUBSCRIBE).await;
    client.head().await;
    let written = settled("the origin to be stopped", || origin.written()).await;
    assert!(written < ON_THE_WAY, "{written} bytes are on their way to a client that does not read");
    assert!(edge.resident().saturating_sub(before) < MEMORY);
    client.ends_with(flood(FLOOD).collect::<Vec<_>>().concat(), End::Clean).await;
}

#[tokio::test]
async fn a_slow_upstream_slows_the_upload() {
    let origin =
        Origin::start(Script::early().stop_reading().gate().read_on().await_body().raw("HTTP/1.1 204 No Content\r\n\r\n")).await;
    let edge = Edge::start(origin.address()).await;
    let before = edge.resident();
    let mut client =
        Client::send_to(edge.address(), format!("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: {FLOOD}\r\n\r\n")).await;
    origin.request_head(0).await;
    let body = pattern(FLOOD);
    let sent = std::sync::atomic::AtomicU64::new(0);
    let upload = async {
        for part in body.chunks(64 * 1024) {
            client.send(part).await;
            sent.fetch_add(part.len() as u64, std::sync::atomic::Ordering::Relaxed);
        }
    };
    let watch = async {
        let stopped = settled("the client to be stopped", || sent.load(std::sync::atomic::Ordering::Relaxed)).await;
        assert!(stopped < ON_THE_WAY, "{stopped} bytes are on their way to an upstream that does not read");
        assert!(edge.resident().saturating_sub(before) < MEMORY);
        origin.open_gate();
    };
    tokio::join!(upload, watch);
    assert_eq!(client.head().await.status(), 204);
    assert!(origin.request(0).await.body == body, "the upload arrived changed");
}

#[tokio::test]
async fn a_slow_client_does_not_slow_another() {
    let scripts = [Script::stream().flood(FLOOD).hang(), Script::stream().gate().event("a").end()];
    let origin = Origin::start_each(scripts).await;
    let edge = Edge::start(origin.address()).await;
    let mut slow = Client::connect_slow(edge.address()).await;
    slow.send(SUBSCRIBE).await;
    slow.head().await;
    let (mut other, _) = Client::open(edge.address(), ASK).await;
    settled("the origin to be stopped", || origin.written()).await;
    origin.open_gate();
    other.ends_with("data: a\n\n", End::Clean).await;
    // And the slow one leaves as quickly as any other, though bytes wait for it.
    drop(slow);
    origin.closed(0).await;
    edge.stream_ended("client_gone").await;
}
