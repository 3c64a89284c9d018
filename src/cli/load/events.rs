//! The body of a stream into events and comments (WHATWG HTML section 9.2.6).
//!
//! Where lines end is decided here and not by the proxy's own scanner: an instrument with the fault of what it measures would not
//! show it. A line that came whole is read where it lies; of one that came in pieces only the begin is kept, so that memory is bounded
//! whatever its length.

use std::time::Duration;

use memchr::memchr2;

use super::number;
use crate::sse::Field;

/// Bytes kept of a line that comes in pieces: all of any usual id, and more than any number.
const KEPT: usize = 1024;

/// A longer id is not sent back: no server would take a field that long.
const MAX_ID: usize = KEPT - 16;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Something whole that was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Item {
    /// A block with data has ended.
    Event {
        /// Its own `id`, if that is a plain number.
        id: Option<u64>,
        /// When it was due, in nanoseconds since the UNIX epoch, if its data opens with `ts=`.
        due: Option<u64>,
    },
    /// A comment line has ended: a heartbeat.
    Comment,
}

/// Reads one body, and then that of the connection that follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct EventReader {
    /// The begin of a line that has not ended.
    line: Vec<u8>,
    /// The last byte was a CR: an LF that follows belongs to it.
    after_cr: bool,
    /// No line has ended yet.
    in_first_line: bool,
    block: Block,
    /// What a reconnect needs; `None` when there will be none.
    resume: Option<Resume>,
}

/// What a client that comes back says and does.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Resume {
    /// The id of the open block, which counts once the block has ended.
    next_id: Vec<u8>,
    last_id: Vec<u8>,
    retry: Option<Duration>,
}

/// What the lines of the open block said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Block {
    /// It has a field that is lost if the block never ends.
    is_open: bool,
    has_data: bool,
    id: Option<u64>,
    due: Option<u64>,
}

impl EventReader {
    /// `comes_back`: what a reconnect needs is kept.
    pub(super) fn new(comes_back: bool) -> Self {
        Self {
            line: Vec::new(),
            after_cr: false,
            in_first_line: true,
            block: Block::default(),
            resume: comes_back.then(Resume::default),
        }
    }

    /// Reads another body from its begin; the last event id and the reconnection time hold on.
    pub(super) fn restart(&mut self) {
        let mut resume = self.resume.take();
        if let Some(resume) = &mut resume {
            resume.next_id.clone_from(&resume.last_id);
        }
        *self = Self { resume, ..Self::new(false) };
    }

    /// The last event id, if there is one that can be sent back.
    pub(super) fn last_id(&self) -> Option<&[u8]> {
        self.resume.as_ref().map(|resume| resume.last_id.as_slice()).filter(|id| !id.is_empty())
    }

    /// The reconnection time that the server asked for.
    pub(super) fn retry(&self) -> Option<Duration> {
        self.resume.as_ref()?.retry
    }

    /// Reads `bytes` and tells what they complete.
    pub(super) fn read(&mut self, mut bytes: &[u8], mut found: impl FnMut(Item)) {
        if self.after_cr && !bytes.is_empty() {
            self.after_cr = false;
            bytes = bytes.strip_prefix(b"\n").unwrap_or(bytes);
        }
        while let Some(end) = memchr2(b'\r', b'\n', bytes) {
            if self.line.is_empty() {
                self.end_line(&bytes[..end], &mut found);
            } else {
                self.keep(&bytes[..end]);
                let mut line = std::mem::take(&mut self.line);
                self.end_line(&line, &mut found);
                line.clear();
                self.line = line;
            }
            let is_cr = bytes[end] == b'\r';
            bytes = &bytes[end + 1..];
            if is_cr {
                self.after_cr = bytes.is_empty();
                bytes = bytes.strip_prefix(b"\n").unwrap_or(bytes);
            }
        }
        self.keep(bytes);
    }

    /// Whether an end here loses nothing: no line and no event is half done.
    pub(super) fn is_at_boundary(&self) -> bool {
        self.line.is_empty() && !self.block.is_open
    }

    fn keep(&mut self, part: &[u8]) {
        let free = KEPT - self.line.len();
        self.line.extend_from_slice(&part[..free.min(part.len())]);
    }

    fn end_line(&mut self, mut line: &[u8], found: &mut impl FnMut(Item)) {
        let is_whole = line.len() < KEPT;
        if std::mem::take(&mut self.in_first_line) {
            line = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line);
        }
        if line.is_empty() {
            let block = std::mem::take(&mut self.block);
            if let Some(resume) = &mut self.resume {
                resume.last_id.clone_from(&resume.next_id);
            }
            if block.has_data {
                found(Item::Event { id: block.id, due: block.due });
            }
            return;
        }
        match Field::parse(line) {
            Field::Comment(_) => found(Item::Comment),
            Field::Data(value) => {
                if !self.block.has_data {
                    self.block.due = stamp(value);
                }
                self.block.has_data = true;
                self.block.is_open = true;
            }
            Field::Id(value) => {
                self.block.id = if is_whole { number(value) } else { None };
                self.block.is_open = true;
                if let Some(resume) = &mut self.resume
                    && !value.contains(&0)
                {
                    resume.next_id.clear();
                    if value.len() <= MAX_ID {
                        resume.next_id.extend_from_slice(value);
                    }
                }
            }
            Field::Event(_) => self.block.is_open = true,
            Field::Retry(value) => {
                if let Some(resume) = &mut self.resume
                    && let Some(milliseconds) = number(value)
                {
                    resume.retry = Some(Duration::from_millis(milliseconds));
                }
            }
            Field::Other { .. } => {}
        }
    }
}

