//! TLS towards clients: certificates by name, both versions of HTTP by ALPN, client certificates, ends that cannot be forged, and files
//! that change while streams run. RFC 8446, RFC 7301, RFC 6066 section 3.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::support::{
    Client, Edge, End, Http2Client, ManualOrigin, Origin, SUBSCRIBE, SUBSCRIBE_1_0, Script, StreamEnd, tls, within,
};

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

/// An edge whose second listener speaks TLS, and that one's address.
async fn edge_with(tls: &str, upstream: impl ToString) -> (Edge, SocketAddr) {
    let edge = Edge::with().tls_listener(tls).start(upstream).await;
    let address = edge.real[1];
    (edge, address)
}

async fn connect(address: SocketAddr, config: Arc<ClientConfig>, name: &str) -> io::Result<TlsStream<TcpStream>> {
    let socket = TcpStream::connect(address).await?;
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    within("the handshake", TlsConnector::from(config).connect(name, socket)).await
}

/// All that comes after `request`, and whether it ended with `close_notify`.
async fn ask(stream: &mut TlsStream<TcpStream>, request: &[u8]) -> (String, bool) {
    within("a request to be taken", stream.write_all(request)).await.expect("the proxy reads");
    let mut answer = Vec::new();
    let end = within("the end of the answer", stream.read_to_end(&mut answer)).await;
    let is_clean = match end {
        Ok(_) => true,
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => false,
        Err(error) => panic!("{error}"),
    };
    (String::from_utf8_lossy(&answer).into_owned(), is_clean)
}

/// An authority, and files of what it issues.
struct Authority {
    directory: TempDir,
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).expect("a certificate").pem();
        Self { directory: tempfile::tempdir().expect("a directory"), issuer: Issuer::new(params, key), pem }
    }

    fn write(&self, file: &str, text: &str) -> String {
        let path = self.directory.path().join(file);
        // As certbot and Kubernetes do: a new file takes the place of the old one at once.
        let fresh = path.with_extension("new");
        std::fs::write(&fresh, text).expect("a file");
        std::fs::rename(&fresh, &path).expect("its place");
        path.display().to_string()
    }

    fn ca(&self) -> String {
        self.write("ca.pem", &self.pem)
    }

    /// A pair of files as the configuration names it.
    fn issue(&self, file: &str, names: &[&str]) -> String {
        let key = KeyPair::generate().expect("a key");
        let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
        let certificate = CertificateParams::new(names).and_then(|params| params.signed_by(&key, &self.issuer)).expect("names");
        let cert = self.write(&format!("{file}.pem"), &certificate.pem());
        format!("{{ cert: {cert}, key: {} }}", self.write(&format!("{file}.key"), &key.serialize_pem()))
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(rustls::pki_types::CertificateDer::from_pem_slice(self.pem.as_bytes()).expect("PEM")).expect("an authority");
        roots
    }

    fn client(&self, versions: &[&'static SupportedProtocolVersion]) -> Arc<ClientConfig> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions).expect("versions");
        Arc::new(builder.with_root_certificates(self.roots()).with_no_client_auth())
    }

    /// One that shows a certificate that `issuer` gave it.
    fn client_with_certificate(&self, issuer: &Self) -> Arc<ClientConfig> {
        issuer.issue("client", &["client"]);
        let file = |name: &str| issuer.directory.path().join(name);
        let certificate = rustls::pki_types::CertificateDer::from_pem_file(file("client.pem")).expect("just written");
        let key = rustls::pki_types::PrivateKeyDer::from_pem_file(file("client.key")).expect("just written");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("versions");
        let builder = builder.with_root_certificates(self.roots());
        Arc::new(builder.with_client_auth_cert(vec![certificate], key).expect("they belong together"))
    }
}

#[tokio::test]
async fn an_event_stream_comes_over_both_versions_of_tls_and_ends_with_a_word() {
    let origin = Origin::start(Script::stream().event("one").event("two").end()).await;
    let authority = Authority::new();
    let certificate = authority.issue("site", &["localhost"]);
    let (edge, address) = edge_with(&format!("certificates: [ {certificate} ]"), origin.address()).await;
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let mut stream = connect(address, authority.client(&[version]), "localhost").await.expect("TLS");
        let (answer, is_clean) = ask(&mut stream, SUBSCRIBE.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("data: two\n\n"), "{answer}");
        assert!(answer.ends_with("0\r\n\r\n") && is_clean, "{version:?} {answer}");
    }
    edge.metric_becomes("ssedge_tls_handshakes_total", "result=\"done\"", 2.0).await;
}

