//! Where the outputs of the frozen part are kept, and how many bytes they may take.
//!
//! One budget serves all data sets of a model, what is being computed for one, and what `fine_tune` keeps for
//! its epochs. Where there is no room, the entry whose last use is longest ago makes way.

use std::sync::{Arc, Mutex, MutexGuard};

use sha2::{Digest, Sha256};

use crate::data::{Dataset, FileDigest};
use crate::preprocess::Rescaling;

/// Without a call of [`Model::set_feature_cache_bytes`](crate::model::Model::set_feature_cache_bytes).
pub(crate) const LIMIT_BYTES: usize = 1 << 30;

/// Outputs of the frozen part, image after image.
#[derive(Debug, Default)]
pub(crate) struct Features {
    pub values: Vec<f32>,
    pub labels: Vec<u32>,
    pub indices: Vec<usize>,
    /// How many images each batch had: fewer than asked for where a file could not be read. Sums go
    /// by batches, so that only the same batches give the same bits.
    pub batches: Vec<usize>,
}

impl Features {
    /// Bytes of those of `dataset`, `per_image` numbers an image.
    pub fn bytes(dataset: &Dataset, per_image: usize) -> usize {
        let of_image = per_image.saturating_mul(size_of::<f32>()) + size_of::<u32>() + size_of::<usize>();
        dataset.len().saturating_mul(of_image) + dataset.cardinality() * size_of::<usize>()
    }
}

/// What of a model features depend on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FrozenPart {
    pub rescaling: Option<Rescaling>,
    /// See [`Base::version`](crate::network::base::Base::version).
    pub version: u64,
}

/// All that features depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key {
    data: [u8; 32],
    /// See [`Base::version`](crate::network::base::Base::version).
    version: u64,
    mirrored: bool,
}

impl Key {
    /// That of `dataset`, whose [`digests`](Dataset::digests) are given.
    pub fn new(
        frozen: FrozenPart,
        dataset: &Dataset,
        digests: &[Option<FileDigest>],
        mirrored: bool,
    ) -> Self {
        let mut hash = Sha256::new();
        let rescaling = frozen.rescaling.map(|r| format!("{r:?}"));
        hash.update(format!("{:?}\0{}\0{rescaling:?}\0", dataset.class_names(), dataset.rules()));
        for (index, digest) in dataset.indices().into_iter().zip(digests) {
            hash.update(format!("{index} {} {}\0", dataset.labels()[index], digest.is_some()));
            hash.update(digest.unwrap_or_default());
        }
        Key { data: hash.finalize().into(), version: frozen.version, mirrored }
    }
}

/// Features by what they depend on; see the module.
#[derive(Debug, Default)]
pub(crate) struct FeatureCache(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// The one whose last use is longest ago comes first.
    entries: Vec<Entry>,
    /// Bytes of the entries.
    kept: usize,
    /// Bytes of all [`Room`].
    taken: usize,
}

#[derive(Debug)]
struct Entry {
    key: Key,
    features: Arc<Features>,
    bytes: usize,
}

impl State {
    /// Drops entries until they fit into `bytes`.
    fn shrink(&mut self, bytes: usize) {
        let mut gone = 0;
        while self.kept > bytes && gone < self.entries.len() {
            self.kept -= self.entries[gone].bytes;
            gone += 1;
        }
        self.entries.drain(..gone);
    }

    fn remove(&mut self, unwanted: impl Fn(&Key) -> bool) {
        self.entries.retain(|entry| !unwanted(&entry.key));
        self.kept = self.entries.iter().map(|entry| entry.bytes).sum();
    }
}

impl FeatureCache {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// What is kept under `key`.
    pub fn get(&self, key: &Key) -> Option<Arc<Features>> {
        let mut state = self.state();
        let at = state.entries.iter().position(|entry| entry.key == *key)?;
        let entry = state.entries.remove(at);
        let features = entry.features.clone();
        state.entries.push(entry);
        Some(features)
    }

    /// Forgets what other frozen layers gave.
    pub fn forget_other_versions(&self, version: u64) {
        self.state().remove(|key| key.version != version);
    }

    /// Holds to a budget of `bytes` from now on.
    pub fn set_limit(&self, bytes: usize) {
        let mut state = self.state();
        let rest = bytes.saturating_sub(state.taken);
        state.shrink(rest);
    }

