//! What `conf/reference.yaml` says of each key: the words above it and its default. The JSON Schema takes both from there, so that a
//! key is documented in one place.
//!
//! The reference holds to a form, which tests check: a key that is off by default is commented out, with its `#` directly before it
//! (prose has a blank after the `#`); what stands there is its default, unless a comment after the value says otherwise.

use std::collections::HashMap;

use super::error::Report;
use super::raw::{self, Kind, Node};
use super::source::Source;

/// The file, as it is shipped.
pub(super) const TEXT: &str = include_str!("../../conf/reference.yaml");

/// What the reference says of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// The comment above it, without line ends.
    pub(super) doc: String,
    /// Its default, if it is a single value or a list of them, which stands here as JSON; `None` too for what is required or an example.
    pub(super) default: Option<String>,
}

/// All keys by their path: `routes[].heartbeat.interval`, `upstreams.NAME.servers[].weight`.
pub(super) fn entries() -> HashMap<String, Entry> {
    entries_of(&uncommented())
}

/// The same for any file.
pub(super) fn entries_of(text: &str) -> HashMap<String, Entry> {
    let source = Source::new("reference.yaml", text);
    let mut entries = HashMap::new();
    if let Some(root) = raw::read(&source, &|_| None, &mut Report::new(&source)) {
        collect(&root, "", &text.lines().collect::<Vec<_>>(), &mut entries);
    }
    entries
}

/// The reference with the keys that are off by default.
pub(super) fn uncommented() -> String {
    let uncomment = |line: &str| {
        let content = line.trim_start();
        let key = content.strip_prefix('#').map(|rest| rest.strip_prefix("- ").unwrap_or(rest));
        let is_key = key.is_some_and(|key| key.starts_with(|letter: char| letter.is_ascii_lowercase()));
        if is_key { format!("{}\n", line.replacen('#', "", 1)) } else { format!("{line}\n") }
    };
    TEXT.lines().map(uncomment).collect()
}

fn collect(node: &Node, path: &str, lines: &[&str], entries: &mut HashMap<String, Entry>) {
    match &node.kind {
        Kind::Map(keys) => {
            for key in keys {
                let name = if path == "upstreams." { "NAME" } else { &key.key };
                let path = format!("{path}{name}");
                let line = key.key_span.line - 1;
                let is_example = lines[line].contains(" # ");
                let default = if is_example { None } else { default(&key.node) };
                // Below stand names that the user chooses.
                if !path.ends_with("_headers.set") {
                    collect(&key.node, &format!("{path}."), lines, entries);
                }
                entries.insert(path, Entry { doc: doc(&lines[..line]), default });
            }
        }
        Kind::List(items) => {
            let path = format!("{}[].", path.trim_end_matches('.'));
            items.iter().for_each(|item| collect(item, &path, lines, entries));
        }
        Kind::Null | Kind::Scalar(_) | Kind::Refused => {}
    }
}

fn default(node: &Node) -> Option<String> {
    match &node.kind {
        Kind::Scalar(scalar) => Some(scalar.text.clone()),
        Kind::List(items) => {
            let text = |node: &Node| match &node.kind {
                Kind::Scalar(scalar) => Some(scalar.text.clone()),
                _ => None,
            };
            let items: Option<Vec<_>> = items.iter().map(text).collect();
            items.map(|items| serde_json::Value::from(items).to_string())
        }
        _ => None,
    }
}

/// The comment that ends `lines`.
fn doc(lines: &[&str]) -> String {
    let comment = lines.iter().rev().map_while(|line| line.trim_start().strip_prefix("# "));
    let mut words: Vec<_> = comment.collect();
    words.reverse();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_the_words_above_it_and_the_value_beside_it() {
        let entries = entries();
        let entry = |path: &str| entries[path].clone();
        assert_eq!(entry("admin.address").doc, "IP address and port; loopback only, unless you say otherwise.");
        assert_eq!(entry("admin.address").default.as_deref(), Some("127.0.0.1:9180"));
        assert_eq!(entry("trusted_proxies").default.as_deref(), Some("[]"));
        assert!(entry("routes[].heartbeat.frame").doc.contains("a blank line, `auto` the one"));
        assert_eq!(entry("routes[].sticky.same_site").default.as_deref(), Some("lax"));
        assert_eq!(entry("upstreams.NAME.servers[].weight").default.as_deref(), Some("1"));
    }

    #[test]
    fn what_is_only_an_example_is_no_default() {
        let entries = entries();
        for path in ["routes[].match.path", "routes[].sticky.domain", "upstreams.NAME.health.path", "upstreams.NAME.hash_on"] {
            assert_eq!(entries[path].default, None, "{path}");
        }
    }
}
