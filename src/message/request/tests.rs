//! The upstream's request, field by field on the wire. What comes over HTTP/2 is tested in `http2`.

use bytes::BytesMut;
use pingora::http::RequestHeader;
use proptest::prelude::*;

use super::{AcceptCoding, BuildOptions, build};
use crate::message::request_head::{self, RequestFraming};

const OPTIONS: BuildOptions<'static> = BuildOptions { default_host: "127.0.0.1:3000", accept: AcceptCoding::AsAsked };

/// A head as Pingora would hand it to us, and the framing that was judged.
fn down(head: &str) -> (RequestHeader, RequestFraming) {
    let judged = request_head::tests::judge(head.as_bytes()).unwrap();
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut parsed = httparse::Request::new(&mut fields);
    parsed.parse(head.as_bytes()).unwrap();
    let mut header = RequestHeader::build(parsed.method.unwrap(), parsed.path.unwrap().as_bytes(), None).unwrap();
    for field in parsed.headers.iter() {
        header.append_header(field.name.to_owned(), field.value).unwrap();
    }
    (header, judged.framing)
}

fn wire(header: &RequestHeader) -> String {
    let mut fields = BytesMut::new();
    header.header_to_h1_wire(&mut fields);
    let target = str::from_utf8(header.raw_path()).unwrap();
    format!("{} {target} {:?}\r\n{}\r\n", header.method, header.version, str::from_utf8(&fields).unwrap())
}

fn built_with(head: &str, options: BuildOptions<'_>) -> String {
    let (header, framing) = down(head);
    wire(&build(&header, framing, options).unwrap())
}

fn built(head: &str) -> String {
    built_with(head, OPTIONS)
}

#[test]
fn fields_keep_their_case_their_order_and_their_duplicates() {
    assert_eq!(
        built(
            "GET /a?b HTTP/1.1\r\nX-B: 1\r\nhost: a\r\ncOOkie: c\r\nX-a: 2\r\nx-A: 3\r\nAccept-Encoding: gzip\r\nx-last: \r\n\r\n"
        ),
        "GET /a?b HTTP/1.1\r\nHost: a\r\nX-B: 1\r\ncOOkie: c\r\nX-a: 2\r\nx-A: 3\r\nAccept-Encoding: gzip\r\nx-last: \r\n\r\n",
    );
}

#[test]
fn fields_of_the_connection_stay_here_and_none_are_written() {
    assert_eq!(
        built(concat!(
            "POST / HTTP/1.1\r\nHost: a\r\nConnection: close, X-Mine, Authorization, Host\r\nKeep-Alive: timeout=5\r\nX-Mine: 1\r\n",
            "TE: trailers\r\nTrailer: X\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\nProxy-Authorization: Basic eA==\r\nProxy-Connection: close\r\n",
            "Authorization: Bearer x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
        )),
        "POST / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer x\r\nContent-Length: 2\r\n\r\n",
    );
}

#[test]
fn framing_is_what_was_judged_and_nothing_else() {
    let (header, _) = down("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 7\r\n\r\n");
    for (framing, written) in [
        (RequestFraming::None, ""),
        (RequestFraming::Length(0), "Content-Length: 0\r\n"),
        (RequestFraming::Length(u64::MAX), "Content-Length: 18446744073709551615\r\n"),
        (RequestFraming::Chunked, "Transfer-Encoding: chunked\r\n"),
    ] {
        let wire = wire(&build(&header, framing, OPTIONS).unwrap());
        assert_eq!(wire, format!("POST / HTTP/1.1\r\nHost: a\r\n{written}\r\n"));
    }
    assert!(built("POST / HTTP/1.1\r\nHost: a\r\ncontent-length: 00018\r\n\r\n").ends_with("\r\nContent-Length: 18\r\n\r\n"));
}

#[test]
fn an_absolute_target_becomes_a_path_and_a_host() {
    let line = |head: &str| built(head).lines().take(2).collect::<Vec<_>>().join(" | ");
    assert_eq!(line("GET http://a:8/x?y HTTP/1.1\r\nHost: a:8\r\n\r\n"), "GET /x?y HTTP/1.1 | Host: a:8");
    assert_eq!(line("GET HTTP://a HTTP/1.0\r\n\r\n"), "GET / HTTP/1.1 | Host: a");
    assert_eq!(line("GET http://a?b HTTP/1.0\r\n\r\n"), "GET /?b HTTP/1.1 | Host: a");
    assert_eq!(line("OPTIONS http://a HTTP/1.0\r\n\r\n"), "OPTIONS * HTTP/1.1 | Host: a");
    assert_eq!(line("OPTIONS http://a?b HTTP/1.0\r\n\r\n"), "OPTIONS /?b HTTP/1.1 | Host: a");
    assert_eq!(line("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"), "OPTIONS * HTTP/1.1 | Host: a");
    assert_eq!(line("GET http://a//b HTTP/1.0\r\n\r\n"), "GET //b HTTP/1.1 | Host: a");
}

