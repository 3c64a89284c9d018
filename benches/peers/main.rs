//! `cargo bench --bench peers`: ssedge and other proxies as whole processes, each configured as an expert would for event streams, in one
//! run, in turns, load and origin as processes of their own. Every event of every run is accounted for.
//!
//! | file | what it is |
//! |---|---|
//! | `options.rs` | the command line, and how large everything is |
//! | `roster.rs` | who is compared: how each is found and started; `conf/` has their configurations, `vanilla/` one of them |
//! | `tools.rs` | what is installed and built for it, below `target/peers` |
//! | `suite.rs` | rounds in turns, runs that others disturb repeated |
//! | `scenarios/` | what is measured |
//! | `bed.rs` | origin and proxy of one run |
//! | `load.rs` | `ssedge load --json` as a child |
//! | `process.rs` | children, which end in every case |
//! | `measure.rs` | CPU, memory, and what others use |
//! | `cores.rs`, `ports.rs` | who runs where |
//! | `report.rs` | the table, `results.json`, the chart |
//! | `soak.rs` | ssedge alone, for a long time |
//! | `pure/` | all that needs no process; `tests/peers.rs` tests it |
//!
//! Cargo has this as a test target (`test = true`, `bench = false`): so clippy looks at it and no plain `cargo bench` runs it. As a test it
//! does nothing at all.

mod bed;
mod cores;
mod load;
mod measure;
mod options;
mod ports;
mod process;
mod pure;
mod report;
mod roster;
mod scenarios;
mod signals;
mod soak;
mod suite;
mod tools;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

use crate::options::{Alone, Options};

/// The value, or a sentence that says what is wrong and what to do.
type Fallible<T> = Result<T, String>;

fn main() -> ExitCode {
    // `cargo bench` says that it is cargo bench; `cargo test` does not.
    let (cargo, args): (Vec<String>, Vec<String>) = std::env::args().partition(|arg| arg == "--bench");
    if cargo.is_empty() {
        return ExitCode::SUCCESS;
    }
    let options = Options::parse_from(args);
    let done = signals::watch().and_then(|()| raise_descriptors()).and_then(|()| match &options.command {
        Some(Alone::Soak(soak)) => soak::run(soak),
        None => suite::run(&options.compare),
    });
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(problem) => {
            tell(&format!("error: {problem}"));
            ExitCode::FAILURE
        }
    }
}

/// Says how it goes.
fn tell(what: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{what}");
}

/// Lets children open as many descriptors as the system allows: two for each of 9,000 streams.
fn raise_descriptors() -> Fallible<()> {
    use rustix::process::{Resource, getrlimit, setrlimit};
    const NEEDED: u64 = 19_000;
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).map_err(|error| format!("the limit of descriptors cannot be raised: {error}"))?;
    match limit.maximum {
        Some(maximum) if maximum < NEEDED => Err(format!("{maximum} descriptors are allowed, {NEEDED} are needed: ulimit -Hn")),
        _ => Ok(()),
    }
}
