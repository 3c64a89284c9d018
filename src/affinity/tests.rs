//! Pins that hold, and all the cookies that are none.

use std::collections::HashSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cookie::{Cookie, CookieJar, Key};
use http::{HeaderMap, HeaderName, HeaderValue};
use pingora::http::RequestHeader;
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;

use super::{Pin, SameSite, Sealer, Secret, StickyPolicy, may_set};

const HOUR: Duration = Duration::from_secs(3600);
const SERVER: &str = "10.0.0.17:3000";

fn policy(secrets: &[&str]) -> StickyPolicy {
    StickyPolicy {
        cookie: "pin".to_owned(),
        secrets: secrets.iter().map(|secret| Secret(secret.repeat(32))).collect(),
        max_age: HOUR,
        same_site: SameSite::Lax,
        domain: None,
    }
}

fn sealer(secrets: &[&str]) -> Sealer {
    Sealer::new(&policy(secrets))
}

/// Some time in 2026.
fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_790_000_000)
}

/// The value that a client would send back.
fn sealed(sealer: &Sealer, server: &str, at: SystemTime) -> String {
    let field = sealer.seal(server, at, false);
    let (pair, _) = field.to_str().unwrap().split_once(';').unwrap();
    pair.split_once('=').unwrap().1.to_owned()
}

fn cookies(lines: &[&str]) -> HeaderMap {
    let field = HeaderName::from_static("cookie");
    lines.iter().map(|line| (field.clone(), HeaderValue::from_str(line).unwrap())).collect()
}

fn opened(sealer: &Sealer, value: &str, at: SystemTime) -> Option<Pin> {
    sealer.open(&cookies(&[&format!("pin={value}")]), at)
}

/// Text of the caller's choice, sealed as ours is.
fn sealed_text(text: &str) -> String {
    let mut jar = CookieJar::new();
    jar.private_mut(&Key::derive_from("a".repeat(32).as_bytes())).add(Cookie::new("pin", text.to_owned()));
    jar.get("pin").unwrap().value().to_owned()
}

/// Instances of two versions, one with the jar and one without, keep each other's pins.
#[test]
fn the_seal_is_that_of_a_private_jar() {
    let sealer = sealer(&["a"]);
    let key = Key::derive_from("a".repeat(32).as_bytes());
    let ours = Cookie::new("pin", sealed(&sealer, SERVER, now()));
    let text = CookieJar::new().private(&key).decrypt(ours).unwrap();
    assert!(text.value().starts_with("1790000000000 14 10.0.0.17:3000 "), "{text}");
    let theirs = sealed_text("1790000000000 3 a:1");
    assert_eq!(opened(&sealer, &theirs, now()).unwrap().server, "a:1");
}

#[test]
fn a_sealed_server_comes_back_with_its_age() {
    let sealer = sealer(&["a"]);
    for server in [SERVER, "[2001:db8::1]:80", "unix:/run/a b \n.sock", "é.example:1"] {
        let value = sealed(&sealer, server, now());
        let age = Duration::from_millis(1500);
        assert_eq!(opened(&sealer, &value, now() + age), Some(Pin { server: server.to_owned(), age }));
    }
}

#[test]
fn a_pin_is_found_over_several_lines_and_among_bad_neighbours() {
    let sealer = sealer(&["a"]);
    let pin = sealed(&sealer, SERVER, now());
    let headers = cookies(&["x=1; pin=; =;\"", "é=ü; pin=garbage;;pin=AAAA", &format!("y=2;pin={pin}; z")]);
    assert_eq!(sealer.open(&headers, now()).unwrap().server, SERVER);
}

#[test]
fn a_secret_that_was_rotated_still_opens_and_no_longer_seals() {
    let before = sealed(&sealer(&["old"]), SERVER, now());
    let rotated = sealer(&["new", "old", "older"]);
    assert_eq!(opened(&rotated, &before, now()).unwrap().server, SERVER);
    let after = sealed(&rotated, SERVER, now());
    assert_eq!(opened(&sealer(&["new"]), &after, now()).unwrap().server, SERVER);
    for stranger in [sealer(&["old"]), sealer(&["older", "x"])] {
        assert_eq!(opened(&stranger, &after, now()), None);
    }
    assert_eq!(opened(&sealer(&["new"]), &before, now()), None);
}

