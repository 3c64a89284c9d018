//! Compressed event streams where HTTP/2 is spoken on one side or on both: decoded as over HTTP/1.1, and what broke is reset, never
//! ended (RFC 9110 section 8.4, RFC 9113 section 8.1).

use std::time::Duration;

use h2::Reason;

use crate::support::gzip::{Gzip, bomb, bomb_event, gzip};
use crate::support::{ASK, Edge, HOPS, Http2Client, Http2Script, Origin, SUBSCRIBE, Script, Server, Viewer, pattern, settled};

const EVENTS: &str = "id: 1\ndata: a\n\nevent: x\r\ndata: \u{e9}\r\n\r\ndata: last\n\n";

/// The head of an event stream in `coding`.
fn coded(coding: &str) -> Http2Script {
    Http2Script::new().head(200, &[("content-type", "text/event-stream"), ("content-encoding", coding)])
}

#[tokio::test]
async fn each_compressed_event_arrives_by_itself_with_heartbeats_between() {
    for (client, server) in HOPS {
        let mut member = Gzip::new();
        let script = coded("gzip").data(member.part("data: a\n\n")).gate().data(member.part("data: ha")).gate();
        let script = script.data(member.part("lf\n\n")).gate().data(member.end()).end();
        for request in [SUBSCRIBE, ASK] {
            let origin = Server::start(server, script.clone()).await;
            let edge = origin.edge().heartbeat("interval: 300ms").start(origin.address()).await;
            let mut viewer = Viewer::open(client, edge.address(), request).await;
            assert_eq!((viewer.status(), viewer.fields("content-encoding")), (200, vec![]));
            viewer.expects_after(":\n\n", "data: a\n\n:\n\n:\n\n").await;
            origin.open_gate();
            // Beats may come before it, and none inside.
            viewer.expects_after(":\n\n", "data: ha").await;
            tokio::time::sleep(Duration::from_millis(700)).await;
            origin.open_gate();
            viewer.expects("lf\n\n:\n\n").await;
            origin.open_gate();
            viewer.expects_after(":\n\n", "").await;
            viewer.ends_with("").await;
            edge.stream_ended("upstream_end").await;
        }
    }
}

#[tokio::test]
async fn a_compressed_stream_with_a_length_is_one_of_unknown_length() {
    for (client, server) in HOPS {
        let wire = gzip(EVENTS);
        let length = wire.len().to_string();
        let head = [("content-type", "text/event-stream"), ("content-encoding", "gzip"), ("content-length", length.as_str())];
        let (one, two) = wire.split_at(30);
        let origin = Server::start(server, Http2Script::new().head(200, &head).data(one).data(two).end()).await;
        let edge = origin.edge().start(origin.address()).await;
        let mut viewer = Viewer::open(client, edge.address(), SUBSCRIBE).await;
        assert!(viewer.fields("content-length").is_empty() && viewer.fields("content-encoding").is_empty());
        viewer.ends_with(EVENTS).await;
    }
}

#[tokio::test]
async fn a_compressed_stream_that_is_broken_or_lost_is_cut() {
    let mut member = Gzip::new();
    let flushed = member.part("data: a\n\n");
    let whole = [&flushed[..], &member.end()].concat();
    let mut changed = whole.clone();
    changed[whole.len() - 8] ^= 0xff;
    for (client, server) in HOPS {
        let scripts = [
            ("stops behind a flush", coded("gzip").data(&flushed).end()),
            ("stops within its trailer", coded("gzip").data(&whole[..whole.len() - 1]).end()),
            ("has another checksum", coded("gzip").data(&changed).end()),
            ("goes on with garbage", coded("gzip").data([&flushed[..], &[0xff; 64]].concat()).end()),
            ("is lost behind a flush", coded("gzip").data(&flushed).gate().cut()),
            ("is lost behind a whole member", coded("gzip").data(&whole).gate().close()),
        ];
        for (what, script) in scripts {
            let origin = Server::start(server, script).await;
            let edge = origin.edge().start(origin.address()).await;
            let mut viewer = Viewer::open(client, edge.address(), SUBSCRIBE).await;
            viewer.expects("data: a\n\n").await;
            origin.open_gate();
            viewer.is_cut_after("", Reason::INTERNAL_ERROR).await;
            edge.metric_becomes("ssedge_streams_open", "", 0.0).await;
            assert_eq!(edge.metric("ssedge_streams_ended_total", "reason=\"upstream_end\"").await, 0.0, "{what}");
        }
    }
}

#[tokio::test]
async fn a_stream_in_a_coding_that_we_cannot_decode_passes_untouched() {
    let bytes = pattern(3000);
    for (client, server) in HOPS {
        let script = coded("br").data(&bytes[..777]).silence(Duration::from_millis(700)).data(&bytes[777..]).end();
        let origin = Server::start(server, script).await;
        let edge = origin.edge().heartbeat("interval: 150ms").start(origin.address()).await;
        let mut viewer = Viewer::open(client, edge.address(), ASK).await;
        assert_eq!(viewer.fields("content-encoding"), ["br"]);
        viewer.ends_with(&bytes).await;
        assert_eq!(edge.metric("ssedge_streams_undecodable_total", "").await, 1.0);
        assert_eq!(edge.metric("ssedge_heartbeats_total", "").await, 0.0);
    }
}

#[tokio::test]
async fn codings_are_asked_for_as_over_http_1() {
    for (client, server) in HOPS {
        let origin = Server::start(server, Http2Script::answer("ok")).await;
        let edge = origin.edge().start(origin.address()).await;
        let with = |request: &str, fields: &str| request.replacen("\r\n\r\n", &format!("\r\n{fields}\r\n"), 1);
        let cases = [
            (with(ASK, "Accept-Encoding: gzip, br\r\n"), "gzip"),
            (with(ASK, "Accept-Encoding: br\r\n"), "identity"),
            (ASK.to_owned(), "identity"),
            (with(SUBSCRIBE, "Accept-Encoding: gzip, br\r\n"), "identity"),
            (with(crate::support::GET, "Accept-Encoding: gzip, br\r\n"), "gzip, br"),
        ];
        for (number, (request, want)) in cases.into_iter().enumerate() {
            Viewer::open(client, edge.address(), &request).await.ends_with("ok").await;
            assert_eq!(origin.fields(number, "accept-encoding").await, [want], "{request:?}");
        }
    }
}

#[tokio::test]
async fn a_bomb_waits_packed_for_a_stream_that_grants_nothing() {
    let origin = Origin::start(Script::stream_with("Content-Encoding: gzip\r\n").chunk(bomb(1024)).end()).await;
    let edge = Edge::with().heartbeat("off").start(origin.address()).await;
    let before = edge.resident();
    let (mut connection, mut stream, _) = Http2Client::open(edge.address(), SUBSCRIBE).await;
    stream.expects(bomb_event()).await;
    settled("the memory", || edge.resident() >> 20).await;
    let grown = edge.resident().saturating_sub(before);
    assert!(grown < 12 << 20, "{grown} bytes more of memory for a stream that grants nothing");
    stream.reset(Reason::CANCEL);
    edge.stream_ended("client_gone").await;
    connection.ping().await;
}
