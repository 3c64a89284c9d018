//! `sticky` and `caps`, and that no problem shows a secret.

use super::*;
use crate::affinity::{SameSite, StickyPolicy};
use crate::client_id::ClientSource;

const LONG: &str = "0123456789abcdef0123456789abcdef";

fn with_sticky(inside: &str) -> Result<Config, Vec<String>> {
    with_route(&format!("{{ upstream: app, sticky: {{ {inside} }} }}"))
}

fn sticky(inside: &str) -> StickyPolicy {
    let config = with_sticky(&format!("cookie: pin, secrets: [ {LONG} ], {inside}")).unwrap();
    first(&config).sticky.clone().unwrap()
}

#[test]
fn a_pin_has_its_defaults() {
    let pin = sticky("");
    assert_eq!(
        (pin.cookie.as_str(), pin.max_age, pin.same_site, pin.domain),
        ("pin", Duration::from_secs(3600), SameSite::Lax, None)
    );
    assert_eq!(pin.secrets[0].0, LONG);
    for off in ["", "sticky: off", "sticky: false"] {
        assert_eq!(first(&with_route(&format!("{{ upstream: app, {off} }}")).unwrap()).sticky, None);
    }
}

#[test]
fn a_pin_is_as_written() {
    let pin = sticky("max_age: 10m, same_site: strict, domain: .Example.com");
    assert_eq!((pin.max_age, pin.same_site), (Duration::from_secs(600), SameSite::Strict));
    assert_eq!(pin.domain.as_deref(), Some("example.com"));
    assert_eq!(sticky("same_site: none").same_site, SameSite::None);
    for wrong in ["max_age: 999ms", "max_age: 401d", "same_site: Lax", "domain: 127.0.0.1", "domain: \"a b\"", "domain: \"\""] {
        only_problem(with_sticky(&format!("cookie: pin, secrets: [ {LONG} ], {wrong}")));
    }
}

#[test]
fn a_cookie_has_a_name_that_a_cookie_can_have() {
    for wrong in ["", "a b", "a=b", "ä", "a;b"] {
        only_problem(with_sticky(&format!("cookie: \"{wrong}\", secrets: [ {LONG} ]")));
    }
    let host_cookie = format!("cookie: __Host-pin, secrets: [ {LONG} ]");
    with_sticky(&host_cookie).unwrap();
    assert!(only_problem(with_sticky(&format!("{host_cookie}, domain: example.com"))).contains("remove `domain`"));
}

#[test]
fn a_domain_covers_every_host_of_its_route() {
    let route = |host: &str| {
        with_route(&format!(
            "{{ upstream: app, match: {{ host: {host} }}, sticky: {{ cookie: pin, secrets: [ {LONG} ], domain: example.com }} }}"
        ))
    };
    for host in ["example.com", "app.example.com", "\"*.example.com\"", "[ example.com, a.b.example.com ]"] {
        route(host).unwrap();
    }
    for host in ["example.org", "notexample.com", "[ example.com, example.org ]"] {
        assert!(only_problem(route(host)).contains("browsers would refuse the cookie"), "{host}");
    }
}

#[test]
fn secrets_are_long_enough_and_distinct() {
    let config = with_sticky(&format!("cookie: pin, secrets: [ {LONG}, {LONG}x ]")).unwrap();
    assert_eq!(first(&config).sticky.as_ref().unwrap().secrets.len(), 2);
    for wrong in ["[]", "[ short ]", "[ \"\" ]", &format!("[ {} ]", &LONG[1..]), &format!("[ {LONG}, {LONG} ]"), LONG, "{ a: b }"] {
        only_problem(with_sticky(&format!("cookie: pin, secrets: {wrong}")));
    }
    with_sticky("cookie: pin, secrets: [ \"ääääääääääääääää\" ]").unwrap();
}

#[test]
fn a_learned_header_comes_later_and_that_is_all_that_is_said() {
    let problem = only_problem(with_sticky(&format!("header: Mcp-Session-Id, secrets: [ {LONG} ]")));
    assert!(problem.contains("`header` is not supported by this version yet"), "{problem}");
}

