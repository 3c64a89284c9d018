//! Upgrades: a handshake that the route allows becomes a tunnel, in which bytes are bytes; any other `Upgrade` is removed and the request
//! goes on as if it had said nothing (RFC 9110 section 7.8, RFC 6455 sections 1.3 and 4, design `config.md`, `routes[].upgrades`).

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{
    Client, Edge, EdgeBuilder, End, GET, ManualOrigin, Origin, Raw, SUBSCRIBE, Script, chunk, head::Head, within,
};

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// A handshake of `protocol`; `fields` is whole lines.
pub(crate) fn handshake(protocol: &str, fields: &str) -> String {
    format!("GET /chat?room=1 HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: {protocol}\r\n{fields}\r\n")
}

/// What a browser sends.
pub(crate) fn websocket() -> String {
    handshake(
        "websocket",
        &format!(
            "Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: chat, superchat\r\n\
             Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\nOrigin: http://test\r\n"
        ),
    )
}

/// The server's yes to `protocol`.
pub(crate) fn switch_to(protocol: &str) -> String {
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: {protocol}\r\nSec-WebSocket-Accept: {ACCEPT}\r\nSec-WebSocket-Protocol: chat\r\n\r\n"
    )
}

/// A tunnel: the client's end of it, and the server's.
pub(crate) async fn tunnel(edge: &Edge, origin: &ManualOrigin) -> (Raw, Raw) {
    let mut client = Client::send_to(edge.address(), websocket()).await;
    let (server, _) = origin.request().await;
    server.send(switch_to("websocket")).await;
    assert_eq!(client.any_head().await.status(), 101);
    (client.tunnel(), server)
}

/// Bytes pass in both directions.
pub(crate) async fn assert_open(client: &mut Raw, server: &mut Raw) {
    client.send(b"\x81\x02up").await;
    server.expects(b"\x81\x02up").await;
    server.send(b"\x81\x04down").await;
    client.expects(b"\x81\x04down").await;
}

fn says_upgrade(head: &Head) -> bool {
    !head.all("upgrade").is_empty() || head.list("connection").iter().any(|option| option == "upgrade")
}

/// The request went on without its `Upgrade`, and its answer is an ordinary one on a connection that goes on.
async fn assert_goes_on_without(edge: EdgeBuilder, request: &str) {
    let origin = Origin::start(Script::answer("ordinary")).await;
    let edge = edge.start(origin.address()).await;
    let (mut client, head) = Client::open(edge.address(), request).await;
    assert_eq!(head.status(), 200, "for {request:?}");
    client.ends_with("ordinary", End::Clean).await;
    let asked = origin.request(0).await.head;
    assert!(!says_upgrade(&asked), "{request:?} arrived as {:?}", String::from_utf8_lossy(&asked.raw));
    assert_eq!(asked.get("http2-settings"), None);
    assert!(!says_upgrade(&head));
    if request.contains("HTTP/1.1") {
        client.send(GET).await;
        assert_eq!(client.head().await.status(), 200);
        client.ends_with("ordinary", End::Clean).await;
    }
    assert_eq!(edge.metric("ssedge_tunnels_total", "").await, 0.0);
}

#[tokio::test]
async fn a_websocket_opens_with_all_that_both_sides_said() {
    let origin = ManualOrigin::start().await;
    let edge = Edge::start(origin.address()).await;
    let mut client = Client::send_to(edge.address(), websocket()).await;
    let (mut server, asked) = origin.request().await;
    assert_eq!(asked.start(), "GET /chat?room=1 HTTP/1.1");
    assert_eq!((asked.list("upgrade"), asked.list("connection")), (vec!["websocket".to_owned()], vec!["upgrade".to_owned()]));
    for (name, value) in [
        ("host", "test"),
        ("origin", "http://test"),
        ("sec-websocket-key", KEY),
        ("sec-websocket-version", "13"),
        ("sec-websocket-protocol", "chat, superchat"),
        ("sec-websocket-extensions", "permessage-deflate; client_max_window_bits"),
    ] {
        assert_eq!(asked.get(name), Some(value), "{name}");
    }
    assert_eq!((asked.get("content-length"), asked.get("transfer-encoding")), (None, None));
    server.send(switch_to("websocket")).await;
    let head = client.any_head().await;
    assert_eq!(head.status(), 101);
    assert_eq!((head.list("upgrade"), head.list("connection")), (vec!["websocket".to_owned()], vec!["upgrade".to_owned()]));
    assert_eq!((head.get("sec-websocket-accept"), head.get("sec-websocket-protocol")), (Some(ACCEPT), Some("chat")));
    assert_eq!((head.get("content-length"), head.get("transfer-encoding")), (None, None), "a 101 has no body: {head:?}");
    let mut client = client.tunnel();
    for _ in 0..3 {
        assert_open(&mut client, &mut server).await;
    }
}

