//! How many photographs of other things are called unknown, and how many known ones are lost.

use std::path::{Path, PathBuf};

use transfer::prelude::*;

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
fn trained(all: &Dataset, epochs: usize) -> Result<Model> {
    let Trained { mut model, train, aside } = data::train(all, epochs)?;
    if model.calibration().is_none() {
        model.calibrate(&aside)?;
    }
    model.fit_novelty(&train, &aside, RATE)?;
    Ok(model)
}

/// Strangers that have nothing to do with the classes.
pub fn far(clothing: &Path, others: &[PathBuf], epochs: usize) -> Result<()> {
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
    println!("| model of, {epochs} epochs of fine-tuning | photographs | number | called unknown |\n|---|---|---:|---:|");
    let one = |model: &Model, name: &str, what: &str, files: &[PathBuf]| {
        println!("| {name} | {what} | {} | {:.1} % |", files.len(), 100.0 * unknown(model, files)?);
        Ok::<_, Error>(())
    };
    for (name, folder, known, strangers) in [
        ("cats and dogs", cats.train_dir.clone(), &cats_validation, ("clothing", &pieces)),
        ("clothing", clothing.join("train"), &pieces, ("cats and dogs", &cats_validation)),
    ] {
        let model = trained(&data::open(&folder, None)?, epochs)?;
        one(&model, name, "known ones, of other folders", known)?;
        one(&model, name, strangers.0, strangers.1)?;
        one(&model, name, "drawings", &drawn)?;
        for other in others {
            one(&model, name, &other.display().to_string(), &data::images_below(other)?)?;
        }
    }
    Ok(())
}

/// Each class of clothing in turn is left out of the training, and is then a stranger.
pub fn near(clothing: &Path, epochs: usize) -> Result<()> {
    println!(
        "| left out, {epochs} epochs of fine-tuning | called unknown | known ones lost | accuracy on known |"
    );
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
        let (mut files, mut right, mut all) = (Vec::new(), 0, 0);
        for part in ["validation", "test"] {
            let data = data::open(&clothing.join(part), Some(&known))?;
            let predictions = model.predict(&data)?;
            right += predictions.labels().iter().zip(&predictions.actual).filter(|(a, b)| a == b).count();
            all += predictions.len();
            files.extend(data::files(&data));
        }
        let row = [unknown(&model, &strangers)?, unknown(&model, &files)?, right as f64 / all as f64];
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
            shapes.iter().rposition(|shape| inside(shape)).map_or(paper, |i| inks[i])
        });
        let path = folder.join(format!("{number}.png"));
        picture.save(&path).map_err(|e| Error::Data(format!("cannot write {}: {e}", path.display())))?;
        drawn.push(path);
    }
    Ok(drawn)
}
