//! Each rule of the standard that the scanner serves, by hand: what the answers must be, not only that they agree.

use crate::sse::{EventId, LineEnd, Position, Scan, Scanner};

fn after(stream: impl AsRef<[u8]>) -> Scanner {
    let mut scanner = Scanner::new();
    scanner.scan(stream.as_ref());
    scanner
}

fn scan(first: Option<usize>, last: Option<usize>, events: u32) -> Scan {
    Scan { first_boundary: first, last_boundary: last, events }
}

#[test]
fn the_position_is_where_the_next_byte_would_stand() {
    for (stream, position) in [
        ("", Position::EventStart),
        ("data: a", Position::MidLine),
        (":", Position::MidLine),
        ("data: a\n", Position::LineStart),
        (": comment\n", Position::LineStart),
        ("data: a\r\n", Position::LineStart),
        ("data: a\n\n", Position::EventStart),
        ("\n", Position::EventStart),
        ("data: a\r", Position::AfterCr { ends_block: false }),
        ("data: a\r\n\r", Position::AfterCr { ends_block: true }),
        ("data: a\r\r", Position::AfterCr { ends_block: true }),
        ("\r", Position::AfterCr { ends_block: true }),
        ("data: a\r\n\r\n", Position::EventStart),
        ("data: a\n\ndata", Position::MidLine),
    ] {
        assert_eq!(after(stream).position(), position, "{stream:?}");
    }
}

#[test]
fn a_byte_order_mark_is_skipped_at_byte_0_only() {
    let mut scanner = Scanner::new();
    for (byte, position) in
        [(0xEF, Position::MidLine), (0xBB, Position::MidLine), (0xBF, Position::EventStart), (0xEF, Position::MidLine)]
    {
        scanner.scan(&[byte]);
        assert_eq!(scanner.position(), position);
    }
    assert!(scanner.starts_with_bom());
    assert_eq!(after("\u{FEFF}id: 1\n\n").last_event_id(), EventId::Set(b"1"));
    for content in ["\u{FEFF}\u{FEFF}id: 1\n\n", "\n\u{FEFF}id: 1\n\n", "id: x\n\u{FEFF}id: 1\n"] {
        assert_ne!(after(content).last_event_id(), EventId::Set(b"1"), "{content:?}");
    }
    assert!(!after(b"\xEF\xBBid: 1\n\n").starts_with_bom());
}

#[test]
fn a_boundary_is_just_past_the_line_end_of_a_blank_line() {
    let mut scanner = Scanner::new();
    assert_eq!(scanner.scan(b"data: a\n\ndata: b\r\n\r\n: c\r\rda"), scan(Some(9), Some(25), 2));
    assert_eq!(scanner.scan(b"ta: d\n"), scan(None, None, 0));
    assert_eq!(scanner.scan(b"\ndata: e"), scan(Some(1), Some(1), 1));
    assert_eq!(scanner.scan(b""), scan(None, None, 0));
    assert_eq!(scanner.bytes_seen(), 41);
}

#[test]
fn a_crlf_that_a_chunk_border_cuts_is_two_boundaries_and_one_event() {
    let mut scanner = Scanner::new();
    assert_eq!(scanner.scan(b"data: a\r\n\r"), scan(Some(10), Some(10), 1));
    assert_eq!(scanner.scan(b""), scan(None, None, 0));
    assert_eq!(scanner.position(), Position::AfterCr { ends_block: true });
    assert_eq!(scanner.scan(b"\ndata: b\r"), scan(Some(1), Some(1), 0));
    assert_eq!(scanner.scan(b"\n"), scan(None, None, 0));
    assert_eq!(scanner.position(), Position::LineStart);
    assert_eq!(scanner.scan(b"\r\n\n"), scan(Some(2), Some(3), 1));
}

