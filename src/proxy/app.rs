//! One request: which route it takes, who its client is, and the exchange with a server of that route's upstream.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::header::HOST;
use pingora::protocols::Stream;
use pingora::protocols::http::ServerSession;
use tokio::net::TcpStream;

use super::door::After;
use super::exchange::Exchange;
use super::record::{Client, Request, RequestRecord};
use super::reject;
use crate::admission::Admission;
use crate::affinity::Sealer;
use crate::client_id::{self, ClientKey, TrustedProxies};
use crate::clock;
use crate::drain::Drain;
use crate::message::RequestHead;
use crate::message::forwarded::{ClientHop, ForwardedPolicy};
use crate::route::RouteTable;
use crate::telemetry::access_log::{AccessLog, Asked, RequestLine};
use crate::telemetry::{Metrics, RouteMetrics, StatusClass, UpstreamMetrics};
use crate::transport::Transport;
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
}

/// What belongs to one route and is made once.
#[derive(Debug)]
pub struct RouteContext {
    /// Its upstream, at work.
    pub upstream: Arc<Upstream>,
    /// Seals and opens its pins.
    pub sealer: Option<Sealer>,
    /// Its metrics.
    pub metrics: Arc<RouteMetrics>,
    /// Its upstream's metrics.
    pub upstream_metrics: Arc<UpstreamMetrics>,
}

impl App {
    /// Serves one request, whose head is read.
    pub async fn handle(&self, mut session: ServerSession, request: RequestHead, client: Client) -> After {
        let started = clock::now();
        // An HTTP/1.0 client gets its body up to the close; Pingora's own answer for it may promise otherwise.
        let keep_alive = request.keep_alive && request.version == crate::message::Version::Http11 && !self.drain.is_draining();
        session.set_keepalive(keep_alive.then_some(0));
        session.set_pipelining_enabled(true);
        let head = session.req_header();
        let peer = client.address.ip().to_canonical();
        let address = client_id::client_address(peer, &head.headers, &self.trusted);
        let host = head.headers.get(HOST).map(|host| host.as_bytes());
        let found = self.routes.find(host, head.raw_path(), &request.method);
        let Some((route, context)) = found.and_then(|route| Some((route, self.contexts.get(route.position)?))) else {
            return self.no_route(session, &request, client, address).await;
        };
        let asked = Request {
            client: address,
            method: request.method.clone(),
            host: host.map(Bytes::copy_from_slice),
            path: head.uri.path().as_bytes().into(),
            route: Arc::clone(&route.name),
            upstream: Arc::clone(&route.upstream.name),
        };
        let record = RequestRecord::new(asked, Arc::clone(&self.log), Arc::clone(&context.metrics), started);
        let exchange = Exchange { app: self, route, context, request: &request, client: address, keep_alive };
        exchange.run(session, client, record).await
    }

    /// What a server is told of this client.
    pub(super) fn hop<'a>(&self, peer: IpAddr, client: IpAddr, session: &'a ServerSession) -> ClientHop<'a> {
        let headers = &session.req_header().headers;
        ClientHop {
            peer,
            trusted: self.trusted.contains(peer),
            client,
            https: client_id::is_https(peer, headers, &self.trusted),
            host: headers.get(HOST).map(|host| host.as_bytes()),
        }
    }

    async fn no_route(&self, mut session: ServerSession, request: &RequestHead, client: Client, address: IpAddr) -> After {
        let started = clock::now();
        let answered = reject::answer(&mut session, 404, None).await;
        self.metrics.answered_without_route(StatusClass::of(404));
        let head = session.req_header();
        let asked = Asked {
            client: address,
            method: Some(request.method.as_str()),
            host: head.headers.get(HOST).map(|host| host.as_bytes()),
            path: Some(head.uri.path().as_bytes()),
            route: None,
            upstream: None,
            server: None,
        };
        self.log.request(&RequestLine {
            asked,
            status: 404,
            reason: Some("no route"),
            bytes: 0,
            connect: None,
            first_byte: None,
            total: clock::now().saturating_duration_since(started),
        });
        match answered {
            Ok(()) => leave(session, client).await,
            Err(_) => After::Gone,
        }
    }
}

/// After a whole response: the connection serves the next request, or is closed without taking the answer from a client that still
/// sends.
pub(super) async fn leave(session: ServerSession, client: Client) -> After {
    let ServerSession::H1(mut session) = session else { return After::Gone };
    if session.will_keepalive() && session.is_body_done() {
        let Ok(Some(reusable)) = session.reuse().await else { return After::Gone };
        let (stream, overread) = reusable.into_parts();
        let Some((socket, unread)) = raw(stream) else { return After::Gone };
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
    match raw(session.into_inner()) {
        Some((socket, _)) => After::Linger(socket, client),
        None => After::Gone,
    }
}

/// The client's socket out of a session's stream, and what was read of it and is still unread.
fn raw(stream: Stream) -> Option<(TcpStream, Bytes)> {
    let (socket, unread, _) = Transport::from_stream(stream)?.into_parts()?;
    Some((socket.into_tcp()?, unread))
}