/// Whatever is wrong with a file: the secrets that are in it are not in what is said of it, and neither in what is printed of it.
#[test]
fn no_problem_shows_a_secret() {
    const SECRETS: [&str; 2] = ["hunter2-hunter2", "correct-horse-battery-staple-correct"];
    let [short, long] = SECRETS;
    for sticky in [
        format!("{{ cookie: pin, secrets: [ {short} ] }}"),
        format!("{{ cookie: pin, secrets: [ {long}, {long} ] }}"),
        format!("{{ cookie: \"p n\", secrets: [ {long} ], maxage: 1, same_site: no, domain: 1 }}"),
        format!("{{ cookie: pin, secrets: {long} }}"),
        format!("{{ cookie: pin, secrets: {{ {long}: 1 }} }}").replace(&format!("{long}: 1"), &format!("a: {long}")),
        format!("{{ cookie: pin, secrets: [ [ {long} ] ] }}"),
        format!("{{ cookie: pin, secret: [ {long} ] }}"),
        format!("{{ cookie: pin, secerts: [ {long} ] }}"),
        format!("{{ cookie: pin, token: {long} }}"),
        format!("{{ cookie: pin, secrets: [ !x {long} ] }}"),
        format!("{{ cookie: pin, secrets: [ &a {long}, *a ] }}"),
        format!("{{ cookie: pin, secrets: [ a${{{short}}}{long} ] }}"),
        format!("{{ cookie: pin, secrets: [ \"a${{{short}}}{long}\" ] }}"),
        format!("{{ cookie: pin, secrets: [ \"a${{{long} ]\" ] }}"),
        format!("{{ cookie: pin, secrets: [ \"{long} ] }}"),
        format!("{{ cookie: pin, secrets: [ {long} }}"),
        format!("{{ cookie: pin, secrets: [\n{long},\n{short} ], secrets: [ {long} ] }}"),
        format!("\n      cookie: pin\n      secrets:\n      - a${{{short}}}{long}\n"),
        format!("\n  cookie: pin\n  secrets:\n  - {short}\n\t- {long}\n"),
        format!("\n      secrets:\n      - {short}\n      - \"{long}\n     x"),
    ] {
        let text = format!(
            "listeners: [ {{ address: \"127.0.0.1:0\" }} ]\nupstreams: {{ app: {{ servers: [ \"a:1\" ] }} }}\nroutes:\n  - upstream: app\n    sticky: {sticky}\n"
        );
        let problems = parse("f", &text, &|_| None).unwrap_err();
        let said =
            format!("{problems}\n{}", problems.iter().map(|problem| format!("{problem}\n{problem:?}\n")).collect::<String>());
        assert!(!SECRETS.iter().any(|secret| said.contains(secret)), "{text}\n{said}");
        assert!(said.contains("f:"), "the place is named: {said}");
    }
    let config = format!("{:?}", sticky(""));
    assert!(config.contains("***") && !config.contains(LONG), "{config}");
}

#[test]
fn a_secret_that_is_not_set_is_named() {
    let problem = only_problem(with_sticky("cookie: pin, secrets: [ \"${STICKY}\" ]"));
    assert!(problem.contains("the environment variable `STICKY` is not set"), "{problem}");
}

#[test]
fn caps_are_none_or_a_number() {
    let caps = |inside: &str| {
        let config = with_route(&format!("{{ upstream: app, caps: {inside} }}")).unwrap();
        let route = first(&config);
        (route.caps.streams_per_client, route.caps.streams, route.client.source.clone(), route.client.ipv6_prefix)
    };
    for none in ["off", "{}", "{ streams_per_client: 0, streams: 0, client: ip, ipv6_prefix: 64, over_cap: refuse }"] {
        assert_eq!(caps(none), (None, None, ClientSource::Ip, 64), "{none}");
    }
    assert_eq!(
        caps("{ streams_per_client: 6, streams: 1000, client: \"header:X-User\", ipv6_prefix: 56 }"),
        (Some(6), Some(1000), ClientSource::Header(http::HeaderName::from_static("x-user")), 56)
    );
    assert_eq!(caps("{ client: cookie:session }").2, ClientSource::Cookie("session".into()));
    for wrong in
        ["streams: -1", "streams_per_client: few", "client: path", "client: \"cookie:\"", "ipv6_prefix: 0", "ipv6_prefix: 129"]
    {
        only_problem(with_route(&format!("{{ upstream: app, caps: {{ {wrong} }} }}")));
    }
    for later in ["evict_oldest", "soft"] {
        let problem = only_problem(with_route(&format!("{{ upstream: app, caps: {{ over_cap: {later} }} }}")));
        assert!(problem.contains("is not supported by this version yet"), "{problem}");
    }
}

