//! From a request's head to the head of its response: choose a server, connect, send, listen to both sides, read heads until the final
//! one. RFC 9110 sections 9.2.2 and 15.2, RFC 9112 section 9.3.1, RFC 9113 section 8.7.

use std::pin::{Pin, pin};
use std::sync::Arc;

use http::{HeaderName, HeaderValue, StatusCode};
use pingora::http::{RequestHeader, ResponseHeader};

use super::call::Call;
use super::carrier::{Carrier, connect, send_head};
use super::downstream::Downstream;
use super::exchange::Exchange;
use super::record::{Peer, RequestRecord};
use super::request_body::BodyError;
use super::server_response::{Head, ServerResponse};
use super::upload::Upload;
use crate::affinity;
use crate::client_id;
use crate::clock;
use crate::message::request::AcceptCoding;
use crate::message::upgrade::Protocol as Switch;
use crate::message::{BuildOptions, ResponseHead, Version, auth_request, forwarded, http2, request, response, upgrade};
use crate::telemetry::ConnectionKind;
use crate::upstream::{Balance, BusyGuard, ConnectError, HashOn, Pick, Server};

/// Servers that one request tries to connect to.
pub(super) const MAX_SERVERS_TRIED: usize = 8;

/// How often one request is sent again to a server that did nothing with it. A server that renews its connections by count may have
/// done so again before a burst's last requests reach the fresh one.
pub(super) const MAX_REPEATS: usize = 4;

/// A path that some servers read as one above `rewrite.add_prefix`.
const OUTSIDE: &str = "the path could lead out of where it belongs";

/// What a body is refused for.
pub(super) const TOO_LARGE: &str = "the body is larger than limits.request_body";

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
    /// The server said that it did nothing with the request.
    Unprocessed(String),
}

/// A response whose head stands.
pub(super) struct Answered {
    pub(super) response: ServerResponse,
    pub(super) header: ResponseHeader,
    pub(super) head: ResponseHead,
    /// The server is busy with it.
    pub(super) busy: BusyGuard,
    /// A cookie that pins the client to the server, if it needs one.
    pub(super) pin: Option<HeaderValue>,
}

/// What one request asks, whatever server it goes to.
pub(super) struct Question<'a> {
    /// Who sends it to us.
    pub(super) peer: Peer,
    /// Its `Accept` names the type of event streams.
    pub(super) stream_intent: bool,
    /// What it takes along from whoever let it pass.
    pub(super) granted: &'a [(HeaderName, HeaderValue)],
    /// The protocol that it may switch to.
    pub(super) upgrade: Option<&'a Switch>,
}

