//! The response head that goes downstream, and what it says of an event stream.
//!
//! It edits through Pingora's own methods, so that case and order of the fields stay as the upstream wrote them, and it never removes
//! what the upstream said end to end. RFC 9110 section 7.6.1 (what ends here), RFC 9111 section 5.2 (`Cache-Control`).

use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderName, HeaderValue};
use pingora::http::{HeaderNameVariant, ResponseHeader};

use super::coding::Coding;
use super::edit::Edit;
use super::grammar::{content_length, trim};
use super::hop_by_hop::HopByHop;

const CONTENT_DIGEST: HeaderName = HeaderName::from_static("content-digest");
const REPR_DIGEST: HeaderName = HeaderName::from_static("repr-digest");

/// Removes what belongs to the upstream's connection. How the body is delimited towards the client is the caller's to say.
///
/// A `Content-Length` that the upstream repeated stays once, written plainly, and goes on 1xx and 204, where RFC 9110 section 8.6 forbids
/// it; that all of them say the same was judged before ([`super::response_head::read`]).
pub fn strip_hop_by_hop(header: &mut ResponseHeader) {
    let dropped = HopByHop::of(&header.headers);
    let mut length_seen = header.status.is_informational() || header.status == 204;
    if !length_seen && has_one_plain_length(header) && !header.headers.keys().any(|name| dropped.includes(name.as_str().as_bytes()))
    {
        return;
    }
    let kept = edited(header, |name, value| {
        if name.eq_ignore_ascii_case(b"content-length") {
            return if std::mem::replace(&mut length_seen, true) { Edit::Drop } else { plain_length(value) };
        }
        if dropped.includes(name) { Edit::Drop } else { Edit::Keep }
    });
    *header = kept;
}

/// Whether there is nothing to be done about lengths.
fn has_one_plain_length(header: &ResponseHeader) -> bool {
    let mut lengths = header.headers.get_all(CONTENT_LENGTH).iter();
    lengths.next().is_none_or(|length| matches!(plain_length(length), Edit::Keep)) && lengths.next().is_none()
}

/// A length with zeros before it is one number to us and an octal one to somebody else.
fn plain_length(value: &HeaderValue) -> Edit {
    match content_length(value.as_bytes()) {
        Ok(length) if value.len() > 1 && value.as_bytes().starts_with(b"0") => Edit::Replace(HeaderValue::from(length)),
        _ => Edit::Keep,
    }
}

/// Makes the head of an event stream one that no hop behind us buffers, caches or transforms.
///
/// `Content-Length` goes, since heartbeats change the length. `X-Accel-Buffering` becomes `no` whatever it was: it was meant for us.
/// Of `Cache-Control: no-cache, no-transform` the missing ones come as one more line; the upstream's own directives stay as they are,
/// `no-store` included.
pub fn prepare_event_stream(header: &mut ResponseHeader) {
    if header.headers.contains_key(CONTENT_LENGTH) {
        *header = edited(header, |name, _| if name.eq_ignore_ascii_case(b"content-length") { Edit::Drop } else { Edit::Keep });
    }
    insert(header, "X-Accel-Buffering", "no");
    let no_cache = has_directive(header, |directive| directive.eq_ignore_ascii_case(b"no-cache"));
    let missing = match (no_cache, says_no_transform(header)) {
        (true, true) => return,
        (false, false) => "no-cache, no-transform",
        (false, true) => "no-cache",
        (true, false) => "no-transform",
    };
    header.append_header("Cache-Control", HeaderValue::from_static(missing)).expect("one more valid field fits in a head");
}

/// Makes a head say that its body is not coded, since we decode it: `Content-Encoding` goes, and with it the length and the strength of
/// the `ETag`, which were those of the coded bytes (RFC 9110 section 8.8.3.3).
///
/// Decoding transforms: a response that carries a digest keeps its coding, and one whose own `Cache-Control` says `no-transform` where the
/// route is strict about that (section 7.7; [`ResponseFacts::digested`], [`ResponseFacts::no_transform`]). The caller decides.
pub fn remove_coding(header: &mut ResponseHeader) {
    *header = edited(header, |name, value| {
        if name.eq_ignore_ascii_case(b"content-encoding") || name.eq_ignore_ascii_case(b"content-length") {
            return Edit::Drop;
        }
        if name.eq_ignore_ascii_case(b"etag") && value.as_bytes().starts_with(b"\"") {
            let weak = HeaderValue::from_bytes(&[b"W/", value.as_bytes()].concat());
            return Edit::Replace(weak.expect("a valid value behind two letters is one"));
        }
        Edit::Keep
    });
}

