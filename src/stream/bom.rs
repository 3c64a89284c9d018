//! The byte order mark that comes after a heartbeat. Clients strip one at byte 0 only (WHATWG HTML section 9.2.5), so once we wrote
//! something first, a BOM from the upstream would become content: it is stripped here. At most two bytes are held for that.

use std::ops::Range;

const BOM: [u8; 3] = [0xEF, 0xBB, 0xBF];

/// Off unless a heartbeat went out before the upstream's first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BomFilter {
    Off,
    /// So many bytes of a BOM came first, and are held.
    Matching(u8),
}

/// What a chunk means for the question.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// No BOM: what is held goes out if `release`, then the whole chunk.
    None { release: bool },
    /// A BOM that ends here: what is held is forgotten if `discard`, and so is the chunk up to `end`.
    Stripped { discard: bool, end: usize },
    /// Still possible: hold this.
    Undecided(Range<usize>),
}

impl BomFilter {
    /// A heartbeat goes out first.
    pub(super) fn arm(&mut self) {
        *self = Self::Matching(0);
    }

    /// Judges the next chunk, which is not empty.
    pub(super) fn judge(&mut self, chunk: &[u8]) -> Verdict {
        let Self::Matching(held) = *self else { return Verdict::None { release: false } };
        let rest = &BOM[usize::from(held)..];
        let common = rest.iter().zip(chunk).take_while(|(want, have)| want == have).count();
        if common == rest.len() {
            *self = Self::Off;
            Verdict::Stripped { discard: held > 0, end: common }
        } else if common == chunk.len() {
            *self = Self::Matching(held + common as u8);
            Verdict::Undecided(0..common)
        } else {
            *self = Self::Off;
            Verdict::None { release: held > 0 }
        }
    }

    /// The stream ends: whatever is held was no BOM. Returns whether something is held.
    pub(super) fn rule_out(&mut self) -> bool {
        matches!(std::mem::replace(self, Self::Off), Self::Matching(held) if held > 0)
    }
}
