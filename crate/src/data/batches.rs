//! One pass over a data set: batches are made on threads of their own, ahead of their use.
//!
//! The order and the content of batches are fixed beforehand, image by image, so neither the
//! number of threads nor their timing can change anything. One thread makes batch after batch and
//! hands them over through a bounded queue; the images of a batch are shared out among workers.
//! They are not the threads that the model computes on: those should not find a photograph to
//! decode between two layers.

use super::batch::Batch;
use super::decode::last_words;
use super::store::{Scratch, Store};
use super::ImageKey;
use super::ImageMap;
use crate::progress::say;
use crate::team::share_of;
use crate::{Error, Result};
use ndarray::{Array1, Array4};
use rayon::prelude::*;
use std::ops::Range;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{sync_channel, Receiver, SendError};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// The batches of one epoch, made by [`Dataset::batches`](super::Dataset::batches).
///
/// Each item is a `Result<Batch>`; after an error there are no more. Dropping it midway stops the
/// threads behind it.
pub struct Batches {
    source: Source,
    store: Arc<Store>,
    stop: Arc<AtomicBool>,
    left: usize,
}

enum Source {
    /// Batches are made when they are asked for.
    Direct(Box<Producer>),
    /// Batches wait in a queue; `None` says that all were made.
    Queue {
        queue: Receiver<Option<Result<Batch>>>,
        maker: Option<JoinHandle<()>>,
    },
    Finished,
}

impl Source {
    /// A queue of `prefetch` batches that a thread of its own fills. Without a queue, or without a thread to be had,
    /// batches are made when they are asked for.
    fn start(producer: Box<Producer>, prefetch: usize) -> Self {
        if prefetch == 0 {
            return Source::Direct(producer);
        }
        // One batch is being made while the others wait.
        let (sender, queue) = sync_channel(prefetch - 1);
        // What goes into a thread that does not start is lost, so that the producer follows when it runs.
        let (hand, taken) = sync_channel::<Box<Producer>>(1);
        let work = move || {
            let Ok(mut producer) = taken.recv() else { return };
            while let Some(batch) = producer.next() {
                let last = batch.is_err();
                if sender.send(Some(batch)).is_err() || last {
                    return;
                }
            }
            let _ = sender.send(None);
        };
        match std::thread::Builder::new().name("transfer-batches".into()).spawn(work) {
            Ok(maker) => match hand.send(producer) {
                Ok(()) => Source::Queue { queue, maker: Some(maker) },
                Err(SendError(producer)) => Source::Direct(producer),
            },
            Err(why) => {
                say(format!(
                    "The system did not start a thread for images ({why}). They are loaded between steps."
                ));
                Source::Direct(producer)
            }
        }
    }
}

/// What a pass is to bring.
pub(super) struct Plan {
    pub store: Arc<Store>,
    /// Images in their order.
    pub order: Vec<usize>,
    /// Images in a batch, at least 1.
    pub batch_size: usize,
    /// How many batches of it to pass over.
    pub first: usize,
    pub epoch: u64,
    pub map: Option<Arc<dyn ImageMap>>,
    pub cache: bool,
    /// How many batches may wait.
    pub prefetch: usize,
    /// Which images of each batch; all of them where it is `None`.
    pub share: Option<ShareOfBatch>,
}

/// The micro-batches of each batch that a member of a team works on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ShareOfBatch {
    /// Images of a micro-batch; the last one of a batch may have fewer.
    pub micro_batch: usize,
    pub rank: usize,
    pub size: usize,
}

impl ShareOfBatch {
    /// The places of its images in a batch of `len`.
    pub fn of(self, len: usize) -> Range<usize> {
        let parts = share_of(self.rank, self.size, len.div_ceil(self.micro_batch));
        (parts.start * self.micro_batch).min(len)..(parts.end * self.micro_batch).min(len)
    }
}

impl Batches {
    pub(super) fn start(plan: Plan) -> Result<Self> {
        crate::threads::check()?;
        let store = plan.store.clone();
        let stop = Arc::new(AtomicBool::new(false));
        let left = plan.order.len().div_ceil(plan.batch_size).saturating_sub(plan.first);
        let prefetch = plan.prefetch.min(left);
        let threads = crate::threads::pool().current_num_threads().min(plan.batch_size);
        let source = Source::start(Box::new(Producer::new(plan, stop.clone(), threads)), prefetch);
        Ok(Self { source, store, stop, left })
    }

    /// Ends the pass, whether or not all of it was wanted.
    fn finish(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Source::Queue { queue, maker } = std::mem::replace(&mut self.source, Source::Finished) {
            // Without its receiver, a maker that waits to hand over a batch wakes up and ends.
            drop(queue);
            if let Some(maker) = maker {
                let _ = maker.join();
            }
        }
        self.left = 0;
        self.store.tell_skipped();
    }
}

impl Iterator for Batches {
    type Item = Result<Batch>;

    fn next(&mut self) -> Option<Self::Item> {
        let item = match &mut self.source {
            Source::Direct(producer) => producer.next(),
            Source::Queue { queue, .. } => queue.recv().unwrap_or_else(|_| {
                Some(Err(Error::Data("the thread that prepares batches ended early.".into())))
            }),
            Source::Finished => None,
        };
        match &item {
            Some(Ok(_)) => self.left = self.left.saturating_sub(1),
            _ => self.finish(),
        }
        item
    }

