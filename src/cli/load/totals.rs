//! Counters that all streams of one load share. They only grow.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::histogram::Histogram;

/// A number that only grows; read for the progress line while streams add to it.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, n: u64) {
        // Most reads add nothing to most counters.
        if n > 0 {
            self.0.fetch_add(n, Relaxed);
        }
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// What all streams got.
#[derive(Debug, Default)]
pub(super) struct Totals {
    /// TCP connections that stood.
    pub(super) connected: Counter,
    /// Streams that opened: status 200 and the media type of an event stream.
    pub(super) opened: Counter,
    pub(super) events: Counter,
    /// Comment lines: heartbeats.
    pub(super) comments: Counter,
    /// All bytes that were read, heads and framing too.
    pub(super) bytes: Counter,
    /// Ids that were compared with the one before.
    pub(super) ids: Counter,
    /// Numbers between two ids of one stream that never came.
    pub(super) missing: Counter,
    /// Ids that came twice in a row.
    pub(super) doubled: Counter,
    /// Ids lower than one before.
    pub(super) disordered: Counter,
    /// From the begin of the connect to the first byte of the response.
    pub(super) first_byte: Histogram,
    /// From the begin of the connect to the end of the first event.
    pub(super) first_event: Histogram,
    /// From the stamp in an event to its arrival.
    pub(super) latency: Histogram,
}
