//! `upstreams`: servers, balance, health, ejection.

use super::*;
use crate::tls::ClientTlsSpec;
use crate::upstream::{Balance, EjectionSpec, HashOn, HealthCheck, Http2Spec, Protocol, UpstreamSpec};

fn upstream(extra: &str) -> UpstreamSpec {
    (*with_upstream(extra).unwrap().upstreams[0]).clone()
}

fn problem(extra: &str) -> String {
    only_problem(with_upstream(extra))
}

fn with_servers(servers: &str) -> Result<Config, Vec<String>> {
    build("", &format!("servers: {servers}"), "{ upstream: app }")
}

#[test]
fn an_upstream_has_its_defaults() {
    let spec = upstream("");
    assert_eq!((spec.resolve, spec.keep_alive), (Duration::from_secs(10), Some(Duration::from_secs(4))));
    assert_eq!((spec.balance, spec.health), (Balance::LeastStreams, None));
    assert_eq!(spec.ejection, EjectionSpec { failures: 3, duration: Duration::from_secs(10) });
    assert_eq!(spec.servers[0].weight, 1);
}

#[test]
fn servers_are_names_addresses_and_sockets_with_weights() {
    let config = with_servers(
        "[ \"app.internal:3000\", \"[::1]:1\", { address: \"unix:/run/a.sock\", weight: 1000 }, { address: \"b:2\" } ]",
    );
    let servers = &config.unwrap().upstreams[0].servers;
    let shown: Vec<_> = servers.iter().map(|server| format!("{} {}", server.address, server.weight)).collect();
    assert_eq!(shown, ["app.internal:3000 1", "[::1]:1 1", "unix:/run/a.sock 1000", "b:2 1"]);
}

#[test]
fn the_same_server_twice_is_refused() {
    for servers in ["[ \"a:1\", \"a:1\" ]", "[ \"A.b:1\", \"a.B:1\" ]", "[ \"unix:/a\", { address: \"unix:/a\", weight: 2 } ]"] {
        assert!(only_problem(with_servers(servers)).contains("this server is there twice"), "{servers}");
    }
    with_servers("[ \"a:1\", \"a:2\", \"b:1\" ]").unwrap();
}

#[test]
fn a_weight_is_at_least_one() {
    for weight in ["0", "1001", "-1", "1.5", "heavy"] {
        only_problem(with_servers(&format!("[ {{ address: \"a:1\", weight: {weight} }} ]")));
    }
}

#[test]
fn balance_and_what_it_hashes() {
    for (text, balance) in [
        ("balance: least_streams", Balance::LeastStreams),
        ("balance: round_robin", Balance::RoundRobin),
        ("balance: random", Balance::Random),
        ("balance: hash", Balance::Hash(HashOn::Client)),
        ("balance: hash, hash_on: client", Balance::Hash(HashOn::Client)),
        ("balance: hash, hash_on: path", Balance::Hash(HashOn::Path)),
        ("balance: hash, hash_on: \"header:X-Tenant\"", Balance::Hash(HashOn::Header(http::HeaderName::from_static("x-tenant")))),
        ("balance: hash, hash_on: cookie:session", Balance::Hash(HashOn::Cookie("session".into()))),
    ] {
        assert_eq!(upstream(text).balance, balance, "{text}");
    }
    for wrong in ["header:", "header:a b", "cookie:", "cookie:a=b", "query", "ip", "header"] {
        problem(&format!("balance: hash, hash_on: \"{wrong}\""));
    }
}

#[test]
fn hash_on_without_hash_is_an_impossible_combination() {
    assert!(problem("hash_on: path").contains("`hash_on` says nothing to `balance: least_streams`"));
    assert!(problem("balance: random, hash_on: client").contains("`hash_on` says nothing to `balance: random`"));
}

#[test]
fn keep_alive_may_be_off() {
    for off in ["off", "false"] {
        assert_eq!(upstream(&format!("keep_alive: {off}")).keep_alive, None);
    }
    assert_eq!(upstream("keep_alive: 90s").keep_alive, Some(Duration::from_secs(90)));
    problem("keep_alive: 0s");
}

#[test]
fn health_is_over_http_or_tcp() {
    let health = upstream("health: { path: \"/healthz?deep=1\" }").health.unwrap();
    assert_eq!(health.check, HealthCheck::Http("/healthz?deep=1".into()));
    assert_eq!((health.interval, health.timeout), (Duration::from_secs(5), Duration::from_secs(2)));
    assert_eq!((health.rise, health.fall), (2, 2));
    let health = upstream("health: { tcp: true, interval: 1s, timeout: 500ms, rise: 1, fall: 5 }").health.unwrap();
    assert_eq!((health.check, health.rise, health.fall), (HealthCheck::Tcp, 1, 5));
    assert_eq!((health.interval, health.timeout), (Duration::from_secs(1), Duration::from_millis(500)));
    assert_eq!(upstream("health: { path: /, tcp: false }").health.unwrap().check, HealthCheck::Http("/".into()));
    assert_eq!(upstream("health: off").health, None);
}

#[test]
fn health_needs_exactly_one_way_to_check() {
    assert!(problem("health: { path: /, tcp: true }").contains("exclude each other"));
    for neither in ["{}", "{ tcp: false }", "{ interval: 1s }"] {
        assert!(problem(&format!("health: {neither}")).contains("`health` needs `path` or `tcp: true`"), "{neither}");
    }
    for path in ["healthz", "", "/a b", "/ä", "/a#b", "/a<b", "/a\\r\\nX: y"] {
        problem(&format!("health: {{ path: \"{path}\" }}"));
    }
}

