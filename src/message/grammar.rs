//! The grammar that request and response heads share: lines, field lines, tokens, lists, lengths.
//!
//! It borrows and never allocates, and it never forgives: a line ends with CRLF or the head is refused. RFC 9110 section 5.5 and 5.6,
//! RFC 9112 sections 2.2, 5 and 6.

use bytes::Bytes;
use http::HeaderValue;
use memchr::{memchr, memchr2};

/// Why a head is refused, in plain words.
pub(super) type Reason = &'static str;

pub(super) const BARE_LF: Reason = "a line ends with LF without CR";
pub(super) const BARE_CR: Reason = "a CR is not followed by LF";
pub(super) const CONTROL_BYTE: Reason = "a control byte in the head";

/// Longest field name that may pass; everything that names fields in practice stays far below.
pub(super) const MAX_FIELD_NAME: usize = 256;

/// Room for the fields of most heads.
pub(super) const USUAL_FIELDS: usize = 16;

/// `tchar` of RFC 9110 section 5.6.2.
const fn is_token_byte(byte: u8) -> bool {
    matches!(byte,
        b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z'
        | b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~')
}

const TOKEN_BYTES: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = is_token_byte(byte as u8);
        byte += 1;
    }
    table
};

/// How many bytes at the start of `text` may stand in a token.
pub(super) fn token_length(text: &[u8]) -> usize {
    text.iter().position(|&byte| !TOKEN_BYTES[usize::from(byte)]).unwrap_or(text.len())
}

/// Whether all of `text` is one token.
pub(super) fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && token_length(text) == text.len()
}

/// Whether `byte` may never stand in a field value or a reason phrase: any control but HTAB (RFC 9110 section 5.5).
pub(super) fn is_forbidden_control(byte: u8) -> bool {
    (byte < b' ' && byte != b'\t') || byte == 0x7f
}

/// Whether CGI and WSGI give applications the field `name` under the same name as `expected`: in any case, `_` for `-`.
pub(super) fn reads_as(name: &[u8], expected: &[u8]) -> bool {
    let as_read = |byte: u8| if byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
    name.len() == expected.len() && name.iter().zip(expected).all(|(&byte, &other)| as_read(byte) == as_read(other))
}

/// `text` without the optional whitespace (SP and HTAB) around it.
pub(super) fn trim(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = text {
        text = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

/// The members of a comma-separated list without quoted strings, trimmed; empty members are kept.
pub(super) fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(trim)
}

/// The lines of a head, up to the blank line that must be its last.
pub(super) struct Lines<'a> {
    rest: &'a [u8],
}

impl<'a> Lines<'a> {
    pub(super) fn new(head: &'a [u8]) -> Self {
        Self { rest: head }
    }

    /// The next line without its CRLF; `None` at the blank line that ends the head.
    pub(super) fn next_line(&mut self) -> Result<Option<&'a [u8]>, Reason> {
        let end = memchr2(b'\r', b'\n', self.rest).ok_or("the head does not end with a blank line")?;
        if self.rest[end] == b'\n' {
            return Err(BARE_LF);
        }
        if self.rest.get(end + 1) != Some(&b'\n') {
            return Err(BARE_CR);
        }
        let line = &self.rest[..end];
        self.rest = &self.rest[end + 2..];
        if !line.is_empty() {
            return Ok(Some(line));
        }
        if self.rest.is_empty() { Ok(None) } else { Err("bytes follow the blank line that ends the head") }
    }
}

/// One field line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Field<'a> {
    pub(super) name: &'a [u8],
    /// Without the whitespace around it.
    pub(super) value: &'a [u8],
}

impl<'a> Field<'a> {
    pub(super) fn parse(line: &'a [u8]) -> Result<Self, Reason> {
        // RFC 9112 section 5.2: a folded line is refused, not unfolded; 2.2: so is whitespace before the first field.
        if matches!(line.first(), Some(b' ' | b'\t')) {
            return Err("a field line starts with whitespace");
        }
        let colon = memchr(b':', line).ok_or("a field line has no colon")?;
        let (name, value) = (&line[..colon], trim(&line[colon + 1..]));
        if matches!(name.last(), Some(b' ' | b'\t')) {
            // RFC 9112 section 5.1: the classic way to hide a field from one of two parsers.
            return Err("whitespace between a field name and its colon");
        }
        if !is_token(name) {
            return Err("a field name is empty or has a byte that is not allowed there");
        }
        // Without a way out half-way, the compiler looks at 32 bytes at a time.
        if value.iter().fold(false, |found, &byte| found | is_forbidden_control(byte)) {
            return Err(CONTROL_BYTE);
        }
        Ok(Self { name, value })
    }

    /// The value, as a slice of `raw`, of which this field is.
    pub(super) fn header_value(&self, raw: &Bytes) -> Result<HeaderValue, Reason> {
        HeaderValue::from_maybe_shared(raw.slice_ref(self.value)).map_err(|_| CONTROL_BYTE)
    }

    /// Whether this field has `name`, in any case.
    pub(super) fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }
}

/// A `Content-Length` value: digits and nothing else (RFC 9110 section 8.6).
pub(super) fn content_length(value: &[u8]) -> Result<u64, Reason> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err("Content-Length is not one plain number");
    }
    value
        .iter()
        .try_fold(0_u64, |sum, digit| sum.checked_mul(10)?.checked_add(u64::from(digit - b'0')))
        .ok_or("Content-Length is larger than any body")
}

/// The options of all `Connection` fields of a head that say how long the connection lives.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct ConnectionOptions {
    pub(super) close: bool,
    pub(super) keep_alive: bool,
}

impl ConnectionOptions {
    pub(super) fn add(&mut self, value: &[u8]) {
        for option in list(value) {
            self.close |= option.eq_ignore_ascii_case(b"close");
            self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
        }
    }
}
