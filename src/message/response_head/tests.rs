//! Response heads: what passes with which framing, and one case per reason not to.

use bytes::Bytes;
use http::Method;
use proptest::prelude::*;

use super::{MAX_FIELDS, ResponseFraming, ResponseHead, end, is_hop_by_hop, names_fields, read};
use crate::message::Version;

/// The verdict on `head`.
pub(in crate::message) fn judge(head: &[u8], method: &Method) -> Result<ResponseHead, &'static str> {
    read(&Bytes::copy_from_slice(head), method).map(|(head, _)| head)
}

const ACCEPTED: [&str; 14] = [
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
    "HTTP/1.1 200\r\n\r\n",
    "HTTP/1.1 200 \r\n\r\n",
    "HTTP/1.0 404 Not \u{e9}t\u{e9}\t!\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked \r\n\r\n",
    "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nContent-Length:\t5\r\n\r\n",
    "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
    "HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n",
    "HTTP/1.1 100 Continue\r\n\r\n",
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
    "HTTP/1.1 599 x\r\nA:\r\na: b:c \t d\r\n\r\n",
    "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n",
];

fn framing(head: &str, method: &Method) -> ResponseFraming {
    judge(head.as_bytes(), method).unwrap_or_else(|reason| panic!("{reason}: {}", head.escape_debug())).framing
}

#[test]
fn each_status_and_method_has_the_framing_of_the_standard() {
    let with = |status: &str, fields: &str| format!("HTTP/1.1 {status} x\r\n{fields}\r\n");
    let (length, chunked) = ("Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n");
    for (head, method, expected) in [
        (with("200", length), Method::GET, ResponseFraming::Length(5)),
        (with("200", chunked), Method::GET, ResponseFraming::Chunked),
        (with("200", ""), Method::POST, ResponseFraming::CloseDelimited),
        (with("500", "Content-Length: 0\r\n"), Method::GET, ResponseFraming::Length(0)),
        (with("200", length), Method::HEAD, ResponseFraming::None),
        (with("200", chunked), Method::HEAD, ResponseFraming::None),
        (with("200", ""), Method::HEAD, ResponseFraming::None),
        (with("204", ""), Method::GET, ResponseFraming::None),
        (with("204", "Content-Length: 0\r\n"), Method::GET, ResponseFraming::None),
        (with("304", length), Method::GET, ResponseFraming::None),
        (with("304", chunked), Method::GET, ResponseFraming::None),
        (with("103", ""), Method::GET, ResponseFraming::None),
        (with("200", "Content-Length: 5\r\nContent-Length: 5\r\n"), Method::GET, ResponseFraming::Length(5)),
        ("HTTP/1.0 200\r\n\r\n".into(), Method::GET, ResponseFraming::CloseDelimited),
    ] {
        assert_eq!(framing(&head, &method), expected, "{method} {}", head.escape_debug());
    }
}

#[test]
fn the_version_and_the_status_are_those_of_the_line() {
    let head = judge(b"HTTP/1.0 404\r\n\r\n", &Method::GET).unwrap();
    assert_eq!((head.version, head.status), (Version::Http10, 404));
    assert_eq!(judge(b"HTTP/1.1 100 x\r\n\r\n", &Method::GET).unwrap().status, 100);
}

#[test]
fn a_connection_is_kept_only_when_the_body_has_its_own_end() {
    let kept = |head: &str| judge(head.as_bytes(), &Method::GET).unwrap().keep_alive;
    assert!(kept("HTTP/1.1 200\r\nContent-Length: 5\r\n\r\n"));
    assert!(kept("HTTP/1.1 204\r\n\r\n"));
    assert!(!kept("HTTP/1.1 200\r\n\r\n"));
    assert!(!kept("HTTP/1.1 200\r\nConnection: keep-alive\r\n\r\n"));
    assert!(!kept("HTTP/1.1 200\r\nContent-Length: 5\r\nConnection: x, Close\r\n\r\n"));
    assert!(!kept("HTTP/1.0 200\r\nContent-Length: 5\r\n\r\n"));
    assert!(kept("HTTP/1.0 200\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\n"));
}

