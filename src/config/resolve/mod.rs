//! From the mirror to a [`Config`]: what the values mean, and all that is wrong with them.
//!
//! One file a section of the contract; [`leaf`] has the typed helpers that all use. Where a value cannot be used, its default stands
//! in so that the rest is still looked at; such a `Config` never leaves [`super::load()`], because the problem was reported. Unknown
//! keys and wrong forms were reported by [`super::schema`] and are passed over here.

mod actions;
mod auth;
mod clients;
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
mod upstreams;

use std::path::Path;

use super::Config;
use super::error::Report;
use super::raw::Node;
use crate::route::RouteTable;

pub(super) use matching::show_host;
use section::Section;

/// The configuration that `root` says, with its paths relative to `base`; to be thrown away when `report` has errors. `is_pipe` says
/// whether a path is a named pipe now.
pub(super) fn resolve(root: &Node, base: &Path, is_pipe: &dyn Fn(&Path) -> bool, report: &mut Report<'_>) -> Config {
    let file = Section::file(root);
    let (listeners, admin) = listeners::resolve(&file, report);
    let timeouts = process::timeouts(&file, report);
    let upstreams = upstreams::resolve(&file, base, &listeners, report);
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
        log: outside::log(&file, base, is_pipe, report),
        upstreams: upstreams.into_specs(),
        inherited: timeouts.route,
        routes: RouteTable::new(routes),
    }
}

#[cfg(test)]
mod tests;
