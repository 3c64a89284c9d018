//! `threads`, `limits`, `timeouts`, `drain`: what holds for the process as a whole.

use super::leaf;
use super::section::Section;
use crate::config::error::Report;
use crate::config::{ClientTimeouts, DrainSpec, Limits, defaults};
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
    let Some(leaf) = file.leaf("threads") else { return defaults::threads() };
    match leaf.text() {
        "auto" => defaults::threads(),
        text => match text.parse() {
            Ok(threads @ 1..=defaults::MOST_THREADS) => threads,
            _ => {
                let help = format!("write `auto` or a whole number from 1 to {}", defaults::MOST_THREADS);
                leaf.refuse("is no number of threads", help, report);
                defaults::threads()
            }
        },
    }
}

/// `limits`.
pub(super) fn limits(file: &Section<'_>, report: &mut Report<'_>) -> Limits {
    let limits = file.section("limits");
    Limits {
        request_head: leaf::size(limits.leaf("request_head"), defaults::REQUEST_HEAD_SIZE, defaults::REQUEST_HEAD_SIZES, report),
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
            response_head: read("response_head", defaults::RESPONSE_HEAD_TIMEOUT),
            write_stall,
        },
    }
}

/// `drain`.
pub(super) fn drain(file: &Section<'_>, report: &mut Report<'_>) -> DrainSpec {
    let drain = file.section("drain");
    DrainSpec { deadline: leaf::duration(drain.leaf("deadline"), defaults::DRAIN_DEADLINE, defaults::DRAIN_DEADLINES, report) }
}
