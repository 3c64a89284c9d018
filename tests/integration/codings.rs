//! Event streams that a server compresses: gzip is decoded as it comes, what we cannot decode passes untouched, and ordinary answers
//! keep their coding byte for byte (RFC 9110 sections 8.4 and 12.5.3, RFC 1952, RFC 9530; design `product.md`, "never compresses").

use std::time::Duration;

use crate::support::gzip::{Gzip, gzip};
use crate::support::{ASK, Client, Edge, End, GET, Origin, SUBSCRIBE, SUBSCRIBE_1_0, Script, pattern};

const GZIP: &str = "Content-Encoding: gzip\r\n";
const EVENTS: &str = "id: 1\ndata: a\n\nevent: x\r\ndata: \u{e9}\r\n\r\ndata: c\r\rdata: last\n\n";
/// Long enough for several beats of [`BEAT`].
const SILENCE: Duration = Duration::from_millis(700);
const BEAT: &str = "interval: 150ms";
const METRIC: &str = "ssedge_streams_undecodable_total";

/// A request of each shape whose answer may be a stream.
const REQUESTS: [&str; 3] = [SUBSCRIBE, ASK, SUBSCRIBE_1_0];

/// A gzip stream, each part flushed and behind a gate of its own.
fn gated(parts: &[&str]) -> Script {
    let mut member = Gzip::new();
    let script = parts.iter().fold(Script::stream_with(GZIP), |script, part| script.chunk(member.part(part)).gate());
    script.chunk(member.end()).end()
}

#[tokio::test]
async fn each_compressed_event_arrives_while_the_server_says_nothing_more() {
    let parts = ["data: a\n\n", "data: b\n\n", "data: ha", "lf\n\n", "data: \u{e9}\n\n"];
    for request in REQUESTS {
        let origin = Origin::start(gated(&parts)).await;
        let edge = Edge::start(origin.address()).await;
        let (mut client, head) = Client::open(edge.address(), request).await;
        assert_eq!((head.status(), head.get("content-encoding")), (200, None), "{head:?}");
        for part in parts {
            client.expects(part).await;
            origin.open_gate();
        }
        client.ends_with("", End::Clean).await;
        edge.stream_ended("upstream_end").await;
        assert_eq!(edge.metric(METRIC, "route=").await, 0.0);
    }
}

#[tokio::test]
async fn heartbeats_come_between_compressed_events_and_never_inside_one() {
    for request in REQUESTS {
        let mut member = Gzip::new();
        let script = Script::stream_with(GZIP).chunk(member.part("data: a\n\n")).gate();
        let script = script.chunk(member.part("data: ha")).silence(SILENCE).chunk(member.part("lf\n\n")).gate();
        let origin = Origin::start(script.chunk(member.end()).end()).await;
        let edge = Edge::with().heartbeat(BEAT).start(origin.address()).await;
        let (mut client, _) = Client::open(edge.address(), request).await;
        client.expects_after(":\n\n", "data: a\n\n").await;
        client.expects(":\n\n:\n\n").await;
        origin.open_gate();
        client.expects_after(":\n\n", "data: half\n\n").await;
        client.expects(":\n\n").await;
        origin.open_gate();
        client.expects_after(":\n\n", "").await;
        client.ends_with("", End::Clean).await;
    }
}

#[tokio::test]
async fn nothing_in_the_head_of_a_decoded_stream_tells_of_its_coding() {
    let wire = gzip(EVENTS);
    for coding in ["gzip", "GZIP", "x-gzip", "gzip,"] {
        let kind = "Content-Type: text/event-stream\r\n";
        let fields = format!("{kind}Content-Encoding: {coding}\r\nContent-Length: {}\r\nETag: \"1\"\r\nX-Own: 1\r\n", wire.len());
        let origin = Origin::start(Script::new().head("200 OK", &fields).raw(&wire)).await;
        let edge = Edge::start(origin.address()).await;
        for request in REQUESTS {
            let (mut client, head) = Client::open(edge.address(), request).await;
            assert_eq!((head.get("content-encoding"), head.get("content-length")), (None, None), "{head:?}");
            assert_eq!((head.get("x-own"), head.get("content-type")), (Some("1"), Some("text/event-stream")));
            assert_ne!(head.get("etag"), Some("\"1\""), "those are other bytes");
            client.ends_with(EVENTS, End::Clean).await;
        }
    }
}

