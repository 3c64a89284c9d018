//! The tables of keys: the whole contract, section by section.
//!
//! A key that this version has says its form and an example; one that it has not yet is listed with [`later`], so that it is told
//! from a typing error. To bring a key, give its line a form, read it in [`crate::config::resolve`], write it in
//! [`crate::config::dump()`] and say what it does in `conf/reference.yaml`; the tests name what was forgotten.

use super::{Form, Key, Presence, Type};
use crate::config::defaults;
use crate::config::words::{
    BALANCES, CLIENT_AUTHS, FORMATS, FORWARDED, FRAMES, LEVELS, OVER_CAPS, PROTOCOLS, PROXY_PROTOCOLS, SAME_SITES, words,
};

const DURATION: Form = Form::Value(Type::Duration);
const TEXT: Form = Form::Value(Type::Text);

pub(in crate::config) const FILE: &[Key] = &[
    required("listeners", Form::List(&Form::Section(LISTENER)), "[ { address: \"0.0.0.0:8080\" } ]"),
    key("trusted_proxies", Form::List(&TEXT), "[ 10.0.0.0/8 ]"),
    key("admin", Form::Switch(ADMIN), "{ address: \"127.0.0.1:9180\" }"),
    key("threads", Form::Value(Type::AutoOr(1, defaults::MOST_THREADS as u64)), "auto"),
    key("limits", Form::Section(LIMITS), "{ request_head: 64KiB }"),
    key("timeouts", Form::Section(TIMEOUTS), "{ connect: 5s }"),
    key("drain", Form::Section(DRAIN), "{ deadline: 25s }"),
    key("forwarded", Form::Value(Type::Choice(&words(&FORWARDED))), "x_forwarded"),
    key("log", Form::Section(LOG), "{ level: info }"),
    required("upstreams", Form::Named(&Form::Section(UPSTREAM)), "{ app: { servers: [ \"127.0.0.1:3000\" ] } }"),
    required("routes", Form::List(&Form::Section(ROUTE)), "[ { upstream: app } ]"),
    key("reload", Form::Section(RELOAD), "{ watch: true }"),
];

const RELOAD: &[Key] = &[key("watch", Form::Value(Type::Flag), "true")];

const LISTENER: &[Key] = &[
    required("address", TEXT, "\"0.0.0.0:8080\""),
    key("h2", Form::Section(LISTENER_H2), "{ streams: 128 }"),
    key("tls", Form::Switch(LISTENER_TLS), "{ certificates: [ { cert: site.pem, key: site.key } ] }"),
    key("proxy_protocol", Form::Value(Type::Choice(&words(&PROXY_PROTOCOLS))), "accept"),
    key("redirect_to_https", Form::Value(Type::NumberOrOff(1, 65_535)), "443"),
];

const LISTENER_H2: &[Key] = &[
    key("streams", Form::Value(Type::Number(1, defaults::MOST_STREAMS)), "128"),
    key("stream_window", Form::Value(Type::Size), "256KiB"),
    key("connection_window", Form::Value(Type::Size), "1MiB"),
    key("idle", DURATION, "75s"),
];

const LISTENER_TLS: &[Key] = &[
    required("certificates", Form::List(&Form::Section(CERTIFICATE)), "[ { cert: site.pem, key: site.key } ]"),
    key("client_ca", TEXT, "clients.pem"),
    key("client_auth", Form::Value(Type::Choice(&words(&CLIENT_AUTHS))), "none"),
];

const CERTIFICATE: &[Key] = &[required("cert", TEXT, "site.pem"), required("key", TEXT, "site.key")];

const ADMIN: &[Key] = &[
    key("address", TEXT, "\"127.0.0.1:9180\""),
    // survive
    later("token"),
];

const LIMITS: &[Key] = &[
    key("request_head", Form::Value(Type::Size), "64KiB"),
    key("request_body", Form::Value(Type::SizeOrZero), "8MiB"),
    key("connections", Form::Value(Type::AutoOr(1, defaults::MOST_CONNECTIONS)), "auto"),
    key("connections_per_client", Form::Value(Type::Number(0, defaults::MOST_CONNECTIONS)), "0"),
    key("connect_rate_per_client", Form::Value(Type::Number(0, defaults::MOST_CONNECTIONS)), "0"),
    key("streams", Form::Value(Type::Number(0, defaults::MOST_CONNECTIONS)), "0"),
    // survive
    later("event"),
    later("held"),
];