/// The number behind `ts=`, up to the first byte that is no digit.
fn stamp(data: &[u8]) -> Option<u64> {
    let text = data.strip_prefix(b"ts=")?;
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    number(&text[..digits])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is found in `pieces`, and whether their end is a boundary.
    fn read(pieces: &[&[u8]]) -> (Vec<Item>, bool) {
        let mut reader = EventReader::new(false);
        let mut items = Vec::new();
        for piece in pieces {
            reader.read(piece, |item| items.push(item));
        }
        (items, reader.is_at_boundary())
    }

    fn event(id: Option<u64>, due: Option<u64>) -> Item {
        Item::Event { id, due }
    }

    #[test]
    fn a_body_is_the_same_at_every_split_and_with_every_line_end() {
        let body = format!(
            "\u{feff}id: 1\nretry: 5\nevent: tick\ndata: ts=1759431212123456789 x\n\n:\n: beat\nid: 18446744073709551615\n\
             data:ts=7\ndata: ts=8\n\ndata\n\nid: 4\n\ndata: {}\nid: x4\n\n",
            "ü".repeat(60)
        );
        let expected = vec![
            event(Some(1), Some(1_759_431_212_123_456_789)),
            Item::Comment,
            Item::Comment,
            event(Some(u64::MAX), Some(7)),
            event(None, None),
            event(None, None),
        ];
        for line_end in ["\n", "\r\n", "\r"] {
            let body = body.replace('\n', line_end).into_bytes();
            for cut in 0..=body.len() {
                let (left, right) = body.split_at(cut);
                assert_eq!(read(&[left, right]), (expected.clone(), true), "{line_end:?} cut at {cut}");
            }
            let bytes: Vec<&[u8]> = body.chunks(1).collect();
            assert_eq!(read(&bytes), (expected.clone(), true), "{line_end:?} byte by byte");
        }
    }

    #[test]
    fn an_end_inside_an_event_is_no_boundary() {
        for (body, is_boundary) in [
            ("", true),
            ("data: x\n\n", true),
            ("data: x\n\n:\n", true),
            ("retry: 5\n", true),
            ("data: x\n", false),
            ("data: x\r", false),
            ("id: 5\n", false),
            ("event: x\n", false),
            ("data: x\n\n:", false),
            ("data: x\n\nd", false),
        ] {
            assert_eq!(read(&[body.as_bytes()]).1, is_boundary, "{body:?}");
        }
    }

    #[test]
    fn what_only_looks_like_a_number_is_none() {
        for body in [
            "id: 4 \ndata\n\n",
            "id: +4\ndata\n\n",
            "id:\ndata\n\n",
            "id: 18446744073709551616\ndata\n\n",
            "id: 4\nid: x\ndata\n\n",
        ] {
            assert_eq!(read(&[body.as_bytes()]).0, [event(None, None)], "{body:?}");
        }
        let long = format!("id: {}4\ndata: ts=x\n\n", "0".repeat(1100));
        assert_eq!(read(&[long.as_bytes()]).0, [event(None, None)]);
        assert_eq!(read(&[b"data: ts=12x\n\n"]).0, [event(None, Some(12))]);
    }

    #[test]
    fn what_a_client_that_comes_back_says_is_kept_whole_and_counts_from_the_end_of_its_block() {
        let uuid = "01890a5d-ac96-774b-bcce-b302099a8057".repeat(5);
        let body = format!("retry: 1500\nretry: soon\nid: {uuid}\n\nid: a\0b\ndata\n\nid: lost\ndata");
        for cut in 0..body.len() {
            let mut reader = EventReader::new(true);
            assert_eq!((reader.last_id(), reader.retry()), (None, None));
            reader.read(&body.as_bytes()[..cut], |_| ());
            reader.read(&body.as_bytes()[cut..], |_| ());
            for _ in 0..2 {
                assert_eq!(reader.last_id(), Some(uuid.as_bytes()), "cut at {cut}");
                assert_eq!(reader.retry(), Some(Duration::from_millis(1500)), "cut at {cut}");
                reader.restart();
                assert!(reader.is_at_boundary());
                // The id of the block that never ended is gone.
                reader.read(b"data\n\n", |_| ());
            }
            reader.read(b"id\n\n", |_| ());
            assert_eq!(reader.last_id(), None, "an empty id takes the last one back");
        }
        let mut reader = EventReader::new(true);
        reader.read(format!("id: 1\n\nid: {}\n\n", "x".repeat(5000)).as_bytes(), |_| ());
        assert_eq!(reader.last_id(), None, "one that no field takes is not sent back");
    }
}
