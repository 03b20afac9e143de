//! Weights of a whole model to a file and back. Not how far a training has come: see
//! [`Checkpoints`](crate::train::Checkpoints).

use crate::Show;
use std::path::Path;

use crate::model::Model;
use crate::weights::{load, write_safetensors, Weights};
use crate::{Error, OutputFile, Result};

impl Model {
    /// Writes all variables, the base's and the head's, to a safetensors file, whole or not at all.
    ///
    /// Earlier weights of this program are replaced; any other file only with [`OutputFile::overwrite`].
    ///
    /// # Errors
    /// [`Error::Weights`] where a value is not finite, [`Error::Invalid`] where the path may not be written,
    /// [`Error::Io`] where it cannot be; an older file stays as it was then.
    ///
    /// ```no_run
    /// # fn example(model: &mut transfer::model::Model) -> transfer::Result<()> {
    /// model.save_weights("cats_and_dogs.safetensors")?;
    /// model.load_weights("cats_and_dogs.safetensors")?;
    /// # Ok(()) }
    /// ```
    pub fn save_weights(&self, file: impl Into<OutputFile>) -> Result<()> {
        let about =
            [("format", "transfer weights"), ("written_by", concat!("transfer ", env!("CARGO_PKG_VERSION")))];
        let about = about.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        write_safetensors(file, &self.net.weights()?, &about)
    }

    /// Reads what [`save_weights`](Self::save_weights) wrote, or the weights of a checkpoint. Which layers
    /// train, and the optimizer's state, stay as they are.
    ///
    /// # Errors
    /// [`Error::Weights`] where the file is damaged, holds values that are not finite, or is of another
    /// model; [`Error::Io`] where it cannot be read. Nothing changes then.
    pub fn load_weights(&mut self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let weights = load(path)?;
        let in_file = |e: Error| match e {
            Error::Weights(what) => Error::Weights(format!("cannot load {}: {what}", path.shown())),
            other => other,
        };
        self.check_weights(&weights).map_err(in_file)?;
        self.set_weights(&weights)
    }

    /// Refuses weights that lack a variable of this model, or have one of another shape. Others may be
    /// there.
    pub(crate) fn check_weights(&self, weights: &Weights) -> Result<()> {
        for (name, shape) in self.net.names_and_shapes() {
            let found = weights.get(&name)?;
            if found.shape != shape {
                return Err(Error::Weights(format!(
                    "`{name}` expected shape {shape:?}. Received: {:?}. Is this file of another model?",
                    found.shape
                )));
            }
        }
        Ok(())
    }

    /// Gives every variable its values.
    pub(crate) fn set_weights(&mut self, weights: &Weights) -> Result<()> {
        self.check_weights(weights)?;
        let mut names = self.net.names_and_shapes();
        // The last two are the head's.
        names.truncate(names.len().saturating_sub(2));
        for (name, _) in &names {
            self.net.base.set_variable(name, &weights.get(name)?.data)?;
        }
        let (kernel, bias) = (weights.get("dense/kernel")?, weights.get("dense/bias")?);
        self.net.set_head(&kernel.data, &bias.data)
    }
}