#[test]
fn each_thing_that_is_wrong_has_its_reason() {
    let with = |fields: &str| format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n");
    let status = |status: u16, fields: &str| format!("HTTP/1.1 {status} x\r\n{fields}\r\n\r\n");
    let cases = [
        (String::new(), "does not end"),
        ("\r\n".into(), "no status line"),
        ("\r\nHTTP/1.1 200 OK\r\n\r\n".into(), "bytes follow"),
        ("HTTP/1.1 200 OK\n\r\n".into(), "LF without CR"),
        ("HTTP/1.1 200 OK\r\nA: b\n\r\n".into(), "LF without CR"),
        ("HTTP/1.1 200 OK\r\nA: b\rc\r\n\r\n".into(), "CR is not followed"),
        ("HTTP/1.1 200 OK\r\n\r\nx".into(), "bytes follow"),
        ("HTTP".into(), "does not end"),
        ("HTTP\r\n\r\n".into(), "too short"),
        ("HTTP/2.0 200\r\n\r\n".into(), "neither HTTP/1.0"),
        ("http/1.1 200\r\n\r\n".into(), "neither HTTP/1.0"),
        ("ICY 200 OK\r\n\r\n".into(), "neither HTTP/1.0"),
        ("HTTP/1.1\t200 OK\r\n\r\n".into(), "no single space"),
        ("HTTP/1.1  200 OK\r\n\r\n".into(), "not three digits"),
        ("HTTP/1.1 20\r\n\r\n".into(), "not three digits"),
        ("HTTP/1.1 2000 OK\r\n\r\n".into(), "not three digits"),
        ("HTTP/1.1 2x0 OK\r\n\r\n".into(), "not three digits"),
        ("HTTP/1.1 099 OK\r\n\r\n".into(), "between 100 and 599"),
        ("HTTP/1.1 600 OK\r\n\r\n".into(), "between 100 and 599"),
        ("HTTP/1.1 200 O\0K\r\n\r\n".into(), "control byte"),
        (with("A : b"), "between a field name"),
        (with("A: b\r\n c"), "starts with whitespace"),
        (with("A: \0"), "control byte"),
        (with("A"), "no colon"),
        (with("A(: b"), "name is empty or has"),
        (with("A: b\r\n".repeat(MAX_FIELDS + 1).trim_end()), "too many"),
        (with(&format!("{}: b", "A".repeat(257))), "too long"),
        (with("Content-Length: 5, 5"), "one plain number"),
        (with("Content-Length: +5"), "one plain number"),
        (with("Content-Length:"), "one plain number"),
        (with("Content-Length: 18446744073709551616"), "larger than any body"),
        (with("Content-Length: 5\r\nContent-Length: 6"), "two different"),
        (with("Content-Length: 5\r\nTransfer-Encoding: chunked"), "together"),
        (with("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"), "more than one"),
        (with("Transfer-Encoding: gzip, chunked"), "one plain chunked"),
        (with("Transfer-Encoding: identity"), "one plain chunked"),
        (with("Transfer-Encoding:"), "one plain chunked"),
        (with("Transfer-Encoding: chunked\u{b}"), "control byte"),
        ("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".into(), "on HTTP/1.0"),
        (status(204, "Transfer-Encoding: chunked"), "has no body"),
        (status(101, "Transfer-Encoding: chunked"), "has no body"),
        (status(204, "Content-Length: 5"), "has no body"),
        (status(100, "Content-Length: 5"), "has no body"),
    ];
    for (head, reason) in cases {
        for method in [Method::GET, Method::HEAD] {
            let Err(found) = judge(head.as_bytes(), &method) else { panic!("accepted: {}", head.escape_debug()) };
            assert!(found.contains(reason), "{found:?} is not {reason:?}: {}", head.escape_debug());
        }
    }
}

