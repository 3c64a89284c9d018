//! HTTP/1.0 on either side, `Connection: close` in every place, and bodies that only the close ends: a FIN is passed on as an end,
//! since nothing else tells it, and a reset never is (RFC 9112 sections 6.3, 7.1, 9.3 and 9.6, RFC 9110 sections 7.6.1 and 10.1.1).

use crate::support::{ASK, Client, Edge, End, GET, ManualOrigin, Origin, SUBSCRIBE, SUBSCRIBE_1_0, Script, head::Head};

const TYPE: &str = "Content-Type: text/event-stream\r\n";
const GET_1_0: &str = "GET / HTTP/1.0\r\nHost: test\r\n\r\n";
const ASK_1_0: &str = "POST /v1/ask HTTP/1.0\r\nHost: test\r\nContent-Length: 2\r\n\r\n{}";

/// `request` with more fields, which are whole lines.
fn with(request: &str, fields: &str) -> String {
    request.replacen("\r\n\r\n", &format!("\r\n{fields}\r\n"), 1)
}

/// Whether a response of HTTP/1.1 says that its connection closes.
fn closes(head: &Head) -> bool {
    head.list("connection").iter().any(|option| option == "close")
}

/// Nothing that an HTTP/1.0 client cannot read, and nothing that promises more than the close.
fn assert_is_for_1_0(head: &Head) {
    assert_eq!((head.get("transfer-encoding"), head.get("trailer")), (None, None), "{head:?}");
    assert!(!head.list("connection").iter().any(|option| option == "keep-alive"), "{head:?}");
}

#[tokio::test]
async fn a_client_of_1_0_gets_its_events_unframed_up_to_the_close() {
    let length = Script::new().head("200 OK", &format!("{TYPE}Content-Length: 18\r\n")).raw("data: a\n\ndata: b\n\n");
    let by_close = Script::new().head("200 OK", TYPE).raw("data: a\n\ndata: b\n\n").close();
    let old = Script::new().raw(format!("HTTP/1.0 200 OK\r\n{TYPE}\r\ndata: a\n\ndata: b\n\n")).close();
    let chunked = Script::stream().event("a").event("b").end();
    for request in [SUBSCRIBE_1_0.to_owned(), ASK_1_0.to_owned(), with(SUBSCRIBE_1_0, "Connection: keep-alive\r\n")] {
        for script in [&chunked, &length, &by_close, &old] {
            let origin = Origin::start(script.clone()).await;
            let edge = Edge::start(origin.address()).await;
            let (mut client, head) = Client::open(edge.address(), &request).await;
            assert_eq!((head.status(), head.get("content-length")), (200, None));
            assert_is_for_1_0(&head);
            client.ends_with("data: a\n\ndata: b\n\n", End::Clean).await;
            assert_eq!(client.rest().await, (Vec::new(), End::Clean));
            edge.stream_ended("upstream_end").await;
        }
    }
}

#[tokio::test]
async fn a_client_of_1_0_gets_each_event_at_once_and_heartbeats_between() {
    for request in [SUBSCRIBE_1_0, ASK_1_0] {
        let origin = Origin::start(Script::stream().event("a").gate().event("b").gate().end()).await;
        let edge = Edge::with().heartbeat("interval: 100ms").start(origin.address()).await;
        let (mut client, _) = Client::open(edge.address(), request).await;
        client.expects("data: a\n\n:\n\n:\n\n").await;
        origin.open_gate();
        client.expects_after(":\n\n", "data: b\n\n").await;
        client.expects(":\n\n").await;
        origin.open_gate();
        client.expects_after(":\n\n", "").await;
        client.ends_with("", End::Clean).await;
    }
}

#[tokio::test]
async fn a_client_of_1_0_gets_ordinary_answers_it_can_read() {
    let body = "ordinary";
    let scripts = [
        Script::answer(body),
        Script::new().head("200 OK", "Transfer-Encoding: chunked\r\n").chunk("ordi").chunk("nary").end(),
        Script::new().head("200 OK", "").raw(body).close(),
        Script::new().raw(format!("HTTP/1.0 200 OK\r\n\r\n{body}")).close(),
        Script::new().raw(format!("HTTP/1.0 200 OK\r\nContent-Length: 8\r\n\r\n{body}")).close(),
    ];
    for request in [GET_1_0.to_owned(), ASK_1_0.to_owned(), with(GET_1_0, "Connection: keep-alive\r\n")] {
        let origin = Origin::start_each(scripts.clone()).await;
        let edge = Edge::start(origin.address()).await;
        for number in 0..scripts.len() {
            let (mut client, head) = Client::open(edge.address(), &request).await;
            assert_eq!(head.get("transfer-encoding"), None, "{head:?}");
            client.ends_with(body, End::Clean).await;
            // A promise to keep the connection is held, whoever makes it.
            if head.list("connection").iter().any(|option| option == "keep-alive") {
                client.send(GET_1_0).await;
                client.head().await;
                client.rest_of_body().await;
            } else {
                assert_eq!(client.rest().await, (Vec::new(), End::Clean), "answer {number}");
            }
        }
    }
}