/// A body that only the connection ends: TLS must say that it is whole, and must not when it is torn (RFC 9112 section 9.8).
#[tokio::test]
async fn the_end_of_a_body_without_length_cannot_be_forged() {
    let authority = Authority::new();
    let certificate = format!("certificates: [ {} ]", authority.issue("site", &["localhost"]));
    let whole = Origin::start(Script::stream().event("one").end()).await;
    let torn = Origin::start(Script::stream().event("one").reset()).await;
    for (origin, clean) in [(&whole, true), (&torn, false)] {
        let (_edge, address) = edge_with(&certificate, origin.address()).await;
        let mut stream = connect(address, authority.client(rustls::ALL_VERSIONS), "localhost").await.expect("TLS");
        within("a request to be taken", stream.write_all(SUBSCRIBE_1_0.as_bytes())).await.expect("the proxy reads");
        let mut answer = Vec::new();
        let end = within("the end of the answer", stream.read_to_end(&mut answer)).await;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(answer.contains("data: one\n\n"), "{answer}");
        assert_eq!(end.is_ok(), clean, "{end:?}");
    }
}

#[tokio::test]
async fn the_name_that_a_client_asks_for_chooses_the_certificate() {
    let origin = Origin::start(Script::answer("ok")).await;
    let authority = Authority::new();
    let pairs = [
        authority.issue("first", &["first.test"]),
        authority.issue("second", &["second.test"]),
        authority.issue("wild", &["*.wild.test"]),
    ];
    let (_edge, address) = edge_with(&format!("certificates: [ {} ]", pairs.join(", ")), origin.address()).await;
    for (name, is_good) in
        [("first.test", true), ("second.test", true), ("a.wild.test", true), ("wild.test", false), ("a.b.wild.test", false)]
    {
        let connected = connect(address, authority.client(rustls::ALL_VERSIONS), name).await;
        assert_eq!(connected.is_ok(), is_good, "{name}: {connected:?}");
    }
}

#[tokio::test]
async fn http_2_is_agreed_on_by_alpn_and_never_without() {
    let origin = Origin::start(Script::stream().event("one").end()).await;
    let (_edge, address) = edge_with(&tls::listener(), origin.address()).await;
    for (offered, chosen) in [
        (vec![b"h2".as_slice(), b"http/1.1"], Some(b"h2".as_slice())),
        (vec![b"http/1.1"], Some(b"http/1.1")),
        (vec![b"http/1.0"], Some(b"http/1.0")),
        (vec![], None),
    ] {
        let stream = connect(address, tls::client_config(&offered), "localhost").await.expect("TLS");
        assert_eq!(stream.get_ref().1.alpn_protocol(), chosen);
    }
    let error = connect(address, tls::client_config(&[b"spdy/3"]), "localhost").await.expect_err("nothing in common");
    assert!(error.to_string().contains("NoApplicationProtocol"), "{error}");

    let mut unagreed = connect(address, tls::client_config(&[]), "localhost").await.expect("TLS");
    let (answer, _) = ask(&mut unagreed, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("ALPN"), "{answer}");

    let (_client, mut stream, head) = Http2Client::open(tls::for_clients(address), SUBSCRIBE).await;
    assert_eq!(head.status, 200);
    let (body, end) = stream.rest_of_body().await;
    assert!(String::from_utf8_lossy(&body).contains("data: one\n\n"));
    assert_eq!(end, StreamEnd::Clean);
}

#[tokio::test]
async fn servers_hear_that_the_client_came_by_https() {
    let origin = Origin::start(Script::answer("ok")).await;
    let (_edge, address) = edge_with(&tls::listener(), origin.address()).await;
    let mut stream = connect(address, tls::client_config(&[]), "localhost").await.expect("TLS");
    // Nobody is believed who says otherwise.
    let forged = b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-Proto: http\r\nConnection: close\r\n\r\n";
    assert!(ask(&mut stream, forged).await.0.starts_with("HTTP/1.1 200"));
    assert_eq!(origin.request(0).await.head.get("x-forwarded-proto"), Some("https"));
}

