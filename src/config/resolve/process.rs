//! `threads`, `limits`, `timeouts`, `drain`: what holds for the process as a whole.

use std::num::NonZeroU32;

use super::leaf;
use super::section::Section;
use crate::config::error::Report;
use crate::config::{ClientTimeouts, DrainSpec, Limits, defaults, units};
use crate::route::RouteTimeouts;

/// `timeouts`, by whom they concern.
#[derive(Debug)]
pub(super) struct Timeouts {
    pub(super) client: ClientTimeouts,
    /// What routes inherit.
    pub(super) route: RouteTimeouts,
}

/// `threads`: `auto` or a number.
pub(super) fn threads(file: &Section<'_>, report: &mut Report<'_>) -> usize {
    let threads = auto_or_number(file, "threads", "threads", defaults::MOST_THREADS, report);
    threads.unwrap_or_else(defaults::threads)
}

/// `limits`.
pub(super) fn limits(file: &Section<'_>, report: &mut Report<'_>) -> Limits {
    let limits = file.section("limits");
    let most = usize::try_from(defaults::MOST_CONNECTIONS).unwrap_or(usize::MAX);
    Limits {
        request_head: leaf::size(limits.leaf("request_head"), defaults::REQUEST_HEAD_SIZE, defaults::REQUEST_HEAD_SIZES, report),
        request_body: leaf::size_or_zero(limits.leaf("request_body"), defaults::REQUEST_BODY_SIZES, report),
        connections: auto_or_number(&limits, "connections", "connections", most, report),
        connections_per_client: leaf::cap(limits.leaf("connections_per_client"), defaults::MOST_CONNECTIONS, report),
        connect_rate_per_client: leaf::cap(limits.leaf("connect_rate_per_client"), defaults::MOST_CONNECTIONS, report)
            .and_then(NonZeroU32::new),
        streams: leaf::cap(limits.leaf("streams"), defaults::MOST_CONNECTIONS, report),
    }
}

/// `None` is `auto`, also by default.
fn auto_or_number(section: &Section<'_>, key: &'static str, of: &str, most: usize, report: &mut Report<'_>) -> Option<usize> {
    let leaf = section.leaf(key)?;
    match leaf.text() {
        "auto" => None,
        text => match text.parse() {
            Ok(number) if (1..=most).contains(&number) => Some(number),
            _ => {
                leaf.refuse(
                    format_args!("is no number of {of}"),
                    format!("write `auto` or a whole number from 1 to {most}"),
                    report,
                );
                None
            }
        },
    }
}

/// `timeouts`.
pub(super) fn timeouts(file: &Section<'_>, report: &mut Report<'_>) -> Timeouts {
    let timeouts = file.section("timeouts");
    let mut read = |key, default| leaf::duration(timeouts.leaf(key), default, defaults::TIMEOUTS, report);
    let write_stall = read("write_stall", defaults::WRITE_STALL);
    Timeouts {
        client: ClientTimeouts {
            request_head: read("request_head", defaults::REQUEST_HEAD_TIMEOUT),
            keep_alive: read("keep_alive", defaults::KEEP_ALIVE),
            write_stall,
        },
        route: RouteTimeouts {
            connect: read("connect", defaults::CONNECT_TIMEOUT),
            request_body_idle: read("request_body_idle", defaults::REQUEST_BODY_IDLE),
            response_head: read("response_head", defaults::RESPONSE_HEAD_TIMEOUT),
            response_body_idle: read("response_body_idle", defaults::RESPONSE_BODY_IDLE),
            write_stall,
            tunnel_idle: read("tunnel_idle", defaults::TUNNEL_IDLE),
        },
    }
}

/// `drain`; warns when subscriptions are still to be ended after the deadline.
pub(super) fn drain(file: &Section<'_>, report: &mut Report<'_>) -> DrainSpec {
    let drain = file.section("drain");
    let mut read = |key, default| leaf::duration(drain.leaf(key), default, defaults::DRAIN_SPANS, report);
    let spec = DrainSpec {
        lag: read("lag", defaults::DRAIN_LAG),
        spread: read("spread", defaults::DRAIN_SPREAD),
        deadline: read("deadline", defaults::DRAIN_DEADLINE),
    };
    let planned = spec.lag + spec.spread;
    // Who writes `deadline: 0s` and no more wants all cut at once.
    let is_meant = spec.deadline.is_zero() && !drain.has("spread") && !drain.has("lag");
    if planned > spec.deadline && !is_meant {
        let which = if spec.lag.is_zero() { "`spread` exceeds" } else { "`lag` and `spread` exceed" };
        let [planned, deadline] = [planned, spec.deadline].map(units::show_duration);
        let key = ["spread", "lag", "deadline"].into_iter().find(|key| drain.has(key)).unwrap_or("deadline");
        let message = format!(
            "{which} `deadline` ({planned} against {deadline}): subscriptions whose turn comes after it are cut abnormally"
        );
        report.warning(drain.key_span(key), message, "shorten `spread`, or write a longer `deadline`");
    }
    spec
}
