//! Response heads as they leave, and the facts that are read from them.

use bytes::BytesMut;
use pingora::http::ResponseHeader;
use proptest::prelude::*;

use super::{ResponseFacts, prepare_event_stream, remove_coding, strip_hop_by_hop};
use crate::message::Coding;

fn head(status: u16, fields: &[(&'static str, &'static str)]) -> ResponseHeader {
    let mut header = ResponseHeader::build(status, None).unwrap();
    for (name, value) in fields {
        header.append_header(*name, *value).unwrap();
    }
    header
}

fn wire(header: &ResponseHeader) -> String {
    let mut fields = BytesMut::new();
    header.header_to_h1_wire(&mut fields);
    String::from_utf8(fields.to_vec()).unwrap()
}

#[test]
fn fields_of_the_connection_go_and_the_rest_keeps_case_order_and_duplicates() {
    let mut header = head(
        200,
        &[
            ("connection", "X-Mine, close, Set-Cookie"),
            ("SERVER", "x"),
            ("Transfer-Encoding", "chunked"),
            ("Set-cookie", "a=1"),
            ("X-Mine", "1"),
            ("Keep-Alive", "timeout=5"),
            ("set-Cookie", "b=2"),
            ("eTag", "\"e\""),
            ("Proxy-Authenticate", "Basic"),
            ("Upgrade", "h2c"),
            ("Trailer", "X"),
            ("x-last", ""),
        ],
    );
    header.set_reason_phrase(Some("Fine")).unwrap();
    header.set_version(http::Version::HTTP_10);
    strip_hop_by_hop(&mut header);
    assert_eq!(wire(&header), "SERVER: x\r\nSet-cookie: a=1\r\nset-Cookie: b=2\r\neTag: \"e\"\r\nx-last: \r\n");
    assert_eq!((header.get_reason_phrase(), header.version), (Some("Fine"), http::Version::HTTP_10));
}

#[test]
fn a_content_length_stays_once_and_not_where_no_body_can_be() {
    let stripped = |status| {
        let mut header = head(status, &[("content-length", "0"), ("A", "b"), ("Content-Length", "0")]);
        strip_hop_by_hop(&mut header);
        wire(&header)
    };
    assert_eq!(stripped(200), "content-length: 0\r\nA: b\r\n");
    assert_eq!(stripped(304), "content-length: 0\r\nA: b\r\n");
    assert_eq!(stripped(204), "A: b\r\n");
    assert_eq!(stripped(103), "A: b\r\n");
}

#[test]
fn a_content_length_leaves_as_a_plain_number() {
    for (theirs, ours) in [("0", "0"), ("00", "0"), ("0010", "10"), ("10", "10"), ("018446744073709551615", "18446744073709551615")]
    {
        let mut header = head(200, &[("Content-length", theirs), ("A", "b"), ("content-length", theirs)]);
        strip_hop_by_hop(&mut header);
        assert_eq!(wire(&header), format!("Content-length: {ours}\r\nA: b\r\n"));
    }
}

#[test]
fn an_http_2_head_keeps_its_lower_case() {
    let parts =
        http::Response::builder().status(200).header("x-one", "1").header("connection", "x").body(()).unwrap().into_parts().0;
    let mut header = ResponseHeader::from(parts);
    strip_hop_by_hop(&mut header);
    assert!(!header.has_case());
    assert_eq!(wire(&header), "x-one: 1\r\n");
}

#[test]
fn an_event_stream_leaves_without_length_and_with_what_outer_hops_must_know() {
    let mut header = head(
        200,
        &[("Content-Length", "9"), ("content-Type", "text/event-stream"), ("x-accel-buffering", "yes"), ("ETag", "\"e\"")],
    );
    prepare_event_stream(&mut header);
    assert_eq!(
        wire(&header),
        "content-Type: text/event-stream\r\nX-Accel-Buffering: no\r\nETag: \"e\"\r\nCache-Control: no-cache, no-transform\r\n"
    );
}

#[test]
fn a_decoded_stream_leaves_without_coding_and_with_a_weak_etag() {
    let decoded = |fields: &[_]| {
        let mut header = head(200, fields);
        remove_coding(&mut header);
        wire(&header)
    };
    assert_eq!(
        decoded(&[
            ("content-encoding", "gzip"),
            ("A", "b"),
            ("eTag", "\"e\""),
            ("content-Length", "9"),
            ("Vary", "Accept-Encoding"),
            ("Content-Encoding", "")
        ]),
        "A: b\r\neTag: W/\"e\"\r\nVary: Accept-Encoding\r\n"
    );
    assert_eq!(decoded(&[("ETag", "W/\"e\"")]), "ETag: W/\"e\"\r\n");
    assert_eq!(decoded(&[("ETag", "e")]), "ETag: e\r\n");
}

