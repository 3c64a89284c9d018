//! What heartbeats cost, and what is left when everybody has gone.

use std::time::Duration;

use ssedge::clock;

use super::{Ground, Outcome, float};
use crate::Fallible;
use crate::pure::load_json::Ends;

/// The time in which memory has to come back.
const RETURN: Duration = Duration::from_secs(15);

/// Silent streams with a heartbeat every 15 seconds, then none.
pub(super) fn run(ground: &mut Ground<'_>) -> Fallible<Outcome> {
    let mut bed = ground.bed(1, super::CLEAR)?;
    bed.warm_up()?;
    let before = bed.memory_at_rest_kib()?;
    let streams = ground.scale.streams(9000);
    let mut load = bed.load("/idle", streams)?;
    load.all_open()?;
    load.after(ground.scale.settle)?;
    let (began, cpu) = (clock::now(), bed.cpu()?);
    load.after(ground.scale.beats)?;
    let (lasted, cpu) = (clock::now().duration_since(began), bed.cpu()?.saturating_sub(cpu));
    let peak = bed.memory_kib()?;
    let report = load.finish()?;
    report.judge(Ends::Open)?;
    if report.heartbeats < u64::from(streams) {
        return Err(format!("{} heartbeats came for {streams} streams", report.heartbeats));
    }
    std::thread::sleep(RETURN);
    bed.alive()?;
    let kept = (float(bed.memory_kib()?) - float(before)) / (float(peak) - float(before)).max(1.0);
    Ok(Outcome::new([Some(100.0 * cpu.as_secs_f64() / lasted.as_secs_f64()), Some(100.0 * kept)]))
}
