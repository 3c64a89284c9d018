//! Paths that a server knows by another prefix (`routes[].rewrite`), and hosts by another name (`routes[].host`), over every pair of protocols.

use crate::support::hops::Ending;
use crate::support::{Client, Edge, End, HOPS, Http2Script, Origin, SUBSCRIBE, Script, Server, Version, Viewer};

/// The target of the request with this number, as it came.
async fn target(server: &Server, number: usize) -> String {
    match server {
        Server::Http1(origin) => origin.request_head(number).await.head.start().split(' ').nth(1).unwrap().to_owned(),
        Server::Http2(origin) => origin.request_head(number).await.path,
    }
}

fn hops() -> impl Iterator<Item = (Version, Version)> {
    HOPS.into_iter().chain([(Version::Http1, Version::Http1)])
}

async fn are_forwarded(rewrite: &str, targets: &[(&str, &str)]) {
    for (client, server) in hops() {
        let origin = Server::start(server, Http2Script::answer("ok")).await;
        let edge = origin.edge().route("rewrite", rewrite).start(origin.address()).await;
        for (number, (asked, forwarded)) in targets.iter().enumerate() {
            let request = format!("GET {asked} HTTP/1.1\r\nHost: test\r\n\r\n");
            let mut viewer = Viewer::open(client, edge.address(), &request).await;
            assert_eq!((viewer.status(), viewer.rest_of_body().await.1), (200, Ending::Clean), "{asked}");
            assert_eq!(target(&origin, number).await, *forwarded, "{asked} from {client:?} to {server:?}");
        }
    }
}

#[tokio::test]
async fn a_prefix_is_stripped_by_whole_segments_and_the_rest_stays_byte_for_byte() {
    let targets = [
        ("/api/events?a=%20&b", "/events?a=%20&b"),
        ("/%61pi/%65vents/%2f?x=/api", "/%65vents/%2f?x=/api"),
        ("/api", "/"),
        ("/api?q", "/?q"),
        ("/api/", "/"),
        ("/apis/x", "/apis/x"),
        ("/other", "/other"),
        ("/api/../x", "/api/../x"),
        ("/x/%2e%2e/api/y", "/y"),
        ("/api//x", "//x"),
    ];
    are_forwarded("{ strip_prefix: /api }", &targets).await;
}

#[tokio::test]
async fn a_prefix_is_added_and_nothing_climbs_out_of_it() {
    let targets = [
        ("/x?q=1", "/app/v1/x?q=1"),
        ("/", "/app/v1/"),
        ("/a/../b", "/app/v1/a/../b"),
        ("/../../secret", "/app/v1/secret"),
        ("/a/%2e%2e/%2E./secret", "/app/v1/secret"),
        ("//../secret", "/app/v1/secret"),
    ];
    are_forwarded("{ add_prefix: /app/v1 }", &targets).await;
}

/// nginx decodes `%2F` before it looks for dot segments, Tomcat cuts parameters off.
#[tokio::test]
async fn what_a_server_could_read_as_a_way_out_of_the_prefix_never_reaches_one() {
    let origin = Origin::start(Script::answer("ok")).await;
    let edge = Edge::with().route("rewrite", "{ strip_prefix: /t, add_prefix: /app/v1 }").start(origin.address()).await;
    for target in ["/t/..%2fsecret", "/t/..;/secret", "/t/a/..%5C../secret"] {
        let request = format!("GET {target} HTTP/1.1\r\nHost: test\r\n\r\n");
        let (_client, head) = Client::open(edge.address(), &request).await;
        assert_eq!(head.status(), 400, "{target}");
    }
    assert_eq!(origin.requests(), 0);
}

/// Had they taken one before they were refused, it would be lost with them.
#[tokio::test]
async fn who_is_refused_for_his_path_costs_no_connection_to_the_server() {
    let origin = Origin::start(Script::answer("ok")).await;
    let edge = Edge::with().route("rewrite", "{ add_prefix: /app }").start(origin.address()).await;
    let mut client = Client::connect(edge.address()).await;
    for (target, status) in [("/x", 200), ("/..%2fsecret", 400), ("/..%2fsecret", 400), ("/y", 200)] {
        client.send(format!("GET {target} HTTP/1.1\r\nHost: test\r\n\r\n")).await;
        assert_eq!(client.head().await.status(), status, "{target}");
        assert_eq!(client.rest_of_body().await.1, End::Clean);
    }
    assert_eq!((origin.requests(), origin.connections()), (2, 1));
}

#[tokio::test]
async fn both_replace_a_prefix_and_a_stream_goes_the_same_way() {
    let targets = [("/old/x", "/new/x"), ("/old", "/new/"), ("/else", "/new/else")];
    are_forwarded("{ strip_prefix: /old, add_prefix: /new }", &targets).await;
    let origin = Origin::start(Script::stream().event("a").end()).await;
    let edge = Edge::with().route("rewrite", "{ strip_prefix: /events }").start(origin.address()).await;
    let (mut client, _) = Client::open(edge.address(), SUBSCRIBE).await;
    client.ends_with("data: a\n\n", End::Clean).await;
    assert_eq!(origin.request(0).await.head.start(), "GET / HTTP/1.1");
}

