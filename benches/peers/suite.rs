//! The comparison: scenario by scenario, round by round, every contender in its turn. A run that others disturbed is repeated, and the
//! quietest attempt counts; one that lost an event counts for nothing and fails the whole.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ssedge::clock;

use crate::options::{Compare, Scale};
use crate::ports::Ports;
use crate::pure::catalogue::{SCENARIOS, Scenario};
use crate::pure::results::{Contender, Results};
use crate::pure::table::number;
use crate::roster::Peer;
use crate::scenarios::{self, Ground, Outcome};
use crate::{Fallible, cores, measure, report, tell, tools};

/// How often a run is repeated because others disturbed it.
const REPEATS: u32 = 2;

/// From this share of their cores on, load and origin are measured too.
const BOUND: f64 = 0.9;

/// Rounds, unless told.
const ROUNDS: u32 = 3;

/// A suite under way.
struct Suite<'a> {
    options: &'a Compare,
    scale: Scale,
    rounds: u32,
    cores: Vec<usize>,
    ports: Ports,
    out: PathBuf,
    end: Instant,
    results: Results,
    /// The time was over before all had run.
    is_cut: bool,
}

/// Runs the comparison and writes its results; whether all contenders were there, nothing failed and time was left for all.
pub(crate) fn run(options: &Compare) -> Fallible<bool> {
    let out = options.out.clone().unwrap_or_else(tools::target);
    let out = std::path::absolute(&out).map_err(|error| format!("{}: {error}", out.display()))?;
    tools::make_certificate(&out.join("tls"))?;
    let chosen: Vec<Peer> = Peer::ALL.into_iter().filter(|peer| options.peers.is_empty() || options.peers.contains(peer)).collect();
    tools::install(&chosen, tell);
    let mut suite = Suite {
        options,
        scale: Scale::new(options.quick),
        rounds: options.rounds.unwrap_or(if options.quick { 1 } else { ROUNDS }),
        cores: cores::available()?,
        ports: Ports::new()?,
        out,
        end: clock::now() + Duration::from_secs(60 * options.minutes),
        results: Results::default(),
        is_cut: false,
    };
    let present = suite.roll_call(&chosen);
    suite.results.about = report::about(options.quick, suite.rounds, suite.cores.len());
    for scenario in SCENARIOS.iter().filter(|scenario| options.scenarios.is_empty() || is_in(&options.scenarios, scenario)) {
        suite.compare(scenario, &present);
    }
    let all_there = suite.results.contenders.iter().all(|contender| contender.version.is_ok());
    report::write(&suite.results, &suite.out, options.chart)?;
    Ok(all_there && suite.results.failures.is_empty() && !suite.is_cut)
}

fn is_in(names: &[String], scenario: &Scenario) -> bool {
    names.iter().any(|name| name == scenario.name)
}

impl Suite<'_> {
    /// Who is there, and in which version; who is not is named with what would bring it.
    fn roll_call(&mut self, chosen: &[Peer]) -> Vec<Peer> {
        for peer in chosen {
            let version = peer.binary().map(|_| peer.version()).map_err(|problem| format!("{problem}; {}", peer.remedy()));
            match &version {
                Ok(version) => tell(&format!("{}: {version}", peer.name())),
                Err(missing) => tell(&format!("{} is MISSING: {missing}", peer.name())),
            }
            self.results.contenders.push(Contender { name: peer.name().to_owned(), version });
        }
        chosen.iter().copied().filter(|peer| peer.binary().is_ok()).collect()
    }

    /// All rounds of one scenario, in turns: what changes on the machine meanwhile meets everybody.
    fn compare(&mut self, scenario: &Scenario, present: &[Peer]) {
        tell(&format!("\n{}: {}", scenario.name, scenario.what));
        for round in 1..=self.rounds {
            for &peer in present {
                if let Some(excuse) = scenarios::excuse(scenario.name, peer) {
                    self.leave_out(scenario, peer, excuse);
                } else if clock::now() >= self.end {
                    self.is_cut = true;
                    self.leave_out(scenario, peer, "no time was left (--minutes)");
                } else {
                    self.measure(scenario, peer, round);
                }
            }
        }
    }

    fn leave_out(&mut self, scenario: &Scenario, peer: Peer, reason: &str) {
        for metric in scenario.metrics {
            self.results.add(scenario.name, metric.key, peer.name(), Err(reason.to_owned()));
        }
    }

    /// One run, repeated while others disturb it.
    fn measure(&mut self, scenario: &Scenario, peer: Peer, round: u32) {
        let what = format!("{} {} round {round}", scenario.name, peer.name());
        let mut quietest: Option<(f64, Outcome)> = None;
        for _ in 0..=REPEATS {
            let noise = measure::Noise::watch(self.cores.len());
            let outcome = self.attempt(scenario, peer);
            let others = 100.0 * noise.share();
            match outcome {
                Ok(outcome) => {
                    tell(&format!("  {what}: {} (others {others:.0} %)", shown(scenario, &outcome)));
                    if quietest.as_ref().is_none_or(|(before, _)| others < *before) {
                        quietest = Some((others, outcome));
                    }
                }
                Err(problem) => {
                    tell(&format!("  {what}: FAILED: {problem}"));
                    self.results.failures.push(format!("{what}: {problem}"));
                    self.leave_out(scenario, peer, &format!("failed: {problem}"));
                    return;
                }
            }
            if others <= self.options.noise || self.options.quick || clock::now() >= self.end {
                break;
            }
        }
        let Some((others, outcome)) = quietest else { return };
        if others > self.options.noise {
            self.results.noisy.push(format!("{what}: {others:.0} % of the machine"));
        }
        if let Some(share) = outcome.generator.filter(|&share| share > BOUND) {
            self.results.bound.push(format!("{what}: {:.0} % of their cores", 100.0 * share));
        }
        for (metric, value) in scenario.metrics.iter().zip(&outcome.values) {
            let value = value.ok_or_else(|| "there is no proxy that it could be of".to_owned());
            self.results.add(scenario.name, metric.key, peer.name(), value);
        }
    }

    /// One attempt, in a directory of its own, which stays when it fails.
    fn attempt(&mut self, scenario: &Scenario, peer: Peer) -> Fallible<Outcome> {
        let dir = self.out.join("runs").join(format!("{}-{}", scenario.name, peer.name()));
        clear(&dir)?;
        let tls_dir = self.out.join("tls");
        let mut ground = Ground { peer, scale: self.scale, cores: &self.cores, ports: &mut self.ports, dir: dir.clone(), tls_dir };
        let outcome =
            scenarios::run(scenario.name, &mut ground).map_err(|problem| format!("{problem} (logs in {})", dir.display()))?;
        clear(&dir)?;
        Ok(outcome)
    }
}

fn clear(dir: &Path) -> Fallible<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(format!("{} cannot be removed: {error}", dir.display())),
        _ => Ok(()),
    }
}

/// The figures of one run, for whoever watches.
fn shown(scenario: &Scenario, outcome: &Outcome) -> String {
    let figures = scenario
        .metrics
        .iter()
        .zip(&outcome.values)
        .filter_map(|(metric, value)| value.map(|value| format!("{} {} {}", metric.key, number(value), metric.unit)));
    let figures: Vec<String> = figures.collect();
    if figures.is_empty() { "done".to_owned() } else { figures.join(", ") }
}
