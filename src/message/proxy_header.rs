//! The header of the PROXY protocol, versions 1 and 2, by which a proxy that forwards bytes tells whose connection it is
//! (`proxy-protocol.txt` of HAProxy, sections 2.1 and 2.2). Before HTTP, and before TLS.
//!
//! The crate reads addresses; what it forgives is refused here, so that a header has one reading and an end that is known before anything
//! behind it is touched. Nothing is kept between two calls: a header is small, and there is one in a connection's life.

use std::net::SocketAddr;

use proxy_header::{ParseConfig, Protocol, ProxyHeader as Parsed};

/// The longest header of version 1, its CRLF included (section 2.1).
pub const LONGEST_V1: usize = 107;

/// The longest header of version 2 that is read. Its length field allows 64 KiB more than addresses and the values of common proxies
/// take; a client certificate that is passed on fits.
pub const LONGEST_V2: usize = 4096;

/// What begins a header of version 1.
const V1: &[u8] = b"PROXY ";
/// What begins a header of version 2 (section 2.2).
const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// The part of version 2 that all headers have: signature, command, family, length.
const V2_FIXED: usize = 16;
/// Commands of version 2.
const LOCAL: u8 = 0x20;
const PROXY: u8 = 0x21;
/// Families of version 2: TCP over IPv4 and IPv6, a stream over a unix socket, and none.
const UNSPECIFIED: u8 = 0x00;
const TCP4: u8 = 0x11;
const TCP6: u8 = 0x21;
const UNIX: u8 = 0x31;

/// What a connection begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyHeader {
    /// All of it belongs to a header, which is not whole yet.
    Partial,
    /// A whole header.
    Complete {
        /// Whose connection it is; `None` where the proxy speaks for itself (`LOCAL`) or does not know (`UNKNOWN`).
        source: Option<SocketAddr>,
        /// Its bytes.
        length: usize,
    },
    /// Something else than a header.
    Missing,
    /// It begins like a header and is none, in plain words.
    Malformed(&'static str),
}

impl ProxyHeader {
    /// Judges the first bytes of a connection.
    #[must_use]
    pub fn scan(bytes: &[u8]) -> Self {
        if begins(bytes, V1) {
            v1(bytes)
        } else if begins(bytes, V2) {
            v2(bytes)
        } else {
            Self::Missing
        }
    }
}

/// Whether `bytes` begins with `signature`, as far as either goes.
fn begins(bytes: &[u8], signature: &[u8]) -> bool {
    bytes.iter().zip(signature).all(|(have, want)| have == want)
}

fn v1(bytes: &[u8]) -> ProxyHeader {
    let within = &bytes[..bytes.len().min(LONGEST_V1)];
    let Some(end) = within.iter().position(|&byte| byte == b'\r' || byte == b'\n') else {
        return if bytes.len() < LONGEST_V1 {
            ProxyHeader::Partial
        } else {
            ProxyHeader::Malformed("the line of version 1 is longer than 107 bytes")
        };
    };
    match within[end..] {
        [b'\r'] if end + 2 <= LONGEST_V1 => ProxyHeader::Partial,
        [b'\r', b'\n', ..] => v1_line(&within[..end + 2]),
        _ => ProxyHeader::Malformed("the line of version 1 does not end with CRLF"),
    }
}

/// A whole line. It has one form: one space between its parts, and numbers without a sign or zeros before them.
fn v1_line(line: &[u8]) -> ProxyHeader {
    const MALFORMED: ProxyHeader =
        ProxyHeader::Malformed("the line of version 1 is not `PROXY`, `TCP4` or `TCP6`, two addresses and two ports");
    let length = line.len();
    let parts: Vec<&[u8]> = line[V1.len()..length - 2].split(|&byte| byte == b' ').collect();
    match parts.as_slice() {
        // Whatever follows on the line is to be ignored.
        [b"UNKNOWN", ..] => ProxyHeader::Complete { source: None, length },
        [b"TCP4" | b"TCP6", _, _, from, to] if is_port(from) && is_port(to) => match Parsed::parse(line, ParseConfig::default()) {
            Ok((header, whole)) if whole == length => match header.proxied_address() {
                Some(addresses) => ProxyHeader::Complete { source: Some(addresses.source), length },
                None => MALFORMED,
            },
            _ => MALFORMED,
        },
        _ => MALFORMED,
    }
}

/// At most five digits; the crate holds them to 16 bits.
fn is_port(text: &[u8]) -> bool {
    text.len() <= 5 && text.iter().all(u8::is_ascii_digit) && (text == b"0" || !text.starts_with(b"0"))
}

fn v2(bytes: &[u8]) -> ProxyHeader {
    let command = bytes.get(V2.len()).copied();
    if command.is_some_and(|command| !matches!(command, LOCAL | PROXY)) {
        return ProxyHeader::Malformed("the command of version 2 is neither LOCAL nor PROXY");
    }
    let &[family, high, low] = bytes.get(V2_FIXED - 3..V2_FIXED).unwrap_or_default() else { return ProxyHeader::Partial };
    let length = V2_FIXED + usize::from(u16::from_be_bytes([high, low]));
    if length > LONGEST_V2 {
        return ProxyHeader::Malformed("the header of version 2 is longer than 4 KiB");
    }
    let Some(header) = bytes.get(..length) else { return ProxyHeader::Partial };
    match (command, family) {
        // What it says of addresses is to be ignored, its family too.
        (Some(LOCAL), _) | (_, UNSPECIFIED | UNIX) => ProxyHeader::Complete { source: None, length },
        (_, TCP4 | TCP6) => {
            match Parsed::parse(header, ParseConfig::default()).map(|(header, _)| header.proxied_address().cloned()) {
                Ok(Some(addresses)) if addresses.protocol == Protocol::Stream => {
                    ProxyHeader::Complete { source: Some(addresses.source), length }
                }
                _ => ProxyHeader::Malformed("the header of version 2 is too short for its addresses"),
            }
        }
        _ => ProxyHeader::Malformed("the family of version 2 is not TCP over IPv4 or IPv6"),
    }
}

#[cfg(test)]
mod tests;
