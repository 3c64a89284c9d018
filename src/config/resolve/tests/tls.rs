//! `tls` of listeners and upstreams. What is wrong with the files themselves is in `tests/fixtures/config/invalid/certificates.yaml`.

use super::*;
use crate::tls::{CertificateSpec, ClientAuth, ClientTlsSpec, ServerTlsSpec};
use crate::upstream::{Protocol, UpstreamSpec};

fn listener(tls: &str) -> Result<Config, Vec<String>> {
    let text = format!(
        "listeners: [ {{ address: \"127.0.0.1:0\", tls: {tls} }} ]\nupstreams: {{ app: {{ servers: [ \"a:1\" ] }} }}\nroutes: [ {{ upstream: app }} ]\n"
    );
    match parse("/etc/ssedge/f.yaml", &text, &|_| None) {
        Ok((config, warnings)) if warnings.is_empty() => Ok(config),
        Ok((_, problems)) | Err(problems) => Err(problems.iter().map(ToString::to_string).collect()),
    }
}

fn certificate(name: &str) -> CertificateSpec {
    CertificateSpec { cert: format!("/etc/ssedge/{name}.pem").into(), key: format!("/etc/ssedge/{name}.key").into() }
}

#[test]
fn a_listener_has_certificates_and_may_ask_clients_for_theirs() {
    let spec = |tls: &str| listener(tls).unwrap().listeners[0].tls.clone();
    let two = "certificates: [ { cert: a.pem, key: a.key }, { cert: ./b.pem, key: /etc/ssedge/b.key } ]";
    let mut certificates = vec![certificate("a"), certificate("b")];
    certificates[1].cert = "/etc/ssedge/./b.pem".into();
    assert_eq!(spec("off"), None);
    assert_eq!(
        spec(&format!("{{ {two} }}")),
        Some(ServerTlsSpec { certificates: certificates.clone(), client_auth: ClientAuth::None })
    );
    assert_eq!(
        spec(&format!("{{ {two}, client_ca: /ca.pem, client_auth: required }}")),
        Some(ServerTlsSpec { certificates, client_auth: ClientAuth::Required("/ca.pem".into()) })
    );
}

#[test]
fn what_a_listener_misses_is_told() {
    const ONE: &str = "certificates: [ { cert: a.pem, key: a.key } ]";
    let problem = |tls: &str| only_problem(listener(tls));
    assert!(problem("{}").contains("`tls` needs `certificates`"));
    assert!(problem("{ certificates: [] }").contains("`certificates` is empty"));
    assert!(problem("{ certificates: [ { cert: a.pem } ] }").contains("an entry of `certificates` needs `key`"));
    assert!(problem("{ certificates: [ { cert: \"\", key: a.key } ] }").contains("is no path"));
    assert!(problem(&format!("{{ {ONE}, client_auth: required }}")).contains("nobody is named"));
    assert!(problem(&format!("{{ {ONE}, client_ca: ca.pem }}")).contains("`client_ca` is for nothing"));
    assert!(problem(&format!("{{ {ONE}, client_auth: sometimes, client_ca: ca.pem }}")).contains("is no choice"));
}

fn upstream(extra: &str) -> Result<UpstreamSpec, Vec<String>> {
    with_upstream(extra).map(|config| (*config.upstreams[0]).clone())
}

#[test]
fn an_upstream_is_encrypted_when_it_says_so_or_its_protocol_does() {
    let named = |name: &str| Some(ClientTlsSpec { server_name: Some(name.to_owned()), ..ClientTlsSpec::default() });
    for (extra, protocol, tls) in [
        ("tls: off", Protocol::Http1, None),
        ("tls: {}", Protocol::Http1, Some(ClientTlsSpec::default())),
        ("protocol: h2", Protocol::Http2, Some(ClientTlsSpec::default())),
        ("protocol: h2, tls: { server_name: a.test }", Protocol::Http2, named("a.test")),
        ("tls: { server_name: \"192.0.2.1\" }", Protocol::Http1, named("192.0.2.1")),
    ] {
        let spec = upstream(extra).unwrap();
        assert_eq!((spec.protocol, spec.tls), (protocol, tls), "{extra}");
    }
    let spec = upstream("tls: { ca: /ca.pem, cert: /a.pem, key: /a.key }").unwrap().tls.unwrap();
    assert_eq!((spec.ca, spec.identity.map(|identity| identity.key)), (Some("/ca.pem".into()), Some("/a.key".into())));
}

#[test]
fn what_does_not_fit_an_upstream_is_told() {
    let problem = |extra: &str| only_problem(upstream(extra).map(|_| with("").unwrap()));
    assert!(problem("protocol: h2c, tls: {}").contains("`protocol: h2c` is HTTP/2 in cleartext"));
    assert!(problem("protocol: h2, tls: off").contains("`protocol: h2` goes over TLS"));
    assert!(problem("tls: { cert: a.pem }").contains("`cert` is for nothing without `key` (write `key: FILE` too"));
    assert!(problem("tls: { key: a.key }").contains("`key` is for nothing without `cert`"));
    assert!(problem("tls: { server_name: \"a b\" }").contains("is no name that a certificate can have"));
    assert!(problem("tls: { server_name: \"a.test:443\" }").contains("is no name that a certificate can have"));
    let unix = only_problem(build("", "servers: [ \"unix:/a.sock\" ], tls: {}", "{ upstream: app }"));
    assert!(
        unix.contains("no certificate can have the name of the server `unix:/a.sock` (write `tls: { server_name: NAME }`"),
        "{unix}"
    );
    build("", "servers: [ \"unix:/a.sock\", \"[::1]:1\" ], tls: { server_name: a.test }", "{ upstream: app }").unwrap();
    build("", "servers: [ \"[::1]:1\", \"192.0.2.1:1\" ], tls: {}", "{ upstream: app }").unwrap();
}

#[test]
fn files_are_watched_unless_the_file_says_otherwise() {
    assert!(with("").unwrap().watch && with("reload: {}").unwrap().watch);
    assert!(!with("reload: { watch: false }").unwrap().watch);
}
