//! Clients that say nothing, heads that dribble, heads without an end: one deadline for the whole head, first byte to last, one bound on
//! its size, and next to nothing kept for who is silent (RFC 9112 section 2.2, RFC 6585 section 5).

use std::net::SocketAddr;
use std::time::Duration;

use ssedge::clock;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::MIB;
use super::scene::Scene;
use crate::support::{Client, End, GET, Origin, Script, shown, tls, within};

/// Clients at once that say nothing.
const SILENT: usize = 2000;
/// What one may cost: a task and its timer, a table's entry or two. Beyond that the kernel has it.
const A_SILENT_CLIENT: u64 = 8 << 10;
/// What one may cost whose TLS stands: rustls' keys and buffers beside that.
const A_SILENT_TLS_CLIENT: u64 = 32 << 10;

async fn connect_all(address: SocketAddr, count: usize) -> Vec<TcpStream> {
    let mut sockets = Vec::new();
    for _ in 0..count {
        sockets.push(within("a connection", TcpStream::connect(address)).await.expect("the proxy accepts"));
    }
    sockets
}

/// Connections whose TLS stands, without a word behind it.
async fn shake_hands(address: SocketAddr, count: usize) -> Vec<TlsStream<TcpStream>> {
    let connector = TlsConnector::from(tls::client_config(&[b"http/1.1"]));
    let mut held = Vec::new();
    for socket in connect_all(address, count).await {
        held.push(within("TLS", connector.connect(tls::localhost(), socket)).await.expect("TLS"));
    }
    held
}

#[tokio::test]
async fn thousands_of_silent_connections_cost_next_to_nothing() {
    let origin = Origin::start(Script::answer("ok")).await;
    let scene = Scene::with().timeout("request_head", "1h").start(origin.address()).await;
    for address in [scene.plain, scene.tls] {
        let before = scene.grown();
        let sockets = connect_all(address, SILENT).await;
        scene.connections_become(SILENT).await;
        let grown = scene.grown().saturating_sub(before);
        eprintln!("{} bytes for each silent connection", grown / SILENT as u64);
        assert!(grown < A_SILENT_CLIENT * SILENT as u64, "{grown} bytes for {SILENT} silent connections");
        // And they are let go at once when they leave.
        drop(sockets);
        scene.connections_become(0).await;
    }
    assert_eq!(origin.connections(), 0);
    scene.survived(A_SILENT_CLIENT * SILENT as u64).await;
}

#[tokio::test]
async fn silent_connections_are_closed_at_the_deadline_and_counted() {
    const HANDSHAKES: usize = 10;
    let origin = Origin::start(Script::answer("ok")).await;
    let scene = Scene::with().timeout("request_head", "2s").timeout("keep_alive", "1s").start(origin.address()).await;
    let (plain, by_tls) = (connect_all(scene.plain, SILENT).await, connect_all(scene.tls, SILENT).await);
    for mut socket in plain.into_iter().chain(by_tls) {
        let mut none = Vec::new();
        within("the close", socket.read_to_end(&mut none)).await.expect("a close, not a reset");
        assert!(none.is_empty(), "{:?}", shown(&none));
    }
    // Behind its handshake nothing else is said either, but the close, which nobody could have forged.
    for mut stream in shake_hands(scene.tls, HANDSHAKES).await {
        let mut none = Vec::new();
        within("the close", stream.read_to_end(&mut none)).await.expect("close_notify");
        assert!(none.is_empty(), "{:?}", shown(&none));
    }
    // And those that go silent behind a request.
    for address in scene.ways() {
        let (mut client, _) = Client::open(address, GET).await;
        client.ends_with("ok", End::Clean).await;
        assert_eq!(client.rest().await, (Vec::new(), End::Clean));
    }
    scene.connections_become(0).await;
    let silent = async |before| scene.edge.metric("ssedge_connections_silent_total", before).await;
    assert_eq!((silent("first_request").await, silent("next_request").await), ((SILENT + HANDSHAKES) as f64, 2.0));
    assert_eq!(scene.edge.metric("ssedge_tls_handshakes_total", "silent").await, SILENT as f64);
    scene.survived(2 * A_SILENT_CLIENT * SILENT as u64).await;
}

