//! One request and its response: admitted, asked (`ask.rs`), and then forwarded (`forward.rs`), handed to the relay
//! (`stream.rs`) or to a tunnel (`tunnel.rs`), or answered by ourselves.

use std::net::IpAddr;

use super::app::{App, ForwardContext};
use super::ask::{Failure, Question, TOO_LARGE};
use super::auth::Fields;
use super::call::Call;
use super::door::After;
use super::downstream::Downstream;
use super::record::{Outcome, RequestRecord};
use super::reject;
use crate::admission::{Permit, Refusal};
use crate::client_id::{self, ClientKey};
use crate::message::{RequestFraming, RequestHead, ResponseFraming, response, upgrade};
use crate::route::Route;
use crate::sse;
use crate::telemetry::StreamCap;
use crate::upstream::Protocol;

/// What one exchange needs.
#[derive(Debug)]
pub struct Exchange<'a> {
    /// What all requests share.
    pub app: &'a App,
    /// The route it takes.
    pub route: &'a Route,
    /// What belongs to that route.
    pub context: &'a ForwardContext,
    /// What the door judged.
    pub request: &'a RequestHead,
    /// Who asks, behind trusted proxies.
    pub client: IpAddr,
    /// Whether the client's connection may serve another request.
    pub keep_alive: bool,
}

impl Exchange<'_> {
    /// From the request's head to the end of the response, or to the relay. What few requests come to is boxed: its room would be part of
    /// each request's, which is moved where it lives (8.3 KB of it, 5 % of what an ordinary request cost).
    pub(super) async fn run(&self, mut call: Box<Call>, mut record: Box<RequestRecord>) -> After {
        call.down.set_write_stall(self.route.timeouts.write_stall);
        if let Some(most) = self.app.request_body {
            if matches!(self.request.framing, RequestFraming::Length(length) if length > most) {
                record.reason(TOO_LARGE);
                return Box::pin(self.refuse(call, record, 413, Some(TOO_LARGE))).await;
            }
            call.upload.set_limit(most);
        }
        let peer = call.client.peer();
        let asked = match &self.context.auth {
            Some(auth) => Box::pin(self.authorize(auth, &mut call, peer)).await,
            None => Ok(Fields::new()),
        };
        let granted = match asked {
            Ok(granted) => granted,
            Err(denial) => return Box::pin(self.deny(call, record, denial)).await,
        };
        let accepts = call.down.head().headers.get_all(http::header::ACCEPT);
        let stream_intent = accepts.iter().any(|value| sse::accepts_event_stream(value.as_bytes()));
        // Before the upstream is bothered, where the request says what it wants.
        let permit = match stream_intent.then(|| self.admit(&call.down)).transpose() {
            Ok(permit) => permit,
            Err(refusal) => return Box::pin(self.over_cap(call, record, refusal)).await,
        };
        let may_upgrade = self.context.upstream.spec().protocol == Protocol::Http1;
        let upgrade = may_upgrade.then(|| upgrade::asked(&call.down.head().headers, self.request, &self.route.upgrades)).flatten();
        let question = Question { peer, stream_intent, granted: &granted, upgrade: upgrade.as_ref() };
        let failure = match self.ask(&mut call, &mut record, &question).await {
            Ok(answered) => {
                record.answered();
                if let Some(soft) = self.softens(&call.down, answered.head.status) {
                    drop(permit);
                    return Box::pin(self.soften(call, answered, record, soft)).await;
                }
                if let (101, Some(protocol)) = (answered.head.status, &upgrade) {
                    drop(permit);
                    return Box::pin(self.tunnel(call, answered, record, protocol)).await;
                }
                let is_stream = response::media_type(&answered.header).is_some_and(sse::is_event_stream)
                    && answered.head.framing != ResponseFraming::None;
                if !is_stream {
                    drop(permit);
                    return self.forward(call, answered, record).await;
                }
                return match permit.map_or_else(|| self.admit(&call.down), Ok) {
                    Ok(permit) => Box::pin(self.stream(call, answered, record, permit)).await,
                    Err(refusal) => {
                        drop(answered);
                        Box::pin(self.over_cap(call, record, refusal)).await
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
                Box::pin(self.refuse(call, record, status, Some(reason))).await
            }
            Failure::Upstream(status, reason) => Box::pin(self.unanswered(call, record, status, &reason)).await,
            Failure::Stale(reason) | Failure::Unprocessed(reason) => Box::pin(self.unanswered(call, record, 502, &reason)).await,
        }
    }

    /// The right to one open stream.
    fn admit(&self, down: &Downstream) -> Result<Permit<ClientKey>, Refusal> {
        let key = client_id::client_key(&self.route.client, self.client, &down.head().headers);
        let admitted = self.app.admission.try_acquire(self.route.position, key, &self.route.caps);
        admitted.inspect_err(|refusal| {
            self.context.metrics.refused(match refusal {
                Refusal::Client => StreamCap::Client,
                Refusal::Route => StreamCap::Route,
                Refusal::Total => StreamCap::Total,
            });
        })
    }

    /// The upstream gave no response that could be forwarded.
    pub(super) async fn unanswered(&self, call: Box<Call>, mut record: Box<RequestRecord>, status: u16, reason: &str) -> After {
        let server = record.server().map_or("none", |server| server.address());
        tracing::warn!(upstream = self.context.upstream.name(), server, status, reason, "no response from the upstream");
        record.reason("no response from the upstream");
        self.refuse(call, record, status, None).await
    }

    /// A stream beyond a cap.
    async fn over_cap(&self, call: Box<Call>, mut record: Box<RequestRecord>, refusal: Refusal) -> After {
        record.reason(match refusal {
            Refusal::Client => "over caps.streams_per_client",
            Refusal::Route => "over caps.streams",
            Refusal::Total => "over limits.streams",
        });
        self.refuse(call, record, 429, Some(&format!("no more event streams: {refusal}"))).await
    }

    pub(super) async fn refuse(
        &self,
        mut call: Box<Call>,
        mut record: Box<RequestRecord>,
        status: u16,
        reason: Option<&str>,
    ) -> After {
        // Where the next request would begin is certain only behind a body that was read well; and out of capacity, the connection is
        // wanted back.
        let keeps = self.keep_alive && !self.request.framing.has_body() && status != 503;
        if let Some(soft) = self.softens(&call.down, status) {
            let asked = reject::retry_after(status);
            return self.answer_softly(call, record, soft, asked, keeps).await;
        }
        record.over(status, Outcome::Whole);
        match reject::answer(&mut call.down, status, reason, keeps).await {
            Ok(()) => call.leave(),
            Err(_) => After::Gone,
        }
    }
}
