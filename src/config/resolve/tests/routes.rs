//! `routes`: match, timeouts, how streams are treated.

use http::Method;

use super::*;
use crate::route::{HostPattern, PathPattern, RouteMatch};
use crate::stream::MaxAge;

fn matcher(inside: &str) -> RouteMatch {
    first(&with_route(&format!("{{ upstream: app, match: {{ {inside} }} }}")).unwrap()).matcher.clone()
}

fn problem(inside: &str) -> String {
    only_problem(with_route(&format!("{{ upstream: app, match: {{ {inside} }} }}")))
}

/// The problems of routes with these `match`es, by the position of the route.
fn unreachable(matches: &[&str]) -> Vec<usize> {
    let routes: Vec<_> = matches.iter().map(|inside| format!("- {{ upstream: app, match: {{ {inside} }} }}\n")).collect();
    let text = format!(
        "listeners: [ {{ address: \"127.0.0.1:0\" }} ]\nupstreams: {{ app: {{ servers: [ \"a:1\" ] }} }}\nroutes:\n{}",
        routes.concat()
    );
    match parse("f", &text, &|_| None) {
        Ok(_) => Vec::new(),
        Err(problems) => problems
            .iter()
            .map(|problem| {
                assert!(problem.message.contains("never reached"), "{problem}");
                problem.place.unwrap().line - 4
            })
            .collect(),
    }
}

#[test]
fn a_route_without_match_takes_everything() {
    for nothing in ["", "match: {}", "match:"] {
        let config = with_route(&format!("{{ upstream: app, {nothing} }}")).unwrap();
        assert_eq!(first(&config).matcher, RouteMatch::default(), "{nothing}");
    }
}

#[test]
fn hosts_are_kept_in_lower_case() {
    assert_eq!(matcher("host: App.Example.COM").hosts, [HostPattern::Exact("app.example.com".into())]);
    assert_eq!(
        matcher("host: [ \"*.Example.com\", 127.0.0.1, \"[0:0::1]\" ]").hosts,
        [HostPattern::Wildcard("example.com".into()), HostPattern::Exact("127.0.0.1".into()), HostPattern::Exact("[::1]".into())]
    );
}

#[test]
fn what_is_no_host_says_what_was_meant() {
    for (wrong, fix) in [
        ("*", "remove `host`"),
        ("app.example.com:8080", "write `app.example.com`"),
        ("https://app.example.com/", "write `app.example.com`"),
        ("*.example.com:80", "write `*.example.com`"),
        ("::1", "write `[::1]`"),
        ("a.*.com", "write a name such as"),
        ("*foo.com", "write a name such as"),
        ("*.10.0.0.1", "write a name such as"),
        ("", "write a name such as"),
    ] {
        let problem = problem(&format!("host: \"{wrong}\""));
        assert!(problem.contains(fix), "{problem}");
    }
    for list in ["host: []", "methods: []", "host: [ a, A ]", "methods: [ GET, GET ]"] {
        problem(list);
    }
}

#[test]
fn paths_are_kept_in_normal_form() {
    assert_eq!(matcher("path: /a/../events").path, PathPattern::Exact("/events".into()));
    assert_eq!(matcher("path: /events/").path, PathPattern::Exact("/events/".into()));
    for (written, kept) in [("/./events", "/events"), ("/%65vents/", "/events/"), ("/", "/"), ("/a%2fb", "/a%2Fb")] {
        assert_eq!(matcher(&format!("path_prefix: {written}")).path, PathPattern::Prefix(kept.into()), "{written}");
    }
}

#[test]
fn what_is_no_path_is_refused() {
    for wrong in ["events", "", "/a?b", "/a#b", "/events/*", "http://a/b"] {
        problem(&format!("path: \"{wrong}\""));
        problem(&format!("path_prefix: \"{wrong}\""));
    }
    assert!(problem("path: /a, path_prefix: /a").contains("exclude each other"));
}

#[test]
fn methods_are_upper_case_words() {
    assert_eq!(matcher("methods: [ GET, QUERY ]").methods, [Method::GET, Method::from_bytes(b"QUERY").unwrap()]);
    assert!(problem("methods: [ get ]").contains("write `GET`"));
    problem("methods: [ \"A B\" ]");
}

#[test]
fn a_route_behind_one_that_takes_the_same_or_more_is_never_reached() {
    for matches in [
        ["", ""],
        ["", "host: a, path: /x, methods: [ GET ]"],
        ["path: /a", "path: /b/../a"],
        ["path_prefix: /a", "path_prefix: /a/b"],
        ["path_prefix: /a", "path: /a"],
        ["path_prefix: /", "path: /a"],
        ["path_prefix: /a", "path_prefix: /a/"],
        ["path_prefix: /a/", "path: /a/b"],
        ["host: a.b", "host: A.B, path: /a"],
        ["host: \"*.b.c\"", "host: a.b.c"],
        ["host: [ a, b ]", "host: b"],
        ["methods: [ GET, POST ]", "methods: [ POST ]"],
    ] {
        assert_eq!(unreachable(&matches), [1], "{matches:?}");
    }
    assert_eq!(unreachable(&["path: /a", "host: a", "path: /a, host: b", "host: c, path: /c", "host: a"]), [2, 4]);
}

