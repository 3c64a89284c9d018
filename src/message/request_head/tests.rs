//! One case per reason to refuse; and what is accepted, read in the same way by every parser behind us.

use bytes::Bytes;
use pingora::http::RequestHeader;
use pingora::protocols::http::v1::server::HttpSession;
use proptest::prelude::*;

use super::{MAX_FIELDS, Refusal, RequestFraming, RequestHead, read};
use crate::message::{HeadEnd, HeadScanner, Version};

/// The verdict on `head`.
pub(in crate::message) fn judge(head: &[u8]) -> Result<RequestHead, Refusal> {
    read(&Bytes::copy_from_slice(head)).map(|(head, _)| head)
}

/// Heads that pass, one for each liberty that a client may take.
pub(in crate::message) const ACCEPTED: [&str; 26] = [
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET / HTTP/1.0\r\n\r\n",
    "GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n",
    "GET /events?a=b&c=%20|{}`^ HTTP/1.1\r\nHOST:example.com:8080\r\n\r\n",
    "GET //two?/slashes HTTP/1.1\r\nhost:\t [::1]:8080 \t\r\n\r\n",
    "GET http://example.com/x?y HTTP/1.1\r\nHost: example.com\r\n\r\n",
    "GET HTTPS://Example.com:443?y HTTP/1.1\r\nHost: Example.com:443\r\n\r\n",
    "GET http://a HTTP/1.0\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\nHost: a_b~c.d-e\r\n\r\n",
    "OPTIONS http://a HTTP/1.1\r\nHost: a\r\n\r\n",
    "HEAD / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n",
    "M-SEARCH / HTTP/1.1\r\nHost: a\r\n\r\n",
    "!#$%&'*+-.^_`|~0a / HTTP/1.1\r\nHost: a\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\t0018446744073709551615 \r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\ntransfer-encoding: \tCHUNKED\t\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-Continue\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nExpect: 100-continue\r\n\r\n",
    "POST / HTTP/1.0\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nX-Empty:\r\nX-Empty: \t \r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nX: a:b \t c\r\nx: \u{e9}\u{1f600}\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nConnection: x, ,Close\r\nConnection: keep-alive\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    "GET /\"in{path}\\|^ HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\n\r\n",
];

/// A valid request whose head has `fields` after `Host`.
fn with(fields: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n")
}

fn accept(head: &str) -> RequestHead {
    judge(head.as_bytes()).unwrap_or_else(|refusal| panic!("{refusal:?}: {}", head.escape_debug()))
}

