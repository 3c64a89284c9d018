//! Servers that speak HTTP/2 in cleartext (`upstreams.N.protocol: h2c`): few connections for many streams, windows as configured, and
//! what a server did not process is sent again (RFC 9113 sections 6.8 and 8.7).

use h2::Reason;

use crate::servers::ask;
use crate::support::frames::{END_STREAM, INITIAL_WINDOW_SIZE, MAX_CONCURRENT_STREAMS, data, headers};
use crate::support::http2_origin::Grants;
use crate::support::script::flood;
use crate::support::{
    ASK, Client, Edge, End, GET, Http2Client, Http2Origin, Http2Script, SUBSCRIBE, StreamEnd, Version, Viewer, eventually, settled,
    tls,
};

/// GOAWAY with NO_ERROR that names stream 0: nothing was processed.
const NOTHING_PROCESSED: &[u8] = &[0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
/// RST_STREAM with REFUSED_STREAM on stream 1.
const REFUSED: &[u8] = &[0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, 7];
/// GOAWAY with NO_ERROR that names stream 1: it may have been processed.
const ONE_PROCESSED: &[u8] = &[0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0];

#[tokio::test]
async fn a_server_sees_an_ordinary_http_2_request() {
    let origin = Http2Origin::start(Http2Script::answer("ok")).await;
    let edge = Edge::with().h2c().start(origin.address()).await;
    let fields = "X-Second: 2\r\nX-First: 1\r\nCookie: a=1; b=2\r\nTE: trailers\r\nConnection: X-Gone, keep-alive\r\nX-Gone: 1\r\nKeep-Alive: 5\r\n";
    let (head, body) = ask(edge.address(), format!("GET /a/../b%2Fc?d=e HTTP/1.1\r\nHost: edge.example:81\r\n{fields}\r\n")).await;
    assert_eq!((head.status(), body.as_str()), (200, "ok"));
    let request = origin.request(0).await;
    let line = (request.method.as_str(), request.scheme.as_str(), request.authority.as_str(), request.path.as_str());
    assert_eq!(line, ("GET", tls::scheme(), "edge.example:81", "/a/../b%2Fc?d=e"));
    assert_eq!(request.get("cookie").as_deref(), Some("a=1; b=2"));
    let names = request.names();
    let place = |name: &str| names.iter().position(|have| *have == name);
    assert!(place("x-second") < place("x-first") && place("x-second").is_some(), "{names:?}");
    for name in ["host", "connection", "keep-alive", "x-gone", "transfer-encoding", "upgrade"] {
        assert_eq!(place(name), None, "{names:?}");
    }
    assert_eq!(request.get("x-forwarded-for").as_deref(), Some("127.0.0.1"));
    let seen = origin.stream(0).await;
    assert!(seen.ended && seen.data == 0, "a GET ends with its head: {seen:?}");
}

#[tokio::test]
async fn a_server_is_granted_what_is_configured() {
    for (value, stream, connection) in [
        (None, 256 << 10, 25_u32 << 20),
        (Some("{ streams: 7, stream_window: 128KiB, connection_window: 1MiB }"), 128 << 10, 1 << 20),
    ] {
        let origin = Http2Origin::start(Http2Script::stream().flood(32 << 20).end()).await;
        let builder = Edge::with().h2c();
        let builder = value.into_iter().fold(builder, |builder, value| builder.upstream("h2", value));
        let edge = builder.start(origin.address()).await;
        let mut client = Http2Client::connect(edge.address()).await;
        let (_stream, _) = client.get(SUBSCRIBE).await;
        let granted = origin.frames(0).look(|seen| (seen.setting(INITIAL_WINDOW_SIZE), seen.granted + 65_535));
        // What was granted before any of it was used.
        assert!(granted.0 == Some(stream) && granted.1 >= u64::from(connection), "{granted:?}");
        assert_eq!(origin.frames(0).look(|seen| seen.setting(2)), Some(0), "nobody asked for pushes");
        // The client's window, ours, and what is between the two.
        let written = settled("the origin to be stopped", || origin.written()).await;
        assert!(written >= u64::from(stream), "{written}");
    }
}

#[tokio::test]
async fn one_stalled_client_leaves_the_connection_to_the_others() {
    let scripts = [Http2Script::stream().flood(32 << 20).hang(), Http2Script::stream().flood(1 << 20).end()];
    let origin = Http2Origin::start_each(scripts).await;
    let edge = Edge::with().h2c().heartbeat("off").start(origin.address()).await;
    let before = edge.resident();
    // On connections of their own towards us, and on one connection behind us.
    let mut slow = Client::connect_slow(edge.address()).await;
    slow.send(SUBSCRIBE).await;
    slow.head().await;
    let written = settled("the origin to be stopped", || origin.written()).await;
    assert!(written < 16 << 20, "{written} bytes are on their way to a client that does not read");
    for _ in 0..5 {
        let (mut other, _) = Client::open(edge.address(), ASK).await;
        other.ends_with(flood(1 << 20).collect::<Vec<_>>().concat(), End::Clean).await;
    }
    assert_eq!(origin.connections(), 1);
    assert!(edge.resident().saturating_sub(before) < 12 << 20);
    drop(slow);
    assert_eq!(origin.reset(0).await, Reason::CANCEL);
}

/// Flow control counts payload, not frames: a library that bounds the overhead of small frames ends the whole connection when a few
/// clients stall in front of streams of tokens. Tokens are as small as data gets.
#[tokio::test]
async fn stalled_clients_of_tiny_events_do_not_cost_the_others_their_connection() {
    const TOKENS: usize = 30_000;
    let tokens = (0..TOKENS).fold(Http2Script::stream(), |script, _| script.event("x"));
    let stalled = std::iter::repeat_n(tokens.hang(), 4);
    let origin = Http2Origin::start_each(stalled.chain([Http2Script::stream().gate().event("a").end()])).await;
    let edge = Edge::with().h2c().heartbeat("off").start(origin.address()).await;
    let mut client =
        Http2Client::connect_with(edge.address(), crate::support::http2_client::Windows { stream: 65_535, connection: 8 << 20 })
            .await;
    let mut slow = Vec::new();
    for _ in 0..4 {
        slow.push(client.get(SUBSCRIBE).await.0);
    }
    let (mut other, _) = client.get(SUBSCRIBE).await;
    settled("the origin to be stopped", || origin.written()).await;
    origin.open_gate();
    other.ends_with("data: a\n\n", StreamEnd::Clean).await;
    for stream in &mut slow {
        stream.expects("data: x\n\n".repeat(TOKENS)).await;
    }
    assert_eq!(origin.connections(), 1);
    assert_eq!(origin.frames(0).look(|seen| seen.go_aways.clone()), []);
}

#[tokio::test]
async fn many_requests_share_a_connection() {
    let origin = Http2Origin::start(Http2Script::answer("ok")).await;
    let edge = Edge::with().h2c().start(origin.address()).await;
    for _ in 0..20 {
        assert_eq!(ask(edge.address(), GET).await.1, "ok");
    }
    let mut client = Http2Client::connect(edge.address()).await;
    let mut streams = Vec::new();
    for _ in 0..50 {
        streams.push(client.send(GET).await);
    }
    for stream in &mut streams {
        assert_eq!(stream.head().await.status, 200);
        stream.ends_with("ok", StreamEnd::Clean).await;
    }
    assert_eq!((origin.requests(), origin.connections()), (70, 1));
}

#[tokio::test]
async fn a_first_burst_waits_for_one_connection_rather_than_opening_many() {
    let origin = Http2Origin::start(Http2Script::stream().event("a").hang()).await;
    let edge = Edge::with().h2c().start(origin.address()).await;
    let mut client = Http2Client::connect(edge.address()).await;
    let mut streams = Vec::new();
    for _ in 0..100 {
        streams.push(client.send(SUBSCRIBE).await);
    }
    for stream in &mut streams {
        assert_eq!(stream.head().await.status, 200);
    }
    assert!(origin.connections() <= 4, "{} connections for 100 streams", origin.connections());
}

#[tokio::test]
async fn more_streams_than_a_connection_may_carry_open_another() {
    let configured = Edge::with().h2c().upstream("h2", "{ streams: 3 }");
    let granted = Edge::with().h2c();
    for (builder, streams) in [(configured, 1000), (granted, 3)] {
        let grants = Grants { streams, ..Grants::default() };
        let origin = Http2Origin::start_with(grants, [Http2Script::stream().event("a").hang()]).await;
        let edge = builder.start(origin.address()).await;
        let mut client = Http2Client::connect(edge.address()).await;
        let mut open = Vec::new();
        for number in 0..7 {
            let (mut stream, head) = client.get(SUBSCRIBE).await;
            assert_eq!(head.status, 200, "stream {number}");
            stream.expects("data: a\n\n").await;
            open.push(stream);
        }
        assert!((3..=4).contains(&origin.connections()), "{} connections", origin.connections());
        let mut most = vec![0; origin.connections()];
        for number in 0..7 {
            most[origin.request_head(number).await.connection] += 1;
        }
        assert!(most.iter().all(|count| *count <= 3), "{most:?}");
        assert_eq!(origin.frames(0).look(|seen| seen.setting(MAX_CONCURRENT_STREAMS)).unwrap_or(0), 0, "we take no pushes");
        // A place that is free is used before yet another connection is opened.
        let before = origin.connections();
        for mut stream in open.drain(..3) {
            stream.reset(Reason::CANCEL);
        }
        edge.metric_becomes("ssedge_streams_open", "", 4.0).await;
        for _ in 0..2 {
            open.push(client.get(SUBSCRIBE).await.0);
        }
        assert_eq!(origin.connections(), before);
    }
}

#[tokio::test]
async fn what_was_refused_is_sent_again_whatever_it_is() {
    for (refusals, answer) in [(1, NOTHING_PROCESSED), (1, REFUSED), (4, NOTHING_PROCESSED)] {
        for request in [GET, SUBSCRIBE, "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\n\r\n"] {
            let grants = Grants { refused: (refusals, answer), ..Grants::default() };
            let origin = Http2Origin::start_with(grants, [Http2Script::answer("ok")]).await;
            let edge = Edge::with().h2c().start(origin.address()).await;
            let (head, body) = ask(edge.address(), request).await;
            assert_eq!((head.status(), body.as_str()), (200, "ok"), "{answer:?} to {request}");
            assert_eq!((origin.connections(), origin.requests()), (refusals + 1, 1));
        }
    }
}

#[tokio::test]
async fn what_was_refused_with_its_body_under_way_is_sent_again_whole_or_not_at_all() {
    for answer in [NOTHING_PROCESSED, REFUSED] {
        let grants = Grants { refused: (1, answer), ..Grants::default() };
        let origin = Http2Origin::start_with(grants, [Http2Script::answer("ok")]).await;
        let edge = Edge::with().h2c().start(origin.address()).await;
        let (head, _) = ask(edge.address(), ASK).await;
        match head.status() {
            200 => assert_eq!(origin.request(0).await.body, b"{}"),
            status => assert_eq!((status, origin.requests()), (502, 0)),
        }
        if answer == NOTHING_PROCESSED {
            assert_eq!(ask(edge.address(), ASK).await.1, "ok", "the next one is not sent there");
        }
    }
}

#[tokio::test]
async fn what_may_have_been_processed_is_not_sent_again() {
    let grants = Grants { refused: (1, ONE_PROCESSED), ..Grants::default() };
    let origin = Http2Origin::start_with(grants, [Http2Script::answer("ok")]).await;
    let edge = Edge::with().h2c().timeout("response_head", "1s").start(origin.address()).await;
    let post = "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 2\r\n\r\n{}";
    let (head, _) = ask(edge.address(), post).await;
    assert!(matches!(head.status(), 502 | 504), "{head:?}");
    assert_eq!(origin.requests(), 0);
    // The next one does not go to a connection that takes no more.
    assert_eq!(ask(edge.address(), post).await.1, "ok");
}

#[tokio::test]
async fn a_server_that_refuses_for_ever_is_not_asked_for_ever() {
    let grants = Grants { refused: (usize::MAX, REFUSED), ..Grants::default() };
    let origin = Http2Origin::start_with(grants, [Http2Script::answer("ok")]).await;
    let edge = Edge::with().h2c().start(origin.address()).await;
    let (head, _) = ask(edge.address(), GET).await;
    assert!(matches!(head.status(), 502 | 503), "{head:?}");
    assert!(origin.connections() <= 5, "{} attempts", origin.connections());
}

#[tokio::test]
async fn a_server_that_says_goaway_finishes_what_it_has_and_gets_the_next_on_another_connection() {
    let scripts = [
        Http2Script::stream().event("a").gate().event("b").end(),
        Http2Script::early().go_away().await_body().head(200, &[("content-length", "2")]).data("ok").end(),
        Http2Script::answer("new"),
    ];
    let origin = Http2Origin::start_each(scripts).await;
    let edge = Edge::with().h2c().start(origin.address()).await;
    let mut client = Http2Client::connect(edge.address()).await;
    let (mut old, _) = client.get(SUBSCRIBE).await;
    old.expects("data: a\n\n").await;
    let (mut second, head) = client.get(GET).await;
    assert_eq!(head.status, 200);
    second.ends_with("ok", StreamEnd::Clean).await;
    for _ in 0..3 {
        let (mut next, _) = client.get(GET).await;
        next.ends_with("new", StreamEnd::Clean).await;
    }
    assert_eq!(origin.connections(), 2);
    assert_eq!((origin.request(1).await.connection, origin.request(2).await.connection), (0, 1));
    // The old stream was not hurried.
    origin.open_gate();
    old.ends_with("data: b\n\n", StreamEnd::Clean).await;
    origin.closed(0).await;
}

#[tokio::test]
async fn a_server_that_speaks_something_else_is_a_502() {
    let greeting = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let other = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = other.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = other.accept().await {
            let mut buffer = [0; 1024];
            let _ = tokio::io::AsyncReadExt::read(&mut stream, &mut buffer).await;
            let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, greeting.as_bytes()).await;
        }
    });
    let edge = Edge::with().h2c().start(address).await;
    for request in [GET, SUBSCRIBE, ASK] {
        let (head, _) = ask(edge.address(), request).await;
        assert_eq!(head.status(), 502, "{request}");
    }
    // And the other way round: HTTP/1.1 to a server that speaks HTTP/2 only.
    let origin = Http2Origin::start(Http2Script::answer("ok")).await;
    let edge = Edge::start(origin.address()).await;
    let (head, _) = ask(edge.address(), GET).await;
    assert_eq!((head.status(), origin.requests()), (502, 0));
    // That was no preface, and is forgiven.
    eventually("the request at the origin", || Some(origin.frames(0).take_problems()).filter(|problems| !problems.is_empty()))
        .await;
}

