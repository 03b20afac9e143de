//! How many photographs of other things are called unknown, and how many known ones are lost.

use std::path::{Path, PathBuf};

use transfer::prelude::*;

use crate::calibration;
use crate::data::{self, Trained, CLOTHING, RATE};

/// Photographs of the class that was left out, at most: more say nothing new.
const MOST: usize = 150;

/// The fraction of files that are called unknown.
fn unknown(model: &Model, files: &[PathBuf]) -> Result<f64> {
    let predictions = model.predict_files(files)?;
    let unknown = predictions.iter().filter(|prediction| prediction.unknown.is_some()).count();
    Ok(unknown as f64 / files.len().max(1) as f64)
}

/// A model of a folder's classes, which tells what is unknown.
fn trained(all: &Dataset, epochs: Option<usize>) -> Result<Model> {
    let Trained { mut model, train, aside } = data::train(all, epochs)?;
    if model.calibration().is_none() {
        model.calibrate(&aside)?;
    }
    model.fit_novelty(&train, &aside, RATE)?;
    Ok(model)
}

/// Models of cats and dogs and of clothing: their calibration, and strangers that have nothing to do with the classes.
pub fn models(clothing: &Path, others: &[PathBuf], epochs: Option<usize>) -> Result<()> {
    let cats = cats_and_dogs()?;
    let clothes: Vec<PathBuf> = ["validation", "test"].iter().map(|part| clothing.join(part)).collect();
    let cats_validation = data::images_below(&cats.validation_dir)?;
    let mut pieces = Vec::new();
    for folder in &clothes {
        pieces.extend(data::files(&data::open(folder, None)?));
    }
    let drawings =
        tempfile::tempdir().map_err(|e| Error::io("cannot make a folder in", std::env::temp_dir(), e))?;
    let drawn = draw(drawings.path())?;
    let sets = [
        (
            "cats and dogs",
            cats.train_dir.clone(),
            vec![cats.validation_dir],
            &cats_validation,
            ("clothing", &pieces),
        ),
        ("clothing", clothing.join("train"), clothes, &pieces, ("cats and dogs", &cats_validation)),
    ];
    for (name, folder, held_out, known, strangers) in sets {
        let mut trained = data::train(&data::open(&folder, None)?, epochs)?;
        calibration::measure(name, &mut trained, &held_out)?;
        let Trained { mut model, train, aside } = trained;
        model.fit_novelty(&train, &aside, RATE)?;
        let one = |what: &str, files: &[PathBuf]| {
            println!(
                "{name}: {what}: {:.1} % of {} called unknown",
                100.0 * unknown(&model, files)?,
                files.len()
            );
            Ok::<_, Error>(())
        };
        one("known ones, of other folders", known)?;
        one(strangers.0, strangers.1)?;
        one("drawings", &drawn)?;
        for other in others {
            one(&other.display().to_string(), &data::images_below(other)?)?;
        }
    }
    Ok(())
}

/// Each class of clothing in turn is left out of the training, and is then a stranger.
pub fn near(clothing: &Path, epochs: Option<usize>) -> Result<()> {
    let recipe = epochs.map_or("`fine_tune`".to_owned(), |n| format!("{n} epochs of fine-tuning"));
    println!("| left out, {recipe} | called unknown | known ones lost | accuracy on known |");
    println!("|---|---:|---:|---:|");
    let mut sums = [0.0; 3];
    for left_out in CLOTHING {
        let known: Vec<&str> = CLOTHING.into_iter().filter(|&name| name != left_out).collect();
        let model = trained(&data::open(&clothing.join("train"), Some(&known))?, epochs)?;
        let mut strangers = Vec::new();
        for part in ["validation", "test", "train"] {
            strangers.extend(data::files(&data::open(&clothing.join(part), Some(&[left_out]))?));
        }
        strangers.truncate(MOST);
        let (mut lost, mut right, mut all) = (0, 0, 0);
        for part in ["validation", "test"] {
            let data = data::open(&clothing.join(part), Some(&known))?;
            let actual = data.indices().into_iter().map(|i| data.labels()[i]);
            for (prediction, actual) in model.predict_files(&data::files(&data))?.iter().zip(actual) {
                lost += usize::from(prediction.unknown.is_some());
                right += usize::from(prediction.label == actual);
                all += 1;
            }
        }
        let part = |n: usize| n as f64 / all as f64;
        let row = [unknown(&model, &strangers)?, part(lost), part(right)];
        sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += value / CLOTHING.len() as f64);
        print_row(left_out, row);
    }
    print_row("mean", sums);
    Ok(())
}

fn print_row(name: &str, [unknown, lost, accuracy]: [f64; 3]) {
    println!("| {name} | {:.1} % | {:.1} % | {:.1} % |", 100.0 * unknown, 100.0 * lost, 100.0 * accuracy);
}

/// Forty drawings of coloured shapes.
fn draw(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut drawn = Vec::new();
    for number in 0..40u64 {
        let mut rng = transfer::random::Rng::new(&[number, u64::from_be_bytes(*b"drawings")]);
        let mut colour = || image::Rgb([0; 3].map(|_: u8| rng.below(256) as u8));
        let (paper, inks) = (colour(), [(); 8].map(|()| colour()));
        let shapes: Vec<[i64; 4]> =
            (0..8).map(|_| [320, 240, 60, 2].map(|most| rng.below(most) as i64)).collect();
        let picture = image::RgbImage::from_fn(320, 240, |x, y| {
            let (x, y) = (i64::from(x), i64::from(y));
            let inside = |&[cx, cy, r, kind]: &[i64; 4]| {
                let (dx, dy) = ((x - cx).abs(), (y - cy).abs());
                if kind == 0 {
                    dx * dx + dy * dy < r * r
                } else {
                    dx < r && dy < r / 2 + 1
                }
            };
            shapes.iter().rposition(inside).map_or(paper, |i| inks[i])
        });
        let path = folder.join(format!("{number}.png"));
        picture.save(&path).map_err(|e| Error::Data(format!("cannot write {}: {e}", path.display())))?;
        drawn.push(path);
    }
    Ok(drawn)
}
