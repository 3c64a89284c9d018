//! The scenarios: each makes its own bed, loads it, judges every event that came, and returns its figures in the order of
//! `pure/catalogue.rs`.

mod heartbeats;
mod idle;
mod requests;
mod slow;
mod steady;
mod storm;

use std::path::PathBuf;
use std::time::Duration;

use crate::Fallible;
use crate::bed::{Bed, Plan};
use crate::cores;
use crate::options::Scale;
use crate::ports::Ports;
use crate::roster::{Front, Peer};

/// HTTP/1.1 in cleartext.
const CLEAR: Front = Front { http2: false, tls: false };
/// HTTP/2 by prior knowledge.
const HTTP2: Front = Front { http2: true, tls: false };
/// HTTP/1.1 over TLS.
const TLS: Front = Front { http2: false, tls: true };

/// Where a scenario may build.
#[derive(Debug)]
pub(crate) struct Ground<'a> {
    /// Who is measured.
    pub peer: Peer,
    /// How large.
    pub scale: Scale,
    /// The cores of the machine.
    pub cores: &'a [usize],
    /// Ports to take.
    pub ports: &'a mut Ports,
    /// For all files of this run.
    pub dir: PathBuf,
    /// Where the certificates are.
    pub tls_dir: PathBuf,
}

impl Ground<'_> {
    /// An origin, and the proxy with `workers` workers before it.
    fn bed(&mut self, workers: usize, front: Front) -> Fallible<Bed> {
        Bed::make(Plan {
            peer: self.peer,
            workers,
            front,
            ports: [self.ports.take()?, self.ports.take()?, self.ports.take()?],
            placement: cores::place(self.cores, workers),
            dir: self.dir.clone(),
            tls_dir: self.tls_dir.clone(),
        })
    }
}

/// What a run came to.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// A figure for each metric; none where there is no proxy that it could be of.
    pub values: Vec<Option<f64>>,
    /// The share of their cores that load and origin used: near 1, they and not the proxy were measured.
    pub generator: Option<f64>,
}

impl Outcome {
    fn new(values: impl Into<Vec<Option<f64>>>) -> Self {
        Self { values: values.into(), generator: None }
    }
}

/// Runs the scenario called `name`.
pub(crate) fn run(name: &str, ground: &mut Ground<'_>) -> Fallible<Outcome> {
    match name {
        "idle-5000" => idle::run(ground, CLEAR, 5000, None),
        "idle-9000" => idle::run(ground, CLEAR, 9000, None),
        "h2-idle-100" => idle::run(ground, HTTP2, 5000, Some(100)),
        "h2-idle-1" => idle::run(ground, HTTP2, 2000, Some(1)),
        "tls-idle" => idle::run(ground, TLS, 5000, None),
        "steady-1" => steady::run(ground, CLEAR, 1, 1000),
        "steady-2" => steady::run(ground, CLEAR, 2, 1000),
        "h2-steady" => steady::run(ground, HTTP2, 1, 2000),
        "tls-steady" => steady::run(ground, TLS, 1, 1000),
        "burst" => storm::burst(ground),
        "storm" => storm::run(ground, CLEAR),
        "tls-storm" => storm::run(ground, TLS),
        "json" => requests::run(ground),
        "slow" => slow::run(ground),
        "heartbeats" => heartbeats::run(ground),
        _ => Err(format!("nobody knows how to run {name}")),
    }
}

/// Why `peer` has no figures in the scenario called `name`, if it has none.
pub(crate) fn excuse(name: &str, peer: Peer) -> Option<&'static str> {
    match (name, peer) {
        ("heartbeats", peer) if peer != Peer::Ssedge => Some("only ssedge sends heartbeats"),
        ("tls-idle" | "tls-steady" | "tls-storm", Peer::Direct) => Some("the origin speaks no TLS"),
        ("idle-5000" | "idle-9000" | "h2-idle-100" | "h2-idle-1", Peer::Direct) => Some("no proxy whose memory could be counted"),
        _ => None,
    }
}

/// `time` over `count`, in microseconds; none where there is no proxy.
fn micros_each(bed: &Bed, time: Duration, count: u64) -> Fallible<Option<f64>> {
    if count == 0 {
        return Err("nothing came".to_owned());
    }
    Ok(bed.has_proxy().then(|| time.as_secs_f64() * 1e6 / float(count)))
}

/// `count` as a number to divide by.
#[expect(clippy::cast_precision_loss, reason = "counts of a run stay far below 2^52")]
fn float(count: u64) -> f64 {
    count as f64
}
