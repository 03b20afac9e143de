//! What the API says, as JSON.

use base64::Engine;
use serde_json::{json, Value};
use transfer::explain::{GradCam, Neighbour, Neighbours};
use transfer::prelude::*;

use super::checks::Asked;
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
        "neighbours": loaded.kept().map(|kept| kept.len()),
        "problem": problem,
    })
}

/// What `POST /predict` says.
///
/// # Errors
/// Where photographs of the training were asked for, and what the model computed cannot be compared with them.
pub fn prediction(loaded: &Loaded, said: &Said, asked: Asked) -> transfer::Result<Value> {
    let Said { prediction, heat, features } = said;
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
    if let Some(most) = asked.neighbours {
        value["neighbours"] = match (loaded.kept(), features) {
            (Some(kept), Some(features)) => {
                kept.nearest(features, most)?.iter().map(|one| neighbour(&kept, one)).collect()
            }
            // None were kept.
            _ => Value::Null,
        };
    }
    Ok(value)
}

/// A photograph of the training.
fn neighbour(kept: &Neighbours, one: &Neighbour<'_>) -> Value {
    let jpeg = base64::engine::general_purpose::STANDARD.encode(one.thumbnail);
    let mut value = json!({
        "file": one.file,
        "similarity": one.similarity,
        "thumbnail": format!("data:image/jpeg;base64,{jpeg}"),
    });
    match (kept.several_labels(), &one.labels[..]) {
        (false, [class]) => value["class"] = json!(class),
        (_, labels) => value["labels"] = json!(labels),
    }
    value
}

/// What speaks for the predicted class, place by place from the top left; negative where something speaks against it.
fn heat_map(prediction: &Prediction, heat: &GradCam) -> Value {
    let (_, h, w) = heat.cells.dim();
    let cells: Vec<f32> = heat.cells.iter().copied().collect();
    json!({ "class": prediction.class_name, "height": h, "width": w, "cells": cells })
}
