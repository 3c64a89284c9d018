//! From an answered exchange to the relay: the head of an event stream goes out, the sockets leave their sessions.

use std::sync::Arc;

use http::{Method, StatusCode};
use pingora::http::ResponseHeader;
use pingora::protocols::http::ServerSession;

use super::body_sender::BodySender;
use super::detach;
use super::door::After;
use super::exchange::{Answered, Exchange};
use super::record::{Client, Outcome, RequestRecord};
use super::relay::{Parts, Relay};
use crate::admission::Permit;
use crate::client_id::ClientKey;
use crate::clock;
use crate::message::framing::Framing;
use crate::message::{self, Coding, ResponseFacts, ResponseFraming, Version, response};
use crate::stream::{StreamFacts, StreamKind, StreamState};

impl Exchange<'_> {
    /// An event stream: its head goes out, then the relay has it.
    pub(super) async fn stream(
        &self,
        mut session: ServerSession,
        answered: Answered,
        client: Client,
        mut record: RequestRecord,
        permit: Permit<ClientKey>,
    ) -> After {
        let Answered { session: upstream, head, head_bytes, body, mut busy, pin } = answered;
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
        if let Some(pin) = pin {
            let _ = header.append_header(http::header::SET_COOKIE, pin);
        }
        session.set_keepalive(None);
        record.status(header.status.as_u16());
        if self.write_head(&mut session, header).await.is_err() || !send_rest(&mut session, body).await {
            record.outcome(Outcome::ClientGone);
            return After::Gone;
        }
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
        busy.becomes_stream();
        let now = clock::now();
        let parts = Parts {
            downstream,
            upstream,
            body_start,
            upstream_framing: framing,
            chunked,
            state: StreamState::new(Arc::clone(&self.route.stream), facts, jitter(), now),
            write_stall: self.route.timeouts.write_stall,
            guard: self.app.drain.stream_guard(now),
            record: record.into_stream(client, busy, permit),
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
            opaque: facts.coding != Coding::Identity,
            digested: facts.digested,
            no_transform: facts.no_transform,
            line_frames_only: message::Client::of(&session.req_header().headers).wants_line_frames(),
        }
    }
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

/// Any number: it only spreads planned ends.
fn jitter() -> u16 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0_u8) as u16
}