#[test]
fn each_thing_that_is_wrong_has_its_status_and_its_reason() {
    let line = |line: &str| format!("{line}\r\nHost: a\r\n\r\n");
    let host = |host: &str| format!("GET / HTTP/1.1\r\n{host}\r\n");
    let cases = [
        // The ends of lines, and of the head.
        (String::new(), 400, "does not end"),
        ("\r\n".into(), 400, "does not end"),
        ("\r\n\r\n".into(), 400, "no request line"),
        ("GET / HTTP/1.1\r\nHost: a\r\n".into(), 400, "does not end"),
        ("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n".into(), 400, "bytes follow"),
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET".into(), 400, "bytes follow"),
        ("GET / HTTP/1.1\nHost: a\r\n\r\n".into(), 400, "LF without CR"),
        ("GET / HTTP/1.1\r\nHost: a\n\r\n".into(), 400, "LF without CR"),
        ("GET / HTTP/1.1\r\nHost: a\r\n\n".into(), 400, "LF without CR"),
        (with("A: b\rC: d"), 400, "CR is not followed"),
        (with("A: b\r\r"), 400, "CR is not followed"),
        // The request line.
        (line("GET /"), 400, "one space"),
        (line("GET  / HTTP/1.1"), 400, "one space"),
        (line("GET /  HTTP/1.1"), 400, "one space"),
        (line("GET / HTTP/1.1 "), 400, "one space"),
        (line(" GET / HTTP/1.1"), 400, "one space"),
        (line("GET / x HTTP/1.1"), 400, "one space"),
        (line("GET\t/\tHTTP/1.1"), 400, "one space"),
        (line("GE(T / HTTP/1.1"), 400, "method is not a token"),
        (line("GE\u{e9}T / HTTP/1.1"), 400, "method is not a token"),
        (line(&format!("{} / HTTP/1.1", "A".repeat(33))), 501, "method is longer"),
        (line("CONNECT a:443 HTTP/1.1"), 501, "CONNECT"),
        (line("CONNECT / HTTP/1.1"), 501, "CONNECT"),
        (line("GET / HTTP/0.9"), 400, "HTTP/0.9"),
        (line("GET / HTTP/1.2"), 505, "neither HTTP/1.0"),
        (line("PRI * HTTP/2.0"), 505, "neither HTTP/1.0"),
        (line("GET / http/1.1"), 400, "version is not of the form"),
        (line("GET / HTTP/1.10"), 400, "version is not of the form"),
        (line("GET / HTTP/11"), 400, "version is not of the form"),
        (line("GET / ICY/1.1"), 400, "version is not of the form"),
        // The target.
        (line("GET  HTTP/1.1"), 400, "neither a path"),
        (line("GET x HTTP/1.1"), 400, "neither a path"),
        (line("GET ?x HTTP/1.1"), 400, "neither a path"),
        (line("GET a:443 HTTP/1.1"), 400, "neither a path"),
        (line("GET ftp://a/ HTTP/1.1"), 400, "neither a path"),
        (line("GET http:/a HTTP/1.1"), 400, "neither a path"),
        (line("GET * HTTP/1.1"), 400, "OPTIONS alone"),
        (line("GET /#f HTTP/1.1"), 400, "must be escaped"),
        (line("GET /?q#f HTTP/1.1"), 400, "must be escaped"),
        (line("GET /\u{e9} HTTP/1.1"), 400, "must be escaped"),
        (line("GET /?\u{e9} HTTP/1.1"), 400, "must be escaped"),
        (line("GET /\u{7f} HTTP/1.1"), 400, "must be escaped"),
        (line("GET /\u{b} HTTP/1.1"), 400, "must be escaped"),
        (line("GET /\0 HTTP/1.1"), 400, "must be escaped"),
        (line("GET /<a> HTTP/1.1"), 400, "must be escaped"),
        (line("GET /?\" HTTP/1.1"), 400, "must be escaped"),
        (line("GET /?> HTTP/1.1"), 400, "must be escaped"),
        (line("GET /` HTTP/1.1"), 400, "must be escaped"),
        (line("GET http://a/# HTTP/1.1"), 400, "must be escaped"),
        (line("GET http://a#b HTTP/1.1"), 400, "no host name has"),
        (line("GET http:///x HTTP/1.1"), 400, "host is empty"),
        (line("GET http://u@a/ HTTP/1.1"), 400, "no host name has"),
        (line("GET http://a\\b/ HTTP/1.1"), 400, "no host name has"),
        (line("GET http://b/ HTTP/1.1"), 400, "not the authority"),
        (line("GET http://A/ HTTP/1.1"), 400, "not the authority"),
        (line("GET http://a:80/ HTTP/1.1"), 400, "not the authority"),
        (line(&format!("GET /{} HTTP/1.1", "a".repeat(65_533))), 414, "too long"),
        // Host.
        (host(""), 400, "without Host"),
        (host("Host: a\r\nHost: a\r\n"), 400, "more than one Host"),
        (host("Host:\r\n"), 400, "host is empty"),
        (host("Host: u@a\r\n"), 400, "no host name has"),
        (host("Host: a b\r\n"), 400, "no host name has"),
        (host("Host: a/b\r\n"), 400, "no host name has"),
        (host("Host: a,b\r\n"), 400, "no host name has"),
        (host("Host: a%41\r\n"), 400, "no host name has"),
        (host("Host: \u{e9}\r\n"), 400, "no host name has"),
        (host("Host: :80\r\n"), 400, "no host name has"),
        (host("Host: [::1\r\n"), 400, "opening bracket"),
        (host("Host: [a]\r\n"), 400, "no IPv6 address"),
        (host("Host: [::1%25lo]\r\n"), 400, "no IPv6 address"),
        (host("Host: [::1]x\r\n"), 400, "port is not a number"),
        (host("Host: a:\r\n"), 400, "port is not a number"),
        (host("Host: a:8x\r\n"), 400, "port is not a number"),
        (host("Host: a:80:80\r\n"), 400, "port is not a number"),
        (host("Host: a:65536\r\n"), 400, "port is not a number"),
        (host("Host: a:99999999999999999999\r\n"), 400, "port is not a number"),
        ("GET / HTTP/1.0\r\nHost: a b\r\n\r\n".into(), 400, "no host name has"),
        ("GET http://b/ HTTP/1.0\r\nHost: a\r\n\r\n".into(), 400, "not the authority"),
        // Field lines.
        ("GET / HTTP/1.1\r\n Host: a\r\n\r\n".into(), 400, "starts with whitespace"),
        (with("A: b\r\n c"), 400, "starts with whitespace"),
        (with("A: b\r\n\tc: d"), 400, "starts with whitespace"),
        (with("A : b"), 400, "between a field name"),
        (with("A\t: b"), 400, "between a field name"),
        (with("Content-Length : 5"), 400, "between a field name"),
        (with("A"), 400, "no colon"),
        (with(": b"), 400, "name is empty"),
        (with("A(: b"), 400, "name is empty or has"),
        (with("\u{e9}: b"), 400, "name is empty or has"),
        (with("A\0: b"), 400, "name is empty or has"),
        (with("A: \0"), 400, "control byte"),
        (with("A: b\u{b}c"), 400, "control byte"),
        (with("A: b\u{7f}"), 400, "control byte"),
        (with(&format!("{}: b", "A".repeat(257))), 431, "name is too long"),
        (with("A: b\r\n".repeat(MAX_FIELDS).trim_end()), 431, "too many"),
        // The body's length.
        (with("Content-Length:"), 400, "one plain number"),
        (with("Content-Length: +5"), 400, "one plain number"),
        (with("Content-Length: -5"), 400, "one plain number"),
        (with("Content-Length: 5 5"), 400, "one plain number"),
        (with("Content-Length: 5,5"), 400, "one plain number"),
        (with("Content-Length: 0x5"), 400, "one plain number"),
        (with("Content-Length: 5.0"), 400, "one plain number"),
        (with("Content-Length: 5\u{b}"), 400, "control byte"),
        (with("Content-Length: \u{665}"), 400, "one plain number"),
        (with("Content-Length: 18446744073709551616"), 400, "larger than any body"),
        (with("Content-Length: 5\r\nContent-Length: 5"), 400, "more than one Content-Length"),
        (with("Content-Length: 5\r\ncontent-length: 6"), 400, "more than one Content-Length"),
        (with("Content-Length: 5\r\nTransfer-Encoding: chunked"), 400, "together"),
        (with("Transfer-Encoding: chunked\r\nContent-Length: 5"), 400, "together"),
        (with("Transfer-Encoding: x\r\nContent-Length: 5"), 400, "together"),
        (with("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"), 400, "more than one Transfer"),
        (with("Transfer-Encoding: gzip\r\ntransfer-encoding: chunked"), 400, "more than one Transfer"),
        ("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n".into(), 400, "on HTTP/1.0"),
        (with("Transfer-Encoding: gzip, chunked"), 501, "other than chunked"),
        (with("Transfer-Encoding: a;b=c , chunked"), 501, "other than chunked"),
        (with("Transfer-Encoding: gzip"), 400, "one plain chunked"),
        (with("Transfer-Encoding: identity"), 400, "one plain chunked"),
        (with("Transfer-Encoding: xchunked"), 400, "one plain chunked"),
        (with("Transfer-Encoding: chunked, gzip"), 400, "one plain chunked"),
        (with("Transfer-Encoding: chunked, chunked"), 400, "one plain chunked"),
        (with("Transfer-Encoding: chunked;a=b"), 400, "one plain chunked"),
        (with("Transfer-Encoding:"), 400, "is malformed"),
        (with("Transfer-Encoding: chunked,"), 400, "is malformed"),
        (with("Transfer-Encoding: ,chunked"), 400, "is malformed"),
        (with("Transfer-Encoding: \"chunked\""), 400, "is malformed"),
        (with("Transfer-Encoding: chun ked"), 400, "is malformed"),
        (with("Transfer-Encoding: chunked\u{b}"), 400, "control byte"),
        // The expectation.
        (with("Expect: 200-ok"), 417, "Expect"),
        (with("Expect:"), 417, "Expect"),
        (with("Expect: 100-continue, x"), 417, "Expect"),
    ];
    for (head, status, reason) in cases {
        let Err(refusal) = judge(head.as_bytes()) else { panic!("accepted: {}", head.escape_debug()) };
        assert_eq!(refusal.status, status, "{refusal:?}: {}", head.escape_debug());
        assert!(refusal.reason.contains(reason), "{refusal:?} is not {reason:?}: {}", head.escape_debug());
    }
}

