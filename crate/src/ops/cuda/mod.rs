//! The ops on an NVIDIA GPU.
//!
//! `kernels/` is the device code, `calls/` says how each kernel is launched; both are tested without a
//! GPU, by `host/`, which compiles the same sources for the processor and emulates the launches. The rest
//! needs a GPU to run and this crate's feature `cuda` to be compiled: `found.rs` finds the GPU (`version.rs` compares
//! driver and toolkit), `card.rs` sets it up and compiles the kernels, `backend.rs` is the
//! [`Backend`](crate::ops::backend::Backend), `product.rs` the matrix products, `address.rs` how a dfdx tensor is found
//! on the GPU, `frozen.rs` computes layers that do not train, `recording.rs` makes CUDA graphs and `recorded_step.rs` a
//! step of a training as two of them.
//!
//! Everything runs on dfdx's stream in the order in which it is started, sums are formed in a fixed order and
//! without atomics, so two runs on one GPU agree bit for bit.

pub(crate) mod calls;
pub(crate) mod source;
mod tensor_text;
mod version;

#[cfg(feature = "cuda")]
mod address;
#[cfg(feature = "cuda")]
mod backend;
#[cfg(feature = "cuda")]
mod block;
#[cfg(feature = "cuda")]
mod card;
#[cfg(feature = "cuda")]
pub(crate) mod copy;
#[cfg(feature = "cuda")]
mod driver_error;
#[cfg(feature = "cuda")]
mod dropout;
#[cfg(feature = "cuda")]
pub(crate) mod folded;
#[cfg(feature = "cuda")]
mod found;
#[cfg(feature = "cuda")]
pub(crate) mod frozen;
#[cfg(feature = "cuda")]
mod head;
#[cfg(feature = "cuda")]
mod images;
#[cfg(feature = "cuda")]
mod memory;
#[cfg(feature = "cuda")]
mod product;
#[cfg(feature = "cuda")]
pub(crate) mod recorded_step;
#[cfg(feature = "cuda")]
mod recorder;
#[cfg(feature = "cuda")]
pub(crate) mod recording;
#[cfg(feature = "cuda")]
mod staging;

#[cfg(feature = "cuda")]
pub(crate) use address::address;
#[cfg(feature = "cuda")]
pub(crate) use backend::backward_by;
#[cfg(feature = "cuda")]
pub(crate) use card::Card;
#[cfg(feature = "cuda")]
pub(crate) use dropout::dropout;
#[cfg(feature = "cuda")]
pub(crate) use head::HeadOnCard;
#[cfg(feature = "cuda")]
pub(crate) use images::{Images, Placed};

#[cfg(test)]
mod host;

/// A batch of images that is on the GPU, ready for the network: for measurements that leave the way there out.
#[cfg(feature = "cuda")]
pub struct KeptBatch(OnCard<crate::ops::backend::Activations<dfdx::prelude::Cuda>>);

#[cfg(feature = "cuda")]
impl KeptBatch {
    /// Copies images `(n, h, w, 3)` to the GPU.
    ///
    /// # Errors
    /// Where the lengths do not fit, or the GPU fails.
    pub fn new(images: &[f32], shape: (usize, usize, usize, usize)) -> crate::Result<Self> {
        let cuda = Card::get()?.cuda();
        Ok(KeptBatch(OnCard(<dfdx::prelude::Cuda as crate::ops::backend::Backend>::tensor(
            &cuda, shape, images,
        )?)))
    }

    pub(crate) fn tensor(&self) -> &crate::ops::backend::Activations<dfdx::prelude::Cuda> {
        &self.0 .0
    }
}

/// Something on the GPU that any thread may use.
#[cfg(feature = "cuda")]
pub(crate) struct OnCard<T>(pub T);

// SAFETY: it holds tensors and handles of dfdx's. All that keeps these in one thread is the handle of a
// stream, which the driver lets every thread use; dfdx, cudarc and this crate make the GPU's context
// current in the thread before each call.
#[cfg(feature = "cuda")]
unsafe impl<T> Send for OnCard<T> {}
// SAFETY: as above; what changes behind a shared reference is behind locks, in dfdx (its cache) as here.
#[cfg(feature = "cuda")]
unsafe impl<T> Sync for OnCard<T> {}

