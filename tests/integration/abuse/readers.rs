//! Clients that ask for much and read nothing: each stops its own server, costs a bounded number of buffers, and is let go after
//! `timeouts.write_stall`, under that name.

use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;

use super::scene::Scene;
use crate::support::{GET, Origin, SUBSCRIBE, Script, settled, tls, within};

/// Clients at once that read nothing.
const SLOW: usize = 200;
/// More than kernel buffers take on the way, by far.
const FLOOD: usize = 64 << 20;
/// What one of them may cost: one read of 64 KiB that waits for it, another half as large as its buffer grew, and what is kept of its
/// request.
const A_SLOW_READER: u64 = 112 << 10;
/// Over TLS, records that wait beside that, and rustls' own state.
const A_SLOW_TLS_READER: u64 = A_SLOW_READER + (64 << 10);

/// Connects with a receive buffer that stays small: what is not read waits on the other side.
async fn connect(address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(16 * 1024).expect("a small buffer");
    within("a connection", socket.connect(address)).await.expect("the proxy accepts")
}

/// `SLOW` clients ask for `request`, and the bytes that went to them when nothing moved any more.
async fn slow_readers(scene: &Scene, over_tls: bool, request: &str, origin: &Origin) -> Vec<Box<dyn AsyncRead + Send + Unpin>> {
    let connector = TlsConnector::from(tls::client_config(&[b"http/1.1"]));
    let mut clients: Vec<Box<dyn AsyncRead + Send + Unpin>> = Vec::new();
    for _ in 0..SLOW {
        clients.push(if over_tls {
            let client = connector.connect(tls::localhost(), connect(scene.tls).await);
            ask(within("TLS", client).await.expect("TLS"), request).await
        } else {
            ask(connect(scene.plain).await, request).await
        });
    }
    let written = settled("the servers to be stopped", || origin.written()).await;
    eprintln!(
        "{} KiB of each flood are on their way, {} KiB of memory for each",
        (written >> 10) / SLOW as u64,
        (scene.grown() >> 10) / SLOW as u64
    );
    assert!(written < (SLOW * FLOOD) as u64 / 2, "nobody stopped the floods");
    clients
}

async fn ask<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(
    mut client: S,
    request: &str,
) -> Box<dyn AsyncRead + Send + Unpin> {
    within("a request to be taken", client.write_all(request.as_bytes())).await.expect("the proxy reads");
    within("a request to be taken", client.flush()).await.expect("the proxy reads");
    Box::new(client)
}

/// All that is left for a client that was let go, which must not look whole.
async fn is_cut(mut client: Box<dyn AsyncRead + Send + Unpin>) {
    let mut rest = Vec::new();
    // A reset, or an end in the middle of the body.
    let _ = within("the end", client.read_to_end(&mut rest)).await;
    assert!(rest.len() < FLOOD && !rest.ends_with(b"\r\n0\r\n\r\n"), "a whole answer of {} bytes", rest.len());
}

#[tokio::test]
async fn slow_readers_of_fast_streams_are_let_go_with_a_name() {
    for (over_tls, most) in [(false, A_SLOW_READER), (true, A_SLOW_TLS_READER)] {
        let origin = Origin::start(Script::stream().flood(FLOOD).hang()).await;
        let scene = Scene::with().timeout("write_stall", "4s").start(origin.address()).await;
        let clients = slow_readers(&scene, over_tls, SUBSCRIBE, &origin).await;
        scene.edge.metric_becomes("ssedge_streams_ended_total", "reason=\"write_stall\"", SLOW as f64).await;
        scene.logged(SLOW, &["kind=stream_close", "reason=write_stall"]).await;
        scene.connections_become(0).await;
        for connection in 0..SLOW {
            origin.closed(connection).await;
        }
        for client in clients {
            is_cut(client).await;
        }
        scene.survived(most * SLOW as u64).await;
    }
}

#[tokio::test]
async fn slow_readers_of_long_answers_are_let_go_with_a_name() {
    let head = "Content-Type: application/octet-stream\r\nTransfer-Encoding: chunked\r\n";
    for (over_tls, most) in [(false, A_SLOW_READER), (true, A_SLOW_TLS_READER)] {
        let origin = Origin::start(Script::new().head("200 OK", head).flood(FLOOD).hang()).await;
        let scene = Scene::with().timeout("write_stall", "4s").start(origin.address()).await;
        let clients = slow_readers(&scene, over_tls, GET, &origin).await;
        scene.logged(SLOW, &["kind=request", "status=200", "timeouts.write_stall"]).await;
        scene.connections_become(0).await;
        for client in clients {
            is_cut(client).await;
        }
        scene.survived(most * SLOW as u64).await;
    }
}
