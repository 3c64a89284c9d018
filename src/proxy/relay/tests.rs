//! What goes over the wire, byte for byte, between two real sockets. What clients make of it is in `tests/integration`.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::{Parts, Relay};
use crate::admission::{Admission, CapsPolicy, Connections};
use crate::client_id::{self, ClientPolicy, ClientSource};
use crate::clock;
use crate::drain::Drain;
use crate::message::framing::Framing;
use crate::proxy::downstream::ClientStream;
use crate::proxy::http2_turns::Turns;
use crate::proxy::record::{Client, Request, RequestRecord, StreamRecord};
use crate::proxy::server_response::ServerStream;
use crate::proxy::{Http2Settings, Listener};
use crate::stream::{FrameChoice, HeartbeatPolicy, StreamFacts, StreamKind, StreamPolicy, StreamState};
use crate::telemetry::access_log::Sink;
use crate::telemetry::logging::LogFormat;
use crate::telemetry::{AccessLog, HeartbeatFrame, Labels, Metrics};
use crate::transport::Wire;
use crate::upstream::{Balance, EjectionSpec, Http2Spec, Pick, Protocol, ServerAddress, ServerSpec, Upstream, UpstreamSpec};

const PATIENCE: Duration = Duration::from_secs(20);

/// A relay between a test's own two ends.
struct Bench {
    client: TcpStream,
    server: TcpStream,
    metrics: Arc<Metrics>,
    drain: Drain,
}

async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let (far, near) = tokio::join!(TcpStream::connect(address), listener.accept());
    (far.expect("connected"), near.expect("accepted").0)
}

/// What is told of a stream, as an exchange would hand it over.
fn record(address: SocketAddr, metrics: &Arc<Metrics>, drain: &Drain, now: Instant) -> StreamRecord {
    let spec = UpstreamSpec {
        name: Arc::from("app"),
        servers: vec![ServerSpec { address: ServerAddress::Tcp { host: "127.0.0.1".to_owned(), port: 9 }, weight: 1 }],
        resolve: PATIENCE,
        balance: Balance::default(),
        protocol: Protocol::Http1,
        http2: Http2Spec::default(),
        tls: None,
        keep_alive: None,
        health: None,
        ejection: EjectionSpec { failures: 3, duration: PATIENCE },
    };
    let server = Upstream::new(Arc::new(spec), None).pick(&Pick::default(), now).expect("it is up");
    let permit = Connections::new(None, None).try_acquire(address.ip(), false).expect("no cap");
    let http2 = Http2Settings { streams: 1, stream_window: 65_535, connection_window: 65_535, idle: PATIENCE };
    let listener = Arc::new(Listener { tls: None, http2, proxy_protocol: false, redirect_to_https: None });
    let client = Arc::new(Client::new(address, listener, metrics.open_connection(), permit, drain.guard()));
    let request = Request {
        client: address.ip(),
        method: http::Method::GET,
        host: None,
        path: b"/events".as_slice().into(),
        route: Arc::from("0"),
        upstream: Some(Arc::from("app")),
    };
    let log = Arc::new(AccessLog::new(Sink::Off, LogFormat::Text).expect("nothing to open"));
    let route = Arc::clone(metrics.route(0).expect("there is one"));
    let policy = ClientPolicy { source: ClientSource::Ip, ipv6_prefix: 64 };
    let key = client_id::client_key(&policy, address.ip(), &http::HeaderMap::new());
    let permit = Admission::new(1, None).try_acquire(0, key, &CapsPolicy::default()).expect("no cap");
    RequestRecord::new(request, log, route, now).into_stream(client, server.busy(), permit)
}

/// How many streams ended, by reason.
fn ended(metrics: &Metrics) -> Vec<(&'static str, u64)> {
    metrics.streams_ended().iter().filter(|(_, count)| *count > 0).map(|(reason, count)| (reason.label(), count)).collect()
}

