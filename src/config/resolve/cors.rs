//! `cors`: which pages of other origins may read what a route answers.
//!
//! Origins are kept as browsers write them (RFC 6454 section 6.2), since that is what they are compared with: what no browser could
//! send is refused with the spelling that was meant.

use super::leaf::{self, Leaf};
use super::matching::distinct;
use super::pick::is_token;
use super::section::Section;
use crate::config::error::Report;
use crate::config::{address, defaults};
use crate::message::cors::{CorsPolicy, OriginPattern, Origins};

/// `cors`; `None` is off.
pub(super) fn resolve(route: &Section<'_>, report: &mut Report<'_>) -> Option<CorsPolicy> {
    let cors = route.switched_on("cors")?;
    let credentials = leaf::flag(cors.leaf("credentials"), defaults::CORS_CREDENTIALS, report);
    let origins = origins(&cors, report);
    if credentials && origins == Origins::Any {
        let message = "`credentials` with every origin: any page could read what belongs to a user, so browsers refuse it";
        report.error(cors.key_span("credentials"), message, "list the `origins`, or remove `credentials`");
    }
    let headers = match cors.written_leaves("headers") {
        None => defaults::CORS_HEADERS.map(Box::from).into(),
        Some(leaves) => distinct(&leaves, header, |name| name.to_ascii_lowercase(), report),
    };
    let max_age = leaf::duration(cors.leaf("max_age"), defaults::CORS_MAX_AGE, defaults::CORS_MAX_AGES, report);
    Some(CorsPolicy { origins, credentials, headers, max_age })
}

fn origins(cors: &Section<'_>, report: &mut Report<'_>) -> Origins {
    if !cors.has("origins") {
        // It says so.
        cors.required_leaf("origins", report);
    }
    let leaves = cors.leaves("origins", report);
    let Some(any) = leaves.iter().find(|leaf| leaf.text() == "*") else {
        return Origins::Of(distinct(&leaves, origin, OriginPattern::to_string, report));
    };
    if leaves.len() > 1 {
        any.refuse("takes every origin, so that the others say nothing", "keep `*`, or the others", report);
    }
    Origins::Any
}

fn origin(leaf: &Leaf<'_>, report: &mut Report<'_>) -> Option<OriginPattern> {
    const FORM: &str =
        "write an origin such as `https://app.example.com`, or `https://*.example.com` for every name one label below";
    match parse(leaf.text()) {
        Ok(origin) => return Some(origin),
        Err((what, meant)) => leaf.refuse_with_fix(what, meant.map(|meant| format!("write `{meant}`")), FORM, report),
    }
    None
}

/// What is wrong with it otherwise, and what was meant, if that is clear.
fn parse(text: &str) -> Result<OriginPattern, (String, Option<String>)> {
    // It may take more than one step.
    let meant = |text: &str| parse(text).map_or_else(|(_, meant)| meant, |origin| Some(origin.to_string()));
    let wrong = |what: &str, fixed: Option<String>| Err((what.to_owned(), fixed.and_then(|fixed| meant(&fixed))));
    let lower = text.to_ascii_lowercase();
    if lower == "null" {
        let what = "is what pages without an origin send, local files and sandboxed frames of anybody: nothing tells them apart";
        return wrong(what, None);
    }
    let Some((scheme, authority)) = lower.split_once("://") else {
        return wrong("has no scheme", Some(format!("https://{lower}")));
    };
    if !is_scheme(scheme) {
        return wrong("has a scheme that is none", None);
    }
    if let Some(end) = authority.find(['/', '?', '#']) {
        return wrong("has a path, and an origin has none", Some(format!("{scheme}://{}", &authority[..end])));
    }
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !authority.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    match (port, scheme) {
        (Some("443"), "https") | (Some("80"), "http") => {
            return wrong("has its scheme's own port, which browsers leave out", Some(format!("{scheme}://{host}")));
        }
        (Some(port), _) if port.starts_with('0') || port.parse::<u16>().is_err() || !port.bytes().all(|b| b.is_ascii_digit()) => {
            return wrong("has a port that is no number from 1 to 65535", None);
        }
        _ => {}
    }
    let port = port.map_or_else(String::new, |port| format!(":{port}"));
    let (star, name) = host.strip_prefix("*.").map_or(("", host), |name| ("*.", name));
    if name.contains('*') {
        return wrong("has a `*` that is not its whole first label", None);
    }
    match address::requested_host(name) {
        Ok(name) if star.is_empty() => Ok(OriginPattern::Exact(format!("{scheme}://{name}{port}"))),
        Ok(name) if address::is_name(&name) => {
            Ok(OriginPattern::Wildcard { scheme: scheme.to_owned(), rest: format!("{name}{port}") })
        }
        Ok(_) => wrong("has a `*` before an IP address", None),
        Err(error) => {
            let fixed = error.meant.as_ref().map(|name| format!("{scheme}://{star}{name}{port}"));
            Err((error.to_string(), fixed.and_then(|fixed| meant(&fixed))))
        }
    }
}

/// RFC 3986 section 3.1, in lower case.
fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'+' | b'-' | b'.'))
}

fn header(leaf: &Leaf<'_>, report: &mut Report<'_>) -> Option<Box<str>> {
    match leaf.text() {
        "*" => leaf.refuse(
            "is a wildcard only where no credentials are, and never for `Authorization`",
            "name the headers that pages send",
            report,
        ),
        name if is_token(name) => return Some(name.into()),
        _ => leaf.refuse("names no header: a name has letters, digits and `-`", "write `X-Api-Key`", report),
    }
    None
}
