//! HTTP/2 heads: one case per reason to refuse, and the proof that what passes is one HTTP/1.1 message with the same meaning.

use bytes::BytesMut;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use pingora::http::{RequestHeader, ResponseHeader};

use super::{client_response, request, response, takes_trailers, upstream_request};
use crate::message::request::{self, AcceptCoding, BuildOptions};
use crate::message::request_head::{MAX_FIELDS, Refusal, RequestFraming, RequestHead};
use crate::message::{ResponseFraming, Version, response_head};

pub(super) const OPTIONS: BuildOptions<'static> = BuildOptions { default_host: "default", accept: AcceptCoding::AsAsked };

/// A request as the h2 crate hands it out. Without an authority it drops the scheme, as `Uri` cannot hold one alone.
struct Asked {
    method: &'static str,
    scheme: &'static str,
    authority: Option<&'static str>,
    path: Option<&'static str>,
    fields: Vec<(&'static str, &'static [u8])>,
}

impl Default for Asked {
    fn default() -> Self {
        Self { method: "GET", scheme: "http", authority: Some("a"), path: Some("/"), fields: Vec::new() }
    }
}

impl Asked {
    fn with(fields: &[(&'static str, &'static str)]) -> Self {
        Self { fields: fields.iter().map(|(name, value)| (*name, value.as_bytes())).collect(), ..Self::default() }
    }

    fn parts(&self) -> http::request::Parts {
        let method = Method::from_bytes(self.method.as_bytes()).unwrap();
        parts(method, uri(self.scheme, self.authority, self.path), fields(&self.fields))
    }

    fn judge(&self, end_of_stream: bool) -> Result<(RequestHeader, RequestHead), Refusal> {
        request(self.parts(), end_of_stream)
    }
}

fn uri(scheme: &str, authority: Option<&str>, path: Option<&str>) -> Uri {
    let mut uri = http::uri::Parts::default();
    uri.authority = authority.map(|authority| Authority::try_from(authority).unwrap());
    uri.scheme = authority.and(path).map(|_| Scheme::try_from(scheme).unwrap());
    uri.path_and_query = path.map(|path| PathAndQuery::try_from(path).unwrap());
    Uri::from_parts(uri).unwrap()
}

