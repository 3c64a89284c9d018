//! One stream: what it got and how it ended.
//!
//! [`Progress`] is pure, driven by bytes and a time; [`Stream`] is the socket around it. While a stream is idle it owns no read
//! buffer: all streams of a thread read into the same one.

use std::cell::RefCell;
use std::cmp::Ordering;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::timeout;

use super::chunked::Malformed;
use super::events::{EventReader, Item};
use super::response::{Body, ResponseHead};
use super::target::Target;
use super::totals::Totals;
use crate::clock;

/// Until a TCP connection stands.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a connection that stands counts as connecting while no answer comes: it may still be in the server's accept queue. A
/// server that takes longer to answer must not slow the others down.
const ACCEPT_PATIENCE: Duration = Duration::from_millis(100);

/// Bytes of a response head, interim ones included.
const MAX_HEAD: usize = 64 * 1024;

/// Bytes of one read.
const SCRATCH: usize = 64 * 1024;

thread_local! {
    static READ: RefCell<Box<[u8]>> = RefCell::new(vec![0; SCRATCH].into_boxed_slice());
}

/// How a stream ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It was alive when the load ended.
    Open,
    /// It ended as its framing says, at a boundary.
    Clean,
    /// It ended in any other way.
    Cut(Cut),
    /// The answer was no event stream.
    Refused {
        /// Its status, 200 when only the media type was wrong.
        status: u16,
    },
    /// There was no answer, or none that is HTTP/1.1.
    Failed(Failure),
}

/// Why an open stream did not end properly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Cut {
    /// Its framing ended properly, its last event did not.
    InsideEvent,
    /// The connection closed before the body was complete.
    Closed,
    /// The connection broke.
    Broken(io::ErrorKind),
    /// Its framing is wrong.
    Malformed(Malformed),
}

/// Why a stream did not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Failure {
    /// This process, or the machine, has no descriptor left.
    Descriptors,
    /// No source port is left for that address.
    SourcePorts,
    /// The connect failed, or the connection broke before an answer.
    Broken(io::ErrorKind),
    /// The connection closed before an answer.
    Closed,
    /// The answer is malformed.
    Malformed(Malformed),
    /// The load ended before there was an answer.
    NoAnswer,
    /// The task that drove it died: a bug in load.
    Panicked,
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        /// The numbers on Linux, the BSDs and macOS; no portable kind has them.
        const ENFILE: i32 = 23;
        const EMFILE: i32 = 24;
        match (error.raw_os_error(), error.kind()) {
            (Some(ENFILE | EMFILE), _) => Self::Descriptors,
            (_, io::ErrorKind::AddrNotAvailable) => Self::SourcePorts,
            (_, kind) => Self::Broken(kind),
        }
    }
}

/// One stream that is to be opened.
#[derive(Debug)]
pub(super) struct Stream {
    target: Arc<Target>,
    progress: Progress,
}

impl Stream {
    pub(super) fn new(target: Arc<Target>, totals: Arc<Totals>) -> Self {
        let progress = Progress::new(totals, target.is_head, clock::now(), clock::wall());
        Self { target, progress }
    }

    /// Drives it until it ends or `stop` is true; `connecting` is given back once the server was seen to have taken it.
    pub(super) async fn run(mut self, connecting: OwnedSemaphorePermit, mut stop: watch::Receiver<bool>) -> Outcome {
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => self.progress.at_stop(),
            outcome = self.drive(connecting) => outcome,
        }
    }

    async fn drive(&mut self, connecting: OwnedSemaphorePermit) -> Outcome {
        let mut socket = match timeout(CONNECT_TIMEOUT, TcpStream::connect(&self.target.addresses[..])).await {
            Ok(Ok(socket)) => socket,
            Ok(Err(error)) => return Outcome::Failed(error.into()),
            Err(_) => return Outcome::Failed(Failure::Broken(io::ErrorKind::TimedOut)),
        };
        self.progress.totals.connected.add(1);
        if let Err(error) = socket.write_all(&self.target.request).await {
            return Outcome::Failed(error.into());
        }
        // An error shows again in the loop.
        let _ = timeout(ACCEPT_PATIENCE, socket.readable()).await;
        drop(connecting);
        loop {
            if let Err(error) = socket.readable().await {
                return self.progress.at_error(&error);
            }
            let step = READ.with_borrow_mut(|scratch| match socket.try_read(scratch) {
                Ok(0) => Some(self.progress.at_close()),
                Ok(len) => self.progress.read(&scratch[..len], clock::now(), clock::wall()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
                Err(error) => Some(self.progress.at_error(&error)),
            });
            if let Some(outcome) = step {
                return outcome;
            }
        }
    }
}

