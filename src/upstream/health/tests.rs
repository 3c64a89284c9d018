//! Rise and fall as plain values, then checks of real sockets.

use std::sync::Mutex;
use std::time::Duration;

use super::super::testing::{DEADLINE, Nowhere, Scripted, answering, eventually, spec};
use super::super::{ConnectError, HealthCheck, Pick, Protocol, UpstreamSpec};
use super::check::{Failed, Passed};
use super::*;
use crate::clock;

fn checks(check: HealthCheck) -> HealthSpec {
    HealthSpec { check, interval: Duration::from_millis(5), timeout: DEADLINE, rise: 2, fall: 3 }
}

fn http() -> HealthSpec {
    checks(HealthCheck::Http("/health?deep=1".to_owned()))
}

fn at_work(address: &str, health: HealthSpec) -> Arc<Upstream> {
    let upstream = Upstream::new(Arc::new(UpstreamSpec { health: Some(health), ..spec(&[address]) }), None);
    tokio::spawn(Arc::clone(&upstream).run(std::future::pending::<()>()));
    upstream
}

async fn check(address: &str, spec: &HealthSpec) -> Result<Passed, Failed> {
    check::run(&super::super::testing::server(address), spec, Protocol::Http1).await
}

async fn check_over_http2(address: &str, spec: &HealthSpec) -> Result<Passed, Failed> {
    check::run(&super::super::testing::server(address), spec, Protocol::Http2).await
}

#[test]
fn a_server_is_up_at_the_start_and_falls_after_so_many_failures_in_a_row() {
    let (spec, mut streak) = (http(), Streak::new(true));
    let results = [false, false, true, false, false, false, false];
    let changes = results.map(|passed| streak.observe(passed, &spec));
    assert_eq!(changes, [None, None, None, None, None, Some(false), None]);
}

#[test]
fn a_server_rises_after_so_many_successes_in_a_row() {
    let (spec, mut streak) = (http(), Streak::new(false));
    let results = [true, false, true, true, true, false];
    let changes = results.map(|passed| streak.observe(passed, &spec));
    assert_eq!(changes, [None, None, None, Some(true), None, None]);
}

#[tokio::test]
async fn a_check_asks_for_the_path_and_takes_2xx_and_3xx() {
    let answer = Arc::new(Mutex::new("HTTP/1.1 200 OK\r\n\r\n"));
    let (address, asked) = answering(Arc::clone(&answer)).await;
    let address = address.to_string();
    assert_eq!(check(&address, &http()).await.unwrap(), Passed::Status(200));
    let expected =
        format!("GET /health?deep=1 HTTP/1.1\r\nHost: {address}\r\nUser-Agent: ssedge-health\r\nConnection: close\r\n\r\n");
    assert_eq!(*asked.lock().unwrap(), expected);
    *answer.lock().unwrap() = "HTTP/1.1 399 Odd\r\n\r\n";
    assert_eq!(check(&address, &http()).await.unwrap(), Passed::Status(399));
    for (bad, status) in [("HTTP/1.1 400 No\r\n\r\n", 400), ("HTTP/1.1 503 Busy\r\n\r\n", 503)] {
        *answer.lock().unwrap() = bad;
        assert!(matches!(check(&address, &http()).await, Err(Failed::Status(found)) if found == status));
    }
    *answer.lock().unwrap() = "220 mail ready\r\n";
    assert!(matches!(check(&address, &http()).await, Err(Failed::NoHttp)));
    *answer.lock().unwrap() = "HTTP/1.1 20";
    assert!(matches!(check(&address, &http()).await, Err(Failed::Broke(_))), "it closed before its status");
}