#[test]
fn a_block_without_data_dispatches_nothing_and_commits_its_id() {
    let mut scanner = Scanner::new();
    assert_eq!(scanner.scan(b"id: 7\nevent: x\n\n"), scan(Some(16), Some(16), 0));
    assert_eq!(scanner.last_event_id(), EventId::Set(b"7"));
    assert_eq!(scanner.opened_with_endpoint(), None);
}

#[test]
fn empty_data_is_data() {
    for stream in ["data\n\n", "data:\n\n", "data: \n\n"] {
        assert_eq!(Scanner::new().scan(stream.as_bytes()).events, 1, "{stream:?}");
    }
}

#[test]
fn an_id_counts_only_at_the_blank_line_that_ends_its_block() {
    let mut scanner = after("id: 1\ndata: a\n\nid: 2\ndata: b\n");
    assert_eq!(scanner.last_event_id(), EventId::Set(b"1"));
    scanner.scan(b"\r");
    assert_eq!(scanner.last_event_id(), EventId::Set(b"2"));
    assert_eq!(after("id: 1\ndata: a").last_event_id(), EventId::Unset);
}

#[test]
fn an_id_persists_over_events_and_an_empty_one_clears_it() {
    let mut scanner = after("id: 1\ndata: a\n\ndata: b\n\n: c\n\n");
    assert_eq!(scanner.last_event_id(), EventId::Set(b"1"));
    scanner.scan(b"id\n\n");
    assert_eq!(scanner.last_event_id(), EventId::Set(b""));
}

#[test]
fn an_id_with_null_is_ignored() {
    let scanner = after("id: a\0b\ndata: x\n\n");
    assert_eq!(scanner.last_event_id(), EventId::Unset);
    assert!(!scanner.saw_id());
    assert_eq!(after("id: 1\n\nid: 2\nid: \0\n\n").last_event_id(), EventId::Set(b"2"));
}

#[test]
fn an_id_is_seen_when_its_line_ends_committed_or_not() {
    assert!(!after("id: 1").saw_id());
    let scanner = after("id: 1\n");
    assert!(scanner.saw_id());
    assert_eq!(scanner.last_event_id(), EventId::Unset);
}

#[test]
fn an_id_over_1_kib_is_not_kept_until_the_next() {
    let kept = "k".repeat(1024);
    let mut scanner = after(format!("id: {kept}\n\n"));
    assert_eq!(scanner.last_event_id(), EventId::Set(kept.as_bytes()));
    scanner.scan(format!("id: {kept}k\ndata: x\n").as_bytes());
    assert_eq!(scanner.last_event_id(), EventId::Set(kept.as_bytes()));
    scanner.scan(b"\n");
    assert_eq!(scanner.last_event_id(), EventId::Oversize);
    scanner.scan(b"data: y\n\n");
    assert_eq!(scanner.last_event_id(), EventId::Oversize);
    scanner.scan(b"id: 2\n\n");
    assert_eq!(scanner.last_event_id(), EventId::Set(b"2"));
}

#[test]
fn a_reconnection_time_is_digits_only_and_counts_when_its_line_ends() {
    let mut scanner = after("retry: 300");
    assert_eq!(scanner.retry(), None);
    scanner.scan(b"\r");
    assert_eq!(scanner.retry(), Some(300));
    for ignored in ["retry\n", "retry:\n", "retry: 5s\n", "retry: -5\n", "retry:  5\n", "Retry: 5\n", "retry: 5"] {
        scanner = after(format!("retry: 300\n{ignored}"));
        assert_eq!(scanner.retry(), Some(300), "{ignored:?}");
    }
    assert_eq!(after("retry: 300\nretry: 0\n").retry(), Some(0));
    assert_eq!(after(format!("retry: {}\n", "9".repeat(99))).retry(), Some(u64::MAX));
}

