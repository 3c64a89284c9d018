//! Connections over real sockets: fresh and reused, TCP and unix, kept and dropped, and what failures do to who is picked.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener};

use super::testing::{DEADLINE, EJECTION, Nowhere, eventually, spec};
use super::*;

fn upstream(servers: &[&str]) -> Arc<Upstream> {
    Upstream::new(Arc::new(spec(servers)), None)
}

fn kept(servers: &[&str], keep_alive: Option<Duration>) -> Arc<Upstream> {
    Upstream::new(Arc::new(UpstreamSpec { keep_alive, ..spec(servers) }), None)
}

fn only(upstream: &Upstream) -> Arc<Server> {
    upstream.pick(&Pick::default(), clock::now()).expect("it is up")
}

fn idle(upstream: &Upstream) -> usize {
    upstream.snapshot(clock::now())[0].idle
}

/// How many are left of those that can be used.
fn swept(upstream: &Upstream) -> usize {
    only(upstream).idle.sweep(clock::now());
    idle(upstream)
}

/// A server that sends back what it gets.
async fn echo() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(echoing(socket));
        }
    });
    address.to_string()
}

async fn echoing(socket: impl tokio::io::AsyncRead + tokio::io::AsyncWrite) -> io::Result<u64> {
    let (mut from, mut to) = tokio::io::split(socket);
    tokio::io::copy(&mut from, &mut to).await
}

async fn ping(connection: &mut Connection) {
    connection.socket.write_all(b"ping").await.unwrap();
    let mut answer = [0; 4];
    connection.socket.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"ping");
}

async fn connect(upstream: &Upstream, server: &Server) -> Connection {
    upstream.connect(server, DEADLINE).await.expect("it listens")
}

#[tokio::test]
async fn a_released_connection_serves_the_next_request() {
    let upstream = upstream(&[&echo().await]);
    let server = only(&upstream);
    let mut first = connect(&upstream, &server).await;
    assert!(!first.reused);
    ping(&mut first).await;
    upstream.release(first.socket, &server, None);
    assert_eq!(idle(&upstream), 1);
    let mut second = connect(&upstream, &server).await;
    assert!(second.reused);
    ping(&mut second).await;
    let fresh = upstream.connect_fresh(&server, DEADLINE).await.expect("it listens");
    assert!(!fresh.reused);
    let snapshot = &upstream.snapshot(clock::now())[0];
    assert_eq!((snapshot.idle, snapshot.opened, snapshot.reused), (0, 2, 1));
}

#[tokio::test]
async fn a_server_behind_a_unix_socket_is_reused_also_through_another_path() {
    let dir = tempfile::tempdir().unwrap();
    let (bound, linked) = (dir.path().join("bound.sock"), dir.path().join("linked.sock"));
    let listener = UnixListener::bind(&bound).unwrap();
    std::os::unix::fs::symlink(&bound, &linked).unwrap();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(echoing(socket));
        }
    });
    let upstream = upstream(&[&format!("unix:{}", linked.display())]);
    let server = only(&upstream);
    assert_eq!(server.address(), format!("unix:{}", linked.display()));
    let mut first = connect(&upstream, &server).await;
    ping(&mut first).await;
    upstream.release(first.socket, &server, None);
    let mut second = connect(&upstream, &server).await;
    assert!(second.reused);
    ping(&mut second).await;
}

#[tokio::test]
async fn connections_of_two_servers_never_mix() {
    let upstream = upstream(&[&echo().await, &echo().await]);
    let [one, other] = &upstream.servers()[..] else { panic!("two servers") };
    let connection = connect(&upstream, one).await;
    upstream.release(connection.socket, one, None);
    assert!(!connect(&upstream, other).await.reused);
    assert!(connect(&upstream, one).await.reused);
}

#[tokio::test]
async fn a_connection_on_which_something_came_unasked_is_not_reused() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = upstream(&[&listener.local_addr().unwrap().to_string()]);
    let server = only(&upstream);
    for unasked in [&b"HTTP/1.1 408 Request Timeout\r\n\r\n"[..], b""] {
        let connection = connect(&upstream, &server).await;
        let (mut accepted, _) = listener.accept().await.unwrap();
        accepted.write_all(unasked).await.unwrap();
        accepted.shutdown().await.unwrap();
        // The system has it: what the list does about it is no question of time.
        let Socket::Tcp(socket) = &connection.socket else { panic!("it is TCP") };
        socket.readable().await.unwrap();
        upstream.release(connection.socket, &server, None);
        assert_eq!(idle(&upstream), 1);
        assert!(!connect(&upstream, &server).await.reused);
        listener.accept().await.unwrap();
        assert_eq!(idle(&upstream), 0);
    }
}

