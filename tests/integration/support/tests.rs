//! The instruments themselves: a client that calls every end clean would let every test pass.

use std::io::{Read, Write};

use flate2::read::GzDecoder;
use flate2::write::GzDecoder as GzWriter;

use super::gzip::{Gzip, bomb, bomb_event};
use super::{Client, End, GET, ManualOrigin, Origin, Pattern, Script, chunk};

const CHUNKED: &str = "Transfer-Encoding: chunked\r\n";

#[tokio::test]
async fn the_client_tells_a_clean_end_from_a_cut_and_from_a_reset() {
    let scripts = [
        Script::new().head("200 OK", CHUNKED).event("a").end(),
        Script::new().head("200 OK", CHUNKED).event("a").close(),
        Script::new().head("200 OK", CHUNKED).event("a").reset(),
        Script::new().head("200 OK", "Content-Length: 12\r\n").raw("data: a\n\n").close(),
        Script::new().head("200 OK", "").raw("data: a\n\n").close(),
        Script::new().head("200 OK", "").raw("data: a\n\n").reset(),
    ];
    let ends = [End::Clean, End::Truncated, End::Reset, End::Truncated, End::Clean, End::Reset];
    let origin = Origin::start_each(scripts).await;
    for end in ends {
        let (mut client, head) = Client::open(origin.address(), GET).await;
        assert_eq!(head.status(), 200);
        client.ends_with("data: a\n\n", end).await;
    }
}

#[tokio::test]
async fn the_origin_records_requests_and_who_closed() {
    let origin = Origin::start(Script::answer("ok")).await;
    let request = "POST /a?b HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    let (mut client, _) = Client::open(origin.address(), format!("{request}{GET}")).await;
    client.ends_with("ok", End::Clean).await;
    client.head().await;
    client.ends_with("ok", End::Clean).await;
    let first = origin.request(0).await;
    assert_eq!((first.head.start(), first.body.as_slice(), first.connection), ("POST /a?b HTTP/1.1", &b"abc"[..], 0));
    assert_eq!(origin.request(1).await.head.get("host"), Some("test"));
    client.reset();
    assert_eq!(origin.closed(0).await, End::Reset);

    drop(Client::open(origin.address(), GET).await);
    assert_ne!(origin.closed(1).await, End::Truncated);
    assert_eq!((origin.connections(), origin.requests()), (2, 3));
}

#[tokio::test]
#[should_panic(expected = "bad framing")]
async fn the_client_refuses_framing_that_is_bent() {
    let origin = Origin::start(Script::new().head("200 OK", CHUNKED).raw("3;x=y\r\nabc\r\n0\r\n\r\n")).await;
    let (mut client, _) = Client::open(origin.address(), GET).await;
    client.rest_of_body().await;
}

#[test]
fn a_bomb_is_one_whole_member_of_gzip() {
    let wire = bomb(3);
    let mut plain = Vec::new();
    GzDecoder::new(wire.as_slice()).read_to_end(&mut plain).expect("blocks, checksum and size are right");
    assert!(plain == bomb_event().repeat(3 * 1024) && wire.len() < 64 * 1024, "{} bytes of {}", plain.len(), wire.len());
}

#[test]
fn a_flushed_part_of_gzip_shows_all_that_was_put_in() {
    let mut member = Gzip::new();
    let (one, two) = (member.part("data: a\n\n"), member.part("data: b\n\n"));
    let mut decoder = GzWriter::new(Vec::new());
    decoder.write_all(&one).expect("gzip");
    decoder.flush().expect("gzip");
    assert_eq!(decoder.get_ref().as_slice(), b"data: a\n\n");
    decoder.write_all(&[two, member.end()].concat()).expect("gzip");
    assert_eq!(decoder.finish().expect("a whole member"), b"data: a\n\ndata: b\n\n");
}

#[tokio::test]
async fn the_origin_by_hand_and_the_client_are_duplex_and_see_each_others_ends() {
    let origin = ManualOrigin::start().await;
    let mut client = Client::send_to(origin.address(), "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    let (mut server, head) = origin.request().await;
    assert_eq!(head.start(), "POST / HTTP/1.1");
    client.send(chunk("one")).await;
    server.body_brings("one").await;
    server.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    client.head().await;
    server.send(chunk("two")).await;
    client.expects("two").await;
    server.assert_nothing_came();
    client.send("0\r\n\r\n").await;
    assert_eq!(server.piece().await, Ok(None));
    server.send("0\r\n\r\n").await;
    client.ends_with("", End::Clean).await;

    let mut client = client.tunnel();
    client.send("three").await;
    client.socket().half_close();
    assert_eq!(server.rest().await, (b"three".to_vec(), End::Clean));
    server.send("four").await;
    server.reset();
    assert_eq!(client.rest().await.1, End::Reset);

    let half = Client::send_to(origin.address(), "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nhalf").await;
    let (mut server, _) = origin.request().await;
    drop(half);
    assert_eq!(server.rest_of_body().await, (b"half".to_vec(), End::Truncated));
}

#[test]
#[should_panic(expected = "other bytes than were sent, from 70000 on")]
fn the_pattern_finds_a_block_that_is_sent_twice() {
    let (mut made, mut checked) = (Pattern::default(), Pattern::default());
    let block = made.next(70_000);
    checked.check(&block);
    checked.check(&block);
}
