//! HTTP/1.1 body framing, decoded and encoded as bytes come (RFC 9112 sections 6 and 7). Pure, incremental, strict: what could be
//! read in two ways is malformed. No byte of a body is copied here.
//!
//! The relay reads event streams with it, and request bodies are held to it before Pingora reads them.

use std::ops::Range;

use super::grammar::is_token;

/// Longest size line that is still read: 16 digits, an extension we skip, CRLF.
const MAX_SIZE_LINE: u16 = 1024;
/// Longest trailer section that is skipped.
const MAX_TRAILERS: u16 = 16 * 1024;
/// A canonical size line has at most so many digits.
const CANONICAL_DIGITS: u16 = 8;

/// How a body is delimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// `Transfer-Encoding: chunked`.
    Chunked,
    /// `Content-Length`.
    Length(u64),
    /// By the end of the connection.
    UntilClose,
}

/// The framing cannot be read, or not in one way only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

/// Decodes one body.
#[derive(Debug)]
pub struct Decoder {
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Chunked, in a size line.
    Size {
        value: u64,
        digits: u16,
        length: u16,
        part: SizePart,
    },
    /// Chunked, so many bytes of data to come.
    Data(u64),
    /// Chunked, after the data: CR, then LF.
    DataCr,
    DataLf,
    /// Chunked, after the last chunk: trailer fields up to an empty line.
    Trailer {
        length: u16,
        line: TrailerLine,
        after_cr: bool,
    },
    /// Content-Length, so many bytes to come.
    Length(u64),
    UntilClose,
    Done,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SizePart {
    Digits,
    /// Behind them: whitespace, which old servers pad a size with.
    Blank,
    Extension,
    Lf,
}

/// How far a trailer line is a field line (RFC 9112 section 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TrailerLine {
    Empty,
    Name,
    Value,
}

const SIZE_LINE: State = State::Size { value: 0, digits: 0, length: 0, part: SizePart::Digits };

/// What one read held, besides the payload ranges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decoded {
    /// The input is whole chunks with canonical size lines, no more and no less: it can go to a chunked client as it is.
    pub verbatim: bool,
    /// The body is complete. What follows in the input is not part of it.
    pub done: bool,
    /// Where the reading stopped: the input's length, or less where the body was complete before.
    pub end: usize,
}

impl Decoder {
    /// At the start of a body.
    #[must_use]
    pub fn new(framing: Framing) -> Self {
        let state = match framing {
            Framing::Chunked => SIZE_LINE,
            Framing::Length(0) => State::Done,
            Framing::Length(left) => State::Length(left),
            Framing::UntilClose => State::UntilClose,
        };
        Self { state }
    }

    /// Reads `input` and appends the ranges of it that are payload. Ranges are never empty.
    ///
    /// # Errors
    /// [`Malformed`] when the framing breaks; the payload before the break is in `payload`.
    pub fn decode(&mut self, input: &[u8], payload: &mut Vec<Range<usize>>) -> Result<Decoded, Malformed> {
        let mut verbatim = self.state == SIZE_LINE && !input.is_empty();
        let mut at = 0;
        while at < input.len() {
            match self.state {
                State::Data(left) => {
                    let take = take(left, input.len() - at);
                    payload.push(at..at + take);
                    at += take;
                    let left = left - take as u64;
                    self.state = if left == 0 { State::DataCr } else { State::Data(left) };
                }
                State::Length(left) => {
                    let take = take(left, input.len() - at);
                    payload.push(at..at + take);
                    at += take;
                    let left = left - take as u64;
                    self.state = if left == 0 { State::Done } else { State::Length(left) };
                }
                State::UntilClose => {
                    payload.push(at..input.len());
                    at = input.len();
                }
                State::Done => break,
                _ => {
                    verbatim &= self.step(input[at])?;
                    at += 1;
                }
            }
        }
        let verbatim = verbatim && self.state == SIZE_LINE;
        Ok(Decoded { verbatim, done: self.state == State::Done, end: at })
    }

