//! What is told of connections and streams: gauges, counters, log lines. Each is counted back by `Drop`, so that no path forgets it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use crate::clock;
use crate::drain::Guard;
use crate::stream::{EndReason, Tally};
use crate::telemetry::Metrics;

/// A client's connection, open for as long as this lives.
#[derive(Debug)]
pub struct Client {
    /// The peer's address.
    pub address: SocketAddr,
    metrics: Arc<Metrics>,
    _guard: Guard,
}

impl Client {
    /// A connection was accepted.
    #[must_use]
    pub fn new(address: SocketAddr, metrics: Arc<Metrics>, guard: Guard) -> Self {
        metrics.connections_open.inc();
        Self { address, metrics, _guard: guard }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.metrics.connections_open.dec();
    }
}

/// An event stream, open for as long as this lives.
#[derive(Debug)]
pub struct StreamRecord {
    client: Client,
    path: Box<str>,
    route: Arc<str>,
    opened: Instant,
    bytes: u64,
    ended: bool,
}

impl StreamRecord {
    /// A stream was opened: counts it and says so. `path` is without the query: tokens live there.
    #[must_use]
    pub fn new(client: Client, method: &http::Method, path: &str, route: Arc<str>, now: Instant) -> Self {
        client.metrics.streams_started.inc();
        client.metrics.streams_open.inc();
        tracing::info!(client = %client.address, %method, path, route = &*route, "stream open");
        Self { client, path: path.into(), route, opened: now, bytes: 0, ended: false }
    }

    /// So much came from the upstream.
    pub fn received(&mut self, bytes: u64, events: u64) {
        self.bytes += bytes;
        self.client.metrics.stream_bytes.inc_by(bytes);
        self.client.metrics.events.inc_by(events);
    }

    /// A heartbeat was sent.
    pub fn beat(&self) {
        self.client.metrics.heartbeats.inc();
    }

    /// The stream is over. Only the first call counts.
    pub fn ended(&mut self, reason: EndReason, tally: Tally) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        self.client.metrics.stream_ended(reason);
        tracing::info!(
            client = %self.client.address,
            path = &*self.path,
            route = &*self.route,
            reason = reason.label(),
            seconds = clock::now().saturating_duration_since(self.opened).as_secs_f64(),
            events = tally.events,
            bytes = self.bytes,
            heartbeats = tally.heartbeats,
            "stream close"
        );
    }
}

impl Drop for StreamRecord {
    fn drop(&mut self) {
        self.ended(EndReason::Aborted, Tally::default());
        self.client.metrics.streams_open.dec();
    }
}