impl Bench {
    async fn start(body_start: &'static [u8], framing: Framing, chunked: bool, heartbeat: Option<Duration>) -> Self {
        let (client, downstream) = pair().await;
        let downstream = ClientStream::Http1(Wire::Own(downstream.into()), Vec::new());
        Self::start_to(client, downstream, body_start, framing, chunked, heartbeat).await
    }

    /// The same to a stream of any kind, whose other end is not `client` if it is of another.
    async fn start_to(
        client: TcpStream,
        downstream: ClientStream,
        body_start: &'static [u8],
        framing: Framing,
        chunked: bool,
        heartbeat: Option<Duration>,
    ) -> Self {
        let (server, upstream) = pair().await;
        let labels = Labels { routes: &["0"], upstreams: &["app"], config: "" };
        let metrics = Arc::new(Metrics::new(&labels).expect("no name twice"));
        let drain = Drain::new();
        let now = clock::now();
        let policy = StreamPolicy {
            heartbeat: heartbeat.map(|interval| HeartbeatPolicy { interval, frame: FrameChoice::Line, text: String::new() }),
            strict_no_transform: false,
            max_upstream_silence: None,
            max_age: None,
            write_stall: Duration::from_secs(60),
        };
        let facts = StreamFacts {
            kind: StreamKind::Subscription,
            status_ok: true,
            opaque: false,
            digested: false,
            no_transform: false,
            line_frames_only: true,
        };
        let address = client.local_addr().expect("bound");
        let record = record(address, &metrics, &drain, now);
        let parts = Parts {
            client: downstream,
            server: ServerStream::Http1(Wire::Own(upstream.into()), Bytes::from_static(body_start)),
            server_framing: framing,
            chunked,
            upload: None,
            gunzip: None,
            state: StreamState::new(Arc::new(policy), facts, 0, now),
            write_stall: Duration::from_secs(60),
            guard: drain.stream_guard(now),
            record,
        };
        tokio::spawn(Relay::new(parts, now));
        Self { client, server, metrics, drain }
    }

    async fn sends(&mut self, bytes: &[u8]) {
        self.server.write_all(bytes).await.expect("the relay reads");
    }

    async fn gets(&mut self, bytes: &[u8]) {
        let mut got = vec![0; bytes.len()];
        tokio::time::timeout(PATIENCE, self.client.read_exact(&mut got)).await.expect("in time").expect("no end yet");
        assert_eq!(got.escape_ascii().to_string(), bytes.escape_ascii().to_string());
    }

    async fn gets_the_end(&mut self) {
        let mut rest = Vec::new();
        tokio::time::timeout(PATIENCE, self.client.read_to_end(&mut rest)).await.expect("in time").expect("no reset");
        assert_eq!(rest, b"");
    }

    async fn ended(&self, label: &str) {
        self.drain.nothing_left().await;
        assert_eq!(ended(&self.metrics), [(label, 1)]);
        assert_eq!(self.metrics.streams_open(), 0);
    }
}

#[tokio::test]
async fn whole_chunks_go_through_as_they_came_and_partial_ones_at_once_in_our_own() {
    let mut bench = Bench::start(b"9\r\ndata: a\n\n\r\n", Framing::Chunked, true, None).await;
    bench.gets(b"9\r\ndata: a\n\n\r\n").await;
    bench.sends(b"0009\r\ndata: b\n\n\r\n5\r\n: hi\n\r\n").await;
    bench.gets(b"0009\r\ndata: b\n\n\r\n5\r\n: hi\n\r\n").await;
    bench.sends(b"10\r\ndata: c").await;
    bench.gets(b"7\r\ndata: c\r\n").await;
    bench.sends(b"\n\n").await;
    bench.gets(b"2\r\n\n\n\r\n").await;
    bench.sends(b"data: d\r\n").await;
    bench.gets(b"7\r\ndata: d\r\n").await;
    bench.sends(b"0\r\n\r\n").await;
    bench.gets(b"0\r\n\r\n").await;
    bench.gets_the_end().await;
    bench.ended("upstream_end").await;
}

