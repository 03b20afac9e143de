//! The one pass over all photographs: each is decoded once, and what all checks need of it is kept.

use std::collections::HashSet;
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
/// Pixels a side that the network gets.
const SIDE: usize = 160;
/// Numbers of an image of that size.
const NUMBERS: usize = SIDE * SIDE * 3;
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
    /// Pooled features of the frozen network (n, 1280).
    pub features: Features,
    /// Files that cannot be decoded, sorted.
    pub unreadable: Vec<Skipped>,
}

/// Looks at all photographs of `sets`.
///
/// # Errors
/// Where a file or the network's weights cannot be read; [`Interrupted`](crate::Error::Interrupted).
pub(super) fn scan(sets: &[WholeSet], device: &Device) -> Result<Scan> {
    let network = network(device)?;
    let width = network.output_shape().2;
    let mut unreadable: Vec<Skipped> = sets.iter().flat_map(|set| set.data.skipped()).collect();
    let all: Vec<Work<'_>> = sets.iter().enumerate().flat_map(|(i, set)| Work::of(i, set)).collect();
    let mut photographs = Vec::with_capacity(all.len());
    let mut features = Features::with_room(all.len(), width)?;
    let mut images = vec![0.0; AT_A_TIME * NUMBERS];
    let mut pooled = vec![0.0; AT_A_TIME * width];
    let (units, mut done) = (network.architecture().units.len(), 0);
    for block in all.chunks(AT_A_TIME) {
        let looked = look_at(block, &mut images)?;
        let mut n = 0;
        for (i, (work, found)) in block.iter().zip(looked).enumerate() {
            match found {
                Ok(photograph) => {
                    photographs.push(photograph);
                    images.copy_within(i * NUMBERS..(i + 1) * NUMBERS, n * NUMBERS);
                    n += 1;
                }
                Err(reason) => unreadable.push(Skipped { path: work.path.clone(), reason }),
            }
        }
        if n > 0 {
            network.frozen_forward(&images[..n * NUMBERS], n, units, true, &mut pooled[..n * width])?;
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

fn network(device: &Device) -> Result<Backbone> {
    let weights = load(mobilenet_v2_weights_beside_others()?.path)?;
    let mut network = MobileNetV2::on(device, (SIDE, SIDE, 3), &weights)?;
    network.set_trainable(false);
    Ok(network)
}

/// A photograph to look at.
struct Work<'a> {
    /// Its set, with the position of that.
    set: (usize, &'a WholeSet),
    index: usize,
    path: &'a PathBuf,
    /// Whether the cache keeps what is decoded.
    keep: bool,
}

impl<'a> Work<'a> {
    /// All photographs of a set.
    fn of(position: usize, set: &'a WholeSet) -> Vec<Self> {
        let cached: HashSet<usize> = set.cached.iter().copied().collect();
        let mut indices = set.data.indices();
        indices.sort_unstable();
        let work = |index: usize| {
            let (path, keep) = (&set.data.file_paths()[index], cached.contains(&index));
            Work { set: (position, set), index, path, keep }
        };
        indices.into_iter().map(work).collect()
    }
}

/// Decodes a block; `images` gets what the network takes.
fn look_at(block: &[Work<'_>], images: &mut [f32]) -> Result<Vec<Result<Photograph, String>>> {
    let rooms = images.chunks_exact_mut(NUMBERS);
    let with_rooms = block.iter().zip(rooms).map(|(work, room)| (work.path, (work, room))).collect();
    look_at_whole(with_rooms, |whole: Whole<'_>, (work, room): (&Work<'_>, &mut [f32])| {
        whole.resize((SIDE, SIDE), room);
        room.iter_mut().for_each(|v| *v = *v / 127.5 - 1.0);
        let photograph = about(work, &whole);
        if work.keep {
            work.set.1.keep_decoded(work.index, &whole, photograph.digest);
        }
        photograph
    })
}

fn about(work: &Work<'_>, whole: &Whole<'_>) -> Photograph {
    let pixels = whole.pixels.chunks_exact(3);
    let n = pixels.len().max(1);
    let coloured = pixels.filter(|p| p[0].max(p[1]).max(p[2]) - p[0].min(p[1]).min(p[2]) > GREY_LEVELS);
    let (position, set) = work.set;
    Photograph {
        path: work.path.clone(),
        set: position,
        label: set.data.labels()[work.index],
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
