//! Which pages of other origins may read a route's responses, and what they may ask (the CORS protocol of the Fetch standard, its
//! section 3.3).
//!
//! One policy wins: on a route that has one, what the upstream says of it is replaced, never doubled, since a browser refuses a
//! response with two values of `Access-Control-Allow-Origin`. `Access-Control-Expose-Headers` is the upstream's own: it names fields
//! that only the upstream knows. `Access-Control-Request-Private-Network` is not answered: a page of a public network stays out of a
//! private one.
//!
//! It never decides who is served. Whoever ignores the protocol reads everything; it only tells browsers what to show to a page.

use std::fmt;
use std::time::Duration;

use http::header::{ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use pingora::http::ResponseHeader;

use super::edit::Edit;
use super::grammar::list;
use super::response::edited;

/// What the upstream may not say beside us.
const OURS: [&str; 6] = [
    "access-control-allow-origin",
    "access-control-allow-credentials",
    "access-control-allow-methods",
    "access-control-allow-headers",
    "access-control-allow-private-network",
    "access-control-max-age",
];

/// `cors` of a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CorsPolicy {
    /// Whose pages may read.
    pub origins: Origins,
    /// Whether they may read what was asked with cookies. Never with [`Origins::Any`], which browsers would refuse.
    pub credentials: bool,
    /// Fields that they may send beyond the safelisted ones, in the file's spelling.
    pub headers: Vec<Box<str>>,
    /// How long a browser may remember what it was allowed, in whole seconds.
    pub max_age: Duration,
}

/// Some origins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origins {
    /// `*`.
    Any,
    /// Each of these.
    Of(Vec<OriginPattern>),
}

/// An origin as a browser writes it, `scheme://host[:port]` without the scheme's own port (RFC 6454 section 6.2), in lower case.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum OriginPattern {
    /// This one.
    Exact(String),
    /// `https://*.example.com:8443`: exactly one label before the rest.
    Wildcard {
        /// `https`.
        scheme: String,
        /// `example.com:8443`.
        rest: String,
    },
}

impl fmt::Display for OriginPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(origin) => f.write_str(origin),
            Self::Wildcard { scheme, rest } => write!(f, "{scheme}://*.{rest}"),
        }
    }
}

impl OriginPattern {
    /// Whether `origin` is meant; compared without case.
    fn takes(&self, origin: &[u8]) -> bool {
        match self {
            Self::Exact(exact) => origin.eq_ignore_ascii_case(exact.as_bytes()),
            Self::Wildcard { scheme, rest } => without_start(origin, scheme.as_bytes())
                .and_then(|origin| origin.strip_prefix(b"://"))
                .and_then(|authority| authority.split_at_checked(authority.len().wrapping_sub(rest.len())))
                .filter(|(_, end)| end.eq_ignore_ascii_case(rest.as_bytes()))
                .and_then(|(label, _)| label.strip_suffix(b"."))
                .is_some_and(is_label),
        }
    }
}

/// Nothing that could end a host, so that what stands before the rest is a name and no other site's address.
fn is_label(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

fn without_start<'a>(bytes: &'a [u8], start: &[u8]) -> Option<&'a [u8]> {
    bytes.split_at_checked(start.len()).filter(|(have, _)| have.eq_ignore_ascii_case(start)).map(|(_, rest)| rest)
}

impl CorsPolicy {
    /// What the response to a request with these fields says.
    #[must_use]
    pub fn grant(&self, request: &HeaderMap) -> Grant {
        match &self.origins {
            // The same to everybody, also to who names no origin: then a cache may keep one answer for all.
            Origins::Any => Grant { origin: Some(HeaderValue::from_static("*")), credentials: false, varies: false },
            Origins::Of(origins) => {
                let allowed = origin(request).filter(|origin| origins.iter().any(|each| each.takes(origin.as_bytes())));
                Grant { credentials: self.credentials && allowed.is_some(), origin: allowed.cloned(), varies: true }
            }
        }
    }