#[tokio::test]
async fn words_are_compared_without_case_and_found_in_lists() {
    for (connection, upgrade) in [("upgrade", "WebSocket"), ("keep-alive, Upgrade", "WEBSOCKET"), ("UPGRADE", "websocket")] {
        let origin = ManualOrigin::start().await;
        let edge = Edge::start(origin.address()).await;
        let request = format!("GET / HTTP/1.1\r\nHost: test\r\nConnection: {connection}\r\nUpgrade: {upgrade}\r\n\r\n");
        let mut client = Client::send_to(edge.address(), request).await;
        let (mut server, asked) = origin.request().await;
        assert_eq!(asked.list("upgrade"), ["websocket"]);
        server.send(switch_to(upgrade)).await;
        assert_eq!(client.any_head().await.status(), 101);
        assert_open(&mut client.tunnel(), &mut server).await;
    }
}

#[tokio::test]
async fn bytes_right_behind_the_switch_arrive() {
    let origin = ManualOrigin::start().await;
    let edge = Edge::start(origin.address()).await;
    let mut client = Client::send_to(edge.address(), websocket()).await;
    let (mut server, _) = origin.request().await;
    // In one segment with its head, and no HTTP: whoever parses on falls over it.
    server.send([switch_to("websocket").as_bytes(), b"\x81\x05hello\r\n\r\nHTTP/1.1 "].concat()).await;
    assert_eq!(client.any_head().await.status(), 101);
    let mut client = client.tunnel();
    client.expects(b"\x81\x05hello\r\n\r\nHTTP/1.1 ").await;
    assert_open(&mut client, &mut server).await;
}

#[tokio::test]
async fn a_switch_that_comes_byte_by_byte_is_one() {
    let wire = [switch_to("websocket").as_bytes(), b"\x81\x05hello"].concat();
    let origin = Origin::start(Script::new().one_byte_at_a_time(wire).hang()).await;
    let edge = Edge::start(origin.address()).await;
    let mut client = Client::send_to(edge.address(), websocket()).await;
    assert_eq!(client.any_head().await.status(), 101);
    client.tunnel().expects(b"\x81\x05hello").await;
}

#[tokio::test]
async fn what_a_client_sends_behind_its_handshake_is_for_the_tunnel_only() {
    let early = "GET /smuggled HTTP/1.1\r\nHost: test\r\n\r\n";
    let origin = ManualOrigin::start().await;
    let edge = Edge::start(origin.address()).await;
    let mut client = Client::send_to(edge.address(), [&websocket(), early].concat()).await;
    let (mut server, _) = origin.request().await;
    // The way back through the proxy takes longer than the bytes would.
    server.send("HTTP/1.1 103 Early Hints\r\n\r\n").await;
    assert_eq!(client.any_head().await.status(), 103);
    server.assert_nothing_came();
    server.send(switch_to("websocket")).await;
    assert_eq!(client.any_head().await.status(), 101);
    server.expects(early).await;
    assert_open(&mut client.tunnel(), &mut server).await;

    // Without the switch it is the next request, judged as any other, or nothing.
    let mut client = Client::send_to(edge.address(), [&websocket(), early].concat()).await;
    let (mut server, _) = origin.request().await;
    server.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").await;
    assert_eq!(client.any_head().await.status(), 403);
    assert_eq!(server.rest().await.0, b"", "it went through unjudged");
    let (server, asked) = origin.request().await;
    assert_eq!((asked.start(), asked.get("x-forwarded-for")), ("GET /smuggled HTTP/1.1", Some("127.0.0.1")));
    server.send("HTTP/1.1 204 No Content\r\n\r\n").await;
    assert_eq!(client.any_head().await.status(), 204);
    server.assert_nothing_came();
}

#[tokio::test]
async fn half_a_close_of_either_side_is_passed_on_and_the_other_half_goes_on() {
    for client_first in [true, false] {
        let origin = ManualOrigin::start().await;
        let edge = Edge::start(origin.address()).await;
        let (client, server) = tunnel(&edge, &origin).await;
        let (mut first, mut second) = if client_first { (client, server) } else { (server, client) };
        first.send("last words").await;
        first.socket().half_close();
        assert_eq!(second.rest().await, (b"last words".to_vec(), End::Clean));
        for words in ["one", "two", "three"] {
            second.send(words).await;
            first.expects(words).await;
        }
        edge.metric_becomes("ssedge_tunnels_open", "", 1.0).await;
        second.socket().half_close();
        assert_eq!(first.rest().await, (Vec::new(), End::Clean));
        edge.metric_becomes("ssedge_tunnels_open", "", 0.0).await;
    }
}

