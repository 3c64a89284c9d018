//! Whom we believe: the way back through trusted hops, forged fields, and keys.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue};
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;

use super::rfc7239::{from_right, parameter};
use super::{ClientKey, ClientPolicy, ClientSource, TrustedProxies, client_address, client_key, is_https};

fn trusted() -> TrustedProxies {
    TrustedProxies { networks: ["10.0.0.0/8", "fd00::/8"].iter().map(|network| network.parse().unwrap()).collect() }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn head(fields: &[(&'static str, &str)]) -> HeaderMap {
    fields.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())).collect()
}

/// The client of a request that came from 10.0.0.1.
fn client(fields: &[(&'static str, &str)]) -> String {
    client_address(ip("10.0.0.1"), &head(fields), &trusted()).to_string()
}

/// The client by each of the two families; `forwarded` has `for=` before each entry.
#[track_caller]
fn assert_client(entries: &[&str], expected: &str) {
    assert_eq!(client(&[("x-forwarded-for", &entries.join(", "))]), expected, "{entries:?}");
    let elements: Vec<String> = entries.iter().map(|entry| format!("proto=http;For=\"{entry}\"")).collect();
    assert_eq!(client(&[("forwarded", &elements.join(", "))]), expected, "{entries:?}");
}

#[test]
fn a_mapped_address_is_looked_for_as_its_ipv4_address() {
    let trusted = trusted();
    for address in ["10.1.2.3", "::ffff:10.1.2.3", "fd00::1"] {
        assert!(trusted.contains(ip(address)), "{address}");
    }
    for address in ["11.0.0.1", "::ffff:11.0.0.1", "::10.0.0.1", "fe80::1"] {
        assert!(!trusted.contains(ip(address)), "{address}");
    }
    assert!(!TrustedProxies::default().contains(ip("127.0.0.1")));
}

#[test]
fn a_stranger_is_itself_whatever_it_says() {
    let fields = head(&[("x-forwarded-for", "1.2.3.4"), ("forwarded", "for=1.2.3.4;proto=https"), ("x-forwarded-proto", "https")]);
    assert_eq!(client_address(ip("192.0.2.1"), &fields, &trusted()), ip("192.0.2.1"));
    assert_eq!(client_address(ip("::ffff:192.0.2.1"), &fields, &trusted()), ip("192.0.2.1"));
    assert!(!is_https(false, ip("192.0.2.1"), &fields, &trusted()));
}

#[test]
fn the_walk_goes_right_to_left_and_ends_at_the_first_stranger() {
    assert_client(&["192.0.2.7"], "192.0.2.7");
    assert_client(&["1.2.3.4", "192.0.2.7", "10.0.0.2"], "192.0.2.7");
    assert_client(&["192.0.2.7", "::ffff:10.0.0.3", "fd00::2", "10.0.0.2"], "192.0.2.7");
    assert_client(&["10.0.0.9", "10.0.0.2"], "10.0.0.9");
}

#[test]
fn addresses_may_have_ports_and_brackets() {
    for entry in ["192.0.2.7:4711", "::ffff:192.0.2.7", "[::ffff:192.0.2.7]:80", "192.0.2.7:_port"] {
        assert_client(&[entry], "192.0.2.7");
    }
    for entry in ["2001:db8::7", "[2001:DB8::7]", "[2001:db8::7]:4711"] {
        assert_client(&[entry], "2001:db8::7");
    }
}

#[test]
fn garbage_ends_the_walk_at_the_last_address_that_was_believed() {
    for garbage in [
        "",
        "unknown",
        "_hidden",
        "192.0.2",
        "192.0.2.7:",
        "192.0.2.7:8 0",
        "[2001:db8::7",
        "[192.0.2.7]",
        "[::1]x",
        "fe80::1%eth0",
        "é",
    ] {
        assert_client(&["1.2.3.4", garbage], "10.0.0.1");
        assert_client(&["1.2.3.4", garbage, "10.0.0.2"], "10.0.0.2");
    }
    assert_eq!(client(&[]), "10.0.0.1");
    assert_eq!(client(&[("forwarded", "for=1.2.3.4, by=10.0.0.1")]), "10.0.0.1");
    assert_eq!(client(&[("forwarded", "for=1.2.3.4;for=192.0.2.7")]), "10.0.0.1");
}

#[test]
fn several_field_lines_are_one_list_in_their_order() {
    let lines = [("x-forwarded-for", "1.2.3.4"), ("x-forwarded-for", "192.0.2.7,10.0.0.3"), ("x-forwarded-for", "10.0.0.2")];
    assert_eq!(client(&lines), "192.0.2.7");
    assert_eq!(client(&[("forwarded", "for=1.2.3.4"), ("forwarded", "for=192.0.2.7"), ("forwarded", "for=10.0.0.2")]), "192.0.2.7");
}

#[test]
fn x_forwarded_for_comes_before_forwarded() {
    assert_eq!(client(&[("forwarded", "for=1.2.3.4"), ("x-forwarded-for", "192.0.2.7")]), "192.0.2.7");
    assert_eq!(client(&[("forwarded", "for=1.2.3.4"), ("x-forwarded-for", "garbage")]), "10.0.0.1");
}

#[test]
fn a_quote_that_the_client_left_open_swallows_nothing_of_a_trusted_hop() {
    for forged in ["for=\"", "for=\"1.2.3.4", "\"", "for=1.2.3.4\\\"", "for=\"\\", ";;=\"\\\""] {
        assert_eq!(client(&[("forwarded", &format!("{forged}, for=192.0.2.7"))]), "192.0.2.7", "{forged}");
        assert_eq!(client(&[("forwarded", forged), ("forwarded", "for=\"192.0.2.7:80\"")]), "192.0.2.7", "{forged}");
    }
}

#[test]
fn the_grammar_of_forwarded_knows_quotes_and_escapes() {
    let parts: Vec<&[u8]> = from_right(b" a=\"x,\\\",\" , b ,", b',').collect();
    assert_eq!(parts, [&b""[..], b"b", b"a=\"x,\\\",\""]);
    let value =
        |element: &str, name: &str| parameter(element.as_bytes(), name).map(|value| String::from_utf8(value.into_owned()).unwrap());
    assert_eq!(value("for=a; HOST = \"b;\\\"c\\\\\" ;proto=https", "host"), Some("b;\"c\\".to_owned()));
    assert_eq!(value("for=a;proto=https", "Proto"), Some("https".to_owned()));
    for element in ["", "host", "xhost=a", "host=a;host=a", "host=\"a", "host=a\"", "host=\"a\"b\"", "host=\"a\\\""] {
        assert_eq!(value(element, "host"), None, "{element}");
    }
}

#[test]
fn https_is_the_word_of_the_hop_that_met_the_client() {
    let https = |fields: &[(&'static str, &str)]| is_https(false, ip("10.0.0.1"), &head(fields), &trusted());
    assert!(https(&[("x-forwarded-proto", "HTTPS")]));
    assert!(!https(&[("x-forwarded-proto", "http")]) && !https(&[]) && !https(&[("x-forwarded-proto", "")]));
    // One hop: only the last entry is trusted, the first is the client's own.
    assert!(!https(&[("x-forwarded-for", "192.0.2.7"), ("x-forwarded-proto", "https, http")]));
    assert!(https(&[("x-forwarded-for", "192.0.2.7"), ("x-forwarded-proto", "http"), ("x-forwarded-proto", "https")]));
    // Two hops: the first one met the client. One that passes the field on adds no entry.
    let two = ("x-forwarded-for", "1.2.3.4, 192.0.2.7, 10.0.0.2");
    assert!(https(&[two, ("x-forwarded-proto", "http, https, http")]));
    assert!(https(&[two, ("x-forwarded-proto", "https")]));
    assert!(!https(&[two, ("x-forwarded-proto", "https, http, https")]));
    // The other family, element by element, and only where the first is absent.
    assert!(https(&[("forwarded", "for=192.0.2.7;proto=https, for=10.0.0.2;proto=http")]));
    assert!(!https(&[("forwarded", "for=1.2.3.4;proto=https, for=192.0.2.7;proto=http")]));
    assert!(!https(&[("forwarded", "for=192.0.2.7;proto=https"), ("x-forwarded-proto", "http")]));
}

fn key(source: &ClientSource, prefix: u8, address: &str, fields: &[(&'static str, &str)]) -> ClientKey {
    client_key(&ClientPolicy { source: source.clone(), ipv6_prefix: prefix }, ip(address), &head(fields))
}

#[test]
fn addresses_are_counted_whole_in_ipv4_and_by_their_prefix_in_ipv6() {
    let key = |prefix, address| key(&ClientSource::Ip, prefix, address, &[]);
    assert_eq!(key(64, "192.0.2.1"), key(8, "::ffff:192.0.2.1"));
    assert_ne!(key(64, "192.0.2.1"), key(64, "192.0.2.2"));
    assert_eq!(key(64, "2001:db8::1"), key(64, "2001:db8::ffff:0:0:2"));
    assert_ne!(key(64, "2001:db8::1"), key(64, "2001:db8:0:1::1"));
    assert_ne!(key(128, "2001:db8::1"), key(128, "2001:db8::2"));
    assert_eq!(key(48, "2001:db8:0:1::1"), key(48, "2001:db8:0:2::1"));
    assert_eq!(key(0, "2001:db8::1"), key(0, "fe80::1"));
}

#[test]
fn fields_and_cookies_tell_clients_apart_and_the_address_stands_in_for_them() {
    let header = ClientSource::Header(HeaderName::from_static("x-user"));
    let cookie = ClientSource::Cookie("user".to_owned());
    for (source, name, one, other, none) in
        [(&header, "x-user", "a", "b", ""), (&cookie, "cookie", "=; \";user=a;b", "user=b", "User=a; user=")]
    {
        let of = |address: &str, value: &str| key(source, 64, address, &[(name, value)]);
        assert_eq!(of("192.0.2.1", one), of("192.0.2.2", one), "{name}");
        assert_ne!(of("192.0.2.1", one), of("192.0.2.1", other), "{name}");
        let address = key(source, 64, "192.0.2.1", &[]);
        assert_eq!(of("192.0.2.1", none), address, "{name}");
        assert_eq!(address, key(&ClientSource::Ip, 64, "192.0.2.1", &[]), "{name}");
    }
    assert_eq!(key(&header, 64, "192.0.2.1", &[("x-user", "a")]), key(&cookie, 64, "192.0.2.2", &[("cookie", "user=a")]));
}

#[test]
fn a_key_is_small_and_long_values_that_differ_at_their_end_are_two_clients() {
    assert!(size_of::<Option<ClientKey>>() <= 17, "{}", size_of::<Option<ClientKey>>());
    let header = ClientSource::Header(HeaderName::from_static("x-user"));
    let of = |end: &str| key(&header, 64, "192.0.2.1", &[("x-user", &format!("{}{end}", "a".repeat(8000)))]);
    assert_eq!(of("1"), of("1"));
    assert_ne!(of("1"), of("2"));
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/proptest-regressions/client_id.txt")))),
        ..ProptestConfig::default()
    })]

    /// The one property that all else hangs on: what the client wrote stands to the left of what a trusted hop appended.
    #[test]
    fn whatever_a_client_wrote_the_address_is_the_one_that_the_trusted_hop_saw(
        forged in "[0-9a-f.:,;=\"\\\\\\[\\] forptunkw]{0,40}",
        more_lines: bool,
        rfc7239: bool,
    ) {
        let (name, appended) = if rfc7239 { ("forwarded", "for=\"[2001:db8::7]:1\";proto=http") } else { ("x-forwarded-for", "2001:db8::7") };
        let fields = if more_lines {
            head(&[(name, &forged), (name, appended)])
        } else {
            head(&[(name, &format!("{forged}, {appended}"))])
        };
        prop_assert_eq!(client_address(ip("10.0.0.1"), &fields, &trusted()), ip("2001:db8::7"));
        prop_assert!(!is_https(false, ip("10.0.0.1"), &fields, &trusted()));
    }
}
