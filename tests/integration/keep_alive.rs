//! Connections that serve on: behind every kind of answer, of ours and of a server's, to every kind of request, both the client's
//! connection and the server's carry the next one; and where it ends instead, it says so first (RFC 9112 sections 9.3 and 9.6).

use crate::support::head::Head;
use crate::support::nowhere::Refusing;
use crate::support::{Client, Edge, End, GET, Http2Client, Http2Origin, Http2Script, Origin, Script, StreamEnd};

const HEAD: &str = "HEAD / HTTP/1.1\r\nHost: test\r\n\r\n";
const OPTIONS: &str = "OPTIONS * HTTP/1.1\r\nHost: test\r\n\r\n";
const POST: &str = "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\n\r\nbody";
const POST_CHUNKED: &str = "POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n";
const POST_EXPECT: &str = "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\nbody";

/// A request, the answer to it, and the body of that.
fn exchanges() -> Vec<(&'static str, Script, &'static str)> {
    let chunked = "Transfer-Encoding: chunked\r\n";
    let answer = |status: &str, fields: &str, body: &str| Script::new().head(status, fields).raw(body);
    vec![
        (GET, Script::answer("length"), "length"),
        (GET, answer("200 OK", chunked, "5\r\nchunk\r\n0\r\n\r\n"), "chunk"),
        (GET, answer("200 OK", chunked, "0\r\n\r\n"), ""),
        (GET, answer("200 OK", "Content-Length: 0\r\n", ""), ""),
        (GET, answer("204 No Content", "", ""), ""),
        (GET, answer("205 Reset Content", "Content-Length: 0\r\n", ""), ""),
        (GET, answer("304 Not Modified", "ETag: \"e\"\r\n", ""), ""),
        (GET, answer("304 Not Modified", "Content-Length: 99\r\n", ""), ""),
        (GET, answer("206 Partial Content", "Content-Range: bytes 0-2/9\r\nContent-Length: 3\r\n", "abc"), "abc"),
        (GET, answer("302 Found", "Location: /x\r\nContent-Length: 3\r\n", "abc"), "abc"),
        (GET, answer("400 Bad Request", "Content-Length: 3\r\n", "abc"), "abc"),
        (GET, answer("401 Unauthorized", "WWW-Authenticate: Basic\r\nContent-Length: 0\r\n", ""), ""),
        (GET, answer("404 Not Found", chunked, "3\r\nabc\r\n0\r\n\r\n"), "abc"),
        (GET, answer("416 Range Not Satisfiable", "Content-Range: bytes */9\r\nContent-Length: 0\r\n", ""), ""),
        (GET, answer("500 Internal Server Error", "Content-Length: 3\r\n", "abc"), "abc"),
        (GET, answer("503 Service Unavailable", "Retry-After: 5\r\nContent-Length: 0\r\n", ""), ""),
        (GET, Script::new().raw("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"), "abc"),
        (HEAD, answer("200 OK", "Content-Length: 99\r\n", ""), ""),
        (HEAD, answer("200 OK", chunked, ""), ""),
        (HEAD, answer("404 Not Found", "", ""), ""),
        (OPTIONS, answer("204 No Content", "Allow: GET\r\n", ""), ""),
        (POST, Script::answer("length"), "length"),
        (POST_CHUNKED, answer("201 Created", chunked, "3\r\nabc\r\n0\r\n\r\n"), "abc"),
        (POST_EXPECT, answer("204 No Content", "", ""), ""),
        ("DELETE / HTTP/1.1\r\nHost: test\r\nConnection: keep-alive\r\n\r\n", Script::answer("length"), "length"),
    ]
}

fn closes(head: &Head) -> bool {
    head.list("connection").iter().any(|option| option == "close")
}

#[tokio::test]
async fn both_connections_serve_on_behind_every_kind_of_answer() {
    // Twice, so that each kind has been before each that follows it in the list, and the last before the first.
    let all: Vec<_> = exchanges().into_iter().chain(exchanges()).collect();
    let origin = Origin::start_each(all.iter().map(|(_, script, _)| script.clone())).await;
    let edge = Edge::start(origin.address()).await;
    let mut client = Client::connect(edge.address()).await;
    for (request, script, body) in &all {
        client.send(request).await;
        let head = if *request == HEAD { client.head_to_head().await } else { client.head().await };
        assert!(!closes(&head), "{script:?}: {head:?}");
        client.ends_with(body, End::Clean).await;
    }
    assert_eq!((origin.requests(), origin.connections()), (all.len(), 1));
}

