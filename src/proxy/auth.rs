//! Whether a request may pass: another server is asked first, as nginx's `auth_request` does. 2xx lets it pass, 401 and 403 are answered
//! to the client, and whatever else comes, or does not come, is an error that lets nobody in.
//!
//! Nothing of the request's body is read meanwhile, and no permit is held. When the client leaves, the question is dropped.

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use http::header::{HeaderName, HeaderValue, SET_COOKIE, WWW_AUTHENTICATE};
use pingora::http::{RequestHeader, ResponseHeader};

use super::ask::{Failure, MAX_REPEATS, MAX_SERVERS_TRIED};
use super::call::Call;
use super::carrier::{connect, send_head};
use super::door::After;
use super::downstream::Downstream;
use super::exchange::Exchange;
use super::record::{Outcome, Peer, RequestRecord};
use super::reject;
use super::server_response::{Head, ServerResponse};
use crate::clock;
use crate::message::{RequestFraming, auth_request, forwarded};
use crate::route::AuthPolicy;
use crate::telemetry::{ConnectionKind, UpstreamMetrics};
use crate::upstream::{ConnectError, Pick, Server, Upstream};

/// What is read of an answer's body, at most and for how long: so little that its connection is worth it. Nobody wants the body.
const LEFTOVER_BYTES: usize = 64 * 1024;
const LEFTOVER: Duration = Duration::from_millis(200);

/// Who is asked.
#[derive(Debug)]
pub struct AuthContext {
    /// What is asked, and what of the answer goes on.
    pub policy: AuthPolicy,
    /// The upstream that knows, at work.
    pub upstream: Arc<Upstream>,
    /// Its metrics.
    pub metrics: Arc<UpstreamMetrics>,
}

/// Fields that came with a verdict.
pub(super) type Fields = Vec<(HeaderName, HeaderValue)>;

/// Why a request does not pass.
#[derive(Debug)]
pub(super) enum Denial {
    /// The client left: nobody is left to answer.
    ClientGone,
    /// It gets this status with these fields.
    Refused(u16, Fields),
    /// Nobody said whether it may pass: the client gets this status, the log gets the reason.
    NoVerdict(u16, String),
}

