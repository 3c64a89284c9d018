//! Event streams where HTTP/2 (RFC 9113) is on one side or on both: heads at once, heartbeats between events, and an end that looks
//! like what it is. END_STREAM says that all of it came; a stream that was lost is reset.

use std::time::Duration;

use h2::Reason;

use crate::support::hops::Ending;
use crate::support::{
    ASK, Edge, HOPS, Http2Client, Http2Origin, Http2Script, Origin, SUBSCRIBE, Script, Server, StreamEnd, Version, Viewer, settled,
};

/// The interval where beats are wanted.
const BEAT: &str = "interval: 200ms";
/// Long enough for several beats.
const SILENCE: Duration = Duration::from_millis(900);

#[tokio::test]
async fn the_head_comes_before_the_first_event_and_each_event_by_itself() {
    for (client, server) in HOPS {
        let script = Http2Script::stream().gate().event("a").gate().event("b").gate().event("c").hang();
        let origin = Server::start(server, script).await;
        let edge = origin.edge().start(origin.address()).await;
        let mut viewer = Viewer::open(client, edge.address(), SUBSCRIBE).await;
        assert_eq!((viewer.status(), viewer.fields("content-type")), (200, vec!["text/event-stream"]));
        for event in ["data: a\n\n", "data: b\n\n", "data: c\n\n"] {
            origin.open_gate();
            viewer.expects(event).await;
        }
    }
}

#[tokio::test]
async fn what_only_concerns_one_connection_stays_on_it() {
    for (client, server) in HOPS {
        let script = Http2Script::new().head(200, &[("content-type", "text/event-stream"), ("x-kept", "1"), ("vary", "a")]).hang();
        let origin = Server::start(server, script).await;
        let edge = origin.edge().start(origin.address()).await;
        let viewer = Viewer::open(client, edge.address(), SUBSCRIBE).await;
        assert_eq!((viewer.fields("x-kept"), viewer.fields("vary")), (vec!["1"], vec!["a"]));
        assert_eq!(viewer.fields("x-accel-buffering"), ["no"]);
        if client == Version::Http2 {
            for name in ["connection", "transfer-encoding", "keep-alive", "content-length"] {
                assert_eq!(viewer.fields(name), Vec::<&str>::new(), "{name}");
            }
        }
        if server == Version::Http2 {
            for name in ["connection", "transfer-encoding", "keep-alive", "upgrade", "host", "te"] {
                assert_eq!(origin.fields(0, name).await, Vec::<String>::new(), "{name}");
            }
        }
    }
}

#[tokio::test]
async fn each_byte_arrives_while_the_upstream_says_nothing_more() {
    let event = "id: 7\nevent: x\ndata: \u{e9}\r\n\r\n";
    for (client, server) in HOPS {
        let script = event.bytes().fold(Http2Script::stream(), |script, byte| script.data([byte]).gate()).end();
        let origin = Server::start(server, script).await;
        let edge = origin.edge().start(origin.address()).await;
        let mut viewer = Viewer::open(client, edge.address(), SUBSCRIBE).await;
        for byte in event.bytes() {
            viewer.expects([byte]).await;
            origin.open_gate();
        }
        viewer.ends_with("").await;
    }
}

#[tokio::test]
async fn beats_come_while_the_upstream_is_silent() {
    for (client, server) in HOPS {
        for (script, request, want) in [
            (Http2Script::stream().hang(), SUBSCRIBE, ":\n\n:\n\n"),
            (Http2Script::stream().event("a").hang(), SUBSCRIBE, "data: a\n\n:\n\n:\n\n"),
            (Http2Script::stream().event("a").hang(), ASK, "data: a\n\n:\n\n:\n\n"),
            (Http2Script::stream().data("id: 1\r\ndata: a\r\n\r\n").hang(), SUBSCRIBE, "id: 1\r\ndata: a\r\n\r\n:\r\n:\r\n"),
        ] {
            let origin = Server::start(server, script).await;
            let edge = origin.edge().heartbeat(BEAT).start(origin.address()).await;
            let mut viewer = Viewer::open(client, edge.address(), request).await;
            viewer.expects(want).await;
            assert!(edge.metric("ssedge_heartbeats_total", "").await >= 2.0);
        }
    }
}

