//! Writes every kind of figure, made from generated images and numbers, to a folder:
//!
//! ```text
//! cargo run -p transfer-tools --bin figures -- target/figures
//! ```
//!
//! The cats and dogs are drawn here, from circles and ellipses, so no photograph is needed.

use std::path::PathBuf;

use ndarray::{Array2, Array3, Array4};
use transfer::augment::{
    MixUp, RandomBrightness, RandomContrast, RandomResizedCrop, RandomTranslation, RandomZoom, Sequential,
};
use transfer::data::Batch;
use transfer::explain::{confusion_matrix, roc_curve};
use transfer::plot::{
    augmentation_grid, feature_map, grad_cam_figure, image_grid, image_grid_with, learning_curves,
    prediction_grid, top_losses, FeatureMap, Figure, GridOptions, LearningCurves,
};
use transfer::random::Rng;
use transfer::train::LrFind;
use transfer::Result;

fn main() -> Result<()> {
    let folder = PathBuf::from(std::env::args().nth(1).unwrap_or_else(|| "target/figures".into()));
    let save = |name: &str, figure: Figure| {
        println!("{name}.png  {figure:?}");
        figure.save(folder.join(name).with_extension("png"))
    };
    let batch = animals(160, 32);
    let names: Vec<String> = (0..32).map(|i| kind(i).to_owned()).collect();
    save("image_grid", image_grid(&batch, &names)?)?;
    save("image_grid_tiny", image_grid(&animals(32, 9), &names[..9])?)?;
    let strip = GridOptions { rows: 1, columns: 6, side: 160 };
    save("image_strip", image_grid_with(&batch, &names, &strip)?)?;

    let turned = Array4::from_shape_fn((9, 160, 160, 3), |(n, y, x, c)| {
        let angle = (n as f32 * 0.377).sin() * 1.2;
        let (u, v) = (centred(x, 160), centred(y, 160));
        let flipped = if n % 3 == 1 { -u } else { u };
        animal(1, flipped * angle.cos() - v * angle.sin(), flipped * angle.sin() + v * angle.cos())[c]
    });
    save("augmentation_grid", augmentation_grid(&turned)?)?;

    let cat = batch.index_axis(ndarray::Axis(0), 0).to_owned();
    for (name, layers) in [
        ("zoom", Sequential::new().add(RandomZoom::new(0.4))),
        ("translation", Sequential::new().add(RandomTranslation::new(0.3, 0.3))),
        ("resized_crop", Sequential::new().add(RandomResizedCrop::new())),
        ("contrast", Sequential::new().add(RandomContrast::new(0.8))),
        ("brightness", Sequential::new().add(RandomBrightness::new(0.4))),
    ] {
        save(&format!("augmentation_{name}"), augmentation_grid(&layers.augmented(&cat, 9)?)?)?;
    }

    let labels = names.iter().map(|name| u32::from(name == "dog"));
    let mixed = MixUp::new(0.7).seed(3).apply(&Batch::new(batch.clone(), labels.collect())?, 0)?;
    save("mixup", mixed.figure(&["cat", "dog"].map(String::from))?)?;

    let mut predicted = names.clone();
    predicted[4] = if names[4] == "cat" { "dog".into() } else { "cat".into() };
    predicted[20] = if names[20] == "cat" { "dog".into() } else { "cat".into() };
    let confidence: Vec<f32> = (0..32).map(|i| if i == 4 { 0.61 } else { 0.9 + 0.0031 * i as f32 }).collect();
    save("prediction_grid", prediction_grid(&batch, &predicted, &names, Some(&confidence))?)?;

    save("learning_curves", learning_curves(&history(10, None))?)?;
    save("learning_curves_fine_tuning", learning_curves(&history(20, Some(10)))?)?;

    for (classes, wrong) in [(2, 0.03), (7, 0.2), (37, 0.15), (300, 0.4)] {
        let (actual, predicted, names) = mistakes(classes, wrong);
        let matrix = confusion_matrix(&actual, &predicted, &names)?;
        save(&format!("confusion_matrix_{classes}"), matrix.figure()?)?;
    }
    let mut rng = Rng::new(&[4]);
    let actual: Vec<u32> = (0..400).map(|i| i % 2).collect();
    let scores: Vec<f32> = actual.iter().map(|&l| rng.uniform() + rng.uniform() + 0.7 * l as f32).collect();
    save("roc", roc_curve(&actual, &scores)?.figure()?)?;

    let others: Vec<String> =
        (0..9).map(|i| if i == 6 { kind(i) } else { other(kind(i)) }.to_owned()).collect();
    let losses: Vec<f64> = (0..9).map(|i| 6.2 * 0.78f64.powi(i)).collect();
    let sure: Vec<f32> = losses.iter().map(|loss| 1.0 - (-loss).exp() as f32).collect();
    let nine = batch.slice(ndarray::s![..9, .., .., ..]).to_owned();
    save("top_losses", top_losses(&nine, &others, &names[..9], &losses, &sure)?)?;

    let heat = Array3::from_shape_fn((8, 160, 160), |(i, y, x)| {
        let (u, v) = (centred(x, 160) - 0.2 * (i as f32).cos(), centred(y, 160) + 0.1 * i as f32 - 0.3);
        (-(u * u + v * v) / 0.2).exp()
    });
    let eight = batch.slice(ndarray::s![..8, .., .., ..]).to_owned();
    save("grad_cam", grad_cam_figure(&eight, &heat, &names[..8])?)?;

    save("lr_find", range_test().figure()?)?;

    save("feature_map", feature_map(&clusters(32, 2, &batch))?)?;
    save("feature_map_points", feature_map(&clusters(900, 12, &batch))?)
}

