//! Clients that speak HTTP/2 in cleartext with prior knowledge (RFC 9113 section 3.3): what they are granted, what is refused, and how
//! the streams of one connection keep out of each other's way.

use std::time::Duration;

use h2::Reason;

use crate::support::frames::{END_STREAM, INITIAL_WINDOW_SIZE, MAX_CONCURRENT_STREAMS, PREFACE, headers, reset, settings};
use crate::support::http2_client::{WIDE, Windows};
use crate::support::raw_http2::{GET_FIELDS, RawHttp2};
use crate::support::script::flood;
use crate::support::{
    ASK, Client, Edge, End, GET, HOPS, Http2Client, Http2Script, Origin, SUBSCRIBE, Script, Server, StreamEnd, Version, settled,
    within,
};

/// An ordinary POST whose body follows.
const POST: &str = "POST /upload HTTP/1.1\r\nHost: test\r\n\r\n";

/// The servers of [`HOPS`] whose clients speak HTTP/2.
fn servers() -> impl Iterator<Item = Version> {
    HOPS.into_iter().filter(|(client, _)| *client == Version::Http2).map(|(_, server)| server)
}

#[tokio::test]
async fn a_client_is_told_what_it_may_have() {
    let origin = Origin::start(Script::answer("ok")).await;
    let edge = Edge::start(origin.address()).await;
    let mut client = Http2Client::connect(edge.address()).await;
    let values = client.settings(|seen| {
        (seen.granted > 0).then(|| (seen.setting(MAX_CONCURRENT_STREAMS), seen.setting(INITIAL_WINDOW_SIZE), seen.granted + 65_535))
    });
    assert_eq!(values.await, (Some(128), Some(256 << 10), 1 << 20));
    client.ping().await;
    assert_eq!(origin.connections(), 0, "nobody asked for anything");
}

#[tokio::test]
async fn the_preface_may_come_byte_by_byte_and_beside_http_1_on_the_same_listener() {
    let origin = Origin::start(Script::answer("ok")).await;
    let edge = Edge::start(origin.address()).await;
    let (mut old, head) = Client::open(edge.address(), GET).await;
    assert_eq!(head.status(), 200);
    old.ends_with("ok", End::Clean).await;
    let mut slow = RawHttp2::silent(edge.address()).await;
    for byte in PREFACE {
        slow.send(&[*byte]).await;
        tokio::task::yield_now().await;
    }
    slow.send(&[settings(&[]), headers(1, END_STREAM, &GET_FIELDS)].concat()).await;
    assert_eq!(slow.answer(1).await.status(), Some(200));
    // All of it in one write, too.
    let mut quick = RawHttp2::silent(edge.address()).await;
    quick.send(&[PREFACE, &settings(&[]), &headers(1, END_STREAM, &GET_FIELDS)].concat()).await;
    let answer = quick.answer(1).await;
    assert_eq!((answer.status(), answer.data, answer.ended), (Some(200), 2, true));
}

#[tokio::test]
async fn a_preface_that_stops_is_closed_when_a_head_would_be() {
    let origin = Origin::start(Script::answer("ok")).await;
    let edge = Edge::with().timeout("request_head", "500ms").start(origin.address()).await;
    for sent in [0, 3, PREFACE.len() - 1] {
        let mut client = RawHttp2::silent(edge.address()).await;
        client.send(&PREFACE[..sent]).await;
        client.frames().wait_for("the end of the connection", |seen| seen.closed).await;
    }
    // What begins like the preface and is none is no request either.
    let (answer, _) = Client::send_to(edge.address(), "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n").await.rest().await;
    assert!(!answer.starts_with(b"HTTP/1.1 2") && origin.requests() == 0, "{answer:?}");
}

#[tokio::test]
async fn an_upgrade_to_h2c_is_ignored_and_never_forwarded() {
    for version in [Version::Http1, Version::Http2] {
        let origin = Server::start(version, Http2Script::answer("ok")).await;
        let edge = origin.edge().start(origin.address()).await;
        let upgrade = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n";
        for (number, request) in [GET, ASK].into_iter().enumerate() {
            let (head, body) = request.split_once("\r\n\r\n").unwrap();
            let (mut client, head) = Client::open(edge.address(), format!("{head}\r\n{upgrade}\r\n{body}")).await;
            assert_eq!((head.status(), head.get("upgrade")), (200, None));
            client.ends_with("ok", End::Clean).await;
            for name in ["upgrade", "http2-settings"] {
                assert_eq!(origin.fields(number, name).await, Vec::<String>::new(), "{name}");
            }
            assert!(!origin.fields(number, "connection").await.concat().to_lowercase().contains("upgrade"));
        }
    }
}

