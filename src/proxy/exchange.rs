//! One request up to the head of its response: choose a server, connect, send, listen to both sides, read the head; then the body is
//! forwarded (`forward.rs`) or the stream goes to the relay (`stream.rs`).
//!
//! Request framing towards the upstream is built from what the door judged; response heads are judged as raw bytes before they are
//! believed. RFC 9110 sections 7.6, 9.2.2 and 15.2, RFC 9112 sections 6, 7 and 9.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::protocols::http::ServerSession;
use pingora::protocols::http::v1::client::HttpSession as UpstreamSession;
use tokio::io::Interest;

use super::app::{App, RouteContext, leave};
use super::body_sender::BodySender;
use super::door::After;
use super::record::{Client, Outcome, RequestRecord};
use super::reject;
use crate::admission::{Permit, Refusal};
use crate::affinity::{self, Pin};
use crate::client_id::{self, ClientKey};
use crate::clock;
use crate::message::{
    AcceptCoding, BuildOptions, RequestHead, ResponseFacts, ResponseFraming, ResponseHead, Version, forwarded, request, response,
    response_head,
};
use crate::route::Route;
use crate::sse;
use crate::telemetry::{ConnectionKind, StreamCap};
use crate::transport::Transport;
use crate::upstream::{Balance, BusyGuard, ConnectError, Connection, HashOn, Pick, Server};

/// Servers that one request tries to connect to.
const MAX_SERVERS_TRIED: usize = 8;
/// Heads of 1xx responses before the final one, and bytes of all heads together: who sends more is not answering.
const MAX_INFORMATIONAL: usize = 32;
const MAX_HEAD_BYTES: usize = 1024 * 1024;

/// What one exchange needs.
#[derive(Debug)]
pub struct Exchange<'a> {
    /// What all requests share.
    pub app: &'a App,
    /// The route it takes.
    pub route: &'a Route,
    /// What belongs to that route.
    pub context: &'a RouteContext,
    /// What the door judged.
    pub request: &'a RequestHead,
    /// Who asks, behind trusted proxies.
    pub client: IpAddr,
    /// Whether the client's connection may serve another request.
    pub keep_alive: bool,
}

/// Why there is no response of the upstream's.
#[derive(Debug)]
pub(super) enum Failure {
    /// The client closed or broke off: nobody is left to answer.
    ClientGone,
    /// The client's own doing: it gets this status.
    Client(u16, &'static str),
    /// The upstream's: the client gets this status, the log gets the reason.
    Upstream(u16, String),
    /// The server closed a connection without a byte of a response: if it had served before, one more try may be right.
    Stale(String),
}

/// A response whose head stands.
pub(super) struct Answered {
    pub(super) session: UpstreamSession,
    pub(super) head: ResponseHead,
    /// Bytes of all heads that were read, 1xx included.
    pub(super) head_bytes: usize,
    /// The request's body, which may still be on its way.
    pub(super) body: BodySender,
    /// The server is busy with it.
    pub(super) busy: BusyGuard,
    /// A cookie that pins the client to the server, if it needs one.
    pub(super) pin: Option<HeaderValue>,
}

impl Exchange<'_> {
    /// From the request's head to the end of the response, or to the relay.
    pub async fn run(&self, mut session: ServerSession, client: Client, mut record: RequestRecord) -> After {
        session.set_read_timeout(Some(self.route.timeouts.request_body_idle));
        session.set_write_timeout(Some(self.route.timeouts.write_stall));
        let accepts = session.req_header().headers.get_all(http::header::ACCEPT);
        let stream_intent = accepts.iter().any(|value| sse::accepts_event_stream(value.as_bytes()));
        // Before the upstream is bothered, where the request says what it wants.
        let permit = match stream_intent.then(|| self.admit(&session)).transpose() {
            Ok(permit) => permit,
            Err(refusal) => return self.over_cap(session, client, record, refusal).await,
        };
        let failure = match self.ask(&mut session, &mut record, client.address.ip().to_canonical(), stream_intent).await {
            Ok(answered) => {
                record.answered();
                let header = answered.session.resp_header();
                let is_stream = header.is_some_and(|header| {
                    let facts = ResponseFacts::of(header);
                    facts.media_type.is_some_and(sse::is_event_stream) && answered.head.framing != ResponseFraming::None
                });
                if !is_stream {
                    drop(permit);
                    return self.forward(session, answered, client, record).await;
                }
                return match permit.map_or_else(|| self.admit(&session), Ok) {
                    Ok(permit) => self.stream(session, answered, client, record, permit).await,
                    Err(refusal) => {
                        drop(answered);
                        self.over_cap(session, client, record, refusal).await
                    }
                };
            }
            Err(failure) => failure,
        };
        drop(permit);
        match failure {
            Failure::ClientGone => {
                record.over(499, Outcome::ClientGone);
                After::Gone
            }
            Failure::Client(status, reason) => {
                record.reason(reason);
                self.refuse(session, client, record, status, Some(reason)).await
            }
            Failure::Upstream(status, reason) => self.unanswered(session, client, record, status, &reason).await,
            Failure::Stale(reason) => self.unanswered(session, client, record, 502, &reason).await,
        }
    }

