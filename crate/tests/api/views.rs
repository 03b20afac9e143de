//! `cache_augmented_views`: the same numbers as fresh augmentation until views come round again.

use std::path::Path;

use transfer::prelude::*;

use crate::scenario::{dataset, fine_tune, model, pictures};

/// Two epochs of phase 1 and four of phase 2; losses and the weights of the head.
fn train(folder: &Path, views: Option<usize>, threads: usize) -> Result<(Vec<u64>, Vec<u32>)> {
    transfer::threads::set_threads(threads);
    let data = dataset(folder)?.cache();
    let mut model = model(Sequential::new())?;
    let with = |options: FitOptions| match views {
        Some(k) => options.cache_augmented_views(k),
        None => options,
    };
    let mut history = model.fit(&data, with(FitOptions::epochs(2)))?;
    fine_tune(&mut model)?;
    history.extend(&model.fit(&data, with(FitOptions::epochs(6).initial_epoch(2)))?);
    let losses = history.loss.iter().chain(&history.accuracy).map(|v| v.to_bits()).collect();
    let head = model.weights()?.get("dense/kernel")?.data.iter().map(|v| v.to_bits()).collect();
    Ok((losses, head))
}

#[test]
fn as_many_views_as_epochs_change_nothing_and_fewer_come_round_again() {
    let folder = tempfile::tempdir().unwrap();
    pictures(folder.path(), 1).unwrap();
    let fresh = train(folder.path(), None, 2).unwrap();
    assert_eq!(train(folder.path(), Some(6), 1).unwrap(), fresh);
    let two = train(folder.path(), Some(2), 1).unwrap();
    // Epochs 0 to 3 are those of views 0 and 1 for either; in epoch 4 the new views differ.
    let losses = |run: &(Vec<u64>, Vec<u32>)| run.0[..6].to_vec();
    assert_eq!(losses(&two)[..2], losses(&fresh)[..2]);
    assert_ne!(losses(&two)[4], losses(&fresh)[4]);
    assert_eq!(train(folder.path(), Some(2), 3).unwrap(), two, "with another number of threads");
}

#[test]
fn no_views_and_too_many_are_refused_in_words() {
    let folder = tempfile::tempdir().unwrap();
    pictures(folder.path(), 1).unwrap();
    let data = dataset(folder.path()).unwrap();
    let mut model = model(Sequential::new()).unwrap();
    for (k, word) in [(0, "at least 1"), (1 << 20, "MiB"), (usize::MAX, "MiB")] {
        let error = model.fit(&data, FitOptions::epochs(1).cache_augmented_views(k)).unwrap_err();
        assert!(error.to_string().contains(word), "{error}");
    }
}
