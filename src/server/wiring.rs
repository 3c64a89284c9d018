//! From a configuration to what runs: upstreams, routes with what belongs to them, caps, logs, metrics. Nothing here decides anything.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use async_trait::async_trait;
use pingora::server::{ListenFds, ShutdownWatch};
use pingora::services::Service;
use tokio::sync::watch;

use super::certificates::Certificates;
use super::limits;
use crate::admission::{Admission, ConnectRate, Connections};
use crate::affinity::Sealer;
use crate::config::{self, Config, ListenerHttp2, ListenerSpec, LogSpec};
use crate::drain::Drain;
use crate::proxy::{App, AuthContext, Door, DoorSettings, Entrance, ForwardContext, Http2Settings, Listener, RouteContext};
use crate::route::Action;
use crate::telemetry::access_log::{AccessLog, AccessLogError, Sink};
use crate::telemetry::logging;
use crate::telemetry::{Labels, Metrics, Seldom};
use crate::upstream::Upstream;

/// Fewer connections than these are worth a word at the start.
const FEW_CONNECTIONS: usize = 1000;

/// What runs.
pub(super) struct Wired {
    pub(super) door: Arc<Door>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) upstreams: Vec<Arc<Upstream>>,
}

/// Wires all of it. `descriptors` is how many the process may have.
pub(super) fn wire(
    config: Config,
    descriptors: Option<u64>,
    drain: &Drain,
    log: &Arc<AccessLog>,
    certificates: &Certificates,
) -> Result<Wired, prometheus::Error> {
    let metrics = Arc::new(metrics(&config)?);
    let upstreams: HashMap<Arc<str>, Arc<Upstream>> = config
        .upstreams
        .iter()
        .map(|spec| (Arc::clone(&spec.name), Upstream::new(Arc::clone(spec), certificates.upstream(&spec.name))))
        .collect();
    let contexts = config
        .routes
        .iter()
        .filter_map(|route| {
            let route_metrics = Arc::clone(metrics.route(route.position)?);
            let upstream = match &route.action {
                Action::Forward(upstream) => upstream,
                Action::Redirect(redirect) => return Some(RouteContext::Redirect(redirect.clone(), route_metrics)),
            };
            Some(RouteContext::Forward(ForwardContext {
                upstream: Arc::clone(upstreams.get(&upstream.name)?),
                auth: match &route.auth {
                    Some(auth) => Some(AuthContext {
                        policy: auth.clone(),
                        upstream: Arc::clone(upstreams.get(&auth.upstream.name)?),
                        metrics: Arc::clone(metrics.upstream(&auth.upstream.name)?),
                    }),
                    None => None,
                },
                sealer: route.sticky.as_ref().map(Sealer::new),
                metrics: route_metrics,
                upstream_metrics: Arc::clone(metrics.upstream(&upstream.name)?),
            }))
        })
        .collect();
    let connections = Connections::new(connections(&config, descriptors), config.limits.connections_per_client);
    let rate = config.limits.connect_rate_per_client.map(ConnectRate::new);
    let settings = DoorSettings {
        request_head_bytes: config.limits.request_head,
        request_head: config.timeouts.request_head,
        keep_alive: config.timeouts.keep_alive,
        write_stall: config.timeouts.write_stall,
    };
    let admission = Admission::new(config.routes.iter().len(), config.limits.streams);
    let app = App {
        admission,
        routes: config.routes,
        contexts,
        request_body: config.limits.request_body,
        trusted: config.trusted_proxies,
        forwarded: config.forwarded,
        log: Arc::clone(log),
        metrics: Arc::clone(&metrics),
        drain: drain.clone(),
        abuse: Seldom::default(),
    };
    let door = Arc::new(Door::new(settings, Entrance::new(connections, rate), Arc::new(app)));
    Ok(Wired { door, metrics, upstreams: upstreams.into_values().collect() })
}

/// What holds for the connections of each listener.
pub(super) fn listeners(config: &Config, certificates: &Certificates) -> Vec<Arc<Listener>> {
    let listener = |(position, spec): (usize, &ListenerSpec)| {
        let ListenerHttp2 { streams, stream_window, connection_window, idle } = spec.http2;
        let http2 = Http2Settings { streams, stream_window, connection_window, idle };
        Arc::new(Listener {
            tls: certificates.listener(position),
            http2,
            proxy_protocol: spec.proxy_protocol,
            redirect_to_https: spec.redirect_to_https,
        })
    };
    config.listeners.iter().enumerate().map(listener).collect()
}

/// How many connections of clients are taken at once; says so where the kernel's limit is too low for what is wanted.
fn connections(config: &Config, descriptors: Option<u64>) -> Option<usize> {
    let fit = descriptors.map(limits::connections);
    match (config.limits.connections, fit) {
        (Some(wanted), Some(fit)) if wanted > fit => {
            tracing::warn!(
                wanted,
                fit,
                descriptors,
                "limits.connections is more than fit: raise `ulimit -n` or systemd's LimitNOFILE"
            );
        }
        (None, Some(fit)) if fit < FEW_CONNECTIONS => {
            tracing::warn!(connections = fit, descriptors, "few connections fit: raise `ulimit -n` or systemd's LimitNOFILE");
        }
        _ => {}
    }
    config.limits.connections.or(fit)
}

fn metrics(config: &Config) -> Result<Metrics, prometheus::Error> {
    let routes: Vec<_> = config.routes.iter().map(|route| &*route.name).collect();
    let upstreams: Vec<_> = config.upstreams.iter().map(|upstream| &*upstream.name).collect();
    let mut hasher = DefaultHasher::new();
    format!("{config:?}").hash(&mut hasher);
    let config = format!("{:016x}", hasher.finish());
    Metrics::new(&Labels { routes: &routes, upstreams: &upstreams, config: &config })
}

/// Opens the access log that the configuration names.
pub(super) fn access_log(spec: &LogSpec) -> Result<AccessLog, AccessLogError> {
    let sink = match &spec.access {
        config::AccessLog::Stdout => Sink::Stdout,
        config::AccessLog::Off => Sink::Off,
        config::AccessLog::File(path) => Sink::File(path.clone()),
    };
    AccessLog::new(sink, spec.format)
}

/// Sets up the process log as the configuration says. A second call has no effect.
pub fn init_logging(spec: &LogSpec) {
    logging::init(spec.level, spec.format);
}

/// Looks names up, checks servers and watches certificates for as long as the process lives.
pub(super) struct Background {
    upstreams: Vec<Arc<Upstream>>,
    /// Those whose files are watched.
    certificates: Option<Arc<Certificates>>,
    over: watch::Receiver<bool>,
}

impl Background {
    pub(super) fn new(upstreams: Vec<Arc<Upstream>>, certificates: Option<Arc<Certificates>>, over: watch::Receiver<bool>) -> Self {
        Self { upstreams, certificates, over }
    }
}

#[async_trait]
impl Service for Background {
    async fn start_service(&mut self, _fds: Option<ListenFds>, _shutdown: ShutdownWatch, _listeners_per_fd: usize) {
        let mut running = tokio::task::JoinSet::new();
        for upstream in self.upstreams.drain(..) {
            let mut over = self.over.clone();
            running.spawn(upstream.run(async move {
                let _ = over.wait_for(|over| *over).await;
            }));
        }
        if let Some(certificates) = self.certificates.take() {
            running.spawn(certificates.watch(self.over.clone()));
        }
        running.join_all().await;
    }

    fn name(&self) -> &str {
        "background"
    }

    fn threads(&self) -> Option<usize> {
        Some(1)
    }
}
