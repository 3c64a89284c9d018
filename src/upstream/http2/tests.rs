//! Leases over real sockets: counted, shared, refused, returned, and what becomes of connections without them.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use h2::server::SendResponse;
use h2::{RecvStream, SendStream};
use http::{Request, Response};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::mpsc;

use super::super::testing::{DEADLINE, EJECTION, Nowhere, eventually, spec};
use super::super::{Pick, Protocol, UpstreamSpec};
use super::*;

const LONG: Option<Duration> = Some(Duration::from_secs(3600));

/// A server that speaks HTTP/2 and does nothing by itself.
struct Origin {
    address: String,
    opened: Arc<AtomicUsize>,
    closed: Arc<AtomicUsize>,
    requests: mpsc::UnboundedReceiver<(RecvStream, SendResponse<Bytes>)>,
    /// Of each connection, by age: its end by GOAWAY.
    leave: Arc<Mutex<Vec<mpsc::UnboundedSender<()>>>>,
}

impl Origin {
    async fn start() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(setup: impl Fn(&mut h2::server::Builder)) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut builder = h2::server::Builder::new();
        builder.max_send_buffer_size(16 << 20);
        setup(&mut builder);
        let (sender, requests) = mpsc::unbounded_channel();
        let address = listener.local_addr().unwrap().to_string();
        let origin = Self { address, opened: Arc::default(), closed: Arc::default(), requests, leave: Arc::default() };
        let (opened, closed, leave) = (Arc::clone(&origin.opened), Arc::clone(&origin.closed), Arc::clone(&origin.leave));
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                opened.fetch_add(1, Ordering::Relaxed);
                let (leaving, left) = mpsc::unbounded_channel();
                leave.lock().unwrap().push(leaving);
                let (builder, sender, closed) = (builder.clone(), sender.clone(), Arc::clone(&closed));
                tokio::spawn(async move {
                    serve(builder, socket, sender, left).await;
                    closed.fetch_add(1, Ordering::Relaxed);
                });
            }
        });
        origin
    }

    /// The next request, on whatever connection.
    async fn request(&mut self) -> (RecvStream, SendResponse<Bytes>) {
        tokio::time::timeout(DEADLINE, self.requests.recv()).await.expect("a request came").expect("it serves")
    }

    /// Answers the next request with a head and leaves the body open.
    async fn answer(&mut self) -> SendStream<Bytes> {
        let (_, mut respond) = self.request().await;
        respond.send_response(Response::new(()), false).expect("the stream is open")
    }

    fn opened(&self) -> usize {
        self.opened.load(Ordering::Relaxed)
    }

    fn closed(&self) -> usize {
        self.closed.load(Ordering::Relaxed)
    }
}

async fn serve(
    builder: h2::server::Builder,
    socket: impl AsyncRead + AsyncWrite + Unpin,
    requests: mpsc::UnboundedSender<(RecvStream, SendResponse<Bytes>)>,
    mut leave: mpsc::UnboundedReceiver<()>,
) {
    let Ok(mut connection) = builder.handshake::<_, Bytes>(socket).await else { return };
    loop {
        tokio::select! {
            accepted = connection.accept() => match accepted {
                Some(Ok((request, respond))) => requests.send((request.into_body(), respond)).unwrap_or_default(),
                Some(Err(_)) | None => return,
            },
            Some(()) = leave.recv() => connection.graceful_shutdown(),
        }
    }
}

fn upstream(address: &str, http2: Http2Spec, keep_alive: Option<Duration>) -> (Arc<Upstream>, Arc<Server>) {
    let spec = UpstreamSpec { protocol: Protocol::Http2, http2, keep_alive, ..spec(&[address]) };
    let upstream = Upstream::new(Arc::new(spec), None);
    let server = upstream.pick(&Pick::default(), clock::now()).expect("it is up");
    (upstream, server)
}

fn streams(streams: u32) -> Http2Spec {
    Http2Spec { streams, ..Http2Spec::default() }
}

async fn lease(upstream: &Upstream, server: &Server) -> Http2Lease {
    upstream.connect_http2(server, DEADLINE).await.expect("it serves")
}

