//! The relay of one event stream: drives a [`StreamState`] between two raw ends, detached from Pingora's sessions: the client's
//! (`client_end.rs`) and the server's, each over HTTP/1 or HTTP/2. It is the only code that waits for a stream's bytes, and the only
//! timer of a stream runs here. Where the request's body is still on its way, it moves that too.
//!
//! A future by hand, since tens of thousands of them are idle: no buffer while nothing is in transit, one sleep in place, and the
//! buffers of a read are the worker's, not the stream's. In steady state an event costs one read and one write.

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::RecvStream;
use pin_project_lite::pin_project;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::Sleep;

use super::door::linger;
use super::downstream::{ClientStream, LAST_WORDS};
use super::record::StreamRecord;
use super::server_response::ServerStream;
use super::upload::Upload;
use crate::clock;
use crate::drain::{Order, StreamGuard};
use crate::message::framing::{self, Decoder, Framing};
use crate::message::gunzip::Gunzip;
use crate::sse::Frame;
use crate::stream::{Action, ClientEnd, EndReason, StreamState, UpstreamEnd};
use crate::telemetry::HeartbeatFrame;
use crate::transport::Wire;
use crate::upstream::Http2Lease;

mod client_end;
mod unzip;

pub(super) use client_end::reset_on_close;
use client_end::{ClientSide, client_end, frame};
use unzip::Unzip;

/// Bytes of one read at most.
const READ_SIZE: usize = 64 * 1024;
/// Reads of one poll at most: the other streams of the worker wait meanwhile.
const READS_PER_POLL: usize = 8;

/// The buffers of a worker, shared by all its streams: nothing stays in them between two polls.
#[derive(Default)]
struct Scratch {
    read: Vec<u8>,
    /// Decoded from a coded stream.
    plain: Vec<u8>,
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
        self.plain.clear();
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
    /// The client's end; its response head is written.
    pub(super) client: ClientStream,
    /// The server's end; its response head is read.
    pub(super) server: ServerStream,
    /// How the server delimits the body, over HTTP/1.
    pub server_framing: Framing,
    /// Whether an HTTP/1 client gets it chunked; else it is delimited by its length or by the end of the connection.
    pub chunked: bool,
    /// The request's body, if it is still on its way.
    pub(super) upload: Option<Box<Upload>>,
    /// Decodes the body, if it comes gzipped.
    pub gunzip: Option<Box<Gunzip>>,
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
    client: ClientSide,
    server: ServerSide,
    body_start: Bytes,
    state: StreamState,
    guard: StreamGuard,
    record: StreamRecord,
    /// Taken from the upstream and not yet by the client, from `sent` on.
    unsent: Vec<u8>,
    sent: usize,
    /// Kept back by the engine.
    held: Vec<u8>,
    upload: Option<Box<Upload>>,
    unzip: Option<Box<Unzip>>,
    ended: Option<EndReason>,
    /// The last bytes are in `unsent`; the client has until then to take them.
    closing_until: Option<Instant>,
    /// Over HTTP/2 the end is abnormal, and comes behind this turn of the connection.
    closing_behind: Option<u64>,
    write_stall: Duration,
}

/// Where a stream is read from.
enum ServerSide {
    Http1 { wire: Wire, decoder: Decoder },
    Http2 { body: RecvStream, _lease: Box<Http2Lease> },
}

impl Relay {
    /// Takes over a stream.
    #[must_use]
    pub fn new(parts: Parts, now: Instant) -> Self {
        let (server, body_start) = match parts.server {
            ServerStream::Http1(wire, start) => {
                (ServerSide::Http1 { wire: wire.unshared(), decoder: Decoder::new(parts.server_framing) }, start)
            }
            ServerStream::Http2(body, lease) => (ServerSide::Http2 { body, _lease: lease }, Bytes::new()),
        };
        let flow = Flow {
            client: ClientSide::new(parts.client, parts.chunked),
            server,
            body_start,
            state: parts.state,
            guard: parts.guard,
            record: parts.record,
            unsent: Vec::new(),
            sent: 0,
            held: Vec::new(),
            upload: parts.upload,
            unzip: parts.gunzip.map(|gunzip| Box::new(Unzip::new(gunzip))),
            ended: None,
            closing_until: None,
            closing_behind: None,
            write_stall: parts.write_stall,
        };
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
        let broke = self.move_upload(cx).or_else(|| self.client.poll_left(cx, self.upload.is_none()));
        if let Some(how) = broke {
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
            if self.unzip.as_ref().is_some_and(|unzip| unzip.has_work()) {
                self.decode(cx, now, scratch);
            } else {
                std::task::ready!(self.read(cx, now, scratch));
            }
        }
        // There may be more: after the others had their turn.
        cx.waker().wake_by_ref();
        self.finished(cx, now, scratch).unwrap_or(Poll::Pending)
    }