    /// Whether the connection's end is the body's proper end here.
    #[must_use]
    pub fn may_close(&self) -> bool {
        matches!(self.state, State::UntilClose | State::Done)
    }

    /// One byte of framing. Returns whether it is canonical.
    fn step(&mut self, byte: u8) -> Result<bool, Malformed> {
        let mut canonical = true;
        self.state = match self.state {
            State::Size { value, digits, length, part } => {
                let length = length + 1;
                if length > MAX_SIZE_LINE {
                    return Err(Malformed);
                }
                match (part, byte) {
                    (SizePart::Digits, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                        let digit = u64::from((byte as char).to_digit(16).ok_or(Malformed)?);
                        // 16 hex digits fill a u64; leading zeros are not canonical but harmless.
                        let value = value.checked_mul(16).ok_or(Malformed)? + digit;
                        canonical = digits < CANONICAL_DIGITS;
                        State::Size { value, digits: digits + 1, length, part }
                    }
                    (SizePart::Digits, b'\r') if digits > 0 => State::Size { value, digits, length, part: SizePart::Lf },
                    (SizePart::Digits, b' ' | b'\t') if digits > 0 => {
                        canonical = false;
                        State::Size { value, digits, length, part: SizePart::Blank }
                    }
                    (SizePart::Blank, b' ' | b'\t') => State::Size { value, digits, length, part },
                    // Extensions are skipped (RFC 9112 section 7.1.1).
                    (SizePart::Digits | SizePart::Blank, b';') if digits > 0 => {
                        canonical = false;
                        State::Size { value, digits, length, part: SizePart::Extension }
                    }
                    (SizePart::Blank | SizePart::Extension, b'\r') => State::Size { value, digits, length, part: SizePart::Lf },
                    (SizePart::Extension, b'\t' | b' '..=b'~' | 0x80..=0xFF) => State::Size { value, digits, length, part },
                    (SizePart::Lf, b'\n') if value == 0 => State::Trailer { length: 0, line: TrailerLine::Empty, after_cr: false },
                    (SizePart::Lf, b'\n') => State::Data(value),
                    _ => return Err(Malformed),
                }
            }
            State::DataCr if byte == b'\r' => State::DataLf,
            State::DataLf if byte == b'\n' => SIZE_LINE,
            State::Trailer { length, line, after_cr } => {
                if length == MAX_TRAILERS {
                    return Err(Malformed);
                }
                let length = length + 1;
                match (line, after_cr, byte) {
                    (TrailerLine::Empty | TrailerLine::Value, false, b'\r') => State::Trailer { length, line, after_cr: true },
                    (TrailerLine::Empty, true, b'\n') => State::Done,
                    (TrailerLine::Value, true, b'\n') => State::Trailer { length, line: TrailerLine::Empty, after_cr: false },
                    (TrailerLine::Name, false, b':') => State::Trailer { length, line: TrailerLine::Value, after_cr },
                    (TrailerLine::Empty | TrailerLine::Name, false, byte) if is_token(&[byte]) => {
                        State::Trailer { length, line: TrailerLine::Name, after_cr }
                    }
                    (TrailerLine::Value, false, b'\t' | b' '..=b'~' | 0x80..=0xFF) => State::Trailer { length, line, after_cr },
                    _ => return Err(Malformed),
                }
            }
            _ => return Err(Malformed),
        };
        Ok(canonical)
    }
}

fn take(left: u64, available: usize) -> usize {
    usize::try_from(left).map_or(available, |left| left.min(available))
}

/// The end of a chunked body without trailers.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// Opens a chunk of `length` bytes; they and [`end_chunk`] follow. `length` is not 0: that would end the body.
pub fn begin_chunk(length: usize, out: &mut Vec<u8>) {
    debug_assert!(length > 0, "an empty chunk ends the body");
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = (usize::BITS - length.leading_zeros()).div_ceil(4).max(1);
    for position in (0..digits).rev() {
        out.push(DIGITS[(length >> (4 * position)) & 0xF]);
    }
    out.extend_from_slice(b"\r\n");
}

/// Closes a chunk.
pub fn end_chunk(out: &mut Vec<u8>) {
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests;