fn other(kind: &str) -> &'static str {
    if kind == "cat" {
        "dog"
    } else {
        "cat"
    }
}

/// What a range test might have measured: flat, falling, exploding, with the noise of single batches.
fn range_test() -> LrFind {
    let mut rng = Rng::new(&[9]);
    let learning_rates: Vec<f64> = (0..88).map(|i| 1e-7 * 10f64.powf(i as f64 * 0.08)).collect();
    let of = |rate: f64| {
        let x = rate.log10();
        0.74 - 0.52 / (1.0 + (-(x + 3.6) * 2.6).exp()) + (4.0 * (x + 1.1)).exp()
    };
    let (mut smoothed, mut mean) = (Vec::new(), of(1e-7));
    let mut losses = Vec::new();
    for rate in &learning_rates {
        let noise = f64::from(rng.uniform() + rng.uniform() - 1.0);
        losses.push(of(*rate) * (1.0 + 0.22 * noise));
        mean += 0.25 * (of(*rate) * (1.0 + 0.02 * noise) - mean);
        smoothed.push(mean);
    }
    LrFind { learning_rates, losses, smoothed, diverged: true }
}

/// Labels and what a model of so many errors might have said.
fn mistakes(classes: usize, wrong: f32) -> (Vec<u32>, Vec<u32>, Vec<String>) {
    let mut rng = Rng::new(&[classes as u64]);
    let actual: Vec<u32> = (0..classes * 60).map(|i| (i % classes) as u32).collect();
    let predict = |&label: &u32| if rng.uniform() < wrong { rng.below(classes) as u32 } else { label };
    let predicted = actual.iter().map(predict).collect();
    let names = match classes {
        2 => ["cats", "dogs"].map(String::from).to_vec(),
        _ => {
            (0..classes).map(|i| format!("{} of kind {i}", if i % 2 == 0 { "cat" } else { "dog" })).collect()
        }
    };
    (actual, predicted, names)
}

/// Points around a place for each class; the first ones have images.
fn clusters(n: usize, classes: usize, batch: &Array4<f32>) -> FeatureMap {
    let mut rng = Rng::new(&[n as u64]);
    let label = |i: usize| if classes == 2 { usize::from(kind(i) == "dog") } else { i % classes };
    let mut near = |center: f32| f64::from(3.0 * center + rng.uniform() + rng.uniform() + rng.uniform());
    let points: Vec<f64> = (0..n)
        .flat_map(|i| {
            let angle = label(i) as f32 * 5.0;
            [near(angle.cos()), near(angle.sin())]
        })
        .collect();
    let thumbnails: Vec<usize> = if classes == 2 { (0..n.min(batch.dim().0)).collect() } else { Vec::new() };
    FeatureMap {
        points: Array2::from_shape_vec((n, 2), points).unwrap_or_default(),
        labels: (0..n).map(|i| label(i) as u32).collect(),
        class_names: (0..classes)
            .map(|i| ["cats", "dogs"].get(i).map_or(format!("class {i}"), |s| s.to_string()))
            .collect(),
        explained_variance_ratio: vec![0.31, 0.12],
        images: batch.select(ndarray::Axis(0), &thumbnails),
        thumbnails,
    }
}

