//! The end of a head, at every split; and garbage, noticed before a head could be complete.

use proptest::prelude::*;

use super::{HeadEnd, HeadScanner};
use crate::message::request_head::tests::ACCEPTED;

fn scan(bytes: &[u8]) -> HeadEnd {
    HeadScanner::new().scan(bytes)
}

/// The answer when the bytes come in reads that end at `ends`, in order, and then whole.
fn scan_in_reads(bytes: &[u8], ends: impl Iterator<Item = usize>) -> HeadEnd {
    let mut scanner = HeadScanner::new();
    for end in ends {
        let answer = scanner.scan(&bytes[..end]);
        if answer != HeadEnd::Partial {
            return answer;
        }
    }
    scanner.scan(bytes)
}

#[test]
fn every_accepted_head_ends_at_its_blank_line_whatever_the_reads_and_whatever_follows() {
    for head in ACCEPTED {
        let head = head.as_bytes();
        for follows in [&b""[..], b"\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"\n\0canary"] {
            let bytes = [head, follows].concat();
            assert_eq!(scan(&bytes), HeadEnd::Complete(head.len()));
            for split in 0..bytes.len() {
                let first = scan_in_reads(&bytes, [split].into_iter());
                assert_eq!(first, HeadEnd::Complete(head.len()), "cut at {split} of {}", bytes.escape_ascii());
            }
            assert_eq!(scan_in_reads(&bytes, 0..bytes.len()), HeadEnd::Complete(head.len()), "byte by byte");
        }
    }
}

#[test]
fn no_part_of_an_accepted_head_is_complete_or_refused() {
    for head in ACCEPTED {
        for end in 0..head.len() {
            assert_eq!(scan(&head.as_bytes()[..end]), HeadEnd::Partial, "{}", head[..end].escape_default());
        }
    }
}

#[test]
fn what_cannot_become_a_head_is_noticed_at_its_first_impossible_byte() {
    let cases: [(&[u8], u16, &str); 21] = [
        (b"\0", 400, "NUL"),
        (b"\x16", 400, "a TLS hello"),
        (b" ", 400, "a space before the method"),
        (b"\n", 400, "a bare LF before the method"),
        (b"\rG", 400, "a bare CR before the method"),
        (b"\r\n\r", 400, "a second empty line"),
        (b"\r\n\n", 400, "a bare LF after an empty line"),
        (b"\x80", 400, "not ASCII"),
        (b"GET\t", 400, "a tab after the method"),
        (b"GET\r", 400, "no space in the line"),
        (b"SSH-2.0-OpenSSH_9.9\r", 400, "another protocol's banner"),
        (b"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", 501, "33 bytes without a space"),
        (b"GET /\r\n", 400, "HTTP/0.9"),
        (b"GET / HTTP/1.1\n", 400, "a bare LF after the request line"),
        (b"GET / HTTP/1.1\rH", 400, "a bare CR after the request line"),
        (b"GET / HTTP/2.0\r\n", 505, "another version"),
        (b"GET  / HTTP/1.1\r\n", 400, "two spaces"),
        (b"CONNECT a:1 HTTP/1.1\r\n", 501, "CONNECT"),
        (b"GET /\0", 400, "NUL in the target"),
        (b"GET / HTTP/1.1\r\nA: b\n", 400, "a bare LF after a field"),
        (b"GET / HTTP/1.1\r\nA: \0", 400, "NUL in a field"),
    ];
    for (bytes, status, what) in cases {
        let HeadEnd::Refused(refusal) = scan(bytes) else { panic!("{what} was not noticed") };
        assert_eq!(refusal.status, status, "{what}");
        assert_eq!(scan(&bytes[..bytes.len() - 1]), HeadEnd::Partial, "{what}: before its last byte");
    }
}

#[test]
fn no_byte_is_looked_at_twice() {
    let bytes = *b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut scanner = HeadScanner::new();
    assert_eq!(scanner.scan(&bytes[..20]), HeadEnd::Partial);
    // Were the scan to start again, it would stumble here.
    let mut spoiled = bytes;
    spoiled[..20].fill(0);
    assert_eq!(scanner.scan(&spoiled), HeadEnd::Complete(bytes.len()));
}

proptest! {
    #![proptest_config(crate::message::proptest_config(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/proptest-regressions/message-head-end.txt")))]

    #[test]
    fn the_answer_does_not_depend_on_the_reads(
        bytes in proptest::collection::vec(prop::sample::select(&b"GET / HTTP/1.1\r\n\r\n\r\nA:b \0\n"[..]), 0..60),
        prefix in prop::sample::select(&["", "GET / HTTP/1.1\r\n", "GET / HTTP/1.1\r\nA: b\r\n"][..]),
        mut ends in proptest::collection::vec(0_usize..100, 0..6),
    ) {
        let bytes = [prefix.as_bytes(), &bytes].concat();
        ends.sort_unstable();
        let ends = ends.into_iter().map(|end| end.min(bytes.len()));
        prop_assert_eq!(scan_in_reads(&bytes, ends), scan(&bytes));
    }
}
