//! TLS as a client that is new each time: no session is resumed, so that each connection costs the server a full handshake.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme};

use super::args::LoadArgs;
use super::outcome::Failure;
use crate::tls::{ClientTls, ClientTlsSpec, alpn};

/// What `args` say about TLS.
pub(super) fn config(args: &LoadArgs) -> Result<ClientConfig, String> {
    let protocol = if args.http2 { alpn::H2 } else { alpn::HTTP_1_1 };
    let mut config = if args.insecure {
        unverified(protocol)?
    } else {
        let spec = ClientTlsSpec { ca: args.ca.clone(), ..ClientTlsSpec::default() };
        let tls = ClientTls::new(spec, protocol).map_err(|error| format!("{error}: give --ca FILE or --insecure"))?;
        ClientConfig::clone(&tls.current())
    };
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// The name that the certificate must have.
pub(super) fn server_name(host: &str) -> Result<ServerName<'static>, String> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(ServerName::IpAddress(address.into()));
    }
    ServerName::try_from(host.to_owned()).map_err(|_| format!("`{host}` is no name that a certificate can have"))
}

fn unverified(protocol: &[u8]) -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let mut config = builder.dangerous().with_custom_certificate_verifier(Arc::new(Unverified(provider))).with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    Ok(config)
}

/// Whether both sides chose HTTP/2 (RFC 7301).
pub(super) fn chose_http2(connection: &ClientConnection) -> bool {
    connection.alpn_protocol() == Some(alpn::H2)
}

/// Version and cipher suite: `TLSv1_3 TLS13_AES_256_GCM_SHA384`.
pub(super) fn describe(connection: &ClientConnection) -> String {
    let version = connection.protocol_version().map(|version| format!("{version:?}"));
    let suite = connection.negotiated_cipher_suite().map(|suite| format!("{:?}", suite.suite()));
    [version, suite].into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// Why a handshake failed in which HTTP/2 was offered, or HTTP/1.1.
pub(super) fn failure(error: &io::Error, http2: bool) -> Failure {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        // What a server says that has no protocol in common with us (RFC 7301 section 3.2).
        Some(rustls::Error::AlertReceived(rustls::AlertDescription::NoApplicationProtocol)) if http2 => Failure::NoHttp2,
        Some(error) => Failure::Tls(error.to_string()),
        None if error.kind() == io::ErrorKind::UnexpectedEof => Failure::Tls("closed during the handshake".to_owned()),
        None => Failure::Broken(error.kind()),
    }
}

/// Takes any certificate, if whoever shows it has its key.
struct Unverified(Arc<CryptoProvider>);

impl fmt::Debug for Unverified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Unverified")
    }
}

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