async fn refusal(address: &str) -> String {
    let (upstream, server) = upstream(address, streams(100), LONG);
    let error = upstream.connect_http2(&server, DEADLINE).await.expect_err("there is no HTTP/2");
    assert!(matches!(error, ConnectError::Refused(_)), "{error:?}");
    assert_eq!(upstream.snapshot(clock::now())[0].connect_failures, 1);
    error.to_string()
}

/// Sends a request and returns the body of its response, which the origin is to begin.
async fn ask(lease: &mut Http2Lease, origin: &mut Origin) -> (RecvStream, SendStream<Bytes>) {
    let (response, _) = lease.requests.send_request(Request::get("http://app.test/").body(()).unwrap(), true).expect("it is open");
    let sender = origin.answer().await;
    let response = tokio::time::timeout(DEADLINE, response).await.expect("it answers").expect("it answers well");
    (response.into_body(), sender)
}

async fn read(body: &mut RecvStream) -> Option<Bytes> {
    let data = tokio::time::timeout(DEADLINE, body.data()).await.expect("something comes")?.expect("the stream is well");
    body.flow_control().release_capacity(data.len()).expect("as much as came");
    Some(data)
}

#[tokio::test]
async fn a_connection_takes_so_many_streams_and_the_next_one_opens_another() {
    let origin = Origin::start().await;
    let (upstream, server) = upstream(&origin.address, streams(2), LONG);
    let one = lease(&upstream, &server).await;
    let two = lease(&upstream, &server).await;
    assert_eq!((one.reused, two.reused, origin.opened()), (false, true, 1));
    let three = lease(&upstream, &server).await;
    assert_eq!((three.reused, origin.opened()), (false, 2));
    drop(one);
    let again = lease(&upstream, &server).await;
    let last = lease(&upstream, &server).await;
    assert_eq!((again.reused, last.reused, origin.opened()), (true, true, 2), "one on each");
    let snapshot = &upstream.snapshot(clock::now())[0];
    assert_eq!((snapshot.opened, snapshot.reused, snapshot.idle, snapshot.connect_failures), (2, 3, 0, 0));
}

#[tokio::test]
async fn a_server_that_allows_fewer_streams_gets_no_more() {
    let mut origin = Origin::with(|builder| {
        builder.max_concurrent_streams(1);
    })
    .await;
    let (upstream, server) = upstream(&origin.address, streams(100), LONG);
    let leases = async { tokio::join!(lease(&upstream, &server), lease(&upstream, &server), lease(&upstream, &server)) };
    let (one, two, three) = tokio::time::timeout(DEADLINE, leases).await.expect("all three get a stream");
    for mut lease in [one, two, three] {
        let (_body, _sender) = ask(&mut lease, &mut origin).await;
    }
    assert_eq!(origin.opened(), 3);
    assert!(lease(&upstream, &server).await.reused, "all three are free again");
}

#[tokio::test]
async fn a_server_that_allows_no_stream_is_no_server() {
    let origin = Origin::with(|builder| {
        builder.max_concurrent_streams(0);
    })
    .await;
    assert!(refusal(&origin.address).await.contains("allows no streams"));
}

#[tokio::test]
async fn first_requests_share_one_handshake() {
    let origin = Origin::start().await;
    let (upstream, server) = upstream(&origin.address, streams(100), LONG);
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let (upstream, server) = (Arc::clone(&upstream), Arc::clone(&server));
        tasks.spawn(async move { lease(&upstream, &server).await });
    }
    let leases = tasks.join_all().await;
    assert_eq!((leases.len(), origin.opened()), (50, 1));
    assert!(leases.iter().all(|lease| !lease.reused), "none was there before");
    drop(leases);
    assert!(lease(&upstream, &server).await.reused);
}

#[tokio::test]
async fn fresh_is_never_a_connection_that_stands_already() {
    let origin = Origin::start().await;
    let (upstream, server) = upstream(&origin.address, streams(100), LONG);
    let _first = lease(&upstream, &server).await;
    let fresh = upstream.connect_http2_fresh(&server, DEADLINE).await.expect("it serves");
    assert_eq!((fresh.reused, origin.opened()), (false, 2));
}

