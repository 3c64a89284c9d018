//! Which certificate is found for which name, and what is told of files that cannot be used.

use rustls::SignatureScheme;

use super::{Certificates, load};
use crate::tls::testing::Authority;
use crate::tls::{CertificateSpec, provider};

fn certificates(specs: &[&CertificateSpec]) -> Certificates {
    Certificates::new(specs.iter().map(|spec| load(spec, &provider(), &mut Vec::new()).unwrap()).collect())
}

/// The position of what is found.
fn found(certificates: &Certificates, name: Option<&str>) -> usize {
    let found = certificates.find(name, |_| true).unwrap();
    certificates.all.iter().position(|each| std::sync::Arc::ptr_eq(each, &found)).unwrap()
}

#[test]
fn the_name_that_is_asked_for_decides_and_the_first_is_for_all_else() {
    let authority = Authority::new();
    let one = authority.issue("one", &["one.example.com", "Other.example.com"]);
    let two = authority.issue("two", &["two.example.com"]);
    let wild = authority.issue("wild", &["*.example.com", "*.example.org"]);
    let certificates = certificates(&[&one, &two, &wild]);
    for (name, position) in [
        ("one.example.com", 0),
        ("OTHER.example.com", 0),
        ("two.example.com", 1),
        ("two.example.com.", 1),
        ("any.example.com", 2),
        ("any.example.org", 2),
        // A wildcard is one label, and not none.
        ("a.b.example.com", 0),
        ("example.org", 0),
        ("nothing", 0),
        ("", 0),
        (".", 0),
    ] {
        assert_eq!(found(&certificates, Some(name)), position, "{name}");
    }
    assert_eq!(found(&certificates, None), 0);
}

#[test]
fn of_two_kinds_of_key_a_client_gets_the_one_that_it_knows() {
    let authority = Authority::new();
    let ecdsa = authority.issue("ecdsa", &["example.com"]);
    let ed25519 = authority.issue_ed25519("ed25519", &["example.com"]);
    let certificates = certificates(&[&ecdsa, &ed25519]);
    for (scheme, position) in [
        (SignatureScheme::ECDSA_NISTP256_SHA256, 0),
        (SignatureScheme::ED25519, 1),
        // It gets one all the same, and says itself what it misses.
        (SignatureScheme::RSA_PSS_SHA256, 0),
    ] {
        let found = certificates.find(Some("example.com"), |each| each.key.choose_scheme(&[scheme]).is_some()).unwrap();
        assert!(std::sync::Arc::ptr_eq(&found, &certificates.all[position]), "{scheme:?}");
    }
}

#[test]
fn a_file_that_cannot_be_used_is_named_with_the_reason() {
    let authority = Authority::new();
    let good = authority.issue("good", &["example.com"]);
    let other = authority.issue("other", &["example.com"]);
    let text = std::fs::read_to_string(&good.cert).unwrap();
    let file = |name: &str, text: &str| authority.write(name, text);
    let cert = |cert| CertificateSpec { cert, key: good.key.clone() };
    let key = |key| CertificateSpec { cert: good.cert.clone(), key };
    let absent = good.cert.with_file_name("absent");
    for (spec, path, reason) in [
        (cert(absent.clone()), &absent, "cannot be read: No such file"),
        (cert(good.cert.parent().unwrap().to_owned()), &good.cert.parent().unwrap().to_owned(), "is no file"),
        (cert(file("empty", "")), &file("empty", ""), "has no certificate in it"),
        (cert(good.key.clone()), &good.key, "has no certificate in it"),
        (cert(file("torn", &text[..text.len() / 2])), &file("torn", &text[..text.len() / 2]), "a section has no end"),
        (cert(file("base64", &text.replace('M', "!"))), &file("base64", &text.replace('M', "!")), "is not base64"),
        (key(good.cert.clone()), &good.cert, "has no private key in it"),
        (key(other.key.clone()), &other.key, "is not the key of the certificate in"),
        (
            key(file("encrypted", "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAAA\n-----END ENCRYPTED PRIVATE KEY-----\n")),
            &good.key.with_file_name("encrypted"),
            "has an encrypted key",
        ),
        (
            key(file("nonsense", "-----BEGIN PRIVATE KEY-----\nMAAA\n-----END PRIVATE KEY-----\n")),
            &good.key.with_file_name("nonsense"),
            "has a key that cannot be used",
        ),
    ] {
        let error = load(&spec, &provider(), &mut Vec::new()).unwrap_err();
        assert_eq!(error.path.as_ref(), Some(path), "{error}");
        assert!(error.reason.contains(reason) && !error.help.is_empty(), "{error}");
    }
}

#[test]
fn a_pipe_is_no_file_and_nobody_waits_for_its_other_end() {
    let authority = Authority::new();
    let mut spec = authority.issue("site", &["example.com"]);
    spec.cert = authority.write("pipe", "");
    std::fs::remove_file(&spec.cert).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&spec.cert).status().unwrap().success());
    let (told, hears) = std::sync::mpsc::channel();
    std::thread::spawn(move || told.send(load(&spec, &provider(), &mut Vec::new()).map(drop)));
    let error = hears.recv_timeout(std::time::Duration::from_secs(30)).unwrap().unwrap_err();
    assert_eq!(error.reason, "is no file");
}

#[test]
fn files_are_read_as_other_programs_leave_them() {
    let authority = Authority::new();
    let good = authority.issue("good", &["example.com"]);
    let (cert, key) = (std::fs::read_to_string(&good.cert).unwrap(), std::fs::read_to_string(&good.key).unwrap());
    let load = |cert: &str, key: &str| {
        let spec = CertificateSpec { cert: authority.write("left.pem", cert), key: authority.write("left.key", key) };
        load(&spec, &provider(), &mut Vec::new()).map(|certified| certified.cert.len())
    };
    // Both in one file, as HAProxy has them, in either order.
    let (both, reversed) = (format!("{cert}{key}"), format!("{key}{cert}"));
    assert_eq!(load(&both, &both), Ok(1));
    assert_eq!(load(&reversed, &reversed), Ok(1));
    assert_eq!(load(&cert.replace('\n', "\r\n"), &key.replace('\n', "\r\n")), Ok(1));
    assert_eq!(load(&format!("\u{feff}{cert}"), &format!("\u{feff}{key}")), Ok(1));
    assert_eq!(load(&format!("subject=CN = example.com\n{cert}"), &key), Ok(1));
}
