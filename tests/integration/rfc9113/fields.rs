//! HTTP in HTTP/2: section 8.

use super::Outcome::{Answer, Connection, Reset};
use super::*;
use crate::support::frames::{DATA, END_STREAM, data, frame, headers};

type Fields = Vec<(&'static str, &'static str)>;

fn with(name: &'static str, value: &'static str) -> Fields {
    GET_FIELDS.into_iter().filter(|(have, _)| *have != name || !name.starts_with(':')).chain([(name, value)]).collect()
}

/// The pseudo-field in the place where it stood.
fn instead(name: &'static str, value: &'static str) -> Fields {
    GET_FIELDS.into_iter().map(|(have, old)| if have == name { (name, value) } else { (have, old) }).collect()
}

fn without(name: &str) -> Fields {
    GET_FIELDS.into_iter().filter(|(have, _)| *have != name).collect()
}

fn get(fields: &[(&str, &str)]) -> Vec<u8> {
    headers(1, END_STREAM, fields)
}

/// A POST with one more field, whose body is `body`.
fn post(field: (&str, &str), body: &str) -> Vec<u8> {
    let head = headers(1, 0, &[&POST_FIELDS[..], &[field]].concat());
    [head, data(1, END_STREAM, body.as_bytes())].concat()
}

/// Malformed, as the codec sees it.
const MALFORMED: Outcome = Reset(1, PROTOCOL_ERROR);
/// Malformed, as we see it: an answer says more than a reset does (section 8.1.1 allows both).
const REFUSED: Outcome = Answer(1, 400);
const ANSWERED: &str = "a server may answer before it ends a malformed request (section 8.1.1), and whoever debugs it reads why";

#[tokio::test]
async fn field_names_and_values_are_fields() {
    hold(vec![
        Row::new("8.2.1", "an upper case name", get(&with("Upper", "1")), MALFORMED).but(Connection(PROTOCOL_ERROR), HARSHER),
        Row::new("8.2.1", "an empty name", get(&with("", "1")), MALFORMED).but(Connection(PROTOCOL_ERROR), HARSHER),
        Row::new("8.2.1", "a name with a space", get(&with("a b", "1")), MALFORMED).but(Connection(PROTOCOL_ERROR), HARSHER),
        Row::new("8.2.1", "a name with a colon", get(&with("a:b", "1")), MALFORMED).but(Connection(PROTOCOL_ERROR), HARSHER),
        Row::new("8.2.1", "a name beyond ASCII", get(&with("\u{e9}", "1")), MALFORMED).but(Connection(PROTOCOL_ERROR), HARSHER),
        Row::new("8.2.1", "NUL in a value", get(&with("x", "a\0b")), MALFORMED).but(Connection(PROTOCOL_ERROR), HARSHER),
        Row::new("8.2.1", "CR in a value", get(&with("x", "a\rb")), MALFORMED).but(Connection(PROTOCOL_ERROR), HARSHER),
        Row::new("8.2.1", "LF in a value", get(&with("x", "a\nb")), MALFORMED).but(Connection(PROTOCOL_ERROR), HARSHER),
        Row::new("8.2.1", "a value that begins with a space", get(&with("x", " a")), MALFORMED).but(REFUSED, ANSWERED),
        Row::new("8.2.1", "a value that ends with a tab", get(&with("x", "a\t")), MALFORMED).but(REFUSED, ANSWERED),
        Row::new("8.2.1", "a value with a space inside", get(&with("x", "a b\tc")), Answer(1, 200)),
        Row::new("8.2.2", "connection", get(&with("connection", "close")), MALFORMED),
        Row::new("8.2.2", "proxy-connection", get(&with("proxy-connection", "close")), MALFORMED),
        Row::new("8.2.2", "keep-alive", get(&with("keep-alive", "timeout=5")), MALFORMED),
        Row::new("8.2.2", "transfer-encoding", get(&with("transfer-encoding", "chunked")), MALFORMED),
        Row::new("8.2.2", "upgrade", get(&with("upgrade", "h2c")), MALFORMED),
        Row::new("8.2.2", "te: trailers", get(&with("te", "trailers")), Answer(1, 200)),
        Row::new("8.2.2", "te: gzip", get(&with("te", "gzip")), MALFORMED),
        Row::new("8.2.3", "a cookie in crumbs", get(&[&with("cookie", "a=1")[..], &[("cookie", "b=2")]].concat()), Answer(1, 200)),
    ])
    .await;
}