#[tokio::test]
async fn one_connection_carries_many_requests_one_after_the_other() {
    for version in servers() {
        let origin = Server::start(version, Http2Script::answer("ok")).await;
        let edge = origin.edge().start(origin.address()).await;
        let mut client = Http2Client::connect(edge.address()).await;
        for _ in 0..300 {
            let (mut stream, head) = client.get(GET).await;
            assert_eq!((head.status, head.get("content-length")), (200, Some("2")));
            stream.ends_with("ok", StreamEnd::Clean).await;
        }
        edge.metric_becomes("ssedge_requests_total", "", 300.0).await;
        assert_eq!(edge.metric("ssedge_connections_open", "").await, 1.0);
    }
}

#[tokio::test]
async fn as_many_streams_as_were_granted_are_served_and_the_next_one_is_refused() {
    for version in servers() {
        let origin = Server::start(version, Http2Script::stream().event("a").hang()).await;
        let edge = origin.edge().start(origin.address()).await;
        let mut client = RawHttp2::connect(edge.address()).await;
        for number in 0..128 {
            client.send(&headers(number * 2 + 1, END_STREAM, &GET_FIELDS)).await;
        }
        edge.metric_becomes("ssedge_streams_open", "", 128.0).await;
        client.send(&headers(257, END_STREAM, &GET_FIELDS)).await;
        assert_eq!(client.answer(257).await.reset, Some(u32::from(Reason::REFUSED_STREAM)));
        assert_eq!(origin.requests(), 128);
        // The place of one that leaves is free again.
        client.send(&reset(1, u32::from(Reason::CANCEL))).await;
        edge.metric_becomes("ssedge_streams_open", "", 127.0).await;
        client.send(&headers(259, END_STREAM, &GET_FIELDS)).await;
        edge.metric_becomes("ssedge_streams_open", "", 128.0).await;
        assert_eq!(client.frames().look(|seen| (seen.closed, seen.streams[&3].reset)), (None, None));
    }
}

#[tokio::test]
async fn a_stalled_stream_stops_its_own_upstream_and_no_other_stream() {
    const FLOOD: usize = 32 << 20;
    // The client grants a stream little and its connection much.
    const WINDOWS: Windows = Windows { stream: 256 << 10, connection: 16 << 20 };
    for version in servers() {
        let scripts = [
            Http2Script::stream().flood(FLOOD).end(),
            Http2Script::stream().flood(FLOOD).end(),
            Http2Script::stream().gate().event("a").flood(1 << 20).gate().end(),
        ];
        let origin = Server::start_each(version, scripts).await;
        let edge = origin.edge().heartbeat("off").start(origin.address()).await;
        let before = edge.resident();
        let mut client = Http2Client::connect_with(edge.address(), WINDOWS).await;
        let (mut first, _) = client.get(SUBSCRIBE).await;
        let (mut second, _) = client.get(ASK).await;
        let written = settled("the origin to be stopped", || origin.written()).await;
        assert!(written < 24 << 20, "{written} bytes are on their way to streams that nobody reads");
        let grown = edge.resident().saturating_sub(before);
        assert!(grown < 12 << 20, "{grown} bytes more of memory for streams that nobody reads");

        let (mut other, _) = client.get(SUBSCRIBE).await;
        origin.open_gate();
        other.expects("data: a\n\n").await;
        for event in flood(1 << 20) {
            other.expects(event).await;
        }
        origin.open_gate();
        other.ends_with("", StreamEnd::Clean).await;
        client.ping().await;

        // Nothing was lost on the way.
        let whole = flood(FLOOD).collect::<Vec<_>>().concat();
        for stream in [&mut first, &mut second] {
            let (body, end) = stream.rest_of_body().await;
            assert!(body == whole && end == StreamEnd::Clean, "{} bytes of {}, then {end:?}", body.len(), whole.len());
        }
    }
}

