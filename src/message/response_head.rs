//! A raw response head from the upstream, judged before it is believed.
//!
//! As strict as for requests wherever two readers could see two bodies, since the connection is shared by many clients: a response
//! whose end is uncertain becomes a 502 and its connection is closed. It never repairs. RFC 9112 sections 4 and 6, RFC 9110 section 8.6.

use std::time::Duration;

use bytes::Bytes;
use memchr::memchr_iter;
use pingora::http::ResponseHeader;

use super::Version;
use super::grammar::{
    CONTROL_BYTE, ConnectionOptions, Field, Lines, MAX_FIELD_NAME, Reason, USUAL_FIELDS, content_length, is_forbidden_control, list,
};
use super::hop_by_hop::{is_hop_by_hop, names_fields};

/// Most field lines that may pass: what the parsers behind us take.
pub const MAX_FIELDS: usize = 256;

pub(super) const TOO_MANY_FIELDS: Reason = "too many header fields, or too long a field name";
pub(super) const TWO_LENGTHS: Reason = "two different Content-Lengths";
pub(super) const LENGTH_WITHOUT_BODY: Reason = "Content-Length on a status that has no body";

/// A response head that may pass, as far as the connection is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResponseHead {
    /// The upstream's version.
    pub version: Version,
    /// 100 to 599.
    pub status: u16,
    /// How its body is delimited.
    pub framing: ResponseFraming,
    /// The connection may serve another request after the body. Never true where the body ends with the connection.
    pub keep_alive: bool,
    /// How long the upstream keeps the connection then, where it says so: `timeout` of `Keep-Alive`, in whole seconds (RFC 2068 section
    /// 19.7.1.1, which servers still follow).
    pub promised: Option<Duration>,
}

/// How a response body is delimited (RFC 9112 section 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResponseFraming {
    /// No body whatever the fields say: the answer to HEAD, 1xx, 204, 304.
    None,
    /// `Content-Length`, in bytes.
    Length(u64),
    /// `Transfer-Encoding: chunked`; over HTTP/2, up to END_STREAM.
    Chunked,
    /// Up to the close of the connection. Never so over HTTP/2.
    CloseDelimited,
}

/// Judges the head `raw`, which reaches exactly to the end of its blank line, as the answer to a request with `method`, and gives it in
/// the form that the rest of the proxy reads: reason phrase, fields, their case, order and duplicates as they came. Its parts are slices
/// of `raw`.
///
/// What belongs to the connection alone is left out, so that [`super::response::strip_hop_by_hop`] finds nothing to do: doing it
/// took 6,000 instructions, a twelfth of an ordinary request. But a `Connection` that names other fields stays for that, and everything
/// of a 101 stays.
///
/// # Errors
/// What is wrong, in plain words without any byte of the upstream's. The client gets a 502.
pub fn read(raw: &Bytes, method: &http::Method) -> Result<(ResponseHead, ResponseHeader), &'static str> {
    let mut lines = Lines::new(raw);
    let (version, status, phrase) = status_line(lines.next_line()?.ok_or("there is no status line")?)?;
    let mut header = ResponseHeader::build(status, Some(USUAL_FIELDS)).map_err(|_| UNREADABLE)?;
    header.set_version(if version == Version::Http10 { http::Version::HTTP_10 } else { http::Version::HTTP_11 });
    // What is no UTF-8 nobody reads: the status says it all.
    header.set_reason_phrase(phrase.and_then(|phrase| std::str::from_utf8(phrase).ok())).map_err(|_| UNREADABLE)?;
    let mut fields = Fields::default();
    while let Some(line) = lines.next_line()? {
        let field = Field::parse(line)?;
        fields.add(field)?;
        let ends_here = is_hop_by_hop(field.name) && !(field.is("connection") && names_fields(field.value));
        if status == 101 || !ends_here {
            let value = field.header_value(raw)?;
            header.append_header(raw.slice_ref(field.name), value).map_err(|_| UNREADABLE)?;
        }
    }
    let framing = fields.framing(version, status, method)?;
    let keep_alive = framing != ResponseFraming::CloseDelimited && version.keeps_alive(fields.connection);
    Ok((ResponseHead { version, status, framing, keep_alive, promised: fields.promised }, header))
}

/// Never the case: what is read was judged.
const UNREADABLE: Reason = "it cannot be read";

/// `timeout` of a `Keep-Alive` field.
fn keep_alive_timeout(value: &[u8]) -> Option<Duration> {
    let (_, seconds) = list(value)
        .filter_map(|part| std::str::from_utf8(part).ok()?.split_once('='))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("timeout"))?;
    seconds.trim().parse().ok().map(Duration::from_secs)
}

