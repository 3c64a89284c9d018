//! Clients that hardly read, beside clients that do: what the slow ones cost in memory, and what the others notice of them.

use super::{Ground, Outcome, float};
use crate::Fallible;
use crate::load::LoadSpec;
use crate::pure::load_json::Ends;

/// Slow clients, and the bytes that each reads a second. The kernel holds megabytes for each of them, so that there cannot be many.
const SLOW: (u32, u32) = (50, 2048);

/// The others.
const OTHERS: u32 = 500;

/// The slow ones first, until everything that can hold something of theirs is full; then steady streams beside them.
pub(super) fn run(ground: &mut Ground<'_>) -> Fallible<Outcome> {
    let mut bed = ground.bed(1, super::CLEAR)?;
    bed.warm_up()?;
    let before = bed.memory_at_rest_kib()?;
    let (streams, rate) = (ground.scale.streams(SLOW.0), Some(SLOW.1));
    let url = bed.url("/burst?events=1000000&size=256&write=16384");
    let mut slow = bed.load_as(LoadSpec { name: "slow", url, streams, read_rate: rate, ..LoadSpec::default() })?;
    slow.all_open()?;
    slow.after(ground.scale.settle)?;
    let after = bed.memory_kib()?;

    let others = ground.scale.streams(OTHERS);
    let url = bed.url("/steady?rate=10&size=128");
    let mut load = bed.load_as(LoadSpec { name: "load", url, streams: others, ramp: others / 2, ..LoadSpec::default() })?;
    load.all_open()?;
    load.after(ground.scale.window)?;
    bed.alive()?;
    let report = load.finish()?;
    report.judge(Ends::Open)?;
    slow.finish()?.judge(Ends::Open).map_err(|problem| format!("of the slow ones, {problem}"))?;

    let latency = report.latency_ms.ok_or("load measured no latency")?;
    // A few streams that hold hardly anything weigh less than what the process gives back meanwhile: then they cost nothing.
    let memory = bed.has_proxy().then(|| (float(after) - float(before)).max(0.0) / f64::from(streams));
    Ok(Outcome::new([memory, Some(latency.p99 * 1e3)]))
}