#[test]
fn a_cap_that_is_never_reached_is_a_warning() {
    let warned = only_problem(with_route("{ upstream: app, caps: { streams_per_client: 3, streams: 2 } }"));
    assert!(warned.contains("`streams_per_client` (3) is never reached"), "{warned}");
    with_route("{ upstream: app, caps: { streams_per_client: 2, streams: 2 } }").unwrap();
}

/// What is said of two routes that pin, each with this after its cookie's name and in its `match`, to the upstreams of these names.
fn two_pins(one: (&str, &str, &str), two: (&str, &str, &str)) -> Vec<String> {
    let route = |(upstream, sticky, matched): (&str, &str, &str)| {
        format!(
            "- {{ upstream: {upstream}, match: {{ {matched} }}, sticky: {{ cookie: {sticky}, secrets: [ 0123456789abcdef0123456789abcdef ] }} }}\n"
        )
    };
    let upstreams = "{ a: { servers: [ \"a:1\" ] }, b: { servers: [ \"b:1\" ] }, twin: { servers: [ \"a:1\" ] } }";
    // So that each of them is in use.
    let others = ["a", "b", "twin"].map(|name| format!("- {{ match: {{ path: /{name} }}, upstream: {name} }}\n")).concat();
    let text = format!(
        "listeners: [ {{ address: \"127.0.0.1:0\" }} ]\nupstreams: {upstreams}\nroutes:\n{}{}{others}",
        route(one),
        route(two)
    );
    let (_, warnings) = parse("f.yaml", &text, &|_| None).unwrap_or_else(|problems| panic!("{problems}"));
    warnings.iter().map(|warning| warning.message.clone()).collect()
}

#[test]
fn pins_of_one_name_that_overwrite_each_other_are_a_warning() {
    let words = "`pin` is the pin of the route on line 4 too, which has other servers: they overwrite each other";
    for (one, two) in [
        (("a", "pin", "path: /1"), ("b", "pin", "path: /2")),
        (("a", "pin", "path: /1"), ("b", "pin", "host: x.test")),
        (("a", "pin", "host: x.test, path: /1"), ("b", "pin", "host: [ y.test, X.test ]")),
        (("a", "pin", "host: \"*.x.test\", path: /1"), ("b", "pin", "host: a.x.test")),
        (("a", "pin", "host: a.x.test"), ("b", "pin", "host: \"*.x.test\"")),
        (("a", "pin, domain: x.test", "host: a.x.test"), ("b", "pin", "host: b.x.test")),
        (("a", "pin", "host: b.x.test"), ("b", "pin, domain: x.test", "host: a.x.test")),
        (("a", "pin, domain: a.x.test", "host: a.x.test"), ("b", "pin", "host: \"*.x.test\"")),
        (("a", "pin, domain: x.test", "host: x.test"), ("b", "pin, domain: a.x.test", "host: a.x.test")),
    ] {
        assert_eq!(two_pins(one, two), [words], "{one:?} {two:?}");
    }
}

#[test]
fn pins_that_keep_apart_are_no_warning() {
    for (one, two) in [
        (("a", "pin", "path: /1"), ("a", "pin", "path: /2")),
        (("a", "pin", "path: /1"), ("twin", "pin", "path: /2")),
        (("a", "pin", "path: /1"), ("b", "other", "path: /2")),
        (("a", "pin", "path: /1"), ("b", "Pin", "path: /2")),
        (("a", "pin", "host: a.test"), ("b", "pin", "host: b.test")),
        (("a", "pin", "host: a.x.test"), ("b", "pin", "host: \"*.a.x.test\"")),
        (("a", "pin, domain: x.test", "host: x.test"), ("b", "pin", "host: yx.test")),
        (("a", "pin, domain: x.test", "host: x.test"), ("b", "pin, domain: y.test", "host: y.test")),
        (("a", "pin, domain: b.a.x.test", "host: b.a.x.test"), ("b", "pin", "host: \"*.x.test\"")),
    ] {
        assert_eq!(two_pins(one, two), [""; 0], "{one:?} {two:?}");
    }
}
