//! What comes out parses one way only: for arbitrary heads of clients that pass, the bytes that a server gets mean the same to our own
//! judge, to httparse and to [`strict`], and no field of an end-to-end kind is added, lost or changed (RFC 9110 section 7.6).

use std::net::{IpAddr, Ipv4Addr};

use proptest::prelude::*;

use super::{AcceptCoding, BuildOptions, build};
use crate::message::forwarded::{self, ClientHop, ForwardedPolicy};
use crate::message::http2::{takes_trailers, upstream_request};
use crate::message::request_head::{self, RequestFraming};
use crate::message::strict::{self, any_case, by_name, fields_of, line, value};

const DEFAULT_HOST: &str = "upstream.example:3000";

/// Names that end at this hop, whoever names them.
const HOPS: [&str; 10] = [
    "Keep-Alive",
    "Proxy-Connection",
    "TE",
    "Trailer",
    "Upgrade",
    "HTTP2-Settings",
    "Proxy-Authorization",
    "Proxy-Authenticate",
    "Proxy",
    "Expect",
];
/// Names that `Connection` takes away if it names them.
const MINE: [&str; 4] = ["X-One", "x-Two", "Sec-Fetch-Site", "!#$%&'*+-.^_`|~0"];
/// Names that it cannot take away.
const ENDS: [&str; 8] = ["Authorization", "Cookie", "Content-Type", "Accept", "Origin", "Last-Event-ID", "Mcp-Session-Id", "Via"];

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => prop::sample::select(&MINE[..]).prop_flat_map(any_case),
        3 => prop::sample::select(&ENDS[..]).prop_flat_map(any_case),
        2 => prop::sample::select(&HOPS[..]).prop_flat_map(any_case),
        1 => "[xX]-[!#$%&'*+.^_`|~0-9A-Za-z-]{1,8}",
    ]
}

/// A field line. What would be refused for its meaning is left to other tests.
fn field() -> impl Strategy<Value = Vec<u8>> {
    let plain = (name(), prop::sample::select(&["", " ", "\t", " \t "][..]), value()).prop_map(|(name, space, value)| {
        let value = if name.eq_ignore_ascii_case("expect") { b"100-Continue".to_vec() } else { value };
        line(&name, space, &value)
    });
    let members = prop_oneof![
        2 => prop::sample::select(&MINE[..]).prop_flat_map(any_case),
        2 => prop::sample::select(&ENDS[..]).prop_flat_map(any_case),
        1 => prop::sample::select(&HOPS[..]).prop_flat_map(any_case),
        2 => prop::sample::select(&["close", "keep-alive", "Host", "Content-Length", "Transfer-Encoding", "", "x y", "X-Forwarded-For"][..])
            .prop_map(str::to_owned),
    ];
    let connection = (any_case("Connection"), proptest::collection::vec(members, 0..5))
        .prop_map(|(name, members)| line(&name, " ", members.join(", ").as_bytes()));
    let forwarded = (prop::sample::select(&["X-Forwarded-For", "x_forwarded_for", "Forwarded", "X-Real-IP"][..]), value())
        .prop_map(|(name, value)| line(name, " ", &value));
    prop_oneof![6 => plain, 2 => connection, 1 => forwarded]
}

/// A whole request head.
fn head() -> impl Strategy<Value = Vec<u8>> {
    let method = prop_oneof![4 => prop::sample::select(&["GET", "POST", "HEAD", "OPTIONS"][..]).prop_map(str::to_owned), 1 => "[!#$%&'*+.^_`|~0-9A-Za-z-]{1,20}"];
    let path = "/[!$-;=@-_a-~]{0,20}(\\?[!$-;=@-~]{0,12})?";
    let target = prop_oneof![4 => path.prop_map(|path| (path, None)), 2 => (prop::sample::select(&["http", "HTTPS"][..]), prop::sample::select(&["a", "a:8", "[::1]"][..]), prop_oneof![3 => path.prop_map(Some), 1 => Just(None)])
        .prop_map(|(scheme, host, path)| (format!("{scheme}://{host}{}", path.unwrap_or_default()), Some(host)))];
    let framing = prop_oneof![
        3 => Just(String::new()),
        2 => (any_case("Content-Length"), 0_u64..=u64::MAX, 0_usize..3).prop_map(|(name, length, zeros)| format!("{name}: {}{length}\r\n", "0".repeat(zeros))),
        2 => (any_case("Transfer-Encoding"), any_case("chunked")).prop_map(|(name, coding)| format!("{name}:\t{coding} \r\n")),
    ];
    let host = prop_oneof![8 => Just(Some("a")), 1 => Just(Some("Example.test:80")), 1 => Just(None)];
    (method, target, any::<bool>(), host, proptest::collection::vec(field(), 0..10), framing, any::<prop::sample::Index>())
        .prop_map(|(method, (target, authority), is_1_1, host, mut fields, framing, at)| {
            let version = if is_1_1 { "HTTP/1.1" } else { "HTTP/1.0" };
            if let Some(host) = host.map(|host| authority.unwrap_or(host)) {
                fields.insert(at.index(fields.len() + 1), line("hOST", " ", host.as_bytes()));
            }
            fields.insert(at.index(fields.len() + 1), framing.into_bytes());
            [format!("{method} {target} {version}\r\n").as_bytes(), &fields.concat(), b"\r\n"].concat()
        })
}

