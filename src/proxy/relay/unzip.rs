//! An event stream that came gzipped, decoded on its way: each read comes out as far as it can be decoded, and no more than a read's
//! worth at a time, so that a small input that decodes to much (a bomb) waits here while the client takes it.

use crate::message::gunzip::{Gunzip, Malformed};
use crate::stream::UpstreamEnd;

/// The decoder and what waits for it.
pub(super) struct Unzip {
    gunzip: Box<Gunzip>,
    /// Read and not decoded, from `at` on: one read at most.
    coded: Vec<u8>,
    at: usize,
    /// The upstream's end, behind all that waits.
    end: Option<UpstreamEnd>,
}

impl Unzip {
    pub(super) fn new(gunzip: Box<Gunzip>) -> Self {
        Self { gunzip, coded: Vec::new(), at: 0, end: None }
    }

    /// Takes coded bytes.
    pub(super) fn push(&mut self, coded: &[u8]) {
        self.coded.extend_from_slice(coded);
    }

    /// The upstream ended, with what was pushed.
    pub(super) fn end(&mut self, how: UpstreamEnd) {
        self.end.get_or_insert(how);
    }

    /// Whether something comes out without further input.
    pub(super) fn has_work(&self) -> bool {
        self.at < self.coded.len() || self.gunzip.is_pending() || self.end.is_some()
    }

    /// Decodes up to `limit` bytes into `plain`. The upstream's end comes once all before it is out.
    pub(super) fn step(&mut self, plain: &mut Vec<u8>, limit: usize) -> Option<UpstreamEnd> {
        if self.at < self.coded.len() || self.gunzip.is_pending() {
            let before = plain.len();
            match self.gunzip.decode(&self.coded[self.at..], plain, limit) {
                Ok(consumed) if consumed > 0 || plain.len() > before => self.at += consumed,
                Ok(_) | Err(Malformed) => return Some(UpstreamEnd::Malformed),
            }
            if self.at == self.coded.len() {
                self.coded = Vec::new();
                self.at = 0;
            }
            return None;
        }
        let end = self.end.take()?;
        // The framing may be whole where the coding is not.
        let torn = end == UpstreamEnd::Clean && !self.gunzip.may_end();
        Some(if torn { UpstreamEnd::Lost } else { end })
    }
}
