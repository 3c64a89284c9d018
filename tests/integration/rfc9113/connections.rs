//! Frames, settings, pings, GOAWAY and windows: sections 3, 4 and 6.

use super::Outcome::{Answer, Connection, Ignored, Reset};
use super::*;
use crate::support::frames::{
    DATA, END_HEADERS, END_STREAM, HEADERS, PREFACE, block, data, frame, go_away, headers, reset, settings, window_update,
};

fn get(stream: u32) -> Vec<u8> {
    headers(stream, END_STREAM, &GET_FIELDS)
}

fn post(stream: u32) -> Vec<u8> {
    headers(stream, 0, &POST_FIELDS)
}

/// A frame whose reserved bit is set (section 4.1).
fn reserved(mut frame: Vec<u8>) -> Vec<u8> {
    frame[5] |= 0x80;
    frame
}

#[tokio::test]
async fn frames_are_framed() {
    hold(vec![
        Row::new("4.1", "a frame of an unknown type, with all flags", frame(0xfa, 0xff, 9, b"whatever"), Ignored),
        Row::new(
            "4.1",
            "one on a stream that is open",
            [post(1), frame(0xfa, 0xff, 1, b"x"), data(1, END_STREAM, b"y")].concat(),
            Answer(1, 200),
        ),
        Row::new("4.1", "the reserved bit of a stream identifier", reserved(get(1)), Answer(1, 200)),
        Row::new("4.1", "unknown flags", frame(PING, 0xfe, 0, &[0; 8]), Ignored),
        Row::new("4.2", "DATA of 16,384 bytes", [post(1), data(1, END_STREAM, &[0; 16_384])].concat(), Answer(1, 200)),
        Row::new("4.2", "DATA of one more", [post(1), data(1, END_STREAM, &[0; 16_385])].concat(), Connection(FRAME_SIZE_ERROR)),
        Row::new(
            "4.2",
            "HEADERS of one more",
            frame(HEADERS, END_HEADERS | END_STREAM, 1, &[0; 16_385]),
            Connection(FRAME_SIZE_ERROR),
        ),
        Row::new("4.2", "an unknown frame of one more", frame(0xfa, 0, 0, &[0; 16_385]), Connection(FRAME_SIZE_ERROR)),
        Row::new(
            "4.3",
            "a block that is no HPACK",
            frame(HEADERS, END_HEADERS | END_STREAM, 1, &[0xff; 20]),
            Connection(COMPRESSION_ERROR),
        )
        .but(Connection(PROTOCOL_ERROR), OTHER_CODE),
        Row::new(
            "4.3",
            "an index beyond the tables",
            frame(HEADERS, END_HEADERS | END_STREAM, 1, &[0xfe]),
            Connection(COMPRESSION_ERROR),
        )
        .but(Connection(PROTOCOL_ERROR), OTHER_CODE),
        Row::new(
            "4.3",
            "a block that breaks off",
            frame(HEADERS, END_HEADERS | END_STREAM, 1, &[0x40, 5, b'x']),
            Connection(COMPRESSION_ERROR),
        )
        .but(Connection(PROTOCOL_ERROR), OTHER_CODE),
        Row::new(
            "4.3",
            "a table larger than allowed",
            frame(HEADERS, END_HEADERS | END_STREAM, 1, &[0x3f, 0xe2, 0x1f]),
            Connection(COMPRESSION_ERROR),
        )
        .but(Connection(PROTOCOL_ERROR), OTHER_CODE),
    ])
    .await;
}