#[tokio::test]
async fn all_of_it_at_once_is_answered_in_order() {
    // How an answer to HEAD ends, the client here can only know if it asked for nothing else.
    let all: Vec<_> = exchanges().into_iter().filter(|(request, ..)| *request != HEAD).collect();
    let origin = Origin::start_each(all.iter().map(|(_, script, _)| script.clone())).await;
    let edge = Edge::start(origin.address()).await;
    let requests: String = all.iter().map(|(request, _, _)| *request).collect();
    let mut client = Client::send_to(edge.address(), requests).await;
    for (_, script, body) in &all {
        client.head().await;
        let (have, end) = client.rest_of_body().await;
        assert_eq!((String::from_utf8(have).unwrap().as_str(), end), (*body, End::Clean), "{script:?}");
    }
    assert_eq!((origin.requests(), origin.connections()), (all.len(), 1));
}

#[tokio::test]
async fn a_server_of_http_2_answers_one_client_after_the_other_request() {
    let statuses = [200, 204, 304, 404, 500, 200];
    let scripts = statuses.iter().map(|status| match status {
        204 | 304 => Http2Script::new().only_head(*status, &[("etag", "\"e\"")]),
        404 => Http2Script::new().head(404, &[("content-length", "3")]).data("abc").end(),
        500 => Http2Script::new().only_head(500, &[]),
        _ => Http2Script::new().head(*status, &[]).data("abc").trailers(&[("x-sum", "7")]),
    });
    let origin = Http2Origin::start_each(scripts).await;
    let edge = Edge::with().h2c().start(origin.address()).await;
    let requests = [GET, POST, POST_CHUNKED, GET, POST_EXPECT, GET].concat();
    let mut client = Client::send_to(edge.address(), requests).await;
    for status in statuses {
        let head = client.head().await;
        assert_eq!((head.status(), closes(&head)), (status, false));
        let body = if matches!(status, 200 | 404) { "abc" } else { "" };
        client.ends_with(body, End::Clean).await;
    }
    assert_eq!((origin.requests(), origin.connections()), (statuses.len(), 1));
}

/// Answers of our own to requests without a body leave the connection as it was; with a body nobody took, it is closed.
#[tokio::test]
async fn our_own_answers_keep_the_connection_where_its_next_request_is_certain() {
    let nowhere = Refusing::new();
    let routes = format!(
        "upstreams: {{ app: {{ servers: [ \"{}\" ] }} }}\nroutes: [ {{ upstream: app, match: {{ path: /app }} }} ]\n",
        nowhere.address()
    );
    let edge = Edge::of(&routes).await;
    let mut client = Client::connect(edge.address()).await;
    for (path, status) in [("/", 404), ("/app", 502), ("/else", 404), ("/app", 502), ("/", 404)] {
        client.send(format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n")).await;
        let head = client.head().await;
        assert_eq!((head.status(), closes(&head)), (status, false), "{head:?}");
        assert_eq!(client.rest_of_body().await.1, End::Clean);
    }
    for path in ["/", "/app"] {
        let request = format!("POST {path} HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\r\n{GET}", GET.len());
        let mut client = Client::send_to(edge.address(), request).await;
        let head = client.head().await;
        assert!(closes(&head), "{head:?}");
        assert_eq!(client.rest_of_body().await.1, End::Clean);
        assert_eq!(client.rest().await, (Vec::new(), End::Clean), "its body was no request");
    }
}

/// What the next hop does with its connection is not told to the client, nor the other way round.
#[tokio::test]
async fn a_client_keeps_its_connection_whatever_becomes_of_the_servers() {
    let scripts = [
        Script::new().head("200 OK", "Content-Length: 3\r\nConnection: close\r\n").raw("one").close(),
        Script::new().head("200 OK", "").raw("one").close(),
        Script::new().raw("HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\none").close(),
        Script::new().raw("garbage\r\n\r\n").close(),
        Script::new().reset(),
        Script::new().head("200 OK", "Content-Length: 3\r\nKeep-Alive: timeout=0\r\n").raw("one").hang(),
        Script::answer("one"),
        Script::answer("one"),
    ];
    let count = scripts.len();
    let origin = Origin::start_each(scripts).await;
    let edge = Edge::start(origin.address()).await;
    let mut client = Client::connect(edge.address()).await;
    for number in 0..count {
        client.send(GET).await;
        let head = client.head().await;
        let ours = matches!(number, 3 | 4);
        assert_eq!((head.status(), closes(&head)), (if ours { 502 } else { 200 }, false), "answer {number}: {head:?}");
        let (body, end) = client.rest_of_body().await;
        assert!(end == End::Clean && (ours || body == b"one"), "answer {number}: {body:?} and {end:?}");
    }
    assert_eq!(origin.connections(), count - 1, "only the last two had one connection");
    let mut http2 = Http2Client::connect(edge.address()).await;
    let (mut stream, _) = http2.get(GET).await;
    stream.ends_with("one", StreamEnd::Clean).await;
}
