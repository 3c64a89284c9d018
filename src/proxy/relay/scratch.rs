//! The buffers of a worker, shared by all its streams: an idle stream has none of its own.

use std::cell::RefCell;
use std::ops::Range;

use super::READ_SIZE;
use crate::stream::Action;

/// Nothing stays in them between two polls.
#[derive(Default)]
pub(super) struct Scratch {
    pub(super) read: Vec<u8>,
    /// Decoded from a coded stream.
    pub(super) plain: Vec<u8>,
    pub(super) payload: Vec<Range<usize>>,
    pub(super) actions: Vec<Action>,
    pub(super) pieces: Vec<Piece>,
    pub(super) out: Vec<u8>,
}

/// A part of what goes to the client.
pub(super) enum Piece {
    /// Of the bytes just read.
    Read(Range<usize>),
    /// Of our own, or held before.
    Own(Vec<u8>),
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// Lends the worker's buffers, as a poll needs them: also when the one before it panicked half-way.
pub(super) fn with_scratch<T>(work: impl FnOnce(&mut Scratch) -> T) -> T {
    SCRATCH.with_borrow_mut(|scratch| {
        scratch.reset();
        work(scratch)
    })
}

impl Scratch {
    pub(super) fn reset(&mut self) {
        self.read.resize(READ_SIZE, 0);
        self.plain.clear();
        self.payload.clear();
        self.actions.clear();
        self.pieces.clear();
        self.out.clear();
    }
}

impl Piece {
    pub(super) fn bytes<'a>(&'a self, input: &'a [u8]) -> &'a [u8] {
        match self {
            Self::Read(range) => &input[range.clone()],
            Self::Own(bytes) => bytes,
        }
    }
}