/// What a server should see of `fields`: all but framing and what ends here.
fn expected(fields: &[(String, Vec<u8>)]) -> Vec<(String, Vec<u8>)> {
    let named: Vec<String> = fields
        .iter()
        .filter(|(name, _)| name == "connection")
        .flat_map(|(_, value)| {
            String::from_utf8_lossy(value).split(',').map(|member| member.trim().to_ascii_lowercase()).collect::<Vec<_>>()
        })
        .collect();
    let is = |names: &[&str], name: &str| names.iter().any(|one| one.eq_ignore_ascii_case(name));
    let stays = |name: &str| {
        let built = ["host", "content-length", "transfer-encoding", "connection"].contains(&name);
        let is_named = named.iter().any(|one| one == name);
        let is_kept = is(&ENDS, name) || name.starts_with("x-forwarded-") || ["forwarded", "x-real-ip"].contains(&name);
        !built && !is(&HOPS, name) && (!is_named || is_kept)
    };
    fields.iter().filter(|(name, _)| stays(name)).cloned().collect()
}

fn policy() -> impl Strategy<Value = ForwardedPolicy> {
    prop::sample::select(&[ForwardedPolicy::XForwarded, ForwardedPolicy::Rfc7239, ForwardedPolicy::Off][..])
}

proptest! {
    #![proptest_config(crate::message::proptest_config(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/proptest-regressions/message-request-properties.txt")))]

    #[test]
    fn what_a_server_gets_is_read_in_one_way_and_has_every_field(raw in head(), policy in policy(), trusted in any::<bool>()) {
        let Ok(judged) = request_head::tests::judge(&raw) else { return Ok(()) };
        let options = BuildOptions { default_host: DEFAULT_HOST, accept: AcceptCoding::AsAsked };
        let header = strict::request(&raw);
        let mut up = build(&header, judged.framing, options).unwrap();
        let sent = strict::to_server(&up);
        let shown = sent.escape_ascii().to_string();
        let strict = strict::parse(&sent).unwrap();

        // The same method and target, one host, the same framing.
        let line = raw.split(|byte| *byte == b'\r').next().unwrap();
        let line: Vec<&str> = std::str::from_utf8(line).unwrap().split(' ').collect();
        let absolute = line[1].split_once("://").filter(|_| !line[1].starts_with('/')).map(|(_, rest)| rest);
        let (authority, path) = match absolute {
            Some(rest) => {
                let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
                (Some(authority), path)
            }
            None => (None, line[1]),
        };
        let path = match path {
            "" if line[0] == "OPTIONS" => "*".to_owned(),
            "" => "/".to_owned(),
            query if query.starts_with('?') => format!("/{query}"),
            path => path.to_owned(),
        };
        prop_assert_eq!(&strict.start, &[line[0].to_owned(), path, "HTTP/1.1".to_owned()], "{}", shown);
        let came = fields_of(&raw);
        let host = came.iter().find(|(name, _)| name == "host").map(|(_, value)| value.clone());
        let host = authority.map(|authority| authority.as_bytes().to_vec()).or(host).unwrap_or_else(|| DEFAULT_HOST.into());
        prop_assert_eq!(strict.all("host"), vec![&host[..]]);
        let framing = match judged.framing {
            RequestFraming::None => None,
            RequestFraming::Length(length) => Some(length.to_string()),
            RequestFraming::Chunked => Some("chunked".to_owned()),
        };
        prop_assert_eq!(strict.framing(), Ok(framing.clone()), "{}", shown);

        // Every field that is not of this hop, and none besides.
        let built = ["host", "content-length", "transfer-encoding"];
        let others = strict.fields.iter().filter(|(name, _)| !built.contains(&name.as_str())).cloned().collect();
        prop_assert_eq!(by_name(others), by_name(expected(&came)), "{}", raw.escape_ascii());

        // The other two readers agree, also when it says who the client is.
        let peer = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 7));
        let hop = ClientHop { peer, trusted, client: peer, https: false, host: Some(&host) };
        forwarded::apply(&mut up, policy, &hop).unwrap();
        for sent in [sent, strict::to_server(&up)] {
            let strict = strict::parse(&sent).unwrap();
            let again = request_head::tests::judge(&sent).unwrap();
            prop_assert_eq!((&again.method, again.framing), (&judged.method, judged.framing));
            prop_assert!(again.keep_alive && !again.expect_continue);
            let mut slots = [httparse::EMPTY_HEADER; 32];
            let mut parsed = httparse::Request::new(&mut slots);
            prop_assert_eq!(parsed.parse(&sent), Ok(httparse::Status::Complete(sent.len())));
            let parsed: Vec<_> = parsed.headers.iter().map(|field| (field.name.to_ascii_lowercase(), field.value.to_vec())).collect();
            prop_assert_eq!(&parsed, &strict.fields);
            prop_assert_eq!((strict.all("host"), strict.framing()), (vec![&host[..]], Ok(framing.clone())));
        }

        // And the same to an HTTP/2 server.
        let request = upstream_request(&up, http::uri::Scheme::HTTP, takes_trailers(&header.headers)).unwrap();
        prop_assert_eq!(request.method(), &judged.method);
        prop_assert_eq!(request.uri().path_and_query().unwrap().as_str(), &strict.start[1]);
        prop_assert_eq!(request.uri().authority().unwrap().as_str().as_bytes(), &host[..]);
        let te = request.headers().get("te").map(|te| te.as_bytes());
        prop_assert!(te.is_none() || te == Some(b"trailers"), "{:?}", te);
        for name in ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "host", "trailer"] {
            prop_assert!(!request.headers().contains_key(name), "{}", name);
        }
    }
}

/// The property above says nothing if nothing passes.
#[test]
fn the_heads_of_the_property_pass_often_enough() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let passed = (0..400).filter(|_| request_head::tests::judge(&head().new_tree(&mut runner).unwrap().current()).is_ok()).count();
    assert!((200..400).contains(&passed), "{passed} of 400 passed");
}