const TIMEOUTS: &[Key] = &[
    key("request_head", DURATION, "10s"),
    key("request_body_idle", DURATION, "60s"),
    key("connect", DURATION, "5s"),
    key("response_head", DURATION, "300s"),
    key("response_body_idle", DURATION, "300s"),
    key("write_stall", DURATION, "60s"),
    key("keep_alive", DURATION, "75s"),
    key("tunnel_idle", DURATION, "1h"),
];

const DRAIN: &[Key] = &[key("lag", DURATION, "0s"), key("spread", DURATION, "10s"), key("deadline", DURATION, "25s")];

const LOG: &[Key] = &[
    key("level", Form::Value(Type::Choice(&words(&LEVELS))), "info"),
    key("format", Form::Value(Type::Choice(&words(&FORMATS))), "text"),
    key("access", Form::Value(Type::TextOrOff), "stdout"),
];

const UPSTREAM: &[Key] = &[
    required("servers", Form::List(&Form::ValueOr(Type::Text, SERVER)), "[ \"127.0.0.1:3000\" ]"),
    key("resolve", DURATION, "10s"),
    key("balance", Form::Value(Type::Choice(&words(&BALANCES))), "least_streams"),
    key("hash_on", TEXT, "client"),
    key("protocol", Form::Value(Type::Choice(&words(&PROTOCOLS))), "http1"),
    key("h2", Form::Section(H2), "{ streams: 100 }"),
    key("keep_alive", Form::Value(Type::DurationOrOff), "4s"),
    key("health", Form::Switch(HEALTH), "{ path: /healthz }"),
    key("ejection", Form::Section(EJECTION), "{ failures: 3, for: 10s }"),
    key("tls", Form::Switch(UPSTREAM_TLS), "{ ca: internal.pem }"),
];

const UPSTREAM_TLS: &[Key] = &[
    key("server_name", TEXT, "app.internal"),
    key("ca", TEXT, "internal.pem"),
    key("cert", TEXT, "edge.pem"),
    key("key", TEXT, "edge.key"),
];

const H2: &[Key] = &[
    key("streams", Form::Value(Type::Number(1, defaults::MOST_STREAMS)), "100"),
    key("stream_window", Form::Value(Type::Size), "256KiB"),
    key("connection_window", Form::Value(Type::Size), "25MiB"),
];

const SERVER: &[Key] =
    &[required("address", TEXT, "\"127.0.0.1:3000\""), key("weight", Form::Value(Type::Number(1, defaults::MOST_WEIGHT)), "1")];

const HEALTH: &[Key] = &[
    key("path", TEXT, "/healthz"),
    key("tcp", Form::Value(Type::Flag), "true"),
    key("interval", DURATION, "5s"),
    key("timeout", DURATION, "2s"),
    key("rise", Form::Value(Type::Number(1, defaults::MOST_IN_A_ROW)), "2"),
    key("fall", Form::Value(Type::Number(1, defaults::MOST_IN_A_ROW)), "2"),
];

const EJECTION: &[Key] =
    &[key("failures", Form::Value(Type::Number(1, defaults::MOST_IN_A_ROW)), "3"), key("for", DURATION, "10s")];