    /// Whether `bytes` fit into `limit` beside what cannot make way.
    pub fn has_room(&self, bytes: usize, limit: usize) -> bool {
        self.state().taken.checked_add(bytes).is_some_and(|sum| sum <= limit)
    }

    /// Takes `bytes` of the budget `limit`, from entries if need be; `None` where they do not fit. They are given
    /// back when what is returned is dropped.
    pub fn take(self: &Arc<Self>, bytes: usize, limit: usize) -> Option<Room> {
        let mut state = self.state();
        let taken = state.taken.checked_add(bytes).filter(|&sum| sum <= limit)?;
        state.taken = taken;
        state.shrink(limit - taken);
        Some(Room { cache: self.clone(), bytes })
    }
}

/// A part of the budget.
#[derive(Debug)]
pub(crate) struct Room {
    cache: Arc<FeatureCache>,
    bytes: usize,
}

impl Room {
    /// Turns it into an entry.
    pub fn fill(self, key: Key, features: Features) {
        let mut state = self.cache.state();
        state.remove(|other| *other == key);
        state.kept += self.bytes;
        state.entries.push(Entry { key, features: Arc::new(features), bytes: self.bytes });
        // `drop` takes these bytes off what is taken; they are kept now.
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.cache.state().taken -= self.bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u8) -> Key {
        Key { data: [number; 32], version: 0, mirrored: false }
    }

    fn keep(cache: &Arc<FeatureCache>, number: u8, bytes: usize, limit: usize) -> bool {
        cache.take(bytes, limit).map(|room| room.fill(key(number), Features::default())).is_some()
    }

    fn kept(cache: &FeatureCache, numbers: std::ops::Range<u8>) -> Vec<u8> {
        let state = cache.state();
        numbers.filter(|&n| state.entries.iter().any(|entry| entry.key == key(n))).collect()
    }

    fn bytes(cache: &FeatureCache) -> (usize, usize) {
        let state = cache.state();
        (state.kept, state.taken)
    }

    #[test]
    fn one_budget_serves_all_and_the_least_recently_used_makes_way() {
        let cache = Arc::new(FeatureCache::default());
        for number in 0..3 {
            assert!(keep(&cache, number, 30, 100));
        }
        assert_eq!(bytes(&cache), (90, 0));
        assert!(cache.get(&key(0)).is_some() && cache.get(&key(9)).is_none());
        assert!(keep(&cache, 3, 30, 100));
        assert_eq!(kept(&cache, 0..4), [0, 2, 3]);
        // A larger one takes the place of several.
        assert!(keep(&cache, 4, 60, 100));
        assert_eq!((kept(&cache, 0..5), bytes(&cache)), (vec![3, 4], (90, 0)));
        // What cannot fit costs nobody its place.
        assert!(!keep(&cache, 5, 101, 100));
        assert_eq!(kept(&cache, 0..6), [3, 4]);
        cache.set_limit(60);
        assert_eq!((kept(&cache, 0..6), bytes(&cache)), (vec![4], (60, 0)));
        cache.set_limit(0);
        assert_eq!(bytes(&cache), (0, 0));
    }

    #[test]
    fn room_that_is_taken_counts_until_it_is_given_back() {
        let cache = Arc::new(FeatureCache::default());
        assert!(keep(&cache, 0, 50, 100));
        let room = cache.take(60, 100).unwrap();
        assert_eq!(bytes(&cache), (0, 60));
        assert!(cache.has_room(40, 100) && !cache.has_room(41, 100) && !keep(&cache, 1, 41, 100));
        assert!(keep(&cache, 2, 40, 100));
        drop(room);
        assert_eq!(bytes(&cache), (40, 0));
        // The same key again replaces what was there.
        assert!(keep(&cache, 2, 30, 100));
        assert_eq!(bytes(&cache), (30, 0));
    }

    #[test]
    fn another_version_is_forgotten() {
        let cache = Arc::new(FeatureCache::default());
        assert!(keep(&cache, 0, 10, 100));
        cache.forget_other_versions(0);
        assert_eq!(bytes(&cache), (10, 0));
        cache.forget_other_versions(1);
        assert_eq!(bytes(&cache), (0, 0));
    }
}