    /// The right to one open stream.
    fn admit(&self, session: &ServerSession) -> Result<Permit<ClientKey>, Refusal> {
        let key = client_id::client_key(&self.route.client, self.client, &session.req_header().headers);
        let admitted = self.app.admission.try_acquire(self.route.position, key, &self.route.caps);
        admitted.inspect_err(|refusal| {
            self.context.metrics.refused(match refusal {
                Refusal::Client => StreamCap::Client,
                Refusal::Route => StreamCap::Route,
                Refusal::Total => StreamCap::Total,
            });
        })
    }

    /// Sends the request and reads the final response's head. A server that does not accept is replaced by another, whatever the
    /// method: nothing was sent.
    async fn ask(
        &self,
        session: &mut ServerSession,
        record: &mut RequestRecord,
        peer: IpAddr,
        stream_intent: bool,
    ) -> Result<Answered, Failure> {
        let upstream = &self.context.upstream;
        let pin = self.context.sealer.as_ref().and_then(|sealer| sealer.open(&session.req_header().headers, clock::wall()));
        let key = self.hash_key(session);
        let mut tried: Vec<Arc<Server>> = Vec::new();
        let mut failed = None;
        // It went out on a connection that turned out to be dead. Only once: from then on on fresh connections.
        let mut sent_before = false;
        for _ in 0..MAX_SERVERS_TRIED {
            let wanted = Pick { pinned: pin.as_ref().map(|pin| pin.server.as_str()), hash_key: key.as_deref(), not: &tried };
            let picked = match upstream.pick(&wanted, clock::now()) {
                // Perhaps only because its names are being looked up for the first time.
                None if tried.is_empty() => {
                    let _ = tokio::time::timeout(self.route.timeouts.connect, upstream.settled()).await;
                    upstream.pick(&wanted, clock::now())
                }
                picked => picked,
            };
            let Some(server) = picked else { break };
            record.asks(&server);
            let busy = server.busy();
            let connection = match self.connect(&server, record, sent_before).await {
                Ok(connection) => connection,
                Err(error) => {
                    failed = Some(unreachable(&error));
                    tried.push(server);
                    continue;
                }
            };
            let head = self.upstream_head(session, &server, peer, stream_intent)?;
            let reused = connection.reused;
            let answered = match self.ask_on(session, connection, &head, busy).await {
                // RFC 9112 section 9.3.1: idempotent, without a body, and not a byte of a response came.
                Err(Failure::Stale(_)) if reused && self.request.method.is_idempotent() && !self.request.framing.has_body() => {
                    sent_before = true;
                    match self.connect(&server, record, true).await {
                        Ok(fresh) => self.ask_on(session, fresh, &head, server.busy()).await,
                        // It restarts, most likely.
                        Err(error) => {
                            failed = Some(unreachable(&error));
                            tried.push(server);
                            continue;
                        }
                    }
                }
                other => other,
            };
            if let Err(Failure::Stale(_)) = &answered {
                server.connection_died(clock::now());
            }
            let mut answered = answered?;
            server.succeeded();
            answered.pin = self.new_pin(session, pin.as_ref(), &server, peer, &answered);
            return Ok(answered);
        }
        Err(failed.unwrap_or_else(|| Failure::Upstream(503, "no server is up".to_owned())))
    }

    async fn connect(&self, server: &Server, record: &mut RequestRecord, fresh: bool) -> Result<Connection, ConnectError> {
        let (upstream, timeout) = (&self.context.upstream, self.route.timeouts.connect);
        let began = clock::now();
        let connected = if fresh { upstream.connect_fresh(server, timeout).await } else { upstream.connect(server, timeout).await };
        match &connected {
            Ok(connection) if connection.reused => self.context.upstream_metrics.connected(ConnectionKind::Reused),
            Ok(_) => {
                record.connected(clock::now().saturating_duration_since(began));
                self.context.upstream_metrics.connected(ConnectionKind::Fresh);
            }
            Err(_) => self.context.upstream_metrics.connect_failed(),
        }
        connected
    }

