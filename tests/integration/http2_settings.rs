//! `listeners[].h2`: what a client is told of the bounds of its connection, and that they hold.

use std::time::Duration;

use h2::Reason;
use ssedge::clock;

use crate::support::frames::{
    END_STREAM, INITIAL_WINDOW_SIZE, MAX_CONCURRENT_STREAMS, PREFACE, data, frame, headers, reset, settings,
};
use crate::support::raw_http2::{GET_FIELDS, RawHttp2};
use crate::support::{Edge, End, GET, Http2Client, Origin, SUBSCRIBE, Script, StreamEnd, settled};

/// What a connection's window begins with (RFC 9113 section 6.9.2).
const FIRST_WINDOW: u64 = 65_535;

/// Streams, stream window and connection window, as a client sees them.
async fn bounds(client: &Http2Client) -> (u32, u32, u64) {
    client
        .settings(|seen| {
            let granted = seen.granted + FIRST_WINDOW;
            Some((seen.setting(MAX_CONCURRENT_STREAMS)?, seen.setting(INITIAL_WINDOW_SIZE)?, granted))
                .filter(|(.., connection)| seen.acknowledged > 0 && *connection > 0)
        })
        .await
}

#[tokio::test]
async fn each_listener_tells_its_own_bounds() {
    let origin = Origin::start(Script::answer("ok")).await;
    let edge = Edge::with()
        .listener("127.0.0.1:0")
        .listener_keys("h2: { streams: 7, stream_window: 100000B, connection_window: 300000B }")
        .start(origin.address())
        .await;
    for (listener, expected) in [(0, (128, 256 << 10, 1 << 20)), (1, (7, 100_000, 300_000))] {
        let mut client = Http2Client::connect(edge.listeners[listener]).await;
        client.ping().await;
        assert_eq!(bounds(&client).await, expected);
        let (mut stream, _) = client.get(GET).await;
        stream.ends_with("ok", StreamEnd::Clean).await;
    }
}

#[tokio::test]
async fn a_stream_beyond_the_bound_is_refused_and_may_come_back() {
    let origin = Origin::start(Script::stream().event("a").hang()).await;
    let edge = Edge::with().listener_keys("h2: { streams: 2 }").start(origin.address()).await;
    let mut client = RawHttp2::connect(edge.address()).await;
    for id in [1, 3] {
        client.send(&headers(id, END_STREAM, &GET_FIELDS)).await;
        client.frames().wait_for("an event", |seen| seen.streams.get(&id).filter(|stream| stream.data > 0).map(drop)).await;
    }
    client.send(&headers(5, END_STREAM, &GET_FIELDS)).await;
    assert_eq!(client.answer(5).await.reset, Some(u32::from(Reason::REFUSED_STREAM)));
    assert_eq!(origin.requests(), 2);
    // The place of one that left is free, and the other never noticed.
    client.send(&[reset(1, 8), headers(7, END_STREAM, &GET_FIELDS)].concat()).await;
    client.frames().wait_for("an event", |seen| seen.streams.get(&7).filter(|stream| stream.data > 0).map(drop)).await;
    assert!(client.frames().look(|seen| seen.streams[&3].reset.is_none() && !seen.streams[&3].ended && seen.go_aways.is_empty()));
}

#[tokio::test]
async fn uploads_that_nobody_takes_stop_at_the_windows() {
    const STREAM: u64 = 100_000;
    const CONNECTION: u64 = 150_000;
    let origin = Origin::start(Script::early().stop_reading().hang()).await;
    let edge =
        Edge::with().listener_keys("h2: { stream_window: 100000B, connection_window: 150000B }").start(origin.address()).await;
    let mut client = Http2Client::connect(edge.address()).await;
    client.ping().await;
    let sent = client.sent();
    let post = "POST / HTTP/1.1\r\nHost: test\r\n\r\n";
    let (mut first, mut second) = (client.begin(post).await, client.begin(post).await);
    let granted = |id: u32| {
        let granted = client.frames().look(|seen| seen.streams.get(&id).map_or(0, |stream| stream.granted));
        let used = sent.look(|seen| seen.streams.get(&id).map_or(0, |stream| stream.data));
        (granted, used)
    };
    let (one, two) = (first.id(), second.id());
    let uploads = async { tokio::join!(first.try_upload(vec![b'x'; 64 << 20]), second.try_upload(vec![b'x'; 64 << 20])) };
    tokio::pin!(uploads);
    let stopped = settled("the uploads to be stopped", || granted(one).1 + granted(two).1);
    tokio::select! {
        ended = &mut uploads => panic!("they went on: {ended:?}"),
        _ = stopped => {}
    }
    // What went on to the origin's socket was granted anew; what is left is what may lie here.
    let connection = client.frames().look(|seen| seen.granted) + FIRST_WINDOW;
    let mut used = 0;
    for id in [one, two] {
        let (granted, sent) = granted(id);
        assert!(sent <= STREAM + granted, "stream {id}: {sent} bytes with {granted} granted");
        used += sent;
    }
    assert!(used <= connection, "{used} bytes with {connection} granted");
    assert!(connection >= CONNECTION);
}

