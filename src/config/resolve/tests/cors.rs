//! `cors`: origins as browsers write them.

use super::*;
use crate::config::defaults;
use crate::message::cors::{CorsPolicy, OriginPattern, Origins};

fn cors(inside: &str) -> Option<CorsPolicy> {
    first(&with_route(&format!("{{ upstream: app, cors: {inside} }}")).unwrap()).cors.clone()
}

#[test]
fn without_the_key_the_upstream_says_it() {
    assert_eq!(first(&with_route("{ upstream: app }").unwrap()).cors, None);
    assert_eq!(cors("off"), None);
}

#[test]
fn origins_are_kept_as_browsers_write_them() {
    let origins = |text: &str| match cors(&format!("{{ origins: {text} }}")).unwrap().origins {
        Origins::Any => vec!["*".to_owned()],
        Origins::Of(origins) => origins.iter().map(OriginPattern::to_string).collect(),
    };
    assert_eq!(origins("\"*\""), ["*"]);
    assert_eq!(origins("[ \"*\" ]"), ["*"]);
    assert_eq!(origins("HTTPS://App.Example.com"), ["https://app.example.com"]);
    assert_eq!(origins("[ \"http://localhost:3000\", \"http://[0::1]:8080\" ]"), ["http://localhost:3000", "http://[::1]:8080"]);
    assert_eq!(
        origins("[ \"https://*.Example.com:8443\", \"chrome-extension://abc\" ]"),
        ["https://*.example.com:8443", "chrome-extension://abc"]
    );
    assert_eq!(origins("http://a:443"), ["http://a:443"], "another scheme's port");
}

#[test]
fn what_is_left_out_is_the_default() {
    let policy = cors("{ origins: https://a }").unwrap();
    assert!(!policy.credentials);
    assert_eq!(policy.headers.iter().map(|name| &**name).collect::<Vec<_>>(), defaults::CORS_HEADERS);
    assert_eq!(policy.max_age, defaults::CORS_MAX_AGE);
    assert!(cors("{ origins: https://a, headers: [] }").unwrap().headers.is_empty());
}

#[test]
fn what_no_browser_sends_is_told_with_what_was_meant() {
    for (wrong, fix) in [
        ("app.example.com", "write `https://app.example.com`"),
        ("https://app.example.com/path", "write `https://app.example.com`"),
        ("http://app.example.com:80", "write `http://app.example.com`"),
        ("https://*.example.com.:443/", "write `https://*.example.com`"),
        ("\"https://[::1]:443/\"", "write `https://[::1]`"),
        ("https://user@app.example.com", "write an origin"),
        ("https://", "write an origin"),
        ("https://*", "write an origin"),
        ("https://a:+1", "write an origin"),
        ("https://a:65536", "write an origin"),
        ("\"null\"", "write an origin"),
    ] {
        let problem = only_problem(with_route(&format!("{{ upstream: app, cors: {{ origins: [ {wrong} ] }} }}")));
        assert!(problem.contains(fix), "{wrong}: {problem}");
    }
}
