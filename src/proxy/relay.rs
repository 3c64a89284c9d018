//! The relay of one event stream: drives a [`StreamState`] over two raw sockets, detached from Pingora's sessions. It is the only code
//! that waits for a stream's bytes, and the only timer of a stream runs here.
//!
//! A future by hand, since tens of thousands of them are idle: no buffer while nothing is in transit, one sleep in place, and the
//! buffers of a read are the worker's, not the stream's. In steady state an event costs one read and one write.

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::ops::Range;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use pin_project_lite::pin_project;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;

use super::record::StreamRecord;
use crate::clock;
use crate::drain::{Order, StreamGuard};
use crate::message::framing::{self, Decoder, Framing, LAST_CHUNK};
use crate::sse::Frame;
use crate::stream::{Action, ClientEnd, EndReason, StreamState, UpstreamEnd};
use crate::telemetry::HeartbeatFrame;
use crate::transport::Socket;

/// Bytes of one read at most.
const READ_SIZE: usize = 64 * 1024;
/// Reads of one poll at most: the other streams of the worker wait meanwhile.
const READS_PER_POLL: usize = 8;

/// The buffers of a worker, shared by all its streams: nothing stays in them between two polls.
#[derive(Default)]
struct Scratch {
    read: Vec<u8>,
    payload: Vec<Range<usize>>,
    actions: Vec<Action>,
    pieces: Vec<Piece>,
    out: Vec<u8>,
}

/// A part of what goes to the client.
enum Piece {
    /// Of the bytes just read.
    Read(Range<usize>),
    /// Of our own, or held before.
    Own(Vec<u8>),
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

impl Scratch {
    /// As a poll needs it, also when the one before it panicked half-way.
    fn reset(&mut self) {
        self.read.resize(READ_SIZE, 0);
        self.payload.clear();
        self.actions.clear();
        self.pieces.clear();
        self.out.clear();
    }
}

pin_project! {
    /// One event stream in transit. Resolves when it is over; its end is recorded then, or when it is dropped.
    pub struct Relay {
        #[pin]
        sleep: Sleep,
        // When `sleep` wakes the task; `None` while it is not registered to.
        armed: Option<Instant>,
        flow: Flow,
    }
}

/// What a relay is made of.
pub struct Parts {
    /// The client's socket; its response head is written.
    pub downstream: TcpStream,
    /// The server's socket; its response head is read.
    pub upstream: Socket,
    /// What was read of the body together with the head.
    pub body_start: Bytes,
    /// How the server delimits the body.
    pub upstream_framing: Framing,
    /// Whether the client gets it chunked; else it is delimited by the end of the connection.
    pub chunked: bool,
    /// The engine.
    pub state: StreamState,
    /// How long a client may take nothing, for the final chunk.
    pub write_stall: Duration,
    /// Orders from the drain.
    pub guard: StreamGuard,
    /// What is told of the stream.
    pub record: StreamRecord,
}

struct Flow {
    downstream: TcpStream,
    upstream: Socket,
    body_start: Bytes,
    decoder: Decoder,
    state: StreamState,
    guard: StreamGuard,
    record: StreamRecord,
    /// Taken from the upstream and not yet by the client, from `sent` on.
    unsent: Vec<u8>,
    sent: usize,
    /// Kept back by the engine.
    held: Vec<u8>,
    chunked: bool,
    ended: Option<EndReason>,
    /// The final chunk is in `unsent`; the client has until then to take it.
    closing_until: Option<Instant>,
    write_stall: Duration,
}

impl Relay {
    /// Takes over a stream.
    #[must_use]
    pub fn new(parts: Parts, now: Instant) -> Self {
        let flow = Flow {
            downstream: parts.downstream,
            upstream: parts.upstream,
            body_start: parts.body_start,
            decoder: Decoder::new(parts.upstream_framing),
            state: parts.state,
            guard: parts.guard,
            record: parts.record,
            unsent: Vec::new(),
            sent: 0,
            held: Vec::new(),
            chunked: parts.chunked,
            ended: None,
            closing_until: None,
            write_stall: parts.write_stall,
        };
        if !flow.chunked {
            // Until it ended cleanly, whatever drops this stream must look like what it is: without chunks only a reset does.
            reset_on_close(&flow.downstream, true);
        }
        Self { sleep: tokio::time::sleep_until(now.into()), armed: None, flow }
    }
}

impl Future for Relay {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        let now = clock::now();
        let over = SCRATCH.with_borrow_mut(|scratch| {
            scratch.reset();
            this.flow.run(cx, now, scratch)
        });
        if let Poll::Ready(reason) = over {
            this.flow.close(reason);
            return Poll::Ready(());
        }
        // The sleep is moved only when it must fire earlier than it stands, or when it fired: an event that merely postpones the
        // next heartbeat costs nothing here. A task's waker stays the same, so one poll after each move registers it, unless the
        // task's budget is used up: then the sleep registers nothing, and the task is polled again at once.
        if let Some(at) = this.flow.deadline()
            && !this.armed.is_some_and(|armed| now < armed && armed <= at)
        {
            let registers = tokio::task::coop::has_budget_remaining();
            this.sleep.as_mut().reset(at.into());
            match this.sleep.as_mut().poll(cx) {
                Poll::Pending => *this.armed = registers.then_some(at),
                Poll::Ready(()) => {
                    *this.armed = None;
                    cx.waker().wake_by_ref();
                }
            }
        }
        Poll::Pending
    }
}

