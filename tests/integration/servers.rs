//! Servers that come and go: each says its name, streams it to whoever asks for a stream (or at `/v1/ask`), and keeps its address while it is stopped.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use socket2::{Domain, Socket, Type};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener};
use tokio::task::{JoinHandle, JoinSet};

use crate::support::{Client, End, head::Head};

/// What a server shares with its connections.
struct Facts {
    name: &'static str,
    healthy: AtomicBool,
    /// Requests that were no checks.
    requests: AtomicUsize,
    connections: AtomicUsize,
}

/// A server with a name.
pub(crate) struct Server {
    facts: Arc<Facts>,
    /// Bound and never listening: nobody else gets the port while the server is stopped.
    _holder: Option<Socket>,
    address: Option<SocketAddr>,
    running: Option<JoinHandle<()>>,
}

impl Server {
    fn named(name: &'static str) -> Arc<Facts> {
        Arc::new(Facts { name, healthy: true.into(), requests: 0.into(), connections: 0.into() })
    }

    /// Runs on a port of its own.
    pub(crate) fn start(name: &'static str) -> Self {
        let holder = bound(SocketAddr::from(([127, 0, 0, 1], 0)));
        let address = holder.local_addr().ok().and_then(|address| address.as_socket());
        let mut server = Self { facts: Self::named(name), _holder: Some(holder), address, running: None };
        server.run();
        server
    }

    /// Several of them.
    pub(crate) fn start_all<const N: usize>(names: [&'static str; N]) -> [Self; N] {
        names.map(Self::start)
    }

    /// Runs on a unix socket.
    pub(crate) fn on_socket(name: &'static str, path: &Path) -> Self {
        let listener = UnixListener::bind(path).expect("a unix socket");
        let facts = Self::named(name);
        let shared = Arc::clone(&facts);
        let running = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, Arc::clone(&shared)));
            }
        });
        Self { facts, _holder: None, address: None, running: Some(running) }
    }

    /// `host:port`.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address.expect("a server on TCP")
    }

    /// Requests so far, checks apart.
    pub(crate) fn requests(&self) -> usize {
        self.facts.requests.load(Ordering::SeqCst)
    }

    /// Connections so far.
    pub(crate) fn connections(&self) -> usize {
        self.facts.connections.load(Ordering::SeqCst)
    }

    /// What `/healthz` says from now on.
    pub(crate) fn set_healthy(&self, healthy: bool) {
        self.facts.healthy.store(healthy, Ordering::SeqCst);
    }

    /// Listens, again if it was stopped.
    pub(crate) fn run(&mut self) {
        let socket = bound(self.address());
        socket.listen(1024).expect("it listens");
        socket.set_nonblocking(true).expect("non-blocking");
        let listener = TcpListener::from_std(socket.into()).expect("a listener");
        let facts = Arc::clone(&self.facts);
        self.running = Some(tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                stream.set_nodelay(true).expect("nodelay");
                facts.connections.fetch_add(1, Ordering::SeqCst);
                connections.spawn(serve(stream, Arc::clone(&facts)));
            }
        }));
    }

    /// Closes everything: from the return on, connections are refused.
    pub(crate) async fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            running.abort();
            assert!(running.await.is_err(), "a server runs until it is stopped");
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(running) = &self.running {
            running.abort();
        }
    }
}

/// `"host:port", "host:port"`, for the configuration.
pub(crate) fn listed(servers: &[Server]) -> String {
    servers.iter().map(|server| format!("\"{}\"", server.address())).collect::<Vec<_>>().join(", ")
}

/// How many requests each had.
pub(crate) fn shares(servers: &[Server]) -> Vec<usize> {
    servers.iter().map(Server::requests).collect()
}

/// One request on a connection of its own: the head of its answer, and the whole body.
pub(crate) async fn ask(edge: SocketAddr, request: impl AsRef<[u8]>) -> (Head, String) {
    let (mut client, head) = Client::open(edge, request).await;
    let (body, end) = client.rest_of_body().await;
    assert_eq!(end, End::Clean, "the answer was cut");
    (head, String::from_utf8(body).expect("answers are text"))
}

fn bound(address: SocketAddr) -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    // Beside its holder, which does not listen.
    socket.set_reuse_address(true).expect("an option of every socket");
    socket.bind(&address.into()).expect("a port");
    socket
}

async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, facts: Arc<Facts>) {
    let mut unread = Vec::new();
    loop {
        let head = loop {
            match Head::take(&mut unread) {
                Ok(Some(head)) => break head,
                Ok(None) => {}
                Err(problem) => panic!("the proxy sent {problem}"),
            }
            if !matches!(stream.read_buf(&mut unread).await, Ok(1..)) {
                return;
            }
        };
        let length: usize = head.get("content-length").map_or(0, |length| length.parse().expect("a length"));
        while unread.len() < length {
            if !matches!(stream.read_buf(&mut unread).await, Ok(1..)) {
                return;
            }
        }
        unread.drain(..length);
        let answer = if head.start().contains(" /healthz ") {
            let status = if facts.healthy.load(Ordering::SeqCst) { "200 OK" } else { "503 Service Unavailable" };
            format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n")
        } else {
            facts.requests.fetch_add(1, Ordering::SeqCst);
            if head.get("accept") == Some("text/event-stream") || head.start().contains(" /v1/ask ") {
                let event = format!("data: {}\n\n", facts.name);
                let begin = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
                let begin = format!("{begin}{:x}\r\n{event}\r\n", event.len());
                if stream.write_all(begin.as_bytes()).await.is_ok() {
                    // Open for as long as the proxy wants it.
                    while matches!(stream.read_buf(&mut unread).await, Ok(1..)) {}
                }
                return;
            }
            format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{}", facts.name.len(), facts.name)
        };
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}