#[tokio::test]
async fn a_body_by_length_becomes_chunks_and_ends_where_it_says() {
    let mut bench = Bench::start(b"data: a\n\n", Framing::Length(18), true, None).await;
    bench.gets(b"9\r\ndata: a\n\n\r\n").await;
    bench.sends(b"data: b\n\nand more than announced").await;
    bench.gets(b"9\r\ndata: b\n\n\r\n0\r\n\r\n").await;
    bench.gets_the_end().await;
    bench.ended("upstream_end").await;
}

#[tokio::test]
async fn a_client_without_chunks_gets_the_bare_body() {
    let mut bench = Bench::start(b"", Framing::Chunked, false, None).await;
    bench.sends(b"9\r\ndata: a\n\n\r\n0\r\n\r\n").await;
    bench.gets(b"data: a\n\n").await;
    bench.gets_the_end().await;
    bench.ended("upstream_end").await;
}

#[tokio::test]
async fn a_heartbeat_is_a_chunk_of_its_own_between_the_upstreams() {
    let mut bench = Bench::start(b"9\r\ndata: a\n\n\r\n", Framing::Chunked, true, Some(Duration::from_millis(30))).await;
    bench.gets(b"9\r\ndata: a\n\n\r\n2\r\n:\n\r\n2\r\n:\n\r\n").await;
    assert!(bench.metrics.route(0).is_some_and(|route| route.heartbeats(HeartbeatFrame::Line) >= 2));
}

#[tokio::test]
async fn malformed_chunking_ends_abnormally_after_what_was_good() {
    let mut bench = Bench::start(b"9\r\ndata: a\n\n\r\nxyz\r\n", Framing::Chunked, true, None).await;
    bench.gets(b"9\r\ndata: a\n\n\r\n").await;
    bench.gets_the_end().await;
    bench.ended("upstream_malformed").await;
}

#[tokio::test]
async fn a_close_before_the_last_chunk_is_no_clean_end() {
    let Bench { mut client, server, metrics, drain } = Bench::start(b"9\r\ndata: a\n\n\r\n", Framing::Chunked, true, None).await;
    drop(server);
    let mut all = Vec::new();
    client.read_to_end(&mut all).await.expect("closed");
    assert_eq!(all, b"9\r\ndata: a\n\n\r\n");
    drain.nothing_left().await;
    assert_eq!(ended(&metrics), [("upstream_lost", 1)]);
}

