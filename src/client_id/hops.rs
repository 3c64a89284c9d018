//! The way back from our peer to the client, through the hops that are trusted.
//!
//! Each proxy appends whom it got the request from, so the last entry is our peer's word, the one before it that of the hop which it
//! names, and so on. The walk ends at the first address that is not trusted, or at an entry that is no address: then the last address
//! that was believed is the client.
//!
//! `X-Forwarded-For` is read first and `Forwarded` only where there is none: nearly every proxy maintains the former, and one that does
//! passes the latter on as the client wrote it. The same holds for `X-Forwarded-Proto` against `proto=`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use http::header::FORWARDED;
use http::{HeaderMap, HeaderName};

use super::TrustedProxies;
use super::rfc7239::{from_right, parameter};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The client's address: that of `peer`, unless it is trusted and names another.
#[must_use]
pub fn client_address(peer: IpAddr, headers: &HeaderMap, trusted: &TrustedProxies) -> IpAddr {
    walk(peer, headers, trusted).address
}

/// Whether the client came by https: to us, which `ours` says, or to the first trusted proxy, which may say that it was so or was not.
/// Never by the word of a peer that is not trusted.
///
/// Of a list of schemes the entry of the client's own hop counts. One that is shorter than the way to the client was not appended to
/// but passed on, and its first entry counts.
#[must_use]
pub fn is_https(ours: bool, peer: IpAddr, headers: &HeaderMap, trusted: &TrustedProxies) -> bool {
    if !trusted.contains(peer) {
        return ours;
    }
    let hops = walk(peer, headers, trusted).hops.max(1);
    if headers.contains_key(X_FORWARDED_PROTO) {
        let scheme = members(headers, &X_FORWARDED_PROTO).take(hops).last();
        scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"https"))
    } else {
        let scheme = elements(headers).take(hops).last().and_then(|element| parameter(element, "proto"));
        scheme.map_or(ours, |scheme| scheme.eq_ignore_ascii_case(b"https"))
    }
}

struct Walk {
    address: IpAddr,
    /// Entries that were believed.
    hops: usize,
}

fn walk(peer: IpAddr, headers: &HeaderMap, trusted: &TrustedProxies) -> Walk {
    let start = Walk { address: peer.to_canonical(), hops: 0 };
    if headers.contains_key(X_FORWARDED_FOR) {
        follow(start, members(headers, &X_FORWARDED_FOR).map(address), trusted)
    } else {
        follow(start, elements(headers).map(|element| address(&parameter(element, "for")?)), trusted)
    }
}

fn follow(mut walk: Walk, entries: impl Iterator<Item = Option<IpAddr>>, trusted: &TrustedProxies) -> Walk {
    for entry in entries {
        if !trusted.contains(walk.address) {
            break;
        }
        let Some(address) = entry else { break };
        walk = Walk { address, hops: walk.hops + 1 };
    }
    walk
}

/// The members of the plain lists in all fields called `name`, trimmed, the last one first. An empty member is one: who wrote it hides
/// something.
fn members<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a [u8]> {
    let lines = headers.get_all(name).iter().rev();
    lines.flat_map(|line| line.as_bytes().rsplit(|&byte| byte == b',')).map(<[u8]>::trim_ascii)
}

/// The elements of all `Forwarded` fields, the last one first.
fn elements(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    headers.get_all(FORWARDED).iter().rev().flat_map(|line| from_right(line.as_bytes(), b','))
}

/// An address with or without a port, IPv6 with or without brackets. `unknown`, a made-up name or anything else is none.
fn address(text: &[u8]) -> Option<IpAddr> {
    let text = str::from_utf8(text).ok()?;
    let address = if let Ok(address) = text.parse::<IpAddr>() {
        address
    } else if let Some(rest) = text.strip_prefix('[') {
        let (address, port) = rest.split_once(']')?;
        if !port.is_empty() && !port.strip_prefix(':').is_some_and(is_port) {
            return None;
        }
        address.parse::<Ipv6Addr>().ok()?.into()
    } else {
        let (address, port) = text.split_once(':')?;
        address.parse::<Ipv4Addr>().ok().filter(|_| is_port(port))?.into()
    };
    Some(address.to_canonical())
}

/// A number, or a made-up one as RFC 7239 section 6.3 allows it.
fn is_port(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
}
