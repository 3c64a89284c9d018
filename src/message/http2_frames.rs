//! The frames of an HTTP/2 connection (RFC 9113 section 4.1) as their bytes pass: what each is and how long, never what is in it. It
//! keeps 27 bytes, however large a frame is.

use std::ops::ControlFlow;

/// Frame types (RFC 9113 section 6).
pub mod kind {
    #![allow(missing_docs, reason = "the names of the standard")]
    pub const DATA: u8 = 0;
    pub const HEADERS: u8 = 1;
    pub const PRIORITY: u8 = 2;
    pub const RST_STREAM: u8 = 3;
    pub const SETTINGS: u8 = 4;
    pub const PING: u8 = 6;
    pub const GOAWAY: u8 = 7;
    pub const WINDOW_UPDATE: u8 = 8;
    pub const CONTINUATION: u8 = 9;
}

/// Flags (RFC 9113 section 6).
mod flag {
    pub(super) const ACK: u8 = 1;
    pub(super) const END_STREAM: u8 = 1;
    pub(super) const END_HEADERS: u8 = 4;
    pub(super) const PADDED: u8 = 8;
}

const HEAD: usize = 9;
/// How much of a payload is looked at: the length of the padding, an error code, the beginning of the words that go with it.
const LOOK: usize = 18;
/// Bytes of a client's preface before its first frame (RFC 9113 section 3.4).
const PREFACE: u32 = 24;

/// The head of a frame, and the beginning of what is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// Its type.
    pub kind: u8,
    /// Bytes of its payload.
    pub length: u32,
    flags: u8,
    /// Its first bytes, zero where there are none.
    first: [u8; LOOK],
}

impl Frame {
    /// A frame of DATA that brings not a byte and does not end its stream either.
    #[must_use]
    pub fn is_empty_data(&self) -> bool {
        self.kind == kind::DATA && self.flags & flag::END_STREAM == 0 && self.data() == 0
    }

    /// Bytes of data in a frame of DATA, without its padding.
    #[must_use]
    pub fn data(&self) -> u32 {
        let padding = if self.flags & flag::PADDED == 0 { 0 } else { 1 + u32::from(self.first[0]) };
        if self.kind == kind::DATA { self.length.saturating_sub(padding) } else { 0 }
    }

    /// The code of an RST_STREAM.
    #[must_use]
    pub fn code(&self) -> u32 {
        let [a, b, c, d, ..] = self.first;
        u32::from_be_bytes([a, b, c, d])
    }

    /// The beginning of the words in a GOAWAY.
    #[must_use]
    pub fn words(&self) -> &[u8] {
        let words = &self.first[8..];
        if self.kind == kind::GOAWAY { &words[..words.len().min(self.length.saturating_sub(8) as usize)] } else { b"" }
    }

    /// An acknowledgement of SETTINGS or of a PING.
    #[must_use]
    pub fn is_ack(&self) -> bool {
        matches!(self.kind, kind::SETTINGS | kind::PING) && self.flags & flag::ACK != 0
    }

    fn is_head(&self) -> bool {
        matches!(self.kind, kind::HEADERS | kind::CONTINUATION)
    }
}

/// One direction of a connection.
#[derive(Debug)]
pub struct FrameScanner {
    /// Bytes to pass over: the preface, then the rests of payloads.
    skip: u32,
    seen: [u8; HEAD + LOOK],
    have: usize,
    /// The frame whose rest is passed over.
    current: Option<Frame>,
    /// A field block has begun and not ended (RFC 9113 section 4.3).
    in_block: bool,
    finished: u64,
}

impl FrameScanner {
    /// What a client sends: its preface comes first.
    #[must_use]
    pub fn of_client() -> Self {
        Self { skip: PREFACE, ..Self::of_server() }
    }

    /// What a server sends.
    #[must_use]
    pub fn of_server() -> Self {
        Self { skip: 0, seen: [0; HEAD + LOOK], have: 0, current: None, in_block: false, finished: 0 }
    }

    /// Calls `each` for every frame that begins within `bytes`, once its first bytes are there, until one is an error.
    ///
    /// # Errors
    /// Those of `each`. What follows is not looked at.
    pub fn scan<E>(&mut self, bytes: &[u8], mut each: impl FnMut(&Frame) -> Result<(), E>) -> Result<(), E> {
        self.scan_some(bytes, |frame| each(frame).map(ControlFlow::Continue)).map(drop)
    }

