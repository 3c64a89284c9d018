//! One stream over HTTP/1.1: [`Answer`] is pure, driven by bytes and times; `read_once` and `read_to_end` are the connection around it.
//!
//! While a stream is idle it owns no read buffer: all streams of a thread read into the same one.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

use super::chunked::Malformed;
use super::outcome::{Cut, Failure, Outcome};
use super::response::{Body, ResponseHead};
use super::socket::Connection;
use super::subscriber::{Moment, Subscriber};

/// Bytes of a response head, interim ones included.
const MAX_HEAD: usize = 64 * 1024;

/// Bytes of one read.
const SCRATCH: usize = 64 * 1024;

thread_local! {
    static READ: RefCell<Box<[u8]>> = RefCell::new(vec![0; SCRATCH].into_boxed_slice());
}

/// Reads in a row, after which it is the turn of other streams: one that is flooded must not hold up the stamps of the others.
const READS_IN_A_TURN: usize = 4;

/// Reads what comes, and on until the stream ends.
pub(super) async fn read_to_end(connection: &mut Connection, answer: &mut Answer, subscriber: &mut Subscriber) -> Outcome {
    poll_fn(|cx| {
        for _ in 0..READS_IN_A_TURN {
            if let Some(outcome) = ready!(poll_read(cx, connection, answer, subscriber)) {
                return Poll::Ready(outcome);
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await
}

/// Reads once; the outcome, if that ends the stream.
pub(super) async fn read_once(connection: &mut Connection, answer: &mut Answer, subscriber: &mut Subscriber) -> Option<Outcome> {
    poll_fn(|cx| poll_read(cx, connection, answer, subscriber)).await
}

fn poll_read(
    cx: &mut Context<'_>,
    connection: &mut Connection,
    answer: &mut Answer,
    subscriber: &mut Subscriber,
) -> Poll<Option<Outcome>> {
    READ.with_borrow_mut(|scratch| {
        let mut buffer = ReadBuf::new(scratch);
        let read = ready!(Pin::new(connection).poll_read(cx, &mut buffer));
        Poll::Ready(match read {
            Ok(()) if buffer.filled().is_empty() => Some(answer.at_close(subscriber)),
            Ok(()) => answer.read(buffer.filled(), subscriber, Moment::now()),
            Err(error) => Some(answer.at_error(&error)),
        })
    })
}

/// What was read of one response.
#[derive(Debug)]
pub(super) struct Answer {
    is_head_request: bool,
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    /// What was read of the response head.
    Head(Vec<u8>),
    /// The stream is open.
    Body(Body),
}

impl Answer {
    pub(super) fn new(is_head_request: bool) -> Self {
        Self { is_head_request, phase: Phase::Head(Vec::new()) }
    }

    /// Takes what was read; the outcome, if that ends the stream.
    fn read(&mut self, bytes: &[u8], subscriber: &mut Subscriber, at: Moment) -> Option<Outcome> {
        subscriber.got(bytes.len(), at);
        let Phase::Head(head) = &mut self.phase else { return self.read_body(bytes, subscriber, at) };
        let mut head = std::mem::take(head);
        head.extend_from_slice(bytes);
        match read_head(&mut head) {
            Err(malformed) => Some(Outcome::Failed(Failure::Malformed(malformed))),
            Ok(None) => {
                self.phase = Phase::Head(head);
                None
            }
            Ok(Some(response)) => {
                if let Some(outcome) = subscriber.answered(response.status, response.is_event_stream) {
                    return Some(outcome);
                }
                self.phase = Phase::Body(if self.is_head_request { Body::Length(0) } else { response.body });
                self.read_body(&head[response.len..], subscriber, at)
            }
        }
    }

    fn read_body(&mut self, bytes: &[u8], subscriber: &mut Subscriber, at: Moment) -> Option<Outcome> {
        let Phase::Body(body) = &mut self.phase else { return None };
        match body.read(bytes, |data| subscriber.body(data, at)) {
            Err(malformed) => Some(Outcome::Cut(Cut::Malformed(malformed))),
            Ok(()) if body.is_complete() => Some(subscriber.at_end()),
            Ok(()) => None,
        }
    }

    /// How it ends when the server has closed.
    fn at_close(&self, subscriber: &Subscriber) -> Outcome {
        match &self.phase {
            Phase::Head(_) => Outcome::Failed(Failure::Closed),
            Phase::Body(body) if body.may_close() => subscriber.at_end(),
            Phase::Body(_) => Outcome::Cut(Cut::Closed),
        }
    }

    /// How it ends when the connection broke.
    fn at_error(&self, error: &io::Error) -> Outcome {
        // A close without a close_notify is what tokio-rustls calls an unexpected end: to HTTP it is a close (RFC 9112 section 9.8).
        match (&self.phase, error.kind()) {
            (Phase::Head(_), io::ErrorKind::UnexpectedEof) => Outcome::Failed(Failure::Closed),
            (Phase::Head(_), kind) => Outcome::Failed(Failure::Broken(kind)),
            (Phase::Body(_), io::ErrorKind::UnexpectedEof) => Outcome::Cut(Cut::Closed),
            (Phase::Body(_), kind) => Outcome::Cut(Cut::Broken(kind)),
        }
    }
}

/// The final response head in `head`, from which interim ones (1xx) are taken off.
fn read_head(head: &mut Vec<u8>) -> Result<Option<ResponseHead>, Malformed> {
    while let Some(response) = ResponseHead::parse(head)? {
        match response.status {
            101 => return Err("a switch of protocols that nobody asked for"),
            100..200 => drop(head.drain(..response.len)),
            _ => return Ok(Some(response)),
        }
    }
    if head.len() > MAX_HEAD { Err("a response head over 64 KiB") } else { Ok(None) }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::{Duration, UNIX_EPOCH};

    use super::super::histogram::Distribution;
    use super::super::totals::{Board, Counter, Totals};
    use super::*;
    use crate::clock;

    const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";

    fn chunk(data: &str) -> String {
        format!("{:x}\r\n{data}\r\n", data.len())
    }

    struct Driven {
        answer: Answer,
        subscriber: Subscriber,
        board: Board,
        outcome: Option<Outcome>,
    }

    impl Driven {
        fn totals(&self) -> &Totals {
            &self.board.threads[0]
        }

        fn at_close(&self) -> Outcome {
            self.answer.at_close(&self.subscriber)
        }
    }

    /// Drives a stream that began at 1000 s with `pieces`, a second later; its outcome unless it goes on.
    fn drive(pieces: &[&[u8]]) -> Driven {
        let (began, wall) = (clock::now(), UNIX_EPOCH + Duration::from_secs(1000));
        let second = Duration::from_secs(1);
        let board = Board::new(began, 1);
        let mut subscriber = Subscriber::new(Arc::clone(&board.threads[0]), began, false, Moment::at(began, wall));
        let mut answer = Answer::new(false);
        let mut outcome = None;
        for piece in pieces {
            assert_eq!(outcome, None, "more after the end");
            outcome = answer.read(piece, &mut subscriber, Moment::at(began + second, wall + second));
        }
        Driven { answer, subscriber, board, outcome }
    }

    #[test]
    fn a_stream_is_the_same_at_every_split() {
        let text = format!(
            "HTTP/1.1 103 Early Hints\r\n\r\n{HEAD}{}{}{}0\r\n\r\n",
            chunk("id: 1\ndata: ts=999000000000 replayed\n\nid: 2\ndata: ts=1000"),
            chunk("500000000 x\n\n:\n"),
            chunk("id: 5\ndata\n\nid: 5\ndata\n\nid: 3\ndata\n\nid: 6\ndata\n\n")
        );
        for cut in 1..text.len() {
            let (left, right) = text.as_bytes().split_at(cut);
            let driven = drive(&[left, right]);
            assert_eq!(driven.outcome, Some(Outcome::Clean), "cut at {cut}");
            let totals = driven.totals();
            let counts = [&totals.opened, &totals.events, &totals.comments, &totals.ids].map(Counter::get);
            assert_eq!(counts, [1, 6, 1, 5], "cut at {cut}");
            let faults = [&totals.missing, &totals.doubled, &totals.disordered].map(Counter::get);
            assert_eq!(faults, [2, 1, 1], "cut at {cut}");
            assert_eq!(totals.bytes.get(), text.len() as u64);
            let records = [&totals.first_byte, &totals.first_event, &totals.latency].map(|times| Distribution::of([times]).count());
            assert_eq!(records, [1, 1, 1], "cut at {cut}");
            assert_eq!(driven.board.times(|totals| &totals.latency).quantile(1.0), Some(Duration::from_millis(500)));
        }
    }

    #[test]
    fn only_the_final_chunk_at_a_boundary_is_a_clean_end() {
        let whole = chunk("data: x\n\n:\n");
        let torn = chunk("data: x\n\ndata: y\n");
        let closed = |text: &str| {
            let driven = drive(&[format!("{HEAD}{text}").as_bytes()]);
            driven.outcome.clone().unwrap_or_else(|| driven.at_close())
        };
        assert_eq!(closed(&format!("{whole}0\r\n\r\n")), Outcome::Clean);
        assert_eq!(closed(&whole), Outcome::Cut(Cut::Closed));
        assert_eq!(closed(&format!("{whole}0\r\n")), Outcome::Cut(Cut::Closed));
        assert_eq!(closed(&format!("{torn}0\r\n\r\n")), Outcome::Cut(Cut::InsideEvent));
        assert!(matches!(closed(&format!("{whole}x")), Outcome::Cut(Cut::Malformed(_))));
        assert!(matches!(closed(&format!("{whole}0\r\n\r\nx")), Outcome::Cut(Cut::Malformed(_))));
    }

    #[test]
    fn a_body_without_framing_ends_with_the_connection() {
        let head = b"HTTP/1.0 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: x\n\n";
        assert_eq!(drive(&[head]).at_close(), Outcome::Clean);
        assert_eq!(drive(&[head, b"data: y"]).at_close(), Outcome::Cut(Cut::InsideEvent));
        let cut_off = io::Error::from(io::ErrorKind::UnexpectedEof);
        assert_eq!(drive(&[head]).answer.at_error(&cut_off), Outcome::Cut(Cut::Closed), "an end that TLS does not vouch for");
    }

    #[test]
    fn what_is_no_open_stream_has_its_reason() {
        assert_eq!(drive(&[b"HTTP/1.1 429 Slow\r\n\r\n"]).outcome, Some(Outcome::Refused { status: 429 }));
        let html = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n";
        assert_eq!(drive(&[html]).outcome, Some(Outcome::Refused { status: 200 }));
        assert!(matches!(drive(&[b"SSH-2.0\r\n"]).outcome, Some(Outcome::Failed(Failure::Malformed(_)))));
        assert!(matches!(drive(&[b"HTTP/1.1 101 Switch\r\n\r\n"]).outcome, Some(Outcome::Failed(Failure::Malformed(_)))));
        assert_eq!(drive(&[b"HTTP/1.1 200"]).at_close(), Outcome::Failed(Failure::Closed));
        let endless = format!("HTTP/1.1 200 OK\r\nA: {}", "x".repeat(MAX_HEAD));
        assert!(matches!(drive(&[endless.as_bytes()]).outcome, Some(Outcome::Failed(Failure::Malformed(_)))));
    }
}
