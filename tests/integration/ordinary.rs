//! What every client of every server takes for granted, over each pair of protocols: HEAD and answers without a body, 1xx, ranges,
//! redirects, conditions, large cookies, fields that end at this hop (RFC 9110 sections 7.6, 9.3.2, 13, 14 and 15).

use crate::support::hops::{EVERY_HOP, Ending};
use crate::support::{Client, End, GET, Http2Client, Http2Script, Origin, Script, Server, StreamEnd, Version, Viewer, tls};

/// `GET` with more fields, which are whole lines.
fn get(fields: &str) -> String {
    GET.replacen("\r\n\r\n", &format!("\r\n{fields}\r\n"), 1)
}

/// The values of all `names` in an answer, `None` where one does not stand exactly once.
fn once<'a>(viewer: &'a Viewer, name: &str) -> Option<&'a str> {
    match viewer.fields(name).as_slice() {
        [value] => Some(*value),
        _ => None,
    }
}

/// Fields of a request; status, fields and body of the answer to it.
type Case<'a> = (&'a str, u16, &'a [(&'a str, &'a str)], &'a str);

#[tokio::test]
async fn ranges_are_the_servers_affair() {
    let multipart = "--b\r\nContent-Range: bytes 0-0/9\r\n\r\na\r\n--b\r\nContent-Range: bytes 2-2/9\r\n\r\nc\r\n--b--\r\n";
    let length = multipart.len().to_string();
    let cases: [Case<'_>; 5] = [
        (
            "Range: bytes=2-4\r\nIf-Range: \"e\"\r\n",
            206,
            &[("content-range", "bytes 2-4/9"), ("etag", "\"e\""), ("content-length", "3")],
            "cde",
        ),
        ("Range: bytes=-2\r\n", 206, &[("content-range", "bytes 7-8/9"), ("content-length", "2")], "hi"),
        (
            "Range: bytes=0-0,2-2\r\n",
            206,
            &[("content-type", "multipart/byteranges; boundary=b"), ("content-length", &length)],
            multipart,
        ),
        ("Range: bytes=99-\r\n", 416, &[("content-range", "bytes */9"), ("content-length", "0")], ""),
        (
            "Range: lines=1\r\nIf-Range: Wed, 21 Oct 2026 07:28:00 GMT\r\n",
            200,
            &[("accept-ranges", "bytes"), ("content-length", "9")],
            "abcdefghi",
        ),
    ];
    for (client, server) in EVERY_HOP {
        let scripts = cases.iter().map(|(_, status, fields, body)| match body.len() {
            0 => Http2Script::new().only_head(*status, fields),
            _ => Http2Script::new().head(*status, fields).data(body).end(),
        });
        let origin = Server::start_each(server, scripts).await;
        let edge = origin.edge().start(origin.address()).await;
        for (number, (asked, status, fields, body)) in cases.iter().enumerate() {
            let mut viewer = Viewer::open(client, edge.address(), &get(asked)).await;
            assert_eq!(viewer.status(), *status, "{asked:?}, {client:?} to {server:?}");
            for (name, value) in *fields {
                assert_eq!(once(&viewer, name), Some(*value), "{asked:?}, {client:?} to {server:?}");
            }
            viewer.ends_with(body).await;
            for line in asked.lines() {
                let (name, value) = line.split_once(": ").unwrap();
                assert_eq!(origin.fields(number, name).await, [value], "{client:?} to {server:?}");
            }
        }
    }
}

