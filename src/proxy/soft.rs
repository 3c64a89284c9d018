//! Soft answers to browsers' own EventSources, in our own place and in a server's: what they are for stands in `message/soft.rs`.

use std::time::Duration;

use bytes::Bytes;
use pingora::http::ResponseHeader;

use super::ask::Answered;
use super::call::Call;
use super::door::After;
use super::downstream::{Body, Downstream, Gone};
use super::exchange::Exchange;
use super::record::{Outcome, RequestRecord};
use super::stream::jitter;
use crate::clock;
use crate::message::client_kind::is_native_event_source;
use crate::message::cors::Grant;
use crate::message::soft::{self, SoftStatus};
use crate::message::{ResponseFraming, Version};
use crate::sse::LineEnd;
use crate::sse::encode::retry_line;

/// A server's error is read to its end, so that its connection serves on, if it is no longer than this, in bytes, and comes within
/// this time. A restart after which everybody comes back is no time for a connection each.
const DISCARDED: usize = 64 << 10;
const DISCARDED_WITHIN: Duration = Duration::from_millis(250);

impl Exchange<'_> {
    /// Whether this client gets a soft answer in place of `status`. An EventSource never speaks HTTP/1.0, and never asks with HEAD.
    pub(super) fn softens(&self, down: &Downstream, status: u16) -> Option<SoftStatus> {
        let soft = SoftStatus::of(status).filter(|_| self.route.soft_errors && self.request.version != Version::Http10)?;
        is_native_event_source(&self.request.method, &down.head().headers).then_some(soft)
    }

    /// In place of an error that the server gave. What it sets or says beside is not for a page that never sees it.
    pub(super) async fn soften(
        &self,
        call: Box<Call>,
        answered: Box<Answered>,
        mut record: Box<RequestRecord>,
        status: SoftStatus,
    ) -> After {
        let asked = soft::retry_after(&answered.header.headers, clock::wall());
        record.reason("the server's own");
        let keeps = self.keep_alive && call.upload.is_received() && !self.app.drain.is_draining();
        let is_whole = call.upload.is_complete();
        let after = self.answer_softly(call, record, status, asked, keeps).await;
        if is_whole {
            let _ = tokio::time::timeout(DISCARDED_WITHIN, self.discard(answered)).await;
        }
        after
    }

    /// 200, one `retry:` line and a clean end; `asked` is how long the client shall wait at least.
    pub(super) async fn answer_softly(
        &self,
        mut call: Box<Call>,
        mut record: Box<RequestRecord>,
        status: SoftStatus,
        asked: Option<Duration>,
        keeps: bool,
    ) -> After {
        record.softened(status);
        record.over(200, Outcome::Whole);
        if !call.down.has_cors() {
            // There is nothing in it that a page could not know, and one that may not read it never comes back.
            let anybody = Grant::anybody(&call.down.head().headers);
            call.down.set_cors(Some(anybody));
        }
        match write(&mut call.down, soft::wait(asked, jitter()), keeps).await {
            Ok(()) => call.leave(),
            Err(Gone) => After::Gone,
        }
    }

    /// Reads what nobody gets and gives the connection back.
    async fn discard(&self, answered: Box<Answered>) {
        let Answered { mut response, head, busy, .. } = *answered;
        let is_endless = head.framing == ResponseFraming::CloseDelimited;
        if is_endless || !head.keep_alive || response.begin_body(head.framing).is_err() {
            return;
        }
        let mut read = 0;
        while read <= DISCARDED {
            match response.read(DISCARDED_WITHIN).await {
                Ok(Some(data)) => read += data.len(),
                Ok(None) => return response.release(&self.context.upstream, busy.server(), head.promised),
                Err(_) => return,
            }
        }
    }
}

async fn write(down: &mut Downstream, wait: Duration, keeps: bool) -> Result<(), Gone> {
    let mut body = Vec::new();
    retry_line(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX), LineEnd::Lf, &mut body);
    let header = head(body.len()).map_err(|_| Gone)?;
    down.write_head(header, Body::Framed, keeps).await?;
    down.write_body(Bytes::from(body)).await?;
    down.finish(None).await
}

fn head(length: usize) -> pingora::Result<ResponseHeader> {
    let mut header = ResponseHeader::build(200, Some(6))?;
    header.insert_header("Content-Type", "text/event-stream")?;
    header.insert_header("Content-Length", length)?;
    header.insert_header("Cache-Control", "no-store")?;
    Ok(header)
}
