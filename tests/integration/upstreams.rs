//! Several servers behind one upstream: who gets the next request, and what happens when one of them goes and comes back.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::servers::{Server, ask, listed, shares};
use crate::support::nowhere::Refusing;
use crate::support::{ASK, Client, Edge, End, GET, Origin, SUBSCRIBE, Script, within};

/// One route to an upstream with these servers and what else stands in it.
async fn edge(servers: &str, more: &str) -> Edge {
    Edge::of(&format!("upstreams: {{ app: {{ servers: [ {servers} ]{more} }} }}\nroutes: [ {{ upstream: app }} ]\n")).await
}

/// The weight of the first is 2.
fn weighted(servers: &[Server]) -> String {
    let rows = servers
        .iter()
        .enumerate()
        .map(|(number, server)| format!("{{ address: \"{}\", weight: {} }}", server.address(), if number == 0 { 2 } else { 1 }));
    rows.collect::<Vec<_>>().join(", ")
}

fn sorted(mut shares: Vec<usize>) -> Vec<usize> {
    shares.sort_unstable();
    shares
}

/// So many silent streams, all open.
async fn streams(edge: &Edge, count: usize) -> Vec<Client> {
    let mut open = Vec::new();
    for _ in 0..count {
        let (client, head) = Client::open(edge.address(), SUBSCRIBE).await;
        assert_eq!(head.status(), 200);
        open.push(client);
    }
    open
}

#[tokio::test]
async fn least_streams_spreads_idle_streams_evenly_and_fills_what_was_left() {
    let servers = Server::start_all(["a", "b", "c"]);
    let edge = edge(&listed(&servers), "").await;
    let first = streams(&edge, 30).await;
    assert_eq!(shares(&servers), [10, 10, 10]);
    for server in &servers {
        let label = format!("server=\"{}\"", server.address());
        assert_eq!(edge.metric("ssedge_server_streams", &label).await, 10.0);
    }
    drop(first);
    edge.metric_becomes("ssedge_server_streams", "", 0.0).await;
    let _second = streams(&edge, 3).await;
    assert_eq!(shares(&servers), [11, 11, 11]);
}

#[tokio::test]
async fn least_streams_counts_by_weight() {
    let servers = Server::start_all(["a", "b"]);
    let edge = edge(&weighted(&servers), "").await;
    let _open = streams(&edge, 30).await;
    assert_eq!(shares(&servers), [20, 10]);
}

#[tokio::test]
async fn round_robin_gives_each_its_turn_by_weight() {
    let servers = Server::start_all(["a", "b", "c"]);
    let even = edge(&listed(&servers), ", balance: round_robin").await;
    let mut turns = Vec::new();
    for _ in 0..30 {
        turns.push(ask(even.address(), GET).await.1);
    }
    assert_eq!(shares(&servers), [10, 10, 10]);
    assert!(turns.chunks(3).all(|round| round.iter().collect::<HashSet<_>>().len() == 3), "{turns:?}");
    let edge = edge(&weighted(&servers), ", balance: round_robin").await;
    for _ in 0..40 {
        ask(edge.address(), GET).await;
    }
    assert_eq!(shares(&servers), [30, 20, 20]);
}

#[tokio::test]
async fn random_reaches_every_server() {
    let servers = Server::start_all(["a", "b", "c"]);
    let edge = edge(&listed(&servers), ", balance: random").await;
    for _ in 0..200 {
        ask(edge.address(), GET).await;
    }
    // That one of them gets less than 30 of 200 has a chance of less than one in a million.
    assert!(sorted(shares(&servers))[0] >= 30, "{:?}", shares(&servers));
}

/// The server of each of many keys, by a request that `request` makes of it.
async fn places(edge: &Edge, request: impl Fn(usize) -> String) -> HashMap<usize, String> {
    let mut places = HashMap::new();
    for key in 0..40 {
        let (head, server) = ask(edge.address(), request(key)).await;
        assert_eq!(head.status(), 200);
        places.insert(key, server);
    }
    places
}

#[tokio::test]
async fn hash_brings_the_same_value_to_the_same_server() {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    type Request = fn(usize) -> String;
    let by: [(&str, Request); 3] = [
        ("header:X-Tenant", |key| format!("GET /{key} HTTP/1.1\r\nHost: test\r\nX-Tenant: tenant-{key}\r\n\r\n")),
        ("cookie:user", |key| format!("GET / HTTP/1.1\r\nHost: test\r\nCookie: a=b; user=u{key}\r\n\r\n")),
        // The query is no part of it.
        ("path", |key| {
            let query = NEXT.fetch_add(1, Ordering::Relaxed);
            format!("GET /room/{key}?{query} HTTP/1.1\r\nHost: test\r\n\r\n")
        }),
    ];
    let servers = Server::start_all(["a", "b", "c"]);
    for (on, request) in by {
        let edge = edge(&listed(&servers), &format!(", balance: hash, hash_on: \"{on}\"")).await;
        let first = places(&edge, request).await;
        assert_eq!(first.values().collect::<HashSet<_>>().len(), 3, "{on} spreads: {first:?}");
        assert_eq!(places(&edge, request).await, first, "{on}");
    }
    // Without the header it is the client, and there is one.
    let edge = edge(&listed(&servers), ", balance: hash, hash_on: \"header:X-Tenant\"").await;
    let places = places(&edge, |_| GET.to_owned()).await;
    assert_eq!(places.values().collect::<HashSet<_>>().len(), 1);
}

