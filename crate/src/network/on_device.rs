//! One value that lives on the CPU or on a GPU, chosen at run time: what stands between the generic
//! core and the concrete types that a notebook sees.
//!
//! Not generic itself: who holds an [`Any`] has no type parameter, and [`on_device!`] writes the body of
//! both cases once.

use dfdx::prelude::Cpu;

use super::frozen::NetworkBackend;
use crate::network::base::Base;
use crate::optim::KerasOptimizer;

/// Something that exists for each device, such as [`Base`].
pub(crate) trait Kind {
    /// It on device `D`.
    type On<D: NetworkBackend>;
}

/// A `K` on one of the devices.
pub(crate) enum Any<K: Kind> {
    Cpu(K::On<Cpu>),
    #[cfg(feature = "cuda")]
    Cuda(crate::ops::cuda::OnCard<K::On<dfdx::prelude::Cuda>>),
}

pub(crate) struct Bases;

impl Kind for Bases {
    type On<D: NetworkBackend> = Base<D>;
}

pub(crate) struct Optimizers;

impl Kind for Optimizers {
    type On<D: NetworkBackend> = KerasOptimizer<D>;
}

/// `on_device!(any => it, body)`: `body` with `it` being what is in `any`, whichever device it is on. With
/// several, `on_device!(a => x, b => y; body)`, all must be on the same device; else the error of
/// [`mixed`](crate::network::on_device::mixed) is returned.
macro_rules! on_device {
    ($any:expr => $it:ident, $body:expr) => {
        match $any {
            $crate::network::on_device::Any::Cpu($it) => $body,
            #[cfg(feature = "cuda")]
            $crate::network::on_device::Any::Cuda($crate::ops::cuda::OnCard($it)) => $body,
        }
    };
    ($($any:expr => $it:ident),+; $body:expr) => {
        match ($($any),+) {
            ($($crate::network::on_device::Any::Cpu($it)),+) => $body,
            #[cfg(feature = "cuda")]
            ($($crate::network::on_device::Any::Cuda($crate::ops::cuda::OnCard($it))),+) => $body,
            #[cfg(feature = "cuda")]
            _ => return Err($crate::network::on_device::mixed()),
        }
    };
}
pub(crate) use on_device;

/// A model is put together from parts on one device, so this tells of a mistake in this crate.
#[cfg(feature = "cuda")]
pub(crate) fn mixed() -> crate::Error {
    crate::Error::Device(
        "A model expected its base, head and optimizer on one device. Received: parts on the CPU and on a GPU."
            .into(),
    )
}
