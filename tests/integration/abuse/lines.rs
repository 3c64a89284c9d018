//! Lines and events that no memory should hold. There is no bound on either: they flow through as they come, whole, in bounded memory.

use crate::duplex::EVENTS;
use crate::support::{ManualOrigin, Pattern, Raw, SUBSCRIBE, Version, Viewer, chunk};

use super::MIB;
use super::scene::Scene;

/// Bytes of one line. A proxy that keeps a line keeps this.
const LINE: u64 = 200 << 20;
/// Over TLS and HTTP/2 the test's own side costs more: still more than any bound here.
const LINE_ELSEWHERE: u64 = 64 << 20;
/// Bytes of one event of many lines.
const EVENT: usize = 10 << 20;
const PIECE: usize = 64 << 10;
/// What one stream may cost on its way: buffers of a read and a write, records of TLS, and a window of HTTP/2.
const ONE_STREAM: u64 = 8 * MIB;

/// An event stream, by one of the scene's ways: its viewer, and the server that plays it.
async fn open(scene: &Scene, origin: &ManualOrigin, way: usize, version: Version) -> (Viewer, Raw) {
    let answer = async {
        let (server, _) = origin.request().await;
        server.send(EVENTS).await;
        server
    };
    tokio::join!(Viewer::open(version, scene.ways()[way], SUBSCRIBE), answer)
}

/// What is left of the pattern's bytes in a line: none that ends one.
fn without_line_ends(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.iter_mut().filter(|byte| matches!(byte, b'\r' | b'\n')).for_each(|byte| *byte = b'.');
    bytes
}

/// A line of so many bytes comes whole, then an event behind it.
async fn a_line_flows_through(scene: &Scene, origin: &ManualOrigin, way: usize, version: Version, length: u64) {
    let (mut viewer, server) = open(scene, origin, way, version).await;
    let sending = tokio::spawn(async move {
        let mut pattern = Pattern::default();
        server.send(chunk("data: ")).await;
        while pattern.at() < length {
            server.send(chunk(without_line_ends(pattern.next(PIECE)))).await;
        }
        server
    });
    viewer.expects("data: ").await;
    let mut pattern = Pattern::default();
    while pattern.at() < length {
        viewer.expects(without_line_ends(pattern.next(PIECE))).await;
    }
    let server = sending.await.expect("the line was taken");
    // Nothing but the server's own line end ends it: no heartbeat came into it, and what follows is the next event.
    server.send(chunk("\n\ndata: next\n\n")).await;
    viewer.expects("\n\ndata: next\n\n").await;
    server.send("0\r\n\r\n").await;
    viewer.ends_with("").await;
}

#[tokio::test]
async fn a_line_of_two_hundred_megabytes_flows_through() {
    let origin = ManualOrigin::start().await;
    let scene = Scene::with().start(origin.address()).await;
    a_line_flows_through(&scene, &origin, 0, Version::Http1, LINE).await;
    scene.survived(ONE_STREAM).await;
}

#[tokio::test]
async fn a_long_line_flows_through_tls_and_http2() {
    let origin = ManualOrigin::start().await;
    let scene = Scene::with().start(origin.address()).await;
    for (way, version) in [(1, Version::Http1), (0, Version::Http2), (1, Version::Http2)] {
        a_line_flows_through(&scene, &origin, way, version, LINE_ELSEWHERE).await;
    }
    scene.survived(ONE_STREAM).await;
}

#[tokio::test]
async fn events_of_ten_megabytes_come_whole() {
    let origin = ManualOrigin::start().await;
    let scene = Scene::with().start(origin.address()).await;
    let line = format!("data: {}\n", "x".repeat(1000));
    let event = format!("{}\n", line.repeat(EVENT / line.len()));
    for (way, version) in [(0, Version::Http1), (1, Version::Http1), (0, Version::Http2), (1, Version::Http2)] {
        let (mut viewer, server) = open(&scene, &origin, way, version).await;
        let sent = event.clone();
        let sending = tokio::spawn(async move {
            for _ in 0..2 {
                server.send(chunk(&sent)).await;
            }
            server.send("0\r\n\r\n").await;
        });
        for _ in 0..2 {
            viewer.expects(&event).await;
        }
        viewer.ends_with("").await;
        sending.await.expect("it was taken");
    }
    scene.edge.metric_becomes("ssedge_stream_events_total", "route=\"1\"", 8.0).await;
    scene.survived(ONE_STREAM).await;
}

#[tokio::test]
async fn a_line_without_an_end_is_let_go_with_its_client() {
    let origin = ManualOrigin::start().await;
    let scene = Scene::with().start(origin.address()).await;
    let mut endless = Vec::new();
    for (way, version) in [(0, Version::Http1), (1, Version::Http1), (0, Version::Http2), (1, Version::Http2)] {
        let (mut viewer, server) = open(&scene, &origin, way, version).await;
        let socket = server.socket();
        endless.push(tokio::spawn(async move {
            let piece = chunk(vec![b'x'; PIECE]);
            // Until nobody listens any more.
            while socket.write(&piece).await.is_ok() {}
        }));
        let piece = vec![b'x'; PIECE];
        for _ in 0..(16 << 20) / PIECE {
            viewer.expects(&piece).await;
        }
        drop(viewer);
        drop(server);
    }
    for server in endless {
        crate::support::within("the server to be let go", server).await.expect("no panic");
    }
    scene.edge.metric_becomes("ssedge_streams_ended_total", "reason=\"client_gone\"", 4.0).await;
    scene.survived(ONE_STREAM).await;
}