    /// The same, until `each` breaks. Says how many bytes were looked at: the next scan begins behind them.
    ///
    /// # Errors
    /// Those of `each`. What follows is not looked at.
    pub fn scan_some<E>(
        &mut self,
        mut bytes: &[u8],
        mut each: impl FnMut(&Frame) -> Result<ControlFlow<()>, E>,
    ) -> Result<usize, E> {
        let all = bytes.len();
        loop {
            let passed = bytes.len().min(self.skip as usize);
            // No more than `skip`, which is a u32.
            self.skip -= passed as u32;
            bytes = &bytes[passed..];
            if self.skip == 0
                && let Some(over) = self.current.take()
            {
                if over.is_head() {
                    self.in_block = over.flags & flag::END_HEADERS == 0;
                }
                self.finished += u64::from(!self.in_block);
            }
            if bytes.is_empty() {
                return Ok(all);
            }
            while let Some(missing) = self.wanted().checked_sub(self.have).filter(|missing| *missing > 0) {
                let part = missing.min(bytes.len());
                self.seen[self.have..self.have + part].copy_from_slice(&bytes[..part]);
                self.have += part;
                bytes = &bytes[part..];
                if bytes.is_empty() && self.have < self.wanted() {
                    return Ok(all);
                }
            }
            let frame = self.frame();
            // The payload was looked at so far.
            self.skip = frame.length - (self.have - HEAD) as u32;
            self.have = 0;
            self.current = Some(frame);
            if each(&frame)?.is_break() {
                return Ok(all - bytes.len());
            }
        }
    }

    /// Whether what comes next is the rest of something that has begun: of a head, or of any frame but DATA.
    #[must_use]
    pub fn is_amid(&self) -> bool {
        let cut = self.current.is_some_and(|frame| frame.kind != kind::DATA) || self.have > 0;
        self.in_block || cut
    }

    /// How many frames, or field blocks of several, came to their end.
    #[must_use]
    pub fn finished(&self) -> u64 {
        self.finished
    }

    fn length(&self) -> u32 {
        u32::from_be_bytes([0, self.seen[0], self.seen[1], self.seen[2]])
    }

    /// How much is needed to tell of the frame.
    fn wanted(&self) -> usize {
        if self.have < HEAD { HEAD } else { HEAD + LOOK.min(self.length() as usize) }
    }

