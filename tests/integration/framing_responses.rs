//! Answers that two readers could read in two ways, or that end where they may not: a 502, or a body that visibly has no end; never
//! anything of theirs for the next request (RFC 9112 sections 2.2, 4, 5, 6, 7.1 and 8, RFC 9113 sections 8.1.1, 8.2 and 8.3).

use h2::Reason;

use crate::support::frames::{END_STREAM, Seen, data, frame, headers};
use crate::support::hops::Ending;
use crate::support::http2_origin::Grants;
use crate::support::{
    Client, Edge, End, GET, Http2Client, Http2Origin, Http2Script, Origin, SUBSCRIBE, Script, StreamEnd, Version, Viewer, chunk,
};

const CLIENTS: [Version; 2] = [Version::Http1, Version::Http2];
/// What would be an answer to somebody else.
const POISON: &str = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison";

/// Heads that no careful reader believes, each followed by what some reader would take for their body.
fn ambiguous() -> Vec<String> {
    let with = |fields: &str| format!("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n{fields}\r\n0\r\n\r\n{POISON}");
    let fields = [
        // Two framings, or none that is certain.
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: 5, 5\r\n",
        "Content-Length: 5, 6\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: -5\r\n",
        "Content-Length: 5 5\r\n",
        "Content-Length: 0x5\r\n",
        "Content-Length: 5;x\r\n",
        "Content-Length:\r\n",
        "Content-Length: 99999999999999999999\r\n",
        "Content-Length : 5\r\n",
        "Transfer-Encoding: chunked, chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: gzip\r\n",
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: chunked;q=1\r\n",
        "Transfer-Encoding: \"chunked\"\r\n",
        "Transfer-Encoding:\r\n",
        "Transfer-Encoding : chunked\r\n",
        "Transfer-Encoding: \u{b}chunked\r\n",
        // Lines that end, or begin, in two ways.
        "X: y\n",
        "X: y\nContent-Length: 5\r\n",
        "X: y\rContent-Length: 5\r\n",
        "X: y\r\r\n",
        "X: y\r\n folded\r\n",
        "X: y\r\n\tfolded: z\r\n",
        " X: y\r\n",
        "X : y\r\n",
        "X\t: y\r\n",
        "no colon\r\n",
        ": no name\r\n",
        "X(y): z\r\n",
        "X\u{e9}: z\r\n",
        "X: a\0b\r\n",
        "X\0: b\r\n",
        "X: a\u{7f}b\r\n",
        "X: a\u{8}b\r\n",
    ];
    let lines = [
        "HTTP/2.0 200 OK",
        "HTTP/1.2 200 OK",
        "HTTP/0.9 200 OK",
        "http/1.1 200 OK",
        "HTTP/1.1  200 OK",
        "HTTP/1.1\t200 OK",
        "HTTP/1.1 20 OK",
        "HTTP/1.1 2000 OK",
        "HTTP/1.1 +20 OK",
        "HTTP/1.1 099 OK",
        "HTTP/1.1 600 OK",
        "HTTP/1.1 200OK",
        "HTTP/1.1 200 O\0K",
        "HTTP/1.1 200 O\rK",
        "ICY 200 OK",
        "HTTP 200 OK",
        "200 OK",
    ];
    let statuses = [
        "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 103 Early Hints\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        "HTTP/1.1 100 Continue\r\nContent-Length: 5, 5\r\n\r\n",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\n\nhello",
        "HTTP/1.1 200 OK\r\n\nhello",
        // HTTP/0.9 has no head at all.
        "hello, I am the content\r\n\r\n",
        "<html>\r\n\r\n</html>",
    ];
    let heads = fields.into_iter().map(with);
    let heads = heads.chain(lines.map(|line| format!("{line}\r\nContent-Length: 0\r\n\r\n{POISON}")));
    heads.chain(statuses.map(|answer| format!("{answer}{POISON}"))).collect()
}

