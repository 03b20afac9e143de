//! A place for each of many things, most of which stay empty.

use std::sync::OnceLock;

/// Places that are filled once each, from any thread. As long as all are empty they take no memory.
#[derive(Debug)]
pub(super) struct Slots<T> {
    len: usize,
    /// Boxed twice: an empty place is all that most of a million photographs have here.
    all: OnceLock<Box<[OnceLock<Box<T>>]>>,
}

impl<T> Slots<T> {
    pub fn new(len: usize) -> Self {
        Slots { len, all: OnceLock::new() }
    }

    pub fn get(&self, index: usize) -> Option<&T> {
        self.all.get()?.get(index)?.get().map(|value| &**value)
    }

    /// Fills a place; false where it was full, or there is none.
    pub fn set(&self, index: usize, value: T) -> bool {
        let all = self.all.get_or_init(|| (0..self.len).map(|_| OnceLock::new()).collect());
        all.get(index).is_some_and(|place| place.set(Box::new(value)).is_ok())
    }

    /// The full places, with their numbers.
    pub fn full(&self) -> impl Iterator<Item = (usize, &T)> {
        let all = self.all.get().map_or(&[][..], |all| all);
        all.iter().enumerate().filter_map(|(index, place)| Some((index, &**place.get()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_filled_once_and_none_takes_no_memory() {
        let slots = Slots::new(3);
        assert!(slots.all.get().is_none() && slots.get(1).is_none() && slots.full().next().is_none());
        assert!(slots.set(1, "a") && !slots.set(1, "b") && !slots.set(3, "c"));
        assert_eq!((slots.get(0), slots.get(1), slots.get(3)), (None, Some(&"a"), None));
        assert_eq!(slots.full().collect::<Vec<_>>(), [(1, &"a")]);
    }
}
