//! Another server is asked whether a request may pass (`routes[].auth`): what it hears, what its answer does, and that nobody gets in
//! without one.

use std::time::Duration;

use crate::duplex::Upload;
use crate::support::nowhere::Deaf;
use crate::support::{
    Client, Edge, End, GET, HOPS, Http2Client, Http2Script, Origin, SUBSCRIBE, Script, Server, StreamEnd, Version, Viewer,
    eventually, pattern,
};

fn hops() -> impl Iterator<Item = (Version, Version)> {
    HOPS.into_iter().chain([(Version::Http1, Version::Http1)])
}

/// One route to `app`, of which `auth` is asked first, with `in_route` in it and `beside` beside it.
async fn edge_with(auth: &Server, app: &Server, copy: &str, in_route: &str, beside: &str) -> Edge {
    let protocol = |server: &Server| if matches!(server, Server::Http2(_)) { ", protocol: h2c" } else { "" };
    Edge::of(&format!(
        "upstreams:\n  app: {{ servers: [ \"{}\" ]{} }}\n  auth: {{ servers: [ \"{}\" ]{} }}\nroutes: [ {{ upstream: app, auth: {{ upstream: auth, path: \"/auth?a\", copy: [ {copy} ] }}{in_route} }} ]\n{beside}",
        app.address(),
        protocol(app),
        auth.address(),
        protocol(auth),
    ))
    .await
}

async fn edge(auth: &Server, app: &Server) -> Edge {
    edge_with(auth, app, "X-User", "", "").await
}

/// A server of HTTP/1.
async fn origin(scripts: impl IntoIterator<Item = Script>) -> Server {
    Server::Http1(Origin::start_each(scripts).await)
}

fn http1(server: &Server) -> &Origin {
    match server {
        Server::Http1(origin) => origin,
        Server::Http2(_) => panic!("it speaks HTTP/2"),
    }
}

/// Status and body of the answer to `request`.
async fn answered(edge: &Edge, request: &str) -> (u16, String) {
    let (mut client, head) = Client::open(edge.address(), request).await;
    let (body, _) = client.rest_of_body().await;
    (head.status(), String::from_utf8(body).unwrap())
}

#[tokio::test]
async fn what_passes_takes_the_copied_fields_along_and_nobody_forges_them() {
    for (client, server) in hops() {
        let verdicts = [Http2Script::new().head(202, &[("x-user", "ada"), ("x-other", "1")]).end(), Http2Script::answer("yes")];
        let auth = Server::start_each(server, verdicts).await;
        let app = Server::start(server, Http2Script::answer("in")).await;
        let edge = edge(&auth, &app).await;
        let lies = "X-User: root\r\nX_User: root\r\nX-Original-URI: /public\r\nX-Original-Method: HEAD\r\nX-Forwarded-For: 203.0.113.7\r\n";
        let request = format!(
            "DELETE /a%2f?b=%20 HTTP/1.1\r\nHost: test\r\nCookie: c=d\r\nAuthorization: Bearer e\r\nIf-None-Match: \"f\"\r\n{lies}\r\n"
        );
        for (number, user) in [vec!["ada"], vec![]].into_iter().enumerate() {
            let mut viewer = Viewer::open(client, edge.address(), &request).await;
            assert_eq!(viewer.status(), 200, "{client:?} to {server:?}");
            viewer.ends_with("in").await;
            for (name, told) in [
                ("x-original-uri", vec!["/a%2f?b=%20"]),
                ("x-original-method", vec!["DELETE"]),
                ("x-forwarded-for", vec!["127.0.0.1"]),
                ("x-forwarded-host", vec!["test"]),
                ("cookie", vec!["c=d"]),
                ("authorization", vec!["Bearer e"]),
                ("if-none-match", vec![]),
            ] {
                assert_eq!(auth.fields(number, name).await, told, "{name} from {client:?} to {server:?}");
            }
            match &auth {
                Server::Http1(auth) => assert_eq!(auth.request(number).await.head.start(), "GET /auth?a HTTP/1.1"),
                Server::Http2(auth) => {
                    let question = auth.request_head(number).await;
                    assert_eq!(
                        (question.method.as_str(), question.path.as_str(), question.authority.as_str()),
                        ("GET", "/auth?a", "test")
                    );
                }
            }
            assert_eq!(app.fields(number, "x-user").await, user);
            for name in ["x_user", "x-other"] {
                assert_eq!(app.fields(number, name).await, [""; 0], "{name}");
            }
            assert_eq!(app.fields(number, "cookie").await, ["c=d"]);
        }
    }
}

