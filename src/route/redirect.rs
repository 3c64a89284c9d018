//! Requests that are sent elsewhere: where to, built from the target that came (RFC 9110 sections 10.2.2 and 15.4).
//!
//! What a client wrote goes into the new address byte for byte, so it must never decide where that leads: in a URL the placeholders
//! stand behind the authority, and a path never begins like an authority (`//` or `/\`, RFC 3986 section 4.2), however its parts meet.

use std::fmt;

use http::header::{HeaderValue, InvalidHeaderValue};

use super::path;
use crate::message;

/// `redirect` of a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirect {
    /// One of [`REDIRECT_STATUSES`].
    pub status: u16,
    /// Where to.
    pub to: RedirectTarget,
}

/// What a redirect may be answered with: each has a meaning of its own for the method and for how long it holds (RFC 9110 section 15.4).
pub const REDIRECT_STATUSES: [u16; 5] = [301, 302, 303, 307, 308];

/// A URL or an absolute path with placeholders in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedirectTarget {
    parts: Vec<Part>,
    /// It has no authority of its own: it stays on the host that was asked.
    is_path: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(Box<str>),
    /// Path and query.
    Uri,
    Path,
    /// With its `?`; nothing if there is none.
    Query,
}

impl Part {
    const PLACEHOLDERS: [(&'static str, Self); 3] = [("{uri}", Self::Uri), ("{path}", Self::Path), ("{query}", Self::Query)];
}

/// Why a text is no target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadTarget {
    /// Neither `http://`, `https://` nor one slash at its start.
    Form,
    /// The host of the URL.
    Host,
    /// A brace that belongs to no placeholder.
    Placeholder,
    /// A byte that must be escaped in a URL.
    Byte,
}

impl fmt::Display for BadTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Form => "is neither a URL nor an absolute path",
            Self::Host => "has no plain host in its URL",
            Self::Placeholder => "has a brace that belongs to no placeholder",
            Self::Byte => "has a letter that must be escaped in a URL",
        })
    }
}

impl RedirectTarget {
    /// Reads `https://example.com{uri}`, `/new{query}` and the like. `{uri}` is the path and the query as the client spelled them,
    /// `{path}` the path alone, `{query}` the query with its `?`.
    ///
    /// # Errors
    /// [`BadTarget`].
    pub fn parse(text: &str) -> Result<Self, BadTarget> {
        if !text.bytes().all(|byte| matches!(byte, 0x21..=0x7e) && !matches!(byte, b'"' | b'<' | b'>' | b'`' | b'\\')) {
            return Err(BadTarget::Byte);
        }
        let is_path = match path::after_scheme(text.as_bytes()) {
            Some(rest) => {
                let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#' | b'{')).unwrap_or(rest.len());
                if !message::is_authority(&rest[..end]) {
                    return Err(BadTarget::Host);
                }
                false
            }
            None if text.starts_with("//") => return Err(BadTarget::Form),
            None if text.starts_with('/') || text.starts_with("{uri}") || text.starts_with("{path}") => true,
            None => return Err(BadTarget::Form),
        };
        Ok(Self { parts: parts(text)?, is_path })
    }

    /// The value of `Location` for a request with `target`, in origin or absolute form, or `*`.
    ///
    /// # Errors
    /// If `target` has bytes that no field value has, which no judged target has.
    pub fn location(&self, target: &[u8]) -> Result<HeaderValue, InvalidHeaderValue> {
        let (path, query) = path::path_and_query(target);
        // `*` of OPTIONS is no path.
        let path = if path.starts_with(b"/") { path } else { b"/" };
        let mut location = Vec::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => location.extend_from_slice(text.as_bytes()),
                Part::Uri => location.extend([path, query].concat()),
                Part::Path => location.extend_from_slice(path),
                Part::Query => location.extend_from_slice(query),
            }
        }
        if self.is_path && matches!(*location, [b'/', b'/' | b'\\', ..]) {
            // The same path, which nobody reads as a host (RFC 3986 section 4.2).
            location.splice(..0, *b"/.");
        }
        HeaderValue::from_maybe_shared(bytes::Bytes::from(location))
    }
}

fn parts(text: &str) -> Result<Vec<Part>, BadTarget> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        if at > 0 {
            parts.push(Part::Text(rest[..at].into()));
        }
        let here = &rest[at..];
        let found = Part::PLACEHOLDERS.into_iter().find_map(|(name, part)| Some((part, here.strip_prefix(name)?)));
        let (part, behind) = found.ok_or(BadTarget::Placeholder)?;
        parts.push(part);
        rest = behind;
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest.into()));
    }
    Ok(parts)
}

