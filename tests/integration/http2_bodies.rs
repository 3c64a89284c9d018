//! Ordinary requests where HTTP/2 is on one side or on both: what has no body, what has a large one in both directions at once, and
//! what comes after a body (RFC 9113 section 8.1; RFC 9110 section 6.5).

use h2::Reason;

use crate::support::hops::Ending;
use crate::support::{
    Client, Edge, End, GET, HOPS, Http2Client, Http2Origin, Http2Script, Server, StreamEnd, Version, Viewer, pattern, settled,
    within,
};

/// Large against every window and buffer on the way.
const LARGE: usize = 10 << 20;
/// What may be on the way: the windows and socket buffers on both sides.
const ON_THE_WAY: u64 = 16 << 20;

#[tokio::test]
async fn requests_of_json_are_answered_with_json() {
    for (client, server) in HOPS {
        let fields =
            [("content-type", "application/json"), ("content-length", "11"), ("etag", "\"e\""), ("x-many", "1"), ("x-many", "2")];
        let script = Http2Script::new().head(201, &fields).data("{\"ok\":true}").end();
        let origin = Server::start(server, script).await;
        let edge = origin.edge().start(origin.address()).await;
        let request =
            "PUT /things/7?x=%2F HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\nContent-Length: 7\r\n\r\n{\"a\":1}";
        let mut viewer = Viewer::open(client, edge.address(), request).await;
        assert_eq!((viewer.status(), viewer.fields("x-many")), (201, vec!["1", "2"]));
        assert_eq!((viewer.fields("content-length"), viewer.fields("etag")), (vec!["11"], vec!["\"e\""]));
        viewer.ends_with("{\"ok\":true}").await;
        assert_eq!(origin.body(0).await, b"{\"a\":1}");
        assert_eq!(origin.fields(0, "content-type").await, ["application/json"]);
        assert_eq!(origin.fields(0, "content-length").await, ["7"]);
        assert_eq!(origin.fields(0, "x-forwarded-for").await, ["127.0.0.1"]);
    }
}

#[tokio::test]
async fn responses_without_a_body_end_with_their_head() {
    for (client, server) in HOPS {
        for (request, status, fields) in [
            ("HEAD / HTTP/1.1\r\nHost: test\r\n\r\n", 200, &[("content-length", "12345"), ("content-type", "text/plain")][..]),
            ("HEAD / HTTP/1.1\r\nHost: test\r\nAccept: text/event-stream\r\n\r\n", 200, &[("content-type", "text/event-stream")]),
            (GET, 204, &[("x-a", "1")]),
            (GET, 304, &[("etag", "\"e\""), ("content-length", "12345")]),
            (GET, 200, &[("content-length", "0")]),
        ] {
            let origin = Server::start(server, Http2Script::new().only_head(status, fields)).await;
            let edge = origin.edge().start(origin.address()).await;
            match client {
                Version::Http1 => {
                    let mut client = Client::send_to(edge.address(), format!("{request}{request}")).await;
                    let head = if request.starts_with("HEAD") { client.head_to_head().await } else { client.head().await };
                    assert_eq!(head.status(), status, "{request}");
                    for (name, value) in fields {
                        assert_eq!(head.get(name), Some(*value), "{request}");
                    }
                    client.ends_with("", End::Clean).await;
                    // Nothing but the next answer follows.
                    assert_eq!(client.head_to_head().await.status(), status);
                }
                Version::Http2 => {
                    let (mut client, mut stream, head) = Http2Client::open(edge.address(), request).await;
                    assert_eq!(head.status, status, "{request}");
                    for (name, value) in fields {
                        assert_eq!(head.get(name), Some(*value), "{request}");
                    }
                    stream.ends_with("", StreamEnd::Clean).await;
                    let seen = client.frames().look(|seen| seen.streams[&stream.id()].clone());
                    assert_eq!((seen.data, seen.ended, seen.reset), (0, true, None), "{request}");
                    client.ping().await;
                }
            }
        }
    }
}

