//! `routes[].soft_errors`: a browser's own EventSource never meets an error that will pass, and nobody else gets anything but the truth.

use std::collections::HashSet;
use std::time::Duration;

use crate::support::hops::{Ending, Version, Viewer};
use crate::support::http2_script::Http2Script;
use crate::support::nowhere::{Deaf, Refusing};
use crate::support::{Client, Edge, End, Origin, Script, Server, eventually};

const BOTH: [Version; 2] = [Version::Http1, Version::Http2];
const CHROME: &str = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36";

/// What Chrome's EventSource sends, with further lines.
fn native(path: &str, more: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: test\r\nUser-Agent: {CHROME}\r\nAccept: text/event-stream\r\nCache-Control: no-cache\r\n{more}\r\n"
    )
}

/// A soft answer, as a whole: how long the page waits, in milliseconds.
async fn softly(mut answer: Viewer) -> u64 {
    let got = |answer: &Viewer, name: &str| answer.fields(name).join(" | ");
    assert_eq!(answer.status(), 200);
    assert_eq!(got(&answer, "content-type"), "text/event-stream");
    assert_eq!(got(&answer, "cache-control"), "no-store");
    assert_eq!(got(&answer, "retry-after"), "");
    let (body, ending) = answer.rest_of_body().await;
    assert_eq!(ending, Ending::Clean);
    let text = String::from_utf8(body).expect("text");
    let wait = text.strip_prefix("retry: ").and_then(|rest| rest.strip_suffix('\n')).and_then(|wait| wait.parse().ok());
    wait.unwrap_or_else(|| panic!("one retry line and nothing else, not {text:?}"))
}

async fn asked(version: Version, edge: &Edge, request: &str) -> Viewer {
    Viewer::open(version, edge.address(), request).await
}

/// A line of the access log with these words in it.
async fn logged(edge: &Edge, words: &str) -> String {
    let find = || edge.process().stdout().lines().find(|line| line.contains(words)).map(str::to_owned);
    eventually(&format!("{words:?} in the access log"), find).await
}

#[tokio::test]
async fn each_of_our_own_errors_that_will_pass_is_softened() {
    let (refusing, deaf) = (Refusing::new(), Deaf::new());
    let silent = Origin::start(Script::new().hang()).await;
    let garbage = Origin::start(Script::new().raw("garbage\r\n\r\n").close()).await;
    let streams = Origin::start(Script::stream().event("a").silence(Duration::from_secs(60))).await;
    let edge = Edge::of(&format!(
        "timeouts: {{ connect: 300ms, response_head: 300ms }}\n\
         upstreams:\n  refusing: {{ servers: [ \"{}\" ] }}\n  deaf: {{ servers: [ \"{}\" ] }}\n  silent: {{ servers: [ \"{}\" ] }}\n  \
         garbage: {{ servers: [ \"{}\" ] }}\n  unknown: {{ servers: [ \"name.invalid:1\" ] }}\n  full: {{ servers: [ \"{}\" ] }}\n\
         routes:\n  \
         - {{ match: {{ path: /refusing }}, upstream: refusing }}\n  \
         - {{ match: {{ path: /deaf }}, upstream: deaf }}\n  \
         - {{ match: {{ path: /silent }}, upstream: silent }}\n  \
         - {{ match: {{ path: /garbage }}, upstream: garbage }}\n  \
         - {{ match: {{ path: /unknown }}, upstream: unknown }}\n  \
         - {{ match: {{ path: /full }}, upstream: full, caps: {{ streams: 1 }} }}\n",
        refusing.address(),
        deaf.address(),
        silent.address(),
        garbage.address(),
        streams.address(),
    ))
    .await;
    let mut first = asked(Version::Http1, &edge, &native("/full", "")).await;
    first.expects("data: a\n\n").await;
    const LOST: &str = "no response from the upstream";
    for (route, (path, status, reason)) in [
        ("/refusing", 502, LOST),
        ("/deaf", 504, LOST),
        ("/silent", 504, LOST),
        ("/garbage", 502, LOST),
        ("/unknown", 503, LOST),
        ("/full", 429, "over caps.streams"),
    ]
    .into_iter()
    .enumerate()
    {
        for version in BOTH {
            let wait = softly(asked(version, &edge, &native(path, "")).await).await;
            // A cap's own `Retry-After` is 5 s.
            let range = if status == 429 { 5000..=9000 } else { 1000..=5000 };
            assert!(range.contains(&wait), "{path}: {wait}");
            let curl = asked(version, &edge, &native(path, "").replace(CHROME, "curl/8")).await;
            assert_eq!(curl.status(), status, "{path}");
        }
        let line = logged(&edge, &format!("path={path} route={route} upstream={} ", edge_upstream(path))).await;
        let reasons = format!("reason=\"soft answer in place of {status}: {reason}\"");
        assert!(path == "/full" || (line.contains("status=200") && line.contains(&reasons)), "{line}");
        logged(&edge, &reasons).await;
        let label = format!("route=\"{route}\",status=\"{status}\"");
        assert_eq!(edge.metric("ssedge_soft_errors_total", &label).await, 2.0, "{path}");
        assert_eq!(edge.metric("ssedge_soft_errors_total", &format!("route=\"{route}\"")).await, 2.0, "{path}");
    }
}

