//! Every split of what may come, and of what must be refused.

use proptest::prelude::*;

use super::{Decoder, Framing, LAST_CHUNK, Malformed, begin_chunk, end_chunk};

/// Decodes `input` cut at `cuts`: payload, whether it is done, or the error.
fn decode(framing: Framing, input: &[u8], cuts: &[usize]) -> Result<(Vec<u8>, bool), Malformed> {
    let mut decoder = Decoder::new(framing);
    let (mut out, mut done, mut start) = (Vec::new(), false, 0);
    for end in cuts.iter().copied().chain([input.len()]) {
        let piece = &input[start..end];
        let mut ranges = Vec::new();
        let decoded = decoder.decode(piece, &mut ranges)?;
        for range in ranges {
            assert!(!range.is_empty());
            out.extend_from_slice(&piece[range]);
        }
        done = decoded.done;
        start = end;
    }
    Ok((out, done))
}

#[test]
fn a_chunked_body_gives_the_same_payload_at_every_split() {
    let body = b"5\r\nhello\r\n0B;ext=\"a\"\r\n, wide worl\r\n00001 \t ; b\r\nd\r\n0\r\nTrailer: x\r\nOther: y\r\n\r\n";
    let whole = decode(Framing::Chunked, body, &[]).expect("well-formed");
    assert_eq!(whole, (b"hello, wide world".to_vec(), true));
    for first in 0..=body.len() {
        assert_eq!(decode(Framing::Chunked, body, &[first]), Ok(whole.clone()), "split at {first}");
        for second in first..=body.len() {
            assert_eq!(decode(Framing::Chunked, body, &[first, second]), Ok(whole.clone()), "split at {first} and {second}");
        }
    }
}

#[test]
fn malformed_chunking_is_refused_at_every_split() {
    let bodies: [&[u8]; 20] = [
        b"0\r\nno trailer\r\n\r\n",
        b"0\r\n: no name\r\n\r\n",
        b"0\r\nA: b\r\n folded\r\n\r\n",
        b"\r\n",
        b"g\r\n",
        b"5\nhello\r\n",
        b"5\r\nhello0\r\n\r\n",
        b"5\r\nhello\n0\r\n\r\n",
        b"5\r\rhello",
        b"-1\r\n",
        b"+5\r\nhello\r\n",
        b"0x5\r\nhello\r\n",
        b" 5\r\nhello\r\n",
        b"5 5\r\nhello\r\n",
        b"5 x\r\nhello\r\n",
        b"5\t \n;x\r\nhello\r\n",
        b";\r\n",
        b"11111111111111111\r\n",
        b"5;\x00\r\nhello\r\n",
        b"0\r\nTrailer: x\n\r\n",
    ];
    for body in bodies {
        for split in 0..=body.len() {
            assert_eq!(
                decode(Framing::Chunked, body, &[split]),
                Err(Malformed),
                "{:?} split at {split}",
                body.escape_ascii().to_string()
            );
        }
    }
}

#[test]
fn an_endless_size_line_and_endless_trailers_are_refused() {
    let mut extension = b"5;".to_vec();
    extension.extend([b'x'; 2000]);
    assert_eq!(decode(Framing::Chunked, &extension, &[]), Err(Malformed));
    let mut trailers = b"0\r\n".to_vec();
    trailers.extend(b"A: b\r\n".repeat(4000));
    assert_eq!(decode(Framing::Chunked, &trailers, &[]), Err(Malformed));
}

#[test]
fn whole_canonical_chunks_go_verbatim_and_nothing_else_does() {
    let verbatim = |prefix: &[u8], input: &[u8]| {
        let mut decoder = Decoder::new(Framing::Chunked);
        decoder.decode(prefix, &mut Vec::new()).expect("well-formed");
        decoder.decode(input, &mut Vec::new()).expect("well-formed").verbatim
    };
    assert!(verbatim(b"", b"5\r\nhello\r\n"));
    assert!(verbatim(b"1\r\na\r\n", b"5\r\nhello\r\n0000000A\r\n0123456789\r\n"));
    assert!(!verbatim(b"", b"5\r\nhello"), "the chunk is not complete");
    assert!(!verbatim(b"5\r", b"\nhello\r\n"), "the size line began before");
    assert!(!verbatim(b"", b"5;x\r\nhello\r\n"), "an extension");
    assert!(!verbatim(b"", b"000000005\r\nhello\r\n"), "more than eight digits");
    assert!(!verbatim(b"", b"5\r\nhello\r\n0\r\n\r\n"), "the end of the body is ours to write");
    assert!(!verbatim(b"", b""), "nothing");
}

#[test]
fn content_length_ends_where_it_says_and_ignores_what_follows() {
    assert_eq!(decode(Framing::Length(5), b"hello, more", &[2]), Ok((b"hello".to_vec(), true)));
    assert_eq!(decode(Framing::Length(12), b"hello", &[]), Ok((b"hello".to_vec(), false)));
    assert_eq!(decode(Framing::Length(0), b"x", &[]), Ok((Vec::new(), true)));
    assert!(!Decoder::new(Framing::Length(5)).may_close());
}

#[test]
fn a_body_until_close_is_never_done_and_may_always_close() {
    assert_eq!(decode(Framing::UntilClose, b"hello", &[1]), Ok((b"hello".to_vec(), false)));
    assert!(Decoder::new(Framing::UntilClose).may_close());
    assert!(!Decoder::new(Framing::Chunked).may_close());
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: Some(Box::new(proptest::test_runner::FileFailurePersistence::Direct("tests/proptest-regressions/framing.txt"))),
        ..ProptestConfig::default()
    })]

    #[test]
    fn what_is_encoded_decodes_to_itself(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..400), 0..8), cut in any::<prop::sample::Index>()) {
        let mut wire = Vec::new();
        for piece in &pieces {
            begin_chunk(piece.len(), &mut wire);
            wire.extend_from_slice(piece);
            end_chunk(&mut wire);
        }
        wire.extend_from_slice(LAST_CHUNK);
        let decoded = decode(Framing::Chunked, &wire, &[cut.index(wire.len())]).expect("well-formed");
        prop_assert_eq!(decoded, (pieces.concat(), true));
    }

    #[test]
    fn arbitrary_bytes_never_panic(input in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = decode(Framing::Chunked, &input, &[]);
    }
}
