//! What stands at the door and may not come in: heads that are malformed, that two readers could read in two ways, that are too large
//! or too slow. Each is answered at once or closed, and the upstream never hears of it (RFC 9112 sections 2.2, 3, 5, 6 and 11.2).

use std::time::Duration;

use ssedge::clock;

use crate::support::{Client, Edge, End, GET, Origin, Script, eventually, shown};

/// A proxy in front of an origin that nobody may reach.
async fn behind_the_door() -> (Origin, Edge) {
    let origin = Origin::start(Script::answer("ok")).await;
    let edge = Edge::start(origin.address()).await;
    (origin, edge)
}

/// The status that a connection with these bytes gets, once it is closed.
async fn refused(edge: &Edge, bytes: impl AsRef<[u8]>) -> u16 {
    let bytes = bytes.as_ref();
    let (answer, end) = Client::send_to(edge.address(), bytes).await.rest().await;
    let text = String::from_utf8_lossy(&answer);
    let is_one = text.starts_with("HTTP/1.1 ") && !text.contains("\nHTTP/1.1 ");
    assert!(is_one, "one answer to {}, not {text:?}", shown(bytes));
    assert!(text.to_ascii_lowercase().contains("\r\nconnection: close\r\n"), "{text:?}");
    assert_eq!(end, End::Clean, "after {}", shown(bytes));
    text[9..12].parse().expect("a status")
}

