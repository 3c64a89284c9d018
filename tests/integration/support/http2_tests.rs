//! The HTTP/2 instruments themselves, client against origin: one that calls every end clean would let every test pass.

use h2::Reason;

use super::frames::{
    END_STREAM, INITIAL_WINDOW_SIZE, MAX_CONCURRENT_STREAMS, StreamSeen, data, go_away, headers, reset, window_update,
};
use super::http2_client::Windows;
use super::http2_origin::Grants;
use super::raw_http2::{GET_FIELDS, RawHttp2};
use super::{ASK, End, GET, Http2Client, Http2Origin, Http2Script, SUBSCRIBE, StreamEnd, settled};

#[tokio::test]
async fn the_client_tells_a_clean_end_from_a_reset_and_from_a_lost_connection() {
    let scripts = [
        Http2Script::stream().event("a").end(),
        Http2Script::stream().event("a").reset(Reason::INTERNAL_ERROR),
        Http2Script::stream().event("a").reset(Reason::CANCEL),
        Http2Script::stream().event("a").close(),
        Http2Script::stream().event("a").gate().cut(),
    ];
    let reset = StreamEnd::Reset;
    let ends = [StreamEnd::Clean, reset(Reason::INTERNAL_ERROR), reset(Reason::CANCEL), StreamEnd::Lost, StreamEnd::Lost];
    let origin = Http2Origin::start_each(scripts).await;
    for end in ends {
        let (_client, mut stream, head) = Http2Client::open(origin.address(), SUBSCRIBE).await;
        assert_eq!((head.status, head.get("content-type")), (200, Some("text/event-stream")));
        stream.expects("data: a\n\n").await;
        origin.open_gate();
        stream.ends_with("", end).await;
    }
}

#[tokio::test]
async fn the_origin_records_requests_and_who_reset_them() {
    let scripts = [Http2Script::answer("ok"), Http2Script::stream().event("a").hang(), Http2Script::stream().hang()];
    let origin = Http2Origin::start_each(scripts).await;
    let (mut client, mut first, _) = Http2Client::open(origin.address(), ASK).await;
    first.ends_with("ok", StreamEnd::Clean).await;
    let request = origin.request(0).await;
    assert_eq!((request.method.as_str(), request.path.as_str(), request.authority.as_str()), ("POST", "/v1/ask", "test"));
    assert_eq!((request.body.as_slice(), request.get("content-length").as_deref()), (&b"{}"[..], Some("2")));

    let (mut second, _) = client.get(SUBSCRIBE).await;
    second.expects("data: a\n\n").await;
    second.reset(Reason::CANCEL);
    assert_eq!(origin.reset(1).await, Reason::CANCEL);
    assert_eq!(origin.request(1).await.names(), ["accept"]);

    let (_third, _) = client.get(SUBSCRIBE).await;
    assert_eq!(origin.request(2).await.connection, 0);
    client.reset().await;
    assert_eq!(origin.closed(0).await, End::Reset);
    assert_eq!((origin.connections(), origin.requests()), (1, 3));
}

#[tokio::test]
async fn a_client_that_grants_nothing_stops_the_origin() {
    const WINDOW: u32 = 20_000;
    let origin = Http2Origin::start(Http2Script::stream().flood(100_000).end()).await;
    let mut client = Http2Client::connect_with(origin.address(), Windows { stream: WINDOW, connection: 1 << 20 }).await;
    let (mut stream, _) = client.get(SUBSCRIBE).await;
    assert_eq!(settled("the origin to be stopped", || origin.written()).await, u64::from(WINDOW));
    stream.hold_window();
    stream.takes(WINDOW as usize).await;
    assert_eq!(settled("the origin to be stopped", || origin.written()).await, u64::from(WINDOW));
    stream.release_window();
    let (_, end) = stream.rest_of_body().await;
    assert_eq!(end, StreamEnd::Clean);
}