#[test]
fn the_framing_is_what_the_fields_say() {
    assert_eq!(accept("POST / HTTP/1.1\r\nHost: a\r\n\r\n").framing, RequestFraming::None);
    assert_eq!(accept(&with("Content-Length: 0")).framing, RequestFraming::Length(0));
    assert_eq!(accept(&with("Content-Length: 00018")).framing, RequestFraming::Length(18));
    assert_eq!(accept(&with("Content-Length: 18446744073709551615")).framing, RequestFraming::Length(u64::MAX));
    assert_eq!(accept(&with("Transfer-Encoding: Chunked")).framing, RequestFraming::Chunked);
}

#[test]
fn a_client_waits_for_100_only_with_a_body_and_on_http_1_1() {
    assert!(accept(&with("Content-Length: 5\r\nExpect: 100-continue")).expect_continue);
    assert!(accept(&with("Transfer-Encoding: chunked\r\nExpect: 100-Continue")).expect_continue);
    assert!(!accept(&with("Content-Length: 5")).expect_continue);
    assert!(!accept(&with("Content-Length: 0\r\nExpect: 100-continue")).expect_continue);
    assert!(!accept(&with("Expect: 100-continue")).expect_continue);
    assert!(!accept("POST / HTTP/1.0\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n").expect_continue);
}