#[tokio::test]
async fn who_leaves_a_tunnel_takes_the_other_side_with_it() {
    for client_leaves in [true, false] {
        for by_reset in [true, false] {
            let origin = ManualOrigin::start().await;
            let edge = Edge::start(origin.address()).await;
            let (mut client, mut server) = tunnel(&edge, &origin).await;
            assert_open(&mut client, &mut server).await;
            let (leaves, mut stays) = if client_leaves { (client, server) } else { (server, client) };
            if by_reset {
                leaves.reset();
                stays.rest().await;
            } else {
                drop(leaves);
                // A close looks like half of one until somebody writes.
                assert_eq!(stays.rest().await, (Vec::new(), End::Clean));
                drop(stays);
            }
            edge.metric_becomes("ssedge_tunnels_open", "", 0.0).await;
        }
    }
}

#[tokio::test]
async fn who_writes_to_a_side_that_left_is_closed_too() {
    let origin = ManualOrigin::start().await;
    let edge = Edge::start(origin.address()).await;
    let (client, mut server) = tunnel(&edge, &origin).await;
    drop(client);
    assert_eq!(server.rest().await, (Vec::new(), End::Clean));
    // The first words meet a socket that answers with a reset, later ones a tunnel that is gone.
    while server.socket().write(&[b'x'; 1024]).await.is_ok() {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    edge.metric_becomes("ssedge_tunnels_open", "", 0.0).await;
}

#[tokio::test]
async fn a_route_without_upgrades_removes_them_all() {
    let without = || Edge::with().route("upgrades", "[]");
    assert_goes_on_without(without(), &websocket()).await;
    assert_goes_on_without(without(), &handshake("custom", "")).await;
}

#[tokio::test]
async fn only_protocols_that_the_route_names_pass() {
    for (named, protocol) in
        [("[ custom ]", "custom"), ("[ custom ]", "CUSTOM"), ("[ websocket, Custom ]", "custom"), ("[ custom ]", "custom/2.1")]
    {
        let origin = ManualOrigin::start().await;
        let edge = Edge::with().route("upgrades", named).start(origin.address()).await;
        let mut client = Client::send_to(edge.address(), handshake(protocol, "")).await;
        let (mut server, asked) = origin.request().await;
        assert!(asked.get("upgrade").is_some_and(|upgrade| upgrade.eq_ignore_ascii_case(protocol)), "{asked:?}");
        server.send(switch_to(protocol)).await;
        assert_eq!(client.any_head().await.status(), 101, "{protocol} with {named}");
        assert_open(&mut client.tunnel(), &mut server).await;
    }
    assert_goes_on_without(Edge::with().route("upgrades", "[ custom ]"), &websocket()).await;
    assert_goes_on_without(Edge::with(), &handshake("custom", "")).await;
    assert_goes_on_without(Edge::with(), &handshake("websocketish", "")).await;
}

#[tokio::test]
async fn of_several_protocols_only_those_that_may_pass_are_offered() {
    for offer in ["custom, websocket", "websocket, h2c", "h2c, custom/1, websocket"] {
        let origin = ManualOrigin::start().await;
        let edge = Edge::start(origin.address()).await;
        let mut client = Client::send_to(edge.address(), handshake(offer, "")).await;
        let (mut server, asked) = origin.request().await;
        assert_eq!(asked.list("upgrade"), ["websocket"], "of {offer:?}");
        server.send(switch_to("websocket")).await;
        assert_eq!(client.any_head().await.status(), 101);
        assert_open(&mut client.tunnel(), &mut server).await;
    }
}

#[tokio::test]
async fn h2c_never_passes() {
    let settings = "HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n";
    let full = handshake("h2c", settings).replace("Connection: Upgrade", "Connection: Upgrade, HTTP2-Settings");
    for request in [full, handshake("h2c", ""), handshake("H2C", ""), handshake("h2c/1", ""), handshake("h2", "")] {
        assert_goes_on_without(Edge::with(), &request).await;
        assert_goes_on_without(Edge::with().route("upgrades", "[ websocket, custom ]"), &request).await;
    }
}

#[tokio::test]
async fn an_upgrade_that_is_not_one_of_this_connection_is_ignored() {
    let no_option = "GET / HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\n\r\n";
    let old = "GET / HTTP/1.0\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    // To one reader the bytes behind this head are a body, to another the new protocol.
    let with_body = "POST / HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 2\r\n\r\n{}";
    let chunked =
        "POST / HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    for request in [no_option, old, with_body, chunked] {
        assert_goes_on_without(Edge::with(), request).await;
    }
}