#[tokio::test]
async fn the_connection_that_came_last_goes_first_and_of_too_many_the_oldest_is_closed() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = upstream(&[&listener.local_addr().unwrap().to_string()]);
    let server = only(&upstream);
    let mut accepted = Vec::new();
    for _ in 0..5 {
        let connection = upstream.connect_fresh(&server, DEADLINE).await.expect("it listens");
        accepted.push(listener.accept().await.unwrap().0);
        upstream.release(connection.socket, &server, None);
    }
    assert_eq!(idle(&upstream), 4);
    assert_eq!(accepted[0].read(&mut [0]).await.unwrap(), 0, "it is the oldest");
    for server_side in accepted.drain(1..).rev() {
        let mut connection = connect(&upstream, &server).await;
        assert!(connection.reused);
        drop(server_side);
        assert_eq!(connection.socket.read(&mut [0]).await.unwrap(), 0, "it is the youngest");
    }
    assert_eq!(idle(&upstream), 0);
}

#[tokio::test]
async fn without_keep_alive_nothing_is_pooled() {
    let upstream = kept(&[&echo().await], None);
    let server = only(&upstream);
    let connection = connect(&upstream, &server).await;
    upstream.release(connection.socket, &server, None);
    assert_eq!(idle(&upstream), 0);
    assert!(!connect(&upstream, &server).await.reused);
}

#[tokio::test]
async fn an_idle_connection_goes_after_keep_alive() {
    let upstream = kept(&[&echo().await], Some(Duration::from_millis(20)));
    let server = only(&upstream);
    let connection = connect(&upstream, &server).await;
    upstream.release(connection.socket, &server, None);
    let run = tokio::spawn(Arc::clone(&upstream).run(std::future::pending::<()>()));
    eventually("it was closed", || idle(&upstream) == 0).await;
    assert!(!connect(&upstream, &server).await.reused);
    run.abort();
}

#[tokio::test]
async fn a_server_that_promises_less_is_believed_less_a_second() {
    let upstream = kept(&[&echo().await], Some(Duration::from_secs(3600)));
    let server = only(&upstream);
    let release = async |promised: u64| {
        let connection = upstream.connect_fresh(&server, DEADLINE).await.expect("it listens");
        upstream.release(connection.socket, &server, Some(Duration::from_millis(promised)));
    };
    release(1_000).await;
    assert_eq!(idle(&upstream), 0, "a second less a second is nothing");
    release(1_020).await;
    assert_eq!(idle(&upstream), 1);
    eventually("20 ms are over", || swept(&upstream) == 0).await;
    release(3_600_000).await;
    assert!(connect(&upstream, &server).await.reused);
}

#[tokio::test]
async fn a_connection_that_the_server_closed_is_not_reused() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = upstream(&[&listener.local_addr().unwrap().to_string()]);
    let server = only(&upstream);
    let connection = connect(&upstream, &server).await;
    let (accepted, _) = listener.accept().await.unwrap();
    upstream.release(connection.socket, &server, None);
    drop(accepted);
    eventually("it is seen", || swept(&upstream) == 0).await;
    assert!(!connect(&upstream, &server).await.reused);
}

#[tokio::test]
async fn failed_connects_eject_a_server_and_a_response_brings_it_back() {
    let nowhere = Nowhere::new();
    let (dead, live) = (nowhere.address(), echo().await);
    let upstream = upstream(&[&dead, &live]);
    let pinned = Pick { pinned: Some(&dead), ..Pick::default() };
    let pick = || upstream.pick(&pinned, clock::now()).expect("one is left").address().to_owned();
    let server = upstream.pick(&pinned, clock::now()).expect("it is up");
    for _ in 0..EJECTION.failures {
        assert_eq!(pick(), dead);
        let error = upstream.connect(&server, DEADLINE).await.expect_err("nobody listens");
        assert!(matches!(error, ConnectError::Refused(_)), "{error}");
    }
    assert_eq!(pick(), live);
    let snapshot = &upstream.snapshot(clock::now())[0];
    assert_eq!((snapshot.up, snapshot.ejected, snapshot.connect_failures), (true, true, 3));
    server.succeeded();
    assert_eq!(pick(), dead);
}

#[tokio::test]
async fn a_connect_that_hangs_ends_with_its_timeout() {
    let deaf = Nowhere::new();
    deaf.listen();
    let upstream = upstream(&[&deaf.address()]);
    let server = only(&upstream);
    let mut waiting = Vec::new();
    let error = loop {
        match upstream.connect(&server, Duration::from_millis(50)).await {
            Ok(connection) => waiting.push(connection),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, ConnectError::TimedOut), "{error}");
    assert_eq!(upstream.snapshot(clock::now())[0].connect_failures, 1);
}

#[tokio::test]
async fn a_process_without_descriptors_does_not_eject_its_servers() {
    let upstream = upstream(&["127.0.0.1:1"]);
    let server = only(&upstream);
    for _ in 0..EJECTION.failures {
        let exhausted = ConnectError::Exhausted(io::Error::other("too many open files"));
        upstream.judged::<Connection>(&server, Err(exhausted)).expect_err("it is handed on");
    }
    let snapshot = &upstream.snapshot(clock::now())[0];
    assert_eq!((snapshot.ejected, snapshot.connect_failures), (false, 0));
}

#[tokio::test]
async fn an_upstream_without_names_is_settled_at_once() {
    let upstream = upstream(&["127.0.0.1:1"]);
    tokio::time::timeout(DEADLINE, upstream.settled()).await.expect("there is nothing to wait for");
}
