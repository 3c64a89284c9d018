//! What comes before what on one route: preflight, redirect, auth, caps, server; and every answer of ours has the fields of its route.

use crate::support::{Client, Edge, GET, Origin, SUBSCRIBE, Script, Version, Viewer};

const ORIGIN: &str = "https://app.example.com";

fn preflight(path: &str) -> String {
    format!("OPTIONS {path} HTTP/1.1\r\nHost: test\r\nOrigin: {ORIGIN}\r\nAccess-Control-Request-Method: GET\r\n\r\n")
}

fn asked_by_a_page(request: &str) -> String {
    request.replace("Host: test\r\n", &format!("Host: test\r\nOrigin: {ORIGIN}\r\n"))
}

#[tokio::test]
async fn preflights_come_first_and_refusals_can_be_read_by_the_page() {
    let auth = Origin::start(Script::new().head("401 No", "WWW-Authenticate: Bearer\r\nContent-Length: 0\r\n")).await;
    let app = Origin::start(Script::answer("in")).await;
    let shared = format!("cors: {{ origins: \"{ORIGIN}\", credentials: true }}, response_headers: {{ set: {{ X-Edge: us }} }}");
    let edge = Edge::of(&format!(
        "upstreams: {{ app: {{ servers: [ \"{}\" ] }}, auth: {{ servers: [ \"{}\" ] }} }}\nlimits: {{ request_body: 1B }}\nroutes:\n  - {{ match: {{ path: /old }}, redirect: {{ to: /new }}, {shared} }}\n  - {{ upstream: app, auth: {{ upstream: auth, path: / }}, {shared} }}\n",
        app.address(),
        auth.address()
    ))
    .await;
    for version in [Version::Http1, Version::Http2] {
        let too_large = "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 2\r\n\r\nab";
        for (request, status) in [
            (preflight("/old"), 204),
            (preflight("/"), 204),
            (asked_by_a_page("GET /old HTTP/1.1\r\nHost: test\r\n\r\n"), 308),
            (asked_by_a_page(GET), 401),
            (asked_by_a_page(SUBSCRIBE), 401),
            (asked_by_a_page(too_large), 413),
        ] {
            let viewer = Viewer::open(version, edge.address(), &request).await;
            assert_eq!((viewer.status(), viewer.fields("x-edge")), (status, vec!["us"]), "{request}");
            assert_eq!(viewer.fields("access-control-allow-origin"), [ORIGIN], "{request}");
            assert_eq!(viewer.fields("access-control-allow-credentials"), ["true"], "{request}");
        }
    }
    assert_eq!((auth.requests(), app.requests()), (4, 0), "only what asked for something was asked about");
}

#[tokio::test]
async fn a_browsers_event_source_comes_back_when_nobody_says_whether_it_may_pass() {
    let app = Origin::start(Script::answer("in")).await;
    let gone = Origin::start(Script::answer("")).await.address();
    let edge = Edge::of(&format!(
        "upstreams: {{ app: {{ servers: [ \"{}\" ] }}, auth: {{ servers: [ \"{gone}\" ] }} }}\nroutes: [ {{ upstream: app, auth: {{ upstream: auth, path: / }} }} ]\n",
        app.address()
    ))
    .await;
    let browser = "GET /events HTTP/1.1\r\nHost: test\r\nAccept: text/event-stream\r\nCache-Control: no-cache\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36\r\n\r\n";
    let (mut client, head) = Client::open(edge.address(), browser).await;
    let (body, _) = client.rest_of_body().await;
    assert_eq!((head.status(), head.get("content-type")), (200, Some("text/event-stream")));
    assert!(body.starts_with(b"retry: "), "{}", String::from_utf8_lossy(&body));
    let (_client, head) = Client::open(edge.address(), GET).await;
    assert_eq!(head.status(), 503, "everybody else gets the true status");
    assert_eq!(app.requests(), 0);
}
