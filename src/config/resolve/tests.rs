//! What values mean. Whole files with their words are under `tests/fixtures/config/`; here are the rules one by one.

mod actions;
mod clients;
mod cors;
mod headers;
mod process;
mod routes;
mod tls;
mod upstreams;

use std::time::Duration;

use crate::config::{Config, defaults, parse};
use crate::route::Route;
use crate::stream::FrameChoice;

fn with(extra: &str) -> Result<Config, Vec<String>> {
    full(extra, "{ upstream: app }")
}

/// The same with this after `servers` in the upstream.
fn with_upstream(extra: &str) -> Result<Config, Vec<String>> {
    build("", &format!("servers: [ \"localhost:3000\" ], {extra}"), "{ upstream: app }")
}

fn with_route(route: &str) -> Result<Config, Vec<String>> {
    full("", route)
}

fn full(extra: &str, route: &str) -> Result<Config, Vec<String>> {
    build(extra, "servers: [ \"localhost:3000\" ]", route)
}

fn build(extra: &str, upstream: &str, route: &str) -> Result<Config, Vec<String>> {
    let text = format!(
        "{extra}\nlisteners: [ {{ address: \"127.0.0.1:0\" }} ]\nupstreams: {{ app: {{ {upstream} }} }}\nroutes: [ {route} ]\n"
    );
    let variables = |name: &str| (name == "SECRET").then(|| "12345".to_owned());
    match parse("f.yaml", &text, &variables) {
        Ok((config, warnings)) if warnings.is_empty() => Ok(config),
        Ok((_, problems)) | Err(problems) => Err(problems.iter().map(ToString::to_string).collect()),
    }
}

fn first(config: &Config) -> &Route {
    config.routes.iter().next().unwrap()
}

fn only_problem(result: Result<Config, Vec<String>>) -> String {
    let problems = result.unwrap_err();
    assert_eq!(problems.len(), 1, "{problems:?}");
    problems[0].clone()
}

#[test]
fn what_is_left_out_has_its_default() {
    let config = with("").unwrap();
    assert_eq!(config.admin, Some(defaults::ADMIN_ADDRESS));
    assert_eq!(config.threads, defaults::threads());
    assert_eq!(config.limits.request_head, 65_536);
    assert_eq!(config.timeouts.request_head, Duration::from_secs(10));
    assert_eq!(config.timeouts.keep_alive, Duration::from_secs(75));
    assert_eq!(config.timeouts.write_stall, Duration::from_secs(60));
    assert_eq!(config.drain.deadline, Duration::from_secs(25));
    let route = first(&config);
    assert_eq!(route.timeouts.connect, Duration::from_secs(5));
    assert_eq!(route.timeouts.response_head, Duration::from_secs(300));
    assert_eq!(route.timeouts.write_stall, Duration::from_secs(60));
    assert_eq!(route.stream.write_stall, Duration::from_secs(60));
    assert_eq!(route.stream.heartbeat, Some(defaults::heartbeat()));
}

#[test]
fn what_is_written_holds() {
    let config = with(
        "admin: { address: \"127.0.0.1:9\" }\nthreads: 3\nlimits: { request_head: 8KiB }\ndrain: { deadline: 0s }\n\
         timeouts: { request_head: 1s, connect: 2s, response_head: 3s, write_stall: 4s, keep_alive: 5s }",
    )
    .unwrap();
    assert_eq!(config.admin.unwrap().port(), 9);
    assert_eq!((config.threads, config.limits.request_head, config.drain.deadline), (3, 8192, Duration::ZERO));
    assert_eq!((config.timeouts.request_head, config.timeouts.keep_alive), (Duration::from_secs(1), Duration::from_secs(5)));
    assert_eq!(config.timeouts.write_stall, Duration::from_secs(4));
    let route = first(&config);
    assert_eq!((route.timeouts.connect, route.timeouts.response_head), (Duration::from_secs(2), Duration::from_secs(3)));
    assert_eq!((route.timeouts.write_stall, route.stream.write_stall), (Duration::from_secs(4), Duration::from_secs(4)));
}

#[test]
fn a_route_has_its_upstream_and_its_heartbeat() {
    let config = with_route("{ upstream: app, heartbeat: { interval: 100ms, frame: block, text: \"hi: there\" } }").unwrap();
    let route = first(&config);
    let upstream = route.action.upstream().unwrap();
    assert_eq!((&*route.name, &*upstream.name, upstream.servers[0].address.to_string().as_str()), ("0", "app", "localhost:3000"));
    assert_eq!(**upstream, *config.upstreams[0]);
    let heartbeat = route.stream.heartbeat.clone().unwrap();
    assert_eq!((heartbeat.interval, heartbeat.frame), (Duration::from_millis(100), FrameChoice::Block));
    assert_eq!(heartbeat.text, "hi: there");
}

#[test]
fn off_and_false_switch_off() {
    for off in ["off", "false", "\"off\""] {
        assert_eq!(with(&format!("admin: {off}")).unwrap().admin, None, "{off}");
        let config = with_route(&format!("{{ upstream: app, heartbeat: {off} }}")).unwrap();
        assert_eq!(first(&config).stream.heartbeat, None, "{off}");
    }
}