#[tokio::test]
async fn a_client_of_1_0_may_say_neither_host_nor_connection() {
    let origin = Origin::start(Script::stream().event("a").end()).await;
    let edge = Edge::start(origin.address()).await;
    let (mut client, _) = Client::open(edge.address(), "GET / HTTP/1.0\r\n\r\n").await;
    client.ends_with("data: a\n\n", End::Clean).await;
    let asked = origin.request(0).await.head;
    assert_eq!((asked.start(), asked.get("host")), ("GET / HTTP/1.1", Some(origin.address().to_string().as_str())));
}

#[tokio::test]
async fn a_client_of_1_0_never_sees_an_informational_answer() {
    // RFC 9110 section 15.2; and its Expect means nothing, section 10.1.1.
    let origin = ManualOrigin::start().await;
    let edge = Edge::start(origin.address()).await;
    let mut client = Client::send_to(edge.address(), with(&ASK_1_0.replace("{}", ""), "Expect: 100-continue\r\n")).await;
    let (mut server, asked) = origin.request().await;
    assert_eq!(asked.get("expect"), None);
    server.send("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n").await;
    client.send("{}").await;
    server.body_brings("{}").await;
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    assert_eq!(client.any_head().await.status(), 200);
    client.ends_with("ok", End::Clean).await;
}

#[tokio::test]
async fn a_server_of_1_0_is_asked_in_1_1_and_its_answers_pass_to_both() {
    let answers = [
        ("", "by the close", false),
        ("Content-Length: 12\r\n", "by its count", true),
        ("Content-Length: 12\r\nConnection: keep-alive\r\n", "by its count", true),
        ("Connection: close\r\n", "by the close", false),
    ];
    for (kind, client_of_1_1) in [(TYPE, true), ("", true), (TYPE, false), ("", false)] {
        for (fields, body, counted) in answers {
            let origin = Origin::start(Script::new().raw(format!("HTTP/1.0 200 OK\r\n{kind}{fields}\r\n{body}")).close()).await;
            let edge = Edge::start(origin.address()).await;
            let (mut client, head) = Client::open(edge.address(), if client_of_1_1 { ASK } else { ASK_1_0 }).await;
            let length = (counted && kind.is_empty()).then_some("12");
            assert_eq!((head.status(), head.get("content-length")), (200, length), "{kind:?} {fields:?}");
            assert_eq!(head.get("transfer-encoding"), (client_of_1_1 && length.is_none()).then_some("chunked"), "{head:?}");
            client.ends_with(body, End::Clean).await;
            assert_eq!(origin.request(0).await.head.start(), "POST /v1/ask HTTP/1.1");
        }
    }
}

#[tokio::test]
async fn each_event_of_a_server_of_1_0_arrives_at_once() {
    for request in [SUBSCRIBE, SUBSCRIBE_1_0, ASK] {
        let script =
            Script::new().raw(format!("HTTP/1.0 200 OK\r\n{TYPE}\r\ndata: a\n\n")).gate().raw("data: b\n\n").gate().close();
        let origin = Origin::start(script).await;
        let edge = Edge::with().heartbeat("interval: 100ms").start(origin.address()).await;
        let (mut client, _) = Client::open(edge.address(), request).await;
        client.expects("data: a\n\n:\n\n").await;
        origin.open_gate();
        client.expects_after(":\n\n", "data: b\n\n").await;
        origin.open_gate();
        client.expects_after(":\n\n", "").await;
        client.ends_with("", End::Clean).await;
    }
}

#[tokio::test]
async fn a_server_of_1_0_that_knows_no_100_does_not_keep_the_client_waiting() {
    let script = Script::new().raw("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok").close();
    let origin = Origin::start(script).await;
    let edge = Edge::start(origin.address()).await;
    let mut client = Client::send_to(edge.address(), with(&ASK.replace("{}", ""), "Expect: 100-continue\r\n")).await;
    assert_eq!(client.any_head().await.status(), 100);
    client.send("{}").await;
    assert_eq!(client.any_head().await.status(), 200);
    client.ends_with("ok", End::Clean).await;
    assert_eq!(origin.request(0).await.body, b"{}");
}

