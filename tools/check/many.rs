//! Time, memory, and what is found among many different pictures: each is blended from two photographs, and one in a
//! hundred has a duplicate.

use std::collections::{HashMap, HashSet};
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use image::codecs::jpeg::JpegEncoder;
use image::imageops::{crop_imm, resize, FilterType};
use image::{ImageReader, RgbImage};
use transfer::check::{CheckOptions, CheckReport, DuplicateGroup};
use transfer::random::Rng;

use crate::plant::{duplicate, name, photographs, Folder, Kind, KINDS};
use crate::size::check;
use crate::Result;

/// Pixels of a picture.
const SIZE: (u32, u32) = (160, 120);
/// Pictures for each one that has a duplicate.
const PLANTED: usize = 100;

/// Makes `n` pictures, checks them, and prints seconds, the most memory, and how many planted duplicates are found. All
/// pairs are compared where there are at most `all_pairs_up_to`.
pub fn measure(folder: &Path, n: usize, all_pairs_up_to: Option<usize>) -> Result<()> {
    let place = Folder::new("many")?;
    let planted = make(folder, n, &place)?;
    let options = CheckOptions::default();
    let options = all_pairs_up_to.map_or(options.clone(), |up_to| options.all_pairs_up_to(up_to));
    let report = check(&place, options)?;
    print(&report, &planted);
    Ok(())
}

/// Pictures named by their number, and duplicates named by it and their kind; pairs of planted ones.
fn make(folder: &Path, n: usize, place: &Folder) -> Result<Vec<(Kind, [PathBuf; 2])>> {
    let mut sources = Vec::new();
    for (_, path) in photographs(folder)? {
        let photograph = ImageReader::open(path)?.with_guessed_format()?.decode()?.into_rgb8();
        // Room to cut another part out each time.
        sources.push(resize(&photograph, SIZE.0 * 3 / 2, SIZE.1 * 3 / 2, FilterType::Triangle));
    }
    let mut planted = Vec::new();
    for i in 0..n {
        let mut rng = Rng::new(&[i as u64, u64::from_be_bytes(*b"blended ")]);
        let first = rng.below(sources.len());
        let second = (first + 1 + rng.below(sources.len() - 1)) % sources.len();
        let [a, b] = [first, second].map(|i| part_of(&sources[i], &mut rng));
        let share = 0.35 + 0.3 * rng.uniform();
        let values: Vec<u8> = a
            .as_raw()
            .iter()
            .zip(b.as_raw())
            .map(|(&a, &b)| (share * f32::from(a) + (1.0 - share) * f32::from(b)) as u8)
            .collect();
        let blended = RgbImage::from_raw(SIZE.0, SIZE.1, values).ok_or("a picture of another size")?;
        let class = place.path().join(["even", "odd"][i % 2]);
        std::fs::create_dir_all(&class)?;
        let path = class.join(format!("{i}.jpg"));
        let out = BufWriter::new(std::fs::File::create(&path)?);
        blended.write_with_encoder(JpegEncoder::new_with_quality(out, 92))?;
        if i % PLANTED == 0 {
            let kind = KINDS[i / PLANTED % KINDS.len()];
            let to = class.join(format!("{i}_{kind:?}.jpg"));
            duplicate(kind, &path, &to, &mut rng)?;
            planted.push((kind, [path, to]));
        }
    }
    Ok(planted)
}

fn part_of(source: &RgbImage, rng: &mut Rng) -> RgbImage {
    let mut at = |more: u32| rng.below(more as usize + 1) as u32;
    let (x, y) = (at(source.width() - SIZE.0), at(source.height() - SIZE.1));
    crop_imm(source, x, y, SIZE.0, SIZE.1).to_image()
}

fn print(report: &CheckReport, planted: &[(Kind, [PathBuf; 2])]) {
    let mut groups: HashMap<&Path, usize> = HashMap::new();
    for (number, group) in report.duplicates.iter().enumerate() {
        groups.extend(group.files.iter().map(|file| (&*file.path, number)));
    }
    for kind in KINDS {
        let of_kind: Vec<_> = planted.iter().filter(|(of, _)| *of == kind).collect();
        let together =
            |[a, b]: &[PathBuf; 2]| groups.get(&**a).is_some_and(|group| groups.get(&**b) == Some(group));
        let found = of_kind.iter().filter(|(_, pair)| together(pair)).count();
        println!("{kind:?}: {found} of {} found", of_kind.len());
    }
    // A group is right where all of its files come from one picture.
    let number = |path: &Path| name(path).split('_').next().map(str::to_owned);
    let right = |group: &&DuplicateGroup| {
        let numbers: HashSet<_> = group.files.iter().map(|file| number(&file.path)).collect();
        numbers.len() == 1
    };
    let n = report.duplicates.iter().filter(right).count();
    println!("groups: {} found, {n} of one picture", report.duplicates.len());
}
