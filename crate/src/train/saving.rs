//! Weights of a whole model to a file and back. Not how far a training has come: see
//! [`Checkpoints`](super::Checkpoints).

use std::path::Path;

use crate::model::variable::Variables;
use crate::model::Model;
use crate::ops::backend::Backend;
use crate::weights::{load, write_safetensors, Tensor, Weights};
use crate::{Error, Result};
use dfdx::prelude::Cpu;

impl Model {
    /// Writes all variables, the base's and the head's, to a safetensors file, whole or not at all.
    ///
    /// # Errors
    /// [`Error::Weights`] where a value is not finite, [`Error::Io`] where the file cannot be written; an
    /// older one stays as it was then.
    ///
    /// ```no_run
    /// # fn example(model: &mut transfer::model::Model) -> transfer::Result<()> {
    /// model.save_weights("cats_and_dogs.safetensors")?;
    /// model.load_weights("cats_and_dogs.safetensors")?;
    /// # Ok(()) }
    /// ```
    pub fn save_weights(&self, path: impl AsRef<Path>) -> Result<()> {
        let about =
            [("format", "transfer weights"), ("written_by", concat!("transfer ", env!("CARGO_PKG_VERSION")))];
        let about = about.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        write_safetensors(path, &self.weights(), &about)
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
            Error::Weights(what) => Error::Weights(format!("cannot load {}: {what}", path.display())),
            other => other,
        };
        self.check_weights(&weights).map_err(in_file)?;
        self.set_weights(&weights)
    }

    /// The values of the variables that train now.
    pub(crate) fn weights_that_train(&self) -> Weights {
        let base = &self.net.base.base;
        let variables = base.variables().iter().zip(base.trains()).filter(|(_, on)| *on).map(|(v, _)| v);
        let mut weights = Weights::new();
        for v in variables.chain([&self.net.kernel, &self.net.bias]) {
            // A variable's shape and length agree by construction.
            if let Ok(t) = Tensor::new(v.shape.clone(), crate::ops::view::slice(&v.tensor).to_vec()) {
                weights.insert(v.name.clone(), t);
            }
        }
        weights
    }

    /// Gives the variables that train, and are named, their values; frozen ones stay, and what was computed
    /// with them.
    pub(crate) fn set_some_weights(&mut self, weights: &Weights) -> Result<()> {
        for variable in self.net.trainable_variables_mut() {
            if weights.contains(&variable.name) {
                Cpu::write(&mut variable.tensor, &weights.get(&variable.name)?.data)?;
            }
        }
        Ok(())
    }

    /// Refuses weights that lack a variable of this model, or have one of another shape. Others may be
    /// there.
    pub(crate) fn check_weights(&self, weights: &Weights) -> Result<()> {
        let base = self.net.base.base.variables().iter();
        for variable in base.chain([&self.net.kernel, &self.net.bias]) {
            let found = weights.get(&variable.name)?;
            if found.shape != variable.shape {
                return Err(Error::Weights(format!(
                    "`{}` expected shape {:?}. Received: {:?}. Is this file of another model?",
                    variable.name, variable.shape, found.shape
                )));
            }
        }
        Ok(())
    }

    /// Gives every variable its values.
    pub(crate) fn set_weights(&mut self, weights: &Weights) -> Result<()> {
        self.check_weights(weights)?;
        let base = &mut self.net.base.base;
        let names: Vec<String> = base.variables().iter().map(|v| v.name.clone()).collect();
        for name in names {
            base.set_variable(&name, &weights.get(&name)?.data)?;
        }
        for variable in [&mut self.net.kernel, &mut self.net.bias] {
            Cpu::write(&mut variable.tensor, &weights.get(&variable.name)?.data)?;
        }
        Ok(())
    }
}
