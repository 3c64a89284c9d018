//! The metrics: a struct built from the names of the configuration. Handles are resolved once, so that counting is one atomic addition;
//! every series but those of servers is there from the start. The README's table of names is held to what [`Metrics::render`] gives.

mod delay;
mod http2_end;
mod labels;
mod registry;
mod route;
mod upstream;

use std::collections::HashMap;
use std::sync::Arc;

use prometheus::{Encoder, IntCounter, IntGauge, Registry, TextEncoder};

pub use delay::DelaySampler;
pub use http2_end::Http2End;
pub use labels::{
    ConnectionCap, ConnectionKind, HeartbeatFrame, ProxyHeaderFault, SilentBefore, StatusClass, StreamCap, TlsHandshake,
};
pub use route::{OpenStream, RouteMetrics};
pub use upstream::{ServerState, UpstreamMetrics};

use labels::CounterPer;
use registry::{counter, counters, gauge, gauges};
use route::RouteFamilies;
use upstream::{UpstreamFamilies, fill_servers};

use super::summary::Ends;

/// The names in the configuration that become labels.
#[derive(Debug, Clone, Copy, Default)]
pub struct Labels<'a> {
    /// Of all routes, by position.
    pub routes: &'a [&'a str],
    /// Of all upstreams.
    pub upstreams: &'a [&'a str],
    /// Something short that tells two configurations apart.
    pub config: &'a str,
}

/// All metrics of the process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    routes: Box<[Arc<RouteMetrics>]>,
    no_route: CounterPer<StatusClass>,
    upstreams: HashMap<Box<str>, Arc<UpstreamMetrics>>,
    connections_open: IntGauge,
    connections_accepted: IntCounter,
    connections_refused: CounterPer<ConnectionCap>,
    connections_silent: CounterPer<SilentBefore>,
    tls_handshakes: CounterPer<TlsHandshake>,
    http2_ended: CounterPer<Http2End>,
    proxy_header_faults: CounterPer<ProxyHeaderFault>,
}

impl Metrics {
    /// Builds and registers all of them in a registry of their own.
    ///
    /// # Errors
    /// When two have the same name, which a test rules out.
    pub fn new(labels: &Labels<'_>) -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let routes = RouteFamilies::new(&registry)?;
        let upstreams = UpstreamFamilies::new(&registry)?;
        gauges(&registry, "ssedge_build_info", "Always 1; the version is in the label.", &["version"])?
            .with_label_values(&[env!("CARGO_PKG_VERSION")])
            .set(1);
        gauges(&registry, "ssedge_config_info", "Always 1; the label tells configurations apart.", &["config"])?
            .with_label_values(&[labels.config])
            .set(1);
        let refused = counters(
            &registry,
            "ssedge_connections_refused_total",
            "Connections closed at once, by the cap that was met.",
            &["cap"],
        )?;
        let silent = counters(
            &registry,
            "ssedge_connections_silent_total",
            "Connections from clients closed because nothing came in time, by what should have come.",
            &["before"],
        )?;
        let handshakes =
            counters(&registry, "ssedge_tls_handshakes_total", "TLS handshakes with clients, by how they ended.", &["result"])?;
        let http2_ended = counters(
            &registry,
            "ssedge_http2_connections_ended_total",
            "HTTP/2 connections of clients that ended, by reason.",
            &["reason"],
        )?;
        let faults = counters(
            &registry,
            "ssedge_proxy_header_faults_total",
            "Connections of trusted proxies closed for want of a PROXY header, by reason.",
            &["reason"],
        )?;
        Ok(Self {
            routes: labels.routes.iter().map(|name| Arc::new(routes.route(name))).collect(),
            no_route: routes.no_route(),
            upstreams: labels.upstreams.iter().map(|name| (Box::from(*name), Arc::new(upstreams.upstream(name)))).collect(),
            connections_open: gauge(&registry, "ssedge_connections_open", "Connections from clients open now.")?,
            connections_accepted: counter(&registry, "ssedge_connections_accepted_total", "Connections from clients accepted.")?,
            connections_refused: CounterPer::new(|cap| refused.with_label_values(&[cap])),
            connections_silent: CounterPer::new(|before| silent.with_label_values(&[before])),
            tls_handshakes: CounterPer::new(|result| handshakes.with_label_values(&[result])),
            http2_ended: CounterPer::new(|reason| http2_ended.with_label_values(&[reason])),
            proxy_header_faults: CounterPer::new(|reason| faults.with_label_values(&[reason])),
            registry,
        })
    }