#[tokio::test]
async fn a_server_may_compress_for_a_client_that_offers_nothing() {
    let wire = gzip(EVENTS);
    let origin = Origin::start(Script::stream_with(GZIP).chunk(&wire).end()).await;
    let edge = Edge::start(origin.address()).await;
    for fields in ["", "Accept-Encoding: identity\r\n", "Accept-Encoding: br\r\n", "Accept-Encoding: gzip;q=0\r\n"] {
        for request in [SUBSCRIBE, ASK] {
            let request = request.replacen("\r\n\r\n", &format!("\r\n{fields}\r\n"), 1);
            let (mut client, _) = Client::open(edge.address(), request).await;
            client.ends_with(EVENTS, End::Clean).await;
        }
    }
}

#[tokio::test]
async fn a_compressed_stream_is_the_same_wherever_its_chunks_are_cut() {
    let mut member = Gzip::new();
    let (one, two) = EVENTS.split_at(17);
    let wire = [member.part(one), member.part(two), member.end()].concat();
    let cut = |at: usize| Script::stream_with(GZIP).chunk(&wire[..at]).silence(Duration::from_millis(2)).chunk(&wire[at..]).end();
    let origin = Origin::start_each((1..wire.len()).map(cut)).await;
    let edge = Edge::start(origin.address()).await;
    for at in 1..wire.len() {
        let (mut client, _) = Client::open(edge.address(), SUBSCRIBE).await;
        let (body, end) = client.rest_of_body().await;
        assert_eq!((String::from_utf8_lossy(&body).as_ref(), end), (EVENTS, End::Clean), "cut at {at}");
    }
}

#[tokio::test]
async fn every_way_to_frame_a_compressed_body_carries_the_same_events() {
    let wire = gzip(EVENTS);
    let kind = "Content-Type: text/event-stream\r\nContent-Encoding: gzip\r\n";
    let chunked = wire
        .iter()
        .fold(Script::new().head("200 OK", &format!("{kind}Transfer-Encoding: chunked\r\n")), |script, byte| script.chunk([*byte]));
    let bytewise = Script::new().head("200 OK", &format!("{kind}Transfer-Encoding: chunked\r\n"));
    let scripts = [
        chunked.end(),
        bytewise.one_byte_at_a_time([format!("{:x}\r\n", wire.len()).as_bytes(), &wire, b"\r\n0\r\n\r\n"].concat()),
        Script::new().head("200 OK", &format!("{kind}Content-Length: {}\r\n", wire.len())).one_byte_at_a_time(&wire),
        Script::new().head("200 OK", kind).raw(&wire).close(),
        Script::new().raw(format!("HTTP/1.0 200 OK\r\n{kind}\r\n")).raw(&wire).close(),
    ];
    let count = scripts.len();
    for request in REQUESTS {
        let origin = Origin::start_each(scripts.clone()).await;
        let edge = Edge::start(origin.address()).await;
        for number in 0..count {
            let (mut client, _) = Client::open(edge.address(), request).await;
            let (body, end) = client.rest_of_body().await;
            assert_eq!((String::from_utf8_lossy(&body).as_ref(), end), (EVENTS, End::Clean), "framing {number}");
        }
    }
}

#[tokio::test]
async fn members_that_follow_each_other_are_one_body() {
    // RFC 1952 section 2.2; a member may be empty.
    let (one, two) = EVENTS.split_at(17);
    let wire = [gzip(""), gzip(one), gzip(""), gzip(two), gzip("")].concat();
    let at_once = Script::stream_with(GZIP).chunk(&wire).end();
    let apart = [gzip(one), gzip(two)].iter().fold(Script::stream_with(GZIP), |script, member| script.chunk(member).gate()).end();
    let origin = Origin::start_each([at_once, apart]).await;
    let edge = Edge::start(origin.address()).await;
    let (mut client, _) = Client::open(edge.address(), SUBSCRIBE).await;
    client.ends_with(EVENTS, End::Clean).await;
    let (mut client, _) = Client::open(edge.address(), SUBSCRIBE).await;
    for part in [one, two] {
        client.expects(part).await;
        origin.open_gate();
    }
    client.ends_with("", End::Clean).await;
}