#[tokio::test]
async fn no_beat_breaks_an_event() {
    for (client, server) in HOPS {
        for half in ["data: ha", "d", "data: a\n\nid", "data: \u{1f600}", "data: a\r"] {
            let rest = if half.ends_with('\r') { "\n\r\n" } else { "lf\n\n" };
            let script = Http2Script::stream().data(half).silence(SILENCE).data(rest).end();
            let origin = Server::start(server, script).await;
            let edge = origin.edge().heartbeat(BEAT).start(origin.address()).await;
            let mut viewer = Viewer::open(client, edge.address(), SUBSCRIBE).await;
            viewer.ends_with(format!("{half}{rest}")).await;
            assert_eq!(edge.metric("ssedge_heartbeats_total", "").await, 0.0, "after {half:?}");
        }
    }
}

#[tokio::test]
async fn a_clean_end_is_passed_on_at_once() {
    for (client, server) in HOPS {
        for request in [SUBSCRIBE, ASK] {
            // Only the end of this one response says that it is over: the connection stays.
            let origin = Server::start(server, Http2Script::stream().event("a").end()).await;
            let edge = origin.edge().start(origin.address()).await;
            let mut viewer = Viewer::open(client, edge.address(), request).await;
            viewer.ends_with("data: a\n\n").await;
            edge.stream_ended("upstream_end").await;
            edge.metric_becomes("ssedge_streams_open", "", 0.0).await;
        }
    }
}

#[tokio::test]
async fn a_stream_that_http_1_loses_is_reset_and_never_ended() {
    let head = |fields: &str| Script::new().head("200 OK", &format!("Content-Type: text/event-stream\r\n{fields}"));
    let chunked = || Script::stream().event("a");
    let losses = [
        ("resets", chunked().gate().reset(), "upstream_lost"),
        ("resets without framing", head("").raw("data: a\n\n").gate().reset(), "upstream_lost"),
        ("closes without the final chunk", chunked().close(), "upstream_lost"),
        ("closes within a chunk", chunked().raw("ff\r\ndata: b\n\n").close(), "upstream_lost"),
        ("closes before its trailer's end", chunked().raw("0\r\n").close(), "upstream_lost"),
        ("sends less than its Content-Length", head("Content-Length: 99\r\n").raw("data: a\n\n").close(), "upstream_lost"),
        ("sends a chunk size that is none", chunked().raw("xyz\r\ndata: b\n\n").hang(), "upstream_malformed"),
        ("sends no line end after a chunk", chunked().raw("9\r\ndata: b\n\nX\r\n").hang(), "upstream_malformed"),
    ];
    for (number, (what, script, reason)) in losses.into_iter().enumerate() {
        let origin = Origin::start(script).await;
        let edge = Edge::start(origin.address()).await;
        let request = if number % 2 == 0 { SUBSCRIBE } else { ASK };
        let (mut connection, mut stream, _) = Http2Client::open(edge.address(), request).await;
        stream.expects("data: a\n\n").await;
        origin.open_gate();
        let (_, end) = stream.rest_of_body().await;
        assert_eq!(end, StreamEnd::Reset(Reason::INTERNAL_ERROR), "an upstream that {what}");
        edge.stream_ended(reason).await;
        edge.metric_becomes("ssedge_streams_open", "", 0.0).await;
        // One stream was lost, not its connection.
        connection.ping().await;
    }
}

#[tokio::test]
async fn a_stream_that_http_2_loses_is_cut_and_never_ended() {
    let begun = || Http2Script::stream().event("a").gate();
    // All in one: what came before the loss is the client's all the same.
    let at_once = || Http2Script::stream().event("a");
    let short = || Http2Script::new().head(200, &[("content-type", "text/event-stream"), ("content-length", "99")]);
    let losses = [
        ("is reset with NO_ERROR", begun().reset(Reason::NO_ERROR)),
        ("is reset with CANCEL", begun().reset(Reason::CANCEL)),
        ("is reset with INTERNAL_ERROR", begun().reset(Reason::INTERNAL_ERROR)),
        ("is reset at once", at_once().reset(Reason::INTERNAL_ERROR)),
        ("loses its connection to a FIN", begun().close()),
        ("loses its connection at once", at_once().close()),
        ("loses its connection to a RST", begun().cut()),
        ("ends before its Content-Length", short().event("a").gate().end()),
    ];
    for client in [Version::Http1, Version::Http2] {
        for (number, (what, script)) in losses.iter().enumerate() {
            let origin = Http2Origin::start(script.clone()).await;
            let edge = Edge::with().h2c().start(origin.address()).await;
            let request = if number % 2 == 0 { SUBSCRIBE } else { ASK };
            let mut viewer = Viewer::open(client, edge.address(), request).await;
            viewer.expects("data: a\n\n").await;
            origin.open_gate();
            let (body, ending) = viewer.rest_of_body().await;
            let want = if client == Version::Http1 { Ending::Broken } else { Ending::Reset(Reason::INTERNAL_ERROR) };
            assert_eq!((body, ending), (vec![], want), "an upstream that {what}");
            edge.metric_becomes("ssedge_streams_open", "", 0.0).await;
            assert_eq!(edge.metric("ssedge_streams_ended_total", "reason=\"upstream_end\"").await, 0.0, "{what}");
        }
    }
}

