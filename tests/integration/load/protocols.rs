//! Every way in: HTTP/1.1 and HTTP/2, in cleartext and over TLS. The figures are the same, since the events are.

use rustls::HandshakeKind;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::{Load, events};
use crate::support::{Edge, Http2Origin, Http2Script, Origin, Script, tls, within};

const STREAMS: u64 = 6;
const EVENTS: u64 = 200;

/// The arguments of each protocol, its name, and its connections.
const PROTOCOLS: [(&[&str], &str, u64); 2] = [(&[], "http/1.1", STREAMS), (&["--http2", "--streams-per-connection", "4"], "h2", 2)];

#[tokio::test]
async fn each_protocol_sees_every_event_of_every_stream_over_tls_too() {
    // All but the last event in chunks that are no events, a heartbeat in between.
    let text = events(1..EVENTS);
    let script = text.as_bytes().chunks(333).fold(Script::stream(), |script, part| script.chunk(part));
    let origin = Origin::start(script.chunk(":\n\n").chunk(events([EVENTS])).hang()).await;
    let edge = Edge::with().tls_listener(&tls::listener()).heartbeat("off").start(origin.address()).await;
    let ca = tls::file("ca.pem");
    let ca = ["--ca", ca.to_str().expect("a plain path")];
    let plain = format!("http://{}/events", edge.address());
    let secure = format!("https://localhost:{}/events", edge.real[1].port());
    let mut bytes = Vec::new();
    for (arguments, protocol, connections) in PROTOCOLS {
        for (url, tls) in [(&plain, &[][..]), (&secure, &ca[..]), (&secure, &["--insecure"])] {
            let load = Load::start(url, &[arguments, tls, &["-c", &STREAMS.to_string()]].concat());
            load.reaches("events", STREAMS * EVENTS).await;
            load.reaches("open", STREAMS).await;
            let said = load.stop().await;
            let report = said.report;
            assert_eq!((said.code, said.stderr.as_str()), (Some(0), ""), "{report}");
            assert_eq!((&report["protocol"], &report["url"]), (&protocol.into(), &url.as_str().into()));
            assert_eq!(report["tls"].is_string(), url.starts_with("https"), "{report}");
            assert_eq!(report["connections"], connections, "{report}");
            let nothing = json!({});
            let streams = json!({ "wanted": STREAMS, "opened": STREAMS, "open": STREAMS, "clean": 0, "dismissed": 0, "not_begun": 0,
                "refused": nothing, "failed": nothing, "cut": nothing });
            assert_eq!(report["streams"], streams);
            assert_eq!((&report["events"], &report["heartbeats"]), (&(STREAMS * EVENTS).into(), &STREAMS.into()), "{report}");
            let ids = STREAMS * (EVENTS - 1);
            assert_eq!(report["integrity"], json!({ "ids": ids, "missing": 0, "doubled": 0, "disordered": 0 }));
            assert_eq!(report["connect_ms"]["count"], connections, "{report}");
            for each in ["first_byte_ms", "first_event_ms"] {
                assert_eq!(report[each]["count"], STREAMS, "{report}");
            }
            assert!(report["latency_ms"].is_null(), "all were due before the load began: {report}");
            let (all, last) = (&report["all_first_events_ms"], &report["first_event_ms"]["max"]);
            assert!(all.as_f64() >= last.as_f64() && last.as_f64() > Some(0.0), "{report}");
            bytes.push(report["bytes"].as_u64().expect("a number"));
        }
    }
    assert!(bytes.iter().all(|bytes| *bytes >= STREAMS * text.len() as u64), "{bytes:?}");
}

#[tokio::test]
async fn what_the_server_ends_cleanly_is_fine_and_the_load_ends_with_it() {
    let origin = Origin::start(Script::stream().chunk(events(1..=3)).end()).await;
    let http2 = Http2Origin::start(Http2Script::stream().data(events(1..=3)).end()).await;
    for (address, arguments) in [(origin.address(), &[][..]), (http2.address(), &["--http2"])] {
        let said = Load::start(&format!("http://{address}/"), &[arguments, &["-c", "3"]].concat()).over().await;
        assert_eq!((said.code, &said.report["streams"]["clean"], &said.report["events"]), (Some(0), &3.into(), &9.into()));
    }
}

#[tokio::test]
async fn a_request_is_the_same_on_http2() {
    let origin = Http2Origin::start(Http2Script::stream().event("x").end()).await;
    let arguments = ["-c", "1", "--http2", "-d", "{\"a\":1}", "-H", "Host: example.com", "-H", "Last-Event-ID: 7"];
    let said = Load::start(&format!("http://{}/ask?x=1", origin.address()), &arguments).over().await;
    assert_eq!(said.code, Some(0), "{}", said.report);
    let request = origin.request(0).await;
    assert_eq!((request.method.as_str(), request.authority.as_str(), request.path.as_str()), ("POST", "example.com", "/ask?x=1"));
    assert_eq!((request.scheme.as_str(), request.body.as_slice()), ("http", &b"{\"a\":1}"[..]));
    assert_eq!((request.get("last-event-id").as_deref(), request.get("accept").as_deref()), (Some("7"), Some("text/event-stream")));
}

#[tokio::test]
async fn latency_runs_from_the_time_when_an_event_was_due() {
    let origin = Origin::start(Script::stream().gate().chunk("data: ts=18446744073709551615 the far future\n\n").end()).await;
    let load = Load::start(&format!("http://{}/", origin.address()), &["-c", "1"]);
    origin.request(0).await;
    origin.open_gate();
    let said = load.over().await;
    assert_eq!((&said.report["latency_ms"]["count"], &said.report["latency_ms"]["max"]), (&1.into(), &0.0.into()));
}

#[tokio::test]
async fn each_connection_over_tls_costs_the_server_a_full_handshake() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let acceptor = TlsAcceptor::from(tls::server_config(&[b"http/1.1"]));
    let url = format!("https://localhost:{}/", listener.local_addr().expect("its address").port());
    let load = Load::start(&url, &["-c", "1", "--insecure", "--reconnect"]);
    let stream = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 10\r\n\r\nretry: 1\n\n";
    for answer in [stream, "HTTP/1.1 204 No Content\r\n\r\n"] {
        let (socket, _) = within("a connection", listener.accept()).await.expect("a connection");
        let mut client = within("a handshake", acceptor.accept(socket)).await.expect("a handshake");
        assert_eq!(client.get_ref().1.handshake_kind(), Some(HandshakeKind::Full));
        client.write_all(answer.as_bytes()).await.expect("it reads");
        // Until it has closed, so that it has read the tickets too.
        let _ = within("its end", client.read_to_end(&mut Vec::new())).await;
    }
    let said = load.over().await;
    assert_eq!((said.code, &said.report["streams"]["dismissed"]), (Some(0), &1.into()));
}
