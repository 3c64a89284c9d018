//! Reloads: new files hold from the next connection on, bad ones never.

use std::sync::Arc;

use super::ServerTls;
use crate::tls::testing::Authority;
use crate::tls::{ClientAuth, Reloaded, ServerTlsSpec};

#[test]
fn a_reload_takes_new_files_and_refuses_bad_ones() {
    let authority = Authority::new();
    let certificate = authority.issue("site", &["example.com"]);
    let tls = ServerTls::new(ServerTlsSpec { certificates: vec![certificate.clone()], client_auth: ClientAuth::None }).unwrap();
    let first = tls.current();
    assert_eq!(tls.reload().unwrap(), Reloaded::Same);
    assert!(Arc::ptr_eq(&first, &tls.current()));

    std::fs::write(&certificate.key, "nothing").unwrap();
    let error = tls.reload().unwrap_err();
    assert_eq!(error.path.as_ref(), Some(&certificate.key));
    assert!(Arc::ptr_eq(&first, &tls.current()));

    authority.issue("site", &["example.com"]);
    assert_eq!(tls.reload().unwrap(), Reloaded::Changed);
    assert!(!Arc::ptr_eq(&first, &tls.current()));
}

#[test]
fn authorities_of_clients_are_files_like_the_others() {
    let authority = Authority::new();
    let certificate = authority.issue("site", &["example.com"]);
    let spec = |client_auth| ServerTlsSpec { certificates: vec![certificate.clone()], client_auth };
    let tls = ServerTls::new(spec(ClientAuth::Required(authority.ca()))).unwrap();
    authority.write("ca.pem", &std::fs::read_to_string(Authority::new().ca()).unwrap());
    assert_eq!(tls.reload().unwrap(), Reloaded::Changed);
    for auth in [ClientAuth::Optional, ClientAuth::Required] {
        let error = ServerTls::new(spec(auth(certificate.key.clone()))).unwrap_err();
        assert_eq!((error.path.as_ref(), error.reason.as_str()), (Some(&certificate.key), "has no certificate in it"));
    }
}
