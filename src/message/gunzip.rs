//! gzip, decoded as its bytes come (RFC 1952): for event streams that an upstream codes although nobody asked for it.
//!
//! Whatever the input so far determines comes out at once, so that a flush of the server's is a flush of ours. It must never believe
//! what does not check out: a wrong checksum, a missing end or a byte that belongs to no member is malformed. Output is bounded per
//! call, so a bomb costs its reader time and no memory.

use flate2::{Decompress, FlushDecompress, Status};

/// log2 of the window, the largest that there is: 32 KiB.
const WINDOW_BITS: u8 = 15;

/// Room that is made for output in one step.
const STEP: usize = 8 * 1024;

/// The body is no gzip, or is damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

/// Decodes one body. It is a few words itself; while a member is open, which in a stream is always, zlib's state and window take
/// 42 KiB on the heap.
#[derive(Debug)]
pub struct Gunzip {
    member: Member,
    /// The last call ended at its limit.
    pending: bool,
}

#[derive(Debug)]
enum Member {
    /// Before the first, or after the end of one.
    None,
    /// In one: its header, its blocks or its checksum.
    Open(Decompress),
    /// The body was found to be malformed.
    Broken,
}

impl Default for Gunzip {
    fn default() -> Self {
        Self::new()
    }
}

impl Gunzip {
    /// At the start of a body.
    #[must_use]
    pub fn new() -> Self {
        Self { member: Member::None, pending: false }
    }

    /// Decodes from `input` and appends to `out`, at most `limit` bytes. Returns how many bytes of `input` were consumed.
    ///
    /// All of them, unless the limit was reached: then call again with the rest, and with nothing if [`Self::is_pending`]. RFC 1952
    /// section 2.2: members follow one another, and their contents are one.
    ///
    /// # Errors
    /// [`Malformed`], now and for ever. What was appended before came out of an intact part, as far as that can be known before its
    /// checksum.
    pub fn decode(&mut self, input: &[u8], out: &mut Vec<u8>, limit: usize) -> Result<usize, Malformed> {
        let decoded = self.run(input, out, limit);
        if decoded.is_err() {
            *self = Self { member: Member::Broken, pending: false };
        }
        decoded
    }

    fn run(&mut self, input: &[u8], out: &mut Vec<u8>, limit: usize) -> Result<usize, Malformed> {
        let end = out.len().saturating_add(limit);
        let mut consumed = 0;
        loop {
            let rest = &input[consumed..];
            let member = match &mut self.member {
                Member::Broken => return Err(Malformed),
                Member::None if rest.is_empty() => {
                    self.pending = false;
                    return Ok(consumed);
                }
                // Any byte begins a member, zeros too. gzip(1) skips them, which pad files up to the block of a tape; a body has no such
                // blocks, and a reader that skips would take a damaged member for its end.
                Member::None => {
                    self.member = Member::Open(Decompress::new_gzip(WINDOW_BITS));
                    continue;
                }
                Member::Open(member) => member,
            };
            let at = out.len();
            let room = (end - at).min(STEP);
            if room == 0 {
                self.pending = true;
                return Ok(consumed);
            }
            out.resize(at + room, 0);
            let (read, written) = (member.total_in(), member.total_out());
            let status = member.decompress(rest, &mut out[at..], FlushDecompress::Sync);
            // Neither is more than the slice that was given.
            let (read, written) = ((member.total_in() - read) as usize, (member.total_out() - written) as usize);
            out.truncate(at + written);
            consumed += read;
            match status {
                Err(_) => return Err(Malformed),
                Ok(Status::StreamEnd) => self.member = Member::None,
                // Room was left: it waits for input.
                Ok(Status::Ok | Status::BufError) if written < room => {
                    self.pending = false;
                    return Ok(consumed);
                }
                Ok(Status::Ok | Status::BufError) => {}
            }
        }
    }

    /// Whether more may come out without more input, since the last call ended at its limit.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        self.pending
    }

    /// Whether the body may end here: after a whole member. An empty body may too: servers that code lazily write nothing at all where
    /// they have nothing to say, and nothing can be missing from it.
    #[must_use]
    pub fn may_end(&self) -> bool {
        matches!(self.member, Member::None)
    }
}

#[cfg(test)]
mod tests;