#[tokio::test]
async fn an_answer_that_is_no_switch_is_an_ordinary_one() {
    for status in ["200 OK", "400 Bad Request", "403 Forbidden", "426 Upgrade Required", "302 Found"] {
        let script = Script::new().head(status, "Content-Length: 4\r\nLocation: /x\r\n").raw("body");
        let origin = Origin::start_each([script, Script::answer("next")]).await;
        let edge = Edge::start(origin.address()).await;
        let (mut client, head) = Client::open(edge.address(), websocket()).await;
        assert!(status.starts_with(&head.status().to_string()) && !says_upgrade(&head), "{head:?}");
        client.ends_with("body", End::Clean).await;
        client.send(GET).await;
        client.head().await;
        client.ends_with("next", End::Clean).await;
        assert_eq!(edge.metric("ssedge_tunnels_total", "").await, 0.0);
    }
}

#[tokio::test]
async fn an_event_stream_that_answers_a_handshake_is_a_stream() {
    let origin = Origin::start(Script::stream().event("a").gate().event("b").end()).await;
    let edge = Edge::with().heartbeat("interval: 100ms").start(origin.address()).await;
    let (mut client, head) = Client::open(edge.address(), websocket()).await;
    assert_eq!(head.status(), 200);
    client.expects_after(":\n\n", "data: a\n\n").await;
    client.expects(":\n\n").await;
    origin.open_gate();
    client.expects_after(":\n\n", "data: b\n\n").await;
    client.ends_with("", End::Clean).await;
    edge.stream_ended("upstream_end").await;
}

#[tokio::test]
async fn a_switch_that_nobody_asked_for_is_a_502() {
    let smuggled = [&switch_to("websocket"), "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"].concat();
    let no_upgrade = "HTTP/1.1 101 Switching Protocols\r\n\r\n".to_owned();
    let old = switch_to("websocket").replace("HTTP/1.1", "HTTP/1.0");
    let cases = [
        (GET.to_owned(), "[ websocket ]", switch_to("websocket")),
        (GET.to_owned(), "[ websocket ]", smuggled),
        (SUBSCRIBE.to_owned(), "[ websocket ]", switch_to("websocket")),
        (websocket(), "[]", switch_to("websocket")),
        (handshake("h2c", ""), "[ websocket ]", switch_to("h2c")),
        (websocket().replace("HTTP/1.1", "HTTP/1.0"), "[ websocket ]", switch_to("websocket")),
        // Asked for, but not this.
        (websocket(), "[ websocket, custom ]", switch_to("custom")),
        (websocket(), "[ websocket ]", switch_to("h2c")),
        (websocket(), "[ websocket ]", no_upgrade),
        (websocket(), "[ websocket ]", old),
    ];
    for (request, named, answer) in cases {
        let origin = Origin::start(Script::new().raw(&answer).hang()).await;
        let edge = Edge::with().route("upgrades", named).start(origin.address()).await;
        let mut client = Client::send_to(edge.address(), &request).await;
        assert_eq!(client.any_head().await.status(), 502, "{request:?} with {named} got {answer:?}");
        assert_eq!(client.rest_of_body().await.1, End::Clean);
        origin.closed(0).await;
        assert_eq!(edge.metric("ssedge_tunnels_total", "").await, 0.0);
    }
}

#[tokio::test]
async fn a_connection_that_was_a_tunnel_serves_no_other_request() {
    let origin = ManualOrigin::start().await;
    let edge = Edge::start(origin.address()).await;
    let (client, mut server) = tunnel(&edge, &origin).await;
    client.socket().half_close();
    server.rest().await;
    server.socket().half_close();
    edge.metric_becomes("ssedge_tunnels_open", "", 0.0).await;
    let mut next = Client::send_to(edge.address(), GET).await;
    let (fresh, _) = origin.request().await;
    fresh.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    assert_eq!(next.head().await.status(), 200);
    assert_eq!(server.rest().await.0, b"");
}

