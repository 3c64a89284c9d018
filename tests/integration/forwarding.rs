//! What servers are told of clients (`forwarded`, `trusted_proxies`; RFC 7239), and whom we believe.

use crate::servers::ask;
use crate::support::tls::{everywhere, scheme};
use crate::support::{Edge, Origin, Script, head::Head};

/// What a stranger, or a proxy in front of us, may say.
const FIELDS: &str =
    "X-Forwarded-For: 203.0.113.7\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: shop.example\r\nX-Real-IP: 203.0.113.7\r\n";

/// The head that a server gets when a client sends `fields` to an edge with `top` in its file.
async fn seen(top: &str, fields: &str) -> Head {
    let origin = Origin::start(Script::answer("ok")).await;
    let servers = format!("upstreams: {{ app: {{ servers: [ \"{}\" ] }} }}", origin.address());
    let edge = Edge::of(&format!("{top}\n{servers}\nroutes: [ {{ upstream: app }} ]\n")).await;
    let (head, _) = ask(edge.address(), format!("GET / HTTP/1.1\r\nHost: edge.example:8080\r\n{fields}\r\n")).await;
    assert_eq!(head.status(), 200);
    origin.request(0).await.head
}

fn x_forwarded(head: &Head) -> [Option<&str>; 3] {
    ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"].map(|name| head.get(name))
}

#[tokio::test]
async fn a_server_learns_who_the_client_is_and_what_it_asked_for() {
    let head = seen("", "").await;
    assert_eq!(x_forwarded(&head), [Some("127.0.0.1"), Some(scheme()), Some("edge.example:8080")]);
    assert_eq!((head.get("host"), head.get("forwarded")), (Some("edge.example:8080"), None));
}

#[tokio::test]
async fn what_a_stranger_says_of_itself_is_replaced_under_every_policy() {
    let lies = format!(
        "{FIELDS}X-Forwarded-For: 198.51.100.1\r\nX-Forwarded-Port: 1\r\nX_Forwarded_For: 203.0.113.7\r\nForwarded: for=203.0.113.7\r\n"
    );
    let head = seen("", &lies).await;
    assert_eq!(x_forwarded(&head), [Some("127.0.0.1"), Some(scheme()), Some("edge.example:8080")]);
    for policy in ["x_forwarded", "rfc7239", "off"] {
        // Trusted are others.
        let head = seen(&format!("forwarded: {policy}\ntrusted_proxies: [ 10.0.0.0/8, 2001:db8::/32 ]"), &lies).await;
        let text = String::from_utf8_lossy(&head.raw).to_lowercase();
        for lie in ["203.0.113.7", "198.51.100.1", "shop.example", "x-forwarded-port", "x_forwarded", "x-real-ip"] {
            assert!(!text.contains(lie), "{lie} under {policy} in {text}");
        }
        assert!(everywhere() || !text.contains("https"), "under {policy} in {text}");
    }
}

#[tokio::test]
async fn what_a_trusted_proxy_says_is_continued() {
    let head = seen("trusted_proxies: [ 127.0.0.1 ]", FIELDS).await;
    assert_eq!(x_forwarded(&head), [Some("203.0.113.7, 127.0.0.1"), Some("https"), Some("shop.example")]);
    let head = seen("trusted_proxies: [ 127.0.0.0/8 ]", "X-Forwarded-For: 198.51.100.1\r\nX-Forwarded-For: 203.0.113.7\r\n").await;
    assert_eq!(x_forwarded(&head), [Some("198.51.100.1, 203.0.113.7, 127.0.0.1"), Some(scheme()), Some("edge.example:8080")]);
}

#[tokio::test]
async fn rfc7239_has_one_field_for_it_all() {
    let head = seen("forwarded: rfc7239", "").await;
    assert_eq!(head.get("forwarded"), Some(&*format!("for=127.0.0.1;host=\"edge.example:8080\";proto={}", scheme())));
    assert_eq!(x_forwarded(&head), [None; 3]);
    let sent = "Forwarded: for=\"[2001:db8::7]\";proto=https\r\n";
    let head = seen("forwarded: rfc7239\ntrusted_proxies: [ 127.0.0.1 ]", sent).await;
    assert_eq!(
        head.get("forwarded"),
        Some("for=\"[2001:db8::7]\";proto=https, for=127.0.0.1;host=\"edge.example:8080\";proto=https")
    );
}

#[tokio::test]
async fn off_adds_nothing_and_lets_a_trusted_proxy_speak() {
    let head = seen("forwarded: off", "").await;
    assert_eq!((x_forwarded(&head), head.get("forwarded")), ([None; 3], None));
    let head = seen("forwarded: off\ntrusted_proxies: [ 127.0.0.1 ]", FIELDS).await;
    assert_eq!(x_forwarded(&head), [Some("203.0.113.7"), Some("https"), Some("shop.example")]);
    assert_eq!(head.get("x-real-ip"), Some("203.0.113.7"));
}