#[test]
fn values_at_the_bounds_hold_and_beyond_are_refused() {
    for (good, bad) in [
        ("limits: { request_head: 1KiB }", "limits: { request_head: 1023B }"),
        ("limits: { request_head: 1MiB }", "limits: { request_head: 1048577B }"),
        ("timeouts: { connect: 1ms }", "timeouts: { connect: 0s }"),
        ("timeouts: { connect: 7d }", "timeouts: { connect: 7d 1ms }"),
        ("threads: 1", "threads: 0"),
        ("threads: 1024", "threads: 1025"),
        ("threads: auto", "threads: -1"),
        ("drain: { deadline: 168h }", "drain: { deadline: 169h }"),
    ] {
        with(good).unwrap();
        let problem = only_problem(with(bad));
        assert!(problem.starts_with("1:"), "{problem}");
    }
    for (good, bad) in [("interval: 100ms", "interval: 99ms"), ("interval: 24h", "interval: 25h"), ("text: x", "text: \"a\\nb\"")] {
        with_route(&format!("{{ upstream: app, heartbeat: {{ {good} }} }}")).unwrap();
        only_problem(with_route(&format!("{{ upstream: app, heartbeat: {{ {bad} }} }}")));
    }
    let text = "x".repeat(defaults::LONGEST_HEARTBEAT_TEXT);
    with_route(&format!("{{ upstream: app, heartbeat: {{ text: {text} }} }}")).unwrap();
    only_problem(with_route(&format!("{{ upstream: app, heartbeat: {{ text: {text}x }} }}")));
}

#[test]
fn a_bare_number_gets_its_unit() {
    assert_eq!(
        only_problem(with("timeouts: { connect: 15 }")),
        "1:22: `connect`: `15` needs a unit (write `15s` for seconds, or `15ms`)"
    );
    let problem = only_problem(with("limits: { request_head: 65536 }"));
    assert_eq!(problem, "1:25: `request_head`: `65536` needs a unit (write `64KiB` for bytes, or `65536KiB`)");
}

#[test]
fn a_value_from_the_environment_is_used_and_never_shown() {
    assert_eq!(with("threads: \"${NONE:-7}\"").unwrap().threads, 7);
    for wrong in [
        "timeouts: { connect: \"${SECRET}\" }",
        "limits: { request_head: \"${SECRET}\" }",
        "threads: \"${SECRET}\"",
        "admin: { address: \"${SECRET}\" }",
    ] {
        let problem = only_problem(with(wrong));
        assert!(problem.contains("the value of `${SECRET}`") && !problem.contains("12345"), "{problem}");
    }
    for wrong in ["{ upstream: \"${SECRET}\" }", "{ upstream: app, heartbeat: { frame: \"${SECRET}\" } }"] {
        let problems = with_route(wrong).unwrap_err();
        assert!(problems.iter().all(|problem| !problem.contains("12345")), "{problems:?}");
    }
}

#[test]
fn port_0_may_come_twice_and_any_other_address_not() {
    let listeners = |a: &str, b: &str, admin: &str| {
        let text = format!(
            "listeners: [ {{ address: \"{a}\" }}, {{ address: \"{b}\" }} ]\nadmin: {admin}\nupstreams: {{ app: {{ servers: [ \"a:1\" ] }} }}\nroutes: [ {{ upstream: app }} ]\n"
        );
        parse("f", &text, &|_| None).map(|(config, _)| config.listeners.len()).map_err(|problems| problems.iter().count())
    };
    assert_eq!(listeners("127.0.0.1:0", "127.0.0.1:0", "{ address: \"127.0.0.1:0\" }"), Ok(2));
    assert_eq!(listeners("127.0.0.1:1", "127.0.0.2:1", "off"), Ok(2));
    assert_eq!(listeners("127.0.0.1:1", "127.0.0.1:1", "off"), Err(1));
    assert_eq!(listeners("127.0.0.1:1", "127.0.0.1:2", "{ address: \"127.0.0.1:2\" }"), Err(1));
    assert_eq!(listeners("127.0.0.1:1", "127.0.0.1:9180", "{}"), Err(1));
}

#[test]
fn an_upstream_that_no_route_uses_is_a_warning() {
    let text = format!("{}\n", defaults::SMALLEST_CONFIG.replace("{ app:", "{ old: { servers: [ \"a:1\" ] }, app:"));
    let (config, warnings) = parse("f", &text, &|_| None).unwrap();
    assert_eq!(config.upstreams.len(), 2);
    assert!(!warnings.has_errors());
    let words: Vec<_> = warnings.iter().map(ToString::to_string).collect();
    assert_eq!(words, ["2:14: no route uses the upstream `old` (name it in a route, or remove it)"]);
}

#[test]
fn a_broken_upstream_is_one_problem_not_one_for_each_route() {
    let text = "listeners: [ { address: \"127.0.0.1:0\" } ]\nupstreams: { app: { servers: [ \"app\" ] } }\nroutes: [ { upstream: app } ]\n";
    assert_eq!(parse("f", text, &|_| None).unwrap_err().iter().count(), 1);
}

#[test]
fn only_the_first_route_without_match_is_reached() {
    let problem = only_problem(with_route("{ upstream: app }, { upstream: app }"));
    assert!(problem.contains("this route is never reached: the one on line 4"), "{problem}");
}