#[tokio::test]
async fn all_streams_of_a_connection_that_is_lost_are_reset() {
    let hang = Http2Script::stream().event("a").hang();
    let origin = Http2Origin::start_each([hang.clone(), hang, Http2Script::stream().event("a").gate().cut()]).await;
    let edge = Edge::with().h2c().start(origin.address()).await;
    let mut client = Http2Client::connect(edge.address()).await;
    let mut streams = Vec::new();
    for _ in 0..3 {
        let (mut stream, _) = client.get(SUBSCRIBE).await;
        stream.expects("data: a\n\n").await;
        streams.push(stream);
    }
    assert_eq!(origin.connections(), 1);
    origin.open_gate();
    for mut stream in streams {
        stream.ends_with("", StreamEnd::Reset(Reason::INTERNAL_ERROR)).await;
    }
    edge.metric_becomes("ssedge_streams_ended_total", "reason=\"upstream_lost\"", 3.0).await;
    client.ping().await;
}

#[tokio::test]
async fn an_event_that_was_never_finished_is_not_finished_by_us() {
    for (client, server) in HOPS {
        let half = "data: a\n\ndata: half\n";
        let scripts = [Http2Script::stream().data(half).end(), Http2Script::stream().data(half).reset(Reason::CANCEL)];
        let origin = Server::start_each(server, scripts).await;
        let edge = origin.edge().start(origin.address()).await;
        Viewer::open(client, edge.address(), SUBSCRIBE).await.ends_with(half).await;
        Viewer::open(client, edge.address(), SUBSCRIBE).await.is_cut_after(half, Reason::INTERNAL_ERROR).await;
    }
}

#[tokio::test]
async fn a_client_that_leaves_has_its_upstream_left_though_nobody_speaks() {
    for (client, server) in HOPS {
        for request in [SUBSCRIBE, ASK] {
            let origin = Server::start(server, Http2Script::stream().event("a").hang()).await;
            // No beat is due in time that could find out by failing.
            let edge = origin.edge().heartbeat("interval: 1h").start(origin.address()).await;
            let mut viewer = Viewer::open(client, edge.address(), request).await;
            viewer.expects("data: a\n\n").await;
            let connection = viewer.leave();
            origin.left(0).await;
            if let Server::Http2(origin) = &origin {
                assert_eq!(origin.frames(0).look(|seen| seen.closed), None, "the connection is for others too");
            }
            edge.stream_ended("client_gone").await;
            edge.metric_becomes("ssedge_streams_open", "", 0.0).await;
            drop(connection);
        }
    }
}

#[tokio::test]
async fn a_client_that_leaves_before_the_head_has_its_upstream_left() {
    for (_, server) in HOPS.into_iter().filter(|(client, _)| *client == Version::Http2) {
        let origin = Server::start(server, Http2Script::new().hang()).await;
        let edge = origin.edge().start(origin.address()).await;
        let mut client = Http2Client::connect(edge.address()).await;
        for (number, request) in [SUBSCRIBE, ASK].into_iter().enumerate() {
            let mut stream = client.send(request).await;
            origin.request_head(number).await;
            stream.reset(Reason::CANCEL);
            origin.left(number).await;
        }
        client.ping().await;
    }
}

#[tokio::test]
async fn a_client_whose_connection_goes_leaves_all_its_upstreams() {
    for resets in [false, true] {
        for (_, server) in HOPS.into_iter().filter(|(client, _)| *client == Version::Http2) {
            let origin = Server::start(server, Http2Script::stream().event("a").hang()).await;
            let edge = origin.edge().heartbeat("interval: 1h").start(origin.address()).await;
            let mut client = Http2Client::connect(edge.address()).await;
            let mut streams = Vec::new();
            for _ in 0..5 {
                let (mut stream, _) = client.get(SUBSCRIBE).await;
                stream.expects("data: a\n\n").await;
                streams.push(stream);
            }
            if resets {
                client.reset().await
            } else {
                drop(client)
            }
            for number in 0..5 {
                origin.left(number).await;
            }
            edge.metric_becomes("ssedge_streams_ended_total", "reason=\"client_gone\"", 5.0).await;
            edge.metric_becomes("ssedge_connections_open", "", 0.0).await;
        }
    }
}

