//! The features that the head is solved for.

use std::sync::Arc;

use crate::data::Dataset;
use crate::model::Model;
use crate::progress::{check_stop, observe, Event};
use crate::team;
use crate::train::fit::features::not_contiguous;
use crate::train::fit::pipeline;
use crate::train::fit::shared;
use crate::train::fit::views::Views;
use crate::{Result, SPLIT_SEED};

/// What the features of the training images may take in memory. Of more images the head sees a part, the same
/// of each class; the epochs afterwards see all.
const FEATURE_BYTES: usize = 96 << 20;

/// What the head is solved for, and what was computed on the way.
pub(in crate::train) struct Collected {
    /// `(n, features)`: of images, and with mirror images of both.
    pub features: Vec<f32>,
    /// The class of each row.
    pub labels: Vec<u32>,
    /// The image of each row, by its place in the data set's files.
    pub indices: Vec<usize>,
    pub views: Option<Views>,
}

impl Model {
    /// The pooled features of the images, and with `flip` of their mirror images, as far as there is room.
    /// Where images and mirror images are all that fine-tuning sees (`keep_views`), what lies below the layers
    /// that train is kept for it.
    pub(in crate::train) fn collect(
        &self,
        dataset: &Dataset,
        flip: bool,
        keep_views: bool,
    ) -> Result<Collected> {
        let width = self.net.base.output_shape().2;
        let room = FEATURE_BYTES / (4 * width);
        let mirrored = flip && 2 * dataset.len() <= room;
        let part = (dataset.len() > room).then(|| room as f32 / dataset.len() as f32);
        let seen = match part {
            Some(part) => dataset.stratified_split(part, SPLIT_SEED)?.1,
            None => dataset.clone(),
        };
        let n = seen.len() * if mirrored { 2 } else { 1 };
        let (mut features, mut labels) = (Vec::with_capacity(n * width), Vec::with_capacity(n));
        let mut indices = Vec::with_capacity(n);
        let (_, per_image) = self.frozen_part();
        let keeps = mirrored && keep_views;
        let bytes = n.saturating_mul(per_image).saturating_mul(size_of::<f32>());
        let room = if keeps { self.features.take(bytes, self.feature_cache_bytes) } else { None };
        let mut views = room.map(|room| Views::of_both_sides(self.seed, per_image, room));
        let team = self.several();
        // Rows of all are in the order of the batches, and each member has batches that follow each other.
        let own = team.map(|team| shared::own_batches(team, &seen));
        let own = own.as_ref().unwrap_or(&seen);
        let mut packed = Vec::new();
        let (mut done, total) = (0, own.len());
        for batch in own.batches_with(0, Arc::new(pipeline::inference(self)))? {
            let batch = batch?;
            let images = batch.images.as_slice().ok_or_else(not_contiguous)?;
            let outputs = self.outputs(images, batch.len(), mirrored)?;
            for (view, outputs) in outputs.chunks_exact(batch.len() * per_image).enumerate() {
                if let Some(views) = &mut views {
                    views.keep(view, &batch.indices, outputs);
                }
                let pooled = self.pooled(outputs, batch.len())?;
                if team.is_some() {
                    shared::pack(&mut packed, &batch.indices, &pooled);
                    continue;
                }
                features.extend(pooled);
                labels.extend(&batch.labels);
                indices.extend_from_slice(&batch.indices);
            }
            done += batch.len();
            observe(Event::Computed { done, total });
            check_stop("The training of the head")?;
        }
        if let Some(team) = team {
            for theirs in team::gathered(team, &packed)? {
                let mut rest = &theirs[..];
                while !rest.is_empty() {
                    let (of, pooled) = shared::unpack(&mut rest, width)?;
                    features.extend(pooled);
                    labels.extend(of.iter().map(|&i| seen.labels()[i]));
                    indices.extend(of);
                }
            }
            seen.tell_team(team)?;
        }
        seen.check_left_out()?;
        if let Some(views) = &mut views {
            for view in 0..2 {
                views.complete(view, self.team.as_deref())?;
            }
        }
        Ok(Collected { features, labels, indices, views })
    }
}