/// A server that answers over HTTP/2 with what `status` says at that moment; 0 is a reset. Tells of each request, and of connections
/// that were closed in order.
async fn over_http2(status: Arc<Mutex<u16>>) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, seen) = (listener.local_addr().unwrap().to_string(), Arc::<Mutex<Vec<String>>>::default());
    let told = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let (status, told) = (Arc::clone(&status), Arc::clone(&told));
            tokio::spawn(async move {
                let Ok(mut connection) = h2::server::handshake(socket).await else { return };
                let mut open = Vec::new();
                while let Some(accepted) = connection.accept().await {
                    let Ok((request, mut respond)) = accepted else { return };
                    let agent = request.headers()["user-agent"].to_str().unwrap();
                    told.lock().unwrap().push(format!("{} {} {agent}", request.method(), request.uri()));
                    match *status.lock().unwrap() {
                        0 => respond.send_reset(h2::Reason::INTERNAL_ERROR),
                        status => {
                            respond.send_informational(http::Response::builder().status(103).body(()).unwrap()).unwrap();
                            let head = http::Response::builder().status(status).body(()).unwrap();
                            // A body that never ends is no matter, nor a connection that does at once.
                            open.push(respond.send_response(head, status == 399).unwrap());
                            if status == 399 {
                                connection.graceful_shutdown();
                            }
                        }
                    }
                }
                told.lock().unwrap().push("closed".to_owned());
            });
        }
    });
    (address, seen)
}

#[tokio::test]
async fn a_server_that_speaks_http2_is_asked_over_http2() {
    let status = Arc::new(Mutex::new(204));
    let (address, seen) = over_http2(Arc::clone(&status)).await;
    assert_eq!(check_over_http2(&address, &http()).await.unwrap(), Passed::Status(204));
    eventually("the connection is closed in order", || seen.lock().unwrap().len() == 2).await;
    assert_eq!(*seen.lock().unwrap(), [format!("GET http://{address}/health?deep=1 ssedge-health"), "closed".to_owned()]);
    *status.lock().unwrap() = 399;
    assert_eq!(check_over_http2(&address, &http()).await.unwrap(), Passed::Status(399));
    for bad in [400, 503] {
        *status.lock().unwrap() = bad;
        assert!(matches!(check_over_http2(&address, &http()).await, Err(Failed::Status(found)) if found == bad));
    }
    *status.lock().unwrap() = 0;
    assert!(matches!(check_over_http2(&address, &http()).await, Err(Failed::Broke(_))));
    let http1 = answering(Arc::new(Mutex::new("HTTP/1.1 200 OK\r\n\r\n"))).await.0.to_string();
    let failed = check_over_http2(&http1, &http()).await.unwrap_err();
    assert!(failed.to_string().ends_with("the server does not speak HTTP/2: it answers in HTTP/1"), "{failed}");
    let (silent, _) = answering(Arc::default()).await;
    let hasty = HealthSpec { timeout: Duration::from_millis(30), ..http() };
    assert!(matches!(check_over_http2(&silent.to_string(), &hasty).await, Err(Failed::TimedOut)));
}

#[tokio::test]
async fn checks_follow_the_protocol_of_the_upstream() {
    let (address, seen) = over_http2(Arc::new(Mutex::new(503))).await;
    let spec = UpstreamSpec { health: Some(http()), protocol: Protocol::Http2, ..spec(&[&address]) };
    let upstream = Upstream::new(Arc::new(spec), None);
    tokio::spawn(Arc::clone(&upstream).run(std::future::pending::<()>()));
    eventually("it falls", || upstream.pick(&Pick::default(), clock::now()).is_none()).await;
    assert!(seen.lock().unwrap().iter().any(|line| line.starts_with("GET ")), "it was asked in its own words");
}

#[tokio::test]
async fn an_answer_that_never_comes_or_never_ends_is_a_failure() {
    let answer = Arc::new(Mutex::new(""));
    let (address, _) = answering(Arc::clone(&answer)).await;
    let hasty = HealthSpec { timeout: Duration::from_millis(30), ..http() };
    assert!(matches!(check(&address.to_string(), &hasty).await, Err(Failed::TimedOut)));
    let endless = "HTTP/1.1 103 Early\r\nLink: x\r\n\r\n".repeat(1_000);
    *answer.lock().unwrap() = endless.leak();
    assert!(matches!(check(&address.to_string(), &http()).await, Err(Failed::NoHttp)));
}

