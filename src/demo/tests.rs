//! The demo origin over real sockets, read as a plain client would.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::{Origin, Pace};

const DEADLINE: Duration = Duration::from_secs(20);
const HOUR: Duration = Duration::from_secs(3600);

struct Running {
    address: SocketAddr,
    shutdown: oneshot::Sender<()>,
    served: JoinHandle<()>,
}

impl Running {
    /// An origin with `ticks` ticks at once and then a pause that outlasts every test.
    async fn with_ticks(ticks: u32) -> Self {
        let pace = Pace { tick: Duration::ZERO, ticks, pause: HOUR };
        let origin = Origin::bind(([127, 0, 0, 1], 0).into()).await.unwrap().with_pace(pace);
        let (shutdown, stopped) = oneshot::channel();
        let address = origin.local_addr();
        let served = tokio::spawn(origin.serve(async {
            let _ = stopped.await;
        }));
        Self { address, shutdown, served }
    }

    async fn send(&self, request: &str) -> Client {
        let mut client = Client { stream: TcpStream::connect(self.address).await.unwrap(), seen: String::new() };
        client.send(request).await;
        client
    }

    async fn subscribe(&self, fields: &str) -> Client {
        self.send(&format!("GET /events HTTP/1.1\r\nHost: a\r\n{fields}\r\n")).await
    }

    async fn publish(&self, note: &str) -> String {
        let length = note.len();
        let request = format!("POST /publish HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{note}");
        self.send(&request).await.rest().await
    }
}

struct Client {
    stream: TcpStream,
    seen: String,
}

impl Client {
    async fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
    }

    /// Reads until `text` arrives; what came up to and with it.
    async fn until(&mut self, text: &str) -> String {
        loop {
            if let Some(at) = self.seen.find(text) {
                let after = self.seen.split_off(at + text.len());
                return std::mem::replace(&mut self.seen, after);
            }
            assert!(self.read().await > 0, "no {text:?} in {:?}", self.seen);
        }
    }

    /// Reads until the origin closes.
    async fn rest(mut self) -> String {
        while self.read().await > 0 {}
        self.seen
    }

    async fn read(&mut self) -> usize {
        let mut bytes = [0; 4096];
        let read = timeout(DEADLINE, self.stream.read(&mut bytes)).await;
        let len = read.unwrap_or_else(|_| panic!("nothing came after {:?}", self.seen)).unwrap();
        self.seen.push_str(str::from_utf8(&bytes[..len]).unwrap());
        len
    }
}

fn count(text: &str, part: &str) -> usize {
    text.matches(part).count()
}

#[tokio::test]
async fn a_pause_is_announced_by_an_event_and_then_nothing_is_said() {
    let origin = Running::with_ticks(3).await;
    let mut client = origin.subscribe("Last-Event-ID: 0\r\n").await;
    let ticks = client.until("event: pause\n").await;
    assert_eq!((count(&ticks, "event: tick\n"), count(&ticks, "retry: 2000\n")), (3, 1), "{ticks}");
    assert!(client.until("\n\n").await.contains("no events for 3600 seconds now"));
    // The next event is ours: no tick came between.
    origin.publish("hello").await;
    let next = client.until("\n\n").await;
    assert!(next.contains("id: 5\nevent: note\ndata: ts="), "{next}");
    assert!(next.ends_with(" hello\n\n"), "{next}");
}

#[tokio::test]
async fn the_stream_has_no_field_against_buffering() {
    let origin = Running::with_ticks(1).await;
    let head = origin.subscribe("").await.until("\r\n\r\n").await;
    assert_eq!(
        head,
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n"
    );
}

#[tokio::test]
async fn last_event_id_replays_what_was_missed_and_nothing_else() {
    let origin = Running::with_ticks(6).await;
    origin.subscribe("").await.until("event: pause\n").await;
    let mut client = origin.subscribe("Last-Event-ID: 4\r\n").await;
    let replay = client.until("event: pause\n").await;
    assert!(!replay.contains("id: 4\n"), "{replay}");
    let ids: Vec<usize> = ["id: 5\n", "id: 6\n", "id: 7\n"].iter().map(|id| replay.find(id).expect(id)).collect();
    assert!(ids.is_sorted(), "{replay}");
}

#[tokio::test]
async fn a_note_reaches_every_client_under_the_same_id() {
    let origin = Running::with_ticks(1).await;
    let mut clients = Vec::new();
    for _ in 0..3 {
        let mut client = origin.subscribe("").await;
        client.until("event: pause\n").await;
        clients.push(client);
    }
    let answer = origin.publish("grüße\nan alle").await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("sent to everybody as event 3\n"), "{answer}");
    for mut client in clients {
        let note = client.until("data: an alle\n\n").await;
        assert!(note.contains("id: 3\nevent: note\n") && note.contains(" grüße\n"), "{note}");
    }
}

