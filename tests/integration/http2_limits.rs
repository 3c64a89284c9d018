//! What else holds for requests of every kind, held where HTTP/2 is on one side or on both: deadlines, pins, caps, health, compression
//! and the access log.

use std::time::Duration;

use h2::Reason;

use crate::support::frames::{END_HEADERS, HEADERS, frame, settings};
use crate::support::gzip::Gzip;
use crate::support::hops::Ending;
use crate::support::http2_origin::Grants;
use crate::support::{
    ASK, Client, Edge, End, GET, HOPS, Http2Client, Http2Origin, Http2Script, SUBSCRIBE, Server, StreamEnd, Version, Viewer,
    eventually, within,
};

/// An ordinary POST whose body follows.
const POST: &str = "POST /upload HTTP/1.1\r\nHost: test\r\n\r\n";

/// The servers of [`HOPS`] whose clients speak HTTP/2.
fn servers() -> impl Iterator<Item = Version> {
    HOPS.into_iter().filter(|(client, _)| *client == Version::Http2).map(|(_, server)| server)
}

#[tokio::test]
async fn a_server_that_does_not_answer_in_time_is_a_504_and_left() {
    for (client, server) in HOPS {
        let origin = Server::start(server, Http2Script::new().hang()).await;
        let edge = origin.edge().timeout("response_head", "300ms").start(origin.address()).await;
        for (number, request) in [GET, ASK, SUBSCRIBE].into_iter().enumerate() {
            let mut viewer = Viewer::open(client, edge.address(), request).await;
            assert_eq!((viewer.status(), viewer.rest_of_body().await.1), (504, Ending::Clean));
            origin.left(number).await;
        }
    }
}

#[tokio::test]
async fn a_response_that_stops_half_way_is_cut_for_its_client() {
    for (client, server) in HOPS {
        let script = Http2Script::new().head(200, &[("content-type", "text/plain")]).data("half").hang();
        let origin = Server::start(server, script).await;
        let edge = origin.edge().timeout("response_body_idle", "300ms").start(origin.address()).await;
        let mut viewer = Viewer::open(client, edge.address(), GET).await;
        viewer.is_cut_after("half", Reason::INTERNAL_ERROR).await;
        origin.left(0).await;
    }
}

#[tokio::test]
async fn an_upload_that_stops_half_way_is_a_408_and_its_connection_goes_on() {
    for server in servers() {
        let origin = Server::start_each(server, [Http2Script::early().hang(), Http2Script::answer("ok")]).await;
        let edge = origin.edge().timeout("request_body_idle", "300ms").start(origin.address()).await;
        let mut client = Http2Client::connect(edge.address()).await;
        let mut stream = client.begin(POST).await;
        stream.upload("half").await;
        assert_eq!(stream.head().await.status, 408);
        let (_, end) = stream.rest_of_body().await;
        assert_eq!(end, StreamEnd::Clean);
        assert_eq!(stream.was_reset().await, Reason::NO_ERROR);
        origin.left(0).await;
        let (mut next, _) = client.get(GET).await;
        next.ends_with("ok", StreamEnd::Clean).await;
    }
}

#[tokio::test]
async fn an_ordinary_response_that_its_client_does_not_take_is_cancelled() {
    for server in servers() {
        let script = Http2Script::new().head(200, &[("content-type", "text/plain")]).flood(8 << 20).end();
        let origin = Server::start(server, script).await;
        let edge = origin.edge().timeout("write_stall", "500ms").start(origin.address()).await;
        let (mut client, mut stream, _) = Http2Client::open(edge.address(), GET).await;
        assert_eq!(stream.was_reset().await, Reason::CANCEL);
        origin.left(0).await;
        assert_eq!(stream.rest_of_body().await.1, StreamEnd::Reset(Reason::CANCEL));
        client.ping().await;
    }
}

