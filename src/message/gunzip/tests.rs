//! gzip as servers write it, cut everywhere; and as nobody should.

use std::io::Write;

use flate2::write::{GzEncoder, ZlibEncoder};
use flate2::{Compress, Compression, Crc, FlushCompress, GzBuilder};
use proptest::prelude::*;

use super::{Gunzip, Malformed};

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

/// Gives all of `input`, in calls of at most `limit` bytes of output each.
fn feed(gunzip: &mut Gunzip, mut input: &[u8], limit: usize) -> Result<Vec<u8>, Malformed> {
    let mut all = Vec::new();
    loop {
        let mut out = b"kept".to_vec();
        let consumed = gunzip.decode(input, &mut out, limit)?;
        let appended = out.strip_prefix(b"kept").unwrap();
        assert!(appended.len() <= limit, "{} bytes of {limit} came", appended.len());
        assert!(consumed == input.len() || gunzip.is_pending(), "input was left without a reason");
        assert!(!gunzip.is_pending() || appended.len() == limit, "it waits though there was room");
        input = &input[consumed..];
        all.extend_from_slice(appended);
        if input.is_empty() && !gunzip.is_pending() {
            return Ok(all);
        }
    }
}

/// What comes out of pieces, and whether they may end there.
fn decoded(pieces: &[&[u8]], limit: usize) -> Result<(Vec<u8>, bool), Malformed> {
    let mut gunzip = Gunzip::new();
    let mut all = Vec::new();
    for piece in pieces {
        all.extend(feed(&mut gunzip, piece, limit)?);
    }
    Ok((all, gunzip.may_end()))
}

fn whole(input: &[u8]) -> Result<(Vec<u8>, bool), Malformed> {
    decoded(&[input], usize::MAX)
}

/// Events that repeat, and bytes that do not.
fn sample() -> Vec<u8> {
    let mut content = b"data: the same words again and again\n\n".repeat(20);
    content.extend((0..300_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8));
    content
}

#[test]
fn wherever_the_input_is_cut_the_same_comes_out() {
    let (content, coded) = (sample(), gzip(&sample()));
    for at in 0..=coded.len() {
        let (start, end) = coded.split_at(at);
        assert_eq!(decoded(&[start, end], usize::MAX), Ok((content.clone(), true)), "at {at}");
        assert_eq!(decoded(&[start, &[], end], 7), Ok((content.clone(), true)), "at {at}");
    }
    let bytes: Vec<&[u8]> = coded.chunks(1).collect();
    assert_eq!(decoded(&bytes, 1), Ok((content, true)));
}

#[test]
fn what_the_server_flushed_comes_out_at_once() {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    let mut gunzip = Gunzip::new();
    let mut sent = 0;
    for event in ["data: 1\n\n", "data: 1\n\n", ": \n\n", &"data: long ".repeat(5000)] {
        encoder.write_all(event.as_bytes()).unwrap();
        encoder.flush().unwrap();
        assert_eq!(feed(&mut gunzip, &encoder.get_ref()[sent..], usize::MAX).unwrap(), event.as_bytes());
        assert!(!gunzip.is_pending() && !gunzip.may_end());
        sent = encoder.get_ref().len();
    }
    let coded = encoder.finish().unwrap();
    assert_eq!(feed(&mut gunzip, &coded[sent..], usize::MAX), Ok(Vec::new()));
    assert!(gunzip.may_end());
}

#[test]
fn full_and_partial_flushes_come_out_at_once() {
    for flush in [FlushCompress::Full, FlushCompress::Partial] {
        let mut deflate = Compress::new_gzip(Compression::default(), 15);
        let mut gunzip = Gunzip::new();
        for _ in 0..3 {
            let mut coded = Vec::with_capacity(1024);
            deflate.compress_vec(b"data: 1\n\n", &mut coded, flush).unwrap();
            assert_eq!(feed(&mut gunzip, &coded, usize::MAX).unwrap(), b"data: 1\n\n", "{flush:?}");
        }
    }
}

/// A header with every optional part; `FHCRC` is added by hand, since nobody writes it.
fn with_long_header(content: &[u8]) -> Vec<u8> {
    let builder = GzBuilder::new().extra(&b"ab\x02\x00xy"[..]).filename("name").comment("comment").mtime(7);
    let mut encoder = builder.write(Vec::new(), Compression::default());
    encoder.write_all(content).unwrap();
    let mut coded = encoder.finish().unwrap();
    let header = 10 + 2 + 6 + 5 + 8;
    coded[3] |= 0x02;
    let mut crc = Crc::new();
    crc.update(&coded[..header]);
    coded.splice(header..header, (crc.sum() as u16).to_le_bytes());
    coded
}

