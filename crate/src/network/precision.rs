//! In which precision a network multiplies: its frozen layers, and those that train.

use super::on_device::{on_device, Any};
use super::Backbone;
use crate::{Error, Precision, Result};
use transfer_kernels::Bf16Unit;

impl Backbone {
    /// The precision of the frozen layers.
    pub fn precision(&self) -> Precision {
        on_device!(&self.base => base, base.precision())
    }

    /// Chooses the precision in which frozen layers compute; see [`Precision`]. On the CPU, layers that train stay in
    /// f32, and so do all of a network of which a part that is asked for trains; for these there is
    /// [`set_train_precision`](Self::set_train_precision).
    ///
    /// # Errors
    /// [`Error::Invalid`] where the device cannot compute in that precision; nothing is changed then.
    pub fn set_precision(&mut self, precision: Precision) -> Result<()> {
        if self.is_features() && precision != Precision::F32 {
            return Err(Error::Invalid(format!(
                "The features of an ONNX file expected the precision f32, in which the file is computed. Received: {}",
                precision.name()
            )));
        }
        match &mut self.base {
            Any::Cpu(base) => {
                match precision {
                    Precision::F32 => (),
                    Precision::Tf32 => return Err(Error::Invalid(
                        "The CPU expected the precision f32 or bf16. Received: tf32, which only NVIDIA GPUs \
                             have."
                            .into(),
                    )),
                    Precision::Bf16 => drop(Bf16Unit::best()?),
                }
                base.set_precision(precision);
                Ok(())
            }
            #[cfg(feature = "cuda")]
            Any::Cuda(base) => {
                base.0.set_precision(precision);
                Ok(())
            }
        }
    }

    /// The precision in which layers that train multiply during training.
    pub fn train_precision(&self) -> Precision {
        on_device!(&self.base => base, base.train_precision())
    }

    /// Chooses the precision in which the 1x1 convolutions that train multiply during training, on a CPU: with
    /// [`Precision::Bf16`] a step of fine-tuning takes less time, and gradients are less exact. Weights, moments, sums,
    /// BatchNormalization and what lies between layers stay f32, and so do the head, validation and predictions. The
    /// choice is no part of a saved model. On a GPU [`set_precision`](Self::set_precision) is for all layers.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the device cannot train in that precision; nothing is changed then.
    pub fn set_train_precision(&mut self, precision: Precision) -> Result<()> {
        let refused = |expected: &str| {
            Error::Invalid(format!("{expected} Received: set_train_precision({})", precision.name()))
        };
        if self.is_features() && precision != Precision::F32 {
            return Err(refused("The features of an ONNX file expected f32: they do not train."));
        }
        match &mut self.base {
            Any::Cpu(base) => {
                match precision {
                    Precision::F32 => (),
                    Precision::Tf32 => return Err(refused("The CPU expected f32 or bf16.")),
                    Precision::Bf16 => drop(Bf16Unit::best()?),
                }
                base.set_train_precision(precision);
                Ok(())
            }
            #[cfg(feature = "cuda")]
            Any::Cuda(_) if precision == Precision::F32 => Ok(()),
            #[cfg(feature = "cuda")]
            Any::Cuda(_) => Err(refused("A GPU expected set_precision, which is for all layers.")),
        }
    }
}