/// The address of a tensor's gradient, which is made of zeros if there is none yet. It stays where it is as
/// long as `grads` has it.
#[cfg(feature = "cuda")]
fn gradient<S: dfdx::prelude::Shape>(
    grads: &mut dfdx::prelude::Gradients<f32, dfdx::prelude::Cuda>,
    t: &dfdx::prelude::Tensor<S, f32, dfdx::prelude::Cuda>,
) -> std::result::Result<u64, dfdx::prelude::CudaError> {
    let address = twice(|| Ok(*cudarc::driver::DevicePtr::device_ptr(grads.get_or_alloc_mut(t)?)))?;
    if let Some(recorder) = recorder::current() {
        let len = dfdx::prelude::HasShape::shape(t).num_elements();
        recorder.zero_once(address, len).map_err(dfdx::prelude::CudaError::Driver)?;
    }
    Ok(address)
}

/// The address of a gradient that is written as a whole behind this, so that a recording need not fill it with zeros.
#[cfg(feature = "cuda")]
fn unset_gradient<S: dfdx::prelude::Shape>(
    grads: &mut dfdx::prelude::Gradients<f32, dfdx::prelude::Cuda>,
    t: &dfdx::prelude::Tensor<S, f32, dfdx::prelude::Cuda>,
) -> std::result::Result<u64, dfdx::prelude::CudaError> {
    if let Some(recorder) = recorder::current() {
        let address = twice(|| Ok(*cudarc::driver::DevicePtr::device_ptr(grads.get_or_alloc_mut(t)?)))?;
        recorder.is_written(address);
        return Ok(address);
    }
    gradient(grads, t)
}

/// [`gradient`], with this crate's error.
#[cfg(feature = "cuda")]
pub(crate) fn gradient_of<S: dfdx::prelude::Shape>(
    grads: &mut dfdx::prelude::Gradients<f32, dfdx::prelude::Cuda>,
    t: &dfdx::prelude::Tensor<S, f32, dfdx::prelude::Cuda>,
) -> crate::Result<u64> {
    gradient(grads, t).map_err(crate::ops::backend::device_error)
}

/// A tensor of zeros; while this thread records, one that is zeros only until the recording runs again, which is
/// for results that are written as a whole.
#[cfg(feature = "cuda")]
pub(crate) fn zeros<S: dfdx::prelude::Shape>(
    device: &dfdx::prelude::Cuda,
    shape: S,
) -> crate::Result<dfdx::prelude::Tensor<S, f32, dfdx::prelude::Cuda>> {
    let t = twice(|| dfdx::prelude::ZerosTensor::try_zeros_like(device, &shape))
        .map_err(crate::ops::backend::device_error)?;
    if let Some(recorder) = recorder::current() {
        recorder.keep(dfdx::prelude::Tensor::clone(&t));
    }
    Ok(t)
}

/// Allocates by dfdx; where that fails, once more when the memory that is kept to be used again has been given back.
#[cfg(feature = "cuda")]
fn twice<T>(
    mut allocate: impl FnMut() -> std::result::Result<T, dfdx::prelude::CudaError>,
) -> std::result::Result<T, dfdx::prelude::CudaError> {
    let first = {
        let _alone = allocating();
        allocate()
    };
    first.or_else(|e| match Card::get().and_then(Card::give_back) {
        Ok(()) => {
            let _alone = allocating();
            allocate()
        }
        Err(_) => Err(e),
    })
}

/// Held while dfdx allocates a tensor on the GPU, and only then: dfdx panics where two threads take memory that it
/// has kept at the same moment.
#[cfg(feature = "cuda")]
fn allocating() -> std::sync::MutexGuard<'static, ()> {
    static ALONE: std::sync::Mutex<()> = std::sync::Mutex::new(());
    ALONE.lock().unwrap_or_else(|e| e.into_inner())
}