#[test]
fn a_cookie_that_was_tampered_with_anywhere_is_none() {
    let sealer = sealer(&["a"]);
    let value = sealed(&sealer, SERVER, now());
    for at in 0..value.len() {
        let mut bytes = value.clone().into_bytes();
        // Another six bits, unless padding.
        bytes[at] = if bytes[at] == b'A' { b'w' } else { b'A' };
        assert_eq!(opened(&sealer, &String::from_utf8(bytes).unwrap(), now()), None, "byte {at}");
        assert_eq!(opened(&sealer, &value[..at], now()), None, "cut at {at}");
    }
    assert_eq!(opened(&sealer, &format!("{value}A"), now()), None);
    assert_eq!(opened(&sealer, &format!("{value}{value}"), now()), None);
}

#[test]
fn a_cookie_is_bound_to_its_name() {
    let value = sealed(&sealer(&["a"]), SERVER, now());
    let other = Sealer::new(&StickyPolicy { cookie: "other".to_owned(), ..policy(&["a"]) });
    assert_eq!(other.open(&cookies(&[&format!("other={value}")]), now()), None);
}

#[test]
fn a_stale_pin_is_none_and_one_from_the_future_too_but_for_some_skew() {
    let sealer = sealer(&["a"]);
    let value = sealed(&sealer, SERVER, now());
    let moment = Duration::from_millis(1);
    assert!(opened(&sealer, &value, now() + HOUR).is_some());
    assert_eq!(opened(&sealer, &value, now() + HOUR + moment), None);
    let skew = Duration::from_secs(60);
    assert_eq!(opened(&sealer, &value, now() - skew).unwrap().age, Duration::ZERO);
    assert_eq!(opened(&sealer, &value, now() - skew - moment), None);
}

#[test]
fn what_is_sealed_but_makes_no_sense_is_none() {
    let sealer = sealer(&["a"]);
    assert_eq!(opened(&sealer, &sealed_text("1790000000000 3 a:1  "), now()).unwrap().server, "a:1");
    for text in
        ["", "x", "1790000000000", "1790000000000 3", "1790000000000 9 a:1", "1790000000000 0 ", "1790000000000 x a:1", "x 3 a:1"]
    {
        assert_eq!(opened(&sealer, &sealed_text(text), now()), None, "{text:?}");
    }
    // Half of a character, and more time than there is.
    assert_eq!(opened(&sealer, &sealed_text("1790000000000 1 é"), now()), None);
    assert_eq!(opened(&sealer, &sealed_text("18446744073709551615 3 a:1"), now()), None);
    assert_eq!(opened(&sealer, &sealed_text("18446744073709551616 3 a:1"), now()), None);
}

#[test]
fn an_oversize_value_is_none_even_if_it_is_ours() {
    let sealer = sealer(&["a"]);
    let longest = format!("{}:65535", "a".repeat(253));
    assert_eq!(opened(&sealer, &sealed(&sealer, &longest, now()), now()).unwrap().server, longest);
    let too_long = sealed(&sealer, &"a".repeat(1024), now());
    assert!(too_long.len() > 1024);
    assert_eq!(opened(&sealer, &too_long, now()), None);
}

#[test]
fn the_value_tells_neither_the_server_nor_its_length_nor_the_same_twice() {
    let sealer = sealer(&["a"]);
    let servers = ["a:1", SERVER, "unix:/run/é/é.sock", "[2001:db8:1111:2222:3333::1]:65535", "app-7.internal:8080"];
    let lengths: HashSet<usize> = servers.iter().map(|server| sealed(&sealer, server, now()).len()).collect();
    assert_eq!(lengths.len(), 1, "{lengths:?}");
    let values: HashSet<String> = (0..50).map(|_| sealed(&sealer, "aaaaaaaaaaaaaaaa", now())).collect();
    assert_eq!(values.len(), 50);
    // Unsealed text would show its server in one of the three ways in which base64 falls on it.
    for value in values {
        assert!(!["YWFh", "FhYW", "hYWF"].iter().any(|part| value.contains(&part.repeat(2))), "{value}");
    }
}

