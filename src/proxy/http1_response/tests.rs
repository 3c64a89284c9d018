//! Responses as a server on the other end of a socket pair sends them: at every split, cut at every byte, and with too much behind.

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;

use super::Http1Response;
use crate::proxy::ask::Failure;
use crate::transport::Socket;

/// Far longer than anything here takes.
const DEADLINE: Duration = Duration::from_secs(60);

fn pair() -> (Http1Response, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    (Http1Response::new(Arc::new(Socket::Unix(ours))), theirs)
}

/// Statuses in their order, the body, and whether the connection can serve another request.
type Seen = (Vec<u16>, String, bool);

/// Reads one response to its end.
async fn seen(mut response: Http1Response) -> Result<Seen, String> {
    let mut statuses = Vec::new();
    let framing = loop {
        let head = match response.next_head(&Method::GET).await {
            Ok(head) => head,
            Err(Failure::Stale(reason)) => return Err(format!("stale: {reason}")),
            Err(Failure::Upstream(status, reason)) => return Err(format!("{status}: {reason}")),
            Err(_) => return Err("the client's fault".to_owned()),
        };
        statuses.push(head.judged.status);
        if head.judged.status >= 200 {
            break head.judged.framing;
        }
    };
    response.begin_body(framing).map_err(|_| "malformed".to_owned())?;
    let mut body = Vec::new();
    while let Some(piece) = response.read(DEADLINE).await? {
        body.extend_from_slice(&piece);
    }
    Ok((statuses, String::from_utf8(body).unwrap(), response.into_reusable().is_some()))
}

/// The same of what a server sends in these pieces, each once the one before was read, if it then closes.
async fn sent(pieces: &[&[u8]]) -> Result<Seen, String> {
    let (response, mut server) = pair();
    let reading = tokio::spawn(seen(response));
    for piece in pieces {
        // Who was answered already may be gone.
        let _ = server.write_all(piece).await;
        tokio::task::yield_now().await;
    }
    drop(server);
    reading.await.unwrap()
}

const WHOLE: [(&str, &[u16], &str); 5] = [
    ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", &[200], "hello"),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\nTrailer: x\r\n\r\n", &[200], "hello"),
    (
        "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100\r\n\r\nHTTP/1.1 404 No\r\nContent-Length: 2\r\n\r\nno",
        &[103, 100, 404],
        "no",
    ),
    ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", &[200], ""),
    ("HTTP/1.1 204 No Content\r\n\r\n", &[204], ""),
];

#[tokio::test]
async fn a_response_is_the_same_at_every_split() {
    for (raw, statuses, body) in WHOLE {
        let wanted = Ok((statuses.to_vec(), body.to_owned(), true));
        for cut in 0..raw.len() {
            let (one, other) = raw.as_bytes().split_at(cut);
            assert_eq!(sent(&[one, other]).await, wanted, "cut at {cut} of {}", raw.escape_debug());
        }
        let bytes: Vec<&[u8]> = raw.as_bytes().chunks(1).collect();
        assert_eq!(sent(&bytes).await, wanted, "byte by byte: {}", raw.escape_debug());
    }
}

#[tokio::test]
async fn a_response_that_is_cut_is_never_whole() {
    for (raw, ..) in WHOLE {
        for cut in 0..raw.len() {
            let error = sent(&[&raw.as_bytes()[..cut]]).await.expect_err("it is not whole");
            // Without a byte the connection was closed for being idle, and the request may be sent again.
            assert_eq!(error.starts_with("stale: "), cut == 0, "cut at {cut} of {}: {error}", raw.escape_debug());
        }
    }
}

#[tokio::test]
async fn what_stands_behind_a_response_is_nobodys_and_its_connection_serves_no_other() {
    for (raw, statuses, body) in WHOLE {
        let with_more = [raw.as_bytes(), b"HTTP/1.1 200 OK\r\n\r\n"].concat();
        assert_eq!(sent(&[&with_more]).await, Ok((statuses.to_vec(), body.to_owned(), false)), "{}", raw.escape_debug());
    }
}

#[tokio::test]
async fn a_body_up_to_the_close_ends_with_it() {
    let seen = sent(&[b"HTTP/1.1 200 OK\r\n\r\nhel", b"lo"]).await.unwrap();
    assert_eq!((seen.0, seen.1), (vec![200], "hello".to_owned()));
}

#[tokio::test]
async fn chunks_that_two_could_read_in_two_ways_are_refused_wherever_they_are() {
    const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    for chunks in [&b"5\nhello\r\n0\r\n\r\n"[..], b"0x5\r\nhello\r\n0\r\n\r\n", b"5\r\nhelloX\r\n0\r\n\r\n", b"-1\r\n"] {
        let together = sent(&[&[HEAD, chunks].concat()]).await;
        assert!(together.as_ref().is_err_and(|error| error.contains("malformed")), "{together:?}");
        let apart = sent(&[HEAD, chunks]).await;
        assert!(apart.as_ref().is_err_and(|error| error.contains("malformed")), "{apart:?}");
    }
}

#[tokio::test]
async fn a_head_without_end_is_given_up() {
    let (response, mut server) = pair();
    let reading = tokio::spawn(seen(response));
    let line = [&b"X-Endless: "[..], &[b'x'; 1000], b"\r\n"].concat();
    let _ = server.write_all(b"HTTP/1.1 200 OK\r\n").await;
    while server.write_all(&line).await.is_ok() {}
    let error = reading.await.unwrap().unwrap_err();
    assert!(error.starts_with("502: no end of the response head within"), "{error}");
}

#[tokio::test]
async fn a_server_that_says_nothing_more_is_waited_for_no_longer_than_that() {
    let (mut response, mut server) = pair();
    server.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel").await.unwrap();
    let Ok(head) = response.next_head(&Method::GET).await else { panic!("it is whole") };
    response.begin_body(head.judged.framing).unwrap();
    assert_eq!(response.read(DEADLINE).await.unwrap().unwrap(), "hel");
    let error = response.read(Duration::from_millis(10)).await.unwrap_err();
    assert!(error.contains("timeouts.response_body_idle"), "{error}");
}
