//! Full duplex: an answer streams while its request is still being sent. Progress of an upload, early answers, a side that gives up
//! half-way (RFC 9110 sections 7.5 and 10.1.1, RFC 9112 sections 7.1, 8 and 9.3).

use std::time::Duration;

use crate::support::{Client, Edge, End, ManualOrigin, Pattern, Raw, chunk, pattern, within};

/// The head of an event stream.
pub(crate) const EVENTS: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
/// The head of an ordinary answer.
const ORDINARY: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n";
const PART: usize = 5_000;

/// How an upload is framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Upload {
    Length,
    Chunked,
}

impl Upload {
    pub(crate) const BOTH: [Self; 2] = [Self::Length, Self::Chunked];

    /// The head of a request with so many bytes of body; `fields` is whole lines.
    pub(crate) fn head(self, bytes: u64, fields: &str) -> String {
        let framing = match self {
            Self::Length => format!("Content-Length: {bytes}"),
            Self::Chunked => "Transfer-Encoding: chunked".to_owned(),
        };
        format!("POST /upload HTTP/1.1\r\nHost: test\r\n{framing}\r\n{fields}\r\n")
    }

    /// A part of the body, as it goes over the wire.
    pub(crate) fn part(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::Length => bytes.to_vec(),
            Self::Chunked => chunk(bytes),
        }
    }

    /// What ends the body.
    pub(crate) fn end(self) -> &'static str {
        match self {
            Self::Length => "",
            Self::Chunked => "0\r\n\r\n",
        }
    }
}

/// An upload of two parts whose first has arrived, and whose answer is a stream with one event, which has arrived too.
async fn half_way(edge: &Edge, origin: &ManualOrigin, upload: Upload) -> (Client, Raw) {
    let mut client = Client::send_to(edge.address(), upload.head(2 * PART as u64, "")).await;
    client.send(upload.part(&pattern(PART))).await;
    let (mut server, _) = origin.request().await;
    server.body_brings(pattern(PART)).await;
    server.send([EVENTS.as_bytes(), &chunk("data: half\n\n")].concat()).await;
    assert_eq!(client.head().await.status(), 200);
    client.expects("data: half\n\n").await;
    (client, server)
}

#[tokio::test]
async fn each_part_of_an_upload_has_its_event_before_the_next_is_sent() {
    const PARTS: usize = 6;
    for upload in Upload::BOTH {
        for head_first in [false, true] {
            let origin = ManualOrigin::start().await;
            let edge = Edge::start(origin.address()).await;
            let mut client = Client::send_to(edge.address(), upload.head((PARTS * PART) as u64, "")).await;
            let (mut server, _) = origin.request().await;
            let mut body = Pattern::default();
            if head_first {
                server.send(EVENTS).await;
                client.head().await;
            }
            for number in 0..PARTS {
                let part = body.next(PART);
                client.send(upload.part(&part)).await;
                server.body_brings(&part).await;
                if number == 0 && !head_first {
                    server.send(EVENTS).await;
                    client.head().await;
                }
                server.send(chunk(format!("data: {number}\n\n"))).await;
                client.expects(format!("data: {number}\n\n")).await;
            }
            client.send(upload.end()).await;
            assert_eq!(server.piece().await, Ok(None), "{upload:?}: the body has its end");
            server.send([&chunk("data: done\n\n")[..], b"0\r\n\r\n"].concat()).await;
            client.ends_with("data: done\n\n", End::Clean).await;
            edge.stream_ended("upstream_end").await;
        }
    }
}

#[tokio::test]
async fn single_bytes_of_an_upload_arrive_while_its_stream_is_open() {
    for upload in Upload::BOTH {
        let origin = ManualOrigin::start().await;
        let edge = Edge::start(origin.address()).await;
        let (mut client, mut server) = half_way(&edge, &origin, upload).await;
        for byte in *b"abc" {
            client.send(upload.part(&[byte])).await;
            server.body_brings([byte]).await;
            server.send(chunk([byte])).await;
            client.expects([byte]).await;
        }
    }
}

