//! The IO below an HTTP/2 connection's codec. It counts the frames that pass, so that what no window bounds has a bound of its own, knows
//! when a client leaves something half done, and closes so that the client can read our last word. It changes no byte.

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::{Buf, Bytes};
use h2::Reason;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use super::downstream::LAST_WORDS;
use super::http2_outlet::Outlet;
use crate::clock;
use crate::message::http2_budget::{Flood, FrameBudget};
use crate::message::http2_frames::{Frame, FrameScanner, kind};

/// What is still read of a client that was told of its end, so that it can read that.
const LINGER_BYTES: usize = 1024 * 1024;
/// Bytes of one read at most.
const READ_SIZE: usize = 16 * 1024;
/// So many requests are read before they are taken. The codec keeps those that wait in a slab of 248 bytes each that never shrinks: with
/// no bound it was 320 bytes a stream on a connection with 100 that came at once.
const REQUESTS: u32 = 8;

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
    /// Requests that the codec has, at most, and that nobody has taken from it.
    requests: u32,
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
            requests: 0,
            offence: None,
            amid_since: None,
            told: None,
        }))
    }

    /// What the client did that it may not; from then on nothing is read.
    pub(super) fn offence(&self) -> Option<Offence> {
        self.seen().offence
    }

    /// All requests were taken: more may be read. Says whether that was held up by them.
    pub(super) fn took_requests(&self) -> bool {
        std::mem::take(&mut self.seen().requests) >= REQUESTS
    }

    /// Whether nothing is to be read for now.
    fn is_shut(&self) -> bool {
        let seen = self.seen();
        seen.offence.is_some() || seen.requests >= REQUESTS
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
    /// Looks at what was received, up to where the codec has requests enough for once, and says where that is.
    fn receive(&mut self, bytes: &[u8], now: Instant) -> usize {
        let Self { received, budget, has_settings, requests, .. } = self;
        let finished = received.finished();
        let judged = received.scan_some(bytes, |frame| {
            if !std::mem::replace(has_settings, true) && (frame.kind != kind::SETTINGS || frame.is_ack()) {
                return Err(Offence::NoSettings);
            }
            *requests += u32::from(frame.kind == kind::HEADERS);
            budget.received(frame, now).map_err(Offence::Flood)?;
            Ok(if *requests < REQUESTS { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
        });
        let looked = judged.unwrap_or_else(|offence| {
            self.offence = self.offence.or(Some(offence));
            0
        });
        // More of the same is no progress.
        let same = self.amid_since.filter(|_| received.finished() == finished);
        self.amid_since = received.is_amid().then(|| same.unwrap_or(now));
        looked
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

thread_local! {
    /// A worker's, for one read: nothing stays in it.
    static INPUT: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_SIZE].into());
}

/// What the codec of a connection reads from and writes to.
#[derive(Debug)]
pub(super) struct Metered {
    outlet: Arc<Outlet>,
    meter: Arc<Meter>,
    /// Read before the socket is.
    ahead: Bytes,
    linger: Option<Pin<Box<Sleep>>>,
    left: usize,
}

impl Metered {
    /// A socket of which `ahead` was read.
    pub(super) fn new(outlet: Arc<Outlet>, ahead: Bytes, meter: Arc<Meter>) -> Self {
        Self { outlet, meter, ahead, linger: None, left: LINGER_BYTES }
    }

    /// Gives of `input` what the codec is to have now, and says how much that is.
    fn give(meter: &Meter, input: &[u8], buf: &mut ReadBuf<'_>) -> Poll<usize> {
        let mut seen = meter.seen();
        let n = seen.receive(&input[..input.len().min(buf.remaining())], clock::now());
        if seen.offence.is_some() {
            return Poll::Pending;
        }
        buf.put_slice(&input[..n]);
        Poll::Ready(n)
    }
}

impl AsyncRead for Metered {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        this.outlet.fail()?;
        // Whoever polls looks for it then, and ends the connection, or takes the requests.
        if this.meter.is_shut() {
            return Poll::Pending;
        }
        if this.ahead.has_remaining() {
            let n = ready!(Self::give(&this.meter, &this.ahead, buf));
            this.ahead.advance(n);
            if this.ahead.is_empty() {
                this.ahead = Bytes::new();
            }
            return Poll::Ready(Ok(()));
        }
        INPUT.with_borrow_mut(|input| {
            let room = buf.remaining().min(READ_SIZE);
            let n = ready!(this.outlet.socket().poll_read_shared(cx, &mut input[..room]))?;
            let given = ready!(Self::give(&this.meter, &input[..n], buf));
            if given < n {
                this.ahead = Bytes::copy_from_slice(&input[given..n]);
            }
            Poll::Ready(Ok(()))
        })
    }
}

impl AsyncWrite for Metered {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(self.outlet.poll_write(cx, buf))?;
        self.meter.seen().send(&buf[..written], clock::now());
        Poll::Ready(Ok(written))
    }

    /// Says that it gathers nothing: the codec then gathers frames up to 1 KiB itself.
    fn is_write_vectored(&self) -> bool {
        false
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.outlet.poll_flush(cx)
    }

    /// Closes our half, and reads for a while what the client still sends: a reset would take the last frames from it (RFC 9112
    /// section 9.6 has the same for HTTP/1).
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.linger.is_none() {
            ready!(this.outlet.poll_close(cx))?;
        }
        let linger = this.linger.get_or_insert_with(|| Box::pin(tokio::time::sleep(LAST_WORDS)));
        if linger.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        let mut discarded = [0; 4096];
        loop {
            let count = ready!(this.outlet.socket().poll_read_shared(cx, &mut discarded)).unwrap_or(0);
            this.left = this.left.saturating_sub(count);
            if count == 0 || this.left == 0 {
                return Poll::Ready(Ok(()));
            }
        }
    }
}
