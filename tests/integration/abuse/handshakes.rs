//! Abuse of TLS itself: handshakes that stop, are broken off or have no end, records in crumbs, floods of keys, and a close that could be
//! forged in the middle of a request (RFC 8446 sections 4.6.3, 5.1, 6.1 and appendix C.3). Renegotiation is tried by `openssl`, which can
//! do it (`real/abuse.rs`).

use std::io;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::{ClientConfig, ClientConnection};
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::MIB;
use super::scene::Scene;
use crate::duplex::Upload;
use crate::support::{Origin, SUBSCRIBE, Script, eventually, shown, tls, within};

const LAST_GET: &[u8] = b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n";
const CHANGE_CIPHER_SPEC: u8 = 20;
const HANDSHAKE: u8 = 22;

/// A client that may use only this version of TLS, in records as small as they can be.
fn config(version: &'static rustls::SupportedProtocolVersion) -> ClientConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[version]).expect("a version");
    let roots = tls::roots();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.max_fragment_size = Some(32);
    config
}

/// What a client says first.
fn hello(config: ClientConfig) -> Vec<u8> {
    let mut client = ClientConnection::new(Arc::new(config), tls::localhost()).expect("a client");
    let mut hello = Vec::new();
    while client.wants_write() {
        client.write_tls(&mut hello).expect("it is memory");
    }
    hello
}

/// Records of a byte each, where they are not encrypted yet.
fn crumbs(mut records: &[u8], encrypted: &mut bool) -> Vec<u8> {
    let mut out = Vec::new();
    while let [kind, high, low, long, short, rest @ ..] = records {
        let (payload, next) = rest.split_at(usize::from(u16::from_be_bytes([*long, *short])));
        if *kind == HANDSHAKE && !*encrypted {
            payload.iter().for_each(|byte| out.extend_from_slice(&[*kind, *high, *low, 0, 1, *byte]));
        } else {
            out.extend_from_slice(&records[..5 + payload.len()]);
        }
        *encrypted |= *kind == CHANGE_CIPHER_SPEC;
        records = next;
    }
    out
}

/// A TLS client whose records the test makes.
struct Hand {
    tls: ClientConnection,
    socket: TcpStream,
    encrypted: bool,
}

impl Hand {
    async fn shaken(address: SocketAddr, config: ClientConfig) -> Self {
        let socket = within("a connection", TcpStream::connect(address)).await.expect("the proxy accepts");
        socket.set_nodelay(true).expect("nodelay");
        let tls = ClientConnection::new(Arc::new(config), tls::localhost()).expect("a client");
        let mut hand = Self { tls, socket, encrypted: false };
        while hand.tls.is_handshaking() {
            hand.flush().await.expect("the proxy reads");
            if hand.tls.is_handshaking() {
                assert!(hand.fill().await.expect("no alert"), "closed in the handshake");
            }
        }
        hand.flush().await.expect("the proxy reads");
        hand
    }

    async fn flush(&mut self) -> io::Result<()> {
        let mut records = Vec::new();
        while self.tls.wants_write() {
            self.tls.write_tls(&mut records)?;
        }
        let crumbs = crumbs(&records, &mut self.encrypted);
        within("records to be taken", self.socket.write_all(&crumbs)).await
    }

    /// Whether anything came.
    async fn fill(&mut self) -> io::Result<bool> {
        let mut bytes = [0; 4096];
        let n = within("records", self.socket.read(&mut bytes)).await?;
        let mut bytes = &bytes[..n];
        while !bytes.is_empty() {
            self.tls.read_tls(&mut bytes)?;
            self.tls.process_new_packets().map_err(io::Error::other)?;
        }
        Ok(n > 0)
    }

    /// Sends a byte in each record.
    async fn send_in_crumbs(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.tls.writer().write_all(&[*byte]).expect("room");
            self.flush().await.expect("the proxy reads");
        }
    }

    async fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        while matches!(self.fill().await, Ok(true)) {
            let mut piece = vec![0; 4096];
            while let Ok(n @ 1..) = io::Read::read(&mut self.tls.reader(), &mut piece) {
                rest.extend_from_slice(&piece[..n]);
            }
        }
        rest
    }
}

