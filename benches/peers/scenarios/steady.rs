//! CPU and latency of events that come one at a time, each on its own stream.

use std::time::Duration;

use ssedge::clock;

use super::{Ground, Outcome, float, micros_each};
use crate::Fallible;
use crate::load::LoadSpec;
use crate::measure;
use crate::pure::load_json::Ends;
use crate::roster::Front;

/// Events a second on each stream.
const RATE: u32 = 10;

/// `full` streams through a proxy of `workers` workers.
pub(super) fn run(ground: &mut Ground<'_>, front: Front, workers: usize, full: u32) -> Fallible<Outcome> {
    let bed = ground.bed(workers, front)?;
    let streams = ground.scale.streams(full);
    // Opened over two seconds, since latency counts from the first event on and a storm has a scenario of its own.
    let url = bed.url(&format!("/steady?rate={RATE}&size=128"));
    let mut load = bed.load_as(LoadSpec { name: "load", url, streams, ramp: streams / 2, ..LoadSpec::default() })?;
    load.all_open()?;
    let from = load.after(ground.scale.settle)?;
    let (began, cpu) = (clock::now(), bed.cpu()?);
    let generator = measure::cpu(load.id())? + bed.origin_cpu()?;
    let to = load.after(ground.scale.window)?;
    let (lasted, cpu) = (clock::now().duration_since(began), bed.cpu()?.saturating_sub(cpu));
    let generator = (measure::cpu(load.id())? + bed.origin_cpu()?).saturating_sub(generator);
    let report = load.finish()?;
    report.judge(Ends::Open)?;

    let events = to.events.saturating_sub(from.events);
    let due = f64::from(streams * RATE) * lasted.as_secs_f64();
    if float(events) < 0.9 * due {
        return Err(format!("{events} events came of {due:.0} that were due"));
    }
    let latency = report.latency_ms.ok_or("load measured no latency")?;
    let values = vec![micros_each(&bed, cpu, events)?, Some(latency.p50 * 1e3), Some(latency.p99 * 1e3)];
    Ok(Outcome { values, generator: Some(share(generator, lasted, bed.placement.others.count())) })
}

/// `cpu` as a share of `cores` cores over `lasted`.
fn share(cpu: Duration, lasted: Duration, cores: usize) -> f64 {
    cpu.as_secs_f64() / (lasted.as_secs_f64() * float(cores as u64))
}
