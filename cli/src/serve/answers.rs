//! What the API says, as JSON.

use serde_json::{json, Value};
use transfer::explain::GradCam;
use transfer::prelude::*;

use super::predictor::{Loaded, Said};

/// What `GET /model` says. `problem` is why a file that replaced the model's is not used.
pub fn model(loaded: &Loaded, name: &str, problem: Option<&str>) -> Value {
    let model = &loaded.model;
    let (h, w, _) = model.base_model().input_shape();
    json!({
        "name": name,
        "number": loaded.number,
        "classes": model.class_names(),
        "image_size": { "height": h, "width": w },
        "fit": model.image_fit().to_string(),
        "several_labels": model.is_multi_label(),
        "unknown_rate": model.novelty().map(|novelty| novelty.rate()),
        "calibrated": model.calibration().is_some(),
        "trained_on": model.trained_on().map(|on| on.training),
        "problem": problem,
    })
}

/// What `POST /predict` says.
pub fn prediction(loaded: &Loaded, said: &Said) -> Value {
    let Said { prediction, heat } = said;
    let all = prediction.top(prediction.class_names.len());
    let pairs = |pairs: Vec<(String, f32)>| -> Value {
        pairs.into_iter().map(|(class, p)| json!({ "class": class, "probability": p })).collect()
    };
    let mut value = json!({
        "class": prediction.class_name,
        "confidence": prediction.confidence,
        "probabilities": pairs(all),
        "unknown": prediction.unknown.is_some(),
        "reason": prediction.unknown.as_ref().map(ToString::to_string),
        "model": loaded.number,
    });
    if loaded.model.is_multi_label() {
        value["labels"] = pairs(prediction.labels_above(&loaded.model.thresholds()));
    }
    if let Some(heat) = heat {
        value["heat_map"] = heat_map(prediction, heat);
    }
    value
}

/// What speaks for the predicted class, place by place from the top left; negative where something speaks against it.
fn heat_map(prediction: &Prediction, heat: &GradCam) -> Value {
    let (_, h, w) = heat.cells.dim();
    let cells: Vec<f32> = heat.cells.iter().copied().collect();
    json!({ "class": prediction.class_name, "height": h, "width": w, "cells": cells })
}
