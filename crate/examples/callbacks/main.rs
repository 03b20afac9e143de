//! A small training on generated pictures with every callback that writes files:
//!
//! ```text
//! cargo run -p transfer --example callbacks -- target/callbacks
//! tensorboard --logdir target/callbacks/board
//! ```
//! `tests/test_event_files.py` reads what it wrote.

use std::path::PathBuf;

use transfer::prelude::*;

#[path = "../resume/scenario.rs"]
#[allow(dead_code)] // What belongs to killing and starting again.
mod scenario;

fn main() -> Result<()> {
    let folder = PathBuf::from(std::env::args().nth(1).unwrap_or_else(|| "target/callbacks".into()));
    let pictures = folder.join("pictures");
    scenario::pictures(&pictures, 0).map_err(|e| Error::io("cannot write", &pictures, e))?;
    let data = scenario::dataset(&pictures)?;
    let mut model = scenario::model(Sequential::new())?;
    let logged = |options: FitOptions| {
        options
            .validation_data(&data)
            .callback(CSVLogger::new(folder.join("log.csv")).append(true))
            .callback(TensorBoard::new(folder.join("board")))
            .callback(ModelCheckpoint::new(folder.join("best.safetensors")).save_best_only(true))
    };
    let lower = ReduceLROnPlateau::new().monitor("loss").patience(1).min_delta(0.05).factor(0.5);
    let history = model.fit(&data, logged(FitOptions::epochs(6)).callback(lower))?;
    scenario::fine_tune(&mut model)?;
    let epochs = history.epochs();
    let more = FitOptions::epochs(epochs + 4).initial_epoch(epochs).schedule(Schedule::one_cycle());
    model.fit(&data, logged(more))?;
    Ok(())
}
