//! `upstreams`: names and the servers behind them. Nothing is looked up here: a server that is away is no error of the file.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use super::pick::{Pick, pick};
use super::section::Section;
use super::{leaf, servers};
use crate::config::error::{Report, quote};
use crate::config::raw::Entry;
use crate::config::source::Span;
use crate::config::words::{BALANCES, BalanceWord, LATER_PROTOCOLS, PROTOCOLS, word_for};
use crate::config::{ListenerSpec, defaults, schema};
use crate::upstream::{Balance, HashOn, Http2Spec, Protocol, UpstreamSpec};

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

/// `upstreams`; paths are relative to `base`.
pub(super) fn resolve<'n>(file: &Section<'n>, base: &Path, listeners: &[ListenerSpec], report: &mut Report<'_>) -> Upstreams<'n> {
    let entries = file.required_names("upstreams", report);
    let list: Vec<_> = entries.map(|(entry, section)| upstream(entry, section, base, listeners, report)).collect();
    let positions = list.iter().enumerate().map(|(position, upstream)| (upstream.name, position)).collect();
    Upstreams { list, positions }
}

fn upstream<'n>(
    entry: &'n Entry,
    section: Option<Section<'n>>,
    base: &Path,
    listeners: &[ListenerSpec],
    report: &mut Report<'_>,
) -> Upstream<'n> {
    if entry.key.is_empty() || entry.key.contains(char::is_control) {
        report.error(entry.key_span, "this is no name for an upstream", "name it with letters and digits, such as `app`");
    }
    let spec = section.and_then(|section| spec(&entry.key, &section, base, listeners, report)).map(Arc::new);
    Upstream { name: &entry.key, at: entry.key_span, spec }
}

fn spec(
    name: &str,
    upstream: &Section<'_>,
    base: &Path,
    listeners: &[ListenerSpec],
    report: &mut Report<'_>,
) -> Option<UpstreamSpec> {
    let servers = servers::resolve(upstream, base, listeners, report);
    let protocol = leaf::choice(upstream.leaf("protocol"), Protocol::default(), &PROTOCOLS, LATER_PROTOCOLS, report);
    let spec = UpstreamSpec {
        name: name.into(),
        resolve: leaf::duration(upstream.leaf("resolve"), defaults::RESOLVE_INTERVAL, defaults::CHECK_INTERVALS, report),
        balance: balance(upstream, report),
        protocol,
        http2: http2(upstream, protocol, report),
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
    let is_meant = upstream.leaf("protocol").is_none_or(|leaf| leaf.text() == word_for(&PROTOCOLS, &protocol));
    if protocol == Protocol::Http1 && is_meant && upstream.has("h2") {
        report.error(
            upstream.key_span("h2"),
            "`h2` says nothing to `protocol: http1`",
            "write `protocol: h2c` if the servers speak HTTP/2 in cleartext, else remove `h2`",
        );
    }
    let mut window = |key, default: u32| {
        let size = leaf::size(h2.leaf(key), default as usize, defaults::WINDOWS, report);
        u32::try_from(size).unwrap_or(u32::MAX)
    };
    Http2Spec {
        stream_window: window("stream_window", default.stream_window),
        connection_window: window("connection_window", default.connection_window),
        streams: leaf::small_number(h2.leaf("streams"), default.streams, 1..=defaults::MOST_STREAMS, report),
    }
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
