//! A raw HTTP/1 request head, judged before any other parser sees a byte of it.
//!
//! The parser behind us repairs what must be refused: it takes a bare LF, drops `Content-Length` beside `Transfer-Encoding`, escapes a
//! bad target. So the judgement falls here, on the bytes, and is one of two: a head that every parser reads in the same way, or a
//! refusal with a status and a plain reason, after which the connection closes. It never rewrites anything. RFC 9112 sections 2 to 6
//! and 11.2 (request smuggling), RFC 9110 sections 7.2 and 10.1.1.

use bytes::Bytes;
use pingora::http::RequestHeader;

use super::Version;
use super::grammar::{ConnectionOptions, Field, Lines, MAX_FIELD_NAME, Reason, USUAL_FIELDS, content_length, is_token, list, trim};
use super::request_line::{self, RequestLine, Target};

/// Most field lines that may pass; the parsers behind us stop at 256.
pub const MAX_FIELDS: usize = 200;

/// A request head that may pass, as far as the connection is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestHead {
    /// The method, never CONNECT.
    pub method: http::Method,
    /// The client's version.
    pub version: Version,
    /// How its body is delimited.
    pub framing: RequestFraming,
    /// The client waits for `100 Continue` before it sends its body. Never true without a body or on HTTP/1.0.
    pub expect_continue: bool,
    /// The client keeps the connection after this exchange. Always so over HTTP/2.
    pub keep_alive: bool,
}

/// How a request body is delimited (RFC 9112 section 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestFraming {
    /// Neither field: no body. Over HTTP/2, the head ended the stream.
    None,
    /// `Content-Length`, in bytes.
    Length(u64),
    /// A length that the head does not say: `Transfer-Encoding: chunked`; over HTTP/2, up to END_STREAM.
    Chunked,
}

impl RequestFraming {
    /// Whether body bytes follow the head.
    #[must_use]
    pub fn has_body(self) -> bool {
        !matches!(self, Self::None | Self::Length(0))
    }
}

/// Why a head does not pass. The answer is this status, and the connection closes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// 400, 414, 417, 431, 501 or 505.
    pub status: u16,
    /// What was wrong, in plain words without any byte of the client's.
    pub reason: &'static str,
}

impl Refusal {
    pub(super) const fn malformed(reason: Reason) -> Self {
        Self { status: 400, reason }
    }
}

pub(super) const TOO_MANY_FIELDS: Refusal = Refusal { status: 431, reason: "too many header fields" };
pub(super) const NAME_TOO_LONG: Refusal = Refusal { status: 431, reason: "a field name is too long" };
/// RFC 9110 section 10.1.1: there is one expectation. Whoever expects something else learns that it will not be met.
pub(super) const UNKNOWN_EXPECTATION: Refusal = Refusal { status: 417, reason: "Expect names something else than 100-continue" };

/// Judges the head `raw`, which reaches exactly to the end of its blank line (see [`super::HeadScanner`]), and gives it in the form that
/// the rest of the proxy reads: target, fields, their case, order and duplicates as they came. Its parts are slices of `raw`.
///
/// # Errors
/// The [`Refusal`] to answer with.
pub fn read(raw: &Bytes) -> Result<(RequestHead, RequestHeader), Refusal> {
    let mut lines = Lines::new(raw.strip_prefix(b"\r\n").unwrap_or(raw));
    let start = lines.next_line().map_err(Refusal::malformed)?.ok_or(Refusal::malformed("there is no request line"))?;
    let line = request_line::parse(start)?;
    let target = start.split(|&byte| byte == b' ').nth(1).ok_or(UNREADABLE)?;
    let mut header = RequestHeader::build(line.method.clone(), target, Some(USUAL_FIELDS)).map_err(|_| UNREADABLE)?;
    header.set_version(if line.version == Version::Http10 { http::Version::HTTP_10 } else { http::Version::HTTP_11 });
    let mut fields = Fields::default();
    while let Some(field) = lines.next_line().map_err(Refusal::malformed)? {
        let field = Field::parse(field).map_err(Refusal::malformed)?;
        fields.add(field)?;
        let value = field.header_value(raw).map_err(Refusal::malformed)?;
        header.append_header(raw.slice_ref(field.name), value).map_err(|_| UNREADABLE)?;
    }
    let framing = fields.framing(line.version)?;
    fields.check_host(&line).map_err(Refusal::malformed)?;
    let head = RequestHead {
        expect_continue: fields.expects_continue && framing.has_body() && line.version == Version::Http11,
        keep_alive: line.version.keeps_alive(fields.connection),
        method: line.method,
        version: line.version,
        framing,
    };
    Ok((head, header))
}

