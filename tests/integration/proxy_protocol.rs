//! The PROXY protocol (`listeners[].proxy_protocol`): whose connection it is, by the word of a trusted proxy and of nobody else.

use std::time::Duration;

use crate::servers::{Server, ask};
use crate::support::{Client, Edge, End, GET, Origin, SUBSCRIBE, Script, eventually, shown, within};

/// In front of one server, with `top` in its file; its listener accepts PROXY headers from `trusted`.
async fn edge(trusted: &str, top: &str, route: &str, server: impl ToString) -> Edge {
    let server = server.to_string();
    Edge::listening(
        "proxy_protocol: accept",
        &format!(
            "trusted_proxies: [ {trusted} ]\n{top}\nupstreams: {{ app: {{ servers: [ \"{server}\" ] }} }}\nroutes: [ {{ upstream: app{route} }} ]\n"
        ),
    )
    .await
}

fn v1(source: &str) -> Vec<u8> {
    let family = if source.contains(':') { "TCP6" } else { "TCP4" };
    let destination = if source.contains(':') { "::1" } else { "127.0.0.1" };
    format!("PROXY {family} {source} {destination} 41234 443\r\n").into_bytes()
}

fn v2(command: u8, source: [u8; 4], values: &[u8]) -> Vec<u8> {
    let length = u16::try_from(12 + values.len()).expect("a short header").to_be_bytes();
    [b"\r\n\r\n\0\r\nQUIT\n", [command, 0x11].as_slice(), &length, &source, &[127, 0, 0, 1, 0xa1, 0x12, 0x01, 0xbb], values]
        .concat()
}

/// A request behind `header`.
fn behind(header: impl AsRef<[u8]>, request: &str) -> Vec<u8> {
    [header.as_ref(), request.as_bytes()].concat()
}

/// Closed without an answer, and counted for `reason`.
async fn closed(edge: &Edge, bytes: impl AsRef<[u8]>, reason: &str) {
    let bytes = bytes.as_ref();
    let (answer, _) = Client::send_to(edge.address(), bytes).await.rest().await;
    assert_eq!(answer, b"", "to {}", shown(bytes));
    let label = format!("reason=\"{reason}\"");
    assert!(edge.metric("ssedge_proxy_header_faults_total", &label).await >= 1.0, "{reason} for {}", shown(bytes));
}

#[tokio::test]
async fn the_address_in_a_header_is_the_clients_for_servers_and_in_the_log() {
    let origin = Origin::start(Script::answer("ok")).await;
    let edge = edge("127.0.0.0/8", "", "", origin.address()).await;
    let headers = [
        (v1("192.0.2.7"), "192.0.2.7"),
        (v1("2001:db8::7"), "2001:db8::7"),
        (v1("::ffff:192.0.2.8"), "192.0.2.8"),
        (v2(0x21, [192, 0, 2, 9], b""), "192.0.2.9"),
        (v2(0x21, [192, 0, 2, 10], b"\x02\0\x0bexample.com\x04\0\x02xx"), "192.0.2.10"),
        // The proxy speaks for itself, or does not know.
        (b"PROXY UNKNOWN\r\n".to_vec(), "127.0.0.1"),
        (v2(0x20, [192, 0, 2, 9], b""), "127.0.0.1"),
    ];
    for (number, (header, client)) in headers.iter().enumerate() {
        let (head, body) = ask(edge.address(), behind(header, GET)).await;
        assert_eq!((head.status(), body.as_str()), (200, "ok"), "{}", shown(header));
        assert_eq!(origin.request(number).await.head.get("x-forwarded-for"), Some(*client), "{}", shown(header));
        let line = format!("client={client} ");
        eventually(&line, || edge.process().stdout().contains(&line).then_some(())).await;
    }
}