impl Flow {
    /// Does all that can be done without waiting.
    fn run(&mut self, cx: &mut Context<'_>, now: Instant, scratch: &mut Scratch) -> Poll<EndReason> {
        self.take_order(cx, now, scratch);
        if let Some(how) = self.client_left(cx) {
            self.state.handle_client_gone(how, &mut scratch.actions);
        } else {
            self.state.handle_timeout(now, &mut scratch.actions);
        }
        self.carry_out(0, &[], scratch);
        self.send(cx, now, &[], false, scratch);
        if !self.body_start.is_empty() {
            let first = std::mem::take(&mut self.body_start);
            self.feed(&first, cx, now, scratch);
        }
        for _ in 0..READS_PER_POLL {
            if self.is_backlogged() {
                self.send(cx, now, &[], false, scratch);
            }
            if let Some(over) = self.finished(cx, now, scratch) {
                return over;
            }
            if self.is_backlogged() || !self.state.wants_upstream() {
                return Poll::Pending;
            }
            let mut read = std::mem::take(&mut scratch.read);
            let mut buffer = ReadBuf::new(&mut read);
            let polled = Pin::new(&mut self.upstream).poll_read(cx, &mut buffer);
            let n = buffer.filled().len();
            match polled {
                Poll::Pending => {
                    scratch.read = read;
                    return Poll::Pending;
                }
                Poll::Ready(Ok(())) if n > 0 => self.feed(&read[..n], cx, now, scratch),
                Poll::Ready(Ok(())) if self.decoder.may_close() => self.upstream_ended(UpstreamEnd::Clean, cx, now, scratch),
                Poll::Ready(_) => self.upstream_ended(UpstreamEnd::Lost, cx, now, scratch),
            }
            scratch.read = read;
        }
        // There may be more: after the others had their turn.
        cx.waker().wake_by_ref();
        self.finished(cx, now, scratch).unwrap_or(Poll::Pending)
    }

    /// When to be polled next at the latest.
    fn deadline(&self) -> Option<Instant> {
        self.closing_until.or_else(|| self.state.poll_timeout())
    }

    fn take_order(&mut self, cx: &mut Context<'_>, now: Instant, scratch: &mut Scratch) {
        while let Poll::Ready(order) = self.guard.poll_order(cx) {
            match order {
                Order::EndBy(at) => self.state.handle_drain(at, now, &mut scratch.actions),
                Order::Cut => {
                    self.state.handle_cut(&mut scratch.actions);
                    if self.closing_until.is_some() {
                        self.ended = Some(EndReason::DrainCut);
                    }
                }
            }
        }
    }

