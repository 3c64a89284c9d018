//! What the upstream reads of the client, byte by byte, for each policy and trust.

use bytes::BytesMut;
use pingora::http::RequestHeader;
use proptest::prelude::*;

use super::{ClientHop, ForwardedPolicy, apply};

const POLICIES: [ForwardedPolicy; 3] = [ForwardedPolicy::XForwarded, ForwardedPolicy::Rfc7239, ForwardedPolicy::Off];

/// A stranger by http.
fn stranger() -> ClientHop<'static> {
    hop("192.0.2.1", "192.0.2.1", false)
}

/// A client at 198.51.100.7 that came by https, behind a trusted proxy.
fn trusted() -> ClientHop<'static> {
    ClientHop { https: true, ..hop("10.0.0.1", "198.51.100.7", true) }
}

fn hop(peer: &str, client: &str, trusted: bool) -> ClientHop<'static> {
    ClientHop { peer: peer.parse().unwrap(), trusted, client: client.parse().unwrap(), https: false, host: Some(b"a.example") }
}

fn told(policy: ForwardedPolicy, hop: &ClientHop<'_>, fields: &[(&'static str, &str)]) -> String {
    let mut up = RequestHeader::build("GET", b"/", None).unwrap();
    for (name, value) in fields {
        up.append_header(*name, *value).unwrap();
    }
    apply(&mut up, policy, hop).unwrap();
    let mut wire = BytesMut::new();
    up.header_to_h1_wire(&mut wire);
    String::from_utf8(wire.to_vec()).unwrap()
}

#[test]
fn a_stranger_is_told_by_its_address_scheme_and_host() {
    assert_eq!(
        told(ForwardedPolicy::XForwarded, &stranger(), &[("Host", "a.example")]),
        "Host: a.example\r\nX-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: a.example\r\n"
    );
    assert_eq!(told(ForwardedPolicy::Rfc7239, &stranger(), &[]), "Forwarded: for=192.0.2.1;host=a.example;proto=http\r\n");
    assert_eq!(told(ForwardedPolicy::Off, &stranger(), &[("A", "1")]), "A: 1\r\n");
}

#[test]
fn what_a_stranger_forged_is_gone_under_every_policy_and_nothing_else_moves() {
    let forged = [
        ("A", "1"),
        ("x-forwarded-for", "203.0.113.9"),
        ("X-FORWARDED-PROTO", "https"),
        ("X-Forwarded-Host", "evil"),
        ("X-Forwarded-Port", "443"),
        ("X-Forwarded-Prefix", "/admin"),
        ("b", "2"),
        ("Forwarded", "for=203.0.113.9"),
        ("X-Real-IP", "203.0.113.9"),
        ("X_Forwarded_For", "203.0.113.9"),
        ("x_real-ip", "203.0.113.9"),
        ("C", "3"),
        ("X-Forward", "4"),
        ("D", "5"),
    ];
    let rest = "A: 1\r\nb: 2\r\nC: 3\r\nX-Forward: 4\r\nD: 5\r\n";
    for policy in POLICIES {
        let ours = told(policy, &stranger(), &[]);
        assert_eq!(told(policy, &stranger(), &forged), format!("{rest}{ours}"), "{policy:?}");
    }
}

#[test]
fn a_trusted_proxys_list_is_continued_on_one_line_in_its_place() {
    let fields = [("X-Forwarded-For", "203.0.113.9 "), ("A", "1"), ("x-forwarded-for", ""), ("x-forwarded-for", "198.51.100.7")];
    assert_eq!(
        told(ForwardedPolicy::XForwarded, &trusted(), &fields),
        "X-Forwarded-For: 203.0.113.9, 198.51.100.7, 10.0.0.1\r\nA: 1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: a.example\r\n"
    );
    assert_eq!(
        told(ForwardedPolicy::Rfc7239, &trusted(), &[("forwarded", "for=198.51.100.7;by=_x"), ("A", "1")]),
        "Forwarded: for=198.51.100.7;by=_x, for=10.0.0.1;host=a.example;proto=https\r\nA: 1\r\n"
    );
}

#[test]
fn a_trusted_proxys_host_stays_and_its_scheme_is_the_one_that_is_believed() {
    let fields = [("X-Forwarded-Host", "www.example"), ("X-Forwarded-Proto", "http, https"), ("X-Real-IP", "198.51.100.7")];
    assert_eq!(
        told(ForwardedPolicy::XForwarded, &trusted(), &fields),
        "X-Forwarded-Host: www.example\r\nX-Forwarded-Proto: https\r\nX-Real-IP: 198.51.100.7\r\nX-Forwarded-For: 198.51.100.7, 10.0.0.1\r\n"
    );
    assert!(told(ForwardedPolicy::XForwarded, &trusted(), &[("X-Forwarded-Host", "")]).contains("X-Forwarded-Host: a.example\r\n"));
}