/// RFC 9110 section 6.6.1: who forwards an answer without a date says when it came.
#[tokio::test]
async fn every_final_answer_has_one_date() {
    let theirs = "Wed, 21 Oct 2015 07:28:00 GMT";
    for (client, server) in EVERY_HOP {
        let with = |fields: &[(&str, &str)]| Http2Script::new().interim(103).head(200, fields).data("data: a\n\n").end();
        let scripts =
            [with(&[]), with(&[("date", theirs)]), with(&[("content-type", "text/event-stream")]), Http2Script::new().close()];
        let count = scripts.len();
        let origin = Server::start_each(server, scripts).await;
        let edge = origin.edge().start(origin.address()).await;
        for number in 0..count {
            let mut viewer = Viewer::open(client, edge.address(), &get("Cache-Control: no-cache\r\n")).await;
            let date = once(&viewer, "date").unwrap_or_else(|| panic!("answer {number}, {client:?} to {server:?}"));
            assert!(date.len() == theirs.len() && date.ends_with(" GMT"), "{date}");
            if client == Version::Http2 {
                assert_eq!(date == theirs, number == 1, "{date}");
            }
            viewer.rest_of_body().await;
        }
    }
}

#[tokio::test]
async fn conditions_and_what_they_bring_pass() {
    let asked = "If-None-Match: \"a\", W/\"b\"\r\nIf-Modified-Since: Wed, 21 Oct 2026 07:28:00 GMT\r\nCache-Control: max-age=0\r\n";
    for (client, server) in EVERY_HOP {
        for status in [304, 412] {
            let fields = [("etag", "W/\"b\""), ("vary", "Accept-Encoding, Cookie"), ("age", "7"), ("x-cache", "HIT")];
            let length = [("content-length", "0")];
            let all = if status == 304 { fields.to_vec() } else { [&fields[..], &length].concat() };
            let origin = Server::start(server, Http2Script::new().only_head(status, &all)).await;
            let edge = origin.edge().start(origin.address()).await;
            let mut viewer = Viewer::open(client, edge.address(), &get(asked)).await;
            assert_eq!(viewer.status(), status);
            for (name, value) in fields {
                assert_eq!(once(&viewer, name), Some(value), "{client:?} to {server:?}");
            }
            viewer.ends_with("").await;
            assert_eq!(origin.fields(0, "if-none-match").await, ["\"a\", W/\"b\""]);
            assert_eq!(origin.fields(0, "cache-control").await, ["max-age=0"]);
        }
    }
}

/// Where a redirect leads is between the client and the server, even if it names the server's own address.
#[tokio::test]
async fn redirects_pass_untouched() {
    for (client, server) in EVERY_HOP {
        for (status, location) in [
            (301, "/other?x=%2F#part"),
            (302, "../up/./here"),
            (303, "http://127.0.0.1:9/inside"),
            (307, "https://user@else.example:444/a b"),
            (308, "//else.example/"),
            (201, "things/7"),
            (300, ""),
        ] {
            let fields =
                [("location", location), ("content-location", location), ("refresh", "5; url=/x"), ("content-length", "4")];
            let origin = Server::start(server, Http2Script::new().head(status, &fields).data("gone").end()).await;
            let edge = origin.edge().start(origin.address()).await;
            let request = "POST /form HTTP/1.1\r\nHost: test\r\nContent-Length: 3\r\n\r\na=b";
            let mut viewer = Viewer::open(client, edge.address(), request).await;
            assert_eq!((viewer.status(), once(&viewer, "location")), (status, Some(location)), "{client:?} to {server:?}");
            assert_eq!((once(&viewer, "content-location"), once(&viewer, "refresh")), (Some(location), Some("5; url=/x")));
            viewer.ends_with("gone").await;
            assert_eq!(origin.requests(), 1, "nobody followed it");
        }
    }
}

#[tokio::test]
async fn cookies_of_eight_kibibytes_pass_both_ways() {
    let cookie = format!("session={}; theme=dark", "x".repeat(8 << 10));
    let set = [
        format!("session={}; Path=/; HttpOnly", "y".repeat(8 << 10)),
        "theme=dark; Expires=Wed, 21 Oct 2026 07:28:00 GMT".to_owned(),
        "session=again".to_owned(),
    ];
    for (client, server) in EVERY_HOP {
        for kind in ["text/html", "text/event-stream"] {
            let fields: Vec<(&str, &str)> =
                [("content-type", kind)].into_iter().chain(set.iter().map(|cookie| ("set-cookie", cookie.as_str()))).collect();
            let origin = Server::start(server, Http2Script::new().head(200, &fields).data("data: a\n\n").end()).await;
            let edge = origin.edge().start(origin.address()).await;
            let mut viewer = Viewer::open(client, edge.address(), &get(&format!("Cookie: {cookie}\r\n"))).await;
            assert_eq!(viewer.fields("set-cookie"), set, "{client:?} to {server:?}");
            viewer.ends_with("data: a\n\n").await;
            assert_eq!(origin.fields(0, "cookie").await, [cookie.as_str()], "{client:?} to {server:?}");
        }
    }
}

