//! Pins: the sealed cookie that brings a client back to its server (`sticky` in the configuration; RFC 6265).

use std::collections::HashSet;
use std::time::Duration;

use crate::servers::{Server, ask, listed};
use crate::support::{Client, Edge, Origin, SUBSCRIBE, Script, head::Head, tls, within};

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const SECOND: &str = "another-secret-another-secret-32";

/// Servers in turn, so that only a pin brings a client back.
fn pinned(servers: &str, secrets: &[&str], more: &str) -> String {
    let secrets = secrets.iter().map(|secret| format!("\"{secret}\"")).collect::<Vec<_>>().join(", ");
    format!(
        "upstreams: {{ app: {{ servers: [ {servers} ], balance: round_robin }} }}\nroutes: [ {{ upstream: app, sticky: {{ cookie: ssedge, secrets: [ {secrets} ]{more} }} }} ]\n"
    )
}

/// The pin that a response sets, as a client sends it back.
fn pin(head: &Head) -> Option<String> {
    head.get("set-cookie").map(|cookie| cookie.split(';').next().unwrap_or_default().to_owned())
}

fn attributes(head: &Head) -> HashSet<String> {
    let cookie = head.get("set-cookie").expect("a new client gets a pin");
    cookie.split(';').skip(1).map(|attribute| attribute.trim().to_ascii_lowercase()).collect()
}

fn get(fields: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: test\r\n{fields}\r\n")
}

fn with_cookie(cookie: &str) -> String {
    get(&format!("Cookie: {cookie}\r\n"))
}

/// A client without a pin: its server, and its pin.
async fn newcomer(edge: &Edge) -> (String, String) {
    let (head, server) = ask(edge.address(), get("")).await;
    let pin = pin(&head).expect("a new client gets a pin");
    assert!(pin.starts_with("ssedge=") && pin.len() > 40, "{pin}");
    (server, pin)
}

/// The pin brings the client to `server`, and stands.
async fn assert_stands(edge: &Edge, cookie: &str, server: &str) {
    let (head, body) = ask(edge.address(), with_cookie(cookie)).await;
    assert_eq!((head.status(), body.as_str(), pin(&head)), (200, server, None), "{cookie}");
}

/// The cookie means nothing: the client is a new one.
async fn assert_is_none(edge: &Edge, cookie: &str) {
    let (head, _) = ask(edge.address(), with_cookie(cookie)).await;
    let new = pin(&head).unwrap_or_else(|| panic!("{cookie} was taken for a pin"));
    assert_ne!(new, cookie);
}

#[tokio::test]
async fn a_client_comes_back_to_its_server_fifty_times() {
    let servers = Server::start_all(["a", "b", "c"]);
    let edge = Edge::of(&pinned(&listed(&servers), &[SECRET], "")).await;
    let mut met = HashSet::new();
    for _ in 0..3 {
        let (server, pin) = newcomer(&edge).await;
        for _ in 0..50 {
            assert_stands(&edge, &pin, &server).await;
        }
        met.insert(server);
    }
    assert!(met.len() > 1, "new clients are spread: {met:?}");
}

#[tokio::test]
async fn an_event_stream_carries_the_pin_too_and_comes_back_by_it() {
    let servers = Server::start_all(["a", "b", "c"]);
    let edge = Edge::of(&pinned(&listed(&servers), &[SECRET], "")).await;
    let (mut client, head) = Client::open(edge.address(), SUBSCRIBE).await;
    client.expects("data: ").await;
    let (pin, mut seen) = (pin(&head).expect("a stream carries a pin"), String::new());
    for _ in 0..10 {
        let request = SUBSCRIBE.replace("\r\n\r\n", &format!("\r\nCookie: {pin}\r\n\r\n"));
        let (mut again, head) = Client::open(edge.address(), request).await;
        assert_eq!(head.get("set-cookie"), None);
        again.expects("data: ").await;
        let (_, body) = ask(edge.address(), with_cookie(&pin)).await;
        again.expects(format!("{body}\n\n")).await;
        seen = body;
    }
    client.expects(format!("{seen}\n\n")).await;
}