#[test]
fn of_cache_control_only_the_missing_directives_come_and_none_goes() {
    for (theirs, ours) in [
        (&[][..], Some("no-cache, no-transform")),
        (&["no-cache"], Some("no-transform")),
        (&["No-Transform"], Some("no-cache")),
        (&["no-cache, no-transform"], None),
        (&["NO-TRANSFORM,no-cache , max-age=5"], None),
        (&["no-transform", "private", "no-cache"], None),
        (&["no-store"], Some("no-cache, no-transform")),
        (&["public, max-age=60"], Some("no-cache, no-transform")),
        (&["no-cache=\"Set-Cookie\", no-transform"], Some("no-cache")),
        (&["private=\"x, no-cache, no-transform\""], Some("no-cache, no-transform")),
        (&["x=\"\\\", no-cache, \", no-transform"], Some("no-cache")),
        (&["x=\"unclosed, no-cache, no-transform"], Some("no-cache, no-transform")),
        (&["x-no-cache, no-cachex"], Some("no-cache, no-transform")),
    ] {
        let mut header = head(200, &[]);
        for value in theirs {
            header.append_header("cache-Control", *value).unwrap();
        }
        prepare_event_stream(&mut header);
        let values: Vec<_> = header.headers.get_all("cache-control").iter().map(|value| value.to_str().unwrap()).collect();
        assert_eq!(values, theirs.iter().copied().chain(ours).collect::<Vec<_>>());
    }
}

#[test]
fn preparing_twice_changes_nothing_more() {
    let mut header = head(200, &[("Content-Type", "text/event-stream")]);
    prepare_event_stream(&mut header);
    let once = wire(&header);
    prepare_event_stream(&mut header);
    assert_eq!(wire(&header), once);
}

#[test]
fn the_facts_are_those_of_the_upstream_alone() {
    let plain = head(200, &[("Content-Type", "text/event-stream; charset=utf-8"), ("Cache-Control", "no-cache")]);
    let facts = ResponseFacts::of(&plain);
    assert_eq!((facts.status, facts.media_type), (200, Some(&b"text/event-stream; charset=utf-8"[..])));
    assert!(facts.coding == Coding::Identity && !facts.digested && !facts.no_transform);

    assert_eq!(ResponseFacts::of(&head(503, &[])), ResponseFacts { status: 503, media_type: None, ..facts });
    let two = head(200, &[("Content-Type", "text/event-stream"), ("content-type", "text/html")]);
    assert_eq!(ResponseFacts::of(&two).media_type, None);
}

#[test]
fn each_field_that_forbids_injection_is_seen() {
    let facts = |name: &'static str, value: &'static str| {
        let header = head(200, &[(name, value)]);
        let facts = ResponseFacts::of(&header);
        (facts.coding != Coding::Identity, facts.digested, facts.no_transform)
    };
    for coding in ["gzip", "identity, gzip", "x", "GZIP"] {
        assert_eq!(facts("content-Encoding", coding), (true, false, false), "{coding}");
    }
    for coding in ["identity", "Identity", "", "identity,", "identity, identity"] {
        assert_eq!(facts("Content-Encoding", coding), (false, false, false), "{coding}");
    }
    assert_eq!(facts("Content-Digest", "sha-256=::"), (false, true, false));
    assert_eq!(facts("repr-digest", "sha-256=::"), (false, true, false));
    assert_eq!(facts("Cache-Control", "private, No-Transform"), (false, false, true));
    assert_eq!(facts("Cache-Control", "no-transform=1"), (false, false, true));
    assert_eq!(facts("Cache-Control", "x=\"no-transform\""), (false, false, false));
}

proptest! {
    #![proptest_config(crate::message::proptest_config(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/proptest-regressions/message-response.txt")))]

    #[test]
    fn no_directive_of_the_upstream_is_lost_and_both_of_ours_are_there(values in proptest::collection::vec("[a-z=\"\\\\, -]{0,20}", 0..4)) {
        let mut header = head(200, &[]);
        for value in &values {
            header.append_header("Cache-Control", value.as_str()).unwrap();
        }
        prepare_event_stream(&mut header);
        let after: Vec<_> = header.headers.get_all("cache-control").iter().map(|value| value.to_str().unwrap().to_owned()).collect();
        prop_assert_eq!(&after[..values.len()], &values[..]);
        prop_assert!(after.len() <= values.len() + 1);
        prop_assert!(ResponseFacts::of(&header).no_transform);
    }
}
