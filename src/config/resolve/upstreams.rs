//! `upstreams`: names and the servers behind them. Nothing is looked up here: a server that is away is no error of the file.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use super::pick::{Pick, pick};
use super::section::Section;
use super::{Outside, tls};
use super::{leaf, servers};
use crate::config::error::{Report, quote};
use crate::config::raw::Entry;
use crate::config::source::Span;
use crate::config::words::{BALANCES, BalanceWord, PROTOCOLS, word_for};
use crate::config::{ListenerSpec, defaults, schema};
use crate::tls::ClientTlsSpec;
use crate::upstream::{Balance, HashOn, Http2Spec, Protocol, ServerSpec, UpstreamSpec};

/// All upstreams of the file, also those whose servers cannot be used: a route that names one of them names something.
#[derive(Debug)]
pub(super) struct Upstreams<'n> {
    list: Vec<Upstream<'n>>,
    positions: HashMap<&'n str, usize>,
}

#[derive(Debug)]
struct Upstream<'n> {
    name: &'n str,
    at: Span,
    spec: Option<Arc<UpstreamSpec>>,
}

impl Upstreams<'_> {
    /// The position of the upstream called `name`.
    pub(super) fn find(&self, name: &str) -> Option<usize> {
        self.positions.get(name).copied()
    }

    /// What the file says of it; `None` when that cannot be used.
    pub(super) fn spec(&self, position: usize) -> Option<Arc<UpstreamSpec>> {
        self.list.get(position)?.spec.clone()
    }

    /// The name nearest to `name`.
    pub(super) fn nearest(&self, name: &str) -> Option<&str> {
        schema::nearest(name, self.list.iter().map(|upstream| upstream.name))
    }

    /// Warns of those that no route uses.
    pub(super) fn warn_unused(&self, is_used: impl Fn(usize) -> bool, report: &mut Report<'_>) {
        for (position, upstream) in self.list.iter().enumerate() {
            if !is_used(position) {
                let message = format!("no route uses the upstream {}", quote(upstream.name));
                report.warning(upstream.at, message, "name it in a route, or remove it");
            }
        }
    }

    /// Those that can be used, in the order of the file.
    pub(super) fn into_specs(self) -> Vec<Arc<UpstreamSpec>> {
        self.list.into_iter().filter_map(|upstream| upstream.spec).collect()
    }
}

/// What an upstream is held against.
pub(super) struct Around<'a> {
    /// What paths are relative to.
    pub(super) base: &'a Path,
    pub(super) listeners: &'a [ListenerSpec],
    pub(super) outside: &'a dyn Outside,
}

/// `upstreams`.
pub(super) fn resolve<'n>(file: &Section<'n>, around: &Around<'_>, report: &mut Report<'_>) -> Upstreams<'n> {
    let entries = file.required_names("upstreams", report);
    let list: Vec<_> = entries.map(|(entry, section)| upstream(entry, section, around, report)).collect();
    let positions = list.iter().enumerate().map(|(position, upstream)| (upstream.name, position)).collect();
    Upstreams { list, positions }
}

fn upstream<'n>(entry: &'n Entry, section: Option<Section<'n>>, around: &Around<'_>, report: &mut Report<'_>) -> Upstream<'n> {
    if entry.key.is_empty() || entry.key.contains(char::is_control) {
        report.error(entry.key_span, "this is no name for an upstream", "name it with letters and digits, such as `app`");
    }
    let spec = section.and_then(|section| spec(&entry.key, &section, around, report)).map(Arc::new);
    Upstream { name: &entry.key, at: entry.key_span, spec }
}

fn spec(name: &str, upstream: &Section<'_>, around: &Around<'_>, report: &mut Report<'_>) -> Option<UpstreamSpec> {
    let servers = servers::resolve(upstream, around.base, around.listeners, report);
    let (protocol, needs_tls) = leaf::choice(upstream.leaf("protocol"), (Protocol::default(), false), &PROTOCOLS, &[], report);
    let tls = own_tls(upstream, protocol, needs_tls, &servers, around, report);
    let spec = UpstreamSpec {
        name: name.into(),
        resolve: leaf::duration(upstream.leaf("resolve"), defaults::RESOLVE_INTERVAL, defaults::CHECK_INTERVALS, report),
        balance: balance(upstream, report),
        protocol,
        http2: http2(upstream, protocol, report),
        tls,
        keep_alive: leaf::duration_or_off(
            upstream.leaf("keep_alive"),
            Some(defaults::SERVER_KEEP_ALIVE),
            defaults::TIMEOUTS,
            report,
        ),
        health: servers::health(upstream, report),
        ejection: servers::ejection(upstream, report),
        servers,
    };
    (!spec.servers.is_empty()).then_some(spec)
}

