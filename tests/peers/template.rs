//! Templates of configurations, and those of all peers.

use std::fs;
use std::path::Path;

use crate::pure::template::fill;

#[test]
fn values_go_where_their_names_stand() {
    let filled = fill("listen <port>;\n  to <origin>:<port>\n", &[("port", "81"), ("origin", "h")], &[]);
    assert_eq!(filled.as_deref(), Ok("listen 81;\n  to h:81\n"));
}

#[test]
fn a_line_with_a_condition_stays_only_where_that_holds_and_keeps_its_indent() {
    let text = "a\n  @when tls@ b <x>\n@when clear@ c\n";
    assert_eq!(fill(text, &[("x", "1")], &["tls"]).as_deref(), Ok("a\n  b 1\n"));
    assert_eq!(fill(text, &[], &["clear"]).as_deref(), Ok("a\nc\n"));
}

#[test]
fn of_several_conditions_all_must_hold() {
    let text = "@when clear@ @when http2@ a\n";
    assert_eq!(fill(text, &[], &["clear", "http2"]).as_deref(), Ok("a\n"));
    assert_eq!(fill(text, &[], &["clear", "http1"]).as_deref(), Ok(""));
    assert_eq!(fill(text, &[], &["tls", "http2"]).as_deref(), Ok(""));
}

#[test]
fn what_nobody_knows_is_an_error() {
    for text in ["<what>", "a < b", "@when sometimes@ x", "@when tls"] {
        assert!(fill(text, &[("port", "1")], &["tls"]).is_err(), "{text}");
    }
}

#[test]
fn the_configurations_of_all_peers_can_be_filled_whatever_holds() {
    let values = ["port", "origin", "workers", "admin", "dir", "cert", "key", "pem"]
        .map(|name| (name, if name == "dir" { "/d" } else { "1" }));
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers/conf");
    let mut seen = 0;
    for entry in fs::read_dir(dir).expect("the configurations are there") {
        let path = entry.expect("the entry is readable").path();
        let text = fs::read_to_string(&path).expect("the configuration is text");
        for holds in [["clear", "http1"], ["clear", "http2"], ["tls", "http1"], ["tls", "http2"]] {
            let filled = fill(&text, &values, &holds).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            assert!(!filled.contains("@when") && !filled.contains('<'), "{}: {filled}", path.display());
        }
        seen += 1;
    }
    assert_eq!(seen, 7);
}
