//! Bugs that were found once, each with its story.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::support::{Client, DEADLINE, Edge, End, GET, Origin, SUBSCRIBE, Script, within};

/// Tokio gives a task a budget of reads and writes; a sleep that is polled behind it registers nothing. A client that sent much behind
/// its request used the budget up in the relay's first poll, and the stream never beat.
#[tokio::test]
async fn a_client_that_talks_much_behind_its_request_still_gets_heartbeats() {
    let origin = Origin::start(Script::stream().hang()).await;
    let edge = Edge::with().heartbeat("interval: 100ms").start(origin.address()).await;
    let mut request = SUBSCRIBE.as_bytes().to_vec();
    request.extend([b'x'; 200_000]);
    let (mut client, _) = Client::open(edge.address(), request).await;
    client.expects(":\n\n:\n\n").await;
}

/// A write to a server that does not read was awaited inside the loop that reads its answer: the answer came after
/// `timeouts.response_head`.
#[tokio::test]
async fn an_answer_is_heard_while_the_server_does_not_read_the_body() {
    let script = Script::early().stop_reading().head("413 Content Too Large", "Content-Length: 3\r\n").raw("big").hang();
    let origin = Origin::start(script).await;
    let edge = Edge::with().timeout("response_head", "60s").start(origin.address()).await;
    let (mut reader, mut writer) = TcpStream::connect(edge.address()).await.unwrap().into_split();
    let upload = tokio::spawn(async move {
        let body = vec![b'x'; 64 * 1024 * 1024];
        let head = format!("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\r\n", body.len());
        // It gets stuck on the way, and breaks off once the answer was given.
        let _ = writer.write_all(head.as_bytes()).await;
        let _ = writer.write_all(&body).await;
    });
    let mut status = [0; 12];
    within("the early answer", reader.read_exact(&mut status)).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 413");
    upload.abort();
}

/// Every informational head was recorded and forwarded, without a bound and without looking at the client or the clock.
#[tokio::test]
async fn informational_responses_without_end_are_a_502() {
    let flood = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n".repeat(10_000);
    let origin = Origin::start(Script::new().raw(flood).hang()).await;
    let edge = Edge::start(origin.address()).await;
    let mut client = Client::send_to(edge.address(), "GET / HTTP/1.0\r\nHost: test\r\n\r\n").await;
    assert_eq!(client.any_head().await.status(), 502);
}

/// Pingora forgets keep-alive with every head that it writes before the request's body is read, `100 Continue` included.
#[tokio::test]
async fn a_connection_serves_on_after_a_100_continue() {
    let origin = Origin::start(Script::answer("ok")).await;
    let edge = Edge::start(origin.address()).await;
    let mut client =
        Client::send_to(edge.address(), "POST / HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n").await;
    assert_eq!(client.any_head().await.status(), 100);
    client.send("{}").await;
    assert_eq!(client.head().await.status(), 200);
    client.ends_with("ok", End::Clean).await;
    client.send(GET).await;
    assert_eq!(client.head().await.status(), 200);
    client.ends_with("ok", End::Clean).await;
}

/// An HTTP/1.0 client whose ordinary answer was cut at the drain's deadline read a clean end.
#[tokio::test]
async fn an_answer_without_framing_that_the_drain_cuts_is_reset() {
    let script = Script::new().head("200 OK", "Transfer-Encoding: chunked\r\n").chunk("half").hang();
    let origin = Origin::start(script).await;
    let mut edge = Edge::with().drain_deadline("300ms").start(origin.address()).await;
    let (mut client, _) = Client::open(edge.address(), "GET / HTTP/1.0\r\nHost: test\r\n\r\n").await;
    client.expects("half").await;
    edge.signal("TERM");
    assert_eq!(client.rest().await.1, End::Reset);
    assert_eq!(edge.exit_code().await, Some(0));
}

/// One stream that floods must leave its worker to the others.
#[tokio::test]
async fn a_quiet_stream_beside_a_flood_gets_its_heartbeats() {
    let origin = Origin::start_each([Script::stream().flood(512 * 1024 * 1024), Script::stream().hang()]).await;
    let edge = Edge::with().heartbeat("interval: 100ms").start(origin.address()).await;
    let (mut flooded, _) = Client::open(edge.address(), SUBSCRIBE).await;
    let drinking = tokio::spawn(async move { tokio::time::timeout(DEADLINE, flooded.rest_of_body()).await.map(|_| ()) });
    let (mut quiet, _) = Client::open(edge.address(), SUBSCRIBE).await;
    quiet.expects(":\n\n:\n\n:\n\n").await;
    drinking.abort();
}

/// `ssedge run … | true`: the start line met a closed standard output, and the process ended in a panic.
#[tokio::test]
async fn a_closed_standard_output_ends_nothing() {
    let origin = Origin::start(Script::answer("ok")).await;
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("ssedge.yaml");
    let yaml = format!(
        "listeners: [ {{ address: \"127.0.0.1:0\" }} ]\nadmin: off\nupstreams: {{ o: {{ servers: [ \"{}\" ] }} }}\nroutes: [ {{ upstream: o }} ]\n",
        origin.address()
    );
    std::fs::write(&config, yaml).unwrap();
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_ssedge"))
        .args(["run", "--config"])
        .arg(&config)
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    tokio::time::sleep(Duration::from_millis(700)).await;
    let ended = child.try_wait().unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(ended.is_none(), "it ended: {ended:?}");
}
