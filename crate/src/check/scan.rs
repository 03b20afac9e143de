//! The one pass over all photographs: each is decoded once, and what all checks need of it is kept.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::assets::mobilenet_v2_weights_beside_others;
use crate::check::features::Features;
use crate::check::fingerprint::{self, Colours, Fingerprint};
use crate::data::{look_at_whole, FileDigest, Skipped, Whole, WholeSet};
use crate::network::{Backbone, MobileNetV2};
use crate::progress::{check_stop, observe, Event};
use crate::team::{bytes_of, numbers_of, Team};
use crate::weights::load;
use crate::{Device, Error, Result};

/// Photographs that are decoded and computed at a time.
const AT_A_TIME: usize = 64;
/// Pixels a side that MobileNetV2 gets.
const SIDE: usize = 160;
/// The shorter side in pixels below which a photograph is tiny.
const TINY: usize = 64;
/// Where red, green and blue differ by no more than this, a pixel counts as grey; JPEG changes grey by a few levels.
const GREY_LEVELS: u8 = 12;

/// What is known of one photograph.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Photograph {
    #[serde(skip)]
    pub path: PathBuf,
    /// The position of its set.
    #[serde(skip)]
    pub set: usize,
    #[serde(skip)]
    pub label: u32,
    pub digest: FileDigest,
    pub height: usize,
    pub width: usize,
    pub bytes: u64,
    #[serde(with = "cells")]
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
pub(super) fn scan(sets: &[WholeSet], network: &Backbone, team: Option<&dyn Team>) -> Result<Scan> {
    let (rank, size) = team.map_or((0, 1), |team| (team.rank(), team.size()));
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
    // The first member of a team keeps what all of them have found.
    let mut features = Features::with_room(if rank == 0 { all.len() } else { 0 }, width)?;
    let mut images = vec![0.0; AT_A_TIME * numbers];
    let mut pooled = vec![0.0; AT_A_TIME * width];
    let (units, mut done) = (network.architecture().units.len(), 0);
    let blocks: Vec<_> = all.chunks(AT_A_TIME).collect();
    // Blocks take turns, so that what a member has found waits for no more than a block.
    for of_round in blocks.chunks(size) {
        let mut found = Vec::new();
        if let Some(block) = of_round.get(rank) {
            found = look_at(block, network, &mut images)?;
            let mut n = 0;
            for (i, found) in found.iter().enumerate() {
                if found.is_ok() {
                    images.copy_within(i * numbers..(i + 1) * numbers, n * numbers);
                    n += 1;
                }
            }
            if n > 0 {
                network.frozen_forward(&images[..n * numbers], n, units, true, &mut pooled[..n * width])?;
            }
            if let (1.., Some(team)) = (rank, team) {
                team.send(0, &message(&found, &pooled[..n * width])?)?;
            }
        }
        for (member, block) in of_round.iter().enumerate().take(if rank == 0 { size } else { 0 }) {
            if let (1.., Some(team)) = (member, team) {
                found = read_message(&team.receive(member)?, &mut pooled)?;
            }
            let mut n = 0;
            for (&(set, path, label), found) in block.iter().zip(std::mem::take(&mut found)) {
                match found {
                    Ok(about) => {
                        photographs.push(Photograph { path: path.clone(), set, label, ..about });
                        n += 1;
                    }
                    Err(reason) => unreadable.push(Skipped { path: path.clone(), reason }),
                }
            }
            features.push(&pooled[..n * width])?;
        }
        done += of_round.iter().map(|block| block.len()).sum::<usize>();
        observe(Event::Computed { done, total: all.len() });
        check_stop("The check of the photographs")?;
    }
    // Sets of one folder name the same files.
    unreadable.sort();
    unreadable.dedup();
    Ok(Scan { photographs, features, unreadable })
}

/// What a member of a team has found out about a block, for the first one.
fn message(found: &[Result<Photograph, String>], pooled: &[f32]) -> Result<Vec<u8>> {
    let found = serde_json::to_vec(found).map_err(|e| Error::Team(e.to_string()))?;
    let mut message = (found.len() as u64).to_le_bytes().to_vec();
    message.extend(found);
    message.extend(bytes_of(pooled));
    Ok(message)
}

/// Reads such a message; the front of `pooled` gets the features.
fn read_message(message: &[u8], pooled: &mut [f32]) -> Result<Vec<Result<Photograph, String>>> {
    let wrong = || Error::Team("A member of the team sent something else than what it found out.".into());
    let (length, rest) = message.split_first_chunk::<8>().ok_or_else(wrong)?;
    let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| wrong())?;
    let (found, numbers) = rest.split_at_checked(length).ok_or_else(wrong)?;
    let numbers = numbers_of(numbers)?;
    pooled.get_mut(..numbers.len()).ok_or_else(wrong)?.copy_from_slice(&numbers);
    serde_json::from_slice(found).map_err(|_| wrong())
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

/// A fingerprint as a list, since serde knows no arrays as long.
mod cells {
    use serde::{de::Error, Deserialize, Deserializer, Serialize, Serializer};

    use super::Fingerprint;

    pub fn serialize<S: Serializer>(cells: &Fingerprint, to: S) -> Result<S::Ok, S::Error> {
        cells.as_slice().serialize(to)
    }

    pub fn deserialize<'a, D: Deserializer<'a>>(from: D) -> Result<Fingerprint, D::Error> {
        let cells: Vec<u8> = Vec::deserialize(from)?;
        cells.into_boxed_slice().try_into().map_err(|_| D::Error::custom("a fingerprint of another length"))
    }
}
