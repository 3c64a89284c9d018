//! Fields that the configuration sets and removes (`routes[].request_headers`, `.response_headers`), on every kind of response and over
//! every pair of protocols.

use crate::support::{
    Client, Edge, End, GET, HOPS, Http2Client, Http2Script, Origin, SUBSCRIBE, Script, Server, StreamEnd, Version, Viewer,
};

fn hops() -> impl Iterator<Item = (Version, Version)> {
    HOPS.into_iter().chain([(Version::Http1, Version::Http1)])
}

#[tokio::test]
async fn servers_get_what_the_file_sets_and_nothing_that_it_removes() {
    for (client, server) in hops() {
        let origin = Server::start(server, Http2Script::answer("ok")).await;
        let edits = "{ set: { X-Tenant: acme, X-Forwarded-Proto: https }, remove: [ Referer, cookie ] }";
        let edge = origin.edge().route("request_headers", edits).start(origin.address()).await;
        let fields = "X-Tenant: a\r\nx-tenant: b\r\nX_Tenant: c\r\nReferer: d\r\nCookie: e=f\r\nX-Kept: g\r\n";
        let mut viewer = Viewer::open(client, edge.address(), &format!("GET / HTTP/1.1\r\nHost: test\r\n{fields}\r\n")).await;
        viewer.ends_with("ok").await;
        for (name, values) in [
            ("x-tenant", vec!["acme"]),
            ("x_tenant", vec![]),
            ("referer", vec![]),
            ("cookie", vec![]),
            ("x-kept", vec!["g"]),
            ("x-forwarded-proto", vec!["https"]),
        ] {
            assert_eq!(origin.fields(0, name).await, values, "{name} from {client:?} to {server:?}");
        }
    }
}

#[tokio::test]
async fn a_name_keeps_its_case_over_http_1() {
    let origin = Origin::start(Script::answer("ok")).await;
    let edge = Edge::with()
        .route("request_headers", "{ set: { X-TENANT: a } }")
        .route("response_headers", "{ set: { X-oDD: b } }")
        .start(origin.address())
        .await;
    let (mut client, head) = Client::open(edge.address(), GET).await;
    client.ends_with("ok", End::Clean).await;
    assert!(String::from_utf8_lossy(&head.raw).contains("\r\nX-oDD: b\r\n"));
    assert!(String::from_utf8_lossy(&origin.request(0).await.head.raw).contains("\r\nX-TENANT: a\r\n"));
}

#[tokio::test]
async fn a_credential_of_the_environment_takes_the_place_of_the_clients() {
    let origin = Origin::start(Script::answer("ok")).await;
    // PATH is what every environment has.
    let edge =
        Edge::with().route("request_headers", "{ set: { Authorization: \"Bearer ${PATH}\" } }").start(origin.address()).await;
    let (mut client, _) = Client::open(edge.address(), "GET / HTTP/1.1\r\nHost: test\r\nAuthorization: Basic x\r\n\r\n").await;
    client.ends_with("ok", End::Clean).await;
    let want = format!("Bearer {}", std::env::var("PATH").unwrap());
    assert_eq!(origin.request(0).await.head.get("authorization"), Some(want.as_str()));
}

#[tokio::test]
async fn ordinary_responses_and_event_streams_are_edited_alike() {
    let edits = "{ set: { X-Frame-Options: DENY, Cache-Control: no-store }, remove: [ Server, X-Powered-By ] }";
    for (client, server) in hops() {
        let fields =
            [("server", "x"), ("x-powered-by", "y"), ("x-frame-options", "ALLOW"), ("cache-control", "public"), ("x-kept", "1")];
        let stream = [&fields[..], &[("content-type", "text/event-stream")]].concat();
        let scripts =
            [Http2Script::new().head(200, &fields).data("ok").end(), Http2Script::new().head(200, &stream).event("a").end()];
        let origin = Server::start_each(server, scripts).await;
        let edge = origin.edge().route("response_headers", edits).start(origin.address()).await;
        for (request, body) in [(GET, "ok"), (SUBSCRIBE, "data: a\n\n")] {
            let mut viewer = Viewer::open(client, edge.address(), request).await;
            viewer.ends_with(body).await;
            assert_eq!((viewer.fields("server").len(), viewer.fields("x-powered-by").len()), (0, 0));
            assert_eq!((viewer.fields("x-frame-options"), viewer.fields("x-kept")), (vec!["DENY"], vec!["1"]));
            assert_eq!(viewer.fields("cache-control"), ["no-store"], "in place of our own word too");
        }
        edge.stream_ended("upstream_end").await;
    }
}

