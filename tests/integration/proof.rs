//! All of it at once: two thousand clients over four servers, two of which are killed and brought back. Pins and caps are exact at the
//! end, and nothing is left over.

use std::collections::HashMap;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::task::JoinSet;

use crate::servers::{Server, listed};
use crate::support::{Client, Edge, eventually};

const CLIENTS: usize = 2000;
/// Streams that are opened at a time.
const AT_A_TIME: usize = 64;

/// A client with its stream, its pin and the server that it is on.
struct Visitor {
    number: usize,
    stream: Client,
    pin: String,
    server: &'static str,
}

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

/// Opens a stream; the answer's status, and the visitor if it was admitted.
async fn visit(edge: std::net::SocketAddr, number: usize, pin: &str) -> Result<Visitor, u16> {
    let cookie = if pin.is_empty() { String::new() } else { format!("Cookie: {pin}\r\n") };
    let request = format!("GET /events HTTP/1.1\r\nHost: test\r\nAccept: text/event-stream\r\nX-Client: {number}\r\n{cookie}\r\n");
    let (mut stream, head) = Client::open(edge, request).await;
    if head.status() != 200 {
        return Err(head.status());
    }
    let pin = head.get("set-cookie").map_or(pin, |cookie| cookie.split(';').next().unwrap_or_default()).to_owned();
    let event = stream.takes("data: x\n\n".len()).await;
    let server = NAMES.into_iter().find(|name| event == format!("data: {name}\n\n")).expect("an event with a name");
    Ok(Visitor { number, stream, pin, server })
}

/// All of them, some at a time.
async fn visit_all(edge: std::net::SocketAddr, whom: impl IntoIterator<Item = (usize, String)>) -> Vec<Visitor> {
    let (mut running, mut visitors) = (JoinSet::new(), Vec::new());
    for (number, pin) in whom {
        if running.len() >= AT_A_TIME {
            visitors.extend(running.join_next().await.map(|visit| visit.unwrap()));
        }
        running
            .spawn(async move { visit(edge, number, &pin).await.unwrap_or_else(|status| panic!("client {number} got {status}")) });
    }
    visitors.extend(running.join_all().await);
    visitors
}

fn by_server(visitors: &[Visitor]) -> HashMap<&'static str, usize> {
    let mut counts = HashMap::new();
    for visitor in visitors {
        *counts.entry(visitor.server).or_insert(0) += 1;
    }
    counts
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_clients_over_four_servers_of_which_two_die_and_come_back() {
    let limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.map_or(20_000, |maximum| maximum.min(20_000));
    setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: limit.maximum }).unwrap();
    assert!(wanted >= 9000, "this test needs 9,000 descriptors: raise `ulimit -Hn`");

    let mut servers = Server::start_all(NAMES);
    let edge = Edge::of(&format!(
        "upstreams: {{ app: {{ servers: [ {} ], health: {{ tcp: true, interval: 200ms, timeout: 200ms, rise: 1, fall: 1 }} }} }}\n\
         routes: [ {{ upstream: app, heartbeat: off, sticky: {{ cookie: ssedge, secrets: [ \"{}\" ] }}, \
         caps: {{ streams_per_client: 1, client: \"header:X-Client\", streams: {CLIENTS} }} }} ]\n",
        listed(&servers),
        "s".repeat(32)
    ))
    .await;
    let (descriptors, memory) = (edge.descriptors(), edge.resident());

    let visitors = visit_all(edge.address(), (0..CLIENTS).map(|number| (number, String::new()))).await;
    assert!(by_server(&visitors).values().all(|count| (450..=550).contains(count)), "uneven: {:?}", by_server(&visitors));
    assert_eq!(visit(edge.address(), CLIENTS, "").await.err(), Some(429), "one more than the route takes");

    for server in &mut servers[..2] {
        server.stop().await;
    }
    for name in &NAMES[..2] {
        let server = servers[usize::from(*name == "b")].address();
        edge.metric_becomes("ssedge_server_up", &format!("server=\"{server}\""), 0.0).await;
    }
    let (lost, alive): (Vec<_>, Vec<_>) = visitors.into_iter().partition(|visitor| NAMES[..2].contains(&visitor.server));
    edge.metric_becomes("ssedge_streams_open", "", alive.len() as f64).await;
    assert_eq!(visit(edge.address(), alive[0].number, "").await.err(), Some(429), "its one stream is open");
    // Those that were lost come back with their pin, and get another server.
    let back = visit_all(edge.address(), lost.into_iter().map(|visitor| (visitor.number, visitor.pin))).await;
    assert!(back.iter().all(|visitor| NAMES[2..].contains(&visitor.server)));

    for server in &mut servers[..2] {
        server.run();
    }
    for server in &servers[..2] {
        edge.metric_becomes("ssedge_server_up", &format!("server=\"{}\"", server.address()), 1.0).await;
    }
    // Whoever comes again comes to its own server, though two others are empty.
    let before: HashMap<usize, &str> = alive.iter().chain(&back).map(|visitor| (visitor.number, visitor.server)).collect();
    let pins: Vec<_> = alive.into_iter().chain(back).map(|visitor| (visitor.number, visitor.pin)).collect();
    edge.metric_becomes("ssedge_streams_open", "", 0.0).await;
    let again = visit_all(edge.address(), pins).await;
    assert!(again.iter().all(|visitor| before[&visitor.number] == visitor.server), "a pin did not hold");
    assert_eq!(visit(edge.address(), CLIENTS, "").await.err(), Some(429), "all permits are taken, and not one more");

    drop(again.into_iter().map(|visitor| visitor.stream).collect::<Vec<_>>());
    edge.metric_becomes("ssedge_streams_open", "", 0.0).await;
    for server in &servers {
        edge.metric_becomes("ssedge_server_streams", &format!("server=\"{}\"", server.address()), 0.0).await;
    }
    eventually("the descriptors to come back", || (edge.descriptors() <= descriptors + 20).then_some(())).await;
    let grown = edge.resident().saturating_sub(memory);
    assert!(grown < 64 << 20, "{grown} bytes more than before the first client");
}
