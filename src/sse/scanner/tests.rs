//! The rules of the wire, one by one; every split of a corpus against an independent parser; random streams in random chunks.

mod oracle;
mod properties;
mod rules;
mod splits;

use super::Scanner;
use crate::sse::{EventId, LineEnd, Position, Scan};

/// All that a scanner tells of the stream so far.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Knowledge {
    position: Position,
    block_has_event_fields: bool,
    bytes_seen: u64,
    line_end: Option<LineEnd>,
    last_event_id: Id,
    saw_id: bool,
    retry: Option<u64>,
    is_finished: bool,
    opened_with_endpoint: Option<bool>,
    starts_with_bom: bool,
}

/// An [`EventId`] that owns its bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Id {
    Unset,
    Set(Vec<u8>),
    Oversize,
}

impl Knowledge {
    fn of(scanner: &Scanner) -> Self {
        Self {
            position: scanner.position(),
            block_has_event_fields: scanner.block_has_event_fields(),
            bytes_seen: scanner.bytes_seen(),
            line_end: scanner.line_end(),
            last_event_id: match scanner.last_event_id() {
                EventId::Unset => Id::Unset,
                EventId::Set(id) => Id::Set(id.to_vec()),
                EventId::Oversize => Id::Oversize,
            },
            saw_id: scanner.saw_id(),
            retry: scanner.retry(),
            is_finished: scanner.is_finished(),
            opened_with_endpoint: scanner.opened_with_endpoint(),
            starts_with_bom: scanner.starts_with_bom(),
        }
    }
}

/// Scans `chunk` twice: from an allocation of exactly its size, and from the middle of a larger one whose other bytes would end
/// lines, dispatch events and set ids. Both must tell the same, or the scanner has read what is not its own.
fn scan_guarded(scanner: &mut Scanner, chunk: &[u8]) -> Scan {
    const BEFORE: &[u8] = b"\n\ndata: canary\r\r";
    const AFTER: &[u8] = b"\n\nid: canary\ndata: canary\n\n";
    let mut guarded = scanner.clone();
    let poisoned = [BEFORE, chunk, AFTER].concat();
    let inner = guarded.scan(&poisoned[BEFORE.len()..BEFORE.len() + chunk.len()]);
    let exact: Box<[u8]> = chunk.into();
    let scan = scanner.scan(&exact);
    assert_eq!((scan, Knowledge::of(scanner)), (inner, Knowledge::of(&guarded)), "the scanner read past {chunk:?}");
    scan
}

/// Scans `stream` cut at `cuts` (ascending offsets) and compares each step with the oracle.
fn check_cut_at(stream: &[u8], cuts: &[usize]) {
    let mut scanner = Scanner::new();
    let mut start = 0;
    for end in cuts.iter().copied().chain([stream.len()]) {
        let scan = scan_guarded(&mut scanner, &stream[start..end]);
        let of_prefix = oracle::read(&stream[..end]);
        assert_eq!(Knowledge::of(&scanner), of_prefix.knowledge, "after {:?} of {stream:?} cut at {cuts:?}", &stream[..end]);
        assert_eq!(scan, oracle::scan_of(stream, start, end), "in {:?} of {stream:?} cut at {cuts:?}", &stream[start..end]);
        start = end;
    }
}
