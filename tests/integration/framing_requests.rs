//! Requests whose body has no certain end, over every pair of protocols: the client gets a 400 and its connection closes, the server
//! gets a body that is visibly not whole, and nothing behind it is ever read as a request (RFC 9112 sections 6.3, 7.1 and 11.2, RFC
//! 9113 section 8.1.1). Heads that are wrong by themselves stand in [`crate::door`].

use h2::Reason;

use crate::support::frames::{END_STREAM, data, headers};
use crate::support::raw_http2::RawHttp2;
use crate::support::{Client, Edge, End, GET, Http2Script, Origin, Script, Server, Version, shown};

const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: test\r\n\r\n";
const CHUNKED_HEAD: &str = "POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n";

/// Everything that a connection with these bytes is answered, once it is closed.
async fn answer_to(edge: &Edge, bytes: &[u8]) -> String {
    let (answer, end) = Client::send_to(edge.address(), bytes).await.rest().await;
    assert_eq!(end, End::Clean, "after {}", shown(bytes));
    String::from_utf8(answer).expect("text")
}

/// The statuses of the answers in `text`, in their order.
fn statuses(text: &str) -> Vec<&str> {
    let parts = text.split("HTTP/1.1 ").skip(1).filter_map(|answer| answer.get(..3));
    parts.filter(|status| status.bytes().all(|byte| byte.is_ascii_digit())).collect()
}

/// What may not stand in a chunked body, behind a chunk that is fine.
fn malformed_chunks() -> Vec<Vec<u8>> {
    let long_extension = format!("4;{}\r\nhalf\r\n0\r\n\r\n", "x".repeat(2_000));
    let long_trailers = format!("0\r\n{}\r\n", "x: yyyyyyyy\r\n".repeat(2_000));
    let words = [
        // Sizes.
        "zz\r\n",
        "-4\r\nhalf\r\n0\r\n\r\n",
        "+4\r\nhalf\r\n0\r\n\r\n",
        "0x4\r\nhalf\r\n0\r\n\r\n",
        " 4\r\nhalf\r\n0\r\n\r\n",
        "4 4\r\nhalf\r\n0\r\n\r\n",
        "4_0\r\nhalf\r\n0\r\n\r\n",
        "\r\nhalf\r\n0\r\n\r\n",
        ";ext\r\nhalf\r\n0\r\n\r\n",
        "10000000000000004\r\nhalf\r\n0\r\n\r\n",
        "ffffffffffffffff4\r\nhalf\r\n0\r\n\r\n",
        "\u{ff14}\r\nhalf\r\n0\r\n\r\n",
        // Line ends.
        "4\nhalf\n0\n\n",
        "4\rhalf\r\n0\r\n\r\n",
        "4\r\rhalf\r\n0\r\n\r\n",
        "4\r\nhalf\n0\r\n\r\n",
        "4\r\nhalf\r0\r\n\r\n",
        "0\n\n",
        "0\r\r\n",
        // Data that is longer or shorter than its size.
        "4\r\nhalfX\r\n0\r\n\r\n",
        "5\r\nhalf\r\n0\r\n\r\n",
        // Extensions.
        "4;a\nhalf\r\n0\r\n\r\n",
        "4;a\rb\r\nhalf\r\n0\r\n\r\n",
        "4;a=\"\r\n\0\"\r\nhalf\r\n0\r\n\r\n",
        "4;\0\r\nhalf\r\n0\r\n\r\n",
        "4 x\r\nhalf\r\n0\r\n\r\n",
        &long_extension,
        // Trailers.
        "0\r\nno colon\r\n\r\n",
        "0\r\nx : y\r\n\r\n",
        "0\r\n: y\r\n\r\n",
        "0\r\nx: y\r\n folded\r\n\r\n",
        "0\r\nx: a\0b\r\n\r\n",
        "0\r\nx: y\n\r\n",
        &long_trailers,
    ];
    words.into_iter().map(|word| word.as_bytes().to_vec()).collect()
}

#[tokio::test]
async fn a_malformed_chunked_body_is_a_400_and_looks_whole_to_nobody() {
    for version in [Version::Http1, Version::Http2] {
        let origin = Server::start(version, Http2Script::answer("ok")).await;
        let edge = origin.edge().start(origin.address()).await;
        for bad in malformed_chunks() {
            let request = [CHUNKED_HEAD.as_bytes(), b"4\r\nhalf\r\n", &bad, SMUGGLED.as_bytes()].concat();
            let before = origin.requests();
            let answer = answer_to(&edge, &request).await;
            assert_eq!(statuses(&answer), ["400"], "after {}: {answer:?}", shown(&bad));
            assert!(answer.contains("\r\nConnection: close\r\n"), "after {}: {answer:?}", shown(&bad));
            for number in before..origin.requests() {
                origin.left(number).await;
                match &origin {
                    Server::Http1(origin) => {
                        let request = origin.request_head(number).await;
                        assert!(
                            !request.complete && !request.head.start().contains("smuggled"),
                            "after {}: {request:?}",
                            shown(&bad)
                        );
                    }
                    Server::Http2(origin) => {
                        let (request, seen) = (origin.request_head(number).await, origin.stream(number).await);
                        assert!(!request.complete && !seen.ended && request.path == "/", "after {}: {request:?}", shown(&bad));
                    }
                }
            }
        }
    }
}

