//! Tunnels over time: when silence ends one, what a drain does to them, how much they carry, and what operators see of them (design
//! `config.md`, `timeouts.tunnel_idle` and `drain.deadline`).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ssedge::clock;

use crate::bulk::{BIG, MEMORY, ON_THE_WAY, send};
use crate::support::{Client, Edge, End, ManualOrigin, Pattern, Raw, eventually, settled};
use crate::upgrades::{assert_open, switch_to, tunnel, websocket};

#[tokio::test]
async fn a_tunnel_in_which_nobody_speaks_ends() {
    const IDLE: Duration = Duration::from_millis(300);
    for speaks_first in [false, true] {
        let origin = ManualOrigin::start().await;
        let edge = Edge::with().timeout("tunnel_idle", "300ms").start(origin.address()).await;
        let begin = clock::now();
        let (mut client, mut server) = tunnel(&edge, &origin).await;
        if speaks_first {
            assert_open(&mut client, &mut server).await;
        }
        assert_eq!(client.rest().await.0, b"");
        assert_eq!(server.rest().await.0, b"");
        assert!(begin.elapsed() >= IDLE, "too early: {:?}", begin.elapsed());
        edge.metric_becomes("ssedge_tunnels_open", "", 0.0).await;
    }
}

#[tokio::test]
async fn half_of_a_tunnel_in_which_nobody_speaks_ends_too() {
    let origin = ManualOrigin::start().await;
    let edge = Edge::with().timeout("tunnel_idle", "300ms").start(origin.address()).await;
    let (client, mut server) = tunnel(&edge, &origin).await;
    client.socket().half_close();
    server.rest().await;
    edge.metric_becomes("ssedge_tunnels_open", "", 0.0).await;
}