fn edge_upstream(path: &str) -> &str {
    path.trim_start_matches('/')
}

#[tokio::test]
async fn a_servers_own_errors_that_will_pass_are_softened_and_all_others_are_meant() {
    for version in BOTH {
        for (status, retry_after, range) in [
            ("429 Too Many Requests", "Retry-After: 7\r\n", 7000..=11_000),
            ("502 Bad Gateway", "", 1000..=5000),
            ("503 Service Unavailable", "Retry-After: 60\r\n", 60_000..=90_000),
            ("503 Service Unavailable", "Retry-After: Sun, 06 Nov 1994 08:49:37 GMT\r\n", 1000..=5000),
            ("504 Gateway Timeout", "Retry-After: soon\r\n", 1000..=5000),
        ] {
            let fields = format!("{retry_after}Set-Cookie: a=b\r\nContent-Length: 4\r\n");
            let origin = Origin::start(Script::new().head(status, &fields).raw("down")).await;
            let edge = Edge::start(origin.address()).await;
            let answer = asked(version, &edge, &native("/", "")).await;
            assert!(answer.fields("set-cookie").is_empty());
            let wait = softly(answer).await;
            assert!(range.contains(&wait), "{status} {retry_after}: {wait}");
            logged(&edge, &format!("status=200 reason=\"soft answer in place of {}: the server's own\"", &status[..3])).await;
            let mut fetch = asked(version, &edge, "GET / HTTP/1.1\r\nHost: test\r\nAccept: text/event-stream\r\n\r\n").await;
            assert_eq!(fetch.status().to_string(), status[..3]);
            fetch.ends_with("down").await;
        }
        for status in ["500 Oops", "501 No", "401 Who", "403 No", "404 Where", "410 Gone", "400 What", "301 There"] {
            let origin = Origin::start(Script::new().head(status, "Content-Length: 4\r\n").raw("meant")).await;
            let edge = Edge::start(origin.address()).await;
            let answer = asked(version, &edge, &native("/", "")).await;
            assert_eq!(answer.status().to_string(), status[..3]);
            assert_eq!(edge.metric("ssedge_soft_errors_total", "").await, 0.0);
        }
        let origin = Origin::start(Script::new().head("204 No Content", "")).await;
        let edge = Edge::start(origin.address()).await;
        assert_eq!(asked(version, &edge, &native("/", "")).await.status(), 204, "how a server tells a page to stop");
        let server = Server::start(Version::Http2, Http2Script::new().head(503, &[]).data("down").end()).await;
        let edge = server.edge().start(server.address()).await;
        softly(asked(version, &edge, &native("/", "")).await).await;
    }
}

#[tokio::test]
async fn only_a_browsers_own_event_source_is_spared_the_truth() {
    let refusing = Refusing::new();
    let edge = Edge::start(refusing.address()).await;
    let plain = native("/", "");
    softly(asked(Version::Http1, &edge, &plain).await).await;
    let sec_fetch = "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: cors\r\nSec-Fetch-Dest: empty\r\n";
    softly(asked(Version::Http1, &edge, &native("/", sec_fetch)).await).await;
    for other in [
        plain.replace("Accept: text/event-stream", "Accept: text/event-stream, */*"),
        plain.replace("Accept: text/event-stream", "Accept: */*"),
        plain.replace("Cache-Control: no-cache\r\n", ""),
        plain.replace(CHROME, "python-httpx/0.28.1"),
        plain.replace("GET /", "POST /"),
        plain.replace("GET /", "OPTIONS /"),
        native("/", "Sec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n"),
    ] {
        for version in BOTH {
            let answer = asked(version, &edge, &other).await;
            assert_eq!((answer.status(), answer.fields("content-type")), (502, vec!["text/plain; charset=utf-8"]), "{other}");
        }
    }
    let mut head = Client::send_to(edge.address(), plain.replace("GET /", "HEAD /")).await;
    assert_eq!(head.head_to_head().await.status(), 502);
    let (_, old) = Client::open(edge.address(), plain.replace("HTTP/1.1", "HTTP/1.0")).await;
    assert_eq!(old.status(), 502);
}