#[tokio::test]
async fn large_bodies_pass_in_both_directions_at_once() {
    let up = pattern(LARGE);
    let down: Vec<u8> = up.iter().rev().copied().collect();
    for length in [true, false] {
        for (client, server) in HOPS {
            let size = LARGE.to_string();
            let mut fields = vec![("content-type", "application/octet-stream")];
            if length {
                fields.push(("content-length", &size));
            }
            let script =
                Http2Script::early().head(200, &fields).data(&down[..LARGE - 1]).await_body().data(&down[LARGE - 1..]).end();
            let origin = Server::start(server, script).await;
            let edge = origin.edge().start(origin.address()).await;
            let before = edge.resident();
            let announced = if length { format!("Content-Length: {LARGE}") } else { "Transfer-Encoding: chunked".to_owned() };
            let head = format!("POST / HTTP/1.1\r\nHost: test\r\n{announced}\r\n\r\n");
            let body = match client {
                Version::Http2 => {
                    let mut connection = Http2Client::connect(edge.address()).await;
                    let (head, body, end) = connection.begin(head).await.duplex(up.clone()).await;
                    assert_eq!((head.status, end), (200, StreamEnd::Clean));
                    body
                }
                Version::Http1 => {
                    let client = Client::send_to(edge.address(), head).await;
                    let framed =
                        if length { up.clone() } else { [format!("{LARGE:x}\r\n").as_bytes(), &up, b"\r\n0\r\n\r\n"].concat() };
                    let (head, body, end) = client.duplex(&framed).await;
                    assert_eq!((head.status(), end), (200, End::Clean));
                    body
                }
            };
            assert!(body == down, "{client:?} to {server:?}: {} bytes of {LARGE} came down", body.len());
            assert!(origin.body(0).await == up, "{client:?} to {server:?}: the upload arrived changed");
            let grown = edge.resident().saturating_sub(before);
            assert!(grown < 16 << 20, "{client:?} to {server:?}: {grown} bytes more of memory");
        }
    }
}

