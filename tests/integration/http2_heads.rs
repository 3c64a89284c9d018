//! What heads say survives the translation between the versions: methods, targets and values byte for byte, cookies in one field,
//! nothing of one connection on the other (RFC 9113 section 8.3; RFC 9110 section 7.6).

use crate::support::frames::{END_STREAM, headers};
use crate::support::hops::Ending;
use crate::support::raw_http2::{GET_FIELDS, RawHttp2};
use crate::support::{
    Client, Edge, End, GET, HOPS, Http2Client, Http2Origin, Http2Script, Origin, SUBSCRIBE, SUBSCRIBE_1_0, Script, Server,
    StreamEnd, Version, Viewer,
};

/// Method and target of the request with this number.
async fn asked(server: &Server, number: usize) -> (String, String) {
    match server {
        Server::Http1(origin) => {
            let head = origin.request_head(number).await.head;
            let mut parts = head.start().split(' ').map(str::to_owned);
            (parts.next().unwrap(), parts.next().unwrap())
        }
        Server::Http2(origin) => {
            let request = origin.request_head(number).await;
            (request.method, request.path)
        }
    }
}

#[tokio::test]
async fn methods_and_targets_pass_byte_for_byte() {
    for (client, server) in HOPS {
        let origin = Server::start(server, Http2Script::answer("ok")).await;
        let edge = origin.edge().start(origin.address()).await;
        let lines = [
            ("GET", "/"),
            ("DELETE", "/a/../b/./c"),
            ("PATCH", "/a%2Fb%2fc?d=%20&e"),
            ("PROPFIND", "//double//slash"),
            ("QUERY", "/~user/;p=1,2?x[]=1|2"),
            ("GET", "/?"),
        ];
        for (number, (method, target)) in lines.into_iter().enumerate() {
            let mut viewer =
                Viewer::open(client, edge.address(), &format!("{method} {target} HTTP/1.1\r\nHost: test\r\n\r\n")).await;
            assert_eq!((viewer.status(), viewer.rest_of_body().await.1), (200, Ending::Clean), "{method} {target}");
            assert_eq!(asked(&origin, number).await, (method.to_owned(), target.to_owned()), "{client:?} to {server:?}");
        }
    }
}

#[tokio::test]
async fn options_may_ask_about_the_whole_server() {
    for version in [Version::Http1, Version::Http2] {
        let origin = Server::start(version, Http2Script::answer("ok")).await;
        let edge = origin.edge().start(origin.address()).await;
        let mut client = RawHttp2::connect(edge.address()).await;
        let fields = [(":method", "OPTIONS"), (":scheme", "http"), (":authority", "test"), (":path", "*")];
        client.send(&headers(1, END_STREAM, &fields)).await;
        assert_eq!(client.answer(1).await.status(), Some(200));
        assert_eq!(asked(&origin, 0).await, ("OPTIONS".to_owned(), "*".to_owned()), "to {version:?}");
    }
}

#[tokio::test]
async fn values_keep_their_bytes_and_repeated_fields_their_order() {
    let origin = Origin::start(Script::answer("ok")).await;
    let edge = Edge::start(origin.address()).await;
    let mut client = RawHttp2::connect(edge.address()).await;
    let fields = [("x-many", "1"), ("x-text", "caf\u{e9}\t\u{2603}; \"q\""), ("x-many", "2"), ("x-empty", ""), ("x-many", "3, 4")];
    client.send(&headers(1, END_STREAM, &[&GET_FIELDS[..], &fields].concat())).await;
    assert_eq!(client.answer(1).await.status(), Some(200));
    let head = origin.request(0).await.head;
    assert_eq!((head.all("x-many"), head.get("x-empty")), (vec!["1", "2", "3, 4"], Some("")));
    assert_eq!(head.get("x-text"), Some("caf\u{e9}\t\u{2603}; \"q\""));
}

#[tokio::test]
async fn hundreds_of_crumbs_are_one_cookie() {
    for version in [Version::Http1, Version::Http2] {
        let origin = Server::start(version, Http2Script::answer("ok")).await;
        let edge = origin.edge().start(origin.address()).await;
        let crumbs: Vec<String> = (0..400).map(|number| format!("c{number}={number}")).collect();
        let fields: String = crumbs.iter().map(|crumb| format!("Cookie: {crumb}\r\n")).collect();
        let (_client, mut stream, head) =
            Http2Client::open(edge.address(), format!("GET / HTTP/1.1\r\nHost: test\r\n{fields}\r\n")).await;
        assert_eq!(head.status, 200);
        stream.ends_with("ok", StreamEnd::Clean).await;
        assert_eq!(origin.fields(0, "cookie").await, [crumbs.join("; ")]);
    }
}

#[tokio::test]
async fn a_client_of_http_1_0_is_served_by_a_server_of_http_2() {
    let scripts = [
        Http2Script::stream().event("a").end(),
        Http2Script::stream().event("a").gate().reset(h2::Reason::INTERNAL_ERROR),
        Http2Script::answer("ok"),
        Http2Script::new().head(200, &[]).data("no length").end(),
    ];
    let origin = Http2Origin::start_each(scripts).await;
    let edge = Edge::with().h2c().start(origin.address()).await;
    let (mut client, head) = Client::open(edge.address(), SUBSCRIBE_1_0).await;
    assert_eq!((head.get("transfer-encoding"), head.list("connection")), (None, vec!["close".to_owned()]));
    client.ends_with("data: a\n\n", End::Clean).await;
    let (mut client, _) = Client::open(edge.address(), SUBSCRIBE_1_0).await;
    client.expects("data: a\n\n").await;
    origin.open_gate();
    // Without chunks only a reset says that something is missing.
    client.ends_with("", End::Reset).await;
    for body in ["ok", "no length"] {
        let (mut client, head) = Client::open(edge.address(), GET.replace("1.1", "1.0")).await;
        assert_eq!((head.status(), head.get("transfer-encoding")), (200, None));
        client.ends_with(body, End::Clean).await;
    }
    assert_eq!(origin.connections(), 1);
}

#[tokio::test]
async fn a_connection_that_its_client_closes_leaves_the_servers_connection_to_others() {
    let origin = Http2Origin::start(Http2Script::answer("ok")).await;
    let edge = Edge::with().h2c().start(origin.address()).await;
    for _ in 0..3 {
        let (mut client, head) = Client::open(edge.address(), GET.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n")).await;
        assert_eq!(head.list("connection"), ["close"]);
        client.ends_with("ok", End::Clean).await;
        assert_eq!(client.rest().await, (Vec::new(), End::Clean));
    }
    assert_eq!((origin.requests(), origin.connections()), (3, 1));
}

#[tokio::test]
async fn trailers_of_http_1_do_not_disturb_the_end() {
    let chunked = |kind: &str| Script::new().head("200 OK", &format!("Content-Type: {kind}\r\nTransfer-Encoding: chunked\r\n"));
    for (kind, request) in [("text/event-stream", SUBSCRIBE), ("text/plain", GET)] {
        let origin = Origin::start(chunked(kind).event("a").raw("0\r\nX-Sum: 7\r\nX-More: 1\r\n\r\n")).await;
        let edge = Edge::start(origin.address()).await;
        for _ in 0..2 {
            let (_client, mut stream, _) = Http2Client::open(edge.address(), request).await;
            stream.ends_with("data: a\n\n", StreamEnd::Clean).await;
        }
    }
}