#[tokio::test]
async fn a_pin_brings_a_client_back_whatever_it_and_its_servers_speak() {
    for (client, server) in HOPS {
        let [a, b] = [Server::start(server, Http2Script::answer("a")).await, Server::start(server, Http2Script::answer("b")).await];
        let protocol = if server == Version::Http2 { "h2c" } else { "http1" };
        let edge = Edge::of(&format!(
            "upstreams: {{ app: {{ servers: [ \"{}\", \"{}\" ], balance: round_robin, protocol: {protocol} }} }}\nroutes: [ {{ upstream: app, sticky: {{ cookie: ssedge, secrets: [ \"0123456789abcdef0123456789abcdef\" ] }} }} ]\n",
            a.address(),
            b.address()
        ))
        .await;
        let mut first = Viewer::open(client, edge.address(), GET).await;
        let (name, _) = first.rest_of_body().await;
        let pin = first.fields("set-cookie")[0].split(';').next().unwrap().to_owned();
        for _ in 0..6 {
            let request = GET.replace("\r\n\r\n", &format!("\r\nCookie: {pin}\r\n\r\n"));
            let mut again = Viewer::open(client, edge.address(), &request).await;
            assert_eq!(again.fields("set-cookie"), Vec::<&str>::new());
            again.ends_with(&name).await;
        }
        assert_eq!(a.requests().max(b.requests()), 7, "{client:?} to {server:?}");
    }
}

#[tokio::test]
async fn caps_hold_for_clients_of_both_versions_together() {
    let origin = Http2Origin::start(Http2Script::stream().event("a").hang()).await;
    let edge = Edge::with().h2c().route("caps", "{ streams_per_client: 2 }").start(origin.address()).await;
    let old = Viewer::open(Version::Http1, edge.address(), SUBSCRIBE).await;
    let new = Viewer::open(Version::Http2, edge.address(), SUBSCRIBE).await;
    assert_eq!((old.status(), new.status()), (200, 200));
    for (version, request) in
        [(Version::Http1, SUBSCRIBE), (Version::Http2, SUBSCRIBE), (Version::Http1, ASK), (Version::Http2, ASK)]
    {
        assert_eq!(Viewer::open(version, edge.address(), request).await.status(), 429);
    }
    drop(old.leave());
    within("the permit of the one that left", async {
        while Viewer::open(Version::Http2, edge.address(), SUBSCRIBE).await.status() != 200 {}
    })
    .await;
}

#[tokio::test]
async fn health_is_asked_in_the_protocol_of_the_server() {
    // Nobody else asks: the first check passes, the second fails, those that follow pass again.
    let well = || Http2Script::new().only_head(200, &[]);
    let origin = Http2Origin::start_each([well(), Http2Script::new().only_head(500, &[]), well()]).await;
    let edge = Edge::with()
        .h2c()
        .upstream("health", "{ path: /healthz, interval: 1s, timeout: 1s, rise: 1, fall: 1 }")
        .start(origin.address())
        .await;
    assert_eq!(origin.request(0).await.path, "/healthz");
    edge.process().logs("server is down").await;
    assert_eq!(origin.request(2).await.path, "/healthz");
    edge.process().logs("server is up").await;
}

#[tokio::test]
async fn a_stream_that_is_compressed_all_the_same_is_decoded_and_kept_alive() {
    for (client, server) in HOPS {
        let mut gzip = Gzip::new();
        let (first, second) = (gzip.part("data: a\n\n"), gzip.part("data: b\n\n"));
        let script = Http2Script::new()
            .head(200, &[("content-type", "text/event-stream"), ("content-encoding", "gzip")])
            .data(first)
            .gate()
            .data(second)
            .data(gzip.end())
            .end();
        let origin = Server::start(server, script).await;
        let edge = origin.edge().heartbeat("interval: 200ms").start(origin.address()).await;
        let request = SUBSCRIBE.replace("\r\n\r\n", "\r\nAccept-Encoding: gzip, br\r\n\r\n");
        let mut viewer = Viewer::open(client, edge.address(), &request).await;
        assert_eq!(viewer.fields("content-encoding"), Vec::<&str>::new());
        viewer.expects("data: a\n\n:\n\n").await;
        origin.open_gate();
        let (rest, ending) = viewer.rest_of_body().await;
        assert_eq!((String::from_utf8(rest).unwrap().replace(":\n\n", ""), ending), ("data: b\n\n".to_owned(), Ending::Clean));
        assert_ne!(origin.fields(0, "accept-encoding").await, ["gzip, br"]);
    }
}