#[test]
fn a_list_that_the_trusted_proxy_did_not_write_begins_with_the_client() {
    assert_eq!(
        told(ForwardedPolicy::Rfc7239, &trusted(), &[("X-Forwarded-For", "198.51.100.7")]),
        "X-Forwarded-For: 198.51.100.7\r\n\
         Forwarded: for=198.51.100.7;host=a.example;proto=https, for=10.0.0.1;host=a.example;proto=https\r\n"
    );
    let itself = ClientHop { client: trusted().peer, ..trusted() };
    assert!(told(ForwardedPolicy::XForwarded, &itself, &[]).starts_with("X-Forwarded-For: 10.0.0.1\r\n"));
}

#[test]
fn off_passes_what_a_trusted_proxy_sent_but_no_underscores() {
    let fields = [("Forwarded", "for=x"), ("X_Forwarded_For", "203.0.113.9"), ("X-Forwarded-For", "y")];
    assert_eq!(told(ForwardedPolicy::Off, &trusted(), &fields), "Forwarded: for=x\r\nX-Forwarded-For: y\r\n");
}

#[test]
fn ipv6_is_bare_in_one_family_and_quoted_in_brackets_in_the_other() {
    let six = hop("2001:db8::1", "2001:db8::1", false);
    assert!(told(ForwardedPolicy::XForwarded, &six, &[]).starts_with("X-Forwarded-For: 2001:db8::1\r\n"));
    assert_eq!(told(ForwardedPolicy::Rfc7239, &six, &[]), "Forwarded: for=\"[2001:db8::1]\";host=a.example;proto=http\r\n");
    let mapped = hop("::ffff:192.0.2.1", "192.0.2.1", false);
    assert_eq!(told(ForwardedPolicy::Rfc7239, &mapped, &[]), "Forwarded: for=192.0.2.1;host=a.example;proto=http\r\n");
}

#[test]
fn a_host_that_is_no_token_is_quoted_and_none_is_left_out() {
    let port = ClientHop { host: Some(b"[::1]:8080"), ..stranger() };
    assert_eq!(told(ForwardedPolicy::Rfc7239, &port, &[]), "Forwarded: for=192.0.2.1;host=\"[::1]:8080\";proto=http\r\n");
    let odd = ClientHop { host: Some(b"a\"\\b"), ..stranger() };
    assert_eq!(told(ForwardedPolicy::Rfc7239, &odd, &[]), "Forwarded: for=192.0.2.1;host=\"a\\\"\\\\b\";proto=http\r\n");
    let none = ClientHop { host: None, ..stranger() };
    assert_eq!(told(ForwardedPolicy::Rfc7239, &none, &[]), "Forwarded: for=192.0.2.1;proto=http\r\n");
    assert_eq!(told(ForwardedPolicy::XForwarded, &none, &[]), "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: http\r\n");
}

#[test]
fn a_quote_that_is_left_open_does_not_swallow_our_entry() {
    for open in ["for=\"x", "for=\"x\\\"", "for=\"a\";by=\"\\\\\\\""] {
        let wire = told(ForwardedPolicy::Rfc7239, &trusted(), &[("Forwarded", open), ("Forwarded", "for=\"_a\\\",\"")]);
        assert_eq!(wire, "Forwarded: for=\"_a\\\",\", for=10.0.0.1;host=a.example;proto=https\r\n", "{open}");
    }
}

proptest! {
    #![proptest_config(crate::message::proptest_config(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/proptest-regressions/message-forwarded.txt")))]

    #[test]
    fn nothing_that_a_stranger_sends_changes_what_the_upstream_believes(
        fields in proptest::collection::vec(("[Xx][-_][Ff]or[Ww]arDED([-_](F[oO]r|[pP]roto|hosT|Server))?|[fF]orwar[dD]ed|[xX][-_][rR]eal[-_]I[pP]", "[a-z0-9.,;=\"\\\\ ]{0,20}"), 0..6),
        policy in prop::sample::select(&POLICIES[..]),
    ) {
        let mut up = RequestHeader::build("GET", b"/", None).unwrap();
        for (name, value) in fields {
            up.append_header(name, value.as_str()).unwrap();
        }
        apply(&mut up, policy, &stranger()).unwrap();
        let mut wire = BytesMut::new();
        up.header_to_h1_wire(&mut wire);
        prop_assert_eq!(String::from_utf8(wire.to_vec()).unwrap(), told(policy, &stranger(), &[]));
    }
}
