//! Versions of CUDA: what the driver can run, and what the kernels are compiled with. Nothing here touches a GPU.

use std::fmt;

/// A version such as 12.4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version {
    pub major: i32,
    pub minor: i32,
}

impl Version {
    /// From the driver's number, such as 12040.
    pub fn of_driver(number: i32) -> Self {
        Version { major: number / 1000, minor: number % 1000 / 10 }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// How a driver goes with a toolkit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fit {
    /// It runs what the toolkit compiles.
    Fits,
    /// Older by its minor version: it runs most of what the toolkit compiles. The text is for where it does not.
    Perhaps(String),
    /// Older by its major version. The text says what to install.
    TooOld(String),
}

/// Whether a driver runs what a toolkit compiles.
pub(super) fn fit(driver: Version, toolkit: Version) -> Fit {
    let text = format!(
        "NVIDIA's driver expected CUDA {toolkit} or newer, since the kernels are compiled with the CUDA toolkit \
         {toolkit}. Received: a driver for CUDA {driver}. Install a newer driver (`nvidia-smi` shows its version of \
         CUDA), or build with a CUDA toolkit that is no newer than {driver}."
    );
    match driver {
        _ if driver >= toolkit => Fit::Fits,
        Version { major, .. } if major == toolkit.major => Fit::Perhaps(text),
        _ => Fit::TooOld(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn version(major: i32, minor: i32) -> Version {
        Version { major, minor }
    }

    #[test]
    fn the_number_of_a_driver_is_read() {
        let read = [12040, 13000, 11080, 12120].map(|number| Version::of_driver(number).to_string());
        assert_eq!(read, ["12.4", "13.0", "11.8", "12.12"]);
    }

    #[test]
    fn an_older_driver_is_told_with_both_versions() {
        assert_eq!(fit(version(12, 4), version(12, 4)), Fit::Fits);
        assert_eq!(fit(version(13, 0), version(12, 9)), Fit::Fits);
        let Fit::Perhaps(text) = fit(version(12, 4), version(12, 9)) else {
            panic!("the same major version")
        };
        assert!(text.contains("CUDA 12.9 or newer") && text.contains("driver for CUDA 12.4"), "{text}");
        let Fit::TooOld(text) = fit(version(12, 9), version(13, 0)) else { panic!("another major version") };
        assert!(text.contains("CUDA 13.0 or newer") && text.contains("no newer than 12.9"), "{text}");
    }
}