#[tokio::test]
async fn who_is_refused_is_told_so_and_both_connections_serve_on() {
    for (client, server) in hops() {
        let challenge =
            [("www-authenticate", "Basic realm=\"a\""), ("www-authenticate", "Bearer"), ("set-cookie", "s=1"), ("x-other", "1")];
        let verdicts = [
            Http2Script::new().head(401, &challenge).data("its own page").end(),
            Http2Script::new().head(403, &[]).data("no").end(),
            Http2Script::answer("yes"),
        ];
        let auth = Server::start_each(server, verdicts).await;
        let app = Server::start(server, Http2Script::answer("in")).await;
        let edge = edge(&auth, &app).await;
        let mut viewer = Viewer::open(client, edge.address(), GET).await;
        let (body, _) = viewer.rest_of_body().await;
        assert!(body.starts_with(b"401 Unauthorized\n"), "{}", String::from_utf8_lossy(&body));
        assert_eq!(viewer.fields("www-authenticate"), ["Basic realm=\"a\"", "Bearer"]);
        assert_eq!((viewer.status(), viewer.fields("set-cookie"), viewer.fields("x-other").len()), (401, vec!["s=1"], 0));
        for status in [403, 200] {
            let status_now = match &mut viewer {
                Viewer::Http1(client, _) => {
                    client.send(GET).await;
                    let status = client.head().await.status();
                    client.rest_of_body().await;
                    status
                }
                Viewer::Http2(client, _, _) => client.get(GET).await.1.status,
            };
            assert_eq!(status_now, status, "{client:?} to {server:?}");
        }
        assert_eq!((auth.requests(), app.requests()), (3, 1));
        let connections = match &auth {
            Server::Http1(auth) => auth.connections(),
            Server::Http2(auth) => auth.connections(),
        };
        assert_eq!(connections, 1, "{client:?} to {server:?}");
        edge.metric_becomes("ssedge_requests_total", "class=\"4xx\",route=\"0\"", 2.0).await;
    }
}