/// As the file says it.
impl fmt::Display for RedirectTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in &self.parts {
            let name = Part::PLACEHOLDERS.into_iter().find_map(|(name, other)| (other == *part).then_some(name));
            match part {
                Part::Text(text) => f.write_str(text)?,
                _ => f.write_str(name.unwrap_or_default())?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{BadTarget, RedirectTarget};

    fn location(to: &str, target: &str) -> String {
        let location = RedirectTarget::parse(to).unwrap().location(target.as_bytes()).unwrap();
        location.to_str().unwrap().to_owned()
    }

    #[test]
    fn placeholders_are_the_clients_bytes() {
        for (to, target, want) in [
            ("https://example.com{uri}", "/a%2fb/%7e?x=%20&y", "https://example.com/a%2fb/%7e?x=%20&y"),
            ("https://example.com{uri}", "/", "https://example.com/"),
            ("https://example.com{uri}", "/a?", "https://example.com/a?"),
            ("HTTPS://[::1]:8443/x{path}#y", "/a?b", "HTTPS://[::1]:8443/x/a#y"),
            ("https://example.com", "/a?b", "https://example.com"),
            ("https://example.com{query}", "/a?b", "https://example.com?b"),
            ("/new{query}", "/old?a=1", "/new?a=1"),
            ("/new{query}", "/old", "/new"),
            ("/new?from={path}", "/old?x", "/new?from=/old"),
            ("{path}/", "/a?b", "/a/"),
            ("https://example.com{uri}", "http://other.test", "https://example.com/"),
            ("https://example.com{uri}", "http://other.test/a?b", "https://example.com/a?b"),
            ("https://example.com{uri}", "http://other.test?b", "https://example.com/?b"),
            ("https://example.com{uri}", "*", "https://example.com/"),
        ] {
            assert_eq!(location(to, target), want, "{to} for {target}");
        }
    }

    #[test]
    fn no_path_leads_to_another_host() {
        for (to, target, want) in [
            ("{uri}", "//evil.test/a", "/.//evil.test/a"),
            ("{path}{query}", "/\\evil.test", "/./\\evil.test"),
            ("/{path}", "/evil.test", "/.//evil.test"),
            ("/new{path}", "//evil.test", "/new//evil.test"),
            ("https://example.com{uri}", "//evil.test", "https://example.com//evil.test"),
            ("{uri}", "/.//evil.test", "/.//evil.test"),
        ] {
            assert_eq!(location(to, target), want, "{to} for {target}");
        }
    }

    #[test]
    fn what_could_lead_anywhere_is_no_target() {
        use BadTarget::{Byte, Form, Host, Placeholder};
        for (text, problem) in [
            ("", Form),
            ("example.com", Form),
            ("//example.com{uri}", Form),
            ("{query}", Form),
            ("ftp://example.com", Form),
            ("javascript:alert(1)", Form),
            ("https://{uri}", Host),
            ("https://", Host),
            ("https:///a", Host),
            ("https://user@example.com/", Host),
            ("https://example.com:{uri}", Host),
            ("https://exa mple.com", Byte),
            ("/a\r\nSet-Cookie: x", Byte),
            ("/\\evil.test", Byte),
            ("/ä", Byte),
            ("/{host}", Placeholder),
            ("/{uri", Placeholder),
            ("/uri}", Placeholder),
            ("/{URI}", Placeholder),
            ("/{{uri}}", Placeholder),
        ] {
            assert_eq!(RedirectTarget::parse(text), Err(problem), "{text}");
        }
    }

    #[test]
    fn a_target_is_shown_as_it_was_written() {
        for text in ["https://example.com{uri}", "/a{path}b{query}c", "{uri}"] {
            assert_eq!(RedirectTarget::parse(text).unwrap().to_string(), text);
        }
    }

    proptest! {
        #![proptest_config(crate::route::proptest_config(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/proptest-regressions/redirect.txt")))]

        #[test]
        fn the_host_is_the_one_that_the_file_names(
            to in prop::sample::select(vec!["https://example.com{uri}", "https://example.com/{path}", "https://example.com{query}", "https://example.com:8{path}"]),
            path in "[/\\\\.a@:%?{}]{0,12}",
        ) {
            let location = location(to, &format!("/{path}"));
            let rest = location.strip_prefix("https://").unwrap();
            let authority = rest.split(['/', '?', '#', '\\']).next().unwrap();
            prop_assert!(matches!(authority, "example.com" | "example.com:8"), "{}", location);
        }

        #[test]
        fn a_path_stays_on_its_host(
            to in prop::sample::select(vec!["{uri}", "{path}x", "/{path}", "/{uri}", "/x{uri}"]),
            path in "[/\\\\.a@:%?{}]{0,12}",
        ) {
            let location = location(to, &format!("/{path}"));
            prop_assert!(location.starts_with('/') && !location[1..].starts_with(['/', '\\']), "{}", location);
        }
    }
}
