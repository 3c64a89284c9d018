//! HTTP/2 heads, judged as they come and written as they go (RFC 9113 section 8).
//!
//! The `h2` crate decodes frames and field blocks, and it refuses much of what is refused here; nothing relies on that. What passes is
//! brought into the one form that the rest of the proxy reads, so that nobody behind this file has to ask for the version: a target in
//! origin form, the authority in one `Host`, cookies in one field. An HTTP/2 field value can hold what HTTP/1.1 would read as a second
//! message, so every head that passes here is one that [`super::request_head`] would pass too (RFC 9113 section 10.3); a property test
//! writes it down and asks.
//!
//! What cannot be seen any more: the crate cuts a fragment off `:path`, and it drops `:scheme` where there is no `:authority`.

use http::header::{CONTENT_LENGTH, COOKIE, EXPECT, HOST, HeaderName, TE};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderValue, Method, Uri};
use pingora::http::{RequestHeader, ResponseHeader};

use super::Version;
use super::grammar::{CONTROL_BYTE, MAX_FIELD_NAME, Reason, content_length, is_forbidden_control, is_token, list, trim};
use super::hop_by_hop::HopByHop;
use super::request::Unbuildable;
use super::request_head::{self, Refusal, RequestFraming, RequestHead};
use super::request_line;
use super::response_head::{self, ResponseFraming, ResponseHead};

/// Never in an HTTP/2 message, which is malformed with them (RFC 9113 section 8.2.2).
const CONNECTION_SPECIFIC: [&str; 5] = ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"];

/// Judges the head of an HTTP/2 request and brings it into the form that the rest of the proxy reads: `Host` from `:authority`, cookie
/// crumbs joined by "; " in one field (RFC 9113 section 8.2.3), target in origin form or `*`. The version stays HTTP/2; every other
/// field keeps its order and its duplicates.
///
/// `end_of_stream` says whether the HEADERS frame ended the stream. Then the framing is `None`, or `Length(0)` if the client said so.
/// Without a `Content-Length` and with the stream open, the body has a length that nobody said: [`RequestFraming::Chunked`].
///
/// # Errors
/// The [`Refusal`] to answer this one stream with; the connection may go on.
pub fn request(mut parts: http::request::Parts, end_of_stream: bool) -> Result<(RequestHeader, RequestHead), Refusal> {
    judge_method(&parts.method)?;
    let target = target(&parts.uri, &parts.method)?.clone();
    let host = host(&parts.uri, &parts.headers).map_err(Refusal::malformed)?;
    judge_request_fields(&parts.headers)?;
    let framing = request_framing(&parts.headers, end_of_stream).map_err(Refusal::malformed)?;
    let expects_continue = parts.headers.contains_key(EXPECT);

    if let Some(host) = host {
        parts.headers.insert(HOST, host);
    }
    join_cookies(&mut parts.headers);
    parts.uri = Uri::from(target);
    parts.version = http::Version::HTTP_2;
    let head = RequestHead {
        method: parts.method.clone(),
        version: Version::Http2,
        expect_continue: expects_continue && framing.has_body(),
        framing,
        keep_alive: true,
    };
    Ok((RequestHeader::from(parts), head))
}

/// Whether the client takes trailers: its `TE` names them (RFC 9110 section 10.1.4). Over HTTP/2 it can say nothing else there.
#[must_use]
pub fn takes_trailers(headers: &HeaderMap) -> bool {
    headers.get_all(TE).iter().flat_map(|value| list(value.as_bytes())).any(|member| member.eq_ignore_ascii_case(b"trailers"))
}

fn judge_method(method: &Method) -> Result<(), Refusal> {
    if !is_token(method.as_str().as_bytes()) {
        return Err(Refusal::malformed("the method is not a token"));
    }
    if method.as_str().len() > request_line::MAX_METHOD {
        return Err(request_line::METHOD_TOO_LONG);
    }
    // Extended CONNECT (RFC 8441) as well: it is not offered.
    if method == Method::CONNECT { Err(request_line::CONNECT) } else { Ok(()) }
}

