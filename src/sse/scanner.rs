//! The incremental scanner of one event stream (WHATWG HTML 9.2.5 and 9.2.6): it watches the chunks that pass by and knows where
//! bytes may be inserted, where the stream may end, and which id would resume it.
//!
//! It never holds, copies or changes a byte of the stream (the last event id and the first bytes of a line that a chunk's end has
//! cut are its only copies), never looks at a byte twice across chunks, and its state is bounded whatever the input: a line may be
//! megabytes long. Any cutting into chunks gives the same result. One scanner lives as long as its stream, so it is small.

#[cfg(test)]
mod tests;

use memchr::memchr2;

use super::encode::LineEnd;
use super::event_id::{EventId, IdLine, Ids, Passing};
use super::field::Field;
use super::line::{Digits, Line};

const BOM: &[u8] = b"\xEF\xBB\xBF";

/// Where the next byte of the stream would stand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Position {
    /// After a blank line, or at the start of the stream: between events.
    EventStart,
    /// Between two lines of a block.
    LineStart,
    /// After a CR that may be the first half of a CRLF; its line has ended.
    AfterCr {
        /// The line that the CR has ended is blank: this is between events but for an LF.
        ends_block: bool,
    },
    /// Inside a line, or inside a byte order mark.
    MidLine,
}

/// What one chunk held.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Scan {
    /// Offset in the chunk just past the first line end of a blank line.
    ///
    /// A CRLF counts whole. When the chunk ends between the two, the offset is the chunk's end, and the next chunk, which opens with
    /// the LF, has a boundary at 1 for it: no event is in both.
    pub first_boundary: Option<usize>,
    /// Offset in the chunk just past the last line end of a blank line.
    pub last_boundary: Option<usize>,
    /// Events dispatched: blocks with at least one `data` field that ended in this chunk.
    pub events: u32,
}

impl Scan {
    #[inline]
    fn add_boundary(&mut self, offset: usize) {
        self.first_boundary.get_or_insert(offset);
        self.last_boundary = Some(offset);
    }
}

/// Watches one event stream, chunk by chunk.
#[derive(Clone, Debug)]
pub struct Scanner {
    bytes_seen: u64,
    retry: Option<u64>,
    ids: Ids,
    line: Line,
    block: Block,
    after_cr: bool,
    line_end: Option<LineEnd>,
    has_bom: bool,
    saw_id: bool,
    is_finished: bool,
    opened_with_endpoint: Option<bool>,
}

/// What the lines of the open block said so far.
#[derive(Clone, Copy, Default, Debug)]
struct Block {
    /// A line has ended in it.
    open: bool,
    /// A `data`, `event` or `id` field was among them.
    event_fields: bool,
    /// A `data` field was.
    data: bool,
    /// The last `event` field was `endpoint`.
    endpoint: bool,
}

impl Default for Scanner {
    fn default() -> Self {
        Self::new()
    }
}

impl Scanner {
    /// A scanner at byte 0 of a stream.
    #[must_use]
    pub fn new() -> Self {
        Self {
            bytes_seen: 0,
            retry: None,
            ids: Ids::default(),
            line: Line::START,
            block: Block::default(),
            after_cr: false,
            line_end: None,
            has_bom: false,
            saw_id: false,
            is_finished: false,
            opened_with_endpoint: None,
        }
    }

    /// Consumes the next bytes of the stream, all of them.
    pub fn scan(&mut self, chunk: &[u8]) -> Scan {
        let mut scan = Scan::default();
        let mut passing = Passing::default();
        let mut at = self.settle_cr(chunk, &mut scan);
        at += self.pass_bom(&chunk[at..]);
        while let Some(&first) = chunk.get(at) {
            let rest = &chunk[at..];
            let content_len = if is_line_end(first) { Some(0) } else { memchr2(b'\n', b'\r', rest) };
            let Some(content_len) = content_len else { break };
            let is_blank = content_len == 0 && self.line.is_start();
            if !is_blank {
                self.end_line(&rest[..content_len], &mut passing);
            }
            at += content_len + self.end_of_line(&rest[content_len..]);
            if is_blank {
                self.end_block(&mut scan, &mut passing);
                scan.add_boundary(at);
            }
        }
        self.ids.keep(passing);
        if at < chunk.len() {
            // After the ids before it, whose bytes stand before its own.
            self.line.push(&chunk[at..], &mut self.ids);
        }
        self.bytes_seen += chunk.len() as u64;
        scan
    }

    /// Where the next byte would stand.
    #[must_use]
    pub fn position(&self) -> Position {
        if self.after_cr {
            Position::AfterCr { ends_block: !self.block.open }
        } else if !self.line.is_start() {
            Position::MidLine
        } else if self.block.open {
            Position::LineStart
        } else {
            Position::EventStart
        }
    }

    /// Whether the lines of the open block that have ended hold a `data`, `event` or `id` field, that is something which a blank line
    /// would dispatch or commit, and an end of the stream would lose. A block of comments and `retry` fields holds none.
    #[must_use]
    pub fn block_has_event_fields(&self) -> bool {
        self.block.event_fields
    }

    /// Bytes scanned since the start of the stream.
    #[must_use]
    pub fn bytes_seen(&self) -> u64 {
        self.bytes_seen
    }

    /// The first line end of the stream. A CR is told from a CRLF by the byte after it: until that comes there is none.
    #[must_use]
    pub fn line_end(&self) -> Option<LineEnd> {
        self.line_end
    }

