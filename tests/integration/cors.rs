//! `routes[].cors`: one policy, ours, on every answer of the route, whoever gives it and whatever carries it.

use std::time::Duration;

use crate::support::hops::{Version, Viewer};
use crate::support::http2_script::Http2Script;
use crate::support::nowhere::{Deaf, Refusing};
use crate::support::{Client, Edge, Http2Client, Origin, Script, Server};

const POLICY: &str =
    "{ origins: [ \"https://app.example.com\", \"http://*.example.org:81\" ], credentials: true, headers: [ X-One ], max_age: 1m }";
const APP: &str = "https://app.example.com";
const BOTH: [Version; 2] = [Version::Http1, Version::Http2];

/// The fields that make up an answer to the question who may read.
const FIELDS: [&str; 6] = [
    "vary",
    "access-control-allow-origin",
    "access-control-allow-credentials",
    "access-control-allow-methods",
    "access-control-allow-headers",
    "access-control-max-age",
];

fn from(line: &str, origin: &str) -> String {
    format!("{line} HTTP/1.1\r\nHost: test\r\nOrigin: {origin}\r\n\r\n")
}

fn preflight(path: &str, origin: &str, method: &str) -> String {
    format!(
        "OPTIONS {path} HTTP/1.1\r\nHost: test\r\nOrigin: {origin}\r\nAccess-Control-Request-Method: {method}\r\n\
         Access-Control-Request-Headers: x-one\r\nAccess-Control-Request-Private-Network: true\r\n\r\n"
    )
}

/// All values of the fields that are there, in the order of [`FIELDS`].
fn told(answer: &Viewer) -> Vec<String> {
    FIELDS.iter().flat_map(|name| answer.fields(name).into_iter().map(move |value| format!("{name}: {value}"))).collect()
}

const ALLOWED: [&str; 3] =
    ["vary: Origin", "access-control-allow-origin: https://app.example.com", "access-control-allow-credentials: true"];

#[tokio::test]
async fn what_the_upstream_says_is_replaced_on_responses_and_event_streams() {
    let upstream = "Vary: Accept\r\nAccess-Control-Allow-Origin: *\r\nAccess-Control-Allow-Origin: https://other\r\n\
                    Access-Control-Allow-Methods: PUT\r\nAccess-Control-Expose-Headers: X-Mine\r\n";
    for version in BOTH {
        let plain = Script::new().head("200 OK", &format!("{upstream}Content-Length: 2\r\n")).raw("ok");
        let stream = || Script::stream_with(upstream).event("a").end();
        let origin = Origin::start_each([plain, stream(), stream(), stream()]).await;
        let edge = Edge::with().route("cors", POLICY).start(origin.address()).await;
        let wanted = [
            "vary: Accept, Origin",
            "access-control-allow-origin: https://app.example.com",
            "access-control-allow-credentials: true",
        ];
        for body in ["ok", "data: a\n\n"] {
            let mut answer = Viewer::open(version, edge.address(), &from("GET /", APP)).await;
            assert_eq!(told(&answer), wanted, "{version:?} {body:?}");
            assert_eq!(answer.fields("access-control-expose-headers"), ["X-Mine"]);
            answer.ends_with(body).await;
        }
        let below = Viewer::open(version, edge.address(), &from("GET /", "http://X.example.org:81")).await;
        assert_eq!(below.fields("access-control-allow-origin"), ["http://X.example.org:81"]);
        // Whoever is not on the list is served all the same, and its browser keeps it from the page.
        let mut other = Viewer::open(version, edge.address(), &from("GET /", "https://other")).await;
        assert_eq!((other.status(), told(&other)), (200, vec!["vary: Accept, Origin".to_owned()]));
        other.ends_with("data: a\n\n").await;
    }
}

#[tokio::test]
async fn an_http_2_server_is_overruled_too() {
    for version in BOTH {
        let server = Server::start(Version::Http2, Http2Script::stream().event("a").end()).await;
        let edge = server.edge().route("cors", POLICY).start(server.address()).await;
        let mut answer = Viewer::open(version, edge.address(), &from("GET /", APP)).await;
        assert_eq!(told(&answer), ALLOWED);
        answer.ends_with("data: a\n\n").await;
    }
}

