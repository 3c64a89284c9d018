//! One line of the access log, field by field: `key=value` or JSON (RFC 8259). Whatever bytes a value has, the line stays one line and
//! can be taken apart again, and nothing in it can steer a terminal.
//!
//! Text: a value of plain printable ASCII stands as it is; any other is quoted, and in quotes each byte that is not printable ASCII is
//! `\xHH`. JSON: bytes that are no UTF-8 become U+FFFD; control and direction characters are escaped.

use std::fmt;
use std::io::Write;
use std::net::IpAddr;
use std::time::Duration;

use super::super::logging::LogFormat;
use crate::ip_text;

/// Bytes of one value; the rest is cut. A client must not fill the disk with one request.
pub(super) const LONGEST_VALUE: usize = 1024;
/// Stands at the end of a value that was cut.
const CUT: &[u8] = b"...";

/// Writes one line. Keys are ours and need no escaping. Nothing here can fail: it writes to memory.
pub(super) struct Encoder<'a> {
    out: &'a mut Vec<u8>,
    format: LogFormat,
    first: bool,
}

impl<'a> Encoder<'a> {
    /// Begins a line at the end of `out`.
    pub(super) fn new(format: LogFormat, out: &'a mut Vec<u8>) -> Self {
        if format == LogFormat::Json {
            out.push(b'{');
        }
        Self { out, format, first: true }
    }

    /// A value from anywhere.
    pub(super) fn text(&mut self, key: &str, value: &[u8]) {
        self.key(key);
        let (value, rest) = match value.get(..LONGEST_VALUE) {
            Some(start) if start.len() < value.len() => (whole_characters(start), CUT),
            _ => (value, &[][..]),
        };
        match self.format {
            LogFormat::Text if rest.is_empty() && is_plain(value) => self.out.extend_from_slice(value),
            LogFormat::Text => self.quoted(rest, |out| escape_text(value, out)),
            LogFormat::Json => self.quoted(rest, |out| escape_json(value, out)),
        }
    }

    /// A value from anywhere, if there is one; else the key is left out.
    pub(super) fn text_if(&mut self, key: &str, value: Option<&[u8]>) {
        if let Some(value) = value {
            self.text(key, value);
        }
    }

    /// A value whose text is known to be plain: a time.
    pub(super) fn plain(&mut self, key: &str, value: fmt::Arguments<'_>) {
        self.unescaped(key, |out| {
            let _ = out.write_fmt(value);
        });
    }

    /// An address.
    pub(super) fn address(&mut self, key: &str, value: IpAddr) {
        self.unescaped(key, |out| ip_text::push(value, out));
    }

    fn unescaped(&mut self, key: &str, write: impl FnOnce(&mut Vec<u8>)) {
        self.key(key);
        match self.format {
            LogFormat::Text => write(self.out),
            LogFormat::Json => self.quoted(&[], write),
        }
    }

    /// A number.
    pub(super) fn number(&mut self, key: &str, value: u64) {
        self.key(key);
        self.digits(value, 1);
    }

    /// Seconds, to the microsecond.
    pub(super) fn seconds(&mut self, key: &str, value: Duration) {
        self.key(key);
        self.digits(value.as_secs(), 1);
        self.out.push(b'.');
        self.digits(value.subsec_micros().into(), 6);
    }

    /// Seconds, if known; else the key is left out.
    pub(super) fn seconds_if(&mut self, key: &str, value: Option<Duration>) {
        if let Some(value) = value {
            self.seconds(key, value);
        }
    }

    /// Ends the line.
    pub(super) fn finish(self) {
        if self.format == LogFormat::Json {
            self.out.push(b'}');
        }
        self.out.push(b'\n');
    }

    fn key(&mut self, key: &str) {
        let first = std::mem::replace(&mut self.first, false);
        match self.format {
            LogFormat::Text => {
                if !first {
                    self.out.push(b' ');
                }
                self.out.extend_from_slice(key.as_bytes());
                self.out.push(b'=');
            }
            LogFormat::Json => {
                self.out.extend_from_slice(if first { b"\"" } else { b",\"" });
                self.out.extend_from_slice(key.as_bytes());
                self.out.extend_from_slice(b"\":");
            }
        }
    }

    fn quoted(&mut self, rest: &[u8], escape: impl FnOnce(&mut Vec<u8>)) {
        self.out.push(b'"');
        escape(self.out);
        self.out.extend_from_slice(rest);
        self.out.push(b'"');
    }

    /// A decimal of at least so many digits. By hand: a line has seven of them, and `fmt` would be a third of its cost.
    fn digits(&mut self, mut value: u64, least: usize) {
        let mut digits = [b'0'; 20];
        let mut at = digits.len();
        while value > 0 || digits.len() - at < least {
            at -= 1;
            digits[at] = b'0' + (value % 10) as u8;
            value /= 10;
        }
        self.out.extend_from_slice(&digits[at..]);
    }
}

/// Whether a value needs no quotes in text.
fn is_plain(value: &[u8]) -> bool {
    !value.is_empty() && value.iter().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\' | b'='))
}

/// Without a character at the end that the cut went through.
fn whole_characters(cut: &[u8]) -> &[u8] {
    match std::str::from_utf8(cut) {
        Err(error) if error.error_len().is_none() => &cut[..error.valid_up_to()],
        _ => cut,
    }
}

fn escape_text(value: &[u8], out: &mut Vec<u8>) {
    for &byte in value {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            b' '..=b'~' => out.push(byte),
            _ => out.extend_from_slice(&[b'\\', b'x', hex(byte >> 4), hex(byte)]),
        }
    }
}

fn escape_json(value: &[u8], out: &mut Vec<u8>) {
    if value.iter().all(|byte| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\')) {
        out.extend_from_slice(value);
        return;
    }
    for chunk in value.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '"' | '\\' => out.extend_from_slice(&[b'\\', character as u8]),
                ' '..='~' => out.push(character as u8),
                _ if misleads(character) => {
                    // All of them are in the first plane, so one escape is enough.
                    let code = character as u32;
                    out.extend_from_slice(b"\\u");
                    out.extend([12, 8, 4, 0].map(|shift| hex((code >> shift) as u8)));
                }
                _ => out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
}

/// Characters that steer a terminal, break a line, or change the order in which a reader sees the rest.
fn misleads(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// The digit for the lower half of a byte.
fn hex(half: u8) -> u8 {
    b"0123456789abcdef"[usize::from(half & 15)]
}