#[tokio::test]
async fn pseudo_fields_say_what_is_asked() {
    let twice = |name, value| get(&[&[(name, value)][..], &GET_FIELDS].concat());
    let connect = |fields: &[(&str, &str)]| get(&[&[(":method", "CONNECT")][..], fields].concat());
    hold(vec![
        Row::new("8.3.1", "no :method", get(&without(":method")), MALFORMED),
        Row::new("8.3.1", "no :scheme", get(&without(":scheme")), MALFORMED),
        Row::new("8.3.1", "no :path", get(&without(":path")), MALFORMED),
        Row::new("8.3.1", "an empty :path", get(&instead(":path", "")), MALFORMED),
        Row::new("8.3.1", "a :path without its slash", get(&instead(":path", "a")), MALFORMED),
        Row::new("8.3.1", "a :path of * with GET", get(&instead(":path", "*")), MALFORMED).but(REFUSED, ANSWERED),
        Row::new(
            "8.3.1",
            "a :path of * with OPTIONS",
            get(&[(":method", "OPTIONS"), (":scheme", "http"), (":authority", "test"), (":path", "*")]),
            Answer(1, 200),
        ),
        Row::new("8.3.1", "two :method", twice(":method", "GET"), MALFORMED),
        Row::new("8.3.1", "two :path", twice(":path", "/"), MALFORMED),
        Row::new("8.3.1", "two :scheme", twice(":scheme", "http"), MALFORMED),
        Row::new("8.3.1", "two :authority", twice(":authority", "test"), MALFORMED),
        Row::new("8.3", "an unknown pseudo-field", twice(":other", "1"), MALFORMED).but(Connection(PROTOCOL_ERROR), HARSHER),
        Row::new("8.3", "one of responses", twice(":status", "200"), MALFORMED),
        Row::new("8.3", "a field before pseudo-fields", twice("x", "1"), MALFORMED),
        Row::new("8.3.1", "user information in :authority", get(&instead(":authority", "user@test")), MALFORMED)
            .but(REFUSED, ANSWERED),
        Row::new("8.3.1", "neither :authority nor host", get(&without(":authority")), MALFORMED).but(REFUSED, ANSWERED),
        Row::new(
            "8.3.1",
            "host in place of :authority",
            get(&[&without(":authority")[..], &[("host", "test")]].concat()),
            Answer(1, 200),
        ),
        Row::new("8.3.1", "host as :authority", get(&with("host", "test")), Answer(1, 200)),
        Row::new("8.3.1", "host against :authority", get(&with("host", "other")), MALFORMED).but(REFUSED, ANSWERED),
        Row::new("8.3.1", "another scheme", get(&instead(":scheme", "ftp")), Answer(1, 400)),
        Row::new(
            "8.5",
            "CONNECT with a :path",
            connect(&[(":scheme", "http"), (":authority", "test:80"), (":path", "/")]),
            MALFORMED,
        ),
        Row::new("8.5", "CONNECT without :authority", connect(&[]), MALFORMED).but(Answer(1, 501), ANSWERED),
        Row::new("8.5", "CONNECT, which we do not offer", connect(&[(":authority", "test:80")]), Answer(1, 501)),
    ])
    .await;
}

#[tokio::test]
async fn bodies_are_as_long_as_they_say_and_trailers_are_fields() {
    let head = || headers(1, 0, &POST_FIELDS);
    let trailers = |flags, fields: &[(&str, &str)]| [head(), data(1, 0, b"x"), headers(1, flags, fields)].concat();
    hold(vec![
        Row::new("8.1.1", "as long as it says", post(("content-length", "4"), "1234"), Answer(1, 200)),
        Row::new("8.1.1", "longer than it says", post(("content-length", "3"), "1234"), MALFORMED),
        Row::new("8.1.1", "shorter than it says", post(("content-length", "5"), "1234"), MALFORMED),
        Row::new("8.1.1", "no body where one is announced", get(&with("content-length", "5")), MALFORMED),
        Row::new("8.1.1", "a length that is none", post(("content-length", "+4"), "1234"), MALFORMED),
        Row::new("8.1.1", "a length in a list", post(("content-length", "4, 4"), "1234"), MALFORMED),
        Row::new("8.1", "trailers", trailers(END_STREAM, &[("x-sum", "1")]), Answer(1, 200)),
        Row::new("8.1", "trailers that do not end the stream", trailers(0, &[("x-sum", "1")]), MALFORMED),
        Row::new("8.1", "pseudo-fields in trailers", trailers(END_STREAM, &[(":path", "/")]), MALFORMED)
            .but(Answer(1, 200), "the codec drops them, so that nobody behind it can read them, and tells nobody of it"),
        Row::new("8.1", "a field of connections in trailers", trailers(END_STREAM, &[("connection", "close")]), MALFORMED),
        Row::new(
            "8.1",
            "DATA behind trailers",
            [trailers(END_STREAM, &[("x-sum", "1")]), frame(DATA, 0, 1, b"y")].concat(),
            Reset(1, STREAM_CLOSED),
        )
        .but(Connection(PROTOCOL_ERROR), HARSHER),
    ])
    .await;
}
