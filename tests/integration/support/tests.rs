//! The instruments themselves: a client that calls every end clean would let every test pass.

use super::{Client, End, GET, Origin, Script};

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