/// Bodies that are not what gzip makes of anything, though their HTTP framing is whole, and what is counted.
fn broken() -> Vec<(&'static str, Vec<u8>, Option<&'static str>)> {
    let events = "data: a\n\n".repeat(3);
    let mut member = Gzip::new();
    let flushed = member.part(&events);
    let tail = member.end();
    let whole = [&flushed[..], &tail].concat();
    let end = whole.len();
    let changed = |at: usize| {
        let mut wire = whole.clone();
        wire[at] ^= 0xff;
        wire
    };
    vec![
        ("stops behind a flush", flushed.clone(), None),
        ("stops without its trailer", whole[..end - 8].to_vec(), None),
        ("stops within its trailer", whole[..end - 1].to_vec(), None),
        ("has another checksum", changed(end - 8), Some("upstream_malformed")),
        ("has another size", changed(end - 4), Some("upstream_malformed")),
        ("goes on with garbage in the place of a block", [&flushed[..], &[0xff; 64]].concat(), Some("upstream_malformed")),
    ]
}

#[tokio::test]
async fn a_compressed_stream_that_is_broken_has_no_clean_end() {
    for (what, wire, reason) in broken() {
        for request in [SUBSCRIBE, ASK, SUBSCRIBE_1_0] {
            let origin = Origin::start(Script::stream_with(GZIP).chunk(&wire).end()).await;
            let edge = Edge::start(origin.address()).await;
            let (mut client, _) = Client::open(edge.address(), request).await;
            client.expects("data: a\n\n".repeat(3)).await;
            let (rest, end) = client.rest_of_body().await;
            let cut = if request == SUBSCRIBE_1_0 { end == End::Reset } else { end != End::Clean };
            assert!(rest.is_empty() && cut, "one that {what} ended {end:?} with {rest:?}");
            if let Some(reason) = reason {
                edge.stream_ended(reason).await;
            }
            edge.metric_becomes("ssedge_streams_open", "", 0.0).await;
            assert_eq!(edge.metric("ssedge_streams_ended_total", "").await, 1.0, "one stream has one end");
            assert_eq!(edge.metric("ssedge_streams_ended_total", "reason=\"upstream_end\"").await, 0.0, "{what}");
        }
    }
}

#[tokio::test]
async fn what_is_no_gzip_though_it_says_so_is_never_taken_for_events() {
    for wire in [EVENTS.as_bytes(), &b"\x1f\x8b\x09\x00\x00\x00\x00\x00\x00\xff"[..], &pattern(5000)[..], b"\x1f"] {
        let origin = Origin::start(Script::stream_with(GZIP).chunk(wire).end()).await;
        let edge = Edge::start(origin.address()).await;
        let (mut client, head) = Client::open(edge.address(), SUBSCRIBE).await;
        let (body, end) = client.rest_of_body().await;
        assert!(head.status() == 502 || (body.is_empty() && end != End::Clean), "{} with {body:?} and {end:?}", head.start());
    }
}

#[tokio::test]
async fn a_compressed_stream_that_is_lost_has_no_clean_end() {
    let mut member = Gzip::new();
    let start = Script::stream_with(GZIP).chunk(member.part("data: a\n\n")).gate();
    let whole = Script::stream_with(GZIP).chunk(gzip("data: a\n\n")).gate();
    for script in [start.clone().close(), start.clone().reset(), whole.close()] {
        let origin = Origin::start(script).await;
        let edge = Edge::start(origin.address()).await;
        let (mut client, _) = Client::open(edge.address(), SUBSCRIBE).await;
        client.expects("data: a\n\n").await;
        origin.open_gate();
        assert_ne!(client.rest_of_body().await.1, End::Clean);
        edge.stream_ended("upstream_lost").await;
    }
}

#[tokio::test]
async fn a_compressed_subscription_ends_at_a_boundary_when_the_proxy_drains() {
    let mut member = Gzip::new();
    let script = Script::stream_with(GZIP).chunk(member.part("data: a\n\ndata: ha")).gate().chunk(member.part("lf\n\ndata: b\n\n"));
    let origin = Origin::start(script.hang()).await;
    let mut edge = Edge::start(origin.address()).await;
    let (mut client, _) = Client::open(edge.address(), SUBSCRIBE).await;
    client.expects("data: a\n\ndata: ha").await;
    edge.signal("TERM");
    edge.draining().await;
    origin.open_gate();
    client.ends_with("lf\n\n", End::Clean).await;
    assert_eq!(edge.exit_code().await, Some(0));
}

