//! Settings that hold until their files say something else.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::Reloaded;

/// Settings, and of which bytes they were made.
pub(super) struct Loaded<C> {
    config: Arc<C>,
    fingerprint: u64,
}

impl<C> Loaded<C> {
    /// `seen` is all that was read for them.
    pub(super) fn new(config: C, seen: &[u8]) -> Self {
        let mut hasher = DefaultHasher::new();
        seen.hash(&mut hasher);
        Self { config: Arc::new(config), fingerprint: hasher.finish() }
    }
}

/// What holds now.
pub(super) struct Current<C>(ArcSwap<Loaded<C>>);

impl<C> Current<C> {
    pub(super) fn new(loaded: Loaded<C>) -> Self {
        Self(ArcSwap::from_pointee(loaded))
    }

    /// For the next connection.
    pub(super) fn get(&self) -> Arc<C> {
        Arc::clone(&self.0.load().config)
    }

    /// From now on `loaded` holds, unless it is made of the same bytes.
    pub(super) fn replace(&self, loaded: Loaded<C>) -> Reloaded {
        if loaded.fingerprint == self.0.load().fingerprint {
            return Reloaded::Same;
        }
        self.0.store(Arc::new(loaded));
        Reloaded::Changed
    }
}
