//! Where the batches of an epoch come from: images from the pipeline, images that are decoded already, outputs of frozen
//! layers that were kept, or images on the GPU. The loop takes them all alike.

use std::borrow::Cow;
use std::sync::Arc;

use super::cached::CachedImages;
use super::features::not_contiguous;
use super::on_card;
use super::pipeline;
use super::recipe::Recipe;
use super::run::RunState;
use super::step::Input;
use super::views::{OneView, Views};
use crate::data::{Batch, Batches, Dataset, ShareOfBatch};
use crate::model::Model;
use crate::team::Team;
use crate::Result;
use transfer_kernels::Images;

/// A batch of an epoch.
pub(super) struct SourceBatch<'a> {
    /// Its number in the epoch, from 0.
    pub number: usize,
    /// Labels of the images.
    pub labels: Vec<u32>,
    /// Numbers of the images in the data set.
    pub indices: Vec<usize>,
    /// The numbers of all images of the batch, of which this process may have a part; empty without micro-batches.
    pub plan: Vec<usize>,
    values: Values<'a>,
}

enum Values<'a> {
    Images(Batch),
    Cached(Arc<CachedImages>),
    Frozen(Cow<'a, [f32]>),
    #[cfg(feature = "cuda")]
    OnCard(&'a crate::ops::cuda::Images, Vec<crate::augment::Placing>),
}

impl SourceBatch<'_> {
    /// Does `f` with what a step starts from.
    ///
    /// # Errors
    /// Those of `f`.
    pub fn with_input<R>(&self, f: impl FnOnce(Input<'_>) -> Result<R>) -> Result<R> {
        match &self.values {
            Values::Images(batch) => {
                f(Input::Images(batch.images.as_slice().ok_or_else(not_contiguous)?.into()))
            }
            Values::Cached(images) => {
                let write = |i: usize, image: &mut [f32]| images.write(self.indices[i], image);
                f(Input::Images(Images::Written(&write)))
            }
            Values::Frozen(outputs) => f(Input::Frozen(outputs)),
            #[cfg(feature = "cuda")]
            Values::OnCard(images, placings) => {
                let placed = crate::ops::cuda::Placed { images, indices: &self.indices, placings };
                f(Input::Placed(&placed))
            }
        }
    }
}

/// The batches of one epoch, or of what is left of it.
pub(super) struct Source<'a> {
    dataset: &'a Dataset,
    epoch: usize,
    kind: Kind<'a>,
    /// With micro-batches: which images of a batch are this process', and all images of the epoch.
    share: Option<(ShareOfBatch, Vec<usize>)>,
}

