//! From the mirror to a [`Config`]: what the values mean, and all that is wrong with them.
//!
//! One file a section of the contract; [`leaf`] has the typed helpers that all use. Where a value cannot be used, its default stands
//! in so that the rest is still looked at; such a `Config` never leaves [`super::load()`], because the problem was reported. Unknown
//! keys and wrong forms were reported by [`super::schema`] and are passed over here.

mod actions;
mod auth;
mod clients;
mod cors;
mod headers;
mod leaf;
mod listeners;
mod matching;
mod outside;
mod pick;
mod pins;
mod process;
mod routes;
mod section;
mod servers;
mod streams;
mod tls;
mod upstreams;

use std::path::Path;

use super::Config;
use super::error::Report;
use super::raw::Node;
use crate::route::RouteTable;
use crate::tls::{ClientTlsSpec, ServerTlsSpec, TlsError};

pub(super) use matching::show_host;
use section::Section;

/// What the text names and does not hold: looked at while it is resolved, so that what cannot run is told by `check`.
pub(super) trait Outside {
    /// The path is a named pipe now.
    fn is_pipe(&self, path: &Path) -> bool;
    /// The files can be used.
    fn server_tls(&self, spec: &ServerTlsSpec) -> Result<(), TlsError>;
    /// The files can be used.
    fn client_tls(&self, spec: &ClientTlsSpec) -> Result<(), TlsError>;
}

/// The configuration that `root` says, with its paths relative to `base`; to be thrown away when `report` has errors.
pub(super) fn resolve(root: &Node, base: &Path, outside: &dyn Outside, report: &mut Report<'_>) -> Config {
    let file = Section::file(root);
    let (listeners, admin) = listeners::resolve(&file, base, outside, report);
    let timeouts = process::timeouts(&file, report);
    let upstreams = upstreams::resolve(&file, &upstreams::Around { base, listeners: &listeners, outside }, report);
    let routes = routes::resolve(&file, &timeouts.route, &upstreams, report);
    Config {
        listeners,
        admin,
        threads: process::threads(&file, report),
        limits: process::limits(&file, report),
        timeouts: timeouts.client,
        drain: process::drain(&file, report),
        trusted_proxies: outside::trusted_proxies(&file, report),
        forwarded: outside::forwarded(&file, report),
        watch: leaf::flag(file.section("reload").leaf("watch"), true, report),
        log: outside::log(&file, base, outside, report),
        upstreams: upstreams.into_specs(),
        inherited: timeouts.route,
        routes: RouteTable::new(routes),
    }
}

#[cfg(test)]
mod tests;
