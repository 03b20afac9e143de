//! One photograph after the other, from the bytes of a file to its class, as a server does it.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use serde_json::json;
use transfer::prelude::*;
use transfer::weights::{write_safetensors, Weights};

use crate::export::Sets;
use crate::{forward, serve, training, unknown, Arguments, Result};

/// Batches that the head is trained on, so that photographs have a class.
const BATCHES: usize = 8;

/// Answers `run`: the seconds and the class of each of the first `photographs` photographs. The head is written to
/// `single.safetensors` for the other side.
pub fn answer(arguments: &Arguments) -> Result<()> {
    let folder = Path::new(arguments.text("folder")?);
    let train = Sets::new(&cats_and_dogs()?, 0)?.train;
    let mut model = training::model(forward::base(folder, arguments)?, false)?;
    model.compile(Adam::new(1e-3), Loss::BinaryCrossentropy)?;
    model.fit(&train.take(BATCHES), FitOptions::epochs(1))?;
    let mut head = Weights::new();
    let weights = model.weights()?;
    for name in ["kernel", "bias"] {
        head.insert(name, weights.get(&format!("dense/{name}"))?.clone());
    }
    let file = OutputFile::new(folder.join("single.safetensors")).overwrite(true);
    write_safetensors(file, &head, &BTreeMap::new())?;
    let count = arguments.number("photographs", 500)?;
    let indices = train.indices().into_iter().take(count);
    let files =
        indices.filter_map(|i| train.file_path(i)).map(std::fs::read).collect::<std::io::Result<Vec<_>>>()?;
    serve(|request| match request {
        ["run"] => {
            let (mut seconds, mut classes) = (Vec::new(), Vec::new());
            for file in &files {
                let bytes = file.clone();
                let start = Instant::now();
                let prediction = model.predict_bytes("photograph.jpg", bytes)?;
                seconds.push(start.elapsed().as_secs_f64());
                classes.push(prediction.label);
            }
            Ok(json!({ "seconds": seconds, "classes": classes }))
        }
        _ => Err(unknown(request)),
    })
}