#[tokio::test]
async fn a_tcp_check_asks_only_for_a_connection() {
    let (silent, asked) = answering(Arc::default()).await;
    assert_eq!(check(&silent.to_string(), &checks(HealthCheck::Tcp)).await.unwrap(), Passed::Accepted);
    assert_eq!(*asked.lock().unwrap(), "");
    let nobody = Nowhere::new();
    assert!(matches!(check(&nobody.address(), &checks(HealthCheck::Tcp)).await, Err(Failed::NoConnection(_))));
}

#[test]
fn a_process_without_descriptors_does_not_blame_the_server() {
    let exhausted = ConnectError::Exhausted(std::io::Error::other("too many open files"));
    assert_eq!(check::verdict(&Err(Failed::NoConnection(exhausted))), None);
    assert_eq!(check::verdict(&Err(Failed::NoConnection(ConnectError::TimedOut))), Some(false));
    assert_eq!(check::verdict(&Err(Failed::Status(503))), Some(false));
    assert_eq!(check::verdict(&Ok(Passed::Accepted)), Some(true));
}

#[tokio::test]
async fn a_server_that_fails_its_checks_gets_no_work_until_it_rises() {
    let answer = Arc::new(Mutex::new("HTTP/1.1 503 Busy\r\n\r\n"));
    let (address, _) = answering(Arc::clone(&answer)).await;
    let upstream = at_work(&address.to_string(), http());
    let pick = || upstream.pick(&Pick::default(), clock::now());
    assert!(pick().is_some(), "up until its checks say otherwise");
    eventually("it falls", || pick().is_none()).await;
    assert!(!upstream.snapshot(clock::now())[0].up);
    *answer.lock().unwrap() = "HTTP/1.1 204 No Content\r\n\r\n";
    eventually("it rises", || pick().is_some()).await;
}

#[tokio::test]
async fn servers_that_join_are_checked_and_checks_end_with_the_upstream() {
    let (good, _) = answering(Arc::new(Mutex::new("HTTP/1.1 200 OK\r\n\r\n"))).await;
    let nowhere = Nowhere::new();
    let (good, bad) = (good.to_string(), nowhere.address());
    let lookup = Scripted::new(&[Some(&[&good]), Some(&[&good, &bad])]);
    let names = UpstreamSpec { resolve: Duration::from_millis(5), health: Some(http()), ..spec(&["app.test:80"]) };
    let upstream = Upstream::with_lookup(Arc::new(names), None, lookup);
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn(Arc::clone(&upstream).run(stopped));
    let standing = |address: &str| {
        let snapshot = upstream.snapshot(clock::now());
        snapshot.iter().find(|server| server.address == address).map(|server| server.up)
    };
    eventually("the bad one joined and fell", || standing(&bad) == Some(false)).await;
    assert_eq!(standing(&good), Some(true));
    drop(stop);
    running.await.unwrap();
    eventually("all tasks are gone", || Arc::strong_count(&upstream) == 1).await;
}

#[tokio::test]
async fn a_server_that_left_the_list_is_checked_no_more() {
    let (first, _) = answering(Arc::new(Mutex::new("HTTP/1.1 200 OK\r\n\r\n"))).await;
    let lookup = Scripted::new(&[Some(&[&first.to_string()]), Some(&["127.0.0.1:1"])]);
    let names = UpstreamSpec { resolve: Duration::from_millis(30), health: Some(http()), ..spec(&["app.test:80"]) };
    let upstream = Upstream::with_lookup(Arc::new(names), None, lookup);
    tokio::spawn(Arc::clone(&upstream).run(std::future::pending::<()>()));
    tokio::time::timeout(DEADLINE, upstream.settled()).await.unwrap();
    let held = upstream.pick(&Pick::default(), clock::now()).unwrap();
    eventually("its checks began", || Arc::strong_count(&held) > 2).await;
    eventually("only we hold it", || Arc::strong_count(&held) == 1).await;
}
