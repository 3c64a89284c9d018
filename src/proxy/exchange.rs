//! One request and its response: connect, send, read the head, then forward the body or hand the stream to the relay.
//!
//! Request framing towards the upstream is built from what the door judged; response heads are judged as raw bytes before they are
//! believed. RFC 9110 sections 7.6 and 9.2.2, RFC 9112 sections 6, 7 and 9.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, StatusCode};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::protocols::http::ServerSession;
use pingora::protocols::http::v1::client::HttpSession as UpstreamSession;

use super::app::leave;
use super::door::After;
use super::record::{Client, StreamRecord};
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

/// Between two reads of a response that is no event stream.
const RESPONSE_BODY_IDLE: Duration = Duration::from_secs(300);
/// Between two reads of a request body.
const REQUEST_BODY_IDLE: Duration = Duration::from_secs(60);

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
}

/// Why there is no response of the upstream's.
#[derive(Debug)]
enum Failure {
    /// The client closed or broke off: nobody is left to answer.
    ClientGone,
    /// The client gets this status; the log gets the reason.
    Answer(u16, String),
    /// The server closed a connection that had served before: one more try may be right.
    Stale(String),
}

/// A response whose head stands.
struct Answered {
    session: UpstreamSession,
    head: ResponseHead,
    /// Bytes of all heads that were read, 1xx included.
    head_bytes: usize,
    /// The request body went through to its end.
    request_sent: bool,
    server: std::net::SocketAddr,
}

