//! Chunked bodies, decoded as they come (RFC 9112 section 7.1).
//!
//! Strict: a size is hex digits, a line ends with CRLF, nothing follows the end. Extensions and trailers are read over, within a
//! bound. States are named after the grammar and scanning never restarts.

/// Bytes of extensions and trailers in one body, at most per line group.
const MAX_SKIPPED: u32 = 16 * 1024;

/// What is wrong with a body.
pub(super) type Malformed = &'static str;

/// Where in the grammar the next byte stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Position {
    /// Before the first digit of a size.
    Size,
    /// After at least one digit.
    SizeDigits,
    /// In a chunk extension.
    Extension,
    /// After the CR of a size line.
    SizeLf,
    /// In the data of a chunk.
    Data,
    /// After the data.
    DataCr,
    /// After the CR behind the data.
    DataLf,
    /// At the begin of a trailer line, or of the empty line that ends the body.
    Trailer,
    /// In a trailer line.
    TrailerLine,
    /// After the CR of a trailer line.
    TrailerLf,
    /// After the CR of the empty line.
    EndLf,
    /// Behind the body.
    End,
}

/// A decoder for one body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chunked {
    position: Position,
    /// Data bytes of the chunk that are still to come.
    left: u64,
    /// Bytes of extensions and trailers since the last data.
    skipped: u32,
}

impl Chunked {
    pub(super) fn new() -> Self {
        Self { position: Position::Size, left: 0, skipped: 0 }
    }

    /// Whether the body has ended, with its final chunk.
    pub(super) fn is_complete(&self) -> bool {
        self.position == Position::End
    }

    /// The next piece of data in `input`, which is advanced over all that was read; `None` when `input` is used up.
    pub(super) fn next<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<&'a [u8]>, Malformed> {
        while let Some((&byte, rest)) = input.split_first() {
            if self.position == Position::Data {
                let here = usize::try_from(self.left).unwrap_or(usize::MAX).min(input.len());
                let (data, rest) = input.split_at(here);
                *input = rest;
                self.left -= data.len() as u64;
                if self.left == 0 {
                    self.position = Position::DataCr;
                }
                return Ok(Some(data));
            }
            *input = rest;
            self.step(byte)?;
        }
        Ok(None)
    }

    fn step(&mut self, byte: u8) -> Result<(), Malformed> {
        self.position = match (self.position, byte) {
            (Position::Size | Position::SizeDigits, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => self.digit(byte)?,
            (Position::SizeDigits, b';') => Position::Extension,
            (Position::SizeDigits | Position::Extension, b'\r') => Position::SizeLf,
            (Position::Size | Position::SizeDigits, _) => return Err("a chunk size that is no number"),
            (Position::SizeLf, b'\n') if self.left == 0 => Position::Trailer,
            (Position::SizeLf, b'\n') => {
                self.skipped = 0;
                Position::Data
            }
            (Position::DataCr, b'\r') => Position::DataLf,
            (Position::DataLf, b'\n') => Position::Size,
            (Position::DataCr | Position::DataLf, _) => return Err("a chunk that is longer than its size"),
            (Position::Trailer, b'\r') => Position::EndLf,
            (Position::TrailerLine, b'\r') => Position::TrailerLf,
            (Position::TrailerLf, b'\n') => Position::Trailer,
            (Position::EndLf, b'\n') => Position::End,
            (Position::End, _) => return Err("bytes after the final chunk"),
            (Position::SizeLf | Position::TrailerLf | Position::EndLf, _) | (_, b'\n') => {
                return Err("a line end that is not CRLF");
            }
            (Position::Extension, _) => self.skip(Position::Extension)?,
            (Position::Trailer | Position::TrailerLine, _) => self.skip(Position::TrailerLine)?,
            (Position::Data, _) => Position::Data,
        };
        Ok(())
    }

    fn digit(&mut self, byte: u8) -> Result<Position, Malformed> {
        let digit = char::from(byte).to_digit(16).map_or(0, u64::from);
        self.left = self.left.checked_mul(16).and_then(|left| left.checked_add(digit)).ok_or("a chunk size beyond 64 bits")?;
        // Leading zeros would make a size line of any length.
        self.skip(Position::SizeDigits)
    }

    fn skip(&mut self, position: Position) -> Result<Position, Malformed> {
        self.skipped += 1;
        if self.skipped > MAX_SKIPPED { Err("endless chunk extensions or trailers") } else { Ok(position) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Data, whether the body is complete, and what is wrong, of `pieces` in order.
    fn decode(pieces: &[&[u8]]) -> (Vec<u8>, bool, Option<Malformed>) {
        let mut chunked = Chunked::new();
        let mut data = Vec::new();
        for piece in pieces {
            let mut input = *piece;
            loop {
                match chunked.next(&mut input) {
                    Ok(Some(part)) => data.extend_from_slice(part),
                    Ok(None) => break,
                    Err(malformed) => return (data, false, Some(malformed)),
                }
            }
        }
        (data, chunked.is_complete(), None)
    }

    #[test]
    fn a_body_is_the_same_at_every_split() {
        let body = b"5\r\nhello\r\n00A;name=\"x\"\r\n0123456789\r\n0\r\nDigest: x\r\n\r\n";
        let whole = (b"hello0123456789".to_vec(), true, None);
        assert_eq!(decode(&[body]), whole);
        for cut in 0..=body.len() {
            let (left, right) = body.split_at(cut);
            assert_eq!(decode(&[left, right]), whole, "cut at {cut}");
            assert_eq!(decode(&[left]).1, cut == body.len(), "complete at {cut}");
        }
        let bytes: Vec<&[u8]> = body.chunks(1).collect();
        assert_eq!(decode(&bytes), whole);
    }

    #[test]
    fn what_the_grammar_does_not_know_is_malformed_at_every_split() {
        let long = format!("1;{}\r\n", "x".repeat(20_000));
        for body in [
            "\r\n",
            "g\r\n",
            " 5\r\n",
            "5 \r\n",
            "0x5\r\n",
            "-1\r\n",
            "5\nhello",
            "5\r\rhello",
            "5\r\nhello!\r\n",
            "5\r\nhello\r!",
            "5;a\nb\r\n",
            "0\r\n\n",
            "0\r\n\r\r",
            "0\r\nA: b\n\r\n",
            "0\r\n\r\nx",
            "10000000000000000\r\n",
            &long,
        ] {
            for cut in [0, 1, body.len() / 2, body.len() - 1] {
                let (left, right) = body.as_bytes().split_at(cut);
                assert!(decode(&[left, right]).2.is_some(), "{:?} cut at {cut}", &body[..body.len().min(40)]);
            }
        }
    }
}