#[tokio::test]
async fn an_answer_that_can_be_read_in_two_ways_is_a_502_and_its_connection_is_not_used_again() {
    for client in CLIENTS {
        let answers = ambiguous();
        let scripts = answers.iter().flat_map(|answer| [Script::new().raw(answer).hang(), Script::answer("ok")]);
        let origin = Origin::start_each(scripts).await;
        let edge = Edge::start(origin.address()).await;
        for (number, answer) in answers.iter().enumerate() {
            let request = if number % 2 == 0 { GET } else { SUBSCRIBE };
            let mut viewer = Viewer::open(client, edge.address(), request).await;
            assert_eq!(viewer.status(), 502, "for {answer:?}");
            let (body, ending) = viewer.rest_of_body().await;
            let body = String::from_utf8(body).unwrap();
            assert!(ending == Ending::Clean && !body.contains("hello") && !body.contains("poison"), "for {answer:?}: {body:?}");
            assert_eq!((viewer.fields("x"), viewer.fields("content-type").len()), (vec![], 1), "for {answer:?}");
            let bad = origin.request_head(2 * number).await.connection;
            origin.closed(bad).await;
            let mut viewer = Viewer::open(client, edge.address(), GET).await;
            viewer.ends_with("ok").await;
            assert_ne!(origin.request_head(2 * number + 1).await.connection, bad, "behind {answer:?}");
        }
    }
}

/// What is behind the end of an answer belongs to nobody: it is never the answer to the next request.
#[tokio::test]
async fn what_follows_a_whole_answer_reaches_nobody() {
    let answers = [
        ("GET", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwhole", "whole"),
        ("GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nwhole\r\n0\r\n\r\n", "whole"),
        ("GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nwhole\r\n0\r\nX-Sum: 7\r\n\r\n", "whole"),
        ("GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", ""),
        ("GET", "HTTP/1.1 204 No Content\r\n\r\n", ""),
        ("GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 6\r\n\r\n", ""),
        ("GET", "HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n", ""),
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n", ""),
        ("HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", ""),
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n", ""),
    ];
    for (method, answer, body) in answers {
        for behind in [POISON, "poison", "\r\n", "\0"] {
            // In one write with the end, and in a write of its own behind it.
            for script in [Script::new().raw(answer).raw(behind).hang(), Script::new().raw(answer).gate().raw(behind).hang()] {
                let origin = Origin::start_each([script, Script::answer("next"), Script::answer("next")]).await;
                let edge = Edge::start(origin.address()).await;
                let mut client = Client::send_to(edge.address(), format!("{method} / HTTP/1.1\r\nHost: test\r\n\r\n")).await;
                if method == "HEAD" {
                    client.head_to_head().await;
                } else {
                    client.head().await;
                }
                client.ends_with(body, End::Clean).await;
                origin.open_gate();
                // Idle or not, the connection is given up for it.
                origin.closed(0).await;
                client.send(GET).await;
                assert_eq!(client.head().await.status(), 200, "{behind:?} behind {answer:?}");
                client.ends_with("next", End::Clean).await;
                assert_eq!(origin.connections(), 2);
            }
        }
    }
}

/// Bodies that break off or break their framing, with the bytes that are surely of the body.
#[tokio::test]
async fn a_body_that_breaks_has_no_end_for_anybody() {
    let chunked = "Transfer-Encoding: chunked\r\n";
    let broken: [(&str, Vec<u8>); 13] = [
        ("Content-Length: 9\r\n", b"half".to_vec()),
        (chunked, chunk("half")),
        (chunked, b"4\r\nhalf".to_vec()),
        (chunked, b"9\r\nhalf".to_vec()),
        (chunked, [&chunk("half")[..], b"0\r\n"].concat()),
        (chunked, [&chunk("half")[..], b"0\r\nX-Sum: 7\r\n"].concat()),
        (chunked, [&chunk("half")[..], b"4 x\r\nmore\r\n0\r\n\r\n"].concat()),
        (chunked, [&chunk("half")[..], b"-1\r\n0\r\n\r\n"].concat()),
        (chunked, [&chunk("half")[..], b"4\r\nmoreX\r\n0\r\n\r\n"].concat()),
        (chunked, [&chunk("half")[..], b"4\nmore\n0\n\n"].concat()),
        (chunked, [&chunk("half")[..], b"4;a\nmore\r\n0\r\n\r\n"].concat()),
        (chunked, [&chunk("half")[..], b"0\r\nno colon\r\n\r\n"].concat()),
        (chunked, [&chunk("half")[..], b"10000000000000004\r\nmore\r\n0\r\n\r\n"].concat()),
    ];
    for kind in ["text/plain", "text/event-stream"] {
        let fields = |framing: &str| format!("Content-Type: {kind}\r\n{framing}");
        let scripts = broken.iter().map(|(framing, wire)| Script::new().head("200 OK", &fields(framing)).gate().raw(wire).close());
        for client in CLIENTS {
            let origin = Origin::start_each(scripts.clone()).await;
            let edge = Edge::with().heartbeat("off").start(origin.address()).await;
            for (framing, wire) in &broken {
                let mut viewer = Viewer::open(client, edge.address(), GET).await;
                origin.open_gate();
                let (body, ending) = viewer.rest_of_body().await;
                let cut = match client {
                    Version::Http1 => Ending::Broken,
                    Version::Http2 => Ending::Reset(Reason::INTERNAL_ERROR),
                };
                let wire = wire.escape_ascii();
                assert_eq!(ending, cut, "{kind} {framing:?} {wire}: {}", body.escape_ascii());
                assert!(b"halfmore".starts_with(&body[..]), "{kind} {wire}: {}", body.escape_ascii());
            }
        }
    }
}

#[tokio::test]
async fn a_head_without_end_or_measure_is_a_502() {
    let many = "X: y\r\n".repeat(400);
    let heads = [
        format!("HTTP/1.1 200 OK\r\n{many}\r\n"),
        format!("HTTP/1.1 200 OK\r\n{}: y\r\n\r\n", "x".repeat(300)),
        format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "y".repeat(2 << 20)),
        format!("HTTP/1.1 200 {}\r\n\r\n", "y".repeat(2 << 20)),
        "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(100),
        format!("HTTP/1.1 103 Early Hints\r\nX: {}\r\n\r\n", "y".repeat(100_000)).repeat(20),
        "\r\n".repeat(1 << 20),
    ];
    let origin = Origin::start_each(heads.iter().map(|head| Script::new().raw(head).hang())).await;
    let edge = Edge::start(origin.address()).await;
    let before = edge.resident();
    for (number, head) in heads.iter().enumerate() {
        let (mut client, answer) = Client::open(edge.address(), GET).await;
        assert_eq!(answer.status(), 502, "head {number} of {} bytes", head.len());
        assert_eq!(client.rest_of_body().await.1, End::Clean);
        origin.closed(number).await;
    }
    let grown = edge.resident().saturating_sub(before);
    assert!(grown < 16 << 20, "{grown} bytes more of memory");
}

