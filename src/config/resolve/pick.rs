//! `header:NAME` and `cookie:NAME`: a field or a cookie of the request, as `hash_on` and `caps.client` name it.

use http::HeaderName;

use super::leaf::Leaf;
use crate::config::error::Report;

/// What of a request is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Pick {
    /// One of the plain words that the key allows.
    Word(&'static str),
    /// A request field.
    Header(HeaderName),
    /// A cookie.
    Cookie(String),
}

/// One of `words`, `header:NAME` or `cookie:NAME`; `None` when it was left out or refused.
pub(super) fn pick(leaf: Option<Leaf<'_>>, words: &[&'static str], report: &mut Report<'_>) -> Option<Pick> {
    let leaf = leaf?;
    let form = || {
        let words: Vec<_> = words.iter().map(|word| format!("`{word}`, ")).collect();
        format!("write {}`header:NAME` or `cookie:NAME`", words.concat())
    };
    if let Some(word) = words.iter().find(|word| **word == leaf.text()) {
        return Some(Pick::Word(word));
    }
    match leaf.text().split_once(':') {
        Some(("header", name)) => match HeaderName::from_bytes(name.trim().as_bytes()) {
            Ok(name) => return Some(Pick::Header(name)),
            Err(_) => leaf.refuse("names no header: a name has letters, digits and `-`", "write `header:X-Api-Key`", report),
        },
        Some(("cookie", name)) if is_token(name.trim()) => return Some(Pick::Cookie(name.trim().to_owned())),
        Some(("cookie", _)) => {
            leaf.refuse("names no cookie: a name has letters, digits, `-` and `_`", "write `cookie:session`", report)
        }
        _ => leaf.refuse("is no choice here", form(), report),
    }
    None
}

/// A token of RFC 9110 section 5.6.2, which names of cookies are too (RFC 6265 section 4.1.1).
pub(super) fn is_token(text: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(is_letter)
}