#[tokio::test]
async fn a_part_of_a_chunk_arrives_before_the_rest_of_it_while_the_stream_is_open() {
    let origin = ManualOrigin::start().await;
    let edge = Edge::start(origin.address()).await;
    let (mut client, mut server) = half_way(&edge, &origin, Upload::Chunked).await;
    client.send("000a ;ext=1\r\nabcde").await;
    server.body_brings("abcde").await;
    client.send("fghij\r\n1\r\nk\r\n0\r\nX-Trailer: 1\r\n\r\n").await;
    assert_eq!(server.rest_of_body().await, (b"fghijk".to_vec(), End::Clean));
    server.send([&chunk("data: all\n\n")[..], b"0\r\n\r\n"].concat()).await;
    client.ends_with("data: all\n\n", End::Clean).await;
}

#[tokio::test]
async fn heartbeats_go_on_while_the_upload_pauses_and_while_it_flows() {
    for upload in Upload::BOTH {
        let origin = ManualOrigin::start().await;
        let edge = Edge::with().heartbeat("interval: 100ms").start(origin.address()).await;
        let (mut client, mut server) = half_way(&edge, &origin, upload).await;
        client.expects(":\n\n:\n\n:\n\n").await;
        let mut body = Pattern::default();
        body.next(PART);
        for _ in 0..5 {
            let part = body.next(PART / 5);
            client.send(upload.part(&part)).await;
            server.body_brings(&part).await;
            client.expects(":\n\n").await;
        }
        client.send(upload.end()).await;
        assert_eq!(server.piece().await, Ok(None));
        client.expects(":\n\n").await;
        server.send([&chunk("data: done\n\n")[..], b"0\r\n\r\n"].concat()).await;
        client.expects_after(":\n\n", "data: done\n\n").await;
        client.ends_with("", End::Clean).await;
    }
}

#[tokio::test]
async fn an_upload_goes_on_behind_the_head_of_its_answer_and_arrives_whole() {
    const REST: usize = 1 << 20;
    for upload in Upload::BOTH {
        for head in [EVENTS, ORDINARY] {
            let origin = ManualOrigin::start().await;
            let edge = Edge::with().heartbeat("off").start(origin.address()).await;
            let mut client = Client::send_to(edge.address(), upload.head(REST as u64, "")).await;
            let (mut server, _) = origin.request().await;
            server.send([head.as_bytes(), &chunk("data: early\n\n")].concat()).await;
            client.head().await;
            client.expects("data: early\n\n").await;
            let body = pattern(REST);
            let (sending, server_read) = tokio::join!(
                async {
                    for part in body.chunks(70_001) {
                        client.send(upload.part(part)).await;
                    }
                    client.send(upload.end()).await;
                },
                server.rest_of_body()
            );
            let () = sending;
            assert!(server_read.0 == body && server_read.1 == End::Clean, "{upload:?} behind {head:?}: {:?}", server_read.1);
            server.send([&chunk("data: late\n\n")[..], b"0\r\n\r\n"].concat()).await;
            client.ends_with("data: late\n\n", End::Clean).await;
        }
    }
}

#[tokio::test]
async fn a_whole_answer_comes_before_the_body_is_sent_and_nothing_takes_it_back() {
    for upload in Upload::BOTH {
        let origin = ManualOrigin::start().await;
        let edge = Edge::start(origin.address()).await;
        let mut client = Client::send_to(edge.address(), upload.head(PART as u64, "")).await;
        let (server, _) = origin.request().await;
        server.send("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nearly").await;
        client.head().await;
        client.ends_with("early", End::Clean).await;
        // What the client sent before it read the answer does not make the close a reset.
        client.send_last(&[&upload.part(&pattern(PART))[..], upload.end().as_bytes()].concat()).await;
        assert_eq!(client.rest().await, (Vec::new(), End::Clean), "{upload:?}");
    }
}