#[tokio::test]
async fn a_server_behind_a_unix_socket_may_switch_too() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("app.sock");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let edge = Edge::start(format!("unix:{}", path.display())).await;
    let mut client = Client::send_to(edge.address(), websocket()).await;
    let (mut server, _) = within("a connection", listener.accept()).await.unwrap();
    let mut head = Vec::new();
    within("the handshake", async {
        while !head.ends_with(b"\r\n\r\n") {
            assert_ne!(server.read_buf(&mut head).await.unwrap(), 0);
        }
    })
    .await;
    server.write_all([switch_to("websocket").as_bytes(), b"down"].concat().as_slice()).await.unwrap();
    assert_eq!(client.any_head().await.status(), 101);
    let mut client = client.tunnel();
    client.expects("down").await;
    client.send("up").await;
    client.socket().half_close();
    let mut rest = String::new();
    within("all that the client said", server.read_to_string(&mut rest)).await.unwrap();
    assert_eq!(rest, "up");
    server.write_all(b"last").await.unwrap();
    drop(server);
    assert_eq!(client.rest().await, (b"last".to_vec(), End::Clean));
    edge.metric_becomes("ssedge_tunnels_open", "", 0.0).await;
}

#[tokio::test]
async fn a_handshake_that_nobody_answers_is_no_tunnel() {
    // Its client leaves; its time is over; the process leaves.
    let origin = ManualOrigin::start().await;
    let mut edge = Edge::with().timeout("response_head", "500ms").drain_deadline("300ms").start(origin.address()).await;
    let client = Client::send_to(edge.address(), websocket()).await;
    let (mut server, _) = origin.request().await;
    drop(client);
    server.rest().await;

    let mut client = Client::send_to(edge.address(), websocket()).await;
    let (mut server, _) = origin.request().await;
    assert_eq!(client.any_head().await.status(), 504);
    server.rest().await;

    let _client = Client::send_to(edge.address(), websocket()).await;
    let (mut server, _) = origin.request().await;
    assert_eq!(edge.metric("ssedge_tunnels_total", "").await, 0.0);
    edge.signal("TERM");
    server.rest().await;
    assert_eq!(edge.exit_code().await, Some(0));
}

#[tokio::test]
async fn a_handshake_without_a_server_has_a_plain_answer() {
    let nowhere = crate::support::nowhere::Refusing::new();
    let edge = Edge::start(nowhere.address()).await;
    let (mut client, head) = Client::open(edge.address(), websocket()).await;
    assert_eq!(head.status(), 502);
    assert_eq!(client.rest_of_body().await.1, End::Clean);
}

#[tokio::test]
async fn a_switch_carries_the_pin() {
    let origin = ManualOrigin::start().await;
    let sticky = "{ cookie: ssedge, secrets: [ \"0123456789abcdef0123456789abcdef\" ] }";
    let edge = Edge::with().route("sticky", sticky).start(origin.address()).await;
    let mut client = Client::send_to(edge.address(), websocket()).await;
    let (server, _) = origin.request().await;
    server.send(switch_to("websocket")).await;
    let head = client.any_head().await;
    let cookie = head.get("set-cookie").expect("a new client gets a pin");
    let pin = cookie.split(';').next().unwrap();
    assert!(head.status() == 101 && pin.starts_with("ssedge="), "{head:?}");

    let mut client =
        Client::send_to(edge.address(), websocket().replace("Origin:", &format!("Cookie: {pin}; a=1\r\nOrigin:"))).await;
    let (mut server, asked) = origin.request().await;
    assert_eq!(asked.get("cookie"), Some("a=1"), "the pin is ours");
    server.send(switch_to("websocket")).await;
    assert_eq!(client.any_head().await.get("set-cookie"), None, "it stands");
    assert_open(&mut client.tunnel(), &mut server).await;
}

#[tokio::test]
async fn tunnels_are_no_streams_and_take_no_place_of_one() {
    let origin = ManualOrigin::start().await;
    let edge =
        Edge::with().limit("streams", "1").route("caps", "{ streams: 1, streams_per_client: 1 }").start(origin.address()).await;
    let mut tunnels = Vec::new();
    for _ in 0..3 {
        tunnels.push(tunnel(&edge, &origin).await);
    }
    let mut stream = Client::send_to(edge.address(), SUBSCRIBE).await;
    let (server, _) = origin.request().await;
    server.send([crate::duplex::EVENTS.as_bytes(), &chunk("data: a\n\n")].concat()).await;
    assert_eq!(stream.head().await.status(), 200);
    stream.expects("data: a\n\n").await;
    assert_eq!(Client::open(edge.address(), SUBSCRIBE).await.1.status(), 429);
    tunnels.push(tunnel(&edge, &origin).await);
    assert_eq!(edge.metric("ssedge_streams_open", "").await, 1.0);
    edge.metric_becomes("ssedge_tunnels_open", "", 4.0).await;
    for (client, server) in &mut tunnels {
        assert_open(client, server).await;
    }
}
