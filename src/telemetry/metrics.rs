//! The metrics: a struct built from a registry. Handles are resolved once, so that counting is one atomic addition.

use prometheus::core::Collector;
use prometheus::{Encoder, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder};

use crate::stream::EndReason;

/// All metrics of the process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Event streams open now.
    pub streams_open: IntGauge,
    /// Event streams started.
    pub streams_started: IntCounter,
    /// Events received from upstreams.
    pub events: IntCounter,
    /// Payload bytes of event streams received from upstreams.
    pub stream_bytes: IntCounter,
    /// Heartbeats sent.
    pub heartbeats: IntCounter,
    /// Connections from clients open now.
    pub connections_open: IntGauge,
    /// Requests read, whatever became of them.
    pub requests: IntCounter,
    streams_ended: Vec<(EndReason, IntCounter)>,
}

impl Metrics {
    /// Builds and registers all of them in a registry of their own.
    ///
    /// # Errors
    /// When two have the same name, which a test rules out.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let ended = register(
            &registry,
            IntCounterVec::new(Opts::new("ssedge_streams_ended_total", "Event streams that ended, by reason."), &["reason"])?,
        )?;
        let build = register(
            &registry,
            IntGaugeVec::new(Opts::new("ssedge_build_info", "Always 1; the version is in the label."), &["version"])?,
        )?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        Ok(Self {
            streams_open: gauge(&registry, "ssedge_streams_open", "Event streams open now.")?,
            streams_started: counter(&registry, "ssedge_streams_started_total", "Event streams started.")?,
            events: counter(&registry, "ssedge_stream_events_total", "Events received from upstreams.")?,
            stream_bytes: counter(
                &registry,
                "ssedge_stream_bytes_total",
                "Payload bytes of event streams received from upstreams.",
            )?,
            heartbeats: counter(&registry, "ssedge_heartbeats_total", "Comment heartbeats sent to clients.")?,
            connections_open: gauge(&registry, "ssedge_connections_open", "Connections from clients open now.")?,
            requests: counter(&registry, "ssedge_requests_total", "Requests read, refused ones included.")?,
            // Every reason is there from the start: an alert on a series that does not exist never fires.
            streams_ended: EndReason::ALL.iter().map(|reason| (*reason, ended.with_label_values(&[reason.label()]))).collect(),
            registry,
        })
    }

    /// The counter of streams that ended for `reason`.
    pub fn stream_ended(&self, reason: EndReason) {
        if let Some((_, counter)) = self.streams_ended.iter().find(|(known, _)| *known == reason) {
            counter.inc();
        }
    }

    /// How many streams ended for each reason that occurred.
    #[must_use]
    pub fn streams_ended(&self) -> Vec<(EndReason, u64)> {
        self.streams_ended.iter().map(|(reason, counter)| (*reason, counter.get())).filter(|(_, count)| *count > 0).collect()
    }

    /// The text exposition format of Prometheus, version 0.0.4.
    ///
    /// # Errors
    /// When a metric family is inconsistent, which its type rules out.
    pub fn render(&self) -> Result<Vec<u8>, prometheus::Error> {
        let mut out = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut out)?;
        Ok(out)
    }
}

fn register<C: Collector + Clone + 'static>(registry: &Registry, metric: C) -> Result<C, prometheus::Error> {
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

fn counter(registry: &Registry, name: &str, help: &str) -> Result<IntCounter, prometheus::Error> {
    register(registry, IntCounter::new(name, help)?)
}

fn gauge(registry: &Registry, name: &str, help: &str) -> Result<IntGauge, prometheus::Error> {
    register(registry, IntGauge::new(name, help)?)
}

#[cfg(test)]
mod tests {
    use super::Metrics;
    use crate::stream::EndReason;

    #[test]
    fn every_end_reason_is_there_before_a_stream_ends() {
        let metrics = Metrics::new().expect("no name twice");
        let text = String::from_utf8(metrics.render().expect("consistent")).expect("text");
        for reason in EndReason::ALL {
            assert!(text.contains(&format!("ssedge_streams_ended_total{{reason=\"{}\"}} 0", reason.label())), "{text}");
        }
    }

    #[test]
    fn an_end_is_counted_under_its_own_reason() {
        let metrics = Metrics::new().expect("no name twice");
        metrics.stream_ended(EndReason::ClientGone);
        assert_eq!(metrics.streams_ended(), [(EndReason::ClientGone, 1)]);
    }
}