#[tokio::test]
async fn a_refusal_reaches_a_client_that_uploads_although_the_server_closes_without_reading() {
    const BODY: usize = 512 * 1024;
    for upload in Upload::BOTH {
        for reads_all_first in [false, true] {
            let origin = ManualOrigin::start().await;
            let edge = Edge::start(origin.address()).await;
            let mut client = Client::send_to(edge.address(), upload.head(BODY as u64, "")).await;
            let (server, _) = origin.request().await;
            // Bytes that nobody reads: the server's close is a reset.
            client.send(upload.part(&pattern(PART))).await;
            server.send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nno\n").await;
            if reads_all_first {
                assert_eq!(client.head().await.status(), 413);
                client.expects("no\n").await;
            }
            drop(server);
            client.send_unheard([&upload.part(&pattern(BODY - PART))[..], upload.end().as_bytes()].concat()).await;
            if !reads_all_first {
                assert_eq!(client.head().await.status(), 413, "{upload:?}");
                client.expects("no\n").await;
            }
            client.ends_with("", End::Clean).await;
        }
    }
}

#[tokio::test]
async fn a_client_that_leaves_half_way_is_no_end_of_the_body_for_the_server() {
    let leave: [fn(Client); 2] = [drop, Client::reset];
    for upload in Upload::BOTH {
        for leave in leave {
            let origin = ManualOrigin::start().await;
            // No beat is due that could find out by failing.
            let edge = Edge::with().heartbeat("off").start(origin.address()).await;
            let (client, mut server) = half_way(&edge, &origin, upload).await;
            leave(client);
            let (rest, end) = server.rest_of_body().await;
            assert!(rest.is_empty() && end != End::Clean, "{upload:?}: {rest:?} and {end:?}");
            edge.stream_ended("client_gone").await;
            edge.metric_becomes("ssedge_streams_open", "", 0.0).await;
        }
    }
}

#[tokio::test]
async fn a_client_that_sends_fin_half_way_is_no_end_of_the_body_for_the_server() {
    for upload in Upload::BOTH {
        let origin = ManualOrigin::start().await;
        let edge = Edge::with().heartbeat("off").start(origin.address()).await;
        let (mut client, mut server) = half_way(&edge, &origin, upload).await;
        client.socket().half_close();
        let (rest, end) = server.rest_of_body().await;
        assert!(rest.is_empty() && end != End::Clean, "{upload:?}: {rest:?} and {end:?}");
        assert_ne!(client.rest_of_body().await.1, End::Clean);
        edge.metric_becomes("ssedge_streams_open", "", 0.0).await;
    }
}

#[tokio::test]
async fn an_upload_that_turns_out_malformed_ends_the_stream_abnormally_and_is_not_completed() {
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: test\r\n\r\n";
    for bad in
        ["zz\r\n", "-1\r\n", "4\r\nhalfX\r\n0\r\n\r\n", "4\nhalf\r\n0\r\n\r\n", ";x\r\n\r\n", "0\n\n", "fffffffffffffffff\r\n"]
    {
        let origin = ManualOrigin::start().await;
        let edge = Edge::with().heartbeat("off").start(origin.address()).await;
        let (mut client, mut server) = half_way(&edge, &origin, Upload::Chunked).await;
        client.send([bad, smuggled].concat()).await;
        let (rest, end) = client.rest_of_body().await;
        assert!(rest.is_empty() && end != End::Clean, "after {bad:?}: {rest:?} and {end:?}");
        let (rest, end) = server.rest_of_body().await;
        assert!(b"half".starts_with(&rest[..]) && end != End::Clean, "after {bad:?}: {rest:?} and {end:?}");
        edge.metric_becomes("ssedge_streams_open", "", 0.0).await;
        assert_eq!(edge.metric("ssedge_streams_ended_total", "").await, 1.0, "one stream has one end");
    }
}

