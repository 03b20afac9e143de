//! Where on the GPU a dfdx tensor lies.
//!
//! dfdx 0.13 tells it to nobody, except in the `Debug` text of a tensor, which begins
//! `Tensor { id: …, data: CachableCudaSlice { data: CudaSlice { cu_device_ptr: 139…, len: 6, …`. It is read
//! from there. So this module belongs to the version that `Cargo.toml` pins, and before anything else
//! is computed on a GPU, [`check`] copies known numbers to and from an address that was found this way. If the
//! text should ever be another one, the result is an error, and no memory was touched.

use std::fmt::Write;
use std::sync::Arc;

use cudarc::driver::{result, sys, CudaDevice};
use dfdx::prelude::{Cuda, HasShape, Shape, Tensor, TensorFromVec};

use super::driver_error::driver_error;
use super::tensor_text::Start;
use crate::{Error, Result};

/// The address of a tensor's first number. Its numbers lie there in row-major order, since no tensor of this
/// crate is broadcast or permuted.
///
/// # Errors
/// Where the tensor's text is not what it is in dfdx 0.13.0, or its memory has another length than its shape.
pub(crate) fn address<S: Shape, T: std::fmt::Debug>(t: &Tensor<S, f32, Cuda, T>) -> Result<u64> {
    let mut start = Start::default();
    // It stops by an error as soon as it has read enough: the rest is long.
    let _ = write!(start, "{t:?}");
    let len = t.shape().num_elements();
    match start.found() {
        Some((address, found)) if found == len && (address != 0 || len == 0) => Ok(address),
        Some((_, found)) => Err(Error::Device(format!(
            "A tensor of {:?} on the GPU expected {len} numbers of memory. Received: {found}.",
            t.shape()
        ))),
        None => Err(Error::Device(format!(
            "The address of a tensor on the GPU could not be found: dfdx 0.13.0 was expected. Received a tensor \
             whose text begins {:?}.",
            start.text
        ))),
    }
}

/// Copies known numbers both ways between the host and a tensor's address.
///
/// # Errors
/// Where the address is none, or is not that of the tensor's numbers.
pub(super) fn check(cuda: &Cuda, device: &Arc<CudaDevice>) -> Result<()> {
    let (ours, theirs) = ([1.5f32, -2.0, 3.25, 0.0, 7.0, -0.5], [0.25f32, 8.0, -1.0, 6.5, 2.0, 5.0]);
    let t = cuda
        .try_tensor_from_vec(ours.to_vec(), (2usize, 3usize))
        .map_err(crate::ops::backend::device_error)?;
    let at = address(&t)?;
    device.bind_to_thread().map_err(|e| driver_error("be used in this thread", e))?;
    let mut kind: u32 = 0;
    let which = sys::CUpointer_attribute_enum::CU_POINTER_ATTRIBUTE_MEMORY_TYPE;
    // SAFETY: the driver looks the address up in its own tables and writes one number.
    let known = unsafe { sys::cuPointerGetAttribute((&raw mut kind).cast(), which, at) }.result();
    let wrong = |what: &str| {
        Error::Device(format!(
            "The address of a tensor on the GPU could not be found: {what}. This crate expected dfdx 0.13.0 with \
             cudarc 0.9.15."
        ))
    };
    if known.is_err() || kind != sys::CUmemorytype_enum::CU_MEMORYTYPE_DEVICE as u32 {
        return Err(wrong("what was read is no address on a GPU"));
    }
    let mut read = [0.0f32; 6];
    // SAFETY: the driver has just said that the address is on a GPU, and refuses to copy from where it has
    // no such memory.
    unsafe { result::memcpy_dtoh_sync(&mut read, at) }.map_err(|e| driver_error("copy from a tensor", e))?;
    if read != ours {
        return Err(wrong(&format!("{ours:?} were expected there, and {read:?} found")));
    }
    // SAFETY: the tensor's own numbers were there.
    unsafe { result::memcpy_htod_sync(at, &theirs) }.map_err(|e| driver_error("copy to a tensor", e))?;
    let mut back = [0.0f32; 6];
    t.copy_into(&mut back);
    match back == theirs {
        true => Ok(()),
        false => Err(wrong(&format!("{theirs:?} were written there, and the tensor holds {back:?}"))),
    }
}