#[test]
fn the_line_end_is_the_first_of_the_stream_once_it_is_certain() {
    assert_eq!(after("data: a").line_end(), None);
    assert_eq!(after("data: a\ndata: b\r\n\r").line_end(), Some(LineEnd::Lf));
    assert_eq!(after("data: a\r\n\n").line_end(), Some(LineEnd::CrLf));
    assert_eq!(after("data: a\r\r\n").line_end(), Some(LineEnd::Cr));
    for (next, line_end) in [("\n", LineEnd::CrLf), ("d", LineEnd::Cr), ("\r", LineEnd::Cr)] {
        let mut scanner = after("data: a\r");
        assert_eq!(scanner.line_end(), None);
        scanner.scan(next.as_bytes());
        assert_eq!(scanner.line_end(), Some(line_end), "{next:?}");
    }
}

#[test]
fn a_stream_is_finished_once_the_line_that_says_so_has_ended() {
    for last in ["data: [DONE]", "data:[DONE]", "event: message_stop", "event:message_stop"] {
        let mut scanner = after(format!("data: a\n\n{last}"));
        assert!(!scanner.is_finished(), "{last:?} has not ended");
        scanner.scan(b"\r");
        assert!(scanner.is_finished(), "{last:?}");
        scanner.scan(b"\ndata: more\n\n");
        assert!(scanner.is_finished(), "{last:?} and more");
    }
    for other in
        ["data: [DONE] ", "data: [done]", "data: message_stop", "event: [DONE]", "event: message_stop2", ":[DONE]", "[DONE]"]
    {
        assert!(!after(format!("{other}\n\n")).is_finished(), "{other:?}");
    }
}

#[test]
fn the_type_of_the_first_dispatched_event_tells_an_mcp_stream() {
    for (stream, expected) in [
        ("event: endpoint\ndata: /m\n", None),
        ("event: endpoint\ndata: /m\n\n", Some(true)),
        (": hello\n\nretry: 5\n\nevent: endpoint\ndata: /m\n\n", Some(true)),
        ("data: a\n\nevent: endpoint\ndata: /m\n\n", Some(false)),
        ("event: endpoint\n\n", None),
        ("event: endpoint\n\ndata: a\n\n", Some(false)),
        ("event: endpoint\nevent\ndata: a\n\n", Some(false)),
        ("event: a\nevent: endpoint\ndata: a\n\ndata: b\n\n", Some(true)),
        ("event: Endpoint\ndata: a\n\n", Some(false)),
    ] {
        assert_eq!(after(stream).opened_with_endpoint(), expected, "{stream:?}");
    }
}

#[test]
fn a_block_of_comments_and_reconnection_times_has_nothing_to_lose() {
    for inert in ["", ": hb\n", "retry: 5\n", "other: x\n", "id: \0\n", "data: a\n\n", "data"] {
        assert!(!after(inert).block_has_event_fields(), "{inert:?}");
    }
    for field in ["data\n", "event: e\n", "id: 1\r", ": hb\ndata: a\nda"] {
        assert!(after(field).block_has_event_fields(), "{field:?}");
    }
}

#[test]
fn a_line_of_megabytes_leaves_nothing_behind() {
    for name in ["data: ", "id: ", "event: ", "retry: ", ": ", "other: ", ""] {
        let mut scanner = after(name);
        for _ in 0..64 {
            scanner.scan(&[b'1'; 64 * 1024]);
            assert!(scanner.ids.heap_len() <= 2 * 1024, "{name:?} holds {} bytes", scanner.ids.heap_len());
        }
        scanner.scan(b"\n\n");
        assert_eq!(scanner.position(), Position::EventStart);
        assert!(scanner.ids.heap_len() <= 16, "{name:?} holds {} bytes at rest", scanner.ids.heap_len());
    }
}

#[test]
fn a_scanner_is_small_and_has_nothing_on_the_heap_until_an_id_comes() {
    assert!(size_of::<Scanner>() <= 96, "{} bytes for every stream", size_of::<Scanner>());
    let mut scanner = after("event: x\nretry: 5\ndata: a\n\nevent: a type that a chunk bor");
    assert_eq!(scanner.ids.heap_len(), 0);
    scanner.scan(b"der has cut\nid: 1\n\n");
    assert!((1..=16).contains(&scanner.ids.heap_len()));
}
