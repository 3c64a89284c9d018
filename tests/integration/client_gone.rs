//! A client that is gone before its answer: its FIN counts, as does its reset, whether or not it is done with its request; the server is
//! left, and the access log has a 499 (RFC 9112 section 9.6; design `pingora.md`, trap 13).

use h2::Reason;

use crate::support::hops::EVERY_HOP;
use crate::support::nowhere::Deaf;
use crate::support::{Client, Edge, End, GET, Http2Client, Http2Script, Origin, SUBSCRIBE, Script, Server, Version, eventually};

const HALF: &str = "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 8\r\n\r\nhalf";
const WHOLE: &str = "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\n\r\nbody";
const CHUNKED: &str = "POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n";

/// Waits until the access log has `count` requests that were given up, and none that was not.
async fn gave_up(edge: &Edge, count: usize) {
    let lines =
        || edge.process().stdout().lines().filter(|line| line.contains("kind=request")).map(str::to_owned).collect::<Vec<_>>();
    eventually("a line for each request", || (lines().len() >= count).then_some(())).await;
    let lines = lines();
    assert!(lines.len() == count && lines.iter().all(|line| line.contains(" status=499 ")), "{lines:#?}");
}

#[tokio::test]
async fn who_leaves_before_the_answer_leaves_the_server_and_a_499() {
    for (client, server) in EVERY_HOP {
        let origin = Server::start(server, Http2Script::early().hang()).await;
        let edge = origin.edge().start(origin.address()).await;
        let requests = [GET, SUBSCRIBE, WHOLE, HALF, CHUNKED];
        for (number, request) in requests.into_iter().enumerate() {
            match client {
                Version::Http1 => {
                    let mut client = Client::connect(edge.address()).await;
                    client.send(request).await;
                    origin.request_head(number).await;
                    // FIN alone: we could still be read, and are not.
                    client.send_last(b"").await;
                    origin.left(number).await;
                    assert_eq!(client.rest().await.0, b"", "{request:?}");
                }
                Version::Http2 => {
                    let mut client = Http2Client::connect(edge.address()).await;
                    // Two of them are not at their end over HTTP/1.1.
                    let request = request.replace("4\r\nhalf\r\n", "half");
                    let is_whole = !request.contains("half");
                    let mut stream = if is_whole { client.send(&request).await } else { client.begin(&request).await };
                    origin.request_head(number).await;
                    stream.reset(Reason::CANCEL);
                    origin.left(number).await;
                    client.ping().await;
                }
            }
        }
        gave_up(&edge, requests.len()).await;
    }
}

/// The server neither accepts nor refuses: nobody is kept waiting for it who does not wait.
#[tokio::test]
async fn who_leaves_while_a_server_is_being_connected_leaves_a_499() {
    let deaf = Deaf::new();
    let edge = Edge::with().timeout("connect", "10m").plain_start(deaf.address()).await;
    let mut client = Client::send_to(edge.address(), GET).await;
    edge.metric_becomes("ssedge_server_requests", "", 1.0).await;
    client.send_last(b"").await;
    gave_up(&edge, 1).await;
    let mut client = Http2Client::connect(edge.address()).await;
    let mut stream = client.send(GET).await;
    edge.metric_becomes("ssedge_server_requests", "", 1.0).await;
    stream.reset(Reason::CANCEL);
    gave_up(&edge, 2).await;
}

#[tokio::test]
async fn a_reset_of_the_connection_is_as_good_as_a_fin() {
    for (client, server) in EVERY_HOP {
        let origin = Server::start(server, Http2Script::early().hang()).await;
        let edge = origin.edge().start(origin.address()).await;
        for (number, request) in [GET, WHOLE].into_iter().enumerate() {
            match client {
                Version::Http1 => {
                    let client = Client::send_to(edge.address(), request).await;
                    origin.request_head(number).await;
                    client.reset();
                }
                Version::Http2 => {
                    let mut client = Http2Client::connect(edge.address()).await;
                    let _stream = client.send(request).await;
                    origin.request_head(number).await;
                    client.reset().await;
                }
            }
            origin.left(number).await;
        }
        gave_up(&edge, 2).await;
    }
}

/// As in nginx: who closes its half right behind the request does not wait for an answer.
#[tokio::test]
async fn a_fin_right_behind_the_request_is_a_leave() {
    let origin = Origin::start(Script::early().hang()).await;
    let edge = Edge::start(origin.address()).await;
    let mut client = Client::connect(edge.address()).await;
    client.send_last(GET.as_bytes()).await;
    let (answer, _) = client.rest().await;
    assert_eq!(answer, b"");
    gave_up(&edge, 1).await;
    for connection in 0..origin.connections() {
        origin.closed(connection).await;
    }
}

/// Before the head is whole nothing was asked: no server hears of it, and there is no line to log.
#[tokio::test]
async fn a_fin_within_the_head_asks_nothing() {
    let origin = Origin::start(Script::answer("ok")).await;
    let edge = Edge::start(origin.address()).await;
    for cut in [0, 1, 3, 14, 16, GET.len() - 2, GET.len() - 1] {
        let mut client = Client::connect(edge.address()).await;
        client.send_last(&GET.as_bytes()[..cut]).await;
        assert_eq!(client.rest().await, (Vec::new(), End::Clean), "after {cut} bytes");
    }
    assert_eq!(origin.connections(), 0);
    // The one line is of a request that was one.
    let (mut client, _) = Client::open(edge.address(), GET).await;
    client.ends_with("ok", End::Clean).await;
    let lines =
        || edge.process().stdout().lines().filter(|line| line.contains("kind=request")).map(str::to_owned).collect::<Vec<_>>();
    eventually("the line of the request", || (!lines().is_empty()).then_some(())).await;
    assert!(lines().len() == 1 && lines()[0].contains(" status=200 "), "{:?}", lines());
}

/// Half-way through an ordinary answer the status is what was sent; the log says that it was not taken whole.
#[tokio::test]
async fn who_leaves_in_the_middle_of_an_answer_leaves_its_status_and_a_reason() {
    for (client, server) in EVERY_HOP {
        let origin = Server::start(server, Http2Script::new().head(200, &[("content-length", "99")]).data("half").hang()).await;
        let edge = origin.edge().start(origin.address()).await;
        let mut viewer = crate::support::Viewer::open(client, edge.address(), GET).await;
        viewer.expects("half").await;
        let connection = viewer.leave();
        origin.left(0).await;
        eventually("its line", || {
            let log = edge.process().stdout();
            let line = log.lines().find(|line| line.contains("kind=request"))?;
            assert!(line.contains(" status=200 ") && line.contains("reason=\"the client left\""), "{line}");
            Some(())
        })
        .await;
        drop(connection);
    }
}
