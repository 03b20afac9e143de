//! What happens to each image on its way from the data set to the base, on the prefetch threads or within the step:
//! augmentation (in training) and preprocessing, as one [`Sequential`].

use crate::augment::Sequential;
use crate::model::Model;

/// For training: with augmentation.
pub(crate) fn training(model: &Model) -> Sequential {
    rescaled(model.augmentation.clone().unwrap_or_default(), model)
}

/// For evaluation and prediction: without.
pub(crate) fn inference(model: &Model) -> Sequential {
    rescaled(Sequential::new(), model)
}

fn rescaled(layers: Sequential, model: &Model) -> Sequential {
    match model.rescaling {
        Some(rescaling) => layers.add(rescaling),
        None => layers,
    }
}
