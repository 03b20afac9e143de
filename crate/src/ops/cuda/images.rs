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
#[derive(Clone, Copy)]
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
        let allocate = || unsafe { device.alloc::<u16>(images.len() * len) }.map_err(failed);
        let memory = allocate().or_else(|_| card.give_back().and_then(|()| allocate()))?;
        // The kernel counts images in 32 bits.
        i32::try_from(images.len()).map_err(|_| {
            Error::Invalid(format!("The GPU expected less than 2^31 images. Received: {}", images.len()))
        })?;
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
    /// Where the first image of the data set is.
    pub fn first(&self) -> u64 {
        *self.images.memory.device_ptr()
    }

    pub fn size(&self) -> (usize, usize) {
        self.images.size
    }

    /// What is done to grey levels, which is the same for all.
    pub fn rescaling(&self) -> Rescaling {
        // Plus minus zero changes no bit.
        self.placings.first().and_then(|p| p.rescaling).unwrap_or(Rescaling::new(1.0, -0.0))
    }

    /// Words for the kernel: for each image 8 floats that say where its pixels come from, then its place in the data
    /// set.
    pub fn words(&self, words: &mut [u32]) -> Result<()> {
        let (numbers, which) = words.split_at_mut(self.indices.len() * calls::PLACE);
        for (to, placing) in numbers.chunks_mut(calls::PLACE).zip(self.placings) {
            to.iter_mut().zip(placing.numbers).for_each(|(to, v)| *to = v.to_bits());
        }
        for (to, index) in which.iter_mut().zip(self.indices) {
            let place = self.images.places.get(index).copied().ok_or_else(|| {
                Error::Invalid(format!("Image {index} was expected on the GPU, and is not there."))
            })?;
            *to = place as u32;
        }
        Ok(())
    }

    /// Makes the batch `y (n, h, w, 3)` of floats, flipped, turned and rescaled, by [`words`](Self::words) that are on
    /// the GPU at `words`.
    ///
    /// # Safety
    /// `y` and `words` are as large as that.
    pub(crate) unsafe fn make(&self, card: &'static Card, words: u64, y: u64) -> Result<()> {
        let ((h, w), n) = (self.size(), self.indices.len());
        let which = words + (n * calls::PLACE * size_of::<f32>()) as u64;
        let call = calls::augment(self.first(), which, words, self.rescaling(), y, (n, h, w, 3))?;
        // SAFETY: the caller's promise; the images are as many as `words` refers to, by `Images::new`.
        unsafe { card.launch(call) }
    }

    /// The batch as floats, flipped, turned and rescaled.
    pub fn activations(&self, cuda: &Cuda) -> Result<Activations<Cuda>> {
        let card = Card::get()?;
        let ((h, w), n) = (self.size(), self.indices.len());
        let y = zeros(cuda, (n, h, w, 3))?;
        let mut words = vec![0; n * (calls::PLACE + 1)];
        self.words(&mut words)?;
        let words: Vec<f32> = words.into_iter().map(f32::from_bits).collect();
        let on_card = card.memory(words.len())?;
        // SAFETY: the memory was taken for these words.
        unsafe {
            copy::to_card(card, &words, on_card.address())?;
            self.make(card, on_card.address(), address(&y)?)?;
        }
        Ok(y)
    }
}
