//! `request_headers` and `response_headers`: fields that are set or removed.
//!
//! A value is never in a message, since it may be a secret; the lines of requests' fields are hidden by [`crate::config::secrecy`].

use std::collections::HashSet;
use std::sync::Arc;

use http::{HeaderName, HeaderValue};

use super::section::Section;
use crate::config::error::{Report, quote};
use crate::config::secrecy::is_secret_field;
use crate::config::source::Span;
use crate::message::header_edits::is_reserved;
use crate::message::{HeaderEdits, SetField};

/// `request_headers`; `None` when it changes nothing.
pub(super) fn request(route: &Section<'_>, report: &mut Report<'_>) -> Option<Arc<HeaderEdits>> {
    edits(&route.section("request_headers"), &|_| None, report)
}

/// `response_headers`; `None` when it changes nothing.
pub(super) fn response(route: &Section<'_>, report: &mut Report<'_>) -> Option<Arc<HeaderEdits>> {
    let (has_cors, has_pins) = (route.has("cors"), route.switched_on("sticky").is_some());
    let taken = |name: &HeaderName| match name.as_str() {
        "set-cookie" if has_pins => Some("`sticky` writes it on this route, and its pins would go"),
        "vary" if has_cors => Some("`cors` writes it on this route"),
        name if has_cors && name.starts_with("access-control-") => Some("`cors` writes it on this route"),
        _ => None,
    };
    edits(&route.section("response_headers"), &taken, report)
}

/// `taken` says why a field belongs to another key of the route.
fn edits(
    section: &Section<'_>,
    taken: &dyn Fn(&HeaderName) -> Option<&'static str>,
    report: &mut Report<'_>,
) -> Option<Arc<HeaderEdits>> {
    let mut seen = HashSet::new();
    let mut usable = |text: &str, at: Span, report: &mut Report<'_>| {
        let name = field_name(text, at, report)?;
        if let Some(why) = taken(&name) {
            let help = "remove it here, or remove the other key";
            report.error(at, format!("{} cannot be changed here: {why}", quote(text)), help);
            return None;
        }
        if !seen.insert(name.clone()) {
            report.error(at, format!("{} is there twice", quote(text)), "keep one of them: `set` replaces all fields of its name");
            return None;
        }
        Some(name)
    };
    let mut edits = HeaderEdits::default();
    for (entry, leaf) in section.named_leaves("set") {
        let name = usable(&entry.key, entry.key_span, report);
        let value = field_value(&entry.key, leaf.text(), leaf.span(), report);
        if let (Some(name), Some(mut value)) = (name, value) {
            value.set_sensitive(leaf.is_from_environment() || is_secret_field(name.as_str()));
            edits.set.push(SetField { spelled: entry.key.clone(), value });
        }
    }
    let removed = section.any_leaves("remove");
    edits.remove = removed.iter().filter_map(|leaf| usable(leaf.text(), leaf.span(), report)).collect();
    (edits != HeaderEdits::default()).then(|| Arc::new(edits))
}

/// The name of a field that may be changed.
pub(super) fn field_name(text: &str, at: Span, report: &mut Report<'_>) -> Option<HeaderName> {
    let Ok(name) = HeaderName::from_bytes(text.as_bytes()) else {
        let message = format!("{} is no name of a field", quote(text));
        report.error(at, message, "write letters, digits and `-`, such as `X-Tenant`");
        return None;
    };
    if is_reserved(&name) {
        let help = match name.as_str() {
            "host" => "write `host: upstream` or `host: app.internal` in the route",
            "upgrade" => "name the protocols that may pass in `upgrades`",
            "expect" => "remove it: whether a client waits for 100 is between it and us",
            "content-length" | "transfer-encoding" | "trailer" | "te" => "remove it: bodies are framed here, for each hop anew",
            _ => "remove it: it belongs to one connection (RFC 9110 section 7.6.1) and is written here",
        };
        report.error(at, format!("{} cannot be changed", quote(text)), help);
        return None;
    }
    Some(name)
}

fn field_value(name: &str, text: &str, at: Span, report: &mut Report<'_>) -> Option<HeaderValue> {
    let (what, help) = match HeaderValue::from_bytes(text.as_bytes()) {
        Err(_) => ("has a line end or another control byte", "write one line of text"),
        Ok(_) if text.is_empty() => ("is empty", "name the field in `remove` to take it out"),
        Ok(_) if text.trim_matches([' ', '\t']) != text => ("has blanks around it, which no field has", "remove them"),
        Ok(value) => return Some(value),
    };
    report.error(at, format!("the value of {} {what}", quote(name)), help);
    None
}