#[test]
fn every_part_of_a_header_is_skipped_and_its_checksum_holds() {
    let coded = with_long_header(b"content");
    assert_eq!(coded[3], 0x1e, "FHCRC, FEXTRA, FNAME and FCOMMENT");
    for at in 0..=coded.len() {
        assert_eq!(decoded(&[&coded[..at], &coded[at..]], usize::MAX), Ok((b"content".to_vec(), true)), "at {at}");
    }
    for at in 4..33 {
        let mut spoiled = coded.clone();
        spoiled[at] ^= 1;
        assert_ne!(whole(&spoiled), Ok((b"content".to_vec(), true)), "at {at}");
    }
}

#[test]
fn a_name_without_an_end_takes_no_memory() {
    let mut gunzip = Gunzip::new();
    let mut out = Vec::new();
    gunzip.decode(&[0x1f, 0x8b, 8, 0x08, 0, 0, 0, 0, 0, 3], &mut out, 64).unwrap();
    for _ in 0..1000 {
        assert_eq!(gunzip.decode(&[b'a'; 1024], &mut out, 64), Ok(1024));
    }
    assert!(out.is_empty() && !gunzip.is_pending() && !gunzip.may_end());
}

#[test]
fn the_contents_of_members_are_one() {
    let members = [gzip(b"one "), gzip(b""), gzip(b"two "), with_long_header(b"three")].concat();
    for at in 0..=members.len() {
        assert_eq!(decoded(&[&members[..at], &members[at..]], 3), Ok((b"one two three".to_vec(), true)), "at {at}");
    }
}

#[test]
fn the_end_may_come_after_a_member_and_nowhere_else() {
    let (one, two) = (gzip(&sample()), gzip(b"two"));
    let both = [&one[..], &two].concat();
    for at in 0..=both.len() {
        let (_, may_end) = whole(&both[..at]).unwrap();
        assert_eq!(may_end, [0, one.len(), both.len()].contains(&at), "after {at} bytes");
    }
}

#[test]
fn an_empty_body_is_whole() {
    assert_eq!(whole(b""), Ok((Vec::new(), true)));
    assert!(Gunzip::new().may_end() && !Gunzip::new().is_pending());
    assert_eq!(whole(&gzip(b"")), Ok((Vec::new(), true)));
}

#[test]
fn a_wrong_checksum_or_length_is_malformed() {
    let coded = gzip(b"content");
    for at in coded.len() - 8..coded.len() {
        let mut spoiled = coded.clone();
        spoiled[at] ^= 0x80;
        assert_eq!(whole(&spoiled), Err(Malformed), "at {at}");
    }
}

#[test]
fn what_is_no_gzip_is_malformed() {
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
    zlib.write_all(b"content").unwrap();
    let mut reserved = gzip(b"content");
    reserved[3] |= 0x80;
    let mut method = gzip(b"content");
    method[2] = 7;
    for body in [&b"data: 1\n\n"[..], &zlib.finish().unwrap(), &reserved, &method, &gzip(b"content")[10..], &[0x1f, 0x8c]] {
        assert_eq!(whole(body), Err(Malformed), "{}", body.escape_ascii());
    }
    // A reserved kind of block.
    assert_eq!(whole(&[&gzip(b"")[..10], b"\x07"].concat()), Err(Malformed));
    // A reference to before the beginning.
    assert_eq!(whole(&[&gzip(b"")[..10], b"\x63\x00\x42\x00\x00"].concat()), Err(Malformed));
}

#[test]
fn nothing_but_a_member_may_follow_a_member() {
    let coded = gzip(b"content");
    for garbage in [&b"data: 1\n\n"[..], b"\r\n", &[0; 2], &[0; 512], &[0x1f, 0], &[0xff; 20]] {
        assert_eq!(whole(&[&coded[..], garbage].concat()), Err(Malformed), "{}", garbage.escape_ascii());
        assert_eq!(decoded(&[&coded, garbage], 1), Err(Malformed), "{}", garbage.escape_ascii());
    }
    // One byte is the beginning of a member that is cut off.
    assert_eq!(whole(&[&coded[..], b"\0"].concat()), Ok((b"content".to_vec(), false)));
}