#[tokio::test]
async fn a_handshake_goes_on_without_the_request_that_began_it() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (upstream, server) = upstream(&listener.local_addr().unwrap().to_string(), streams(100), LONG);
    let mut first = Box::pin(upstream.connect_http2(&server, DEADLINE));
    assert!(poll_once(&mut first).await.is_none(), "the server said nothing yet");
    let mut hasty = Box::pin(upstream.connect_http2(&server, Duration::from_millis(20)));
    let mut patient = Box::pin(upstream.connect_http2(&server, DEADLINE));
    assert!(poll_once(&mut patient).await.is_none());
    assert!(matches!(hasty.as_mut().await, Err(ConnectError::TimedOut)), "who has less time waits no longer");
    drop(first);
    let (socket, _) = listener.accept().await.unwrap();
    let (requests, _kept) = mpsc::unbounded_channel();
    tokio::spawn(async move { serve(h2::server::Builder::new(), socket, requests, mpsc::unbounded_channel().1).await });
    assert!(!patient.await.expect("it serves now").reused);
    let snapshot = &upstream.snapshot(clock::now())[0];
    assert_eq!((snapshot.opened, snapshot.connect_failures), (1, 1), "the hasty one gave up");
}

/// Polls once.
async fn poll_once<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    std::future::poll_fn(|cx| {
        std::task::Poll::Ready(match std::pin::Pin::new(&mut *future).poll(cx) {
            std::task::Poll::Ready(output) => Some(output),
            std::task::Poll::Pending => None,
        })
    })
    .await
}

#[tokio::test]
async fn a_failed_connect_counts_once_however_many_wait_for_it() {
    let nowhere = Nowhere::new();
    let (upstream, server) = upstream(&nowhere.address(), streams(100), LONG);
    let three = async {
        tokio::join!(
            upstream.connect_http2(&server, DEADLINE),
            upstream.connect_http2(&server, DEADLINE),
            upstream.connect_http2_fresh(&server, DEADLINE)
        )
    };
    let (one, two, three) = three.await;
    assert!([one, two, three].into_iter().all(|result| matches!(result, Err(ConnectError::Refused(_)))));
    assert_eq!(upstream.snapshot(clock::now())[0].connect_failures, 1);
    for _ in 1..EJECTION.failures {
        upstream.connect_http2(&server, DEADLINE).await.expect_err("nobody listens");
    }
    assert!(server.is_ejected(clock::now()));
}

#[tokio::test]
async fn a_server_that_never_sends_its_settings_times_out() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (upstream, server) = upstream(&listener.local_addr().unwrap().to_string(), streams(100), LONG);
    let error = upstream.connect_http2(&server, Duration::from_millis(30)).await.expect_err("it says nothing");
    assert!(matches!(error, ConnectError::TimedOut), "{error:?}");
    assert_eq!(upstream.snapshot(clock::now())[0].connect_failures, 1);
}