/// `h2`, which only connections over HTTP/2 look at.
fn http2(upstream: &Section<'_>, protocol: Protocol, report: &mut Report<'_>) -> Http2Spec {
    let (h2, default) = (upstream.section("h2"), defaults::http2());
    let is_meant = upstream.leaf("protocol").is_none_or(|leaf| leaf.text() == word_for(&PROTOCOLS, &(protocol, false)));
    if protocol == Protocol::Http1 && is_meant && upstream.has("h2") {
        report.error(
            upstream.key_span("h2"),
            "`h2` says nothing to `protocol: http1`",
            "write `protocol: h2c` if the servers speak HTTP/2 in cleartext, `protocol: h2` if over TLS, else remove `h2`",
        );
    }
    Http2Spec {
        stream_window: leaf::window(h2.leaf("stream_window"), default.stream_window, report),
        connection_window: leaf::window(h2.leaf("connection_window"), default.connection_window, report),
        streams: leaf::small_number(h2.leaf("streams"), default.streams, 1..=defaults::MOST_STREAMS, report),
    }
}

/// `tls`, which must fit to the protocol and to the servers.
fn own_tls(
    upstream: &Section<'_>,
    protocol: Protocol,
    needs_tls: bool,
    servers: &[ServerSpec],
    around: &Around<'_>,
    report: &mut Report<'_>,
) -> Option<ClientTlsSpec> {
    if protocol == Protocol::Http2 && !needs_tls && upstream.switched_on("tls").is_some() {
        let message = "`protocol: h2c` is HTTP/2 in cleartext, and `tls` says otherwise";
        report.error(upstream.key_span("tls"), message, "write `protocol: h2`, or remove `tls`");
        return None;
    }
    if needs_tls && upstream.is_off("tls") {
        report.error(upstream.key_span("tls"), "`protocol: h2` goes over TLS", "write `protocol: h2c`, or remove `tls: off`");
        return None;
    }
    let before = report.errors();
    let spec = tls::upstream(upstream, needs_tls, around.base, around.outside, report)?;
    let nameless = servers.iter().find(|server| server.address.tls_name(&spec).is_none());
    if let Some(server) = nameless.filter(|_| report.errors() == before) {
        let message = format!("no certificate can have the name of the server {}", quote(&server.address.to_string()));
        let at = upstream.key_span(if upstream.has("tls") { "tls" } else { "protocol" });
        report.error(at, message, "write `tls: { server_name: NAME }`, the name that its certificate has");
    }
    Some(spec)
}

/// `balance` and `hash_on`, which only `hash` looks at.
fn balance(upstream: &Section<'_>, report: &mut Report<'_>) -> Balance {
    let word = leaf::choice(upstream.leaf("balance"), BalanceWord::LeastStreams, &BALANCES, &[], report);
    let hash_on = match pick(upstream.leaf("hash_on"), &["client", "path"], report) {
        Some(Pick::Header(name)) => HashOn::Header(name),
        Some(Pick::Cookie(name)) => HashOn::Cookie(name),
        Some(Pick::Word("path")) => HashOn::Path,
        Some(Pick::Word(_)) | None => HashOn::Client,
    };
    let is_meant = upstream.leaf("balance").is_none_or(|leaf| leaf.text() == word_for(&BALANCES, &word));
    if word != BalanceWord::Hash && is_meant && upstream.has("hash_on") {
        let message = format!("`hash_on` says nothing to `balance: {}`", word_for(&BALANCES, &word));
        report.error(upstream.key_span("hash_on"), message, "write `balance: hash`, or remove `hash_on`");
    }
    match word {
        BalanceWord::LeastStreams => Balance::LeastStreams,
        BalanceWord::RoundRobin => Balance::RoundRobin,
        BalanceWord::Random => Balance::Random,
        BalanceWord::Hash => Balance::Hash(hash_on),
    }
}
