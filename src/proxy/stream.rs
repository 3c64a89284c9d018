//! From an answered exchange to the relay: the head of an event stream goes out, and both halves leave their sessions.

use std::sync::Arc;

use http::{Method, StatusCode};
use pingora::http::ResponseHeader;

use super::ask::Answered;
use super::call::Call;
use super::door::After;
use super::downstream::{Body, Downstream};
use super::exchange::Exchange;
use super::record::{Outcome, RequestRecord};
use super::relay::{Parts, Relay};
use crate::admission::Permit;
use crate::client_id::ClientKey;
use crate::clock;
use crate::message::Coding;
use crate::message::framing::Framing;
use crate::message::gunzip::Gunzip;
use crate::message::{self, ResponseFacts, ResponseFraming, response};
use crate::stream::{StreamFacts, StreamKind, StreamState};

impl Exchange<'_> {
    /// An event stream: its head goes out, then the relay has it.
    pub(super) async fn stream(
        &self,
        mut call: Box<Call>,
        answered: Box<Answered>,
        mut record: Box<RequestRecord>,
        permit: Permit<ClientKey>,
    ) -> After {
        let Answered { response, mut header, head, mut busy, pin } = *answered;
        let said = ResponseFacts::of(&header);
        let coding = said.coding;
        let facts = self.stream_facts(&call.down, &said);
        if coding == Coding::Other {
            self.undecodable(&header);
        }
        // What is read as a coded body is written as a plain one, unless a digest would not survive it.
        let gunzip = (coding == Coding::Gzip && !facts.opaque).then(|| Box::new(Gunzip::new()));
        response::strip_hop_by_hop(&mut header);
        // A coded body passes untouched, its length included.
        let by_length = facts.opaque && matches!(head.framing, ResponseFraming::Length(_));
        if !facts.opaque {
            response::prepare_event_stream(&mut header);
        }
        if gunzip.is_some() {
            response::remove_coding(&mut header);
        }
        if let Some(pin) = pin {
            let _ = header.append_header(http::header::SET_COOKIE, pin);
        }
        let body = if by_length { Body::Framed } else { call.down.body_of_unknown_length() };
        record.status(header.status.as_u16());
        if call.down.write_head(header, body, false).await.is_err() {
            record.outcome(Outcome::ClientGone);
            return After::Gone;
        }
        let framing = match head.framing {
            ResponseFraming::Chunked => Framing::Chunked,
            ResponseFraming::Length(length) => Framing::Length(length),
            ResponseFraming::CloseDelimited | ResponseFraming::None => Framing::UntilClose,
        };
        let Call { down, upload, client } = *call;
        // What is done lets go of the sockets.
        let upload = Some(upload).filter(|upload| !upload.is_done()).map(Box::new);
        let (Some(client_stream), Some(server_stream)) = (down.into_stream(), response.into_stream()) else { return After::Gone };
        busy.becomes_stream();
        let now = clock::now();
        let parts = Parts {
            client: client_stream,
            server: server_stream,
            server_framing: framing,
            chunked: body == Body::Framed && !by_length,
            upload,
            gunzip,
            state: StreamState::new(Arc::clone(&self.route.stream), facts, jitter(), now),
            write_stall: self.route.timeouts.write_stall,
            guard: self.app.drain.stream_guard(now),
            record: record.into_stream(client, busy, permit),
        };
        // A task of its own: what served the request is freed.
        tokio::spawn(Relay::new(parts, now));
        After::Gone
    }

    fn stream_facts(&self, down: &Downstream, facts: &ResponseFacts<'_>) -> StreamFacts {
        let untouchable = facts.digested || (facts.no_transform && self.route.stream.strict_no_transform);
        let opaque = match facts.coding {
            Coding::Identity => false,
            Coding::Gzip => untouchable,
            Coding::Other => true,
        };
        StreamFacts {
            kind: if self.request.method == Method::GET { StreamKind::Subscription } else { StreamKind::Finite },
            status_ok: facts.status == StatusCode::OK.as_u16(),
            opaque,
            digested: facts.digested,
            no_transform: facts.no_transform,
            line_frames_only: message::Client::of(&down.head().headers).wants_line_frames(),
        }
    }

    /// An event stream that we cannot see through. The log has it once a route, the metric each time.
    fn undecodable(&self, header: &ResponseHeader) {
        if self.context.metrics.undecodable() {
            let codings = header.headers.get_all(http::header::CONTENT_ENCODING);
            let coding: Vec<_> = codings.iter().map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
            tracing::warn!(
                route = &*self.route.name,
                upstream = self.context.upstream.name(),
                content_encoding = coding.join(", "),
                "an event stream comes in a coding that cannot be decoded here: it passes without heartbeats; let the server send it \
                 plain or as gzip"
            );
        }
    }
}

/// Any number: it only spreads planned ends and returns.
pub(super) fn jitter() -> u16 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0_u8) as u16
}