/// Where the head at the start of `read` ends, of which the first `searched` bytes were searched before: at its first empty line, also
/// one that ends with a bare LF, which [`read`] then refuses. Whatever `read` does not begin like HTTP/1 ends at once.
///
/// # Errors
/// Where to search on once there is more.
pub fn end(read: &[u8], searched: usize) -> Result<usize, usize> {
    let begun = read.len().min(BEGIN.len());
    if read[..begun] != BEGIN[..begun] {
        return Ok(read.len());
    }
    for lf in memchr_iter(b'\n', &read[searched..]).map(|at| searched + at) {
        match &read[lf + 1..] {
            [b'\n', ..] => return Ok(lf + 2),
            [b'\r', b'\n', ..] => return Ok(lf + 3),
            [] | [b'\r'] => return Err(lf),
            _ => {}
        }
    }
    Err(read.len())
}

/// How every head begins.
const BEGIN: &[u8] = b"HTTP/1.";

/// Writes `header` as it goes over HTTP/1.1, but for the empty line behind its fields.
pub fn write(header: &ResponseHeader, out: &mut Vec<u8>) {
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(header.status.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(header.get_reason_phrase().unwrap_or_default().as_bytes());
    out.extend_from_slice(b"\r\n");
    header.header_to_h1_wire(out);
}

/// RFC 9112 section 4: version, status, reason phrase. That may be absent together with its space, as many servers write it.
fn status_line(line: &[u8]) -> Result<(Version, u16, Option<&[u8]>), Reason> {
    let (version, rest) = line.split_at_checked(8).ok_or("the status line is too short")?;
    let version = Version::parse(version).ok_or("the version is neither HTTP/1.0 nor HTTP/1.1")?;
    let [b' ', digits @ ..] = rest else { return Err("no single space after the version") };
    let (digits, phrase) = digits.split_at_checked(3).ok_or("the status is not three digits")?;
    if !digits.iter().all(u8::is_ascii_digit) || !matches!(phrase, [] | [b' ', ..]) {
        return Err("the status is not three digits");
    }
    let status = digits.iter().fold(0, |sum: u16, digit| sum * 10 + u16::from(digit - b'0'));
    if !(100..=599).contains(&status) {
        return Err("the status is not between 100 and 599");
    }
    if phrase.iter().any(|&byte| is_forbidden_control(byte)) {
        return Err(CONTROL_BYTE);
    }
    Ok((version, status, phrase.get(1..)))
}

/// What the field lines say that matters for the body's end.
#[derive(Default)]
struct Fields<'a> {
    count: usize,
    content_length: Option<u64>,
    transfer_encoding: Option<&'a [u8]>,
    connection: ConnectionOptions,
    promised: Option<Duration>,
}

impl<'a> Fields<'a> {
    fn add(&mut self, field: Field<'a>) -> Result<(), Reason> {
        self.count += 1;
        if self.count > MAX_FIELDS || field.name.len() > MAX_FIELD_NAME {
            return Err(TOO_MANY_FIELDS);
        }
        if field.is("content-length") {
            // RFC 9110 section 8.6 lets a proxy take the same number twice, and some servers behind some proxies write it so.
            let length = content_length(field.value)?;
            if self.content_length.replace(length).is_some_and(|other| other != length) {
                return Err(TWO_LENGTHS);
            }
        } else if field.is("transfer-encoding") {
            if self.transfer_encoding.replace(field.value).is_some() {
                return Err("more than one Transfer-Encoding");
            }
        } else if field.is("connection") {
            self.connection.add(field.value);
        } else if field.is("keep-alive") {
            self.promised = self.promised.or_else(|| keep_alive_timeout(field.value));
        }
        Ok(())
    }

    fn framing(&self, version: Version, status: u16, method: &http::Method) -> Result<ResponseFraming, Reason> {
        let never_has_body = status < 200 || status == 204;
        if let Some(coding) = self.transfer_encoding {
            if self.content_length.is_some() {
                return Err("Content-Length and Transfer-Encoding together");
            }
            if version == Version::Http10 {
                return Err("Transfer-Encoding on HTTP/1.0");
            }
            if !coding.eq_ignore_ascii_case(b"chunked") {
                return Err("Transfer-Encoding is not one plain chunked");
            }
            if never_has_body {
                return Err("Transfer-Encoding on a status that has no body");
            }
        }
        // RFC 9110 section 8.6 forbids the field here, and servers that write a zero mean no harm by it. Any other number leaves open
        // whether bytes follow.
        if never_has_body && self.content_length.is_some_and(|length| length > 0) {
            return Err(LENGTH_WITHOUT_BODY);
        }
        if never_has_body || status == 304 || method == http::Method::HEAD {
            return Ok(ResponseFraming::None);
        }
        Ok(match (self.transfer_encoding, self.content_length) {
            (Some(_), _) => ResponseFraming::Chunked,
            (None, Some(length)) => ResponseFraming::Length(length),
            (None, None) => ResponseFraming::CloseDelimited,
        })
    }
}

#[cfg(test)]
pub(super) mod tests;
