//! Where the model computes: on the CPU, or on an NVIDIA GPU where there is one.

use std::fmt;

use dfdx::prelude::Cpu;

use crate::environment;
use crate::{threads, Error, Result};
use transfer_kernels::simd::isa;

/// What models live on.
///
/// A GPU needs this crate's feature `cuda`. `TRANSFER_DEVICE` set to `cpu` or `cuda` chooses for
/// [`auto`](Device::auto); with `cuda` it is an error if there is no GPU that can be used.
///
/// ```
/// let device = transfer::Device::auto()?;
/// println!("computing on {device}");
/// # Ok::<(), transfer::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Device {
    place: Place,
    /// Why the GPU is not used, where one was looked for.
    no_card: Option<String>,
}

/// A device, to match on.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    Cpu(Cpu),
    #[cfg(feature = "cuda")]
    Cuda(&'static crate::ops::cuda::Card),
}

impl Device {
    /// The fastest device of this machine: the first GPU, where this crate has its feature `cuda` and there
    /// is a GPU that can be used, else the CPU. Looking for one never panics; why it was not used is in
    /// [`no_card`](Self::no_card).
    ///
    /// # Errors
    /// Where `TRANSFER_DEVICE` asks for a GPU that can't be used, and where the value of any variable makes no
    /// sense: see [`environment::check`].
    pub fn auto() -> Result<Self> {
        environment::check()?;
        environment::say_unknown();
        match environment::device()? {
            "auto" => match Self::card() {
                Ok(device) => Ok(device),
                Err(why) => {
                    let no_card = cfg!(feature = "cuda").then(|| why.to_string());
                    Ok(Device { no_card, ..Self::cpu()? })
                }
            },
            "cpu" => Self::cpu(),
            _ => Self::cuda(),
        }
    }

    /// The CPU.
    ///
    /// # Errors
    /// Where the value of a variable makes no sense: see [`environment::check`].
    pub fn cpu() -> Result<Self> {
        environment::check()?;
        Ok(Device { place: Place::Cpu(Cpu::default()), no_card: None })
    }

    /// The first NVIDIA GPU (of those that `CUDA_VISIBLE_DEVICES` shows).
    ///
    /// # Errors
    /// [`Error::Device`] where this crate was built without its feature `cuda`, there is no GPU or driver,
    /// the GPU is older than compute capability 8.0, or it could not be set up.
    pub fn cuda() -> Result<Self> {
        Self::card().map_err(|why| {
            Error::Device(format!("{why} To compute on the CPU, set TRANSFER_DEVICE=cpu or leave it out."))
        })
    }

    #[cfg(feature = "cuda")]
    fn card() -> Result<Self> {
        threads::check()?;
        Ok(Device { place: Place::Cuda(crate::ops::cuda::Card::get()?), no_card: None })
    }

    #[cfg(not(feature = "cuda"))]
    fn card() -> Result<Self> {
        Err(Error::Device(
            "A GPU expected the crate `transfer` with its feature `cuda`. Received: one without. In a notebook \
             the first cell asks for it: `:dep transfer = { path = \"../crate\", features = [\"cuda\"] }` \
             (`cargo xtask notebook --cuda` opens a copy that does)."
                .into(),
        ))
    }

    /// The device for one model. On the CPU each has memory of its own for tensors to use again: dfdx panics where
    /// two threads take from the same at the same moment.
    pub(crate) fn place(&self) -> Place {
        match &self.place {
            Place::Cpu(_) => Place::Cpu(crate::ops::lent::new_cpu()),
            #[cfg(feature = "cuda")]
            card => card.clone(),
        }
    }

    /// Whether it is a GPU.
    pub fn is_cuda(&self) -> bool {
        !matches!(self.place, Place::Cpu(_))
    }

    /// Why [`auto`](Self::auto) did not choose a GPU, where the crate has its feature `cuda`.
    pub fn no_card(&self) -> Option<&str> {
        self.no_card.as_deref()
    }

    /// dfdx's handle of the GPU, for tensors and ops of your own; `None` on the CPU.
    #[cfg(feature = "cuda")]
    pub fn dfdx_cuda(&self) -> Option<dfdx::prelude::Cuda> {
        match &self.place {
            Place::Cpu(_) => None,
            Place::Cuda(card) => Some(card.cuda()),
        }
    }

    /// What the last bits of results depend on.
    pub(crate) fn instructions(&self) -> String {
        match &self.place {
            Place::Cpu(_) => isa().map_or("unknown", |isa| isa.name()).to_owned(),
            #[cfg(feature = "cuda")]
            Place::Cuda(card) => format!("cuda {}", card.name()),
        }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Cpu(_) => {
                let n = threads::pool().current_num_threads();
                let isa = isa().map_or("unknown instructions", |i| i.name());
                write!(f, "the CPU with {n} thread{}, {isa} kernels", if n == 1 { "" } else { "s" })?;
                match &self.no_card {
                    Some(why) => write!(f, " (no GPU: {why})"),
                    None => Ok(()),
                }
            }
            #[cfg(feature = "cuda")]
            Place::Cuda(card) => write!(f, "the GPU {card}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_says_that_it_is_the_cpu() {
        let device = Device::cpu().unwrap();
        assert!(!device.is_cuda() && device.no_card().is_none());
        assert!(device.to_string().starts_with("the CPU with "), "{device}");
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn asking_for_a_card_without_the_feature_says_how_to_get_it() {
        let error = Device::cuda().unwrap_err().to_string();
        assert!(error.contains("features = [\"cuda\"]") && error.contains("TRANSFER_DEVICE=cpu"), "{error}");
    }
}
