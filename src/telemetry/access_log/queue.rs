//! Lines on their way from the workers to the writer's thread: bounded memory, and two buffers that change places. A worker holds the
//! lock for as long as it copies one line; the writer holds it to swap and never while it writes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::sink::Output;

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
        let was_idle = state.is_idle();
        state.waiting.extend_from_slice(line);
        self.given(state, was_idle);
    }

    /// The next line is the first in the file opened anew. Two calls before the writer comes to it are one.
    pub(super) fn reopen(&self) {
        let mut state = self.lock();
        let was_idle = state.is_idle();
        let end = state.waiting.len();
        state.reopen_at.get_or_insert(end);
        self.given(state, was_idle);
    }

    /// The writer ends when nothing is left.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.work.notify_one();
    }

    /// Whether all that was given before this call was done within `at_most`.
    pub(super) fn flush(&self, at_most: Duration) -> bool {
        let state = self.lock();
        let target = state.given;
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
            let state = self.work.wait_while(self.lock(), |state| state.is_idle() && !state.closed);
            let mut state = state.unwrap_or_else(PoisonError::into_inner);
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

    /// Wakes the writer, unless it has something to do already.
    fn given(&self, mut state: MutexGuard<'_, State>, was_idle: bool) {
        state.given += 1;
        drop(state);
        if was_idle {
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
