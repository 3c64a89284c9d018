//! TLS around the tests: certificates for `localhost`, and shims that put TLS between the proxy under test and instruments that speak
//! without it. With `SSEDGE_TEST_TLS=1` every edge of the suite gets one on each side, so that each promise is held over TLS as well.
//!
//! A shim passes on what it sees: bytes, a close of one half, a reset. That a connection ends without `close_notify` (RFC 8446 section
//! 6.1) it passes on as a close, as a client without TLS would see it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// A file under `tests/fixtures/tls`.
pub(crate) fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tls").join(name)
}

/// Whether the suite runs over TLS.
pub(crate) fn everywhere() -> bool {
    std::env::var_os("SSEDGE_TEST_TLS").is_some()
}

/// `tls` of a listener with the fixture's certificate.
pub(crate) fn listener() -> String {
    format!("certificates: [ {{ cert: {}, key: {} }} ]", file("site.pem").display(), file("site.key").display())
}

/// The fixture's authority.
pub(crate) fn roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(file("ca.pem")).expect("the fixture")).expect("an authority");
    roots
}

/// A client that trusts the fixture's authority and offers these protocols.
pub(crate) fn client_config(protocols: &[&[u8]]) -> Arc<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("versions");
    let mut config = builder.with_root_certificates(roots()).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    Arc::new(config)
}

/// A server with the fixture's certificate that speaks these protocols.
pub(crate) fn server_config(protocols: &[&[u8]]) -> Arc<ServerConfig> {
    let certificate = CertificateDer::from_pem_file(file("site.pem")).expect("the fixture");
    let key = PrivateKeyDer::from_pem_file(file("site.key")).expect("the fixture");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("versions");
    let mut config = builder.with_no_client_auth().with_single_cert(vec![certificate], key).expect("they belong together");
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    Arc::new(config)
}

/// `localhost`, for which the fixture's certificate is.
pub(crate) fn localhost() -> ServerName<'static> {
    ServerName::try_from("localhost").expect("a name")
}

/// What clients of the suite come by.
pub(crate) fn scheme() -> &'static str {
    if everywhere() { "https" } else { "http" }
}

/// Takes clients without TLS and connects them to `edge` with it; those that begin as HTTP/2 say so by ALPN.
pub(crate) fn for_clients(edge: SocketAddr) -> SocketAddr {
    shim(move |plain| async move {
        let Ok(outer) = TcpStream::connect(edge).await else { return reset(&plain) };
        let _ = outer.set_nodelay(true);
        // The handshake begins with the first byte, so that a silent client is one over TLS too.
        let mut first = [0; 3];
        tokio::select! {
            _ = plain.peek(&mut first[..1]) => {}
            () = closed(&outer) => return,
        }
        // Two more bytes may be on their way, and if they are not, it is no preface.
        for _ in 0..50 {
            let known = plain.peek(&mut first).await.unwrap_or(0);
            if known == 0 || known == first.len() || !b"PRI".starts_with(&first[..known]) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let protocol: &[u8] = if &first == b"PRI" { b"h2" } else { b"http/1.1" };
        match TlsConnector::from(client_config(&[protocol])).connect(localhost(), outer).await {
            Ok(outer) => Box::pin(pump(plain, outer, |outer| outer.get_ref().0)).await,
            Err(_) => reset(&plain),
        }
    })
}

/// Takes the proxy with TLS and connects it to `origin` without; it speaks `protocol`.
pub(crate) fn for_origin(origin: SocketAddr, protocol: &'static [u8]) -> SocketAddr {
    let acceptor = TlsAcceptor::from(server_config(&[protocol]));
    shim(move |outer| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(plain) = TcpStream::connect(origin).await else { return reset(&outer) };
            let _ = plain.set_nodelay(true);
            if let Ok(outer) = acceptor.accept(outer).await {
                Box::pin(pump(plain, outer, |outer| outer.get_ref().0)).await;
            }
        }
    })
}

/// Serves each connection to a free port, for as long as the test's runtime lives.
fn shim<F: Future<Output = ()> + Send + 'static>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.set_nonblocking(true).expect("tokio wants it so");
    let address = listener.local_addr().expect("its address");
    let listener = TcpListener::from_std(listener).expect("a runtime");
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let _ = socket.set_nodelay(true);
            tokio::spawn(serve(socket));
        }
    });
    address
}

/// Resolves when the other side closed, of a connection that has nothing to read.
async fn closed(socket: &TcpStream) {
    let mut none = [0; 1];
    let _ = socket.peek(&mut none).await;
}

fn reset(socket: &TcpStream) {
    let _ = SockRef::from(socket).set_linger(Some(Duration::ZERO));
}

/// How long a side may still speak whose words the other no longer takes.
const LAST_WORDS: Duration = Duration::from_millis(300);

/// Both ways until both are closed. A reset of one side is a reset of the other; a side that takes no more may still say something.
async fn pump<T: AsyncRead + AsyncWrite + Unpin>(plain: TcpStream, outer: T, below: impl Fn(&T) -> &TcpStream) {
    let sockets = [&plain, below(&outer)].map(|socket| SockRef::from(socket).try_clone().expect("a descriptor"));
    let (mut outer_read, mut outer_write) = tokio::io::split(outer);
    let (mut plain_read, mut plain_write) = tokio::io::split(plain);
    let mut up = Box::pin(copy(&mut plain_read, &mut outer_write));
    let mut down = Box::pin(copy(&mut outer_read, &mut plain_write));
    let broke = tokio::select! {
        broke = &mut up => match broke {
            None => down.await,
            Some(Broken::Target) => {
                let _ = tokio::time::timeout(LAST_WORDS, down).await;
                broke
            }
            Some(Broken::Source) => broke,
        },
        broke = &mut down => match broke {
            None => up.await,
            Some(Broken::Target) => {
                let _ = tokio::time::timeout(LAST_WORDS, up).await;
                broke
            }
            Some(Broken::Source) => broke,
        },
    };
    if broke.is_some() {
        for socket in &sockets {
            let _ = socket.set_linger(Some(Duration::ZERO));
        }
    }
}

/// Which end of one way broke.
#[derive(Clone, Copy)]
enum Broken {
    Source,
    Target,
}

/// One way, until its source closes or one of its ends breaks.
async fn copy(from: &mut (impl AsyncRead + Unpin), to: &mut (impl AsyncWrite + Unpin)) -> Option<Broken> {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        match from.read(&mut buffer).await {
            Ok(0) => break,
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => break,
            Ok(n) if to.write_all(&buffer[..n]).await.is_err() || to.flush().await.is_err() => return Some(Broken::Target),
            Ok(_) => {}
            Err(_) => return Some(Broken::Source),
        }
    }
    let _ = to.shutdown().await;
    None
}
