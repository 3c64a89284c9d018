//! Ordinary requests with small JSON answers, by h2load.

use std::io::Read;
use std::time::Duration;

use super::{Ground, Outcome, micros_each};
use crate::Fallible;
use crate::process::{Process, Program};
use crate::pure::h2load;
use crate::tools;

/// As many requests as 64 clients get answered, one after the other on each connection.
pub(super) fn run(ground: &mut Ground<'_>) -> Fallible<Outcome> {
    let bed = ground.bed(1, super::CLEAR)?;
    let h2load = tools::find("h2load").map_err(|problem| format!("{problem}: apt-get install nghttp2-client"))?;
    let (duration, url) = (ground.scale.requests.as_secs().to_string(), bed.url("/json?size=128"));
    let args = ["--h1", "--threads=1", "--clients=64", "--duration", &duration, &url];
    let cpu = bed.cpu()?;
    let (mut process, mut output) = Process::start_piped(&Program::new("h2load", h2load, &args), &bed.placement.others, bed.dir())?;
    let mut text = String::new();
    output.read_to_string(&mut text).map_err(|error| format!("h2load cannot be read: {error}"))?;
    process.wait(Duration::from_secs(10))?;
    let cpu = bed.cpu()?.saturating_sub(cpu);
    let outcome = h2load::outcome(&text)?;
    Ok(Outcome::new([Some(outcome.per_second), micros_each(&bed, cpu, outcome.requests)?]))
}