#[tokio::test]
async fn after_goaway_a_connection_gets_no_new_stream_and_goes_on_with_what_it_has() {
    let mut origin = Origin::start().await;
    let (upstream, server) = upstream(&origin.address, streams(100), LONG);
    let mut old = lease(&upstream, &server).await;
    let (mut body, mut sender) = ask(&mut old, &mut origin).await;
    origin.leave.lock().unwrap()[0].send(()).unwrap();
    let mut young = tokio::time::timeout(DEADLINE, async {
        loop {
            let lease = lease(&upstream, &server).await;
            if !lease.reused {
                return lease;
            }
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("GOAWAY arrives");
    assert_eq!((origin.opened(), server.http2.0.open()), (2, 1));
    sender.send_data("still here".into(), true).unwrap();
    assert_eq!(read(&mut body).await.unwrap(), "still here");
    assert_eq!(read(&mut body).await, None);
    drop((old, body, sender));
    eventually("the old connection closes", || origin.closed() == 1).await;
    let (_body, _sender) = ask(&mut young, &mut origin).await;
}

#[tokio::test]
async fn a_connection_that_the_server_closed_leaves_the_list() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (upstream, server) = upstream(&listener.local_addr().unwrap().to_string(), streams(100), LONG);
    let leased = tokio::spawn({
        let (upstream, server) = (Arc::clone(&upstream), Arc::clone(&server));
        async move { lease(&upstream, &server).await }
    });
    let (mut socket, _) = listener.accept().await.unwrap();
    socket.write_all(b"\0\0\0\x04\0\0\0\0\0").await.unwrap();
    let lease = leased.await.unwrap();
    drop(lease);
    assert_eq!((server.http2.0.open(), upstream.snapshot(clock::now())[0].idle), (1, 1));
    drop(socket);
    eventually("it left", || server.http2.0.open() == 0 && upstream.snapshot(clock::now())[0].idle == 0).await;
}

#[tokio::test]
async fn an_idle_connection_closes_after_keep_alive_and_a_busy_one_never() {
    let mut origin = Origin::start().await;
    let (upstream, server) = upstream(&origin.address, streams(1), Some(Duration::from_millis(20)));
    let mut busy = lease(&upstream, &server).await;
    let (mut body, mut sender) = ask(&mut busy, &mut origin).await;
    let idle = lease(&upstream, &server).await;
    assert_eq!(origin.opened(), 2);
    drop(idle);
    eventually("the idle one closes", || origin.closed() == 1).await;
    eventually("and is no longer counted", || upstream.snapshot(clock::now())[0].idle == 0).await;
    sender.send_data("busy".into(), true).unwrap();
    assert_eq!(read(&mut body).await.unwrap(), "busy");
    drop((busy, body));
    eventually("the busy one too, when it is no longer", || origin.closed() == 2).await;
}

#[tokio::test]
async fn without_keep_alive_a_connection_closes_with_its_last_lease() {
    let origin = Origin::start().await;
    let (upstream, server) = upstream(&origin.address, streams(100), None);
    let (one, two) = (lease(&upstream, &server).await, lease(&upstream, &server).await);
    drop(one);
    assert_eq!((server.http2.0.open(), origin.closed()), (1, 0));
    drop(two);
    assert_eq!(server.http2.0.open(), 0);
    eventually("it closes", || origin.closed() == 1).await;
}

#[tokio::test]
async fn connections_of_a_server_that_left_close_once_they_are_idle() {
    let mut origin = Origin::start().await;
    let (upstream, server) = upstream(&origin.address, streams(1), LONG);
    let mut busy = lease(&upstream, &server).await;
    let (mut body, mut sender) = ask(&mut busy, &mut origin).await;
    drop(lease(&upstream, &server).await);
    assert_eq!(origin.opened(), 2);
    drop((upstream, server));
    eventually("the idle one closes", || origin.closed() == 1).await;
    sender.send_data("busy".into(), true).unwrap();
    assert_eq!(read(&mut body).await.unwrap(), "busy");
    drop((busy, body));
    eventually("the busy one follows", || origin.closed() == 2).await;
}

#[tokio::test]
async fn the_server_sees_the_settings_as_configured() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let http2 = Http2Spec { streams: 1, stream_window: 70_000, connection_window: 100_000 };
    let (upstream, server) = upstream(&listener.local_addr().unwrap().to_string(), http2, LONG);
    let result = tokio::spawn(async move { upstream.connect_http2(&server, DEADLINE).await.map(drop) });
    let (mut socket, _) = listener.accept().await.unwrap();
    let mut preface = [0; 24];
    socket.read_exact(&mut preface).await.unwrap();
    assert_eq!(&preface, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    let (mut settings, mut update) = (Vec::new(), None);
    while settings.is_empty() || update.is_none() {
        let mut head = [0; 9];
        socket.read_exact(&mut head).await.unwrap();
        let mut payload = vec![0; usize::from(head[1]) << 8 | usize::from(head[2])];
        socket.read_exact(&mut payload).await.unwrap();
        assert_eq!(head[5..], [0; 4], "of the connection");
        match head[3] {
            4 => settings = payload.chunks(6).map(|one| (one[1], u32::from_be_bytes(one[2..].try_into().unwrap()))).collect(),
            8 => update = Some(u32::from_be_bytes(payload.try_into().unwrap())),
            other => panic!("a frame of type {other}"),
        }
    }
    settings.sort_unstable();
    // ENABLE_PUSH, INITIAL_WINDOW_SIZE, MAX_HEADER_LIST_SIZE.
    assert_eq!(settings, [(2, 0), (4, 70_000), (6, 256 << 10)]);
    assert_eq!(update, Some(100_000 - 65_535));
    drop(socket);
    result.await.unwrap().expect_err("it closed in the middle");
}

#[tokio::test]
async fn a_server_that_does_not_speak_http2_is_told_by_name() {
    for (answer, words) in [
        (
            "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n",
            "no connection: the server does not speak HTTP/2: it answers in HTTP/1",
        ),
        (
            "220 mail.example.com ESMTP\r\n",
            "no connection: the server does not speak HTTP/2: its first bytes are no SETTINGS frame",
        ),
        ("", "no connection: the server closed the connection in the handshake of HTTP/2, which it may not speak"),
        ("\0\0\x06\x04", "no connection: the server closed the connection in the handshake of HTTP/2, which it may not speak"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut request = [0; 24];
            socket.read_exact(&mut request).await.unwrap();
            socket.write_all(answer.as_bytes()).await.unwrap();
            socket.shutdown().await.unwrap();
            // Read to its end, so that it is closed in order.
            let _ = tokio::io::copy(&mut socket, &mut tokio::io::sink()).await;
        });
        assert_eq!(refusal(&address).await, words, "{answer:?}");
    }
}

#[tokio::test]
async fn a_server_behind_a_unix_socket_serves_too() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("app.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let (requests, _kept) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let (socket, _) = listener.accept().await.unwrap();
        serve(h2::server::Builder::new(), socket, requests, mpsc::unbounded_channel().1).await;
    });
    let (upstream, server) = upstream(&format!("unix:{}", path.display()), streams(100), LONG);
    assert!(!lease(&upstream, &server).await.reused);
    assert!(lease(&upstream, &server).await.reused);
}