#[tokio::test]
async fn a_whole_body_that_is_merely_odd_passes() {
    let bodies = [
        "4\r\nwhol\r\n1\r\ne\r\n0\r\n\r\n",
        "0000000005\r\nwhole\r\n000\r\n\r\n",
        "5;a;b=c;d=\"e;f\"\r\nwhole\r\n0;last\r\n\r\n",
        "5 \t\r\nwhole\r\n0 ; x\r\n\r\n",
        "5\r\nwhole\r\n0\r\nX-Sum: 7\r\nx-empty:\r\n\r\n",
    ];
    for version in [Version::Http1, Version::Http2] {
        let origin = Server::start(version, Http2Script::answer("ok")).await;
        let edge = origin.edge().start(origin.address()).await;
        let mut client = Client::connect(edge.address()).await;
        for (number, body) in bodies.into_iter().enumerate() {
            client.send([CHUNKED_HEAD, body].concat()).await;
            assert_eq!(client.head().await.status(), 200, "{body:?}");
            client.ends_with("ok", End::Clean).await;
            assert_eq!(origin.body(number).await, b"whole", "{body:?}");
            assert_eq!(origin.fields(number, "x-sum").await, [""; 0], "trailers are no fields of a head");
        }
    }
}

/// What stands behind the end of a body is the next request, and is judged like one.
#[tokio::test]
async fn bytes_behind_the_end_of_a_body_are_refused_behind_its_answer() {
    let requests = [
        "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\n\r\nbody",
        "POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\n\r\n",
        GET,
    ];
    for version in [Version::Http1, Version::Http2] {
        let origin = Server::start(version, Http2Script::answer("ok")).await;
        let edge = origin.edge().start(origin.address()).await;
        for request in requests {
            for behind in ["more\r\n\r\n", "\0", "0\r\n\r\n", "GET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\nHost: test\n\n"] {
                let before = origin.requests();
                let answer = answer_to(&edge, [request, behind].concat().as_bytes()).await;
                assert_eq!(statuses(&answer), ["200", "400"], "{behind:?} behind {request:?}");
                assert_eq!(origin.requests(), before + 1, "{behind:?} behind {request:?}");
            }
        }
    }
}

/// Three families of smuggling: one hop goes by the length, the other by the chunks, or each by another spelling of the coding.
#[tokio::test]
async fn no_pair_of_framings_smuggles_a_request() {
    let coding = |coding: &str, length: &str| format!("POST / HTTP/1.1\r\nHost: test\r\n{coding}{length}\r\n0\r\n\r\n{SMUGGLED}");
    let length = format!("Content-Length: {}\r\n", SMUGGLED.len() + 5);
    let both = [
        coding("Transfer-Encoding: chunked\r\n", &length),
        coding("Transfer-Encoding: chunked\r\n", "Content-Length: 0\r\n"),
        coding("transfer-encoding:chunked\r\n", &length),
        coding("Transfer-Encoding:\tchunked\r\n", &length),
        coding("Transfer-Encoding: identity\r\n", &length),
        coding("Transfer-Encoding: cow\r\n", &length),
        coding("Transfer-Encoding: \r\n", &length),
        coding("Transfer-Encoding:\r\n chunked\r\n", &length),
        coding("Transfer-Encoding : chunked\r\n", &length),
        coding(" Transfer-Encoding: chunked\r\n", &length),
        coding("X: y\rTransfer-Encoding: chunked\r\n", &length),
        coding("X: y\nTransfer-Encoding: chunked\r\n", &length),
        coding("Transfer-Encoding\0: chunked\r\n", &length),
        coding("Transfer-Encoding: chunked\r\nTransfer-Encoding: cow\r\n", ""),
        coding("Transfer-Encoding: cow\r\nTransfer-Encoding: chunked\r\n", ""),
        coding("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", ""),
        coding("Transfer-Encoding: chunked, identity\r\n", ""),
        coding("Transfer-Encoding: ,chunked\r\n", ""),
        coding("Transfer-Encoding: chunked;q=1\r\n", ""),
        coding("Transfer-Encoding: \u{b}chunked\r\n", ""),
        coding("Transfer-Encoding: 'chunked'\r\n", ""),
        coding("", "Content-Length: 5\r\nContent-Length: 0\r\n"),
        coding("", "Content-Length: 5, 0\r\n"),
        coding("", "Content-Length: 5\r\n ,0\r\n"),
        coding("", "Content-Length : 5\r\n"),
        coding("", "Content-Length: 5;0\r\n"),
        coding("", "Content-Length: 5.\r\n"),
        coding("", "Content-Length: 0b101\r\n"),
        coding("", "Content-Length: 1e1\r\n"),
        coding("", "Content-Length: \u{ff15}\r\n"),
        coding("", "Content-Length: \"5\"\r\n"),
    ];
    let origin = Origin::start(Script::answer("ok")).await;
    let edge = Edge::start(origin.address()).await;
    for request in both {
        let answer = answer_to(&edge, request.as_bytes()).await;
        assert_eq!(statuses(&answer), ["400"], "to {request:?}: {answer:?}");
    }
    let unknown = answer_to(&edge, coding("Transfer-Encoding: gzip, chunked\r\n", "").as_bytes()).await;
    assert_eq!(statuses(&unknown), ["501"], "{unknown:?}");
    assert_eq!(origin.requests(), 0);
}

