//! The one pass over all photographs: each is decoded once, and what all checks need of it is kept.

use std::path::PathBuf;

use crate::assets::mobilenet_v2_weights_beside_others;
use crate::check::features::Features;
use crate::check::fingerprint::{self, Colours, Fingerprint};
use crate::data::{look_at_whole, FileDigest, Skipped, Whole, WholeSet};
use crate::network::{Backbone, MobileNetV2};
use crate::progress::{check_stop, observe, Event};
use crate::weights::load;
use crate::{Device, Result};

/// Photographs that are decoded and computed at a time.
const AT_A_TIME: usize = 64;
/// Pixels a side that MobileNetV2 gets.
const SIDE: usize = 160;
/// The shorter side in pixels below which a photograph is tiny.
const TINY: usize = 64;
/// Where red, green and blue differ by no more than this, a pixel counts as grey; JPEG changes grey by a few levels.
const GREY_LEVELS: u8 = 12;

/// What is known of one photograph.
#[derive(Debug, Clone)]
pub(super) struct Photograph {
    pub path: PathBuf,
    /// The position of its set.
    pub set: usize,
    pub label: u32,
    pub digest: FileDigest,
    pub height: usize,
    pub width: usize,
    pub bytes: u64,
    pub fingerprint: Fingerprint,
    pub colours: Colours,
    /// The part of its pixels that have a colour.
    pub coloured: f32,
}

impl Photograph {
    /// Whether its shorter side is below 64 pixels.
    pub fn is_tiny(&self) -> bool {
        self.height.min(self.width) < TINY
    }

    /// Whether it has fewer rows or columns of pixels than its fingerprint has of cells.
    pub fn is_below_its_fingerprint(&self) -> bool {
        self.height.min(self.width) < fingerprint::SIDE
    }
}

/// All that the checks know of a folder.
pub(super) struct Scan {
    pub photographs: Vec<Photograph>,
    /// Pooled features of the frozen network (n, 1280), or those of an ONNX file.
    pub features: Features,
    /// Files that cannot be decoded, sorted.
    pub unreadable: Vec<Skipped>,
}

/// Looks at all photographs of `sets` with a frozen network.
///
/// # Errors
/// Where a file or the network's weights cannot be read; [`Interrupted`](crate::Error::Interrupted).
pub(super) fn scan(sets: &[WholeSet], network: &Backbone) -> Result<Scan> {
    let (h, w, c) = network.input_shape();
    let numbers = h * w * c;
    let width = network.output_shape().2;
    let mut unreadable: Vec<Skipped> = sets.iter().flat_map(|set| set.data.skipped()).collect();
    let mut all: Vec<(usize, &PathBuf, u32)> = Vec::new();
    for (i, set) in sets.iter().enumerate() {
        let mut of_set = set.data.indices();
        of_set.sort_unstable();
        all.extend(of_set.into_iter().map(|at| (i, &set.data.file_paths()[at], set.data.labels()[at])));
    }
    let mut photographs = Vec::with_capacity(all.len());
    let mut features = Features::with_room(all.len(), width)?;
    let mut images = vec![0.0; AT_A_TIME * numbers];
    let mut pooled = vec![0.0; AT_A_TIME * width];
    let (units, mut done) = (network.architecture().units.len(), 0);
    for block in all.chunks(AT_A_TIME) {
        let looked = look_at(block, network, &mut images)?;
        let mut n = 0;
        for (i, (&(set, path, label), found)) in block.iter().zip(looked).enumerate() {
            match found {
                Ok(about) => {
                    photographs.push(Photograph { path: path.clone(), set, label, ..about });
                    images.copy_within(i * numbers..(i + 1) * numbers, n * numbers);
                    n += 1;
                }
                Err(reason) => unreadable.push(Skipped { path: path.clone(), reason }),
            }
        }
        if n > 0 {
            network.frozen_forward(&images[..n * numbers], n, units, true, &mut pooled[..n * width])?;
        }
        features.push(&pooled[..n * width])?;
        done += block.len();
        observe(Event::Computed { done, total: all.len() });
        check_stop("The check of the photographs")?;
    }
    // Sets of one folder name the same files.
    unreadable.sort();
    unreadable.dedup();
    Ok(Scan { photographs, features, unreadable })
}

/// The network that looks where nobody chose another one.
pub(super) fn usual_network(device: &Device) -> Result<Backbone> {
    let weights = load(mobilenet_v2_weights_beside_others()?.path)?;
    let mut network = MobileNetV2::on(device, (SIDE, SIDE, 3), &weights)?;
    network.set_trainable(false);
    Ok(network)
}

/// Decodes a block; `images` gets what the network takes.
fn look_at(
    block: &[(usize, &PathBuf, u32)],
    network: &Backbone,
    images: &mut [f32],
) -> Result<Vec<Result<Photograph, String>>> {
    let (h, w, c) = network.input_shape();
    let rescaling = network.is_features().then(|| network.rescaling());
    let rooms = images.chunks_exact_mut(h * w * c);
    let with_rooms = block.iter().map(|&(_, path, _)| path).zip(rooms).collect();
    look_at_whole(with_rooms, |whole: Whole<'_>, room: &mut [f32]| {
        whole.resize((h, w), room);
        match rescaling {
            Some(rescaling) => rescaling.apply_slice(room),
            None => room.iter_mut().for_each(|v| *v = *v / 127.5 - 1.0),
        }
        about(&whole)
    })
}

fn about(whole: &Whole<'_>) -> Photograph {
    let pixels = whole.pixels.chunks_exact(3);
    let n = pixels.len().max(1);
    let coloured = pixels.filter(|p| p[0].max(p[1]).max(p[2]) - p[0].min(p[1]).min(p[2]) > GREY_LEVELS);
    Photograph {
        path: PathBuf::new(),
        set: 0,
        label: 0,
        digest: whole.digest(),
        height: whole.height,
        width: whole.width,
        bytes: whole.file_bytes(),
        fingerprint: fingerprint::of(whole.pixels, (whole.height, whole.width)),
        colours: fingerprint::colours(whole.pixels, (whole.height, whole.width)),
        coloured: coloured.count() as f32 / n as f32,
    }
}

impl Scan {
    /// How many photographs there are.
    pub fn len(&self) -> usize {
        self.photographs.len()
    }
}
