//! `upstream` or `redirect`: what becomes of the requests of a route.

use super::*;
use crate::route::Action;

fn redirect(inside: &str) -> Result<(String, u16), Vec<String>> {
    full("", &format!("{{ match: {{ path: /a }}, redirect: {{ {inside} }} }}, {{ upstream: app }}")).map(|config| {
        match &first(&config).action {
            Action::Redirect(redirect) => (redirect.to.to_string(), redirect.status),
            Action::Forward(_) => panic!("it forwards"),
        }
    })
}

#[test]
fn a_redirect_has_its_target_and_308_unless_it_says_otherwise() {
    let to = "https://example.com{uri}";
    assert_eq!(redirect(&format!("to: \"{to}\"")), Ok((to.to_owned(), 308)));
    for status in [301, 302, 303, 307, 308] {
        assert_eq!(redirect(&format!("to: \"{to}\", status: {status}")), Ok((to.to_owned(), status)));
    }
    for status in ["300", "304", "305", "306", "200", "permanent"] {
        let problem = only_problem(with_route(&format!("{{ redirect: {{ to: /a, status: {status} }} }}")));
        assert!(problem.contains("write one of `301`, `302`, `303`, `307`, `308`"), "{problem}");
    }
}

#[test]
fn a_route_says_exactly_one_of_upstream_and_redirect() {
    let problem = only_problem(with_route("{ heartbeat: off }"));
    assert!(problem.starts_with("4:11: an entry of `routes` needs `upstream` or `redirect`"), "{problem}");
    let problem = only_problem(with_route("{ upstream: app, redirect: { to: /a } }"));
    assert!(problem.starts_with("4:28: `upstream` and `redirect` exclude each other"), "{problem}");
}

#[test]
fn keys_that_a_redirect_would_ignore_are_refused() {
    for key in
        ["upgrades: []", "timeouts: {}", "heartbeat: off", "sticky: off", "caps: off", "max_age: off", "strict_no_transform: true"]
    {
        let problem = only_problem(with_route(&format!("{{ redirect: {{ to: /a }}, {key} }}")));
        let name = key.split(':').next().unwrap();
        assert!(problem.contains(&format!("`{name}` says nothing to a `redirect`")), "{problem}");
    }
}

#[test]
fn a_redirect_uses_no_upstream_and_an_unused_one_is_told() {
    let routes = "{ match: { path: /a }, redirect: { to: /b } }, { upstream: app }";
    assert!(full("", routes).is_ok());
    let text = "listeners: [ { address: \"127.0.0.1:0\" } ]\nupstreams: { app: { servers: [ \"a:1\" ] }, other: { servers: [ \"b:1\" ] } }\n\
                routes: [ { match: { path: /a }, redirect: { to: /b } }, { upstream: app } ]\n";
    let (_, warnings) = parse("f", text, &|_| None).unwrap();
    let words: Vec<_> = warnings.iter().map(|warning| warning.message.clone()).collect();
    assert_eq!(words, ["no route uses the upstream `other`"]);
}

#[test]
fn who_is_asked_counts_as_used_and_what_it_says_may_not_frame_a_message() {
    let text = "listeners: [ { address: \"127.0.0.1:0\" } ]\nupstreams: { app: { servers: [ \"a:1\" ] }, other: { servers: [ \"b:1\" ] } }\n\
                routes: [ { upstream: app, auth: { upstream: other, path: /a?b, copy: [ X-User ] } } ]\n";
    let (config, warnings) = parse("f", text, &|_| None).unwrap();
    assert!(warnings.is_empty(), "{warnings}");
    let auth = first(&config).auth.as_ref().unwrap();
    assert_eq!((&*auth.upstream.name, &*auth.path, auth.copy[0].as_str()), ("other", "/a?b", "x-user"));
    for off in ["off", "false"] {
        assert_eq!(first(&with_route(&format!("{{ upstream: app, auth: {off} }}")).unwrap()).auth, None);
    }
    let problem = only_problem(with_route("{ upstream: app, auth: { upstream: app, path: /a, copy: [ X-Forwarded-For ] } }"));
    assert!(problem.contains("`X-Forwarded-For` tells the server who the client is"), "{problem}");
    let problem = only_problem(with_route("{ upstream: app, auth: { upstream: app, path: /a, copy: [ Content-Length ] } }"));
    assert!(problem.contains("`Content-Length` cannot be changed"), "{problem}");
}
