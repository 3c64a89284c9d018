//! Answers that are over before their request is: what becomes of both connections. The rest of a body is never taken for a request,
//! and who leaves behind a body that nobody takes is noticed (RFC 9112 sections 9.3, 9.6 and 11.2).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::bulk::{BIG, send};
use crate::duplex::{EVENTS, Upload};
use crate::support::gzip::Gzip;
use crate::support::{Client, Edge, End, GET, ManualOrigin, Origin, Pattern, Script, chunk, pattern, settled, within};

const PART: usize = 3_000;
const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: test\r\n\r\n";

/// Whole answers, and the body that the client reads of them.
fn answers() -> [(Script, &'static str); 4] {
    let early = Script::early;
    [
        (early().head("200 OK", "Content-Length: 5\r\n").raw("early"), "early"),
        (early().head("200 OK", "Transfer-Encoding: chunked\r\n").chunk("early").end(), "early"),
        (early().head("204 No Content", ""), ""),
        (
            early().head("200 OK", "Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n").event("early").end(),
            "data: early\n\n",
        ),
    ]
}

#[tokio::test]
async fn the_rest_of_a_body_whose_answer_is_over_is_no_request() {
    for upload in Upload::BOTH {
        for (script, body) in answers() {
            let origin = Origin::start(script.await_body().hang()).await;
            let edge = Edge::start(origin.address()).await;
            let mut client = Client::send_to(edge.address(), upload.head(SMUGGLED.len() as u64, "")).await;
            client.head().await;
            client.ends_with(body, End::Clean).await;
            // All of it looks like a request, and one follows that is one.
            let rest = [&upload.part(SMUGGLED.as_bytes())[..], upload.end().as_bytes(), GET.as_bytes()].concat();
            client.send_unheard(rest).await;
            client.rest().await;
            for number in 0..origin.requests() {
                let head = origin.request_head(number).await.head;
                assert!(!head.start().contains("smuggled"), "{upload:?} behind {body:?}: {}", head.start());
            }
        }
    }
}

#[tokio::test]
async fn a_server_that_is_owed_the_rest_of_a_body_gets_no_other_request_on_that_connection() {
    for upload in Upload::BOTH {
        for (script, body) in answers() {
            let origin = Origin::start_each([script.hang(), Script::answer("next")]).await;
            let edge = Edge::start(origin.address()).await;
            let mut client = Client::send_to(edge.address(), upload.head(5_000, "")).await;
            client.send(upload.part(&pattern(2_000))).await;
            client.head().await;
            client.ends_with(body, End::Clean).await;
            let (mut next, _) = Client::open(edge.address(), GET).await;
            next.ends_with("next", End::Clean).await;
            assert_eq!((origin.request_head(1).await.connection, origin.request_head(0).await.complete), (1, false));
            assert_ne!(origin.request_head(0).await.head.start(), origin.request_head(1).await.head.start());
        }
    }
}

#[tokio::test]
async fn a_body_whose_ordinary_answer_is_over_still_reaches_its_server_whole() {
    for upload in Upload::BOTH {
        for wire in [
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nearly\r\n0\r\n\r\n",
        ] {
            let origin = ManualOrigin::start().await;
            let edge = Edge::start(origin.address()).await;
            let mut client = Client::send_to(edge.address(), upload.head(3 * PART as u64, "")).await;
            let (mut server, _) = origin.request().await;
            server.send(wire).await;
            client.head().await;
            client.ends_with("early", End::Clean).await;
            let mut body = Pattern::default();
            for _ in 0..3 {
                let part = body.next(PART);
                client.send(upload.part(&part)).await;
                server.body_brings(&part).await;
            }
            client.send(upload.end()).await;
            assert_eq!(server.piece().await, Ok(None), "{upload:?}");
            assert_eq!(client.rest().await, (Vec::new(), End::Clean));
        }
    }
}

#[tokio::test]
async fn who_leaves_behind_a_whole_answer_leaves_the_body_cut() {
    for upload in Upload::BOTH {
        let origin = ManualOrigin::start().await;
        let edge = Edge::start(origin.address()).await;
        let mut client = Client::send_to(edge.address(), upload.head(2 * PART as u64, "")).await;
        client.send(upload.part(&pattern(PART))).await;
        let (mut server, _) = origin.request().await;
        server.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly").await;
        client.head().await;
        client.ends_with("early", End::Clean).await;
        drop(client);
        assert_eq!(server.rest_of_body().await, (pattern(PART), End::Truncated));
    }
}

#[tokio::test]
async fn a_body_that_stands_still_behind_its_answer_does_not_hold_up_the_drain() {
    let origin = ManualOrigin::start().await;
    let mut edge = Edge::with().drain_deadline("500ms").start(origin.address()).await;
    let mut client = Client::send_to(edge.address(), Upload::Length.head(2 * PART as u64, "")).await;
    let (mut server, _) = origin.request().await;
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly").await;
    client.head().await;
    client.ends_with("early", End::Clean).await;
    edge.signal("TERM");
    assert_eq!(edge.exit_code().await, Some(0));
    assert_ne!(server.rest_of_body().await.1, End::Clean);
}

#[tokio::test]
async fn a_client_stuck_in_its_upload_reads_the_whole_answer_and_a_close_that_is_no_reset() {
    let wires = [
        ("HTTP/1.1 413 Content Too Large\r\nContent-Length: 5\r\nConnection: close\r\n\r\nearly".to_owned(), "early"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nearly\r\n0\r\n\r\n".to_owned(), "early"),
        ("HTTP/1.1 204 No Content\r\n\r\n".to_owned(), ""),
        (format!("{EVENTS}d\r\ndata: early\n\n\r\n0\r\n\r\n"), "data: early\n\n"),
    ];
    for (wire, body) in wires {
        for server_stays in [true, false] {
            let origin = ManualOrigin::start().await;
            // For as long the rest of the body may stand still.
            let edge = Edge::with().timeout("request_body_idle", "500ms").start(origin.address()).await;
            let mut client = Client::send_to(edge.address(), Upload::Length.head(BIG, "")).await;
            let (server, _) = origin.request().await;
            let (socket, sent) = (client.socket(), Arc::new(AtomicU64::new(0)));
            let count = Arc::clone(&sent);
            let uploading = tokio::spawn(async move {
                let mut body = Pattern::default();
                while body.at() < BIG && socket.write(&body.next(64 * 1024)).await.is_ok() {
                    count.store(body.at(), Ordering::Relaxed);
                }
            });
            // Whoever closes now has bytes before him that nobody read, which makes the close a reset.
            settled("the client to be stopped", || sent.load(Ordering::Relaxed)).await;
            server.send(&wire).await;
            let server = server_stays.then_some(server);
            client.head().await;
            client.ends_with(body, End::Clean).await;
            assert_eq!(client.rest().await, (Vec::new(), End::Clean), "behind {wire:?}");
            // The upload is not taken on for ever, either.
            within("the proxy to close", uploading).await.unwrap();
            drop(server);
        }
    }
}

#[tokio::test]
async fn a_stream_without_framing_ends_with_its_server_while_the_upload_goes_on() {
    for upload in Upload::BOTH {
        let origin = ManualOrigin::start().await;
        let edge = Edge::start(origin.address()).await;
        let mut client = Client::send_to(edge.address(), upload.head(5_000, "")).await;
        let (server, _) = origin.request().await;
        server.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: a\n\n").await;
        client.head().await;
        client.expects("data: a\n\n").await;
        server.socket().half_close();
        client.send(upload.part(&pattern(2_000))).await;
        client.ends_with("", End::Clean).await;
        edge.stream_ended("upstream_end").await;
    }
}

#[tokio::test]
async fn a_client_that_leaves_behind_a_stalled_upload_is_noticed() {
    for by_reset in [true, false] {
        let origin = ManualOrigin::start().await;
        let edge = Edge::with().heartbeat("interval: 100ms").start(origin.address()).await;
        let mut client = Client::send_to(edge.address(), Upload::Length.head(BIG, "")).await;
        let (mut server, _) = origin.request().await;
        server.send([EVENTS.as_bytes(), &chunk("data: a\n\n")].concat()).await;
        client.head().await;
        client.expects("data: a\n\n").await;
        let uploading = tokio::spawn(send(client.socket(), BIG, Arc::default(), <[u8]>::to_vec));
        // Heartbeats for as long as it stalls.
        client.expects(":\n\n:\n\n:\n\n").await;
        uploading.abort();
        let _ = uploading.await;
        if by_reset {
            client.reset();
        } else {
            drop(client);
        }
        edge.stream_ended("client_gone").await;
        assert_ne!(server.rest_of_body().await.1, End::Clean);
    }
}

#[tokio::test]
async fn a_client_that_leaves_behind_a_stalled_upload_before_any_answer_is_noticed() {
    let origin = ManualOrigin::start().await;
    let edge = Edge::start(origin.address()).await;
    let client = Client::send_to(edge.address(), Upload::Length.head(BIG, "")).await;
    let (mut server, _) = origin.request().await;
    let sent = Arc::new(AtomicU64::new(0));
    let uploading = tokio::spawn(send(client.socket(), BIG, Arc::clone(&sent), <[u8]>::to_vec));
    settled("the client to be stopped", || sent.load(Ordering::Relaxed)).await;
    uploading.abort();
    let _ = uploading.await;
    client.reset();
    assert_ne!(server.rest_of_body().await.1, End::Clean);
}

#[tokio::test]
async fn compressed_progress_of_an_upload_goes_in_lockstep_too() {
    for upload in Upload::BOTH {
        let origin = ManualOrigin::start().await;
        let edge = Edge::with().heartbeat("interval: 100ms").start(origin.address()).await;
        let mut client = Client::send_to(edge.address(), upload.head(5 * PART as u64, "")).await;
        let (mut server, asked) = origin.request().await;
        assert_eq!(asked.get("accept-encoding"), Some("identity"));
        server.send(EVENTS.replacen("\r\n", "\r\nContent-Encoding: gzip\r\n", 1)).await;
        assert_eq!(client.head().await.get("content-encoding"), None);
        let (mut body, mut member) = (Pattern::default(), Gzip::new());
        for number in 0..5 {
            let part = body.next(PART);
            client.send(upload.part(&part)).await;
            server.body_brings(&part).await;
            server.send(chunk(member.part(format!("data: {number}\n\n")))).await;
            client.expects_after(":\n\n", format!("data: {number}\n\n")).await;
            client.expects(":\n\n").await;
        }
        client.send(upload.end()).await;
        assert_eq!(server.piece().await, Ok(None));
        server.send([&chunk(member.end())[..], b"0\r\n\r\n"].concat()).await;
        client.expects_after(":\n\n", "").await;
        client.ends_with("", End::Clean).await;
    }
}
