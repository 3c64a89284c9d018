//! Memory of streams on which nothing happens.

use super::{Ground, Outcome, float};
use crate::Fallible;
use crate::load::LoadSpec;
use crate::pure::load_json::Ends;
use crate::roster::Front;

/// `full` silent streams, `per_connection` of them on each HTTP/2 connection.
pub(super) fn run(ground: &mut Ground<'_>, front: Front, full: u32, per_connection: Option<u32>) -> Fallible<Outcome> {
    let bed = ground.bed(1, front)?;
    bed.warm_up()?;
    let before = bed.memory_at_rest_kib()?;
    let streams = ground.scale.streams(full);
    let spec = LoadSpec { name: "load", url: bed.url("/idle"), streams, per_connection, ..LoadSpec::default() };
    let mut load = bed.load_as(spec)?;
    load.all_open()?;
    load.after(ground.scale.settle)?;
    let after = bed.memory_kib()?;
    load.finish()?.judge(Ends::Open)?;
    let grown = float(after) - float(before);
    Ok(Outcome::new([Some(grown / f64::from(streams))]))
}
