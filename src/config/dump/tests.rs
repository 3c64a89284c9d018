//! What is dumped is what holds: read again, it is the same configuration.

use super::*;
use crate::config::reference::{self, entries_of};
use crate::config::{Config, parse};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// Everything that can be written, none of it the default.
const FULL: &str = r#"
listeners: [ { address: "127.0.0.1:1", proxy_protocol: accept, redirect_to_https: 8443 }, { address: "[::1]:2", tls: { certificates: [ { cert: /a.pem, key: /a.key } ], client_ca: /b.pem, client_auth: required } } ]
reload: { watch: false }
trusted_proxies: [ 10.0.0.0/8, "fd00::/8" ]
admin: { address: "127.0.0.1:3" }
threads: 3
limits: { request_head: 8KiB, request_body: 3MiB, connections: 1, connections_per_client: 2, connect_rate_per_client: 4, streams: 3 }
timeouts: { request_head: 1s, request_body_idle: 1500ms, connect: 3s, response_head: 4s, response_body_idle: 5s, write_stall: 6s, keep_alive: 1h 30m, tunnel_idle: 2h }
drain: { lag: 1s, spread: 2s, deadline: 1d }
forwarded: rfc7239
log: { level: debug, format: json, access: "/var/log/a b.log" }
upstreams:
  app:
    servers: [ "a:1", { address: "unix:/run/$$a\".sock", weight: 7 } ]
    resolve: 1m
    balance: hash
    hash_on: "header:X-Tenant"
    protocol: h2c
    h2: { streams: 7, stream_window: 65535B, connection_window: 2MiB }
    keep_alive: off
    health: { path: "/h?a=1", interval: 3s, timeout: 1s, rise: 3, fall: 4 }
    ejection: { failures: 5, for: 6s }
  "Zweite: #1": { servers: [ "[::1]:1" ], balance: random, health: { tcp: true } }
  "null": { servers: [ "c:1" ], balance: round_robin, protocol: h2, tls: { server_name: d.e, ca: /c.pem, cert: /e.pem, key: /e.key } }
  h: { servers: [ "d:1" ], balance: hash, hash_on: cookie:c }
routes:
  - match: { host: [ a.b, "*.c.d" ], path: /x, methods: [ GET, POST ] }
    upstream: "Zweite: #1"
    host: app.internal:8080
    auth: { upstream: h, path: "/auth?a=$$1", copy: [ X-User ] }
    request_headers: { set: { authorization: "SECRET", X-Tenant: "a $b" }, remove: [ Referer ] }
    response_headers: { set: { X-Frame-Options: DENY }, remove: [ Server ] }
    rewrite: { strip_prefix: /x, add_prefix: "/y/$$z" }
    upgrades: [ a, b.c ]
    timeouts: { response_head: 7s, response_body_idle: 8s, write_stall: 9s }
    heartbeat: { interval: 1s, frame: block, text: "a \"b\" $${c} \\ \u0007 ä" }
    strict_no_transform: true
    max_upstream_silence: 5m
    max_age: { after: 1h, jitter: 25% }
    sticky: { cookie: c, secrets: [ "SECRET", "SECRETx" ], max_age: 2h, same_site: none }
    caps: { streams_per_client: 1, streams: 2, client: cookie:c, ipv6_prefix: 48 }
    cors: { origins: [ "https://a.b", "http://*.c.d:81" ], credentials: true, headers: [ X-One ], max_age: 0s }
    soft_errors: false
  - { match: { path_prefix: /y }, upstream: app, heartbeat: off }
  - { match: { methods: [ PUT ] }, upstream: "null", sticky: { cookie: d, secrets: [ "SECRET" ], domain: example.com } }
  - { match: { path: /old }, redirect: { to: "/new{query}", status: 301 }, rewrite: { add_prefix: /v0 }, cors: { origins: "https://a.b" } }
  - { upstream: h, upgrades: [], host: upstream, caps: { client: "header:X-User" }, cors: { origins: "*", headers: [] } }
"#;

fn read(text: &str) -> Config {
    let (config, warnings) = parse("f", text, &|_| None).unwrap_or_else(|problems| panic!("{problems}\n{text}"));
    assert!(warnings.is_empty(), "{warnings}\n{text}");
    config
}

fn full() -> Config {
    read(&FULL.replace("SECRET", SECRET))
}

#[test]
fn a_dump_that_is_read_again_is_the_same_configuration() {
    for config in [read(crate::config::defaults::SMALLEST_CONFIG), read(reference::TEXT)] {
        assert_eq!(read(&dump(&config)), config);
    }
    let config = full();
    let dumped = dump(&config);
    let again = dumped.replacen(MASK, SECRET, 2).replacen(MASK, &format!("{SECRET}x"), 1).replacen(MASK, SECRET, 1);
    assert_eq!(read(&again), config, "{dumped}");
}

#[test]
fn secrets_are_masked_and_nothing_else_is_wrong_with_the_dump() {
    let dumped = dump(&full());
    assert!(!dumped.contains(SECRET), "{dumped}");
    let problems = parse("f", &dumped, &|_| None).unwrap_err();
    assert!(problems.iter().all(|problem| problem.message.contains("`secrets`")), "{problems}");
}

#[test]
fn a_dump_shows_every_key() {
    let shown = entries_of(&dump(&full()));
    // The names of upstreams are the user's.
    let names = ["upstreams.NAME"];
    let missing: Vec<_> = reference::entries().into_keys().filter(|path| !shown.contains_key(path)).collect();
    assert_eq!(missing, [""; 0]);
    assert!(names.iter().all(|name| shown.contains_key(*name)));
}

#[test]
fn what_is_left_out_is_shown_with_its_default() {
    let dumped = dump(&read(crate::config::defaults::SMALLEST_CONFIG));
    for line in [
        "  request_head: 64KiB",
        "  spread: 10s",
        "    balance: least_streams",
        "    sticky: off",
        "      interval: 15s",
        "  - match: {}",
    ] {
        assert!(dumped.lines().any(|shown| shown == line), "{line} in\n{dumped}");
    }
}
