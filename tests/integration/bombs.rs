//! A megabyte that unpacks to a gigabyte: it costs whoever reads it its time, and nobody else anything (design `product.md`, "bounded
//! against bombs").

use crate::support::gzip::{bomb, bomb_event};
use crate::support::{Client, Edge, End, Origin, SUBSCRIBE, Script, settled};

const GZIP: &str = "Content-Encoding: gzip\r\n";
/// What the proxy itself may need more than before.
const MEMORY: u64 = 12 << 20;
/// A page that a memory measured in MiB is rounded to: allocators breathe.
const MIB: u64 = 1 << 20;

#[tokio::test]
async fn a_bomb_waits_packed_for_a_client_that_does_not_read() {
    let wire = bomb(1024);
    assert!(wire.len() < 8 << 20, "a bomb of {} bytes", wire.len());
    let origin = Origin::start(Script::stream_with(GZIP).chunk(&wire).end()).await;
    let edge = Edge::with().heartbeat("off").start(origin.address()).await;
    let before = edge.resident();
    let mut client = Client::connect_slow(edge.address()).await;
    client.send(SUBSCRIBE).await;
    client.head().await;
    client.expects(bomb_event()).await;
    settled("the memory", || edge.resident() / MIB).await;
    let grown = edge.resident().saturating_sub(before);
    assert!(grown < MEMORY, "{grown} bytes more of memory for a client that does not read");
    // It reads a little, and no more is unpacked than that.
    client.expects(bomb_event().repeat(8 << 10)).await;
    settled("the memory", || edge.resident() / MIB).await;
    let grown = edge.resident().saturating_sub(before);
    assert!(grown < MEMORY, "{grown} bytes more of memory for a client that reads little");
    drop(client);
    origin.closed(0).await;
    edge.stream_ended("client_gone").await;
}

#[tokio::test]
async fn a_bomb_is_delivered_whole_to_a_client_that_reads() {
    const MEBIBYTES: usize = 256;
    let origin = Origin::start(Script::stream_with(GZIP).chunk(bomb(MEBIBYTES)).end()).await;
    let edge = Edge::with().heartbeat("off").start(origin.address()).await;
    let (mut client, _) = Client::open(edge.address(), SUBSCRIBE).await;
    let before = edge.resident();
    // Two events behind each other, so that every piece is a part of them.
    let events = bomb_event().repeat(1024);
    let (mut at, mut most) = (0, 0);
    while let Some(piece) = client.piece().await {
        let mut piece = piece.as_slice();
        while !piece.is_empty() {
            let want = &events[at % events.len()..];
            let (part, rest) = piece.split_at(piece.len().min(want.len()));
            assert!(part == &want[..part.len()], "other bytes at {at}");
            (at, piece) = (at + part.len(), rest);
        }
        most = most.max(edge.resident());
    }
    client.ends_with("", End::Clean).await;
    assert_eq!(at, MEBIBYTES << 20);
    assert!(most.saturating_sub(before) < MEMORY, "{most} bytes of memory after {before}");
    edge.stream_ended("upstream_end").await;
}

#[tokio::test]
async fn a_quiet_stream_beside_bombs_gets_its_heartbeats() {
    let bombs = [(); 3].map(|()| Script::stream_with(GZIP).chunk(bomb(1024)).hang());
    let origin = Origin::start_each(bombs.into_iter().chain([Script::stream().hang()])).await;
    let edge = Edge::with().heartbeat("interval: 100ms").start(origin.address()).await;
    let mut drinking = Vec::new();
    for _ in 0..3 {
        let (mut client, _) = Client::open(edge.address(), SUBSCRIBE).await;
        client.expects(bomb_event()).await;
        drinking.push(tokio::spawn(async move { while client.piece().await.is_some() {} }));
    }
    let (mut quiet, _) = Client::open(edge.address(), SUBSCRIBE).await;
    quiet.expects(":\n\n:\n\n:\n\n").await;
    for task in drinking {
        assert!(!task.is_finished(), "the bombs went off too early for this test to say anything");
        task.abort();
    }
}
