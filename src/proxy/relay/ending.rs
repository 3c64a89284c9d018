//! How a relay ends: what belongs behind a whole body, what a client must see of one that is not, and whose socket stays for a while.

use std::task::{Context, Poll};
use std::time::Instant;

use super::Flow;
use super::scratch::Scratch;
use crate::proxy::door::linger;
use crate::proxy::downstream::LAST_WORDS;
use crate::stream::EndReason;
use crate::transport::Wire;

/// A stream that ends.
pub(super) struct Closing {
    /// So long the client has for the last bytes, which are in `unsent`.
    pub(super) until: Instant,
    /// Over HTTP/2, the turn of the connection behind which the end comes, where it waits for one.
    behind: Option<u64>,
}

impl Flow {
    /// Once the engine gave its end: writes what belongs behind a whole body, and tells when all is over.
    pub(super) fn finished(&mut self, cx: &mut Context<'_>, now: Instant, scratch: &mut Scratch) -> Option<Poll<EndReason>> {
        let reason = self.ended?;
        self.record.leaves();
        scratch.pieces.clear();
        if !reason.is_clean() {
            return Some(self.torn(reason, cx, now));
        }
        let fresh = if self.closing.is_none() { self.client.last_bytes() } else { &[] };
        let until = self.closing(now + self.write_stall).until;
        let closed = match self.unsent.write(&mut self.client, cx, fresh) {
            Ok(_) if !self.unsent.is_empty() => Poll::Pending,
            // A connection that leaves says so in its next turn: a client that read the end first could open its next stream in vain.
            Ok(_) if reason == EndReason::Drained && now < until && self.behind_a_turn(cx, until).is_pending() => Poll::Pending,
            Ok(_) => self.client.poll_close(cx),
            Err(error) => Poll::Ready(Err(error)),
        };
        match closed {
            Poll::Ready(Ok(())) => Some(Poll::Ready(reason)),
            Poll::Ready(Err(_)) => Some(Poll::Ready(EndReason::ClientGone)),
            Poll::Pending if until <= now => Some(Poll::Ready(EndReason::WriteStall)),
            Poll::Pending => Some(Poll::Pending),
        }
    }

    /// How it closes, from the first call on.
    fn closing(&mut self, until: Instant) -> &mut Closing {
        self.closing.get_or_insert_with(|| Box::new(Closing { until, behind: None }))
    }

    /// The end is abnormal. A reset would overtake what the client was sent before: it waits for that to go out, for a while.
    fn torn(&mut self, reason: EndReason, cx: &mut Context<'_>, now: Instant) -> Poll<EndReason> {
        if reason == EndReason::ClientGone || self.closing.as_ref().is_some_and(|closing| closing.until <= now) {
            return Poll::Ready(reason);
        }
        self.behind_a_turn(cx, now + LAST_WORDS).map(|()| reason)
    }

    /// Ready once the connection had a turn that began after the first call; over HTTP/1 at once. It waits until `until` at most.
    fn behind_a_turn(&mut self, cx: &mut Context<'_>, until: Instant) -> Poll<()> {
        let begun = self.closing.as_ref().and_then(|closing| closing.behind);
        let Some(turn) = begun.or_else(|| self.client.turn()) else { return Poll::Ready(()) };
        self.closing(until).behind = Some(turn);
        self.client.poll_after(turn, cx)
    }

    /// The sockets close with `self`; but that of a client which is still sending stays for a while, or it would lose the end.
    pub(super) fn close(&mut self, reason: EndReason) {
        self.client.close(reason);
        let still_sends = self.upload.take().is_some() || self.client.has_unread();
        if still_sends
            && reason.is_clean()
            && let Some(socket) = self.client.take_wire().and_then(Wire::into_own)
        {
            tokio::spawn(linger(socket));
        }
        self.record.ended(reason, Some(&self.state));
    }
}
