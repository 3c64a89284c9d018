//! How connections of HTTP/2 leave when the process does: GOAWAY, no new streams, subscriptions end at a boundary with END_STREAM,
//! everything else runs to its own end, and what is left at the deadline is cancelled (RFC 9113 section 6.8; design `config.md`).

use std::time::Duration;

use h2::Reason;
use ssedge::clock;

use crate::support::hops::Ending;
use crate::support::http2_client::parse;
use crate::support::{
    ASK, Edge, End, GET, HOPS, Http2Client, Http2Origin, Http2Script, Origin, SUBSCRIBE, Script, Server, StreamEnd, Version,
    Viewer, settled,
};

/// Shorter than any timeout that could end things by itself, `timeouts.request_head` being the shortest.
const AT_ONCE: Duration = Duration::from_secs(9);

/// The servers of [`HOPS`] whose clients speak HTTP/2.
fn servers() -> impl Iterator<Item = Version> {
    HOPS.into_iter().filter(|(client, _)| *client == Version::Http2).map(|(_, server)| server)
}

#[tokio::test]
async fn a_connection_without_a_stream_is_told_and_closed_at_once() {
    let origin = Origin::start(Script::answer("ok")).await;
    let mut edge = Edge::start(origin.address()).await;
    let mut untouched = Http2Client::connect(edge.address()).await;
    untouched.ping().await;
    let (used, mut stream, _) = Http2Client::open(edge.address(), GET).await;
    stream.ends_with("ok", StreamEnd::Clean).await;
    let begin = clock::now();
    edge.signal("TERM");
    for client in [&untouched, &used] {
        assert_eq!(client.go_away().await, u32::from(Reason::NO_ERROR));
        assert_eq!(client.closed().await, End::Clean);
    }
    assert_eq!(edge.exit_code().await, Some(0));
    assert!(begin.elapsed() < AT_ONCE, "it waited for nobody: {:?}", begin.elapsed());
}

#[tokio::test]
async fn a_subscription_ends_cleanly_while_the_upstream_is_silent() {
    for (client, server) in HOPS {
        for script in [Http2Script::stream().event("a").hang(), Http2Script::stream().event("a").event("b").hang()] {
            let origin = Server::start(server, script).await;
            let mut edge = origin.edge().start(origin.address()).await;
            let mut viewer = Viewer::open(client, edge.address(), SUBSCRIBE).await;
            viewer.expects("data: a\n\n").await;
            edge.signal("TERM");
            let (rest, ending) = viewer.rest_of_body().await;
            assert!(["", "data: b\n\n"].contains(&String::from_utf8_lossy(&rest).as_ref()) && ending == Ending::Clean, "{rest:?}");
            origin.over(0).await;
            assert_eq!(edge.exit_code().await, Some(0));
        }
    }
}

#[tokio::test]
async fn a_subscription_without_an_event_yet_ends_cleanly() {
    for (client, server) in HOPS {
        let origin = Server::start(server, Http2Script::stream().hang()).await;
        let mut edge = origin.edge().start(origin.address()).await;
        let mut viewer = Viewer::open(client, edge.address(), SUBSCRIBE).await;
        edge.signal("TERM");
        viewer.ends_with("").await;
        assert_eq!(edge.exit_code().await, Some(0));
    }
}

#[tokio::test]
async fn an_event_that_was_begun_is_finished_first_and_no_other_is_begun() {
    for (client, server) in HOPS {
        let script = Http2Script::stream().data("data: ha").gate().data("lf\n\ndata: next\n\n").hang();
        let origin = Server::start(server, script).await;
        let mut edge = origin.edge().start(origin.address()).await;
        let mut viewer = Viewer::open(client, edge.address(), SUBSCRIBE).await;
        viewer.expects("data: ha").await;
        edge.signal("TERM");
        edge.draining().await;
        origin.open_gate();
        viewer.ends_with("lf\n\n").await;
        assert_eq!(edge.exit_code().await, Some(0));
    }
}

