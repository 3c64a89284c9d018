//! All figures of a comparison, and what they say: medians, ratios, and whether ssedge does what the design asks.

use std::collections::BTreeMap;

use super::catalogue::{Better, Metric, Scenario, Target};
use super::stats::{Summary, ratio};

/// The contender that is judged, and the ones that are no proxy to compare it with.
const OURS: &str = "ssedge";
const NO_PROXY: &str = "direct";

/// One contender as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Contender {
    /// Its name.
    pub name: String,
    /// Its version; where it is missing, the command that brings it.
    pub version: Result<String, String>,
}

/// One figure of one contender, over all rounds.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Cell {
    /// A value for each round that gave one.
    pub values: Vec<f64>,
    /// Why some or all are missing.
    pub reasons: Vec<String>,
}

/// Everything that was measured.
#[derive(Debug, Clone, Default)]
pub(crate) struct Results {
    /// What was compared, in the order of the table.
    pub contenders: Vec<Contender>,
    /// Lines about the machine and the run: name and value.
    pub about: Vec<(String, String)>,
    /// Runs that others disturbed beyond the limit, even when repeated.
    pub noisy: Vec<String>,
    /// Runs in which load and origin had no core left, so that they were measured too.
    pub bound: Vec<String>,
    /// Runs that failed: events lost, streams cut, a proxy that ended.
    pub failures: Vec<String>,
    cells: BTreeMap<(String, String, String), Cell>,
}

/// What ssedge was asked, and whether it did it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Verdict {
    /// The value that it must not exceed, or must reach.
    pub limit: f64,
    /// Whether its median does.
    pub met: bool,
}

impl Results {
    /// Adds a value, or why there is none.
    pub(crate) fn add(&mut self, scenario: &str, metric: &str, contender: &str, value: Result<f64, String>) {
        let cell = self.cells.entry((scenario.to_owned(), metric.to_owned(), contender.to_owned())).or_default();
        match value {
            Ok(value) => cell.values.push(value),
            Err(reason) if !cell.reasons.contains(&reason) => cell.reasons.push(reason),
            Err(_) => {}
        }
    }

    /// The figure of `contender`.
    pub(crate) fn cell(&self, scenario: &str, metric: &str, contender: &str) -> Option<&Cell> {
        self.cells.get(&(scenario.to_owned(), metric.to_owned(), contender.to_owned()))
    }

    /// Its median and range.
    pub(crate) fn summary(&self, scenario: &str, metric: &str, contender: &str) -> Option<Summary> {
        Summary::of(&self.cell(scenario, metric, contender)?.values)
    }

    /// Whether anything is known of the scenario.
    pub(crate) fn has(&self, scenario: &str) -> bool {
        self.cells.keys().any(|(name, _, _)| name == scenario)
    }

    /// The best of the other proxies, by median.
    pub(crate) fn best(&self, scenario: &Scenario, metric: &Metric) -> Option<(&str, f64)> {
        let others =
            self.contenders.iter().map(|contender| contender.name.as_str()).filter(|name| ![OURS, NO_PROXY].contains(name));
        let medians = others.filter_map(|name| Some((name, self.summary(scenario.name, metric.key, name)?.median)));
        medians.reduce(|best, other| if better(metric.better, other.1, best.1) { other } else { best })
    }

    /// The median of `contender` in units of that of `base`.
    pub(crate) fn ratio(&self, scenario: &str, metric: &str, contender: &str, base: &str) -> Option<f64> {
        ratio(self.summary(scenario, metric, contender)?.median, self.summary(scenario, metric, base)?.median)
    }

    /// What is asked of ssedge; none where nothing is, or where there is nothing to compare with.
    pub(crate) fn limit(&self, scenario: &Scenario, metric: &Metric) -> Option<f64> {
        match metric.target {
            Target::None => None,
            Target::Absolute(limit) => Some(limit),
            Target::OfBest(factor) => Some(self.best(scenario, metric)?.1 * factor),
            Target::Of(name, factor) => Some(self.summary(scenario.name, metric.key, name)?.median * factor),
        }
    }

    /// Whether ssedge does it.
    pub(crate) fn verdict(&self, scenario: &Scenario, metric: &Metric) -> Option<Verdict> {
        let limit = self.limit(scenario, metric)?;
        let ours = self.summary(scenario.name, metric.key, OURS)?.median;
        Some(Verdict { limit, met: !better(metric.better, limit, ours) })
    }
}

/// Whether `a` is better than `b`.
fn better(which: Better, a: f64, b: f64) -> bool {
    match which {
        Better::Lower => a < b,
        Better::Higher => a > b,
    }
}
