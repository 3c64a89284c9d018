//! What a response says of who may read it, field by field.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use pingora::http::ResponseHeader;
use proptest::prelude::*;

use super::{CorsPolicy, Grant, OriginPattern, Origins, Preflight};

fn fields(fields: &[(&'static str, &'static str)]) -> HeaderMap {
    fields.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
}

fn from(origin: &str) -> HeaderMap {
    [(http::header::ORIGIN, HeaderValue::from_str(origin).unwrap())].into_iter().collect()
}

fn policy(origins: &[OriginPattern], credentials: bool) -> CorsPolicy {
    let origins = Origins::Of(origins.to_vec());
    CorsPolicy { origins, credentials, headers: vec!["X-One".into(), "Last-Event-ID".into()], max_age: Duration::from_secs(600) }
}

fn exact(origin: &str) -> OriginPattern {
    OriginPattern::Exact(origin.to_owned())
}

fn below(rest: &str) -> OriginPattern {
    OriginPattern::Wildcard { scheme: "https".to_owned(), rest: rest.to_owned() }
}

fn any() -> CorsPolicy {
    CorsPolicy { origins: Origins::Any, ..policy(&[], false) }
}

/// An upstream's head with `fields`, after `grant` was written into it.
fn written(grant: &Grant, fields: &[(&'static str, &'static str)]) -> ResponseHeader {
    let mut header = ResponseHeader::build(200, None).unwrap();
    for (name, value) in fields {
        header.append_header(*name, *value).unwrap();
    }
    grant.write(&mut header);
    header
}

fn all<'a>(header: &'a ResponseHeader, name: &str) -> Vec<&'a str> {
    header.headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect()
}