pub(super) fn fields<N: AsRef<str>, V: AsRef<[u8]>>(fields: &[(N, V)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in fields {
        map.append(HeaderName::from_bytes(name.as_ref().as_bytes()).unwrap(), HeaderValue::from_bytes(value.as_ref()).unwrap());
    }
    map
}

pub(super) fn parts(method: Method, uri: Uri, headers: HeaderMap) -> http::request::Parts {
    let mut parts = http::Request::new(()).into_parts().0;
    (parts.method, parts.uri, parts.headers, parts.version) = (method, uri, headers, http::Version::HTTP_2);
    parts
}

/// The raw bytes of a built head.
pub(super) fn written(head: &RequestHeader) -> Vec<u8> {
    let mut raw = BytesMut::new();
    head.header_to_h1_wire(&mut raw);
    [head.method.as_str().as_bytes(), b" ", head.raw_path(), b" HTTP/1.1\r\n", &raw[..], b"\r\n"].concat()
}

/// What goes to an HTTP/1.1 upstream, as text.
fn sent(asked: &Asked, end_of_stream: bool) -> String {
    let (header, head) = asked.judge(end_of_stream).unwrap();
    String::from_utf8(written(&request::build(&header, head.framing, OPTIONS).unwrap())).unwrap()
}

#[test]
fn each_thing_that_is_wrong_has_its_status_and_its_reason() {
    let path = |path| Asked { path: Some(path), ..Asked::default() };
    let authority = |authority| Asked { authority: Some(authority), ..Asked::default() };
    let method = |method| Asked { method, ..Asked::default() };
    let field = |name, value: &'static [u8]| Asked { fields: vec![(name, value)], ..Asked::default() };
    let without_authority = |fields: &[_]| Asked { authority: None, ..Asked::with(fields) };
    let cases = [
        // The method.
        (method("CONNECT"), 501, "CONNECT"),
        (Asked { method: "CONNECT", authority: Some("a:443"), path: None, ..Asked::default() }, 501, "CONNECT"),
        (method("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"), 501, "method is longer"),
        // The target.
        (Asked { path: None, ..Asked::default() }, 400, "path is empty"),
        (Asked { path: None, authority: None, ..Asked::with(&[("host", "a")]) }, 400, "path is empty"),
        (path("?x"), 400, "neither a path"),
        (path("*"), 400, "OPTIONS alone"),
        (path("/\u{e9}"), 400, "must be escaped"),
        (path("/?\u{e9}"), 400, "must be escaped"),
        (Asked { scheme: "ftp", ..Asked::default() }, 400, "neither http nor https"),
        // The authority.
        (without_authority(&[]), 400, "neither an authority nor a Host"),
        (without_authority(&[("host", "")]), 400, "host is empty"),
        (without_authority(&[("host", "a"), ("host", "a")]), 400, "more than one Host"),
        (without_authority(&[("host", " a")]), 400, "no host name has"),
        (without_authority(&[("host", "a,b")]), 400, "no host name has"),
        (without_authority(&[("host", "u@a")]), 400, "no host name has"),
        (authority("u@a"), 400, "no host name has"),
        (authority("u:p@a"), 400, "port is not a number"),
        (authority("a,b"), 400, "no host name has"),
        (authority("a:"), 400, "port is not a number"),
        (authority("a:65536"), 400, "port is not a number"),
        (authority("[a]"), 400, "no IPv6 address"),
        (Asked::with(&[("host", "b")]), 400, "not the authority"),
        (Asked::with(&[("host", "A")]), 400, "not the authority"),
        (Asked::with(&[("host", "a:80")]), 400, "not the authority"),
        (Asked::with(&[("host", "a"), ("host", "a")]), 400, "more than one Host"),
        (Asked::with(&[("host", "")]), 400, "host is empty"),
        // Fields.
        (Asked::with(&[("connection", "close")]), 400, "belongs to HTTP/1.1"),
        (Asked::with(&[("keep-alive", "timeout=5")]), 400, "belongs to HTTP/1.1"),
        (Asked::with(&[("proxy-connection", "close")]), 400, "belongs to HTTP/1.1"),
        (Asked::with(&[("transfer-encoding", "chunked")]), 400, "belongs to HTTP/1.1"),
        (Asked::with(&[("transfer-encoding", "")]), 400, "belongs to HTTP/1.1"),
        (Asked::with(&[("upgrade", "websocket")]), 400, "belongs to HTTP/1.1"),
        (Asked::with(&[("te", "gzip")]), 400, "TE names"),
        (Asked::with(&[("te", "trailers, gzip")]), 400, "TE names"),
        (Asked::with(&[("te", "")]), 400, "TE names"),
        (Asked::with(&[("te", "trailers"), ("te", "gzip")]), 400, "TE names"),
        (Asked::with(&[("a", " b")]), 400, "whitespace around"),
        (Asked::with(&[("a", "b ")]), 400, "whitespace around"),
        (Asked::with(&[("a", "\tb")]), 400, "whitespace around"),
        (Asked::with(&[("a", "b\t")]), 400, "whitespace around"),
        (Asked::with(&[("a", " ")]), 400, "whitespace around"),
        (Asked::with(&[("cookie", "a=1"), ("cookie", "b=2 ")]), 400, "whitespace around"),
        (Asked::with(&[("expect", "200-ok")]), 417, "Expect"),
        (Asked::with(&[("expect", "")]), 417, "Expect"),
        (Asked::with(&[("expect", "100-continue"), ("expect", "x")]), 417, "Expect"),
        // The body's length.
        (Asked::with(&[("content-length", "")]), 400, "one plain number"),
        (Asked::with(&[("content-length", "+5")]), 400, "one plain number"),
        (Asked::with(&[("content-length", "5,5")]), 400, "one plain number"),
        (field("content-length", b"\xb2"), 400, "one plain number"),
        (Asked::with(&[("content-length", "18446744073709551616")]), 400, "larger than any body"),
        (Asked::with(&[("content-length", "5"), ("content-length", "5")]), 400, "more than one Content-Length"),
        (Asked::with(&[("content-length", "0"), ("content-length", "0")]), 400, "more than one Content-Length"),
    ];
    for (asked, status, reason) in cases {
        for end_of_stream in [false, true] {
            let Err(refusal) = asked.judge(end_of_stream) else { panic!("accepted: {:?}", asked.parts()) };
            assert_eq!(refusal.status, status, "{refusal:?}: {:?}", asked.parts());
            assert!(refusal.reason.contains(reason), "{refusal:?} is not {reason:?}: {:?}", asked.parts());
        }
    }
}

#[test]
fn a_head_that_is_too_large_is_refused_and_the_largest_passes() {
    let judge = |count: usize, cookies: usize| {
        let mut all: Vec<_> = (0..count).map(|n| (format!("a{n}"), "b")).collect();
        all.extend((0..cookies).map(|_| ("cookie".to_owned(), "c=d")));
        request(parts(Method::GET, uri("http", Some("a"), Some("/")), fields(&all)), true).map_err(|refusal| refusal.status)
    };
    assert!(judge(MAX_FIELDS, 0).is_ok());
    assert_eq!(judge(MAX_FIELDS + 1, 0).err(), Some(431));
    // Crumbs become one field.
    assert_eq!(judge(MAX_FIELDS - 1, 300).unwrap().0.headers.len(), MAX_FIELDS + 1);
    assert_eq!(judge(MAX_FIELDS, 2).err(), Some(431));

    let named = |length: usize| {
        let map = fields(&[("a".repeat(length), "b")]);
        request(parts(Method::GET, uri("http", Some("a"), Some("/")), map), true).map_err(|refusal| refusal.status)
    };
    assert!(named(256).is_ok());
    assert_eq!(named(257).err(), Some(431));

    let path = |length: usize| {
        let path = format!("/{}", "a".repeat(length - 1));
        request(parts(Method::GET, uri("http", Some("a"), Some(&path)), HeaderMap::new()), true).map_err(|refusal| refusal.status)
    };
    assert!(path(65_533).is_ok());
    assert_eq!(path(65_534).err(), Some(414));
}

#[test]
fn the_framing_is_what_the_stream_and_the_length_say() {
    let framing = |length: Option<&'static str>, end_of_stream| {
        let asked = Asked::with(&length.map(|length| ("content-length", length)).into_iter().collect::<Vec<_>>());
        asked.judge(end_of_stream).map(|(_, head)| head.framing).map_err(|refusal| refusal.reason)
    };
    assert_eq!(framing(None, true), Ok(RequestFraming::None));
    assert_eq!(framing(None, false), Ok(RequestFraming::Chunked));
    assert_eq!(framing(Some("00018"), false), Ok(RequestFraming::Length(18)));
    assert_eq!(framing(Some("0"), false), Ok(RequestFraming::Length(0)));
    assert_eq!(framing(Some("0"), true), Ok(RequestFraming::Length(0)));
    assert_eq!(framing(Some("1"), true), Err("Content-Length on a message without a body"));
}