#[tokio::test]
async fn trailers_of_a_request_do_not_hurt_where_they_cannot_pass() {
    let origin = Server::start(Version::Http1, Http2Script::answer("ok")).await;
    let edge = origin.edge().start(origin.address()).await;
    let mut client = Http2Client::connect(edge.address()).await;
    let mut stream = client.begin(POST).await;
    stream.upload("body").await;
    stream.finish_with(&[("x-sum", "7")]);
    assert_eq!(stream.head().await.status, 200);
    stream.ends_with("ok", StreamEnd::Clean).await;
    assert_eq!(origin.body(0).await, b"body");
}

#[tokio::test]
async fn an_upload_of_http_1_reaches_a_server_of_http_2_as_it_comes() {
    let script = Http2Script::early().head(200, &[("content-type", "text/event-stream")]).echo().end();
    let origin = Http2Origin::start(script).await;
    let edge = Edge::with().h2c().start(origin.address()).await;
    let (mut client, head) =
        Client::open(edge.address(), "POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    assert_eq!(head.status(), 200);
    for part in ["data: 1\n\n", "data: 2\n\n"] {
        client.send(format!("{:x}\r\n{part}\r\n", part.len())).await;
        client.expects(part).await;
    }
    client.send("0\r\n\r\n").await;
    client.ends_with("", End::Clean).await;
    let request = origin.request(0).await;
    assert_eq!((request.get("content-length"), request.get("transfer-encoding")), (None, None));
    // What is cut does not look whole.
    let (mut client, _) =
        Client::open(edge.address(), "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 99\r\n\r\ndata: 3\n\n").await;
    client.expects("data: 3\n\n").await;
    client.reset();
    assert_eq!(origin.reset(1).await, Reason::CANCEL);
    assert!(!origin.stream(1).await.ended);
}

#[tokio::test]
async fn expect_100_continue_is_answered_also_before_a_server_of_http_2() {
    let origin = Http2Origin::start(Http2Script::answer("ok")).await;
    let edge = Edge::with().h2c().start(origin.address()).await;
    let request = "POST / HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n";
    let mut client = Client::send_to(edge.address(), request).await;
    assert_eq!(client.any_head().await.status(), 100);
    client.send("body").await;
    assert_eq!(client.head().await.status(), 200);
    client.ends_with("ok", End::Clean).await;
    assert_eq!(origin.request(0).await.body, b"body");
}

#[tokio::test]
async fn a_large_head_passes_in_both_directions() {
    let cookie = format!("a={}", "x".repeat(30_000));
    let value = "y".repeat(30_000);
    for (client, server) in HOPS {
        let origin = Server::start(server, Http2Script::new().head(200, &[("x-large", &value)]).data("ok").end()).await;
        let edge = origin.edge().start(origin.address()).await;
        let request = GET.replace("\r\n\r\n", &format!("\r\nCookie: {cookie}\r\n\r\n"));
        let mut viewer = Viewer::open(client, edge.address(), &request).await;
        assert_eq!(viewer.fields("x-large"), [&value]);
        viewer.ends_with("ok").await;
        assert_eq!(origin.fields(0, "cookie").await, [cookie.as_str()]);
    }
}

#[tokio::test]
async fn the_access_log_tells_of_streams_and_requests_alike() {
    for (client, server) in HOPS {
        let origin = Server::start_each(server, [Http2Script::stream().event("a").end(), Http2Script::answer("ok")]).await;
        let edge = origin.edge().start(origin.address()).await;
        Viewer::open(client, edge.address(), SUBSCRIBE).await.ends_with("data: a\n\n").await;
        Viewer::open(client, edge.address(), GET).await.ends_with("ok").await;
        let wanted = [
            &["kind=stream_open", "method=GET", "host=test", "path=/events", "status=200"][..],
            &["kind=stream_close", "path=/events", "reason=upstream_end", "events=1", "bytes=9"],
            &["kind=request", "method=GET", "host=test", "path=/", "status=200", "bytes=2"],
        ];
        for words in wanted {
            eventually(&format!("a line with {words:?}"), || {
                edge.process().stdout().lines().any(|line| words.iter().all(|word| line.contains(word))).then_some(())
            })
            .await;
        }
    }
}

#[tokio::test]
async fn what_no_server_may_answer_is_a_502() {
    let answers = [
        // Nobody asked for another protocol, and HTTP/2 has no 101 (RFC 9113 section 8.6).
        Http2Script::new().interim(101).hang(),
        (0..100).fold(Http2Script::new(), |script, _| script.interim(103)).hang(),
        Http2Script::new().head(200, &[("content-length", "1"), ("content-length", "2")]).hang(),
    ];
    for (number, answer) in answers.into_iter().enumerate() {
        let origin = Http2Origin::start(answer).await;
        let edge = Edge::with().h2c().start(origin.address()).await;
        let (mut client, mut stream, head) = Http2Client::open(edge.address(), GET).await;
        assert_eq!(head.status, 502, "answer {number}");
        assert_eq!(stream.rest_of_body().await.1, StreamEnd::Clean);
        client.ping().await;
    }
}

#[tokio::test]
async fn a_body_that_is_longer_than_announced_is_cut() {
    for client in [Version::Http1, Version::Http2] {
        let script = Http2Script::new().head(200, &[("content-length", "4")]).data("half").gate().data("more").end();
        let origin = Http2Origin::start(script).await;
        let edge = Edge::with().h2c().start(origin.address()).await;
        let mut viewer = Viewer::open(client, edge.address(), GET).await;
        origin.open_gate();
        // Not a byte of the surplus reaches anybody, whether or not the rest does.
        let (body, _) = viewer.rest_of_body().await;
        assert!(b"half".starts_with(&body), "{body:?}");
        tokio::time::timeout(Duration::from_secs(30), origin.reset(0)).await.unwrap();
    }
}

#[tokio::test]
async fn a_server_that_takes_no_streams_is_no_server() {
    let origin = Http2Origin::start_with(Grants { streams: 0, ..Grants::default() }, [Http2Script::answer("never")]).await;
    let edge = Edge::with().h2c().start(origin.address()).await;
    for request in [GET, ASK, SUBSCRIBE] {
        let viewer = Viewer::open(Version::Http2, edge.address(), request).await;
        assert!(matches!(viewer.status(), 502 | 503), "{}", viewer.status());
    }
    assert_eq!(origin.requests(), 0);
}

/// One entry of the dynamic table, named again and again (RFC 7541 section 7), this time by a server.
#[tokio::test]
async fn a_response_head_that_unpacks_to_too_much_is_a_502() {
    let entry = [&[0x88, 0x40, 1, b'x', 127, 0xbd, 0x1d][..], &[b'y'; 3900]].concat();
    let mut bomb = frame(HEADERS, 0, 1, &entry);
    for last in [false, false, false, true] {
        bomb.extend(frame(9, if last { END_HEADERS } else { 0 }, 1, &[0xbe; 16_384]));
    }
    let grants = Grants { refused: (1, bomb.leak()), ..Grants::default() };
    let origin = Http2Origin::start_with(grants, [Http2Script::answer("ok")]).await;
    let edge = Edge::with().h2c().start(origin.address()).await;
    let before = edge.resident();
    assert_eq!(Viewer::open(Version::Http2, edge.address(), ASK).await.status(), 502);
    let grown = edge.resident().saturating_sub(before);
    assert!(grown < 16 << 20, "{grown} bytes more of memory");
}

#[tokio::test]
async fn a_server_that_asks_for_answers_and_reads_none_is_not_answered_in_memory() {
    for flood in [frame(6, 0, 0, &[7; 8]), settings(&[(4, 65_535)]), frame(8, 0, 0, &[0, 0, 0, 1])] {
        // At the first HEADERS all of it, and no answer.
        let flood = flood.repeat(30_000);
        let origin =
            Http2Origin::start_with(Grants { refused: (1, flood.leak()), ..Grants::default() }, [Http2Script::answer("ok")]).await;
        let edge = Edge::with().h2c().timeout("response_head", "2s").start(origin.address()).await;
        let before = edge.resident();
        let viewer = Viewer::open(Version::Http2, edge.address(), ASK).await;
        assert!(matches!(viewer.status(), 502 | 504), "{}", viewer.status());
        let grown = edge.resident().saturating_sub(before);
        assert!(grown < 16 << 20, "{grown} bytes more of memory");
    }
}
