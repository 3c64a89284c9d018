//! What is told of connections and streams: gauges, counters, log lines. Each is counted back by `Drop`, so that no path forgets it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use pingora::protocols::http::ServerSession;

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

/// How an exchange ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The client has the whole response.
    Whole,
    /// It is an event stream, which has its own lines.
    Stream,
    /// The client closed, or took nothing for too long.
    ClientGone,
    /// The upstream's response broke off.
    UpstreamLost,
    /// We left before it was over.
    Cut,
}

impl Outcome {
    fn label(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::Stream => "stream",
            Self::ClientGone => "client_gone",
            Self::UpstreamLost => "upstream_lost",
            Self::Cut => "cut",
        }
    }
}

/// One request, logged once when this is dropped, whichever way that comes.
#[derive(Debug)]
pub struct RequestRecord {
    client: SocketAddr,
    method: http::Method,
    /// Without the query: tokens live there.
    path: String,
    route: Arc<str>,
    upstream: String,
    started: Instant,
    status: u16,
    bytes: usize,
    outcome: Outcome,
}

impl RequestRecord {
    /// A request whose head was read at `started`.
    #[must_use]
    pub fn new(client: &Client, session: &ServerSession, route: &Arc<str>, upstream: &str, started: Instant) -> Self {
        let head = session.req_header();
        Self {
            client: client.address,
            method: head.method.clone(),
            path: head.uri.path().to_owned(),
            route: Arc::clone(route),
            upstream: upstream.to_owned(),
            started,
            status: 0,
            bytes: 0,
            outcome: Outcome::Cut,
        }
    }

    /// The client gets this status.
    pub fn status(&mut self, status: u16) {
        self.status = status;
    }

    /// So many bytes of the body go to the client.
    pub fn forwarded(&mut self, bytes: usize) {
        self.bytes += bytes;
    }

    /// How it ends.
    pub fn outcome(&mut self, outcome: Outcome) {
        self.outcome = outcome;
    }

    /// It is over.
    pub fn over(&mut self, status: u16, outcome: Outcome) {
        self.status = status;
        self.outcome = outcome;
    }
}

impl Drop for RequestRecord {
    fn drop(&mut self) {
        if self.outcome == Outcome::Stream {
            return;
        }
        tracing::info!(
            client = %self.client,
            method = %self.method,
            path = self.path,
            route = &*self.route,
            upstream = self.upstream,
            status = self.status,
            bytes = self.bytes,
            seconds = clock::now().saturating_duration_since(self.started).as_secs_f64(),
            outcome = self.outcome.label(),
            "request"
        );
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