#[tokio::test]
async fn a_preflight_is_answered_here_and_the_connection_serves_on() {
    let origin = Origin::start(Script::answer("ok")).await;
    let edge = Edge::with().route("cors", POLICY).route("caps", "{ streams: 1 }").start(origin.address()).await;
    let wanted = [
        "vary: Origin, Access-Control-Request-Method, Access-Control-Request-Headers",
        "access-control-allow-origin: https://app.example.com",
        "access-control-allow-credentials: true",
        "access-control-allow-methods: DELETE",
        "access-control-allow-headers: X-One",
        "access-control-max-age: 60",
    ];
    for version in BOTH {
        let mut answer = Viewer::open(version, edge.address(), &preflight("/", APP, "DELETE")).await;
        assert_eq!((answer.status(), told(&answer)), (204, wanted.map(str::to_owned).to_vec()), "{version:?}");
        assert!(answer.fields("content-length").is_empty() && answer.fields("access-control-allow-private-network").is_empty());
        answer.ends_with("").await;
        let refused = Viewer::open(version, edge.address(), &preflight("/", "https://other", "GET")).await;
        assert_eq!((refused.status(), told(&refused)), (204, vec![wanted[0].to_owned()]), "{version:?}");
    }
    assert_eq!(origin.connections(), 0, "the server learns of no preflight");
    // One connection: a preflight, and the request that it was for.
    let (mut client, head) = Client::open(edge.address(), preflight("/", APP, "DELETE")).await;
    assert_eq!(head.status(), 204);
    client.send(from("DELETE /", APP)).await;
    assert_eq!(client.head().await.status(), 200);
    let mut client = Http2Client::connect(edge.address()).await;
    for (request, status) in [(preflight("/", APP, "DELETE"), 204), (from("DELETE /", APP), 200)] {
        let (mut stream, head) = client.get(request).await;
        assert_eq!(head.status, status);
        let (_, end) = stream.rest_of_body().await;
        assert_eq!(end, crate::support::StreamEnd::Clean);
    }
    let line = crate::support::eventually("the access log", || {
        edge.process().stdout().lines().find(|line| line.contains("method=OPTIONS")).map(str::to_owned)
    })
    .await;
    assert!(line.contains("status=204") && line.contains("reason=\"CORS preflight\""), "{line}");
}

#[tokio::test]
async fn a_preflight_goes_by_the_method_that_it_asks_for() {
    let origin = Origin::start(Script::answer("server")).await;
    let edge = Edge::of(&format!(
        "upstreams: {{ app: {{ servers: [ \"{}\" ] }} }}\nroutes:\n  \
         - {{ match: {{ path: /get, methods: [ GET, POST ] }}, upstream: app, cors: {POLICY} }}\n  \
         - {{ match: {{ path: /admin, methods: [ PUT ] }}, upstream: app }}\n  \
         - {{ match: {{ path: /own, methods: [ OPTIONS, PATCH ] }}, upstream: app, cors: {POLICY} }}\n  \
         - {{ match: {{ path: /admin }}, upstream: app, cors: {POLICY} }}\n",
        origin.address()
    ))
    .await;
    let asked = async |path, method| {
        let answer = Viewer::open(Version::Http1, edge.address(), &preflight(path, APP, method)).await;
        let methods = answer.fields("access-control-allow-methods").join(";");
        (answer.status(), methods)
    };
    // The route takes no OPTIONS, and its preflights are answered.
    assert_eq!(asked("/get", "POST").await, (204, "GET, POST".to_owned()));
    assert_eq!(asked("/get", "PUT").await, (404, String::new()), "no route takes what it asks for, nor OPTIONS");
    assert_eq!(asked("/own", "PUT").await, (204, "OPTIONS, PATCH".to_owned()));
    assert_eq!(asked("/admin", "DELETE").await, (204, "DELETE".to_owned()));
    assert_eq!(origin.requests(), 0);
    // A route without `cors` is not opened by one that takes the rest of its path.
    assert_eq!(asked("/admin", "PUT").await, (200, String::new()));
    assert_eq!(origin.requests(), 1);
    // What the other route has is for GET and POST alone.
    let other = Viewer::open(Version::Http1, edge.address(), &from("PUT /get", APP)).await;
    assert_eq!((other.status(), told(&other)), (404, vec![]));
}

#[tokio::test]
async fn an_options_that_is_no_preflight_goes_to_the_server() {
    let origin = Origin::start(Script::answer("mine")).await;
    let edge = Edge::with().route("cors", POLICY).start(origin.address()).await;
    let no_origin = "OPTIONS / HTTP/1.1\r\nHost: test\r\nAccess-Control-Request-Method: GET\r\n\r\n";
    for (number, request) in
        [from("OPTIONS /", APP), no_origin.to_owned(), "OPTIONS / HTTP/1.1\r\nHost: test\r\n\r\n".into()].into_iter().enumerate()
    {
        let mut answer = Viewer::open(Version::Http1, edge.address(), &request).await;
        answer.ends_with("mine").await;
        assert_eq!(answer.fields("vary"), ["Origin"]);
        assert!(origin.request_head(number).await.head.start().starts_with("OPTIONS / "));
    }
}