/// A made-up history in the shape of a real one.
fn history(epochs: usize, fine_tune_start: Option<usize>) -> LearningCurves {
    let mut curves = LearningCurves { fine_tune_start, ..Default::default() };
    for epoch in 1..=epochs {
        let first = (epoch.min(10) as f64 / 3.0).tanh();
        let second = if epoch > 10 { 1.0 - (-((epoch - 10) as f64) / 3.0).exp() } else { 0.0 };
        let jitter = ((epoch * 7919) as f64).sin() * 0.004;
        curves.accuracy.push(0.68 + 0.25 * first + 0.055 * second + jitter);
        curves.val_accuracy.push(0.80 + 0.15 * first + 0.025 * second - jitter);
        curves.loss.push(0.62 - 0.42 * first - 0.15 * second + jitter);
        curves.val_loss.push(0.48 - 0.34 * first - 0.08 * second - jitter);
    }
    curves
}

fn kind(i: usize) -> &'static str {
    if (i * 5 + 1) % 7 < 4 {
        "cat"
    } else {
        "dog"
    }
}

fn animals(side: usize, n: usize) -> Array4<f32> {
    Array4::from_shape_fn((n, side, side, 3), |(i, y, x, c)| animal(i, centred(x, side), centred(y, side))[c])
}

/// From a pixel's number to -1..1.
fn centred(at: usize, side: usize) -> f32 {
    2.0 * (at as f32 + 0.5) / side as f32 - 1.0
}

/// The colour at a point of the i-th face.
fn animal(i: usize, u: f32, v: f32) -> [f32; 3] {
    const WALLS: [[f32; 3]; 5] = [
        [186.0, 214.0, 232.0],
        [240.0, 222.0, 190.0],
        [196.0, 222.0, 196.0],
        [226.0, 204.0, 222.0],
        [214.0, 214.0, 206.0],
    ];
    const CATS: [[f32; 3]; 3] = [[232.0, 150.0, 70.0], [120.0, 120.0, 126.0], [236.0, 226.0, 210.0]];
    const DOGS: [[f32; 3]; 3] = [[150.0, 98.0, 56.0], [206.0, 168.0, 112.0], [92.0, 74.0, 66.0]];
    let size = 0.92 + 0.08 * (i as f32 * 2.4).sin();
    let (u, v) = ((u - 0.06 * (i as f32 * 1.7).cos()) / size, (v - 0.05) / size);
    let ellipse = |x: f32, y: f32, rx: f32, ry: f32| ((u - x) / rx).powi(2) + ((v - y) / ry).powi(2) - 1.0;
    let mirrored = |x: f32, y: f32, rx: f32, ry: f32| ellipse(x, y, rx, ry).min(ellipse(-x, y, rx, ry));
    let mut color = WALLS[i % 5].map(|c| c * (1.0 - 0.12 * v));
    let mut paint = |distance: f32, over: [f32; 3]| {
        let cover = (0.5 - distance * 14.0).clamp(0.0, 1.0);
        color = std::array::from_fn(|c| color[c] + (over[c] - color[c]) * cover);
    };
    let dark = [38.0, 32.0, 30.0];
    if kind(i) == "cat" {
        let coat = CATS[i % 3];
        // Pointed ears: triangles that lean outwards.
        let ear = |inset: f32| {
            let (x, y) = (u.abs() - 0.40, v + 0.92 - inset);
            (-y).max(x.abs() * 1.9 - y * 0.95).max(v + 0.2)
        };
        paint(ear(0.0), coat);
        paint(ear(0.2), [236.0, 160.0, 160.0]);
        paint(ellipse(0.0, 0.05, 0.68, 0.62), coat);
        paint(mirrored(0.27, -0.06, 0.14, 0.13), [142.0, 196.0, 92.0]);
        paint(mirrored(0.27, -0.06, 0.05, 0.12), dark);
        paint(ellipse(0.0, 0.22, 0.08, 0.055), [226.0, 120.0, 128.0]);
        for slope in [-0.12f32, 0.0, 0.12] {
            let line = (v - 0.30 - slope * (u.abs() - 0.15) * 2.0).abs() * 8.0 - 0.06;
            paint(line.max(u.abs() - 0.88).max(0.2 - u.abs()), [250.0, 250.0, 250.0]);
        }
    } else {
        let coat = DOGS[i % 3];
        paint(ellipse(0.0, -0.02, 0.56, 0.66), coat);
        // Ears that hang.
        paint(mirrored(0.60, 0.02, 0.19, 0.52), coat.map(|c| c * 0.62));
        paint(ellipse(0.0, 0.34, 0.34, 0.30), coat.map(|c| c * 0.35 + 160.0));
        paint(mirrored(0.23, -0.16, 0.10, 0.11), dark);
        paint(mirrored(0.25, -0.19, 0.03, 0.03), [250.0; 3]);
        paint(ellipse(0.0, 0.24, 0.14, 0.10), dark);
        paint(ellipse(0.0, 0.53, 0.10, 0.13), [228.0, 110.0, 120.0]);
    }
    color
}