/// `:path`, as RFC 9113 section 8.3.1 wants it for http and https.
fn target<'a>(uri: &'a Uri, method: &Method) -> Result<&'a PathAndQuery, Refusal> {
    // An absent scheme was there; see the top.
    if uri.scheme().is_some_and(|scheme| *scheme != Scheme::HTTP && *scheme != Scheme::HTTPS) {
        return Err(Refusal::malformed("the scheme is neither http nor https"));
    }
    let target = uri.path_and_query().filter(|_| !uri.path().is_empty()).ok_or(Refusal::malformed("the path is empty"))?;
    if target.as_str().len() > request_line::MAX_TARGET {
        return Err(request_line::TARGET_TOO_LONG);
    }
    match request_line::parse_target(target.as_str().as_bytes(), method) {
        Ok(request_line::Target::Origin | request_line::Target::Asterisk) => Ok(target),
        Ok(request_line::Target::Absolute(_)) => Err(Refusal::malformed("the path does not begin with a slash")),
        Err(reason) => Err(Refusal::malformed(reason)),
    }
}

/// Judges `:authority` and `Host`. Gives the host if it has to come from `:authority`; otherwise it is in its field already.
///
/// A client that sends both writes them alike, as with an absolute-form target in HTTP/1.1: RFC 9113 section 8.3.1 wants a request
/// refused whose two hosts are different entities.
fn host(uri: &Uri, headers: &HeaderMap) -> Result<Option<HeaderValue>, Reason> {
    let mut fields = headers.get_all(HOST).iter();
    let field = fields.next();
    if fields.next().is_some() {
        return Err("more than one Host");
    }
    if let Some(host) = field {
        request_line::authority(host.as_bytes())?;
    }
    let Some(authority) = uri.authority().map(|authority| authority.as_str().as_bytes()) else {
        return if field.is_some() { Ok(None) } else { Err("neither an authority nor a Host") };
    };
    request_line::authority(authority)?;
    match field {
        Some(host) if host.as_bytes() != authority => Err("Host is not the authority of the target"),
        Some(_) => Ok(None),
        None => HeaderValue::from_bytes(authority).map(Some).map_err(|_| CONTROL_BYTE),
    }
}

fn judge_request_fields(headers: &HeaderMap) -> Result<(), Refusal> {
    // Crumbs count once, since they become one field.
    let crumbs = headers.get_all(COOKIE).iter().count();
    if headers.len() - crumbs.saturating_sub(1) > request_head::MAX_FIELDS {
        return Err(request_head::TOO_MANY_FIELDS);
    }
    for (name, value) in headers {
        if name.as_str().len() > MAX_FIELD_NAME {
            return Err(request_head::NAME_TOO_LONG);
        }
        judge_field(name, value).map_err(Refusal::malformed)?;
        if *name == EXPECT && !value.as_bytes().eq_ignore_ascii_case(b"100-continue") {
            return Err(request_head::UNKNOWN_EXPECTATION);
        }
    }
    Ok(())
}

/// What RFC 9113 section 8.2 asks of every field. The rest of the house trims values, so one with whitespace around it would change.
fn judge_field(name: &HeaderName, value: &HeaderValue) -> Result<(), Reason> {
    let (name, value) = (name.as_str(), value.as_bytes());
    if !is_token(name.as_bytes()) {
        return Err("a field name is empty or has a byte that is not allowed there");
    }
    if CONNECTION_SPECIFIC.contains(&name) {
        return Err("a field that belongs to HTTP/1.1 connections");
    }
    if name == "te" && !value.eq_ignore_ascii_case(b"trailers") {
        return Err("TE names something else than trailers");
    }
    if trim(value).len() != value.len() {
        return Err("whitespace around a field value");
    }
    if value.iter().any(|&byte| is_forbidden_control(byte)) {
        return Err(CONTROL_BYTE);
    }
    Ok(())
}