#[tokio::test]
async fn field_blocks_are_whole() {
    let fields = block(&GET_FIELDS);
    let (first, rest) = fields.split_at(10);
    let begun = frame(HEADERS, END_STREAM, 1, first);
    hold(vec![
        Row::new(
            "6.10",
            "a block in two frames",
            [begun.clone(), frame(CONTINUATION, END_HEADERS, 1, rest)].concat(),
            Answer(1, 200),
        ),
        Row::new(
            "6.10",
            "an empty CONTINUATION at its end",
            [frame(HEADERS, END_STREAM, 1, &fields), frame(CONTINUATION, END_HEADERS, 1, b"")].concat(),
            Answer(1, 200),
        ),
        Row::new("6.10", "a CONTINUATION of nothing", frame(CONTINUATION, END_HEADERS, 1, &fields), Connection(PROTOCOL_ERROR)),
        Row::new(
            "6.10",
            "a CONTINUATION behind the end of the block",
            [get(1), frame(CONTINUATION, END_HEADERS, 1, b"")].concat(),
            Connection(PROTOCOL_ERROR),
        ),
        Row::new(
            "6.10",
            "a CONTINUATION of another stream",
            [begun.clone(), frame(CONTINUATION, END_HEADERS, 3, rest)].concat(),
            Connection(PROTOCOL_ERROR),
        ),
        Row::new(
            "6.10",
            "a CONTINUATION on stream 0",
            [begun.clone(), frame(CONTINUATION, END_HEADERS, 0, rest)].concat(),
            Connection(PROTOCOL_ERROR),
        ),
        Row::new("6.2", "DATA inside of a block", [begun.clone(), data(1, 0, b"x")].concat(), Connection(PROTOCOL_ERROR)),
        Row::new(
            "6.2",
            "HEADERS of another stream inside of a block",
            [begun.clone(), get(3)].concat(),
            Connection(PROTOCOL_ERROR),
        ),
        Row::new(
            "4.3",
            "a PING inside of a block",
            [begun.clone(), frame(PING, 0, 0, &[0; 8])].concat(),
            Connection(PROTOCOL_ERROR),
        ),
        Row::new(
            "5.5",
            "an unknown frame inside of a block",
            [begun, frame(0xfa, 0, 1, b"x")].concat(),
            Connection(PROTOCOL_ERROR),
        ),
    ])
    .await;
}

#[tokio::test]
async fn padding_is_not_longer_than_its_frame() {
    let padded = |fields: &[u8], padding: u8| [&[padding], fields, &vec![0; usize::from(padding)]].concat();
    let fields = block(&GET_FIELDS);
    hold(vec![
        Row::new("6.1", "padded DATA", [post(1), frame(DATA, PADDED | END_STREAM, 1, &padded(b"x", 255))].concat(), Answer(1, 200)),
        Row::new(
            "6.1",
            "DATA that is all padding",
            [post(1), frame(DATA, PADDED | END_STREAM, 1, &padded(b"", 20))].concat(),
            Answer(1, 200),
        ),
        Row::new(
            "6.1",
            "padding longer than the payload of DATA",
            [post(1), frame(DATA, PADDED | END_STREAM, 1, &[9, 0, 0])].concat(),
            Connection(PROTOCOL_ERROR),
        ),
        Row::new(
            "6.1",
            "padded DATA without a length",
            [post(1), frame(DATA, PADDED | END_STREAM, 1, b"")].concat(),
            Connection(FRAME_SIZE_ERROR),
        )
        .but(Connection(PROTOCOL_ERROR), OTHER_CODE),
        Row::new(
            "6.2",
            "padded HEADERS",
            frame(HEADERS, PADDED | END_HEADERS | END_STREAM, 1, &padded(&fields, 30)),
            Answer(1, 200),
        ),
        Row::new(
            "6.2",
            "padding longer than the payload of HEADERS",
            frame(HEADERS, PADDED | END_HEADERS | END_STREAM, 1, &[200, 0x82]),
            Connection(PROTOCOL_ERROR),
        ),
    ])
    .await;
}

#[tokio::test]
async fn settings_are_acknowledged_and_sane() {
    hold(vec![
        Row::new("6.5.2", "an unknown setting", [settings(&[(0xfafa, 7)]), get(1)].concat(), Answer(1, 200)),
        Row::new("6.5.2", "one setting twice", [settings(&[(4, 0), (4, 65_535)]), get(1)].concat(), Answer(1, 200)),
        Row::new("6.5", "SETTINGS on a stream", frame(SETTINGS, 0, 1, b""), Connection(PROTOCOL_ERROR)),
        Row::new("6.5", "SETTINGS of five bytes", frame(SETTINGS, 0, 0, &[0; 5]), Connection(FRAME_SIZE_ERROR))
            .but(Connection(PROTOCOL_ERROR), OTHER_CODE),
        Row::new("6.5", "an ACK with something in it", frame(SETTINGS, ACK, 0, &[0; 6]), Connection(FRAME_SIZE_ERROR))
            .but(Connection(PROTOCOL_ERROR), OTHER_CODE),
        Row::new("6.5.2", "ENABLE_PUSH of 2", settings(&[(2, 2)]), Connection(PROTOCOL_ERROR)),
        Row::new("6.5.2", "a window of 2^31", settings(&[(4, 1 << 31)]), Connection(FLOW_CONTROL_ERROR))
            .but(Connection(PROTOCOL_ERROR), OTHER_CODE),
        Row::new("6.5.2", "frames of less than 16,384", settings(&[(5, 16_383)]), Connection(PROTOCOL_ERROR)),
        Row::new("6.5.2", "frames of 2^24", settings(&[(5, 1 << 24)]), Connection(PROTOCOL_ERROR)),
    ])
    .await;
}