#[test]
fn a_client_waits_for_100_only_with_a_body() {
    let waits = |length, end| {
        let asked = Asked::with(&[("expect", "100-Continue"), ("content-length", length)]);
        asked.judge(end).unwrap().1.expect_continue
    };
    assert!(waits("5", false));
    assert!(!waits("0", false) && !waits("0", true));
    assert!(Asked::with(&[("expect", "100-continue")]).judge(false).unwrap().1.expect_continue);
    assert!(!Asked::with(&[("expect", "100-continue")]).judge(true).unwrap().1.expect_continue);
    assert!(!Asked::default().judge(false).unwrap().1.expect_continue);
}

#[test]
fn a_head_that_passes_is_one_that_the_house_reads() {
    let asked = Asked { path: Some("/x?y"), scheme: "https", ..Asked::with(&[("x-one", "1"), ("x-two", "2"), ("x-one", "3")]) };
    let (header, head) = asked.judge(true).unwrap();
    assert_eq!((head.version, head.keep_alive, &head.method), (Version::Http2, true, &Method::GET));
    assert_eq!((header.raw_path(), header.version), (&b"/x?y"[..], http::Version::HTTP_2));
    assert!(header.uri.authority().is_none() && header.uri.scheme().is_none());
    let fields: Vec<_> = header.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
    assert_eq!(fields, [("x-one", &b"1"[..]), ("x-one", b"3"), ("x-two", b"2"), ("host", b"a")]);
}

