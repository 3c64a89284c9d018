//! The body of a stream into events and comments (WHATWG HTML section 9.2.6).
//!
//! Where lines end is decided here and not by the proxy's own scanner: an instrument with the fault of what it measures would not
//! show it. Only the begin of a line is kept, enough for a number in it, so that memory is bounded whatever the length of a line.

use super::number;
use crate::sse::Field;

/// Bytes kept of a line: `data: ts=` and the 20 digits of any 64-bit number, a byte order mark, and room to see that more follows.
const HEAD: usize = 40;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Something whole that was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Item {
    /// A block with data has ended.
    Event {
        /// Its own `id`, if that is a plain number.
        id: Option<u64>,
        /// When it was sent, in nanoseconds since the UNIX epoch, if its data opens with `ts=`.
        sent: Option<u64>,
    },
    /// A comment line has ended: a heartbeat.
    Comment,
}

/// Reads one body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct EventReader {
    head: [u8; HEAD],
    /// Bytes of the line in `head`.
    head_len: u8,
    /// The last byte was a CR: an LF that follows belongs to it.
    after_cr: bool,
    /// No line has ended yet.
    in_first_line: bool,
    block: Block,
}

/// What the lines of the open block said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Block {
    /// It has a field that is lost if the block never ends.
    is_open: bool,
    has_data: bool,
    id: Option<u64>,
    sent: Option<u64>,
}

impl EventReader {
    pub(super) fn new() -> Self {
        Self { head: [0; HEAD], head_len: 0, after_cr: false, in_first_line: true, block: Block::default() }
    }

    /// Reads `bytes` and tells what they complete.
    pub(super) fn read(&mut self, mut bytes: &[u8], mut found: impl FnMut(Item)) {
        if self.after_cr && !bytes.is_empty() {
            self.after_cr = false;
            bytes = bytes.strip_prefix(b"\n").unwrap_or(bytes);
        }
        while let Some(end) = bytes.iter().position(|byte| matches!(byte, b'\r' | b'\n')) {
            self.keep(&bytes[..end]);
            self.end_line(&mut found);
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
        self.head_len == 0 && !self.block.is_open
    }

    fn keep(&mut self, part: &[u8]) {
        let free = &mut self.head[usize::from(self.head_len)..];
        let kept = free.len().min(part.len());
        free[..kept].copy_from_slice(&part[..kept]);
        self.head_len += u8::try_from(kept).expect("a head is shorter than 256 bytes");
    }

    fn end_line(&mut self, found: &mut impl FnMut(Item)) {
        let mut line = &self.head[..usize::from(self.head_len)];
        let is_whole = line.len() < HEAD;
        if std::mem::take(&mut self.in_first_line) {
            line = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line);
        }
        if line.is_empty() {
            let block = std::mem::take(&mut self.block);
            if block.has_data {
                found(Item::Event { id: block.id, sent: block.sent });
            }
        } else {
            match Field::parse(line) {
                Field::Comment(_) => found(Item::Comment),
                Field::Data(value) => {
                    if !self.block.has_data {
                        self.block.sent = stamp(value);
                    }
                    self.block.has_data = true;
                    self.block.is_open = true;
                }
                Field::Id(value) => {
                    self.block.id = if is_whole { number(value) } else { None };
                    self.block.is_open = true;
                }
                Field::Event(_) => self.block.is_open = true,
                Field::Retry(_) | Field::Other { .. } => {}
            }
        }
        self.head_len = 0;
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
        let mut reader = EventReader::new();
        let mut items = Vec::new();
        for piece in pieces {
            reader.read(piece, |item| items.push(item));
        }
        (items, reader.is_at_boundary())
    }

    fn event(id: Option<u64>, sent: Option<u64>) -> Item {
        Item::Event { id, sent }
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
        let long = format!("id: {}4\ndata: ts=x\n\n", "0".repeat(60));
        assert_eq!(read(&[long.as_bytes()]).0, [event(None, None)]);
        assert_eq!(read(&[b"data: ts=12x\n\n"]).0, [event(None, Some(12))]);
    }
}
