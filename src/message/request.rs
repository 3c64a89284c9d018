//! The request head that goes upstream, built from the one that came.
//!
//! Always HTTP/1.1, in origin form, with exactly one `Host` and with framing that is built from what was judged, never copied: that is
//! what keeps one request one request (RFC 9112 section 11.2). Fields of the connection stay here (RFC 9110 section 7.6.1). Every other
//! field passes with its case, its order and its duplicates. What came over HTTP/2 was brought into the same form first
//! ([`super::http2::request`]). No `Connection` is written, since HTTP/1.1 keeps connections by default,
//! and no `Via`.
//!
//! `Expect` stays here too: the door answers `100 Continue` itself when the exchange is about to read the body, which RFC 9110 section
//! 10.1.1 leaves to a proxy. A client that waits is never kept waiting by an upstream that does not know the expectation.

use std::borrow::Cow;
use std::fmt;

use http::HeaderValue;
use http::header::HOST;
use pingora::http::{HeaderNameVariant, Method, RequestHeader, Version};

use super::coding;
use super::hop_by_hop::HopByHop;
use super::request_head::RequestFraming;
use super::request_line::Absolute;

/// Fields that the proxy adds as a rule: `Host`, a length, a coding, and what servers are told of clients. A map that grows is hashed
/// anew.
const ADDED: usize = 6;

/// What [`build`] cannot know from the head.
#[derive(Debug, Clone, Copy)]
pub struct BuildOptions<'a> {
    /// `Host` where the client sent none, which HTTP/1.0 allows: the upstream's own address.
    pub default_host: &'a str,
    /// Which codings are offered to the upstream.
    pub accept: AcceptCoding,
}

/// What becomes of the client's `Accept-Encoding`. A coded stream can be seen through and be kept alive only if we can decode it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AcceptCoding {
    /// It passes as it came.
    AsAsked,
    /// No coding: the client asks for an event stream, since its `Accept` names the type.
    Identity,
    /// What we can decode: `gzip` if the client offers it, no coding otherwise. For requests whose answer may be an event stream though
    /// nothing in them says so, as POST to an LLM.
    GzipOrIdentity,
}

/// A head that cannot be written for the upstream. Never the case for one that was judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unbuildable(pub(super) &'static str);

impl fmt::Display for Unbuildable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no request can be built for the upstream: {}", self.0)
    }
}

impl std::error::Error for Unbuildable {}

/// Builds the upstream's request head from the client's, whose raw bytes were judged as having `framing`.
///
/// # Errors
/// [`Unbuildable`] if the target, the host or a field cannot be written, which no judged head causes.
pub fn build(down: &RequestHeader, framing: RequestFraming, options: BuildOptions<'_>) -> Result<RequestHeader, Unbuildable> {
    let absolute = Absolute::split(down.raw_path());
    let target = absolute.map_or(Cow::Borrowed(down.raw_path()), |absolute| origin_form(absolute.path_and_query, &down.method));
    let room = Some(down.headers.len() + ADDED);
    let mut up = RequestHeader::build(down.method.clone(), &target, room).map_err(|_| Unbuildable("its target"))?;
    up.set_version(Version::HTTP_11);
    // First, as RFC 9110 section 7.2 asks.
    up.append_header("Host", host(down, absolute, options.default_host)?).map_err(|_| Unbuildable("its host"))?;

    let dropped = HopByHop::of(&down.headers);
    let coding = offered_coding(down, options.accept);
    let mut coding_is_settled = coding.is_none();
    down.map(|name, value| {
        let bytes = match &name {
            HeaderNameVariant::Case(name) => name.as_slice(),
            HeaderNameVariant::Titled(name) => name.as_bytes(),
        };
        if dropped.includes(bytes) || is_built_anew(bytes) {
            return Ok(());
        }
        let mut value = value;
        if let Some(coding) = &coding
            && bytes.eq_ignore_ascii_case(b"accept-encoding")
        {
            if std::mem::replace(&mut coding_is_settled, true) {
                return Ok(());
            }
            value = coding;
        }
        match name {
            HeaderNameVariant::Case(name) => up.append_header(name.clone(), value.clone())?,
            HeaderNameVariant::Titled(name) => up.append_header(name.to_owned(), value.clone())?,
        };
        Ok(())
    })
    .map_err(|_| Unbuildable("a field"))?;
    if let Some(coding) = coding.filter(|_| !coding_is_settled) {
        up.append_header("Accept-Encoding", coding).map_err(|_| Unbuildable("a field"))?;
    }
    match framing {
        RequestFraming::None => Ok(false),
        RequestFraming::Length(bytes) => up.append_header("Content-Length", bytes),
        RequestFraming::Chunked => up.append_header("Transfer-Encoding", "chunked"),
    }
    .map_err(|_| Unbuildable("its framing"))?;
    Ok(up)
}

/// What `Accept-Encoding` says to the upstream, if it is not the client's own.
fn offered_coding(down: &RequestHeader, accept: AcceptCoding) -> Option<HeaderValue> {
    match accept {
        AcceptCoding::AsAsked => None,
        AcceptCoding::GzipOrIdentity if coding::offers_gzip(&down.headers) => Some(HeaderValue::from_static("gzip")),
        AcceptCoding::Identity | AcceptCoding::GzipOrIdentity => Some(HeaderValue::from_static("identity")),
    }
}

/// Fields of which the client's own are never copied, beside those of the connection.
fn is_built_anew(name: &[u8]) -> bool {
    [&b"host"[..], b"content-length", b"expect"].iter().any(|candidate| candidate.eq_ignore_ascii_case(name))
}

/// RFC 9112 section 3.2.2: the authority of an absolute form replaces `Host`.
fn host(down: &RequestHeader, absolute: Option<Absolute<'_>>, default: &str) -> Result<HeaderValue, Unbuildable> {
    match (absolute, down.headers.get(HOST)) {
        (Some(absolute), _) => HeaderValue::from_bytes(absolute.authority).map_err(|_| Unbuildable("its host")),
        (None, Some(host)) => Ok(host.clone()),
        (None, None) => HeaderValue::from_str(default).map_err(|_| Unbuildable("the default host")),
    }
}

/// RFC 9112 sections 3.2.1 and 3.2.4: an empty path becomes `/`, and `*` for OPTIONS.
fn origin_form<'a>(path_and_query: &'a [u8], method: &Method) -> Cow<'a, [u8]> {
    match path_and_query {
        [] if *method == Method::OPTIONS => Cow::Borrowed(b"*"),
        [] => Cow::Borrowed(b"/"),
        [b'/', ..] => Cow::Borrowed(path_and_query),
        query => Cow::Owned([b"/", query].concat()),
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
