//! Where the model computes.

use std::fmt;

use dfdx::prelude::{Cache, Cpu};

use crate::ops::simd::isa;
use crate::{threads, Result};

/// What models live on. Today that is the CPU; a card chosen at run time would change no signature.
///
/// ```
/// let device = transfer::Device::auto()?;
/// println!("computing on {device}");
/// # Ok::<(), transfer::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Device {
    cpu: Cpu,
}

impl Device {
    /// The fastest device of this machine.
    ///
    /// # Errors
    /// Where `TRANSFER_ISA` asks for instructions that the processor lacks.
    pub fn auto() -> Result<Self> {
        isa()?;
        let cpu = Cpu::default();
        // dfdx then reuses the memory of its tensors from step to step.
        cpu.enable_cache();
        Ok(Device { cpu })
    }

    pub(crate) fn cpu(&self) -> Cpu {
        self.cpu.clone()
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n = threads::pool().current_num_threads();
        let isa = isa().map_or("unknown instructions", |i| i.name());
        write!(f, "the CPU with {n} thread{}, {isa} kernels", if n == 1 { "" } else { "s" })
    }
}
