//! The photographs of the training that lie beside the model: read with it, and again when their file is replaced.

use transfer::explain::Neighbours;
use transfer::prelude::*;

use super::predictor::Loaded;
use crate::serve_args::Serve;
use crate::{neighbours, screen};

/// Reads those of a model; `None` where there are none or none are wanted, and where they cannot be used, which is said.
pub fn of(arguments: &Serve, model: &Model) -> Option<Neighbours> {
    read(arguments, model).unwrap_or_else(|e| {
        screen::say(&format!("warning: {e}. The model answers without photographs of the training."));
        None
    })
}

/// Takes those of a file that is new or has been replaced, if they are of the model that answers now.
pub fn again(arguments: &Serve, loaded: &Loaded) {
    match read(arguments, &loaded.model) {
        Ok(Some(kept)) => loaded.keep(kept),
        Ok(None) => {}
        Err(e) => {
            let goes_on = match loaded.kept() {
                Some(_) => "The earlier ones go on being compared with",
                None => "The model answers without photographs of the training",
            };
            screen::say(&format!("warning: {e}. {goes_on}."));
        }
    }
}

fn read(arguments: &Serve, model: &Model) -> transfer::Result<Option<Neighbours>> {
    let file = neighbours::of_model(&arguments.model);
    if arguments.no_neighbours || file.symlink_metadata().is_err() {
        return Ok(None);
    }
    let kept = Neighbours::load(&file, model)?;
    let (n, mb) = (kept.len(), kept.bytes() as f64 / 1e6);
    screen::note(&format!("Photographs are compared with {n} of the training ({mb:.1} MB)."));
    Ok(Some(kept))
}