    /// What `balance: hash` goes by.
    fn hash_key(&self, session: &ServerSession) -> Option<Vec<u8>> {
        let Balance::Hash(on) = &self.route.upstream.balance else { return None };
        let head = session.req_header();
        let found = match on {
            HashOn::Client => None,
            HashOn::Path => Some(head.uri.path().as_bytes().to_vec()),
            HashOn::Header(name) => head.headers.get(name).map(|value| value.as_bytes().to_vec()),
            HashOn::Cookie(name) => client_id::cookie(&head.headers, name).map(<[u8]>::to_vec),
        };
        Some(found.filter(|key| !key.is_empty()).unwrap_or_else(|| self.client.to_string().into_bytes()))
    }

    /// A cookie for a client that has no pin to this server, or an old one.
    fn new_pin(
        &self,
        session: &ServerSession,
        pin: Option<&Pin>,
        server: &Server,
        peer: IpAddr,
        answered: &Answered,
    ) -> Option<HeaderValue> {
        let sealer = self.context.sealer.as_ref()?;
        let header = answered.session.resp_header()?;
        let stands = pin.is_some_and(|pin| pin.server == server.address() && !sealer.needs_renewal(pin.age));
        if stands || !affinity::may_set(&header.headers) {
            return None;
        }
        let secure = client_id::is_https(peer, &session.req_header().headers, &self.app.trusted);
        Some(sealer.seal(server.address(), clock::wall(), secure))
    }

    fn upstream_head(
        &self,
        session: &ServerSession,
        server: &Server,
        peer: IpAddr,
        stream_intent: bool,
    ) -> Result<RequestHeader, Failure> {
        let accept = match self.request.method {
            _ if stream_intent => AcceptCoding::Identity,
            Method::POST => AcceptCoding::GzipOrIdentity,
            _ => AcceptCoding::AsAsked,
        };
        let options = BuildOptions { default_host: server.host(), accept };
        let built = request::build(session.req_header(), self.request.framing, options);
        let mut head = built.map_err(|_| Failure::Client(400, "no request can be built from it"))?;
        let hop = self.app.hop(peer, self.client, session);
        forwarded::apply(&mut head, self.app.forwarded, &hop)
            .map_err(|_| Failure::Client(400, "no request can be built from it"))?;
        if let Some(sealer) = &self.context.sealer {
            sealer.strip(&mut head).map_err(|_| Failure::Client(400, "no request can be built from it"))?;
        }
        Ok(head)
    }

    async fn ask_on(
        &self,
        session: &mut ServerSession,
        connection: Connection,
        head: &RequestHeader,
        busy: BusyGuard,
    ) -> Result<Answered, Failure> {
        let (mut transport, socket) = connection.transport.share();
        transport.start_recording();
        let mut upstream = UpstreamSession::new(transport);
        let patience = self.route.timeouts.response_head;
        upstream.write_timeout = Some(patience);
        upstream.write_request_header(Box::new(head.clone())).await.map_err(|error| Failure::Stale(error.to_string()))?;
        if self.request.expect_continue {
            session.write_continue_response().await.map_err(|_| Failure::ClientGone)?;
        }
        let mut body = BodySender::new(socket, self.request.framing);
        let (mut head_bytes, mut informational) = (0, 0);
        let mut deadline = clock::now() + patience;
        loop {
            // While the client is still to send, its own deadline between two reads holds.
            let servers_turn = !body.is_open() || body.is_pending();
            let speaks = body.lets_client_speak();
            tokio::select! {
                biased;
                read = upstream.read_response() => {
                    head_bytes += read.map_err(|error| lost(&error, &upstream))?;
                    let judged = response_head::judge(&upstream.get_headers_raw_bytes(), &self.request.method)
                        .map_err(|reason| Failure::Upstream(502, format!("the response head is malformed: {reason}")))?;
                    match judged.status {
                        // We asked for no upgrade.
                        101 => return Err(Failure::Upstream(502, "the upstream switched protocols unasked".to_owned())),
                        100..=199 => {
                            informational += 1;
                            if informational > MAX_INFORMATIONAL || head_bytes > MAX_HEAD_BYTES {
                                return Err(Failure::Upstream(502, "informational responses without end".to_owned()));
                            }
                            self.pass_informational(session, &upstream).await?;
                        }
                        _ => return Ok(Answered { session: upstream, head: judged, head_bytes, body, busy, pin: None }),
                    }
                }
                () = body.flush(), if body.is_pending() => deadline = clock::now() + patience,
                read = listen(session, speaks) => match read {
                    Ok(piece) => {
                        body.push(&piece.unwrap_or_default(), session.is_body_done());
                        deadline = clock::now() + patience;
                    }
                    Err(error) if speaks && body.is_open() => return Err(request_failure(&error)),
                    Err(_) => return Err(Failure::ClientGone),
                },
                () = tokio::time::sleep_until(deadline.into()), if servers_turn => {
                    return Err(Failure::Upstream(504, "no response head within timeouts.response_head".to_owned()));
                }
            }
        }
    }