#[tokio::test]
async fn a_server_that_goes_moves_only_its_own_clients_and_gets_them_back() {
    let mut servers = Server::start_all(["a", "b", "c"]);
    let edge =
        edge(&listed(&servers), ", balance: hash, hash_on: path, health: { path: /healthz, interval: 300ms, fall: 3 }").await;
    let request = |key: usize| format!("GET /{key} HTTP/1.1\r\nHost: test\r\n\r\n");
    let before = places(&edge, request).await;
    servers[1].stop().await;
    let up = format!("server=\"{}\"", servers[1].address());
    edge.metric_becomes("ssedge_server_up", &up, 0.0).await;
    let without = places(&edge, request).await;
    for (key, server) in &before {
        assert_eq!(&without[key] == server, server != "b", "{key}: {server} before, {} then", without[key]);
    }
    servers[1].run();
    edge.metric_becomes("ssedge_server_up", &up, 1.0).await;
    assert_eq!(places(&edge, request).await, before);
}

#[tokio::test]
async fn a_unix_socket_is_a_server_like_any_other() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("app.sock");
    let server = Server::on_socket("socket", &path);
    let edge = edge(&format!("\"unix:{}\"", path.display()), "").await;
    assert_eq!(ask(edge.address(), GET).await.1, "socket");
    let (mut client, _) = Client::open(edge.address(), SUBSCRIBE).await;
    client.expects("data: socket\n\n").await;
    assert_eq!(server.requests(), 2);
}

#[tokio::test]
async fn a_server_that_refuses_is_replaced_by_another_whatever_the_method() {
    let (refusing, origin) = (Refusing::new(), Origin::start(Script::answer("ok")).await);
    let servers = format!("\"{}\", \"{}\"", refusing.address(), origin.address());
    let edge = edge(&servers, ", balance: round_robin, ejection: { failures: 1000 }").await;
    for number in 0..10 {
        let (head, body) = ask(edge.address(), if number % 2 == 0 { ASK } else { GET }).await;
        assert_eq!((head.status(), body.as_str()), (200, "ok"));
        let request = origin.request(number).await;
        assert_eq!(request.body, if number % 2 == 0 { b"{}".as_slice() } else { b"" }, "the body comes whole, once");
    }
    assert_eq!(origin.requests(), 10);
    assert!(edge.metric("ssedge_upstream_connect_failures_total", "").await >= 4.0, "the other one was tried");
}

#[tokio::test]
async fn without_checks_servers_that_all_refuse_are_a_502_and_with_checks_a_503() {
    let (one, two) = (Refusing::new(), Refusing::new());
    let servers = format!("\"{}\", \"{}\"", one.address(), two.address());
    let unchecked = edge(&servers, "").await;
    for _ in 0..10 {
        assert_eq!(ask(unchecked.address(), GET).await.0.status(), 502, "ejection never takes the last one");
    }
    let checked = edge(&servers, ", health: { tcp: true, interval: 100ms, fall: 1 }").await;
    checked.metric_becomes("ssedge_server_up", "", 0.0).await;
    let (head, body) = ask(checked.address(), GET).await;
    assert_eq!(head.status(), 503);
    assert!(body.starts_with("503 Service Unavailable\n") && !body.contains("127.0.0.1"), "{body}");
}

#[tokio::test]
async fn a_server_whose_health_path_fails_gets_no_work_until_it_is_well_again() {
    let servers = Server::start_all(["a", "b"]);
    let edge = edge(&listed(&servers), ", balance: round_robin, health: { path: /healthz, interval: 200ms }").await;
    let up = format!("server=\"{}\"", servers[0].address());
    assert_eq!(edge.metric("ssedge_server_up", &up).await, 1.0);
    let mut stream = streams(&edge, 2).await;
    servers[0].set_healthy(false);
    edge.metric_becomes("ssedge_server_up", &up, 0.0).await;
    assert_eq!(edge.metric("ssedge_server_up", "").await, 1.0, "the other one is well");
    let before = servers[0].requests();
    for _ in 0..10 {
        assert_eq!(ask(edge.address(), GET).await.1, "b");
    }
    assert_eq!(servers[0].requests(), before);
    assert_eq!(edge.metric("ssedge_streams_open", "").await, 2.0, "what it runs goes on");
    stream.clear();
    servers[0].set_healthy(true);
    edge.metric_becomes("ssedge_server_up", &up, 1.0).await;
    let answers = [ask(edge.address(), GET).await.1, ask(edge.address(), GET).await.1];
    assert!(answers.contains(&"a".to_owned()), "{answers:?}");
}

