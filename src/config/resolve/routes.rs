//! `routes`: which upstream, and how its streams are treated. The first match wins, so order is kept.

use std::collections::HashSet;
use std::sync::Arc;

use super::leaf;
use super::section::Section;
use super::upstreams::Upstreams;
use crate::config::defaults;
use crate::config::error::{Report, quote};
use crate::config::source::Span;
use crate::route::{Route, RouteTimeouts};
use crate::stream::{FrameChoice, HeartbeatPolicy, StreamPolicy};

const FRAMES: [(&str, FrameChoice); 3] = [("auto", FrameChoice::Auto), ("line", FrameChoice::Line), ("block", FrameChoice::Block)];

/// `routes`; warns of upstreams that none of them uses.
pub(super) fn resolve(
    file: &Section<'_>,
    timeouts: &RouteTimeouts,
    upstreams: &Upstreams<'_>,
    report: &mut Report<'_>,
) -> Vec<Route> {
    let mut routes = Vec::new();
    let mut named = Vec::new();
    let mut catches_all: Option<Span> = None;
    for (position, route) in file.required_sections("routes", report) {
        match catches_all {
            Some(first) => refuse_unreachable(&route, first, report),
            None if !route.has("match") => catches_all = Some(route.span()),
            None => {}
        }
        let upstream = upstream(&route, upstreams, report);
        let stream = stream_policy(&route, timeouts, report);
        if let Some(upstream) = upstream.and_then(|upstream| upstreams.spec(upstream)) {
            routes.push(Route { name: position.to_string().into(), upstream, stream: Arc::new(stream), timeouts: *timeouts });
        }
        named.push(upstream);
    }
    warn_unused(upstreams, &named, report);
    routes
}

/// Says nothing when a route names what is not there: it may mean the one that seems unused.
fn warn_unused(upstreams: &Upstreams<'_>, named: &[Option<usize>], report: &mut Report<'_>) {
    let used: Option<HashSet<usize>> = named.iter().copied().collect();
    if let Some(used) = used.filter(|used| !used.is_empty()) {
        upstreams.warn_unused(|position| used.contains(&position), report);
    }
}

fn refuse_unreachable(route: &Section<'_>, first: Span, report: &mut Report<'_>) {
    let message = format!("this route is never reached: the one on line {} takes every request", first.line);
    report.error(route.span(), message, "remove one of them");
}

/// The position of the route's upstream among all.
fn upstream(route: &Section<'_>, upstreams: &Upstreams<'_>, report: &mut Report<'_>) -> Option<usize> {
    let leaf = route.required_leaf("upstream", report)?;
    let position = upstreams.find(leaf.text());
    if position.is_none() {
        let fix = upstreams.nearest(leaf.text()).map(|name| format!("did you mean {}?", quote(name)));
        leaf.refuse_with_fix("is not one of the `upstreams`", fix, "name one of the `upstreams`, or add it there", report);
    }
    position
}

fn stream_policy(route: &Section<'_>, timeouts: &RouteTimeouts, report: &mut Report<'_>) -> StreamPolicy {
    StreamPolicy {
        heartbeat: heartbeat(route, report),
        strict_no_transform: false,
        max_upstream_silence: None,
        max_age: None,
        write_stall: timeouts.write_stall,
    }
}

fn heartbeat(route: &Section<'_>, report: &mut Report<'_>) -> Option<HeartbeatPolicy> {
    if route.is_off("heartbeat") {
        return None;
    }
    let heartbeat = route.section("heartbeat");
    let HeartbeatPolicy { interval, frame, text } = defaults::heartbeat();
    Some(HeartbeatPolicy {
        interval: leaf::duration(heartbeat.leaf("interval"), interval, defaults::HEARTBEAT_INTERVALS, report),
        frame: leaf::choice(heartbeat.leaf("frame"), frame, &FRAMES, report),
        text: heartbeat_text(&heartbeat, text, report),
    })
}

/// A line end in the text would end the comment and start a field (WHATWG HTML section 9.2.5).
fn heartbeat_text(heartbeat: &Section<'_>, default: String, report: &mut Report<'_>) -> String {
    let Some(leaf) = heartbeat.leaf("text") else { return default };
    match leaf.text() {
        text if text.contains(['\r', '\n', '\0']) => leaf.refuse("has a line end or a NUL in it", "write one line of text", report),
        text if text.len() > defaults::LONGEST_HEARTBEAT_TEXT => {
            leaf.refuse("is too long", format!("write at most {} bytes", defaults::LONGEST_HEARTBEAT_TEXT), report);
        }
        text => return text.to_owned(),
    }
    default
}