impl Exchange<'_> {
    /// Sends the request and reads the final response's head. A server that does not accept is replaced by another, whatever the
    /// method: nothing was sent.
    pub(super) async fn ask(
        &self,
        call: &mut Call,
        record: &mut RequestRecord,
        question: &Question<'_>,
    ) -> Result<Box<Answered>, Failure> {
        let upstream = &self.context.upstream;
        let pin = self.context.sealer.as_ref().and_then(|sealer| sealer.open(&call.down.head().headers, clock::wall()));
        let key = self.hash_key(&call.down, &upstream.spec().balance);
        let mut tried: Vec<Arc<Server>> = Vec::new();
        let mut failed = None;
        // It went out on a connection that turned out to be dead. Only once: from then on on fresh connections.
        let mut sent_before = false;
        for _ in 0..MAX_SERVERS_TRIED {
            let wanted = Pick { pinned: pin.as_ref().map(|pin| pin.server.as_str()), hash_key: key.as_deref(), not: &tried };
            let picked = match upstream.pick(&wanted, clock::now()) {
                // Perhaps only because its names are being looked up for the first time.
                None if tried.is_empty() => {
                    let settled = tokio::time::timeout(self.route.timeouts.connect, upstream.settled());
                    let _ = unless_gone(call, pin!(settled)).await?;
                    upstream.pick(&wanted, clock::now())
                }
                picked => picked,
            };
            let Some(server) = picked else { break };
            record.asks(&server);
            let mut busy = server.busy();
            // First, so that a request which cannot be built takes no connection.
            let head = self.upstream_head(&call.down, &server, question)?;
            let mut carrier = match self.connect(call, &server, record, sent_before).await? {
                Ok(carrier) => carrier,
                Err(error) => {
                    failed = Some(unreachable(&error));
                    tried.push(server);
                    continue;
                }
            };
            let mut repeats = 0;
            let answered = loop {
                let reused = carrier.is_reused();
                match self.ask_on(call, carrier, &head, busy, question).await {
                    Err(failure) if repeats < MAX_REPEATS && self.may_repeat(&failure, &call.upload, reused) => {
                        busy = server.busy()
                    }
                    answered => break Ok(answered),
                }
                repeats += 1;
                sent_before = true;
                match self.connect(call, &server, record, true).await? {
                    Ok(fresh) => carrier = fresh,
                    Err(error) => break Err(error),
                }
            };
            let answered = match answered {
                Ok(answered) => answered,
                // It restarts, most likely.
                Err(error) => {
                    failed = Some(unreachable(&error));
                    tried.push(server);
                    continue;
                }
            };
            if let Err(Failure::Stale(_)) = &answered {
                server.connection_died(clock::now());
            }
            let mut answered = answered?;
            call.upload.settle();
            server.succeeded();
            answered.pin = self.new_pin(&call.down, pin.as_ref(), &server, question.peer, &answered.header);
            return Ok(answered);
        }
        Err(failed.unwrap_or_else(|| Failure::Upstream(503, "no server is up".to_owned())))
    }

    /// Whether the request may be sent once more. RFC 9112 section 9.3.1: idempotent, without a body, and not a byte of a response
    /// came. RFC 9113 section 8.7: any, if the server did nothing with it and we still have its body.
    fn may_repeat(&self, failure: &Failure, upload: &Upload, reused: bool) -> bool {
        match failure {
            Failure::Stale(_) => reused && self.request.method.is_idempotent() && !self.request.framing.has_body(),
            Failure::Unprocessed(_) => upload.is_repeatable(),
            Failure::ClientGone | Failure::Client(..) | Failure::Upstream(..) => false,
        }
    }

    /// A connection to `server`, for as long as the client waits for it.
    async fn connect(
        &self,
        call: &mut Call,
        server: &Server,
        record: &mut RequestRecord,
        fresh: bool,
    ) -> Result<Result<Carrier, ConnectError>, Failure> {
        let (upstream, metrics) = (&self.context.upstream, &self.context.upstream_metrics);
        let connected = unless_gone(call, pin!(connect(upstream, metrics, server, self.route.timeouts.connect, fresh))).await?;
        Ok(connected.map(|(carrier, kind, took)| {
            if kind == ConnectionKind::Fresh {
                record.connected(took);
            }
            carrier
        }))
    }

    /// What `balance: hash` goes by.
    pub(super) fn hash_key(&self, down: &Downstream, balance: &Balance) -> Option<Vec<u8>> {
        let Balance::Hash(on) = balance else { return None };
        let head = down.head();
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
        down: &Downstream,
        pin: Option<&affinity::Pin>,
        server: &Server,
        peer: Peer,
        answer: &ResponseHeader,
    ) -> Option<HeaderValue> {
        let sealer = self.context.sealer.as_ref()?;
        let stands = pin.is_some_and(|pin| pin.server == server.address() && !sealer.needs_renewal(pin.age));
        if stands || !affinity::may_set(&answer.headers) {
            return None;
        }
        let secure = client_id::is_https(peer.tls, peer.address, &down.head().headers, &self.app.trusted);
        Some(sealer.seal(server.address(), clock::wall(), secure))
    }

    fn upstream_head(&self, down: &Downstream, server: &Server, question: &Question<'_>) -> Result<RequestHeader, Failure> {
        let unbuildable = |_| Failure::Client(400, "no request can be built from it");
        let accept = match self.request.method {
            _ if question.stream_intent => AcceptCoding::Identity,
            http::Method::POST => AcceptCoding::GzipOrIdentity,
            _ => AcceptCoding::AsAsked,
        };
        let options = BuildOptions { default_host: server.host(), accept };
        let mut head = request::build(down.head(), self.request.framing, options).map_err(unbuildable)?;
        if let Some(rewrite) = &self.route.rewrite {
            let target = rewrite.apply(head.raw_path()).ok_or(Failure::Client(400, OUTSIDE))?.into_owned();
            head.set_raw_path(&target).map_err(|_| Failure::Client(414, "the rewritten target is too long"))?;
        }
        if let Some(host) = self.route.host.replacement(server.host()) {
            head.insert_header("Host", host).map_err(|_| Failure::Client(400, "no request can be built from it"))?;
        }
        let hop = self.app.hop(question.peer, self.client, down.head());
        forwarded::apply(&mut head, self.app.forwarded, &hop)
            .map_err(|_| Failure::Client(400, "no request can be built from it"))?;
        if let Some(sealer) = &self.context.sealer {
            sealer.strip(&mut head).map_err(|_| Failure::Client(400, "no request can be built from it"))?;
        }
        if let Some(auth) = &self.context.auth {
            auth_request::replace(&mut head, &auth.policy.copy, question.granted)
                .map_err(|_| Failure::Client(400, "no request can be built from it"))?;
        }
        if let Some(edits) = &self.route.request_headers {
            edits.edit_request(&mut head).map_err(|_| Failure::Client(400, "no request can be built from it"))?;
        }
        if let Some(protocol) = question.upgrade {
            upgrade::ask_upstream(&mut head, protocol).map_err(unbuildable)?;
        }
        Ok(head)
    }

    async fn ask_on(
        &self,
        Call { down, upload, .. }: &mut Call,
        carrier: Carrier,
        head: &RequestHeader,
        busy: BusyGuard,
        question: &Question<'_>,
    ) -> Result<Box<Answered>, Failure> {
        let mut response = self.send_head(down, upload, carrier, head, busy.server()).await?;
        if self.request.expect_continue {
            let go_on = ResponseHeader::build(StatusCode::CONTINUE, Some(0)).map_err(|_| Failure::ClientGone)?;
            Box::pin(down.informational(go_on)).await.map_err(|_| Failure::ClientGone)?;
        }
        let mut since = clock::now();
        loop {
            // While the client is still to send, its own deadline between two reads holds.
            let servers_turn = upload.is_servers_turn();
            let timeouts = &self.route.timeouts;
            let patience = if servers_turn { timeouts.response_head } else { timeouts.request_body_idle };
            tokio::select! {
                biased;
                head = response.next_head(&self.request.method) => {
                    let Head { header, judged } = head?;
                    match judged.status {
                        101 if judged.version == Version::Http11
                            && question.upgrade.is_some_and(|protocol| upgrade::granted(&header.headers, protocol)) =>
                        {
                            return Ok(Box::new(Answered { response, header, head: judged, busy, pin: None }));
                        }
                        101 => return Err(Failure::Upstream(502, "the upstream switched protocols unasked".to_owned())),
                        100..=199 => Box::pin(self.pass_informational(down, header)).await?,
                        _ => return Ok(Box::new(Answered { response, header, head: judged, busy, pin: None })),
                    }
                }
                moved = upload.progress() => {
                    moved.map_err(|error| match error {
                        BodyError::ClientGone => Failure::ClientGone,
                        BodyError::TooLarge => Failure::Client(413, TOO_LARGE),
                        BodyError::Malformed => Failure::Client(400, "the framing of the body is malformed"),
                    })?;
                    since = clock::now();
                }
                () = down.gone() => return Err(Failure::ClientGone),
                () = tokio::time::sleep_until((since + patience).into()) => {
                    return Err(if servers_turn {
                        Failure::Upstream(504, "no response head within timeouts.response_head".to_owned())
                    } else {
                        Failure::Client(408, "the body stopped coming")
                    });
                }
            }
        }
    }

    /// Sends the head and lets the body follow it.
    async fn send_head(
        &self,
        down: &Downstream,
        upload: &mut Upload,
        carrier: Carrier,
        head: &RequestHeader,
        server: &Server,
    ) -> Result<ServerResponse, Failure> {
        // RFC 9110 section 6.5.1: whoever says so drops none, and none go to an HTTP/1.1 client from here.
        let trailers = self.request.version == Version::Http2 && http2::takes_trailers(&down.head().headers);
        let patience = self.route.timeouts.response_head;
        let (response, body) = send_head(carrier, head, server, self.request.framing, trailers, patience).await?;
        upload.begin(body);
        Ok(response)
    }

    /// 103 and the like, for clients that know them (RFC 9110 section 15.2). 100 we gave ourselves.
    async fn pass_informational(&self, down: &mut Downstream, mut header: ResponseHeader) -> Result<(), Failure> {
        if header.status == StatusCode::CONTINUE {
            return Ok(());
        }
        response::strip_hop_by_hop(&mut header);
        down.informational(header).await.map_err(|_| Failure::ClientGone)
    }
}

/// Does `work`, for as long as the client waits for it. It is pinned by the caller: here it would have room twice.
async fn unless_gone<T>(Call { down, upload, .. }: &mut Call, work: Pin<&mut impl Future<Output = T>>) -> Result<T, Failure> {
    tokio::select! {
        biased;
        done = work => Ok(done),
        () = upload.left() => Err(Failure::ClientGone),
        () = down.gone() => Err(Failure::ClientGone),
    }
}

fn unreachable(error: &ConnectError) -> Failure {
    let status = match error {
        ConnectError::TimedOut => 504,
        ConnectError::Exhausted(_) => 503,
        ConnectError::Refused(_) | ConnectError::Tls(_) => 502,
    };
    Failure::Upstream(status, error.to_string())
}
