//! Clients that play with their windows or leave things half done: each is bounded in memory and time and ends under a name of its own,
//! and a stream on another connection loses nothing.

use std::time::Duration;

use ssedge::clock;

use crate::http2_floods::{MEMORY, Street};
use crate::support::frames::{END_STREAM, HEADERS, PREFACE, block, frame, go_away, headers, reset, settings, window_update};
use crate::support::raw_http2::{GET_FIELDS, RawHttp2};
use crate::support::{Edge, Http2Client, Origin, SUBSCRIBE, Script, StreamEnd, settled};

const INITIAL_WINDOW: u16 = 4;
const FLOOD: usize = 4 << 20;

fn get(stream: u32) -> Vec<u8> {
    headers(stream, END_STREAM, &GET_FIELDS)
}

async fn received(client: &RawHttp2, stream: u32, bytes: u64) {
    client.frames().wait_for("DATA", |seen| seen.streams.get(&stream).filter(|stream| stream.data >= bytes).map(drop)).await;
}

/// A hundred streams of which nothing is ever taken: what waits for them is bounded by the buffers of each, and by the stall deadline.
#[tokio::test]
async fn streams_whose_windows_stay_shut_are_freed_by_the_stall_deadline() {
    const STREAMS: u32 = 100;
    let origin =
        Origin::start_each([Script::stream().event("a").gate().event("b").end(), Script::stream().flood(FLOOD).end()]).await;
    let edge = Edge::with().timeout("write_stall", "2s").heartbeat("off").start(origin.address()).await;
    let (_client, mut neighbour, _) = Http2Client::open(edge.address(), SUBSCRIBE).await;
    neighbour.expects("data: a\n\n").await;
    let before = edge.resident();
    let mut client = RawHttp2::connect(edge.address()).await;
    client.send(&settings(&[(INITIAL_WINDOW, 0)])).await;
    client.send(&(0..STREAMS).flat_map(|number| get(number * 2 + 1)).collect::<Vec<_>>()).await;
    client.frames().wait_for("all heads", |seen| (seen.streams.len() == STREAMS as usize).then_some(())).await;
    let most = edge.resident().saturating_sub(before);
    // 64 KiB wait on each stream at most, about as much in its relay, and as much again in what the allocator has not given back.
    assert!(most < MEMORY + u64::from(STREAMS) * 192 * 1024, "{most} bytes more of memory");
    edge.metric_becomes("ssedge_streams_ended_total", "reason=\"write_stall\"", f64::from(STREAMS)).await;
    let all_reset = |seen: &crate::support::frames::Seen| seen.streams.values().all(|stream| stream.reset.is_some()).then_some(());
    client.frames().wait_for("a reset for each", all_reset).await;
    assert!(client.frames().look(|seen| seen.go_aways.is_empty() && seen.streams.values().all(|stream| stream.data == 0)));
    origin.open_gate();
    neighbour.ends_with("data: b\n\n", StreamEnd::Clean).await;
}

/// It takes what it asks for, byte by byte: no more is sent and no more is kept.
#[tokio::test]
async fn a_window_that_opens_byte_by_byte_gets_byte_by_byte() {
    const BYTES: u64 = 3_000;
    let origin =
        Origin::start_each([Script::stream().event("a").gate().event("b").end(), Script::stream().flood(FLOOD).end()]).await;
    let edge = Edge::with().heartbeat("off").start(origin.address()).await;
    let (_client, mut neighbour, _) = Http2Client::open(edge.address(), SUBSCRIBE).await;
    neighbour.expects("data: a\n\n").await;
    let before = edge.resident();
    let mut client = RawHttp2::connect(edge.address()).await;
    client.send(&[settings(&[(INITIAL_WINDOW, 0)]), get(1)].concat()).await;
    for byte in 1..=BYTES {
        client.send(&window_update(1, 1)).await;
        received(&client, 1, byte).await;
    }
    let (data, ended) =
        client.frames().look(|seen| (seen.streams[&1].data, seen.go_aways.len() + usize::from(seen.closed.is_some())));
    assert_eq!((data, ended), (BYTES, 0));
    let grown = edge.resident().saturating_sub(before);
    assert!(grown < MEMORY, "{grown} bytes more of memory");
    origin.open_gate();
    neighbour.ends_with("data: b\n\n", StreamEnd::Clean).await;
}

/// RFC 9113 section 6.9.2: a window that was used up shrinks below nothing, and has to come back from there.
#[tokio::test]
async fn a_window_below_nothing_sends_nothing_until_it_is_back() {
    let origin = Origin::start(Script::stream().flood(FLOOD).end()).await;
    let edge = Edge::with().heartbeat("off").start(origin.address()).await;
    let mut client = RawHttp2::connect(edge.address()).await;
    client.send(&[settings(&[(INITIAL_WINDOW, 10_000)]), window_update(0, 1 << 20), get(1)].concat()).await;
    received(&client, 1, 10_000).await;
    let data = || client.frames().look(|seen| seen.streams[&1].data);
    assert_eq!(data(), 10_000);
    let (shut, most_of_it, rest) = (settings(&[(INITIAL_WINDOW, 0)]), window_update(1, 9_999), window_update(1, 6));
    let mut other = RawHttp2::connect(edge.address()).await;
    client.send(&[shut, most_of_it].concat()).await;
    client.frames().wait_for("the ACK", |seen| (seen.acknowledged >= 3).then_some(())).await;
    // Another connection gets its bytes meanwhile; this one is one byte short.
    other.send(&get(1)).await;
    received(&other, 1, 1_000).await;
    assert_eq!(client.frames().look(|seen| seen.streams[&1].data), 10_000);
    client.send(&rest).await;
    received(&client, 1, 10_005).await;
    assert_eq!(settled("the stream", || client.frames().look(|seen| seen.streams[&1].data)).await, 10_005);
}

