//! `tls` of listeners and upstreams: which files, and whether they can be used.

use std::path::{Path, PathBuf};

use super::Outside;
use super::leaf::{self, Leaf};
use super::section::Section;
use crate::config::error::Report;
use crate::config::words::{CLIENT_AUTHS, ClientAuthWord, word_for};
use crate::tls::{CertificateSpec, ClientAuth, ClientTlsSpec, ServerTlsSpec, TlsError};

/// `listeners[].tls`; paths are relative to `base`.
pub(super) fn listener(
    listener: &Section<'_>,
    base: &Path,
    outside: &dyn Outside,
    report: &mut Report<'_>,
) -> Option<ServerTlsSpec> {
    let section = listener.switched_on("tls")?;
    let before = report.errors();
    let mut certificates = Vec::new();
    for (_, certificate) in section.required_sections("certificates", report) {
        let mut files = Files { base, leaves: Vec::new() };
        let cert = certificate.required_leaf("cert", report).and_then(|leaf| files.path(leaf, report));
        let key = certificate.required_leaf("key", report).and_then(|leaf| files.path(leaf, report));
        let Some((cert, key)) = cert.zip(key) else { continue };
        let pair = CertificateSpec { cert, key };
        // One by one, since a file may be named twice and be wrong once.
        let alone = ServerTlsSpec { certificates: vec![pair.clone()], client_auth: ClientAuth::None };
        if let Err(error) = outside.server_tls(&alone) {
            files.refuse(&error, &certificate, report);
        }
        certificates.push(pair);
    }
    let mut files = Files { base, leaves: Vec::new() };
    let spec = ServerTlsSpec { certificates, client_auth: client_auth(&section, &mut files, report) };
    if report.errors() == before
        && let Err(error) = outside.server_tls(&spec)
    {
        files.refuse(&error, &section, report);
    }
    Some(spec)
}

fn client_auth<'n>(section: &Section<'n>, files: &mut Files<'_, 'n>, report: &mut Report<'_>) -> ClientAuth {
    let word = leaf::choice(section.leaf("client_auth"), ClientAuthWord::None, &CLIENT_AUTHS, &[], report);
    let ca = section.leaf("client_ca").and_then(|leaf| files.path(leaf, report));
    let is_meant = section.leaf("client_auth").is_none_or(|leaf| leaf.text() == word_for(&CLIENT_AUTHS, &word));
    match (word, ca) {
        (ClientAuthWord::None, None) => {}
        _ if !is_meant => {}
        (ClientAuthWord::Optional, Some(ca)) => return ClientAuth::Optional(ca),
        (ClientAuthWord::Required, Some(ca)) => return ClientAuth::Required(ca),
        (ClientAuthWord::None, Some(_)) => report.error(
            section.key_span("client_ca"),
            "`client_ca` is for nothing while `client_auth` is `none`",
            "write `client_auth: required` or `optional`, or remove `client_ca`",
        ),
        (_, None) if section.has("client_ca") => {}
        (_, None) => report.error(
            section.key_span("client_auth"),
            "nobody is named whose certificates clients may show",
            "write `client_ca: FILE`, a PEM file of the authorities that issue them",
        ),
    }
    ClientAuth::None
}

/// `upstreams.NAME.tls`; `is_implied` where the protocol asks for it without a word.
pub(super) fn upstream(
    upstream: &Section<'_>,
    is_implied: bool,
    base: &Path,
    outside: &dyn Outside,
    report: &mut Report<'_>,
) -> Option<ClientTlsSpec> {
    let section = match upstream.switched_on("tls") {
        Some(section) => section,
        None if is_implied => upstream.section("tls"),
        None => return None,
    };
    let mut files = Files { base, leaves: Vec::new() };
    let before = report.errors();
    let server_name = section.leaf("server_name").and_then(|leaf| server_name(&leaf, report));
    let ca = section.leaf("ca").and_then(|leaf| files.path(leaf, report));
    let cert = section.leaf("cert").and_then(|leaf| files.path(leaf, report));
    let key = section.leaf("key").and_then(|leaf| files.path(leaf, report));
    for (one, other) in [("cert", "key"), ("key", "cert")] {
        if section.has(one) && !section.has(other) {
            let message = format!("`{one}` is for nothing without `{other}`");
            report.error(section.key_span(one), message, format!("write `{other}: FILE` too, or remove `{one}`"));
        }
    }
    let identity = cert.zip(key).map(|(cert, key)| CertificateSpec { cert, key });
    let spec = ClientTlsSpec { server_name, ca, identity };
    if report.errors() == before
        && let Err(error) = outside.client_tls(&spec)
    {
        files.refuse(&error, &section, report);
    }
    Some(spec)
}

fn server_name(leaf: &Leaf<'_>, report: &mut Report<'_>) -> Option<String> {
    let spec = ClientTlsSpec { server_name: Some(leaf.text().to_owned()), ..ClientTlsSpec::default() };
    if spec.name_for("").is_none() {
        leaf.refuse("is no name that a certificate can have", "write a host name without port, or an IP address", report);
        return None;
    }
    spec.server_name
}

/// The files that a section names.
struct Files<'b, 'n> {
    base: &'b Path,
    leaves: Vec<(PathBuf, Leaf<'n>)>,
}

impl<'n> Files<'_, 'n> {
    fn path(&mut self, leaf: Leaf<'n>, report: &mut Report<'_>) -> Option<PathBuf> {
        if leaf.text().is_empty() || leaf.text().contains(char::is_control) {
            leaf.refuse("is no path", "write the path of a PEM file", report);
            return None;
        }
        let path = self.base.join(leaf.text());
        self.leaves.push((path.clone(), leaf));
        Some(path)
    }

    /// At the file that is at fault.
    fn refuse(&self, error: &TlsError, section: &Section<'_>, report: &mut Report<'_>) {
        let leaf = self.leaves.iter().find(|(path, _)| Some(path) == error.path.as_ref());
        match leaf {
            Some((_, leaf)) => leaf.refuse(&error.reason, error.help, report),
            None => report.error(section.span(), error.to_string(), error.help),
        }
    }
}