#[tokio::test]
async fn a_close_that_the_client_asks_for_follows_whatever_answer_it_gets() {
    let streams = [Script::stream().event("a").end(), Script::new().head("200 OK", TYPE).raw("data: a\n\n").close()];
    let ordinary = [Script::answer("data: a\n\n"), Script::new().head("200 OK", "").raw("data: a\n\n").close()];
    for script in streams.into_iter().chain(ordinary) {
        for options in ["close", "Close", "x-foo, close", "close, x-foo"] {
            for request in [SUBSCRIBE, ASK] {
                let origin = Origin::start(script.clone()).await;
                let edge = Edge::start(origin.address()).await;
                let request = with(request, &format!("Connection: {options}\r\nX-Foo: 1\r\n"));
                let (mut client, head) = Client::open(edge.address(), &request).await;
                assert!(closes(&head), "after {options:?}: {head:?}");
                client.ends_with("data: a\n\n", End::Clean).await;
                assert_eq!(client.rest().await, (Vec::new(), End::Clean), "after {options:?}");
                let asked = origin.request(0).await.head;
                assert_eq!(asked.get("x-foo").is_none(), options.contains("x-foo"), "{options:?}: {asked:?}");
                assert!(!asked.list("connection").contains(&"x-foo".to_owned()), "{asked:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_close_that_the_server_announces_is_its_own_affair() {
    let fields = "Connection: close, x-foo\r\nX-Foo: 1\r\nX-Bar: 2\r\n";
    let length = format!("{fields}Content-Length: 3\r\n");
    let chunked = format!("{fields}Transfer-Encoding: chunked\r\n");
    let scripts = [
        // It says close and leaves the closing to us.
        Script::new().head("200 OK", &length).raw("one").hang(),
        Script::new().head("200 OK", &chunked).chunk("one").end().hang(),
        Script::new().head("200 OK", fields).raw("one").close(),
        Script::answer("two"),
    ];
    let count = scripts.len();
    let origin = Origin::start_each(scripts).await;
    let edge = Edge::start(origin.address()).await;
    let mut client = Client::connect(edge.address()).await;
    for number in 0..count {
        client.send(GET).await;
        let head = client.head().await;
        assert!(!closes(&head) && !head.list("connection").contains(&"x-foo".to_owned()), "{head:?}");
        if number + 1 < count {
            assert_eq!((head.get("x-foo"), head.get("x-bar")), (None, Some("2")), "{head:?}");
            client.ends_with("one", End::Clean).await;
            if number < 2 {
                origin.closed(number).await;
            }
        } else {
            client.ends_with("two", End::Clean).await;
        }
        assert_eq!(origin.connections(), number + 1, "a connection that was to be closed is not used again");
    }
}

#[tokio::test]
async fn a_close_that_the_server_announces_on_a_stream_ends_its_connection() {
    for fields in ["Connection: close\r\n", "Connection: close, x-foo\r\nX-Foo: 1\r\n"] {
        let origin = Origin::start(Script::stream_with(fields).event("a").end().hang()).await;
        let edge = Edge::start(origin.address()).await;
        for number in 0..2 {
            for request in [SUBSCRIBE, SUBSCRIBE_1_0] {
                let (mut client, head) = Client::open(edge.address(), request).await;
                assert_eq!(head.get("x-foo"), None, "{head:?}");
                client.ends_with("data: a\n\n", End::Clean).await;
            }
            origin.closed(number * 2).await;
            origin.closed(number * 2 + 1).await;
        }
        assert_eq!(origin.connections(), 4);
    }
}

#[tokio::test]
async fn fin_is_an_end_where_nothing_else_frames_a_body_and_a_reset_is_none() {
    let begin = |version: &str, kind: &str| Script::new().raw(format!("HTTP/{version} 200 OK\r\n{kind}\r\nhalf\n")).gate();
    for version in ["1.0", "1.1"] {
        for kind in [TYPE, "", "Content-Type: text/plain\r\nConnection: close\r\n"] {
            for request in [SUBSCRIBE, ASK, SUBSCRIBE_1_0, ASK_1_0] {
                let is_1_1 = request.contains("HTTP/1.1");
                let origin = Origin::start_each([begin(version, kind).close(), begin(version, kind).reset()]).await;
                let edge = Edge::start(origin.address()).await;
                let (mut client, head) = Client::open(edge.address(), request).await;
                assert_eq!(head.get("transfer-encoding"), is_1_1.then_some("chunked"), "{head:?}");
                client.expects("half\n").await;
                origin.open_gate();
                client.ends_with("", End::Clean).await;

                let (mut client, _) = Client::open(edge.address(), request).await;
                client.expects("half\n").await;
                origin.open_gate();
                let (rest, end) = client.rest_of_body().await;
                let cut = if is_1_1 { end != End::Clean } else { end == End::Reset };
                assert!(rest.is_empty() && cut, "{version}, {kind:?}, {request:?}: {rest:?} and {end:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_client_of_1_0_that_uploads_hears_early_and_is_heard_to_the_end() {
    let origin = ManualOrigin::start().await;
    let edge = Edge::with().heartbeat("interval: 100ms").start(origin.address()).await;
    let mut client = Client::send_to(edge.address(), "POST / HTTP/1.0\r\nContent-Length: 8\r\n\r\nhalf").await;
    let (mut server, _) = origin.request().await;
    server.body_brings("half").await;
    server.send(format!("HTTP/1.1 200 OK\r\n{TYPE}\r\ndata: half\n\n")).await;
    assert_is_for_1_0(&client.head().await);
    client.expects("data: half\n\n:\n\n:\n\n").await;
    client.send("full").await;
    server.body_brings("full").await;
    assert_eq!(server.piece().await, Ok(None));
    server.send("data: full\n\n").await;
    client.expects_after(":\n\n", "data: full\n\n").await;
    drop(server);
    client.expects_after(":\n\n", "").await;
    client.ends_with("", End::Clean).await;
}

#[tokio::test]
async fn a_client_of_1_0_that_uploads_sees_the_end_of_an_early_answer_at_once() {
    // The close is all that ends it, and the server may still take the rest of the body.
    for answer in ["Transfer-Encoding: chunked\r\n\r\n5\r\nearly\r\n0\r\n\r\n", "Content-Length: 5\r\n\r\nearly"] {
        let origin = ManualOrigin::start().await;
        let edge = Edge::start(origin.address()).await;
        let mut client = Client::send_to(edge.address(), "POST / HTTP/1.0\r\nContent-Length: 8\r\n\r\nhalf").await;
        let (mut server, _) = origin.request().await;
        server.send(format!("HTTP/1.1 200 OK\r\n{answer}")).await;
        client.head().await;
        client.ends_with("early", End::Clean).await;
        client.send("full").await;
        assert_eq!(server.rest_of_body().await, (b"halffull".to_vec(), End::Clean));
        assert_eq!(client.rest().await, (Vec::new(), End::Clean));
    }
}

#[tokio::test]
async fn bytes_behind_a_request_do_not_turn_the_end_of_its_answer_into_a_reset() {
    // Old clients end a body with a line end that belongs to nothing. A close with unread bytes before it is a reset.
    let scripts = [Script::stream().event("a").gate().end(), Script::new().head("200 OK", "").raw("data: a\n\n").gate().close()];
    for script in scripts {
        for request in [ASK_1_0, SUBSCRIBE_1_0, &with(ASK, "Connection: close\r\n")] {
            for more in ["\r\n".to_owned(), "x".repeat(5_000), "x".repeat(100_000)] {
                let origin = Origin::start(script.clone()).await;
                let edge = Edge::start(origin.address()).await;
                let (mut client, _) = Client::open(edge.address(), format!("{request}{more}")).await;
                client.expects("data: a\n\n").await;
                client.send("y".repeat(1_000)).await;
                origin.open_gate();
                client.ends_with("", End::Clean).await;
                assert_eq!(client.rest().await, (Vec::new(), End::Clean), "{request:?} and {} bytes", more.len());
            }
        }
    }
}

#[tokio::test]
async fn the_drain_ends_streams_of_1_0_with_fin_at_a_boundary_and_cuts_what_is_left_with_a_reset() {
    let origin = Origin::start_each([Script::stream().event("a").hang(), Script::stream().chunk("data: half").hang()]).await;
    let mut edge = Edge::of(&format!(
        "upstreams: {{ app: {{ servers: [ \"{}\" ] }} }}\nroutes: [ {{ upstream: app }} ]\ndrain: {{ spread: 0s, deadline: 1s }}\n",
        origin.address()
    ))
    .await;
    let (mut whole, _) = Client::open(edge.address(), SUBSCRIBE_1_0).await;
    whole.expects("data: a\n\n").await;
    let (mut unfinished, _) = Client::open(edge.address(), SUBSCRIBE_1_0).await;
    unfinished.expects("data: half").await;
    edge.signal("TERM");
    whole.ends_with("", End::Clean).await;
    unfinished.ends_with("", End::Reset).await;
    assert_eq!(edge.exit_code().await, Some(0));
}
