//! The grammar of `Forwarded` (RFC 7239 section 4), read from the right.
//!
//! From the right, because the end is what a trusted proxy wrote and the beginning may be anybody's: a quoted string that a client left
//! open at the left must not swallow what stands to the right of it.

use std::borrow::Cow;

/// The parts of `text` between separators outside of quoted strings, trimmed, the last one first.
pub(super) fn from_right(text: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest.take()?;
        let mut quoted = false;
        let mut at = text.len();
        while at > 0 {
            at -= 1;
            if text[at] == b'"' && !is_escaped(&text[..at]) {
                quoted = !quoted;
            } else if text[at] == separator && !quoted {
                rest = Some(&text[..at]);
                return Some(text[at + 1..].trim_ascii());
            }
        }
        Some(text.trim_ascii())
    })
}

/// Whether what follows `before` is escaped by the backslash at its end.
fn is_escaped(before: &[u8]) -> bool {
    before.iter().rev().take_while(|&&byte| byte == b'\\').count() % 2 == 1
}

/// The value of the parameter `name` of one element; `None` if it is absent, twice there, or malformed.
pub(super) fn parameter<'a>(element: &'a [u8], name: &str) -> Option<Cow<'a, [u8]>> {
    let mut values = from_right(element, b';').filter_map(|pair| {
        let equals = pair.iter().position(|&byte| byte == b'=')?;
        pair[..equals].trim_ascii().eq_ignore_ascii_case(name.as_bytes()).then(|| pair[equals + 1..].trim_ascii())
    });
    let value = values.next()?;
    if values.next().is_some() { None } else { unquoted(value) }
}

/// RFC 9110 section 5.6.4.
fn unquoted(value: &[u8]) -> Option<Cow<'_, [u8]>> {
    if !value.contains(&b'"') {
        return Some(Cow::Borrowed(value));
    }
    let inner = value.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    let mut text = Vec::with_capacity(inner.len());
    let mut bytes = inner.iter();
    while let Some(&byte) = bytes.next() {
        text.push(match byte {
            b'"' => return None,
            b'\\' => *bytes.next()?,
            byte => byte,
        });
    }
    Some(Cow::Owned(text))
}