    /// One read of the server.
    fn read(&mut self, cx: &mut Context<'_>, now: Instant, scratch: &mut Scratch) -> Poll<()> {
        match &mut self.server {
            ServerSide::Http1 { wire, decoder } => {
                let mut read = std::mem::take(&mut scratch.read);
                let mut buffer = ReadBuf::new(&mut read);
                let polled = Pin::new(wire).poll_read(cx, &mut buffer);
                let n = buffer.filled().len();
                match polled {
                    Poll::Pending => {
                        scratch.read = read;
                        return Poll::Pending;
                    }
                    Poll::Ready(Ok(())) if n > 0 => self.feed(&read[..n], cx, now, scratch),
                    Poll::Ready(Ok(())) if decoder.may_close() => self.server_ended(UpstreamEnd::Clean, cx, now, scratch),
                    Poll::Ready(_) => self.server_ended(UpstreamEnd::Lost, cx, now, scratch),
                }
                scratch.read = read;
            }
            ServerSide::Http2 { body, .. } => match std::task::ready!(body.poll_data(cx)) {
                Some(Ok(data)) => {
                    // An error means that the stream is over, which the next read tells.
                    let _ = body.flow_control().release_capacity(data.len());
                    if let Some(unzip) = &mut self.unzip {
                        unzip.push(&data);
                    } else {
                        self.feed_plain(&data, cx, now, scratch);
                    }
                }
                Some(Err(_)) => self.server_ended(UpstreamEnd::Lost, cx, now, scratch),
                None => {
                    let how = match std::task::ready!(body.poll_trailers(cx)) {
                        Ok(trailers) => {
                            if let Some(trailers) = trailers {
                                self.client.end_with(trailers);
                            }
                            UpstreamEnd::Clean
                        }
                        Err(_) => UpstreamEnd::Lost,
                    };
                    self.server_ended(how, cx, now, scratch);
                }
            },
        }
        Poll::Ready(())
    }

    /// Moves the request's body, if it is still on its way.
    fn move_upload(&mut self, cx: &mut Context<'_>) -> Option<ClientEnd> {
        for _ in 0..READS_PER_POLL {
            let upload = self.upload.as_mut()?;
            if upload.is_done() {
                self.upload = None;
                return None;
            }
            match upload.poll(cx) {
                Poll::Pending => return None,
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => return Some(ClientEnd::Closed),
            }
        }
        cx.waker().wake_by_ref();
        None
    }

