//! What the streams of one thread got, and the view of all threads on it.
//!
//! Each thread adds to counters of its own, without locked instructions: at 100,000 events a second shared ones would cost more than
//! reading the events does. The thread that shows the progress reads them, at most a moment old.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::histogram::{Distribution, Histogram};
use super::outcome::{Outcomes, sum};

/// A number that only grows. One thread writes it, all may read it.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, n: u64) {
        // Not `fetch_add`: nobody else writes.
        self.0.store(self.get().wrapping_add(n), Relaxed);
    }

    /// Makes it `n` if it is lower.
    pub(super) fn raise(&self, n: u64) {
        if n > self.get() {
            self.0.store(n, Relaxed);
        }
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// What the streams of one thread got.
#[derive(Debug, Default)]
pub(super) struct Totals {
    /// Streams that began.
    pub(super) begun: Counter,
    /// Connections that stood, TLS included.
    pub(super) connected: Counter,
    /// Streams that opened: status 200 and the media type of an event stream.
    pub(super) opened: Counter,
    /// Streams that opened again after a reconnect.
    pub(super) reopened: Counter,
    /// Streams that opened, whether for the first time or not, and are open no more.
    pub(super) closed: Counter,
    pub(super) events: Counter,
    /// Comment lines: heartbeats.
    pub(super) comments: Counter,
    /// Bytes that were read: on HTTP/1.1 heads and framing too, on HTTP/2 the bodies.
    pub(super) bytes: Counter,
    /// Ids that were compared with those before.
    pub(super) ids: Counter,
    /// Numbers between two ids of one stream that never came.
    pub(super) missing: Counter,
    /// Ids that came twice.
    pub(super) doubled: Counter,
    /// Ids that came behind a higher one.
    pub(super) disordered: Counter,
    /// From the begin of a connect until the connection stands.
    pub(super) connect: Histogram,
    /// From the begin of the connect to the first byte of the response.
    pub(super) first_byte: Histogram,
    /// From the begin of the connect to the end of the first event.
    pub(super) first_event: Histogram,
    /// From the begin of the load to the newest of the first events, in nanoseconds.
    pub(super) newest_first_event: Counter,
    /// From the stamp in an event to its arrival.
    pub(super) latency: Histogram,
    outcomes: Mutex<Outcomes>,
}

impl Totals {
    /// How its streams ended so far.
    pub(super) fn outcomes(&self) -> MutexGuard<'_, Outcomes> {
        self.outcomes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The totals of all threads.
#[derive(Debug, Clone)]
pub(super) struct Board {
    /// When the load began.
    pub(super) began: Instant,
    pub(super) threads: Vec<Arc<Totals>>,
}

impl Board {
    pub(super) fn new(began: Instant, threads: usize) -> Self {
        Self { began, threads: (0..threads).map(|_| Arc::default()).collect() }
    }

    pub(super) fn sum(&self, counter: impl Fn(&Totals) -> &Counter) -> u64 {
        self.threads.iter().map(|totals| counter(totals).get()).sum()
    }

    pub(super) fn times(&self, histogram: impl Fn(&Totals) -> &Histogram) -> Distribution {
        Distribution::of(self.threads.iter().map(|totals| histogram(totals)))
    }

    pub(super) fn outcomes(&self) -> Outcomes {
        let mut all = Outcomes::default();
        self.threads.iter().for_each(|totals| all.merge(&totals.outcomes()));
        all
    }

    /// From the begin of the load to the newest of the first events.
    pub(super) fn newest_first_event(&self) -> Duration {
        let newest = self.threads.iter().map(|totals| totals.newest_first_event.get()).max();
        Duration::from_nanos(newest.unwrap_or_default())
    }

    /// How it goes `now`.
    pub(super) fn progress(&self, now: Instant) -> Progress {
        let outcomes = self.outcomes();
        let opened = self.sum(|totals| &totals.opened) + self.sum(|totals| &totals.reopened);
        Progress {
            seconds: now.duration_since(self.began).as_secs_f64(),
            begun: self.sum(|totals| &totals.begun),
            open: opened.saturating_sub(self.sum(|totals| &totals.closed)),
            failed: sum(&outcomes.failed) + sum(&outcomes.refused),
            events: self.sum(|totals| &totals.events),
            bytes: self.sum(|totals| &totals.bytes),
        }
    }
}

/// How a load goes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Progress {
    /// Since its begin.
    pub(super) seconds: f64,
    /// Streams that began.
    pub(super) begun: u64,
    /// Streams that are open.
    pub(super) open: u64,
    /// Streams that found no server or were refused.
    pub(super) failed: u32,
    pub(super) events: u64,
    pub(super) bytes: u64,
}