#[tokio::test]
async fn an_origin_that_does_not_read_stops_the_client_and_says_what_it_got() {
    let grants = Grants { stream_window: 70_000, connection_window: 200_000, streams: 7, ..Grants::default() };
    let script = Http2Script::early().stop_reading().gate().read_on().head(200, &[]).echo().trailers(&[("x-sum", "7")]);
    let origin = Http2Origin::start_with(grants, [script]).await;
    let mut client = Http2Client::connect(origin.address()).await;
    let values = client.settings(|seen| {
        let window = seen.granted + 65_535;
        (window > 65_535).then(|| (seen.setting(MAX_CONCURRENT_STREAMS), seen.setting(INITIAL_WINDOW_SIZE), window))
    });
    assert_eq!(values.await, (Some(7), Some(70_000), 200_000));
    let mut stream = client.begin("POST / HTTP/1.1\r\nHost: test\r\n\r\n").await;
    let body = super::pattern(200_000);
    {
        let upload = stream.upload(body.clone());
        tokio::pin!(upload);
        tokio::select! {
            () = &mut upload => panic!("all of it was taken"),
            () = async { origin.frames(0).wait_for("the window to be used up", |seen| (seen.streams.get(&1)?.data == 70_000).then_some(())).await } => {}
        }
        origin.open_gate();
        upload.await;
    }
    stream.finish_with(&[("x-more", "1")]);
    assert_eq!(stream.head().await.status, 200);
    stream.expects(&body).await;
    assert_eq!(stream.trailers().await.get("x-sum").map(|sum| sum.as_bytes()), Some(&b"7"[..]));
    let request = origin.request(0).await;
    assert!(request.body == body && request.trailers.is_some_and(|trailers| trailers.contains_key("x-more")));
}

#[tokio::test]
async fn interim_responses_and_pings_and_goaways_are_seen() {
    let script = Http2Script::early().interim(100).await_body().head(200, &[]).go_away().gate().event("a").end();
    let origin = Http2Origin::start(script).await;
    let mut client = Http2Client::connect(origin.address()).await;
    let mut stream = client.begin("POST / HTTP/1.1\r\nHost: test\r\n\r\n").await;
    assert_eq!(stream.interim().await, 100);
    client.ping().await;
    stream.finish();
    assert_eq!(stream.head().await.status, 200);
    assert_eq!(client.go_away().await, 0);
    origin.open_gate();
    stream.ends_with("data: a\n\n", StreamEnd::Clean).await;
    assert_eq!(client.closed().await, End::Clean);
}

#[tokio::test]
async fn raw_frames_arrive_as_they_were_written() {
    let origin = Http2Origin::start(Http2Script::answer("ok")).await;
    let mut client = RawHttp2::connect(origin.address()).await;
    let long = "x".repeat(300);
    client.send(&headers(1, 0, &[&GET_FIELDS[..], &[("x-long", &long), ("cookie", "a=1"), ("cookie", "b=2")]].concat())).await;
    client.send(&window_update(1, 7)).await;
    client.send(&data(1, END_STREAM, b"abc")).await;
    let answer = client.answer(1).await;
    assert_eq!((answer.status(), answer.data, answer.ended, answer.reset), (Some(200), 2, true, None));
    let request = origin.request(0).await;
    assert_eq!((request.get("x-long"), request.all("cookie")), (Some(long), vec!["a=1", "b=2"]));
    assert_eq!(request.body, b"abc");

    client.send(&headers(3, END_STREAM, &[&GET_FIELDS[..], &[("Upper", "case")]].concat())).await;
    client.answer(3).await;
    assert_eq!(client.frames().look(|seen| seen.go_aways.last().map(|(_, code)| *code)), Some(1));
    assert_eq!(origin.requests(), 1);
}

#[tokio::test]
async fn an_origin_can_refuse_whole_connections() {
    const FRAMES: &[u8] = &[0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(FRAMES, go_away(0, 0));
    let origin = Http2Origin::start_with(Grants { refused: (1, FRAMES), ..Grants::default() }, [Http2Script::answer("ok")]).await;
    let mut first = Http2Client::connect(origin.address()).await;
    assert_eq!(first.send(GET).await.head_or_end().await.err(), Some(StreamEnd::Lost));
    let (_second, mut stream, _) = Http2Client::open(origin.address(), GET).await;
    stream.ends_with("ok", StreamEnd::Clean).await;
    assert_eq!((origin.connections(), origin.requests()), (2, 1));
}

#[test]
fn a_status_is_read_however_it_is_coded() {
    let status = |block: &[u8]| StreamSeen { blocks: vec![block.to_vec()], ..StreamSeen::default() }.status();
    assert_eq!(status(&[0x88]), Some(200));
    assert_eq!(status(&[0x8c, 0x61]), Some(400));
    assert_eq!(status(b"\x08\x03302"), Some(302));
    // RFC 7541, appendix C.6.1.
    assert_eq!(status(&[0x48, 0x82, 0x64, 0x02]), Some(302));
    assert_eq!(status(&[0x48, 0x83, 0x68, 0x4f, 0xff]), Some(429));
    assert_eq!(reset(1, 8), [0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, 8]);
}
