//! What is told of connections, requests and streams: gauges, counters, access log lines. Each is told by `Drop` at the latest, so that
//! no path forgets it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::Method;

use super::listener::Listener;
use crate::admission::{ConnectionPermit, Permit};
use crate::client_id::ClientKey;
use crate::clock;
use crate::drain::Guard;
use crate::message::soft::SoftStatus;
use crate::stream::{EndReason, StreamState, Tally};
use crate::telemetry::access_log::{AccessLog, Asked, RequestLine, StreamCloseLine, StreamOpenLine};
use crate::telemetry::{DelaySampler, HeartbeatFrame, OpenConnection, OpenStream, RouteMetrics, StatusClass};
use crate::upstream::{BusyGuard, Server};

/// A client's connection, open for as long as this lives.
#[derive(Debug)]
pub struct Client {
    /// The peer's address: the client's own, or that of a proxy in front of us; or the one that its PROXY header names.
    pub address: SocketAddr,
    /// Where it came in.
    pub listener: Arc<Listener>,
    pub(super) permit: ConnectionPermit,
    _open: OpenConnection,
    _guard: Guard,
}

impl Client {
    /// A connection was accepted.
    #[must_use]
    pub fn new(address: SocketAddr, listener: Arc<Listener>, open: OpenConnection, permit: ConnectionPermit, guard: Guard) -> Self {
        Self { address, listener, permit, _open: open, _guard: guard }
    }

    /// The other end.
    #[must_use]
    pub fn peer(&self) -> Peer {
        Peer { address: self.address.ip().to_canonical(), tls: self.listener.tls.is_some() }
    }
}

/// The other end of a client's connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// The client's own address, or that of a proxy in front of us.
    pub address: IpAddr,
    /// It speaks TLS with us.
    pub tls: bool,
}

/// How an exchange ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The client has the whole response.
    Whole,
    /// It is an event stream, which has its own lines.
    Stream,
    /// The connection switched protocols, and both sides closed it or it was idle for too long.
    Tunnel,
    /// The client closed.
    ClientGone,
    /// The client took nothing for too long.
    Stalled,
    /// The upstream's response broke off.
    UpstreamLost,
    /// We left before it was over.
    Cut,
}

impl Outcome {
    /// What the access log says of it, where it is worth a word.
    fn reason(self) -> Option<&'static str> {
        match self {
            Self::Whole | Self::Stream | Self::Tunnel => None,
            Self::ClientGone => Some("the client left"),
            Self::Stalled => Some("the client took nothing for timeouts.write_stall"),
            Self::UpstreamLost => Some("the response of the server broke off"),
            Self::Cut => Some("cut at the end of the drain"),
        }
    }
}

/// What was asked, kept for the lines about it.
#[derive(Debug)]
pub struct Request {
    /// Who asked, behind trusted proxies.
    pub client: IpAddr,
    /// The method.
    pub method: Method,
    /// The value of `Host`.
    pub host: Option<Box<[u8]>>,
    /// The path, without the query.
    pub path: Box<[u8]>,
    /// The route's name.
    pub route: Arc<str>,
    /// The upstream's name; none if the route has none.
    pub upstream: Option<Arc<str>>,
}

impl Request {
    /// Leaves nothing but names behind.
    fn take(&mut self) -> Self {
        Self {
            client: self.client,
            method: std::mem::take(&mut self.method),
            host: self.host.take(),
            path: std::mem::take(&mut self.path),
            route: Arc::clone(&self.route),
            upstream: self.upstream.clone(),
        }
    }

    fn asked<'a>(&'a self, server: Option<&'a Arc<Server>>) -> Asked<'a> {
        Asked {
            client: self.client,
            method: Some(self.method.as_str()),
            host: self.host.as_deref(),
            path: Some(&self.path),
            route: Some(&self.route),
            upstream: self.upstream.as_deref(),
            server: server.map(|server| server.address()),
        }
    }
}

/// One request, told once when this is dropped, whichever way that comes.
#[derive(Debug)]
pub struct RequestRecord {
    request: Request,
    log: Arc<AccessLog>,
    metrics: Arc<RouteMetrics>,
    started: Instant,
    server: Option<Arc<Server>>,
    connect: Option<Duration>,
    first_byte: Option<Duration>,
    status: u16,
    bytes: u64,
    reason: Option<&'static str>,
    soft: Option<SoftStatus>,
    outcome: Outcome,
}

impl RequestRecord {
    /// A request whose head was read at `started`.
    #[must_use]
    pub fn new(request: Request, log: Arc<AccessLog>, metrics: Arc<RouteMetrics>, started: Instant) -> Box<Self> {
        Box::new(Self {
            request,
            log,
            metrics,
            started,
            server: None,
            connect: None,
            first_byte: None,
            status: 0,
            bytes: 0,
            reason: None,
            soft: None,
            outcome: Outcome::Cut,
        })
    }

    /// This server is asked.
    pub fn asks(&mut self, server: &Arc<Server>) {
        self.server = Some(Arc::clone(server));
    }