/// A load balancer that passes TLS on says in front of it whose connection it is.
#[tokio::test]
async fn a_proxy_header_stands_in_front_of_tls() {
    let origin = Origin::start(Script::answer("ok")).await;
    let keys = format!("tls: {{ {} }}, proxy_protocol: accept", tls::listener());
    let yaml = format!(
        "trusted_proxies: [ 127.0.0.1 ]\nupstreams: {{ app: {{ servers: [ \"{}\" ] }} }}\nroutes: [ {{ upstream: app }} ]\n",
        origin.address()
    );
    let edge = Edge::listening(&keys, &yaml).await;
    let mut version_2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
    version_2.extend([192, 0, 2, 8, 127, 0, 0, 1, 0x80, 0, 0x01, 0xbb]);
    let headers: [(&[u8], &str); 2] = [(b"PROXY TCP4 192.0.2.7 127.0.0.1 32768 443\r\n", "192.0.2.7"), (&version_2, "192.0.2.8")];
    for (number, (header, client)) in headers.into_iter().enumerate() {
        let mut socket = TcpStream::connect(edge.real[0]).await.expect("the proxy accepts");
        socket.write_all(header).await.expect("the proxy reads");
        let connecting = TlsConnector::from(tls::client_config(&[])).connect(tls::localhost(), socket);
        let mut stream = within("the handshake", connecting).await.expect("TLS");
        assert!(ask(&mut stream, GET).await.0.starts_with("HTTP/1.1 200"));
        let head = origin.request(number).await.head;
        assert_eq!((head.get("x-forwarded-for"), head.get("x-forwarded-proto")), (Some(client), Some("https")));
    }
    // Without one, the connection is not the client's own.
    connect(edge.real[0], tls::client_config(&[]), "localhost").await.expect_err("a trusted proxy says whose it is");
    edge.metric_becomes("ssedge_proxy_header_faults_total", "reason=\"missing\"", 1.0).await;
}

#[tokio::test]
async fn a_client_certificate_is_asked_for_as_configured() {
    let origin = Origin::start(Script::answer("ok")).await;
    let (site, people, strangers) = (Authority::new(), Authority::new(), Authority::new());
    let certificate = site.issue("site", &["localhost"]);
    let with = |auth: &str| format!("certificates: [ {certificate} ], client_ca: {}, client_auth: {auth}", people.ca());
    let none = site.client(rustls::ALL_VERSIONS);
    let good = site.client_with_certificate(&people);
    let bad = site.client_with_certificate(&strangers);
    for (auth, client, served) in [
        ("required", &none, false),
        ("required", &bad, false),
        ("required", &good, true),
        ("optional", &none, true),
        ("optional", &bad, false),
        ("optional", &good, true),
    ] {
        let (edge, address) = edge_with(&with(auth), origin.address()).await;
        // In TLS 1.3 the refusal comes with the first read.
        let answer = match connect(address, Arc::clone(client), "localhost").await {
            Ok(mut stream) => {
                let _ = stream.write_all(GET).await;
                let mut answer = Vec::new();
                let _ = within("an answer or an alert", stream.read_to_end(&mut answer)).await;
                answer
            }
            Err(_) => Vec::new(),
        };
        assert_eq!(answer.starts_with(b"HTTP/1.1 200"), served, "{auth}");
        let result = if served { "result=\"done\"" } else { "result=\"failed\"" };
        edge.metric_becomes("ssedge_tls_handshakes_total", result, 1.0).await;
    }
}