/// Frames of a response on stream 1 that are malformed (RFC 9113 section 8.1.1).
fn malformed_frames() -> Vec<Vec<u8>> {
    let ok = [(":status", "200")];
    let with = |fields: &[(&str, &str)]| headers(1, 0, &[&ok[..], fields].concat());
    vec![
        headers(1, END_STREAM, &[]),
        headers(1, END_STREAM, &[("content-length", "0")]),
        headers(1, END_STREAM, &[(":status", "")]),
        headers(1, END_STREAM, &[(":status", "2000")]),
        headers(1, END_STREAM, &[(":status", "099")]),
        headers(1, END_STREAM, &[(":status", "700")]),
        headers(1, END_STREAM, &[(":status", "200"), (":status", "200")]),
        headers(1, END_STREAM, &[("x", "y"), (":status", "200")]),
        headers(1, END_STREAM, &[(":status", "103")]),
        headers(1, 0, &[(":status", "101")]),
        with(&[("transfer-encoding", "chunked")]),
        with(&[("connection", "close")]),
        with(&[("keep-alive", "timeout=5")]),
        with(&[("upgrade", "h2c")]),
        with(&[("proxy-connection", "close")]),
        with(&[("X-Upper", "y")]),
        with(&[("x y", "z")]),
        with(&[("x:", "z")]),
        with(&[("", "z")]),
        with(&[("x", "a\r\nSet-Cookie: poison=1")]),
        with(&[("x", "a\nb")]),
        with(&[("x", "a\0b")]),
        with(&[("x", " padded")]),
        with(&[("x", "padded\t")]),
        with(&[("content-length", "5, 5")]),
        with(&[("content-length", "+5")]),
        with(&[("content-length", "5"), ("content-length", "6")]),
        headers(1, END_STREAM, &[&ok[..], &[("content-length", "5")]].concat()),
        headers(1, 0, &[(":status", "204"), ("content-length", "5")]),
        data(1, 0, b"before its head"),
        frame(0x1, 0x4, 1, b"\xff\xff\xff\xff\xff\xff"),
    ]
}

