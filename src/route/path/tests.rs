//! Normal forms one by one, and random spellings against a slow reading of RFC 3986 to the letter.

use std::borrow::Cow;

use proptest::prelude::*;

use super::{normal_form, normalize, split};
use crate::route::PathPattern;

fn normal(path: &str) -> String {
    normalize(path).unwrap()
}

/// RFC 3986 slowly: escapes one at a time, then section 5.2.4 with its two buffers, step by step.
fn oracle(path: &str) -> String {
    let mut spelled = String::new();
    let mut bytes = path.bytes().collect::<std::collections::VecDeque<_>>();
    while let Some(byte) = bytes.pop_front() {
        let digits: String = bytes.iter().take(2).map(|&byte| char::from(byte)).collect();
        let is_escape = byte == b'%' && digits.len() == 2 && digits.chars().all(|digit| digit.is_ascii_hexdigit());
        let meant = if is_escape { u8::from_str_radix(&digits, 16).unwrap() } else { byte };
        if is_escape {
            bytes.drain(..2);
        }
        let character = char::from(meant);
        let unreserved = character.is_ascii_alphanumeric() || "-._~".contains(character);
        if unreserved || (!is_escape && "!$&'()*+,;=:@/".contains(character)) {
            spelled.push(character);
        } else {
            spelled += &format!("%{meant:02X}");
        }
    }
    let (mut input, mut output) = (spelled, String::new());
    while !input.is_empty() {
        if input.starts_with("/./") {
            input.drain(..2);
        } else if input == "/." {
            input = "/".to_owned();
        } else if input.starts_with("/../") || input == "/.." {
            input = format!("/{}", input.get(4..).unwrap_or_default());
            output.truncate(output.rfind('/').unwrap_or(0));
        } else {
            let end = input[1..].find('/').map_or(input.len(), |at| at + 1);
            output.extend(input.drain(..end));
        }
    }
    output
}

#[test]
fn unreserved_escapes_are_decoded_and_others_have_large_digits() {
    assert_eq!(normal("/%65vents/%7euser/%2D%5F%2e"), "/events/~user/-_.");
    assert_eq!(normal("/a%2fb%3f%c3%a9%25"), "/a%2Fb%3F%C3%A9%25");
    assert_eq!(normal("/!$&'()*+,;=:@"), "/!$&'()*+,;=:@");
}

#[test]
fn a_route_for_challenges_of_acme_is_for_nothing_else() {
    let exact = |path: &str| PathPattern::Exact(path.to_owned()).is_acme_challenge();
    let prefix = |path: &str| PathPattern::Prefix(path.to_owned()).is_acme_challenge();
    assert!(exact("/.well-known/acme-challenge/token") && prefix("/.well-known/acme-challenge/token"));
    assert!(prefix("/.well-known/acme-challenge/") && prefix("/.well-known/acme-challenge"));
    for path in ["/", "/.well-known", "/.well-known/", "/.well-known/acme-challenges", "/x/.well-known/acme-challenge/"] {
        assert!(!exact(path) && !prefix(path), "{path}");
    }
    assert!(!exact("/.well-known/acme-challenge") && !PathPattern::Any.is_acme_challenge());
}

#[test]
fn dot_segments_are_gone_however_they_are_spelled() {
    for (path, expected) in [
        ("/a/./b", "/a/b"),
        ("/a/%2e/b", "/a/b"),
        ("/a/b/..", "/a/"),
        ("/a/b/%2E%2e/", "/a/"),
        ("/a/.%2e/../../b", "/b"),
        ("/..", "/"),
        ("/.", "/"),
        ("/../../x", "/x"),
        ("/a/..%2Fb", "/a/..%2Fb"),
        ("/a/...", "/a/..."),
        ("/a/.b/..c", "/a/.b/..c"),
        ("/a/..;x/b", "/a/..;x/b"),
    ] {
        assert_eq!(normal(path), expected, "{path}");
        assert_eq!(oracle(path), expected, "{path}");
    }
}

#[test]
fn double_slashes_stay() {
    assert_eq!(normal("//"), "//");
    assert_eq!(normal("//a//b/"), "//a//b/");
    assert_eq!(normal("/a//../b"), "/a/b");
    assert_eq!(normal("//.."), "/");
    assert_eq!(normal("//./"), "//");
}

#[test]
fn a_percent_sign_without_digits_is_an_escaped_percent_sign() {
    assert_eq!(normal("/%"), "/%25");
    assert_eq!(normal("/%4"), "/%254");
    assert_eq!(normal("/%zz%41"), "/%25zzA");
    // Read twice, this must not become `/A`.
    assert_eq!(normal("/%%34%31"), "/%2541");
    assert_eq!(normal("/%%34%31"), normal("/%2541"));
}

#[test]
fn bytes_that_may_not_stand_in_a_path_are_escaped() {
    assert_eq!(normal("/a{b}|\\^`\"<> é"), "/a%7Bb%7D%7C%5C%5E%60%22%3C%3E%20%C3%A9");
    assert_eq!(&*normal_form(b"/\xff\0"), b"/%FF%00");
}