const ROUTE: &[Key] = &[
    key("match", Form::Section(MATCH), "{ path_prefix: /events }"),
    key("upstream", TEXT, "app"),
    key("redirect", Form::Switch(REDIRECT), "{ to: \"https://example.com{uri}\" }"),
    key("rewrite", Form::Section(REWRITE), "{ strip_prefix: /api }"),
    key("host", TEXT, "preserve"),
    key("auth", Form::Switch(AUTH), "{ upstream: app, path: /auth }"),
    key("request_headers", Form::Section(HEADERS), "{ set: { X-Tenant: acme } }"),
    key("response_headers", Form::Section(HEADERS), "{ remove: [ Server ] }"),
    key("upgrades", Form::List(&TEXT), "[ websocket ]"),
    key("timeouts", Form::Section(ROUTE_TIMEOUTS), "{ response_head: 300s }"),
    key("heartbeat", Form::Switch(HEARTBEAT), "{ interval: 15s }"),
    key("strict_no_transform", Form::Value(Type::Flag), "false"),
    key("max_upstream_silence", Form::Value(Type::DurationOrOff), "5m"),
    key("max_age", Form::Switch(MAX_AGE), "{ after: 1h }"),
    key("sticky", Form::Switch(STICKY), "{ cookie: ssedge, secrets: [ \"${SSEDGE_STICKY_SECRET}\" ] }"),
    key("caps", Form::Switch(CAPS), "{ streams_per_client: 6 }"),
    key("cors", Form::Switch(CORS), "{ origins: [ \"https://app.example.com\" ] }"),
    key("soft_errors", Form::Value(Type::Flag), "true"),
    // survive
    later("resume"),
    later("retry"),
    later("early_open"),
    later("event_id_affinity"),
];

const MATCH: &[Key] = &[
    key("host", Form::OneOrList(Type::Text), "app.example.com"),
    key("path", TEXT, "/events"),
    key("path_prefix", TEXT, "/events"),
    key("methods", Form::List(&TEXT), "[ GET ]"),
];

const REDIRECT: &[Key] =
    &[required("to", TEXT, "\"https://example.com{uri}\""), key("status", Form::Value(Type::Number(301, 308)), "308")];

const REWRITE: &[Key] = &[key("strip_prefix", TEXT, "/api"), key("add_prefix", TEXT, "/v1")];

const HEADERS: &[Key] = &[key("set", Form::Named(&TEXT), "{ X-Tenant: acme }"), key("remove", Form::List(&TEXT), "[ Server ]")];

const AUTH: &[Key] =
    &[required("upstream", TEXT, "app"), required("path", TEXT, "/auth"), key("copy", Form::List(&TEXT), "[ X-User ]")];

const ROUTE_TIMEOUTS: &[Key] =
    &[key("response_head", DURATION, "300s"), key("response_body_idle", DURATION, "300s"), key("write_stall", DURATION, "60s")];

const HEARTBEAT: &[Key] = &[
    key("interval", DURATION, "15s"),
    key("frame", Form::Value(Type::Choice(&words(&FRAMES))), "auto"),
    key("text", TEXT, "\"\""),
];

const MAX_AGE: &[Key] = &[required("after", DURATION, "1h"), key("jitter", Form::Value(Type::Percent), "10%")];

const STICKY: &[Key] = &[
    required("cookie", TEXT, "ssedge"),
    required("secrets", Form::List(&TEXT), "[ \"${SSEDGE_STICKY_SECRET}\" ]"),
    key("max_age", DURATION, "1h"),
    key("same_site", Form::Value(Type::Choice(&words(&SAME_SITES))), "lax"),
    key("domain", TEXT, "example.com"),
    // survive
    later("header"),
];

const CAPS: &[Key] = &[
    key("streams_per_client", Form::Value(Type::Number(0, defaults::MOST_CONNECTIONS)), "6"),
    key("streams", Form::Value(Type::Number(0, defaults::MOST_CONNECTIONS)), "1000"),
    key("client", TEXT, "ip"),
    key("ipv6_prefix", Form::Value(Type::Number(1, 128)), "64"),
    key("over_cap", Form::Value(Type::Choice(&words(&OVER_CAPS))), "refuse"),
];

const CORS: &[Key] = &[
    required("origins", Form::OneOrList(Type::Text), "[ \"https://app.example.com\" ]"),
    key("credentials", Form::Value(Type::Flag), "true"),
    key("headers", Form::List(&TEXT), "[ Authorization, Last-Event-ID ]"),
    key("max_age", DURATION, "10m"),
];

const fn key(name: &'static str, form: Form, example: &'static str) -> Key {
    Key { name, form, presence: Presence::Optional, example }
}

const fn required(name: &'static str, form: Form, example: &'static str) -> Key {
    Key { name, form, presence: Presence::Required, example }
}

const fn later(name: &'static str) -> Key {
    Key { name, form: Form::Later, presence: Presence::Optional, example: "" }
}