#[test]
fn the_host_is_the_authority_or_the_field_or_both_alike() {
    let host = |authority, fields: &[_]| {
        let (header, _) = Asked { authority, ..Asked::with(fields) }.judge(true).unwrap();
        let hosts: Vec<_> = header.headers.get_all("host").iter().map(|host| host.to_str().unwrap().to_owned()).collect();
        hosts.join(" ")
    };
    assert_eq!(host(Some("a.b_c~d:8080"), &[]), "a.b_c~d:8080");
    assert_eq!(host(Some("[::1]:8080"), &[]), "[::1]:8080");
    assert_eq!(host(None, &[("host", "a:1")]), "a:1");
    assert_eq!(host(Some("A:1"), &[("host", "A:1")]), "A:1");
}

#[test]
fn cookie_crumbs_come_as_one_field_where_the_first_was() {
    let cookies = |fields: &[_]| sent(&Asked::with(fields), true);
    assert_eq!(
        cookies(&[("cookie", "a=1"), ("x", "y"), ("cookie", "b=2; c=3"), ("cookie", "d=4")]),
        "GET / HTTP/1.1\r\nHost: a\r\ncookie: a=1; b=2; c=3; d=4\r\nx: y\r\n\r\n"
    );
    assert_eq!(cookies(&[("cookie", "a=1;")]), "GET / HTTP/1.1\r\nHost: a\r\ncookie: a=1;\r\n\r\n");
    // An empty crumb in the joined field would leave a space at its end.
    assert_eq!(
        cookies(&[("cookie", "a=1"), ("cookie", ""), ("cookie", "b=2"), ("cookie", "")]),
        "GET / HTTP/1.1\r\nHost: a\r\ncookie: a=1; b=2\r\n\r\n"
    );
    assert_eq!(cookies(&[("cookie", ""), ("cookie", "")]), "GET / HTTP/1.1\r\nHost: a\r\ncookie: \r\n\r\n");
}

#[test]
fn a_cookie_with_one_crumb_that_must_not_be_indexed_must_not_be_indexed() {
    let sensitive = |which: usize| {
        let mut parts = Asked::default().parts();
        for crumb in 0..2 {
            let mut value = HeaderValue::from_static("a=1");
            value.set_sensitive(crumb == which);
            parts.headers.append("cookie", value);
        }
        request(parts, true).unwrap().0.headers["cookie"].is_sensitive()
    };
    assert!(sensitive(0) && sensitive(1) && !sensitive(2));
}

