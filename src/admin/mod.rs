//! What operators ask of a running process: `/metrics`, `/healthz`, `/readyz`. Reads only.

use std::sync::Arc;

use async_trait::async_trait;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE};
use http::{Method, Response, StatusCode};
use pingora::apps::http_app::ServeHttp;
use pingora::protocols::http::ServerSession;

use crate::clock;
use crate::drain::{Drain, Phase};
use crate::telemetry::{AccessLog, Metrics, ServerState};
use crate::upstream::Upstream;

/// The text exposition format of Prometheus.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";

/// The admin application.
#[derive(Debug)]
pub struct Admin {
    metrics: Arc<Metrics>,
    drain: Drain,
    upstreams: Vec<Arc<Upstream>>,
    log: Arc<AccessLog>,
}

impl Admin {
    /// Reads from these.
    #[must_use]
    pub fn new(metrics: Arc<Metrics>, drain: Drain, upstreams: Vec<Arc<Upstream>>, log: Arc<AccessLog>) -> Self {
        Self { metrics, drain, upstreams, log }
    }

    /// How all servers stand at this moment.
    fn servers(&self) -> impl Iterator<Item = ServerState> {
        let now = clock::now();
        self.upstreams.iter().flat_map(move |upstream| {
            let name = Arc::clone(&upstream.spec().name);
            upstream.snapshot(now).into_iter().map(move |server| ServerState {
                upstream: Arc::clone(&name),
                server: server.address,
                up: server.up,
                ejected: server.ejected,
                streams: server.streams as u64,
                requests: server.requests as u64,
            })
        })
    }

    fn answer(&self, method: &Method, path: &str) -> Response<Vec<u8>> {
        if !matches!(path, "/metrics" | "/healthz" | "/readyz") {
            return text(StatusCode::NOT_FOUND, "Not found. There are /metrics, /healthz and /readyz.\n");
        }
        if method != Method::GET && method != Method::HEAD {
            let mut refused = text(StatusCode::METHOD_NOT_ALLOWED, "Only GET and HEAD are served here.\n");
            refused.headers_mut().insert(ALLOW, http::HeaderValue::from_static("GET, HEAD"));
            return refused;
        }
        match (path, self.drain.phase()) {
            ("/metrics", _) => match self.metrics.render(self.servers(), self.log.dropped()) {
                Ok(body) => respond(StatusCode::OK, METRICS_TYPE, body),
                Err(error) => {
                    tracing::error!(%error, "the metrics cannot be written");
                    text(StatusCode::INTERNAL_SERVER_ERROR, "The metrics cannot be written; the log says why.\n")
                }
            },
            ("/readyz", Phase::Unready | Phase::Draining | Phase::Cut) => text(StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
            ("/readyz", Phase::Serving) => text(StatusCode::OK, "ready\n"),
            _ => text(StatusCode::OK, "ok\n"),
        }
    }
}

#[async_trait]
impl ServeHttp for Admin {
    async fn response(&self, session: &mut ServerSession) -> Response<Vec<u8>> {
        // One answer a connection: a health check that reads to the end gets one, and idle scrapers hold nothing.
        session.set_keepalive(None);
        let request = session.req_header();
        self.answer(&request.method, request.uri.path())
    }
}

fn text(status: StatusCode, body: &'static str) -> Response<Vec<u8>> {
    respond(status, TEXT, body.as_bytes().to_vec())
}

fn respond(status: StatusCode, media_type: &'static str, body: Vec<u8>) -> Response<Vec<u8>> {
    let length = body.len();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, http::HeaderValue::from_static(media_type));
    headers.insert(CONTENT_LENGTH, http::HeaderValue::from(length));
    headers.insert(CACHE_CONTROL, http::HeaderValue::from_static("no-store"));
    response
}