    /// Whether the client closed. What it sends on a stream whose head said `Connection: close` is read and forgotten.
    fn client_left(&mut self, cx: &mut Context<'_>) -> Option<ClientEnd> {
        let mut bytes = [0; 512];
        for _ in 0..READS_PER_POLL {
            let mut buffer = ReadBuf::new(&mut bytes);
            match Pin::new(&mut self.downstream).poll_read(cx, &mut buffer) {
                Poll::Pending => return None,
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {}
                Poll::Ready(Ok(())) => return Some(ClientEnd::Closed),
                Poll::Ready(Err(error)) => return Some(client_end(&error)),
            }
        }
        cx.waker().wake_by_ref();
        None
    }

    /// Hands `input`, as it came from the upstream, to the engine, and what the engine lets go to the client.
    fn feed(&mut self, input: &[u8], cx: &mut Context<'_>, now: Instant, scratch: &mut Scratch) {
        let before = self.state.tally();
        let mut payload = std::mem::take(&mut scratch.payload);
        let decoded = self.decoder.decode(input, &mut payload);
        let mut verbatim = decoded.is_ok_and(|decoded| decoded.verbatim);
        let mut bytes = 0;
        for range in payload.drain(..) {
            let start = range.start;
            let chunk = &input[range];
            bytes += chunk.len() as u64;
            self.state.handle_upstream(chunk, now, &mut scratch.actions);
            verbatim &= matches!(&scratch.actions[..], [Action::Forward(all)] if *all == (0..chunk.len()));
            self.carry_out(start, input, scratch);
        }
        scratch.payload = payload;
        self.record.received(bytes, self.state.tally().events - before.events, now);
        match decoded {
            Ok(decoded) if decoded.done => self.state.handle_upstream_end(UpstreamEnd::Clean, &mut scratch.actions),
            Ok(_) => {}
            Err(framing::Malformed) => self.state.handle_upstream_end(UpstreamEnd::Malformed, &mut scratch.actions),
        }
        self.carry_out(0, &[], scratch);
        self.send(cx, now, input, verbatim && self.chunked, scratch);
    }

    fn upstream_ended(&mut self, how: UpstreamEnd, cx: &mut Context<'_>, now: Instant, scratch: &mut Scratch) {
        self.state.handle_upstream_end(how, &mut scratch.actions);
        self.carry_out(0, &[], scratch);
        self.send(cx, now, &[], false, scratch);
    }

    /// Turns the engine's actions into pieces. Ranges count from `start` in `input`.
    fn carry_out(&mut self, start: usize, input: &[u8], scratch: &mut Scratch) {
        for action in scratch.actions.drain(..) {
            match action {
                Action::Forward(range) => scratch.pieces.push(Piece::Read(start + range.start..start + range.end)),
                Action::Hold(range) => self.held.extend_from_slice(&input[start + range.start..start + range.end]),
                Action::Release => scratch.pieces.push(Piece::Own(std::mem::take(&mut self.held))),
                Action::Discard => self.held = Vec::new(),
                Action::Inject(beat) => {
                    let mut bytes = Vec::new();
                    self.state.encode(beat, &mut bytes);
                    self.record.beat(match beat.frame {
                        Frame::Line => HeartbeatFrame::Line,
                        Frame::Block => HeartbeatFrame::Block,
                    });
                    scratch.pieces.push(Piece::Own(bytes));
                }
                Action::End(reason) => self.ended = Some(reason),
            }
        }
    }

    /// Writes what waits, then the pieces, as far as the client takes them, and tells the engine. With `verbatim` the pieces are all
    /// of `input`, whose framing serves the client as it is.
    fn send(&mut self, cx: &mut Context<'_>, now: Instant, input: &[u8], verbatim: bool, scratch: &mut Scratch) {
        if scratch.pieces.is_empty() && !self.is_backlogged() {
            return;
        }
        let mut out = std::mem::take(&mut scratch.out);
        let fresh: &[u8] = if verbatim {
            input
        } else {
            self.frame(input, &scratch.pieces, &mut out);
            &out
        };
        scratch.pieces.clear();
        let result = self.write(cx, fresh);
        out.clear();
        scratch.out = out;
        match result {
            Ok(written) => {
                if !self.is_backlogged() {
                    self.record.drained();
                }
                self.state.handle_written(written, self.is_backlogged(), now, &mut scratch.actions);
            }
            Err(error) => self.state.handle_client_gone(client_end(&error), &mut scratch.actions),
        }
        self.carry_out(0, &[], scratch);
    }

