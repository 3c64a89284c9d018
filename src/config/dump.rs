//! From a [`Config`] back to YAML: every key with the value that holds, defaults included. Secrets are `***`, and only they keep the
//! result from being read again as the same configuration. It follows the tables of [`super::schema`]; a test compares the two.

mod yaml;

use std::num::NonZeroU32;
use std::time::Duration;

use super::resolve::show_host;
use super::units::{show_duration, show_size};
use super::words::{
    BALANCES, BalanceWord, CLIENT_AUTHS, ClientAuthWord, FORMATS, FORWARDED, FRAMES, LEVELS, OVER_CAPS, PROTOCOLS, PROXY_PROTOCOLS,
    SAME_SITES, word_for,
};
use super::{AccessLog, Config, ListenerHttp2, ListenerSpec};
use crate::affinity::StickyPolicy;
use crate::client_id::ClientSource;
use crate::message::cors::{CorsPolicy, Origins};
use crate::message::{HeaderEdits, SetField};
use crate::route::{Action, AuthPolicy, HostField, PathPattern, Route, RouteMatch};
use crate::stream::{HeartbeatPolicy, MaxAge};
use crate::tls::{CertificateSpec, ClientAuth, ClientTlsSpec, ServerTlsSpec};
use crate::upstream::{Balance, HashOn, HealthCheck, HealthSpec, Http2Spec, Protocol, ServerSpec, UpstreamSpec};
use yaml::Yaml;

/// What stands for a secret.
const MASK: &str = "***";

/// `config` as a file.
#[must_use]
pub fn dump(config: &Config) -> String {
    let upstreams = config.upstreams.iter().map(|spec| (Yaml::key(&spec.name), upstream(spec)));
    let file = Yaml::map([
        ("listeners", Yaml::list(config.listeners.iter().map(listener))),
        ("trusted_proxies", Yaml::list(config.trusted_proxies.networks.iter().map(Yaml::text))),
        ("admin", config.admin.map_or_else(Yaml::off, |address| Yaml::map([("address", Yaml::text(address))]))),
        ("threads", Yaml::word(config.threads)),
        ("limits", limits(config)),
        ("timeouts", timeouts(config)),
        ("drain", drain(config)),
        ("forwarded", Yaml::word(word_for(&FORWARDED, &config.forwarded))),
        ("log", log(config)),
        ("reload", Yaml::map([("watch", Yaml::word(config.watch))])),
        ("upstreams", Yaml::map(upstreams)),
        ("routes", Yaml::list(config.routes.iter().map(|each| route(each)))),
    ]);
    file.to_string()
}

fn listener(listener: &ListenerSpec) -> Yaml {
    let tls = listener.tls.as_ref().map_or_else(Yaml::off, listener_tls);
    Yaml::map([
        ("address", Yaml::text(listener.address)),
        ("h2", listener_http2(&listener.http2)),
        ("tls", tls),
        ("proxy_protocol", Yaml::word(word_for(&PROXY_PROTOCOLS, &listener.proxy_protocol))),
        ("redirect_to_https", listener.redirect_to_https.map_or_else(Yaml::off, Yaml::word)),
    ])
}

fn listener_tls(spec: &ServerTlsSpec) -> Yaml {
    let mut entries = vec![("certificates", Yaml::list(spec.certificates.iter().map(|each| Yaml::map(certificate(each)))))];
    let (word, ca) = match &spec.client_auth {
        ClientAuth::None => (ClientAuthWord::None, None),
        ClientAuth::Optional(ca) => (ClientAuthWord::Optional, Some(ca)),
        ClientAuth::Required(ca) => (ClientAuthWord::Required, Some(ca)),
    };
    entries.extend(ca.map(|ca| ("client_ca", Yaml::text(ca.display()))));
    entries.push(("client_auth", Yaml::word(word_for(&CLIENT_AUTHS, &word))));
    Yaml::map(entries)
}