#[tokio::test]
async fn a_stream_in_a_coding_that_we_cannot_decode_passes_untouched_and_unbeaten() {
    let bytes = pattern(3000);
    for coding in ["br", "zstd", "deflate", "gzip, br", "gzip, gzip"] {
        for request in [SUBSCRIBE, ASK] {
            let fields = format!("Content-Encoding: {coding}\r\n");
            let script = Script::stream_with(&fields).chunk(&bytes[..777]).gate().silence(SILENCE).chunk(&bytes[777..]).end();
            let origin = Origin::start(script).await;
            let edge = Edge::with().heartbeat(BEAT).start(origin.address()).await;
            let (mut client, head) = Client::open(edge.address(), request).await;
            assert_eq!(head.get("content-encoding"), Some(coding));
            client.expects(&bytes[..777]).await;
            assert_eq!(edge.metric(METRIC, "route=\"0\"").await, 1.0, "{coding}");
            edge.process().logs(&format!("content_encoding=\"{coding}\"")).await;
            origin.open_gate();
            client.ends_with(&bytes[777..], End::Clean).await;
            edge.stream_ended("upstream_end").await;
            assert_eq!(edge.metric("ssedge_heartbeats_total", "").await, 0.0);
            assert_eq!(edge.metric(METRIC, "").await, 1.0, "each is counted once");
        }
    }
}

#[tokio::test]
async fn the_drain_cuts_what_it_cannot_see_through_and_never_ends_it() {
    // To a reader of events this stands between two of them.
    let bytes = b"\x8b\x02\x80data: a\n\n";
    for request in [SUBSCRIBE, SUBSCRIBE_1_0] {
        let origin = Origin::start(Script::stream_with("Content-Encoding: br\r\n").chunk(bytes).hang()).await;
        let mut edge = Edge::of(&format!(
            "upstreams: {{ app: {{ servers: [ \"{}\" ] }} }}\nroutes: [ {{ upstream: app }} ]\ndrain: {{ spread: 0s, deadline: 500ms }}\n",
            origin.address()
        ))
        .await;
        let (mut client, _) = Client::open(edge.address(), request).await;
        client.expects(bytes).await;
        edge.signal("TERM");
        let (rest, end) = client.rest_of_body().await;
        assert!(rest.is_empty() && end != End::Clean, "{rest:?} and {end:?}");
        assert_eq!(edge.exit_code().await, Some(0));
    }
}

#[tokio::test]
async fn a_stream_that_names_identity_is_not_coded() {
    let origin = Origin::start(Script::stream_with("Content-Encoding: identity\r\n").event("a").hang()).await;
    let edge = Edge::with().heartbeat(BEAT).start(origin.address()).await;
    let (mut client, _) = Client::open(edge.address(), SUBSCRIBE).await;
    client.expects("data: a\n\n:\n\n").await;
    assert_eq!(edge.metric(METRIC, "").await, 0.0);
}

#[tokio::test]
async fn a_compressed_stream_whose_bytes_are_vouched_for_stays_as_it_is() {
    let wire = gzip(EVENTS);
    let (one, two) = wire.split_at(30);
    for field in [
        "Content-Digest: sha-256=:d435Qo+nKZ+gLcUHn7GQtQ72hiBVAgqoLsZnZPiTGPk=:",
        "Repr-Digest: sha-256=:d435Qo+nKZ+gLcUHn7GQtQ72hiBVAgqoLsZnZPiTGPk=:",
    ] {
        let script = Script::stream_with(&format!("{GZIP}{field}\r\n")).chunk(one).silence(SILENCE).chunk(two).end();
        let origin = Origin::start(script).await;
        let edge = Edge::with().heartbeat(BEAT).start(origin.address()).await;
        let (mut client, head) = Client::open(edge.address(), SUBSCRIBE).await;
        assert_eq!(head.get("content-encoding"), Some("gzip"), "with {field}");
        client.ends_with(&wire, End::Clean).await;
        assert_eq!(edge.metric("ssedge_heartbeats_total", "").await, 0.0, "with {field}");
    }
}