#[tokio::test]
async fn a_stream_that_is_lost_while_its_upload_goes_on_has_no_clean_end() {
    let losses = [("", "upstream_lost"), ("ff\r\ndata: b", "upstream_lost"), ("zz\r\n", "upstream_malformed")];
    for upload in Upload::BOTH {
        for (last_words, reason) in losses {
            let origin = ManualOrigin::start().await;
            let edge = Edge::with().heartbeat("off").start(origin.address()).await;
            let (mut client, server) = half_way(&edge, &origin, upload).await;
            server.send(last_words).await;
            drop(server);
            // Unread, and more than kernel buffers hold apart: the upload is in the way of nothing.
            client.send(upload.part(&pattern(PART / 2))).await;
            assert_ne!(client.rest_of_body().await.1, End::Clean, "{upload:?} after {last_words:?}");
            edge.stream_ended(reason).await;
        }
    }
}

#[tokio::test]
async fn a_stream_that_ends_while_its_upload_goes_on_ends_clean_and_nothing_of_it_is_lost() {
    const BODY: usize = 512 * 1024;
    for upload in Upload::BOTH {
        for server_stays in [true, false] {
            let origin = ManualOrigin::start().await;
            let edge = Edge::start(origin.address()).await;
            let client = Client::connect(edge.address()).await;
            client.socket().send(upload.head(BODY as u64, "")).await;
            let (mut server, _) = origin.request().await;
            server.send([EVENTS.as_bytes(), &chunk("data: a\n\n"), &chunk("data: b\n\n"), b"0\r\n\r\n"].concat()).await;
            if !server_stays {
                server.socket().half_close();
            }
            // The client goes on for a while and reads later: a reset would take the events from it.
            let mut client = client;
            client.send_unheard(upload.part(&pattern(BODY / 2))).await;
            server.rest_of_body().await;
            assert_eq!(client.head().await.status(), 200, "{upload:?}");
            client.ends_with("data: a\n\ndata: b\n\n", End::Clean).await;
            assert_eq!(client.rest().await, (Vec::new(), End::Clean), "{upload:?}");
            edge.stream_ended("upstream_end").await;
        }
    }
}

#[tokio::test]
async fn a_client_that_expects_100_gets_it_before_its_body_and_the_server_sees_it_once() {
    for upload in Upload::BOTH {
        for (head, server_continues) in [(EVENTS, false), (EVENTS, true), (ORDINARY, false), (ORDINARY, true)] {
            let origin = ManualOrigin::start().await;
            let edge = Edge::start(origin.address()).await;
            let mut client = Client::send_to(edge.address(), upload.head(PART as u64, "Expect: 100-continue\r\n")).await;
            let (mut server, asked) = origin.request().await;
            if server_continues || asked.get("expect").is_some() {
                server.send("HTTP/1.1 100 Continue\r\n\r\n").await;
            }
            assert_eq!(client.any_head().await.status(), 100);
            client.send([&upload.part(&pattern(PART))[..], upload.end().as_bytes()].concat()).await;
            assert_eq!(server.rest_of_body().await, (pattern(PART), End::Clean));
            server.send([head.as_bytes(), &chunk("data: a\n\n"), b"0\r\n\r\n"].concat()).await;
            assert_eq!(client.any_head().await.status(), 200, "one 100 is enough");
            client.ends_with("data: a\n\n", End::Clean).await;
        }
    }
}

#[tokio::test]
async fn a_client_that_expects_100_gets_a_final_answer_that_comes_at_once() {
    for upload in Upload::BOTH {
        for status in ["401 Unauthorized", "413 Content Too Large", "417 Expectation Failed", "200 OK"] {
            let origin = ManualOrigin::start().await;
            let edge = Edge::start(origin.address()).await;
            let mut client = Client::send_to(edge.address(), upload.head(PART as u64, "Expect: 100-continue\r\n")).await;
            let (mut server, _) = origin.request().await;
            server.send(format!("HTTP/1.1 {status}\r\nContent-Length: 3\r\n\r\nno\n")).await;
            assert!(status.starts_with(&client.head().await.status().to_string()), "for {status}");
            client.ends_with("no\n", End::Clean).await;
            // It has its answer and leaves: a body that it never sent is no whole one for the server.
            client.send_last(b"").await;
            assert_eq!(client.rest().await, (Vec::new(), End::Clean), "after {status}");
            let (rest, end) = server.rest_of_body().await;
            assert!(rest.is_empty() && end != End::Clean, "after {status}: {rest:?} and {end:?}");
        }
    }
}