    /// Which server was asked last.
    #[must_use]
    pub fn server(&self) -> Option<&Arc<Server>> {
        self.server.as_ref()
    }

    /// A connection was made, in that time.
    pub fn connected(&mut self, took: Duration) {
        self.connect = Some(took);
    }

    /// The server's answer began.
    pub fn answered(&mut self) {
        self.first_byte = Some(clock::now().saturating_duration_since(self.started));
    }

    /// The client gets this status.
    pub fn status(&mut self, status: u16) {
        self.status = status;
    }

    /// Why it was refused, in our words.
    pub fn reason(&mut self, reason: &'static str) {
        self.reason = Some(reason);
    }

    /// The client gets a soft answer in place of this status, which the log names.
    pub fn softened(&mut self, status: SoftStatus) {
        self.soft = Some(status);
        self.metrics.softened(status);
    }

    /// So many bytes of the body go to the client.
    pub fn forwarded(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
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

    /// It became an event stream, which tells of itself from here on.
    #[must_use]
    pub fn into_stream(mut self: Box<Self>, client: Arc<Client>, busy: BusyGuard, permit: Permit<ClientKey>) -> StreamRecord {
        self.outcome = Outcome::Stream;
        let number = self.log.next_stream();
        self.log.stream_open(&StreamOpenLine {
            asked: self.request.asked(self.server.as_ref()),
            stream: number,
            status: self.status,
            connect: self.connect,
            first_byte: self.first_byte,
        });
        let stream = Stream {
            request: self.request.take(),
            log: Arc::clone(&self.log),
            number,
            asked: self.started,
            opened: clock::now(),
            _client: client,
            permit: Some(permit),
            busy,
        };
        StreamRecord {
            open: self.metrics.open_stream(),
            delay: DelaySampler::new(),
            bytes: 0,
            any_event: false,
            stream: Box::new(stream),
        }
    }
}

impl Drop for RequestRecord {
    fn drop(&mut self) {
        let gone = self.status == 0 || self.status == 499;
        self.metrics.answered(if gone { StatusClass::ClientGone } else { StatusClass::of(self.status) });
        if self.outcome == Outcome::Stream {
            return;
        }
        let total = clock::now().saturating_duration_since(self.started);
        // How long a tunnel lasts says nothing about us.
        if self.status != 101 {
            self.metrics.request_took(total);
        }
        let reason = self.reason.or(self.outcome.reason());
        let soft = self.soft.map(|status| format!("soft answer in place of {}: {}", status.label(), reason.unwrap_or("refused")));
        self.log.request(&RequestLine {
            asked: self.request.asked(self.server.as_ref()),
            status: self.status,
            reason: soft.as_deref().or(reason),
            bytes: self.bytes,
            connect: self.connect,
            first_byte: self.first_byte,
            total,
        });
    }
}

/// An event stream, open for as long as this lives.
#[derive(Debug)]
pub struct StreamRecord {
    open: OpenStream,
    delay: DelaySampler,
    bytes: u64,
    any_event: bool,
    stream: Box<Stream>,
}

/// The part that only its open and its close need.
#[derive(Debug)]
struct Stream {
    request: Request,
    log: Arc<AccessLog>,
    number: u64,
    asked: Instant,
    opened: Instant,
    busy: BusyGuard,
    permit: Option<Permit<ClientKey>>,
    _client: Arc<Client>,
}

impl StreamRecord {
    /// So much came from the upstream.
    pub fn received(&mut self, bytes: u64, events: u64, now: Instant) {
        self.bytes += bytes;
        self.open.received(bytes, events);
        self.delay.read(now);
        if events > 0 && !std::mem::replace(&mut self.any_event, true) {
            self.open.first_event(now.saturating_duration_since(self.stream.asked));
        }
    }

    /// The client took all that there was.
    pub fn drained(&mut self) {
        if let Some(delay) = self.delay.written(clock::now) {
            self.open.forwarded(delay);
        }
    }

    /// A heartbeat was sent.
    pub fn beat(&self, frame: HeartbeatFrame) {
        self.open.beat(frame);
    }

    /// The stream is about to end: its place is free before its client can see the end and come back.
    pub fn leaves(&mut self) {
        self.stream.permit = None;
    }

    /// The stream is over. Only the first call counts.
    pub fn ended(&mut self, reason: EndReason, state: Option<&StreamState>) {
        if !self.open.ended(reason) {
            return;
        }
        let tally = state.map_or_else(Tally::default, StreamState::tally);
        self.stream.log.stream_close(&StreamCloseLine {
            asked: self.stream.request.asked(Some(self.stream.busy.server())),
            stream: self.stream.number,
            duration: clock::now().saturating_duration_since(self.stream.opened),
            events: tally.events,
            bytes: self.bytes,
            heartbeats: tally.heartbeats,
            last_id: state.and_then(StreamState::last_event_id),
            reason,
        });
    }
}

impl Drop for StreamRecord {
    fn drop(&mut self) {
        self.ended(EndReason::Aborted, None);
    }
}