#[tokio::test]
async fn a_header_may_come_byte_by_byte_and_holds_for_all_requests_of_its_connection() {
    let origin = Origin::start(Script::answer("ok")).await;
    let edge = edge("127.0.0.1", "", "", origin.address()).await;
    let last = "GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n";
    for (number, header) in [v1("192.0.2.7"), v2(0x21, [192, 0, 2, 7], &[b'\x04', 0, 1, 0])].iter().enumerate() {
        let bytes = behind(header, &format!("{GET}{last}"));
        let (answers, end) = Client::connect(edge.address()).await.dribble(&bytes, Duration::from_millis(1)).await;
        let answers = String::from_utf8(answers).expect("text");
        assert_eq!((answers.matches("HTTP/1.1 200").count(), end), (2, End::Clean), "{answers}");
        for request in 2 * number..2 * number + 2 {
            assert_eq!(origin.request(request).await.head.get("x-forwarded-for"), Some("192.0.2.7"));
        }
    }
    // A second one is no request.
    let (answers, _) =
        Client::send_to(edge.address(), behind(v1("192.0.2.7"), &format!("{GET}PROXY TCP4 192.0.2.8"))).await.rest().await;
    let answers = String::from_utf8(answers).expect("text");
    assert!(answers.starts_with("HTTP/1.1 200") && !answers.contains("192.0.2.8"), "{answers}");
}

#[tokio::test]
async fn http2_begins_behind_a_header_too() {
    let server = Server::start("a");
    let edge = edge("127.0.0.1", "", "", server.address()).await;
    // A SETTINGS frame, and then one of another stream than 0, which is an error of the connection.
    let frames = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\0\0\0\x04\0\0\0\0\x01";
    let (answer, _) = Client::send_to(edge.address(), [v1("192.0.2.7").as_slice(), frames].concat()).await.rest().await;
    assert_eq!(answer.get(3), Some(&0x04), "a SETTINGS frame comes first, not {}", shown(&answer));
}

#[tokio::test]
async fn a_stranger_is_served_as_it_is_and_its_header_is_no_request() {
    let origin = Origin::start(Script::answer("ok")).await;
    for listener in ["proxy_protocol: accept", "proxy_protocol: off"] {
        let edge = Edge::listening(
            listener,
            &format!(
                "trusted_proxies: [ 192.0.2.0/24 ]\nupstreams: {{ app: {{ servers: [ \"{}\" ] }} }}\nroutes: [ {{ upstream: app }} ]\n",
                origin.address()
            ),
        )
        .await;
        let before = origin.requests();
        for header in [v1("192.0.2.7"), v2(0x21, [192, 0, 2, 7], b""), b"PROXY UNKNOWN\r\n".to_vec()] {
            let (answer, _) = Client::send_to(edge.address(), behind(&header, GET)).await.rest().await;
            assert!(answer.starts_with(b"HTTP/1.1 400 "), "{} to {}", shown(&answer), shown(&header));
        }
        assert_eq!(origin.requests(), before);
        assert_eq!(ask(edge.address(), GET).await.0.status(), 200);
        assert_eq!(origin.request(before).await.head.get("x-forwarded-for"), Some("127.0.0.1"));
    }
}

#[tokio::test]
async fn a_trusted_proxy_without_a_header_is_closed_with_a_word_in_the_log() {
    let server = Server::start("a");
    let edge = edge("127.0.0.1", "timeouts: { request_head: 500ms }", "", server.address()).await;
    closed(&edge, GET, "missing").await;
    edge.process()
        .logs("let it send one (HAProxy: `send-proxy-v2`; nginx: `proxy_protocol on`), or write `proxy_protocol: off`")
        .await;
    closed(&edge, b"\x16\x03\x01\x02\0", "missing").await;
    closed(&edge, behind("PROXY TCP4 192.0.2.7 127.0.0.1 +1 443\r\n", GET), "malformed").await;
    closed(&edge, behind(v2(0x23, [192, 0, 2, 7], b""), GET), "malformed").await;
    closed(&edge, format!("PROXY TCP4 {}", "1".repeat(5000)), "malformed").await;
    assert_eq!(edge.metric("ssedge_proxy_header_faults_total", "incomplete").await, 0.0);
    // By the time, and by the end of the connection.
    closed(&edge, b"PROXY TCP4 192.", "incomplete").await;
    let mut client = Client::connect(edge.address()).await;
    client.send_last(b"\r\n\r\n\0\r\nQUIT").await;
    assert_eq!(client.rest().await.0, b"");
    edge.metric_becomes("ssedge_proxy_header_faults_total", "incomplete", 2.0).await;
    // A load balancer that only looks whether the port is open is nobody's fault.
    Client::connect(edge.address()).await.send_last(b"").await;
    let (silent, _) = Client::connect(edge.address()).await.rest().await;
    assert_eq!(silent, b"");
    edge.metric_becomes("ssedge_connections_open", "", 0.0).await;
    assert_eq!(edge.metric("ssedge_proxy_header_faults_total", "").await, 7.0);
    assert_eq!(server.requests(), 0);
}

