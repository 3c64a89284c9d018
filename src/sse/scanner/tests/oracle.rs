//! An independent reading of an event stream: the whole input at once, lines collected first, then interpreted one after the other
//! as WHATWG HTML 9.2.6 says. Slow and plain on purpose; it shares no code with the scanner but the types of its answers.

use super::{Id, Knowledge};
use crate::sse::{LineEnd, Position, Scan};

/// What the oracle knows of a stream.
pub(super) struct Reading {
    pub(super) knowledge: Knowledge,
    /// What a client's `EventSource` would have dispatched.
    pub(super) events: Vec<Dispatched>,
    /// Every reconnection time that was set.
    pub(super) retries: Vec<u64>,
    /// Line ends of blank lines.
    blanks: Vec<Blank>,
}

/// An event as a client sees it.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Dispatched {
    pub(super) event_type: Vec<u8>,
    pub(super) data: Vec<u8>,
}

/// A blank line.
struct Blank {
    /// Where its line end begins.
    start: usize,
    /// Just past its line end.
    end: usize,
    /// It dispatched an event.
    dispatched: bool,
}

/// A line with its line end, as offsets: content `start..content_end`, line end `content_end..end`.
struct Line {
    start: usize,
    content_end: usize,
    end: usize,
}

fn lines(stream: &[u8], mut start: usize) -> (Vec<Line>, usize) {
    let mut lines = Vec::new();
    while let Some(len) = stream[start..].iter().position(|byte| b"\r\n".contains(byte)) {
        let content_end = start + len;
        let end = if stream[content_end..].starts_with(b"\r\n") { content_end + 2 } else { content_end + 1 };
        lines.push(Line { start, content_end, end });
        start = end;
    }
    (lines, start)
}

/// Reads `stream` from its first byte to its last.
pub(super) fn read(stream: &[u8]) -> Reading {
    let starts_with_bom = stream.starts_with(&[0xEF, 0xBB, 0xBF]);
    let (lines, unfinished) = lines(stream, if starts_with_bom { 3 } else { 0 });

    let (mut events, mut retries, mut blanks) = (Vec::new(), Vec::new(), Vec::new());
    let (mut data, mut event_type) = (Vec::new(), Vec::new());
    let (mut last_id, mut id_buffer) = (None, None);
    let (mut saw_id, mut is_finished, mut block_open, mut event_fields) = (false, false, false, false);
    for line in &lines {
        let content = &stream[line.start..line.content_end];
        if content.is_empty() {
            last_id.clone_from(&id_buffer);
            let dispatched = !data.is_empty();
            if dispatched {
                data.pop();
                events.push(Dispatched { event_type: event_type.clone(), data: data.clone() });
            }
            blanks.push(Blank { start: line.content_end, end: line.end, dispatched });
            data.clear();
            event_type.clear();
            (block_open, event_fields) = (false, false);
            continue;
        }
        block_open = true;
        let (name, value) = match content.iter().position(|&byte| byte == b':') {
            None => (content, &[][..]),
            Some(0) => continue,
            Some(colon) => (&content[..colon], content[colon + 1..].strip_prefix(b" ").unwrap_or(&content[colon + 1..])),
        };
        match std::str::from_utf8(name) {
            Ok("data") => {
                data.extend_from_slice(value);
                data.push(b'\n');
                is_finished |= value == b"[DONE]";
                event_fields = true;
            }
            Ok("event") => {
                event_type = value.to_vec();
                is_finished |= value == b"message_stop";
                event_fields = true;
            }
            Ok("id") if !value.contains(&0) => {
                id_buffer = Some(value.to_vec());
                saw_id = true;
                event_fields = true;
            }
            Ok("retry") if !value.is_empty() && value.iter().all(u8::is_ascii_digit) => {
                let digits = String::from_utf8(value.to_vec()).expect("digits are UTF-8");
                let significant = digits.trim_start_matches('0');
                retries.push(if significant.is_empty() { 0 } else { significant.parse().unwrap_or(u64::MAX) });
            }
            _ => {}
        }
    }

    let ends_in_cr = stream.ends_with(b"\r");
    let position = if ends_in_cr {
        Position::AfterCr { ends_block: !block_open }
    } else if unfinished < stream.len() {
        Position::MidLine
    } else if block_open {
        Position::LineStart
    } else {
        Position::EventStart
    };
    let line_end = lines.first().and_then(|first| match &stream[first.content_end..first.end] {
        b"\n" => Some(LineEnd::Lf),
        b"\r\n" => Some(LineEnd::CrLf),
        _ if first.end == stream.len() => None,
        _ => Some(LineEnd::Cr),
    });
    Reading {
        knowledge: Knowledge {
            position,
            block_has_event_fields: event_fields,
            bytes_seen: stream.len() as u64,
            line_end,
            last_event_id: match last_id {
                None => Id::Unset,
                Some(id) if id.len() > 1024 => Id::Oversize,
                Some(id) => Id::Set(id),
            },
            saw_id,
            retry: retries.last().copied(),
            is_finished,
            opened_with_endpoint: events.first().map(|first| first.event_type == b"endpoint"),
            starts_with_bom,
        },
        events,
        retries,
        blanks,
    }
}

/// What a scan of `stream[start..end]` must tell, when `stream[..start]` went before.
pub(super) fn scan_of(stream: &[u8], start: usize, end: usize) -> Scan {
    let mut scan = Scan::default();
    for blank in read(stream).blanks {
        let is_cut = blank.start < end && end < blank.end;
        let boundary = if is_cut { end } else { blank.end };
        if start < boundary && boundary <= end {
            scan.first_boundary.get_or_insert(boundary - start);
            scan.last_boundary = Some(boundary - start);
        }
        if blank.dispatched && (start..end).contains(&blank.start) {
            scan.events += 1;
        }
    }
    scan
}