#[test]
fn the_connection_is_kept_as_the_version_and_the_options_say() {
    let kept = |version, options: &str| accept(&format!("GET / HTTP/{version}\r\nHost: a\r\n{options}\r\n")).keep_alive;
    assert!(kept("1.1", ""));
    assert!(kept("1.1", "Connection: x-close\r\n"));
    assert!(!kept("1.1", "Connection: Close\r\n"));
    assert!(!kept("1.1", "Connection: keep-alive, close\r\n"));
    assert!(!kept("1.1", "Connection: close, keep-alive, x\r\n"));
    assert!(!kept("1.1", "Connection: x\r\nConnection: close\r\n"));
    assert!(!kept("1.0", ""));
    assert!(kept("1.0", "Connection: Keep-Alive\r\n"));
    assert!(!kept("1.0", "Connection: keep-alive, close\r\n"));
}

#[test]
fn the_largest_head_that_passes_is_read_by_the_parser_behind_us() {
    let names = (0..MAX_FIELDS - 1).map(|n| format!("A{n}: b\r\n")).collect::<String>();
    let head = format!("GET /{} HTTP/1.1\r\nHost: a\r\n{names}\r\n", "a".repeat(65_532));
    accept(&head);
    read_by_pingora(head.as_bytes());
    let query = format!("GET http://a?{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(65_533 - 9));
    accept(&query);
    read_by_pingora(query.as_bytes());
}

#[test]
fn every_accepted_head_is_read_in_the_same_way_behind_us() {
    for head in ACCEPTED {
        accept(head);
        is_read_one_way(head.as_bytes());
    }
}

#[test]
fn the_target_takes_every_byte_that_the_parser_behind_us_takes() {
    for byte in 0x21..=0x7e_u8 {
        for target in [[b"/a", &[byte][..], b"b"].concat(), [b"/a?", &[byte][..], b"b"].concat()] {
            let head = [b"GET ", &target[..], b" HTTP/1.1\r\nHost: a\r\n\r\n"].concat();
            let taken = RequestHeader::build("GET", &target, None).is_ok() && byte != b'#';
            assert_eq!(judge(&head).is_ok(), taken, "{}", target.escape_ascii());
        }
    }
}

/// What Pingora makes of a head, given whole with a canary behind it.
fn read_by_pingora(head: &[u8]) -> RequestHeader {
    let bytes = [head, b"canary"].concat();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut session = HttpSession::new(Box::new(std::io::Cursor::new(bytes)));
    let read = runtime.block_on(session.read_request());
    let read = read.unwrap_or_else(|error| panic!("{error}: {}", head.escape_ascii()));
    assert_eq!(read, Some(head.len()), "{}", head.escape_ascii());
    session.req_header().clone()
}

/// Holds an accepted head against httparse, against Pingora's session, and against its own plainest spelling.
fn is_read_one_way(head: &[u8]) {
    let judged = judge(head).unwrap();
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut parsed = httparse::Request::new(&mut fields);
    assert_eq!(parsed.parse(head), Ok(httparse::Status::Complete(head.len())), "{}", head.escape_ascii());
    assert_eq!(parsed.method, Some(judged.method.as_str()));
    assert_eq!(parsed.version, Some(u8::from(judged.version == Version::Http11)));
    let target = parsed.path.unwrap();

    // Written again from what was parsed, it is judged the same: nothing hid between the parts.
    let mut plain = format!("{} {target} HTTP/1.{}\r\n", judged.method, parsed.version.unwrap()).into_bytes();
    for field in parsed.headers.iter() {
        plain.extend([field.name.as_bytes(), b": ", field.value, b"\r\n"].concat());
    }
    plain.extend(b"\r\n");
    assert_eq!(judge(&plain).as_ref(), Ok(&judged), "{}", head.escape_ascii());

    // Pingora reads the same, to the byte, and rewrites nothing.
    let header = read_by_pingora(head);
    assert_eq!(header.method, judged.method);
    assert_eq!(header.raw_path(), target.as_bytes());
    assert_eq!(header.headers.len(), parsed.headers.len(), "{}", head.escape_ascii());
    for field in parsed.headers.iter() {
        let values = header.headers.get_all(field.name);
        assert!(values.iter().any(|value| value.as_bytes() == field.value), "{}", head.escape_ascii());
    }

    // So does what the rest of the proxy is given.
    let (_, ours) = read(&Bytes::copy_from_slice(head)).unwrap();
    assert_eq!((&ours.method, ours.raw_path(), ours.version), (&header.method, header.raw_path(), header.version));
    let spelled = |header: &RequestHeader| -> Vec<(Vec<u8>, Vec<u8>)> {
        header.case_header_iter().map(|(name, value)| (name.as_slice().to_vec(), value.as_bytes().to_vec())).collect()
    };
    assert_eq!(spelled(&ours), spelled(&header), "{}", head.escape_ascii());

    let lengths: Vec<_> = header.headers.get_all("content-length").iter().map(|value| value.to_str().unwrap().parse()).collect();
    let codings = header.headers.get_all("transfer-encoding").iter().count();
    match judged.framing {
        RequestFraming::None => assert_eq!((lengths.len(), codings), (0, 0)),
        RequestFraming::Length(length) => assert_eq!((lengths, codings), (vec![Ok(length)], 0)),
        RequestFraming::Chunked => assert_eq!((lengths.len(), codings), (0, 1)),
    }
}

/// A head that passes, spoiled in up to three places by bytes and words that parsers disagree on.
fn spoiled_head() -> impl Strategy<Value = Vec<u8>> {
    let pieces: [&[u8]; 36] = [
        b"\r",
        b"\n",
        b"\r\n",
        b"\r\n\r\n",
        b" ",
        b"\t",
        b":",
        b",",
        b";",
        b"\0",
        b"\x0b",
        b"\x7f",
        b"\x80",
        b"\xff",
        b"#",
        b"%",
        b"?",
        b"/",
        b"\\",
        b"@",
        b"*",
        b"\"",
        b"<",
        b"0",
        b"+",
        b"A",
        b"chunked",
        b"\r\nHost: a",
        b"\r\nHost: b",
        b"\r\nContent-Length: 5",
        b"\r\nTransfer-Encoding: chunked",
        b"\r\nTransfer-Encoding: x",
        b"\r\nExpect: 100-continue",
        b"\r\n folded",
        b"HTTP/1.1",
        b"http://a/",
    ];
    let edit = (any::<prop::sample::Index>(), 0_usize..3, prop::sample::select(pieces.to_vec()));
    (prop::sample::select(&ACCEPTED[..]), proptest::collection::vec(edit, 0..4)).prop_map(|(head, edits)| {
        let mut head = head.as_bytes().to_vec();
        for (at, removed, inserted) in edits {
            let at = at.index(head.len());
            let end = (at + removed).min(head.len() - 1);
            head.splice(at.min(end)..end, inserted.iter().copied());
        }
        head
    })
}

/// A head put together from parts that are each fine or nearly fine.
fn assembled_head() -> impl Strategy<Value = Vec<u8>> {
    let line = ("[A-Z]{1,8}", r#"(/|\*|http://a(:1)?)[!-~]{0,12}"#, "HTTP/1\\.[01]")
        .prop_map(|(method, target, version)| format!("{method} {target} {version}\r\n"));
    let field = ("[!-9;-~]{1,6}", "[ \t]{0,2}", "[\t -~\u{80}-\u{2ff}]{0,12}")
        .prop_map(|(name, space, value)| format!("{name}:{space}{value}\r\n"));
    let host = prop::sample::select(&["", "Host: a\r\n", "Host: a:1\r\n", "host:a\t\r\n"][..]);
    (line, host, proptest::collection::vec(field, 0..4))
        .prop_map(|(line, host, fields)| format!("{line}{host}{}\r\n", fields.concat()).into_bytes())
}

proptest! {
    #![proptest_config(crate::message::proptest_config(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/proptest-regressions/message-request-head.txt")))]

    #[test]
    fn what_is_accepted_is_read_in_one_way_only(head in prop_oneof![spoiled_head(), assembled_head()]) {
        if judge(&head).is_ok() {
            is_read_one_way(&head);
            prop_assert_eq!(HeadScanner::new().scan(&head), HeadEnd::Complete(head.len()));
        }
    }

    #[test]
    fn what_the_scanner_refuses_is_never_accepted(head in spoiled_head()) {
        match HeadScanner::new().scan(&head) {
            HeadEnd::Refused(_) => prop_assert!(judge(&head).is_err()),
            HeadEnd::Partial => prop_assert!(judge(&head).is_err()),
            HeadEnd::Complete(end) => prop_assert!(end == head.len() || judge(&head).is_err()),
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = judge(&bytes);
        let _ = HeadScanner::new().scan(&bytes);
    }
}
