//! Caps: exact numbers of event streams, and a permit that always comes back (product.md, *caps*).

use std::time::Duration;

use crate::servers::{Server, ask};
use crate::support::{ASK, Client, Edge, End, GET, Origin, SUBSCRIBE, Script, head::Head, within};

/// In front of one server, with one route and what stands in its `caps`.
async fn edge(caps: &str, server: impl ToString) -> Edge {
    let server = server.to_string();
    Edge::of(&format!(
        "upstreams: {{ app: {{ servers: [ \"{server}\" ] }} }}\nroutes: [ {{ upstream: app, caps: {{ {caps} }} }} ]\n"
    ))
    .await
}

/// A request for a stream with one more field.
fn subscribe(path: &str, field: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: test\r\nAccept: text/event-stream\r\n{field}\r\n\r\n")
}

/// Opens a stream, which must be admitted.
async fn admitted(edge: &Edge, request: &str) -> Client {
    let (client, head) = Client::open(edge.address(), request).await;
    assert_eq!(head.status(), 200, "{request}");
    client
}

/// A stream is admitted as soon as the permit of one that ended is back.
async fn soon_admitted(edge: &Edge, request: &str) -> Client {
    let (client, head) = soon_answered(edge, request).await;
    assert_eq!(head.status(), 200, "{request}");
    client
}