#[tokio::test]
async fn streams_of_a_connection_leave_one_by_one_and_the_last_one_takes_it_along() {
    for server in servers() {
        let scripts = [
            Http2Script::stream().event("subscription").hang(),
            Http2Script::stream().event("a").gate().event("b").gate().end(),
            Http2Script::new().gate().head(200, &[("content-length", "4")]).data("done").end(),
        ];
        let origin = Server::start_each(server, scripts).await;
        let mut edge = origin.edge().start(origin.address()).await;
        let mut client = Http2Client::connect(edge.address()).await;
        let (mut subscription, _) = client.get(SUBSCRIBE).await;
        subscription.expects("data: subscription\n\n").await;
        let (mut finite, _) = client.get(ASK).await;
        finite.expects("data: a\n\n").await;
        edge.signal("TERM");
        edge.draining().await;
        assert_eq!(client.go_away().await, u32::from(Reason::NO_ERROR));
        subscription.ends_with("", StreamEnd::Clean).await;
        assert_eq!(client.frames().look(|seen| seen.closed), None, "one stream still runs");
        origin.open_gate();
        finite.expects("data: b\n\n").await;
        origin.open_gate();
        finite.ends_with("", StreamEnd::Clean).await;
        assert_eq!(client.closed().await, End::Clean);
        assert_eq!(edge.exit_code().await, Some(0));
    }
}

/// A client that reads the end of its stream first would open the next one here, in vain.
#[tokio::test]
async fn go_away_comes_before_the_ends_that_it_explains() {
    let origin = Http2Origin::start(Http2Script::stream().event("a").hang()).await;
    let upstream = format!("upstreams: {{ app: {{ servers: [ \"{}\" ], protocol: h2c }} }}", origin.address());
    let mut edge = Edge::of(&format!("{upstream}\nroutes: [ {{ upstream: app }} ]\ndrain: {{ spread: 0s }}\n")).await;
    let mut clients = Vec::new();
    for _ in 0..8 {
        let mut client = Http2Client::connect(edge.address()).await;
        let mut streams = Vec::new();
        for _ in 0..8 {
            let (mut stream, _) = client.get(SUBSCRIBE).await;
            stream.expects("data: a\n\n").await;
            streams.push(stream);
        }
        clients.push((client, streams));
    }
    edge.signal("TERM");
    for (client, streams) in &mut clients {
        for stream in streams {
            stream.ends_with("", StreamEnd::Clean).await;
            assert!(client.frames().look(|seen| seen.streams[&stream.id()].told) > 0, "stream {}", stream.id());
        }
    }
    assert_eq!(edge.exit_code().await, Some(0));
}

#[tokio::test]
async fn a_request_in_flight_is_answered() {
    for server in servers() {
        let script = Http2Script::new().gate().head(200, &[("content-length", "4")]).data("done").end();
        let origin = Server::start(server, script).await;
        let mut edge = origin.edge().start(origin.address()).await;
        let mut client = Http2Client::connect(edge.address()).await;
        let mut stream = client.send(GET).await;
        origin.request_head(0).await;
        edge.signal("TERM");
        client.go_away().await;
        origin.open_gate();
        assert_eq!(stream.head().await.status, 200);
        stream.ends_with("done", StreamEnd::Clean).await;
        assert_eq!(client.closed().await, End::Clean);
        assert_eq!(edge.exit_code().await, Some(0));
    }
}

#[tokio::test]
async fn an_upload_in_flight_is_taken_to_its_end() {
    for server in servers() {
        let script = Http2Script::new().head(200, &[("content-length", "4")]).data("done").end();
        let origin = Server::start(server, script).await;
        let mut edge = origin.edge().start(origin.address()).await;
        let mut client = Http2Client::connect(edge.address()).await;
        let mut stream = client.begin("POST / HTTP/1.1\r\nHost: test\r\n\r\n").await;
        stream.upload("first half, ").await;
        origin.request_head(0).await;
        edge.signal("TERM");
        client.go_away().await;
        stream.upload("second half").await;
        stream.finish();
        assert_eq!(stream.head().await.status, 200);
        stream.ends_with("done", StreamEnd::Clean).await;
        assert_eq!(origin.body(0).await, b"first half, second half");
        assert_eq!(edge.exit_code().await, Some(0));
    }
}

