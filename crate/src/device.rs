//! Where the model computes: on the CPU, or on an NVIDIA GPU where there is one.

use std::fmt;

use dfdx::prelude::Cpu;

use crate::environment::{self, DeviceName};
use crate::{threads, Error, Result};
use transfer_kernels::simd::isa;

/// What models live on.
///
/// A GPU needs this crate's feature `cuda`. `TRANSFER_DEVICE` set to `cpu`, `cuda` or `cuda:N` chooses for
/// [`auto`](Device::auto); with `cuda` and `cuda:N` it is an error if that GPU cannot be used.
///
/// One process computes on one GPU: the first one that it asks for. Two GPUs need two processes.
///
/// ```
/// use transfer::Device;
/// let device = Device::auto()?;
/// println!("computing on {device}");
/// assert_eq!(Device::named("cpu")?, Device::cpu()?);
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
    /// The fastest device of this machine: a GPU, where this crate has its feature `cuda` and there is one that
    /// can be used, else the CPU. The GPU is the one that this process uses already, else number 0. Looking for
    /// one never panics; why it was not used is in [`no_card`](Self::no_card).
    ///
    /// # Errors
    /// Where `TRANSFER_DEVICE` asks for a GPU that can't be used, and where the value of any variable makes no
    /// sense: see [`environment::check`].
    pub fn auto() -> Result<Self> {
        environment::check()?;
        environment::say_unknown();
        match environment::device()? {
            DeviceName::Auto => match Self::card(None) {
                Ok(device) => Ok(device),
                Err(why) => {
                    let no_card = cfg!(feature = "cuda").then(|| why.to_string());
                    Ok(Device { no_card, ..Self::cpu()? })
                }
            },
            name => Self::of(name),
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

    /// The NVIDIA GPU with this number, from 0, of those that the driver shows. Where `CUDA_VISIBLE_DEVICES` is
    /// set, the driver shows the GPUs that it lists, and numbers them in that order.
    ///
    /// # Errors
    /// [`Error::Device`] where
    /// * this crate was built without its feature `cuda`;
    /// * there is no driver, or it is older than the CUDA toolkit that the crate was built with;
    /// * no GPU has this number: the error lists those that exist;
    /// * this process computes on another GPU already;
    /// * the GPU is older than compute capability 8.0, has no memory pools, or could not be set up.
    ///
    /// ```no_run
    /// use transfer::prelude::*;
    /// let second = Device::cuda(1)?;
    /// let model = Model::load_on("my_photos.safetensors", &second)?;
    /// # Ok::<(), Error>(())
    /// ```
    pub fn cuda(number: usize) -> Result<Self> {
        Self::of(DeviceName::Cuda(Some(number)))
    }

    /// The device of this name: `auto`, `cpu`, `cuda` or `cuda:N`, as in `TRANSFER_DEVICE`.
    ///
    /// # Errors
    /// [`Error::Invalid`] for another name, and as [`auto`](Self::auto), [`cpu`](Self::cpu) and
    /// [`cuda`](Self::cuda).
    pub fn named(name: &str) -> Result<Self> {
        Self::of(name.parse()?)
    }

    /// The device of this name.
    ///
    /// # Errors
    /// As [`auto`](Self::auto), [`cpu`](Self::cpu) and [`cuda`](Self::cuda).
    pub fn of(name: DeviceName) -> Result<Self> {
        match name {
            DeviceName::Auto => Self::auto(),
            DeviceName::Cpu => Self::cpu(),
            DeviceName::Cuda(number) => Self::card(number).map_err(|why| {
                Error::Device(format!(
                    "{why} To compute on the CPU, choose the device `cpu`: `Device::cpu()`, `--device cpu` or \
                     TRANSFER_DEVICE=cpu."
                ))
            }),
        }
    }

    #[cfg(feature = "cuda")]
    fn card(number: Option<usize>) -> Result<Self> {
        threads::check()?;
        Ok(Device { place: Place::Cuda(crate::ops::cuda::Card::choose(number)?), no_card: None })
    }

    #[cfg(not(feature = "cuda"))]
    fn card(_: Option<usize>) -> Result<Self> {
        Err(Error::Device(
            "A GPU expected the crate `transfer` with its feature `cuda`. Received: one without. In a notebook \
             the first cell asks for it: `:dep transfer = { path = \"../crate\", features = [\"cuda\"] }` \
             (`cargo xtask notebook --cuda` opens a copy that does). The program `transfer` has it after \
             `cargo install --path cli --features cuda`."
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

/// Whether both are the CPU, or the same GPU.
impl PartialEq for Device {
    fn eq(&self, other: &Self) -> bool {
        match (&self.place, &other.place) {
            (Place::Cpu(_), Place::Cpu(_)) => true,
            #[cfg(feature = "cuda")]
            // A process has one.
            (Place::Cuda(_), Place::Cuda(_)) => true,
            #[cfg(feature = "cuda")]
            _ => false,
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

    #[test]
    fn a_device_has_a_name() {
        assert_eq!(Device::named("cpu").unwrap(), Device::cpu().unwrap());
        let error = Device::named("tpu").unwrap_err().to_string();
        assert!(error.contains("tpu") && error.contains("`cuda:N`"), "{error}");
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn asking_for_a_card_without_the_feature_says_how_to_get_it() {
        for asked in [Device::cuda(0), Device::cuda(7), Device::named("cuda"), Device::named("cuda:1")] {
            let error = asked.unwrap_err().to_string();
            for part in ["features = [\"cuda\"]", "--path cli --features cuda", "TRANSFER_DEVICE=cpu"] {
                assert!(error.contains(part), "{error}");
            }
        }
    }
}