    /// The id that a client would resume with: of the last block that has ended and had one.
    #[must_use]
    pub fn last_event_id(&self) -> EventId<'_> {
        self.ids.last()
    }

    /// Whether a valid `id` field has passed, committed or not.
    #[must_use]
    pub fn saw_id(&self) -> bool {
        self.saw_id
    }

    /// The reconnection time in milliseconds that the stream has set last, at most [`u64::MAX`].
    #[must_use]
    pub fn retry(&self) -> Option<u64> {
        self.retry
    }

    /// Whether a line has passed that ends the exchange by the convention of LLM APIs: `data: [DONE]` or `event: message_stop`.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.is_finished
    }

    /// Whether the type of the first event that was dispatched is `endpoint`, as MCP's HTTP+SSE transport has it; `None` until then.
    #[must_use]
    pub fn opened_with_endpoint(&self) -> Option<bool> {
        self.opened_with_endpoint
    }

    /// Whether the stream started with a byte order mark, whole.
    #[must_use]
    pub fn starts_with_bom(&self) -> bool {
        self.has_bom
    }

    /// Takes the LF that belongs to a CR at the end of the chunk before. Returns how many bytes it took.
    #[inline]
    fn settle_cr(&mut self, chunk: &[u8], scan: &mut Scan) -> usize {
        if !self.after_cr {
            return 0;
        }
        let Some(&first) = chunk.first() else { return 0 };
        self.after_cr = false;
        if first != b'\n' {
            self.line_end.get_or_insert(LineEnd::Cr);
            return 0;
        }
        self.line_end.get_or_insert(LineEnd::CrLf);
        if !self.block.open {
            scan.add_boundary(1);
        }
        1
    }

    /// Takes the bytes of a byte order mark at the start of the stream. Returns how many bytes it took.
    ///
    /// What looks like the beginning of one is kept as the beginning of a line, which it is if no mark comes of it.
    #[inline]
    fn pass_bom(&mut self, chunk: &[u8]) -> usize {
        let Line::Head(head) = self.line else { return 0 };
        let seen = head.as_bytes();
        if seen.len() as u64 != self.bytes_seen || !BOM.starts_with(seen) {
            return 0;
        }
        let missing = &BOM[seen.len()..];
        if chunk.starts_with(missing) {
            self.line = Line::START;
            self.has_bom = true;
            missing.len()
        } else {
            0
        }
    }

    /// Takes the line end that `rest` begins with. Returns its length.
    #[inline]
    fn end_of_line(&mut self, rest: &[u8]) -> usize {
        let (line_end, len) = match rest {
            [b'\n', ..] => (LineEnd::Lf, 1),
            [_, b'\n', ..] => (LineEnd::CrLf, 2),
            [_, _, ..] => (LineEnd::Cr, 1),
            _ => {
                self.after_cr = true;
                return 1;
            }
        };
        self.line_end.get_or_insert(line_end);
        len
    }

    /// A line that is not blank has ended; `content` is what this chunk held of it.
    #[inline]
    fn end_line<'c>(&mut self, content: &'c [u8], passing: &mut Passing<'c>) {
        self.block.open = true;
        if self.line.is_start() {
            match Field::parse(content) {
                Field::Id(value) => self.count_id(passing.stage(value)),
                field => self.end_field(field),
            }
        } else {
            self.end_cut_line(content);
        }
    }

    /// A line has ended that began in an earlier chunk.
    fn end_cut_line(&mut self, content: &[u8]) {
        self.line.push(content, &mut self.ids);
        match std::mem::replace(&mut self.line, Line::START) {
            Line::Head(head) => self.end_field(Field::parse(head.as_bytes())),
            Line::Id(line) => self.end_id(line),
            Line::Retry(digits) => self.end_retry(digits),
            Line::LongData => self.end_data(false),
            Line::LongEvent => self.end_event(false, false),
            Line::Skip => {}
        }
    }

    #[inline]
    fn end_field(&mut self, field: Field<'_>) {
        match field {
            Field::Data(value) => self.end_data(value == b"[DONE]"),
            Field::Event(value) => self.end_event(value == b"endpoint", value == b"message_stop"),
            Field::Id(value) => {
                let mut line = IdLine::default();
                self.ids.push(&mut line, value);
                self.end_id(line);
            }
            Field::Retry(value) => {
                let mut digits = Digits::default();
                digits.push(value);
                self.end_retry(digits);
            }
            Field::Comment(_) | Field::Other { .. } => {}
        }
    }

    #[inline]
    fn end_data(&mut self, is_done: bool) {
        self.block.event_fields = true;
        self.block.data = true;
        self.is_finished |= is_done;
    }

    fn end_event(&mut self, is_endpoint: bool, is_message_stop: bool) {
        self.block.event_fields = true;
        self.block.endpoint = is_endpoint;
        self.is_finished |= is_message_stop;
    }

    fn end_id(&mut self, line: IdLine) {
        let counts = self.ids.end_line(line);
        self.count_id(counts);
    }

    /// An `id` line has ended; one that is to be ignored says nothing.
    #[inline]
    fn count_id(&mut self, counts: bool) {
        self.block.event_fields |= counts;
        self.saw_id |= counts;
    }

    fn end_retry(&mut self, digits: Digits) {
        self.retry = digits.number().or(self.retry);
    }

    /// A blank line has ended the block.
    #[inline]
    fn end_block(&mut self, scan: &mut Scan, passing: &mut Passing<'_>) {
        let block = std::mem::take(&mut self.block);
        if block.data {
            scan.events = scan.events.saturating_add(1);
            self.opened_with_endpoint.get_or_insert(block.endpoint);
        }
        self.ids.end_block(passing);
    }
}

#[inline]
fn is_line_end(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}
