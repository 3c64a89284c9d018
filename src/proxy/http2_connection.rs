//! One HTTP/2 connection of a client as a row of what happens on it: the codec, its turns, and what the meter below it has seen.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use h2::server::{Connection, SendResponse};
use h2::{Reason, RecvStream};
use tokio::time::Sleep;

use super::door::DoorSettings;
use super::http2_meter::{Meter, Metered, Offence};
use super::http2_outlet::Outlet;
use super::http2_turns::Turns;

/// A request, and where its response goes.
pub(super) type Incoming = (http::Request<RecvStream>, SendResponse<Bytes>);

/// What happens next.
#[expect(clippy::large_enum_variant, reason = "it is taken apart where it is made, and a request must not cost an allocation more")]
pub(super) enum Next {
    /// A request came.
    Request(Incoming),
    /// The connection is closed, with nobody to blame.
    Over,
    /// It is closed for an error, which the client was told if it was the client's.
    Broke(h2::Error),
    /// The client does what it may not: it is to be told, and closed.
    Offence(Offence),
    /// What the client began it did not finish in time: it is to be closed.
    Slow,
}

/// One connection.
pub(super) struct ClientConnection {
    codec: Connection<Metered, Bytes>,
    turns: Arc<Turns>,
    outlet: Arc<Outlet>,
    meter: Arc<Meter>,
    alarm: Pin<Box<Sleep>>,
    /// For the rest of a frame or head, alone on its connection and beside other streams.
    patience: (Duration, Duration),
}

impl ClientConnection {
    /// A connection that writes to `outlet`, and that `meter` watches.
    pub(super) fn new(codec: Connection<Metered, Bytes>, outlet: Arc<Outlet>, meter: Arc<Meter>, settings: &DoorSettings) -> Self {
        // A phone in a tunnel may have left half a frame behind, and comes back to its streams.
        let patience = (settings.request_head, settings.request_head.max(settings.write_stall));
        Self { codec, turns: Arc::default(), outlet, meter, alarm: Box::pin(tokio::time::sleep(Duration::ZERO)), patience }
    }

    /// What happens next; all of the connection's reading and writing happens here.
    pub(super) async fn next(&mut self) -> Next {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    /// Waits for its end, which was ordered; what comes in the meantime is dropped.
    pub(super) async fn over(&mut self) {
        while let Some(Ok(_)) = std::future::poll_fn(|cx| self.poll_accept(cx)).await {}
    }

    /// When its turns are.
    pub(super) fn turns(&self) -> Arc<Turns> {
        Arc::clone(&self.turns)
    }

    /// Whether a stream is open.
    pub(super) fn has_streams(&self) -> bool {
        self.codec.has_streams()
    }

    /// No new streams (RFC 9113 section 6.8).
    pub(super) fn graceful_shutdown(&mut self) {
        self.codec.graceful_shutdown();
    }

    /// No streams at all.
    pub(super) fn abrupt_shutdown(&mut self, reason: Reason) {
        self.codec.abrupt_shutdown(reason);
    }

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Incoming, h2::Error>>> {
        let Self { codec, turns, outlet, meter, .. } = self;
        loop {
            let polled = turns.turn(cx, |cx| outlet.turn(cx, |cx| codec.poll_accept(cx)));
            if polled.is_ready() || !meter.took_requests() {
                return polled;
            }
        }
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        let polled = self.poll_accept(cx);
        if polled.is_pending() {
            self.turns.rest();
        }
        match polled {
            Poll::Ready(Some(Ok(incoming))) => Poll::Ready(Next::Request(incoming)),
            Poll::Ready(Some(Err(error))) => Poll::Ready(Next::Broke(error)),
            Poll::Ready(None) => Poll::Ready(Next::Over),
            Poll::Pending => match self.meter.offence() {
                Some(offence) => Poll::Ready(Next::Offence(offence)),
                None => self.poll_slow(cx),
            },
        }
    }

    fn poll_slow(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        let Some(since) = self.meter.amid_since() else { return Poll::Pending };
        let patience = if self.has_streams() { self.patience.1 } else { self.patience.0 };
        self.alarm.as_mut().reset((since + patience).into());
        ready!(self.alarm.as_mut().poll(cx));
        Poll::Ready(Next::Slow)
    }
}

impl Drop for ClientConnection {
    fn drop(&mut self) {
        self.turns.over();
    }
}