/// Never the case: what is read was judged.
const UNREADABLE: Refusal = Refusal::malformed("it cannot be read");

/// What the field lines say that matters before routing.
#[derive(Default)]
struct Fields<'a> {
    count: usize,
    host: Option<&'a [u8]>,
    content_length: Option<u64>,
    transfer_encoding: Option<&'a [u8]>,
    expects_continue: bool,
    connection: ConnectionOptions,
}

impl<'a> Fields<'a> {
    fn add(&mut self, field: Field<'a>) -> Result<(), Refusal> {
        self.count += 1;
        if self.count > MAX_FIELDS {
            return Err(TOO_MANY_FIELDS);
        }
        if field.name.len() > MAX_FIELD_NAME {
            return Err(NAME_TOO_LONG);
        }
        if field.is("host") {
            if self.host.replace(field.value).is_some() {
                return Err(Refusal::malformed("more than one Host"));
            }
        } else if field.is("content-length") {
            let length = content_length(field.value).map_err(Refusal::malformed)?;
            if self.content_length.replace(length).is_some() {
                return Err(Refusal::malformed("more than one Content-Length"));
            }
        } else if field.is("transfer-encoding") {
            if self.transfer_encoding.replace(field.value).is_some() {
                return Err(Refusal::malformed("more than one Transfer-Encoding"));
            }
        } else if field.is("connection") {
            self.connection.add(field.value);
        } else if field.is("expect") {
            if !field.value.eq_ignore_ascii_case(b"100-continue") {
                return Err(UNKNOWN_EXPECTATION);
            }
            self.expects_continue = true;
        }
        Ok(())
    }

    fn framing(&self, version: Version) -> Result<RequestFraming, Refusal> {
        match (self.content_length, self.transfer_encoding) {
            (None, None) => Ok(RequestFraming::None),
            (Some(length), None) => Ok(RequestFraming::Length(length)),
            // RFC 9112 section 6.1 lets a server drop one of the two; the next hop may drop the other.
            (Some(_), Some(_)) => Err(Refusal::malformed("Content-Length and Transfer-Encoding together")),
            (None, Some(_)) if version == Version::Http10 => Err(Refusal::malformed("Transfer-Encoding on HTTP/1.0")),
            (None, Some(coding)) if coding.eq_ignore_ascii_case(b"chunked") => Ok(RequestFraming::Chunked),
            (None, Some(other)) => Err(refuse_coding(other)),
        }
    }

    /// RFC 9112 section 3.2: exactly one valid `Host` on HTTP/1.1, at most one on HTTP/1.0.
    ///
    /// An absolute-form target must carry the same authority, byte for byte. Section 3.2.2 would let the target win, but then somebody
    /// on the way may have gone by the other name; a client that writes both writes them alike.
    fn check_host(&self, line: &RequestLine<'_>) -> Result<(), Reason> {
        let Some(host) = self.host else {
            return if line.version == Version::Http11 { Err("HTTP/1.1 without Host") } else { Ok(()) };
        };
        request_line::authority(host)?;
        match line.target {
            Target::Absolute(absolute) if absolute.authority != host => Err("Host is not the authority of the target"),
            _ => Ok(()),
        }
    }
}

/// 501 for codings that we do not know under a final `chunked` (RFC 9112 section 6.1), 400 where the body has no certain end (6.3).
fn refuse_coding(value: &[u8]) -> Refusal {
    fn name(coding: &[u8]) -> &[u8] {
        trim(coding.split(|&byte| byte == b';').next().unwrap_or_default())
    }
    if !list(value).all(|coding| is_token(name(coding))) {
        return Refusal::malformed("Transfer-Encoding is malformed");
    }
    let chunked = list(value).filter(|coding| name(coding).eq_ignore_ascii_case(b"chunked")).count();
    let ends_chunked = list(value).last().is_some_and(|coding| coding.eq_ignore_ascii_case(b"chunked"));
    if chunked == 1 && ends_chunked {
        return Refusal { status: 501, reason: "a transfer coding other than chunked" };
    }
    Refusal::malformed("Transfer-Encoding does not end with one plain chunked")
}

#[cfg(test)]
pub(super) mod tests;
