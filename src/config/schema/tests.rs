//! The walk over the tables, apart from what values mean.

use super::super::source::Source;
use super::super::{raw, reference};
use super::*;

fn problems(text: &str) -> Vec<String> {
    let source = Source::new("f", text);
    let mut report = Report::new(&source);
    let root = raw::read(&source, &|_| None, &mut report).unwrap();
    check(&root, &mut report);
    report.finish().iter().map(ToString::to_string).collect()
}

#[test]
fn an_unknown_key_gets_the_nearest_of_its_section() {
    assert_eq!(problems("timeouts: { conect: 5s }"), ["1:13: unknown key `conect` in `timeouts` (did you mean `connect`?)"]);
    assert_eq!(
        problems("listeners: [ { adress: x } ]"),
        ["1:16: unknown key `adress` in an entry of `listeners` (did you mean `address`?)"]
    );
    assert_eq!(problems("upstreams: { app: { server: [] } }"), ["1:21: unknown key `server` in `app` (did you mean `servers`?)"]);
}

#[test]
fn a_key_of_another_section_is_sent_there() {
    assert_eq!(problems("heartbeat: off"), ["1:1: unknown key `heartbeat` (there is a key `routes[].heartbeat`: move it there)"]);
    assert_eq!(
        problems("drain: { servers: x }"),
        ["1:10: unknown key `servers` in `drain` (there is a key `upstreams.NAME.servers`: move it there)"]
    );
}

#[test]
fn a_key_near_nothing_gets_the_known_ones() {
    assert_eq!(
        problems("drain: { zzzzzz: 1 }"),
        ["1:10: unknown key `zzzzzz` in `drain` (known here: `lag`, `spread`, `deadline`)"]
    );
}

#[test]
fn a_key_of_a_later_release_is_told_from_an_unknown_one() {
    assert_eq!(
        problems("routes: [ { early_open: { what: ever } } ]"),
        ["1:13: `early_open` is not supported by this version yet (it comes with a later release) (remove it for now)"]
    );
}

#[test]
fn values_of_the_wrong_form_are_all_found() {
    assert_eq!(
        problems("listeners: {}\nthreads: [ 1 ]\ntimeouts: [ 1 ]\nupstreams: [ 1 ]\nadmin: 9180\nroutes: [ app ]\n"),
        [
            "1:1: `listeners` must be a list, not a map (write `listeners: [ { address: \"0.0.0.0:8080\" } ]`)",
            "2:1: `threads` must be a single value, not a list (write `threads: auto`)",
            "3:1: `timeouts` must be a map of keys, not a list (write `timeouts: { connect: 5s }`)",
            "4:1: `upstreams` must be a map of names, not a list (write `upstreams: { app: { servers: [ \"127.0.0.1:3000\" ] } }`)",
            "5:1: `admin` must be `off` or a map of keys, not a single value (write `admin: { address: \"127.0.0.1:9180\" }`)",
            "6:11: an entry of `routes` must be a map of keys, not a single value (write `routes: [ { upstream: app } ]`)",
        ]
    );
}

#[test]
fn nothing_after_a_section_is_an_empty_section_and_nothing_after_a_value_is_a_problem() {
    assert!(problems("timeouts:\nlimits: ~\nupstreams:\nroutes:\n").is_empty());
    assert_eq!(
        problems("threads:\nroutes: [ { heartbeat: } ]\n"),
        [
            "1:1: `threads` has no value (write `threads: auto`)",
            "2:13: `heartbeat` has no value (write `heartbeat: { interval: 15s }`)",
        ]
    );
}

#[test]
fn off_and_false_switch_off() {
    for off in ["off", "false", "\"off\"", "'false'"] {
        assert!(problems(&format!("admin: {off}\nroutes: [ {{ heartbeat: {off} }} ]\n")).is_empty(), "{off}");
    }
}

