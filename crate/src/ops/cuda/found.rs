//! Finding a GPU. All that can make its set-up fail is asked for first, by calls that return an error: cudarc 0.9.15
//! unwraps in `CudaDevice::new` (the start of the driver, the GPU's number, its context), in `CudaBlas::new`, in
//! `DriverError`'s `Debug`, and where something of the GPU's is dropped.

use std::any::Any;
use std::ffi::CStr;
use std::fmt;
use std::panic::{catch_unwind, AssertUnwindSafe};

use cudarc::driver::{result, sys, DriverError};
use dfdx::prelude::CudaError;

use super::driver_error::driver_error;
use super::version::{fit, Fit, Version};
use crate::{Error, Result, Show};

use sys::CUdevice_attribute_enum as Which;

/// The oldest GPU that dfdx's kernels compile for.
const OLDEST: (i32, i32) = (8, 0);

/// A GPU that this crate can compute on.
#[derive(Clone)]
pub(super) struct Found {
    pub number: usize,
    pub name: String,
    pub capability: (i32, i32),
    /// In bytes.
    pub memory: usize,
    /// What is wrong with the driver where it refuses the kernels.
    older_driver: Option<String>,
}

impl Found {
    /// The GPU of this number, its context being current in this thread from here on.
    ///
    /// # Errors
    /// Where there is none of this number, it or its driver is too old, or it can't be used.
    pub fn new(number: usize) -> Result<Self> {
        let handle = handle(number)?;
        let older_driver = match fit(driver_version()?, toolkit_version()?) {
            Fit::Fits => None,
            Fit::Perhaps(text) => Some(text),
            Fit::TooOld(text) => return Err(Error::Device(text)),
        };
        let name = name_of(handle).map_err(not_found)?;
        let attribute = |which| {
            // SAFETY: the handle is of a device that the driver has just given.
            unsafe { result::device::get_attribute(handle, which) }.map_err(not_found)
        };
        let capability = (
            attribute(Which::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?,
            attribute(Which::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?,
        );
        if capability < OLDEST {
            return Err(Error::Device(format!(
                "The GPU expected compute capability {}.{} or newer. Received: {name} with {}.{}.",
                OLDEST.0, OLDEST.1, capability.0, capability.1
            )));
        }
        if attribute(Which::CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED)? == 0 {
            return Err(Error::Device(format!(
                "The GPU expected memory pools (stream-ordered allocation). Received: {name}, which has none, as \
                 some virtual GPUs. Update the driver, or give the machine a whole GPU."
            )));
        }
        // SAFETY: as above.
        let memory = unsafe { result::device::total_mem(handle) }.map_err(not_found)?;
        make_current(handle).map_err(|e| not_set_up(&name, CudaError::Driver(e)))?;
        Ok(Found { number, name, capability, memory, older_driver })
    }

    /// An error of dfdx's, while this GPU was set up.
    pub fn not_set_up(&self, e: CudaError) -> Error {
        not_set_up(&self.name, e)
    }

    /// An error of the kernels', which an older driver explains.
    pub fn refused_kernels(&self, e: Error) -> Error {
        match &self.older_driver {
            Some(text) => Error::Device(format!("{e} {text}")),
            None => e,
        }
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (major, minor) = self.capability;
        let gib = self.memory >> 30;
        write!(f, "{} (cuda:{}, compute capability {major}.{minor}, {gib} GiB)", self.name, self.number)
    }
}

/// Fails unless there is a GPU of this number.
pub(super) fn exists(number: usize) -> Result<()> {
    handle(number).map(drop)
}

fn handle(number: usize) -> Result<sys::CUdevice> {
    match result::init() {
        Err(DriverError(sys::CUresult::CUDA_ERROR_NO_DEVICE)) => return Err(none_shown()),
        done => done.map_err(not_found)?,
    }
    let count = result::device::get_count().map_err(not_found)?;
    if count < 1 {
        return Err(none_shown());
    }
    match i32::try_from(number).ok().filter(|&number| number < count) {
        Some(number) => result::device::get(number).map_err(not_found),
        None => Err(no_such(number, count)),
    }
}

fn no_such(number: usize, count: i32) -> Error {
    let name = |n| result::device::get(n).and_then(name_of).unwrap_or_else(|_| "a GPU without a name".into());
    let list: Vec<String> = (0..count).map(|n| format!("{n} is {}", name(n))).collect();
    let (numbers, plural) = match count {
        1 => ("0".to_owned(), ""),
        _ => (format!("0 to {}", count - 1), "s"),
    };
    Error::Device(format!(
        "The number of the GPU expected {numbers}: the driver shows {count} GPU{plural}{}. Received: {number}. {}.",
        restricted(),
        list.join(", "),
    ))
}

fn none_shown() -> Error {
    Error::Device(format!(
        "The driver shows no GPU{}. Is CUDA_VISIBLE_DEVICES wrong, or was the container started without its GPU?",
        restricted()
    ))
}

/// What the surroundings hide.
fn restricted() -> String {
    match std::env::var_os("CUDA_VISIBLE_DEVICES") {
        Some(value) => format!(" (CUDA_VISIBLE_DEVICES is {:?})", value.shown().to_string()),
        None => String::new(),
    }
}

fn not_found(e: DriverError) -> Error {
    match e.0 {
        sys::CUresult::CUDA_ERROR_SYSTEM_DRIVER_MISMATCH => {
            driver_error("be found; the driver was updated, so restart the machine", e)
        }
        sys::CUresult::CUDA_ERROR_STUB_LIBRARY => driver_error(
            "be found; the driver's library is the toolkit's stub, so take its folder out of LD_LIBRARY_PATH",
            e,
        ),
        _ => driver_error("be found; is NVIDIA's driver installed (does `nvidia-smi` work)", e),
    }
}

fn not_set_up(name: &str, e: CudaError) -> Error {
    let advice = match &e {
        CudaError::Driver(DriverError(sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY)) => {
            " Other programs may hold its memory; `nvidia-smi` lists them."
        }
        CudaError::Driver(DriverError(sys::CUresult::CUDA_ERROR_DEVICE_UNAVAILABLE)) => {
            " Another program may have it for itself; `nvidia-smi` shows it and the compute mode."
        }
        _ => "",
    };
    let what = format!("be set up ({name})");
    match e {
        CudaError::Driver(e) => Error::Device(format!("{}{advice}", driver_error(&what, e))),
        // Neither of these asks the driver for a text, as `DriverError`'s `Debug` does.
        other => Error::Device(format!("The GPU could not {what}: {other:?}.")),
    }
}

fn driver_version() -> Result<Version> {
    let mut number = 0;
    // SAFETY: the driver writes one number.
    unsafe { sys::cuDriverGetVersion(&mut number) }.result().map_err(not_found)?;
    Ok(Version::of_driver(number))
}

/// That of the library which compiles the kernels.
fn toolkit_version() -> Result<Version> {
    let (mut major, mut minor) = (0, 0);
    // SAFETY: the library writes two numbers.
    let told = unsafe { cudarc::nvrtc::sys::nvrtcVersion(&mut major, &mut minor) }.result();
    told.map_err(|e| {
        Error::Device(format!("The GPU's compiler, NVRTC, could not tell its version: {e:?}."))
    })?;
    Ok(Version { major, minor })
}

fn name_of(device: sys::CUdevice) -> Result<String, DriverError> {
    let mut name = [0; 256];
    // SAFETY: the driver writes at most as many characters as it is told, the last of them a zero.
    unsafe { sys::cuDeviceGetName(name.as_mut_ptr(), name.len() as i32 - 1, device) }.result()?;
    // SAFETY: the last character is a zero in any case.
    Ok(unsafe { CStr::from_ptr(name.as_ptr()) }.to_string_lossy().into_owned())
}

/// Makes the GPU's context current in this thread. It is kept for good where that worked: whoever takes it again gets
/// the same one, and can hardly fail.
fn make_current(handle: sys::CUdevice) -> Result<(), DriverError> {
    // SAFETY: the handle is of a device that the driver has given.
    let context = unsafe { result::primary_ctx::retain(handle) }?;
    // SAFETY: the context was made just now.
    unsafe { result::ctx::set_current(context) }.inspect_err(|_| {
        // SAFETY: as above; nobody uses it.
        let _ = unsafe { result::primary_ctx::release(handle) };
    })
}

/// What `work` returns; a panic in it becomes an error. It cannot help where a second panic meets the first one, as in
/// cudarc's destructors after the driver has failed for good.
pub(super) fn without_panic<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        Err(Error::Device(format!(
            "The GPU could not be set up, since the library cudarc 0.9.15 panicked: {}.",
            text_of(&*panic)
        )))
    })
}

fn text_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no reason given")
}
