//! Metrics made and registered in one step.

use prometheus::core::Collector;
use prometheus::{HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

type Result<T> = std::result::Result<T, prometheus::Error>;

fn register<C: Collector + Clone + 'static>(to: &Registry, metric: C) -> Result<C> {
    to.register(Box::new(metric.clone()))?;
    Ok(metric)
}

/// A counter without labels.
pub(super) fn counter(to: &Registry, name: &str, help: &str) -> Result<IntCounter> {
    register(to, IntCounter::new(name, help)?)
}

/// A gauge without labels.
pub(super) fn gauge(to: &Registry, name: &str, help: &str) -> Result<IntGauge> {
    register(to, IntGauge::new(name, help)?)
}

/// Counters by labels.
pub(super) fn counters(to: &Registry, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec> {
    register(to, IntCounterVec::new(Opts::new(name, help), labels)?)
}

/// Gauges by labels.
pub(super) fn gauges(to: &Registry, name: &str, help: &str, labels: &[&str]) -> Result<IntGaugeVec> {
    register(to, IntGaugeVec::new(Opts::new(name, help), labels)?)
}

/// Histograms by labels.
pub(super) fn histograms(to: &Registry, name: &str, help: &str, labels: &[&str], buckets: &[f64]) -> Result<HistogramVec> {
    register(to, HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets.to_vec()), labels)?)
}