#[test]
fn a_check_takes_no_longer_than_its_interval() {
    assert_eq!(upstream("health: { tcp: true, interval: 1s }").health.unwrap().timeout, Duration::from_secs(1));
    assert!(problem("health: { tcp: true, interval: 1s, timeout: 2s }").contains("`timeout` (2s) is longer than `interval` (1s)"));
    upstream("health: { tcp: true, interval: 2s, timeout: 2s }");
}

#[test]
fn bounds_of_health_and_ejection() {
    for wrong in ["interval: 9ms", "interval: 25h", "rise: 0", "fall: 0", "fall: 1001", "timeout: 0s"] {
        problem(&format!("health: {{ tcp: true, {wrong} }}"));
    }
    for wrong in ["failures: 0", "failures: 1001", "for: 0s"] {
        problem(&format!("ejection: {{ {wrong} }}"));
    }
    problem("resolve: 9ms");
    let spec = upstream("resolve: 1m, ejection: { failures: 1, for: 1m }");
    assert_eq!((spec.resolve, spec.ejection.failures, spec.ejection.duration.as_secs()), (Duration::from_secs(60), 1, 60));
}

#[test]
fn a_protocol_is_http1_or_http2_with_or_without_tls() {
    let spec = upstream("");
    assert_eq!((spec.protocol, spec.http2), (Protocol::Http1, Http2Spec::default()));
    assert_eq!(upstream("protocol: http1").protocol, Protocol::Http1);
    let spec = upstream("protocol: h2c");
    assert_eq!((spec.protocol, spec.http2), (Protocol::Http2, Http2Spec::default()));
    let spec = upstream("protocol: h2");
    assert_eq!((spec.protocol, spec.tls), (Protocol::Http2, Some(ClientTlsSpec::default())));
    assert_eq!(upstream("protocol: h2c").tls, None);
    for wrong in ["http2", "H2C", "grpc", "http/1.1"] {
        assert!(
            problem(&format!("protocol: {wrong}")).contains("is no choice here (write one of `http1`, `h2c`, `h2`)"),
            "{wrong}"
        );
    }
}

#[test]
fn bounds_of_http2() {
    let spec = upstream("protocol: h2c, h2: { streams: 1, stream_window: 65535B, connection_window: 2147483647B }");
    assert_eq!(spec.http2, Http2Spec { streams: 1, stream_window: 65_535, connection_window: 2_147_483_647 });
    upstream("protocol: h2c, h2: { streams: 10000, stream_window: 2147483647B, connection_window: 65535B }");
    for wrong in ["streams: 0", "streams: 10001", "stream_window: 65534B", "connection_window: 65534B", "stream_window: 2GiB"] {
        problem(&format!("protocol: h2c, h2: {{ {wrong} }}"));
    }
    for key in ["stream_window", "connection_window"] {
        assert!(problem(&format!("protocol: h2c, h2: {{ {key}: 2147483648B }}")).contains("is too large (write `2147483647B`"));
    }
}

#[test]
fn bounds_of_http2_say_nothing_to_http1() {
    for http1 in ["", ", protocol: http1"] {
        let problem = problem(&format!("h2: {{ streams: 1 }}{http1}"));
        assert!(problem.contains("`h2` says nothing to `protocol: http1` (write `protocol: h2c`"), "{problem}");
    }
    upstream("h2: {}, protocol: h2");
    assert!(problem("h2: {}, protocol: h3").contains("is no choice"), "one problem, not two");
}

/// What is said of this server behind these listeners.
fn warnings(listeners: &[&str], server: &str) -> Vec<String> {
    let listeners: Vec<_> = listeners.iter().map(|address| format!("{{ address: \"{address}\" }}")).collect();
    let text = format!(
        "listeners: [ {} ]\nadmin: off\nupstreams: {{ app: {{ servers: [ \"{server}\" ] }} }}\nroutes: [ {{ upstream: app }} ]\n",
        listeners.join(", ")
    );
    let (_, warnings) = parse("f.yaml", &text, &|_| None).unwrap();
    warnings.iter().map(ToString::to_string).collect()
}

#[test]
fn a_server_that_is_our_own_listener_is_a_warning() {
    for (listener, server) in [
        ("127.0.0.1:8080", "127.0.0.1:8080"),
        ("192.0.2.1:8080", "192.0.2.1:8080"),
        ("0.0.0.0:8080", "127.0.0.1:8080"),
        ("0.0.0.0:8080", "LocalHost:8080"),
        ("0.0.0.0:8080", "0.0.0.0:8080"),
        ("[::]:8080", "127.0.0.9:8080"),
        ("[::]:8080", "[::1]:8080"),
        ("[::1]:8080", "localhost:8080"),
        ("127.0.0.1:8080", "[::ffff:127.0.0.1]:8080"),
    ] {
        let found = warnings(&["127.0.0.1:1", listener], server);
        assert_eq!(found.len(), 1, "{server} behind {listener}: {found:?}");
        assert!(found[0].contains("is our own listener") && found[0].starts_with("3:32: "), "{found:?}");
    }
    for (listener, server) in [
        ("127.0.0.1:8080", "127.0.0.1:8081"),
        ("192.0.2.1:8080", "127.0.0.1:8080"),
        ("127.0.0.1:8080", "[::1]:8080"),
        ("0.0.0.0:8080", "192.0.2.1:8080"),
        ("0.0.0.0:8080", "app:8080"),
        ("127.0.0.1:0", "127.0.0.1:8080"),
        ("0.0.0.0:8080", "unix:/8080"),
    ] {
        assert_eq!(warnings(&[listener], server), [""; 0], "{server} behind {listener}");
    }
}
