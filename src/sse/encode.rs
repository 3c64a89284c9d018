//! Bytes that we put on an event stream ourselves: heartbeats, `retry:` lines and whole events (WHATWG HTML 9.2.5).
//!
//! Every function appends whole lines and nothing else. Where they may stand is the stream engine's to decide. Text that would break
//! out of its line is refused long before (the configuration does so); should some arrive, the offending bytes are left out.

use bytes::Bytes;

/// A line end of an event stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum LineEnd {
    /// `\n`
    #[default]
    Lf,
    /// `\r\n`
    CrLf,
    /// `\r`
    Cr,
}

impl LineEnd {
    /// The line end as it is on the wire.
    #[must_use]
    pub fn as_bytes(self) -> &'static [u8] {
        match self {
            Self::Lf => b"\n",
            Self::CrLf => b"\r\n",
            Self::Cr => b"\r",
        }
    }
}

/// What carries a heartbeat.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Frame {
    /// A comment line, `:\n`. Harmless between any two lines.
    Line,
    /// A comment line and a blank line, `:\n\n`. Ends the open block: between events only.
    Block,
}

/// Appends a heartbeat to `out`: a comment of `text`, which follows the colon as it is.
pub fn heartbeat(frame: Frame, line_end: LineEnd, text: &str, out: &mut Vec<u8>) {
    line(b":", text, line_end, out);
    if frame == Frame::Block {
        out.extend_from_slice(line_end.as_bytes());
    }
}

/// Appends a line to `out` that sets the client's reconnection time to `ms` milliseconds; it takes effect without a blank line.
pub fn retry_line(ms: u64, line_end: LineEnd, out: &mut Vec<u8>) {
    line(b"retry: ", &ms.to_string(), line_end, out);
}

/// One event, built field by field; what is not set is not written.
///
/// Without data it is a block that dispatches nothing, and still commits its id.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Event<'a> {
    id: Option<&'a str>,
    event: Option<&'a str>,
    data: Option<&'a str>,
    retry: Option<u64>,
}

impl<'a> Event<'a> {
    /// An event without any field.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the last event id; an empty one clears what the client has. It holds no line end and no NULL.
    #[must_use]
    pub fn id(self, id: &'a str) -> Self {
        Self { id: Some(id), ..self }
    }

    /// Sets the event's type. It holds no line end.
    #[must_use]
    pub fn event(self, event: &'a str) -> Self {
        Self { event: Some(event), ..self }
    }

    /// Sets the data. Each of its lines becomes a `data` line; the client joins them with LF, whatever separates them here.
    #[must_use]
    pub fn data(self, data: &'a str) -> Self {
        Self { data: Some(data), ..self }
    }

    /// Sets the reconnection time, in milliseconds.
    #[must_use]
    pub fn retry(self, ms: u64) -> Self {
        Self { retry: Some(ms), ..self }
    }

    /// Appends the event to `out`, with the blank line that ends it.
    pub fn encode(&self, line_end: LineEnd, out: &mut Vec<u8>) {
        if let Some(id) = self.id {
            debug_assert!(!id.contains('\0'), "an id with NULL would be ignored");
            line(b"id: ", id, line_end, out);
        }
        if let Some(event) = self.event {
            line(b"event: ", event, line_end, out);
        }
        if let Some(ms) = self.retry {
            retry_line(ms, line_end, out);
        }
        if let Some(data) = self.data {
            data_lines(data, line_end, out);
        }
        out.extend_from_slice(line_end.as_bytes());
    }

    /// The event with LF line ends.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        let mut out = Vec::new();
        self.encode(LineEnd::Lf, &mut out);
        out.into()
    }
}

fn data_lines(mut data: &str, line_end: LineEnd, out: &mut Vec<u8>) {
    while let Some(end) = data.find(['\n', '\r']) {
        line(b"data: ", &data[..end], line_end, out);
        let pair = data[end..].starts_with("\r\n");
        data = &data[end + if pair { 2 } else { 1 }..];
    }
    line(b"data: ", data, line_end, out);
}

