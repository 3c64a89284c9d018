//! What the upstream is told of the client: `X-Forwarded-For`, `-Proto`, `-Host`, or `Forwarded` (RFC 7239).
//!
//! It must never let an application believe what a stranger wrote. Whatever of this kind an untrusted peer sent is taken out, under every
//! policy, `off` too: all `X-Forwarded*` fields, `Forwarded` and `X-Real-IP`. The same names with underscores go always, since CGI and
//! WSGI give applications both under one name. What a trusted peer sent stays and is continued.

use std::net::IpAddr;

use http::HeaderValue;
use pingora::Result;
use pingora::http::RequestHeader;

use super::edit::{Edit, rewrite};
use super::grammar::{is_token, reads_as, trim};
use crate::ip_text;

/// Room for one address of IPv6, or two of IPv4.
const USUAL_LIST: usize = 40;

const FOR: &str = "X-Forwarded-For";
const PROTO: &str = "X-Forwarded-Proto";
const HOST: &str = "X-Forwarded-Host";
const FORWARDED: &str = "Forwarded";

/// `forwarded` of the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ForwardedPolicy {
    /// `X-Forwarded-For`, `X-Forwarded-Proto`, `X-Forwarded-Host`.
    #[default]
    XForwarded,
    /// `Forwarded` (RFC 7239).
    Rfc7239,
    /// Nothing is added. What a trusted peer sent passes as it came.
    Off,
}

/// What is known of the client and of the peer, which may be a proxy in front of us.
#[derive(Debug, Clone, Copy)]
pub struct ClientHop<'a> {
    /// The other end of the connection.
    pub peer: IpAddr,
    /// The peer is one of `trusted_proxies`.
    pub trusted: bool,
    /// Who the client is believed to be; the peer itself unless that is trusted.
    pub client: IpAddr,
    /// The client came by https, to us or to a trusted proxy.
    pub https: bool,
    /// The authority that the request came with; HTTP/1.0 may have none.
    pub host: Option<&'a [u8]>,
}

/// Writes what `policy` says into `up`, which otherwise has the client's fields.
///
/// `X-Forwarded-For` and `Forwarded` of a trusted peer are continued by one entry for the peer; if it sent none of the family that we
/// write, the list begins with the client. `X-Forwarded-Proto` is always one value, the one that is believed. `X-Forwarded-Host` of a
/// trusted peer stays, for it names what the client asked for.
///
/// # Errors
/// If a field cannot be written, which no built head causes. Then `up` must not be sent.
pub fn apply(up: &mut RequestHeader, policy: ForwardedPolicy, hop: &ClientHop<'_>) -> Result<()> {
    let is_forged = |name: &[u8]| speaks_of_the_client(name) && (!hop.trusted || name.contains(&b'_'));
    if up.headers.keys().any(|name| is_forged(name.as_str().as_bytes())) {
        rewrite(up, |name, _| if is_forged(name) { Edit::Drop } else { Edit::Keep })?;
    }
    match policy {
        ForwardedPolicy::Off => Ok(()),
        ForwardedPolicy::XForwarded => x_forwarded(up, hop),
        ForwardedPolicy::Rfc7239 => {
            let list = continued(up, FORWARDED, hop, |text, address| element(text, address, hop));
            up.insert_header(FORWARDED, list)
        }
    }
}

fn x_forwarded(up: &mut RequestHeader, hop: &ClientHop<'_>) -> Result<()> {
    let list = continued(up, FOR, hop, |text, address| ip_text::push(address, text));
    up.insert_header(FOR, list)?;
    up.insert_header(PROTO, HeaderValue::from_static(scheme(hop)))?;
    let is_told = up.headers.get_all(HOST).iter().any(|value| !trim(value.as_bytes()).is_empty());
    match hop.host {
        Some(host) if !is_told => up.insert_header(HOST, host),
        _ => Ok(()),
    }
}

/// What `up` has of the list `name`, which is a trusted peer's by now, on one line and with one more entry.
fn continued(up: &RequestHeader, name: &str, hop: &ClientHop<'_>, entry: impl Fn(&mut Vec<u8>, IpAddr)) -> Vec<u8> {
    let mut list = Vec::with_capacity(USUAL_LIST);
    // A line that leaves a quoted string open would swallow what follows it.
    for line in
        up.headers.get_all(name).iter().map(|value| trim(value.as_bytes())).filter(|line| !line.is_empty() && is_closed(line))
    {
        list.extend_from_slice(line);
        list.extend_from_slice(b", ");
    }
    let (peer, client) = (hop.peer.to_canonical(), hop.client.to_canonical());
    if list.is_empty() && client != peer {
        entry(&mut list, client);
        list.extend_from_slice(b", ");
    }
    entry(&mut list, peer);
    list
}

/// One `forwarded-element` (RFC 7239 section 4). `by` would tell the application nothing that it does not know.
fn element(text: &mut Vec<u8>, address: IpAddr, hop: &ClientHop<'_>) {
    // Section 6: an IPv6 address has brackets, and brackets have quotes.
    let (before, behind) = if address.is_ipv4() { ("for=", "") } else { ("for=\"[", "]\"") };
    text.extend_from_slice(before.as_bytes());
    ip_text::push(address, text);
    text.extend_from_slice(behind.as_bytes());
    if let Some(host) = hop.host {
        text.extend_from_slice(b";host=");
        token_or_quoted(text, host);
    }
    text.extend_from_slice(b";proto=");
    text.extend_from_slice(scheme(hop).as_bytes());
}

/// RFC 9110 section 5.6.4.
fn token_or_quoted(text: &mut Vec<u8>, value: &[u8]) {
    if is_token(value) {
        text.extend_from_slice(value);
        return;
    }
    text.push(b'"');
    for &byte in value {
        if matches!(byte, b'"' | b'\\') {
            text.push(b'\\');
        }
        text.push(byte);
    }
    text.push(b'"');
}

/// Whether every quoted string in `line` has its end.
fn is_closed(line: &[u8]) -> bool {
    let mut quoted = false;
    let mut bytes = line.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => quoted = !quoted,
            b'\\' if quoted => {
                bytes.next();
            }
            _ => {}
        }
    }
    !quoted
}

fn scheme(hop: &ClientHop<'_>) -> &'static str {
    if hop.https { "https" } else { "http" }
}

/// Whether applications take the field `name` for word of the client; `_` counts as `-`.
#[must_use]
pub fn speaks_of_the_client(name: &[u8]) -> bool {
    const FAMILY: &[u8] = b"x-forwarded";
    reads_as(name, b"forwarded")
        || reads_as(name, b"x-real-ip")
        || name.get(..FAMILY.len()).is_some_and(|start| reads_as(start, FAMILY))
}

#[cfg(test)]
mod tests;