#[tokio::test]
async fn a_hundred_streams_get_their_events_while_one_pours() {
    const POUR: usize = 8 << 20;
    // A client's connection window may be as small as it begins (RFC 9113 section 6.9.2): they share it.
    let narrow = Windows { stream: 65_535, connection: 65_535 };
    for (version, windows) in servers().flat_map(|version| [(version, WIDE), (version, narrow)]) {
        let quiet = |number: usize| {
            (0..5).fold(Http2Script::stream(), |script, event| script.gate().event(&format!("{number} {event}"))).end()
        };
        let scripts = [Http2Script::stream().flood(POUR).end()].into_iter().chain((1..100).map(quiet));
        let origin = Server::start_each(version, scripts).await;
        let edge = origin.edge().heartbeat("off").start(origin.address()).await;
        let mut client = Http2Client::connect_with(edge.address(), windows).await;
        let (mut pouring, _) = client.get(SUBSCRIBE).await;
        let mut streams = Vec::new();
        for _ in 1..100 {
            streams.push(client.get(SUBSCRIBE).await.0);
        }
        let pour = async {
            for event in flood(POUR) {
                pouring.expects(event).await;
            }
            pouring.ends_with("", StreamEnd::Clean).await;
        };
        let events = async {
            for _ in 0..5 * 99 {
                origin.open_gate();
            }
            for (number, stream) in (1..).zip(&mut streams) {
                for event in 0..5 {
                    stream.expects(format!("data: {number} {event}\n\n")).await;
                }
                stream.ends_with("", StreamEnd::Clean).await;
            }
        };
        tokio::join!(pour, events);
        edge.metric_becomes("ssedge_streams_ended_total", "reason=\"upstream_end\"", 100.0).await;
    }
}

#[tokio::test]
async fn a_cap_refuses_a_stream_and_the_connection_goes_on() {
    for version in servers() {
        let script = Http2Script::stream().event("a").gate().event("b").end();
        let origin = Server::start(version, script).await;
        let edge = origin.edge().route("caps", "{ streams_per_client: 2 }").start(origin.address()).await;
        let mut client = Http2Client::connect(edge.address()).await;
        let (mut first, _) = client.get(SUBSCRIBE).await;
        let (mut second, _) = client.get(ASK).await;
        for request in [SUBSCRIBE, SUBSCRIBE, ASK] {
            let (mut refused, head) = client.get(request).await;
            assert_eq!(head.status, 429);
            assert!(head.get("retry-after").is_some_and(|wait| wait.parse::<u64>().is_ok_and(|wait| wait > 0)), "{head:?}");
            let (body, end) = refused.rest_of_body().await;
            assert!(body.starts_with(b"429 Too Many Requests") && end == StreamEnd::Clean);
        }
        for stream in [&mut first, &mut second] {
            stream.expects("data: a\n\n").await;
            origin.open_gate();
            stream.ends_with("data: b\n\n", StreamEnd::Clean).await;
        }
        // The permits of the two that ended, and of one that is reset, are back.
        let mut soon = async || {
            within("a permit", async {
                loop {
                    let (stream, head) = client.get(SUBSCRIBE).await;
                    if head.status == 200 {
                        return stream;
                    }
                    assert_eq!(head.status, 429);
                }
            })
            .await
        };
        let (mut third, _fourth) = (soon().await, soon().await);
        third.reset(Reason::CANCEL);
        let _fifth = soon().await;
        edge.metric_becomes("ssedge_streams_open", "", 2.0).await;
        assert_eq!(edge.metric("ssedge_connections_open", "").await, 1.0);
    }
}

#[tokio::test]
async fn the_crumbs_of_a_cookie_are_one_field_to_the_server_and_the_pin_is_not_among_them() {
    const SECRET: &str = "0123456789abcdef0123456789abcdef";
    for version in servers() {
        let origin = Server::start(version, Http2Script::answer("ok")).await;
        let sticky = format!("{{ cookie: ssedge, secrets: [ \"{SECRET}\" ] }}");
        let edge = origin.edge().route("sticky", &sticky).start(origin.address()).await;
        let mut client = Http2Client::connect(edge.address()).await;
        let (_, head) = client.get(GET).await;
        let pin = head.get("set-cookie").and_then(|cookie| cookie.split(';').next()).expect("a new client gets a pin").to_owned();
        assert!(pin.starts_with("ssedge=") && pin.len() > 40, "{pin}");
        let with = |crumbs: &[&str]| {
            let fields: String = crumbs.iter().map(|crumb| format!("Cookie: {crumb}\r\n")).collect();
            format!("GET / HTTP/1.1\r\nHost: test\r\n{fields}\r\n")
        };
        let cases: [(&[&str], Option<&str>); 5] = [
            (&["a=1", "b=2"], Some("a=1; b=2")),
            (&["a=1", &pin, "b=2"], Some("a=1; b=2")),
            (&["a=1; b=2", "c=3"], Some("a=1; b=2; c=3")),
            (&[&pin], None),
            (&["ssedge=forged", "ssedgex=1"], Some("ssedgex=1")),
        ];
        for (number, (crumbs, seen)) in cases.into_iter().enumerate() {
            let (mut stream, head) = client.get(with(crumbs)).await;
            stream.ends_with("ok", StreamEnd::Clean).await;
            let pinned = crumbs.contains(&pin.as_str());
            assert_eq!(head.get("set-cookie").is_none(), pinned, "{crumbs:?}");
            assert_eq!(origin.fields(number + 1, "cookie").await, seen.into_iter().collect::<Vec<_>>(), "{crumbs:?}");
        }
    }
}

