//! `upstreams`: names and the servers behind them. Nothing is looked up here: a server that is away is no error of the file.

use std::collections::HashMap;
use std::sync::Arc;

use super::leaf::Leaf;
use super::section::Section;
use crate::config::address;
use crate::config::error::{Report, quote};
use crate::config::raw::{Entry, Node};
use crate::config::schema::{self, NOT_YET};
use crate::config::source::Span;
use crate::upstream::{ServerAddress, UpstreamSpec};

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

/// `upstreams`.
pub(super) fn resolve<'n>(file: &Section<'n>, report: &mut Report<'_>) -> Upstreams<'n> {
    let entries = file.required_names("upstreams", report);
    let list: Vec<_> = entries.map(|(entry, section)| upstream(entry, section, report)).collect();
    let positions = list.iter().enumerate().map(|(position, upstream)| (upstream.name, position)).collect();
    Upstreams { list, positions }
}

fn upstream<'n>(entry: &'n Entry, section: Option<Section<'n>>, report: &mut Report<'_>) -> Upstream<'n> {
    if entry.key.is_empty() || entry.key.contains(char::is_control) {
        report.error(entry.key_span, "this is no name for an upstream", "name it with letters and digits, such as `app`");
    }
    let server = section.and_then(|section| only_server(&section, report));
    let spec = server.map(|server| Arc::new(UpstreamSpec { name: entry.key.as_str().into(), server }));
    Upstream { name: &entry.key, at: entry.key_span, spec }
}

fn only_server(upstream: &Section<'_>, report: &mut Report<'_>) -> Option<ServerAddress> {
    let servers = upstream.required_list("servers", report);
    if let Some(second) = servers.get(1) {
        report.error(second.span, format!("a second server {NOT_YET}"), "keep one server for now");
    }
    let mut only = None;
    for node in servers {
        only = only.or(server(node, report));
    }
    only
}

fn server(node: &Node, report: &mut Report<'_>) -> Option<ServerAddress> {
    let leaf = Leaf::of("servers", node)?;
    if leaf.text().starts_with("unix:") {
        report.error(node.span, format!("a unix socket {NOT_YET}"), address::SERVER_FORM);
        return None;
    }
    match address::server(leaf.text()) {
        Ok(address) => Some(address),
        Err(error) => {
            let fix = error.meant.as_ref().map(|meant| format!("write `{meant}`"));
            leaf.refuse_with_fix(&error, fix, address::SERVER_FORM, report);
            None
        }
    }
}