#[test]
fn a_file_that_is_no_map_gets_the_smallest_config() {
    for text in ["- a\n", "a\n", "---\n", "~\n"] {
        let found = problems(text);
        assert_eq!(found.len(), 1, "{text:?}");
        assert!(found[0].contains("upstreams: { app:"), "{found:?}");
    }
}

/// Every key of the tables with its path, and whether this version has it.
fn paths(keys: &'static [Key], prefix: &str) -> Vec<(String, bool)> {
    let mut all = Vec::new();
    for key in keys {
        let path = format!("{prefix}{}", key.name);
        if let Some((step, inner)) = descend(&key.form) {
            all.extend(paths(inner, &format!("{path}{step}.")));
        }
        all.push((path, !matches!(key.form, Form::Later)));
    }
    all
}

#[test]
fn the_reference_shows_every_key_that_this_version_has_and_no_other() {
    let mut shown: Vec<_> = reference::entries().into_keys().filter(|path| path != "upstreams.NAME").collect();
    let mut known: Vec<_> = paths(keys::FILE, "").into_iter().filter(|(_, is_here)| *is_here).map(|(path, _)| path).collect();
    shown.sort();
    known.sort();
    assert_eq!(shown, known);
}

#[test]
fn the_reference_says_what_every_key_does() {
    let entries = reference::entries();
    let silent: Vec<_> = entries.iter().filter(|(_, entry)| entry.doc.is_empty()).map(|(path, _)| path).collect();
    assert!(!entries.is_empty() && silent.is_empty(), "{silent:?}");
}

#[test]
fn a_key_that_the_tables_call_required_is_missed() {
    let missed = |text: &str, key: &str| {
        let problems = crate::config::parse("f", text, &|_| None).unwrap_err();
        let words = format!("needs `{key}`");
        assert!(problems.iter().any(|problem| problem.message.ends_with(&words)), "{words}: {problems}");
    };
    let mut required = Vec::new();
    for (text, path) in [
        ("threads: 1", "listeners"),
        ("threads: 1", "upstreams"),
        ("threads: 1", "routes"),
        ("listeners: [ {} ]", "listeners[].address"),
        ("listeners: [ { tls: {} } ]", "listeners[].tls.certificates"),
        ("listeners: [ { tls: { certificates: [ {} ] } } ]", "listeners[].tls.certificates[].cert"),
        ("listeners: [ { tls: { certificates: [ {} ] } } ]", "listeners[].tls.certificates[].key"),
        ("upstreams: { app: {} }", "upstreams.NAME.servers"),
        ("upstreams: { app: { servers: [ {} ] } }", "upstreams.NAME.servers[].address"),
        ("routes: [ { redirect: {} } ]", "routes[].redirect.to"),
        ("routes: [ { auth: {} } ]", "routes[].auth.upstream"),
        ("routes: [ { auth: {} } ]", "routes[].auth.path"),
        ("routes: [ { max_age: {} } ]", "routes[].max_age.after"),
        ("routes: [ { sticky: {} } ]", "routes[].sticky.cookie"),
        ("routes: [ { sticky: {} } ]", "routes[].sticky.secrets"),
        ("routes: [ { cors: {} } ]", "routes[].cors.origins"),
    ] {
        missed(text, path.rsplit('.').next().unwrap());
        required.push(path.to_owned());
    }
    let mut marked = required_paths(keys::FILE, "");
    marked.sort();
    required.sort();
    assert_eq!(marked, required);
}

fn required_paths(keys: &'static [Key], prefix: &str) -> Vec<String> {
    let mut all = Vec::new();
    for key in keys {
        let path = format!("{prefix}{}", key.name);
        if let Some((step, inner)) = descend(&key.form) {
            all.extend(required_paths(inner, &format!("{path}{step}.")));
        }
        if key.presence == Presence::Required {
            all.push(path);
        }
    }
    all
}

#[test]
fn no_table_names_a_key_twice() {
    let mut all: Vec<_> = paths(keys::FILE, "").into_iter().map(|(path, _)| path).collect();
    let count = all.len();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), count);
}
