//! `routes`: which requests, which upstream, and how they are treated. The first match wins, so order is kept.

use std::collections::HashSet;
use std::sync::Arc;

use super::actions::{self, Chosen};
use super::leaf::Leaf;
use super::matching::{self, Earlier};
use super::pick::is_token;
use super::pins::Pins;
use super::section::Section;
use super::upstreams::Upstreams;
use super::{auth, clients, cors, headers, leaf, streams};
use crate::config::defaults;
use crate::config::error::{Report, quote};
use crate::config::source::Span;
use crate::route::{Route, RouteMatch, RouteTimeouts};

/// `routes`; warns of upstreams that none of them uses.
pub(super) fn resolve(
    file: &Section<'_>,
    timeouts: &RouteTimeouts,
    upstreams: &Upstreams<'_>,
    report: &mut Report<'_>,
) -> Vec<Route> {
    let sections: Vec<_> = file.required_sections("routes", report).collect();
    let matches: Vec<_> = sections.iter().map(|(_, section)| matching::resolve(section, report)).collect();
    let mut earlier = Earlier::default();
    let mut pins = Pins::default();
    let mut routes = Vec::new();
    let mut named = Vec::new();
    for ((position, section), matched) in sections.iter().zip(&matches) {
        let matcher = &matched.matcher;
        if let Some((first, wide)) = earlier.find_or_add(matched, section.span()) {
            refuse_unreachable(section, first, wide, report);
        }
        let Chosen { action, names } = actions::resolve(section, upstreams, report);
        let (auth, asked) = auth::resolve(section, upstreams, report);
        let rewrite = actions::rewrite(section, matcher, report);
        let timeouts = own_timeouts(section, timeouts, report);
        let upgrades = upgrades(section, report);
        let stream = streams::resolve(section, &timeouts, report);
        let sticky = clients::sticky(section, matcher, report);
        let (caps, client) = clients::caps(section, report);
        let cors = cors::resolve(section, report);
        let soft_errors = leaf::flag(section.leaf("soft_errors"), defaults::SOFT_ERRORS, report);
        if let Some(action) = action {
            if let (Some(sticky), Some(upstream)) = (&sticky, action.upstream()) {
                pins.add(section.section("sticky").key_span("cookie"), sticky, matcher, upstream, report);
            }
            routes.push(Route {
                name: position.to_string().into(),
                position: *position,
                matcher: matcher.clone(),
                rewrite,
                action,
                host: actions::host(section, report),
                auth,
                request_headers: headers::request(section, report),
                response_headers: headers::response(section, report),
                upgrades,
                stream: Arc::new(stream),
                timeouts,
                sticky,
                caps,
                client,
                cors,
                soft_errors,
            });
        }
        named.push(names.zip(asked).map(|(names, asked)| [names, asked].concat()));
    }
    warn_unused(upstreams, named, report);
    routes
}

/// Says nothing when a route names what is not there: it may mean the one that seems unused.
fn warn_unused(upstreams: &Upstreams<'_>, named: Vec<Option<Vec<usize>>>, report: &mut Report<'_>) {
    let named: Option<Vec<Vec<usize>>> = named.into_iter().collect();
    let used: Option<HashSet<usize>> = named.map(|named| named.into_iter().flatten().collect());
    if let Some(used) = used.filter(|used| !used.is_empty()) {
        upstreams.warn_unused(|position| used.contains(&position), report);
    }
}

fn refuse_unreachable(route: &Section<'_>, first: Span, wide: &RouteMatch, report: &mut Report<'_>) {
    let taken = if *wide == RouteMatch::default() { "every request" } else { "all that it takes" };
    let message = format!("this route is never reached: the one on line {} takes {taken}", first.line);
    report.error(route.span(), message, "put the narrower route first, or remove one of them");
}

/// `upgrades`, in lower case, since names of protocols are compared without it (RFC 9110 section 7.8).
fn upgrades(route: &Section<'_>, report: &mut Report<'_>) -> Arc<[Box<str>]> {
    match route.written_leaves("upgrades") {
        None => defaults::UPGRADES.map(Box::from).into(),
        Some(leaves) => matching::distinct(&leaves, upgrade, Box::clone, report).into(),
    }
}

fn upgrade(leaf: &Leaf<'_>, report: &mut Report<'_>) -> Option<Box<str>> {
    const FORM: &str = "write the name of a protocol, such as `websocket`";
    let name = leaf.text().to_ascii_lowercase();
    match name.split_once('/') {
        _ if name == "h2c" || name.starts_with("h2c/") => leaf.refuse(
            "may never pass: what a client sends inside it would reach the server past all rules of this file",
            "remove it; for servers that speak HTTP/2, write `protocol: h2c` in the upstream",
            report,
        ),
        None if is_token(&name) => return Some(name.into()),
        Some((name, _)) if is_token(name) => {
            let fix = Some(format!("write {}", quote(name)));
            leaf.refuse_with_fix("has a version, and all versions of a protocol pass or none", fix, FORM, report);
        }
        _ => leaf.refuse("names no protocol: a name has letters, digits, `-`, `.` and `_`", FORM, report),
    }
    None
}

/// `timeouts` of the route; what it leaves out it inherits.
fn own_timeouts(route: &Section<'_>, inherited: &RouteTimeouts, report: &mut Report<'_>) -> RouteTimeouts {
    let timeouts = route.section("timeouts");
    let mut read = |key, default| leaf::duration(timeouts.leaf(key), default, defaults::TIMEOUTS, report);
    RouteTimeouts {
        response_head: read("response_head", inherited.response_head),
        response_body_idle: read("response_body_idle", inherited.response_body_idle),
        write_stall: read("write_stall", inherited.write_stall),
        ..*inherited
    }
}