#[tokio::test]
async fn head_has_the_fields_of_get_and_no_body() {
    for (client, server) in EVERY_HOP {
        for (status, fields) in [
            (200, &[("content-length", "12345"), ("content-type", "text/html"), ("etag", "\"e\"")][..]),
            (200, &[("content-type", "text/event-stream")]),
            (404, &[("content-length", "9")]),
            (206, &[("content-length", "3"), ("content-range", "bytes 2-4/9")]),
            (301, &[("content-length", "4"), ("location", "/x")]),
        ] {
            let origin = Server::start(server, Http2Script::new().only_head(status, fields)).await;
            let edge = origin.edge().start(origin.address()).await;
            let request = "HEAD / HTTP/1.1\r\nHost: test\r\nAccept: */*\r\n\r\n";
            match client {
                Version::Http1 => {
                    let mut client = Client::send_to(edge.address(), format!("{request}{request}")).await;
                    for _ in 0..2 {
                        let head = client.head_to_head().await;
                        assert_eq!(head.status(), status);
                        for (name, value) in fields {
                            assert_eq!(head.get(name), Some(*value), "{head:?}");
                        }
                        client.ends_with("", End::Clean).await;
                    }
                }
                Version::Http2 => {
                    let (_client, mut stream, head) = Http2Client::open(edge.address(), request).await;
                    assert_eq!(head.status, status);
                    for (name, value) in fields {
                        assert_eq!(head.get(name), Some(*value), "{head:?}");
                    }
                    stream.ends_with("", StreamEnd::Clean).await;
                }
            }
        }
    }
}

/// 103 as often as the server likes, each with its links and before the final head; 100 is answered by us and never twice.
#[tokio::test]
async fn early_hints_pass_with_their_fields_and_a_servers_100_does_not_double_ours() {
    let interim = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nLink: </b.js>\r\nConnection: x-hop\r\nX-Hop: 1\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n";
    let answer = "HTTP/1.1 200 OK\r\nLink: </c>\r\nContent-Length: 2\r\n\r\nok";
    let origin = Origin::start(Script::new().raw(interim).raw(answer)).await;
    let edge = crate::support::Edge::start(origin.address()).await;
    for request in [GET, "POST / HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\nbody"] {
        let mut client = Client::send_to(edge.address(), request).await;
        if request.contains("Expect") {
            assert_eq!(client.any_head().await.status(), 100);
        }
        let hints = client.any_head().await;
        assert_eq!((hints.status(), hints.all("link")), (103, vec!["</a.css>; rel=preload", "</b.js>"]));
        assert_eq!((hints.get("x-hop"), hints.get("connection")), (None, None));
        assert_eq!(client.any_head().await.status(), 102);
        let head = client.any_head().await;
        assert_eq!((head.status(), head.get("link")), (200, Some("</c>")));
        client.ends_with("ok", End::Clean).await;
    }
    let mut client = Http2Client::connect(edge.address()).await;
    let mut stream = client.send(GET).await;
    assert_eq!((stream.interim().await, stream.interim().await), (103, 102));
    assert_eq!(stream.head().await.get("link"), Some("</c>"));
    stream.ends_with("ok", StreamEnd::Clean).await;
}

