//! What a data set's cache holds.

use super::{Dataset, Stored};

impl Dataset {
    /// An image as the cache has it.
    pub(crate) fn cached_image(&self, index: usize) -> Option<Stored<'_>> {
        self.store.stored(index).filter(|_| self.has_cache())
    }

    /// Whether the cache has all images that can be decoded.
    pub(crate) fn is_all_cached(&self) -> bool {
        let known = |&index: &usize| self.cached_image(index).is_some() || self.store.is_bad(index);
        self.has_cache() && self.indices().iter().all(known)
    }

    /// All decodable images as the cache has them, by their index; `None` where one is not in it.
    #[cfg(feature = "cuda")]
    pub(crate) fn cached_images(&self) -> Option<Vec<(usize, Stored<'_>)>> {
        let cached = |index| Some((index, self.cached_image(index)?));
        self.is_all_cached().then(|| self.indices().into_iter().filter_map(cached).collect())
    }
}
