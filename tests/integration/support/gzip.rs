//! gzip as servers make it: with a flush for each event, or as a bomb (RFC 1952, RFC 1951).

use std::io::Write;

use flate2::write::GzEncoder;
use flate2::{Compress, Compression, Crc, FlushCompress, GzBuilder};

/// One gzip member that is made while it is sent.
pub(crate) struct Gzip(GzEncoder<Vec<u8>>);

impl Gzip {
    pub(crate) fn new() -> Self {
        // A name, a comment and an extra field: a reader must find the end of the header.
        let header = GzBuilder::new().filename("events").comment("a comment").extra(*b"ab\x02\x00xy");
        Self(header.write(Vec::new(), Compression::default()))
    }

    /// What goes over the wire for `bytes`, up to a flush that shows all of them.
    pub(crate) fn part(&mut self, bytes: impl AsRef<[u8]>) -> Vec<u8> {
        self.0.write_all(bytes.as_ref()).expect("a Vec takes all");
        self.0.flush().expect("a Vec takes all");
        std::mem::take(self.0.get_mut())
    }

    /// The last block and the trailer.
    pub(crate) fn end(self) -> Vec<u8> {
        self.0.finish().expect("a Vec takes all")
    }
}

/// All of `bytes` as one member.
pub(crate) fn gzip(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let mut member = Gzip::new();
    let mut wire = member.part(bytes);
    wire.extend(member.end());
    wire
}

/// The event of which a bomb is made.
pub(crate) fn bomb_event() -> Vec<u8> {
    format!("data: {}\n\n", "x".repeat(1024 - 8)).into_bytes()
}

/// So many MiB of [`bomb_event`] in about a thousandth of that.
pub(crate) fn bomb(mebibytes: usize) -> Vec<u8> {
    let plain = bomb_event().repeat(1024);
    // Behind a full flush nothing refers to what came before: the same bytes can follow each other.
    let mut deflate = Compress::new(Compression::best(), false);
    let mut block = Vec::with_capacity(64 * 1024);
    deflate.compress_vec(&plain, &mut block, FlushCompress::Full).expect("it fits");
    assert!(deflate.total_in() == plain.len() as u64 && block.len() < 16 * 1024, "no bomb: {} bytes a MiB", block.len());
    let (mut once, mut crc) = (Crc::new(), Crc::new());
    once.update(&plain);
    for _ in 0..mebibytes {
        crc.combine(&once);
    }
    let mut wire = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff".to_vec();
    wire.extend(block.repeat(mebibytes));
    wire.extend(b"\x03\x00");
    wire.extend(crc.sum().to_le_bytes());
    wire.extend(crc.amount().to_le_bytes());
    wire
}