#[tokio::test]
async fn an_upload_begins_before_it_ends_and_its_progress_comes_back() {
    for version in servers() {
        let origin = match version {
            Version::Http2 => {
                Server::start(version, Http2Script::early().head(200, &[("content-type", "text/event-stream")]).echo().end()).await
            }
            Version::Http1 => {
                let script = Http2Script::early().head(200, &[("content-type", "text/event-stream")]);
                let script = (1..=3).fold(script, |script, part| script.gate().event(&part.to_string()));
                Server::start(version, script.await_body().end()).await
            }
        };
        let edge = origin.edge().start(origin.address()).await;
        let mut client = Http2Client::connect(edge.address()).await;
        let mut stream = client.begin(POST).await;
        assert_eq!(stream.head().await.status, 200);
        for part in 1..=3 {
            let event = format!("data: {part}\n\n");
            stream.upload(event.clone()).await;
            origin.open_gate();
            stream.expects(event).await;
        }
        stream.finish();
        stream.ends_with("", StreamEnd::Clean).await;
        assert_eq!(origin.body(0).await, b"data: 1\n\ndata: 2\n\ndata: 3\n\n");
    }
}

#[tokio::test]
async fn a_whole_early_answer_of_a_server_that_takes_no_more_stops_the_upload_without_an_error() {
    for version in servers() {
        let body = "already there";
        let fields = [("content-type", "text/plain"), ("content-length", "13")];
        let script = Http2Script::early().head(409, &fields).data(body).end().reset(Reason::NO_ERROR);
        let origin = Server::start(version, script).await;
        let edge = origin.edge().start(origin.address()).await;
        let mut client = Http2Client::connect(edge.address()).await;
        let mut stream = client.begin(POST).await;
        stream.upload("the beginning").await;
        assert_eq!(stream.head().await.status, 409);
        stream.ends_with(body, StreamEnd::Clean).await;
        // RFC 9113 section 8.1: the rest is not wanted, and nothing is wrong.
        within("the upload to be stopped", async {
            while stream.try_upload("more").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
        assert_eq!(stream.was_reset().await, Reason::NO_ERROR);
        client.ping().await;
        let (_, head) = client.get(GET).await;
        assert_eq!(head.status, 409);
    }
}

#[tokio::test]
async fn a_whole_early_answer_of_a_server_that_reads_on_leaves_the_upload_alone() {
    for version in servers() {
        let fields = [("content-type", "text/plain"), ("content-length", "13")];
        let script = Http2Script::early().head(200, &fields).data("already there").end().await_body();
        let origin = Server::start(version, script).await;
        let edge = origin.edge().start(origin.address()).await;
        let mut client = Http2Client::connect(edge.address()).await;
        let mut stream = client.begin(POST).await;
        stream.upload("the beginning").await;
        assert_eq!(stream.head().await.status, 200);
        stream.ends_with("already there", StreamEnd::Clean).await;
        stream.upload(" and the end").await;
        stream.finish();
        assert_eq!(origin.body(0).await, b"the beginning and the end");
        client.ping().await;
        assert_eq!(client.frames().look(|seen| seen.streams[&1].reset), None);
    }
}

#[tokio::test]
async fn expect_100_continue_is_answered_before_the_body_is_sent() {
    for version in servers() {
        let script = Http2Script::early().interim(100).await_body().head(200, &[("content-length", "2")]).data("ok").end();
        let origin = Server::start(version, script).await;
        let edge = origin.edge().start(origin.address()).await;
        let mut client = Http2Client::connect(edge.address()).await;
        let mut stream = client.begin("POST / HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n").await;
        assert_eq!(stream.interim().await, 100);
        stream.upload("body").await;
        stream.finish();
        assert_eq!(stream.head().await.status, 200);
        stream.ends_with("ok", StreamEnd::Clean).await;
        assert_eq!(origin.body(0).await, b"body");
    }
}
