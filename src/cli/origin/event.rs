//! The bytes of events and answers.
//!
//! Pure, and quick: a burst is made of these as fast as the reader takes them.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The least that an event can be: an id and a stamp of 20 digits each, and what stands around them, are 56 bytes.
pub(super) const LEAST_EVENT: u64 = 64;

/// The least that a JSON answer can be.
pub(super) const LEAST_JSON: u64 = 32;

const JSON_BEGIN: &[u8] = b"{\"status\":\"ok\",\"filler\":\"";
const JSON_END: &[u8] = b"\"}";

/// What an answer of a language model says, again and again.
const WORDS: [&str; 8] = [" The", " proxy", " forwards", " every", " token", " as", " it", " comes."];

/// The time of day of `due`, in nanoseconds since the UNIX epoch.
pub(super) fn stamp(due: Instant, now: Instant, wall: SystemTime) -> u64 {
    let wall = wall.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    // One of the two differences is zero.
    let due = (wall + due.saturating_duration_since(now)).saturating_sub(now.saturating_duration_since(due));
    u64::try_from(due.as_nanos()).unwrap_or(u64::MAX)
}

/// Appends an event of exactly `size` bytes, which are at least [`LEAST_EVENT`].
pub(super) fn event(id: u64, stamp: u64, size: usize, out: &mut Vec<u8>) {
    let end = out.len() + size;
    open(id, stamp, out);
    out.push(b' ');
    out.resize(end - 2, b'x');
    out.extend_from_slice(b"\n\n");
}

/// Appends an event with one token, counted from 1 by its id.
pub(super) fn token(id: u64, stamp: u64, out: &mut Vec<u8>) {
    open(id, stamp, out);
    out.extend_from_slice(b" {\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"");
    let word = usize::try_from(id.wrapping_sub(1) % WORDS.len() as u64).unwrap_or(0);
    out.extend_from_slice(WORDS[word].as_bytes());
    out.extend_from_slice(b"\"},\"finish_reason\":null}]}\n\n");
}

/// Appends the event that ends the tokens.
pub(super) fn done(id: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(b"id: ");
    decimal(id, out);
    out.extend_from_slice(b"\ndata: [DONE]\n\n");
}

/// A JSON text of exactly `size` bytes, which are at least [`LEAST_JSON`].
pub(super) fn json(size: usize) -> Vec<u8> {
    let mut text = Vec::with_capacity(size);
    text.extend_from_slice(JSON_BEGIN);
    text.resize(size - JSON_END.len(), b'x');
    text.extend_from_slice(JSON_END);
    text
}

/// The id and the begin of the data, up to the stamp.
fn open(id: u64, stamp: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(b"id: ");
    decimal(id, out);
    out.extend_from_slice(b"\ndata: ts=");
    decimal(stamp, out);
}

/// Appends a number in decimal digits.
pub(super) fn decimal(mut number: u64, out: &mut Vec<u8>) {
    let mut digits = [b'0'; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        // A remainder of ten fits.
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 || at == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn an_event_is_as_long_as_it_was_asked_to_be_whatever_its_numbers() {
        assert_eq!(text(|out| event(7, 1_759, 64, out)), format!("id: 7\ndata: ts=1759 {}\n\n", "x".repeat(42)));
        let least = usize::try_from(LEAST_EVENT).unwrap();
        for (id, stamp, size) in [(0, 0, least), (u64::MAX, u64::MAX, least), (12, 1_759_431_212_123_456_789, 4096)] {
            let text = text(|out| event(id, stamp, size, out));
            assert_eq!(text.len(), size);
            assert!(text.starts_with(&format!("id: {id}\ndata: ts={stamp} x")) && text.ends_with("x\n\n"), "{text:?}");
            assert_eq!(text.matches('\n').count(), 3, "{text:?}");
        }
    }

    #[test]
    fn tokens_are_json_behind_the_stamp_and_the_last_is_the_word_for_it() {
        let token = text(|out| token(2, 5, out));
        let data = token.strip_prefix("id: 2\ndata: ts=5 ").and_then(|rest| rest.strip_suffix("\n\n")).expect("one event");
        let json: serde_json::Value = serde_json::from_str(data).expect("JSON");
        assert_eq!(json["choices"][0]["delta"]["content"], " proxy");
        assert_eq!(text(|out| done(401, out)), "id: 401\ndata: [DONE]\n\n");
    }

    #[test]
    fn a_json_answer_is_json_of_that_length() {
        for size in [LEAST_JSON, 128, 10_000] {
            let body = json(usize::try_from(size).unwrap());
            assert_eq!(body.len() as u64, size);
            let value: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
            assert_eq!(value["status"], "ok");
        }
    }

    #[test]
    fn a_stamp_is_the_time_of_day_at_which_it_was_due() {
        let (now, wall) = (clock::now(), UNIX_EPOCH + Duration::from_secs(1_000));
        let ms = Duration::from_millis(1);
        assert_eq!(stamp(now, now, wall), 1_000_000_000_000);
        assert_eq!(stamp(now, now + ms, wall), 999_999_000_000);
        assert_eq!(stamp(now + ms, now, wall), 1_000_001_000_000);
    }
}
