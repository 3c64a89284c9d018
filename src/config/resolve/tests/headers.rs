//! `request_headers` and `response_headers`.

use super::*;

fn problems(route: &str) -> Vec<String> {
    with_route(route).unwrap_err()
}

#[test]
fn fields_keep_their_case_and_their_values() {
    let config = with_route(
        "{ upstream: app, request_headers: { set: { X-Tenant: acme, x-n: 7 }, remove: [ Referer ] }, response_headers: { remove: [ server ] } }",
    )
    .unwrap();
    let edits = first(&config).request_headers.clone().unwrap();
    let set: Vec<_> = edits.set.iter().map(|field| (field.spelled.as_str(), field.value.to_str().unwrap())).collect();
    assert_eq!((set, edits.remove[0].as_str()), (vec![("X-Tenant", "acme"), ("x-n", "7")], "referer"));
    assert_eq!(first(&config).response_headers.as_ref().unwrap().remove[0].as_str(), "server");
    for nothing in ["", "request_headers:", "request_headers: {}", "request_headers: { set: {}, remove: [] }"] {
        assert_eq!(first(&with_route(&format!("{{ upstream: app, {nothing} }}")).unwrap()).request_headers, None, "{nothing}");
    }
}

#[test]
fn what_may_be_a_secret_is_marked() {
    let config = with_route(
        "{ upstream: app, request_headers: { set: { Authorization: a, Cookie: b, X-Api-Key: c, X-Auth-Token: d, X-Any: \"${SECRET}\", X-Plain: e } } }",
    )
    .unwrap();
    let edits = first(&config).request_headers.clone().unwrap();
    let marked: Vec<_> = edits.set.iter().map(|field| field.value.is_sensitive()).collect();
    assert_eq!(marked, [true, true, true, true, true, false]);
    assert!(!crate::config::dump(&config).contains("12345"));
}

#[test]
fn a_refused_name_says_which_key_to_use() {
    for (name, key) in
        [("Host", "`host: upstream`"), ("Upgrade", "`upgrades`"), ("Content-Length", "framed here"), ("TE", "framed here")]
    {
        for place in ["request_headers: { set: { NAME: a } }", "response_headers: { remove: [ NAME ] }"] {
            let problem = only_problem(with_route(&format!("{{ upstream: app, {} }}", place.replace("NAME", name))));
            assert!(problem.contains(&format!("`{name}` cannot be changed")) && problem.contains(key), "{problem}");
        }
    }
}

#[test]
fn no_message_shows_a_value() {
    for value in ["\"s3cret\\r\\n\"", "\" s3cret\"", "\"s3cret\\0\"", "[ s3cret ]", "{ s3cret: a }", "s3cret${X}"] {
        let found = problems(&format!("{{ upstream: app, request_headers: {{ set: {{ X-Any: {value} }} }} }}"));
        assert!(found.iter().all(|problem| !problem.contains("s3cret")), "{found:?}");
    }
}

#[test]
fn what_another_key_writes_is_not_written_twice() {
    for (name, key) in [("Access-Control-Allow-Origin", "cors"), ("access-control-max-age", "cors"), ("Vary", "cors")] {
        let found = problems(&format!("{{ upstream: app, cors: {{}}, response_headers: {{ set: {{ {name}: a }} }} }}"));
        assert!(
            found.iter().any(|problem| problem.contains(&format!("`{name}` cannot be changed here: `{key}` writes it"))),
            "{found:?}"
        );
        assert!(with_route(&format!("{{ upstream: app, response_headers: {{ set: {{ {name}: a }} }} }}")).is_ok());
    }
    let sticky = "sticky: { cookie: c, secrets: [ 0123456789abcdef0123456789abcdef ] }";
    for edit in ["set: { Set-Cookie: a }", "remove: [ set-cookie ]"] {
        let problem = only_problem(with_route(&format!("{{ upstream: app, {sticky}, response_headers: {{ {edit} }} }}")));
        assert!(problem.contains("`sticky` writes it"), "{problem}");
    }
    assert!(with_route("{ upstream: app, response_headers: { set: { Set-Cookie: a } } }").is_ok());
}
