//! What comes out parses one way only, towards clients: arbitrary heads of servers that pass mean the same to every reader of what we
//! write, have the framing that was judged, and lose, gain or change no field of an end-to-end kind (RFC 9110 section 7.6).

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use pingora::http::ResponseHeader;
use proptest::prelude::*;

use super::strip_hop_by_hop;
use crate::message::response_head::{self, ResponseFraming};
use crate::message::strict::{self, any_case, by_name, fields_of, line, value};
use crate::message::{Version, http2};

/// Names that end at this hop, whoever names them.
const HOPS: [&str; 8] =
    ["Keep-Alive", "Proxy-Connection", "TE", "Trailer", "Upgrade", "Proxy-Authenticate", "Proxy-Authentication-Info", "Proxy"];
/// Names that `Connection` takes away if it names them.
const MINE: [&str; 4] = ["X-One", "x-Two", "Server-Timing", "!#$%&'*+-.^_`|~0"];
/// Names that it cannot take away.
const ENDS: [&str; 8] =
    ["Set-Cookie", "Content-Type", "ETag", "Vary", "Cache-Control", "Content-Encoding", "WWW-Authenticate", "X-Accel-Buffering"];

type Fields = Vec<(String, Vec<u8>)>;

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => prop::sample::select(&MINE[..]).prop_flat_map(any_case),
        3 => prop::sample::select(&ENDS[..]).prop_flat_map(any_case),
        2 => prop::sample::select(&HOPS[..]).prop_flat_map(any_case),
        1 => "[xX]-[!#$%&'*+.^_`|~0-9A-Za-z-]{1,8}",
    ]
}

fn connection() -> impl Strategy<Value = String> {
    let member = prop_oneof![
        2 => prop::sample::select(&MINE[..]).prop_flat_map(any_case),
        2 => prop::sample::select(&ENDS[..]).prop_flat_map(any_case),
        1 => prop::sample::select(&["close", "keep-alive", "Content-Length", "Transfer-Encoding", "", "x y", "Date"][..])
            .prop_map(str::to_owned),
    ];
    proptest::collection::vec(member, 0..5).prop_map(|members| members.join(", "))
}

/// A whole response head over HTTP/1.
fn head() -> impl Strategy<Value = Vec<u8>> {
    let plain = (name(), prop::sample::select(&["", " ", "\t", " \t "][..]), value())
        .prop_map(|(name, space, value)| line(&name, space, &value));
    let connection = (any_case("Connection"), connection()).prop_map(|(name, value)| line(&name, " ", value.as_bytes()));
    let field = prop_oneof![6 => plain, 2 => connection];
    let length = (any_case("Content-Length"), prop_oneof![Just(0_u64), any::<u64>()], 0_usize..3, 1_usize..3)
        .prop_map(|(name, length, zeros, times)| format!("{name}: {}{length}\r\n", "0".repeat(zeros)).repeat(times));
    let framing = prop_oneof![
        2 => Just(String::new()),
        3 => length,
        2 => (any_case("Transfer-Encoding"), any_case("chunked")).prop_map(|(name, coding)| format!("{name}:\t{coding} \r\n")),
    ];
    let start = (
        prop::sample::select(&["HTTP/1.1", "HTTP/1.1", "HTTP/1.0"][..]),
        prop::sample::select(&[200, 200, 200, 206, 301, 404, 503, 599, 204, 304, 103][..]),
        prop::sample::select(&["", " ", " OK", " Not  Quite: so", " caf\u{e9}\t!"][..]),
    );
    (start, proptest::collection::vec(field, 0..10), framing, any::<prop::sample::Index>()).prop_map(
        |((version, status, reason), mut fields, framing, at)| {
            fields.insert(at.index(fields.len() + 1), framing.into_bytes());
            [format!("{version} {status}{reason}\r\n").as_bytes(), &fields.concat(), b"\r\n"].concat()
        },
    )
}

/// What a client should see of `fields`: all but framing and what ends here.
fn expected(fields: &Fields) -> Fields {
    let lists = fields.iter().filter(|(name, _)| name == "connection").map(|(_, value)| String::from_utf8_lossy(value));
    let named: Vec<String> =
        lists.flat_map(|list| list.split(',').map(|member| member.trim().to_ascii_lowercase()).collect::<Vec<_>>()).collect();
    let is = |names: &[&str], name: &str| names.iter().any(|one| one.eq_ignore_ascii_case(name));
    let stays = |name: &str| {
        let built = ["content-length", "transfer-encoding", "connection"].contains(&name);
        let kept = is(&ENDS, name) || !named.iter().any(|one| one == name);
        !built && !is(&HOPS, name) && kept
    };
    fields.iter().filter(|(name, _)| stays(name)).cloned().collect()
}

/// The length that an answer without a body may tell all the same: that of the one to GET.
fn told_length(header: &ResponseHeader) -> Option<String> {
    header.headers.get("content-length").map(|length| length.to_str().unwrap().parse::<u64>().unwrap().to_string())
}