#[tokio::test]
async fn words_in_either_direction_keep_a_tunnel() {
    for client_speaks in [true, false] {
        let origin = ManualOrigin::start().await;
        let edge = Edge::with().timeout("tunnel_idle", "1500ms").start(origin.address()).await;
        let (mut client, mut server) = tunnel(&edge, &origin).await;
        let (from, to) = if client_speaks { (&client, &mut server) } else { (&server, &mut client) };
        let begin = clock::now();
        // Longer in all than the limit, each pause far shorter.
        while begin.elapsed() < Duration::from_secs(4) {
            from.send("ping").await;
            to.expects("ping").await;
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        assert_open(&mut client, &mut server).await;
        assert_eq!(client.rest().await.0, b"");
        server.rest().await;
    }
}

#[tokio::test]
async fn no_other_timeout_ends_a_tunnel() {
    let origin = ManualOrigin::start().await;
    let mut edge = Edge::with();
    for key in ["request_head", "request_body_idle", "response_head", "response_body_idle", "write_stall", "keep_alive"] {
        edge = edge.timeout(key, "300ms");
    }
    let edge = edge.start(origin.address()).await;
    let (mut client, mut server) = tunnel(&edge, &origin).await;
    tokio::time::sleep(Duration::from_millis(1200)).await;
    assert_open(&mut client, &mut server).await;
}

#[tokio::test]
async fn a_drain_leaves_tunnels_alone_until_its_deadline() {
    const DEADLINE: Duration = Duration::from_secs(2);
    let origin = ManualOrigin::start().await;
    let mut edge = Edge::with().drain_deadline("2s").start(origin.address()).await;
    let (mut client, mut server) = tunnel(&edge, &origin).await;
    let begin = clock::now();
    edge.signal("TERM");
    edge.draining().await;
    assert_open(&mut client, &mut server).await;
    let (rest, _) = client.rest().await;
    assert!(rest.is_empty() && begin.elapsed() >= DEADLINE, "it was cut after {:?}", begin.elapsed());
    server.rest().await;
    assert_eq!(edge.exit_code().await, Some(0));
    assert!(begin.elapsed() < Duration::from_secs(20), "that was the default deadline");
    assert_eq!(lines(&edge).len(), 1, "its end is logged once");
}

#[tokio::test]
async fn a_drain_ends_with_its_last_tunnel() {
    let origin = ManualOrigin::start().await;
    let mut edge = Edge::with().drain_deadline("1h").start(origin.address()).await;
    let (mut client, mut server) = tunnel(&edge, &origin).await;
    edge.signal("TERM");
    edge.draining().await;
    assert_open(&mut client, &mut server).await;
    drop((client, server));
    assert_eq!(edge.exit_code().await, Some(0));
}

/// The lines of the access log that tell of tunnels.
fn lines(edge: &Edge) -> Vec<String> {
    let log = edge.process().stdout();
    log.lines().filter(|line| line.contains(" status=101 ")).map(str::to_owned).collect()
}

#[tokio::test]
async fn operators_see_tunnels_while_they_are_open_and_a_line_at_their_end() {
    let origin = ManualOrigin::start().await;
    let edge = Edge::start(origin.address()).await;
    assert_eq!(edge.metric("ssedge_tunnels_open", "route=").await, 0.0);
    let (mut client, server) = tunnel(&edge, &origin).await;
    let (other_client, other_server) = tunnel(&edge, &origin).await;
    edge.metric_becomes("ssedge_tunnels_open", "route=\"0\"", 2.0).await;
    assert_eq!(edge.metric("ssedge_tunnels_total", "route=\"0\"").await, 2.0);
    server.send([b'x'; 1234]).await;
    client.expects([b'x'; 1234]).await;
    assert_eq!(lines(&edge), Vec::<String>::new(), "the line comes at the end");
    drop((client, server));
    edge.metric_becomes("ssedge_tunnels_open", "", 1.0).await;
    eventually("the tunnel's line", || (lines(&edge).len() == 1).then_some(())).await;
    let line = &lines(&edge)[0];
    for part in [" kind=request ", " method=GET ", " path=/chat ", " route=0 ", " upstream=app ", " status=101 ", " bytes=1234 "] {
        assert!(line.contains(part), "{part:?} in {line:?}");
    }
    assert!(!line.contains("room=1"), "tokens live in queries: {line:?}");
    drop((other_client, other_server));
    edge.metric_becomes("ssedge_tunnels_open", "", 0.0).await;
    eventually("the other's line", || (lines(&edge).len() == 2).then_some(())).await;
    assert_eq!(edge.metric("ssedge_tunnels_total", "").await, 2.0, "a total never falls");
    assert_eq!(edge.metric("ssedge_streams_started_total", "").await, 0.0);
}

/// Reads so much of the pattern.
async fn receive(end: &mut Raw, total: u64) {
    let mut pattern = Pattern::default();
    while pattern.at() < total {
        pattern.check(&end.bytes().await.expect("no reset").expect("no end yet"));
    }
}

#[tokio::test]
async fn fifty_megabytes_pass_each_way_at_once() {
    let origin = ManualOrigin::start().await;
    let edge = Edge::start(origin.address()).await;
    let (mut client, mut server) = tunnel(&edge, &origin).await;
    let before = edge.resident();
    let senders = [client.socket(), server.socket()].map(|socket| {
        tokio::spawn(async move {
            send(socket.clone(), BIG, Arc::default(), <[u8]>::to_vec).await;
            socket.half_close();
        })
    });
    tokio::join!(receive(&mut client, BIG), receive(&mut server, BIG));
    for sender in senders {
        sender.await.unwrap();
    }
    assert!(edge.resident().saturating_sub(before) < MEMORY);
    assert_eq!(client.rest().await, (Vec::new(), End::Clean));
    assert_eq!(server.rest().await, (Vec::new(), End::Clean));
    edge.metric_becomes("ssedge_tunnels_open", "", 0.0).await;
}

#[tokio::test]
async fn a_side_that_does_not_read_stops_the_other_and_not_itself() {
    for client_reads in [true, false] {
        let origin = ManualOrigin::start().await;
        let edge = Edge::start(origin.address()).await;
        let (client, server) = tunnel(&edge, &origin).await;
        let (mut reads, mut deaf) = if client_reads { (client, server) } else { (server, client) };
        let before = edge.resident();
        let sent = Arc::new(AtomicU64::new(0));
        let sender = tokio::spawn(send(reads.socket(), BIG, Arc::clone(&sent), <[u8]>::to_vec));
        let stopped = settled("who sends to be stopped", || sent.load(Ordering::Relaxed)).await;
        assert!(stopped < ON_THE_WAY, "{stopped} bytes are on their way to a side that does not read");
        assert!(edge.resident().saturating_sub(before) < MEMORY);
        deaf.send("I speak").await;
        reads.expects("I speak").await;
        receive(&mut deaf, BIG).await;
        sender.await.unwrap();
    }
}

#[tokio::test]
async fn a_client_that_sends_much_before_the_switch_waits_for_it() {
    let origin = ManualOrigin::start().await;
    let edge = Edge::start(origin.address()).await;
    let mut client = Client::send_to(edge.address(), websocket()).await;
    let (mut server, _) = origin.request().await;
    let before = edge.resident();
    let sent = Arc::new(AtomicU64::new(0));
    let sender = tokio::spawn(send(client.socket(), BIG, Arc::clone(&sent), <[u8]>::to_vec));
    let stopped = settled("the client to be stopped", || sent.load(Ordering::Relaxed)).await;
    assert!(stopped < ON_THE_WAY, "{stopped} bytes are on their way to a tunnel that does not stand");
    assert!(edge.resident().saturating_sub(before) < MEMORY);
    server.assert_nothing_came();
    server.send(switch_to("websocket")).await;
    assert_eq!(client.any_head().await.status(), 101);
    receive(&mut server, BIG).await;
    sender.await.unwrap();
    assert_open(&mut client.tunnel(), &mut server).await;
}
