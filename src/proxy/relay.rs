//! The relay of one event stream: drives a [`StreamState`] between two raw ends, detached from Pingora's sessions: the client's
//! (`client_end.rs`) and the server's (`server_end.rs`), each over HTTP/1 or HTTP/2. It is the only code that waits for a stream's bytes, and the only
//! timer of a stream runs here. Where the request's body is still on its way, it moves that too.
//!
//! A future by hand, since tens of thousands of them are idle: no buffer while nothing is in transit, one sleep in place, and the
//! buffers of a read are the worker's, not the stream's. In steady state an event costs one read and one write.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use pin_project_lite::pin_project;
use tokio::time::Sleep;

use super::downstream::ClientStream;
use super::record::StreamRecord;
use super::server_response::ServerStream;
use super::upload::Upload;
use crate::clock;
use crate::drain::{Order, StreamGuard};
use crate::message::framing::{self, Framing};
use crate::message::gunzip::Gunzip;
use crate::sse::Frame;
use crate::stream::{Action, ClientEnd, EndReason, StreamState, UpstreamEnd};
use crate::telemetry::HeartbeatFrame;

mod client_end;
mod ending;
mod scratch;
mod server_end;
mod unsent;
mod unzip;

pub(super) use client_end::reset_on_close;
use client_end::{ClientSide, client_end, frame};
use ending::Closing;
use scratch::{Piece, Scratch, with_scratch};
use server_end::{Read, ServerSide};
use unsent::Unsent;
use unzip::Unzip;

/// Bytes of one read at most.
const READ_SIZE: usize = 64 * 1024;
/// Reads of one poll at most: the other streams of the worker wait meanwhile.
const READS_PER_POLL: usize = 8;

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
    /// The client's end, with what of its response head is still to be written.
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
    /// Read together with the head, and not yet looked at. Boxed like all that few streams have, or none for long: a task takes a multiple
    /// of 128 bytes, and this way it is one less.
    body_start: Option<Box<Bytes>>,
    state: StreamState,
    guard: StreamGuard,
    record: StreamRecord,
    unsent: Unsent,
    /// Kept back by the engine.
    held: Vec<u8>,
    upload: Option<Box<Upload>>,
    unzip: Option<Box<Unzip>>,
    ended: Option<EndReason>,
    closing: Option<Box<Closing>>,
    write_stall: Duration,
}

impl Relay {
    /// Takes over a stream.
    #[must_use]
    pub fn new(parts: Parts, now: Instant) -> Self {
        let (server, body_start) = ServerSide::new(parts.server, parts.server_framing);
        let (client, head) = ClientSide::new(parts.client, parts.chunked);
        let flow = Flow {
            client,
            server,
            body_start: (!body_start.is_empty()).then(|| Box::new(body_start)),
            state: parts.state,
            guard: parts.guard,
            record: parts.record,
            unsent: Unsent::new(head),
            held: Vec::new(),
            upload: parts.upload,
            unzip: parts.gunzip.map(|gunzip| Box::new(Unzip::new(gunzip))),
            ended: None,
            closing: None,
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
        let over = with_scratch(|scratch| this.flow.run(cx, now, scratch));
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
        // The head goes with the first events, if they are there.
        if self.body_start.is_none() || !scratch.pieces.is_empty() {
            self.send(cx, now, &[], false, scratch);
        }
        if let Some(first) = self.body_start.take() {
            self.feed(&first, cx, now, scratch);
        }
        for _ in 0..READS_PER_POLL {
            if !self.unsent.is_empty() {
                self.send(cx, now, &[], false, scratch);
            }
            if let Some(over) = self.finished(cx, now, scratch) {
                return over;
            }
            if !self.unsent.is_empty() || !self.state.wants_upstream() {
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
        let mut buffer = std::mem::take(&mut scratch.read);
        let read = self.server.poll_read(cx, &mut buffer);
        let done = read.map(|read| match read {
            Read::Framed(n) => self.feed(&buffer[..n], cx, now, scratch),
            Read::Plain(data) => match &mut self.unzip {
                Some(unzip) => unzip.push(&data),
                None => self.feed_plain(&data, cx, now, scratch),
            },
            Read::End(how, trailers) => {
                if let Some(trailers) = trailers {
                    self.client.end_with(trailers);
                }
                self.server_ended(how, cx, now, scratch);
            }
        });
        scratch.read = buffer;
        done
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
                Poll::Ready(Err(_)) if upload.is_too_large() => return Some(ClientEnd::TooLarge),
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
        self.closing.as_ref().map(|closing| closing.until).or_else(|| self.state.poll_timeout())
    }

    fn take_order(&mut self, cx: &mut Context<'_>, now: Instant, scratch: &mut Scratch) {
        while let Poll::Ready(order) = self.guard.poll_order(cx) {
            match order {
                Order::EndBy(at) => self.state.handle_drain(at, now, &mut scratch.actions),
                Order::Cut => {
                    self.state.handle_cut(&mut scratch.actions);
                    if self.closing.is_some() {
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
        if scratch.pieces.is_empty() && self.unsent.is_empty() {
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
        let result = self.unsent.write(&mut self.client, cx, fresh);
        out.clear();
        scratch.out = out;
        match result {
            Ok(written) => {
                if self.unsent.is_empty() {
                    self.record.drained();
                }
                self.state.handle_written(written, !self.unsent.is_empty(), now, &mut scratch.actions);
            }
            Err(error) => self.state.handle_client_gone(client_end(&error), &mut scratch.actions),
        }
        self.carry_out(0, &[], scratch);
    }
}

#[cfg(test)]
mod tests;
