//! The two ends of a proxy in one task: a client that asks for event streams, and the server that is asked, played in lock-step. What
//! happens between them is the proxy's alone, and nothing of it overlaps: one event is out before the next goes in.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use h2::RecvStream;
use h2::client::SendRequest;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Larger than all that a run sends: no window update falls into what is counted.
const WINDOW: u32 = (1 << 31) - 1;

const ASK: &[u8] = b"GET /events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n";
const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
const HEAD_END: &[u8] = b"\r\n\r\n";

/// What a client reads from and writes to.
pub(crate) trait Io: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Io for T {}

/// The server's end; clients are opened from here.
pub(crate) struct Ends {
    server: TcpListener,
}

/// One stream from end to end.
pub(crate) struct Stream {
    client: Client,
    server: TcpStream,
    buffer: Vec<u8>,
}

enum Client {
    Http1(Box<dyn Io>),
    Http2(RecvStream),
}

/// How a client comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// HTTP/1.1, a connection for each stream.
    Http1,
    /// The same over TLS.
    Http1Tls,
    /// HTTP/2 with prior knowledge, this many streams to a connection.
    Http2(usize),
}

/// A piece of a stream as the server writes it, one chunk, and what it carries.
pub(crate) struct Piece {
    wire: Vec<u8>,
    payload: Vec<u8>,
}

impl Piece {
    /// `events` of `size` bytes each.
    pub(crate) fn of(events: usize, size: usize) -> Self {
        let block = format!("id: 12345678\ndata: {}\n\n", "x".repeat(size - "id: 12345678\ndata: \n\n".len()));
        let payload = block.repeat(events);
        Self { wire: format!("{:x}\r\n{payload}\r\n", payload.len()).into_bytes(), payload: payload.into_bytes() }
    }
}

impl Ends {
    /// A server on a free port.
    pub(crate) async fn new() -> Self {
        Self { server: TcpListener::bind("127.0.0.1:0").await.expect("a free port") }
    }