#[tokio::test]
async fn a_client_that_sends_beyond_its_stream_window_loses_the_stream_or_the_connection() {
    let origin = Origin::start(Script::early().stop_reading().hang()).await;
    let edge = Edge::with().listener_keys("h2: { stream_window: 65535B, connection_window: 64MiB }").start(origin.address()).await;
    let mut client = RawHttp2::connect(edge.address()).await;
    client.send(&frame(4, 1, 0, &[])).await;
    let post = [(":method", "POST"), (":scheme", "http"), (":authority", "test"), (":path", "/")];
    client.send(&headers(1, 0, &post)).await;
    for _ in 0..1_000 {
        client.send(&data(1, 0, &[b'x'; 16_000])).await;
        if client.frames().look(|seen| seen.closed.is_some() || seen.streams.get(&1).is_some_and(|stream| stream.reset.is_some())) {
            break;
        }
    }
    let answer = client.answer(1).await;
    let code = u32::from(Reason::FLOW_CONTROL_ERROR);
    let gone = client.frames().look(|seen| seen.go_aways.iter().any(|(_, have)| *have == code));
    assert!(answer.reset == Some(code) || gone, "{answer:?}");
}

#[tokio::test]
async fn a_connection_without_a_stream_is_closed_after_its_idle_time_and_not_before() {
    const IDLE: Duration = Duration::from_millis(700);
    let origin = Origin::start(Script::answer("ok")).await;
    let edge = Edge::with().listener_keys("h2: { idle: 700ms }").start(origin.address()).await;
    for used in [false, true] {
        let started = clock::now();
        let mut client = Http2Client::connect(edge.address()).await;
        if used {
            let (mut stream, _) = client.get(GET).await;
            stream.ends_with("ok", StreamEnd::Clean).await;
        }
        assert_eq!(client.go_away().await, u32::from(Reason::NO_ERROR));
        assert!(started.elapsed() >= IDLE, "after {:?}", started.elapsed());
        assert_eq!(client.closed().await, End::Clean);
        assert!(client.frames().look(|seen| seen.go_aways.iter().all(|(_, code)| *code == 0)));
    }
    edge.metric_becomes("ssedge_connections_open", "", 0.0).await;
}

#[tokio::test]
async fn a_connection_with_a_silent_stream_is_not_idle_until_that_ends() {
    let origin = Origin::start(Script::stream().event("a").gate().event("b").end()).await;
    let edge = Edge::with().heartbeat("off").listener_keys("h2: { idle: 200ms }").start(origin.address()).await;
    let (client, mut stream, _) = Http2Client::open(edge.address(), SUBSCRIBE).await;
    stream.expects("data: a\n\n").await;
    // An idle connection next door comes and goes in the meantime, twice.
    for _ in 0..2 {
        let idle = Http2Client::connect(edge.address()).await;
        idle.closed().await;
    }
    assert!(client.frames().look(|seen| seen.go_aways.is_empty() && seen.closed.is_none()));
    origin.open_gate();
    stream.ends_with("data: b\n\n", StreamEnd::Clean).await;
    assert_eq!(client.go_away().await, u32::from(Reason::NO_ERROR));
    assert_eq!(client.closed().await, End::Clean);
}

/// It holds no descriptor for ever: neither answers of the proxy nor its close need the client.
#[tokio::test]
async fn an_idle_client_that_answers_nothing_is_closed_all_the_same() {
    let origin = Origin::start(Script::answer("ok")).await;
    let edge = Edge::with().listener_keys("h2: { idle: 200ms }").start(origin.address()).await;
    let mut client = RawHttp2::silent(edge.address()).await;
    client.send(&[PREFACE, &settings(&[])].concat()).await;
    client.frames().wait_for("a GOAWAY", |seen| seen.go_aways.first().map(drop)).await;
    client.frames().wait_for("the end", |seen| seen.closed).await;
    edge.metric_becomes("ssedge_connections_open", "", 0.0).await;
}