#[tokio::test]
async fn the_asterisk_of_options_is_no_path() {
    let origin = Origin::start(Script::answer("ok")).await;
    let edge = Edge::with().route("rewrite", "{ add_prefix: /app }").start(origin.address()).await;
    let (mut client, _) = Client::open(edge.address(), "OPTIONS * HTTP/1.1\r\nHost: test\r\n\r\n").await;
    client.ends_with("ok", End::Clean).await;
    assert_eq!(origin.request(0).await.head.start(), "OPTIONS * HTTP/1.1");
}

#[tokio::test]
async fn a_target_that_grows_too_long_is_refused_and_the_proxy_serves_on() {
    let origin = Origin::start(Script::answer("ok")).await;
    let edge = Edge::with().limit("request_head", "1MiB").route("rewrite", "{ add_prefix: /app }").start(origin.address()).await;
    let (mut client, head) =
        Client::open(edge.address(), format!("GET /{} HTTP/1.1\r\nHost: test\r\n\r\n", "x".repeat(65_530))).await;
    assert_eq!(head.status(), 414);
    client.rest_of_body().await;
    let (mut client, _) = Client::open(edge.address(), "GET /x HTTP/1.1\r\nHost: test\r\n\r\n").await;
    client.ends_with("ok", End::Clean).await;
    assert_eq!(origin.requests(), 1);
}

#[tokio::test]
async fn moved_prefixes_are_redirected_with_what_follows_them() {
    let origin = Origin::start(Script::answer("ok")).await;
    let edge = Edge::of(&format!(
        "upstreams: {{ app: {{ servers: [ \"{}\" ] }} }}\nroutes:\n  - {{ match: {{ path_prefix: /blog }}, redirect: {{ to: \"{{uri}}\" }}, rewrite: {{ strip_prefix: /blog, add_prefix: /articles }} }}\n  - {{ match: {{ path_prefix: /x }}, redirect: {{ to: \"{{uri}}\" }}, rewrite: {{ strip_prefix: /x }} }}\n  - upstream: app\n",
        origin.address()
    ))
    .await;
    for (asked, location) in
        [("/blog/a%2fb?c", "/articles/a%2fb?c"), ("/blog", "/articles/"), ("/x//evil.test/", "/.//evil.test/"), ("/x/y", "/y")]
    {
        let (mut client, head) = Client::open(edge.address(), format!("GET {asked} HTTP/1.1\r\nHost: test\r\n\r\n")).await;
        assert_eq!((head.status(), head.get("location")), (308, Some(location)), "{asked}");
        client.ends_with("", End::Clean).await;
    }
}

/// What a server was told: the host, and the host that the client asked for.
async fn hosts(server: &Server, number: usize) -> (String, Vec<String>) {
    let host = match server {
        Server::Http1(origin) => {
            let head = origin.request_head(number).await.head;
            assert!(head.raw.split(|&byte| byte == b'\n').nth(1).unwrap().starts_with(b"Host: "), "Host comes first");
            head.get("host").unwrap().to_owned()
        }
        Server::Http2(origin) => {
            let request = origin.request_head(number).await;
            assert_eq!(request.get("host"), None);
            request.authority
        }
    };
    (host, server.fields(number, "x-forwarded-host").await)
}

#[tokio::test]
async fn a_server_is_told_the_host_that_the_file_wants_and_beside_it_what_was_asked() {
    for (client, server) in hops() {
        for policy in ["preserve", "upstream", "app.internal:8443"] {
            let origin = Server::start(server, Http2Script::answer("ok")).await;
            let edge = origin.edge().route("host", policy).start(origin.address()).await;
            let request = "GET / HTTP/1.1\r\nX-First: 1\r\nHost: shop.example:8080\r\nAccept: */*\r\n\r\n";
            let mut viewer = Viewer::open(client, edge.address(), request).await;
            viewer.ends_with("ok").await;
            let told = match policy {
                "preserve" => "shop.example:8080".to_owned(),
                "upstream" => origin.address().to_string(),
                literal => literal.to_owned(),
            };
            let want = (told, vec!["shop.example:8080".to_owned()]);
            assert_eq!(hosts(&origin, 0).await, want, "{policy} from {client:?} to {server:?}");
        }
    }
}

#[tokio::test]
async fn an_old_client_without_a_host_gets_the_one_of_the_file_too() {
    let origin = Origin::start(Script::answer("ok")).await;
    let edge = Edge::with().route("host", "app.internal").start(origin.address()).await;
    let (mut client, _) = Client::open(edge.address(), "GET / HTTP/1.0\r\n\r\n").await;
    client.ends_with("ok", End::Clean).await;
    let head = origin.request(0).await.head;
    assert_eq!((head.get("host"), head.get("x-forwarded-host")), (Some("app.internal"), None));
}