    /// The whole answer to `preflight`, whose request has these fields, on a route that takes `methods` (empty for all): 204. A page
    /// of another origin is told nothing, by which its browser knows that it may not.
    #[must_use]
    pub fn answer(&self, preflight: &Preflight, request: &HeaderMap, methods: &[Method]) -> ResponseHeader {
        const VALID: &str = "names, methods and numbers are valid in a field";
        let mut header = ResponseHeader::build(204, Some(6)).expect("204 is a status");
        let mut add = |name: &'static str, value: &str| {
            let value = HeaderValue::from_str(value).expect(VALID);
            header.append_header(name, value).expect("six fields fit in a head");
        };
        add("Vary", "Origin, Access-Control-Request-Method, Access-Control-Request-Headers");
        let grant = self.grant(request);
        if grant.origin.is_some() {
            let asked = std::slice::from_ref(&preflight.method);
            let methods: Vec<_> = if methods.is_empty() { asked } else { methods }.iter().map(Method::as_str).collect();
            add("Access-Control-Allow-Methods", &methods.join(", "));
            if !self.headers.is_empty() {
                add("Access-Control-Allow-Headers", &self.headers.join(", "));
            }
            add("Access-Control-Max-Age", &self.max_age.as_secs().to_string());
        }
        grant.allow(&mut header);
        header
    }
}

/// A request by which a browser asks whether it may send another one (Fetch section 4.8). An OPTIONS without one of the two fields is
/// somebody else's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preflight {
    /// The method of that other one.
    pub method: Method,
}

impl Preflight {
    /// Whether a request is one.
    #[must_use]
    pub fn of(method: &Method, headers: &HeaderMap) -> Option<Self> {
        if method != Method::OPTIONS || origin(headers).is_none() {
            return None;
        }
        let asked = only(headers, &ACCESS_CONTROL_REQUEST_METHOD)?;
        Method::from_bytes(asked.as_bytes()).ok().map(|method| Self { method })
    }
}

/// What one response says of who may read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    origin: Option<HeaderValue>,
    credentials: bool,
    varies: bool,
}

impl Grant {
    /// To whoever asks, with credentials: for an answer that holds nothing of anybody's.
    #[must_use]
    pub fn anybody(request: &HeaderMap) -> Self {
        let origin = origin(request).cloned();
        Self { credentials: origin.is_some(), origin, varies: true }
    }

    /// Makes `header` say it: what the upstream said of it goes, `Vary` is completed.
    pub fn write(&self, header: &mut ResponseHeader) {
        self.vary(header);
        if OURS.iter().any(|name| header.headers.contains_key(*name)) {
            *header = edited(header, |name, _| if is_ours(name) { Edit::Drop } else { Edit::Keep });
        }
        self.allow(header);
    }

    fn allow(&self, header: &mut ResponseHeader) {
        const FITS: &str = "two more valid fields fit in a head";
        let Some(origin) = &self.origin else { return };
        header.append_header("Access-Control-Allow-Origin", origin.clone()).expect(FITS);
        if self.credentials {
            header.append_header("Access-Control-Allow-Credentials", HeaderValue::from_static("true")).expect(FITS);
        }
    }

    /// RFC 9110 section 12.5.5. In the upstream's own line: there are caches that look at one only.
    fn vary(&self, header: &mut ResponseHeader) {
        let members = |member: &[u8]| member == b"*" || member.eq_ignore_ascii_case(b"origin");
        if !self.varies || header.headers.get_all(VARY).iter().any(|value| list(value.as_bytes()).any(members)) {
            return;
        }
        if !header.headers.contains_key(VARY) {
            header.append_header("Vary", HeaderValue::from_static("Origin")).expect("one more valid field fits in a head");
            return;
        }
        let mut is_told = false;
        *header = edited(header, |name, value| {
            if !name.eq_ignore_ascii_case(b"vary") || std::mem::replace(&mut is_told, true) {
                return Edit::Keep;
            }
            let separator: &[u8] = if value.is_empty() { b"" } else { b", " };
            let value = HeaderValue::from_bytes(&[value.as_bytes(), separator, b"Origin"].concat());
            Edit::Replace(value.expect("a valid value before a word is one"))
        });
    }
}

fn is_ours(name: &[u8]) -> bool {
    OURS.iter().any(|ours| name.eq_ignore_ascii_case(ours.as_bytes()))
}

/// `Origin`, unless it is there twice: then nobody knows which one a browser meant.
fn origin(headers: &HeaderMap) -> Option<&HeaderValue> {
    only(headers, &ORIGIN)
}

fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

#[cfg(test)]
mod tests;
