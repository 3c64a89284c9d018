//! Lines as they are written, and what clients try to write into them.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use serde_json::Value;

use super::super::encode::LONGEST_VALUE;
use super::super::{Asked, RequestLine, StreamCloseLine, StreamOpenLine};
use super::request;
use crate::stream::EndReason;
use crate::telemetry::logging::LogFormat;

fn time() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(1_767_323_045_678)
}

fn rendered(render: impl FnOnce(SystemTime, &mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    render(time(), &mut out);
    String::from_utf8(out).expect("lines are UTF-8, whatever was in them")
}

fn text_of(line: &RequestLine<'_>) -> String {
    rendered(|time, out| line.render(LogFormat::Text, time, out))
}

fn json_of(line: &RequestLine<'_>) -> String {
    rendered(|time, out| line.render(LogFormat::Json, time, out))
}

/// An own reading of the text format: keys and raw values, back to bytes. `None` if it is no line of it.
fn parse_text(line: &str) -> Option<Vec<(String, Vec<u8>)>> {
    let mut rest = line.strip_suffix('\n')?.as_bytes();
    let mut fields = Vec::new();
    while !rest.is_empty() {
        let equals = rest.iter().position(|byte| *byte == b'=')?;
        let key = String::from_utf8(rest[..equals].to_vec()).ok()?;
        let mut value = Vec::new();
        let mut at = equals + 1;
        if rest.get(at) == Some(&b'"') {
            at += 1;
            loop {
                match (rest.get(at)?, rest.get(at + 1)) {
                    (b'"', _) => break,
                    (b'\\', Some(b'x')) => {
                        let code = std::str::from_utf8(rest.get(at + 2..at + 4)?).ok()?;
                        value.push(u8::from_str_radix(code, 16).ok()?);
                        at += 4;
                    }
                    (b'\\', Some(byte)) => {
                        value.push(*byte);
                        at += 2;
                    }
                    (byte, _) => {
                        value.push(*byte);
                        at += 1;
                    }
                }
            }
            at += 1;
        } else {
            let end = rest[at..].iter().position(|byte| *byte == b' ').map_or(rest.len(), |end| at + end);
            value.extend_from_slice(&rest[at..end]);
            at = end;
        }
        rest = match rest.get(at) {
            None => &[],
            Some(b' ') => &rest[at + 1..],
            Some(_) => return None,
        };
        fields.push((key, value));
    }
    Some(fields)
}

const STREAM: u64 = 41;

fn asked() -> Asked<'static> {
    Asked { client: "2001:db8::7".parse::<IpAddr>().expect("an address"), ..request(b"example.com", b"/events").asked }
}

fn close() -> StreamCloseLine<'static> {
    StreamCloseLine {
        asked: asked(),
        stream: STREAM,
        duration: Duration::from_millis(61_500),
        events: 12,
        bytes: 345,
        heartbeats: 4,
        last_id: Some(b"a 1"),
        reason: EndReason::UpstreamLost,
    }
}

fn open() -> StreamOpenLine<'static> {
    StreamOpenLine { asked: asked(), stream: STREAM, status: 200, connect: None, first_byte: Some(Duration::from_millis(7)) }
}

#[test]
fn a_request_is_one_line_of_text() {
    assert_eq!(
        text_of(&request(b"example.com", b"/a/b")),
        "time=2026-01-02T03:04:05.678Z kind=request client=192.0.2.7 method=GET host=example.com path=/a/b route=0 upstream=app \
         server=10.0.0.1:3000 status=200 bytes=5 connect_seconds=0.000213 first_byte_seconds=0.012000 seconds=1.013000\n"
    );
}

#[test]
fn a_request_is_one_object_of_json() {
    assert_eq!(
        json_of(&request(b"example.com", b"/a/b")),
        "{\"time\":\"2026-01-02T03:04:05.678Z\",\"kind\":\"request\",\"client\":\"192.0.2.7\",\"method\":\"GET\",\
         \"host\":\"example.com\",\"path\":\"/a/b\",\"route\":\"0\",\"upstream\":\"app\",\"server\":\"10.0.0.1:3000\",\
         \"status\":200,\"bytes\":5,\"connect_seconds\":0.000213,\"first_byte_seconds\":0.012000,\"seconds\":1.013000}\n"
    );
}

#[test]
fn a_refusal_tells_what_is_known_and_why() {
    let client = "192.0.2.7".parse().expect("an address");
    let asked = Asked { client, method: None, host: None, path: None, route: None, upstream: None, server: None };
    let line = RequestLine {
        asked,
        status: 431,
        reason: Some("the request head is too long"),
        bytes: 0,
        connect: None,
        first_byte: None,
        total: Duration::from_millis(1),
    };
    assert_eq!(
        text_of(&line),
        "time=2026-01-02T03:04:05.678Z kind=request client=192.0.2.7 status=431 reason=\"the request head is too long\" bytes=0 \
         seconds=0.001000\n"
    );
}

