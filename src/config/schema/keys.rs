//! The tables of keys: the whole contract, section by section.
//!
//! A key that this version has says its form and an example; one that it has not yet is listed with [`later`], so that it is told
//! from a typing error. To bring a key, give its line a form and read it in [`crate::config::resolve`].

use super::{Form, Key};

pub(in crate::config) const FILE: &[Key] = &[
    key("listeners", Form::List(&Form::Section(LISTENER)), "[ { address: \"0.0.0.0:8080\" } ]"),
    key("admin", Form::Switch(ADMIN), "{ address: \"127.0.0.1:9180\" }"),
    key("threads", Form::Value, "auto"),
    key("limits", Form::Section(LIMITS), "{ request_head: 64KiB }"),
    key("timeouts", Form::Section(TIMEOUTS), "{ connect: 5s }"),
    key("drain", Form::Section(DRAIN), "{ deadline: 25s }"),
    key("upstreams", Form::Named(&Form::Section(UPSTREAM)), "{ app: { servers: [ \"127.0.0.1:3000\" ] } }"),
    key("routes", Form::List(&Form::Section(ROUTE)), "[ { upstream: app } ]"),
    // many
    later("trusted_proxies"),
    later("forwarded"),
    later("log"),
    // edge, survive
    later("reload"),
];

const LISTENER: &[Key] = &[
    key("address", Form::Value, "\"0.0.0.0:8080\""),
    // edge
    later("h2"),
    later("tls"),
    later("proxy_protocol"),
    later("redirect_to_https"),
];

const ADMIN: &[Key] = &[
    key("address", Form::Value, "\"127.0.0.1:9180\""),
    // survive
    later("token"),
];

const LIMITS: &[Key] = &[
    key("request_head", Form::Value, "64KiB"),
    // many
    later("connections"),
    later("connections_per_client"),
    later("streams"),
    // edge
    later("connect_rate_per_client"),
    later("request_body"),
    // survive
    later("event"),
    later("held"),
];

const TIMEOUTS: &[Key] = &[
    key("request_head", Form::Value, "10s"),
    key("connect", Form::Value, "5s"),
    key("response_head", Form::Value, "300s"),
    key("write_stall", Form::Value, "60s"),
    key("keep_alive", Form::Value, "75s"),
    // many
    later("request_body_idle"),
    later("response_body_idle"),
    // shapes
    later("tunnel_idle"),
];

const DRAIN: &[Key] = &[
    key("deadline", Form::Value, "25s"),
    // many
    later("lag"),
    later("spread"),
];

const UPSTREAM: &[Key] = &[
    key("servers", Form::List(&Form::Server), "[ \"127.0.0.1:3000\" ]"),
    // many
    later("resolve"),
    later("balance"),
    later("hash_on"),
    later("keep_alive"),
    later("health"),
    later("ejection"),
    // shapes
    later("protocol"),
    later("h2"),
    // edge
    later("tls"),
];

const ROUTE: &[Key] = &[
    key("upstream", Form::Value, "app"),
    key("heartbeat", Form::Switch(HEARTBEAT), "{ interval: 15s }"),
    // many
    later("match"),
    later("timeouts"),
    later("strict_no_transform"),
    later("max_upstream_silence"),
    later("max_age"),
    later("sticky"),
    later("caps"),
    // shapes
    later("upgrades"),
    // edge
    later("redirect"),
    later("rewrite"),
    later("host"),
    later("request_headers"),
    later("response_headers"),
    later("cors"),
    later("auth"),
    later("soft_errors"),
    // survive
    later("resume"),
    later("retry"),
    later("early_open"),
    later("event_id_affinity"),
];

const HEARTBEAT: &[Key] =
    &[key("interval", Form::Value, "15s"), key("frame", Form::Value, "auto"), key("text", Form::Value, "\"\"")];

const fn key(name: &'static str, form: Form, example: &'static str) -> Key {
    Key { name, form, example }
}

const fn later(name: &'static str) -> Key {
    Key { name, form: Form::Later, example: "" }
}