impl Exchange<'_> {
    /// From the request's head to the end of the response, or to the relay.
    pub async fn run(&self, mut session: ServerSession, client: Client) -> After {
        session.set_read_timeout(Some(REQUEST_BODY_IDLE));
        session.set_write_timeout(Some(self.route.timeouts.write_stall));
        let answered = match self.ask(&mut session).await {
            Ok(answered) => answered,
            Err(failure) => {
                let (status, reason) = match failure {
                    Failure::Answer(status, reason) => (status, reason),
                    Failure::Stale(reason) => (502, reason),
                    Failure::ClientGone => {
                        self.log(&session, &client, 499, 0);
                        return After::Gone;
                    }
                };
                tracing::warn!(upstream = self.pool.name(), server = %self.pool.server(), status, reason, "no response from the upstream");
                return self.refuse(session, client, status).await;
            }
        };
        let header = answered.session.resp_header();
        let is_stream = header.is_some_and(|header| {
            ResponseFacts::of(header).media_type.is_some_and(sse::is_event_stream) && answered.head.framing != ResponseFraming::None
        });
        if is_stream { self.stream(session, answered, client).await } else { self.forward(session, answered, client).await }
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
            .map_err(|error| Failure::Answer(400, error.to_string()))
    }

    async fn ask_on(&self, session: &mut ServerSession, connection: Connection, head: &RequestHeader) -> Result<Answered, Failure> {
        let mut transport = connection.transport;
        transport.start_recording();
        let mut upstream = UpstreamSession::new(transport);
        upstream.write_timeout = Some(self.route.timeouts.response_head);
        upstream.write_request_header(Box::new(head.clone())).await.map_err(|error| Failure::Stale(error.to_string()))?;
        if self.request.expect_continue {
            session.write_continue_response().await.map_err(|_| Failure::ClientGone)?;
        }
        let mut head_bytes = 0;
        let mut sending = self.request.framing.has_body();
        let mut broke_off = false;
        let mut deadline = clock::now() + self.route.timeouts.response_head;
        loop {
            // A request body that is still coming has its own deadline between two reads.
            let waiting =
                async move { if sending { std::future::pending().await } else { tokio::time::sleep_until(deadline.into()).await } };
            tokio::select! {
                biased;
                read = upstream.read_response() => {
                    head_bytes += read.map_err(|error| lost(&error, &upstream))?;
                    let judged = response_head::judge(&upstream.get_headers_raw_bytes(), &self.request.method)
                        .map_err(|reason| Failure::Answer(502, format!("the response head is malformed: {reason}")))?;
                    match judged.status {
                        // We asked for no upgrade, and answered the client's expectation ourselves.
                        101 => return Err(Failure::Answer(502, "the upstream switched protocols unasked".to_owned())),
                        100 => {}
                        102..=199 => self.pass_informational(session, &upstream).await?,
                        _ => {
                            let request_sent = !sending && !broke_off;
                            return Ok(Answered { session: upstream, head: judged, head_bytes, request_sent, server: connection.server });
                        }
                    }
                }
                // Behind a whole body this waits for the client to leave.
                read = session.read_body_or_idle(false), if !broke_off => match read {
                    Ok(piece) => {
                        // A server may answer without reading the rest, and close: its answer still counts.
                        broke_off = pass_on(piece, session, &mut upstream).await.is_err();
                        sending = !broke_off && !session.is_body_done();
                        deadline = clock::now() + self.route.timeouts.response_head;
                    }
                    Err(error) if sending => return Err(request_failure(&error)),
                    Err(_) => return Err(Failure::ClientGone),
                },
                () = waiting => {
                    return Err(Failure::Answer(504, "no response head within timeouts.response_head".to_owned()));
                }
            }
        }
    }

    /// 103 and the like, for clients that know them (RFC 9110 section 15.2).
    async fn pass_informational(&self, session: &mut ServerSession, upstream: &UpstreamSession) -> Result<(), Failure> {
        let Some(header) = upstream.resp_header().filter(|_| self.request.version == Version::Http11) else { return Ok(()) };
        let mut header = header.clone();
        response::strip_hop_by_hop(&mut header);
        self.write_head(session, header).await.map_err(|()| Failure::ClientGone)
    }

    /// A response that is no event stream.
    async fn forward(&self, mut session: ServerSession, answered: Answered, client: Client) -> After {
        let Answered { session: mut upstream, head, head_bytes, request_sent, server } = answered;
        if let Some(transport) = Transport::of_stream(upstream.stream()) {
            transport.stop_recording();
            if head.framing == ResponseFraming::Chunked && transport.check_recorded_chunks(head_bytes).is_err() {
                tracing::warn!(upstream = self.pool.name(), "the chunked coding of the response is malformed");
                return self.refuse(session, client, 502).await;
            }
        }
        let Some(mut header) = upstream.resp_header().cloned() else { return After::Gone };
        let status = header.status.as_u16();
        response::strip_hop_by_hop(&mut header);
        let by_close = self.frame_response(&mut header, head.framing);
        if self.drain.is_draining() {
            session.set_keepalive(None);
        }
        if self.write_head(&mut session, header).await.is_err() {
            self.log(&session, &client, 499, 0);
            return After::Gone;
        }
        let (bytes, whole) = self.forward_body(&mut session, &mut upstream, request_sent).await;
        self.log(&session, &client, status, bytes);
        if !whole {
            self.abort(session, by_close);
            return After::Gone;
        }
        if request_sent && head.keep_alive {
            upstream.respect_keepalive();
            if let Some(stream) = upstream.reuse().await {
                self.pool.release(stream, server);
            }
        }
        if session.finish_body().await.is_err() {
            return After::Gone;
        }
        leave(session, client).await
    }

    /// Framing towards the client, from the framing of the upstream. Returns whether the body ends with the connection.
    fn frame_response(&self, header: &mut ResponseHeader, framing: ResponseFraming) -> bool {
        header.set_version(http::Version::HTTP_11);
        match framing {
            ResponseFraming::None | ResponseFraming::Length(_) => false,
            ResponseFraming::Chunked | ResponseFraming::CloseDelimited if self.request.version == Version::Http11 => {
                // The name is valid and the value is a constant.
                let _ = header.insert_header(http::header::TRANSFER_ENCODING, "chunked");
                false
            }
            ResponseFraming::Chunked | ResponseFraming::CloseDelimited => true,
        }
    }

    /// Each read of the upstream's is written at once. Returns how much went through, and whether that was all.
    async fn forward_body(&self, session: &mut ServerSession, upstream: &mut UpstreamSession, request_sent: bool) -> (u64, bool) {
        let mut bytes = 0;
        // Without the whole request, what else the client sends would be its body: it is not looked at.
        let mut listen = request_sent || !session.is_body_done();
        upstream.read_timeout = Some(RESPONSE_BODY_IDLE);
        loop {
            if upstream.is_body_done() {
                return (bytes, true);
            }
            tokio::select! {
                biased;
                read = upstream.read_body_bytes() => match read {
                    Ok(Some(data)) if data.is_empty() => {}
                    Ok(Some(data)) => {
                        bytes += data.len() as u64;
                        if session.write_response_body(data, false).await.is_err() {
                            return (bytes, false);
                        }
                    }
                    Ok(None) => return (bytes, true),
                    Err(error) => {
                        tracing::warn!(upstream = self.pool.name(), %error, "the response broke off");
                        return (bytes, false);
                    }
                },
                read = session.read_body_or_idle(false), if listen => match read {
                    Ok(piece) => listen = pass_on(piece, session, upstream).await.is_ok(),
                    Err(_) => return (bytes, false),
                },
            }
        }
    }

    /// An event stream: its head goes out, then the relay has it.
    async fn stream(&self, mut session: ServerSession, mut answered: Answered, client: Client) -> After {
        let Some(upstream_header) = answered.session.resp_header() else { return After::Gone };
        let facts = self.stream_facts(&session, upstream_header);
        let chunked = self.request.version == Version::Http11;
        let mut header = upstream_header.clone();
        response::strip_hop_by_hop(&mut header);
        if !facts.opaque {
            response::prepare_event_stream(&mut header);
        }
        let by_length = facts.opaque && matches!(answered.head.framing, ResponseFraming::Length(_));
        header.set_version(http::Version::HTTP_11);
        if chunked && !by_length {
            let _ = header.insert_header(http::header::TRANSFER_ENCODING, "chunked");
        }
        session.set_keepalive(None);
        if self.write_head(&mut session, header).await.is_err() {
            self.log(&session, &client, 499, 0);
            return After::Gone;
        }
        if !answered.request_sent && !self.send_rest(&mut session, &mut answered.session).await {
            return After::Gone;
        }
        let path = session.req_header().uri.path().to_owned();
        let framing = match answered.head.framing {
            ResponseFraming::Chunked => Framing::Chunked,
            ResponseFraming::Length(length) => Framing::Length(length),
            ResponseFraming::CloseDelimited | ResponseFraming::None => Framing::UntilClose,
        };
        let (Some(downstream), Some((upstream, body_start))) =
            (detach::downstream(session), detach::upstream(answered.session, answered.head_bytes))
        else {
            return After::Gone;
        };
        let now = clock::now();
        let guard = self.drain.stream_guard(now);
        let record = StreamRecord::new(client, &self.request.method, &path, Arc::clone(&self.route.name), now);
        let state = StreamState::new(Arc::clone(&self.route.stream), facts, jitter(), now);
        let parts = Parts {
            downstream,
            upstream,
            body_start,
            upstream_framing: framing,
            chunked: chunked && !by_length,
            state,
            write_stall: self.route.timeouts.write_stall,
            guard,
            record,
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

    /// The rest of a request body whose response has begun. Returns whether the exchange may go on.
    async fn send_rest(&self, session: &mut ServerSession, upstream: &mut UpstreamSession) -> bool {
        while !session.is_body_done() {
            let Ok(piece) = session.read_request_body().await else { return false };
            if pass_on(piece, session, upstream).await.is_err() {
                // The server does not want the rest; what it says still counts.
                return true;
            }
        }
        true
    }

    async fn write_head(&self, session: &mut ServerSession, header: ResponseHeader) -> Result<(), ()> {
        match tokio::time::timeout(self.route.timeouts.write_stall, session.write_response_header(Box::new(header))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(()),
        }
    }

    async fn refuse(&self, mut session: ServerSession, client: Client, status: u16) -> After {
        if self.request.framing.has_body() {
            // Where the next request would begin is certain only behind a body that was read well.
            session.set_keepalive(None);
        }
        self.log(&session, &client, status, 0);
        match tokio::time::timeout(self.route.timeouts.write_stall, reject::answer(&mut session, status)).await {
            Ok(Ok(())) => leave(session, client).await,
            Ok(Err(_)) | Err(_) => After::Gone,
        }
    }

    /// Closes a connection whose response is not whole, so that the client sees it.
    fn abort(&self, session: ServerSession, by_close: bool) {
        if let (true, Some(socket)) = (by_close, detach::downstream(session)) {
            let _ = socket2::SockRef::from(&socket).set_linger(Some(Duration::ZERO));
        }
    }

    fn log(&self, session: &ServerSession, client: &Client, status: u16, bytes: u64) {
        tracing::info!(
            client = %client.address,
            method = %self.request.method,
            // Without the query: tokens live there.
            path = session.req_header().uri.path(),
            route = &*self.route.name,
            upstream = self.pool.name(),
            status,
            bytes,
            seconds = clock::now().saturating_duration_since(self.started).as_secs_f64(),
            "request"
        );
    }
}

/// Passes a piece of the request's body on, and its end once that was read.
async fn pass_on(piece: Option<Bytes>, session: &mut ServerSession, upstream: &mut UpstreamSession) -> pingora::Result<()> {
    // An empty chunk would end the body, and its end would then be written twice (cloudflare/pingora#935).
    if let Some(piece) = piece.filter(|piece| !piece.is_empty()) {
        upstream.write_body(&piece).await?;
    }
    if session.is_body_done() {
        upstream.finish_body().await?;
    }
    Ok(())
}

fn unreachable(error: ConnectError) -> Failure {
    let status = if matches!(error, ConnectError::TimedOut) { 504 } else { 502 };
    Failure::Answer(status, error.to_string())
}

/// No whole response head came. Without a byte of it, a connection that served before was most likely closed for being idle.
fn lost(error: &pingora::Error, upstream: &UpstreamSession) -> Failure {
    let silent = Transport::of_stream(upstream.stream()).is_some_and(|transport| transport.recorded() == 0);
    let reason = format!("no whole response head: {error}");
    if silent { Failure::Stale(reason) } else { Failure::Answer(502, reason) }
}

/// The request's body could not be read to its end.
fn request_failure(error: &pingora::Error) -> Failure {
    match error.etype() {
        _ if is_invalid(error) => Failure::Answer(400, "the chunked coding of the request body is malformed".to_owned()),
        pingora::ErrorType::ReadTimedout => Failure::Answer(408, "the request body stopped coming".to_owned()),
        pingora::ErrorType::ConnectionClosed | pingora::ErrorType::ReadError => Failure::ClientGone,
        _ => Failure::Answer(400, format!("the request body is malformed: {error}")),
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
