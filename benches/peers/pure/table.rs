//! The results for people: a block for each scenario, a line for each contender.

use std::fmt::Write;

use super::catalogue::{Metric, SCENARIOS, Scenario};
use super::results::{Cell, Results};

/// Columns of the name, of a figure and of its ratio.
const NAME: usize = 9;
const FIGURE: usize = 24;
const RATIO: usize = 7;

/// The whole table. A figure that was not measured is `-`, with its reason below.
pub(crate) fn table(results: &Results) -> String {
    let mut out = String::new();
    for (name, value) in &results.about {
        line(&mut out, &format!("{name}: {value}"));
    }
    for contender in &results.contenders {
        match &contender.version {
            Ok(version) => line(&mut out, &format!("{:NAME$} {version}", contender.name)),
            Err(remedy) => line(&mut out, &format!("{:NAME$} MISSING: {remedy}", contender.name)),
        }
    }
    for scenario in SCENARIOS.iter().filter(|scenario| results.has(scenario.name)) {
        block(&mut out, results, scenario);
    }
    for (what, runs) in [
        ("others used the machine", &results.noisy),
        ("load and origin had no core left", &results.bound),
        ("FAILED", &results.failures),
    ] {
        if !runs.is_empty() {
            line(&mut out, &format!("\n{what}:"));
            runs.iter().for_each(|run| line(&mut out, &format!("  {run}")));
        }
    }
    out
}

fn block(out: &mut String, results: &Results, scenario: &Scenario) {
    line(out, &format!("\n{}: {}", scenario.name, scenario.what));
    let mut head = format!("  {:NAME$}", "");
    for metric in scenario.metrics {
        let title = format!("{} {}", metric.key, metric.unit);
        let _ = write!(head, " {title:>FIGURE$} {:>RATIO$}", "/nginx");
    }
    line(out, &head);
    let mut reasons = Vec::new();
    for contender in &results.contenders {
        let name = &contender.name;
        if scenario.metrics.iter().all(|metric| results.cell(scenario.name, metric.key, name).is_none()) {
            continue;
        }
        let mut row = format!("  {name:NAME$}");
        for metric in scenario.metrics {
            let ratio = results.ratio(scenario.name, metric.key, name, "nginx");
            let ratio = ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}"));
            let _ = write!(row, " {:>FIGURE$} {ratio:>RATIO$}", figure(results, scenario, metric, name));
            let told = results.cell(scenario.name, metric.key, name).map_or(&[][..], |cell: &Cell| &cell.reasons);
            for reason in told.iter().map(|reason| format!("  - {name}: {reason}")) {
                if !reasons.contains(&reason) {
                    reasons.push(reason);
                }
            }
        }
        line(out, &row);
    }
    for metric in scenario.metrics {
        if let Some(verdict) = results.verdict(scenario, metric) {
            let word = if verdict.met { "met" } else { "NOT MET" };
            line(out, &format!("  target {}: {} {} ({word})", metric.key, number(verdict.limit), metric.unit));
        }
    }
    reasons.iter().for_each(|reason| line(out, reason));
}

/// Median and range, or `-`.
fn figure(results: &Results, scenario: &Scenario, metric: &Metric, contender: &str) -> String {
    results.summary(scenario.name, metric.key, contender).map_or_else(
        || "-".to_owned(),
        |summary| format!("{} ({} .. {})", number(summary.median), number(summary.min), number(summary.max)),
    )
}

/// Three digits that count.
pub(crate) fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 0.995 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

fn line(out: &mut String, text: &str) {
    out.push_str(text.trim_end());
    out.push('\n');
}