#[tokio::test]
async fn an_echo_that_no_memory_should_hold_passes_in_both_directions_at_once() {
    const HUGE: usize = 32 << 20;
    let origin =
        Http2Origin::start(Http2Script::early().head(200, &[("content-type", "application/octet-stream")]).echo().end()).await;
    let edge = Edge::with().h2c().start(origin.address()).await;
    let before = edge.resident();
    let body = pattern(HUGE);
    let mut client = Http2Client::connect(edge.address()).await;
    let mut stream = client.begin("POST / HTTP/1.1\r\nHost: test\r\n\r\n").await;
    let echo = stream.duplex(body.clone());
    let mut most = 0;
    let watch = async {
        loop {
            most = edge.resident().max(most);
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    let (head, echoed, end) = tokio::select! {
        done = echo => done,
        () = watch => unreachable!("it watches for ever"),
    };
    assert_eq!((head.status, end), (200, StreamEnd::Clean));
    assert!(echoed == body, "the echo arrived changed");
    let grown = most.saturating_sub(before);
    assert!(most > 0 && grown < 12 << 20, "{grown} bytes more of memory than before");
}

#[tokio::test]
async fn a_client_that_does_not_read_stops_the_server() {
    for (_, server) in HOPS.into_iter().filter(|(client, _)| *client == Version::Http2) {
        let head = [("content-type", "application/octet-stream")];
        let origin = Server::start(server, Http2Script::new().head(200, &head).flood(32 << 20).end()).await;
        let edge = origin.edge().start(origin.address()).await;
        let before = edge.resident();
        let (_client, mut stream, _) = Http2Client::open(edge.address(), GET).await;
        let written = settled("the origin to be stopped", || origin.written()).await;
        assert!(written < ON_THE_WAY, "{written} bytes are on their way to a client that does not read");
        assert!(edge.resident().saturating_sub(before) < 12 << 20);
        let (body, end) = stream.rest_of_body().await;
        assert_eq!((body.len(), end), (32 << 20, StreamEnd::Clean));
    }
}

#[tokio::test]
async fn a_server_that_does_not_read_stops_the_upload_and_no_other_stream() {
    for (_, server) in HOPS.into_iter().filter(|(client, _)| *client == Version::Http2) {
        let script = Http2Script::early().stop_reading().gate().read_on().await_body().only_head(204, &[]);
        let origin = Server::start_each(server, [script, Http2Script::answer("ok")]).await;
        let edge = origin.edge().start(origin.address()).await;
        let before = edge.resident();
        let mut client = Http2Client::connect(edge.address()).await;
        let mut stream = client.begin("POST / HTTP/1.1\r\nHost: test\r\n\r\n").await;
        origin.request_head(0).await;
        let body = pattern(32 << 20);
        let (id, sent) = (stream.id(), client.sent());
        {
            let upload = stream.upload(body.clone());
            tokio::pin!(upload);
            let stopped =
                settled("the client to be stopped", || sent.look(|seen| seen.streams.get(&id).map_or(0, |stream| stream.data)));
            let stopped = tokio::select! {
                () = &mut upload => panic!("all of it was taken"),
                stopped = stopped => stopped,
            };
            assert!(stopped < ON_THE_WAY, "{stopped} bytes are on their way to a server that does not read");
            assert!(edge.resident().saturating_sub(before) < 12 << 20);
            // Only this stream's window is used up, and others get what they need of the connection's.
            let (mut other, head) = client.get(GET).await;
            assert_eq!(head.status, 200);
            other.ends_with("ok", StreamEnd::Clean).await;
            origin.open_gate();
            upload.await;
        }
        stream.finish();
        assert_eq!(stream.head().await.status, 204);
        assert!(origin.body(0).await == body, "the upload arrived changed");
    }
}

#[tokio::test]
async fn trailers_pass_from_http_2_to_http_2_in_both_directions() {
    let script = Http2Script::new().head(200, &[("content-type", "application/grpc"), ("trailer", "grpc-status")]);
    let script = script.data("body").trailers(&[("grpc-status", "0"), ("grpc-message", "fine")]);
    let origin = Http2Origin::start(script).await;
    let edge = Edge::with().h2c().start(origin.address()).await;
    let mut client = Http2Client::connect(edge.address()).await;
    for number in 0..2 {
        let mut stream =
            client.begin("POST /a.B/C HTTP/1.1\r\nHost: test\r\nTE: trailers\r\nContent-Type: application/grpc\r\n\r\n").await;
        stream.upload("up").await;
        stream.finish_with(&[("x-sum", "7"), ("x-more", "1")]);
        assert_eq!(stream.head().await.status, 200);
        stream.expects("body").await;
        let trailers = stream.trailers().await;
        let value = |name: &str| trailers.get(name).map(|value| value.to_str().unwrap().to_owned());
        assert_eq!((value("grpc-status").as_deref(), value("grpc-message").as_deref()), (Some("0"), Some("fine")));
        let request = origin.request(number).await;
        assert_eq!((request.body.as_slice(), request.get("te").as_deref()), (&b"up"[..], Some("trailers")));
        let sent = request.trailers.expect("the request had trailers");
        assert_eq!((sent.get("x-sum").unwrap().as_bytes(), sent.get("x-more").unwrap().as_bytes()), (&b"7"[..], &b"1"[..]));
    }
}

/// Behind a body nothing is judged as a head is: whoever merges trailers into one would find another host or length there (RFC 9110
/// section 6.5.1).
#[tokio::test]
async fn what_belongs_into_a_head_does_not_pass_behind_a_body() {
    let bad = [
        ("content-length", "1"),
        ("content-type", "text/html"),
        ("host", "other"),
        ("authorization", "Basic eA=="),
        ("x-forwarded-for", "203.0.113.7"),
        ("cookie", "a=1"),
        ("set-cookie", "a=1"),
        ("cache-control", "no-store"),
        ("trailer", "x"),
        ("proxy-authorization", "Basic eA=="),
    ];
    let some = [&bad[..], &[("x-sum", "7")]].concat();
    for kind in ["application/octet-stream", "text/event-stream"] {
        let script =
            |fields: &[(&str, &str)]| Http2Script::new().head(200, &[("content-type", kind)]).data("body").trailers(fields);
        let origin = Http2Origin::start_each([script(&some), script(&bad)]).await;
        let edge = Edge::with().h2c().heartbeat("off").start(origin.address()).await;
        let mut client = Http2Client::connect(edge.address()).await;
        for (number, sent) in [&some[..], &bad].into_iter().enumerate() {
            let mut stream = client.begin("POST / HTTP/1.1\r\nHost: test\r\nTE: trailers\r\n\r\n").await;
            stream.upload("up").await;
            stream.finish_with(sent);
            stream.head().await;
            stream.expects("body").await;
            let got = stream.trailers().await;
            let names: Vec<_> = got.keys().map(http::HeaderName::as_str).collect();
            let left: &[&str] = if number == 0 { &["x-sum"] } else { &[] };
            assert_eq!(names, left, "of a response in {kind}");
            let request = origin.request(number).await;
            assert_eq!(request.body, b"up");
            let names: Vec<_> = request.trailers.iter().flat_map(http::HeaderMap::keys).map(http::HeaderName::as_str).collect();
            assert_eq!(names, left, "of a request");
        }
    }
}

#[tokio::test]
async fn a_response_of_nothing_but_trailers_keeps_them() {
    let fields = [("content-type", "application/grpc"), ("grpc-status", "5"), ("grpc-message", "no such thing")];
    let origin = Http2Origin::start(Http2Script::new().only_head(200, &fields)).await;
    let edge = Edge::with().h2c().start(origin.address()).await;
    let (client, mut stream, head) = Http2Client::open(edge.address(), GET).await;
    assert_eq!((head.status, head.get("grpc-status")), (200, Some("5")));
    stream.ends_with("", StreamEnd::Clean).await;
    let seen = client.frames().look(|seen| seen.streams[&1].clone());
    assert_eq!((seen.blocks.len(), seen.frames), (1, 0), "one HEADERS frame, as it came");
}

#[tokio::test]
async fn an_event_stream_may_end_with_trailers() {
    for client in [Version::Http1, Version::Http2] {
        let origin = Http2Origin::start(Http2Script::stream().event("a").trailers(&[("x-sum", "7")])).await;
        let edge = Edge::with().h2c().start(origin.address()).await;
        let mut viewer = Viewer::open(client, edge.address(), crate::support::SUBSCRIBE).await;
        viewer.ends_with("data: a\n\n").await;
        if let Viewer::Http2(_, stream, _) = &mut viewer {
            assert_eq!(stream.trailers().await.get("x-sum").map(|sum| sum.as_bytes()), Some(&b"7"[..]));
        }
        edge.stream_ended("upstream_end").await;
    }
}

#[tokio::test]
async fn an_ordinary_response_that_is_lost_is_never_ended() {
    for (client, server) in HOPS {
        for length in [true, false] {
            let mut fields = vec![("content-type", "text/plain")];
            if length {
                fields.push(("content-length", "99"));
            }
            let script = Http2Script::new().head(200, &fields).data("half").gate().reset(Reason::INTERNAL_ERROR);
            let origin = Server::start(server, script).await;
            let edge = origin.edge().start(origin.address()).await;
            let mut viewer = Viewer::open(client, edge.address(), GET).await;
            viewer.expects("half").await;
            origin.open_gate();
            viewer.is_cut_after("", Reason::INTERNAL_ERROR).await;
        }
    }
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_has_its_upstream_left() {
    for (client, server) in HOPS {
        let script = Http2Script::new().head(200, &[("content-length", "99")]).data("half").hang();
        let origin = Server::start(server, script).await;
        let edge = origin.edge().start(origin.address()).await;
        let mut viewer = Viewer::open(client, edge.address(), GET).await;
        viewer.expects("half").await;
        let connection = viewer.leave();
        origin.left(0).await;
        drop(connection);
    }
}

#[tokio::test]
async fn an_upload_that_its_client_gives_up_never_looks_whole_to_the_server() {
    for server in [Version::Http1, Version::Http2] {
        let origin = Server::start(server, Http2Script::early().hang()).await;
        let edge = origin.edge().start(origin.address()).await;
        let mut client = Http2Client::connect(edge.address()).await;
        let mut stream = client.begin("POST / HTTP/1.1\r\nHost: test\r\n\r\n").await;
        stream.upload("half").await;
        origin.request_head(0).await;
        stream.reset(Reason::CANCEL);
        origin.left(0).await;
        match &origin {
            Server::Http1(origin) => assert!(!origin.request_head(0).await.complete),
            Server::Http2(origin) => assert!(!origin.stream(0).await.ended),
        }
        client.ping().await;
    }
}

#[tokio::test]
async fn a_server_that_fails_before_its_head_is_a_502_and_the_connection_goes_on() {
    for (client, server) in HOPS {
        let scripts = [Http2Script::new().reset(Reason::INTERNAL_ERROR), Http2Script::new().close(), Http2Script::answer("ok")];
        let origin = Server::start_each(server, scripts).await;
        let edge = origin.edge().start(origin.address()).await;
        let post = "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 2\r\n\r\n{}";
        for _ in 0..2 {
            let mut viewer = Viewer::open(client, edge.address(), post).await;
            assert_eq!(viewer.status(), 502);
            assert_eq!(viewer.rest_of_body().await.1, Ending::Clean);
        }
        let mut viewer = Viewer::open(client, edge.address(), post).await;
        viewer.ends_with("ok").await;
        assert_eq!(origin.requests(), 3, "what may have been processed is not sent again");
    }
}

#[tokio::test]
async fn interim_responses_pass() {
    for (client, server) in HOPS {
        let script = Http2Script::new().interim(103).head(200, &[("content-length", "2")]).data("ok").end();
        let origin = Server::start(server, script).await;
        let edge = origin.edge().start(origin.address()).await;
        match client {
            Version::Http1 => {
                let mut client = Client::send_to(edge.address(), GET).await;
                assert_eq!(client.any_head().await.status(), 103);
                assert_eq!(client.head().await.status(), 200);
                client.ends_with("ok", End::Clean).await;
            }
            Version::Http2 => {
                let mut client = Http2Client::connect(edge.address()).await;
                let mut stream = client.send(GET).await;
                assert_eq!(stream.interim().await, 103);
                assert_eq!(stream.head().await.status, 200);
                stream.ends_with("ok", StreamEnd::Clean).await;
            }
        }
    }
}

/// The window of the connection must not leak away with streams that were given up.
#[tokio::test]
async fn three_hundred_streams_that_were_given_up_leave_the_connection_as_it_was() {
    for (_, server) in HOPS.into_iter().filter(|(client, _)| *client == Version::Http2) {
        let scripts = (0..300)
            .map(|_| Http2Script::early().head(200, &[]).flood(64 << 10).hang())
            .chain([Http2Script::early().head(200, &[]).await_body().end()]);
        let origin = Server::start_each(server, scripts).await;
        let edge = origin.edge().start(origin.address()).await;
        let mut client = Http2Client::connect(edge.address()).await;
        for number in 0..300 {
            let mut stream = client.begin("POST / HTTP/1.1\r\nHost: test\r\n\r\n").await;
            stream.upload(vec![b'x'; 20_000]).await;
            if number % 2 == 0 {
                stream.head().await;
                stream.takes(1).await;
            }
            stream.reset(Reason::CANCEL);
        }
        let mut last = within("the last one", client.begin("POST / HTTP/1.1\r\nHost: test\r\n\r\n")).await;
        last.upload(pattern(4 << 20)).await;
        last.finish();
        assert_eq!(last.head().await.status, 200);
        edge.metric_becomes("ssedge_connections_open", "", 1.0).await;
    }
}
