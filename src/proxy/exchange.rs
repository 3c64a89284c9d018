//! One request up to the head of its response: connect, send, listen to both sides, read the head; then the body is forwarded
//! (`forward.rs`) or the stream goes to the relay.
//!
//! Request framing towards the upstream is built from what the door judged; response heads are judged as raw bytes before they are
//! believed. RFC 9110 sections 7.6, 9.2.2 and 15.2, RFC 9112 sections 6, 7 and 9.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, StatusCode};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::protocols::http::ServerSession;
use pingora::protocols::http::v1::client::HttpSession as UpstreamSession;
use tokio::io::Interest;

use super::app::leave;
use super::body_sender::BodySender;
use super::door::After;
use super::record::{Client, Outcome, RequestRecord, StreamRecord};
use super::relay::{Parts, Relay};
use super::{detach, reject};
use crate::clock;
use crate::drain::Drain;
use crate::message::framing::Framing;
use crate::message::{
    self, BuildOptions, RequestHead, ResponseFacts, ResponseFraming, ResponseHead, Version, request, response, response_head,
};
use crate::route::Route;
use crate::sse;
use crate::stream::{StreamFacts, StreamKind, StreamState};
use crate::transport::Transport;
use crate::upstream::{ConnectError, Connection, Pool};

/// Between two reads of a request body.
const REQUEST_BODY_IDLE: Duration = Duration::from_secs(60);
/// Heads of 1xx responses before the final one, and bytes of all heads together: who sends more is not answering.
const MAX_INFORMATIONAL: usize = 32;
const MAX_HEAD_BYTES: usize = 1024 * 1024;

/// What one exchange needs.
#[derive(Debug)]
pub struct Exchange<'a> {
    /// The route it takes.
    pub route: &'a Route,
    /// The connections to the route's upstream.
    pub pool: &'a Pool,
    /// Whether we are leaving.
    pub drain: &'a Drain,
    /// What the door judged.
    pub request: &'a RequestHead,
    /// When the request's head had been read.
    pub started: Instant,
    /// Whether the client's connection may serve another request.
    pub keep_alive: bool,
}

/// Why there is no response of the upstream's.
#[derive(Debug)]
enum Failure {
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
    pub(super) server: SocketAddr,
}