#[tokio::test]
async fn a_stream_is_known_by_its_own_type_whatever_the_client_is_told() {
    let origin = Origin::start(Script::stream().event("a").silence(std::time::Duration::from_secs(1)).end()).await;
    let edge = Edge::with()
        .heartbeat("interval: 200ms, frame: line")
        .route("response_headers", "{ set: { Content-Type: text/plain } }")
        .start(origin.address())
        .await;
    let (mut client, head) = Client::open(edge.address(), SUBSCRIBE).await;
    assert_eq!(head.get("content-type"), Some("text/plain"));
    client.expects("data: a\n\n:\n").await;
    // And what is none does not become one.
    let plain = Origin::start(Script::answer("a")).await;
    let edge = Edge::with().route("response_headers", "{ set: { Content-Type: text/event-stream } }").start(plain.address()).await;
    let (mut client, head) = Client::open(edge.address(), SUBSCRIBE).await;
    assert_eq!((head.get("content-type"), head.get("content-length")), (Some("text/event-stream"), Some("1")));
    client.ends_with("a", End::Clean).await;
}

#[tokio::test]
async fn our_own_answers_and_redirects_have_the_fields_of_their_route() {
    let nobody = Origin::start(Script::answer("")).await.address();
    let headers = "response_headers: { set: { Strict-Transport-Security: max-age=1 }, remove: [ Cache-Control ] }";
    let edge = Edge::of(&format!(
        "upstreams: {{ app: {{ servers: [ \"{nobody}\" ] }} }}\nroutes:\n  - {{ match: {{ path: /old }}, redirect: {{ to: /new }}, {headers} }}\n  - {{ match: {{ path: /dead }}, upstream: app, {headers} }}\n"
    ))
    .await;
    for version in [Version::Http1, Version::Http2] {
        for (path, status, sts) in [("/old", 308, vec!["max-age=1"]), ("/dead", 502, vec!["max-age=1"]), ("/none", 404, vec![])] {
            let mut viewer = Viewer::open(version, edge.address(), &format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n")).await;
            viewer.rest_of_body().await;
            assert_eq!((viewer.status(), viewer.fields("strict-transport-security")), (status, sts), "{path}");
            assert_eq!(viewer.fields("cache-control").is_empty(), path != "/none", "{path}");
        }
    }
}

#[tokio::test]
async fn a_refused_stream_and_a_tunnel_have_them_too() {
    let hangs = Origin::start(Script::stream().event("a").hang()).await;
    let edits = "{ set: { X-Edge: us } }";
    let edge = Edge::with().route("caps", "{ streams: 1 }").route("response_headers", edits).start(hangs.address()).await;
    let (mut first, head) = Client::open(edge.address(), SUBSCRIBE).await;
    assert_eq!(head.get("x-edge"), Some("us"));
    first.expects("data: a\n\n").await;
    let (_client, mut stream, head) = Http2Client::open(edge.address(), SUBSCRIBE).await;
    assert_eq!((head.status, head.get("x-edge")), (429, Some("us")));
    assert_eq!(stream.rest_of_body().await.1, StreamEnd::Clean);

    let switch = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n";
    let origin = Origin::start(Script::new().head("101 Switching Protocols", switch).raw("hello").hang()).await;
    let edge = Edge::with().route("response_headers", edits).start(origin.address()).await;
    let upgrade = "GET / HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGVzdGluZyBhIHNlY3JldA==\r\nSec-WebSocket-Version: 13\r\n\r\n";
    let mut client = Client::send_to(edge.address(), upgrade).await;
    let head = client.any_head().await;
    assert_eq!((head.status(), head.get("x-edge"), head.get("upgrade")), (101, Some("us"), Some("websocket")));
}
