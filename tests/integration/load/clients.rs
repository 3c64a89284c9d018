//! Clients of a kind: slow ones, those that come back, those from other addresses.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use serde_json::json;
use ssedge::clock;

use super::{Load, events};
use crate::support::{Http2Origin, Http2Script, Origin, Script, settled, tls, within};

/// Many times what kernels and windows hold on the way.
const FLOOD: usize = 32 << 20;

#[tokio::test]
async fn a_slow_reader_leaves_the_bytes_with_the_server_on_http1_and_over_tls() {
    const RATE: u64 = 20_000;
    let origin = Origin::start(Script::stream().flood(FLOOD).end()).await;
    let secure = format!("https://localhost:{}/", tls::for_origin(origin.address(), b"http/1.1").port());
    for (url, tls) in [(format!("http://{}/", origin.address()), &[][..]), (secure, &["--insecure"])] {
        let before = origin.written();
        let began = clock::now();
        let load = Load::start(&url, &[tls, &["-c", "1", "--read-rate", &RATE.to_string()]].concat());
        let held = settled("the server to stop", || origin.written() - before).await;
        assert!(held < 8 << 20, "{held} bytes left the server of {url}");
        // Over TLS a record has to be whole before any byte of it can be read.
        load.reaches("bytes", 1).await;
        let said = load.stop().await;
        let read = said.report["bytes"].as_u64().expect("a number");
        let seconds = (clock::now() - began).as_secs() + 1;
        assert!(read > 0 && read <= RATE * (seconds + 1), "{read} bytes in {seconds} s from {url}");
        assert_eq!((said.code, &said.report["streams"]["open"]), (Some(0), &1.into()));
    }
}

#[tokio::test]
async fn a_slow_reader_on_http2_closes_its_window_and_leaves_the_others_alone() {
    const RATE: u64 = 5000;
    let origin = Http2Origin::start(Http2Script::stream().flood(FLOOD).end()).await;
    let arguments = ["-c", "3", "--http2", "--read-rate", &RATE.to_string()];
    let began = clock::now();
    let load = Load::start(&format!("http://{}/", origin.address()), &arguments);
    load.reaches("open", 3).await;
    let said = load.stop().await;
    let seconds = (clock::now() - began).as_secs() + 1;
    let most = 3 * (RATE * (seconds + 1) + 2 * 4096);
    let (read, written) = (said.report["bytes"].as_u64().expect("a number"), origin.written());
    assert!(read > 0 && read <= most && written <= most, "{read} of {written} bytes in {seconds} s");
    assert_eq!((said.code, &said.report["connections"]), (Some(0), &1.into()));
}

/// The `Last-Event-ID` of the second request and of the third.
const RECONNECTS: (&str, &str) = ("3", "5");

#[tokio::test]
async fn a_stream_comes_back_as_an_event_source_does_until_it_is_told_to_go() {
    let first = format!("retry: 10\n\n{}id: lost\ndata: torn", events(1..=3));
    let second = events(4..=5);
    let http1 = Origin::start_each([
        Script::stream().chunk(&first).close(),
        Script::stream().chunk(&second).end(),
        Script::new().head("204 No Content", ""),
    ])
    .await;
    let said = Load::start(&format!("http://{}/", http1.address()), &["-c", "1", "--reconnect"]).over().await;
    check(&said.report, json!({ "clean end": 1, "closed without an end": 1 }));
    assert_eq!(said.code, Some(0));
    let ids = [http1.request(1).await, http1.request(2).await].map(|request| request.head.get("last-event-id").map(str::to_owned));
    assert_eq!(ids.each_ref().map(Option::as_deref), [Some(RECONNECTS.0), Some(RECONNECTS.1)]);
    assert_eq!(http1.request(0).await.head.get("last-event-id"), None);

    let http2 = Http2Origin::start_each([
        Http2Script::stream().data(&first).reset(h2::Reason::CANCEL),
        Http2Script::stream().data(&second).end(),
        Http2Script::new().only_head(204, &[]),
    ])
    .await;
    let said = Load::start(&format!("http://{}/", http2.address()), &["-c", "1", "--reconnect", "--http2"]).over().await;
    check(&said.report, json!({ "clean end": 1, "reset with CANCEL": 1 }));
    assert_eq!(said.code, Some(0));
    let ids = [http2.request(1).await, http2.request(2).await].map(|request| request.get("last-event-id"));
    assert_eq!(ids.each_ref().map(Option::as_deref), [Some(RECONNECTS.0), Some(RECONNECTS.1)]);
    assert_eq!(http2.connections(), 1, "a stream that ended is no reason for another connection");
}

