//! Much at once: thousands of clients that connect, and thousands of events that the origin has already.

use super::{Ground, Outcome, micros_each};
use crate::Fallible;
use crate::pure::load_json::Ends;
use crate::roster::Front;

/// Clients of a storm.
const CLIENTS: u32 = 5000;

/// Streams of a burst, and the events of each: so many that opening the streams is less than a hundredth of what they take.
const BURST: (u32, u64) = (50, 40_000);

/// All clients at once, until each has its first event.
pub(super) fn run(ground: &mut Ground<'_>, front: Front) -> Fallible<Outcome> {
    let bed = ground.bed(1, front)?;
    bed.warm_up()?;
    let cpu = bed.cpu()?;
    let streams = ground.scale.streams(CLIENTS);
    let mut load = bed.load("/idle", streams)?;
    load.all_open()?;
    let cpu = bed.cpu()?.saturating_sub(cpu);
    let report = load.finish()?;
    report.judge(Ends::Open)?;
    let all = report.all_first_events_ms.ok_or("some stream had no first event")?;
    Ok(Outcome::new([Some(all / 1e3), micros_each(&bed, cpu, u64::from(streams))?]))
}

/// Events as fast as they are taken, sixteen kibibytes of them in each write.
pub(super) fn burst(ground: &mut Ground<'_>) -> Fallible<Outcome> {
    let bed = ground.bed(1, super::CLEAR)?;
    bed.warm_up()?;
    let (streams, each) = BURST;
    let all = u64::from(streams) * each;
    let cpu = bed.cpu()?;
    let mut load = bed.load(&format!("/burst?events={each}&size=256&write=16384"), streams)?;
    load.until("all events", |progress| progress.events >= all)?;
    let cpu = bed.cpu()?.saturating_sub(cpu);
    let report = load.finish()?;
    report.judge(Ends::Open)?;
    Ok(Outcome::new([micros_each(&bed, cpu, all)?]))
}