#[tokio::test]
async fn half_a_head_and_silence_ends_within_the_time_for_heads() {
    let fields = block(&GET_FIELDS);
    for half in [
        frame(HEADERS, END_STREAM, 1, &fields),
        get(1)[..20].to_vec(),
        frame(6, 0, 0, &[0; 8])[..12].to_vec(),
        // Bytes alone are no progress: a frame that trickles in is not finished either.
        frame(0xfa, 0, 0, &[0; 100])[..60].to_vec(),
    ] {
        let street = Street::with(Edge::with().timeout("request_head", "1s")).await;
        let begun = clock::now();
        let mut client = RawHttp2::connect(street.edge.address()).await;
        client.send(&half).await;
        client.frames().wait_for("the end of the connection", |seen| seen.closed).await;
        assert!(begun.elapsed() >= Duration::from_secs(1), "after {:?}", begun.elapsed());
        assert_eq!(client.frames().look(|seen| seen.go_aways.last().map(|(_, code)| *code)), Some(0));
        street.edge.metric_becomes("ssedge_http2_connections_ended_total", "reason=\"slow_frame\"", 1.0).await;
        street.stays_well().await;
    }
}

/// A phone that goes into a tunnel may leave half a frame behind: its streams get the time that they have anyway.
#[tokio::test]
async fn half_a_frame_beside_a_stream_has_the_time_of_the_stall_deadline() {
    let origin = Origin::start(Script::stream().event("a").gate().event("b").gate().end()).await;
    let edge = Edge::with().timeout("request_head", "200ms").timeout("write_stall", "3s").start(origin.address()).await;
    let mut client = RawHttp2::connect(edge.address()).await;
    let begun = clock::now();
    client.send(&[get(1), window_update(0, 7)[..10].to_vec()].concat()).await;
    received(&client, 1, 9).await;
    origin.open_gate();
    received(&client, 1, 18).await;
    client.frames().wait_for("the end of the connection", |seen| seen.closed).await;
    assert!(begun.elapsed() >= Duration::from_secs(3), "after {:?}", begun.elapsed());
    edge.metric_becomes("ssedge_http2_connections_ended_total", "reason=\"slow_frame\"", 1.0).await;
}

#[tokio::test]
async fn a_preface_that_trickles_in_is_cut_off() {
    let street = Street::with(Edge::with().timeout("request_head", "1s")).await;
    // The first 18 bytes are a head to whoever reads HTTP/1; the rest is waited for apart.
    for first in [5, 18, 23] {
        let mut client = RawHttp2::silent(street.edge.address()).await;
        client.send(&PREFACE[..first]).await;
        client.frames().wait_for("the end of the connection", |seen| seen.closed).await;
    }
    street.edge.metric_becomes("ssedge_http2_connections_ended_total", "reason=\"slow_frame\"", 2.0).await;
    street.stays_well().await;
}

/// A client that says that it leaves and goes on asking gets what it asks or nothing, and is gone with its last stream.
#[tokio::test]
async fn requests_behind_a_go_away_do_not_keep_a_connection() {
    let street = Street::quiet().await;
    let mut client = RawHttp2::connect(street.edge.address()).await;
    client.send(&[get(1), go_away(0, 0)].concat()).await;
    received(&client, 1, 9).await;
    client.send(&[get(3), get(5), reset(3, 8), reset(5, 8), reset(1, 8)].concat()).await;
    client.frames().wait_for("the end of the connection", |seen| seen.closed).await;
    street.edge.metric_becomes("ssedge_http2_connections_ended_total", "reason=\"client_closed\"", 1.0).await;
    street.stays_well().await;
}

#[tokio::test]
async fn a_client_that_is_lost_and_one_that_complains_are_told_apart() {
    let street = Street::quiet().await;
    let (client, _stream, _) = Http2Client::open(street.edge.address(), SUBSCRIBE).await;
    client.reset().await;
    street.edge.metric_becomes("ssedge_http2_connections_ended_total", "reason=\"client_lost\"", 1.0).await;
    let mut client = RawHttp2::connect(street.edge.address()).await;
    client.send(&go_away(0, 2)).await;
    client.frames().wait_for("the end of the connection", |seen| seen.closed).await;
    street.edge.metric_becomes("ssedge_http2_connections_ended_total", "reason=\"client_error\"", 1.0).await;
    street.stays_well().await;
}
