//! Names of devices, as people write them.

use std::fmt;
use std::str::FromStr;

use crate::{Error, Result, Show};

/// The name of a device: in `TRANSFER_DEVICE`, on the command line, in [`Device::named`](crate::Device::named).
///
/// ```
/// use transfer::DeviceName;
/// assert_eq!("cuda:1".parse::<DeviceName>()?, DeviceName::Cuda(Some(1)));
/// # Ok::<(), transfer::Error>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum DeviceName {
    /// `auto`: a GPU where there is one that can be used, else the CPU.
    #[default]
    Auto,
    /// `cpu`.
    Cpu,
    /// `cuda:N`: the NVIDIA GPU with this number. `cuda`, without a number: the GPU that this process uses already,
    /// else number 0.
    Cuda(Option<usize>),
}

impl DeviceName {
    /// What a name may be, in words that complete "expected …".
    pub(crate) const EXPECTED: &'static str =
        "`auto`, `cpu`, `cuda`, or `cuda:N` with the number of a GPU, which begins at 0";

    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = text.to_ascii_lowercase();
        match text.as_str() {
            "auto" => Some(DeviceName::Auto),
            "cpu" => Some(DeviceName::Cpu),
            "cuda" => Some(DeviceName::Cuda(None)),
            other => {
                let digits = other.strip_prefix("cuda:")?;
                let only_digits = digits.bytes().all(|byte| byte.is_ascii_digit());
                let number = digits.parse().ok().filter(|_| only_digits)?;
                Some(DeviceName::Cuda(Some(number)))
            }
        }
    }
}

impl FromStr for DeviceName {
    type Err = Error;

    /// # Errors
    /// [`Error::Invalid`] where the text is no name of a device; the error lists the names.
    fn from_str(text: &str) -> Result<Self> {
        DeviceName::parse(text.trim()).ok_or_else(|| {
            Error::Invalid(format!("A device expected {}. Received: {}.", Self::EXPECTED, text.shown()))
        })
    }
}

impl fmt::Display for DeviceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DeviceName::Auto => f.write_str("auto"),
            DeviceName::Cpu => f.write_str("cpu"),
            DeviceName::Cuda(None) => f.write_str("cuda"),
            DeviceName::Cuda(Some(number)) => write!(f, "cuda:{number}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for name in ["auto", "cpu", "cuda", "cuda:0", "cuda:1", "cuda:12"] {
            assert_eq!(name.parse::<DeviceName>().unwrap().to_string(), name);
        }
        assert_eq!(" CUDA:3 ".parse::<DeviceName>().unwrap(), DeviceName::Cuda(Some(3)));
    }

    #[test]
    fn other_names_are_refused_with_a_list_of_those_that_exist() {
        let too_large = format!("cuda:{}0", usize::MAX);
        for name in
            ["", "gpu", "tpu", "cuda:", "cuda:-1", "cuda:+1", "cuda:one", "cuda 1", "cuda1", &too_large]
        {
            let error = name.parse::<DeviceName>().unwrap_err().to_string();
            for word in ["`auto`", "`cpu`", "`cuda`", "`cuda:N`", name] {
                assert!(error.contains(word), "{name}: {error}");
            }
        }
    }
}