    /// The pieces as they go over the wire: in one chunk, where the client gets chunks.
    fn frame(&self, input: &[u8], pieces: &[Piece], out: &mut Vec<u8>) {
        let length = pieces.iter().map(|piece| piece.bytes(input).len()).sum();
        if length == 0 {
            return;
        }
        if self.chunked {
            framing::begin_chunk(length, out);
        }
        for piece in pieces {
            out.extend_from_slice(piece.bytes(input));
        }
        if self.chunked {
            framing::end_chunk(out);
        }
    }

    /// Writes `unsent`, then `fresh`; what the client does not take becomes `unsent`. Returns how much it took.
    fn write(&mut self, cx: &mut Context<'_>, fresh: &[u8]) -> io::Result<usize> {
        let mut written = 0;
        while self.is_backlogged() {
            match Pin::new(&mut self.downstream).poll_write(cx, &self.unsent[self.sent..])? {
                Poll::Ready(0) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(n) => {
                    self.sent += n;
                    written += n;
                }
                Poll::Pending => {
                    self.unsent.extend_from_slice(fresh);
                    return Ok(written);
                }
            }
        }
        if self.sent > 0 {
            self.unsent = Vec::new();
            self.sent = 0;
        }
        let mut rest = fresh;
        while !rest.is_empty() {
            match Pin::new(&mut self.downstream).poll_write(cx, rest)? {
                Poll::Ready(0) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(n) => {
                    rest = &rest[n..];
                    written += n;
                }
                Poll::Pending => {
                    self.unsent = rest.to_vec();
                    break;
                }
            }
        }
        Ok(written)
    }

    fn is_backlogged(&self) -> bool {
        self.sent < self.unsent.len()
    }

    /// Once the engine gave its end: writes the final chunk where there is one, and tells when all is over.
    fn finished(&mut self, cx: &mut Context<'_>, now: Instant, scratch: &mut Scratch) -> Option<Poll<EndReason>> {
        let reason = self.ended?;
        scratch.pieces.clear();
        if !reason.is_clean() || !self.chunked {
            return Some(Poll::Ready(reason));
        }
        let fresh = if self.closing_until.is_none() { LAST_CHUNK } else { &[] };
        let until = *self.closing_until.get_or_insert(now + self.write_stall);
        match self.write(cx, fresh) {
            Err(_) => Some(Poll::Ready(EndReason::ClientGone)),
            Ok(_) if !self.is_backlogged() => Some(Poll::Ready(reason)),
            Ok(_) if until <= now => Some(Poll::Ready(EndReason::WriteStall)),
            Ok(_) => Some(Poll::Pending),
        }
    }

    /// The sockets close with `self`.
    fn close(&mut self, reason: EndReason) {
        if reason.is_clean() && !self.chunked {
            reset_on_close(&self.downstream, false);
        }
        self.record.ended(reason, Some(&self.state));
    }
}

fn client_end(error: &io::Error) -> ClientEnd {
    if error.kind() == io::ErrorKind::TimedOut { ClientEnd::TimedOut } else { ClientEnd::Closed }
}

/// Whether closing `socket` resets the connection: the only way to say that something is missing to a client whose body ends with
/// the connection (RFC 9112 section 8).
pub(super) fn reset_on_close(socket: &impl AsFd, reset: bool) {
    if let Err(error) = SockRef::from(socket).set_linger(reset.then_some(Duration::ZERO)) {
        tracing::debug!(%error, "SO_LINGER was refused");
    }
}

impl Piece {
    fn bytes<'a>(&'a self, input: &'a [u8]) -> &'a [u8] {
        match self {
            Self::Read(range) => &input[range.clone()],
            Self::Own(bytes) => bytes,
        }
    }
}

#[cfg(test)]
mod tests;