#[tokio::test]
async fn a_malformed_response_of_http_2_is_a_502_and_nothing_of_it_passes() {
    for client in CLIENTS {
        for bad in malformed_frames() {
            let (shown, is_ended) = (bad.escape_ascii().to_string(), bad[4] & END_STREAM != 0);
            let grants = Grants { refused: (1, bad.leak()), ..Grants::default() };
            let origin = Http2Origin::start_with(grants, [Http2Script::answer("ok")]).await;
            let edge = Edge::with().h2c().start(origin.address()).await;
            let mut viewer = Viewer::open(client, edge.address(), GET).await;
            assert_eq!(viewer.status(), 502, "for {shown}");
            assert_eq!(viewer.fields("set-cookie"), [""; 0], "for {shown}");
            assert_eq!(viewer.rest_of_body().await.1, Ending::Clean, "for {shown}");
            // A stream that its server ended is over; any other is given up, or its connection.
            if !is_ended {
                let over = |seen: &Seen| seen.closed.is_some() || seen.streams.get(&1).is_some_and(|stream| stream.reset.is_some());
                origin.frames(0).wait_for("the end of it", |seen| over(seen).then_some(())).await;
            }
        }
    }
}

#[tokio::test]
async fn a_length_that_a_server_of_http_2_does_not_keep_is_a_cut() {
    let head = |fields: &[(&str, &str)]| Http2Script::new().head(200, fields);
    let broken = [
        head(&[("content-length", "9")]).data("half").end(),
        head(&[("content-length", "9")]).data("half").trailers(&[("x-sum", "7")]),
        head(&[("content-length", "9"), ("content-type", "text/event-stream")]).data("half").end(),
        head(&[]).data("half").gate().reset(Reason::INTERNAL_ERROR),
        head(&[]).data("half").gate().reset(Reason::NO_ERROR),
        head(&[]).data("half").gate().cut(),
        head(&[("content-length", "9")]).data("half").gate().close(),
    ];
    for client in CLIENTS {
        for (number, script) in broken.iter().enumerate() {
            let origin = Http2Origin::start(script.clone()).await;
            let edge = Edge::with().h2c().heartbeat("off").start(origin.address()).await;
            match client {
                Version::Http1 => {
                    let (mut client, _) = Client::open(edge.address(), GET).await;
                    origin.open_gate();
                    let (body, end) = client.rest_of_body().await;
                    assert!(b"half".starts_with(&body[..]) && end != End::Clean, "script {number}: {body:?} and {end:?}");
                }
                Version::Http2 => {
                    let (_client, mut stream, _) = Http2Client::open(edge.address(), GET).await;
                    origin.open_gate();
                    let (body, end) = stream.rest_of_body().await;
                    assert!(b"half".starts_with(&body[..]), "script {number}: {body:?}");
                    assert_eq!(end, StreamEnd::Reset(Reason::INTERNAL_ERROR), "script {number}");
                }
            }
        }
    }
}

/// The answers that have no body have none, whatever DATA follows their head: on HTTP/1.1 it would be the next answer.
#[tokio::test]
async fn data_behind_an_answer_that_has_no_body_reaches_nobody() {
    for (method, status, fields) in [
        ("GET", 204, &[][..]),
        ("GET", 304, &[("etag", "\"e\"")]),
        ("GET", 304, &[("content-length", "37")]),
        ("HEAD", 200, &[]),
        ("HEAD", 200, &[("content-length", "37")]),
        ("HEAD", 200, &[("content-type", "text/event-stream")]),
    ] {
        for gated in [false, true] {
            let head = Http2Script::new().head(status, fields);
            let script = if gated { head.gate() } else { head }.data(POISON).end();
            let origin = Http2Origin::start_each([script, Http2Script::answer("next")]).await;
            let edge = Edge::with().h2c().start(origin.address()).await;
            let request = format!("{method} / HTTP/1.1\r\nHost: test\r\n\r\n");
            let mut client = Client::send_to(edge.address(), format!("{request}{GET}")).await;
            let head = client.head_to_head().await;
            assert_eq!(head.status(), status, "{method} {fields:?}");
            origin.open_gate();
            client.ends_with("", End::Clean).await;
            assert_eq!(client.head().await.status(), 200, "{method} {status} {fields:?}");
            client.ends_with("next", End::Clean).await;

            let mut client = Http2Client::connect(edge.address()).await;
            let (mut stream, head) = client.get(&request).await;
            assert_eq!(head.status, 200);
            let body = if method == "HEAD" { "" } else { "next" };
            stream.ends_with(body, StreamEnd::Clean).await;
        }
    }
}
