//! Which request takes which route (`match` in the configuration; RFC 3986 section 6.2.2), and what its server sees of that: nothing.

use crate::servers::{Server, ask, listed};
use crate::support::{Client, Edge, Origin, Script, shown};

/// Each route goes to a server that answers with the route's name; `matches` is what stands in the braces of `match`.
async fn edge(routes: &[(&'static str, &str)]) -> (Edge, Vec<Server>) {
    let servers: Vec<Server> = routes.iter().map(|(name, _)| Server::start(name)).collect();
    let upstreams = routes
        .iter()
        .zip(&servers)
        .enumerate()
        .map(|(number, (_, server))| format!("  u{number}: {{ servers: [ {} ] }}\n", listed(std::slice::from_ref(server))));
    let rows = routes.iter().enumerate().map(|(number, (_, matches))| match *matches {
        "" => format!("  - upstream: u{number}\n"),
        matches => format!("  - {{ match: {{ {matches} }}, upstream: u{number} }}\n"),
    });
    let yaml = format!("upstreams:\n{}routes:\n{}", upstreams.collect::<String>(), rows.collect::<String>());
    (Edge::of(&yaml).await, servers)
}

/// The name of the route that a request reaches, or `404`.
async fn reached(edge: &Edge, method: &str, host: &str, target: &str) -> String {
    let length = if method == "POST" { "Content-Length: 0\r\n" } else { "" };
    let (head, body) = ask(edge.address(), format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\n{length}\r\n")).await;
    if head.status() == 200 { body } else { head.status().to_string() }
}

#[tokio::test]
async fn the_host_is_compared_without_case_and_port_and_a_star_is_one_label() {
    let (edge, _servers) =
        edge(&[("one", "host: One.example.com"), ("list", "host: [ a.test, b.test ]"), ("star", "host: \"*.example.com\"")]).await;
    for (host, route) in [
        ("one.example.com", "one"),
        ("ONE.Example.Com:8080", "one"),
        ("a.test", "list"),
        ("b.test:1", "list"),
        ("two.example.com", "star"),
        ("Three.EXAMPLE.com:443", "star"),
        ("x.two.example.com", "404"),
        ("example.com", "404"),
        (".example.com", "404"),
        ("twoexample.com", "404"),
        ("one.example.com.evil.test", "404"),
        ("c.test", "404"),
    ] {
        let (head, body) = ask(edge.address(), format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
        match (head.status(), route) {
            // A name that is none may be refused before it is looked up.
            (400 | 404, "404") => {}
            (status, _) => assert_eq!((status, body.as_str()), (200, route), "{host}"),
        }
    }
}

#[tokio::test]
async fn the_authority_of_an_absolute_target_counts_before_the_host_field() {
    let (edge, _servers) = edge(&[("one", "host: one.test"), ("two", "host: two.test")]).await;
    assert_eq!(reached(&edge, "GET", "one.test", "http://one.test/").await, "one");
    let (head, body) = ask(edge.address(), "GET http://two.test/ HTTP/1.1\r\nHost: one.test\r\n\r\n").await;
    // RFC 9112 section 3.2.2: the field is ignored. To refuse the contradiction is as safe; to believe the field is not.
    assert!(head.status() == 400 || body == "two", "{} {body}", head.status());
}

#[tokio::test]
async fn a_prefix_is_taken_by_whole_segments_and_a_path_as_a_whole() {
    let (edge, _servers) =
        edge(&[("path", "path: /exact"), ("prefix", "path_prefix: /events"), ("below", "path_prefix: /dir/")]).await;
    for (target, route) in [
        ("/exact", "path"),
        ("/exact?a=/events", "path"),
        ("/exact/", "404"),
        ("/exact/more", "404"),
        ("/exac", "404"),
        ("/Exact", "404"),
        ("/events", "prefix"),
        ("/events?x", "prefix"),
        ("/events/", "prefix"),
        ("/events/1/2", "prefix"),
        ("/eventsource", "404"),
        ("/event", "404"),
        ("/x/events", "404"),
        ("/dir/a", "below"),
        ("/dir", "404"),
        ("/", "404"),
        ("/?/events", "404"),
    ] {
        assert_eq!(reached(&edge, "GET", "test", target).await, route, "{target}");
    }
}

#[tokio::test]
async fn only_the_methods_that_are_named_are_taken() {
    let (edge, _servers) = edge(&[("write", "path: /a, methods: [ POST, DELETE ]"), ("read", "path: /a, methods: [ GET ]")]).await;
    for (method, route) in [("POST", "write"), ("DELETE", "write"), ("GET", "read"), ("OPTIONS", "404"), ("PATCH", "404")] {
        assert_eq!(reached(&edge, method, "test", "/a").await, route, "{method}");
    }
}

#[tokio::test]
async fn the_first_route_that_matches_wins_and_all_of_a_match_must_hold() {
    let (edge, _servers) = edge(&[
        ("first", "host: a.test, path_prefix: /x"),
        ("second", "path_prefix: /x/y"),
        ("third", "path_prefix: /x"),
        ("rest", ""),
    ])
    .await;
    for (host, target, route) in [
        ("a.test", "/x/y", "first"),
        ("a.test", "/y", "rest"),
        ("b.test", "/x/y/z", "second"),
        ("b.test", "/x/z", "third"),
        ("b.test", "/", "rest"),
    ] {
        assert_eq!(reached(&edge, "GET", host, target).await, route, "{host}{target}");
    }
}

#[tokio::test]
async fn a_request_that_no_route_takes_is_a_404_that_bothers_no_server() {
    let (edge, servers) = edge(&[("a", "path: /a")]).await;
    let mut client = Client::connect(edge.address()).await;
    for _ in 0..2 {
        client.send("GET /b HTTP/1.1\r\nHost: test\r\n\r\n").await;
        assert_eq!(client.head().await.status(), 404);
        let (body, _) = client.rest_of_body().await;
        assert!(String::from_utf8_lossy(&body).starts_with("404 Not Found"), "{}", shown(&body));
    }
    client.send("GET /a HTTP/1.1\r\nHost: test\r\n\r\n").await;
    assert_eq!(client.head().await.status(), 200, "the connection serves on");
    assert_eq!((servers[0].requests(), servers[0].connections()), (1, 1));
    assert_eq!(edge.metric("ssedge_requests_total", "class=\"4xx\",route=\"none\"").await, 2.0);
}

#[tokio::test]
async fn all_spellings_of_a_path_reach_the_same_route_and_none_is_changed_on_its_way() {
    let special = Origin::start(Script::answer("special")).await;
    let other = Origin::start(Script::answer("other")).await;
    let edge = Edge::of(&format!(
        "upstreams: {{ special: {{ servers: [ \"{}\" ] }}, other: {{ servers: [ \"{}\" ] }} }}\nroutes:\n  - {{ match: {{ path_prefix: \"/events/a%2Fb~\" }}, upstream: special }}\n  - upstream: other\n",
        special.address(),
        other.address()
    ))
    .await;
    let same = [
        "/events/a%2Fb~",
        "/events/a%2fb~",
        "/events/a%2fb%7e",
        "/%65vents/%61%2Fb~?q=%7e",
        "/./events/a%2Fb~",
        "/x/../events/a%2Fb~/",
        "/../events/x/%2e%2E/a%2Fb~/..%2F",
        "/%2e/%45/..//../events/a%2Fb~",
        "/events/a%2Fb~/c/..",
    ];
    let different =
        ["/events/a/b~", "//events/a%2Fb~", "/events//a%2Fb~", "/events/a%252Fb~", "/events/a%2Fb~/..", "/Events/a%2Fb~"];
    for (origin, route, targets) in [(&special, "special", same.as_slice()), (&other, "other", &different)] {
        for (number, target) in targets.iter().enumerate() {
            assert_eq!(reached(&edge, "GET", "test", target).await, route, "{target}");
            let request = origin.request(number).await;
            assert_eq!(request.head.start(), format!("GET {target} HTTP/1.1"));
        }
    }
}
