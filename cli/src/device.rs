//! The option `--device`: where a command computes.

use clap::Args;
use transfer::{Device, DeviceName};

use crate::{screen, Failure};

/// The comment is a text of `--help`.
#[derive(Debug, Args)]
pub struct Computing {
    /// Device that computes: `cpu`; `cuda` for the first NVIDIA GPU, `cuda:1` for the second, and so on; `auto` for the
    /// first GPU if it can be used, otherwise the CPU, unless TRANSFER_DEVICE names another device. A GPU needs a
    /// program built with `cargo install --path cli --features cuda`
    #[arg(long, value_name = "DEVICE", default_value_t)]
    pub device: DeviceName,
}

impl Computing {
    /// The device, which is found now: a GPU that is missing should not be noticed after minutes of other work.
    pub fn open(&self) -> crate::Result<Device> {
        let asked = match self.device {
            DeviceName::Auto => transfer::environment::device()?,
            name => name,
        };
        if let (DeviceName::Cuda(_), false) = (asked, cfg!(feature = "cuda")) {
            let option = match self.device {
                DeviceName::Auto => format!("TRANSFER_DEVICE={asked}"),
                _ => format!("--device {asked}"),
            };
            return Err(Failure::Error(format!(
                "{option} expected a program that was built for GPUs. Received: one that computes on the CPU only. \
                 Build it with `cargo install --path cli --features cuda`, which needs the CUDA toolkit, or compute on \
                 the CPU: --device cpu."
            )));
        }
        Ok(Device::of(self.device)?)
    }

    /// [`open`](Self::open), and a line where the device is a GPU, or should have been one.
    pub fn open_and_say(&self) -> crate::Result<Device> {
        let device = self.open()?;
        if device.is_cuda() || device.no_card().is_some() {
            say(&device);
        }
        Ok(device)
    }
}

/// Says what computes.
pub fn say(device: &Device) {
    screen::note(&format!("Computing on {device}."));
}
