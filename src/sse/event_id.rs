//! The last event id: gathered from its line, staged until its block ends, then committed (WHATWG HTML 9.2.6).
//!
//! These are the only bytes of a stream that are ever copied. An id in an unfinished block never counts, and one over
//! [`MAX_ID_LEN`] is never kept: it passes by, and the stream has no known id until the next one.

/// The longest id that is kept, in bytes.
pub const MAX_ID_LEN: usize = 1024;

/// The last event id of a stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EventId<'a> {
    /// No block with an `id` field has ended.
    Unset,
    /// The id as it was on the wire, at most [`MAX_ID_LEN`] bytes; empty when it was cleared.
    Set(&'a [u8]),
    /// The id in force is longer than [`MAX_ID_LEN`] and was not kept.
    Oversize,
}

/// The committed id, the one staged in the open block, and the one whose line is under way.
///
/// One allocation holds all three in this order; it exists only while one of them does.
#[derive(Clone, Default, Debug)]
pub(super) struct Ids {
    bytes: Vec<u8>,
    committed: Kept,
    staged: Kept,
}

/// What is known of one id.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
enum Kept {
    #[default]
    Absent,
    /// So many bytes, at most [`MAX_ID_LEN`].
    Whole(u16),
    Oversize,
}

impl Kept {
    fn len(self) -> usize {
        match self {
            Self::Whole(len) => usize::from(len),
            Self::Absent | Self::Oversize => 0,
        }
    }
}

/// What was seen of the value of an `id` line that is under way; its bytes are the tail of [`Ids`].
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct IdLine {
    has_null: bool,
    oversize: bool,
}

/// Ids of lines that are whole in the chunk under way. Of the hundreds that a gathered read may have only the last ones are copied, once
/// it is seen which they are: a sixth less for each of them, a fiftieth more for an event that comes alone (`benches/guard`).
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Passing<'c> {
    committed: Option<&'c [u8]>,
    staged: Option<&'c [u8]>,
}

impl<'c> Passing<'c> {
    /// An `id` line with this value has ended. Returns whether it counts.
    #[inline]
    pub(super) fn stage(&mut self, value: &'c [u8]) -> bool {
        let counts = !value.contains(&0);
        if counts {
            self.staged = Some(value);
        }
        counts
    }
}

