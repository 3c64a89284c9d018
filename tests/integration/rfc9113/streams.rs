//! The life of a stream: section 5.

use super::Outcome::{Answer, Connection, Ignored, Reset};
use super::*;
use crate::support::frames::{END_STREAM, data, frame, headers, reset};

fn get(stream: u32) -> Vec<u8> {
    headers(stream, END_STREAM, &GET_FIELDS)
}

fn post(stream: u32) -> Vec<u8> {
    headers(stream, 0, &POST_FIELDS)
}

#[tokio::test]
async fn idle_streams_take_nothing_but_heads() {
    hold(vec![
        Row::new("5.1", "DATA on an idle stream", data(1, END_STREAM, b"x"), Connection(PROTOCOL_ERROR)),
        Row::new("5.1", "RST_STREAM on an idle stream", reset(1, CANCEL), Connection(PROTOCOL_ERROR)),
        Row::new("6.1", "DATA on stream 0", data(0, END_STREAM, b"x"), Connection(PROTOCOL_ERROR)),
        Row::new("6.2", "HEADERS on stream 0", get(0), Connection(PROTOCOL_ERROR)),
        Row::new("6.4", "RST_STREAM on stream 0", reset(0, CANCEL), Connection(PROTOCOL_ERROR)),
        Row::new(
            "6.4",
            "RST_STREAM of three bytes",
            [post(1), frame(RST_STREAM, 0, 1, &[0; 3])].concat(),
            Connection(FRAME_SIZE_ERROR),
        )
        .but(Connection(PROTOCOL_ERROR), OTHER_CODE),
        Row::new("6.4", "RST_STREAM with an unknown code", [post(1), reset(1, 0xdead_beef)].concat(), Ignored),
        Row::new("6.4", "RST_STREAM twice", [post(1), reset(1, CANCEL), reset(1, CANCEL)].concat(), Ignored),
    ])
    .await;
}

#[tokio::test]
async fn stream_identifiers_are_odd_and_grow() {
    hold(vec![
        Row::new("5.1.1", "an even stream", get(2), Connection(PROTOCOL_ERROR)),
        Row::new("5.1.1", "a stream below one that was opened", [get(5), get(3)].concat(), Connection(PROTOCOL_ERROR)),
        Row::new("5.1.1", "streams left out", [get(1), get(9)].concat(), Answer(9, 200)),
    ])
    .await;
}

#[tokio::test]
async fn what_is_over_for_the_client_takes_no_more_from_it() {
    hold(vec![
        Row::new(
            "5.1",
            "DATA behind END_STREAM",
            [post(1), data(1, END_STREAM, b"x"), data(1, 0, b"y")].concat(),
            Reset(1, STREAM_CLOSED),
        )
        .but(Connection(PROTOCOL_ERROR), HARSHER),
        Row::new("5.1", "HEADERS behind END_STREAM", [get(1), get(1)].concat(), Reset(1, STREAM_CLOSED))
            .but(Connection(PROTOCOL_ERROR), HARSHER),
        Row::new("5.1", "DATA behind RST_STREAM", [post(1), reset(1, CANCEL), data(1, 0, b"y")].concat(), Reset(1, STREAM_CLOSED)),
        Row::new("5.1", "HEADERS behind RST_STREAM", [post(1), reset(1, CANCEL), get(1)].concat(), Reset(1, STREAM_CLOSED))
            .but(Connection(PROTOCOL_ERROR), HARSHER),
        Row::new("5.3.1", "a stream that depends on itself", [post(1), frame(PRIORITY, 0, 1, &[0, 0, 0, 1, 9])].concat(), Ignored),
    ])
    .await;
}
