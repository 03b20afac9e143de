//! The model that answers, replaced while it is used, and the thread that computes.
//!
//! A request decodes its photograph in its own thread, a few at a time. The images then wait for one thread, which
//! computes all that wait together: that takes less time than one after the other, and gives the same bits.

use std::collections::VecDeque;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::path::PathBuf;
use std::sync::mpsc::{sync_channel, SyncSender};
use std::sync::{Arc, Condvar, Mutex, RwLock};

use transfer::explain::{GradCam, Neighbours};
use transfer::prelude::*;

use super::checks::Asked;
use super::limits::{self, lock, Part, Share};

/// In the place of a file's name in errors.
const PHOTOGRAPH: &str = "the photograph";

/// A model that was loaded.
pub struct Loaded {
    pub model: Model,
    /// How many models were loaded before it.
    pub number: u64,
    /// Photographs of its training, if some were kept; they may come later than the model.
    kept: RwLock<Option<Arc<Neighbours>>>,
}

impl Loaded {
    fn new(model: Model, number: u64, kept: Option<Neighbours>) -> Self {
        Loaded { model, number, kept: RwLock::new(kept.map(Arc::new)) }
    }

    /// The photographs of its training, if some were kept.
    pub fn kept(&self) -> Option<Arc<Neighbours>> {
        self.kept.read().unwrap_or_else(|e| e.into_inner()).clone()
    }

    /// Takes other photographs from now on.
    pub fn keep(&self, kept: Neighbours) {
        *self.kept.write().unwrap_or_else(|e| e.into_inner()) = Some(Arc::new(kept));
    }
}

/// What is said of a photograph.
pub struct Said {
    pub prediction: Prediction,
    /// What speaks for the predicted class, where it was asked for.
    pub heat: Option<GradCam>,
    /// What the model's dense layer saw of it, where photographs of the training were asked for.
    pub features: Option<Vec<f32>>,
}

/// Why there is no prediction.
pub enum Unpredicted {
    /// Something is wrong with the photograph.
    Photograph(String),
    /// There are too many requests.
    Busy,
    /// The model or the computer failed.
    Failed(String),
}

struct Job {
    loaded: Arc<Loaded>,
    image: Array3<f32>,
    heat: bool,
    features: bool,
    answer: SyncSender<Result<Said, Unpredicted>>,
}

/// See the module.
pub struct Predictor {
    now: RwLock<Arc<Loaded>>,
    waiting: Mutex<VecDeque<Job>>,
    news: Condvar,
    /// Threads that decode at a time.
    decoders: Share,
    /// Images that are decoded and not computed yet, in bytes.
    images: Share,
}

impl Predictor {
    pub fn new(model: Model, kept: Option<Neighbours>) -> Self {
        Predictor {
            now: RwLock::new(Arc::new(Loaded::new(model, 0, kept))),
            waiting: Mutex::default(),
            news: Condvar::new(),
            decoders: Share::new(transfer::threads::pool().current_num_threads().max(2)),
            images: Share::new(limits::IMAGES_BYTES),
        }
    }

    /// The model that answers now.
    pub fn loaded(&self) -> Arc<Loaded> {
        self.now.read().unwrap_or_else(|e| e.into_inner()).clone()
    }

    /// Lets another model answer. Requests that are under way are answered by the one that they began with.
    pub fn replace(&self, model: Model, kept: Option<Neighbours>) {
        let number = self.loaded().number + 1;
        let loaded = Arc::new(Loaded::new(model, number, kept));
        *self.now.write().unwrap_or_else(|e| e.into_inner()) = loaded;
    }

    /// What the model says of the image file with these bytes, and which model it was. `memory` is the part of the
    /// memory for bodies that the bytes have.
    pub fn predict(
        &self,
        bytes: Vec<u8>,
        memory: Part<'_>,
        asked: Asked,
    ) -> (Arc<Loaded>, Result<Said, Unpredicted>) {
        let loaded = self.loaded();
        let said = self.predict_by(&loaded, bytes, memory, asked);
        (loaded, said)
    }

