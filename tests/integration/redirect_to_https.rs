//! Listeners that send everybody to HTTPS (`listeners[].redirect_to_https`), and what they serve all the same.

use crate::servers::{Server, ask};
use crate::support::{Client, Edge, End, Http2Client};

const CHALLENGE: &str = "/.well-known/acme-challenge/";

/// Redirects to `port`, in front of one server, with routes for ACME at these keys before the one for everything.
async fn edge(port: &str, acme: &[&str], server: &Server) -> Edge {
    let acme: String = acme.iter().map(|key| format!("  - {{ match: {{ {key} }}, upstream: app }}\n")).collect();
    Edge::listening(
        &format!("redirect_to_https: {port}"),
        &format!(
            "trusted_proxies: [ 127.0.0.2 ]\nupstreams: {{ app: {{ servers: [ \"{}\" ] }} }}\nroutes:\n{acme}  - {{ upstream: app }}\n",
            server.address()
        ),
    )
    .await
}

#[tokio::test]
async fn every_request_is_sent_to_the_same_place_over_https() {
    let server = Server::start("a");
    for (port, shown) in [("443", ""), ("8443", ":8443")] {
        let edge = edge(port, &[], &server).await;
        let mut client = Client::connect(edge.address()).await;
        for (request, location) in [
            ("GET / HTTP/1.1\r\nHost: example.com\r\n\r\n", "/"),
            ("GET /a%2Fb/../c?d=e HTTP/1.1\r\nHost: example.com:8080\r\n\r\n", "/a%2Fb/../c?d=e"),
            ("HEAD //other.example HTTP/1.1\r\nHost: example.com\r\n\r\n", "//other.example"),
            ("GET http://example.com/x HTTP/1.1\r\nHost: example.com\r\n\r\n", "/x"),
            ("GET /events HTTP/1.1\r\nHost: example.com\r\nAccept: text/event-stream\r\n\r\n", "/events"),
            (&format!("GET {CHALLENGE}token HTTP/1.1\r\nHost: example.com\r\n\r\n"), "/.well-known/acme-challenge/token"),
        ] {
            client.send(request).await;
            let head = if request.starts_with("HEAD") { client.head_to_head().await } else { client.head().await };
            assert_eq!(
                (head.status(), head.get("location")),
                (308, Some(format!("https://example.com{shown}{location}").as_str()))
            );
            if !request.starts_with("HEAD") {
                let (body, end) = client.rest_of_body().await;
                assert!(body.is_empty() && end == End::Clean);
            }
        }
        assert_eq!(edge.metric("ssedge_requests_total", "class=\"3xx\",route=\"none\"").await, 6.0);
        // With a body, the connection ends behind the answer.
        let post = "POST /x HTTP/1.1\r\nHost: example.com\r\nContent-Length: 5\r\n\r\nhello";
        let (head, _) = ask(edge.address(), post).await;
        assert_eq!((head.status(), head.get("connection")), (308, Some("close")));
        edge.process().signal("USR1");
        let line = "status=308";
        crate::support::eventually(line, || edge.process().stdout().contains(line).then_some(())).await;
        assert!(edge.process().stdout().contains("redirected to HTTPS"), "{}", edge.process().stdout());
    }
    assert_eq!(server.requests(), 0);
}

#[tokio::test]
async fn without_a_host_there_is_nowhere_to_go_and_a_bad_one_is_never_written_back() {
    let server = Server::start("a");
    let edge = edge("443", &[], &server).await;
    for (request, status) in [
        ("GET / HTTP/1.0\r\n\r\n", 400),
        ("GET http://example.com/ HTTP/1.0\r\n\r\n", 308),
        ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: user@example.com\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: example.com/x\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\rSet-Cookie: x\r\n\r\n", 400),
    ] {
        let (answer, _) = Client::send_to(edge.address(), request).await.rest().await;
        let answer = String::from_utf8(answer).expect("text");
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer} to {request}");
        assert_eq!(answer.to_ascii_lowercase().contains("\r\nlocation: "), status == 308, "{answer}");
    }
    assert_eq!(server.requests(), 0);
}

#[tokio::test]
async fn http2_is_redirected_too() {
    let server = Server::start("a");
    let edge = edge("443", &[], &server).await;
    let mut client = Http2Client::connect(edge.address()).await;
    for path in ["/a?b", "/c"] {
        let (_stream, head) = client.get(format!("GET {path} HTTP/1.1\r\nHost: example.com\r\n\r\n")).await;
        let location = format!("https://example.com{path}");
        assert_eq!((head.status, head.get("location")), (308, Some(location.as_str())));
    }
    assert_eq!(server.requests(), 0);
}

#[tokio::test]
async fn a_route_for_acme_challenges_is_served_and_no_other_one() {
    let server = Server::start("a");
    let prefix = format!("path_prefix: {CHALLENGE}");
    let whole = format!("path: {CHALLENGE}token");
    for key in [prefix.as_str(), "path_prefix: /.well-known/acme-challenge", whole.as_str()] {
        let edge = edge("443", &[key], &server).await;
        let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: example.com\r\n\r\n");
        assert_eq!(ask(edge.address(), get(&format!("{CHALLENGE}token"))).await.1, "a", "{key}");
        // The same path in another spelling.
        assert_eq!(ask(edge.address(), get("/x/../.well-known/%61cme-challenge/token")).await.1, "a", "{key}");
        for path in ["/", "/.well-known/", "/.well-known/acme-challenges", "/.well-known/acme-challenge/../x"] {
            assert_eq!(ask(edge.address(), get(path)).await.0.status(), 308, "{path} with {key}");
        }
    }
    // One that names more than challenges.
    let edge = edge("443", &["path_prefix: /.well-known"], &server).await;
    let (head, _) = ask(edge.address(), format!("GET {CHALLENGE}token HTTP/1.1\r\nHost: example.com\r\n\r\n")).await;
    assert_eq!(head.status(), 308);
}

#[tokio::test]
async fn whom_a_trusted_proxy_brought_over_https_is_served_and_a_stranger_who_says_so_is_not() {
    let server = Server::start("a");
    let request = "GET / HTTP/1.1\r\nHost: example.com\r\nX-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: https\r\n\r\n";
    for (trusted, status) in [("127.0.0.1", 200), ("192.0.2.0/24", 308)] {
        let edge = Edge::listening(
            "redirect_to_https: 443",
            &format!(
                "trusted_proxies: [ {trusted} ]\nupstreams: {{ app: {{ servers: [ \"{}\" ] }} }}\nroutes: [ {{ upstream: app }} ]\n",
                server.address()
            ),
        )
        .await;
        assert_eq!(ask(edge.address(), request).await.0.status(), status);
    }
}