/// Holds an accepted head against httparse, and against its own plainest spelling.
fn is_read_one_way(head: &[u8]) {
    let judged = judge(head, &Method::GET).unwrap();
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut parsed = httparse::Response::new(&mut fields);
    assert_eq!(parsed.parse(head), Ok(httparse::Status::Complete(head.len())), "{}", head.escape_ascii());
    assert_eq!(parsed.code, Some(judged.status));
    assert_eq!(parsed.version, Some(u8::from(judged.version == Version::Http11)));
    let mut plain = format!("HTTP/1.{} {}\r\n", parsed.version.unwrap(), judged.status).into_bytes();
    for field in parsed.headers.iter() {
        plain.extend([field.name.as_bytes(), b": ", field.value, b"\r\n"].concat());
    }
    plain.extend(b"\r\n");
    assert_eq!(judge(&plain, &Method::GET), Ok(judged), "{}", head.escape_ascii());

    // What the rest of the proxy is given, and what it writes, says the same, byte for byte.
    let (_, header) = read(&Bytes::copy_from_slice(head), &Method::GET).unwrap();
    assert_eq!(
        (header.status.as_u16(), header.version == http::Version::HTTP_11),
        (judged.status, judged.version == Version::Http11)
    );
    let (left_out, fields): (Vec<_>, Vec<_>) =
        parsed.headers.iter().map(|field| (field.name.as_bytes().to_ascii_lowercase(), field.value)).partition(|(name, value)| {
            judged.status != 101 && is_hop_by_hop(name) && !(name == b"connection" && names_fields(value))
        });
    let ours: Vec<_> =
        header.case_header_iter().map(|(name, value)| (name.as_slice().to_ascii_lowercase(), value.as_bytes())).collect();
    assert_eq!(sorted(ours), sorted(fields), "{}", head.escape_ascii());
    let mut written = Vec::new();
    super::write(&header, &mut written);
    for (name, value) in left_out {
        written.extend([&name[..], b": ", value, b"\r\n"].concat());
    }
    written.extend(b"\r\n");
    let same =
        judge(&written, &Method::GET).map(|head| ResponseHead { version: judged.version, keep_alive: judged.keep_alive, ..head });
    assert_eq!(same, Ok(judged), "{}", written.escape_ascii());

    // Its end is found at every split.
    for cut in 0..head.len() {
        let searched = end(&head[..cut], 0).expect_err("it is not whole");
        assert_eq!(end(&[head, b"canary"].concat(), searched), Ok(head.len()), "cut at {cut} of {}", head.escape_ascii());
    }
}

/// Fields of one name in their order; names are in any.
fn sorted<T: Ord>(mut fields: Vec<(Vec<u8>, T)>) -> Vec<(Vec<u8>, T)> {
    fields.sort_by(|one, other| one.0.cmp(&other.0));
    fields
}

#[test]
fn what_is_no_head_has_an_end_where_it_is_refused() {
    for (bytes, found) in [
        (&b"hello"[..], Ok(5)),
        (b"H", Err(1)),
        (b"HTTP/2.0 200 OK\r\n\r\n", Ok(19)),
        (b"HTTP/1.1 200 OK\nA: b\n\nbody", Ok(22)),
        (b"HTTP/1.1 200 OK\nA: b\n\r\nbody", Ok(23)),
        (b"HTTP/1.1 200 OK\r\n\r", Err(16)),
    ] {
        assert_eq!(end(bytes, 0), found, "{}", bytes.escape_ascii());
        assert!(found.is_err() || judge(&bytes[..found.unwrap()], &Method::GET).is_err());
    }
    assert_eq!(end(b"", 0), Err(0));
}

#[test]
fn every_accepted_head_is_read_in_the_same_way_behind_us() {
    for head in ACCEPTED {
        is_read_one_way(head.as_bytes());
    }
}

/// Bytes and fields that parsers disagree on.
const PIECES: [&[u8]; 15] = [
    b"\r",
    b"\n",
    b"\r\n",
    b" ",
    b"\t",
    b":",
    b",",
    b"\0",
    b"\x0b",
    b"\x80",
    b"0",
    b"A",
    b"\r\nContent-Length: 5",
    b"\r\nTransfer-Encoding: chunked",
    b"\r\n folded",
];

proptest! {
    #![proptest_config(crate::message::proptest_config(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/proptest-regressions/message-response-head.txt")))]

    #[test]
    fn what_is_accepted_is_read_in_one_way_only(
        head in prop::sample::select(&ACCEPTED[..]),
        edits in proptest::collection::vec((any::<prop::sample::Index>(), 0_usize..3, prop::sample::select(&PIECES[..])), 0..4),
    ) {
        let mut head = head.as_bytes().to_vec();
        for (at, removed, inserted) in edits {
            let at = at.index(head.len());
            let end = (at + removed).min(head.len());
            head.splice(at..end, inserted.iter().copied());
        }
        if judge(&head, &Method::GET).is_ok() {
            is_read_one_way(&head);
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = judge(&bytes, &Method::GET);
        let _ = judge(&[b"HTTP/1.1 200 ", &bytes[..], b"\r\n\r\n"].concat(), &Method::GET);
    }
}