    /// Decodes more of what was read of a coded stream.
    fn decode(&mut self, cx: &mut Context<'_>, now: Instant, scratch: &mut Scratch) {
        let Some(unzip) = &mut self.unzip else { return };
        let mut plain = std::mem::take(&mut scratch.plain);
        plain.clear();
        let end = unzip.step(&mut plain, READ_SIZE);
        if !plain.is_empty() {
            self.feed_plain(&plain, cx, now, scratch);
        }
        scratch.plain = plain;
        if let Some(how) = end {
            self.upstream_ended(how, cx, now, scratch);
        }
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

    /// Hands `input`, as it came from the server's connection, to the engine, and what the engine lets go to the client.
    fn feed(&mut self, input: &[u8], cx: &mut Context<'_>, now: Instant, scratch: &mut Scratch) {
        let ServerSide::Http1 { decoder, .. } = &mut self.server else { return };
        let mut payload = std::mem::take(&mut scratch.payload);
        let decoded = decoder.decode(input, &mut payload);
        let end = match decoded {
            Ok(decoded) => decoded.done.then_some(UpstreamEnd::Clean),
            Err(framing::Malformed) => Some(UpstreamEnd::Malformed),
        };
        if let Some(unzip) = &mut self.unzip {
            payload.drain(..).for_each(|range| unzip.push(&input[range]));
            end.into_iter().for_each(|how| unzip.end(how));
            scratch.payload = payload;
            return;
        }
        let before = self.state.tally();
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
        if let Some(how) = end {
            self.state.handle_upstream_end(how, &mut scratch.actions);
        }
        self.carry_out(0, &[], scratch);
        self.send(cx, now, input, verbatim && self.client.is_chunked(), scratch);
    }

    /// The same for bytes that are all payload.
    fn feed_plain(&mut self, plain: &[u8], cx: &mut Context<'_>, now: Instant, scratch: &mut Scratch) {
        let before = self.state.tally();
        self.state.handle_upstream(plain, now, &mut scratch.actions);
        self.carry_out(0, plain, scratch);
        self.record.received(plain.len() as u64, self.state.tally().events - before.events, now);
        self.send(cx, now, plain, false, scratch);
    }

    /// The server's connection or stream ended: of a coded stream, behind what waits to be decoded.
    fn server_ended(&mut self, how: UpstreamEnd, cx: &mut Context<'_>, now: Instant, scratch: &mut Scratch) {
        match &mut self.unzip {
            Some(unzip) => unzip.end(how),
            None => self.upstream_ended(how, cx, now, scratch),
        }
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
            let length = scratch.pieces.iter().map(|piece| piece.bytes(input).len()).sum();
            frame(self.client.is_chunked(), length, scratch.pieces.iter().map(|piece| piece.bytes(input)), &mut out);
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

    /// Writes `unsent`, then `fresh`; what the client does not take becomes `unsent`. Returns how much it took.
    fn write(&mut self, cx: &mut Context<'_>, fresh: &[u8]) -> io::Result<usize> {
        let mut written = 0;
        while self.is_backlogged() {
            match self.client.poll_write(cx, &self.unsent[self.sent..])? {
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
            match self.client.poll_write(cx, rest)? {
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

    /// Once the engine gave its end: writes what belongs behind a whole body, and tells when all is over.
    fn finished(&mut self, cx: &mut Context<'_>, now: Instant, scratch: &mut Scratch) -> Option<Poll<EndReason>> {
        let reason = self.ended?;
        self.record.leaves();
        scratch.pieces.clear();
        if !reason.is_clean() {
            return Some(self.torn(reason, cx, now));
        }
        let last = self.client.last_bytes();
        if last.is_empty() {
            return Some(Poll::Ready(reason));
        }
        let fresh = if self.closing_until.is_none() { last } else { &[] };
        let until = *self.closing_until.get_or_insert(now + self.write_stall);
        match self.write(cx, fresh) {
            Err(_) => Some(Poll::Ready(EndReason::ClientGone)),
            Ok(_) if !self.is_backlogged() => Some(Poll::Ready(reason)),
            Ok(_) if until <= now => Some(Poll::Ready(EndReason::WriteStall)),
            Ok(_) => Some(Poll::Pending),
        }
    }

    /// The end is abnormal. A reset would overtake what the client was sent before: it waits for that to go out, for a while.
    fn torn(&mut self, reason: EndReason, cx: &mut Context<'_>, now: Instant) -> Poll<EndReason> {
        let Some(turn) = self.closing_behind.or_else(|| self.client.turn()) else { return Poll::Ready(reason) };
        self.closing_behind = Some(turn);
        let until = *self.closing_until.get_or_insert(now + LAST_WORDS);
        if reason == EndReason::ClientGone || until <= now {
            return Poll::Ready(reason);
        }
        self.client.poll_after(turn, cx).map(|()| reason)
    }

    /// The sockets close with `self`; but that of a client which is still sending stays for a while, or it would lose the end.
    fn close(&mut self, reason: EndReason) {
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
