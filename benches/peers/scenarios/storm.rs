//! Much at once: thousands of clients that connect, and thousands of events that the origin has already.

use std::time::Duration;

use super::{Ground, Outcome, micros_each};
use crate::Fallible;
use crate::pure::load_json::Ends;
use crate::roster::Front;

/// Clients of a storm.
const CLIENTS: u32 = 5000;

/// Streams of a burst, and the events of each.
const BURST: (u32, u64) = (50, 2000);

/// Bursts of one run: a single one takes a proxy some ten milliseconds, too little to compare.
const BURSTS: u64 = 3;

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

/// Events as fast as they are taken, sixteen kibibytes of them in each write. The connections are part of it: fifty to two thousand
/// events each.
pub(super) fn burst(ground: &mut Ground<'_>) -> Fallible<Outcome> {
    let bed = ground.bed(1, super::CLEAR)?;
    bed.warm_up()?;
    let (streams, each) = BURST;
    let all = u64::from(streams) * each;
    let mut cpu = Duration::ZERO;
    for _ in 0..BURSTS {
        let before = bed.cpu()?;
        let mut load = bed.load(&format!("/burst?events={each}&size=256&write=16384"), streams)?;
        load.until("all events", |progress| progress.events >= all)?;
        cpu += bed.cpu()?.saturating_sub(before);
        let report = load.finish()?;
        report.judge(Ends::Open)?;
    }
    Ok(Outcome::new([micros_each(&bed, cpu, BURSTS * all)?]))
}