    /// The configuration of a proxy in front of it: all on that an edge has on, one worker; the second of its listeners has TLS.
    pub(crate) fn configuration(&self) -> String {
        let server = self.server.local_addr().expect("its address");
        let (cert, key, secret) = (tls_file("site.pem"), tls_file("site.key"), "0".repeat(64));
        let tls = format!("certificates: [ {{ cert: {}, key: {} }} ]", cert.display(), key.display());
        format!(
            "listeners: [ {{ address: \"127.0.0.1:0\" }}, {{ address: \"127.0.0.1:0\", tls: {{ {tls} }} }} ]
admin: {{ address: \"127.0.0.1:0\" }}
threads: 1
log: {{ level: error, access: /dev/null }}
drain: {{ spread: 0s, deadline: 0s }}
reload: {{ watch: false }}
limits: {{ connections_per_client: 100000, streams: 100000 }}
upstreams: {{ app: {{ servers: [ \"{server}\" ] }} }}
routes:
  - upstream: app
    sticky: {{ cookie: pin, secrets: [ \"{secret}\" ] }}
    caps: {{ streams_per_client: 100000, streams: 100000 }}
"
        )
    }

    /// Opens `count` streams through the proxy at `proxy`, one after the other, each up to its first event.
    pub(crate) async fn open(&self, proxy: SocketAddr, protocol: Protocol, count: usize) -> Vec<Stream> {
        let mut streams = Vec::with_capacity(count);
        let mut connection = None;
        for number in 0..count {
            let mut stream = match protocol {
                Protocol::Http1 => self.open_http1(Box::new(connect(proxy).await)).await,
                Protocol::Http1Tls => {
                    let connector = tokio_rustls::TlsConnector::from(tls_config());
                    let name = ServerName::try_from("localhost").expect("a name");
                    let tls = connector.connect(name, connect(proxy).await).await.expect("a handshake");
                    self.open_http1(Box::new(tls)).await
                }
                Protocol::Http2(most) => {
                    if number % most == 0 {
                        connection = Some(connect_http2(proxy).await);
                    }
                    self.open_http2(connection.as_mut().expect("just connected")).await
                }
            };
            stream.carry(&Piece::of(1, 128)).await;
            streams.push(stream);
        }
        streams
    }

    async fn open_http1(&self, mut client: Box<dyn Io>) -> Stream {
        client.write_all(ASK).await.expect("the proxy reads");
        let server = self.answer().await;
        let head = read_head(&mut client).await;
        assert!(head.starts_with(b"HTTP/1.1 200 "), "{}", head.escape_ascii());
        Stream { client: Client::Http1(client), server, buffer: Vec::with_capacity(64 * 1024) }
    }

    async fn open_http2(&self, requests: &mut SendRequest<Bytes>) -> Stream {
        poll_fn(|context| requests.poll_ready(context)).await.expect("room for a stream");
        let request =
            http::Request::get("http://localhost/events").header("accept", "text/event-stream").body(()).expect("a request");
        let (response, _) = requests.send_request(request, true).expect("sent");
        let server = self.answer().await;
        let response = response.await.expect("a response");
        assert_eq!(response.status(), 200);
        Stream { client: Client::Http2(response.into_body()), server, buffer: Vec::with_capacity(64 * 1024) }
    }

    /// The server's half of the beginning.
    async fn answer(&self) -> TcpStream {
        let (mut server, _) = self.server.accept().await.expect("the proxy connects");
        server.set_nodelay(true).expect("nodelay");
        read_head(&mut server).await;
        server.write_all(HEAD).await.expect("the proxy reads");
        server
    }
}

impl Stream {
    /// Brings one piece from end to end.
    pub(crate) async fn carry(&mut self, piece: &Piece) {
        self.server.write_all(&piece.wire).await.expect("the proxy reads");
        let mut left = &piece.payload[..];
        while !left.is_empty() {
            let came = match &mut self.client {
                Client::Http1(client) => next_chunk(client, &mut self.buffer).await,
                Client::Http2(body) => body.data().await.expect("no end yet").expect("no reset"),
            };
            left = left.strip_prefix(&came[..]).expect("what comes is what was sent");
        }
    }

    /// Closes the client's end and waits until the proxy has closed the server's.
    pub(crate) async fn close(mut self) {
        drop(self.client);
        let rest = self.server.read(&mut [0]).await;
        assert!(matches!(rest, Ok(0) | Err(_)), "the proxy sent more than a request");
    }
}

/// The data of the next chunk, which need not be cut as the server cut it.
async fn next_chunk(client: &mut Box<dyn Io>, buffer: &mut Vec<u8>) -> Bytes {
    loop {
        if let httparse::Status::Complete((head, size)) = httparse::parse_chunk_size(buffer).expect("a chunk") {
            let end = head + usize::try_from(size).expect("a size");
            if buffer.len() >= end + 2 {
                let data = Bytes::copy_from_slice(&buffer[head..end]);
                buffer.drain(..end + 2);
                return data;
            }
        }
        let read = client.read_buf(buffer).await.expect("the proxy writes");
        assert!(read > 0, "the proxy closed");
    }
}

async fn connect(proxy: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(proxy).await.expect("the proxy accepts");
    stream.set_nodelay(true).expect("nodelay");
    stream
}

async fn connect_http2(proxy: SocketAddr) -> SendRequest<Bytes> {
    let mut builder = h2::client::Builder::new();
    builder.initial_window_size(WINDOW).initial_connection_window_size(WINDOW).enable_push(false);
    let (requests, connection) = builder.handshake(connect(proxy).await).await.expect("HTTP/2");
    tokio::spawn(async move {
        // Ends with the run.
        let _ = connection.await;
    });
    requests
}

/// Reads up to the end of a head, byte by byte: what follows it stays.
async fn read_head(from: &mut (impl AsyncRead + Unpin)) -> Vec<u8> {
    let mut head = Vec::new();
    while !head.ends_with(HEAD_END) {
        head.push(from.read_u8().await.expect("a head"));
    }
    head
}

/// A file of the tests' certificates.
fn tls_file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tls").join(name)
}

fn tls_config() -> Arc<rustls::ClientConfig> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(tls_file("ca.pem")).expect("the fixture")).expect("an authority");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("versions");
    Arc::new(builder.with_root_certificates(roots).with_no_client_auth())
}