#[tokio::test]
async fn what_is_no_verdict_lets_nobody_in() {
    let app = origin([Script::answer("in")]).await;
    for status in
        ["302 Found", "303 See Other", "304 Not Modified", "404 Not Found", "429 Too Many Requests", "500 Oops", "503 Gone"]
    {
        let auth = origin([Script::new().head(status, "Location: /login\r\nContent-Length: 0\r\n")]).await;
        let edge = edge(&auth, &app).await;
        assert_eq!(answered(&edge, GET).await.0, 502, "{status}");
        let said = format!("it answered {}, which is neither 2xx, 401 nor 403", &status[..3]);
        eventually("the reason in the log", || edge.process().log().contains(&said).then_some(())).await;
    }
    for garbage in
        ["HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "SSH-2.0-x\r\n\r\n", "HTTP/1.1 101 Hi\r\n\r\n"]
    {
        let auth = origin([Script::new().raw(garbage).close()]).await;
        assert_eq!(answered(&edge(&auth, &app).await, GET).await.0, 502, "{garbage}");
    }
    assert_eq!(app.requests(), 0);
}

#[tokio::test]
async fn a_server_that_is_down_or_says_nothing_is_a_503() {
    let app = origin([Script::answer("in")]).await;
    let gone = origin([Script::answer("")]).await;
    let down = {
        let text = format!(
            "upstreams: {{ app: {{ servers: [ \"{}\" ] }}, auth: {{ servers: [ \"{}\" ] }} }}\nroutes: [ {{ upstream: app, auth: {{ upstream: auth, path: / }} }} ]\n",
            app.address(),
            gone.address()
        );
        drop(gone);
        Edge::of(&text).await
    };
    for request in [GET, SUBSCRIBE] {
        assert_eq!(answered(&down, request).await.0, 503);
    }
    let slow = origin([Script::new().hang()]).await;
    let edge = edge_with(&slow, &app, "", ", timeouts: { response_head: 300ms }", "").await;
    assert_eq!(answered(&edge, GET).await.0, 503);
    assert_eq!(http1(&slow).closed(0).await, End::Clean);
    let dies = origin([Script::new().close()]).await;
    assert_eq!(answered(&edge_with(&dies, &app, "", "", "").await, GET).await.0, 503);
    let deaf = Deaf::new();
    let text = format!(
        "upstreams: {{ app: {{ servers: [ \"{}\" ] }}, auth: {{ servers: [ \"{}\" ] }} }}\ntimeouts: {{ connect: 300ms }}\nroutes: [ {{ upstream: app, auth: {{ upstream: auth, path: / }} }} ]\n",
        app.address(),
        deaf.address()
    );
    assert_eq!(answered(&Edge::of(&text).await, GET).await.0, 503);
    assert_eq!(app.requests(), 0);
}

#[tokio::test]
async fn a_kept_connection_that_turns_out_dead_costs_one_more_try() {
    let auth = origin([Script::answer("yes"), Script::new().close(), Script::answer("yes")]).await;
    let app = origin([Script::answer("in")]).await;
    let edge = edge(&auth, &app).await;
    for _ in 0..2 {
        assert_eq!(answered(&edge, GET).await, (200, "in".to_owned()));
    }
    assert_eq!((auth.requests(), http1(&auth).connections()), (3, 2));
}

#[tokio::test]
async fn a_client_that_leaves_takes_its_question_with_it() {
    for client in [Version::Http1, Version::Http2] {
        for server in [Version::Http1, Version::Http2] {
            let auth = Server::start(server, Http2Script::new().hang()).await;
            let app = origin([Script::answer("in")]).await;
            let edge = edge(&auth, &app).await;
            match client {
                Version::Http1 => {
                    let client = Client::send_to(edge.address(), GET).await;
                    auth.request_head(0).await;
                    drop(client);
                }
                Version::Http2 => {
                    let mut client = Http2Client::connect(edge.address()).await;
                    let mut stream = client.send(GET).await;
                    auth.request_head(0).await;
                    stream.reset(h2::Reason::CANCEL);
                    client.ping().await;
                }
            }
            auth.over(0).await;
            edge.metric_becomes("ssedge_requests_total", "class=\"gone\",route=\"0\"", 1.0).await;
            assert_eq!(app.requests(), 0);
        }
    }
}

#[tokio::test]
async fn a_body_waits_for_the_verdict_and_then_goes_on_whole() {
    let body = pattern(300_000);
    for upload in Upload::BOTH {
        let auth = origin([Script::answer("yes")]).await;
        let app = origin([Script::answer("in")]).await;
        let edge = edge(&auth, &app).await;
        let client = Client::send_to(edge.address(), upload.head(body.len() as u64, "")).await;
        let (head, answer, _) = client.duplex(&[upload.part(&body), upload.end().into()].concat()).await;
        assert_eq!((head.status(), answer.as_slice()), (200, b"in".as_slice()), "{upload:?}");
        assert!(app.body(0).await == body, "the body changed");
        let question = http1(&auth).request(0).await;
        assert_eq!(
            (question.body.len(), question.head.get("content-length"), question.head.get("transfer-encoding")),
            (0, None, None)
        );
    }
    let auth = origin([Script::answer("yes")]).await;
    let app = Server::start(Version::Http2, Http2Script::new().await_body().head(200, &[]).data("in").end()).await;
    let edge = edge(&auth, &app).await;
    let mut client = Http2Client::connect(edge.address()).await;
    let mut stream = client.begin("POST / HTTP/1.1\r\nHost: test\r\n\r\n").await;
    let (head, answer, end) = stream.duplex(body.clone()).await;
    assert_eq!((head.status, answer.as_slice(), end), (200, b"in".as_slice(), StreamEnd::Clean));
    assert!(app.body(0).await == body, "the body changed");
}

#[tokio::test]
async fn a_client_that_waits_for_100_gets_it_only_when_it_may_pass() {
    let auth = origin([Script::new().head("401 No", "Content-Length: 0\r\n"), Script::answer("yes")]).await;
    let app = origin([Script::answer("in")]).await;
    let edge = edge(&auth, &app).await;
    let request = Upload::Length.head(3, "Expect: 100-continue\r\n");
    let mut client = Client::send_to(edge.address(), &request).await;
    assert_eq!(client.any_head().await.status(), 401);
    let mut client = Client::send_to(edge.address(), &request).await;
    assert_eq!(client.any_head().await.status(), 100);
    client.send("abc").await;
    assert_eq!(client.head().await.status(), 200);
    client.ends_with("in", End::Clean).await;
}

#[tokio::test]
async fn a_stream_opens_behind_its_verdict_and_no_permit_is_held_before_it() {
    let auth = origin([Script::new().gate().head("401 No", "Content-Length: 0\r\n"), Script::answer("yes")]).await;
    let app = origin([Script::stream().event("a").hang()]).await;
    let edge = edge_with(&auth, &app, "", ", caps: { streams: 1 }", "").await;
    let mut waits = Client::send_to(edge.address(), SUBSCRIBE).await;
    auth.request_head(0).await;
    for version in [Version::Http2, Version::Http1] {
        let mut viewer = Viewer::open(version, edge.address(), SUBSCRIBE).await;
        assert_eq!(viewer.status(), 200, "{version:?}");
        viewer.expects("data: a\n\n").await;
        drop(viewer);
        edge.metric_becomes("ssedge_streams_open", "route=\"0\"", 0.0).await;
    }
    auth.open_gate();
    assert_eq!(waits.head().await.status(), 401);
    assert_eq!(app.requests(), 2);
}

#[tokio::test]
async fn the_body_of_a_verdict_delays_nobody_for_long() {
    let endless = Script::new().head("200 OK", "Transfer-Encoding: chunked\r\nX-User: ada\r\n").event("a").hang();
    let flood = Script::new().head("200 OK", "Transfer-Encoding: chunked\r\n").flood(4 << 20).hang();
    for script in [endless, flood] {
        let auth = origin([script]).await;
        let app = origin([Script::answer("in")]).await;
        let edge = edge(&auth, &app).await;
        for connection in 0..2 {
            assert_eq!(answered(&edge, GET).await, (200, "in".to_owned()));
            http1(&auth).closed(connection).await;
        }
    }
}

#[tokio::test]
async fn an_upgrade_is_asked_about_too() {
    let auth = origin([Script::new().head("403 No", "Content-Length: 0\r\n"), Script::answer("yes")]).await;
    let switch = "Upgrade: websocket\r\nConnection: Upgrade\r\n";
    let app =
        origin([Script::new().head("101 Switching Protocols", switch).raw("hello").silence(Duration::from_millis(1)).hang()]).await;
    let edge = edge(&auth, &app).await;
    let upgrade = "GET / HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGVzdGluZyBhIHNlY3JldA==\r\nSec-WebSocket-Version: 13\r\n\r\n";
    let mut client = Client::send_to(edge.address(), upgrade).await;
    assert_eq!(client.any_head().await.status(), 403);
    let mut client = Client::send_to(edge.address(), upgrade).await;
    assert_eq!(client.any_head().await.status(), 101);
    assert_eq!(http1(&auth).request(1).await.head.get("upgrade"), None);
    let mut tunnel = client.tunnel();
    tunnel.expects("hello").await;
}

#[tokio::test]
async fn a_redirect_comes_before_any_question() {
    let auth = origin([Script::answer("yes")]).await;
    let app = origin([Script::answer("in")]).await;
    let edge = Edge::of(&format!(
        "upstreams: {{ app: {{ servers: [ \"{}\" ] }}, auth: {{ servers: [ \"{}\" ] }} }}\nroutes:\n  - {{ match: {{ path: /old }}, redirect: {{ to: /new }} }}\n  - {{ upstream: app, auth: {{ upstream: auth, path: / }} }}\n",
        app.address(),
        auth.address()
    ))
    .await;
    assert_eq!(answered(&edge, "GET /old HTTP/1.1\r\nHost: test\r\n\r\n").await.0, 308);
    assert_eq!((auth.requests(), answered(&edge, GET).await.0, auth.requests()), (0, 200, 1));
}
