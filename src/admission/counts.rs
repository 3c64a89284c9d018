//! Numbers that never pass their cap: one, or one for each client. Both are right at every instant under any concurrency.

use std::hash::Hash;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering};

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;

/// One number.
#[derive(Debug, Default)]
pub(super) struct Count(AtomicUsize);

impl Count {
    /// Adds one, if it stays within `cap` then. It is one step: there is no instant with one too many. Only the number is shared by
    /// it, no other memory, so no ordering is asked for.
    pub(super) fn add(&self, cap: usize) -> bool {
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| (count < cap).then(|| count + 1)).is_ok()
    }

    /// Takes back one that was added.
    pub(super) fn remove(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// One number for each client that has any: an entry lives from its first to its last.
#[derive(Debug)]
pub(super) struct Clients<K: Eq + Hash>(DashMap<K, NonZeroU32>);

impl<K: Eq + Hash> Default for Clients<K> {
    fn default() -> Self {
        Self(DashMap::new())
    }
}

impl<K: Eq + Hash> Clients<K> {
    /// Adds one for `key`, if it stays within `cap` then. The entry is locked meanwhile.
    pub(super) fn add(&self, key: K, cap: u32) -> bool {
        if cap == 0 {
            return false;
        }
        match self.0.entry(key) {
            Entry::Occupied(mut entry) if entry.get().get() < cap => {
                entry.insert(entry.get().saturating_add(1));
                true
            }
            Entry::Occupied(_) => false,
            Entry::Vacant(entry) => {
                entry.insert(NonZeroU32::MIN);
                true
            }
        }
    }

    /// Takes back one that was added for `key`; the last one takes its entry along.
    pub(super) fn remove(&self, key: &K) {
        self.0.remove_if_mut(key, |_, count| match NonZeroU32::new(count.get() - 1) {
            Some(rest) => {
                *count = rest;
                false
            }
            None => true,
        });
    }

    /// How many clients have any.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}