    /// 103 and the like, for clients that know them (RFC 9110 section 15.2). 100 we gave ourselves.
    async fn pass_informational(&self, session: &mut ServerSession, upstream: &UpstreamSession) -> Result<(), Failure> {
        let Some(header) = upstream.resp_header().filter(|header| header.status != StatusCode::CONTINUE) else { return Ok(()) };
        if self.request.version == Version::Http10 {
            return Ok(());
        }
        let mut header = header.clone();
        response::strip_hop_by_hop(&mut header);
        self.write_head(session, header).await.map_err(|()| Failure::ClientGone)
    }

    pub(super) async fn write_head(&self, session: &mut ServerSession, header: ResponseHeader) -> Result<(), ()> {
        match tokio::time::timeout(self.route.timeouts.write_stall, session.write_response_header(Box::new(header))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(()),
        }
    }

    /// The upstream gave no response that could be forwarded.
    pub(super) async fn unanswered(
        &self,
        session: ServerSession,
        client: Client,
        mut record: RequestRecord,
        status: u16,
        reason: &str,
    ) -> After {
        let server = record.server().map_or("none", |server| server.address());
        tracing::warn!(upstream = self.context.upstream.name(), server, status, reason, "no response from the upstream");
        record.reason("no response from the upstream");
        self.refuse(session, client, record, status, None).await
    }

    /// A stream beyond a cap.
    async fn over_cap(&self, session: ServerSession, client: Client, mut record: RequestRecord, refusal: Refusal) -> After {
        record.reason(match refusal {
            Refusal::Client => "over caps.streams_per_client",
            Refusal::Route => "over caps.streams",
            Refusal::Total => "over limits.streams",
        });
        self.refuse(session, client, record, 429, Some(&format!("no more event streams: {refusal}"))).await
    }

    async fn refuse(
        &self,
        mut session: ServerSession,
        client: Client,
        mut record: RequestRecord,
        status: u16,
        reason: Option<&str>,
    ) -> After {
        // Where the next request would begin is certain only behind a body that was read well; and out of capacity, the connection is
        // wanted back.
        if self.request.framing.has_body() || status == 503 {
            session.set_keepalive(None);
        }
        record.over(status, Outcome::Whole);
        match tokio::time::timeout(self.route.timeouts.write_stall, reject::answer(&mut session, status, reason)).await {
            Ok(Ok(())) => leave(session, client).await,
            Ok(Err(_)) | Err(_) => After::Gone,
        }
    }
}

/// What the client sends next of its body; behind a whole body, an error once it leaves. While it may not speak, because what it
/// said before is still on its way, only a broken connection is noticed: a mere close cannot be seen behind unread bytes.
pub(super) async fn listen(session: &mut ServerSession, speaks: bool) -> pingora::Result<Option<Bytes>> {
    if speaks {
        return session.read_body_or_idle(false).await;
    }
    if let Some(transport) = session.stream().and_then(Transport::of_stream) {
        let _ = transport.socket().ready(Interest::ERROR).await;
    }
    Err(pingora::Error::new(pingora::ErrorType::ConnectionClosed))
}

fn unreachable(error: &ConnectError) -> Failure {
    let status = match error {
        ConnectError::TimedOut => 504,
        ConnectError::Exhausted(_) => 503,
        ConnectError::Refused(_) => 502,
    };
    Failure::Upstream(status, error.to_string())
}

/// No whole response head came. Without a byte of it, a connection that served before was most likely closed for being idle.
fn lost(error: &pingora::Error, upstream: &UpstreamSession) -> Failure {
    let silent = Transport::of_stream(upstream.stream()).is_some_and(|transport| transport.recorded() == 0);
    let reason = format!("no whole response head: {error}");
    if silent { Failure::Stale(reason) } else { Failure::Upstream(502, reason) }
}

/// The request's body could not be read to its end.
fn request_failure(error: &pingora::Error) -> Failure {
    match error.etype() {
        _ if is_invalid(error) => Failure::Client(400, "the chunked coding of the body is malformed"),
        pingora::ErrorType::ReadTimedout => Failure::Client(408, "the body stopped coming"),
        pingora::ErrorType::ConnectionClosed | pingora::ErrorType::ReadError => Failure::ClientGone,
        _ => Failure::Client(400, "the body is malformed"),
    }
}

/// Our own reading of the body refused it.
fn is_invalid(error: &pingora::Error) -> bool {
    error.root_cause().downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::InvalidData)
}