#[tokio::test]
async fn a_tcp_check_sees_a_server_go_and_come_back() {
    let mut servers = Server::start_all(["a"]);
    let edge = edge(&listed(&servers), ", health: { tcp: true, interval: 200ms }").await;
    assert_eq!(ask(edge.address(), GET).await.1, "a");
    servers[0].stop().await;
    edge.metric_becomes("ssedge_server_up", "", 0.0).await;
    assert_eq!(ask(edge.address(), GET).await.0.status(), 503);
    servers[0].run();
    edge.metric_becomes("ssedge_server_up", "", 1.0).await;
    assert_eq!(ask(edge.address(), GET).await.1, "a");
}

#[tokio::test]
async fn a_server_that_fails_so_often_is_left_alone_for_a_while() {
    let mut servers = Server::start_all(["a", "b"]);
    servers[0].stop().await;
    let left = edge(&listed(&servers), ", balance: round_robin, ejection: { failures: 2, for: 1h }").await;
    for _ in 0..20 {
        assert_eq!(ask(left.address(), GET).await.1, "b");
    }
    assert_eq!(left.metric("ssedge_upstream_connect_failures_total", "").await, 2.0);
    let ejected = format!("server=\"{}\"", servers[0].address());
    assert_eq!(left.metric("ssedge_server_ejected", &ejected).await, 1.0);
    assert_eq!(left.metric("ssedge_server_ejected", "").await, 1.0);

    let briefly = edge(&listed(&servers), ", balance: round_robin, ejection: { failures: 1, for: 100ms }").await;
    ask(briefly.address(), GET).await;
    ask(briefly.address(), GET).await;
    servers[0].run();
    within("the server's next try", async {
        while ask(briefly.address(), GET).await.1 != "a" {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    assert_eq!(briefly.metric("ssedge_server_ejected", "").await, 0.0);
}

#[tokio::test]
async fn connections_are_kept_for_so_long_or_not_at_all() {
    for (keep_alive, connections) in [("", 1), (", keep_alive: off", 3)] {
        let origin = Origin::start(Script::answer("ok")).await;
        let edge = edge(&format!("\"{}\"", origin.address()), keep_alive).await;
        let mut client = Client::connect(edge.address()).await;
        for _ in 0..3 {
            client.send(GET).await;
            client.head().await;
            client.ends_with("ok", End::Clean).await;
        }
        assert_eq!(origin.connections(), connections, "{keep_alive}");
        assert_eq!(edge.metric("ssedge_upstream_connections_total", "kind=\"fresh\"").await, connections as f64);
        assert_eq!(edge.metric("ssedge_upstream_connections_total", "kind=\"reused\"").await, 3.0 - connections as f64);
    }
    let origin = Origin::start(Script::answer("ok")).await;
    let edge = edge(&format!("\"{}\"", origin.address()), ", keep_alive: 300ms").await;
    assert_eq!(ask(edge.address(), GET).await.1, "ok");
    // Without anybody asking for it.
    origin.closed(0).await;
}

#[tokio::test]
async fn a_name_stands_for_its_addresses_and_one_that_is_unknown_ends_nothing() {
    let server = Server::start("a");
    let known = edge(&format!("\"localhost:{}\"", server.address().port()), "").await;
    within("the name to be looked up", async {
        while ask(known.address(), GET).await.1 != "a" {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    let unknown = edge("\"no-such-name.invalid:80\"", "").await;
    assert_eq!(ask(unknown.address(), GET).await.0.status(), 503);
    unknown.process().logs("no-such-name.invalid").await;
    let both = edge(&format!("\"no-such-name.invalid:80\", \"{}\"", server.address()), "").await;
    assert_eq!(ask(both.address(), GET).await.1, "a");
}

/// What each restart of a server looks like: its idle connection dies under a request, and it does not accept another one.
#[tokio::test]
async fn a_server_that_dies_with_a_reused_connection_is_replaced_by_another() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let dying = listener.local_addr().unwrap();
    let served_once = tokio::spawn(async move {
        let (mut connection, _) = listener.accept().await.unwrap();
        drop(listener);
        let mut request = [0; 4096];
        assert!(connection.read(&mut request).await.unwrap() > 0);
        connection.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na").await.unwrap();
        assert!(connection.read(&mut request).await.unwrap() > 0, "the second request came on the same connection");
    });
    let other = Origin::start(Script::answer("b")).await;
    let edge = edge(&format!("\"{dying}\", \"{}\"", other.address()), ", balance: round_robin").await;
    let mut bodies = String::new();
    // In turn, so that its second turn comes within these.
    for _ in 0..4 {
        let (mut client, head) = Client::open(edge.address(), GET).await;
        assert_eq!(head.status(), 200, "after {bodies:?}");
        bodies.push_str(&String::from_utf8(client.rest_of_body().await.0).unwrap());
    }
    assert_eq!(bodies.matches('a').count(), 1, "{bodies:?}");
    within("its second request", served_once).await.unwrap();
}