#[tokio::test]
async fn a_connection_that_is_gone_or_going_is_replaced() {
    let origin = Http2Origin::start_each([
        Http2Script::stream().data(format!("retry: 10\n\n{}", events(1..=3))).go_away().end(),
        Http2Script::stream().data(events(4..=5)).close(),
        Http2Script::new().only_head(204, &[]),
    ])
    .await;
    let said = Load::start(&format!("http://{}/", origin.address()), &["-c", "1", "--reconnect", "--http2"]).over().await;
    assert_eq!((said.code, origin.connections(), &said.report["connections"]), (Some(0), 3, &3.into()), "{}", said.report);
    assert_eq!((&said.report["events"], &said.report["integrity"]["ids"]), (&5.into(), &4.into()));
}

fn check(report: &serde_json::Value, disconnects: serde_json::Value) {
    assert_eq!((&report["disconnects"], &report["reconnects"]), (&disconnects, &1.into()), "{report}");
    assert_eq!((&report["streams"]["dismissed"], &report["streams"]["opened"]), (&1.into(), &1.into()), "{report}");
    assert_eq!((&report["streams"]["refused"], &report["events"]), (&json!({}), &5.into()), "{report}");
    assert_eq!(report["integrity"], json!({ "ids": 4, "missing": 0, "doubled": 0, "disordered": 0 }));
}

#[tokio::test]
async fn what_a_reconnect_repeats_or_loses_is_a_fault() {
    for (second, faults) in [(2..=4, [0, 2]), (6..=7, [2, 0])] {
        let scripts = [
            Script::stream().chunk("retry: 1\n\n").chunk(events(1..=3)).reset(),
            Script::stream().chunk(events(second)).end(),
            Script::new().head("204 No Content", ""),
        ];
        let origin = Origin::start_each(scripts).await;
        let said = Load::start(&format!("http://{}/", origin.address()), &["-c", "1", "--reconnect"]).over().await;
        let integrity = &said.report["integrity"];
        assert_eq!([&integrity["missing"], &integrity["doubled"]], faults, "{integrity}");
        assert_eq!(said.code, Some(1));
    }
}

#[tokio::test]
async fn a_server_that_is_away_is_tried_again_after_the_usual_three_seconds() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("its address");
    let load = Load::start(&format!("http://{address}/"), &["-c", "1", "--reconnect"]);
    let accept = || within("a connection", listener.accept());
    let (away, _) = accept().await.expect("a connection");
    let began = clock::now();
    drop(away);
    accept().await.expect("another");
    let waited = clock::now() - began;
    assert!(waited >= Duration::from_millis(2900), "{waited:?}");
    drop(load);
}

#[tokio::test]
async fn without_reconnect_an_end_is_the_end_and_a_204_a_refusal() {
    let origin = Origin::start_each([Script::stream().chunk("retry: 1\n\n").end(), Script::new().head("204 No Content", "")]).await;
    let url = format!("http://{}/", origin.address());
    let said = Load::start(&url, &["-c", "1"]).over().await;
    assert_eq!((said.code, &said.report["streams"]["clean"]), (Some(0), &1.into()));
    for reconnect in [&[][..], &["--reconnect"]] {
        let said = Load::start(&url, &[reconnect, &["-c", "1"]].concat()).over().await;
        assert_eq!((said.code, &said.report["streams"]["refused"]), (Some(1), &json!({ "204": 1 })));
    }
    assert_eq!(origin.requests(), 3);
}

#[tokio::test]
async fn connections_come_from_the_given_addresses_in_turn() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("its address");
    let load = Load::start(&format!("http://{address}/"), &["-c", "4", "--source", "127.0.0.2,127.0.0.3", "--source", "127.0.0.4"]);
    let mut seen = BTreeSet::new();
    let mut sockets = Vec::new();
    for _ in 0..4 {
        let (socket, peer) = within("a connection", listener.accept()).await.expect("a connection");
        seen.insert(peer.ip());
        sockets.push(socket);
    }
    let expected: BTreeSet<IpAddr> = (2..=4).map(|n| IpAddr::from([127, 0, 0, n])).collect();
    assert_eq!(seen, expected);
    drop(load);

    let foreign = Load::start(&format!("http://{address}/"), &["-c", "2", "--source", "192.0.2.1"]).over().await;
    assert_eq!((foreign.code, &foreign.report["streams"]["failed"]), (Some(1), &json!({ "no address of this machine": 2 })));
}