/// The codec bounds small DATA frames that nobody read, over all streams of a connection; by its default, a stream that stands still
/// with short events in it ended the connection for all.
#[tokio::test]
async fn a_reader_that_stalls_on_short_events_does_not_end_the_connection_for_others() {
    const EVENT: &[u8] = b"data: an event as short as many are, in a frame of its own\n\n";
    let window = 1 << 20;
    let http2 = Http2Spec { streams: 100, stream_window: window, connection_window: 2 * window };
    let mut origin = Origin::start().await;
    let (upstream, server) = upstream(&origin.address, http2, LONG);
    let (mut stalled, mut lively) = (lease(&upstream, &server).await, lease(&upstream, &server).await);
    let (_unread, mut flood) = ask(&mut stalled, &mut origin).await;
    let (mut body, mut sender) = ask(&mut lively, &mut origin).await;
    for _ in 0..window as usize / EVENT.len() {
        flood.send_data(Bytes::from_static(EVENT), false).unwrap();
    }
    for _ in 0..3 {
        // Sent behind the flood of the same connection.
        tokio::task::yield_now().await;
        sender.send_data("lively".into(), false).unwrap();
        assert_eq!(read(&mut body).await.unwrap(), "lively");
    }
    eventually("all of the flood went out", || flood.capacity() == 0).await;
    sender.send_data("to the end".into(), true).unwrap();
    assert_eq!(read(&mut body).await.unwrap(), "to the end");
    assert_eq!((origin.opened(), origin.closed()), (1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn leases_are_counted_exactly_whoever_takes_returns_or_gives_up() {
    const MOST: u32 = 3;
    let origin = Origin::start().await;
    let (upstream, server) = upstream(&origin.address, streams(MOST), LONG);
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..16 {
        let (upstream, server) = (Arc::clone(&upstream), Arc::clone(&server));
        tasks.spawn(async move {
            for turn in 0..50 {
                // Some leave while they wait.
                let patience = if (task + turn) % 5 == 0 { Duration::from_micros(50) } else { DEADLINE };
                let asked = async {
                    match (task + turn) % 7 {
                        0 => upstream.connect_http2_fresh(&server, DEADLINE).await,
                        _ => upstream.connect_http2(&server, DEADLINE).await,
                    }
                };
                let leased = tokio::time::timeout(patience, asked).await;
                let most = server.http2.0.leases().into_iter().max().unwrap_or(0);
                assert!(most <= MOST as usize, "{most} on one connection");
                tokio::task::yield_now().await;
                drop(leased.map(|leased| leased.expect("it serves")));
            }
        });
    }
    tasks.join_all().await;
    // Connections that were on their way for nobody.
    eventually("all came back", || server.http2.0.leases().iter().all(|leases| *leases == 0)).await;
    eventually("and all are idle", || {
        let snapshot = &upstream.snapshot(clock::now())[0];
        snapshot.idle == server.http2.0.open() && snapshot.opened as usize == snapshot.idle
    })
    .await;
    assert_eq!(upstream.snapshot(clock::now())[0].connect_failures, 0);
}
