//! Servers whose heads have no end: each is a 502 under the bound on heads, and its connection is closed.

use super::scene::Scene;
use crate::support::{Client, End, GET, Origin, Script};

#[tokio::test]
async fn heads_of_servers_that_have_no_end_are_a_502() {
    const COUNT: usize = 8;
    let ok = "HTTP/1.1 200 OK\r\n";
    let floods = [
        format!("{ok}X: {}", "x".repeat(8 << 20)),
        format!("{ok}{}", "X: y\r\n".repeat(1 << 20)),
        format!("{ok}{}\r\nok", "X: y\r\n".repeat(1000)),
        "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(1 << 18),
        "HTTP/1.1 100 Continue\r\n\r\n".repeat(1 << 18),
        format!("HTTP/1.1 103 Early Hints\r\nLink: {}\r\n\r\n", "x".repeat(60 << 10)).repeat(128),
        "\r\n".repeat(4 << 20),
    ];
    let scripts = floods.iter().flat_map(|flood| [(); COUNT].map(|()| Script::new().raw(flood).hang()));
    let origin = Origin::start_each(scripts).await;
    let scene = Scene::with().start(origin.address()).await;
    for number in 0..floods.len() {
        let mut clients = Vec::new();
        for nth in 0..COUNT {
            let address = scene.ways()[nth % 2];
            clients.push(tokio::spawn(async move {
                let (mut client, head) = Client::open(address, GET).await;
                assert_eq!(head.status(), 502, "flood {number}");
                assert_eq!(client.rest_of_body().await.1, End::Clean);
            }));
        }
        for client in clients {
            client.await.expect("an endless head was not refused");
        }
    }
    let count = floods.len() * COUNT;
    scene.logged(count, &["status=502", "no response from the upstream"]).await;
    for connection in 0..count {
        origin.closed(connection).await;
    }
    // The bound on all heads of a response is 1 MiB: kept as it came, parsed, and once more while a buffer grows, of COUNT at once.
    scene.survived(COUNT as u64 * (4 << 20)).await;
}