#[test]
fn the_cookie_has_the_attributes_of_its_policy() {
    let attributes = |policy: &StickyPolicy, secure| {
        let field = Sealer::new(policy).seal(SERVER, now(), secure);
        assert!(field.is_sensitive());
        let text = field.to_str().unwrap().to_owned();
        assert!(text.starts_with("pin="), "{text}");
        text.split_once("; ").unwrap().1.to_owned()
    };
    let lax = policy(&["a"]);
    assert_eq!(attributes(&lax, false), "Path=/; Max-Age=3600; HttpOnly; SameSite=Lax");
    assert_eq!(attributes(&lax, true), "Path=/; Max-Age=3600; HttpOnly; SameSite=Lax; Secure");
    let strict = StickyPolicy { same_site: SameSite::Strict, domain: Some("example.com".to_owned()), ..lax.clone() };
    assert_eq!(attributes(&strict, true), "Path=/; Max-Age=3600; HttpOnly; SameSite=Strict; Domain=example.com; Secure");
    let none = StickyPolicy { same_site: SameSite::None, max_age: Duration::from_millis(1001), ..lax };
    assert_eq!(attributes(&none, false), "Path=/; Max-Age=2; HttpOnly; SameSite=None; Secure");
}

#[test]
fn the_upstream_sees_the_other_cookies_only() {
    let sealer = sealer(&["a"]);
    let mut request = RequestHeader::build("GET", b"/", None).unwrap();
    request.append_header("Cookie", format!("a=1; pin={};b=2", sealed(&sealer, SERVER, now()))).unwrap();
    sealer.strip(&mut request).unwrap();
    assert_eq!(request.headers, cookies(&["a=1;b=2"]));
}

#[test]
fn a_pin_is_renewed_past_half_of_its_life() {
    let sealer = sealer(&["a"]);
    assert!(!sealer.needs_renewal(HOUR / 2));
    assert!(sealer.needs_renewal(HOUR / 2 + Duration::from_millis(1)));
}

#[test]
fn no_pin_goes_into_what_shared_caches_keep() {
    let response = |lines: &[&str]| -> HeaderMap {
        let field = HeaderName::from_static("cache-control");
        lines.iter().map(|line| (field.clone(), HeaderValue::from_str(line).unwrap())).collect()
    };
    for lines in [&[][..], &["no-cache"], &["private, max-age=9"], &["max-age=9", "no-store"], &["publicity, x-s-maxage=1"]] {
        assert!(may_set(&response(lines)), "{lines:?}");
    }
    for lines in [&["public"][..], &["max-age=9,PUBLIC"], &["no-cache", "S-MaxAge = 10"], &[" s-maxage=\"1\" "], &["s-maxage"]] {
        assert!(!may_set(&response(lines)), "{lines:?}");
    }
}

#[test]
fn nothing_prints_a_secret() {
    let policy = policy(&["hush"]);
    let text = format!("{policy:?} {:?}", Sealer::new(&policy));
    assert!(!text.contains("hush") && text.contains("***"), "{text}");
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/proptest-regressions/affinity.txt")))),
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_server_comes_back_and_any_value_is_taken_without_a_panic(server in "\\PC{1,120}", value in "[ -:<-~]{0,200}", text in "[0-9]{0,21} ?[0-9]{0,3} ?\\PC{0,9}") {
        let sealer = sealer(&["a"]);
        prop_assert_eq!(opened(&sealer, &sealed(&sealer, &server, now()), now()).unwrap().server, server);
        prop_assert_eq!(opened(&sealer, &value, now()), None);
        let _ = opened(&sealer, &sealed_text(&text), now());
    }
}