    /// Fewer come only where no file of a batch can be decoded.
    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(self.left))
    }
}

impl Drop for Batches {
    fn drop(&mut self) {
        self.finish();
    }
}

impl std::fmt::Debug for Batches {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Batches({} to come)", self.left)
    }
}

struct Producer {
    plan: Plan,
    position: usize,
    made_images: bool,
    stop: Arc<AtomicBool>,
    /// `None` where the system starts no threads for them: then images are loaded one after the other.
    workers: Option<rayon::ThreadPool>,
    /// What waits to be used again. Taken for an image and put back, not locked meanwhile: an image map may wait for
    /// threads of its own, and its thread may then be given the next image.
    scratch: Mutex<Vec<Scratch>>,
}

impl Producer {
    fn new(plan: Plan, stop: Arc<AtomicBool>, threads: usize) -> Self {
        let builder = rayon::ThreadPoolBuilder::new().num_threads(threads);
        let workers = match builder.thread_name(|i| format!("transfer-images-{i}")).build() {
            Ok(workers) => Some(workers),
            Err(why) => {
                say(format!(
                    "The system did not start {threads} threads for images ({why}). One loads them all."
                ));
                None
            }
        };
        let position = plan.first.saturating_mul(plan.batch_size).min(plan.order.len());
        let made_images = plan.first > 0;
        Self { plan, position, made_images, stop, workers, scratch: Mutex::default() }
    }

    /// The next batch that has an image at all.
    fn next(&mut self) -> Option<Result<Batch>> {
        while self.position < self.plan.order.len() && !self.stop.load(Ordering::Relaxed) {
            match self.make() {
                // A member of a team takes part in each step, also without an image.
                Ok(batch) if batch.is_empty() && self.plan.share.is_none() => {}
                other => {
                    self.made_images = true;
                    return Some(other);
                }
            }
        }
        if self.made_images
            || self.plan.order.is_empty()
            || self.plan.share.is_some()
            || self.stop.load(Ordering::Relaxed)
        {
            return None;
        }
        self.made_images = true;
        let first =
            self.plan.store.skipped().first().map(|file| format!(" The first: {file}")).unwrap_or_default();
        Some(Err(Error::Data(format!(
            "none of the {} photographs of this data set can be decoded.{first}",
            self.plan.order.len()
        ))))
    }

    fn make(&mut self) -> Result<Batch> {
        let Plan { store, order, batch_size, .. } = &self.plan;
        let end = (self.position + batch_size).min(order.len());
        let number = self.position / batch_size;
        let mut indices = order[self.position..end].to_vec();
        if let Some(share) = self.plan.share {
            indices = indices[share.of(indices.len())].to_vec();
        }
        self.position = end;
        let len = store.options.image_len();
        let mut buffer = store.spare.take(indices.len() * len);
        let load_all = || match &self.workers {
            Some(workers) => workers.install(|| {
                let pairs = buffer.par_chunks_exact_mut(len).zip(&indices).with_max_len(1);
                pairs.map(|(image, &index)| self.load(index, image)).collect()
            }),
            None => {
                let pairs = buffer.chunks_exact_mut(len).zip(&indices);
                pairs.map(|(image, &index)| self.load(index, image)).collect()
            }
        };
        // Decoders are guarded; what may still panic is somebody's image map.
        let loaded: Vec<Result<bool>> = catch_unwind(AssertUnwindSafe(load_all))
            .map_err(|panic| Error::Data(format!("preparing an image panicked: {}", last_words(&*panic))))?;
        let mut kept = 0;
        for (i, loaded) in loaded.into_iter().enumerate() {
            if loaded? {
                if i != kept {
                    buffer.copy_within(i * len..(i + 1) * len, kept * len);
                    indices[kept] = indices[i];
                }
                kept += 1;
            }
        }
        indices.truncate(kept);
        buffer.truncate(kept * len);
        let (h, w) = store.options.image_size;
        let images = Array4::from_shape_vec((kept, h, w, 3), buffer)
            .map_err(|e| Error::Shape(format!("a batch of {kept} images of {h}x{w}: {e}")))?;
        let labels = Array1::from_iter(indices.iter().map(|&i| store.labels[i]));
        Ok(Batch { images, labels, indices, number, home: Some(store.spare.clone()) })
    }

    fn load(&self, index: usize, image: &mut [f32]) -> Result<bool> {
        if self.stop.load(Ordering::Relaxed) {
            return Ok(false);
        }
        let free = || self.scratch.lock().unwrap_or_else(|e| e.into_inner());
        let waiting = free().pop();
        let mut scratch = waiting.unwrap_or_default();
        let loaded = self.load_with(index, image, &mut scratch);
        free().push(scratch);
        loaded
    }

    fn load_with(&self, index: usize, image: &mut [f32], scratch: &mut Scratch) -> Result<bool> {
        let Plan { store, epoch, map, cache, .. } = &self.plan;
        let (h, w) = store.options.image_size;
        let key = ImageKey { epoch: *epoch, index: index as u64 };
        if let (Some(map), Some(stored)) = (map, store.stored(index).filter(|_| *cache)) {
            map.apply_stored(&stored, image, (h, w, 3), key, &mut scratch.map);
            return Ok(true);
        }
        let readable = store.load(index, *cache, image, scratch)?;
        if let (true, Some(map)) = (readable, map) {
            map.apply(image, (h, w, 3), key, &mut scratch.map);
        }
        Ok(readable)
    }
}