fn insert(header: &mut ResponseHeader, name: &'static str, value: &'static str) {
    header.insert_header(name, HeaderValue::from_static(value)).expect("a valid name and value");
}

/// `header` with its fields as `judge` wants them. Removing them one by one would move others out of their order.
pub(super) fn edited(header: &ResponseHeader, mut judge: impl FnMut(&[u8], &HeaderValue) -> Edit) -> ResponseHeader {
    let size = Some(header.headers.len());
    let copy = if header.has_case() {
        ResponseHeader::build(header.status, size)
    } else {
        ResponseHeader::build_no_case(header.status, size)
    };
    let mut copy = copy.expect("the status is valid already");
    copy.set_version(header.version);
    copy.set_reason_phrase(header.get_reason_phrase()).expect("the phrase is valid already");
    *copy.extensions_mut() = header.extensions.clone();
    header
        .map(|name, value| {
            let bytes = match &name {
                HeaderNameVariant::Case(name) => name.as_slice(),
                HeaderNameVariant::Titled(name) => name.as_bytes(),
            };
            let value = match judge(bytes, value) {
                Edit::Keep => value.clone(),
                Edit::Replace(value) => value,
                Edit::Drop => return Ok(()),
            };
            match name {
                HeaderNameVariant::Case(name) => copy.append_header(name.clone(), value)?,
                HeaderNameVariant::Titled(name) => copy.append_header(name.to_owned(), value)?,
            };
            Ok(())
        })
        .expect("the fields are valid already, and no more than before");
    copy
}

/// The value of `Content-Type`; `None` without one, or with several, which two clients may read in two ways.
#[must_use]
pub fn media_type(header: &ResponseHeader) -> Option<&[u8]> {
    let mut types = header.headers.get_all(CONTENT_TYPE).iter();
    types.next().filter(|_| types.next().is_none()).map(HeaderValue::as_bytes)
}

/// What the upstream's head says that decides how its body may be treated. Read it before [`prepare_event_stream`] adds ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResponseFacts<'a> {
    /// The status.
    pub status: u16,
    /// [`media_type`].
    pub media_type: Option<&'a [u8]>,
    /// What `Content-Encoding` says: unless it is [`Coding::Identity`], the body's bytes are not events yet.
    pub coding: Coding,
    /// `Content-Digest` or `Repr-Digest` is there (RFC 9530): another byte would break it.
    pub digested: bool,
    /// The upstream itself said `Cache-Control: no-transform`.
    pub no_transform: bool,
}

impl<'a> ResponseFacts<'a> {
    /// Reads the facts from the upstream's head.
    #[must_use]
    pub fn of(header: &'a ResponseHeader) -> Self {
        Self {
            status: header.status.as_u16(),
            media_type: media_type(header),
            coding: Coding::of(&header.headers),
            digested: [CONTENT_DIGEST, REPR_DIGEST].iter().any(|name| header.headers.contains_key(name)),
            no_transform: says_no_transform(header),
        }
    }
}

fn says_no_transform(header: &ResponseHeader) -> bool {
    // An argument, which the directive does not have, does not take the word back.
    has_directive(header, |directive| {
        trim(directive.split(|&byte| byte == b'=').next().unwrap_or_default()).eq_ignore_ascii_case(b"no-transform")
    })
}

/// Whether a directive in any `Cache-Control` line satisfies `wanted`. `no-cache="Set-Cookie"` is a directive of its own with a smaller
/// meaning than `no-cache`, so it is given whole.
fn has_directive(header: &ResponseHeader, wanted: impl Fn(&[u8]) -> bool) -> bool {
    header.headers.get_all(CACHE_CONTROL).iter().any(|value| directives(value.as_bytes()).any(&wanted))
}

/// The members of a list whose members may hold quoted strings (RFC 9110 sections 5.6.1 and 5.6.4).
fn directives(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let (mut quoted, mut escaped) = (false, false);
    let at_comma = move |byte: &u8| {
        if std::mem::take(&mut escaped) {
            return false;
        }
        match byte {
            b'\\' => escaped = quoted,
            b'"' => quoted = !quoted,
            b',' => return !quoted,
            _ => {}
        }
        false
    };
    value.split(at_comma).map(trim)
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
