//! Running out of descriptors: what is open goes on, what is new is refused with a word in the log, and places that become free are taken.

use crate::support::{Client, Edge, End, GET, Origin, SUBSCRIBE, Script, head::Head, within};

/// So many that some streams fit, under caps that promise more.
const DESCRIPTORS: u32 = 96;

/// What the log has to say.
const FIX: &str = "raise `ulimit -n`";

async fn edge(origin: &Origin) -> Edge {
    let rest = format!(
        "limits: {{ connections: 1000 }}\nupstreams: {{ app: {{ servers: [ \"{}\" ], keep_alive: off }} }}\nroutes: [ {{ upstream: app, heartbeat: off }} ]\n",
        origin.address()
    );
    Edge::with_descriptors(DESCRIPTORS, &rest).await
}

/// A new connection with `request`, and the answer to it unless it is closed without one.
async fn try_open(edge: &Edge, request: &str) -> (Client, Option<Head>) {
    let mut client = Client::connect(edge.address()).await;
    client.send_unheard(request).await;
    let head = client.head_if_any().await;
    (client, head)
}

/// New connections until one gets 200.
async fn soon_served(edge: &Edge, request: &str) -> Client {
    within("a place for a new connection", async {
        loop {
            let (client, head) = try_open(edge, request).await;
            if head.is_some_and(|head| head.status() == 200) {
                return client;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    })
    .await
}

#[tokio::test]
async fn streams_that_are_open_go_on_while_new_ones_are_refused_until_some_leave() {
    let origin = Origin::start(Script::stream().event("a").gate().event("b").end()).await;
    let edge = edge(&origin).await;
    let (mut streams, mut refused) = (Vec::new(), 0);
    while refused < 20 {
        let (mut client, head) = try_open(&edge, SUBSCRIBE).await;
        match head.map(|head| head.status()) {
            Some(200) => {
                client.expects("data: a\n\n").await;
                streams.push(client);
            }
            None | Some(503) => refused += 1,
            Some(status) => panic!("{status}"),
        }
        assert!(streams.len() < DESCRIPTORS as usize / 2, "descriptors never ran out");
    }
    assert!(streams.len() >= 5, "only {} fit", streams.len());
    edge.process().logs(FIX).await;
    for _ in 0..3 {
        streams.pop();
    }
    let mut late = soon_served(&edge, SUBSCRIBE).await;
    late.expects("data: a\n\n").await;
    streams.push(late);
    for _ in &streams {
        // For one stream, whichever; those that left may have taken some.
        (0..5).for_each(|_| origin.open_gate());
    }
    for stream in &mut streams {
        stream.ends_with("data: b\n\n", End::Clean).await;
    }
}

#[tokio::test]
async fn without_a_descriptor_for_the_server_it_is_503_and_without_one_for_the_client_a_close() {
    let origin = Origin::start(Script::answer("ok")).await;
    let edge = edge(&origin).await;
    let mut idle = Vec::new();
    loop {
        let (mut client, head) = try_open(&edge, GET).await;
        match head.map(|head| head.status()) {
            Some(200) => {
                client.rest_of_body().await;
                idle.push(client);
            }
            Some(503) => break,
            other => panic!("{other:?} with {} connections", idle.len()),
        }
        assert!(idle.len() < DESCRIPTORS as usize, "descriptors never ran out");
    }
    assert!(idle.len() >= 10, "only {} fit", idle.len());
    edge.process().logs("no descriptor for a connection, raise `ulimit -n`").await;
    // Silent connections take what is left.
    let mut silent = Vec::new();
    while try_open(&edge, GET).await.1.is_some() {
        silent.push(Client::connect(edge.address()).await);
        assert!(silent.len() < 20, "descriptors never ran out");
    }
    edge.process().logs("no descriptor for a new connection, which is closed: raise `ulimit -n`").await;
    idle.truncate(idle.len() - 5);
    soon_served(&edge, GET).await;
    assert!(edge.metric("ssedge_connections_refused_total", "cap=\"descriptors\"").await >= 1.0);
    // Those that stayed are served as before.
    for client in &mut idle {
        client.send(GET).await;
        assert_eq!(client.head().await.status(), 200);
        client.rest_of_body().await;
    }
}