#[tokio::test]
async fn soft_errors_false_tells_everybody_the_truth() {
    let refusing = Refusing::new();
    let edge = Edge::with().route("soft_errors", "false").start(refusing.address()).await;
    let origin = Origin::start(Script::new().head("503 Busy", "Content-Length: 4\r\n").raw("down")).await;
    let before = Edge::with().route("soft_errors", "false").start(origin.address()).await;
    for version in BOTH {
        assert_eq!(asked(version, &edge, &native("/", "")).await.status(), 502);
        assert_eq!(asked(version, &before, &native("/", "")).await.status(), 503);
    }
}

#[tokio::test]
async fn pages_come_back_spread_over_seconds() {
    let refusing = Refusing::new();
    let edge = Edge::start(refusing.address()).await;
    let (mut waits, mut client) = (Vec::new(), Client::connect(edge.address()).await);
    for _ in 0..60 {
        client.send(native("/", "")).await;
        assert_eq!(client.head().await.status(), 200, "on one connection, which serves on");
        let (body, end) = client.rest_of_body().await;
        assert_eq!(end, End::Clean);
        let text = String::from_utf8(body).expect("text");
        waits.push(text["retry: ".len()..text.len() - 1].parse::<u64>().expect("a number"));
    }
    let seconds: HashSet<u64> = waits.iter().map(|wait| wait / 1000).collect();
    // Each of the four seconds is missed by all of sixty with a chance of one in thirty million.
    assert!([1, 2, 3, 4].iter().all(|second| seconds.contains(second)), "{waits:?}");
}

#[tokio::test]
async fn a_page_of_another_origin_may_read_it() {
    let refusing = Refusing::new();
    let edge = Edge::start(refusing.address()).await;
    let allowed = async |edge: &Edge, version, origin: &str| {
        let answer = asked(version, edge, &native("/", &format!("Origin: {origin}\r\n"))).await;
        let fields =
            ["vary", "access-control-allow-origin", "access-control-allow-credentials"].map(|name| answer.fields(name).join(";"));
        softly(answer).await;
        fields
    };
    let cors = "{ origins: [ \"https://app.example.com\" ] }";
    let strict = Edge::with().route("cors", cors).start(refusing.address()).await;
    for version in BOTH {
        assert_eq!(allowed(&edge, version, "https://any.example").await, ["Origin", "https://any.example", "true"]);
        assert_eq!(allowed(&edge, version, "null").await, ["Origin", "null", "true"]);
        // Where the route says who may read, that is who may read.
        assert_eq!(allowed(&strict, version, "https://app.example.com").await, ["Origin", "https://app.example.com", ""]);
        assert_eq!(allowed(&strict, version, "https://any.example").await, ["Origin", "", ""]);
    }
    let same_origin = asked(Version::Http1, &edge, &native("/", "")).await;
    assert!(same_origin.fields("access-control-allow-origin").is_empty());
}

/// Thousands that come back every few seconds must not cost the server a connection each.
#[tokio::test]
async fn a_servers_short_error_is_read_to_its_end_and_its_connection_serves_on() {
    let short = || Script::new().head("503 Busy", "Transfer-Encoding: chunked\r\n").chunk("down").end();
    let long = || Script::new().head("503 Busy", "Content-Length: 1000000\r\n").raw(vec![b'x'; 1_000_000]);
    let stalls = || Script::new().head("503 Busy", "Content-Length: 10\r\n").raw("half").hang();
    let origin = Origin::start_each([short(), short(), short(), long(), stalls(), short()]).await;
    let edge = Edge::start(origin.address()).await;
    let mut client = Client::connect(edge.address()).await;
    for (request, connections) in [1, 1, 1, 1, 2, 3].into_iter().enumerate() {
        client.send(native("/", "")).await;
        assert_eq!(client.head().await.status(), 200);
        let (_, end) = client.rest_of_body().await;
        assert_eq!(end, End::Clean);
        let _ = origin.request_head(request).await;
        assert_eq!(origin.connections(), connections, "after request {request}");
    }
}