#[tokio::test]
async fn without_the_key_all_of_it_is_the_servers_business() {
    let fields = "Access-Control-Allow-Origin: *\r\nAccess-Control-Allow-Methods: PUT\r\nContent-Length: 2\r\n";
    let origin = Origin::start(Script::new().head("200 OK", fields).raw("ok")).await;
    let edge = Edge::start(origin.address()).await;
    let mut answer = Viewer::open(Version::Http1, edge.address(), &preflight("/", APP, "PUT")).await;
    assert_eq!(told(&answer), ["access-control-allow-origin: *", "access-control-allow-methods: PUT"]);
    answer.ends_with("ok").await;
    assert_eq!(origin.request_head(0).await.head.get("access-control-request-method"), Some("PUT"));
}

#[tokio::test]
async fn every_origin_is_a_star_and_caches_may_share_it() {
    let origin = Origin::start(Script::answer("ok")).await;
    let edge = Edge::with().route("cors", "{ origins: \"*\" }").start(origin.address()).await;
    for request in [from("GET /", "https://anybody"), from("GET /", "null"), "GET / HTTP/1.1\r\nHost: test\r\n\r\n".into()] {
        let answer = Viewer::open(Version::Http1, edge.address(), &request).await;
        assert_eq!(told(&answer), ["access-control-allow-origin: *"], "{request}");
    }
}

/// What a browser shows of an error to a page depends on this: without it a page of another origin sees a lost network.
#[tokio::test]
async fn every_answer_of_ours_on_the_route_carries_the_policy() {
    let refusing = Refusing::new();
    let deaf = Deaf::new();
    let silent = Origin::start(Script::new().hang()).await;
    let garbage = Origin::start(Script::new().raw("garbage\r\n\r\n").close()).await;
    let edge = Edge::of(&format!(
        "timeouts: {{ connect: 300ms, request_body_idle: 300ms, response_head: 300ms }}\n\
         upstreams:\n  \
         refusing: {{ servers: [ \"{}\" ] }}\n  deaf: {{ servers: [ \"{}\" ] }}\n  silent: {{ servers: [ \"{}\" ] }}\n  \
         garbage: {{ servers: [ \"{}\" ] }}\n  unknown: {{ servers: [ \"name.invalid:1\" ] }}\n\
         routes:\n  \
         - {{ match: {{ path: /refusing }}, upstream: refusing, cors: {POLICY} }}\n  \
         - {{ match: {{ path: /deaf }}, upstream: deaf, cors: {POLICY} }}\n  \
         - {{ match: {{ path: /silent }}, upstream: silent, cors: {POLICY} }}\n  \
         - {{ match: {{ path: /garbage }}, upstream: garbage, cors: {POLICY} }}\n  \
         - {{ match: {{ path: /unknown }}, upstream: unknown, cors: {POLICY} }}\n",
        refusing.address(),
        deaf.address(),
        silent.address(),
        garbage.address(),
    ))
    .await;
    for version in BOTH {
        for (path, status) in [("/refusing", 502), ("/deaf", 504), ("/silent", 504), ("/garbage", 502), ("/unknown", 503)] {
            let answer = Viewer::open(version, edge.address(), &from(&format!("GET {path}"), APP)).await;
            assert_eq!((answer.status(), told(&answer)), (status, ALLOWED.map(str::to_owned).to_vec()), "{version:?} {path}");
            let other = Viewer::open(version, edge.address(), &from(&format!("GET {path}"), "https://other")).await;
            assert_eq!(told(&other), ["vary: Origin"], "{version:?} {path}");
        }
        let stalls = format!("POST /silent HTTP/1.1\r\nHost: test\r\nOrigin: {APP}\r\nContent-Length: 9\r\n\r\nhalf");
        let answer = match version {
            Version::Http1 => Viewer::open(version, edge.address(), &stalls).await,
            // A whole request, with less than it says, is refused before there is a route.
            Version::Http2 => continue,
        };
        assert_eq!((answer.status(), told(&answer)), (408, ALLOWED.map(str::to_owned).to_vec()));
    }
}

#[tokio::test]
async fn a_stream_over_its_cap_is_refused_with_the_policy() {
    let origin = Origin::start(Script::stream().event("a").silence(Duration::from_secs(60))).await;
    let edge = Edge::with().route("cors", POLICY).route("caps", "{ streams: 1 }").start(origin.address()).await;
    let subscribe = format!("GET / HTTP/1.1\r\nHost: test\r\nAccept: text/event-stream\r\nOrigin: {APP}\r\n\r\n");
    let mut first = Viewer::open(Version::Http1, edge.address(), &subscribe).await;
    first.expects("data: a\n\n").await;
    for version in BOTH {
        let answer = Viewer::open(version, edge.address(), &subscribe).await;
        assert_eq!((answer.status(), told(&answer)), (429, ALLOWED.map(str::to_owned).to_vec()), "{version:?}");
    }
}
