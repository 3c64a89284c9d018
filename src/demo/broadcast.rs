//! The events of the demo: one numbered backlog that all clients read, and the schedule that fills it.
//!
//! A client is a position in the backlog, never a queue: a slow one costs no memory and misses events openly. Ids are counted from
//! 1 and increase by one, so that `Last-Event-ID` is a position too (WHATWG HTML section 9.2.6).

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use tokio::sync::{Notify, watch};

use crate::clock;
use crate::sse::Event;

/// Events kept for clients that come back.
const BACKLOG: usize = 256;

/// Events handed to a client in one piece; bounds what one write holds.
const BATCH: usize = 32;

/// How the demo's events are spread in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// From one tick to the next.
    pub tick: Duration,
    /// Ticks before each pause, at least one.
    pub ticks: u32,
    /// How long nothing is said then: only heartbeats bridge it.
    pub pause: Duration,
}

impl Default for Pace {
    /// Ten ticks, one a second, then 20 s of silence: longer than the proxy's default heartbeat interval of 15 s.
    fn default() -> Self {
        Self { tick: Duration::from_secs(1), ticks: 10, pause: Duration::from_secs(20) }
    }
}

/// What all connections of one origin share.
#[derive(Debug)]
pub(super) struct Broadcast {
    backlog: watch::Sender<Backlog>,
    restart: Notify,
}

impl Broadcast {
    pub(super) fn new() -> Self {
        Self { backlog: watch::Sender::new(Backlog::default()), restart: Notify::new() }
    }

    /// Sends one event to everybody; its id.
    pub(super) fn send(&self, kind: &str, text: &str, now: SystemTime) -> u64 {
        let mut id = 0;
        self.backlog.send_modify(|backlog| id = backlog.push(kind, text, now));
        id
    }

    /// A reader of the backlog, which is told of each new event.
    pub(super) fn subscribe(&self) -> watch::Receiver<Backlog> {
        self.backlog.subscribe()
    }

    /// No event comes any more: streams end after what they have.
    pub(super) fn close(&self) {
        self.backlog.send_modify(|backlog| backlog.closed = true);
    }

    /// Returns once [`Self::close`] was called.
    pub(super) async fn closed(&self) {
        // The sender is `self`, so that the wait cannot fail.
        let _ = self.subscribe().wait_for(|backlog| backlog.closed).await;
    }

    /// Somebody wants to see a restart.
    pub(super) fn ask_restart(&self) {
        self.restart.notify_one();
    }

    /// Returns once [`Self::ask_restart`] was called.
    pub(super) async fn restart_asked(&self) {
        self.restart.notified().await;
    }

    /// Fills the backlog at `pace` for as long as it is polled.
    pub(super) async fn run_schedule(&self, pace: Pace) -> Infallible {
        let ticks = pace.ticks.max(1);
        loop {
            for n in 1..=ticks {
                self.send("tick", &format!("tick {n} of {ticks}"), clock::wall());
                tokio::time::sleep(pace.tick).await;
            }
            let text =
                format!("no events for {} now: only the proxy's heartbeats keep this connection alive", in_words(pace.pause));
            self.send("pause", &text, clock::wall());
            tokio::time::sleep(pace.pause).await;
        }
    }
}

fn in_words(pause: Duration) -> String {
    if pause.subsec_millis() == 0 { format!("{} seconds", pause.as_secs()) } else { format!("{} ms", pause.as_millis()) }
}

/// The newest events, encoded, under contiguous ids.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    events: VecDeque<Bytes>,
    /// Id of the newest event; 0 before the first.
    newest: u64,
    closed: bool,
}

/// What a client gets next.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Batch {
    /// Events between the client's position and `events` that the backlog no longer holds.
    pub(super) missed: u64,
    /// Encoded events in order, none when the client has them all.
    pub(super) events: Vec<Bytes>,
    /// The client's position afterwards.
    pub(super) position: u64,
    /// Nothing follows, now or later.
    pub(super) last: bool,
}

