//! The socket below an HTTP/2 connection. It counts the frames that pass, so that what no window bounds has a bound of its own, knows
//! when a client leaves something half done, and closes so that the client can read our last word. It changes no byte.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use h2::Reason;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use super::downstream::LAST_WORDS;
use crate::clock;
use crate::message::http2_budget::{Flood, FrameBudget};
use crate::message::http2_frames::{Frame, FrameScanner, kind};
use crate::transport::Transport;

/// What is still read of a client that was told of its end, so that it can read that.
const LINGER_BYTES: usize = 1024 * 1024;

/// What a client may not send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Offence {
    /// Too many frames of a kind.
    Flood(Flood),
    /// Another frame than SETTINGS behind its preface (RFC 9113 section 3.4).
    NoSettings,
}

/// What is known of a connection.
#[derive(Debug)]
pub(super) struct Meter(Mutex<Seen>);

#[derive(Debug)]
struct Seen {
    received: FrameScanner,
    sent: FrameScanner,
    budget: FrameBudget,
    has_settings: bool,
    offence: Option<Offence>,
    amid_since: Option<Instant>,
    /// The last GOAWAY that we sent.
    told: Option<Frame>,
}

impl Offence {
    /// What the client is told.
    pub(super) fn code(self) -> Reason {
        match self {
            Self::Flood(_) => Reason::ENHANCE_YOUR_CALM,
            Self::NoSettings => Reason::PROTOCOL_ERROR,
        }
    }
}

impl Meter {
    /// Of a connection that may have so many streams.
    pub(super) fn new(streams: u32, now: Instant) -> Self {
        Self(Mutex::new(Seen {
            received: FrameScanner::of_client(),
            sent: FrameScanner::of_server(),
            budget: FrameBudget::new(streams, now),
            has_settings: false,
            offence: None,
            amid_since: None,
            told: None,
        }))
    }

    /// What the client did that it may not; from then on nothing is read.
    pub(super) fn offence(&self) -> Option<Offence> {
        self.seen().offence
    }

    /// The beginning of the words that went with our last GOAWAY.
    pub(super) fn last_words(&self) -> Vec<u8> {
        self.seen().told.map_or_else(Vec::new, |frame| frame.words().to_vec())
    }

    /// Since when the rest is due of something that the client began.
    pub(super) fn amid_since(&self) -> Option<Instant> {
        self.seen().amid_since
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    fn receive(&mut self, bytes: &[u8], now: Instant) {
        let Self { received, budget, has_settings, .. } = self;
        let finished = received.finished();
        let judged = received.scan(bytes, |frame| {
            if !std::mem::replace(has_settings, true) && (frame.kind != kind::SETTINGS || frame.is_ack()) {
                return Err(Offence::NoSettings);
            }
            budget.received(frame, now).map_err(Offence::Flood)
        });
        self.offence = self.offence.or(judged.err());
        // More of the same is no progress.
        let same = self.amid_since.filter(|_| received.finished() == finished);
        self.amid_since = received.is_amid().then(|| same.unwrap_or(now));
    }

    fn send(&mut self, bytes: &[u8], now: Instant) {
        let Self { sent, budget, told, .. } = self;
        let judged = sent.scan(bytes, |frame| {
            if frame.kind == kind::GOAWAY {
                *told = Some(*frame);
            }
            budget.sent(frame, now)
        });
        self.offence = self.offence.or(judged.err().map(Offence::Flood));
    }
}

/// The socket of a connection.
#[derive(Debug)]
pub(super) struct Metered {
    transport: Transport,
    meter: Arc<Meter>,
    linger: Option<Pin<Box<Sleep>>>,
    left: usize,
}

impl Metered {
    /// `transport`, of which nothing was read yet that is not replayed.
    pub(super) fn new(transport: Transport, meter: Arc<Meter>) -> Self {
        Self { transport, meter, linger: None, left: LINGER_BYTES }
    }
}

impl AsyncRead for Metered {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        // Whoever polls looks for it then, and ends the connection.
        if this.meter.offence().is_some() {
            return Poll::Pending;
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.transport).poll_read(cx, buf))?;
        let mut seen = this.meter.seen();
        seen.receive(&buf.filled()[before..], clock::now());
        if seen.offence.is_some() {
            buf.set_filled(before);
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Metered {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.transport).poll_write(cx, buf))?;
        self.meter.seen().send(&buf[..written], clock::now());
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        false
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.transport).poll_flush(cx)
    }

    /// Closes our half, and reads for a while what the client still sends: a reset would take the last frames from it (RFC 9112
    /// section 9.6 has the same for HTTP/1).
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.linger.is_none() {
            ready!(Pin::new(&mut this.transport).poll_shutdown(cx))?;
        }
        let linger = this.linger.get_or_insert_with(|| Box::pin(tokio::time::sleep(LAST_WORDS)));
        if linger.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        let mut discarded = [0; 4096];
        loop {
            let mut buf = ReadBuf::new(&mut discarded);
            let read = ready!(Pin::new(&mut this.transport).poll_read(cx, &mut buf));
            let count = buf.filled().len();
            this.left = this.left.saturating_sub(count);
            if read.is_err() || count == 0 || this.left == 0 {
                return Poll::Ready(Ok(()));
            }
        }
    }
}