impl Exchange<'_> {
    /// From the request's head to the end of the response, or to the relay.
    pub async fn run(&self, mut session: ServerSession, client: Client) -> After {
        session.set_read_timeout(Some(REQUEST_BODY_IDLE));
        session.set_write_timeout(Some(self.route.timeouts.write_stall));
        let mut record = RequestRecord::new(&client, &session, &self.route.name, self.pool.name(), self.started);
        let failure = match self.ask(&mut session).await {
            Ok(answered) => {
                let header = answered.session.resp_header();
                let is_stream = header.is_some_and(|header| {
                    let facts = ResponseFacts::of(header);
                    facts.media_type.is_some_and(sse::is_event_stream) && answered.head.framing != ResponseFraming::None
                });
                return if is_stream {
                    self.stream(session, answered, client, record).await
                } else {
                    self.forward(session, answered, client, record).await
                };
            }
            Err(failure) => failure,
        };
        match failure {
            Failure::ClientGone => {
                record.over(499, Outcome::ClientGone);
                After::Gone
            }
            Failure::Client(status, reason) => {
                tracing::info!(client = %client.address, status, reason, "request refused");
                self.refuse(session, client, record, status).await
            }
            Failure::Upstream(status, reason) => self.unanswered(session, client, record, status, &reason).await,
            Failure::Stale(reason) => self.unanswered(session, client, record, 502, &reason).await,
        }
    }

    /// Sends the request and reads the final response's head; once more on a fresh connection where that is safe.
    async fn ask(&self, session: &mut ServerSession) -> Result<Answered, Failure> {
        let head = self.upstream_head(session)?;
        let connection = self.pool.connect(self.route.timeouts.connect).await.map_err(unreachable)?;
        let reused = connection.reused;
        match self.ask_on(session, connection, &head).await {
            // RFC 9112 section 9.3.1: idempotent, without a body, and not a byte of a response came.
            Err(Failure::Stale(_)) if reused && self.request.method.is_idempotent() && !self.request.framing.has_body() => {
                let fresh = self.pool.connect_fresh(self.route.timeouts.connect).await.map_err(unreachable)?;
                self.ask_on(session, fresh, &head).await
            }
            other => other,
        }
    }

    fn upstream_head(&self, session: &ServerSession) -> Result<RequestHeader, Failure> {
        let down = session.req_header();
        let accepts = down.headers.get_all(http::header::ACCEPT);
        let stream_intent = accepts.iter().any(|value| sse::accepts_event_stream(value.as_bytes()));
        let default_host = self.pool.server().to_string();
        request::build(down, self.request.framing, BuildOptions { default_host: &default_host, stream_intent })
            .map_err(|_| Failure::Client(400, "no request can be built from it"))
    }

    async fn ask_on(&self, session: &mut ServerSession, connection: Connection, head: &RequestHeader) -> Result<Answered, Failure> {
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
                        _ => return Ok(Answered { session: upstream, head: judged, head_bytes, body, server: connection.server }),
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

    /// An event stream: its head goes out, then the relay has it.
    async fn stream(&self, mut session: ServerSession, answered: Answered, client: Client, mut record: RequestRecord) -> After {
        let Answered { session: upstream, head, head_bytes, body, .. } = answered;
        let Some(upstream_header) = upstream.resp_header() else { return After::Gone };
        let facts = self.stream_facts(&session, upstream_header);
        let mut header = upstream_header.clone();
        response::strip_hop_by_hop(&mut header);
        // A coded body passes untouched, its length included.
        let by_length = facts.opaque && matches!(head.framing, ResponseFraming::Length(_));
        if !facts.opaque {
            response::prepare_event_stream(&mut header);
        }
        let chunked = self.request.version == Version::Http11 && !by_length;
        header.set_version(http::Version::HTTP_11);
        if chunked {
            // The name is valid and the value is a constant.
            let _ = header.insert_header(http::header::TRANSFER_ENCODING, "chunked");
        }
        session.set_keepalive(None);
        record.status(header.status.as_u16());
        if self.write_head(&mut session, header).await.is_err() || !send_rest(&mut session, body).await {
            record.outcome(Outcome::ClientGone);
            return After::Gone;
        }
        let path = session.req_header().uri.path().to_owned();
        let framing = match head.framing {
            ResponseFraming::Chunked => Framing::Chunked,
            ResponseFraming::Length(length) => Framing::Length(length),
            ResponseFraming::CloseDelimited | ResponseFraming::None => Framing::UntilClose,
        };
        let (Some(downstream), Some((upstream, body_start))) =
            (detach::downstream(session), detach::upstream(upstream, head_bytes))
        else {
            return After::Gone;
        };
        record.outcome(Outcome::Stream);
        let now = clock::now();
        let parts = Parts {
            downstream,
            upstream,
            body_start,
            upstream_framing: framing,
            chunked,
            state: StreamState::new(Arc::clone(&self.route.stream), facts, jitter(), now),
            write_stall: self.route.timeouts.write_stall,
            guard: self.drain.stream_guard(now),
            record: StreamRecord::new(client, &self.request.method, &path, Arc::clone(&self.route.name), now),
        };
        // A task of its own: what served the request is freed.
        tokio::spawn(Relay::new(parts, now));
        After::Gone
    }

    fn stream_facts(&self, session: &ServerSession, header: &ResponseHeader) -> StreamFacts {
        let facts = ResponseFacts::of(header);
        StreamFacts {
            kind: if self.request.method == Method::GET { StreamKind::Subscription } else { StreamKind::Finite },
            status_ok: header.status == StatusCode::OK,
            opaque: facts.encoded,
            digested: facts.digested,
            no_transform: facts.no_transform,
            line_frames_only: message::Client::of(&session.req_header().headers).wants_line_frames(),
        }
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
        record: RequestRecord,
        status: u16,
        reason: &str,
    ) -> After {
        tracing::warn!(upstream = self.pool.name(), server = %self.pool.server(), status, reason, "no response from the upstream");
        self.refuse(session, client, record, status).await
    }

    async fn refuse(&self, mut session: ServerSession, client: Client, mut record: RequestRecord, status: u16) -> After {
        // Where the next request would begin is certain only behind a body that was read well; and out of descriptors, this one is
        // wanted back.
        if self.request.framing.has_body() || status == 503 {
            session.set_keepalive(None);
        }
        record.over(status, Outcome::Whole);
        match tokio::time::timeout(self.route.timeouts.write_stall, reject::answer(&mut session, status)).await {
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

/// The rest of a request body whose response has begun. Returns whether the client sent it.
async fn send_rest(session: &mut ServerSession, mut body: BodySender) -> bool {
    body.flush().await;
    while body.is_open() {
        let Ok(piece) = session.read_request_body().await else { return false };
        body.push(&piece.unwrap_or_default(), session.is_body_done());
        body.flush().await;
    }
    true
}

fn unreachable(error: ConnectError) -> Failure {
    let status = match error {
        ConnectError::TimedOut => 504,
        ConnectError::Exhausted(_) => 503,
        ConnectError::Unresolved(_) | ConnectError::Refused(_) => 502,
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

/// Any number: it only spreads planned ends.
fn jitter() -> u16 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0_u8) as u16
}
