//! One request: which route it takes, who its client is, and the exchange with a server of that route's upstream.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::header::HOST;
use pingora::http::RequestHeader;

use super::auth::AuthContext;
use super::call::Call;
use super::cors::PreflightAnswer;
use super::door::After;
use super::exchange::Exchange;
use super::record::{Peer, Request, RequestRecord};
use super::redirect::Moved;
use super::reject;
use crate::admission::Admission;
use crate::affinity::Sealer;
use crate::client_id::{self, ClientKey, TrustedProxies};
use crate::clock;
use crate::drain::Drain;
use crate::message::RequestHead;
use crate::message::forwarded::{ClientHop, ForwardedPolicy};
use crate::route::{Redirect, RouteTable};
use crate::telemetry::access_log::{AccessLog, Asked, RequestLine};
use crate::telemetry::{Metrics, RouteMetrics, Seldom, StatusClass, UpstreamMetrics};
use crate::upstream::Upstream;

/// What all requests share.
#[derive(Debug)]
pub struct App {
    /// All routes.
    pub routes: RouteTable,
    /// What belongs to each of them, by its position.
    pub contexts: Box<[RouteContext]>,
    /// Caps on streams.
    pub admission: Admission<ClientKey>,
    /// Bytes that a request's body may have; `None` for any number.
    pub request_body: Option<u64>,
    /// Whose forwarding fields count.
    pub trusted: TrustedProxies,
    /// What servers are told of clients.
    pub forwarded: ForwardedPolicy,
    /// The access log.
    pub log: Arc<AccessLog>,
    /// The process's metrics.
    pub metrics: Arc<Metrics>,
    /// The process's drain.
    pub drain: Drain,
    /// Tells of HTTP/2 connections that were ended for what their clients sent.
    pub abuse: Seldom,
}

/// What belongs to one route and is made once.
#[derive(Debug)]
pub enum RouteContext {
    /// Its requests go to an upstream.
    Forward(ForwardContext),
    /// They are sent elsewhere.
    Redirect(Redirect, Arc<RouteMetrics>),
}

impl RouteContext {
    fn metrics(&self) -> &Arc<RouteMetrics> {
        match self {
            Self::Forward(forward) => &forward.metrics,
            Self::Redirect(_, metrics) => metrics,
        }
    }
}

/// What belongs to one route to an upstream.
#[derive(Debug)]
pub struct ForwardContext {
    /// Its upstream, at work.
    pub upstream: Arc<Upstream>,
    /// Who is asked first.
    pub auth: Option<AuthContext>,
    /// Seals and opens its pins.
    pub sealer: Option<Sealer>,
    /// Its metrics.
    pub metrics: Arc<RouteMetrics>,
    /// Its upstream's metrics.
    pub upstream_metrics: Arc<UpstreamMetrics>,
}

impl App {
    /// Serves one request, whose head is read.
    pub(super) async fn handle(&self, mut call: Box<Call>, request: RequestHead) -> After {
        let started = clock::now();
        // An HTTP/1.0 client gets its body up to the close; Pingora's own answer for it may promise otherwise.
        let keep_alive = request.keep_alive && request.version == crate::message::Version::Http11 && !self.drain.is_draining();
        let head = call.down.head();
        let peer = call.client.address.ip().to_canonical();
        let address = client_id::client_address(peer, &head.headers, &self.trusted);
        let host = head.headers.get(HOST).map(|host| host.as_bytes());
        let (found, preflight) = self.route(&call.down, &request);
        if let Some(port) = self.https_port(&call, found) {
            return Box::pin(self.to_https(call, &request, address, port, keep_alive)).await;
        }
        let Some((route, context)) = found.and_then(|route| Some((route, self.contexts.get(route.position)?))) else {
            return Box::pin(self.no_route(call, &request, address, keep_alive)).await;
        };
        let asked = Request {
            client: address,
            method: request.method.clone(),
            host: host.map(Box::from),
            path: head.uri.path().as_bytes().into(),
            route: Arc::clone(&route.name),
            upstream: route.action.upstream().map(|upstream| Arc::clone(&upstream.name)),
        };
        let record = RequestRecord::new(asked, Arc::clone(&self.log), Arc::clone(context.metrics()), started);
        let edits = route.response_headers.clone();
        if let Some(preflight) = preflight {
            call.down.set_response_headers(edits);
            let answer = PreflightAnswer { route, preflight, request: &request, keep_alive };
            return Box::pin(answer.send(call, record)).await;
        }
        let cors = route.cors.as_ref().map(|policy| policy.grant(&head.headers));
        call.down.set_cors(cors);
        call.down.set_response_headers(edits);
        match context {
            RouteContext::Forward(context) => {
                let exchange = Exchange { app: self, route, context, request: &request, client: address, keep_alive };
                exchange.run(call, record).await
            }
            RouteContext::Redirect(redirect, _) => {
                let moved = Moved { route, redirect, request: &request, keep_alive };
                Box::pin(moved.answer(call, record)).await
            }
        }
    }

    /// What a server is told of this client.
    pub(super) fn hop<'a>(&self, peer: Peer, client: IpAddr, head: &'a RequestHeader) -> ClientHop<'a> {
        let headers = &head.headers;
        ClientHop {
            peer: peer.address,
            trusted: self.trusted.contains(peer.address),
            client,
            https: client_id::is_https(peer.tls, peer.address, headers, &self.trusted),
            host: headers.get(HOST).map(|host| host.as_bytes()),
        }
    }

    /// Counts and logs an answer of ours to what reached no route, in `total`.
    pub(super) fn answered_without_route(&self, asked: Asked<'_>, status: u16, reason: &str, total: Duration) {
        self.metrics.answered_without_route(StatusClass::of(status));
        let (connect, first_byte) = (None, None);
        self.log.request(&RequestLine { asked, status, reason: Some(reason), bytes: 0, connect, first_byte, total });
    }

    async fn no_route(&self, mut call: Box<Call>, request: &RequestHead, address: IpAddr, keep_alive: bool) -> After {
        let started = clock::now();
        let answered = reject::answer(&mut call.down, 404, None, keep_alive && !request.framing.has_body()).await;
        let head = call.down.head();
        let host = head.headers.get(HOST).map(|host| host.as_bytes());
        let asked = Asked::without_route(address, Some(request.method.as_str()), host, Some(head.uri.path().as_bytes()));
        self.answered_without_route(asked, 404, "no route", clock::now().saturating_duration_since(started));
        match answered {
            Ok(()) => call.leave(),
            Err(_) => After::Gone,
        }
    }
}
