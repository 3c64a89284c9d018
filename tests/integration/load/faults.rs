//! Servers that lose, double and cut: each fault is seen and named, and fails the load.

use h2::Reason;
use serde_json::json;

use super::{Load, Said, events};
use crate::support::http2_origin::Grants;
use crate::support::{Http2Origin, Http2Script, Origin, Script, tls};

/// A load of one stream that ends by itself.
async fn load(address: impl ToString, arguments: &[&str]) -> Said {
    Load::start(&format!("http://{}/", address.to_string()), &[&["-c", "1"], arguments].concat()).over().await
}

#[tokio::test]
async fn lost_doubled_and_disordered_events_are_seen_on_both_protocols() {
    for (ids, faults) in [
        (&[1, 2, 4, 7][..], json!({ "ids": 3, "missing": 3, "doubled": 0, "disordered": 0 })),
        (&[1, 2, 2, 3, 1], json!({ "ids": 4, "missing": 0, "doubled": 2, "disordered": 0 })),
        (&[1, 3, 2, 4], json!({ "ids": 3, "missing": 1, "doubled": 0, "disordered": 1 })),
    ] {
        let text = events(ids.iter().copied());
        let http1 = Origin::start(Script::stream().chunk(&text).end()).await;
        let http2 = Http2Origin::start(Http2Script::stream().data(&text).end()).await;
        for said in [load(http1.address(), &[]).await, load(http2.address(), &["--http2"]).await] {
            assert_eq!((said.code, &said.report["integrity"]), (Some(1), &faults), "{ids:?}");
        }
    }
}

#[tokio::test]
async fn streams_that_are_cut_have_their_reason() {
    let begun = || Script::stream().chunk(events([1]));
    let torn = "id: 2\ndata: x";
    for (script, reason) in [
        (begun().close(), "closed without an end"),
        (begun().reset(), "connection reset"),
        (begun().chunk(torn).end(), "inside an event"),
        (begun().raw("nonsense").close(), "a chunk size that is no number"),
    ] {
        let origin = Origin::start(script).await;
        let said = load(origin.address(), &[]).await;
        assert_eq!((said.code, &said.report["streams"]["cut"]), (Some(1), &json!({ reason: 1 })));
    }
    let begun = || Http2Script::stream().data(events([1]));
    for (script, reasons) in [
        (begun().reset(Reason::INTERNAL_ERROR), &["reset with INTERNAL_ERROR"][..]),
        (begun().data(torn).end(), &["inside an event"]),
        (begun().close(), &["closed without an end", "broken pipe", "connection reset"]),
        (begun().cut(), &["closed without an end", "broken pipe", "connection reset"]),
    ] {
        let origin = Http2Origin::start(script).await;
        let said = load(origin.address(), &["--http2"]).await;
        let cut = said.report["streams"]["cut"].as_object().expect("an object").clone();
        assert!(cut.len() == 1 && reasons.iter().any(|reason| cut.contains_key(*reason)), "{cut:?}");
        assert_eq!((said.code, &said.report["events"]), (Some(1), &1.into()));
    }
}

#[tokio::test]
async fn what_is_no_stream_is_counted_by_its_status() {
    let http1 = Origin::start(Script::new().head("429 Slow", "Content-Length: 0\r\n")).await;
    let http2 = Http2Origin::start(Http2Script::new().only_head(429, &[])).await;
    for said in [load(http1.address(), &[]).await, load(http2.address(), &["--http2"]).await] {
        assert_eq!((said.code, &said.report["streams"]["refused"]), (Some(1), &json!({ "429": 1 })));
    }
    let ordinary = Origin::start(Script::answer("hello")).await;
    let said = load(ordinary.address(), &[]).await;
    assert_eq!((said.code, &said.report["streams"]["refused"]), (Some(1), &json!({ "200": 1 })));
}

#[tokio::test]
async fn a_server_without_http2_is_named_as_such() {
    let http1 = Origin::start(Script::stream().end()).await;
    let only_http1 = tls::for_origin(http1.address(), b"http/1.1");
    let url = format!("https://localhost:{}/", only_http1.port());
    let said = Load::start(&url, &["-c", "1", "--http2", "--insecure"]).over().await;
    assert_eq!((said.code, &said.report["streams"]["failed"]), (Some(1), &json!({ "no HTTP/2": 1 })));

    // One that knows nothing of ALPN chooses nothing.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("https://localhost:{}/", listener.local_addr().expect("its address").port());
    let acceptor = tokio_rustls::TlsAcceptor::from(tls::server_config(&[]));
    tokio::spawn(async move {
        let (socket, _) = listener.accept().await.expect("a client");
        let mut client = acceptor.accept(socket).await.expect("a handshake");
        // Until it has seen enough.
        let _ = tokio::io::AsyncReadExt::read_to_end(&mut client, &mut Vec::new()).await;
    });
    let said = Load::start(&url, &["-c", "1", "--http2", "--insecure"]).over().await;
    assert_eq!((said.code, &said.report["streams"]["failed"]), (Some(1), &json!({ "no HTTP/2": 1 })));

    let old = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = old.local_addr().expect("its address");
    tokio::spawn(async move {
        let (mut client, _) = old.accept().await.expect("a client");
        let answer = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        tokio::io::AsyncWriteExt::write_all(&mut client, answer).await.expect("it reads");
        // Until it has seen enough.
        let _ = tokio::io::AsyncReadExt::read_to_end(&mut client, &mut Vec::new()).await;
    });
    let said = load(address, &["--http2"]).await;
    assert_eq!((said.code, &said.report["streams"]["failed"]), (Some(1), &json!({ "no HTTP/2": 1 })));
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_fails_unless_it_need_not_be_verified() {
    let origin = Origin::start(Script::stream().chunk(events([1])).end()).await;
    let server = tls::for_origin(origin.address(), b"http/1.1");
    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate").cert.pem();
    let directory = tempfile::tempdir().expect("a directory");
    let ca = directory.path().join("other.pem");
    std::fs::write(&ca, other).expect("a file");
    let url = format!("https://localhost:{}/", server.port());
    let said = Load::start(&url, &["-c", "2", "--ca", ca.to_str().expect("a plain path")]).over().await;
    let failed = said.report["streams"]["failed"].as_object().expect("an object").clone();
    let (why, count) = failed.iter().next().expect("a reason");
    assert!(said.code == Some(1) && why.starts_with("TLS: invalid peer certificate") && count == 2, "{failed:?}");
    let said = Load::start(&url, &["-c", "2", "--insecure"]).over().await;
    assert_eq!((said.code, &said.report["streams"]["clean"]), (Some(0), &2.into()));
}

#[tokio::test]
async fn more_streams_than_a_connection_may_have_are_told_apart_from_silence() {
    let grants = Grants { streams: 2, ..Grants::default() };
    let origin = Http2Origin::start_with(grants, [Http2Script::stream().event("x").hang()]).await;
    let arguments = ["-c", "3", "--http2", "--streams-per-connection", "3", "--hold", "3s"];
    let said = Load::start(&format!("http://{}/", origin.address()), &arguments).over().await;
    assert_eq!(said.report["streams"]["failed"], json!({ "no place among 2 streams on a connection": 1 }));
    assert_eq!((said.code, &said.report["streams"]["open"]), (Some(1), &2.into()));
    assert!(said.progress.len() >= 2, "a line each second: {:?}", said.progress);
}
