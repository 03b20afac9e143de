//! Errors of the driver.

use cudarc::driver::DriverError;

use crate::Error;

/// What the driver says, in words.
pub(crate) fn driver_error(what: &str, e: DriverError) -> Error {
    // A driver that cannot name an error has none to look up, either.
    let name = e.error_name().ok().and_then(|name| name.to_str().ok()).unwrap_or("an unknown error");
    Error::Device(format!("The GPU could not {what}: {name}."))
}