/// The first answer that is no refusal.
async fn soon_answered(edge: &Edge, request: &str) -> (Client, Head) {
    within("a permit", async {
        loop {
            let (client, head) = Client::open(edge.address(), request).await;
            if head.status() != 429 {
                return (client, head);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
}

/// Over the cap, in plain words, on a connection that serves on.
async fn refused(edge: &Edge, request: &str) -> Head {
    let (mut client, head) = Client::open(edge.address(), request).await;
    assert_eq!(head.status(), 429, "{request}");
    let (body, end) = client.rest_of_body().await;
    assert_eq!(end, End::Clean);
    let wait: u64 = head.get("retry-after").and_then(|wait| wait.parse().ok()).expect("Retry-After in seconds");
    assert!(wait > 0 && head.get("content-type").is_some_and(|kind| kind.starts_with("text/plain")), "{head:?}");
    let body = String::from_utf8(body).expect("plain words");
    assert!(body.starts_with("429 Too Many Requests: no more event streams") && body.lines().count() == 1, "{body}");
    head
}

#[tokio::test]
async fn a_client_has_so_many_streams_and_the_next_one_when_one_ends() {
    let server = Server::start("a");
    let edge = edge("streams_per_client: 3", server.address()).await;
    let mut open = Vec::new();
    for _ in 0..3 {
        open.push(admitted(&edge, SUBSCRIBE).await);
    }
    for _ in 0..3 {
        refused(&edge, SUBSCRIBE).await;
    }
    assert_eq!(server.requests(), 3, "the server is not bothered by what is refused");
    assert_eq!(edge.metric("ssedge_cap_refusals_total", "cap=\"client\"").await, 3.0);
    assert_eq!(edge.metric("ssedge_streams_open", "").await, 3.0);
    drop(open.pop());
    open.push(soon_admitted(&edge, SUBSCRIBE).await);
    refused(&edge, SUBSCRIBE).await;
}

#[tokio::test]
async fn a_stream_that_its_server_ends_gives_its_permit_back() {
    let origin = Origin::start(Script::stream().event("a").end()).await;
    let edge = edge("streams_per_client: 1", origin.address()).await;
    for _ in 0..10 {
        soon_admitted(&edge, SUBSCRIBE).await.ends_with("data: a\n\n", End::Clean).await;
    }
}

#[tokio::test]
async fn a_route_has_so_many_streams_whoever_opens_them_and_other_routes_have_theirs() {
    let server = Server::start("a");
    let edge = Edge::of(&format!(
        "trusted_proxies: [ 127.0.0.1 ]\nupstreams: {{ app: {{ servers: [ \"{}\" ] }} }}\nroutes:\n  - {{ match: {{ path: /a }}, upstream: app, caps: {{ streams: 2 }} }}\n  - {{ upstream: app, caps: {{ streams: 1 }} }}\n",
        server.address()
    ))
    .await;
    let of = |path: &str, client: u8| subscribe(path, &format!("X-Forwarded-For: 203.0.113.{client}"));
    let first = admitted(&edge, &of("/a", 1)).await;
    let _second = admitted(&edge, &of("/a", 2)).await;
    refused(&edge, &of("/a", 3)).await;
    let _other = admitted(&edge, &of("/b", 3)).await;
    refused(&edge, &of("/b", 4)).await;
    assert_eq!(edge.metric("ssedge_cap_refusals_total", "cap=\"route\",route=\"0\"").await, 1.0);
    assert_eq!(edge.metric("ssedge_cap_refusals_total", "cap=\"route\",route=\"1\"").await, 1.0);
    drop(first);
    let _third = soon_admitted(&edge, &of("/a", 3)).await;
    refused(&edge, &of("/a", 4)).await;
}

#[tokio::test]
async fn all_routes_together_have_so_many_streams() {
    let server = Server::start("a");
    let edge = Edge::of(&format!(
        "limits: {{ streams: 3 }}\nupstreams: {{ app: {{ servers: [ \"{}\" ] }} }}\nroutes:\n  - {{ match: {{ path: /a }}, upstream: app }}\n  - {{ upstream: app }}\n",
        server.address()
    ))
    .await;
    let first = admitted(&edge, &subscribe("/a", "X: y")).await;
    let _others = [admitted(&edge, &subscribe("/b", "X: y")).await, admitted(&edge, &subscribe("/a", "X: y")).await];
    refused(&edge, &subscribe("/a", "X: y")).await;
    refused(&edge, &subscribe("/b", "X: y")).await;
    assert_eq!(edge.metric("ssedge_cap_refusals_total", "cap=\"total\"").await, 2.0);
    drop(first);
    let _fourth = soon_admitted(&edge, &subscribe("/b", "X: y")).await;
    refused(&edge, &subscribe("/a", "X: y")).await;
}

#[tokio::test]
async fn a_client_is_what_a_field_or_a_cookie_says_and_its_address_without() {
    let server = Server::start("a");
    for (client, first, second) in
        [("header:X-User", "X-User: anna", "X-User: ben"), ("cookie:user", "Cookie: a=b; user=anna", "Cookie: user=ben; a=b")]
    {
        let edge = edge(&format!("streams_per_client: 1, client: \"{client}\""), server.address()).await;
        let mut open = Vec::new();
        for field in [first, second, "X-Other: anna"] {
            open.push(admitted(&edge, &subscribe("/", field)).await);
        }
        for field in [first, second, "X-Other: ben"] {
            refused(&edge, &subscribe("/", field)).await;
        }
        assert_eq!(edge.metric("ssedge_streams_open", "").await, 3.0);
    }
}

#[tokio::test]
async fn clients_behind_a_trusted_proxy_are_told_apart_and_those_of_a_stranger_are_not() {
    let server = Server::start("a");
    let app = format!("upstreams: {{ app: {{ servers: [ \"{}\" ] }} }}\n", server.address());
    let routes = "routes: [ { upstream: app, caps: { streams_per_client: 1 } } ]\n";
    let (one, two) = (subscribe("/", "X-Forwarded-For: 203.0.113.1"), subscribe("/", "X-Forwarded-For: 203.0.113.2"));
    let (same_net, other_net) =
        (subscribe("/", "X-Forwarded-For: 2001:db8::2:1"), subscribe("/", "X-Forwarded-For: 2001:db8:0:1::1"));

    let behind = Edge::of(&format!("trusted_proxies: [ 127.0.0.0/8 ]\n{app}{routes}")).await;
    let _open = [admitted(&behind, &one).await, admitted(&behind, &two).await];
    refused(&behind, &one).await;
    let _v6 = [admitted(&behind, &subscribe("/", "X-Forwarded-For: 2001:db8::1")).await, admitted(&behind, &other_net).await];
    refused(&behind, &same_net).await;

    let in_front = Edge::of(&format!("{app}{routes}")).await;
    let _open = admitted(&in_front, &one).await;
    refused(&in_front, &two).await;
}

#[tokio::test]
async fn the_permit_is_back_as_soon_as_the_answer_turns_out_to_be_no_stream() {
    let slow = Script::new().head("200 OK", "Content-Type: text/plain\r\nContent-Length: 2\r\n").gate().raw("ok");
    let origin = Origin::start_each([slow, Script::stream().event("a").hang()]).await;
    let edge = edge("streams_per_client: 1", origin.address()).await;
    let (mut ordinary, head) = Client::open(edge.address(), SUBSCRIBE).await;
    assert_eq!((head.status(), head.get("content-type")), (200, Some("text/plain")));
    // While its body is still on the way.
    let _stream = admitted(&edge, SUBSCRIBE).await;
    refused(&edge, SUBSCRIBE).await;
    origin.open_gate();
    ordinary.ends_with("ok", End::Clean).await;
    refused(&edge, SUBSCRIBE).await;
}

#[tokio::test]
async fn the_permit_is_held_before_the_head_and_back_when_the_client_leaves() {
    let origin = Origin::start_each([Script::new().hang(), Script::new().hang(), Script::stream().event("a").hang()]).await;
    let edge = edge("streams_per_client: 1", origin.address()).await;
    for number in 0..2 {
        let waiting = Client::send_to(edge.address(), SUBSCRIBE).await;
        origin.request(number).await;
        refused(&edge, SUBSCRIBE).await;
        assert_eq!(origin.requests(), number + 1);
        match number {
            0 => waiting.reset(),
            _ => drop(waiting),
        }
        origin.closed(number).await;
        // The permit goes with the exchange, which closed that connection.
        edge.metric_becomes("ssedge_requests_total", "class=\"gone\",route=\"0\"", number as f64 + 1.0).await;
    }
    let _stream = soon_admitted(&edge, SUBSCRIBE).await;
    refused(&edge, SUBSCRIBE).await;
}

#[tokio::test]
async fn the_permit_is_back_when_the_server_fails() {
    let scripts = [
        Script::new().close(),
        Script::new().reset(),
        Script::new().raw("this is no head\r\n\r\n").close(),
        Script::new().head("503 Service Unavailable", "Content-Length: 0\r\n"),
        Script::new().head("204 No Content", "Content-Type: text/event-stream\r\n"),
        Script::stream().event("a").hang(),
    ];
    let origin = Origin::start_each(scripts).await;
    let edge = edge("streams_per_client: 1, streams: 1", origin.address()).await;
    for (number, status) in [502, 502, 502, 503, 204].into_iter().enumerate() {
        // The permit of the one before comes back about when its answer does.
        let (_, head) = soon_answered(&edge, SUBSCRIBE).await;
        assert_eq!((head.status(), origin.requests()), (status, number + 1));
    }
    let _stream = soon_admitted(&edge, SUBSCRIBE).await;
    refused(&edge, SUBSCRIBE).await;
}

#[tokio::test]
async fn ordinary_requests_are_not_counted() {
    let origin =
        Origin::start_each([Script::stream().hang(), Script::new().hang(), Script::new().hang(), Script::answer("ok")]).await;
    let edge = edge("streams_per_client: 1, streams: 1", origin.address()).await;
    let _stream = admitted(&edge, SUBSCRIBE).await;
    let _waiting = [Client::send_to(edge.address(), GET).await, Client::send_to(edge.address(), ASK).await];
    origin.request(2).await;
    for _ in 0..3 {
        assert_eq!(ask(edge.address(), GET).await.1, "ok");
    }
    refused(&edge, SUBSCRIBE).await;
}

#[tokio::test]
async fn a_stream_that_no_request_announced_is_refused_at_its_head_and_its_server_left() {
    let origin = Origin::start(Script::stream().event("token").hang()).await;
    let edge = edge("streams_per_client: 2", origin.address()).await;
    // Both ways draw from the same permits.
    let first = admitted(&edge, SUBSCRIBE).await;
    let mut second = admitted(&edge, ASK).await;
    second.expects("data: token\n\n").await;
    refused(&edge, ASK).await;
    origin.request(2).await;
    origin.closed(origin.request(2).await.connection).await;
    refused(&edge, SUBSCRIBE).await;
    assert_eq!(origin.requests(), 3);
    assert_eq!(edge.metric("ssedge_streams_started_total", "").await, 2.0);
    drop((first, second));
    soon_admitted(&edge, ASK).await.expects("data: token\n\n").await;
}

#[tokio::test]
async fn a_connection_beyond_the_clients_cap_is_closed_and_the_next_is_served_when_one_ends() {
    let server = Server::start("a");
    let edge = Edge::with().limit("connections_per_client", "2").start(server.address()).await;
    let (first, _) = Client::open(edge.address(), GET).await;
    let (_second, head) = Client::open(edge.address(), GET).await;
    assert_eq!(head.status(), 200);
    let (answer, _) = Client::connect(edge.address()).await.rest().await;
    assert!(!answer.starts_with(b"HTTP/1.1 200"));
    assert_eq!(edge.metric("ssedge_connections_refused_total", "cap=\"client\"").await, 1.0);
    drop(first);
    within("the place of the one that ended", async {
        loop {
            let client = Client::connect(edge.address()).await;
            // Refused connections may not take the whole request.
            let request = b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n";
            if client.dribble(request, Duration::ZERO).await.0.starts_with(b"HTTP/1.1 200") {
                return;
            }
        }
    })
    .await;
}

/// A stage at which a client leaves.
async fn leave(edge: &Edge, stage: u32, by_reset: bool) {
    let mut client = Client::connect(edge.address()).await;
    match stage {
        0 => client.send(&SUBSCRIBE[..SUBSCRIBE.len() / 2]).await,
        1 => client.send(SUBSCRIBE).await,
        2 => client.send(ASK).await,
        3 => {
            client.send(SUBSCRIBE).await;
            tokio::task::yield_now().await;
        }
        4 => {
            client.send(SUBSCRIBE).await;
            client.head().await;
        }
        5 => {
            client.send(ASK).await;
            client.head().await;
        }
        6 => client.send("POST / HTTP/1.1\r\nHost: test\r\nAccept: text/event-stream\r\nContent-Length: 9\r\n\r\n{").await,
        _ => {
            client.send(SUBSCRIBE).await;
            if client.head().await.status() == 200 {
                client.expects("data: a\n\n").await;
            }
        }
    }
    if by_reset { client.reset() } else { drop(client) }
}

#[tokio::test]
async fn after_two_hundred_clients_that_left_at_any_stage_all_permits_are_back() {
    let server = Server::start("a");
    let edge = edge("streams_per_client: 6, streams: 7", server.address()).await;
    let mut random = 20_u32;
    for _ in 0..50 {
        let stages = [0_u32; 4].map(|_| {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (random >> 16) % 16
        });
        let [a, b, c, d] = stages.map(|stage| leave(&edge, stage / 2, stage % 2 == 0));
        tokio::join!(a, b, c, d);
    }
    edge.metric_becomes("ssedge_streams_open", "", 0.0).await;
    edge.metric_becomes("ssedge_connections_open", "", 0.0).await;
    assert!(edge.metric("ssedge_streams_started_total", "").await > 50.0, "many were streams when their clients left");
    let mut open = Vec::new();
    for _ in 0..6 {
        open.push(admitted(&edge, SUBSCRIBE).await);
    }
    refused(&edge, SUBSCRIBE).await;
    assert_eq!(edge.metric("ssedge_streams_open", "").await, 6.0);
}