/// Appends one line; line ends inside `value` are left out, since they would end it early.
fn line(name: &[u8], value: &str, line_end: LineEnd, out: &mut Vec<u8>) {
    debug_assert!(!value.contains(['\n', '\r']), "a value holds no line end: {value:?}");
    out.extend_from_slice(name);
    out.extend(value.bytes().filter(|byte| !matches!(byte, b'\n' | b'\r')));
    out.extend_from_slice(line_end.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::{Event, Frame, LineEnd, heartbeat, retry_line};

    fn beat(frame: Frame, line_end: LineEnd, text: &str) -> String {
        let mut out = Vec::new();
        heartbeat(frame, line_end, text, &mut out);
        String::from_utf8(out).expect("heartbeats are UTF-8")
    }

    #[test]
    fn a_heartbeat_is_a_comment_with_the_line_ends_of_the_stream() {
        assert_eq!(beat(Frame::Line, LineEnd::Lf, ""), ":\n");
        assert_eq!(beat(Frame::Line, LineEnd::CrLf, ""), ":\r\n");
        assert_eq!(beat(Frame::Line, LineEnd::Cr, ""), ":\r");
        assert_eq!(beat(Frame::Block, LineEnd::Lf, ""), ":\n\n");
        assert_eq!(beat(Frame::Block, LineEnd::CrLf, ""), ":\r\n\r\n");
        assert_eq!(beat(Frame::Block, LineEnd::Cr, ""), ":\r\r");
    }

    #[test]
    fn the_text_of_a_heartbeat_follows_the_colon_as_it_is() {
        assert_eq!(beat(Frame::Line, LineEnd::Lf, " ping: é"), ": ping: é\n");
        assert_eq!(beat(Frame::Block, LineEnd::CrLf, "hb"), ":hb\r\n\r\n");
    }

    #[test]
    #[cfg_attr(debug_assertions, should_panic(expected = "a value holds no line end"))]
    fn text_cannot_break_out_of_its_line() {
        assert_eq!(beat(Frame::Line, LineEnd::Lf, "a\r\n\ndata: b"), ":adata: b\n");
    }

    #[test]
    fn encoders_append_and_leave_what_was_there() {
        let mut out = b"data: a\n\n".to_vec();
        heartbeat(Frame::Line, LineEnd::Lf, "", &mut out);
        retry_line(300, LineEnd::CrLf, &mut out);
        retry_line(u64::MAX, LineEnd::Cr, &mut out);
        assert_eq!(out, b"data: a\n\n:\nretry: 300\r\nretry: 18446744073709551615\r");
    }

    #[test]
    fn an_event_has_the_fields_that_were_set_and_a_blank_line() {
        let event = Event::new().id("7").event("tick").data("one").retry(1500);
        assert_eq!(&event.to_bytes()[..], b"id: 7\nevent: tick\nretry: 1500\ndata: one\n\n");
        assert_eq!(&Event::new().data("").to_bytes()[..], b"data: \n\n");
        assert_eq!(&Event::new().id("").to_bytes()[..], b"id: \n\n");
        let mut out = Vec::new();
        event.encode(LineEnd::CrLf, &mut out);
        assert_eq!(out, b"id: 7\r\nevent: tick\r\nretry: 1500\r\ndata: one\r\n\r\n");
    }

    #[test]
    fn each_line_of_the_data_becomes_a_data_line() {
        let lines = |data| Event::new().data(data).to_bytes();
        assert_eq!(&lines("a\nb\r\nc\rd")[..], b"data: a\ndata: b\ndata: c\ndata: d\n\n");
        assert_eq!(&lines(" a\n")[..], b"data:  a\ndata: \n\n");
        assert_eq!(&lines("\n\r")[..], b"data: \ndata: \ndata: \n\n");
    }
}