#[tokio::test]
async fn no_transform_keeps_the_coding_only_where_the_route_is_strict() {
    let wire = gzip(EVENTS);
    for strict in [true, false] {
        let origin = Origin::start(Script::stream_with(&format!("{GZIP}Cache-Control: no-transform\r\n")).chunk(&wire).end()).await;
        let edge = Edge::with().route("strict_no_transform", &strict.to_string()).start(origin.address()).await;
        let (mut client, head) = Client::open(edge.address(), SUBSCRIBE).await;
        assert_eq!(head.get("content-encoding"), strict.then_some("gzip"));
        client.ends_with(if strict { &wire[..] } else { EVENTS.as_bytes() }, End::Clean).await;
    }
}

#[tokio::test]
async fn an_ordinary_answer_keeps_its_coding_byte_for_byte() {
    let gzipped = gzip("an ordinary answer ".repeat(1000));
    let broken = pattern(3000);
    for (coding, wire) in [("gzip", &gzipped), ("x-gzip", &gzipped), ("gzip", &broken), ("br", &broken)] {
        let length = format!("Content-Length: {}\r\n", wire.len());
        for (framing, chunked) in [(length.as_str(), false), ("Transfer-Encoding: chunked\r\n", true)] {
            let fields = format!("Content-Type: text/plain\r\nContent-Encoding: {coding}\r\nETag: \"1\"\r\n{framing}");
            let script = Script::new().head("200 OK", &fields);
            let origin = Origin::start(if chunked { script.chunk(wire).end() } else { script.raw(wire) }).await;
            let edge = Edge::start(origin.address()).await;
            for request in [GET, SUBSCRIBE, ASK] {
                let (mut client, head) = Client::open(edge.address(), request).await;
                assert_eq!((head.get("content-encoding"), head.get("etag")), (Some(coding), Some("\"1\"")), "{head:?}");
                assert_eq!(head.get("content-length"), (!chunked).then(|| wire.len().to_string()).as_deref());
                client.ends_with(wire, End::Clean).await;
            }
            assert_eq!(edge.metric(METRIC, "").await, 0.0);
        }
    }
}

#[tokio::test]
async fn codings_are_asked_for_as_far_as_we_can_decode_them() {
    // What the client offers, as lines; what a POST asks the server for.
    let offers: [(&[&str], &str); 18] = [
        (&[], "identity"),
        (&[""], "identity"),
        (&["gzip"], "gzip"),
        (&["GZip"], "gzip"),
        (&["x-gzip"], "gzip"),
        (&["gzip, deflate, br, zstd"], "gzip"),
        (&["br;q=1.0, gzip;q=0.001"], "gzip"),
        (&["br", "gzip"], "gzip"),
        (&["gzip ; q=1"], "gzip"),
        (&["*"], "identity"),
        (&["br, *;q=0.5"], "identity"),
        (&["br"], "identity"),
        (&["deflate"], "identity"),
        (&["identity"], "identity"),
        (&["gzip;q=0"], "identity"),
        (&["gzip;q=0.000, br"], "identity"),
        (&["gzip, gzip;q=0"], "identity"),
        (&["xgzip, gzipped"], "identity"),
    ];
    let origin = Origin::start(Script::answer("ok")).await;
    let edge = Edge::start(origin.address()).await;
    let mut number = 0;
    for (lines, on_post) in offers {
        let fields: String = lines.iter().map(|line| format!("Accept-Encoding: {line}\r\n")).collect();
        let intent = "Accept: text/event-stream\r\n";
        let cases = [
            (ASK, "", vec![on_post]),
            // The intent is plain: nothing that could be in the way.
            (ASK, intent, vec!["identity"]),
            (GET, intent, vec!["identity"]),
            (GET, "", lines.to_vec()),
            ("PUT / HTTP/1.1\r\nHost: test\r\nContent-Length: 2\r\n\r\n{}", "", lines.to_vec()),
            ("DELETE / HTTP/1.1\r\nHost: test\r\n\r\n", "Accept: text/html\r\n", lines.to_vec()),
        ];
        for (request, more, want) in cases {
            let request = request.replacen("\r\n\r\n", &format!("\r\n{fields}{more}\r\n"), 1);
            let (mut client, _) = Client::open(edge.address(), &request).await;
            client.ends_with("ok", End::Clean).await;
            let asked = origin.request(number).await.head;
            number += 1;
            assert_eq!(asked.all("accept-encoding"), want, "for {request:?}");
        }
    }
}
