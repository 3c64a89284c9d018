//! Paths that a server knows by another prefix than its clients: what is taken from the front, and what is put there.
//!
//! Whether a path has the prefix is seen in its normal form, as routes see it; what is left of it stays byte for byte. It must never
//! let a path climb out of the prefix that it gets, whoever reads it: one that would (`/../x`) goes on in its normal form, where it
//! cannot, and one that still could (`/..%2Fx`) is refused. nginx decodes `%2F` and takes `//` for `/` before it looks for dot segments,
//! Tomcat cuts parameters off (`/..;/x`), and some know `\` as a slash.

use std::borrow::Cow;

use super::PathPattern;
use super::path::{self, Step};

/// `rewrite` of a route. Prefixes are in normal form, begin with a slash and end without one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rewrite {
    /// Taken from the front, by whole segments, of a path that has it; any other passes as it is.
    pub strip_prefix: Option<Box<str>>,
    /// Then put to the front.
    pub add_prefix: Option<Box<str>>,
}

impl Rewrite {
    /// The target of a request with `target`, in origin form with its query; `*` stays `*`. `None` if a server could read it as a path
    /// outside of the prefix that it gets.
    #[must_use]
    pub fn apply<'t>(&self, target: &'t [u8]) -> Option<Cow<'t, [u8]>> {
        let (path, query) = path::path_and_query(target);
        if !path.starts_with(b"/") {
            return Some(Cow::Borrowed(target));
        }
        let left = self.strip_prefix.as_deref().and_then(|prefix| without(path, prefix)).unwrap_or(path);
        Some(match &self.add_prefix {
            None if left.len() == path.len() => Cow::Borrowed(target),
            None => Cow::Owned([left, query].concat()),
            Some(prefix) => {
                let left = if climbs(left) { path::normal_form(left) } else { Cow::Borrowed(left) };
                if climbs(&left) {
                    return None;
                }
                Cow::Owned([prefix.as_bytes(), &left, query].concat())
            }
        })
    }
}

impl PathPattern {
    /// Whether a path that is meant can begin with `prefix`, in normal form, by whole segments.
    #[must_use]
    pub fn can_begin_with(&self, prefix: &str) -> bool {
        let begins = |path: &str| Self::Prefix(prefix.to_owned()).takes(path.as_bytes());
        match self {
            Self::Any => true,
            Self::Exact(path) => begins(path),
            Self::Prefix(path) => begins(path) || self.takes(prefix.as_bytes()),
        }
    }
}

/// What is left of `path` behind `prefix`, as it was spelled, if its normal form begins with that.
///
/// The cut is behind the segment that brought the last segment of the prefix to stay: no dot segment behind it reaches before it, so
/// that both parts mean what they meant together.
fn without<'p>(path: &'p [u8], prefix: &str) -> Option<&'p [u8]> {
    if !PathPattern::Prefix(prefix.to_owned()).takes(&path::normal_form(path)) {
        return None;
    }
    let wanted = prefix.bytes().filter(|&byte| byte == b'/').count();
    let (mut depth, mut at, mut cut) = (0_usize, 0, 0);
    for segment in path[1..].split(|&byte| byte == b'/') {
        at += 1 + segment.len();
        match path::step(segment) {
            Step::Stay => {}
            Step::Up => depth = depth.saturating_sub(1),
            Step::Down => {
                depth += 1;
                if depth == wanted {
                    cut = at;
                }
            }
        }
    }
    let left = &path[cut..];
    Some(if left.is_empty() { b"/" } else { left })
}

/// Whether a dot segment reaches above the root for anybody who reads `path`, as the head of this file tells.
///
/// The depth is the least that anybody can have reached. What somebody takes for a slash is a level of its own to them and none to all
/// others, so that the parts of a segment between two dot segments are one level together; behind a `;` they may be none.
fn climbs(path: &[u8]) -> bool {
    let mut depth = 0_usize;
    path.split(|&byte| byte == b'/').any(|segment| {
        let parts = with_plain_slashes(segment);
        let mut is_counted = false;
        parts.split(|&byte| byte == b'/').any(|part| {
            let parameters = part.iter().position(|&byte| byte == b';');
            let name = &part[..parameters.unwrap_or(part.len())];
            match path::step(name) {
                Step::Stay => {}
                Step::Down => {
                    // To some a level without a name is nothing, and never one to come back from.
                    depth += usize::from(!is_counted && !name.is_empty());
                    is_counted |= !name.is_empty();
                }
                Step::Up => {
                    let Some(above) = depth.checked_sub(1) else { return true };
                    (depth, is_counted) = (above, false);
                }
            }
            is_counted |= parameters.is_some();
            false
        })
    })
}

