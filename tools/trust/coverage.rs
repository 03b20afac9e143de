//! Whether intervals hold: 200 times, a head is trained on some photographs and measured on some others, and the
//! interval of that accuracy is compared with the accuracy on all that is left.

use std::path::Path;

use transfer::prelude::*;
use transfer::random::Rng;

use crate::data;

const SPLITS: u64 = 200;
const TRAINING: usize = 400;
const VALIDATION: usize = 100;

pub fn measure(clothing: &Path) -> Result<()> {
    println!(
        "| photographs | trained on | validated with | rest | interval holds the accuracy on the rest |"
    );
    println!("|---|---:|---:|---:|---:|");
    let cats = data::open(&cats_and_dogs()?.train_dir, None)?;
    let features = Model::imagenet(&cats)?.pooled_features(&cats)?;
    let mut held = 0;
    let n = features.labels.len();
    for split in 0..SPLITS {
        let order = shuffled(n, split);
        let mut fold = vec![1u32; n];
        order[..TRAINING].iter().for_each(|&i| fold[i] = 0);
        let heads = out_of_fold(&features.values, &features.labels, 2, &fold, 0.08)?;
        let hits = heads.hits();
        held += usize::from(holds(&hits, &order[TRAINING..])?);
    }
    report("cats and dogs, a head for each split", TRAINING, n - TRAINING - VALIDATION, held);

    let pieces = data::open(&clothing.join("train"), None)?;
    let features = Model::imagenet(&pieces)?.pooled_features(&pieces)?;
    let folds = fold_assignment(&features.labels, None, 5, transfer::SPLIT_SEED)?;
    let heads = out_of_fold(&features.values, &features.labels, pieces.class_names().len(), &folds, 0.08)?;
    let (hits, n) = (heads.hits(), features.labels.len());
    let mut held = 0;
    for split in 0..SPLITS {
        held += usize::from(holds(&hits, &shuffled(n, split))?);
    }
    report("clothing, out-of-fold predictions of five heads", n - n / 5, n - VALIDATION, held);
    Ok(())
}

fn shuffled(n: usize, split: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..n).collect();
    Rng::new(&[split, u64::from_be_bytes(*b"coverage")]).shuffle(&mut order);
    order
}

/// Whether the interval of the first photographs' accuracy holds that of the others.
fn holds(hits: &[bool], order: &[usize]) -> Result<bool> {
    let (validation, rest) = order.split_at(VALIDATION);
    let right = |part: &[usize]| part.iter().filter(|&&i| hits[i]).count();
    let accuracy = right(rest) as f64 / rest.len() as f64;
    Ok(wilson_interval(right(validation), validation.len())?.contains(accuracy))
}

fn report(name: &str, training: usize, rest: usize, held: usize) {
    let percent = 100.0 * held as f64 / SPLITS as f64;
    println!("| {name} | {training} | {VALIDATION} | {rest} | {held} of {SPLITS} ({percent:.1} %) |");
}
