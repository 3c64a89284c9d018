//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::pure::catalogue;
use crate::roster::Peer;

/// Compares ssedge with other proxies, as whole processes.
#[derive(Debug, Parser)]
#[command(name = "cargo bench --bench peers --", args_conflicts_with_subcommands = true)]
pub(crate) struct Options {
    /// What to do in place of the comparison
    #[command(subcommand)]
    pub command: Option<Alone>,
    /// What to compare
    #[command(flatten)]
    pub compare: Compare,
}

/// What is done instead of the comparison.
#[derive(Debug, Subcommand)]
pub(crate) enum Alone {
    /// ssedge alone, for a long time, with clients that come and go: does its memory grow?
    Soak(Soak),
}

/// The comparison.
#[derive(Debug, Args)]
pub(crate) struct Compare {
    /// Only these scenarios
    #[arg(long, value_name = "NAME", value_delimiter = ',', value_parser = scenario)]
    pub scenarios: Vec<String>,
    /// Only these; one that is not installed is an error unless it was left out here
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub peers: Vec<Peer>,
    /// How often each is measured, in turns
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    pub rounds: Option<u32>,
    /// One round, a fifth of the streams, short windows: whether everything works, not how fast it is
    #[arg(long)]
    pub quick: bool,
    /// Where results.json and all logs go
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Write benches/peers/chart.svg too
    #[arg(long)]
    pub chart: bool,
    /// What others may take of the machine in a run, in percent; a run with more is repeated, at most twice
    #[arg(long, value_name = "PERCENT", default_value_t = 10.0)]
    pub noise: f64,
    /// After so many minutes no new run begins; what is missing is told so, and the comparison has failed
    #[arg(long, value_name = "N", default_value_t = 180)]
    pub minutes: u64,
}

/// The soak.
#[derive(Debug, Args)]
pub(crate) struct Soak {
    /// How long
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=1440))]
    pub minutes: u64,
    /// What the memory at the end may be above that after the first sixth (five of thirty minutes), in percent
    #[arg(long, value_name = "PERCENT", default_value_t = 10.0)]
    pub margin: f64,
    /// Where samples and logs go
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

fn scenario(name: &str) -> Result<String, String> {
    let known: Vec<&str> = catalogue::SCENARIOS.iter().map(|scenario| scenario.name).collect();
    if known.contains(&name) { Ok(name.to_owned()) } else { Err(format!("one of {}", known.join(", "))) }
}

/// How large and how long everything is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scale {
    /// What numbers of streams are divided by.
    divisor: u32,
    /// What is waited for before a window, so that start-up is over; longer than allocators keep what was freed.
    pub settle: Duration,
    /// Over which CPU is counted.
    pub window: Duration,
    /// The same for heartbeats, whose period is 15 s.
    pub beats: Duration,
    /// How long ordinary requests are sent.
    pub requests: Duration,
}

impl Scale {
    /// The scale of the comparison, or of a quick look.
    pub(crate) fn new(quick: bool) -> Self {
        let seconds = Duration::from_secs;
        if quick {
            Self { divisor: 5, settle: seconds(2), window: seconds(3), beats: seconds(16), requests: seconds(2) }
        } else {
            Self { divisor: 1, settle: seconds(5), window: seconds(10), beats: seconds(30), requests: seconds(5) }
        }
    }

    /// `full` streams, scaled.
    pub(crate) fn streams(self, full: u32) -> u32 {
        full / self.divisor
    }
}
