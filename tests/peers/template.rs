//! Templates of configurations.

use crate::pure::template::fill;

#[test]
fn values_go_where_their_names_stand() {
    let filled = fill("listen @port@;\n  to @origin@:@port@\n", &[("port", "81"), ("origin", "h")], &[]);
    assert_eq!(filled.as_deref(), Ok("listen 81;\n  to h:81\n"));
}

#[test]
fn a_line_with_a_condition_stays_only_where_that_holds_and_keeps_its_indent() {
    let text = "a\n  @when tls@ b @x@\n@when clear@ c\n";
    assert_eq!(fill(text, &[("x", "1")], &["tls"]).as_deref(), Ok("a\n  b 1\n"));
    assert_eq!(fill(text, &[], &["clear"]).as_deref(), Ok("a\nc\n"));
}

#[test]
fn what_nobody_knows_is_an_error() {
    for text in ["@what@", "a @ b", "@when sometimes@ x", "@when tls"] {
        assert!(fill(text, &[("port", "1")], &["tls"]).is_err(), "{text}");
    }
}
