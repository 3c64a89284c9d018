//! Paths in the normal form of RFC 3986 section 6.2.2: what routes compare, never what is forwarded.
//!
//! In normal form, escapes of unreserved characters are decoded, all others have upper-case digits, dot segments are gone, and each
//! byte that may not stand in a path is escaped, a `%` without two digits among them. So all spellings of one path meet, and reading a
//! normal form again changes nothing. `%2F` is not `/` and `//` is not `/`: to a server these may be different paths.
//!
//! It must never let a request reach a route by one spelling and miss it by another.

use std::borrow::Cow;

use super::PathPattern;

impl PathPattern {
    /// Whether nothing but challenges of ACME is meant (RFC 8555 section 8.3).
    #[must_use]
    pub fn is_acme_challenge(&self) -> bool {
        const CHALLENGES: &str = "/.well-known/acme-challenge";
        let (Self::Exact(path) | Self::Prefix(path)) = self else { return false };
        path.strip_prefix(CHALLENGES).is_some_and(|rest| match self {
            Self::Prefix(_) => rest.is_empty() || rest.starts_with('/'),
            _ => rest.starts_with('/'),
        })
    }

    /// Whether `path`, in normal form, is meant. A prefix without a slash at its end takes itself and all below it; with one it takes
    /// only what is below: `/events/` takes `/events/` and `/events/1`, not `/events`.
    pub(super) fn takes(&self, path: &[u8]) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(whole) => path == whole.as_bytes(),
            Self::Prefix(prefix) => path
                .strip_prefix(prefix.as_bytes())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/") || prefix.ends_with('/')),
        }
    }
}

/// The normal form of `path`, for patterns; `None` for what no request can have as its path: it does not begin with `/`, or it has a
/// query or a fragment. What is not ASCII is escaped, as clients do on the wire.
#[must_use]
pub fn normalize(path: &str) -> Option<String> {
    let is_path = path.starts_with('/') && !path.contains(['?', '#']);
    is_path.then(|| String::from_utf8_lossy(&normal_form(path.as_bytes())).into_owned())
}

/// The parts of a request target (RFC 9112 section 3.2) by which it is routed: its authority, which only the absolute form has, and its
/// path without the query.
pub(super) fn split(target: &[u8]) -> (Option<&[u8]>, &[u8]) {
    let (authority, path) = match after_scheme(target) {
        Some(rest) => {
            let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#')).unwrap_or(rest.len());
            (Some(&rest[..end]), &rest[end..])
        }
        None => (None, target),
    };
    let end = path.iter().position(|byte| matches!(byte, b'?' | b'#')).unwrap_or(path.len());
    // An absolute form may leave its path out, which then is `/`.
    let path = if end == 0 { &b"/"[..] } else { &path[..end] };
    (authority, path)
}

/// The path of a request target as it was spelled, and its query with the `?`; empty if it has none.
pub(super) fn path_and_query(target: &[u8]) -> (&[u8], &[u8]) {
    let (_, path) = split(target);
    let query = target.iter().position(|&byte| byte == b'?').map_or(&[][..], |at| &target[at..]);
    (path, query)
}

/// What follows `http://` or `https://`, in any case.
pub(super) fn after_scheme(target: &[u8]) -> Option<&[u8]> {
    [&b"http://"[..], b"https://"].into_iter().find_map(|scheme| {
        let (start, rest) = target.split_at_checked(scheme.len())?;
        start.eq_ignore_ascii_case(scheme).then_some(rest)
    })
}

/// The normal form of `path`, borrowed where it is `path` itself, which is nearly always. What does not begin with `/` has no segments:
/// the `*` of OPTIONS stays as it is.
pub(super) fn normal_form(path: &[u8]) -> Cow<'_, [u8]> {
    if !path.starts_with(b"/") || is_normal(path) {
        return Cow::Borrowed(path);
    }
    Cow::Owned(without_dot_segments(&with_normal_escapes(path)))
}

fn is_normal(path: &[u8]) -> bool {
    let mut rest = path;
    while let Some((&byte, after)) = rest.split_first() {
        rest = match byte {
            b'/' if matches!(after, [b'.'] | [b'.', b'/', ..] | [b'.', b'.'] | [b'.', b'.', b'/', ..]) => return false,
            b'%' => match escaped(after) {
                Some(decoded) if !is_unreserved(decoded) && !after[..2].iter().any(u8::is_ascii_lowercase) => &after[2..],
                _ => return false,
            },
            byte if stands_plain(byte) => after,
            _ => return false,
        };
    }
    true
}

/// Sections 6.2.2.1 and 6.2.2.2.
fn with_normal_escapes(path: &[u8]) -> Vec<u8> {
    let mut normal = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'%' => match escaped(after) {
                Some(decoded) => {
                    rest = &after[2..];
                    if is_unreserved(decoded) { normal.push(decoded) } else { escape(decoded, &mut normal) }
                }
                // Left as it is, it could make a new escape with what an escape behind it stands for.
                None => escape(b'%', &mut normal),
            },
            byte if stands_plain(byte) => normal.push(byte),
            byte => escape(byte, &mut normal),
        }
    }
    normal
}

/// Section 5.2.4, for a path that begins with `/`.
fn without_dot_segments(path: &[u8]) -> Vec<u8> {
    let mut kept: Vec<u8> = Vec::with_capacity(path.len());
    let mut segments = path[1..].split(|&byte| byte == b'/').peekable();
    while let Some(segment) = segments.next() {
        match segment {
            b"." => {}
            b".." => kept.truncate(kept.iter().rposition(|&byte| byte == b'/').unwrap_or(0)),
            segment => {
                kept.push(b'/');
                kept.extend_from_slice(segment);
                continue;
            }
        }
        // A dot segment at the end leaves its slash.
        if segments.peek().is_none() {
            kept.push(b'/');
        }
    }
    kept
}

/// What a segment does to the path before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// `.`
    Stay,
    /// `..`
    Up,
    /// Any other, the empty one too.
    Down,
}

/// Reads one segment, whose dots may be escaped.
pub(super) fn step(segment: &[u8]) -> Step {
    // `%2e%2e` is the longest dot segment.
    if segment.len() > 6 || !segment.starts_with(b".") && !segment.starts_with(b"%") {
        return Step::Down;
    }
    match &*with_normal_escapes(segment) {
        b"." => Step::Stay,
        b".." => Step::Up,
        _ => Step::Down,
    }
}

/// The byte that the two hexadecimal digits at the start of `text` stand for.
fn escaped(text: &[u8]) -> Option<u8> {
    let [high, low, ..] = *text else { return None };
    Some(hex(high)? << 4 | hex(low)?)
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

fn escape(byte: u8, text: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    text.extend([b'%', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
}

/// Section 2.3.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// What stands in a path unescaped (section 3.3): `pchar` and the slash.
fn stands_plain(byte: u8) -> bool {
    const SUB_DELIMS_AND_MORE: &[u8] = b"!$&'()*+,;=:@/";
    is_unreserved(byte) || SUB_DELIMS_AND_MORE.contains(&byte)
}

#[cfg(test)]
mod tests;
