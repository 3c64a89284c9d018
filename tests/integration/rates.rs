//! The rate of new connections (`limits.connect_rate_per_client`): beyond it they are closed at once, and nobody else notices.

use std::time::Duration;

use crate::servers::Server;
use crate::support::{Client, Edge, SUBSCRIBE, within};

const ONCE: &[u8] = b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n";

/// Whether a new connection is served, with `header` before its request.
async fn served(edge: &Edge, header: &str) -> bool {
    let bytes = [header.as_bytes(), ONCE].concat();
    // One that is closed at once may not take all of it.
    Client::connect(edge.address()).await.dribble(&bytes, Duration::ZERO).await.0.starts_with(b"HTTP/1.1 200")
}

#[tokio::test]
async fn a_burst_beyond_the_rate_is_closed_and_streams_go_on_and_a_second_later_there_is_room() {
    let server = Server::start("a");
    let edge = Edge::with().limit("connect_rate_per_client", "3").start(server.address()).await;
    let (mut stream, head) = Client::open(edge.address(), SUBSCRIBE).await;
    assert_eq!(head.status(), 200);
    let mut refused = 0;
    within("a connection beyond the rate", async {
        while refused < 3 {
            refused += usize::from(!served(&edge, "").await);
        }
    })
    .await;
    assert_eq!(edge.metric("ssedge_connections_refused_total", "cap=\"rate\"").await, 3.0);
    edge.process().logs("limits.connect_rate_per_client is reached").await;
    assert_eq!(edge.process().log().matches("connect_rate_per_client").count(), 1, "one line for all of them");
    within("room", async {
        while !served(&edge, "").await {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await;
    stream.expects("data: a\n\n").await;
}

#[tokio::test]
async fn trusted_proxies_are_exempt_and_those_whom_they_name_are_not() {
    let server = Server::start("a");
    let file = format!(
        "trusted_proxies: [ 127.0.0.1 ]\nlimits: {{ connect_rate_per_client: 1 }}\nupstreams: {{ app: {{ servers: [ \"{}\" ] }} }}\nroutes: [ {{ upstream: app }} ]\n",
        server.address()
    );
    let edge = Edge::of(&file).await;
    for _ in 0..20 {
        assert!(served(&edge, "").await);
    }
    let edge = Edge::listening("proxy_protocol: accept", &file).await;
    let header = |client: usize| format!("PROXY TCP4 192.0.2.{client} 127.0.0.1 1 2\r\n");
    for client in 0..20 {
        assert!(served(&edge, &header(client)).await, "each comes once");
    }
    within("a connection beyond the rate", async { while served(&edge, &header(0)).await {} }).await;
    assert!(served(&edge, "PROXY UNKNOWN\r\n").await && served(&edge, &header(99)).await);
}
