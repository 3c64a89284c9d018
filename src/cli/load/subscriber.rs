//! What one stream got, over however many connections. Pure: driven by bytes and times.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::events::{EventReader, Item};
use super::order::{Order, Verdict};
use super::outcome::{Cut, Failure, Outcome};
use super::totals::Totals;
use crate::clock;

/// When something was read, or began.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    pub(super) now: Instant,
    /// The same, in nanoseconds since the UNIX epoch.
    wall: u64,
}

impl Moment {
    /// By the clock.
    pub(super) fn now() -> Self {
        Self::at(clock::now(), clock::wall())
    }

    pub(super) fn at(now: Instant, wall: SystemTime) -> Self {
        let since_epoch = wall.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { now, wall: u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX) }
    }
}

/// One stream.
#[derive(Debug)]
pub(super) struct Subscriber {
    totals: Arc<Totals>,
    load_began: Instant,
    /// When its first connect began.
    began: Instant,
    /// When the connect began that it has now.
    connecting: Moment,
    has_first_byte: bool,
    has_first_event: bool,
    /// It was open before, on whatever connection.
    was_open: bool,
    is_open: bool,
    order: Order,
    reader: EventReader,
}

impl Subscriber {
    /// `comes_back`: what a reconnect needs is kept.
    pub(super) fn new(totals: Arc<Totals>, load_began: Instant, comes_back: bool, at: Moment) -> Self {
        Self {
            totals,
            load_began,
            began: at.now,
            connecting: at,
            has_first_byte: false,
            has_first_event: false,
            was_open: false,
            is_open: false,
            order: Order::default(),
            reader: EventReader::new(comes_back),
        }
    }

    /// It connects again.
    pub(super) fn comes_back(&mut self, at: Moment) {
        self.connecting = at;
        self.reader.restart();
    }

    /// A connection of its own stands, TLS included.
    pub(super) fn connected(&self, took: Duration) {
        self.totals.connected.add(1);
        self.totals.connect.record(took);
    }

    /// So many bytes came, of whatever kind.
    pub(super) fn got(&mut self, bytes: usize, at: Moment) {
        self.totals.bytes.add(bytes as u64);
        if !self.has_first_byte {
            self.has_first_byte = true;
            self.totals.first_byte.record(at.now.duration_since(self.began));
        }
    }

    /// The answer has come: nothing if it is an event stream, else how that ends the stream.
    pub(super) fn answered(&mut self, status: u16, is_event_stream: bool) -> Option<Outcome> {
        if status == 204 && self.was_open {
            return Some(Outcome::Dismissed);
        }
        if status != 200 || !is_event_stream {
            return Some(Outcome::Refused { status });
        }
        let counter = if self.was_open { &self.totals.reopened } else { &self.totals.opened };
        counter.add(1);
        self.is_open = true;
        self.was_open = true;
        None
    }

    /// A part of the body came.
    pub(super) fn body(&mut self, data: &[u8], at: Moment) {
        let totals = &*self.totals;
        let (mut events, mut comments) = (0, 0);
        self.reader.read(data, |item| match item {
            Item::Comment => comments += 1,
            Item::Event { id, due } => {
                events += 1;
                if let Some(id) = id {
                    judge(totals, &mut self.order, id);
                }
                // What was due before we connected is a replay: its age is no latency.
                if let Some(due) = due.filter(|due| *due >= self.connecting.wall) {
                    totals.latency.record(Duration::from_nanos(at.wall.saturating_sub(due)));
                }
            }
        });
        totals.comments.add(comments);
        if events > 0 {
            totals.events.add(events);
            if !self.has_first_event {
                self.has_first_event = true;
                totals.first_event.record(at.now.duration_since(self.began));
                let since_begin = at.now.saturating_duration_since(self.load_began);
                totals.newest_first_event.raise(u64::try_from(since_begin.as_nanos()).unwrap_or(u64::MAX));
            }
        }
    }

    /// How it ends when its framing has.
    pub(super) fn at_end(&self) -> Outcome {
        if self.reader.is_at_boundary() { Outcome::Clean } else { Outcome::Cut(Cut::InsideEvent) }
    }

    /// How it ends when the load does.
    pub(super) fn at_stop(&self) -> Outcome {
        if self.is_open { Outcome::Open } else { Outcome::Failed(Failure::NoAnswer) }
    }

    /// It is open no more, if it was.
    pub(super) fn closed(&mut self) {
        if std::mem::take(&mut self.is_open) {
            self.totals.closed.add(1);
        }
    }

    /// What a reconnect sends back.
    pub(super) fn last_id(&self) -> Option<&[u8]> {
        self.reader.last_id()
    }

    /// The reconnection time that the server asked for.
    pub(super) fn retry(&self) -> Option<Duration> {
        self.reader.retry()
    }
}

fn judge(totals: &Totals, order: &mut Order, id: u64) {
    let verdict = order.judge(id);
    if verdict != Verdict::First {
        totals.ids.add(1);
    }
    match verdict {
        Verdict::First | Verdict::Next => {}
        Verdict::Missing(ids) => totals.missing.add(ids),
        Verdict::Doubled => totals.doubled.add(1),
        Verdict::Disordered => totals.disordered.add(1),
    }
}

#[cfg(test)]
mod tests {
    use super::super::histogram::Distribution;
    use super::super::totals::Counter;
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn moment(began: Instant, seconds: u32) -> Moment {
        Moment::at(began + SECOND * seconds, UNIX_EPOCH + SECOND * (1000 + seconds))
    }

    #[test]
    fn integrity_goes_on_across_a_reconnect_and_what_was_missed_meanwhile_has_no_latency() {
        let began = clock::now();
        let mut one = Subscriber::new(Arc::default(), began, true, moment(began, 0));
        let totals = Arc::clone(&one.totals);
        assert_eq!(one.at_stop(), Outcome::Failed(Failure::NoAnswer));
        assert_eq!(one.answered(200, true), None);
        one.body(b"retry: 20\nid: 4\ndata: ts=1001000000000\n\nid: 5\ndata: x", moment(began, 2));
        assert_eq!((one.at_stop(), one.at_end()), (Outcome::Open, Outcome::Cut(Cut::InsideEvent)));
        one.closed();
        assert_eq!((one.last_id(), one.retry()), (Some(&b"4"[..]), Some(Duration::from_millis(20))));
        one.comes_back(moment(began, 10));
        assert_eq!(one.answered(200, true), None);
        one.body(b"id: 5\ndata: ts=1009000000000\n\nid: 7\ndata: ts=1011000000000\n\n", moment(began, 12));
        assert_eq!(one.at_end(), Outcome::Clean);
        let counts =
            [&totals.opened, &totals.reopened, &totals.closed, &totals.events, &totals.ids, &totals.missing, &totals.doubled];
        assert_eq!(counts.map(Counter::get), [1, 1, 1, 3, 2, 1, 0]);
        let records = [&totals.first_event, &totals.latency].map(|times| Distribution::of([times]).count());
        assert_eq!(records, [1, 2]);
        assert_eq!(totals.newest_first_event.get(), 2_000_000_000);
        one.closed();
        assert_eq!(one.answered(204, false), Some(Outcome::Dismissed));
    }

    #[test]
    fn only_200_with_the_media_type_is_a_stream() {
        for (status, is_event_stream) in [(200, false), (204, false), (206, true), (503, true)] {
            let began = clock::now();
            let mut one = Subscriber::new(Arc::default(), began, true, moment(began, 0));
            assert_eq!(one.answered(status, is_event_stream), Some(Outcome::Refused { status }));
            assert!(!one.is_open);
        }
    }
}
