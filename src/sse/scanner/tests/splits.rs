//! A corpus of streams, each cut at every byte.

use super::check_cut_at;

/// Every rule of the wire at least once, in few bytes; all of these are also cut in three at every pair of offsets.
const SHORT: &[&[u8]] = &[
    b"",
    b"\n",
    b"\r",
    b"\r\n",
    b"\n\r",
    b"\r\r\n\n",
    b"data: a\n\ndata: b\n\n",
    b"data: a\r\rdata: b\r\r",
    b"data: a\r\n\r\ndata: b\r\n\r\n",
    b"data: a\n\rdata: b\r\n\ndata: c\r\r\n",
    b"data\n\ndata:\n\ndata: \n\ndata:  x\n\n",
    b"data: a\ndata: b\n\n: c\n\nevent: e\n\n",
    b"\xEF\xBB\xBFdata: a\n\n",
    b"\xEF\xBB\xBF\xEF\xBB\xBFdata: a\n\n",
    b"\xEF\xBB\xBF",
    b"\xEF\xBB\xBF\r\n\n",
    b"\xEF\xBB\n\ndata: a\n\n",
    b"\xEF\n\xBB\xBFdata: a\n\n",
    b"\xEFdata: a\n\n",
    b"\n\xEF\xBB\xBFdata: a\n\n",
    b"d\xBB\xBFata: a\n\n",
    b"id: 1\n\nid: 2\ndata: x\n\nid\n\nid: 3\n",
    b"id: 1\n\nid: a\0b\n\ndata: x\n\n",
    b"id: 1\nid: 2\nid: \0\n\nid:\n\n",
    b"id: 1\n\nid: 2\nid: 34\ndata: x\n\n",
    b"id: 12345678901234567890\0\nid: 7\n\n",
    b"id:  1 \r\r\nid:2\n\r",
    b"retry: 100\nretry: 1e3\nretry:\nretry\nretry:007\n",
    b"retry: 99999999999999999999999\ndata: x\n\n",
    b"retry: 0000000000000000000000000000042\n",
    b"retry: 00000000000000000000000000000x\n",
    b"event: endpoint\ndata: /m\n\nevent: x\ndata: y\n\n",
    b"event: endpoint\n\ndata: x\n\n",
    b"event: endpoint\nevent: x\ndata: y\n\n",
    b"event: endpoint but longer\ndata: y\n\n",
    b"data: y\nevent: endpoint\n\n",
    b"data: [DONE]\n\n",
    b"data:[DONE]\r",
    b"data: [DONE] \n\n",
    b"data: [DON\n\n",
    b"data: x[DONE]\n\n",
    b"event: message_stop\ndata: {}\n\n",
    b"event: message_stopped\n\n",
    b"event:message_stop\r",
    b"Data: a\nDATA: b\n data: c\ndata : d\nID: 1\ndatas: e\ndat: f\n\n",
    b"data: \xE2\x82\xAC \xF0\x9F\x98\x80 \xFF\n\n",
    b": comment\n:\n\n:data: x\n\n",
    b"id: 12345678901234567890\ndata: 12345678901234567890\n\n",
];

/// Streams of realistic shape.
fn long() -> Vec<Vec<u8>> {
    let tokens = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"delta\":\"Hé\"}\n\n".repeat(5);
    let mcp = "event: endpoint\r\ndata: /messages?session=0123456789abcdef\r\n\r\n: ping - 2026-01-01\r\n\r\n".repeat(3);
    let id_of = |len: usize| [b"id: ".to_vec(), vec![b'i'; len], b"\ndata: x\n\n".to_vec()].concat();
    let mut null_far_out = id_of(3000);
    null_far_out[2500] = 0;
    vec![
        [tokens.as_bytes(), b"event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"].concat(),
        [mcp.as_bytes(), b"event: message\r\ndata: {}"].concat(),
        [id_of(5), id_of(1024)].concat(),
        [id_of(1024), id_of(1025), id_of(2)].concat(),
        [id_of(7), null_far_out].concat(),
    ]
}

#[test]
fn a_stream_cut_in_two_anywhere_reads_the_same() {
    let short = SHORT.iter().map(|stream| stream.to_vec());
    for stream in short.chain(long().into_iter().filter(|stream| stream.len() < 1000)) {
        for cut in 0..=stream.len() {
            check_cut_at(&stream, &[cut]);
        }
    }
}

#[test]
fn a_long_id_cut_in_two_anywhere_reads_the_same() {
    for stream in long().into_iter().filter(|stream| stream.len() >= 1000) {
        // Every offset near a field's border and each limit, and a stride that meets all offsets of a word in between.
        let near = |at: usize| at.saturating_sub(30)..=at + 30;
        let dense: Vec<usize> = [0, 1024, 1050, 2085, 2500, stream.len() - 30].into_iter().flat_map(near).collect();
        for cut in (0..=stream.len()).filter(|cut| cut % 13 == 0 || dense.contains(cut)) {
            check_cut_at(&stream, &[cut]);
        }
    }
}

#[test]
fn a_short_stream_cut_in_three_anywhere_reads_the_same() {
    for stream in SHORT {
        for first in 0..=stream.len() {
            for second in first..=stream.len() {
                check_cut_at(stream, &[first, second]);
            }
        }
    }
}

#[test]
fn a_stream_that_comes_byte_by_byte_reads_the_same() {
    let streams: Vec<Vec<u8>> = SHORT.iter().map(|stream| stream.to_vec()).chain(long()).collect();
    for stream in &streams {
        check_cut_at(stream, &(0..stream.len()).collect::<Vec<_>>());
    }
    check_cut_at(&streams.concat(), &(0..streams.concat().len()).step_by(11).collect::<Vec<_>>());
}