#[tokio::test]
async fn a_server_that_sends_what_no_server_may_send_is_a_502_or_a_cut() {
    // DATA on stream 1 before its head; HEADERS on a stream of its own; a frame that is too long; a WINDOW_UPDATE of nothing.
    const BAD: [&[u8]; 4] = [
        &[0, 0, 1, 0, 0, 0, 0, 0, 1, b'x'],
        &[0, 0, 1, 1, 5, 0, 0, 0, 2, 0x88],
        &[0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1],
        &[0, 0, 4, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    ];
    for bad in BAD {
        let origin = Http2Origin::start_with(Grants { refused: (1, bad), ..Grants::default() }, [Http2Script::answer("ok")]).await;
        let edge = Edge::with().h2c().start(origin.address()).await;
        let (head, _) = ask(edge.address(), ASK).await;
        assert_eq!(head.status(), 502, "{bad:?}");
        assert_eq!(ask(edge.address(), ASK).await.1, "ok", "the next one has a new connection");
    }
}

#[tokio::test]
async fn fields_of_a_connection_in_a_response_do_not_pass() {
    // A head with `connection: close` is malformed (RFC 9113 section 8.2.2).
    let bad = [&[0, 0, 0, 1, 4, 0, 0, 0, 1][..], &[0x88, 0, 10], b"connection", &[5], b"close"].concat();
    let mut bad = bad;
    bad[2] = u8::try_from(bad.len() - 9).unwrap();
    let origin =
        Http2Origin::start_with(Grants { refused: (1, bad.leak()), ..Grants::default() }, [Http2Script::answer("ok")]).await;
    let edge = Edge::with().h2c().start(origin.address()).await;
    let (head, _) = ask(edge.address(), ASK).await;
    assert_eq!(head.status(), 502);
}

#[tokio::test]
async fn a_connection_on_which_nothing_happens_is_closed_in_time() {
    let origin = Http2Origin::start_each([Http2Script::answer("ok"), Http2Script::stream().event("a").hang()]).await;
    let edge = Edge::with().h2c().upstream("keep_alive", "300ms").heartbeat("off").start(origin.address()).await;
    assert_eq!(ask(edge.address(), GET).await.1, "ok");
    assert_eq!(origin.closed(0).await, End::Clean);
    // A stream that says nothing is not nothing.
    let (mut client, _) = Client::open(edge.address(), SUBSCRIBE).await;
    client.expects("data: a\n\n").await;
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    assert_eq!(origin.frames(1).look(|seen| seen.closed), None);
}

#[tokio::test]
async fn a_connection_that_died_while_idle_costs_no_request() {
    let origin = Http2Origin::start_each([Http2Script::answer("ok").gate().cut(), Http2Script::answer("ok")]).await;
    let edge = Edge::with().h2c().start(origin.address()).await;
    assert_eq!(ask(edge.address(), GET).await.1, "ok");
    origin.open_gate();
    for _ in 0..20 {
        assert_eq!(ask(edge.address(), GET).await.0.status(), 200);
    }
    eventually("another connection", || (origin.connections() == 2).then_some(())).await;
}

#[tokio::test]
async fn streams_are_counted_per_server_whatever_the_protocol() {
    let origins = [Http2Origin::start(Http2Script::stream().hang()).await, Http2Origin::start(Http2Script::stream().hang()).await];
    let edge = Edge::of(&format!(
        "upstreams: {{ app: {{ servers: [ \"{}\", \"{}\" ], protocol: h2c }} }}\nroutes: [ {{ upstream: app }} ]\n",
        origins[0].address(),
        origins[1].address()
    ))
    .await;
    let mut client = Http2Client::connect(edge.address()).await;
    let mut streams = Vec::new();
    for _ in 0..10 {
        streams.push(client.get(SUBSCRIBE).await);
    }
    assert_eq!((origins[0].requests(), origins[1].requests()), (5, 5), "least_streams");
}

#[tokio::test]
async fn websockets_are_not_for_these_servers() {
    let origin = Http2Origin::start(Http2Script::answer("ok")).await;
    let edge = Edge::with().h2c().start(origin.address()).await;
    let request = "GET /ws HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let (head, body) = ask(edge.address(), request).await;
    assert_eq!((head.status(), body.as_str()), (200, "ok"));
    assert_eq!(origin.request(0).await.get("upgrade"), None);
}

/// Servers do this every thousand requests or so, to let their load balancer think again.
#[tokio::test]
async fn a_server_that_renews_its_connections_again_and_again_loses_no_request() {
    let answer = |number: usize| match number % 10 {
        9 => Http2Script::early().go_away().await_body().only_head(200, &[]),
        _ => Http2Script::new().only_head(200, &[]),
    };
    let origin = Http2Origin::start_each((0..400).map(answer)).await;
    let edge = Edge::with().h2c().start(origin.address()).await;
    let mut client = Http2Client::connect(edge.address()).await;
    for round in 0..20 {
        let mut streams = Vec::new();
        for number in 0..20 {
            streams.push(client.send(if number % 2 == 0 { GET } else { ASK }).await);
        }
        for stream in &mut streams {
            assert_eq!(stream.head().await.status, 200, "in round {round}");
        }
    }
    edge.metric_becomes("ssedge_requests_total", "class=\"2xx\"", 400.0).await;
    assert!(origin.connections() > 10, "{} connections", origin.connections());
}

#[tokio::test]
async fn routes_go_by_the_authority() {
    let origins = [Http2Origin::start(Http2Script::answer("a")).await, Http2Origin::start(Http2Script::answer("b")).await];
    let edge = Edge::of(&format!(
        "upstreams:\n  a: {{ servers: [ \"{}\" ], protocol: h2c }}\n  b: {{ servers: [ \"{}\" ], protocol: h2c }}\nroutes:\n  - {{ match: {{ host: a.example, path_prefix: /api }}, upstream: a }}\n  - {{ match: {{ host: \"*.b.example\" }}, upstream: b }}\n",
        origins[0].address(),
        origins[1].address()
    ))
    .await;
    let mut client = Http2Client::connect(edge.address()).await;
    for (host, path, answer) in [
        ("a.example", "/api/x", Some("a")),
        ("A.Example:8080", "/api", Some("a")),
        ("x.b.example", "/", Some("b")),
        ("a.example", "/apix", None),
        ("b.example", "/", None),
    ] {
        let (mut stream, head) = client.get(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
        assert_eq!(head.status, if answer.is_some() { 200 } else { 404 }, "{host}{path}");
        if let Some(answer) = answer {
            stream.ends_with(answer, StreamEnd::Clean).await;
        }
    }
}

/// What stalled clients leave unread takes of the connection's window: it has to hold all their streams' windows.
#[tokio::test]
async fn forty_stalled_clients_leave_the_connection_to_the_others() {
    let flood = std::iter::repeat_n(Http2Script::stream().flood(2 << 20).hang(), 40);
    let origin = Http2Origin::start_each(flood.chain([Http2Script::stream().event("a").end()])).await;
    let edge = Edge::with().h2c().heartbeat("off").start(origin.address()).await;
    let windows = crate::support::http2_client::Windows { stream: 65_535, connection: 64 << 20 };
    let mut client = Http2Client::connect_with(edge.address(), windows).await;
    let mut slow = Vec::new();
    for _ in 0..40 {
        slow.push(client.get(SUBSCRIBE).await.0);
    }
    settled("the origin to be stopped", || origin.written()).await;
    let (mut other, _) = client.get(SUBSCRIBE).await;
    other.ends_with("data: a\n\n", StreamEnd::Clean).await;
    assert_eq!(origin.connections(), 1);
}

/// Flushes of an application that had nothing to say are no reason to end a connection, and all streams on it.
#[tokio::test]
async fn hundreds_of_empty_frames_over_a_connections_life_end_nothing() {
    let empty = data(1, 0, b"").repeat(400);
    let head = headers(1, 0, &[(":status", "200"), ("content-type", "text/event-stream")]);
    let wire =
        [&head[..], &empty, &data(1, 0, b"data: a\n\n"), &empty, &data(1, 0, b"data: b\n\n"), &data(1, END_STREAM, b"")].concat();
    for client in [Version::Http1, Version::Http2] {
        let grants = Grants { refused: (1, wire.clone().leak()), ..Grants::default() };
        let origin = Http2Origin::start_with(grants, [Http2Script::answer("another")]).await;
        let edge = Edge::with().h2c().heartbeat("off").start(origin.address()).await;
        let mut viewer = Viewer::open(client, edge.address(), SUBSCRIBE).await;
        viewer.ends_with("data: a\n\ndata: b\n\n").await;
        assert_eq!(origin.frames(0).look(|seen| (seen.closed, seen.go_aways.clone())), (None, vec![]));
    }
}