#[tokio::test]
async fn the_cookie_says_nothing_of_the_server_and_is_new_each_time() {
    let servers = Server::start_all(["a"]);
    let edge = Edge::of(&pinned(&listed(&servers), &[SECRET], ", max_age: 90m, same_site: strict, domain: example.com")).await;
    let (head, _) = ask(edge.address(), get("")).await;
    let mut want = vec!["path=/", "max-age=5400", "httponly", "samesite=strict", "domain=example.com"];
    want.extend(tls::everywhere().then_some("secure"));
    assert_eq!(attributes(&head), want.iter().map(ToString::to_string).collect());
    let (first, second) = (pin(&head).expect("a pin"), newcomer(&edge).await.1);
    assert_ne!(first, second, "the same server, sealed twice");
    assert_eq!(first.len(), second.len());
    assert!(!first.contains("127.0.0.1") && !first.contains(&servers[0].address().port().to_string()), "{first}");
}

#[tokio::test]
async fn what_we_did_not_seal_is_no_pin() {
    let servers = Server::start_all(["a", "b", "c"]);
    let edge = Edge::of(&pinned(&listed(&servers), &[SECRET], "")).await;
    let other = Edge::of(&pinned(&listed(&servers), &[SECOND], "")).await;
    let (server, pin) = newcomer(&edge).await;
    let (_, foreign) = newcomer(&other).await;
    for position in ["ssedge=".len(), pin.len() / 2, pin.len() - 4] {
        let mut bytes = pin.clone().into_bytes();
        bytes[position] = if bytes[position] == b'A' { b'B' } else { b'A' };
        assert_is_none(&edge, &String::from_utf8(bytes).expect("plain")).await;
    }
    assert_is_none(&edge, &pin[..pin.len() - 8]).await;
    for cookie in ["ssedge=", "ssedge=127.0.0.1:3000", "ssedge=%00%ff", &format!("ssedge={}", "A".repeat(4000)), &foreign] {
        assert_is_none(&edge, cookie).await;
    }
    assert_is_none(&edge, &pin.replace("ssedge=", "SSEDGE=")).await;
    // Beside one that is none, the pin counts.
    assert_stands(&edge, &format!("a=b; {foreign}; {pin}"), &server).await;
}

#[tokio::test]
async fn a_pin_is_not_shown_to_the_server_and_other_cookies_stay() {
    let origin = Origin::start(Script::answer("ok")).await;
    let edge = Edge::of(&pinned(&format!("\"{}\"", origin.address()), &[SECRET], "")).await;
    let (_, pin) = newcomer(&edge).await;
    let shown = [
        (format!("a=1; {pin}; b=\"2\""), Some("a=1; b=\"2\"")),
        (pin.clone(), None),
        (format!("{pin}; ssedgex=1"), Some("ssedgex=1")),
        ("ssedge=forged".to_owned(), None),
    ];
    for (number, (sent, seen)) in shown.into_iter().enumerate() {
        ask(edge.address(), with_cookie(&sent)).await;
        assert_eq!(origin.request(number + 1).await.head.get("cookie"), seen, "{sent}");
    }
}

#[tokio::test]
async fn a_response_that_shared_caches_keep_carries_no_pin() {
    let fields = ["public, max-age=60", "max-age=1, S-MaxAge=5", "PUBLIC", "private", "no-cache", "x-public, max-age=60"];
    let script = |value: &&str| Script::new().head("200 OK", &format!("Content-Length: 0\r\nCache-Control: {value}\r\n"));
    let origin = Origin::start_each(fields.iter().map(script)).await;
    let edge = Edge::of(&pinned(&format!("\"{}\"", origin.address()), &[SECRET], "")).await;
    for (number, value) in fields.iter().enumerate() {
        let (head, _) = ask(edge.address(), get("")).await;
        assert_eq!(pin(&head).is_some(), number >= 3, "{value}");
    }
}