impl Backlog {
    /// Where a client starts: after the id that it names if we know it, else before the newest event, so that it sees at once
    /// where things stand.
    pub(super) fn start(&self, last_event_id: Option<u64>) -> u64 {
        last_event_id.filter(|id| *id <= self.newest).unwrap_or_else(|| self.newest.saturating_sub(1))
    }

    /// What follows `position`, at most [`BATCH`] events.
    pub(super) fn after(&self, position: u64) -> Batch {
        let before_oldest = self.newest - self.events.len() as u64;
        let from = position.max(before_oldest);
        let skip = usize::try_from(from - before_oldest).unwrap_or(usize::MAX);
        let events: Vec<Bytes> = self.events.iter().skip(skip).take(BATCH).cloned().collect();
        let position_after = from + events.len() as u64;
        Batch { missed: from - position, position: position_after, last: self.closed && position_after == self.newest, events }
    }

    fn push(&mut self, kind: &str, text: &str, now: SystemTime) -> u64 {
        self.newest += 1;
        if self.events.len() == BACKLOG {
            self.events.pop_front();
        }
        self.events.push_back(encode(self.newest, kind, text, now));
        self.newest
    }
}

/// One event. Its data opens with the time of sending, `ts=` and nanoseconds since the UNIX epoch, from which `ssedge load` on the
/// same machine takes the latency.
fn encode(id: u64, kind: &str, text: &str, now: SystemTime) -> Bytes {
    let stamp = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    Event::new().id(&id.to_string()).event(kind).data(&format!("ts={stamp} {text}")).to_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(events: u64) -> Backlog {
        let mut backlog = Backlog::default();
        for n in 1..=events {
            assert_eq!(backlog.push("tick", "x", UNIX_EPOCH), n);
        }
        backlog
    }

    #[test]
    fn text_of_several_lines_stays_one_event_whatever_its_line_ends() {
        let frame = encode(7, "note", "a\r\nb\rc\nid: 9", UNIX_EPOCH + Duration::from_nanos(42));
        assert_eq!(&frame[..], b"id: 7\nevent: note\ndata: ts=42 a\ndata: b\ndata: c\ndata: id: 9\n\n");
    }

    #[test]
    fn a_new_client_starts_with_the_newest_event() {
        let backlog = filled(5);
        let batch = backlog.after(backlog.start(None));
        assert_eq!((batch.missed, batch.events.len(), batch.position), (0, 1, 5));
        assert!(batch.events[0].starts_with(b"id: 5\n"));
        assert_eq!(filled(0).start(None), 0);
    }

    #[test]
    fn a_client_that_comes_back_gets_what_follows_its_id() {
        let backlog = filled(5);
        let batch = backlog.after(backlog.start(Some(3)));
        assert_eq!((batch.missed, batch.events.len(), batch.position), (0, 2, 5));
        assert!(batch.events[0].starts_with(b"id: 4\n"));
        assert_eq!(backlog.after(backlog.start(Some(5))).events.len(), 0);
    }

    #[test]
    fn an_id_from_the_future_counts_as_none() {
        assert_eq!(filled(5).start(Some(6)), filled(5).start(None));
    }

    #[test]
    fn what_the_backlog_no_longer_holds_is_counted_as_missed() {
        let backlog = filled(BACKLOG as u64 + 10);
        let batch = backlog.after(3);
        assert_eq!((batch.missed, batch.events.len(), batch.position), (7, BATCH, 10 + BATCH as u64));
        assert!(batch.events[0].starts_with(b"id: 11\n"));
    }

    #[test]
    fn a_closed_backlog_is_read_to_its_end_first() {
        let mut backlog = filled(BATCH as u64 + 1);
        assert!(!backlog.after(BATCH as u64 + 1).last);
        backlog.closed = true;
        let first = backlog.after(0);
        assert!(!first.last);
        assert!(backlog.after(first.position).last);
    }
}
