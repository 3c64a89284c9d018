//! From the mirror to a [`Config`]: what the values mean, and all that is wrong with them.
//!
//! One file a section of the contract; [`leaf`] has the typed helpers that all use. Where a value cannot be used, its default stands
//! in so that the rest is still looked at; such a `Config` never leaves [`super::load()`], because the problem was reported. Unknown
//! keys and wrong forms were reported by [`super::schema`] and are passed over here.

mod leaf;
mod listeners;
mod process;
mod routes;
mod section;
mod upstreams;

use super::Config;
use super::error::Report;
use super::raw::Node;
use crate::route::RouteTable;
use section::Section;

/// The configuration that `root` says; to be thrown away when `report` has errors.
pub(super) fn resolve(root: &Node, report: &mut Report<'_>) -> Config {
    let file = Section::file(root);
    let (listeners, admin) = listeners::resolve(&file, report);
    let timeouts = process::timeouts(&file, report);
    let upstreams = upstreams::resolve(&file, report);
    let routes = routes::resolve(&file, &timeouts.route, &upstreams, report);
    Config {
        listeners,
        admin,
        threads: process::threads(&file, report),
        limits: process::limits(&file, report),
        timeouts: timeouts.client,
        drain: process::drain(&file, report),
        upstreams: upstreams.into_specs(),
        routes: RouteTable::new(routes),
    }
}

#[cfg(test)]
mod tests;
