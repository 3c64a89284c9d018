//! What is counted of an upstream, and how its servers are at the moment of a scrape. Servers come and go with their names, so theirs
//! are no lasting handles: they are filled in from a snapshot each time, and one that is gone leaves no series behind.

use std::sync::Arc;

use prometheus::{IntCounter, IntCounterVec, Registry};

use super::labels::{ConnectionKind, CounterPer};
use super::registry::{counters, gauges};

/// The metrics of one upstream.
#[derive(Debug)]
pub struct UpstreamMetrics {
    connections: CounterPer<ConnectionKind>,
    failures: IntCounter,
}

impl UpstreamMetrics {
    /// A request got a connection.
    pub fn connected(&self, kind: ConnectionKind) {
        self.connections.inc(kind);
    }

    /// A server could not be connected to. Each server that was tried counts.
    pub fn connect_failed(&self) {
        self.failures.inc();
    }
}

/// How a server is at the moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerState {
    /// The upstream's name in the configuration.
    pub upstream: Arc<str>,
    /// The server's address.
    pub server: String,
    /// Its health checks pass, or there are none.
    pub up: bool,
    /// It failed often enough to get no new work for a while.
    pub ejected: bool,
    /// Event streams on it.
    pub streams: u64,
    /// Ordinary requests in flight to it.
    pub requests: u64,
}

/// The families from which upstreams take their handles.
pub(super) struct UpstreamFamilies {
    connections: IntCounterVec,
    failures: IntCounterVec,
}

impl UpstreamFamilies {
    pub(super) fn new(to: &Registry) -> Result<Self, prometheus::Error> {
        Ok(Self {
            connections: counters(
                to,
                "ssedge_upstream_connections_total",
                "Connections that requests got: made for them, or from the pool.",
                &["upstream", "kind"],
            )?,
            failures: counters(
                to,
                "ssedge_upstream_connect_failures_total",
                "Connects to a server that failed or took too long.",
                &["upstream"],
            )?,
        })
    }

    /// The handles of the upstream `name`.
    pub(super) fn upstream(&self, name: &str) -> UpstreamMetrics {
        UpstreamMetrics {
            connections: CounterPer::new(|kind| self.connections.with_label_values(&[name, kind])),
            failures: self.failures.with_label_values(&[name]),
        }
    }
}

/// Fills `to` with gauges of `servers`.
pub(super) fn fill_servers(to: &Registry, servers: impl IntoIterator<Item = ServerState>) -> Result<(), prometheus::Error> {
    const BY_SERVER: &[&str] = &["upstream", "server"];
    let up = gauges(to, "ssedge_server_up", "1 while the server's health checks pass, or without checks.", BY_SERVER)?;
    let ejected = gauges(to, "ssedge_server_ejected", "1 while the server gets no new work after failures.", BY_SERVER)?;
    let streams = gauges(to, "ssedge_server_streams", "Event streams on the server.", BY_SERVER)?;
    let requests = gauges(to, "ssedge_server_requests", "Ordinary requests in flight to the server.", BY_SERVER)?;
    let whole = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    for state in servers {
        let labels = &[&*state.upstream, &state.server];
        up.with_label_values(labels).set(i64::from(state.up));
        ejected.with_label_values(labels).set(i64::from(state.ejected));
        streams.with_label_values(labels).set(whole(state.streams));
        requests.with_label_values(labels).set(whole(state.requests));
    }
    Ok(())
}
