//! `limits`, `timeouts`, `drain`, `trusted_proxies`, `forwarded`, `log`.

use std::path::Path;

use super::*;
use crate::config::{AccessLog, LogFormat, LogLevel};
use crate::message::forwarded::ForwardedPolicy;

#[test]
fn limits_are_auto_none_or_a_number() {
    let limits = with("").unwrap().limits;
    assert_eq!((limits.connections, limits.connections_per_client, limits.streams), (None, None, None));
    let limits = with("limits: { connections: auto, connections_per_client: 0, streams: 0 }").unwrap().limits;
    assert_eq!((limits.connections, limits.connections_per_client, limits.streams), (None, None, None));
    let limits = with("limits: { connections: 5, connections_per_client: 6, streams: 7 }").unwrap().limits;
    assert_eq!((limits.connections, limits.connections_per_client, limits.streams), (Some(5), Some(6), Some(7)));
    for wrong in ["connections: 0", "connections: 10000001", "streams: -1", "streams: many", "connections_per_client: 10000001"] {
        only_problem(with(&format!("limits: {{ {wrong} }}")));
    }
}

#[test]
fn timeouts_of_bodies_reach_the_routes() {
    let config = with("timeouts: { request_body_idle: 1s, response_body_idle: 2s }").unwrap();
    let timeouts = first(&config).timeouts;
    assert_eq!((timeouts.request_body_idle, timeouts.response_body_idle), (Duration::from_secs(1), Duration::from_secs(2)));
    assert_eq!(config.inherited, timeouts);
}

#[test]
fn drain_has_lag_spread_and_deadline() {
    let drain = with("").unwrap().drain;
    assert_eq!((drain.lag, drain.spread, drain.deadline), (Duration::ZERO, Duration::from_secs(10), Duration::from_secs(25)));
    let drain = with("drain: { lag: 1s, spread: 2s, deadline: 3s }").unwrap().drain;
    assert_eq!((drain.lag, drain.spread, drain.deadline), (Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(3)));
}

#[test]
fn a_spread_that_exceeds_the_deadline_is_a_warning() {
    for (drain, start) in [
        ("spread: 26s", "1:10: `spread` exceeds `deadline` (26s against 25s)"),
        ("deadline: 9s", "1:10: `spread` exceeds `deadline` (10s against 9s)"),
        ("spread: 1s, deadline: 0s", "1:10: `spread` exceeds `deadline` (1s against 0s)"),
        ("lag: 16s", "1:10: `lag` and `spread` exceed `deadline` (26s against 25s)"),
    ] {
        let text = format!("drain: {{ {drain} }}\n{}", defaults::SMALLEST_CONFIG);
        let (_, warnings) = parse("f", &text, &|_| None).unwrap();
        let words: Vec<_> = warnings.iter().map(ToString::to_string).collect();
        assert!(words.len() == 1 && words[0].starts_with(start), "{words:?}");
        assert!(!warnings.has_errors());
    }
    for fine in ["spread: 25s", "lag: 5s, spread: 20s", "deadline: 0s"] {
        with(&format!("drain: {{ {fine} }}")).unwrap();
    }
}

#[test]
fn trusted_proxies_are_networks_or_addresses() {
    let config = with("trusted_proxies: [ 10.0.0.0/8, 192.0.2.1, \"fd00::/8\", \"::1\" ]").unwrap();
    let networks: Vec<_> = config.trusted_proxies.networks.iter().map(ToString::to_string).collect();
    assert_eq!(networks, ["10.0.0.0/8", "192.0.2.1/32", "fd00::/8", "::1/128"]);
    for none in ["[]", ""] {
        assert!(with(&format!("trusted_proxies: {none}")).unwrap().trusted_proxies.networks.is_empty());
    }
}

#[test]
fn a_network_that_would_not_do_what_it_seems_to_is_refused() {
    for (wrong, fix) in [
        ("10.1.0.0/8", "write `10.0.0.0/8`"),
        ("::ffff:10.0.0.0/104", "write `10.0.0.0/8`"),
        ("::ffff:192.0.2.1", "write `192.0.2.1/32`"),
        ("10.0.0.0/33", "write a network or an address"),
        ("localhost", "write a network or an address"),
        ("*", "write a network or an address"),
    ] {
        let problem = only_problem(with(&format!("trusted_proxies: [ \"{wrong}\" ]")));
        assert!(problem.contains(fix), "{problem}");
    }
    for everybody in ["0.0.0.0/0", "::/0"] {
        let text = format!("trusted_proxies: [ \"{everybody}\" ]\n{}", defaults::SMALLEST_CONFIG);
        assert_eq!(parse("f", &text, &|_| None).unwrap().1.iter().count(), 1);
    }
}

#[test]
fn forwarded_is_one_of_three() {
    for (text, policy) in [
        ("x_forwarded", ForwardedPolicy::XForwarded),
        ("rfc7239", ForwardedPolicy::Rfc7239),
        ("off", ForwardedPolicy::Off),
        ("false", ForwardedPolicy::Off),
    ] {
        assert_eq!(with(&format!("forwarded: {text}")).unwrap().forwarded, policy, "{text}");
    }
    only_problem(with("forwarded: both"));
}

#[test]
fn log_has_level_format_and_place() {
    let log = with("").unwrap().log;
    assert_eq!((log.level, log.format, log.access), (LogLevel::Info, LogFormat::Text, AccessLog::Stdout));
    let log = with("log: { level: debug, format: json, access: off }").unwrap().log;
    assert_eq!((log.level, log.format, log.access), (LogLevel::Debug, LogFormat::Json, AccessLog::Off));
    for wrong in ["level: warning", "format: combined", "access: stderr", "access: logs/", "access: \"\"", "access: \"a.\\nb\""] {
        only_problem(with(&format!("log: {{ {wrong} }}")));
    }
    assert!(only_problem(with("log: { format: combined }")).contains("is not supported by this version yet"));
}

#[test]
fn paths_are_relative_to_the_file() {
    let text = format!("log: {{ access: ./access.log }}\n{}", defaults::SMALLEST_CONFIG.replace("127.0.0.1:3000", "unix:app.sock"));
    let (config, _) = parse("/etc/ssedge/edge.yaml", &text, &|_| None).unwrap();
    let AccessLog::File(path) = &config.log.access else { panic!("no file") };
    assert_eq!(path, Path::new("/etc/ssedge/access.log"));
    assert_eq!(config.upstreams[0].servers[0].address.to_string(), "unix:/etc/ssedge/app.sock");
    let absolute = text.replace("./access.log", "/var/log/access.log");
    let (config, _) = parse("/etc/ssedge/edge.yaml", &absolute, &|_| None).unwrap();
    assert_eq!(config.log.access, AccessLog::File("/var/log/access.log".into()));
}