fn request_framing(headers: &HeaderMap, end_of_stream: bool) -> Result<RequestFraming, Reason> {
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    let length = lengths.next().map(|value| content_length(value.as_bytes())).transpose()?;
    if lengths.next().is_some() {
        return Err("more than one Content-Length");
    }
    match (length, end_of_stream) {
        (Some(1..), true) => Err(LENGTH_WITHOUT_BODY),
        (Some(length), _) => Ok(RequestFraming::Length(length)),
        (None, true) => Ok(RequestFraming::None),
        (None, false) => Ok(RequestFraming::Chunked),
    }
}

/// RFC 9113 section 8.1.1.
const LENGTH_WITHOUT_BODY: Reason = "Content-Length on a message without a body";

/// RFC 9113 section 8.2.3: outside HTTP/2 the crumbs of a cookie stand in one field. An empty one says nothing and is left out, since at
/// the end it would leave a space there. That a crumb must not be indexed (RFC 7541 section 6.2.3) holds for the whole.
fn join_cookies(headers: &mut HeaderMap) {
    let crumbs: Vec<&HeaderValue> = headers.get_all(COOKIE).iter().collect();
    if crumbs.len() < 2 {
        return;
    }
    let is_sensitive = crumbs.iter().any(|crumb| crumb.is_sensitive());
    let joined = crumbs.iter().map(|crumb| crumb.as_bytes()).filter(|crumb| !crumb.is_empty()).collect::<Vec<_>>().join(&b"; "[..]);
    let mut joined = HeaderValue::from_maybe_shared(bytes::Bytes::from(joined)).expect("parts of valid values make a valid value");
    joined.set_sensitive(is_sensitive);
    headers.insert(COOKIE, joined);
}

/// The HTTP/2 head of what [`super::request::build`] built for the upstream: `:scheme` as the connection, `:authority` from `Host`, no field of a
/// connection, no `Host`, no framing but `Content-Length`. With `trailers` it says `te: trailers`, since the client did.
///
/// # Errors
/// [`Unbuildable`] if the target or the host cannot be written, which no built head causes.
pub fn upstream_request(head: &RequestHeader, scheme: Scheme, trailers: bool) -> Result<http::Request<()>, Unbuildable> {
    let host = head.headers.get(HOST).ok_or(Unbuildable("it has no host"))?;
    let mut uri = http::uri::Parts::default();
    uri.scheme = Some(scheme);
    uri.authority = Some(Authority::try_from(host.as_bytes()).map_err(|_| Unbuildable("its host"))?);
    uri.path_and_query = Some(PathAndQuery::try_from(head.raw_path()).map_err(|_| Unbuildable("its target"))?);

    let mut request = http::Request::new(());
    *request.method_mut() = head.method.clone();
    *request.uri_mut() = Uri::from_parts(uri).map_err(|_| Unbuildable("its target"))?;
    *request.version_mut() = http::Version::HTTP_2;
    let mut fields = end_to_end(&head.headers);
    if trailers {
        fields.insert(TE, HeaderValue::from_static("trailers"));
    }
    *request.headers_mut() = fields;
    Ok(request)
}