#[tokio::test]
async fn new_files_are_taken_when_they_change_and_at_hup_and_no_stream_notices() {
    let origin = ManualOrigin::start().await;
    let authority = Authority::new();
    let certificate = authority.issue("site", &["old.test"]);
    let (edge, address) = edge_with(&format!("certificates: [ {certificate} ]"), origin.address()).await;
    let client = || authority.client(rustls::ALL_VERSIONS);
    let mut stream = connect(address, client(), "old.test").await.expect("TLS");
    stream.write_all(SUBSCRIBE.as_bytes()).await.expect("the proxy reads");
    let (server, _) = origin.request().await;
    server.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: before\n\n").await;
    read_until(&mut stream, "data: before\n\n").await;

    authority.issue("site", &["new.test"]);
    within("the new certificate", async {
        while connect(address, client(), "new.test").await.is_err() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    })
    .await;
    assert!(connect(address, client(), "old.test").await.is_err());
    edge.process().logs("certificates were read again").await;

    // A file that cannot be used is told, and changes nothing.
    let key = std::fs::read_to_string(authority.directory.path().join("site.key")).expect("a file");
    authority.write("site.key", "nothing");
    edge.process().logs("site.key: has no private key in it").await;
    connect(address, client(), "new.test").await.expect("TLS");
    authority.write("site.key", &key);

    server.send("data: after\n\n").await;
    read_until(&mut stream, "data: after\n\n").await;
    edge.signal("HUP");
    edge.process().logs("HUP: reading certificates again").await;
}

/// Each look at the files was an event in their directory, and each event a look: two a second for ever, and the same error with each.
#[tokio::test]
async fn a_file_that_cannot_be_used_is_not_looked_at_again_and_again() {
    let origin = Origin::start(Script::answer("ok")).await;
    let authority = Authority::new();
    let certificate = authority.issue("site", &["localhost"]);
    let (edge, _) = edge_with(&format!("certificates: [ {certificate} ]"), origin.address()).await;
    authority.write("site.key", "nothing");
    edge.process().logs("site.key: has no private key in it").await;
    // Nobody touches a file any more. What must not happen needs time in which it could: first what was under way may come, then for
    // four times what changes are collected for, nothing.
    let told = || edge.process().log().matches("site.key: has no private key in it").count();
    let while_all_is_quiet = std::time::Duration::from_secs(2);
    tokio::time::sleep(while_all_is_quiet).await;
    let before = told();
    tokio::time::sleep(while_all_is_quiet).await;
    assert_eq!(told(), before);
    authority.issue("site", &["localhost"]);
    edge.process().logs("certificates were read again").await;
}

async fn read_until(stream: &mut TlsStream<TcpStream>, wanted: &str) {
    let mut got = Vec::new();
    within(wanted, async {
        while !String::from_utf8_lossy(&got).contains(wanted) {
            assert!(stream.read_buf(&mut got).await.expect("an open stream") > 0, "closed early");
        }
    })
    .await;
}

#[tokio::test]
async fn who_speaks_http_to_a_port_with_tls_is_told_so() {
    let origin = Origin::start(Script::answer("ok")).await;
    let (edge, address) = edge_with(&tls::listener(), origin.address()).await;
    let (mut client, head) = Client::open(address, crate::support::GET).await;
    assert_eq!(head.status(), 400);
    let (body, end) = client.rest_of_body().await;
    assert!(String::from_utf8_lossy(&body).contains("https://"), "{}", String::from_utf8_lossy(&body));
    assert_eq!(end, End::Clean);
    edge.metric_becomes("ssedge_tls_handshakes_total", "result=\"plain_http\"", 1.0).await;
}

#[tokio::test]
async fn a_handshake_that_never_ends_does() {
    let origin = Origin::start(Script::answer("ok")).await;
    let edge = Edge::with().timeout("request_head", "300ms").tls_listener(&tls::listener()).start(origin.address()).await;
    let address = edge.real[1];
    let silent = Client::connect(address).await;
    assert!(silent.rest().await.0.is_empty());
    edge.metric_becomes("ssedge_tls_handshakes_total", "result=\"silent\"", 1.0).await;
    // A record that announces more than it brings.
    let dribbling = Client::send_to(address, [0x16, 3, 1, 2, 0, 1, 0]).await;
    dribbling.rest().await;
    edge.metric_becomes("ssedge_tls_handshakes_total", "result=\"timed_out\"", 1.0).await;
    let garbage = Client::send_to(address, [0; 64]).await;
    garbage.rest().await;
    edge.metric_becomes("ssedge_tls_handshakes_total", "result=\"failed\"", 1.0).await;
    edge.metric_becomes("ssedge_connections_open", "", 0.0).await;
}