#[test]
fn a_request_without_host_gets_the_upstreams_own() {
    assert_eq!(built("GET / HTTP/1.0\r\n\r\n"), "GET / HTTP/1.1\r\nHost: 127.0.0.1:3000\r\n\r\n");
}

#[test]
fn a_default_host_that_is_no_field_value_is_an_error_and_no_panic() {
    let (header, framing) = down("GET / HTTP/1.0\r\n\r\n");
    assert!(build(&header, framing, BuildOptions { default_host: "a\r\nb", ..OPTIONS }).is_err());
}

#[test]
fn stream_intent_offers_no_coding_and_everything_else_is_left_alone() {
    let intent = BuildOptions { accept: AcceptCoding::Identity, ..OPTIONS };
    assert_eq!(
        built_with("GET / HTTP/1.1\r\nHost: a\r\naccept-encoding: gzip\r\nA: b\r\nAccept-Encoding: br\r\n\r\n", intent),
        "GET / HTTP/1.1\r\nHost: a\r\naccept-encoding: identity\r\nA: b\r\n\r\n",
    );
    assert_eq!(
        built_with("GET / HTTP/1.1\r\nHost: a\r\n\r\n", intent),
        "GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: identity\r\n\r\n"
    );
    assert_eq!(
        built_with("GET / HTTP/1.1\r\nHost: a\r\nConnection: accept-encoding\r\nAccept-Encoding: gzip\r\n\r\n", intent),
        "GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: identity\r\n\r\n"
    );
    assert!(
        built("GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip, br;q=0\r\n\r\n").contains("Accept-Encoding: gzip, br;q=0\r\n")
    );
}

#[test]
fn what_may_turn_out_to_be_a_stream_offers_what_we_can_decode_exactly_once() {
    let narrow = BuildOptions { accept: AcceptCoding::GzipOrIdentity, ..OPTIONS };
    for (fields, offered) in [
        ("accept-encoding: br, gzip\r\nA: b\r\nAccept-Encoding: zstd\r\n", "accept-encoding: gzip\r\nA: b\r\n"),
        ("accept-encoding: br\r\nA: b\r\nAccept-Encoding: X-GZIP;q=0.5\r\n", "accept-encoding: gzip\r\nA: b\r\n"),
        ("A: b\r\nAccept-Encoding: br\r\n", "A: b\r\nAccept-Encoding: identity\r\n"),
        ("A: b\r\nAccept-Encoding: *\r\n", "A: b\r\nAccept-Encoding: identity\r\n"),
        ("A: b\r\n", "A: b\r\nAccept-Encoding: identity\r\n"),
        ("Connection: accept-encoding\r\nAccept-Encoding: gzip\r\nA: b\r\n", "A: b\r\nAccept-Encoding: gzip\r\n"),
    ] {
        let built = built_with(&format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n"), narrow);
        assert_eq!(built, format!("POST / HTTP/1.1\r\nHost: a\r\n{offered}\r\n"));
    }
}

proptest! {
    #![proptest_config(crate::message::proptest_config(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/proptest-regressions/message-request.txt")))]

    #[test]
    fn what_is_built_is_itself_a_head_that_passes_with_the_same_framing(
        head in prop::sample::select(&request_head::tests::ACCEPTED[..]),
        extra in proptest::collection::vec(
            prop::sample::select(&["Connection: host, content-length", "TE: x", "Connection: close", "Trailer: host", "Upgrade: x", "A: b"][..]),
            0..4,
        ),
        accept in prop::sample::select(&[AcceptCoding::AsAsked, AcceptCoding::Identity, AcceptCoding::GzipOrIdentity][..]),
    ) {
        let head = head.trim_start().trim_end_matches("\r\n").to_owned() + "\r\n" + &extra.iter().map(|field| format!("{field}\r\n")).collect::<String>() + "\r\n";
        let (header, framing) = down(&head);
        let wire = built_with(&head, BuildOptions { accept, ..OPTIONS });
        let judged = request_head::tests::judge(wire.as_bytes()).unwrap();
        prop_assert_eq!(judged.framing, framing);
        prop_assert_eq!(&judged.method, &header.method);
        prop_assert!(judged.keep_alive && !judged.expect_continue);
    }
}
