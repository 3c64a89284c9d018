//! Random streams in random chunks, against the oracle and against the `sse-core` crate. Failures are kept under
//! `tests/proptest-regressions/` and tried first.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use sse_core::{SseDecoder, SseEvent};

use super::{Id, check_cut_at, oracle};
use crate::sse::Scanner;

const REGRESSIONS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/proptest-regressions/sse_scanner.txt");

fn config() -> ProptestConfig {
    ProptestConfig {
        cases: 512,
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(REGRESSIONS))),
        ..Default::default()
    }
}

/// A piece of a stream: what matters to a parser is far more likely than in random bytes.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => prop::sample::select(vec!["\n", "\r", "\r\n", "\n\n", "\r\r", "\r\n\r\n"]).prop_map(|s| s.as_bytes().to_vec()),
        6 => prop::sample::select(vec!["data", "data: ", "id: ", "id:", "id", "event: ", "event", "retry: ", "retry:"])
            .prop_map(|s| s.as_bytes().to_vec()),
        3 => prop::sample::select(vec![":", " ", ": ", "\0", "[DONE]", "message_stop", "endpoint", "Data: ", "datas", "\u{FEFF}"])
            .prop_map(|s| s.as_bytes().to_vec()),
        2 => "[0-9]{1,30}".prop_map(String::into_bytes),
        3 => "[a-zé€😀]{0,24}".prop_map(String::into_bytes),
        2 => vec(any::<u8>(), 1..4),
        1 => (1000_usize..1060).prop_map(|len| vec![b'x'; len]),
    ]
}

fn stream() -> impl Strategy<Value = Vec<u8>> {
    vec(piece(), 0..40).prop_map(|pieces| pieces.concat())
}

/// Offsets at which to cut, of any stream: taken modulo its length.
fn cuts() -> impl Strategy<Value = Vec<prop::sample::Index>> {
    vec(any::<prop::sample::Index>(), 0..12)
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn any_stream_in_any_chunks_reads_as_the_oracle_reads_it(stream in stream(), cuts in cuts()) {
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
        cuts.sort_unstable();
        check_cut_at(&stream, &cuts);
    }

    #[test]
    fn any_bytes_in_any_chunks_read_as_the_oracle_reads_them(stream in vec(any::<u8>(), 0..200), cuts in cuts()) {
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
        cuts.sort_unstable();
        check_cut_at(&stream, &cuts);
    }

    #[test]
    fn another_crate_dispatches_the_same_events(stream in stream(), chunk_len in 1_usize..200) {
        let mut decoder = SseDecoder::new();
        let mut scanner = Scanner::new();
        let (mut messages, mut retries, mut counted) = (Vec::new(), Vec::new(), 0);
        for chunk in stream.chunks(chunk_len) {
            counted += scanner.scan(chunk).events as usize;
            let mut chunk = Bytes::copy_from_slice(chunk);
            while let Some(event) = decoder.next(&mut chunk) {
                match event.expect("the stream is under the decoder's limit") {
                    SseEvent::Message(message) => messages.push(message),
                    SseEvent::Retry(ms) => retries.push(u64::from(ms)),
                }
            }
        }

        prop_assert_eq!(counted, messages.len());
        let reading = oracle::read(&stream);
        prop_assert_eq!(reading.events.len(), messages.len());
        for (ours, theirs) in reading.events.iter().zip(&messages) {
            let event_type = if ours.event_type.is_empty() { "message".into() } else { String::from_utf8_lossy(&ours.event_type) };
            prop_assert_eq!(event_type, &*theirs.event);
            prop_assert_eq!(String::from_utf8_lossy(&ours.data), &*theirs.data);
        }
        // Theirs are 32 bits wide and ignored beyond.
        let narrow: Vec<u64> = reading.retries.into_iter().filter(|&ms| ms <= u64::from(u32::MAX)).collect();
        prop_assert_eq!(narrow, retries);
        // Theirs does not tell an empty id from none, and keeps an id of any length.
        let theirs = decoder.last_event_id().map(|id| id.to_string());
        match reading.knowledge.last_event_id {
            Id::Unset => prop_assert_eq!(theirs, None),
            Id::Set(id) if id.is_empty() => prop_assert_eq!(theirs, None),
            Id::Set(id) => prop_assert_eq!(theirs, Some(String::from_utf8_lossy(&id).into_owned())),
            Id::Oversize => prop_assert!(theirs.is_some_and(|id| id.len() > 1024)),
        }
    }
}