enum Kind<'a> {
    /// Images that threads of their own decode, augment and rescale.
    Pipeline(Batches),
    /// The same, in the view that this epoch sees; what the frozen part makes of them is kept.
    FirstViews { batches: Batches, views: &'a mut Views, view: usize, whole: bool },
    /// What the frozen part made of each image before.
    KeptViews { views: &'a Views, order: Order },
    /// Images that are decoded already.
    Cached { images: Arc<CachedImages>, order: Order },
    /// Images that are on the GPU.
    #[cfg(feature = "cuda")]
    OnCard { images: on_card::CardImages<'a>, order: Order },
}

/// The numbers of a data set's images, batch by batch.
struct Order {
    indices: Vec<usize>,
    size: usize,
    next: usize,
}

impl Order {
    fn new(dataset: &Dataset, epoch: usize, first: usize) -> Self {
        Order { indices: dataset.order(epoch as u64), size: dataset.batch_size().max(1), next: first }
    }
}

impl Iterator for Order {
    type Item = (usize, Vec<usize>);

    fn next(&mut self) -> Option<Self::Item> {
        let number = self.next;
        self.next += 1;
        Some((number, self.indices.chunks(self.size).nth(number)?.to_vec()))
    }
}

impl<'a> Source<'a> {
    /// What serves the epoch in which `state` stands, from its next batch on.
    ///
    /// # Errors
    /// Where the data set cannot be read, or the GPU fails.
    pub fn new(
        model: &Model,
        recipe: &Recipe,
        dataset: &'a Dataset,
        views: Option<&'a mut Views>,
        kept: &'a mut on_card::Kept,
        state: &RunState,
    ) -> Result<Self> {
        let (epoch, first) = (state.epoch, state.running.batches);
        let share =
            recipe.micro_batch().map(|images| (model.share_of_batch(images), dataset.order(epoch as u64)));
        let kind = match views {
            Some(views) if views.are_complete(epoch) => {
                Kind::KeptViews { views, order: Order::new(dataset, epoch, first) }
            }
            Some(views) => {
                let view = views.of(epoch);
                let map = Arc::new(OneView { map: pipeline::training(model), view });
                let batches = match &share {
                    Some((share, _)) => dataset.shares_from(epoch as u64, map, first, *share)?,
                    None => dataset.batches_from(epoch as u64, map, first)?,
                };
                // A run that was resumed within this epoch sees only the rest of it.
                Kind::FirstViews { batches, views, view, whole: first == 0 }
            }
            None => match &share {
                Some((share, _)) => {
                    let map = Arc::new(pipeline::training(model));
                    Kind::Pipeline(dataset.shares_from(epoch as u64, map, first, *share)?)
                }
                None => Self::images(model, recipe, dataset, kept, (epoch, first))?,
            },
        };
        Ok(Source { dataset, epoch, kind, share })
    }

    fn images(
        model: &Model,
        recipe: &Recipe,
        dataset: &'a Dataset,
        kept: &'a mut on_card::Kept,
        (epoch, first): (usize, usize),
    ) -> Result<Kind<'a>> {
        #[cfg(feature = "cuda")]
        if let Some(images) = on_card::CardImages::new(model, recipe, dataset, kept, epoch)? {
            return Ok(Kind::OnCard { images, order: Order::new(dataset, epoch, first) });
        }
        #[cfg(not(feature = "cuda"))]
        let _ = kept;
        if let Some(images) = CachedImages::new(model, recipe, dataset, epoch) {
            return Ok(Kind::Cached { images: Arc::new(images), order: Order::new(dataset, epoch, first) });
        }
        let map = Arc::new(pipeline::training(model));
        Ok(Kind::Pipeline(dataset.batches_from(epoch as u64, map, first)?))
    }

    /// The next batch.
    ///
    /// # Errors
    /// Where an image cannot be read, or the device fails.
    pub fn next(&mut self, model: &Model) -> Result<Option<SourceBatch<'a>>> {
        let labels_of = |indices: &[usize]| indices.iter().map(|&i| self.dataset.labels()[i]).collect();
        let (share, size) = (&self.share, self.dataset.batch_size().max(1));
        let plan = |number: usize| -> Vec<usize> {
            let of_epoch = share.as_ref().and_then(|(_, order)| order.chunks(size).nth(number));
            of_epoch.map(<[usize]>::to_vec).unwrap_or_default()
        };
        Ok(match &mut self.kind {
            Kind::Pipeline(batches) => batches.next().transpose()?.map(|batch| SourceBatch {
                plan: plan(batch.number),
                number: batch.number,
                labels: batch.labels.to_vec(),
                indices: batch.indices.clone(),
                values: Values::Images(batch),
            }),
            Kind::FirstViews { batches, views, view, .. } => match batches.next().transpose()? {
                None => None,
                Some(batch) => {
                    let images = batch.images.as_slice().ok_or_else(not_contiguous)?;
                    let outputs = model.frozen_outputs(images, batch.len())?;
                    views.keep(*view, &batch.indices, &outputs);
                    let (number, labels) = (batch.number, batch.labels.to_vec());
                    Some(SourceBatch {
                        plan: plan(number),
                        number,
                        labels,
                        indices: batch.indices.clone(),
                        values: Values::Frozen(outputs.into()),
                    })
                }
            },
            Kind::KeptViews { views, order } => order.next().map(|(number, indices)| {
                let own = match share {
                    Some((share, _)) => &indices[share.of(indices.len())],
                    None => &indices[..],
                };
                let (indices, outputs) = views.outputs(self.epoch, own);
                SourceBatch {
                    plan: plan(number),
                    number,
                    labels: labels_of(&indices),
                    indices,
                    values: Values::Frozen(outputs.into()),
                }
            }),
            Kind::Cached { images, order } => {
                let readable = order.map(|(number, indices)| (number, images.readable(&indices)));
                let mut some = readable.filter(|(_, indices)| !indices.is_empty());
                some.next().map(|(number, indices)| SourceBatch {
                    plan: Vec::new(),
                    number,
                    labels: labels_of(&indices),
                    indices,
                    values: Values::Cached(images.clone()),
                })
            }
            #[cfg(feature = "cuda")]
            Kind::OnCard { images, order } => order.next().map(|(number, indices)| {
                let (indices, placings) = images.place(&indices);
                SourceBatch {
                    plan: Vec::new(),
                    number,
                    labels: labels_of(&indices),
                    indices,
                    values: Values::OnCard(images.images, placings),
                }
            }),
        })
    }

    /// Says that the epoch is over.
    ///
    /// # Errors
    /// Where a member of the team is gone.
    pub fn finish(self, team: Option<&dyn Team>) -> Result<()> {
        if let Kind::FirstViews { views, view, whole: true, .. } = self.kind {
            views.complete(view, team)?;
        }
        Ok(())
    }
}
