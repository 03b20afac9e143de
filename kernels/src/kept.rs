//! Something that is made once and used by many threads until it is out of date.
//!
//! The lock is held while the value is looked up or put back, never while it is made or used. A thread that waits
//! in the pool may be given another image, which goes through the same unit of the network and asks for the same
//! value: with a lock held across the wait it would wait for itself.

use super::sync::{Arc, Mutex, MutexGuard};

/// A value and the version of what it was made from.
#[derive(Debug)]
pub struct Kept<T>(Mutex<Option<(u64, Arc<T>)>>);

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Kept(Mutex::new(None))
    }
}

impl<T> Kept<T> {
    /// The value for `version`; `make` makes it where there is none, perhaps out of an older value that nobody uses
    /// any more. Threads that ask at the same time may each make it, and must then make the same.
    pub fn get(&self, version: u64, make: impl FnOnce(Option<T>) -> T) -> Arc<T> {
        let older = {
            let mut kept = self.lock();
            match &*kept {
                Some((of, value)) if *of == version => return value.clone(),
                _ => kept.take(),
            }
        };
        let older = older.and_then(|(_, value)| Arc::try_unwrap(value).ok());
        let made = Arc::new(make(older));
        *self.lock() = Some((version, made.clone()));
        made
    }

    fn lock(&self) -> MutexGuard<'_, Option<(u64, Arc<T>)>> {
        // A panic elsewhere leaves the value whole: it is only ever exchanged.
        self.0.lock().unwrap_or_else(|e| e.into_inner())
    }
}
