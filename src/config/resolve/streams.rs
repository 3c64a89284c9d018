//! How the event streams of a route are treated: `heartbeat`, `strict_no_transform`, `max_upstream_silence`, `max_age`.

use super::leaf;
use super::section::Section;
use crate::config::defaults;
use crate::config::error::Report;
use crate::config::words::FRAMES;
use crate::route::RouteTimeouts;
use crate::stream::{HeartbeatPolicy, MaxAge, StreamPolicy};

/// The policy of one route.
pub(super) fn resolve(route: &Section<'_>, timeouts: &RouteTimeouts, report: &mut Report<'_>) -> StreamPolicy {
    let silence = route.leaf("max_upstream_silence");
    StreamPolicy {
        heartbeat: heartbeat(route, report),
        strict_no_transform: leaf::flag(route.leaf("strict_no_transform"), false, report),
        max_upstream_silence: leaf::duration_or_off(silence, None, defaults::TIMEOUTS, report),
        max_age: max_age(route, report),
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
        frame: leaf::choice(heartbeat.leaf("frame"), frame, &FRAMES, &[], report),
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

fn max_age(route: &Section<'_>, report: &mut Report<'_>) -> Option<MaxAge> {
    let max_age = route.switched_on("max_age")?;
    let jitter_percent = leaf::percent(max_age.leaf("jitter"), defaults::MAX_AGE_JITTER, report);
    let after = max_age.required_leaf("after", report)?;
    let after = leaf::duration(Some(after), *defaults::MAX_AGES.end(), defaults::MAX_AGES, report);
    Some(MaxAge { after, jitter_percent })
}