#[tokio::test]
async fn pings_go_aways_and_priorities_are_what_they_are() {
    hold(vec![
        Row::new("6.7", "a PING on a stream", frame(PING, 0, 1, &[0; 8]), Connection(PROTOCOL_ERROR)),
        Row::new("6.7", "a PING of seven bytes", frame(PING, 0, 0, &[0; 7]), Connection(FRAME_SIZE_ERROR))
            .but(Connection(PROTOCOL_ERROR), OTHER_CODE),
        Row::new("6.7", "an answer to a PING that was never sent", frame(PING, ACK, 0, b"whatever"), Ignored),
        Row::new("6.8", "a GOAWAY on a stream", frame(GOAWAY, 0, 1, &[0; 8]), Connection(PROTOCOL_ERROR)),
        Row::new("6.3", "a PRIORITY for an idle stream", frame(PRIORITY, 0, 5, &[0, 0, 0, 0, 9]), Ignored),
        Row::new(
            "6.3",
            "a PRIORITY for a stream that is over",
            [get(1), frame(PRIORITY, 0, 1, &[0, 0, 0, 3, 9])].concat(),
            Answer(1, 200),
        ),
        Row::new("6.3", "a PRIORITY on stream 0", frame(PRIORITY, 0, 0, &[0, 0, 0, 3, 9]), Connection(PROTOCOL_ERROR)),
        Row::new("6.3", "a PRIORITY of four bytes", frame(PRIORITY, 0, 5, &[0; 4]), Reset(5, FRAME_SIZE_ERROR))
            .but(Connection(PROTOCOL_ERROR), HARSHER),
        Row::new(
            "6.6",
            "a PUSH_PROMISE from a client",
            frame(PUSH_PROMISE, END_HEADERS, 1, &[0, 0, 0, 2]),
            Connection(PROTOCOL_ERROR),
        ),
    ])
    .await;
}

#[tokio::test]
async fn windows_do_not_overflow() {
    const MOST: u32 = 0x7fff_ffff;
    hold(vec![
        Row::new("6.9", "an update of nothing for the connection", window_update(0, 0), Connection(PROTOCOL_ERROR)),
        Row::new("6.9", "an update of nothing for a stream", [post(1), window_update(1, 0)].concat(), Reset(1, PROTOCOL_ERROR))
            .but(Connection(PROTOCOL_ERROR), HARSHER),
        Row::new("6.9", "an update of three bytes", frame(WINDOW_UPDATE, 0, 0, &[0, 0, 1]), Connection(FRAME_SIZE_ERROR))
            .but(Connection(PROTOCOL_ERROR), OTHER_CODE),
        Row::new("6.9.1", "the connection's window above 2^31 - 1", window_update(0, MOST), Connection(FLOW_CONTROL_ERROR)),
        Row::new(
            "6.9.1",
            "a stream's window above 2^31 - 1",
            [post(1), window_update(1, MOST)].concat(),
            Reset(1, FLOW_CONTROL_ERROR),
        ),
        Row::new(
            "6.9.2",
            "a stream's window above that by SETTINGS",
            [post(1), window_update(1, MOST - 65_535), settings(&[(4, 65_536)])].concat(),
            Connection(FLOW_CONTROL_ERROR),
        ),
        Row::new("6.9", "an update for an idle stream", window_update(7, 1), Connection(PROTOCOL_ERROR)),
        Row::new("6.9", "an update for a stream that is over", [get(1), reset(1, CANCEL), window_update(1, 1)].concat(), Ignored),
        Row::new(
            "6.9.2",
            "windows that become negative and come back",
            [settings(&[(4, 0)]), get(1), settings(&[(4, 65_535)])].concat(),
            Answer(1, 200),
        ),
        Row::new(
            "6.9.1",
            "the reserved bit of an update",
            [post(1), frame(WINDOW_UPDATE, 0, 1, &[0x80, 0, 0, 1]), data(1, END_STREAM, b"x")].concat(),
            Answer(1, 200),
        ),
    ])
    .await;
}