/// What comes to `bytes` until the proxy closes.
async fn answer_to(address: SocketAddr, bytes: Vec<u8>) -> Vec<u8> {
    let mut socket = within("a connection", TcpStream::connect(address)).await.expect("the proxy accepts");
    // It may have seen enough in the middle.
    let _ = within("bytes to be taken or refused", socket.write_all(&bytes)).await;
    let mut answer = Vec::new();
    let _ = within("the end", socket.read_to_end(&mut answer)).await;
    answer
}

#[tokio::test]
async fn requests_in_records_of_a_byte_are_served() {
    let origin = Origin::start(Script::answer("ok")).await;
    let scene = Scene::with().start(origin.address()).await;
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let clients = [(); 20].map(|()| {
            let address = scene.tls;
            tokio::spawn(async move {
                let mut hand = Hand::shaken(address, config(version)).await;
                hand.send_in_crumbs(LAST_GET).await;
                let answer = hand.rest().await;
                assert!(answer.starts_with(b"HTTP/1.1 200 ") && answer.ends_with(b"ok"), "{:?}", shown(&answer));
            })
        });
        for client in clients {
            client.await.expect("crumbs were not served");
        }
    }
    scene.survived(20 * (64 << 10)).await;
}

#[tokio::test]
async fn handshakes_that_stop_are_closed_at_the_deadline_and_counted() {
    const COUNT: usize = 100;
    let origin = Origin::start(Script::answer("ok")).await;
    // Long enough that each hello has begun by then: without a byte it would be silence, which is counted as that.
    let scene = Scene::with().timeout("request_head", "4s").start(origin.address()).await;
    let hello = hello(config(&rustls::version::TLS13));
    let parts = [hello[..hello.len() / 2].to_vec(), hello[..3].to_vec(), hello.clone()];
    let mut clients = Vec::new();
    for part in &parts {
        for _ in 0..COUNT {
            clients.push(tokio::spawn(answer_to(scene.tls, part.clone())));
        }
    }
    for client in clients {
        let answer = client.await.expect("a handshake that stopped was not closed");
        // To a whole hello the other half of the handshake begins.
        assert!(answer.is_empty() || answer[0] == HANDSHAKE, "{:?}", shown(&answer));
    }
    let count = (parts.len() * COUNT) as f64;
    assert_eq!(scene.edge.metric("ssedge_tls_handshakes_total", "timed_out").await, count);
    scene.survived(count as u64 * (32 << 10)).await;
}

#[tokio::test]
async fn five_hundred_handshakes_that_are_broken_off_leave_nothing_behind() {
    const AT_ONCE: usize = 50;
    const COUNT: usize = 500;
    let origin = Origin::start(Script::answer("ok")).await;
    let scene = Scene::with().start(origin.address()).await;
    let hello = hello(config(&rustls::version::TLS13));
    for _ in 0..COUNT / AT_ONCE {
        let clients = [(); AT_ONCE].map(|()| {
            let (address, hello) = (scene.tls, hello.clone());
            tokio::spawn(async move {
                let mut socket = within("a connection", TcpStream::connect(address)).await.expect("the proxy accepts");
                within("the hello to be taken", socket.write_all(&hello)).await.expect("the proxy reads");
                // It has signed already, which costs it most.
                let first = within("its answer", socket.read_u8()).await.expect("an answer");
                assert_eq!(first, HANDSHAKE);
                SockRef::from(&socket).set_linger(Some(Duration::ZERO)).expect("linger");
            })
        });
        for client in clients {
            client.await.expect("no answer to a hello");
        }
    }
    scene.connections_become(0).await;
    assert_eq!(scene.edge.metric("ssedge_tls_handshakes_total", "failed").await, COUNT as f64);
    scene.survived(AT_ONCE as u64 * (96 << 10)).await;
}

