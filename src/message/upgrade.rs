//! Upgrades: the protocol that a request asks to switch to, whether it may, and the two fields that say so to the other side (RFC 9110
//! section 7.8; section 4 of RFC 6455, which is WebSocket).
//!
//! `Upgrade` and `Connection` end at each hop, so the heads that go on are built without them ([`super::request::build`],
//! [`super::response::strip_hop_by_hop`]); here they are written anew, for one protocol that the route names. The rest of a handshake,
//! `Sec-WebSocket-*` above all, is end to end and passes. It must never let HTTP itself pass: on the connection behind it would be
//! requests that nobody judged.

use http::header::{CONNECTION, UPGRADE};
use http::{HeaderMap, HeaderValue};
use pingora::http::{RequestHeader, ResponseHeader};

use super::Version;
use super::grammar::{is_token, list};
use super::request::Unbuildable;
use super::request_head::RequestHead;

/// Names of HTTP, which never pass, whatever a route allows.
const NEVER: [&[u8]; 3] = [b"h2c", b"h2", b"http"];

/// A protocol to switch to, as the client spelled it: a name, and a version if it gave one (`websocket`, `IRC/6.9`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Protocol(HeaderValue);

impl Protocol {
    /// As the client spelled it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.to_str().expect("a protocol is made of tokens, which are ASCII")
    }
}

/// The protocol that the client asks to switch to, if it may: the first one that it names of those that the route allows. `allowed` has
/// names without versions, in any case.
///
/// Only that one is asked for, so that nobody has to guess which one a 101 means. Never over HTTP/1.0, whose `Upgrade` is to be ignored,
/// nor over HTTP/2, which has none; and never with a body: the bytes behind the head would be body to one reader and the new protocol
/// to another. Whoever may not switch is answered as if he had not asked.
#[must_use]
pub fn asked(head: &HeaderMap, request: &RequestHead, allowed: &[Box<str>]) -> Option<Protocol> {
    if request.version != Version::Http11 || request.framing.has_body() || !names_upgrade(head) {
        return None;
    }
    let may_pass = |protocol: &Parsed<'_>| {
        let is_allowed = allowed.iter().any(|name| name.as_bytes().eq_ignore_ascii_case(protocol.name));
        is_allowed && !NEVER.iter().any(|never| never.eq_ignore_ascii_case(protocol.name))
    };
    let found = protocols(head).find(|(_, parsed)| parsed.as_ref().is_some_and(may_pass));
    found.and_then(|(spelled, _)| HeaderValue::from_bytes(spelled).ok()).map(Protocol)
}

/// Asks the upstream for `protocol`, in a head that [`super::request::build`] built.
///
/// # Errors
/// [`Unbuildable`] if the fields cannot be written, which no built head causes.
pub fn ask_upstream(up: &mut RequestHeader, protocol: &Protocol) -> Result<(), Unbuildable> {
    let upgrade = HeaderValue::from_static("Upgrade");
    up.insert_header("Connection", upgrade).map_err(|_| Unbuildable("its upgrade"))?;
    up.insert_header("Upgrade", protocol.0.clone()).map_err(|_| Unbuildable("its upgrade"))
}

/// Whether a 101 with the fields `head` switches to `protocol`, which was asked for, and to nothing else. Two versions, where both sides
/// give one, have to be the same.
#[must_use]
pub fn granted(head: &HeaderMap, protocol: &Protocol) -> bool {
    let Some(asked) = Parsed::of(protocol.0.as_bytes()) else { return false };
    let mut switched = protocols(head).filter(|(spelled, _)| !spelled.is_empty());
    let (Some((_, Some(granted))), None) = (switched.next(), switched.next()) else { return false };
    let same_version = match (asked.version, granted.version) {
        (Some(asked), Some(granted)) => asked.eq_ignore_ascii_case(granted),
        _ => true,
    };
    names_upgrade(head) && same_version && asked.name.eq_ignore_ascii_case(granted.name)
}

/// Tells the client that it switches to `protocol`, in a 101 that was stripped of hop-by-hop fields.
///
/// # Errors
/// [`Unbuildable`] if the fields cannot be written, which no head that was judged causes.
pub fn grant_client(header: &mut ResponseHeader, protocol: &Protocol) -> Result<(), Unbuildable> {
    let upgrade = HeaderValue::from_static("Upgrade");
    header.insert_header("Connection", upgrade).map_err(|_| Unbuildable("its upgrade"))?;
    header.insert_header("Upgrade", protocol.0.clone()).map_err(|_| Unbuildable("its upgrade"))
}

/// `Upgrade` counts only if `Connection` names it: otherwise it comes from a hop further back.
fn names_upgrade(head: &HeaderMap) -> bool {
    head.get_all(CONNECTION).iter().flat_map(|value| list(value.as_bytes())).any(|option| option.eq_ignore_ascii_case(b"upgrade"))
}

/// The members of `Upgrade`, as they are spelled and as they are read.
fn protocols(head: &HeaderMap) -> impl Iterator<Item = (&[u8], Option<Parsed<'_>>)> {
    head.get_all(UPGRADE).iter().flat_map(|value| list(value.as_bytes())).map(|spelled| (spelled, Parsed::of(spelled)))
}

/// `protocol-name ["/" protocol-version]`
struct Parsed<'a> {
    name: &'a [u8],
    version: Option<&'a [u8]>,
}

impl<'a> Parsed<'a> {
    fn of(text: &'a [u8]) -> Option<Self> {
        let mut parts = text.splitn(2, |&byte| byte == b'/');
        let (name, version) = (parts.next()?, parts.next());
        (is_token(name) && version.is_none_or(is_token)).then_some(Self { name, version })
    }
}

#[cfg(test)]
mod tests;