#[tokio::test]
async fn a_note_that_is_empty_or_too_long_or_no_text_is_refused() {
    let origin = Running::with_ticks(1).await;
    assert!(origin.publish(" \n").await.starts_with("HTTP/1.1 400 "));
    assert!(origin.publish(&"x".repeat(4096)).await.starts_with("HTTP/1.1 200 "));
    assert!(origin.publish(&"x".repeat(4097)).await.starts_with("HTTP/1.1 413 "));
    // So much that it is still arriving when the answer goes out.
    assert!(origin.publish(&"x".repeat(50_000)).await.starts_with("HTTP/1.1 413 "));
    let mut client = origin.send("POST /publish HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n").await;
    client.stream.write_all(b"\xff").await.unwrap();
    client.until("HTTP/1.1 400 ").await;
}

#[tokio::test]
async fn requests_follow_each_other_on_one_connection() {
    let origin = Running::with_ticks(1).await;
    let mut client = origin.send("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\nHEAD / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(client.until("\r\n\r\nok\n").await.starts_with("HTTP/1.1 200 OK\r\n"));
    let head = client.until("\r\n\r\n").await;
    assert!(head.contains("content-type: text/html; charset=utf-8\r\n"), "{head}");
    // The length is the page's, the body is not there: the next answer follows at once.
    client.send("GET /nothing HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    assert!(client.rest().await.starts_with("HTTP/1.1 404 Not Found\r\n"));
}

#[tokio::test]
async fn methods_that_a_path_does_not_know_get_405_and_the_list_of_those_it_does() {
    let origin = Running::with_ticks(1).await;
    for (line, allow) in
        [("DELETE /", "GET, HEAD"), ("POST /events", "GET, HEAD"), ("GET /publish", "POST"), ("GET /restart", "POST")]
    {
        let answer = origin.send(&format!("{line} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")).await.rest().await;
        assert!(answer.starts_with("HTTP/1.1 405 ") && answer.contains(&format!("\r\nallow: {allow}\r\n")), "{answer}");
    }
    let head = origin.send("HEAD /events HTTP/1.1\r\nHost: a\r\n\r\n").await.rest().await;
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.ends_with("\r\n\r\n") && !head.contains("id:"), "{head}");
}

#[tokio::test]
async fn a_head_that_is_malformed_or_too_large_is_answered_and_closed() {
    let origin = Running::with_ticks(1).await;
    assert!(origin.send("nonsense\r\n\r\n").await.rest().await.starts_with("HTTP/1.1 400 "));
    let long = format!("GET /{} HTTP/1.1\r\n", "x".repeat(20_000));
    assert!(origin.send(&long).await.rest().await.starts_with("HTTP/1.1 431 "));
}

#[tokio::test]
async fn http_1_0_gets_the_stream_without_chunks() {
    let origin = Running::with_ticks(1).await;
    let mut client = origin.send("GET /events HTTP/1.0\r\nLast-Event-ID: 1\r\n\r\n").await;
    assert!(!client.until("\r\n\r\n").await.contains("transfer-encoding"));
    assert!(client.until("id: 2\n").await.starts_with("retry: 2000\n"));
}

#[tokio::test]
async fn a_restart_cuts_streams_refuses_connections_and_loses_no_event() {
    let origin = Running::with_ticks(2).await;
    let mut client = origin.subscribe("Last-Event-ID: 0\r\n").await;
    client.until("event: pause\n").await;
    let answer = origin.send("POST /restart HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n").await.rest().await;
    assert!(answer.starts_with("HTTP/1.1 202 ") && answer.ends_with("gone for 3 seconds\n"), "{answer}");
    let rest = client.rest().await;
    assert!(!rest.ends_with("0\r\n\r\n"), "a server that is killed ends nothing: {rest:?}");
    let mut refused = 0;
    timeout(DEADLINE, async {
        while TcpStream::connect(origin.address).await.is_err() {
            refused += 1;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .expect("it comes back");
    assert!(refused > 0, "nobody answers in a restart");
    let mut client = origin.subscribe("Last-Event-ID: 1\r\n").await;
    client.until("id: 2\n").await;
    client.until("id: 3\n").await;
    assert!(origin.publish("after it").await.contains("event 4"), "it counts on");
    client.until("after it").await;
}

#[tokio::test]
async fn shutdown_in_a_restart_is_at_once() {
    let origin = Running::with_ticks(1).await;
    origin.send("POST /restart HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n").await.rest().await;
    timeout(DEADLINE, async {
        while TcpStream::connect(origin.address).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .expect("it goes");
    origin.shutdown.send(()).unwrap();
    timeout(Duration::from_secs(2), origin.served).await.expect("before it would have come back").unwrap();
}

#[tokio::test]
async fn shutdown_ends_streams_with_the_final_chunk_and_the_origin_returns() {
    let origin = Running::with_ticks(1).await;
    let mut client = origin.subscribe("").await;
    client.until("event: pause\n").await;
    let idle = TcpStream::connect(origin.address).await.unwrap();
    origin.shutdown.send(()).unwrap();
    let rest = client.rest().await;
    assert!(rest.ends_with("\n\n\r\n0\r\n\r\n"), "{rest:?}");
    timeout(DEADLINE, origin.served).await.expect("the origin returns").unwrap();
    drop(idle);
}

#[test]
fn the_page_is_one_file_without_external_resources() {
    let page = include_str!("page.html");
    for outside in ["http://", "https://", "src=", "@import", "url("] {
        assert!(!page.contains(outside), "the page names {outside}");
    }
}