#[tokio::test]
async fn the_cookies_of_the_server_stay_beside_the_pin() {
    let script = Script::new().head("200 OK", "Content-Length: 0\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2; Path=/x\r\n");
    let origin = Origin::start(script).await;
    let edge = Edge::of(&pinned(&format!("\"{}\"", origin.address()), &[SECRET], "")).await;
    let (head, _) = ask(edge.address(), get("")).await;
    let cookies = head.all("set-cookie");
    assert_eq!((cookies.len(), cookies[0], cookies[1]), (3, "a=1", "b=2; Path=/x"));
    assert!(cookies[2].starts_with("ssedge="), "{cookies:?}");
}

#[tokio::test]
async fn the_cookie_is_secure_when_a_trusted_proxy_says_https_or_it_goes_to_other_sites() {
    let servers = Server::start_all(["a"]);
    let file = pinned(&listed(&servers), &[SECRET], "");
    let trusting = Edge::of(&format!("trusted_proxies: [ 127.0.0.1 ]\n{file}")).await;
    let strict = Edge::of(&file).await;
    let everywhere = Edge::of(&pinned(&listed(&servers), &[SECRET], ", same_site: none")).await;
    for (edge, fields, secure) in [
        (&trusting, "X-Forwarded-Proto: https\r\n", true),
        (&trusting, "X-Forwarded-Proto: http\r\n", false),
        (&trusting, "", tls::everywhere()),
        (&strict, "X-Forwarded-Proto: https\r\n", tls::everywhere()),
        (&everywhere, "", true),
    ] {
        let (head, _) = ask(edge.address(), get(fields)).await;
        assert_eq!(attributes(&head).contains("secure"), secure, "{fields:?} {:?}", head.get("set-cookie"));
    }
}

#[tokio::test]
async fn another_instance_with_the_list_in_another_order_and_a_second_secret_keeps_pins() {
    let mut servers = Server::start_all(["a", "b", "c"]);
    let first = Edge::of(&pinned(&listed(&servers), &[SECRET], "")).await;
    let (server, pin) = newcomer(&first).await;
    servers.reverse();
    let rotated = Edge::of(&pinned(&listed(&servers), &[SECOND, SECRET], "")).await;
    for _ in 0..6 {
        assert_stands(&rotated, &pin, &server).await;
    }
    // The first one seals.
    let (server, pin) = newcomer(&rotated).await;
    let rotated_out = Edge::of(&pinned(&listed(&servers), &[SECOND], "")).await;
    assert_stands(&rotated_out, &pin, &server).await;
    assert_is_none(&first, &pin).await;
}

#[tokio::test]
async fn a_pin_to_a_server_that_died_or_left_the_list_is_replaced() {
    let mut servers = Server::start_all(["a", "b", "c"]);
    let edge = Edge::of(&pinned(&listed(&servers), &[SECRET], "")).await;
    let (name, old) = newcomer(&edge).await;
    let dead = ["a", "b", "c"].iter().position(|have| *have == name).expect("one of them");
    servers[dead].stop().await;
    let (head, next) = ask(edge.address(), with_cookie(&old)).await;
    assert_eq!(head.status(), 200);
    let new = pin(&head).expect("a new pin");
    assert_ne!(next, name);
    for _ in 0..6 {
        assert_stands(&edge, &new, &next).await;
    }
    let others: Vec<Server> = servers.into_iter().enumerate().filter(|(at, _)| *at != dead).map(|(_, server)| server).collect();
    let shorter = Edge::of(&pinned(&listed(&others), &[SECRET], "")).await;
    assert_is_none(&shorter, &old).await;
    assert_stands(&shorter, &new, &next).await;
}

#[tokio::test]
async fn a_pin_is_renewed_past_half_its_age_for_the_same_server() {
    let servers = Server::start_all(["a", "b", "c"]);
    let edge = Edge::of(&pinned(&listed(&servers), &[SECRET], ", max_age: 6s")).await;
    let (server, old) = newcomer(&edge).await;
    assert_stands(&edge, &old, &server).await;
    let new = within("a new pin", async {
        loop {
            let (head, body) = ask(edge.address(), with_cookie(&old)).await;
            if let Some(new) = pin(&head) {
                assert_eq!(body, server, "it is renewed, not given up");
                return new;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    assert_stands(&edge, &new, &server).await;
}