/// What one stream got so far.
#[derive(Debug)]
pub(super) struct Progress {
    totals: Arc<Totals>,
    /// When its connect began.
    began: Instant,
    /// The same, in nanoseconds since the UNIX epoch.
    began_wall: u64,
    is_head_request: bool,
    has_first_byte: bool,
    has_first_event: bool,
    last_id: Option<u64>,
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    /// What was read of the response head.
    Head(Vec<u8>),
    /// The stream is open.
    Body(Body, EventReader),
}

impl Progress {
    pub(super) fn new(totals: Arc<Totals>, is_head_request: bool, now: Instant, wall: SystemTime) -> Self {
        Self {
            totals,
            began: now,
            began_wall: nanos(wall),
            is_head_request,
            has_first_byte: false,
            has_first_event: false,
            last_id: None,
            phase: Phase::Head(Vec::new()),
        }
    }

    /// Takes what was read; the outcome, if that ends the stream.
    pub(super) fn read(&mut self, bytes: &[u8], now: Instant, wall: SystemTime) -> Option<Outcome> {
        self.totals.bytes.add(bytes.len() as u64);
        if !self.has_first_byte {
            self.has_first_byte = true;
            self.totals.first_byte.record(now.duration_since(self.began));
        }
        let Phase::Head(head) = &mut self.phase else { return self.read_body(bytes, now, wall) };
        let mut head = std::mem::take(head);
        head.extend_from_slice(bytes);
        match self.read_head(&mut head) {
            Err(malformed) => Some(Outcome::Failed(Failure::Malformed(malformed))),
            Ok(None) => {
                self.phase = Phase::Head(head);
                None
            }
            Ok(Some(response)) if response.status != 200 || !response.is_event_stream => {
                Some(Outcome::Refused { status: response.status })
            }
            Ok(Some(response)) => {
                self.totals.opened.add(1);
                let body = if self.is_head_request { Body::Length(0) } else { response.body };
                self.phase = Phase::Body(body, EventReader::new());
                self.read_body(&head[response.len..], now, wall)
            }
        }
    }

    /// The final response head in `head`, from which interim ones (1xx) are taken off.
    fn read_head(&self, head: &mut Vec<u8>) -> Result<Option<ResponseHead>, Malformed> {
        while let Some(response) = ResponseHead::parse(head)? {
            match response.status {
                101 => return Err("a switch of protocols that nobody asked for"),
                100..200 => drop(head.drain(..response.len)),
                _ => return Ok(Some(response)),
            }
        }
        if head.len() > MAX_HEAD { Err("a response head over 64 KiB") } else { Ok(None) }
    }

    fn read_body(&mut self, bytes: &[u8], now: Instant, wall: SystemTime) -> Option<Outcome> {
        let Phase::Body(body, reader) = &mut self.phase else { return None };
        let totals = &*self.totals;
        let mut events = 0;
        let mut comments = 0;
        let read = body.read(bytes, |data| {
            reader.read(data, |item| match item {
                Item::Comment => comments += 1,
                Item::Event { id, sent } => {
                    events += 1;
                    if let Some(id) = id {
                        check_order(totals, self.last_id, id);
                        self.last_id = Some(self.last_id.map_or(id, |last| last.max(id)));
                    }
                    // What was sent before we connected is a replay: its age is no latency.
                    if let Some(sent) = sent.filter(|sent| *sent >= self.began_wall) {
                        totals.latency.record(Duration::from_nanos(nanos(wall).saturating_sub(sent)));
                    }
                }
            });
        });
        totals.events.add(events);
        totals.comments.add(comments);
        if events > 0 && !self.has_first_event {
            self.has_first_event = true;
            totals.first_event.record(now.duration_since(self.began));
        }
        match read {
            Err(malformed) => Some(Outcome::Cut(Cut::Malformed(malformed))),
            Ok(()) if body.is_complete() => Some(end(reader)),
            Ok(()) => None,
        }
    }

    /// How it ends when the server has closed.
    pub(super) fn at_close(&self) -> Outcome {
        match &self.phase {
            Phase::Head(_) => Outcome::Failed(Failure::Closed),
            Phase::Body(body, reader) if body.may_close() => end(reader),
            Phase::Body(..) => Outcome::Cut(Cut::Closed),
        }
    }

    /// How it ends when the connection broke.
    pub(super) fn at_error(&self, error: &io::Error) -> Outcome {
        match self.phase {
            Phase::Head(_) => Outcome::Failed(Failure::Broken(error.kind())),
            Phase::Body(..) => Outcome::Cut(Cut::Broken(error.kind())),
        }
    }

    /// How it ends when the load does.
    pub(super) fn at_stop(&self) -> Outcome {
        match self.phase {
            Phase::Head(_) => Outcome::Failed(Failure::NoAnswer),
            Phase::Body(..) => Outcome::Open,
        }
    }
}

