//! TLS towards servers: who they must be, what they must speak, what we show them, and ends that cannot be forged. RFC 8446, RFC 9525.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::support::tls::{self, file, for_origin};
use crate::support::{
    Client, Edge, End, GET, Http2Client, Http2Origin, Http2Script, Origin, SUBSCRIBE, Script, StreamEnd, eventually,
};

const HTTP_1_1: &[u8] = b"http/1.1";

fn verified(extra: &str) -> String {
    format!("{{ ca: {}{extra} }}", file("ca.pem").display())
}

/// The status that a client gets from a server behind TLS at `server`.
async fn status(server: impl ToString, protocol: &str, tls: &str) -> (u16, Edge) {
    let edge =
        Edge::with().route("soft_errors", "false").upstream("protocol", protocol).upstream("tls", tls).plain_start(server).await;
    let (_client, head) = Client::open(edge.address(), GET).await;
    (head.status(), edge)
}

#[tokio::test]
async fn a_server_is_served_from_when_it_is_who_it_must_be() {
    let origin = Origin::start(Script::answer("ok")).await;
    let shim = for_origin(origin.address(), HTTP_1_1);
    // The certificate is for 127.0.0.1, localhost and *.example.com.
    for (tls, expected) in [
        (verified(""), 200),
        (verified(", server_name: localhost"), 200),
        (verified(", server_name: a.example.com"), 200),
        (verified(", server_name: example.com"), 502),
        (verified(", server_name: a.b.example.com"), 502),
        (verified(", server_name: \"127.0.0.2\""), 502),
    ] {
        let (status, edge) = status(shim, "http1", &tls).await;
        assert_eq!(status, expected, "{tls}");
        if status == 502 {
            edge.process().logs("no TLS with the server").await;
        }
    }
    let (status, _) = status(format!("localhost:{}", shim.port()), "http1", &verified("")).await;
    assert_eq!(status, 200, "a name is its own");
}

#[tokio::test]
async fn a_stranger_is_not() {
    let origin = Origin::start(Script::answer("ok")).await;
    let shim = for_origin(origin.address(), HTTP_1_1);
    // The certificate's own issuer is not among its authorities.
    let tls = format!("{{ ca: {} }}", file("site.pem").display());
    let (code, edge) = status(shim, "http1", &tls).await;
    assert_eq!(code, 502);
    edge.process().logs("see `tls` of its upstream: invalid peer certificate").await;
    assert_eq!(origin.requests(), 0);
    // One that does not speak TLS at all.
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let plain = listener.local_addr().expect("its address");
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.expect("the proxy");
        let _ = socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        let _ = socket.read_to_end(&mut Vec::new()).await;
    });
    let (code, edge) = status(plain, "http1", &verified("")).await;
    assert_eq!(code, 502);
    edge.process().logs("no TLS with the server").await;
}

#[tokio::test]
async fn http_2_is_spoken_where_the_server_agrees_to_it() {
    let origin = Http2Origin::start(Http2Script::stream().event("one").end()).await;
    let shim = for_origin(origin.address(), b"h2");
    let edge = Edge::with().upstream("protocol", "h2").upstream("tls", &verified("")).plain_start(shim).await;
    let (mut client, head) = Client::open(edge.address(), SUBSCRIBE).await;
    assert_eq!(head.status(), 200);
    client.ends_with("data: one\n\n", End::Clean).await;
    let (_client, mut stream, _) = Http2Client::open(edge.address(), SUBSCRIBE).await;
    stream.ends_with("data: one\n\n", StreamEnd::Clean).await;

    let http1 = Origin::start(Script::answer("ok")).await;
    let (code, edge) = status(for_origin(http1.address(), HTTP_1_1), "h2", &verified("")).await;
    assert_eq!(code, 502);
    edge.process().logs("NoApplicationProtocol").await;
}

/// A body that only the connection ends (RFC 9112 section 9.8).
#[tokio::test]
async fn the_end_of_a_body_without_length_cannot_be_forged() {
    const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: one\n\n";
    for (says_goodbye, end, reason) in [(true, End::Clean, "upstream_end"), (false, End::Truncated, "upstream_lost")] {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let server = listener.local_addr().expect("its address");
        tokio::spawn(async move {
            let (socket, _) = listener.accept().await.expect("the proxy");
            let mut socket = TlsAcceptor::from(tls::server_config(&[HTTP_1_1])).accept(socket).await.expect("TLS");
            let mut request = [0; 4096];
            let _ = socket.read(&mut request).await;
            socket.write_all(HEAD.as_bytes()).await.expect("the proxy reads");
            socket.flush().await.expect("the proxy reads");
            if says_goodbye {
                socket.shutdown().await.expect("the proxy reads");
            } else {
                socket.get_mut().0.shutdown().await.expect("the proxy reads");
            }
        });
        let edge = Edge::with().upstream("tls", &verified("")).plain_start(server).await;
        let (mut client, _) = Client::open(edge.address(), SUBSCRIBE).await;
        client.ends_with("data: one\n\n", end).await;
        edge.stream_ended(reason).await;
    }
}

#[tokio::test]
async fn a_server_that_asks_for_a_certificate_gets_ours() {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(file("ca.pem")).expect("the fixture")).expect("an authority");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build().expect("an authority");
    let certificate = CertificateDer::from_pem_file(file("site.pem")).expect("the fixture");
    let key = PrivateKeyDer::from_pem_file(file("site.key")).expect("the fixture");
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("versions");
    let config =
        builder.with_client_cert_verifier(verifier).with_single_cert(vec![certificate], key).expect("they belong together");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let server = listener.local_addr().expect("its address");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let Ok(mut socket) = acceptor.accept(socket).await else { continue };
            let mut request = [0; 4096];
            let _ = socket.read(&mut request).await;
            let _ = socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
        }
    });
    let identity = format!(", cert: {}, key: {}", file("site.pem").display(), file("site.key").display());
    assert_eq!(status(server, "http1", &verified(&identity)).await.0, 200);
    assert_eq!(status(server, "http1", &verified("")).await.0, 502);
}

#[tokio::test]
async fn connections_over_tls_are_kept_and_checks_go_over_tls_too() {
    let origin = Origin::start(Script::answer("ok")).await;
    let shim = for_origin(origin.address(), HTTP_1_1);
    let edge = Edge::with().upstream("tls", &verified("")).plain_start(shim).await;
    for _ in 0..3 {
        let (mut client, _) = Client::open(edge.address(), GET).await;
        client.ends_with("ok", End::Clean).await;
    }
    assert_eq!(origin.connections(), 1);

    for (tls, up) in [(verified(""), 1.0), (verified(", server_name: other.test"), 0.0)] {
        let health = "{ path: /, interval: 50ms, timeout: 50ms, rise: 1, fall: 1 }";
        let edge = Edge::with().upstream("tls", &tls).upstream("health", health).plain_start(shim).await;
        if up > 0.0 {
            let before = origin.requests();
            eventually("two checks", || (origin.requests() >= before + 2).then_some(())).await;
        }
        edge.metric_becomes("ssedge_server_up", "", up).await;
    }
}
