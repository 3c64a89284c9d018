//! Uploads that stop, that dribble, and that never end while nobody reads them. Between two reads of a body only idleness is bounded
//! (`timeouts.request_body_idle`): whoever sends a byte before that may go on for ever, as a slow phone must.

use std::time::Duration;

use super::MIB;
use super::scene::Scene;
use crate::duplex::Upload;
use crate::support::{Client, End, Origin, Script, shown};

#[tokio::test]
async fn bodies_that_stop_are_a_408() {
    const COUNT: usize = 25;
    let origin = Origin::start(Script::answer("ok")).await;
    let scene = Scene::with().timeout("request_body_idle", "1s").start(origin.address()).await;
    let mut clients = Vec::new();
    for address in scene.ways() {
        for upload in Upload::BOTH {
            for _ in 0..COUNT {
                clients.push(tokio::spawn(async move {
                    let mut client = Client::send_to(address, upload.head(10, "")).await;
                    client.send(upload.part(b"half")).await;
                    let (answer, end) = client.rest().await;
                    assert!(answer.starts_with(b"HTTP/1.1 408 ") && end == End::Clean, "{:?} and {end:?}", shown(&answer));
                }));
            }
        }
    }
    let count = clients.len();
    for client in clients {
        client.await.expect("an upload that stopped was not refused");
    }
    scene.logged(count, &["status=408", "the body stopped coming"]).await;
    assert_eq!(origin.requests(), count);
    for connection in 0..count {
        // What they sent is not completed for them.
        origin.closed(connection).await;
        assert!(!origin.request_head(connection).await.complete);
    }
    scene.survived(count as u64 * (96 << 10)).await;
}

#[tokio::test]
async fn a_body_that_dribbles_is_served_for_as_long_as_it_dribbles() {
    let origin = Origin::start(Script::answer("ok")).await;
    let scene = Scene::with().timeout("request_body_idle", "2s").timeout("request_head", "1s").start(origin.address()).await;
    let mut clients = Vec::new();
    for address in scene.ways() {
        for upload in Upload::BOTH {
            clients.push(tokio::spawn(async move {
                let mut client = Client::send_to(address, upload.head(12, "Connection: close\r\n")).await;
                // Three seconds: longer in all than either limit.
                for _ in 0..12 {
                    tokio::time::sleep(Duration::from_millis(250)).await;
                    client.send(upload.part(b"x")).await;
                }
                client.send(upload.end()).await;
                assert_eq!(client.head().await.status(), 200);
                client.ends_with("ok", End::Clean).await;
            }));
        }
    }
    for client in clients {
        client.await.expect("an upload was cut that went on");
    }
    scene.survived(MIB).await;
}

#[tokio::test]
async fn uploads_without_an_end_stop_at_a_server_that_does_not_read() {
    const COUNT: usize = 30;
    let origin = Origin::start(Script::early().stop_reading().hang()).await;
    let scene = Scene::with().timeout("response_head", "3s").start(origin.address()).await;
    let mut clients = Vec::new();
    for address in scene.ways() {
        for upload in Upload::BOTH {
            for _ in 0..COUNT {
                clients.push(tokio::spawn(async move {
                    let mut client = Client::send_to(address, upload.head(1 << 40, "")).await;
                    let socket = client.socket();
                    let part = upload.part(&[b'x'; 64 << 10]);
                    let mut sent = 0;
                    let endless = async {
                        while socket.write(&part).await.is_ok() {
                            sent += part.len() as u64;
                        }
                    };
                    tokio::select! {
                        () = endless => {}
                        // An answer, before the upload that has none would end.
                        head = client.head() => assert_eq!(head.status(), 504),
                    }
                    sent
                }));
            }
        }
    }
    let (count, mut sent) = (clients.len(), 0);
    for client in clients {
        sent += client.await.expect("an endless upload was not ended");
    }
    eprintln!("{} KiB of each endless upload were taken", (sent >> 10) / count as u64);
    scene.logged(count, &["status=504"]).await;
    // A read of 64 KiB that waits for the server, as large once more while it grows, and over TLS what was decrypted ahead.
    scene.survived(count as u64 * (192 << 10)).await;
}