/// The payload of a ping comes back as it was, once for each, and SETTINGS have one answer each.
#[tokio::test]
async fn answers_are_given_as_often_as_asked() {
    let origin = Origin::start(Script::answer("ok")).await;
    let edge = Edge::start(origin.address()).await;
    let mut client = RawHttp2::connect(edge.address()).await;
    let payloads: Vec<Vec<u8>> = (0..20_u8).map(|number| vec![number; 8]).collect();
    for payload in &payloads {
        client.send(&[frame(PING, 0, 0, payload), settings(&[(1, 4096)])].concat()).await;
    }
    client.frames().wait_for("all answers", |seen| (seen.pongs.len() == 20 && seen.acknowledged == 21).then_some(())).await;
    assert_eq!(client.frames().look(|seen| seen.pongs.clone()), payloads);
}

#[tokio::test]
async fn a_preface_is_a_preface_and_settings_come_first() {
    let origin = Origin::start(Script::answer("ok")).await;
    let edge = Edge::start(origin.address()).await;
    for (what, sent) in [
        ("HEADERS first", [PREFACE, &get(1)].concat()),
        ("a PING first", [PREFACE, &frame(PING, 0, 0, &[0; 8])].concat()),
        ("an ACK first", [PREFACE, &frame(SETTINGS, ACK, 0, b"")].concat()),
        ("another end of the preface", [b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", &settings(&[])[..], &get(1)].concat()),
    ] {
        let mut client = RawHttp2::silent(edge.address()).await;
        client.send(&sent).await;
        client.frames().wait_for(what, |seen| seen.closed).await;
        let codes = client.frames().look(|seen| seen.go_aways.iter().map(|(_, code)| *code).collect::<Vec<_>>());
        // A preface that is none may be closed without a word (section 3.4).
        assert!(codes.iter().all(|code| *code == PROTOCOL_ERROR), "{what}: {codes:?}");
        assert!(!codes.is_empty() || what.starts_with("another"), "{what}");
    }
    assert_eq!(origin.requests(), 0);
    edge.metric_becomes("ssedge_http2_connections_ended_total", "reason=\"protocol_error\"", 4.0).await;
}

/// Section 6.8: the last stream that we name is the last that was, and those up to it get their answers.
#[tokio::test]
async fn a_go_away_of_the_client_lets_its_streams_end() {
    let origin = Origin::start(Script::stream().event("a").gate().event("b").end()).await;
    let edge = Edge::start(origin.address()).await;
    let mut client = RawHttp2::connect(edge.address()).await;
    client.send(&[get(1), go_away(0, NO_ERROR)].concat()).await;
    client.frames().wait_for("an event", |seen| seen.streams.get(&1).filter(|stream| stream.data > 0).map(drop)).await;
    origin.open_gate();
    assert!(client.answer(1).await.ended);
    client.frames().wait_for("the end", |seen| seen.closed).await;
    assert_eq!(client.frames().look(|seen| seen.go_aways.last().copied()), Some((1, NO_ERROR)));
    edge.metric_becomes("ssedge_http2_connections_ended_total", "reason=\"client_closed\"", 1.0).await;
}

/// The last stream in an error's GOAWAY tells the client what it need not ask again.
#[tokio::test]
async fn a_go_away_of_ours_names_the_last_stream() {
    let origin = Origin::start(Script::answer("ok")).await;
    let edge = Edge::start(origin.address()).await;
    let mut client = RawHttp2::connect(edge.address()).await;
    client.send(&[get(1), get(5)].concat()).await;
    client.answer(5).await;
    client.send(&window_update(0, 0)).await;
    client.frames().wait_for("the end", |seen| seen.closed).await;
    assert_eq!(client.frames().look(|seen| seen.go_aways.clone()), [(5, PROTOCOL_ERROR)]);
}
