//! One request: which route it takes, and the exchange with that route's upstream.

use std::collections::HashMap;
use std::sync::Arc;

use pingora::protocols::http::ServerSession;

use super::door::After;
use super::exchange::Exchange;
use super::record::Client;
use super::reject;
use crate::clock;
use crate::drain::Drain;
use crate::message::RequestHead;
use crate::route::RouteTable;
use crate::telemetry::Metrics;
use crate::transport::Transport;
use crate::upstream::Pool;

/// What all requests share.
#[derive(Debug)]
pub struct App {
    routes: RouteTable,
    pools: HashMap<Arc<str>, Pool>,
    metrics: Arc<Metrics>,
    drain: Drain,
}

impl App {
    /// One pool for each upstream that a route names.
    #[must_use]
    pub fn new(routes: RouteTable, metrics: Arc<Metrics>, drain: Drain) -> Self {
        let pools = routes.iter().map(|route| (Arc::clone(&route.upstream.name), Pool::new(Arc::clone(&route.upstream)))).collect();
        Self { routes, pools, metrics, drain }
    }

    /// The process's metrics.
    #[must_use]
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// The process's drain.
    #[must_use]
    pub fn drain(&self) -> &Drain {
        &self.drain
    }

    /// Serves one request, whose head is read.
    pub async fn handle(&self, mut session: ServerSession, request: RequestHead, client: Client) -> After {
        self.metrics.requests.inc();
        // An HTTP/1.0 client gets its body up to the close; Pingora's own answer for it may promise otherwise.
        let keeps = request.keep_alive && request.version == crate::message::Version::Http11 && !self.drain.is_draining();
        session.set_keepalive(keeps.then_some(0));
        session.set_pipelining_enabled(true);
        let found = self.routes.find().and_then(|route| Some((route, self.pools.get(&route.upstream.name)?)));
        let Some((route, pool)) = found else {
            let status = 404;
            tracing::info!(client = %client.address, method = %request.method, status, "no route");
            let answered = reject::answer(&mut session, status).await;
            return match answered {
                Ok(()) => leave(session, client).await,
                Err(_) => After::Gone,
            };
        };
        let exchange = Exchange { route, pool, drain: &self.drain, request: &request, started: clock::now(), keep_alive: keeps };
        exchange.run(session, client).await
    }
}

/// After a whole response: the connection serves the next request, or is closed without taking the answer from a client that still
/// sends.
pub(super) async fn leave(session: ServerSession, client: Client) -> After {
    let ServerSession::H1(mut session) = session else { return After::Gone };
    if session.will_keepalive() && session.is_body_done() {
        let Ok(Some(reusable)) = session.reuse().await else { return After::Gone };
        let (stream, overread) = reusable.into_parts();
        let Some((socket, unread, _)) = Transport::from_stream(stream).and_then(|transport| transport.into_parts()) else {
            return After::Gone;
        };
        let ahead = match overread {
            Some(mut overread) if !unread.is_empty() => {
                overread.extend_from_slice(&unread);
                overread.freeze()
            }
            Some(overread) => overread.freeze(),
            None => unread,
        };
        return After::Next(socket, ahead, client);
    }
    match Transport::from_stream(session.into_inner()).and_then(|transport| transport.into_parts()) {
        Some((socket, _, _)) => After::Linger(socket, client),
        None => After::Gone,
    }
}