#[tokio::test]
async fn a_stream_that_its_client_does_not_take_is_cancelled_and_its_connection_goes_on() {
    for (_, server) in HOPS.into_iter().filter(|(client, _)| *client == Version::Http2) {
        let script = Http2Script::stream().flood(8 << 20).hang();
        let origin = Server::start_each(server, [script, Http2Script::stream().event("a").hang()]).await;
        let edge = origin.edge().timeout("write_stall", "1s").start(origin.address()).await;
        let mut client = Http2Client::connect(edge.address()).await;
        let (mut stalled, _) = client.get(SUBSCRIBE).await;
        let (mut other, _) = client.get(SUBSCRIBE).await;
        other.expects("data: a\n\n").await;
        assert_eq!(stalled.was_reset().await, Reason::CANCEL);
        edge.stream_ended("write_stall").await;
        origin.left(0).await;
        assert_eq!(stalled.rest_of_body().await.1, StreamEnd::Reset(Reason::CANCEL));
        client.ping().await;
        assert_eq!(edge.metric("ssedge_streams_open", "").await, 1.0);
    }
}

#[tokio::test]
async fn an_upstream_that_says_nothing_for_too_long_is_an_error_to_its_client() {
    for (client, server) in HOPS {
        let origin = Server::start(server, Http2Script::stream().event("a").hang()).await;
        let edge = origin.edge().heartbeat("off").route("max_upstream_silence", "500ms").start(origin.address()).await;
        let mut viewer = Viewer::open(client, edge.address(), SUBSCRIBE).await;
        viewer.is_cut_after("data: a\n\n", Reason::INTERNAL_ERROR).await;
        origin.left(0).await;
        edge.stream_ended("upstream_silent").await;
    }
}

#[tokio::test]
async fn a_stream_that_is_old_enough_ends_cleanly() {
    for (client, server) in HOPS {
        let origin = Server::start(server, Http2Script::stream().event("a").hang()).await;
        let edge = origin.edge().heartbeat("off").route("max_age", "{ after: 300ms }").start(origin.address()).await;
        let mut viewer = Viewer::open(client, edge.address(), SUBSCRIBE).await;
        viewer.ends_with("data: a\n\n").await;
        origin.left(0).await;
        edge.stream_ended("max_age").await;
    }
}

#[tokio::test]
async fn a_flood_arrives_whole_and_in_order_whatever_the_windows() {
    const FLOOD: usize = 4 << 20;
    let want = crate::support::script::flood(FLOOD).collect::<Vec<_>>().concat();
    for (client, server) in HOPS {
        let origin = Server::start(server, Http2Script::stream().flood(FLOOD).end()).await;
        let edge = origin.edge().start(origin.address()).await;
        let mut viewer = Viewer::open(client, edge.address(), SUBSCRIBE).await;
        // Behind by as much as can be behind, then on.
        settled("the origin to be stopped", || origin.written()).await;
        let (body, ending) = viewer.rest_of_body().await;
        assert!(body == want && ending == Ending::Clean, "{} bytes of {}, then {ending:?}", body.len(), want.len());
    }
}

#[tokio::test]
async fn whatever_ends_a_stream_leaves_no_descriptor_behind() {
    for (client, server) in HOPS {
        let scripts = (0..30).map(|number| match number % 3 {
            0 => Http2Script::stream().event("a").hang(),
            1 => Http2Script::stream().event("a").reset(Reason::INTERNAL_ERROR),
            _ => Http2Script::stream().event("a").end(),
        });
        let origin = Server::start_each(server, scripts).await;
        let edge = origin.edge().upstream("keep_alive", "off").start(origin.address()).await;
        edge.metric("ssedge_streams_open", "").await;
        let before = edge.descriptors();
        for _ in 0..30 {
            let mut viewer = Viewer::open(client, edge.address(), SUBSCRIBE).await;
            viewer.expects("data: a\n\n").await;
        }
        edge.metric_becomes("ssedge_streams_open", "", 0.0).await;
        // The last answer of the admin listener may still be closing.
        let given_back = || (edge.descriptors() <= before + 2).then_some(());
        crate::support::eventually("the descriptors to be given back", given_back).await;
        assert_eq!(edge.metric("ssedge_streams_started_total", "").await, 30.0);
    }
}