#[tokio::test]
async fn a_client_without_chunks_is_reset_when_the_upstream_is_lost() {
    let Bench { mut client, server, .. } = Bench::start(b"", Framing::Length(100), false, None).await;
    drop(server);
    let mut all = Vec::new();
    let error = client.read_to_end(&mut all).await.expect_err("no clean end");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_client_that_leaves_closes_the_upstream() {
    let Bench { client, mut server, metrics, drain } = Bench::start(b"", Framing::Chunked, true, None).await;
    drop(client);
    let mut byte = [0];
    let read = tokio::time::timeout(PATIENCE, server.read(&mut byte)).await.expect("in time");
    assert!(matches!(read, Ok(0) | Err(_)));
    drain.nothing_left().await;
    assert_eq!(ended(&metrics), [("client_gone", 1)]);
}

#[tokio::test]
async fn a_slow_client_stops_the_upstream_and_loses_nothing() {
    let mut bench = Bench::start(b"", Framing::UntilClose, false, None).await;
    let event = format!("data: {}\n\n", "x".repeat(1000));
    let mut sent = 0_usize;
    // The client reads nothing: what is in transit fits into the kernel's buffers and one read of ours.
    while tokio::time::timeout(Duration::from_millis(300), bench.server.write_all(event.as_bytes())).await.is_ok() {
        sent += 1;
        assert!(sent < 40_000, "40 MB went somewhere");
    }
    let mut got = vec![0; sent * event.len()];
    tokio::time::timeout(PATIENCE, bench.client.read_exact(&mut got)).await.expect("in time").expect("all of it");
    assert!(got.chunks(event.len()).all(|chunk| chunk == event.as_bytes()));
}

#[tokio::test]
async fn the_drain_ends_it_with_the_final_chunk_and_a_cut_without() {
    let mut bench = Bench::start(b"9\r\ndata: a\n\n\r\n", Framing::Chunked, true, None).await;
    bench.gets(b"9\r\ndata: a\n\n\r\n").await;
    bench.drain.begin(|_, _| clock::now());
    bench.gets(b"0\r\n\r\n").await;
    bench.gets_the_end().await;
    bench.ended("drained").await;

    let mut bench = Bench::start(b"7\r\ndata: a\r\n", Framing::Chunked, true, None).await;
    bench.gets(b"7\r\ndata: a\r\n").await;
    bench.drain.begin(|_, _| clock::now());
    bench.drain.cut();
    bench.gets_the_end().await;
    bench.ended("drain_cut").await;
}

/// A client that reads the end first could open its next stream before it reads GOAWAY, where nobody takes it.
#[tokio::test]
async fn over_http2_the_drain_ends_it_behind_the_next_turn_of_its_connection() {
    let (near, far) = tokio::io::duplex(64 << 10);
    let (connection, client) = tokio::join!(h2::server::handshake(near), h2::client::handshake(far));
    let (mut connection, (mut requests, client)) = (connection.unwrap(), client.unwrap());
    tokio::spawn(client);
    let (answer, _) = requests.send_request(http::Request::get("http://test/").body(()).unwrap(), true).unwrap();
    let (_, mut respond) = connection.accept().await.unwrap().unwrap();
    let stream = respond.send_response(http::Response::new(()), false).unwrap();
    tokio::spawn(async move { while connection.accept().await.is_some() {} });

    let turns = Arc::<Turns>::default();
    let (unused, _) = pair().await;
    let downstream = ClientStream::Http2(stream, Arc::clone(&turns));
    let bench = Bench::start_to(unused, downstream, b"9\r\ndata: a\n\n\r\n", Framing::Chunked, false, None).await;
    let mut body = answer.await.unwrap().into_body();
    assert_eq!(body.data().await.unwrap().unwrap(), "data: a\n\n");
    let mut begins = true;
    let asked_for_a_turn = poll_fn(|cx| {
        if !std::mem::take(&mut begins) {
            return Poll::Ready(());
        }
        turns.turn(cx, |_| ((), true));
        bench.drain.begin(|_, _| clock::now());
        Poll::Pending
    });
    tokio::time::timeout(PATIENCE, asked_for_a_turn).await.expect("it waits for the connection, and wakes it");
    assert_eq!(ended(&bench.metrics), []);
    poll_fn(|cx| {
        turns.turn(cx, |_| ((), true));
        Poll::Ready(())
    })
    .await;
    let end = tokio::time::timeout(PATIENCE, body.data()).await.expect("in time");
    assert!(end.is_none_or(|last| last.unwrap().is_empty()) && body.is_end_stream());
    bench.ended("drained").await;
}

/// The worker's buffers are taken out of their place during a poll; a panic there must not break the next stream.
#[test]
fn scratch_is_whole_again_after_a_panic() {
    let mut scratch = super::scratch::Scratch::default();
    scratch.reset();
    let read = std::mem::take(&mut scratch.read);
    scratch.actions.push(crate::stream::Action::Release);
    drop(read);
    scratch.reset();
    assert_eq!((scratch.read.len(), scratch.actions.len()), (super::READ_SIZE, 0));
}

/// There is one for each of tens of thousands of clients.
#[test]
fn a_relay_costs_little() {
    assert!(size_of::<Relay>() <= 1024, "{} bytes", size_of::<Relay>());
}

/// Its task takes 104 bytes more, in steps of 128: with 8 bytes more here, each stream would cost 128.
#[test]
fn a_relay_is_as_small_as_it_was() {
    assert!(size_of::<super::Relay>() <= 664, "{} bytes", size_of::<super::Relay>());
}