#[test]
fn what_goes_to_an_http_1_upstream_is_plain() {
    let fields = [("te", "trailers"), ("expect", "100-continue"), ("http2-settings", "AA"), ("accept", "b"), ("trailer", "x")];
    let post = |more: &[_], end| sent(&Asked { method: "POST", ..Asked::with(&[&fields[..], more].concat()) }, end);
    assert_eq!(post(&[], true), "POST / HTTP/1.1\r\nHost: a\r\naccept: b\r\n\r\n");
    assert_eq!(post(&[], false), "POST / HTTP/1.1\r\nHost: a\r\naccept: b\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_eq!(post(&[("content-length", "05")], false), "POST / HTTP/1.1\r\nHost: a\r\naccept: b\r\nContent-Length: 5\r\n\r\n");
    let options = Asked { method: "OPTIONS", path: Some("*"), ..Asked::default() };
    assert_eq!(sent(&options, true), "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n");
}

#[test]
fn trailers_are_taken_by_whoever_says_so() {
    let takes = |values: &[&'static str]| takes_trailers(&fields(&values.iter().map(|value| ("te", *value)).collect::<Vec<_>>()));
    assert!(takes(&["trailers"]) && takes(&["Trailers"]) && takes(&["gzip;q=0.5, trailers"]) && takes(&["gzip", "trailers"]));
    assert!(!takes(&[]) && !takes(&[""]) && !takes(&["gzip"]) && !takes(&["x-trailers"]) && !takes(&["trailers;q=1"]));
    assert!(takes_trailers(&Asked::with(&[("te", "trailers")]).judge(true).unwrap().0.headers));
}

#[test]
fn what_goes_to_an_http_2_upstream_has_its_host_in_its_authority_and_no_field_of_a_connection() {
    let mut head = RequestHeader::build("POST", b"/x?y", None).unwrap();
    let fields = [
        ("Host", "a:8"),
        ("X-One", "1"),
        ("connection", "x-mine"),
        ("X-Mine", "1"),
        ("Transfer-Encoding", "chunked"),
        ("TE", "gzip"),
        ("Upgrade", "x"),
        ("Content-Length", "5"),
        ("x-one", "2"),
        ("Last", ""),
    ];
    for (name, value) in fields {
        head.append_header(name, value).unwrap();
    }
    let wire = |request: &http::Request<()>| {
        let fields: Vec<_> = request.headers().iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
        format!("{} {} {:?} | {}", request.method(), request.uri(), request.version(), fields.join(" | "))
    };
    let plain = "POST http://a:8/x?y HTTP/2.0 | x-one: 1 | x-one: 2 | content-length: 5 | last: ";
    assert_eq!(wire(&upstream_request(&head, Scheme::HTTP, false).unwrap()), plain);
    assert_eq!(wire(&upstream_request(&head, Scheme::HTTP, true).unwrap()), format!("{plain} | te: trailers"));

    let mut options = RequestHeader::build("OPTIONS", b"*", None).unwrap();
    assert!(upstream_request(&options, Scheme::HTTP, false).is_err());
    options.append_header("Host", "a").unwrap();
    assert_eq!(upstream_request(&options, Scheme::HTTP, false).unwrap().uri().path_and_query().unwrap(), "*");
    options.insert_header("Host", "a b").unwrap();
    assert!(upstream_request(&options, Scheme::HTTP, false).is_err());
}

fn answer(status: u16, all: &[(&'static str, &'static str)]) -> http::response::Parts {
    let mut parts = http::Response::new(()).into_parts().0;
    (parts.status, parts.headers) = (StatusCode::from_u16(status).unwrap(), fields(all));
    parts
}

#[test]
fn each_status_and_method_has_the_framing_of_the_standard() {
    let length = ("content-length", "5");
    for (status, fields, method, end_of_stream, expected) in [
        (200, &[length][..], Method::GET, false, ResponseFraming::Length(5)),
        (200, &[length, length], Method::GET, false, ResponseFraming::Length(5)),
        (200, &[], Method::GET, false, ResponseFraming::Chunked),
        (200, &[], Method::GET, true, ResponseFraming::Length(0)),
        (404, &[("content-length", "0")], Method::GET, true, ResponseFraming::Length(0)),
        (200, &[length], Method::HEAD, true, ResponseFraming::None),
        (200, &[length], Method::HEAD, false, ResponseFraming::None),
        (200, &[], Method::HEAD, true, ResponseFraming::None),
        (204, &[], Method::GET, true, ResponseFraming::None),
        (204, &[("content-length", "0")], Method::GET, false, ResponseFraming::None),
        (304, &[length], Method::GET, true, ResponseFraming::None),
        (304, &[length], Method::GET, false, ResponseFraming::None),
        (103, &[], Method::GET, false, ResponseFraming::None),
        (599, &[], Method::POST, false, ResponseFraming::Chunked),
    ] {
        let (header, head) = response(answer(status, fields), &method, end_of_stream).unwrap();
        assert_eq!(
            head,
            super::ResponseHead { version: Version::Http2, status, framing: expected, keep_alive: true, promised: None },
            "{status} {method} {fields:?}"
        );
        assert_eq!((header.status.as_u16(), header.version), (status, http::Version::HTTP_2));
    }
}

#[test]
fn an_empty_body_is_said_to_be_empty_and_nothing_else_is_added() {
    let lengths = |status, method, end| {
        let (header, _) = response(answer(status, &[("a", "b")]), &method, end).unwrap();
        header.headers.get("content-length").cloned()
    };
    assert_eq!(lengths(200, Method::GET, true), Some(HeaderValue::from_static("0")));
    assert_eq!(lengths(200, Method::GET, false), None);
    assert_eq!(lengths(200, Method::HEAD, true), None);
    assert_eq!(lengths(204, Method::GET, true), None);
    assert_eq!(lengths(304, Method::GET, true), None);
}

#[test]
fn a_response_that_is_wrong_has_its_reason() {
    let length = |length| vec![("content-length", length)];
    let fields = |count: usize| vec![("a", "b"); count];
    for (status, fields, end_of_stream, reason) in [
        (101, vec![], false, "switch of protocols"),
        (600, vec![], false, "between 100 and 599"),
        (103, vec![], true, "interim"),
        (200, length("x"), false, "one plain number"),
        (200, length("5"), true, "without a body"),
        (200, vec![("content-length", "5"), ("content-length", "6")], false, "two different"),
        (204, length("5"), true, "has no body"),
        (103, length("5"), false, "has no body"),
        (200, vec![("connection", "close")], false, "belongs to HTTP/1.1"),
        (200, vec![("transfer-encoding", "chunked")], false, "belongs to HTTP/1.1"),
        (200, vec![("te", "gzip")], false, "TE names"),
        (200, vec![("a", " b")], false, "whitespace around"),
        (304, length("05 "), false, "whitespace around"),
        (200, fields(response_head::MAX_FIELDS + 1), false, "too many"),
    ] {
        let refused = response(answer(status, &fields), &Method::GET, end_of_stream).map(|_| ()).unwrap_err();
        assert!(refused.contains(reason), "{refused}: {status} {fields:?}");
    }
    assert!(response(answer(200, &fields(response_head::MAX_FIELDS)), &Method::GET, true).is_ok());
    let mut long = answer(200, &[]);
    long.headers.insert(HeaderName::from_bytes("a".repeat(257).as_bytes()).unwrap(), HeaderValue::from_static("b"));
    assert!(response(long, &Method::GET, true).is_err());
}

#[test]
fn an_http_2_client_gets_the_fields_in_their_order_without_those_of_a_connection() {
    let mut header = ResponseHeader::build(418, None).unwrap();
    header.set_reason_phrase(Some("Fine")).unwrap();
    for (name, value) in [
        ("Set-Cookie", "a"),
        ("Transfer-Encoding", "chunked"),
        ("X-A", "1"),
        ("set-cookie", "b"),
        ("Connection", "close"),
        ("Z", ""),
    ] {
        header.append_header(name, value).unwrap();
    }
    let response = client_response(&header);
    let fields: Vec<_> = response.headers().iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
    assert_eq!(fields, ["set-cookie: a", "set-cookie: b", "x-a: 1", "z: "]);
    assert_eq!((response.status().as_u16(), response.version()), (418, http::Version::HTTP_2));
}