/// The lines of a head as they go out, without the status.
fn lines(header: &ResponseHeader) -> Vec<String> {
    let mut bytes = Vec::new();
    header.header_to_h1_wire(&mut bytes);
    String::from_utf8(bytes).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn an_origin_is_compared_without_case_and_as_a_whole() {
    let pattern = exact("https://app.example.com");
    for origin in ["https://app.example.com", "HTTPS://App.Example.com"] {
        assert!(pattern.takes(origin.as_bytes()), "{origin}");
    }
    for origin in [
        "http://app.example.com",
        "https://app.example.com:8443",
        "https://app.example.com.evil.org",
        "https://app.example.com/",
        "https://xapp.example.com",
        "app.example.com",
        "null",
        "",
    ] {
        assert!(!pattern.takes(origin.as_bytes()), "{origin}");
    }
    assert!(exact("http://[::1]:3000").takes(b"http://[::1]:3000"));
    assert!(exact("chrome-extension://abcdef").takes(b"chrome-extension://abcdef"));
}

#[test]
fn a_wildcard_is_one_label_of_a_name_under_the_same_scheme_and_port() {
    let pattern = below("example.com");
    for origin in ["https://a.example.com", "HTTPS://A-1.EXAMPLE.COM", "https://xn--a_b.example.com"] {
        assert!(pattern.takes(origin.as_bytes()), "{origin}");
    }
    for origin in [
        "https://example.com",
        "https://.example.com",
        "https://a.b.example.com",
        "https://evil.org/.example.com",
        "https://evil@.example.com",
        "https://evil#.example.com",
        "https://evil:1.example.com",
        "https://evil%2f.example.com",
        "https://a\u{e4}.example.com",
        "https://aexample.com",
        "http://a.example.com",
        "https://a.example.com:8443",
        "https:a.example.com",
        "xhttps://a.example.com",
        "https://",
        "",
    ] {
        assert!(!pattern.takes(origin.as_bytes()), "{origin}");
    }
    assert!(below("example.com:8443").takes(b"https://a.example.com:8443"));
    assert_eq!(below("example.com:8443").to_string(), "https://*.example.com:8443");
}

#[test]
fn an_allowed_origin_is_named_back_with_credentials_where_the_policy_has_them() {
    let grant = policy(&[exact("https://a"), below("b")], true).grant(&from("https://x.b"));
    let header = written(&grant, &[]);
    assert_eq!(all(&header, "access-control-allow-origin"), ["https://x.b"]);
    assert_eq!(all(&header, "access-control-allow-credentials"), ["true"]);
    assert_eq!(all(&header, "vary"), ["Origin"]);
    let without = written(&policy(&[exact("https://a")], false).grant(&from("https://a")), &[]);
    assert_eq!(all(&without, "access-control-allow-origin"), ["https://a"]);
    assert!(all(&without, "access-control-allow-credentials").is_empty());
}

#[test]
fn whoever_is_not_allowed_is_told_nothing_but_that_it_depends_on_the_origin() {
    let policy = policy(&[exact("https://a")], true);
    let mut twice = from("https://a");
    twice.append("origin", HeaderValue::from_static("https://a"));
    for request in [from("https://evil"), from("null"), HeaderMap::new(), twice] {
        let header = written(&policy.grant(&request), &[("Access-Control-Allow-Origin", "*")]);
        assert_eq!(lines(&header), ["Vary: Origin"], "{request:?}");
    }
}

#[test]
fn every_origin_is_a_star_that_does_not_vary_and_has_no_credentials() {
    for request in [from("https://a"), HeaderMap::new()] {
        let header = written(&any().grant(&request), &[("Vary", "Accept"), ("Access-Control-Allow-Credentials", "true")]);
        assert_eq!(lines(&header), ["Vary: Accept", "Access-Control-Allow-Origin: *"]);
    }
}

#[test]
fn what_the_upstream_allows_is_replaced_and_what_it_exposes_stays() {
    let upstream = [
        ("Access-Control-Allow-Origin", "*"),
        ("X-First", "1"),
        ("access-control-allow-origin", "https://b"),
        ("Access-Control-Allow-Credentials", "true"),
        ("Access-Control-Allow-Methods", "PUT"),
        ("Access-Control-Allow-Headers", "X"),
        ("Access-Control-Allow-Private-Network", "true"),
        ("Access-Control-Max-Age", "9"),
        ("Access-Control-Expose-Headers", "X-First"),
    ];
    let header = written(&policy(&[exact("https://a")], false).grant(&from("https://a")), &upstream);
    let wanted = ["X-First: 1", "Access-Control-Expose-Headers: X-First", "Vary: Origin", "Access-Control-Allow-Origin: https://a"];
    assert_eq!(lines(&header), wanted);
}

#[test]
fn vary_is_completed_in_the_upstreams_own_line_and_never_doubled() {
    let grant = policy(&[exact("https://a")], false).grant(&HeaderMap::new());
    let cases: [(&[&'static str], &[&str]); 8] = [
        (&[], &["Origin"]),
        (&["Accept"], &["Accept, Origin"]),
        (&[""], &["Origin"]),
        (&["Accept", "Cookie"], &["Accept, Origin", "Cookie"]),
        (&["origin"], &["origin"]),
        (&["Accept", "Cookie ,ORIGIN"], &["Accept", "Cookie ,ORIGIN"]),
        (&["*"], &["*"]),
        (&["X-Origin"], &["X-Origin, Origin"]),
    ];
    for (upstream, wanted) in cases {
        let upstream: Vec<_> = upstream.iter().map(|value| ("Vary", *value)).collect();
        assert_eq!(all(&written(&grant, &upstream), "vary"), wanted, "{upstream:?}");
    }
}

#[test]
fn only_an_options_with_both_fields_once_is_a_preflight() {
    let asks = [("origin", "https://a"), ("access-control-request-method", "PUT")];
    assert_eq!(Preflight::of(&Method::OPTIONS, &fields(&asks)), Some(Preflight { method: Method::PUT }));
    assert_eq!(Preflight::of(&Method::GET, &fields(&asks)), None);
    for missing in 0..asks.len() {
        let rest: Vec<_> = asks.iter().enumerate().filter(|(position, _)| *position != missing).map(|(_, field)| *field).collect();
        assert_eq!(Preflight::of(&Method::OPTIONS, &fields(&rest)), None, "{rest:?}");
    }
    for wrong in ["", "P UT", "a,b", "\u{e4}"] {
        let mut request = fields(&asks);
        request.insert("access-control-request-method", HeaderValue::from_str(wrong).unwrap());
        assert_eq!(Preflight::of(&Method::OPTIONS, &request), None, "{wrong:?}");
    }
    let mut twice = fields(&asks);
    twice.append("access-control-request-method", HeaderValue::from_static("GET"));
    assert_eq!(Preflight::of(&Method::OPTIONS, &twice), None);
}

#[test]
fn a_preflight_of_an_allowed_origin_learns_all_that_it_may() {
    const VARY: &str = "Vary: Origin, Access-Control-Request-Method, Access-Control-Request-Headers";
    let policy = policy(&[exact("https://a")], true);
    let preflight = Preflight { method: Method::PUT };
    let mut request = from("https://a");
    request.insert("access-control-request-private-network", HeaderValue::from_static("true"));
    let header = policy.answer(&preflight, &request, &[]);
    assert_eq!(header.status, 204);
    let told = |methods: &str| {
        let methods = format!("Access-Control-Allow-Methods: {methods}");
        [
            VARY.to_owned(),
            methods,
            "Access-Control-Allow-Headers: X-One, Last-Event-ID".to_owned(),
            "Access-Control-Max-Age: 600".to_owned(),
            "Access-Control-Allow-Origin: https://a".to_owned(),
            "Access-Control-Allow-Credentials: true".to_owned(),
        ]
    };
    assert_eq!(lines(&header), told("PUT"), "the method that was asked for, where the route takes all");
    assert_eq!(lines(&policy.answer(&preflight, &request, &[Method::GET, Method::POST])), told("GET, POST"));
    assert_eq!(lines(&policy.answer(&preflight, &from("https://evil"), &[])), [VARY]);
    let silent = CorsPolicy { headers: Vec::new(), ..policy };
    assert!(all(&silent.answer(&preflight, &request, &[]), "access-control-allow-headers").is_empty());
    assert_eq!(all(&any().answer(&preflight, &request, &[]), "access-control-allow-origin"), ["*"]);
}

#[test]
fn an_answer_for_anybody_names_whoever_asks() {
    let header = written(&Grant::anybody(&from("null")), &[]);
    assert_eq!(lines(&header), ["Vary: Origin", "Access-Control-Allow-Origin: null", "Access-Control-Allow-Credentials: true"]);
    assert_eq!(lines(&written(&Grant::anybody(&HeaderMap::new()), &[])), ["Vary: Origin"]);
}

proptest! {
    #![proptest_config(super::super::proptest_config("src/message/cors/tests.proptest-regressions"))]

    /// Whatever a client calls its origin and an upstream says: one value of each at the most, and never for one who is not listed.
    #[test]
    fn no_field_of_the_policy_is_ever_there_twice(
        origin in "(https://)?[a-z*.:/@#]{0,12}(b|a)?",
        upstream in prop::collection::vec((prop::sample::select(super::OURS.as_slice()), "[ -~]{0,10}"), 0..8),
        vary in prop::collection::vec("[a-zA-Z*, ]{0,12}", 0..4),
    ) {
        let policy = policy(&[exact("https://a"), below("b")], true);
        let mut header = ResponseHeader::build(200, None).unwrap();
        for (name, value) in upstream.iter().map(|(name, value)| (*name, value)).chain(vary.iter().map(|value| ("vary", value))) {
            header.append_header(name, HeaderValue::from_str(value).unwrap()).unwrap();
        }
        policy.grant(&from(&origin)).write(&mut header);
        let allowed = all(&header, "access-control-allow-origin");
        let is_listed = origin == "https://a"
            || origin.strip_prefix("https://").and_then(|rest| rest.strip_suffix(".b")).is_some_and(|label| {
                !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_lowercase())
            });
        prop_assert_eq!(allowed, if is_listed { vec![&*origin] } else { vec![] });
        for name in super::OURS {
            prop_assert!(all(&header, name).len() <= 1, "{}", name);
        }
        let members = |value: &&str| value.split(',').any(|member| member.trim() == "*" || member.trim().eq_ignore_ascii_case("origin"));
        prop_assert!(all(&header, "vary").iter().any(members));
        // Said once more it is the same.
        let once = lines(&header);
        policy.grant(&from(&origin)).write(&mut header);
        prop_assert_eq!(lines(&header), once);
    }
}
