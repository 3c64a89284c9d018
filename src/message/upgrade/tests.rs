//! Who may switch to what, and what both sides are told of it.

use bytes::BytesMut;
use http::{HeaderMap, HeaderName, HeaderValue};
use pingora::http::{RequestHeader, ResponseHeader};
use proptest::prelude::*;

use super::{Protocol, ask_upstream, asked, grant_client, granted};
use crate::message::request::{self, AcceptCoding, BuildOptions};
use crate::message::request_head;
use crate::message::response::strip_hop_by_hop;

const OPTIONS: BuildOptions<'static> = BuildOptions { default_host: "default", accept: AcceptCoding::AsAsked };

fn fields(all: &[(&'static str, &'static str)]) -> HeaderMap {
    all.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
}

fn names(allowed: &[&str]) -> Vec<Box<str>> {
    allowed.iter().map(|name| Box::from(*name)).collect()
}

/// A request as it is after the door: its head, and what was judged.
fn came(head: &str) -> (RequestHeader, request_head::RequestHead) {
    let judged = request_head::tests::judge(head.as_bytes()).unwrap();
    let mut slots = [httparse::EMPTY_HEADER; 32];
    let mut parsed = httparse::Request::new(&mut slots);
    parsed.parse(head.as_bytes()).unwrap();
    let mut header = RequestHeader::build(parsed.method.unwrap(), parsed.path.unwrap().as_bytes(), None).unwrap();
    for field in parsed.headers.iter() {
        header.append_header(field.name.to_owned(), field.value).unwrap();
    }
    (header, judged)
}

fn asked_in(head: &str, allowed: &[&str]) -> Option<String> {
    let (header, judged) = came(head);
    asked(&header.headers, &judged, &names(allowed)).map(|protocol| protocol.as_str().to_owned())
}

fn wire(fields: impl Fn(&mut BytesMut)) -> String {
    let mut raw = BytesMut::new();
    fields(&mut raw);
    String::from_utf8(raw.to_vec()).unwrap()
}

/// What the upstream gets.
fn sent(head: &str, allowed: &[&str]) -> String {
    let (header, judged) = came(head);
    let mut up = request::build(&header, judged.framing, OPTIONS).unwrap();
    if let Some(protocol) = asked(&header.headers, &judged, &names(allowed)) {
        ask_upstream(&mut up, &protocol).unwrap();
    }
    wire(|raw| up.header_to_h1_wire(raw))
}

fn protocol(spelled: &'static str) -> Protocol {
    Protocol(HeaderValue::from_static(spelled))
}

