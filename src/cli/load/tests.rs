//! Load against servers over real sockets.

use std::future::pending;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::args::tests::parse;
use super::report::Report;
use super::*;
use crate::demo::{Origin, Pace};

const LONG: Duration = Duration::from_secs(30);

/// Streams of a server that are held for longer than any test takes.
fn args(address: SocketAddr, connections: u32) -> LoadArgs {
    let url = format!("http://{address}/events");
    parse(&[&url, "-c", &connections.to_string(), "--threads", "2", "--hold", "120s", "-H", "Last-Event-ID: 0"]).unwrap()
}

async fn load(args: &LoadArgs) -> Report {
    let (plan, board) = plan(args).await;
    measure(args, plan, board, pending::<()>()).await.unwrap()
}

async fn plan(args: &LoadArgs) -> (Arc<Plan>, Board) {
    let plan = Arc::new(Plan::new(args).await.unwrap());
    let board = Board::new(clock::now(), plan.threads);
    (plan, board)
}

/// A server that answers each connection with `response` and closes.
async fn scripted(response: &str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let response = response.to_owned();
    tokio::spawn(async move {
        loop {
            let response = response.clone();
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    stream.read_buf(&mut request).await.unwrap();
                }
                stream.write_all(response.as_bytes()).await.unwrap();
            });
        }
    });
    address
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";

/// An origin whose streams hold [`EVENTS`] events, and what ends it.
async fn origin() -> (SocketAddr, oneshot::Sender<()>) {
    let pace = Pace { tick: Duration::ZERO, ticks: EVENTS - 1, pause: Duration::from_secs(3600) };
    let origin = Origin::bind(([127, 0, 0, 1], 0).into()).await.unwrap().with_pace(pace);
    let address = origin.local_addr();
    let (shutdown, stopped) = oneshot::channel();
    tokio::spawn(origin.serve(async {
        let _ = stopped.await;
    }));
    (address, shutdown)
}

const STREAMS: u32 = 20;
const EVENTS: u32 = 50;

/// Returns once all events of all streams have arrived.
async fn all_arrived(board: &Board) {
    let waits = async {
        while board.sum(|totals| &totals.events) < u64::from(STREAMS * EVENTS) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(LONG, waits).await.expect("all events arrive");
}

fn assert_lines(report: &Report, lines: &[&str]) {
    let text = report.table().to_string();
    for line in lines {
        assert!(text.contains(&format!("\n  {line}")), "{line:?} is not in\n{text}");
    }
}

#[tokio::test]
async fn every_event_of_every_stream_is_counted_and_what_lives_at_the_end_is_open() {
    let (address, _shutdown) = origin().await;
    let args = args(address, STREAMS);
    let (plan, board) = plan(&args).await;
    let report = measure(&args, plan, board.clone(), all_arrived(&board)).await.unwrap();
    assert_lines(&report, &["opened       20\n", "still open   20\n", "events       1,000  (", "cut          0\n"]);
    assert_lines(&report, &["integrity    whole: each of 980 ids"]);
    assert_eq!(report.exit_code(), 0);
}

#[tokio::test]
async fn streams_that_the_server_ends_cleanly_are_fine() {
    let (address, shutdown) = origin().await;
    let args = args(address, STREAMS);
    let (plan, board) = plan(&args).await;
    let ends_origin = async {
        all_arrived(&board).await;
        shutdown.send(()).unwrap();
        pending::<()>().await;
    };
    // It returns long before the hold is over: nothing is left to hold.
    let report = timeout(LONG, measure(&args, plan, board.clone(), ends_origin)).await.unwrap().unwrap();
    assert_lines(&report, &["still open   0\n", "ended clean  20\n", "events       1,000  ("]);
    assert_eq!(report.exit_code(), 0);
}

#[tokio::test]
async fn a_cut_stream_is_counted_as_cut_and_fails_the_load() {
    let server = scripted(&format!("{OK}15\r\nid: 1\ndata: x\n\ndata: \r\n")).await;
    let report = load(&args(server, 3)).await;
    assert_lines(&report, &["cut          3  3 closed without an end\n", "events       3  ("]);
    assert_eq!(report.exit_code(), 1);
}

#[tokio::test]
async fn a_lost_event_fails_the_load_though_the_stream_ends_cleanly() {
    let body = "id: 1\ndata\n\nid: 3\ndata\n\n";
    let server = scripted(&format!("{OK}{:x}\r\n{body}\r\n0\r\n\r\n", body.len())).await;
    let report = load(&args(server, 2)).await;
    assert_lines(&report, &["ended clean  2\n", "integrity    broken: 2 missing, 0 doubled, 0 out of order, in 2 ids\n"]);
    assert_eq!(report.exit_code(), 1);
}

#[tokio::test]
async fn a_refusal_is_counted_by_its_status() {
    let server = scripted("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n").await;
    let report = load(&args(server, 2)).await;
    assert_lines(&report, &["opened       0\n", "refused      2  2 503\n"]);
    assert_eq!(report.exit_code(), 1);
}

#[tokio::test]
async fn a_server_that_is_not_there_fails_the_load() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let report = load(&args(address, 2)).await;
    assert_lines(&report, &["connected    0\n", "failed       2  2 connection refused\n"]);
    assert_eq!(report.exit_code(), 1);
}

#[tokio::test]
async fn a_server_that_never_answers_does_not_hold_the_load_beyond_its_hold() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let args = LoadArgs { hold: Duration::from_millis(1), ..args(silent.local_addr().unwrap(), 2) };
    let report = timeout(LONG, load(&args)).await.expect("the load ends");
    assert_lines(&report, &["failed       2  2 no answer in time\n"]);
    assert_eq!(report.exit_code(), 1);
}

#[test]
fn arguments_that_make_no_sense_exit_with_2() {
    assert_eq!(run(&parse(&["ftp://127.0.0.1:1/"]).unwrap()), 2);
}

#[test]
fn a_number_is_plain_digits_of_at_most_64_bits() {
    let leading_zeros = format!("{}7", "0".repeat(40));
    for (digits, value) in [
        ("0", Some(0)),
        ("9999999999999999999", Some(9_999_999_999_999_999_999)),
        ("18446744073709551615", Some(u64::MAX)),
        ("18446744073709551616", None),
        ("99999999999999999999", None),
        (leading_zeros.as_str(), Some(7)),
        ("", None),
        ("+1", None),
        ("1 ", None),
        ("1,2", None),
        ("/", None),
        (":", None),
    ] {
        assert_eq!(number(digits.as_bytes()), value, "{digits:?}");
    }
}
