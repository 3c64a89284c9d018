//! Lines on their way from the workers to the writer's thread: bounded memory, and two buffers that change places. A worker holds the
//! lock for as long as it copies one line; the writer holds it to swap and never while it writes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::sink::Output;

/// How long the writer lets lines gather behind those that it has just written. Waking it for each line cost a busy worker three calls
/// a request, a tenth of its time: now a line that comes after a pause is written at once, and those behind it 50 times a second.
const GATHER: Duration = Duration::from_millis(20);

/// So many bytes are written before that time is over.
const ENOUGH: usize = 64 << 10;

/// A buffer that grew beyond this is given back after a burst.
const KEPT_BUFFER: usize = 256 << 10;

/// What workers put and the writer takes.
#[derive(Debug)]
pub(super) struct Queue {
    limit: usize,
    state: Mutex<State>,
    /// There is something to do.
    work: Condvar,
    /// Something was done.
    done: Condvar,
    dropped: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    /// Whole lines.
    waiting: Vec<u8>,
    /// The file is to be opened anew behind so many bytes of `waiting`.
    reopen_at: Option<usize>,
    /// Calls that gave the writer something to do, and how many of them it has done.
    given: u64,
    finished: u64,
    /// Somebody waits for what was given: it is not to gather.
    hurry: bool,
    /// The writer waits for the first line.
    asleep: bool,
    closed: bool,
}

impl State {
    fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.reopen_at.is_none()
    }
}

impl Queue {
    /// Holds at most `limit` bytes that wait.
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, state: Mutex::new(State::default()), work: Condvar::new(), done: Condvar::new(), dropped: AtomicU64::new(0) }
    }

    /// Takes one line, which ends with LF, or drops and counts it.
    pub(super) fn put(&self, line: &[u8]) {
        let mut state = self.lock();
        if state.waiting.len() + line.len() > self.limit {
            drop(state);
            self.count_dropped(1);
            return;
        }
        let before = state.waiting.len();
        state.waiting.extend_from_slice(line);
        let is_enough = before < ENOUGH && state.waiting.len() >= ENOUGH;
        self.given(state, is_enough);
    }

    /// The next line is the first in the file opened anew. Two calls before the writer comes to it are one.
    pub(super) fn reopen(&self) {
        let mut state = self.lock();
        let end = state.waiting.len();
        state.reopen_at.get_or_insert(end);
        self.given(state, true);
    }

    /// The writer ends when nothing is left.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.work.notify_one();
    }

    /// Whether all that was given before this call was done within `at_most`.
    pub(super) fn flush(&self, at_most: Duration) -> bool {
        let mut state = self.lock();
        let target = state.given;
        state.hurry = true;
        self.work.notify_one();
        let waited = self.done.wait_timeout_while(state, at_most, |state| state.finished < target);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// Lines lost.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// The writer's thread: until the queue is closed and empty.
    pub(super) fn write_to(&self, mut output: Output) {
        let mut batch = Vec::new();
        loop {
            let mut state = self.next_batch();
            if state.is_idle() {
                return;
            }
            std::mem::swap(&mut batch, &mut state.waiting);
            let reopen_at = state.reopen_at.take();
            let given = state.given;
            drop(state);

            let (old, new) = batch.split_at(reopen_at.unwrap_or(batch.len()));
            self.count_dropped(output.write(old));
            if reopen_at.is_some() {
                output.reopen();
                self.count_dropped(output.write(new));
            }
            batch.clear();
            batch.shrink_to(KEPT_BUFFER);

            self.lock().finished = given;
            self.done.notify_all();
        }
    }

    /// Waits until something is to be written; nothing is when the queue is closed and empty.
    fn next_batch(&self) -> MutexGuard<'_, State> {
        let gathered = self.work.wait_timeout_while(self.lock(), GATHER, |state| {
            state.waiting.len() < ENOUGH && state.reopen_at.is_none() && !state.hurry && !state.closed
        });
        let mut state = gathered.unwrap_or_else(PoisonError::into_inner).0;
        state.asleep = state.is_idle();
        let woken = self.work.wait_while(state, |state| state.is_idle() && !state.closed);
        let mut state = woken.unwrap_or_else(PoisonError::into_inner);
        state.asleep = false;
        state.hurry = false;
        state
    }

    /// Wakes the writer if it sleeps, or if this is not to wait.
    fn given(&self, mut state: MutexGuard<'_, State>, is_urgent: bool) {
        state.given += 1;
        let wakes = state.asleep || is_urgent;
        state.asleep = false;
        drop(state);
        if wakes {
            self.work.notify_one();
        }
    }

    fn count_dropped(&self, lines: u64) {
        self.dropped.fetch_add(lines, Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