impl Ids {
    /// The committed id.
    pub(super) fn last(&self) -> EventId<'_> {
        match self.committed {
            Kept::Absent => EventId::Unset,
            Kept::Whole(len) => EventId::Set(&self.bytes[..usize::from(len)]),
            Kept::Oversize => EventId::Oversize,
        }
    }

    /// Takes the next `part` of the value of the `id` line under way.
    pub(super) fn push(&mut self, line: &mut IdLine, part: &[u8]) {
        if line.has_null {
            return;
        }
        let tail = self.committed.len() + self.staged.len();
        if part.contains(&0) {
            line.has_null = true;
            self.bytes.truncate(tail);
        } else if !line.oversize {
            if self.bytes.len() - tail + part.len() > MAX_ID_LEN {
                line.oversize = true;
                self.bytes.truncate(tail);
            } else {
                self.bytes.extend_from_slice(part);
            }
        }
    }

    /// The `id` line under way has ended: it replaces what was staged, unless it is to be ignored. Returns whether it counts.
    pub(super) fn end_line(&mut self, line: IdLine) -> bool {
        if line.has_null {
            return false;
        }
        self.remove(self.committed.len(), self.staged.len());
        self.staged = if line.oversize {
            Kept::Oversize
        } else {
            let len = self.bytes.len() - self.committed.len();
            Kept::Whole(u16::try_from(len).expect("at most MAX_ID_LEN bytes are kept"))
        };
        true
    }

    /// A blank line has ended the block: what is staged is the last event id from now on.
    #[inline]
    pub(super) fn end_block(&mut self, passing: &mut Passing<'_>) {
        match passing.staged.take() {
            // What an earlier chunk staged is overtaken when this is kept.
            Some(id) => passing.committed = Some(id),
            None => self.commit(),
        }
    }

    /// Keeps what counts of the ids of a chunk, which is over.
    #[inline]
    pub(super) fn keep(&mut self, passing: Passing<'_>) {
        if let Some(id) = passing.committed {
            self.stage(id);
            self.commit();
        }
        if let Some(id) = passing.staged {
            self.stage(id);
        }
    }

    /// Stages an id that was seen whole, and that counts.
    fn stage(&mut self, id: &[u8]) {
        let mut line = IdLine::default();
        self.push(&mut line, id);
        self.end_line(line);
    }

    fn commit(&mut self) {
        if self.staged != Kept::Absent {
            self.remove(0, self.committed.len());
            self.committed = std::mem::take(&mut self.staged);
        }
        // Room for the id of the next block is kept, so that a stream of ids of one length does not allocate; no more than that.
        if self.bytes.capacity() > 2 * self.bytes.len() + 16 {
            self.bytes.shrink_to_fit();
        }
    }

    /// Bytes held on the heap.
    #[cfg(test)]
    pub(super) fn heap_len(&self) -> usize {
        self.bytes.capacity()
    }

    /// Removes `len` bytes from `start` on.
    fn remove(&mut self, start: usize, len: usize) {
        if len > 0 {
            self.bytes.copy_within(start + len.., start);
            self.bytes.truncate(self.bytes.len() - len);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{EventId, IdLine, Ids, MAX_ID_LEN};

    fn stage(ids: &mut Ids, value: &[u8]) -> bool {
        let mut line = IdLine::default();
        for part in value.chunks(7) {
            ids.push(&mut line, part);
        }
        ids.end_line(line)
    }

    #[test]
    fn a_staged_id_counts_only_once_it_is_committed() {
        let mut ids = Ids::default();
        assert_eq!(ids.last(), EventId::Unset);
        assert!(stage(&mut ids, b"1"));
        assert_eq!(ids.last(), EventId::Unset);
        ids.commit();
        assert_eq!(ids.last(), EventId::Set(b"1"));
        assert!(stage(&mut ids, b"22"));
        assert_eq!(ids.last(), EventId::Set(b"1"));
        ids.commit();
        assert_eq!(ids.last(), EventId::Set(b"22"));
    }

    #[test]
    fn the_last_valid_id_of_a_block_wins_over_those_before_it() {
        let mut ids = Ids::default();
        stage(&mut ids, b"old");
        ids.commit();
        stage(&mut ids, b"first");
        stage(&mut ids, b"second");
        assert!(!stage(&mut ids, b"thi\0rd, with its null in the first part"));
        assert!(!stage(&mut ids, b"fourth, with its null in a later part\0"));
        assert_eq!(ids.last(), EventId::Set(b"old"));
        ids.commit();
        assert_eq!(ids.last(), EventId::Set(b"second"));
    }

    #[test]
    fn nothing_of_an_ignored_id_gets_into_the_next() {
        let mut ids = Ids::default();
        for ignored in [&b"0123456789\0"[..], &[b'x'; MAX_ID_LEN + 1]] {
            stage(&mut ids, ignored);
            stage(&mut ids, b"next");
            ids.commit();
            assert_eq!(ids.last(), EventId::Set(b"next"));
        }
    }

    #[test]
    fn an_id_at_the_limit_is_kept_and_one_byte_more_is_not() {
        let mut ids = Ids::default();
        let longest = vec![b'x'; MAX_ID_LEN];
        stage(&mut ids, &longest);
        ids.commit();
        assert_eq!(ids.last(), EventId::Set(&longest));
        assert!(stage(&mut ids, &[b'x'; MAX_ID_LEN + 1]));
        ids.commit();
        assert_eq!(ids.last(), EventId::Oversize);
        stage(&mut ids, b"short again");
        ids.commit();
        assert_eq!(ids.last(), EventId::Set(b"short again"));
    }

    #[test]
    fn a_null_beyond_the_limit_still_makes_an_id_ignored() {
        let mut ids = Ids::default();
        stage(&mut ids, b"kept");
        let mut value = vec![b'x'; 5 * MAX_ID_LEN];
        value.push(0);
        assert!(!stage(&mut ids, &value));
        ids.commit();
        assert_eq!(ids.last(), EventId::Set(b"kept"));
    }

    #[test]
    fn after_a_block_the_heap_holds_little_more_than_the_last_id() {
        let mut ids = Ids::default();
        for (id, at_most) in [(&[b'x'; 1000][..], 2016), (b"short", 26), (&[b'y'; MAX_ID_LEN + 1], 16), (b"", 16)] {
            stage(&mut ids, &[b'z'; MAX_ID_LEN]);
            stage(&mut ids, id);
            ids.commit();
            assert!(ids.heap_len() <= at_most, "{} for an id of {} bytes", ids.heap_len(), id.len());
        }
        stage(&mut ids, &[0; 100]);
        ids.commit();
        assert!(ids.heap_len() <= 16);
    }

    #[test]
    fn ids_of_one_length_reuse_the_allocation() {
        let mut ids = Ids::default();
        for id in [b"00000001", b"00000002", b"00000003"] {
            stage(&mut ids, id);
            ids.commit();
        }
        let (capacity, address) = (ids.heap_len(), ids.bytes.as_ptr());
        for id in [b"00000004", b"00000005", b"00000006"] {
            stage(&mut ids, id);
            ids.commit();
        }
        assert_eq!((ids.heap_len(), ids.bytes.as_ptr()), (capacity, address));
        assert_eq!(ids.last(), EventId::Set(b"00000006"));
    }
}