    fn predict_by(
        &self,
        loaded: &Arc<Loaded>,
        bytes: Vec<u8>,
        memory: Part<'_>,
        asked: Asked,
    ) -> Result<Said, Unpredicted> {
        let (h, w, c) = loaded.model.base_model().input_shape();
        // One image is always allowed, however large.
        let size = (h * w * c * size_of::<f32>()).min(limits::IMAGES_BYTES);
        let room = self.images.take(size, limits::WAIT_TIME).ok_or(Unpredicted::Busy)?;
        let image = {
            let _turn = self.decoders.take(1, limits::WAIT_TIME).ok_or(Unpredicted::Busy)?;
            let image = loaded.model.image_of_bytes(PHOTOGRAPH, bytes, limits::DECODED_BYTES);
            drop(memory);
            image.map_err(|e| match e {
                Error::Data(why) => Unpredicted::Photograph(why),
                other => Unpredicted::Failed(other.to_string()),
            })?
        };
        let (answer, answered) = sync_channel(1);
        let features = asked.neighbours.is_some() && loaded.kept().is_some();
        let job = Job { loaded: loaded.clone(), image, heat: asked.heat_map, features, answer };
        lock(&self.waiting).push_back(job);
        self.news.notify_one();
        let said = answered.recv();
        drop(room);
        said.unwrap_or_else(|_| Err(Unpredicted::Failed("computing ended with a panic".into())))
    }

    /// Computes what comes, without end.
    pub fn compute(&self) {
        loop {
            let jobs = self.next_jobs();
            // Who waits for these learns of a panic, since their senders are gone; the next ones are answered.
            let _ = catch_unwind(AssertUnwindSafe(|| answer(jobs)));
        }
    }

    /// The jobs that wait for the same model, as many as are computed at a time.
    fn next_jobs(&self) -> Vec<Job> {
        let mut waiting = lock(&self.waiting);
        loop {
            if let Some(first) = waiting.pop_front() {
                let most = first.loaded.model.images_at_once();
                let mut jobs = vec![first];
                while jobs.len() < most
                    && waiting.front().is_some_and(|next| Arc::ptr_eq(&next.loaded, &jobs[0].loaded))
                {
                    jobs.extend(waiting.pop_front());
                }
                return jobs;
            }
            waiting = self.news.wait(waiting).unwrap_or_else(|e| e.into_inner());
        }
    }
}

/// Computes jobs for one model and answers them. Who asked may have gone.
fn answer(mut jobs: Vec<Job>) {
    let Some(loaded) = jobs.first().map(|job| job.loaded.clone()) else { return };
    let images: Vec<Array3<f32>> = jobs.iter_mut().map(|job| std::mem::take(&mut job.image)).collect();
    let maps: Vec<Option<Array3<f32>>> = images
        .iter()
        .zip(&jobs)
        .map(|(image, job)| (job.heat && !loaded.model.base_model().is_features()).then(|| image.clone()))
        .collect();
    let names = vec![PathBuf::from(PHOTOGRAPH); jobs.len()];
    let predicted = match jobs.iter().any(|job| job.features) {
        false => loaded.model.predict_images(&names, images).map(|predictions| (predictions, None)),
        true => loaded.model.predict_images_with_features(&names, images).map(|(p, f)| (p, Some(f))),
    };
    let (predictions, features) = match predicted {
        Ok(predicted) => predicted,
        Err(e) => {
            let why = e.to_string();
            jobs.iter().for_each(|job| drop(job.answer.send(Err(Unpredicted::Failed(why.clone())))));
            return;
        }
    };
    for (i, ((job, prediction), image)) in jobs.iter().zip(predictions).zip(maps).enumerate() {
        let features = features.as_ref().filter(|_| job.features).map(|all| all.row(i).to_vec());
        let said = prediction.and_then(|prediction| {
            let heat = image.map(|image| {
                let (h, w, c) = image.dim();
                let batch = Array4::from_shape_vec((1, h, w, c), image.iter().copied().collect());
                let batch = batch.map_err(|e| Error::Shape(e.to_string()))?;
                loaded.model.grad_cams_of(&batch, &[prediction.label])
            });
            Ok(Said { prediction, heat: heat.transpose()?, features })
        });
        let _ = job.answer.send(said.map_err(|e| Unpredicted::Failed(e.to_string())));
    }
}