/// A field that only looks like framing is a field like any other, and is not made into framing on the way.
#[tokio::test]
async fn what_merely_resembles_framing_frames_nothing() {
    let fields = "Content-Length-: 9\r\nX-Content-Length: 9\r\nTransfer-Encodings: chunked\r\nContent_Length: 9\r\n";
    for version in [Version::Http1, Version::Http2] {
        let origin = Server::start(version, Http2Script::answer("ok")).await;
        let edge = origin.edge().start(origin.address()).await;
        let request = format!("GET / HTTP/1.1\r\nHost: test\r\n{fields}\r\n");
        let mut client = Client::send_to(edge.address(), format!("{request}{request}")).await;
        for number in 0..2 {
            assert_eq!(client.head().await.status(), 200);
            client.ends_with("ok", End::Clean).await;
            assert_eq!(origin.body(number).await, b"");
            assert_eq!(origin.fields(number, "x-content-length").await, ["9"]);
        }
    }
}

#[tokio::test]
async fn a_length_that_http_2_does_not_keep_is_an_error_of_its_stream_and_whole_to_nobody() {
    let post = |length: &'static str| {
        [(":method", "POST"), (":scheme", "http"), (":authority", "test"), (":path", "/"), ("content-length", length)]
    };
    // So much is sent, whole as it was announced; what follows breaks the promise to us alone.
    let empty = [(":method", "POST"), (":scheme", "http"), (":authority", "test"), (":path", "/empty"), ("content-length", "0")];
    for version in [Version::Http1, Version::Http2] {
        let origin = Server::start(version, Http2Script::answer("ok")).await;
        let edge = origin.edge().start(origin.address()).await;
        let mut client = RawHttp2::connect(edge.address()).await;
        let cases = [
            [headers(1, 0, &post("5")), data(1, END_STREAM, b"less")].concat(),
            [headers(3, 0, &post("5")), data(3, 0, b"less"), data(3, END_STREAM, b"")].concat(),
            [headers(5, 0, &post("5")), data(5, END_STREAM, b"more of it")].concat(),
            [headers(7, 0, &empty), data(7, END_STREAM, b"x")].concat(),
            headers(9, END_STREAM, &post("5")),
            [headers(11, 0, &post("5")), data(11, 0, b"less"), headers(11, END_STREAM, &[("x-sum", "7")])].concat(),
        ];
        for (number, case) in cases.iter().enumerate() {
            let stream = u32::try_from(2 * number + 1).unwrap();
            client.send(case).await;
            let answer = client.answer(stream).await;
            let refused = answer.reset == Some(u32::from(Reason::PROTOCOL_ERROR)) || answer.status() == Some(400);
            assert!(refused, "case {number} to {version:?}: {answer:?}");
        }
        client.send(&[headers(13, 0, &post("5")), data(13, END_STREAM, b"right")].concat()).await;
        assert_eq!(client.answer(13).await.status(), Some(200), "the connection goes on");
        for number in 0..origin.requests() {
            let (complete, is_empty, body) = match &origin {
                Server::Http1(origin) => {
                    let request = origin.request_head(number).await;
                    (request.complete, request.head.start() == "POST /empty HTTP/1.1", request.body)
                }
                Server::Http2(origin) => {
                    let request = origin.request_head(number).await;
                    (request.complete, request.path == "/empty", request.body)
                }
            };
            let as_announced = if is_empty { body.is_empty() } else { body == b"right" };
            assert!(!complete || as_announced, "to {version:?}: {}", shown(&body));
        }
    }
}
