//! The images of a data set, kept on the GPU as the cache keeps them, so that a step needs nothing from the
//! host but which images it takes and how each is turned.

use std::collections::HashMap;

use cudarc::driver::{result, CudaSlice, DevicePtr};
use dfdx::prelude::Cuda;

use super::driver_error::driver_error;
use super::{address, calls, copy, zeros, Card};
use crate::augment::Placing;
use crate::data::Stored;
use crate::ops::backend::Activations;
use crate::preprocess::Rescaling;
use crate::{Error, Result};

/// Images of `(h, w, 3)` 16-bit numbers on the GPU.
pub struct Images {
    memory: CudaSlice<u16>,
    /// Which place an image has.
    places: HashMap<usize, usize>,
    size: (usize, usize),
}

/// Some of them, each with what is to be done to it.
pub struct Placed<'a> {
    pub(crate) images: &'a Images,
    pub(crate) indices: &'a [usize],
    pub(crate) placings: &'a [Placing],
}

impl Images {
    /// Copies images `(h, w, 3)` to the GPU; `None` where they would take more than half of what is free.
    pub fn new(images: &[(usize, Stored<'_>)], size: (usize, usize)) -> Result<Option<Self>> {
        let (card, len) = (Card::get()?, size.0 * size.1 * 3);
        let device = card.device()?;
        let failed = |e| driver_error("keep the images", e);
        let (free, _) = result::mem_get_info().map_err(failed)?;
        let bytes = images.len().saturating_mul(len * size_of::<u16>());
        if images.is_empty() || bytes > free / 2 {
            return Ok(None);
        }
        // SAFETY: any bits are such numbers, and all are written below before they are read.
        let memory = unsafe { device.alloc::<u16>(images.len() * len) }.map_err(failed)?;
        let mut places = HashMap::new();
        for (place, (index, stored)) in images.iter().enumerate() {
            let numbers = stored.numbers(len).ok_or_else(|| {
                Error::Shape(format!("A cached image expected {len} numbers. Received fewer."))
            })?;
            let to = at(&memory, place, len);
            // SAFETY: the memory has room for each image. The host's is pageable, so the driver has read it
            // when it returns.
            unsafe { result::memcpy_htod_async(to, &numbers[..len], *device.cu_stream()) }.map_err(failed)?;
            places.insert(*index, place);
        }
        Ok(Some(Images { memory, places, size }))
    }

    /// Whether the image is there.
    pub fn has(&self, index: usize) -> bool {
        self.places.contains_key(&index)
    }
}

fn at(memory: &CudaSlice<u16>, place: usize, len: usize) -> u64 {
    *memory.device_ptr() + (place * len * size_of::<u16>()) as u64
}

impl Placed<'_> {
    /// The batch as floats, flipped, turned and rescaled.
    pub fn activations(&self, cuda: &Cuda) -> Result<Activations<Cuda>> {
        let card = Card::get()?;
        let ((h, w), n) = (self.images.size, self.indices.len());
        let len = h * w * 3;
        let y = zeros(cuda, (n, h, w, 3))?;
        // Two numbers of 16 bits in the room of a float.
        let gathered = card.memory((n * len).div_ceil(2))?;
        let numbers: Vec<f32> = self.placings.iter().flat_map(|placing| placing.numbers).collect();
        let places = card.memory(n * calls::PLACE)?;
        let (to, stream) = (address(&y)?, *card.device()?.cu_stream());
        // Plus minus zero changes no bit.
        let rescaling = self.placings.first().and_then(|p| p.rescaling).unwrap_or(Rescaling::new(1.0, -0.0));
        let bytes = len * size_of::<u16>();
        // SAFETY: source and destination of each copy have room for an image, by `Images::new` and the memory
        // taken above; so has the kernel's.
        unsafe {
            for (i, index) in self.indices.iter().enumerate() {
                let place = self.images.places.get(index).copied().ok_or_else(|| {
                    Error::Invalid(format!("Image {index} was expected on the GPU, and is not there."))
                })?;
                let from = at(&self.images.memory, place, len);
                let into = gathered.address() + (i * bytes) as u64;
                result::memcpy_dtod_async(into, from, bytes, stream)
                    .map_err(|e| driver_error("gather a batch", e))?;
            }
            copy::to_card(card, &numbers, places.address())?;
            let (from, size) = (gathered.address(), (n, h, w, 3));
            card.launch(calls::augment(from, places.address(), rescaling, to, size)?)?;
        }
        Ok(y)
    }
}