#[tokio::test]
async fn a_stream_that_comes_during_the_drain_is_not_served() {
    for server in servers() {
        let origin = Server::start(server, Http2Script::stream().event("a").gate().end()).await;
        let mut edge = origin.edge().start(origin.address()).await;
        let mut client = Http2Client::connect(edge.address()).await;
        let (mut finite, _) = client.get(ASK).await;
        finite.expects("data: a\n\n").await;
        edge.signal("TERM");
        client.go_away().await;
        // The library obeys; whatever it says, nothing reaches the origin.
        let (request, _) = parse(GET.as_bytes());
        if let Ok(mut late) = client.start(request, true).await {
            assert!(late.head_or_end().await.is_err());
        }
        assert_eq!(origin.requests(), 1);
        origin.open_gate();
        finite.ends_with("", StreamEnd::Clean).await;
        assert_eq!(edge.exit_code().await, Some(0));
    }
}

#[tokio::test]
async fn what_is_left_at_the_deadline_is_cancelled() {
    for (client, server) in HOPS {
        let scripts =
            [Http2Script::stream().event("a").hang(), Http2Script::stream().data("data: half").hang(), Http2Script::new().hang()];
        let origin = Server::start_each(server, scripts).await;
        let mut edge = origin.edge().drain_deadline("500ms").start(origin.address()).await;
        let mut finite = Viewer::open(client, edge.address(), ASK).await;
        finite.expects("data: a\n\n").await;
        let mut unfinished = Viewer::open(client, edge.address(), SUBSCRIBE).await;
        unfinished.expects("data: half").await;
        let mut waiting = Http2Client::connect(edge.address()).await;
        let mut waiting = waiting.send(GET).await;
        origin.request_head(2).await;
        let begin = clock::now();
        edge.signal("TERM");
        finite.is_cut_after("", Reason::CANCEL).await;
        unfinished.is_cut_after("", Reason::CANCEL).await;
        assert!(begin.elapsed() >= Duration::from_millis(500), "cut before the deadline");
        match waiting.head_or_end().await {
            Ok(head) => assert!(matches!(head.status, 502..=504), "{head:?}"),
            Err(end) => assert_eq!(end, StreamEnd::Reset(Reason::CANCEL)),
        }
        assert_eq!(edge.exit_code().await, Some(0));
        assert!(begin.elapsed() < Duration::from_secs(20), "that was the default deadline");
        let log = edge.process().stdout();
        let cut = log.lines().filter(|line| line.contains("kind=stream_close") && line.contains("reason=drain_cut")).count();
        assert_eq!(cut, 2, "each stream's end is logged once with its reason:\n{log}");
    }
}

#[tokio::test]
async fn a_client_that_grants_nothing_does_not_hold_it_beyond_the_deadline() {
    for server in servers() {
        let origin = Server::start(server, Http2Script::stream().flood(32 << 20).hang()).await;
        let mut edge = origin.edge().drain_deadline("500ms").start(origin.address()).await;
        let (_client, mut stream, _) = Http2Client::open(edge.address(), SUBSCRIBE).await;
        settled("the origin to be stopped", || origin.written()).await;
        let begin = clock::now();
        edge.signal("TERM");
        assert_eq!(edge.exit_code().await, Some(0));
        assert!(begin.elapsed() < Duration::from_secs(20), "that was the default deadline");
        assert_ne!(stream.rest_of_body().await.1, StreamEnd::Clean);
    }
}

#[tokio::test]
async fn a_second_signal_ends_at_once() {
    for server in servers() {
        let origin = Server::start(server, Http2Script::stream().event("a").hang()).await;
        let mut edge = origin.edge().drain_deadline("1h").start(origin.address()).await;
        let (_client, mut stream, _) = Http2Client::open(edge.address(), ASK).await;
        stream.expects("data: a\n\n").await;
        edge.signal("TERM");
        edge.draining().await;
        edge.signal("TERM");
        edge.exit_code().await;
        assert_ne!(stream.rest_of_body().await.1, StreamEnd::Clean);
    }
}

#[tokio::test]
async fn servers_are_left_in_peace_at_the_end() {
    let origin = Http2Origin::start(Http2Script::answer("ok")).await;
    let mut edge = Edge::with().h2c().start(origin.address()).await;
    let (_client, mut stream, _) = Http2Client::open(edge.address(), GET).await;
    stream.ends_with("ok", StreamEnd::Clean).await;
    let begin = clock::now();
    edge.signal("TERM");
    assert_eq!(edge.exit_code().await, Some(0));
    assert!(begin.elapsed() < AT_ONCE, "an idle connection to a server held it: {:?}", begin.elapsed());
    origin.closed(0).await;
}
