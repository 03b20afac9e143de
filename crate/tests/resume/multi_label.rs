//! A training of several labels a photograph, interrupted in each epoch, within it and at its ends.

use std::path::Path;

use transfer::data::{image_dataset_from_table, LabelTable};
use transfer::prelude::*;
use transfer::threads::set_threads;

use super::scenario::{digest, pictures, random_weights, SIZE};
use super::{augmentation, contains, said, turn};

/// Epochs of fine-tuning; the head, which is solved for, is epoch 0.
const EPOCHS: usize = 3;

/// The pictures of a table: one label, two, three and none. `changed` gives one of them another label.
fn dataset(folder: &Path, changed: bool) -> Result<Dataset> {
    let mut table = String::from("file,label\n");
    for i in 0..11 {
        let (rings, stripes) =
            (["rings", "rings;early", ";"][i % 3], ["stripes", "early;stripes;rings"][i % 2]);
        table += &format!("rings/{i}.bmp,{rings}\nstripes/{i}.bmp,{stripes}\n");
    }
    if changed {
        table = table.replace("rings/2.bmp,;", "rings/2.bmp,early");
    }
    let path = folder.join("labels.csv");
    std::fs::write(&path, table).map_err(|e| Error::io("cannot write", &path, e))?;
    let options = ImageDatasetOptions::default().batch_size(4).image_size(SIZE, SIZE).seed(5);
    image_dataset_from_table(folder, &LabelTable::read(&path)?, options)
}

/// The recipe of `transfer train --labels`: the head, fine-tuning, thresholds. A digest of all that came of it.
fn train(folder: &Path, checkpoints: Option<&Path>, fuse: Option<(u64, u64)>) -> Result<String> {
    train_on(&dataset(folder, false)?, checkpoints, fuse)
}

fn train_on(data: &Dataset, checkpoints: Option<&Path>, fuse: Option<(u64, u64)>) -> Result<String> {
    let mut base = MobileNetV2::with_weights((SIZE, SIZE, 3), &random_weights())?;
    base.set_trainable(false);
    let mut model = Model::chain()
        .then(Rescaling::new(1.0 / 127.5, -1.0))
        .then(base)
        .then(GlobalAveragePooling2D)
        .then(Dropout::new(0.2))
        .then(Dense::new(3).seed(7))
        .seed(8)
        .build()?;
    model.compile(Adam::new(1e-3), Loss::MultiLabelBinaryCrossentropy)?;
    let changes = augmentation(fuse).add(RandomFlip::horizontal()).add(RandomRotation::new(0.2)).seed(6);
    let mut options =
        FineTuneOptions::epochs(EPOCHS).augmentation(changes).fine_tune_at(100).validation_data(data).seed(9);
    if let Some(folder) = checkpoints {
        options = options.checkpoint(Checkpoints::new(folder).every_steps(2));
    }
    let history = model.fine_tune(data, options)?;
    assert_eq!((history.epoch.len(), model.is_multi_label()), (1 + EPOCHS, true));
    let thresholds = model.predict(data)?.best_thresholds()?;
    model.set_thresholds(thresholds)?;
    let bits: Vec<u32> = model.thresholds().iter().map(|t| t.to_bits()).collect();
    Ok(format!("{} {bits:?}", digest(&model, &history)))
}

#[test]
fn a_training_of_several_labels_interrupted_anywhere_ends_bit_for_bit_where_an_unbroken_one_does() {
    let _turn = turn();
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().join("pictures");
    pictures(&at, 0).unwrap();
    set_threads(1);
    let unbroken = train(&at, None, None).unwrap();
    let checkpoints = dir.path().join("unbroken");
    assert_eq!(train(&at, Some(&checkpoints), None).unwrap(), unbroken, "checkpoints alone change nothing");
    // The head is epoch 0, in which nothing is augmented.
    for (round, (epoch, image)) in [(1, 3), (1, 20), (2, 0), (2, 11), (3, 6), (3, 21)].into_iter().enumerate()
    {
        let checkpoints = dir.path().join(format!("round {round}"));
        set_threads(1 + round % 3);
        let error = train(&at, Some(&checkpoints), Some((epoch, image))).unwrap_err().to_string();
        contains(&error, &["the fuse blows", &format!("epoch {epoch}")]);
        set_threads(1 + (round + 1) % 3);
        let (resumed, lines) = said(|| train(&at, Some(&checkpoints), None).unwrap());
        assert_eq!(resumed, unbroken, "interrupted in epoch {epoch} at image {image}");
        assert!(epoch == 1 || lines.contains("Resuming"), "{lines}");
    }
}

#[test]
fn other_labels_of_the_same_photographs_are_another_run() {
    let _turn = turn();
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().join("pictures");
    pictures(&at, 0).unwrap();
    let checkpoints = dir.path().join("checkpoints");
    train(&at, Some(&checkpoints), Some((2, 11))).unwrap_err();
    let error = train_on(&dataset(&at, true).unwrap(), Some(&checkpoints), None).unwrap_err().to_string();
    contains(&error, &["another run", "resume(false)"]);
}