#[test]
fn what_is_malformed_stays_so() {
    let mut gunzip = Gunzip::new();
    let mut out = Vec::new();
    assert_eq!(gunzip.decode(b"data: 1\n\n", &mut out, 64), Err(Malformed));
    assert_eq!(gunzip.decode(&gzip(b"content"), &mut out, 64), Err(Malformed));
    assert_eq!(gunzip.decode(&[], &mut out, 64), Err(Malformed));
    assert!(out.is_empty() && !gunzip.may_end() && !gunzip.is_pending());

    let mut coded = gzip(b"content");
    *coded.last_mut().unwrap() ^= 1;
    let mut gunzip = Gunzip::new();
    let consumed = gunzip.decode(&coded, &mut out, 3).unwrap();
    assert!(out == b"con" && gunzip.is_pending());
    assert_eq!(gunzip.decode(&coded[consumed..], &mut out, 64), Err(Malformed));
    assert!(out == b"content" && !gunzip.is_pending(), "nothing may come any more");
}

#[test]
fn a_bomb_costs_no_more_memory_than_the_limit() {
    const SIZE: usize = 32 << 20;
    const LIMIT: usize = 16 * 1024;
    let coded = gzip(&vec![0; SIZE]);
    assert!(coded.len() * 1000 < SIZE, "{} bytes are no bomb", coded.len());
    let mut gunzip = Gunzip::new();
    let (mut rest, mut out, mut total, mut calls) = (&coded[..], Vec::new(), 0, 0);
    while !rest.is_empty() || gunzip.is_pending() {
        out.clear();
        let consumed = gunzip.decode(rest, &mut out, LIMIT).unwrap();
        assert!(out.len() <= LIMIT && out.capacity() <= 2 * LIMIT);
        assert!(out.iter().all(|byte| *byte == 0));
        rest = &rest[consumed..];
        total += out.len();
        calls += 1;
        assert!(calls <= SIZE / LIMIT + 2, "calls that give nothing");
    }
    assert!(total == SIZE && gunzip.may_end());
}

#[test]
fn a_limit_of_nothing_takes_nothing_and_loses_nothing() {
    let coded = gzip(b"content");
    let mut gunzip = Gunzip::new();
    let mut out = Vec::new();
    assert_eq!(gunzip.decode(&coded, &mut out, 0), Ok(0));
    assert!(out.is_empty() && gunzip.is_pending());
    assert_eq!(feed(&mut gunzip, &coded, 7), Ok(b"content".to_vec()));
}

proptest! {
    #![proptest_config(crate::message::proptest_config(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/proptest-regressions/message-gunzip.txt")))]

    #[test]
    fn any_content_in_any_pieces_under_any_limit_comes_back(
        members in proptest::collection::vec(
            (proptest::collection::vec(prop_oneof![4 => Just(b'a'), 1 => any::<u8>()], 0..600), 0_u32..10),
            0..4,
        ),
        piece in 1_usize..200,
        limit in 1_usize..300,
    ) {
        let mut coded = Vec::new();
        for (content, level) in &members {
            let mut encoder = GzEncoder::new(coded, Compression::new(*level));
            encoder.write_all(content).unwrap();
            coded = encoder.finish().unwrap();
        }
        let content: Vec<u8> = members.into_iter().flat_map(|(content, _)| content).collect();
        let pieces: Vec<&[u8]> = coded.chunks(piece).collect();
        prop_assert_eq!(decoded(&pieces, limit), Ok((content, true)));
    }

    #[test]
    fn a_damaged_body_never_ends_as_another_one(at: prop::sample::Index, bit in 0_u8..8, piece in 1_usize..50) {
        let mut coded = gzip(&sample());
        let at = at.index(coded.len());
        coded[at] ^= 1 << bit;
        let pieces: Vec<&[u8]> = coded.chunks(piece).collect();
        if let Ok((content, true)) = decoded(&pieces, 64) {
            // Bytes 4 to 9 and one flag say nothing about the content.
            prop_assert!(content == sample() && (3..10).contains(&at), "at {at}");
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), at in 0_usize..30) {
        let _ = whole(&bytes);
        let coded = gzip(&sample());
        let _ = whole(&[&coded[..at], &bytes[..]].concat());
    }
}