#[test]
fn an_upgrade_passes_if_the_route_names_it_and_connection_too() {
    let get = |fields: &str, allowed: &[&str]| asked_in(&format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n"), allowed);
    let both = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
    assert_eq!(get(both, &["websocket"]).as_deref(), Some("websocket"));
    assert_eq!(get(both, &["irc", "WebSocket"]).as_deref(), Some("websocket"));
    assert_eq!(get("connection: keep-alive, upgrade\r\nupgrade: WebSocket\r\n", &["websocket"]).as_deref(), Some("WebSocket"));
    assert_eq!(
        get("Connection: x\r\nConnection: ,UPGRADE\r\nUpgrade: ,websocket\r\n", &["websocket"]).as_deref(),
        Some("websocket")
    );

    assert_eq!(get(both, &[]), None);
    assert_eq!(get(both, &["irc"]), None);
    assert_eq!(get("Upgrade: websocket\r\n", &["websocket"]), None);
    assert_eq!(get("Connection: x-upgrade\r\nUpgrade: websocket\r\n", &["websocket"]), None);
    assert_eq!(get("Connection: Upgrade\r\n", &["websocket"]), None);
    assert_eq!(get("Connection: Upgrade\r\nUpgrade:\r\n", &["websocket", ""]), None);
    assert_eq!(get("Connection: Upgrade\r\nUpgrade: websocket2\r\n", &["websocket"]), None);
}

#[test]
fn of_several_protocols_the_first_that_may_pass_is_taken() {
    let get = |upgrade: &str, allowed: &[&str]| {
        asked_in(&format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n{upgrade}\r\n"), allowed)
    };
    let allowed = ["irc", "websocket"];
    assert_eq!(get("Upgrade: foo, websocket, irc\r\n", &allowed).as_deref(), Some("websocket"));
    assert_eq!(get("Upgrade: foo\r\nUpgrade: IRC/6.9\r\nUpgrade: websocket\r\n", &allowed).as_deref(), Some("IRC/6.9"));
    assert_eq!(get("Upgrade: irc/, irc/6/9, irc 6, /irc, websocket\r\n", &allowed).as_deref(), Some("websocket"));
    assert_eq!(get("Upgrade: foo, bar\r\n", &allowed), None);
}

#[test]
fn http_itself_never_passes() {
    for name in ["h2c", "H2C", "h2c/1", "h2", "HTTP/2.0"] {
        let head = format!(
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: {name}\r\nHTTP2-Settings: AAMAAABk\r\n\r\n"
        );
        let allowed = ["h2c", "h2", "http", "h2c/1", "HTTP/2.0", name];
        assert_eq!(asked_in(&head, &allowed), None, "{name}");
        assert_eq!(sent(&head, &allowed), "Host: a\r\n", "{name}");
        let head = head.replace(name, &format!("{name}, websocket"));
        assert_eq!(sent(&head, &["h2c", "websocket"]), "Host: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n", "{name}");
    }
}

#[test]
fn a_request_of_another_version_or_with_a_body_does_not_switch() {
    let ask = |line: &str, fields: &str| {
        let upgrade = "Host: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n";
        asked_in(&format!("{line}\r\n{upgrade}{fields}\r\n"), &["websocket"]).is_some()
    };
    assert!(ask("GET / HTTP/1.1", "") && ask("GET / HTTP/1.1", "Content-Length: 0\r\n"));
    assert!(!ask("GET / HTTP/1.0", ""));
    assert!(!ask("GET / HTTP/1.1", "Content-Length: 1\r\n"));
    assert!(!ask("POST / HTTP/1.1", "Transfer-Encoding: chunked\r\n"));

    let (header, mut judged) = came("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    judged.version = crate::message::Version::Http2;
    assert_eq!(asked(&header.headers, &judged, &names(&["websocket"])), None);
}

#[test]
fn a_websocket_handshake_reaches_the_upstream_whole() {
    let fields = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: http://a\r\nSec-WebSocket-Protocol: chat, superchat\r\n\
                  Sec-WebSocket-Version: 13\r\nSec-WebSocket-Extensions: permessage-deflate\r\n";
    let head = |connection: &str| {
        format!("GET /chat HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: {connection}\r\n{fields}\r\n")
    };
    let expected = format!("Host: a\r\n{fields}Connection: Upgrade\r\nUpgrade: websocket\r\n");
    assert_eq!(sent(&head("keep-alive, Upgrade"), &["websocket"]), expected);
    // Whoever calls them fields of the connection does not get rid of them.
    let named = "Upgrade, Sec-WebSocket-Key, sec-websocket-version, Sec-WebSocket-Protocol, Sec-WebSocket-Extensions, Origin";
    assert_eq!(sent(&head(named), &["websocket"]), expected);
    // Without the right to switch it goes on as an ordinary request.
    assert_eq!(sent(&head("Upgrade"), &[]), format!("Host: a\r\n{fields}"));
}

#[test]
fn a_101_switches_to_what_was_asked_for_and_to_nothing_else() {
    let is_granted = |asked, all: &[_]| granted(&fields(all), &protocol(asked));
    let upgrade = ("connection", "Upgrade");
    assert!(is_granted("websocket", &[upgrade, ("upgrade", "websocket")]));
    assert!(is_granted("websocket", &[("connection", "keep-alive, upgrade"), ("upgrade", "WebSocket")]));
    assert!(is_granted("irc/6.9", &[upgrade, ("upgrade", "IRC/6.9")]));
    assert!(is_granted("irc/6.9", &[upgrade, ("upgrade", "irc")]));
    assert!(is_granted("irc", &[upgrade, ("upgrade", "irc/6.9,")]));

    assert!(!is_granted("websocket", &[]));
    assert!(!is_granted("websocket", &[("upgrade", "websocket")]));
    assert!(!is_granted("websocket", &[("connection", "close"), ("upgrade", "websocket")]));
    assert!(!is_granted("websocket", &[upgrade]));
    assert!(!is_granted("websocket", &[upgrade, ("upgrade", "")]));
    assert!(!is_granted("websocket", &[upgrade, ("upgrade", "h2c")]));
    assert!(!is_granted("websocket", &[upgrade, ("upgrade", "websocket, h2c")]));
    assert!(!is_granted("websocket", &[upgrade, ("upgrade", "websocket"), ("upgrade", "h2c")]));
    assert!(!is_granted("websocket", &[upgrade, ("upgrade", "h2c, websocket")]));
    assert!(!is_granted("websocket", &[upgrade, ("upgrade", "web socket")]));
    assert!(!is_granted("irc/6.9", &[upgrade, ("upgrade", "irc/6.8")]));
}

#[test]
fn the_client_is_told_in_its_own_words_and_gets_the_rest_of_the_handshake() {
    let mut header = ResponseHeader::build(101, None).unwrap();
    for (name, value) in [
        ("upgrade", "WEBSOCKET"),
        ("Connection", "upgrade, Sec-WebSocket-Accept"),
        ("Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
        ("Set-Cookie", "a=1"),
        ("sec-websocket-protocol", "chat"),
        ("Content-Length", "0"),
    ] {
        header.append_header(name, value).unwrap();
    }
    strip_hop_by_hop(&mut header);
    grant_client(&mut header, &protocol("websocket")).unwrap();
    assert_eq!(
        wire(|raw| header.header_to_h1_wire(raw)),
        "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSet-Cookie: a=1\r\nsec-websocket-protocol: chat\r\n\
         Connection: Upgrade\r\nUpgrade: websocket\r\n"
    );
}

proptest! {
    #![proptest_config(crate::message::proptest_config(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/proptest-regressions/message-upgrade.txt")))]

    /// Whatever stands in the two fields, the upstream is asked for one allowed protocol or for none, in a head that passes.
    #[test]
    fn the_upstream_is_asked_for_one_allowed_protocol_or_for_none(
        connection in "(Upgrade|close|Sec-WebSocket-Key|,| ){0,4}",
        upgrade in "(websocket|WebSocket|h2c|irc/6|,| |/|\u{e9}|x){0,6}",
        more in "(websocket|h2c|,|irc){0,3}",
    ) {
        let head = format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: {connection}\r\nUpgrade: {upgrade}\r\nUpgrade: {more}\r\n\r\n");
        let fields = sent(&head, &["h2c", "irc", "websocket"]);
        let judged = request_head::tests::judge(format!("GET / HTTP/1.1\r\n{fields}\r\n").as_bytes()).unwrap();
        prop_assert!(judged.keep_alive);
        let asked_for = fields.strip_prefix("Host: a\r\n").unwrap();
        if !asked_for.is_empty() {
            let spelled = asked_for.strip_prefix("Connection: Upgrade\r\nUpgrade: ").and_then(|rest| rest.strip_suffix("\r\n")).unwrap();
            let name = spelled.split('/').next().unwrap().to_ascii_lowercase();
            prop_assert!(["websocket", "irc"].contains(&name.as_str()), "{fields}");
            prop_assert!(!spelled.contains([',', ' ', '\r', '\u{e9}']), "{fields}");
        }
    }
}
