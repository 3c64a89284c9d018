//! The proof that an HTTP/2 head which passes is one HTTP/1.1 message with the same meaning, for arbitrary heads.

use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Method, Uri};
use proptest::prelude::*;

use super::tests::{OPTIONS, fields, parts, written};
use super::{request, takes_trailers, upstream_request};
use crate::message::request;
use crate::message::request_head::{self, RequestFraming, RequestHead};
use crate::message::strict;

/// Names that matter to somebody, and some that do not.
const NAMES: [&str; 17] = [
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "te",
    "expect",
    "cookie",
    "upgrade",
    "trailer",
    "http2-settings",
    "accept-encoding",
    "accept",
    "keep-alive",
    "x-a",
    "x_b",
    "!#$%&'*+-.^_`|~0",
    "forwarded",
];

/// Values that say something in one of the fields above.
const VALUES: [&str; 15] = [
    "a",
    "b:1",
    "5",
    "0",
    "chunked",
    "close",
    "trailers",
    "100-continue",
    "a=1",
    "",
    "host, x-a",
    "x ",
    "gzip;q=0",
    "\u{e9}",
    "a: b",
];

/// Fields that pass, each where the others leave it alone.
const FINE: [(&str, &str); 14] = [
    ("host", "a"),
    ("content-length", "0"),
    ("content-length", "005"),
    ("te", "trailers"),
    ("expect", "100-continue"),
    ("cookie", "a=1; b=2"),
    ("cookie", "c"),
    ("cookie", ""),
    ("accept-encoding", "gzip"),
    ("x-a", "\u{e9} a: b,\tc"),
    ("x-a", ""),
    ("x_b", "host: a"),
    ("trailer", "x-a"),
    ("http2-settings", "AA"),
];

fn words(words: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop::sample::select(words).prop_map(str::to_owned)
}

/// An HTTP/2 head of parts that are mostly fine.
fn arbitrary_head() -> impl Strategy<Value = (http::request::Parts, bool)> {
    let method = prop_oneof![8 => words(&["GET", "POST", "OPTIONS", "HEAD"]), 1 => words(&["CONNECT", "PRI"]), 1 => "[!#$%&'*+.^_`|~0-9A-Za-z-]{1,34}"];
    let authority = prop_oneof![
        8 => Just(Some("a".to_owned())),
        2 => words(&["b:1", "[::1]:80", "u@a", "A"]).prop_map(Some),
        1 => "[!-~]{1,8}".prop_map(Some),
        2 => Just(None),
    ];
    let path =
        prop_oneof![6 => "/[!$-;=@-_a-~]{0,12}(\\?[!$-;=@-~]{0,8})?", 1 => "/[!-~]{0,4}\\?[!-~\u{80}-\u{ff}]{0,4}", 1 => "\\*"];
    let value = prop_oneof![
        words(&VALUES).prop_map(String::into_bytes),
        proptest::collection::vec(prop_oneof![Just(b'\t'), 0x20..=0x7e_u8, 0x80..=0xff_u8], 0..12)
    ];
    let name = prop_oneof![words(&NAMES), "[!#$%&'*+.^_`|~0-9a-z-]{1,6}"];
    let fine = prop::sample::select(&FINE[..]).prop_map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()));
    let field = prop_oneof![8 => fine, 1 => (name, value)];
    let scheme = prop_oneof![8 => words(&["http", "https"]), 1 => words(&["ftp"])];
    (method, scheme, authority, path, proptest::collection::vec(field, 0..6), any::<bool>()).prop_filter_map(
        "what the http crate does not hold never comes",
        |(method, scheme, authority, path, all, end_of_stream)| {
            let mut uri = http::uri::Parts::default();
            uri.authority = authority.map(|authority| Authority::try_from(authority.as_str())).transpose().ok()?;
            uri.scheme = uri.authority.as_ref().map(|_| Scheme::try_from(scheme.as_str()).unwrap());
            uri.path_and_query = Some(PathAndQuery::try_from(path.as_str()).ok()?);
            let method = Method::from_bytes(method.as_bytes()).ok()?;
            Some((parts(method, Uri::from_parts(uri).ok()?, fields(&all)), end_of_stream))
        },
    )
}

/// The fields that are built for the upstream and not copied, or that end here.
fn is_built_anew(name: &str) -> bool {
    ["host", "content-length", "transfer-encoding", "expect", "te", "trailer", "http2-settings"].contains(&name)
}