/// Judges the head of an HTTP/2 response, 1xx included, as the answer to a request with `method`.
///
/// `end_of_stream` says whether its HEADERS frame ended the stream. If so and if the method and the status allow a body, it has an empty
/// one: the framing is `Length(0)`, and the head says so with a `Content-Length`, without which an HTTP/1.1 client would wait for a body
/// up to the close. [`ResponseFraming::Chunked`] is a body up to END_STREAM, whose length nobody said. Where the framing is `None`, a
/// server may still send an empty DATA frame to end the stream.
///
/// # Errors
/// What is wrong, in plain words without any byte of the upstream's. The client gets a 502.
pub fn response(
    parts: http::response::Parts,
    method: &Method,
    end_of_stream: bool,
) -> Result<(ResponseHeader, ResponseHead), &'static str> {
    let status = parts.status.as_u16();
    if !(100..=599).contains(&status) {
        return Err("the status is not between 100 and 599");
    }
    if status == 101 {
        // RFC 9113 section 8.6.
        return Err("a switch of protocols, which HTTP/2 does not have");
    }
    if status < 200 && end_of_stream {
        return Err("an interim response that ends the stream");
    }
    if parts.headers.len() > response_head::MAX_FIELDS {
        return Err(response_head::TOO_MANY_FIELDS);
    }
    for (name, value) in &parts.headers {
        if name.as_str().len() > MAX_FIELD_NAME {
            return Err(response_head::TOO_MANY_FIELDS);
        }
        judge_field(name, value)?;
    }
    let framing = response_framing(&parts.headers, status, method, end_of_stream)?;
    let mut header = ResponseHeader::from(parts);
    header.set_version(http::Version::HTTP_2);
    if framing == ResponseFraming::Length(0) && !header.headers.contains_key(CONTENT_LENGTH) {
        header.append_header(CONTENT_LENGTH, HeaderValue::from_static("0")).map_err(|_| response_head::TOO_MANY_FIELDS)?;
    }
    Ok((header, ResponseHead { version: Version::Http2, status, framing, keep_alive: true, promised: None }))
}

fn response_framing(headers: &HeaderMap, status: u16, method: &Method, end_of_stream: bool) -> Result<ResponseFraming, Reason> {
    let mut length = None;
    for value in headers.get_all(CONTENT_LENGTH) {
        // As over HTTP/1.1: the same number may come twice.
        let this = content_length(value.as_bytes())?;
        if length.replace(this).is_some_and(|other| other != this) {
            return Err(response_head::TWO_LENGTHS);
        }
    }
    let never_has_body = status < 200 || status == 204;
    if never_has_body && length.is_some_and(|length| length > 0) {
        return Err(response_head::LENGTH_WITHOUT_BODY);
    }
    if never_has_body || status == 304 || method == Method::HEAD {
        return Ok(ResponseFraming::None);
    }
    match (length, end_of_stream) {
        (Some(1..), true) => Err(LENGTH_WITHOUT_BODY),
        (Some(length), _) => Ok(ResponseFraming::Length(length)),
        (None, true) => Ok(ResponseFraming::Length(0)),
        (None, false) => Ok(ResponseFraming::Chunked),
    }
}

/// The head for an HTTP/2 client, from one that was stripped of hop-by-hop fields ([`super::response::strip_hop_by_hop`]). Whatever
/// field of a connection came back since, `Transfer-Encoding` above all, stays here.
#[must_use]
pub fn client_response(header: &ResponseHeader) -> http::Response<()> {
    let mut response = http::Response::new(());
    *response.status_mut() = header.status;
    *response.version_mut() = http::Version::HTTP_2;
    *response.headers_mut() = end_to_end(&header.headers);
    response
}

/// The fields that another hop may see, in their order, without `Host`.
fn end_to_end(headers: &HeaderMap) -> HeaderMap {
    let dropped = HopByHop::of(headers);
    let passes = |name: &HeaderName| *name != HOST && !dropped.includes(name.as_str().as_bytes());
    let mut kept = HeaderMap::with_capacity(headers.keys_len() + 1);
    for (name, value) in headers.iter().filter(|(name, _)| passes(name)) {
        kept.append(name, own(value));
    }
    kept
}

/// A copy of its bytes alone. The codec's table of fields (RFC 7541 section 2.3.2) keeps values for as long as its connection lives, and
/// one that shares its bytes with all that was read together with it would keep that too: 4 KiB and more for each entry.
fn own(value: &HeaderValue) -> HeaderValue {
    let Ok(mut own) = HeaderValue::from_bytes(value.as_bytes()) else { return value.clone() };
    own.set_sensitive(value.is_sensitive());
    own
}

#[cfg(test)]
mod no_smuggling;
#[cfg(test)]
mod tests;