#[tokio::test]
async fn malformed_and_ambiguous_heads_are_refused_and_never_passed_on() {
    let post = |fields: &str| format!("POST / HTTP/1.1\r\nHost: test\r\n{fields}\r\n0\r\n\r\n");
    let get = |fields: &str| format!("GET / HTTP/1.1\r\nHost: test\r\n{fields}\r\n");
    let line = |line: &str| format!("{line}\r\nHost: test\r\n\r\n");
    let heads = [
        // Line ends.
        (400, "GET / HTTP/1.1\nHost: test\n\n".to_owned()),
        (400, "GET / HTTP/1.1\r\nHost: test\nX: y\r\n\r\n".to_owned()),
        (400, "GET / HTTP/1.1\r\nHost: test\r\n\n".to_owned()),
        (400, get("X: a\rb\r\n")),
        (400, get("X: a\r\r\n")),
        // Field lines.
        (400, get("X: a\r\n folded\r\n")),
        (400, get("X: a\r\n\tfolded\r\n")),
        (400, "GET / HTTP/1.1\r\n Host: test\r\n\r\n".to_owned()),
        (400, get("X : a\r\n")),
        (400, get("X\t: a\r\n")),
        (400, get("no colon\r\n")),
        (400, get(": no name\r\n")),
        (400, get("X(y): a\r\n")),
        (400, get("X: a\0b\r\n")),
        (400, get("X: a\u{7f}b\r\n")),
        (400, get("X\u{e9}: a\r\n")),
        // Host.
        (400, "GET / HTTP/1.1\r\n\r\n".to_owned()),
        (400, get("Host: test\r\n")),
        (400, "GET / HTTP/1.1\r\nHost: a b\r\n\r\n".to_owned()),
        (400, "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n".to_owned()),
        (400, "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n".to_owned()),
        (400, "GET / HTTP/1.1\r\nHost: user@a\r\n\r\n".to_owned()),
        (400, "GET / HTTP/1.1\r\nHost: a:port\r\n\r\n".to_owned()),
        (400, "GET http://other/ HTTP/1.1\r\nHost: test\r\n\r\n".to_owned()),
        // Framing.
        (400, post("Content-Length: 5\r\nContent-Length: 6\r\n")),
        (400, post("Content-Length: 5\r\nContent-Length: 5\r\n")),
        (400, post("Content-Length: 0, 0\r\n")),
        (400, post("Content-Length: -1\r\n")),
        (400, post("Content-Length: +5\r\n")),
        (400, post("Content-Length: 0x5\r\n")),
        (400, post("Content-Length: 5 5\r\n")),
        (400, post("Content-Length:\r\n")),
        (400, post("Content-Length: 99999999999999999999\r\n")),
        (400, post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n")),
        (400, post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n")),
        (400, post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n")),
        (400, post("Transfer-Encoding: chunked, chunked\r\n")),
        (400, post("Transfer-Encoding: chunked, identity\r\n")),
        (400, post("Transfer-Encoding: xchunked\r\n")),
        (400, post("Transfer-Encoding: \"chunked\"\r\n")),
        (400, post("Transfer-Encoding:\r\n")),
        (400, post("Transfer-Encoding: chun\u{b}ked\r\n")),
        (400, "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_owned()),
        (501, post("Transfer-Encoding: gzip, chunked\r\n")),
        (417, post("Expect: 200-ok\r\nContent-Length: 5\r\n")),
        // Request lines.
        (400, line("GET  / HTTP/1.1")),
        (400, line("GET /\tHTTP/1.1")),
        (400, line("GET / HTTP/1.1 ")),
        (400, line(" GET / HTTP/1.1")),
        (400, line("GET /")),
        (400, line("GET")),
        (400, line("G(T / HTTP/1.1")),
        (400, line("GET a HTTP/1.1")),
        (400, line("GET * HTTP/1.1")),
        (400, line("GET /#fragment HTTP/1.1")),
        (400, line("GET /a b HTTP/1.1")),
        (400, line("GET /\u{e9} HTTP/1.1")),
        (400, line("GET /\u{7} HTTP/1.1")),
        (400, line("GET ftp://test/ HTTP/1.1")),
        (400, line("GET / http/1.1")),
        (400, line("GET / HTTP/1.1x")),
        (400, line("GET / HTTP/11")),
        (400, line("GET / HTTP/0.9")),
        (505, line("GET / HTTP/1.2")),
        (505, line("GET / HTTP/2.0")),
        (501, line("CONNECT test:443 HTTP/1.1")),
        (501, line(&format!("{} / HTTP/1.1", "M".repeat(100)))),
        // Other protocols.
        (505, "PRI * HTTP/2.0\r\nHost: test\r\n\r\n".to_owned()),
        (400, "\r\n\r\nGET / HTTP/1.1\r\nHost: test\r\n\r\n".to_owned()),
        (400, "\0\0\0\0".to_owned()),
        (400, "{\"json\": true}\r\n\r\n".to_owned()),
    ];
    let (origin, edge) = behind_the_door().await;
    for (status, head) in &heads {
        assert_eq!(refused(&edge, head).await, *status, "to {head:?}");
    }
    // A TLS client hello on a plain port.
    assert_eq!(refused(&edge, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03").await, 400);
    assert_eq!((origin.connections(), origin.requests()), (0, 0), "the origin heard of it");
}

#[tokio::test]
async fn tls_on_a_port_without_it_is_called_by_its_name() {
    let origin = Origin::start(Script::answer("ok")).await;
    let file = format!("upstreams: {{ app: {{ servers: [ \"{}\" ] }} }}\nroutes: [ {{ upstream: app }} ]\n", origin.address());
    let edge = Edge::listening("tls: off", &file).await;
    // Also where no more than a byte of it comes.
    for hello in [&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..], b"\x16"] {
        let (answer, _) = Client::send_to(edge.address(), hello).await.rest().await;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("write http:// in front of the address"), "{answer}");
    }
    let reason = "this port speaks HTTP without TLS";
    eventually(reason, || (edge.process().stdout().matches(reason).count() == 2).then_some(())).await;
}

#[tokio::test]
async fn what_is_unusual_and_clear_comes_in() {
    let heads = [
        "GET / HTTP/1.0\r\n\r\n",
        "\r\nGET / HTTP/1.1\r\nHost: test\r\n\r\n",
        "GET / HTTP/1.1\r\nhost:test\r\n\r\n",
        "GET / HTTP/1.1\r\nHost:\t[::1]:80 \t\r\nX: \t\r\n\r\n",
        "GET http://test HTTP/1.1\r\nHost: test\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: test\r\n\r\n",
        "M-SEARCH / HTTP/1.1\r\nHost: test\r\n\r\n",
    ];
    let (origin, edge) = behind_the_door().await;
    for (number, head) in heads.into_iter().enumerate() {
        let (mut client, answer) = Client::open(edge.address(), head).await;
        assert_eq!(answer.status(), 200, "to {head:?}");
        client.ends_with("ok", End::Clean).await;
        assert_eq!(origin.requests(), number + 1);
    }
}

#[tokio::test]
async fn nothing_that_hides_behind_a_refused_head_is_read() {
    let (origin, edge) = behind_the_door().await;
    let smuggled =
        format!("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{GET}");
    assert_eq!(refused(&edge, smuggled).await, 400);
    assert_eq!(refused(&edge, format!("GET / HTTP/1.1\nHost: test\n\n{GET}")).await, 400);
    assert_eq!(origin.requests(), 0);
}

#[tokio::test]
async fn a_refused_head_on_a_used_connection_closes_it() {
    let (origin, edge) = behind_the_door().await;
    let (mut client, _) = Client::open(edge.address(), GET).await;
    client.ends_with("ok", End::Clean).await;
    client.send("GET / HTTP/1.1\r\n\r\n").await;
    assert_eq!(client.head().await.status(), 400);
    client.rest_of_body().await;
    assert_eq!(client.rest().await, (Vec::new(), End::Clean));
    assert_eq!(origin.requests(), 1);
}

#[tokio::test]
async fn a_head_beyond_the_limit_is_a_431() {
    let origin = Origin::start(Script::answer("ok")).await;
    let edge = Edge::with().limit("request_head", "2KiB").start(origin.address()).await;
    let of_size = |size: usize| {
        let bare = "GET / HTTP/1.1\r\nHost: test\r\nX: \r\n\r\n".len();
        format!("GET / HTTP/1.1\r\nHost: test\r\nX: {}\r\n\r\n", "x".repeat(size - bare))
    };
    let (_client, head) = Client::open(edge.address(), of_size(2048)).await;
    assert_eq!(head.status(), 200, "a head of exactly the limit");
    let endless = of_size(3000).replace("\r\n\r\n", "");
    for head in [of_size(2049), of_size(100_000), endless, format!("GET /{} HTTP/1.1\r\n", "x".repeat(5000))] {
        assert_eq!(refused(&edge, &head).await, 431, "to {} bytes", head.len());
    }
    assert_eq!(origin.requests(), 1);
}

#[tokio::test]
async fn too_many_fields_are_a_431() {
    let (origin, edge) = behind_the_door().await;
    let head = |fields: usize| format!("GET / HTTP/1.1\r\nHost: test\r\n{}\r\n", "X: y\r\n".repeat(fields));
    let (_client, answer) = Client::open(edge.address(), head(100)).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(refused(&edge, head(1000)).await, 431);
    assert_eq!(origin.requests(), 1);
}

#[tokio::test]
async fn a_head_that_dribbles_in_is_cut_at_the_deadline_for_the_whole() {
    let origin = Origin::start(Script::answer("ok")).await;
    let edge = Edge::with().timeout("request_head", "300ms").start(origin.address()).await;
    let client = Client::connect(edge.address()).await;
    // A byte every 20 ms would take twelve seconds: a deadline for each read would never come.
    let slow = format!("GET /{} HTTP/1.1\r\n", "x".repeat(600));
    let begin = clock::now();
    let (answer, _) = client.dribble(slow.as_bytes(), Duration::from_millis(20)).await;
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 408 "), "{:?}", shown(&answer));
    assert!(begin.elapsed() < Duration::from_secs(8), "the deadline moved with every byte");
    assert_eq!(origin.connections(), 0);
}

#[tokio::test]
async fn a_head_that_comes_slowly_within_the_deadline_is_served() {
    let (_origin, edge) = behind_the_door().await;
    let request = "GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n";
    let (answer, _) = Client::connect(edge.address()).await.dribble(request.as_bytes(), Duration::from_millis(3)).await;
    assert!(answer.starts_with(b"HTTP/1.1 200 ") && answer.ends_with(b"ok"), "{:?}", shown(&answer));
}

#[tokio::test]
async fn a_client_that_says_nothing_is_closed_at_the_deadline() {
    let origin = Origin::start(Script::answer("ok")).await;
    let edge = Edge::with().timeout("request_head", "300ms").start(origin.address()).await;
    for bytes in ["", "\r", "GET / HTTP/1.1\r\nHost: te", "PRI * HTTP/2.0\r\n\r\n"] {
        let begin = clock::now();
        let (answer, _) = Client::send_to(edge.address(), bytes).await.rest().await;
        // Over HTTP/2 each side may speak first: its SETTINGS.
        let may_be_said = [b"HTTP/1.1 408 ".as_slice(), b"\0\0\x12\x04"].iter().any(|start| answer.starts_with(start));
        assert!(answer.is_empty() || may_be_said, "to {bytes:?}: {:?}", shown(&answer));
        assert!(begin.elapsed() < Duration::from_secs(9), "that was the default deadline");
    }
}

#[tokio::test]
async fn an_idle_connection_is_closed_after_its_keep_alive() {
    let origin = Origin::start(Script::answer("ok")).await;
    let edge = Edge::with().timeout("keep_alive", "300ms").start(origin.address()).await;
    let (mut client, _) = Client::open(edge.address(), GET).await;
    client.ends_with("ok", End::Clean).await;
    assert_eq!(client.rest().await, (Vec::new(), End::Clean));
}

#[tokio::test]
async fn a_client_that_closes_in_the_middle_of_its_head_leaves_nothing_behind() {
    let (origin, edge) = behind_the_door().await;
    // Who has accepted has all that it keeps.
    Client::send_to(edge.address(), "nonsense\r\n\r\n").await.rest().await;
    let before = edge.descriptors();
    for cut in 0..GET.len() {
        let mut client = Client::connect(edge.address()).await;
        if cut % 2 == 0 {
            client.send(&GET[..cut]).await;
        } else {
            client.send_last(&GET.as_bytes()[..cut]).await;
            let (answer, _) = client.rest().await;
            assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"), "{:?}", shown(&answer));
        }
    }
    crate::support::eventually("their descriptors to be given back", || (edge.descriptors() <= before).then_some(())).await;
    assert_eq!(origin.connections(), 0);
}

#[tokio::test]
async fn hundreds_of_pieces_of_noise_neither_stop_nor_pass_the_door() {
    let (origin, edge) = behind_the_door().await;
    // Noise from a plain generator, so that a failure repeats; pieces of real heads among it, since pure noise ends at its first byte.
    let pieces = [
        "GET ",
        "/ ",
        "HTTP/1.1",
        "\r\n",
        "\n",
        "\r",
        "Host: test",
        ":",
        " ",
        "Content-Length: 9",
        "Transfer-Encoding: chunked",
        "\0",
        "\u{ff}",
    ];
    let mut state = 0x2545_f491_u32;
    for round in 0..300 {
        let mut bytes = Vec::new();
        for _ in 0..12 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            bytes.extend_from_slice(pieces[(state >> 16) as usize % pieces.len()].as_bytes());
        }
        // Closed or refused: never served, since no round makes a whole head; the end of what we send ends what is unfinished.
        let mut client = Client::connect(edge.address()).await;
        client.send_last(&bytes).await;
        let (answer, _) = client.rest().await;
        assert!(
            answer.is_empty() || answer.starts_with(b"HTTP/1.1 4") || answer.starts_with(b"HTTP/1.1 5"),
            "round {round}: {:?}",
            shown(&bytes)
        );
    }
    assert_eq!(origin.requests(), 0);
    let (mut client, _) = Client::open(edge.address(), GET).await;
    client.ends_with("ok", End::Clean).await;
}
