//! What goes over the wire, byte for byte, and when: a client on the other end of a socket pair reads it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use pingora::http::{RequestHeader, ResponseHeader};
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;

use super::{COPIED, Http1Client};
use crate::message::Version;
use crate::proxy::downstream::{Body, Gone};
use crate::transport::Socket;

/// Ours, and the client's end of it.
fn pair() -> (Http1Client, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let head = RequestHeader::build("GET", b"/", None).unwrap();
    (Http1Client::new(head, Version::Http11, Arc::new(Socket::Unix(ours))), theirs)
}

fn head(fields: &[(&'static str, &'static str)]) -> ResponseHeader {
    let mut head = ResponseHeader::build(200, None).unwrap();
    for (name, value) in fields {
        head.append_header(*name, *value).unwrap();
    }
    head
}

/// All that the client was sent by now: it was written to a socket of this machine, where it is at once.
fn arrived(client: &UnixStream) -> String {
    let mut read = vec![0; 4096];
    match client.try_read(&mut read) {
        Ok(n) => String::from_utf8(read[..n].to_vec()).unwrap(),
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => String::new(),
        Err(error) => panic!("{error}"),
    }
}

const DATE: (&str, &str) = ("Date", "Tue, 15 Nov 1994 08:12:31 GMT");

#[tokio::test]
async fn a_head_waits_for_the_first_piece_of_its_body() {
    let (mut ours, client) = pair();
    ours.write_head(&head(&[("Content-Length", "5"), DATE]), Body::Framed, true).await.unwrap();
    assert_eq!(arrived(&client), "");
    ours.write_body(Bytes::from_static(b"hel")).await.unwrap();
    let date = format!("{}: {}\r\n", DATE.0, DATE.1);
    client.readable().await.unwrap();
    assert_eq!(arrived(&client), format!("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n{date}Connection: keep-alive\r\n\r\nhel"));
}

/// What the client was sent in all, once it is told that there is no more.
async fn whole(ours: Http1Client, mut client: UnixStream) -> String {
    drop(ours);
    let mut read = String::new();
    client.read_to_string(&mut read).await.unwrap();
    read
}

#[tokio::test]
async fn an_answer_without_a_body_goes_out_with_its_head() {
    for (fields, body) in [(&[DATE][..], Body::None), (&[("Content-Length", "0"), DATE][..], Body::Framed)] {
        let (mut ours, client) = pair();
        ours.write_head(&head(fields), body, false).await.unwrap();
        client.readable().await.unwrap();
        let sent = arrived(&client);
        assert!(sent.starts_with("HTTP/1.1 200 OK\r\n") && sent.ends_with("Connection: close\r\n\r\n"), "{sent}");
    }
}

#[tokio::test]
async fn who_has_no_body_yet_sends_the_head_by_itself() {
    let (mut ours, client) = pair();
    ours.write_head(&head(&[DATE]), Body::UntilClose, true).await.unwrap();
    ours.flush().await.unwrap();
    client.readable().await.unwrap();
    // What ends with the connection cannot keep it.
    assert!(arrived(&client).ends_with("Connection: close\r\n\r\n"));
    ours.write_body(Bytes::from_static(b"to the end")).await.unwrap();
    ours.finish().await.unwrap();
    assert_eq!(whole(ours, client).await, "to the end");
}

#[tokio::test]
async fn chunks_are_framed_and_an_empty_piece_is_not_the_last_one() {
    let (mut ours, client) = pair();
    ours.write_head(&head(&[DATE]), Body::Framed, true).await.unwrap();
    for piece in [&b"0123456789abcdef"[..], b"", b"x"] {
        ours.write_body(Bytes::copy_from_slice(piece)).await.unwrap();
    }
    ours.finish().await.unwrap();
    let sent = whole(ours, client).await;
    let (head, body) = sent.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("\r\nTransfer-Encoding: chunked"), "{head}");
    assert_eq!(body, "10\r\n0123456789abcdef\r\n1\r\nx\r\n0\r\n\r\n");
}

#[tokio::test]
async fn no_more_is_sent_than_was_promised_and_less_is_no_end() {
    let length = [("Content-Length", "5"), DATE];
    let (mut ours, client) = pair();
    ours.write_head(&head(&length), Body::Framed, true).await.unwrap();
    ours.write_body(Bytes::from_static(b"hello, smuggled")).await.unwrap();
    ours.finish().await.unwrap();
    assert!(whole(ours, client).await.ends_with("\r\n\r\nhello"));

    let (mut ours, _client) = pair();
    ours.write_head(&head(&length), Body::Framed, true).await.unwrap();
    ours.write_body(Bytes::from_static(b"hell")).await.unwrap();
    assert_eq!(ours.finish().await, Err(Gone));
}

#[tokio::test]
async fn a_date_is_added_where_the_server_gave_none() {
    for (fields, ours_too) in [(&[][..], true), (&[DATE][..], false)] {
        let (mut ours, client) = pair();
        ours.write_head(&head(fields), Body::None, true).await.unwrap();
        let sent = whole(ours, client).await;
        assert_eq!(sent.matches("\r\nDate: ").count(), 1, "{sent}");
        assert_eq!(!sent.contains(DATE.1), ours_too, "{sent}");
    }
}

#[tokio::test]
async fn an_informational_head_has_nothing_of_the_final_one() {
    let (mut ours, client) = pair();
    ours.informational(&ResponseHeader::build(103, None).unwrap()).await.unwrap();
    ours.write_head(&head(&[DATE]), Body::None, true).await.unwrap();
    assert!(whole(ours, client).await.starts_with("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\n"));
}

#[tokio::test]
async fn a_large_piece_arrives_whole_behind_its_head_to_a_client_that_reads_slowly() {
    for framing in [&[DATE][..], &[("Content-Length", "400000"), DATE][..]] {
        let (mut ours, mut client) = pair();
        let data: Vec<u8> = (0..400_000).map(|at: usize| b'a' + (at % 26) as u8).collect();
        assert!(data.len() > COPIED);
        let piece = Bytes::from(data.clone());
        let head = head(framing);
        let writer = tokio::spawn(async move {
            ours.write_head(&head, Body::Framed, true).await.unwrap();
            ours.write_body(piece).await.unwrap();
            ours.finish().await.unwrap();
        });
        let mut read = Vec::new();
        client.read_to_end(&mut read).await.unwrap();
        writer.await.unwrap();
        let at = read.windows(4).position(|end| end == b"\r\n\r\n").unwrap() + 4;
        let body = read[at..].strip_prefix(b"61a80\r\n").map_or(&read[at..], |chunk| chunk.strip_suffix(b"\r\n0\r\n\r\n").unwrap());
        assert!(body == data, "{} bytes", body.len());
    }
}

#[tokio::test]
async fn a_client_that_takes_nothing_for_too_long_has_stalled_and_one_that_left_has_not() {
    let (mut ours, client) = pair();
    ours.set_write_stall(Duration::from_millis(20));
    ours.write_head(&head(&[DATE]), Body::Framed, true).await.unwrap();
    while ours.write_body(Bytes::from(vec![b'x'; 100_000])).await.is_ok() {}
    assert!(ours.has_stalled());
    drop(client);

    let (mut ours, client) = pair();
    drop(client);
    ours.write_head(&head(&[DATE]), Body::Framed, true).await.unwrap();
    assert_eq!(ours.write_body(Bytes::from_static(b"x")).await, Err(Gone));
    assert!(!ours.has_stalled());
}
