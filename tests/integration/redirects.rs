//! Clients that are sent elsewhere (`routes[].redirect`; RFC 9110 section 15.4): over HTTP/1 and HTTP/2, without any server.

use crate::support::{Client, Edge, End, Http2Client, Origin, Script, StreamEnd, Version, Viewer, shown};

/// The routes of the file, before one that takes the rest; and what stands behind that.
async fn edge(routes: &[&str]) -> (Edge, Origin) {
    let origin = Origin::start(Script::answer("served")).await;
    let rows: String = routes.iter().map(|route| format!("  - {{ {route} }}\n")).collect();
    let yaml = format!("upstreams: {{ app: {{ servers: [ \"{}\" ] }} }}\nroutes:\n{rows}  - upstream: app\n", origin.address());
    (Edge::of(&yaml).await, origin)
}

/// Status and `Location` of the answer, which has no body.
async fn answered(version: Version, edge: &Edge, request: &str) -> (u16, String) {
    let mut viewer = Viewer::open(version, edge.address(), request).await;
    viewer.ends_with("").await;
    assert_eq!(viewer.fields("content-length"), ["0"]);
    let location = viewer.fields("location");
    assert_eq!(location.len(), 1, "one Location");
    (viewer.status(), location[0].to_owned())
}

fn get(host: &str, target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n")
}

#[tokio::test]
async fn www_goes_to_the_apex_with_path_and_query_byte_for_byte() {
    let (edge, origin) = edge(&["match: { host: www.example.com }, redirect: { to: \"https://example.com{uri}\" }"]).await;
    for version in [Version::Http1, Version::Http2] {
        for target in ["/", "/a/../b%2f%7e?x=%20&y=/", "/?", "//evil.test/a", "/@evil.test", "/:8/"] {
            let (status, location) = answered(version, &edge, &get("www.example.com", target)).await;
            assert_eq!((status, location), (308, format!("https://example.com{target}")));
        }
        let mut viewer = Viewer::open(version, edge.address(), &get("example.com", "/")).await;
        viewer.ends_with("served").await;
    }
    assert_eq!(origin.requests(), 2, "no server heard of what was sent elsewhere");
}

#[tokio::test]
async fn a_moved_path_keeps_what_the_file_says_with_the_status_that_it_names() {
    let (edge, _origin) = edge(&[
        "match: { path: /old }, redirect: { to: \"/new{query}\", status: 301 }",
        "match: { path: /gone }, redirect: { to: \"https://other.test/\", status: 303 }",
        "match: { path_prefix: /p }, redirect: { to: \"/from{path}\", status: 302 }",
    ])
    .await;
    for (target, status, location) in [
        ("/old?a=1&b", 301, "/new?a=1&b"),
        ("/%6fld", 301, "/new"),
        ("/gone?a", 303, "https://other.test/"),
        ("/p/%7e/..?q", 302, "/from/p/%7e/.."),
    ] {
        for version in [Version::Http1, Version::Http2] {
            let got = answered(version, &edge, &get("test", target)).await;
            assert_eq!(got, (status, location.to_owned()), "{target}");
        }
    }
}

#[tokio::test]
async fn no_path_that_a_client_writes_leads_to_another_host() {
    let (edge, _origin) = edge(&["redirect: { to: \"{uri}\", status: 302 }, match: { host: a.test }"]).await;
    for version in [Version::Http1, Version::Http2] {
        for (target, location) in [("//evil.test/", "/.//evil.test/"), ("/\\evil.test", "/./\\evil.test"), ("/ok//x", "/ok//x")] {
            assert_eq!(answered(version, &edge, &get("a.test", target)).await, (302, location.to_owned()));
        }
    }
    let absolute = "GET http://a.test//evil.test/x HTTP/1.1\r\nHost: a.test\r\n\r\n";
    assert_eq!(answered(Version::Http1, &edge, absolute).await, (302, "/.//evil.test/x".to_owned()));
}

#[tokio::test]
async fn a_connection_serves_on_after_a_redirect_and_closes_after_one_with_a_body() {
    let (edge, origin) = edge(&["match: { path: /old }, redirect: { to: /new }"]).await;
    let mut client = Client::connect(edge.address()).await;
    for method in ["GET", "HEAD", "OPTIONS"] {
        client.send(format!("{method} /old HTTP/1.1\r\nHost: test\r\n\r\n")).await;
        let head = if method == "HEAD" { client.head_to_head().await } else { client.head().await };
        assert_eq!(
            (head.status(), head.get("location"), head.list("connection").contains(&"close".to_owned())),
            (308, Some("/new"), false),
            "{method}"
        );
        client.ends_with("", End::Clean).await;
    }
    client.send("POST /old HTTP/1.1\r\nHost: test\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n").await;
    let head = client.any_head().await;
    assert_eq!((head.status(), head.get("connection")), (308, Some("close")), "no 100 for a body that nobody takes");
    client.ends_with("", End::Clean).await;
    let (rest, end) = client.rest().await;
    assert_eq!((shown(&rest), end), (String::new(), End::Clean));
    assert_eq!(origin.connections(), 0);
}

#[tokio::test]
async fn over_http_2_a_redirected_upload_costs_its_connection_nothing() {
    let (edge, _origin) = edge(&["match: { path: /old }, redirect: { to: /new }"]).await;
    let mut client = Http2Client::connect(edge.address()).await;
    for _ in 0..3 {
        let (mut stream, head) = client.get("POST /old HTTP/1.1\r\nHost: test\r\nContent-Length: 3\r\n\r\nabc").await;
        assert_eq!((head.status, head.get("location")), (308, Some("/new")));
        stream.ends_with("", StreamEnd::Clean).await;
    }
    let (mut stream, head) = client.get(get("test", "/")).await;
    assert_eq!(head.status, 200);
    stream.ends_with("served", StreamEnd::Clean).await;
}

#[tokio::test]
async fn a_redirect_is_counted_and_logged_under_its_route() {
    let (edge, _origin) = edge(&["match: { path: /old }, redirect: { to: /new }"]).await;
    answered(Version::Http1, &edge, &get("test", "/old")).await;
    edge.metric_becomes("ssedge_requests_total", "class=\"3xx\",route=\"0\"", 1.0).await;
    let line = crate::support::eventually("a line in the access log", || {
        edge.process().stdout().lines().find(|line| line.contains("/old")).map(str::to_owned)
    })
    .await;
    assert!(line.contains("308") && line.contains("route=0") && !line.contains("upstream="), "{line}");
}

#[tokio::test]
async fn our_own_answer_to_head_has_no_body_over_http_2_either() {
    let nobody = Origin::start(Script::answer("")).await.address();
    let edge = Edge::start(nobody).await;
    let (_client, mut stream, head) = Http2Client::open(edge.address(), "HEAD / HTTP/1.1\r\nHost: test\r\n\r\n").await;
    assert_eq!(head.status, 502);
    stream.ends_with("", StreamEnd::Clean).await;
}
