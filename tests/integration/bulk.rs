//! Bodies that no memory should hold, in either direction and in both at once: bounded memory, each direction with a pressure of its
//! own, and no side that waits for the other (design `product.md`, "a slow reader"; RFC 9112 sections 6 and 7.1).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::duplex::{EVENTS, Upload};
use crate::support::socket::Socket;
use crate::support::{Client, Edge, End, ManualOrigin, Pattern, Raw, chunk, settled};

/// A body that would show in the memory of whoever keeps it.
const HUGE: u64 = 300 << 20;
/// More than kernel buffers take on the way, by far.
pub(crate) const BIG: u64 = 48 << 20;
/// What may be on the way: the socket buffers of both sides, which grow with how fast they were read at first (to 32 MiB where
/// `tcp_rmem` says so), and nothing of ours, which [`MEMORY`] bounds.
pub(crate) const ON_THE_WAY: u64 = 40 << 20;
/// What the proxy itself may need more than before.
pub(crate) const MEMORY: u64 = 12 << 20;
const PIECE: usize = 64 * 1024;

/// Sends so many bytes of the pattern, counting them, in the pieces that `frame` makes of them.
pub(crate) async fn send(socket: Socket, total: u64, sent: Arc<AtomicU64>, frame: impl Fn(&[u8]) -> Vec<u8>) {
    let mut pattern = Pattern::default();
    while pattern.at() < total {
        let piece = pattern.next(PIECE.min(usize::try_from(total - pattern.at()).unwrap()));
        // Whoever is to be stopped may be stopped for as long as the test wants; the test itself has deadlines.
        socket.write(&frame(&piece)).await.expect("the other side is there");
        sent.store(pattern.at(), Ordering::Relaxed);
    }
}

/// Reads a request's body, which is so much of the pattern.
async fn body_is(server: &mut Raw, total: u64, mut seen: impl FnMut()) {
    let mut pattern = Pattern::default();
    while let Some(piece) = server.piece().await.expect("a whole body") {
        pattern.check(&piece);
        seen();
    }
    assert_eq!(pattern.at(), total);
}

/// The largest memory that was seen, a look at every so many calls.
struct Memory<'a> {
    edge: &'a Edge,
    before: u64,
    calls: u32,
    most: u64,
}

impl<'a> Memory<'a> {
    fn of(edge: &'a Edge) -> Self {
        Self { edge, before: edge.resident(), calls: 0, most: 0 }
    }

    fn look(&mut self) {
        self.calls += 1;
        if self.calls.is_multiple_of(64) {
            self.most = self.most.max(self.edge.resident());
        }
    }

    fn assert_bounded(mut self) {
        self.most = self.most.max(self.edge.resident());
        let grown = self.most.saturating_sub(self.before);
        assert!(grown < MEMORY, "{grown} bytes more of memory than before");
    }
}

#[tokio::test]
async fn three_hundred_megabytes_go_up_behind_an_open_stream_in_bounded_memory() {
    for (upload, total) in [(Upload::Length, HUGE / 2), (Upload::Chunked, HUGE)] {
        let origin = ManualOrigin::start().await;
        let edge = Edge::with().heartbeat("off").start(origin.address()).await;
        let mut client = Client::send_to(edge.address(), upload.head(total, "")).await;
        let (mut server, _) = origin.request().await;
        server.send([EVENTS.as_bytes(), &chunk("data: a\n\n")].concat()).await;
        client.head().await;
        client.expects("data: a\n\n").await;
        let mut memory = Memory::of(&edge);
        let socket = client.socket();
        let uploading = tokio::spawn(async move {
            send(socket.clone(), total, Arc::default(), move |bytes| upload.part(bytes)).await;
            socket.send(upload.end()).await;
        });
        body_is(&mut server, total, || memory.look()).await;
        uploading.await.unwrap();
        memory.assert_bounded();
        server.send([&chunk("data: b\n\n")[..], b"0\r\n\r\n"].concat()).await;
        client.ends_with("data: b\n\n", End::Clean).await;
    }
}