    /// The metrics of the route at `position` in the file. To be asked once, at wiring.
    #[must_use]
    pub fn route(&self, position: usize) -> Option<&Arc<RouteMetrics>> {
        self.routes.get(position)
    }

    /// The metrics of the upstream `name`. To be asked once, at wiring.
    #[must_use]
    pub fn upstream(&self, name: &str) -> Option<&Arc<UpstreamMetrics>> {
        self.upstreams.get(name)
    }

    /// A request that reached no route has its answer: no route matched, or its head was refused.
    pub fn answered_without_route(&self, class: StatusClass) {
        self.no_route.inc(class);
    }

    /// A connection from a client was accepted; it is open for as long as the value lives.
    #[must_use]
    pub fn open_connection(self: &Arc<Self>) -> OpenConnection {
        self.connections_accepted.inc();
        self.connections_open.inc();
        OpenConnection { metrics: Arc::clone(self) }
    }

    /// A connection from a client was closed at once.
    pub fn connection_refused(&self, cap: ConnectionCap) {
        self.connections_refused.inc(cap);
    }

    /// A connection from a client was closed because nothing came in time.
    pub fn connection_silent(&self, before: SilentBefore) {
        self.connections_silent.inc(before);
    }

    /// A TLS handshake with a client is over.
    pub fn tls_handshake(&self, result: TlsHandshake) {
        self.tls_handshakes.inc(result);
    }

    /// An HTTP/2 connection of a client ended.
    pub fn http2_ended(&self, end: Http2End) {
        self.http2_ended.inc(end);
    }

    /// A connection of a trusted proxy was closed: it had no PROXY header that could be read.
    pub fn proxy_header_fault(&self, fault: ProxyHeaderFault) {
        self.proxy_header_faults.inc(fault);
    }

    /// Event streams open now, over all routes.
    #[must_use]
    pub fn streams_open(&self) -> u64 {
        self.routes.iter().map(|route| route.streams_open()).sum()
    }

    /// How many streams ended how, over all routes. Its text is the exit summary.
    #[must_use]
    pub fn streams_ended(&self) -> Ends {
        Ends::new(|reason| self.routes.iter().map(|route| route.streams_ended(reason)).sum())
    }

    /// The text exposition format of Prometheus, version 0.0.4, with what others know at this moment: the servers of all upstreams,
    /// and the lines that the access log dropped so far.
    ///
    /// # Errors
    /// When a metric family is inconsistent, which its type rules out.
    pub fn render(
        &self,
        servers: impl IntoIterator<Item = ServerState>,
        access_log_lines_dropped: u64,
    ) -> Result<Vec<u8>, prometheus::Error> {
        // A registry for one scrape: a server that is gone leaves nothing behind, and two scrapes at once share nothing.
        let moment = Registry::new();
        fill_servers(&moment, servers)?;
        counter(
            &moment,
            "ssedge_access_log_lines_dropped_total",
            "Access log lines lost, because its sink did not take them in time or failed.",
        )?
        .inc_by(access_log_lines_dropped);

        let mut families = self.registry.gather();
        families.extend(moment.gather());
        families.sort_by(|a, b| a.name().cmp(b.name()));
        let mut out = Vec::new();
        TextEncoder::new().encode(&families, &mut out)?;
        Ok(out)
    }
}

/// A connection from a client that is open.
#[derive(Debug)]
pub struct OpenConnection {
    metrics: Arc<Metrics>,
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.metrics.connections_open.dec();
    }
}

#[cfg(test)]
mod tests;