fn certificate(spec: &CertificateSpec) -> [(&'static str, Yaml); 2] {
    [("cert", Yaml::text(spec.cert.display())), ("key", Yaml::text(spec.key.display()))]
}

fn upstream_tls(spec: &ClientTlsSpec) -> Yaml {
    let mut entries = Vec::new();
    entries.extend(spec.server_name.as_ref().map(|name| ("server_name", Yaml::text(name))));
    entries.extend(spec.ca.as_ref().map(|ca| ("ca", Yaml::text(ca.display()))));
    entries.extend(spec.identity.iter().flat_map(certificate));
    Yaml::map(entries)
}

fn duration(value: Duration) -> Yaml {
    Yaml::word(show_duration(value))
}

fn listener_http2(http2: &ListenerHttp2) -> Yaml {
    Yaml::map([
        ("streams", Yaml::word(http2.streams)),
        ("stream_window", Yaml::word(show_size(http2.stream_window.into()))),
        ("connection_window", Yaml::word(show_size(http2.connection_window.into()))),
        ("idle", duration(http2.idle)),
    ])
}

/// 0 is none.
fn cap(value: Option<u32>) -> Yaml {
    Yaml::word(value.unwrap_or(0))
}

fn limits(config: &Config) -> Yaml {
    let limits = &config.limits;
    Yaml::map([
        ("request_head", Yaml::word(show_size(limits.request_head as u64))),
        ("request_body", limits.request_body.map_or_else(|| Yaml::word(0), |size| Yaml::word(show_size(size)))),
        ("connections", limits.connections.map_or_else(|| Yaml::word("auto"), Yaml::word)),
        ("connections_per_client", cap(limits.connections_per_client)),
        ("connect_rate_per_client", cap(limits.connect_rate_per_client.map(NonZeroU32::get))),
        ("streams", cap(limits.streams)),
    ])
}

fn timeouts(config: &Config) -> Yaml {
    Yaml::map([
        ("request_head", duration(config.timeouts.request_head)),
        ("request_body_idle", duration(config.inherited.request_body_idle)),
        ("connect", duration(config.inherited.connect)),
        ("response_head", duration(config.inherited.response_head)),
        ("response_body_idle", duration(config.inherited.response_body_idle)),
        ("write_stall", duration(config.timeouts.write_stall)),
        ("keep_alive", duration(config.timeouts.keep_alive)),
        ("tunnel_idle", duration(config.inherited.tunnel_idle)),
    ])
}

fn drain(config: &Config) -> Yaml {
    let drain = &config.drain;
    Yaml::map([("lag", duration(drain.lag)), ("spread", duration(drain.spread)), ("deadline", duration(drain.deadline))])
}

fn log(config: &Config) -> Yaml {
    let access = match &config.log.access {
        AccessLog::Stdout => Yaml::word("stdout"),
        AccessLog::Off => Yaml::off(),
        AccessLog::File(path) => Yaml::text(path.display()),
    };
    Yaml::map([
        ("level", Yaml::word(word_for(&LEVELS, &config.log.level))),
        ("format", Yaml::word(word_for(&FORMATS, &config.log.format))),
        ("access", access),
    ])
}

fn upstream(spec: &UpstreamSpec) -> Yaml {
    let server = |server: &ServerSpec| Yaml::map([("address", Yaml::text(&server.address)), ("weight", Yaml::word(server.weight))]);
    let (balance, hash_on) = match &spec.balance {
        Balance::LeastStreams => (BalanceWord::LeastStreams, None),
        Balance::RoundRobin => (BalanceWord::RoundRobin, None),
        Balance::Random => (BalanceWord::Random, None),
        Balance::Hash(hash_on) => (BalanceWord::Hash, Some(hash_on)),
    };
    let mut entries = vec![
        ("servers", Yaml::list(spec.servers.iter().map(server))),
        ("resolve", duration(spec.resolve)),
        ("balance", Yaml::word(word_for(&BALANCES, &balance))),
    ];
    entries.extend(hash_on.map(|hash_on| {
        let text = match hash_on {
            HashOn::Client => "client".to_owned(),
            HashOn::Path => "path".to_owned(),
            HashOn::Header(name) => format!("header:{name}"),
            HashOn::Cookie(name) => format!("cookie:{name}"),
        };
        ("hash_on", Yaml::text(text))
    }));
    let over_tls = spec.protocol == Protocol::Http2 && spec.tls.is_some();
    entries.push(("protocol", Yaml::word(word_for(&PROTOCOLS, &(spec.protocol, over_tls)))));
    entries.extend((spec.protocol == Protocol::Http2).then(|| ("h2", http2(&spec.http2))));
    entries.extend([
        ("tls", spec.tls.as_ref().map_or_else(Yaml::off, upstream_tls)),
        ("keep_alive", spec.keep_alive.map_or_else(Yaml::off, duration)),
        ("health", spec.health.as_ref().map_or_else(Yaml::off, health)),
        ("ejection", Yaml::map([("failures", Yaml::word(spec.ejection.failures)), ("for", duration(spec.ejection.duration))])),
    ]);
    Yaml::map(entries)
}

fn http2(http2: &Http2Spec) -> Yaml {
    Yaml::map([
        ("streams", Yaml::word(http2.streams)),
        ("stream_window", Yaml::word(show_size(http2.stream_window.into()))),
        ("connection_window", Yaml::word(show_size(http2.connection_window.into()))),
    ])
}

fn health(health: &HealthSpec) -> Yaml {
    let check = match &health.check {
        HealthCheck::Http(path) => ("path", Yaml::text(path)),
        HealthCheck::Tcp => ("tcp", Yaml::word(true)),
    };
    Yaml::map([
        check,
        ("interval", duration(health.interval)),
        ("timeout", duration(health.timeout)),
        ("rise", Yaml::word(health.rise)),
        ("fall", Yaml::word(health.fall)),
    ])
}

fn route(route: &Route) -> Yaml {
    let matcher = ("match", matcher(&route.matcher));
    match &route.action {
        Action::Forward(upstream) => forward(matcher, upstream, route),
        Action::Redirect(redirect) => {
            let redirect = Yaml::map([("to", Yaml::text(&redirect.to)), ("status", Yaml::word(redirect.status))]);
            Yaml::map([matcher, ("redirect", redirect), ("rewrite", rewrite(route)), response_headers(route), cors_of(route)])
        }
    }
}

fn forward(matcher: (&'static str, Yaml), upstream: &UpstreamSpec, route: &Route) -> Yaml {
    let timeouts = &route.timeouts;
    Yaml::map([
        matcher,
        ("upstream", Yaml::text(&upstream.name)),
        ("rewrite", rewrite(route)),
        ("host", host(&route.host)),
        ("auth", route.auth.as_ref().map_or_else(Yaml::off, auth)),
        ("request_headers", headers(route.request_headers.as_deref())),
        response_headers(route),
        ("upgrades", Yaml::list(route.upgrades.iter().map(Yaml::text))),
        (
            "timeouts",
            Yaml::map([
                ("response_head", duration(timeouts.response_head)),
                ("response_body_idle", duration(timeouts.response_body_idle)),
                ("write_stall", duration(timeouts.write_stall)),
            ]),
        ),
        ("heartbeat", route.stream.heartbeat.as_ref().map_or_else(Yaml::off, heartbeat)),
        ("strict_no_transform", Yaml::word(route.stream.strict_no_transform)),
        ("max_upstream_silence", route.stream.max_upstream_silence.map_or_else(Yaml::off, duration)),
        ("max_age", route.stream.max_age.as_ref().map_or_else(Yaml::off, max_age)),
        ("sticky", route.sticky.as_ref().map_or_else(Yaml::off, sticky)),
        ("caps", caps(route)),
        cors_of(route),
        ("soft_errors", Yaml::word(route.soft_errors)),
    ])
}

fn cors_of(route: &Route) -> (&'static str, Yaml) {
    ("cors", route.cors.as_ref().map_or_else(Yaml::off, cors))
}

fn rewrite(route: &Route) -> Yaml {
    let rewrite = route.rewrite.iter();
    let prefixes = rewrite.flat_map(|rewrite| [("strip_prefix", &rewrite.strip_prefix), ("add_prefix", &rewrite.add_prefix)]);
    Yaml::map(prefixes.filter_map(|(key, prefix)| Some((key, Yaml::text(prefix.as_ref()?)))))
}

fn host(host: &HostField) -> Yaml {
    match host {
        HostField::Preserve => Yaml::word("preserve"),
        HostField::Upstream => Yaml::word("upstream"),
        HostField::Literal(host) => Yaml::text(host),
    }
}

fn auth(auth: &AuthPolicy) -> Yaml {
    Yaml::map([
        ("upstream", Yaml::text(&auth.upstream.name)),
        ("path", Yaml::text(&auth.path)),
        ("copy", Yaml::list(auth.copy.iter().map(Yaml::text))),
    ])
}

fn response_headers(route: &Route) -> (&'static str, Yaml) {
    ("response_headers", headers(route.response_headers.as_deref()))
}

fn headers(edits: Option<&HeaderEdits>) -> Yaml {
    let value = |field: &SetField| match field.value.is_sensitive() {
        true => Yaml::text(MASK),
        false => Yaml::text(String::from_utf8_lossy(field.value.as_bytes())),
    };
    let edits = edits.into_iter();
    Yaml::map(edits.flat_map(|edits| {
        let set = edits.set.iter().map(|field| (Yaml::key(&field.spelled), value(field)));
        [("set", Yaml::map(set)), ("remove", Yaml::list(edits.remove.iter().map(Yaml::text)))]
    }))
}

/// Without the keys that narrow nothing: what takes all has no other spelling.
fn matcher(matcher: &RouteMatch) -> Yaml {
    let mut entries = Vec::new();
    if !matcher.hosts.is_empty() {
        entries.push(("host", Yaml::list(matcher.hosts.iter().map(|host| Yaml::text(show_host(host))))));
    }
    match &matcher.path {
        PathPattern::Any => {}
        PathPattern::Exact(path) => entries.push(("path", Yaml::text(path))),
        PathPattern::Prefix(path) => entries.push(("path_prefix", Yaml::text(path))),
    }
    if !matcher.methods.is_empty() {
        entries.push(("methods", Yaml::list(matcher.methods.iter().map(Yaml::text))));
    }
    Yaml::map(entries)
}

fn heartbeat(heartbeat: &HeartbeatPolicy) -> Yaml {
    Yaml::map([
        ("interval", duration(heartbeat.interval)),
        ("frame", Yaml::word(word_for(&FRAMES, &heartbeat.frame))),
        ("text", Yaml::text(&heartbeat.text)),
    ])
}

fn max_age(max_age: &MaxAge) -> Yaml {
    Yaml::map([("after", duration(max_age.after)), ("jitter", Yaml::word(format_args!("{}%", max_age.jitter_percent)))])
}

fn sticky(sticky: &StickyPolicy) -> Yaml {
    let mut entries = vec![
        ("cookie", Yaml::text(&sticky.cookie)),
        ("secrets", Yaml::list(sticky.secrets.iter().map(|_| Yaml::text(MASK)))),
        ("max_age", duration(sticky.max_age)),
        ("same_site", Yaml::word(word_for(&SAME_SITES, &sticky.same_site))),
    ];
    entries.extend(sticky.domain.as_ref().map(|domain| ("domain", Yaml::text(domain))));
    Yaml::map(entries)
}

fn caps(route: &Route) -> Yaml {
    let client = match &route.client.source {
        ClientSource::Ip => "ip".to_owned(),
        ClientSource::Header(name) => format!("header:{name}"),
        ClientSource::Cookie(name) => format!("cookie:{name}"),
    };
    Yaml::map([
        ("streams_per_client", cap(route.caps.streams_per_client)),
        ("streams", cap(route.caps.streams)),
        ("client", Yaml::text(client)),
        ("ipv6_prefix", Yaml::word(route.client.ipv6_prefix)),
        ("over_cap", Yaml::word(word_for(&OVER_CAPS, &route.caps.over_cap))),
    ])
}

fn cors(cors: &CorsPolicy) -> Yaml {
    let origins = match &cors.origins {
        Origins::Any => vec![Yaml::text("*")],
        Origins::Of(origins) => origins.iter().map(Yaml::text).collect(),
    };
    Yaml::map([
        ("origins", Yaml::list(origins)),
        ("credentials", Yaml::word(cors.credentials)),
        ("headers", Yaml::list(cors.headers.iter().map(Yaml::text))),
        ("max_age", duration(cors.max_age)),
    ])
}

#[cfg(test)]
mod tests;