#[tokio::test]
async fn what_the_client_says_of_itself_behind_a_header_counts_only_if_it_is_a_trusted_proxy_too() {
    let origin = Origin::start(Script::answer("ok")).await;
    let edge = edge("127.0.0.1, 10.0.0.0/8", "", "", origin.address()).await;
    let lies = "GET / HTTP/1.1\r\nHost: test\r\nX-Forwarded-For: 203.0.113.7\r\nX-Forwarded-Proto: https\r\n\r\n";
    for (number, (source, told, proto)) in
        [("192.0.2.7", "192.0.2.7", "http"), ("10.1.2.3", "203.0.113.7, 10.1.2.3", "https")].into_iter().enumerate()
    {
        assert_eq!(ask(edge.address(), behind(v1(source), lies)).await.0.status(), 200);
        let head = origin.request(number).await.head;
        assert_eq!((head.get("x-forwarded-for"), head.get("x-forwarded-proto")), (Some(told), Some(proto)));
    }
}

#[tokio::test]
async fn caps_count_the_client_that_a_header_names() {
    let server = Server::start("a");
    let top = "limits: { connections_per_client: 1 }";
    let edge = edge("127.0.0.1, 10.0.0.0/8", top, ", caps: { streams_per_client: 1 }", server.address()).await;
    let (first, head) = Client::open(edge.address(), behind(v1("192.0.2.1"), SUBSCRIBE)).await;
    assert_eq!(head.status(), 200);
    let (_second, head) = Client::open(edge.address(), behind(v1("192.0.2.2"), SUBSCRIBE)).await;
    assert_eq!(head.status(), 200);
    for header in [v1("192.0.2.1"), v2(0x21, [192, 0, 2, 2], b"")] {
        let (answer, _) = Client::send_to(edge.address(), behind(header, SUBSCRIBE)).await.rest().await;
        assert_eq!(answer, b"");
    }
    assert_eq!(edge.metric("ssedge_connections_refused_total", "cap=\"client\"").await, 2.0);
    // Proxies may have any number, in front of us and in front of them.
    let mut proxies = Vec::new();
    for header in [v1("10.0.0.1"), v1("10.0.0.1"), b"PROXY UNKNOWN\r\n".to_vec(), b"PROXY UNKNOWN\r\n".to_vec()] {
        let (client, head) = Client::open(edge.address(), behind(header, GET)).await;
        assert_eq!(head.status(), 200);
        proxies.push(client);
    }
    drop(first);
    within("the place of the one that left", async {
        while !Client::connect(edge.address())
            .await
            .dribble(&behind(v1("192.0.2.1"), "GET / HTTP/1.0\r\n\r\n"), Duration::ZERO)
            .await
            .0
            .starts_with(b"HTTP/1.1 200")
        {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_proxy_that_says_nothing_holds_up_no_drain() {
    let server = Server::start("a");
    let mut edge = edge("127.0.0.1", "timeouts: { request_head: 1h }\ndrain: { deadline: 1h }", "", server.address()).await;
    let _silent = Client::connect(edge.address()).await;
    let _half = Client::send_to(edge.address(), b"PROXY").await;
    edge.metric_becomes("ssedge_connections_open", "", 2.0).await;
    edge.signal("TERM");
    assert_eq!(within("the end", edge.exit_code()).await, Some(0));
}