#[tokio::test]
async fn three_hundred_megabytes_come_down_in_bounded_memory() {
    for (framing, kind) in [
        (format!("Content-Length: {HUGE}"), "application/octet-stream"),
        ("Transfer-Encoding: chunked".to_owned(), "text/event-stream"),
    ] {
        let origin = ManualOrigin::start().await;
        let edge = Edge::with().heartbeat("off").start(origin.address()).await;
        let mut client = Client::send_to(edge.address(), Upload::Length.head(2, "")).await;
        client.send("{}").await;
        let (mut server, _) = origin.request().await;
        server.body_brings("{}").await;
        server.send(format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n{framing}\r\n\r\n")).await;
        client.head().await;
        let mut memory = Memory::of(&edge);
        let (socket, chunked) = (server.socket(), framing.contains("chunked"));
        let sending = tokio::spawn(async move {
            send(socket.clone(), HUGE, Arc::default(), move |bytes| if chunked { chunk(bytes) } else { bytes.to_vec() }).await;
            socket.send(if chunked { "0\r\n\r\n" } else { "" }).await;
        });
        let mut pattern = Pattern::default();
        while let Some(piece) = client.piece().await {
            pattern.check(&piece);
            memory.look();
        }
        client.ends_with("", End::Clean).await;
        assert_eq!(pattern.at(), HUGE);
        sending.await.unwrap();
        memory.assert_bounded();
    }
}

#[tokio::test]
async fn a_server_that_does_not_read_stops_the_upload_and_not_its_stream() {
    for upload in Upload::BOTH {
        let origin = ManualOrigin::start().await;
        let edge = Edge::with().heartbeat("interval: 100ms").start(origin.address()).await;
        let mut client = Client::send_to(edge.address(), upload.head(BIG, "")).await;
        let (mut server, _) = origin.request().await;
        server.send([EVENTS.as_bytes(), &chunk("data: a\n\n")].concat()).await;
        client.head().await;
        client.expects("data: a\n\n").await;
        let memory = Memory::of(&edge);
        let sent = Arc::new(AtomicU64::new(0));
        let uploading = tokio::spawn(send(client.socket(), BIG, Arc::clone(&sent), move |bytes| upload.part(bytes)));
        let stopped = settled("the client to be stopped", || sent.load(Ordering::Relaxed)).await;
        assert!(stopped < ON_THE_WAY, "{stopped} bytes are on their way to a server that does not read");
        memory.assert_bounded();
        // The other direction knows nothing of it: heartbeats are due, and events pass.
        client.expects(":\n\n:\n\n").await;
        server.send(chunk("data: b\n\n")).await;
        client.expects_after(":\n\n", "data: b\n\n").await;
        client.expects(":\n\n").await;

        let end = client.socket();
        let (uploaded, ()) = tokio::join!(
            async {
                uploading.await.unwrap();
                end.send(upload.end()).await;
            },
            body_is(&mut server, BIG, || {})
        );
        let () = uploaded;
        server.send([&chunk("data: c\n\n")[..], b"0\r\n\r\n"].concat()).await;
        client.expects_after(":\n\n", "data: c\n\n").await;
        client.ends_with("", End::Clean).await;
    }
}

#[tokio::test]
async fn a_client_that_does_not_read_stops_the_stream_and_not_its_upload() {
    for upload in Upload::BOTH {
        const PART: usize = 1 << 20;
        let origin = ManualOrigin::start().await;
        let edge = Edge::with().heartbeat("off").start(origin.address()).await;
        let mut client = Client::connect_slow(edge.address()).await;
        client.send(upload.head(PART as u64, "")).await;
        let (mut server, _) = origin.request().await;
        server.send(EVENTS).await;
        client.head().await;
        let memory = Memory::of(&edge);
        let sent = Arc::new(AtomicU64::new(0));
        let streaming = tokio::spawn(send(server.socket(), BIG, Arc::clone(&sent), |bytes| chunk(bytes)));
        let stopped = settled("the server to be stopped", || sent.load(Ordering::Relaxed)).await;
        assert!(stopped < ON_THE_WAY, "{stopped} bytes are on their way to a client that does not read");
        memory.assert_bounded();
        // The other direction knows nothing of it.
        let body = Pattern::default().next(PART);
        let ((), ()) = tokio::join!(
            async {
                client.send(upload.part(&body)).await;
                client.send(upload.end()).await;
            },
            body_is(&mut server, PART as u64, || {})
        );
        let mut pattern = Pattern::default();
        while pattern.at() < BIG {
            pattern.check(&client.piece().await.expect("all that was sent"));
        }
        streaming.await.unwrap();
        server.send("0\r\n\r\n").await;
        client.ends_with("", End::Clean).await;
    }
}

#[tokio::test]
async fn an_echo_of_fifty_megabytes_does_not_lock_up() {
    for kind in ["text/event-stream", "application/octet-stream"] {
        for upload in Upload::BOTH {
            let origin = ManualOrigin::start().await;
            let edge = Edge::with().heartbeat("off").start(origin.address()).await;
            let mut client = Client::send_to(edge.address(), upload.head(BIG, "")).await;
            let (mut server, _) = origin.request().await;
            let memory = Memory::of(&edge);
            let echo = tokio::spawn(async move {
                server.send(format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n")).await;
                while let Some(piece) = server.piece().await.expect("a whole body") {
                    server.send(chunk(&piece)).await;
                }
                server.send("0\r\n\r\n").await;
                server
            });
            let socket = client.socket();
            let uploading = tokio::spawn(async move {
                send(socket.clone(), BIG, Arc::default(), move |bytes| upload.part(bytes)).await;
                socket.send(upload.end()).await;
            });
            client.head().await;
            let mut pattern = Pattern::default();
            while let Some(piece) = client.piece().await {
                pattern.check(&piece);
            }
            client.ends_with("", End::Clean).await;
            assert_eq!(pattern.at(), BIG, "{kind}, {upload:?}");
            uploading.await.unwrap();
            echo.await.unwrap();
            memory.assert_bounded();
        }
    }
}