/// Whatever one side says about its own connection, the other never hears.
#[tokio::test]
async fn fields_of_one_hop_end_there_in_both_directions() {
    let ends_here = [
        "connection",
        "keep-alive",
        "proxy-connection",
        "proxy-authorization",
        "proxy-authenticate",
        "proxy-authentication-info",
        "proxy",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "http2-settings",
        "x-named",
        "x-named-too",
    ];
    let named = "Connection: keep-alive, X-Named\r\nConnection: x-NAMED-too, TE, Upgrade\r\nX-Named: 1\r\nx-named-TOO: 2\r\n";
    let more = "Keep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nProxy-Authorization: Basic eA==\r\nProxy-Authenticate: Basic\r\nProxy-Authentication-Info: x\r\nProxy: http://evil/\r\nTE: gzip, trailers\r\nTrailer: X-Sum\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n";
    // HTTP/2 forbids its sender the rest.
    let of_http_2 = "Proxy-Authorization: Basic eA==\r\nProxy-Authenticate: Basic\r\nProxy-Authentication-Info: x\r\nProxy: http://evil/\r\nTrailer: X-Sum\r\nHTTP2-Settings: AA\r\n";
    for (client, server) in EVERY_HOP {
        let fields = [
            ("proxy-authenticate", "Basic"),
            ("proxy-authentication-info", "x"),
            ("trailer", "x-sum"),
            ("x-stays", "1"),
            ("content-length", "2"),
        ];
        let origin = match server {
            Version::Http2 => Server::start(server, Http2Script::new().head(200, &fields).data("ok").end()).await,
            Version::Http1 => {
                let head = format!("{named}{more}X-Stays: 1\r\nContent-Length: 2\r\n");
                Server::Http1(Origin::start(Script::new().head("200 OK", &head).raw("ok")).await)
            }
        };
        let edge = origin.edge().start(origin.address()).await;
        let request = match client {
            Version::Http1 => get(&format!("{named}{more}X-Stays: 1\r\n")),
            Version::Http2 => get(&format!("{of_http_2}X-Stays: 1\r\n")),
        };
        let mut viewer = Viewer::open(client, edge.address(), &request).await;
        assert_eq!(viewer.status(), 200);
        for name in ends_here {
            // Of our own connection we speak ourselves.
            let ours: &[&str] = if (name, client) == ("connection", Version::Http1) { &["keep-alive"] } else { &[] };
            assert_eq!(viewer.fields(name), ours, "{name} of an answer, {client:?} to {server:?}");
            let asked = origin.fields(0, name).await;
            assert_eq!(asked, [""; 0], "{name} of a request, {client:?} to {server:?}");
        }
        assert_eq!((once(&viewer, "x-stays"), origin.fields(0, "x-stays").await.len()), (Some("1"), 1));
        viewer.ends_with("ok").await;
    }
}

/// `Connection` takes no field away that somebody behind us relies on.
#[tokio::test]
async fn connection_names_what_it_likes_and_what_matters_stays() {
    let named = "Host, Content-Length, Authorization, Cookie, X-Forwarded-For, X-Forwarded-Proto, Content-Type, Last-Event-ID";
    let request = format!(
        "POST / HTTP/1.1\r\nHost: test\r\nConnection: {named}\r\nConnection: close\r\nContent-Length: 4\r\nAuthorization: Bearer x\r\nCookie: a=1\r\nContent-Type: text/plain\r\nLast-Event-ID: 7\r\n\r\nbody"
    );
    for version in [Version::Http1, Version::Http2] {
        let origin = Server::start(version, Http2Script::answer("ok")).await;
        let edge = origin.edge().start(origin.address()).await;
        let mut viewer = Viewer::open(Version::Http1, edge.address(), &request).await;
        assert_eq!((viewer.status(), viewer.rest_of_body().await.1), (200, Ending::Clean));
        assert_eq!(origin.body(0).await, b"body");
        for (name, value) in [
            ("content-length", "4"),
            ("authorization", "Bearer x"),
            ("cookie", "a=1"),
            ("content-type", "text/plain"),
            ("last-event-id", "7"),
            ("x-forwarded-for", "127.0.0.1"),
            ("x-forwarded-proto", tls::scheme()),
        ] {
            assert_eq!(origin.fields(0, name).await, [value], "{name} to {version:?}");
        }
    }
}
