//! Which route a request gets, through the whole table.

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use proptest::prelude::*;

use super::path::normalize;
use super::{Action, HostPattern, PathPattern, Route, RouteMatch, RouteTable, RouteTimeouts};
use crate::admission::CapsPolicy;
use crate::client_id::{ClientPolicy, ClientSource};
use crate::stream::StreamPolicy;
use crate::upstream::{Balance, EjectionSpec, UpstreamSpec};

fn table(matchers: Vec<RouteMatch>) -> RouteTable {
    let second = Duration::from_secs(1);
    let upstream = Arc::new(UpstreamSpec {
        name: "app".into(),
        servers: Vec::new(),
        resolve: second,
        balance: Balance::default(),
        protocol: Default::default(),
        http2: Default::default(),
        tls: None,
        keep_alive: None,
        health: None,
        ejection: EjectionSpec { failures: 3, duration: second },
    });
    let stream = Arc::new(StreamPolicy {
        heartbeat: None,
        strict_no_transform: false,
        max_upstream_silence: None,
        max_age: None,
        write_stall: second,
    });
    let route = |(position, matcher): (usize, RouteMatch)| Route {
        name: position.to_string().into(),
        position,
        matcher,
        rewrite: None,
        action: Action::Forward(Arc::clone(&upstream)),
        host: Default::default(),
        auth: None,
        request_headers: None,
        response_headers: None,
        upgrades: Arc::default(),
        stream: Arc::clone(&stream),
        timeouts: RouteTimeouts {
            connect: second,
            request_body_idle: second,
            response_head: second,
            response_body_idle: second,
            write_stall: second,
            tunnel_idle: second,
        },
        sticky: None,
        caps: CapsPolicy::default(),
        client: ClientPolicy { source: ClientSource::Ip, ipv6_prefix: 64 },
        cors: None,
        soft_errors: false,
    };
    RouteTable::new(matchers.into_iter().enumerate().map(route).collect())
}

fn prefix(path: &str) -> RouteMatch {
    RouteMatch { path: PathPattern::Prefix(path.to_owned()), ..RouteMatch::default() }
}

fn host(name: &str) -> RouteMatch {
    RouteMatch { hosts: vec![HostPattern::Exact(name.to_owned())], ..RouteMatch::default() }
}

/// The position of the route for a GET.
fn get(table: &RouteTable, host: Option<&str>, target: &str) -> Option<usize> {
    table.find(host.map(str::as_bytes), target.as_bytes(), &Method::GET).map(|route| route.position)
}

#[test]
fn the_first_match_wins_and_no_match_is_none() {
    let table = table(vec![prefix("/a/b"), prefix("/a"), prefix("/a/b/c")]);
    assert_eq!(get(&table, None, "/a/b/c"), Some(0));
    assert_eq!(get(&table, None, "/a/bc"), Some(1));
    assert_eq!(get(&table, None, "/b"), None);
    assert_eq!(table.iter().map(|route| route.position).collect::<Vec<_>>(), [0, 1, 2]);
}

#[test]
fn the_query_has_no_say() {
    let table = table(vec![RouteMatch { path: PathPattern::Exact("/a".into()), ..RouteMatch::default() }, prefix("/secret")]);
    assert_eq!(get(&table, None, "/a?/../secret"), Some(0));
    assert_eq!(get(&table, None, "/b?/a"), None);
    assert_eq!(get(&table, None, "/secret/..?x"), None);
}

#[test]
fn all_that_is_given_must_hold() {
    let matcher = RouteMatch { methods: vec![Method::GET, Method::POST], ..host("a") };
    let table = table(vec![RouteMatch { path: PathPattern::Prefix("/x".into()), ..matcher }]);
    assert_eq!(get(&table, Some("a"), "/x"), Some(0));
    assert_eq!(get(&table, Some("b"), "/x"), None);
    assert_eq!(get(&table, Some("a"), "/y"), None);
    assert!(table.find(Some(b"a"), b"/x", &Method::POST).is_some());
    assert!(table.find(Some(b"a"), b"/x", &Method::HEAD).is_none());
}

#[test]
fn any_of_several_hosts_will_do_and_a_request_without_one_finds_only_routes_without() {
    let both =
        RouteMatch { hosts: vec![HostPattern::Exact("a".into()), HostPattern::Wildcard("b".into())], ..RouteMatch::default() };
    let table = table(vec![both, RouteMatch::default()]);
    assert_eq!(get(&table, Some("A:80"), "/"), Some(0));
    assert_eq!(get(&table, Some("x.b"), "/"), Some(0));
    assert_eq!(get(&table, Some("b"), "/"), Some(1));
    assert_eq!(get(&table, None, "/"), Some(1));
}

#[test]
fn the_authority_of_an_absolute_target_comes_before_the_host_field() {
    let table = table(vec![RouteMatch { path: PathPattern::Exact("/p".into()), ..host("a") }, host("b")]);
    assert_eq!(get(&table, Some("b"), "http://A:8/p?q"), Some(0));
    assert_eq!(get(&table, Some("a"), "HTTPS://b"), Some(1));
    assert_eq!(get(&table, None, "http://a/%70"), Some(0));
}

#[test]
fn options_of_the_whole_server_finds_only_routes_of_every_path() {
    let table = table(vec![prefix("/"), RouteMatch::default()]);
    assert_eq!(table.find(None, b"*", &Method::OPTIONS).map(|route| route.position), Some(1));
}

proptest! {
    #![proptest_config(super::proptest_config(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/proptest-regressions/route.txt")))]

    #[test]
    fn no_spelling_of_a_path_reaches_a_route_that_its_normal_form_does_not(
        pieces in proptest::collection::vec(
            prop::sample::select(vec!["/", "a", "%61", "b", "..", ".", "%2e", "%2E%2E", "%2f", "%2F", "%", "%6", "\\", "{", "%7b", "//"]),
            0..14,
        ),
        query in "(\\?[a./%]{0,6})?",
        origin in prop::sample::select(vec!["", "http://h", "HTTPS://h:8"]),
    ) {
        let table = table(vec![
            RouteMatch { path: PathPattern::Exact("/a".into()), ..RouteMatch::default() },
            prefix("/a/b"),
            prefix("/a/"),
            RouteMatch { path: PathPattern::Exact("/a%2Fb".into()), ..RouteMatch::default() },
            prefix("/%7B"),
            prefix("/b"),
        ]);
        let path = format!("/{}", pieces.concat());
        let spelled = get(&table, Some("h"), &format!("{origin}{path}{query}"));
        prop_assert_eq!(spelled, get(&table, Some("h"), &normalize(&path).unwrap()));
    }
}