#[test]
fn a_stream_has_a_line_at_its_open_and_one_at_its_close() {
    assert_eq!(
        rendered(|time, out| open().render(LogFormat::Text, time, out)),
        "time=2026-01-02T03:04:05.678Z kind=stream_open stream=41 client=2001:db8::7 method=GET host=example.com path=/events route=0 \
         upstream=app server=10.0.0.1:3000 status=200 first_byte_seconds=0.007000\n"
    );
    assert_eq!(
        rendered(|time, out| close().render(LogFormat::Text, time, out)),
        "time=2026-01-02T03:04:05.678Z kind=stream_close stream=41 client=2001:db8::7 method=GET host=example.com path=/events route=0 \
         upstream=app server=10.0.0.1:3000 reason=upstream_lost seconds=61.500000 events=12 bytes=345 heartbeats=4 last_id=\"a 1\"\n"
    );
    let json: Value = serde_json::from_str(&rendered(|time, out| close().render(LogFormat::Json, time, out))).expect("JSON");
    assert_eq!((&json["kind"], &json["stream"], &json["last_id"]), (&"stream_close".into(), &41.into(), &"a 1".into()));
    assert_eq!(json["seconds"], 61.5);
    let json: Value = serde_json::from_str(&rendered(|time, out| open().render(LogFormat::Json, time, out))).expect("JSON");
    assert_eq!((&json["kind"], json.get("connect_seconds")), (&"stream_open".into(), None));
}

#[test]
fn a_query_is_not_logged_even_if_it_is_handed_over() {
    for path in [&b"/a?token=secret"[..], b"/a#secret", b"/a?b#secret", b"?secret"] {
        let line = request(b"h", path);
        assert!(!text_of(&line).contains("secret") && !json_of(&line).contains("secret"), "{}", text_of(&line));
    }
    assert!(text_of(&request(b"h", b"/a?token=secret")).contains(" path=/a "));
}

#[test]
fn a_client_cannot_begin_a_line_or_a_field_of_its_own() {
    let forged = b"/\nkind=request client=10.0.0.1 status=200 path=\"/\r\n";
    let line = text_of(&request(b"h", forged));
    assert_eq!(line.matches('\n').count(), 1, "{line}");
    assert!(line.contains(r#" path="/\x0akind=request client=10.0.0.1 status=200 path=\"/\x0d\x0a" "#), "{line}");
    let quote = text_of(&request(b"a\" status=500 x=\"", b"/"));
    assert!(quote.contains(r#" host="a\" status=500 x=\"" path=/ "#), "{quote}");
    let json = json_of(&request(b"h", b"/\",\"status\":500,\"x\":\"\n\\"));
    let object: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!((&object["status"], &object["path"]), (&200.into(), &"/\",\"status\":500,\"x\":\"\n\\".into()));
}

#[test]
fn a_client_cannot_steer_the_terminal_of_whoever_reads_along() {
    let nasty = "/\u{1b}]0;owned\u{7}\u{9b}2J\u{202e}gnp.\u{2028}\u{7f}\u{feff}\u{200b}";
    let text = text_of(&request(b"h", nasty.as_bytes()));
    assert!(text.trim_end().bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{text:?}");
    let json = json_of(&request(b"h", nasty.as_bytes()));
    assert!(json.trim_end().bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{json:?}");
    assert_eq!(serde_json::from_str::<Value>(&json).expect("JSON")["path"], nasty, "nothing is lost");
}

#[test]
fn every_byte_in_every_place_leaves_one_line_that_can_be_taken_apart() {
    for byte in 0..=u8::MAX {
        for value in [vec![byte], vec![b'a', byte], vec![byte, b'a'], vec![byte, byte], vec![0xc3, byte], vec![b'"', byte, b'\\']] {
            let mut line = request(&value, b"/");
            line.asked.path = None;
            let text = text_of(&line);
            let fields = parse_text(&text).unwrap_or_else(|| panic!("{text:?}"));
            assert_eq!(fields.len(), 13, "{text}");
            assert_eq!(fields[4], ("host".to_owned(), value.clone()), "{text}");
            let json = json_of(&line);
            assert_eq!(json.matches('\n').count(), 1, "{json:?}");
            let object: Value = serde_json::from_str(&json).unwrap_or_else(|error| panic!("{error}: {json:?}"));
            assert_eq!(object["host"].as_str(), Some(&*String::from_utf8_lossy(&value)), "{json}");
        }
    }
}

#[test]
fn an_empty_value_is_told_from_none() {
    assert!(text_of(&request(b"", b"/")).contains(" host=\"\" "));
    assert!(json_of(&request(b"", b"/")).contains("\"host\":\"\""));
}

#[test]
fn other_scripts_stay_readable_in_json() {
    assert!(json_of(&request(b"h", "/grüße/日本/🙂".as_bytes())).contains("\"path\":\"/grüße/日本/🙂\""));
}

#[test]
fn a_long_value_is_cut_and_says_so() {
    let host = vec![b'a'; LONGEST_VALUE];
    assert!(text_of(&request(&host, b"/")).contains(&format!(" host={} ", "a".repeat(LONGEST_VALUE))));
    let host = vec![b'a'; 64 << 10];
    assert!(text_of(&request(&host, b"/")).contains(&format!(" host=\"{}...\" ", "a".repeat(LONGEST_VALUE))));
    // The cut goes through a character.
    let host = format!("a{}", "ü".repeat(LONGEST_VALUE));
    let json: Value = serde_json::from_str(&json_of(&request(host.as_bytes(), b"/"))).expect("JSON");
    assert_eq!(json["host"], format!("a{}...", "ü".repeat((LONGEST_VALUE - 1) / 2)));
}

#[test]
fn a_clock_that_is_wrong_by_ages_still_gives_a_line() {
    let mut out = Vec::new();
    let far = SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 60);
    request(b"h", b"/").render(LogFormat::Text, far, &mut out);
    assert!(out.starts_with(b"time=1970-01-01T00:00:00.000Z kind=request "), "{}", String::from_utf8_lossy(&out));
}