#[test]
fn what_no_request_has_as_its_path_has_no_normal_form() {
    for path in ["", "a", "*", "?", "/a?b", "/a#b", "http://a/"] {
        assert_eq!(normalize(path), None, "{path}");
    }
}

#[test]
fn a_path_in_normal_form_is_not_copied() {
    for path in ["/", "/events", "/events/1;a=b/%2F%C3%A9", "//", "/.well-known/...", "*"] {
        assert!(matches!(normal_form(path.as_bytes()), Cow::Borrowed(_)), "{path}");
    }
}

#[test]
fn a_target_is_split_into_authority_and_path() {
    let split = |target: &'static str| {
        let (authority, path) = split(target.as_bytes());
        (authority.map(|text| str::from_utf8(text).unwrap()), str::from_utf8(path).unwrap())
    };
    assert_eq!(split("/a?b/c?d"), (None, "/a"));
    assert_eq!(split("/http://a"), (None, "/http://a"));
    assert_eq!(split("*"), (None, "*"));
    assert_eq!(split("HTTP://a:8/b?c"), (Some("a:8"), "/b"));
    assert_eq!(split("https://a"), (Some("a"), "/"));
    assert_eq!(split("http://a?/b"), (Some("a"), "/"));
}

#[test]
fn prefixes_take_whole_segments() {
    let events = PathPattern::Prefix("/events".into());
    for (path, taken) in [("/events", true), ("/events/", true), ("/events/x", true), ("/eventsource", false), ("/event", false)] {
        assert_eq!(events.takes(path.as_bytes()), taken, "{path}");
    }
    let below = PathPattern::Prefix("/events/".into());
    for (path, taken) in [("/events", false), ("/events/", true), ("/events/x", true), ("/eventsource/", false)] {
        assert_eq!(below.takes(path.as_bytes()), taken, "{path}");
    }
    let all = PathPattern::Prefix("/".into());
    assert!(all.takes(b"/") && all.takes(b"/x") && all.takes(b"//") && !all.takes(b"*"));
    assert!(PathPattern::Any.takes(b"*"));
    let exact = PathPattern::Exact("/a".into());
    assert!(exact.takes(b"/a") && !exact.takes(b"/a/") && !exact.takes(b"/ab"));
}

/// Pieces of which paths are hard.
fn path() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => prop::sample::select(vec!["/", "//", ".", "..", "/../", "/./", "%2e", "%2E", "%2f", "%2F", "%", "%%", "%2", "%25", "%5", "%65"]),
        2 => prop::sample::select(vec!["a", "events", "x", "2e", "41", "E", ";", ":", "~", "é", "{", "\\", " "]),
    ];
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| format!("/{}", pieces.concat()))
}

/// `path`, spelled otherwise, with `choices` for chance: letters as escapes, digits in small letters, detours.
fn respelled(path: &str, choices: &[u8]) -> String {
    let mut spelled = String::new();
    let mut bytes = path.bytes().zip(choices.iter().cycle()).peekable();
    while let Some((byte, choice)) = bytes.next() {
        match byte {
            b'%' => {
                let digits: String = bytes.by_ref().take(2).map(|(byte, _)| char::from(byte)).collect();
                spelled += &if choice % 2 == 0 { format!("%{}", digits.to_lowercase()) } else { format!("%{digits}") };
            }
            b'/' => spelled += ["/", "/./", "/x/../", "/%2e/", "/y/.%2E/"][usize::from(choice % 5)],
            byte if choice % 3 == 0 && (byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)) => {
                spelled += &format!("%{byte:02x}")
            }
            byte => spelled.push(char::from(byte)),
        }
    }
    spelled
}

proptest! {
    #![proptest_config(crate::route::proptest_config(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/proptest-regressions/route-path.txt")))]

    #[test]
    fn every_path_reads_as_the_oracle_reads_it(path in path()) {
        prop_assert_eq!(normal(&path), oracle(&path));
    }

    #[test]
    fn a_normal_form_is_its_own(path in path()) {
        let once = normal(&path);
        prop_assert_eq!(&normal(&once), &once);
        prop_assert!(matches!(normal_form(once.as_bytes()), Cow::Borrowed(_)));
        prop_assert!(!once.split('/').any(|segment| segment == "." || segment == ".."));
    }

    #[test]
    fn all_spellings_of_a_path_have_one_normal_form(path in path(), choices in proptest::collection::vec(any::<u8>(), 1..20)) {
        let once = normal(&path);
        prop_assert_eq!(normal(&respelled(&once, &choices)), once);
    }

    #[test]
    fn any_bytes_have_a_normal_form_of_plain_ascii(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
        let path = [b"/", &bytes[..]].concat();
        let once = normal_form(&path).into_owned();
        prop_assert!(once.iter().all(u8::is_ascii_graphic) && once.starts_with(b"/"));
        let again = normal_form(&once).into_owned();
        prop_assert_eq!(again, once);
    }
}