impl Exchange<'_> {
    /// Asks whether the request may pass; gives what it takes along.
    pub(super) async fn authorize(
        &self,
        auth: &AuthContext,
        Call { down, upload, .. }: &mut Call,
        peer: Peer,
    ) -> Result<Fields, Denial> {
        let key = self.hash_key(down, &auth.upstream.spec().balance);
        let mut tried: Vec<Arc<Server>> = Vec::new();
        let mut failed = "no server is up".to_owned();
        for _ in 0..MAX_SERVERS_TRIED {
            let wanted = Pick { pinned: None, hash_key: key.as_deref(), not: &tried };
            let picked = match auth.upstream.pick(&wanted, clock::now()) {
                // Perhaps only because its names are being looked up for the first time.
                None if tried.is_empty() => {
                    let _ = tokio::time::timeout(self.route.timeouts.connect, auth.upstream.settled()).await;
                    auth.upstream.pick(&wanted, clock::now())
                }
                picked => picked,
            };
            let Some(server) = picked else { break };
            let question = self.question(down, &auth.policy, &server, peer).ok_or(Denial::Refused(400, Fields::new()))?;
            let verdict = tokio::select! {
                biased;
                verdict = self.verdict(auth, &server, &question) => verdict,
                () = upload.left() => return Err(Denial::ClientGone),
                () = down.gone() => return Err(Denial::ClientGone),
            };
            match verdict {
                Ok(verdict) => return verdict,
                Err(error) => {
                    failed = error.to_string();
                    tried.push(server);
                }
            }
        }
        Err(Denial::NoVerdict(503, failed))
    }

    /// The answer to a request that does not pass.
    pub(super) async fn deny(&self, mut call: Box<Call>, mut record: Box<RequestRecord>, denial: Denial) -> After {
        let (status, fields) = match denial {
            Denial::ClientGone => {
                record.over(499, Outcome::ClientGone);
                return After::Gone;
            }
            Denial::Refused(status, fields) => (status, fields),
            Denial::NoVerdict(status, reason) => {
                let upstream = self.context.auth.as_ref().map(|auth| auth.upstream.name());
                tracing::warn!(upstream, status, reason, "no verdict of the auth upstream");
                record.reason("no verdict of auth");
                return self.refuse(call, record, status, None).await;
            }
        };
        record.reason("refused by auth");
        let keeps = self.keep_alive && !self.request.framing.has_body();
        record.over(status, Outcome::Whole);
        match reject::answer_with(&mut call.down, status, None, &fields, keeps).await {
            Ok(()) => call.leave(),
            Err(_) => After::Gone,
        }
    }

    /// The head of the question; `None` if none can be built.
    fn question(&self, down: &Downstream, policy: &AuthPolicy, server: &Server, peer: Peer) -> Option<RequestHeader> {
        let mut head = auth_request::build(down.head(), &policy.path, server.host()).ok()?;
        forwarded::apply(&mut head, self.app.forwarded, &self.app.hop(peer, self.client, down.head())).ok()?;
        if let Some(sealer) = &self.context.sealer {
            sealer.strip(&mut head).ok()?;
        }
        Some(head)
    }

    /// Asks one server. A kept connection that turns out to be dead is no answer: one more try, on a fresh one.
    ///
    /// # Errors
    /// If it does not accept, so that another one may be asked.
    async fn verdict(
        &self,
        auth: &AuthContext,
        server: &Arc<Server>,
        question: &RequestHeader,
    ) -> Result<Result<Fields, Denial>, ConnectError> {
        let _busy = server.busy();
        let mut repeats = 0;
        loop {
            let fresh = repeats > 0;
            let (carrier, kind, _) = connect(&auth.upstream, &auth.metrics, server, self.route.timeouts.connect, fresh).await?;
            let reused = kind == ConnectionKind::Reused;
            let patience = self.route.timeouts.response_head;
            let answered = async {
                let (mut response, _) = send_head(carrier, question, server, RequestFraming::None, false, patience).await?;
                let head = final_head(&mut response).await?;
                Ok((response, head))
            };
            let failure = match tokio::time::timeout(patience, answered).await {
                Ok(Ok((response, head))) => {
                    server.succeeded();
                    let verdict = read(&head.header, &auth.policy);
                    finish(response, &head, &auth.upstream, server).await;
                    return Ok(verdict);
                }
                Ok(Err(failure)) => failure,
                Err(_) => Failure::Upstream(503, "no verdict within timeouts.response_head".to_owned()),
            };
            let (status, reason) = match failure {
                Failure::Stale(_) if reused && !fresh => {
                    repeats += 1;
                    continue;
                }
                Failure::Unprocessed(_) if repeats < MAX_REPEATS => {
                    repeats += 1;
                    continue;
                }
                Failure::Stale(reason) => {
                    server.connection_died(clock::now());
                    (503, reason)
                }
                Failure::Unprocessed(reason) => (503, reason),
                Failure::Upstream(status, reason) => (status, reason),
                Failure::Client(_, reason) => (502, reason.to_owned()),
                Failure::ClientGone => return Ok(Err(Denial::ClientGone)),
            };
            return Ok(Err(Denial::NoVerdict(status, reason)));
        }
    }
}

async fn final_head(response: &mut ServerResponse) -> Result<Head, Failure> {
    loop {
        let head = response.next_head(&Method::GET).await?;
        if !(100..=199).contains(&head.judged.status) || head.judged.status == 101 {
            return Ok(head);
        }
    }
}

fn read(answer: &ResponseHeader, policy: &AuthPolicy) -> Result<Fields, Denial> {
    match answer.status.as_u16() {
        200..=299 => Ok(auth_request::fields(&answer.headers, &policy.copy)),
        status @ (401 | 403) => {
            Err(Denial::Refused(status, auth_request::fields(&answer.headers, &[WWW_AUTHENTICATE, SET_COOKIE])))
        }
        status => Err(Denial::NoVerdict(502, format!("it answered {status}, which is neither 2xx, 401 nor 403"))),
    }
}

/// Reads what little is left, so that the connection can serve the next question.
async fn finish(mut response: ServerResponse, head: &Head, upstream: &Upstream, server: &Server) {
    if head.judged.status == 101 || response.begin_body(head.judged.framing).is_err() {
        return;
    }
    let leftover = async {
        let mut left = LEFTOVER_BYTES;
        while let Some(data) = response.read(LEFTOVER).await? {
            left = left.checked_sub(data.len()).ok_or_else(|| "too much".to_owned())?;
        }
        response.trailers(LEFTOVER).await
    };
    if matches!(tokio::time::timeout(LEFTOVER, leftover).await, Ok(Ok(_))) && head.judged.keep_alive {
        response.release(upstream, server, head.judged.promised);
    }
}
