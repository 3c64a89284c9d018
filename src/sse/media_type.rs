//! Is this media type `text/event-stream`, and does this `Accept` value name it (WHATWG MIME sniffing 4.4, RFC 9110 8.3.1, 12.5.1).
//!
//! It looks at the text of the two header values and never guesses: parameters are skipped, wildcards name nothing, and what merely
//! begins like the type is another type.

const EVENT_STREAM: &[u8] = b"text/event-stream";

/// Whether the value of a `Content-Type` header is an event stream, whatever its parameters.
#[must_use]
pub fn is_event_stream(content_type: &[u8]) -> bool {
    let essence = content_type.split(|&byte| byte == b';').next().unwrap_or_default();
    essence.trim_ascii().eq_ignore_ascii_case(EVENT_STREAM)
}

/// Whether the value of an `Accept` header names the event stream with a weight that is not zero. `text/*` and `*/*` do not name it.
#[must_use]
pub fn accepts_event_stream(accept: &[u8]) -> bool {
    split_unquoted(accept, b',').any(|range| {
        let mut parts = split_unquoted(range, b';');
        parts.next().is_some_and(is_event_stream) && !parts.any(is_zero_weight)
    })
}

/// Whether a parameter is `q=0`, with any number of decimals.
fn is_zero_weight(parameter: &[u8]) -> bool {
    let mut sides = parameter.splitn(2, |&byte| byte == b'=');
    let (name, value) = (sides.next().unwrap_or_default(), sides.next().unwrap_or_default());
    name.trim_ascii().eq_ignore_ascii_case(b"q")
        && match value.trim_ascii() {
            [b'0'] => true,
            [b'0', b'.', decimals @ ..] => decimals.iter().all(|&byte| byte == b'0'),
            _ => false,
        }
}

/// The pieces of `value` between `separator`s that stand outside quoted strings.
fn split_unquoted(value: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let (mut quoted, mut escaped) = (false, false);
    value.split(move |&byte| {
        if escaped {
            escaped = false;
        } else if byte == b'"' {
            quoted = !quoted;
        } else if quoted {
            escaped = byte == b'\\';
        } else {
            return byte == separator;
        }
        false
    })
}

#[cfg(test)]
mod tests {
    use super::{accepts_event_stream, is_event_stream};

    #[test]
    fn the_essence_decides_whatever_its_case_and_parameters() {
        for yes in [
            "text/event-stream",
            "Text/Event-Stream",
            "TEXT/EVENT-STREAM;CHARSET=UTF-8",
            "text/event-stream; charset=utf-8",
            "text/event-stream ; charset=\"a;b\"",
            "text/event-stream;",
            " \ttext/event-stream\t ",
        ] {
            assert!(is_event_stream(yes.as_bytes()), "{yes:?}");
        }
    }

    #[test]
    fn what_only_looks_like_the_type_is_another() {
        for no in [
            "",
            ";",
            "text/event-streamish",
            "text/event-strea",
            "xtext/event-stream",
            "text/ event-stream",
            "text/*",
            "text/html; x=text/event-stream",
            "text/plain, text/event-stream",
            "text/event-stream, text/plain",
            "application/x-ndjson",
            "application/vnd.amazon.eventstream",
        ] {
            assert!(!is_event_stream(no.as_bytes()), "{no:?}");
        }
    }

    #[test]
    fn accept_must_name_the_type() {
        for yes in [
            "text/event-stream",
            "application/json, text/event-stream",
            "application/json;q=0.9,TEXT/Event-Stream;q=0.001",
            "text/event-stream;q=1.0, */*;q=0",
            "text/event-stream; charset=utf-8; q=0.5",
            "text/plain;x=\"a\\\",\", text/event-stream",
            " , ,text/event-stream ,",
        ] {
            assert!(accepts_event_stream(yes.as_bytes()), "{yes:?}");
        }
        for no in
            ["", "*/*", "text/*", "text/html, */*;q=0.8", "text/event-streamish", "application/json", "text/plain;event-stream"]
        {
            assert!(!accepts_event_stream(no.as_bytes()), "{no:?}");
        }
    }

    #[test]
    fn a_weight_of_zero_refuses_the_type() {
        for no in ["0", "0.", "0.0", "0.000", " 0 "] {
            assert!(!accepts_event_stream(format!("text/event-stream;q={no}").as_bytes()), "q={no:?}");
            assert!(!accepts_event_stream(format!("*/*, text/event-stream ; charset=x ; Q ={no},a/b").as_bytes()), "q={no:?}");
        }
        for yes in ["0.001", "1", "0.5", ".0", "00.1", "", "\"0\""] {
            assert!(accepts_event_stream(format!("text/event-stream;q={yes}").as_bytes()), "q={yes:?}");
        }
    }

    #[test]
    fn a_quoted_string_hides_separators() {
        assert!(!accepts_event_stream(b"text/plain;x=\"a, text/event-stream\""));
        assert!(!accepts_event_stream(b"text/plain;x=\"\\\", text/event-stream, \""));
        assert!(accepts_event_stream(b"text/event-stream;x=\";q=0\""));
        assert!(!accepts_event_stream(b"text/plain;x=\"unterminated, text/event-stream"));
    }
}