#[tokio::test]
async fn a_hello_of_many_records_is_served_and_one_without_an_end_is_not() {
    let origin = Origin::start(Script::answer("ok")).await;
    let scene = Scene::with().start(origin.address()).await;
    let mut large = config(&rustls::version::TLS13);
    // 50 KiB of protocols that nobody speaks, and one that is spoken.
    large.alpn_protocols = (0..200_u8).map(|number| vec![number; 255]).chain([b"http/1.1".to_vec()]).collect();
    large.max_fragment_size = None;
    assert!(hello(large.clone()).len() > 50_000);
    let mut stream = TlsConnector::from(Arc::new(large))
        .connect(tls::localhost(), TcpStream::connect(scene.tls).await.unwrap())
        .await
        .expect("TLS");
    stream.write_all(LAST_GET).await.expect("the proxy reads");
    let mut answer = Vec::new();
    within("the answer", stream.read_to_end(&mut answer)).await.expect("a clean end");
    assert!(answer.starts_with(b"HTTP/1.1 200 "), "{:?}", shown(&answer));

    let record = |kind: u8, payload: &[u8]| [&[kind, 3, 3, (payload.len() >> 8) as u8, payload.len() as u8], payload].concat();
    // A message of 16 MiB, of which as much comes as is taken.
    let endless = [record(HANDSHAKE, b"\x01\xff\xff\xff\x03\x03"), record(HANDSHAKE, &[0; 16 << 10]).repeat(256)].concat();
    let floods = [
        endless,
        // A record longer than any may be.
        [&[HANDSHAKE, 3, 1, 0xff, 0xff][..], &[0; 70_000]].concat(),
        // Nothing in a record, for ever.
        record(HANDSHAKE, b"").repeat(200_000),
        record(CHANGE_CIPHER_SPEC, b"\x01").repeat(200_000),
        // Warnings: no_renegotiation.
        record(21, b"\x01\x64").repeat(200_000),
        // What nobody has keys for.
        record(23, &[0; 1 << 10]).repeat(200),
        // A kind of record that there is not.
        record(200, &[0; 64]).repeat(200),
    ];
    const COUNT: usize = 10;
    let mut clients = Vec::new();
    for flood in &floods {
        for _ in 0..COUNT {
            clients.push(tokio::spawn(answer_to(scene.tls, flood.clone())));
        }
    }
    let count = clients.len();
    for client in clients {
        let answer = client.await.expect("a flood was not ended");
        // An alert, as far as the reset that follows it leaves it.
        assert!(answer.is_empty() || answer[0] == 21, "{:?}", shown(&answer));
    }
    assert_eq!(scene.edge.metric("ssedge_tls_handshakes_total", "failed").await, count as f64);
    assert_eq!(origin.requests(), 1);
    scene.survived(count as u64 * (192 << 10)).await;
}

#[tokio::test]
async fn a_flood_of_new_keys_ends_its_own_stream_and_no_other() {
    let origin = Origin::start(Script::stream().event("a").hang()).await;
    let scene = Scene::with().start(origin.address()).await;
    for number in 0..4 {
        let mut hand = Hand::shaken(scene.tls, config(&rustls::version::TLS13)).await;
        hand.tls.writer().write_all(SUBSCRIBE.as_bytes()).expect("room");
        hand.flush().await.expect("the proxy reads");
        origin.request(number).await;
        for _ in 0..10_000 {
            // It answers none of them for ever: at some point it closes.
            if hand.tls.refresh_traffic_keys().is_err() || hand.flush().await.is_err() {
                break;
            }
        }
        origin.closed(number).await;
    }
    scene.edge.metric_becomes("ssedge_streams_ended_total", "reason=\"client_gone\"", 4.0).await;
    scene.survived(MIB).await;
}

#[tokio::test]
async fn a_close_without_a_word_in_the_middle_of_a_request_completes_nothing() {
    let origin = Origin::start(Script::answer("ok")).await;
    let scene = Scene::with().start(origin.address()).await;
    let connector = TlsConnector::from(tls::client_config(&[b"http/1.1"]));
    let mut number = 0;
    for upload in Upload::BOTH {
        for with_a_word in [false, true] {
            let socket = TcpStream::connect(scene.tls).await.expect("the proxy accepts");
            let mut stream = within("TLS", connector.connect(tls::localhost(), socket)).await.expect("TLS");
            stream.write_all(upload.head(10, "").as_bytes()).await.expect("the proxy reads");
            stream.write_all(&upload.part(b"half")).await.expect("the proxy reads");
            eventually("half of it", || (origin.requests() > number).then_some(())).await;
            if with_a_word {
                stream.shutdown().await.expect("close_notify goes out");
            } else {
                stream.get_mut().0.shutdown().await.expect("FIN goes out");
            }
            origin.closed(number).await;
            assert!(!origin.request_head(number).await.complete, "the request was completed for a client that broke off");
            let mut rest = Vec::new();
            let _ = within("the end", stream.read_to_end(&mut rest)).await;
            assert!(rest.is_empty(), "{:?}", shown(&rest));
            number += 1;
        }
    }
    scene.logged(number, &["status=499", "method=POST"]).await;
    scene.survived(MIB).await;
}