/// What every reader must see of `header`, which was stripped, once it is written for a client of HTTP/1.1.
fn assert_is_read_in_one_way(header: &ResponseHeader, framing: ResponseFraming, method: &Method, fields: &Fields) {
    let mut written = header.clone();
    written.set_version(http::Version::HTTP_11);
    // As `Downstream` does for a body of unknown length.
    if matches!(framing, ResponseFraming::Chunked | ResponseFraming::CloseDelimited) {
        written.insert_header("Transfer-Encoding", "chunked").unwrap();
    }
    let request = format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n");
    let sent = strict::to_client(request.as_bytes(), &written);
    let shown = sent.escape_ascii().to_string();
    let strict = strict::parse(&sent).unwrap();
    assert_eq!(strict.start[..2], ["HTTP/1.1".to_owned(), header.status.as_str().to_owned()], "{shown}");
    let wanted = match framing {
        ResponseFraming::Length(length) => Some(length.to_string()),
        ResponseFraming::Chunked | ResponseFraming::CloseDelimited => Some("chunked".to_owned()),
        ResponseFraming::None => told_length(header),
    };
    assert_eq!(strict.framing(), Ok(wanted), "{shown}");
    // Of its own connection the session below us may speak, and of the time.
    let ours = ["content-length", "transfer-encoding", "connection", "date"];
    let others = strict.fields.iter().filter(|(name, _)| !ours.contains(&name.as_str())).cloned().collect();
    assert_eq!(by_name(others), by_name(fields.clone()), "{shown}");
    assert_eq!(strict.all("date").len(), usize::from(!header.status.is_informational()), "{shown}");
    let options = strict.all("connection");
    assert!(options.iter().all(|option| [&b"keep-alive"[..], b"close"].contains(option)), "{shown}");

    // The other two readers agree.
    let again = response_head::tests::judge(&sent, method).unwrap();
    assert_eq!((again.version, again.status), (Version::Http11, header.status.as_u16()), "{shown}");
    let same = match framing {
        ResponseFraming::CloseDelimited => ResponseFraming::Chunked,
        framing => framing,
    };
    assert_eq!(again.framing, same, "{shown}");
    let mut slots = [httparse::EMPTY_HEADER; 32];
    let mut parsed = httparse::Response::new(&mut slots);
    assert_eq!(parsed.parse(&sent), Ok(httparse::Status::Complete(sent.len())), "{shown}");
    let parsed: Fields = parsed.headers.iter().map(|field| (field.name.to_ascii_lowercase(), field.value.to_vec())).collect();
    assert_eq!(parsed, strict.fields, "{shown}");

    // And the same to a client of HTTP/2.
    let response = http2::client_response(&written);
    assert_eq!(response.status(), header.status);
    let copied = |(name, value): (&HeaderName, &HeaderValue)| (name.as_str().to_owned(), value.as_bytes().to_vec());
    let got: Fields = response.headers().iter().filter(|(name, _)| *name != "content-length").map(copied).collect();
    assert_eq!(by_name(got), by_name(fields.clone()));
}

proptest! {
    #![proptest_config(crate::message::proptest_config(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/proptest-regressions/message-response-properties.txt")))]

    #[test]
    fn what_a_client_gets_of_http_1_is_read_in_one_way_and_has_every_field(raw in head(), is_head in any::<bool>()) {
        let method = if is_head { Method::HEAD } else { Method::GET };
        let Ok(judged) = response_head::tests::judge(&raw, &method) else { return Ok(()) };
        let Some(mut header) = strict::response(&raw, method.as_str()) else { return Ok(()) };
        strip_hop_by_hop(&mut header);
        assert_is_read_in_one_way(&header, judged.framing, &method, &expected(&fields_of(&raw)));
    }

    #[test]
    fn what_a_client_gets_of_http_2_is_read_in_one_way_and_has_every_field(
        status in prop::sample::select(&[200, 204, 304, 404, 103][..]),
        fields in proptest::collection::vec((name(), value()), 0..10),
        length in prop_oneof![2 => Just(None), 1 => any::<u64>().prop_map(Some)],
        end_of_stream in any::<bool>(),
    ) {
        let mut map = HeaderMap::new();
        for (name, value) in &fields {
            let Ok(value) = HeaderValue::from_bytes(value) else { return Ok(()) };
            map.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value);
        }
        if let Some(length) = length {
            map.append("content-length", HeaderValue::from(length));
        }
        let mut parts = http::Response::builder().status(status).body(()).unwrap().into_parts().0;
        parts.headers = map;
        let Ok((mut header, judged)) = http2::response(parts, &Method::GET, end_of_stream) else { return Ok(()) };
        strip_hop_by_hop(&mut header);
        let came = fields.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone())).collect();
        assert_is_read_in_one_way(&header, judged.framing, &Method::GET, &expected(&came));
    }
}

/// The properties above say nothing if nothing passes.
#[test]
fn the_heads_of_the_property_pass_often_enough() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let passes = |raw: Vec<u8>| response_head::tests::judge(&raw, &Method::GET).is_ok() && strict::response(&raw, "GET").is_some();
    let passed = (0..400).filter(|_| passes(head().new_tree(&mut runner).unwrap().current())).count();
    assert!((200..400).contains(&passed), "{passed} of 400 passed");
}