/// A segment with `/` for all that somebody takes for one, and `;` for its escape.
fn with_plain_slashes(segment: &[u8]) -> Cow<'_, [u8]> {
    if !segment.iter().any(|byte| matches!(byte, b'%' | b'\\')) {
        return Cow::Borrowed(segment);
    }
    let mut plain = Vec::with_capacity(segment.len());
    let mut rest = segment;
    while let Some((&byte, after)) = rest.split_first() {
        let (means, behind) = match (byte, after) {
            (b'%', [b'2', b'f' | b'F', behind @ ..] | [b'5', b'c' | b'C', behind @ ..]) => (b'/', behind),
            (b'%', [b'3', b'b' | b'B', behind @ ..]) => (b';', behind),
            (b'\\', _) => (b'/', after),
            _ => (byte, after),
        };
        plain.push(means);
        rest = behind;
    }
    Cow::Owned(plain)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Rewrite;
    use crate::route::path::normalize;

    fn rewrite(strip: &str, add: &str) -> Rewrite {
        let some = |prefix: &str| (!prefix.is_empty()).then(|| prefix.into());
        Rewrite { strip_prefix: some(strip), add_prefix: some(add) }
    }

    fn applied(strip: &str, add: &str, target: &str) -> String {
        String::from_utf8(rewrite(strip, add).apply(target.as_bytes()).unwrap().into_owned()).unwrap()
    }

    #[test]
    fn a_prefix_is_taken_by_whole_segments_and_the_rest_stays_byte_for_byte() {
        for (target, want) in [
            ("/api/events", "/events"),
            ("/api/%65vents/%2f%7E?x=%20", "/%65vents/%2f%7E?x=%20"),
            ("/%61pi/events", "/events"),
            ("/api", "/"),
            ("/api/", "/"),
            ("/api?a=/api", "/?a=/api"),
            ("/apis", "/apis"),
            ("/API/x", "/API/x"),
            ("/x/api/y", "/x/api/y"),
            ("//api/x", "//api/x"),
            ("/api%2Fx", "/api%2Fx"),
            ("/api//x", "//x"),
            ("/api/api/x", "/api/x"),
            ("*", "*"),
        ] {
            assert_eq!(applied("/api", "", target), want, "{target}");
        }
        assert_eq!(applied("/a/b", "", "/a/b/c"), "/c");
        assert_eq!(applied("/a/b", "", "/a/c"), "/a/c");
    }

    #[test]
    fn dot_segments_count_as_what_they_mean() {
        for (target, want) in [
            // It is `/x`, which has no prefix.
            ("/api/../x", "/api/../x"),
            ("/x/../api/y", "/y"),
            ("/./api/./y", "/./y"),
            ("/api/../api/x", "/x"),
            ("/api/%2e%2E/%61pi/x", "/x"),
            ("/api/x/..", "/x/.."),
            ("/../api/x", "/x"),
            ("/api/x/../../api/y", "/y"),
        ] {
            assert_eq!(applied("/api", "", target), want, "{target}");
        }
    }

    #[test]
    fn nothing_climbs_out_of_the_prefix_that_it_gets() {
        for (target, want) in [
            ("/x?q", "/app/x?q"),
            ("/", "/app/"),
            ("/a/../b", "/app/a/../b"),
            ("/../secret", "/app/secret"),
            ("/a/%2e%2e/.%2E/secret%7e", "/app/secret~"),
            ("//../secret", "/app/secret"),
            ("/a//../../secret", "/app/secret"),
            ("/a/..//../secret", "/app/secret"),
            ("/group%2Fproject/..", "/app/group%2Fproject/.."),
            // Two levels to who decodes the slash, one to all others.
            ("/group%2Fproject/../../secret", "/app/secret"),
            ("/a\\b/../../secret", "/app/secret"),
            ("/a%2Fb/c/../..", "/app/a%2Fb/c/../.."),
            ("/a%2F.%2Fb/../../secret", "/app/secret"),
            ("/a/..%2fb;..", "/app/a/..%2fb;.."),
            ("/...;/..a", "/app/...;/..a"),
            ("*", "*"),
        ] {
            assert_eq!(applied("", "/app", target), want, "{target}");
        }
        assert_eq!(applied("/api", "/app/v1", "/api"), "/app/v1/");
        assert_eq!(applied("/api", "/app/v1", "/api/x?y"), "/app/v1/x?y");
        assert_eq!(applied("/api", "/app", "/api/../../x"), "/app/x");
    }

    #[test]
    fn what_a_server_could_read_as_a_climb_is_refused() {
        for target in [
            "/..%2fsecret",
            "/%2e%2E%2Fsecret",
            "/a/..%2F../secret",
            "/..;/secret",
            "/..;a=b/secret",
            "/..%3b/secret",
            "/..\\secret",
            "/..%5Csecret",
            "/%2F..%2Fsecret",
            "/a/..%2f..",
            // Who decodes only one of the two.
            "/a%2Fb\\..\\..",
        ] {
            assert_eq!(rewrite("", "/app").apply(target.as_bytes()), None, "{target}");
            assert_eq!(rewrite("/api", "/app").apply(format!("/api{target}").as_bytes()), None, "{target}");
            // Without a prefix of its own it can reach nothing that it could not ask for.
            assert!(rewrite("/api", "").apply(format!("/api{target}").as_bytes()).is_some(), "{target}");
        }
    }

    proptest! {
        #![proptest_config(crate::route::proptest_config(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/proptest-regressions/rewrite.txt")))]

        #[test]
        fn what_is_forwarded_means_what_routes_saw(
            pieces in proptest::collection::vec(
                prop::sample::select(vec!["/", "a", "%61", "b", "..", ".", "%2e", "/..", "/a", "/b", "%2f", "%", "//"]),
                0..14,
            ),
            query in "(\\?[a./%]{0,6})?",
            strip in prop::sample::select(vec!["", "/a", "/a/b"]),
            add in prop::sample::select(vec!["", "/c", "/c/d"]),
        ) {
            let path = format!("/{}", pieces.concat());
            let seen = normalize(&path).unwrap();
            let rest = seen.strip_prefix(strip).filter(|rest| rest.is_empty() || rest.starts_with('/'));
            let rest = match rest.unwrap_or(&seen) { "" => "/", rest => rest };
            let target = format!("{path}{query}");
            let Some(forwarded) = rewrite(strip, add).apply(target.as_bytes()) else {
                prop_assert!(!add.is_empty() && path.contains("%2f") && seen.contains(".."), "{}", path);
                return Ok(());
            };
            let forwarded = String::from_utf8(forwarded.into_owned()).unwrap();
            let (forwarded_path, forwarded_query) = forwarded.split_at(forwarded.find('?').unwrap_or(forwarded.len()));
            prop_assert_eq!(normalize(forwarded_path).unwrap(), format!("{add}{rest}"), "{}", forwarded);
            prop_assert_eq!(forwarded_query, query);
        }

        #[test]
        fn whoever_reads_it_what_is_forwarded_stays_below_its_prefix(
            pieces in proptest::collection::vec(
                prop::sample::select(vec!["/", "a", "..", ".", "/..", "/a", "%2f", "\\", "%5C", ";", "%3b", "%2e", "//"]),
                0..14,
            ),
        ) {
            let target = format!("/{}", pieces.concat());
            if let Some(forwarded) = rewrite("", "/c/d").apply(target.as_bytes()) {
                let forwarded = String::from_utf8(forwarded.into_owned()).unwrap();
                for reader in 0..1 << 4 {
                    let [slashes, backslashes, parameters, merges] = [1, 2, 4, 8].map(|bit| reader & bit != 0);
                    let mut path = forwarded.replace("%2e", ".").replace("%3b", ";").replace("%5C", "\\");
                    if slashes {
                        path = path.replace("%2f", "/");
                    }
                    if backslashes {
                        path = path.replace('\\', "/");
                    }
                    let mut walked = Vec::new();
                    for segment in path.split('/').skip(1) {
                        match segment.split(';').next().filter(|_| parameters).unwrap_or(segment) {
                            "." => {}
                            "" if merges => {}
                            ".." => {
                                walked.pop();
                                prop_assert!(walked.starts_with(&["c", "d"]), "{} read as {}", forwarded, path);
                            }
                            segment => walked.push(segment),
                        }
                    }
                }
            }
        }
    }
}
