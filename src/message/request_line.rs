//! The request line: method, target, version, and the authority that the target and `Host` carry.
//!
//! Stricter than RFC 9112 section 3 allows, never laxer: one SP between the parts, visible ASCII in the target, no fragment, no
//! userinfo. What passes here is taken byte for byte by the parsers behind us; it must never be escaped or repaired on the way.

use std::net::Ipv6Addr;
use std::str::FromStr;

use super::Version;
use super::grammar::{Reason, is_token};
use super::request_head::Refusal;

/// Longest method that may pass. The longest registered one has 17 bytes.
pub(super) const MAX_METHOD: usize = 32;

/// Longest target that may pass: what the `http` crate's `Uri` holds (65,534), less the slash that an absolute form may lack.
pub(super) const MAX_TARGET: usize = 65_533;

pub(super) const METHOD_TOO_LONG: Refusal = Refusal { status: 501, reason: "the method is longer than any that exists" };

pub(super) const TARGET_TOO_LONG: Refusal = Refusal { status: 414, reason: "the target is too long" };

/// A gateway has no tunnel to offer to anybody: not implemented (RFC 9110 section 9.1), rather than 405, which would owe the client an
/// Allow field for a target that is no resource of ours.
pub(super) const CONNECT: Refusal = Refusal { status: 501, reason: "CONNECT is not implemented here" };

/// A request line that may pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RequestLine<'a> {
    pub(super) method: http::Method,
    pub(super) target: Target<'a>,
    pub(super) version: Version,
}

/// The forms of RFC 9112 section 3.2 that may pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target<'a> {
    /// `/path?query`
    Origin,
    /// `http://authority/path?query`
    Absolute(Absolute<'a>),
    /// `*`, with OPTIONS only.
    Asterisk,
}

/// The parts of an absolute-form target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Absolute<'a> {
    /// Between `//` and the path; may be anything until [`authority`] judged it.
    pub(super) authority: &'a [u8],
    /// From the first `/` or `?` on; may be empty, may lack its slash.
    pub(super) path_and_query: &'a [u8],
}

impl<'a> Absolute<'a> {
    /// Splits `target` if it has the form `http://...` or `https://...`.
    pub(super) fn split(target: &'a [u8]) -> Option<Self> {
        let rest = [&b"http://"[..], b"https://"].into_iter().find_map(|scheme| {
            let (start, rest) = target.split_at_checked(scheme.len())?;
            start.eq_ignore_ascii_case(scheme).then_some(rest)
        })?;
        let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
        let (authority, path_and_query) = rest.split_at(end);
        Some(Self { authority, path_and_query })
    }
}

/// Judges the request line, given without its CRLF.
pub(super) fn parse(line: &[u8]) -> Result<RequestLine<'_>, Refusal> {
    let mut parts = line.split(|&byte| byte == b' ');
    let (Some(method), Some(target), Some(version), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        // Two parts are an HTTP/0.9 request; more than three hide a space that another parser may skip.
        return Err(Refusal::malformed("the request line is not method, target and version with one space between them"));
    };
    if !is_token(method) {
        return Err(Refusal::malformed("the method is not a token"));
    }
    if method.len() > MAX_METHOD {
        return Err(METHOD_TOO_LONG);
    }
    let version = parse_version(version)?;
    let method = http::Method::from_bytes(method).map_err(|_| Refusal::malformed("the method is not a token"))?;
    if target.len() > MAX_TARGET {
        return Err(TARGET_TOO_LONG);
    }
    if method == http::Method::CONNECT {
        return Err(CONNECT);
    }
    let target = parse_target(target, &method).map_err(Refusal::malformed)?;
    Ok(RequestLine { method, target, version })
}

fn parse_version(text: &[u8]) -> Result<Version, Refusal> {
    if let Some(version) = Version::parse(text) {
        return Ok(version);
    }
    match text {
        b"HTTP/0.9" => Err(Refusal::malformed("HTTP/0.9 has no version in its request line")),
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor] if major.is_ascii_digit() && minor.is_ascii_digit() => {
            Err(Refusal { status: 505, reason: "the version is neither HTTP/1.0 nor HTTP/1.1" })
        }
        _ => Err(Refusal::malformed("the version is not of the form HTTP/1.1")),
    }
}

/// Judges a target, which may have any form but that of CONNECT.
pub(super) fn parse_target<'a>(target: &'a [u8], method: &http::Method) -> Result<Target<'a>, Reason> {
    if target == b"*" {
        return if method == http::Method::OPTIONS { Ok(Target::Asterisk) } else { Err("the target * belongs to OPTIONS alone") };
    }
    if target.first() == Some(&b'/') {
        path_and_query(target)?;
        return Ok(Target::Origin);
    }
    let absolute = Absolute::split(target).ok_or("the target is neither a path nor an http or https URL")?;
    path_and_query(absolute.path_and_query)?;
    authority(absolute.authority)?;
    Ok(Target::Absolute(absolute))
}

/// Judges the bytes of a path and its query. Visible ASCII without `#`, and without the few bytes that the `http` crate's `Uri`
/// refuses where they stand (`<` and `>`, `` ` `` in a path, `"` in a query), all of which a client has to escape (RFC 3986
/// section 2). A test holds this to the crate, byte by byte.
fn path_and_query(text: &[u8]) -> Result<(), Reason> {
    let query_at = text.iter().position(|&byte| byte == b'?').unwrap_or(text.len());
    let (path, query) = text.split_at(query_at);
    let visible = |byte: &u8| matches!(byte, 0x21..=0x7e) && !matches!(byte, b'#' | b'<' | b'>');
    let path_is_fine = path.iter().all(|byte| visible(byte) && *byte != b'`');
    let query_is_fine = query.iter().all(|byte| visible(byte) && *byte != b'"');
    if path_is_fine && query_is_fine { Ok(()) } else { Err("the target has a byte that must be escaped there") }
}

/// Judges an authority, in `Host` or in an absolute-form target (RFC 9110 section 4.2, RFC 3986 section 3.2).
///
/// Names of unreserved characters, IPv4 addresses, bracketed IPv6 addresses, an optional port. Escapes and
/// sub-delimiters, which the RFC allows in names and nobody uses, are refused: they let two readers see two hosts.
pub(super) fn authority(text: &[u8]) -> Result<(), Reason> {
    if text.is_empty() {
        return Err("the host is empty");
    }
    let host_end = if text[0] == b'[' {
        let end = text.iter().position(|&byte| byte == b']').ok_or("the host has an opening bracket only")?;
        let address = str::from_utf8(&text[1..end]).ok().and_then(|text| Ipv6Addr::from_str(text).ok());
        address.ok_or("the host has brackets around what is no IPv6 address")?;
        end + 1
    } else {
        let end = text.iter().position(|&byte| byte == b':').unwrap_or(text.len());
        let unreserved = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
        if end == 0 || !text[..end].iter().all(unreserved) {
            return Err("the host has a byte that no host name has");
        }
        end
    };
    match &text[host_end..] {
        [] => Ok(()),
        [b':', port @ ..] if is_port(port) => Ok(()),
        _ => Err("the port is not a number"),
    }
}

/// One to five digits, within 16 bits. A colon without a port, which the RFC allows, is refused.
fn is_port(text: &[u8]) -> bool {
    let is_short_number = (1..=5).contains(&text.len()) && text.iter().all(u8::is_ascii_digit);
    is_short_number && text.iter().fold(0, |sum: u32, digit| sum * 10 + u32::from(digit - b'0')) <= u32::from(u16::MAX)
}
