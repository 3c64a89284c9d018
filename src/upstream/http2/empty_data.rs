//! DATA frames that carry nothing and end nothing, taken out of what a server sends before the codec sees them.
//!
//! Servers whose applications flush more often than they write send such frames (RFC 9113 section 6.1 allows them), and the codec ends
//! a connection after a hundred of them over its life, with all streams on it. They mean nothing, so nothing is lost here; what they
//! cost is the reading of nine bytes each, which the runtime's budget bounds.

/// A frame's head (RFC 9113 section 4.1).
const HEAD: usize = 9;

/// Follows the frames of one connection.
#[derive(Debug, Default)]
pub(super) struct EmptyData {
    /// Bytes of the current frame's payload to come.
    payload: usize,
    /// The head of a frame that a read cut in two, as far as it came.
    head: [u8; HEAD],
    length: usize,
}

impl EmptyData {
    /// Takes such frames out of `read`, which goes on where the last one ended, and says how many bytes are left at its front. A frame
    /// whose head comes in two reads stays: the first half of it is gone already.
    pub(super) fn strip(&mut self, read: &mut [u8]) -> usize {
        let (mut from, mut to) = (0, 0);
        while from < read.len() {
            let rest = &read[from..];
            let n = if self.payload > 0 {
                let n = self.payload.min(rest.len());
                self.payload -= n;
                n
            } else if let (0, Some(head)) = (self.length, rest.first_chunk::<HEAD>()) {
                if says_nothing(head) {
                    from += HEAD;
                    continue;
                }
                self.payload = payload(head);
                HEAD
            } else {
                let n = rest.len().min(HEAD - self.length);
                self.head[self.length..self.length + n].copy_from_slice(&rest[..n]);
                self.length += n;
                if self.length == HEAD {
                    self.payload = payload(&self.head);
                    self.length = 0;
                }
                n
            };
            if from != to {
                read.copy_within(from..from + n, to);
            }
            (from, to) = (from + n, to + n);
        }
        to
    }
}

fn payload(head: &[u8; HEAD]) -> usize {
    head[..3].iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte))
}

/// DATA without END_STREAM on a stream, of no bytes, not even padding. What is not quite that is left to the codec to judge.
fn says_nothing(head: &[u8; HEAD]) -> bool {
    matches!(head, [0, 0, 0, 0, 0, stream @ ..] if *stream != [0; 4])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::EmptyData;

    fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
        [&[0, 0, u8::try_from(payload.len()).unwrap(), kind, flags, 0, 0, 0, stream], payload].concat()
    }

    /// What is left of `bytes` that come in reads of these lengths.
    fn stripped(bytes: &[u8], mut reads: impl Iterator<Item = usize>) -> Vec<u8> {
        let (mut empty, mut rest, mut left) = (EmptyData::default(), bytes, Vec::new());
        while !rest.is_empty() {
            let (now, later) = rest.split_at(reads.next().unwrap().clamp(1, rest.len()));
            let mut read = now.to_vec();
            let n = empty.strip(&mut read);
            left.extend_from_slice(&read[..n]);
            rest = later;
        }
        left
    }

    #[test]
    fn frames_that_say_nothing_go_and_all_others_stay() {
        let nothing = frame(0, 0, 1, b"");
        let others = [
            frame(4, 0, 0, b"\0\x03\0\0\0\x64"),
            frame(1, 4, 1, b"\x88"),
            frame(0, 0, 1, b"data: a\n\n"),
            // Payload that looks like such a frame.
            frame(0, 0, 1, &nothing),
            // Its end, padding that must be there, a stream that must not, another kind.
            frame(0, 1, 1, b""),
            frame(0, 8, 1, b""),
            frame(0, 0, 0, b""),
            frame(9, 0, 1, b""),
        ];
        let mixed: Vec<u8> = others.iter().flat_map(|other| [&nothing[..], other, &nothing].concat()).collect();
        assert_eq!(stripped(&mixed, std::iter::repeat(usize::MAX)), others.concat());
        assert_eq!(stripped(&nothing, std::iter::repeat(9)), b"");
        // Cut in two it passes.
        assert_eq!(stripped(&nothing, std::iter::repeat(5)), nothing);
    }

    proptest! {
        #[test]
        fn nothing_else_is_ever_touched_however_it_comes(
            frames in proptest::collection::vec((0_u8..3, 0_u8..2, 0_u8..2, proptest::collection::vec(0_u8..2, 0..12)), 0..12),
            reads in proptest::collection::vec(1_usize..30, 1..10),
        ) {
            let frames: Vec<_> = frames.iter().map(|(kind, flags, stream, payload)| frame(*kind, *flags, *stream, payload)).collect();
            let left = stripped(&frames.concat(), reads.iter().copied().cycle());
            let mut rest = &left[..];
            let mut kept = Vec::new();
            while !rest.is_empty() {
                let (frame, behind) = rest.split_at(9 + usize::from(rest[2]));
                kept.push(frame.to_vec());
                rest = behind;
            }
            let saying = |frames: Vec<Vec<u8>>| frames.into_iter().filter(|one| *one != frame(0, 0, 1, b"")).collect::<Vec<_>>();
            prop_assert_eq!(saying(kept), saying(frames));
        }
    }
}