proptest! {
    #![proptest_config(crate::message::proptest_config(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/proptest-regressions/message-http2.txt")))]

    /// No smuggling: what passes is, written down for an HTTP/1.1 upstream, one head that passes there and means the same.
    #[test]
    fn what_passes_is_one_http_1_head_with_the_same_meaning((parts, end_of_stream) in arbitrary_head()) {
        let Ok((header, head)) = request(parts.clone(), end_of_stream) else { return Ok(()) };
        let built = request::build(&header, head.framing, OPTIONS).unwrap();
        let raw = written(&built);
        // As it is really written, and as somebody else reads that.
        prop_assert_eq!(strict::to_server(&built), raw.clone());
        let strict = strict::parse(&raw).unwrap();
        prop_assert_eq!(&strict.start[..2], &[parts.method.as_str().to_owned(), parts.uri.path_and_query().unwrap().to_string()]);
        prop_assert_eq!(strict.all("host").len(), 1);
        let framing = match head.framing {
            RequestFraming::None => None,
            RequestFraming::Length(length) => Some(length.to_string()),
            RequestFraming::Chunked => Some("chunked".to_owned()),
        };
        prop_assert_eq!(strict.framing(), Ok(framing), "{}", raw.escape_ascii());
        let judged = request_head::tests::judge(&raw).unwrap();
        prop_assert_eq!(judged.framing, head.framing, "{}", raw.escape_ascii());
        prop_assert_eq!(&judged.method, &parts.method);
        prop_assert!(judged.keep_alive && !judged.expect_continue);
        prop_assert_eq!(head.framing == RequestFraming::None, end_of_stream && !parts.headers.contains_key("content-length"));

        let mut slots = [httparse::EMPTY_HEADER; 16];
        let mut parsed = httparse::Request::new(&mut slots);
        prop_assert_eq!(parsed.parse(&raw), Ok(httparse::Status::Complete(raw.len())));
        prop_assert_eq!(parsed.path, parts.uri.path_and_query().map(PathAndQuery::as_str));
        let written: Vec<_> = parsed.headers.iter().map(|field| (field.name.to_ascii_lowercase(), field.value.to_vec())).collect();
        let hosts: Vec<_> = written.iter().filter(|(name, _)| name == "host").map(|(_, value)| value.clone()).collect();
        let authority = parts.uri.authority().map(|authority| authority.as_str().as_bytes().to_vec());
        prop_assert_eq!(hosts, [authority.unwrap_or_else(|| parts.headers["host"].as_bytes().to_vec())]);

        // Every other field is there, as it came; crumbs in one.
        let others = |fields: Vec<(String, Vec<u8>)>| {
            fields.into_iter().filter(|(name, _)| !is_built_anew(name) && name != "cookie").collect::<Vec<_>>()
        };
        let came = parts.headers.iter().map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec())).collect();
        let cookies: Vec<_> = written.iter().filter(|(name, _)| name == "cookie").map(|(_, value)| value.clone()).collect();
        prop_assert_eq!(others(written), others(came));
        let crumbs: Vec<_> = parts.headers.get_all("cookie").iter().map(|crumb| crumb.as_bytes()).collect();
        prop_assert_eq!(cookies.len(), crumbs.len().min(1));
        let crumbs: Vec<_> = crumbs.into_iter().filter(|crumb| !crumb.is_empty()).collect();
        prop_assert_eq!(cookies.concat(), crumbs.join(&b"; "[..]));

        // The same to an HTTP/2 upstream, which judges as we do.
        let up = upstream_request(&request::build(&header, head.framing, OPTIONS).unwrap(), Scheme::HTTP, takes_trailers(&header.headers)).unwrap();
        let (again, same) = request(up.into_parts().0, end_of_stream).unwrap();
        prop_assert_eq!(again.raw_path(), header.raw_path());
        prop_assert_eq!(&again.headers["host"], &header.headers["host"]);
        prop_assert_eq!(takes_trailers(&again.headers), takes_trailers(&header.headers));
        prop_assert_eq!(RequestHead { expect_continue: head.expect_continue, ..same }, head);
    }
}

/// The property above says nothing if nothing passes.
#[test]
fn the_heads_of_the_property_pass_often_enough() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let passed = (0..400).filter(|_| {
        let (parts, end_of_stream) = arbitrary_head().new_tree(&mut runner).unwrap().current();
        request(parts, end_of_stream).is_ok()
    });
    let passed = passed.count();
    assert!((60..340).contains(&passed), "{passed} of 400 passed");
}
