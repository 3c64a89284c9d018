//! Where a request head ends, found as its bytes arrive.
//!
//! A state machine over grammar positions: each byte is looked at once, whatever the reads were, so that a head sent byte by byte costs
//! no more than one sent whole. It accepts CRLF as line end and nothing else (RFC 9112 section 2.2 would let us take a bare LF), and it
//! notices what can never become a head as soon as it is seen: TLS on a plain port, another protocol, a bare CR or LF, a NUL, a bad
//! request line. So garbage is answered at once and does not sit until the deadline. The rest is judged when the head is complete
//! ([`super::request_head::read`]).

use memchr::memchr3;

use super::grammar::{BARE_CR, BARE_LF, CONTROL_BYTE, token_length};
use super::request_head::Refusal;
use super::request_line::{self, MAX_METHOD, METHOD_TOO_LONG};

/// What is known after the bytes so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadEnd {
    /// Nothing is wrong yet, and the end is not there.
    Partial,
    /// The head is `..end`, its blank line included.
    Complete(usize),
    /// This can never become a head that passes.
    Refused(Refusal),
}

/// Finds the end of one request head in a buffer that only grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadScanner {
    position: Position,
    /// Everything before this was looked at.
    at: usize,
    /// Where the current line began.
    line: usize,
}

/// Where in the grammar the scanner stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Position {
    /// Before the first byte, where one empty line is allowed.
    Start,
    /// In the method, before its space.
    Method,
    /// In the request line, after the method.
    RequestLine,
    /// In a field line, or in the blank line.
    FieldLine,
}

impl Default for HeadScanner {
    fn default() -> Self {
        Self::new()
    }
}

impl HeadScanner {
    /// A scanner before the first byte of a head.
    #[must_use]
    pub fn new() -> Self {
        Self { position: Position::Start, at: 0, line: 0 }
    }

    /// Goes on in `buffer`, which starts with the bytes of the previous call and may have more.
    ///
    /// The caller bounds the buffer; once the answer is not [`HeadEnd::Partial`] the scanner is spent.
    pub fn scan(&mut self, buffer: &[u8]) -> HeadEnd {
        loop {
            let step = match self.position {
                Position::Start => self.start(buffer),
                Position::Method => self.method(buffer),
                Position::RequestLine | Position::FieldLine => self.line(buffer),
            };
            if let Some(end) = step {
                return end;
            }
        }
    }

    /// RFC 9112 section 2.2: one empty line before the request line is skipped.
    fn start(&mut self, buffer: &[u8]) -> Option<HeadEnd> {
        match buffer {
            [] | [b'\r'] => return Some(HeadEnd::Partial),
            [b'\r', b'\n', ..] => self.at = 2,
            _ => {}
        }
        self.line = self.at;
        self.position = Position::Method;
        None
    }

    fn method(&mut self, buffer: &[u8]) -> Option<HeadEnd> {
        let rest = buffer.get(self.at..).unwrap_or_default();
        self.at += token_length(rest);
        let length = self.at - self.line;
        if length > MAX_METHOD {
            return Some(HeadEnd::Refused(METHOD_TOO_LONG));
        }
        match buffer.get(self.at) {
            None => return Some(HeadEnd::Partial),
            Some(b' ') if length > 0 => self.position = Position::RequestLine,
            Some(_) => return Some(HeadEnd::Refused(Refusal::malformed("this does not begin like an HTTP request"))),
        }
        None
    }

    fn line(&mut self, buffer: &[u8]) -> Option<HeadEnd> {
        let refuse = |reason| Some(HeadEnd::Refused(Refusal::malformed(reason)));
        let rest = buffer.get(self.at..).unwrap_or_default();
        let Some(found) = memchr3(b'\r', b'\n', 0, rest) else {
            self.at = buffer.len();
            return Some(HeadEnd::Partial);
        };
        self.at += found;
        match &rest[found..] {
            [b'\r', b'\n', ..] => {}
            [b'\r'] => return Some(HeadEnd::Partial),
            [b'\r', ..] => return refuse(BARE_CR),
            [b'\n', ..] => return refuse(BARE_LF),
            _ => return refuse(CONTROL_BYTE),
        }
        let line = &buffer[self.line..self.at];
        if self.position == Position::RequestLine {
            if let Err(refusal) = request_line::parse(line) {
                return Some(HeadEnd::Refused(refusal));
            }
            self.position = Position::FieldLine;
        } else if line.is_empty() {
            return Some(HeadEnd::Complete(self.at + 2));
        }
        self.at += 2;
        self.line = self.at;
        None
    }
}

#[cfg(test)]
mod tests;