#[test]
fn a_route_that_takes_anything_else_is_reached() {
    for matches in [
        ["host: a", ""],
        ["path_prefix: /events", "path: /eventsource"],
        ["path_prefix: /events/x", "path_prefix: /events"],
        ["path: /a", "path_prefix: /a"],
        ["path: /a", "path: /a/"],
        ["path_prefix: /a/", "path: /a"],
        ["path_prefix: /a/", "path_prefix: /a"],
        ["host: \"*.b.c\"", "host: b.c"],
        ["host: \"*.b.c\"", "host: x.a.b.c"],
        ["host: \"*.b.c\"", "host: \"*.a.b.c\""],
        ["host: a.b.c", "host: \"*.b.c\""],
        ["host: a", "host: [ a, b ]"],
        ["methods: [ GET ]", "methods: [ GET, POST ]"],
        ["methods: [ GET ]", ""],
        ["host: a, methods: [ GET ]", "host: a"],
    ] {
        assert_eq!(unreachable(&matches), [0; 0], "{matches:?}");
    }
}

#[test]
fn a_route_inherits_the_timeouts_that_it_leaves_out() {
    let config =
        full("timeouts: { response_head: 7s, write_stall: 8s }", "{ upstream: app, timeouts: { write_stall: 9s } }").unwrap();
    let route = first(&config);
    assert_eq!((route.timeouts.response_head, route.timeouts.write_stall), (Duration::from_secs(7), Duration::from_secs(9)));
    assert_eq!(route.timeouts.response_body_idle, Duration::from_secs(300));
    assert_eq!(route.stream.write_stall, Duration::from_secs(9), "the engine's is the route's");
    assert_eq!(config.timeouts.write_stall, Duration::from_secs(8), "the door's is not");
    let config = with_route("{ upstream: app, timeouts: { response_head: 1s, response_body_idle: 2s } }").unwrap();
    let timeouts = first(&config).timeouts;
    assert_eq!((timeouts.response_head, timeouts.response_body_idle), (Duration::from_secs(1), Duration::from_secs(2)));
    only_problem(with_route("{ upstream: app, timeouts: { response_head: 0s } }"));
}

#[test]
fn streams_are_treated_as_written() {
    let stream = |inside: &str| first(&with_route(&format!("{{ upstream: app, {inside} }}")).unwrap()).stream.clone();
    let plain = stream("");
    assert_eq!((plain.strict_no_transform, plain.max_upstream_silence, plain.max_age), (false, None, None));
    assert!(stream("strict_no_transform: true").strict_no_transform);
    assert!(!stream("strict_no_transform: off").strict_no_transform);
    assert_eq!(stream("max_upstream_silence: 5m").max_upstream_silence, Some(Duration::from_secs(300)));
    assert_eq!(stream("max_upstream_silence: off").max_upstream_silence, None);
    let hour = Duration::from_secs(3600);
    assert_eq!(stream("max_age: { after: 1h }").max_age, Some(MaxAge { after: hour, jitter_percent: 10 }));
    assert_eq!(stream("max_age: { after: 1h, jitter: 0% }").max_age, Some(MaxAge { after: hour, jitter_percent: 0 }));
    assert_eq!(stream("max_age: off").max_age, None);
    for wrong in [
        "strict_no_transform: yes",
        "max_upstream_silence: 0s",
        "max_upstream_silence: 10",
        "max_age: { jitter: 10% }",
        "max_age: { after: 1ms }",
        "max_age: { after: off }",
        "max_age: { after: 1h, jitter: 101% }",
        "max_age: { after: 1h, jitter: -1% }",
        "max_age: { after: 1h, jitter: 1h }",
    ] {
        only_problem(with_route(&format!("{{ upstream: app, {wrong} }}")));
    }
    assert!(only_problem(with_route("{ upstream: app, max_age: { after: 1h, jitter: 10 } }")).contains("write `10%`"));
}

fn upgrades(inside: &str) -> Vec<String> {
    let config = with_route(&format!("{{ upstream: app, upgrades: {inside} }}")).unwrap();
    first(&config).upgrades.iter().map(ToString::to_string).collect()
}

#[test]
fn websockets_pass_unless_the_route_says_otherwise() {
    assert_eq!(&*first(&with("").unwrap()).upgrades, ["websocket".into()]);
    assert_eq!(upgrades(""), ["websocket"]);
    assert_eq!(upgrades("[]"), [""; 0]);
    assert_eq!(upgrades("[ WebSocket, \"x.y-z_1\" ]"), ["websocket", "x.y-z_1"]);
}

#[test]
fn what_may_not_pass_as_an_upgrade_says_why() {
    let problem = |inside: &str| only_problem(with_route(&format!("{{ upstream: app, upgrades: [ {inside} ] }}")));
    for h2c in ["h2c", "H2C", "h2c/1"] {
        let problem = problem(h2c);
        assert!(problem.contains("may never pass") && problem.contains("write `protocol: h2c` in the upstream"), "{problem}");
    }
    assert!(problem("WebSocket/13").contains("has a version, and all versions of a protocol pass or none (write `websocket`)"));
    assert!(problem("a, A").contains("`A` is there twice"));
    for wrong in ["\"\"", "\"a b\"", "\"/13\"", "\"a,b\"", "ä"] {
        assert!(problem(wrong).contains("names no protocol"), "{wrong}");
    }
}