    fn frame(&self) -> Frame {
        let mut first = [0; LOOK];
        first[..self.have - HEAD].copy_from_slice(&self.seen[HEAD..self.have]);
        Frame { kind: self.seen[3], length: self.length(), flags: self.seen[4], first }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).expect("small").to_be_bytes();
        [&length[1..], &[kind, flags, 0, 0, 0, 1], payload].concat()
    }

    fn scan(scanner: &mut FrameScanner, bytes: &[u8]) -> Vec<Frame> {
        let mut frames = Vec::new();
        let all: Result<(), ()> = scanner.scan(bytes, |frame| {
            frames.push(*frame);
            Ok(())
        });
        assert_eq!(all, Ok(()));
        frames
    }

    /// All sorts of frames, and whether the end of each leaves something half done.
    fn all_sorts() -> Vec<(Vec<u8>, bool)> {
        vec![
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), false),
            (bytes(kind::SETTINGS, 0, &[0; 12]), false),
            (bytes(kind::HEADERS, flag::END_HEADERS, b"x"), false),
            (bytes(kind::HEADERS, 0, &[7; 300]), true),
            (bytes(kind::CONTINUATION, 0, b""), true),
            (bytes(kind::CONTINUATION, flag::END_HEADERS, b"abcdef"), false),
            (bytes(kind::DATA, 0, b""), false),
            (bytes(kind::DATA, flag::PADDED, &[3, 0, 0, 0]), false),
            (bytes(kind::DATA, flag::PADDED, &[3, b'x', 0, 0, 0]), false),
            (bytes(kind::DATA, flag::END_STREAM, b"12345"), false),
            (bytes(kind::RST_STREAM, 0, &[0, 0, 0, 8]), false),
            (bytes(kind::PING, flag::ACK, &[1; 8]), false),
            (bytes(kind::GOAWAY, 0, b"\0\0\0\x01\0\0\0\x0btoo_many_x_and_y"), false),
            (bytes(kind::GOAWAY, 0, b"\0\0\0\x01\0\0\0\x0bno"), false),
            (bytes(0xfe, 0xff, &[0; 40]), false),
        ]
    }

    #[test]
    fn frames_are_told_as_they_are() {
        let wire: Vec<u8> = all_sorts().into_iter().flat_map(|(bytes, _)| bytes).collect();
        let frames = scan(&mut FrameScanner::of_client(), &wire);
        let kinds: Vec<_> = frames.iter().map(|frame| (frame.kind, frame.length)).collect();
        let expected = [
            (4, 12),
            (1, 1),
            (1, 300),
            (9, 0),
            (9, 6),
            (0, 0),
            (0, 4),
            (0, 5),
            (0, 5),
            (3, 4),
            (6, 8),
            (7, 24),
            (7, 10),
            (0xfe, 40),
        ];
        assert_eq!(kinds, expected);
        let empty: Vec<_> = frames.iter().map(Frame::is_empty_data).collect();
        assert_eq!(empty.iter().filter(|empty| **empty).count(), 2, "{empty:?}");
        assert_eq!((frames[5].data(), frames[6].data(), frames[7].data(), frames[8].data()), (0, 0, 1, 5));
        assert_eq!(frames[9].code(), 8);
        assert_eq!((frames[11].words(), frames[12].words(), frames[13].words()), (&b"too_many_x"[..], &b"no"[..], &b""[..]));
        assert!(frames[10].is_ack() && !frames[0].is_ack() && !frames[8].is_ack());
    }

    #[test]
    fn any_two_cuts_give_the_same_frames() {
        let wire: Vec<u8> = all_sorts().into_iter().flat_map(|(bytes, _)| bytes).collect();
        let whole = scan(&mut FrameScanner::of_client(), &wire);
        for first in 0..wire.len() {
            for second in [first, first + 1, (first + 9).min(wire.len()), (first + 27).min(wire.len())] {
                let mut scanner = FrameScanner::of_client();
                let mut frames = scan(&mut scanner, &wire[..first]);
                frames.extend(scan(&mut scanner, &wire[first..second]));
                frames.extend(scan(&mut scanner, &wire[second..]));
                assert_eq!(frames, whole, "cut at {first} and {second}");
                assert!(!scanner.is_amid());
            }
        }
    }

    #[test]
    fn what_is_half_done_is_known_at_every_byte() {
        let mut scanner = FrameScanner::of_client();
        let mut finished = 0;
        for (wire, open) in all_sorts() {
            let is_data = wire[3] == kind::DATA && !wire.starts_with(b"PRI");
            let preface = wire.starts_with(b"PRI");
            for (at, byte) in wire.iter().enumerate() {
                scan(&mut scanner, &[*byte]);
                let last = at + 1 == wire.len();
                let payload_of_data = is_data && at + 1 >= HEAD + LOOK.min(wire.len() - HEAD);
                let expected = if last { open } else { !preface && !payload_of_data };
                assert_eq!(scanner.is_amid(), expected, "byte {at} of {wire:?}");
            }
            finished += u64::from(!open && !preface);
            assert_eq!(scanner.finished(), finished, "after {wire:?}");
        }
    }

    #[test]
    fn nothing_is_told_behind_an_error() {
        let wire = [bytes(kind::PING, 0, &[0; 8]), bytes(kind::PING, 0, &[0; 8])].concat();
        let mut told = 0;
        let result = FrameScanner::of_server().scan(&wire, |_| {
            told += 1;
            Err("enough")
        });
        assert_eq!((result, told), (Err("enough"), 1));
    }

    #[test]
    fn a_scan_that_breaks_goes_on_where_it_stopped() {
        let wire: Vec<u8> = all_sorts().into_iter().flat_map(|(bytes, _)| bytes).collect();
        let mut whole = Vec::new();
        let _ = FrameScanner::of_client().scan(&wire, |frame| {
            whole.push(*frame);
            Ok::<_, ()>(())
        });
        for every in 1..4 {
            let (mut scanner, mut rest, mut found, mut stops) = (FrameScanner::of_client(), &wire[..], Vec::new(), 0);
            while !rest.is_empty() {
                let looked = scanner.scan_some(rest, |frame| {
                    found.push(*frame);
                    Ok::<_, ()>(if found.len() % every == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
                });
                rest = &rest[looked.unwrap()..];
                stops += 1;
            }
            assert_eq!(found, whole);
            assert!(stops >= whole.len() / every);
        }
    }
}
