//! An event stream as `curl` prints it: bytes, heartbeats and all. Reads the few forms that the servers of the matrix use.

use serde_json::{Value, json};

/// A stream, taken apart.
#[derive(Debug)]
pub(super) struct Raw {
    /// The bytes without the heartbeats.
    pub(super) rest: String,
    /// Its events, in the form that the other clients print.
    pub(super) events: Vec<Value>,
    /// How many heartbeats came before each event, and after the last.
    pub(super) heartbeats: Vec<usize>,
}

impl Raw {
    /// Takes `text` apart; bytes after the last blank line are no event.
    pub(super) fn of(text: &str) -> Self {
        let mut raw = Self { rest: String::new(), events: vec![], heartbeats: vec![0] };
        let mut block: Vec<&str> = vec![];
        let mut lines = text.split_inclusive('\n').peekable();
        while let Some(line) = lines.next() {
            let content = line.trim_end_matches(['\r', '\n']);
            if content == ":" {
                raw.beat();
                // A block: its blank line is part of the heartbeat, since no event is open that it could end.
                lines.next_if(|next| block.is_empty() && next.trim_end().is_empty());
                continue;
            }
            raw.rest.push_str(line);
            if !content.is_empty() {
                block.push(content);
            } else if let Some(event) = event(&std::mem::take(&mut block)) {
                raw.events.push(event);
                raw.heartbeats.push(0);
            }
        }
        raw
    }

    fn beat(&mut self) {
        if let Some(last) = self.heartbeats.last_mut() {
            *last += 1;
        }
    }
}

/// The event of a block, if it has any data.
fn event(block: &[&str]) -> Option<Value> {
    let values = |name: &str| -> Vec<&str> {
        let fields = block.iter().filter_map(|line| line.split_once(':'));
        fields.filter(|(found, _)| *found == name).map(|(_, value)| value.strip_prefix(' ').unwrap_or(value)).collect()
    };
    let one = |name, default| values(name).last().copied().unwrap_or(default);
    let data = values("data");
    (!data.is_empty()).then(|| json!({ "type": one("event", "message"), "id": one("id", ""), "data": data.join("\n") }))
}

#[test]
fn a_stream_is_taken_apart_into_events_and_heartbeats() {
    let raw = Raw::of(":\n\n: hi\r\nid: 1\r\ndata: a\r\ndata: b\r\n\r\n:\r\n:\r\ndata:\r\n:\r\n\r\ndata: torn\r\n");
    assert_eq!(
        raw.events,
        [json!({"type": "message", "id": "1", "data": "a\nb"}), json!({"type": "message", "id": "", "data": ""})]
    );
    assert_eq!(raw.heartbeats, [1, 3, 0]);
    assert_eq!(raw.rest, ": hi\r\nid: 1\r\ndata: a\r\ndata: b\r\n\r\ndata:\r\n\r\ndata: torn\r\n");
}