#[tokio::test]
async fn informational_answers_pass_while_the_body_is_on_its_way() {
    for upload in Upload::BOTH {
        for head in [EVENTS, ORDINARY] {
            let origin = ManualOrigin::start().await;
            let edge = Edge::start(origin.address()).await;
            let mut client = Client::send_to(edge.address(), upload.head(2 * PART as u64, "")).await;
            let (mut server, _) = origin.request().await;
            client.send(upload.part(&pattern(PART))).await;
            server.body_brings(pattern(PART)).await;
            for number in 0..3 {
                server.send(format!("HTTP/1.1 103 Early Hints\r\nLink: </{number}.css>; rel=preload\r\n\r\n")).await;
                let hint = client.any_head().await;
                assert_eq!((hint.status(), hint.get("link")), (103, Some(format!("</{number}.css>; rel=preload").as_str())));
                assert_eq!((hint.get("content-length"), hint.get("transfer-encoding")), (None, None), "{hint:?}");
            }
            client.send([&upload.part(&pattern(PART))[..], upload.end().as_bytes()].concat()).await;
            assert_eq!(server.rest_of_body().await, (pattern(PART), End::Clean));
            server.send([head.as_bytes(), &chunk("data: a\n\n"), b"0\r\n\r\n"].concat()).await;
            assert_eq!(client.any_head().await.status(), 200);
            client.ends_with("data: a\n\n", End::Clean).await;
        }
    }
}

#[tokio::test]
async fn an_upload_in_progress_is_cut_at_the_drains_deadline_and_finishes_before_it() {
    for finishes in [true, false] {
        let origin = ManualOrigin::start().await;
        let deadline = if finishes { "20s" } else { "500ms" };
        let mut edge = Edge::with().heartbeat("off").drain_deadline(deadline).start(origin.address()).await;
        let (mut client, mut server) = half_way(&edge, &origin, Upload::Length).await;
        edge.signal("TERM");
        if finishes {
            edge.draining().await;
            client.send(pattern(PART)).await;
            assert_eq!(server.rest_of_body().await, (pattern(PART), End::Clean));
            server.send([&chunk("data: done\n\n")[..], b"0\r\n\r\n"].concat()).await;
            client.ends_with("data: done\n\n", End::Clean).await;
        } else {
            assert_ne!(server.rest_of_body().await.1, End::Clean, "a body that was cut has no end");
            assert_ne!(client.rest_of_body().await.1, End::Clean);
        }
        assert_eq!(within("the process to leave", edge.exit_code()).await, Some(0));
    }
}

#[tokio::test]
async fn an_upload_that_pauses_longer_than_the_body_may_does_not_outlive_its_limit() {
    // Nothing of the answer has come: the client is at fault and hears so.
    let origin = ManualOrigin::start().await;
    let edge = Edge::with().timeout("request_body_idle", "300ms").start(origin.address()).await;
    let mut client = Client::send_to(edge.address(), Upload::Length.head(10, "")).await;
    client.send("half").await;
    let (mut server, _) = origin.request().await;
    server.body_brings("half").await;
    assert_eq!(client.head().await.status(), 408);
    assert_ne!(server.rest_of_body().await.1, End::Clean);
    // It pauses, but each time for less.
    let mut client = Client::send_to(edge.address(), Upload::Length.head(10, "")).await;
    let (mut server, _) = origin.request().await;
    for byte in *b"0123456789" {
        tokio::time::sleep(Duration::from_millis(100)).await;
        client.send([byte]).await;
        server.body_brings([byte]).await;
    }
    server.send("HTTP/1.1 204 No Content\r\n\r\n").await;
    assert_eq!(client.head().await.status(), 204);
}