#[tokio::test]
async fn connections_that_are_silent_behind_their_handshake_cost_little() {
    const COUNT: usize = 300;
    let origin = Origin::start(Script::answer("ok")).await;
    let scene = Scene::with().timeout("request_head", "1h").start(origin.address()).await;
    let before = scene.grown();
    let held = shake_hands(scene.tls, COUNT).await;
    assert_eq!(scene.connections().await, COUNT as f64);
    let grown = scene.grown().saturating_sub(before);
    eprintln!("{} bytes for each connection that is silent behind its handshake", grown / COUNT as u64);
    assert!(grown < A_SILENT_TLS_CLIENT * COUNT as u64, "{grown} bytes for {COUNT} of them");
    drop(held);
    scene.connections_become(0).await;
    scene.survived(A_SILENT_TLS_CLIENT * COUNT as u64).await;
}

#[tokio::test]
async fn heads_that_dribble_are_cut_at_one_deadline_for_the_whole_head() {
    const COUNT: usize = 50;
    let origin = Origin::start(Script::answer("ok")).await;
    let scene = Scene::with().timeout("request_head", "1s").start(origin.address()).await;
    // A byte every 50 ms would take thirty seconds: a deadline for each read would never come.
    let slow = format!("GET /{} HTTP/1.1\r\n", "x".repeat(600));
    let mut dribbling = Vec::new();
    for address in scene.ways() {
        for nth in 0..COUNT {
            let slow = slow.clone();
            dribbling.push(tokio::spawn(async move {
                let mut client = Client::connect(address).await;
                if nth % 2 == 1 {
                    // On a later request of the connection.
                    client.send(GET).await;
                    client.head().await;
                    client.ends_with("ok", End::Clean).await;
                }
                let begin = clock::now();
                let (answer, _) = client.dribble(slow.as_bytes(), Duration::from_millis(50)).await;
                assert!(answer.starts_with(b"HTTP/1.1 408 "), "{:?}", shown(&answer));
                assert!(begin.elapsed() < Duration::from_secs(8), "the deadline moved with every byte");
            }));
        }
    }
    for task in dribbling {
        task.await.expect("a dribbling client was not cut");
    }
    scene.logged(2 * COUNT, &["status=408", "timeouts.request_head"]).await;
    assert_eq!(origin.requests(), COUNT);
    scene.survived(8 * MIB).await;
}

#[tokio::test]
async fn heads_without_an_end_are_refused_at_the_bound() {
    const COUNT: usize = 25;
    let origin = Origin::start(Script::answer("ok")).await;
    let scene = Scene::with().start(origin.address()).await;
    let begin = "GET / HTTP/1.1\r\nHost: test\r\n";
    let heads = [
        format!("GET /{}", "x".repeat(MIB as usize)),
        format!("{begin}X: {}", "x".repeat(MIB as usize)),
        format!("{begin}{}", "x".repeat(MIB as usize)),
        format!("{begin}{}", "X: y\r\n".repeat(200_000)),
        format!("{begin}Cookie: {}\r\n\r\n", "c=1; ".repeat(200_000)),
        // Within the bound on bytes, and more fields than any client has need of.
        format!("{begin}{}\r\n", "X: y\r\n".repeat(257)),
    ];
    let mut clients = Vec::new();
    for address in scene.ways() {
        for head in &heads {
            for _ in 0..COUNT {
                let head = head.clone();
                clients.push(tokio::spawn(async move {
                    let mut client = Client::connect(address).await;
                    client.send_unheard(head).await;
                    let (answer, _) = client.rest().await;
                    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 431 "), "{:?}", shown(&answer));
                }));
            }
        }
    }
    for client in clients {
        client.await.expect("a head was not refused");
    }
    scene.logged(2 * heads.len() * COUNT, &["status=431"]).await;
    assert_eq!(origin.connections(), 0);
    // Each of them may have its 64 KiB, twice while a buffer grows, and TLS a record or two.
    scene.survived((2 * heads.len() * COUNT) as u64 * (192 << 10)).await;
}