fn end(reader: &EventReader) -> Outcome {
    if reader.is_at_boundary() { Outcome::Clean } else { Outcome::Cut(Cut::InsideEvent) }
}

/// Compares an id with the highest one before it: it is one more, or something was lost, doubled or moved.
fn check_order(totals: &Totals, last: Option<u64>, id: u64) {
    let Some(last) = last else { return };
    totals.ids.add(1);
    match id.cmp(&last) {
        Ordering::Greater => totals.missing.add(id - last - 1),
        Ordering::Equal => totals.doubled.add(1),
        Ordering::Less => totals.disordered.add(1),
    }
}

fn nanos(wall: SystemTime) -> u64 {
    let since_epoch = wall.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";

    fn chunk(data: &str) -> String {
        format!("{:x}\r\n{data}\r\n", data.len())
    }

    /// Drives a stream that began at 1000 s with `pieces`, a second later; its outcome unless it goes on.
    fn drive(pieces: &[&[u8]]) -> (Progress, Option<Outcome>) {
        let (began, wall) = (clock::now(), UNIX_EPOCH + Duration::from_secs(1000));
        let second = Duration::from_secs(1);
        let mut progress = Progress::new(Arc::default(), false, began, wall);
        let mut outcome = None;
        for piece in pieces {
            assert_eq!(outcome, None, "more after the end");
            outcome = progress.read(piece, began + second, wall + second);
        }
        (progress, outcome)
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
            let (progress, outcome) = drive(&[left, right]);
            assert_eq!(outcome, Some(Outcome::Clean), "cut at {cut}");
            let totals = progress.totals;
            let counts = [&totals.opened, &totals.events, &totals.comments, &totals.ids].map(|counter| counter.get());
            assert_eq!(counts, [1, 6, 1, 5], "cut at {cut}");
            let faults = [&totals.missing, &totals.doubled, &totals.disordered].map(|counter| counter.get());
            assert_eq!(faults, [2, 1, 1], "cut at {cut}");
            assert_eq!(totals.bytes.get(), text.len() as u64);
            assert_eq!((totals.first_byte.count(), totals.first_event.count(), totals.latency.count()), (1, 1, 1), "cut at {cut}");
            assert_eq!(totals.latency.quantile(1.0), Some(Duration::from_millis(500)));
        }
    }

    #[test]
    fn only_the_final_chunk_at_a_boundary_is_a_clean_end() {
        let whole = chunk("data: x\n\n:\n");
        let torn = chunk("data: x\n\ndata: y\n");
        let closed = |text: &str| {
            let (progress, outcome) = drive(&[format!("{HEAD}{text}").as_bytes()]);
            outcome.unwrap_or_else(|| progress.at_close())
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
        assert_eq!(drive(&[head]).0.at_close(), Outcome::Clean);
        assert_eq!(drive(&[head, b"data: y"]).0.at_close(), Outcome::Cut(Cut::InsideEvent));
    }

    #[test]
    fn what_is_no_open_stream_has_its_reason() {
        assert_eq!(drive(&[b"HTTP/1.1 429 Slow\r\n\r\n"]).1, Some(Outcome::Refused { status: 429 }));
        assert_eq!(drive(&[b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n"]).1, Some(Outcome::Refused { status: 200 }));
        assert!(matches!(drive(&[b"SSH-2.0\r\n"]).1, Some(Outcome::Failed(Failure::Malformed(_)))));
        assert!(matches!(drive(&[b"HTTP/1.1 101 Switch\r\n\r\n"]).1, Some(Outcome::Failed(Failure::Malformed(_)))));
        assert_eq!(drive(&[b"HTTP/1.1 200"]).0.at_close(), Outcome::Failed(Failure::Closed));
        assert_eq!(drive(&[]).0.at_stop(), Outcome::Failed(Failure::NoAnswer));
        assert_eq!(drive(&[HEAD.as_bytes()]).0.at_stop(), Outcome::Open);
        let endless = format!("HTTP/1.1 200 OK\r\nA: {}", "x".repeat(MAX_HEAD));
        assert!(matches!(drive(&[endless.as_bytes()]).1, Some(Outcome::Failed(Failure::Malformed(_)))));
    }

    #[test]
    fn running_out_of_something_is_told_apart() {
        assert_eq!(Failure::from(io::Error::from_raw_os_error(24)), Failure::Descriptors);
        assert_eq!(Failure::from(io::Error::from(io::ErrorKind::AddrNotAvailable)), Failure::SourcePorts);
        let refused = io::ErrorKind::ConnectionRefused;
        assert_eq!(Failure::from(io::Error::from(refused)), Failure::Broken(refused));
    }
}
