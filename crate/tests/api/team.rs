//! Training by a team of threads has the bits of one process, on small generated pictures and a network of random
//! weights.

use std::path::Path;
use std::sync::Arc;

use image::{Rgb, RgbImage};
use transfer::augment::{RandomFlip, Sequential};
use transfer::prelude::*;
use transfer::random::Rng;
use transfer::team::{in_threads, Team};
use transfer::train::Checkpoints;
use transfer::weights::Weights;

use crate::scenario::random_weights;

const SIDE: usize = 32;

/// 13 and 12 noisy stripes, one of which is no image.
fn draw(dir: &Path) {
    for (class, (name, count)) in [("across", 13), ("along", 12)].into_iter().enumerate() {
        std::fs::create_dir_all(dir.join(name)).unwrap();
        for number in 0..count {
            let mut chance = Rng::new(&[class as u64, number]);
            let shift = chance.below(8) as u32;
            let picture = RgbImage::from_fn(SIDE as u32, SIDE as u32, |x, y| {
                let noise = chance.below(60) as u8;
                let inside = ((if class == 0 { x } else { y } + shift) / 4).is_multiple_of(2);
                Rgb(if inside { [noise, 90 + noise, 190] } else { [180 + noise, 150, 30 + noise] })
            });
            picture.save(dir.join(name).join(format!("{number}.png"))).unwrap();
        }
    }
    // Damaged behind the head, so that it shows when it is decoded.
    let whole = std::fs::read(dir.join("across/3.png")).unwrap();
    std::fs::write(dir.join("across/3.png"), &whole[..whole.len() / 2]).unwrap();
}

fn dataset(dir: &Path) -> Dataset {
    let options = ImageDatasetOptions::default().image_size(SIDE, SIDE).batch_size(8).seed(1);
    let options = options.max_left_out(0.5);
    image_dataset_from_directory(dir, options).unwrap()
}

fn model(augmented: bool, team: Option<Arc<dyn Team>>) -> Model {
    let mut base = MobileNetV2::with_weights((SIDE, SIDE, 3), &random_weights()).unwrap();
    base.set_trainable(false);
    let chain = Model::chain();
    let chain = match augmented {
        true => chain.then(Sequential::new().add(RandomFlip::horizontal()).seed(3)),
        false => chain,
    };
    let chain = chain.then(Rescaling::new(1.0 / 127.5, -1.0)).then(base).then(GlobalAveragePooling2D);
    let mut model = chain.then(Dropout::new(0.2)).then(Dense::new(1)).seed(4).build().unwrap();
    model.compile(Adam::new(1e-3), Loss::BinaryCrossentropy).unwrap();
    model.set_team(team);
    model
}

/// What comes of a training, without its seconds.
#[derive(Debug, PartialEq)]
struct Outcome {
    weights: Weights,
    history: [Vec<f64>; 4],
    evaluation: (f64, usize),
    logits: Vec<u32>,
}

fn outcome(model: &Model, history: &History, data: &Dataset) -> Outcome {
    let evaluation = model.evaluate(data).unwrap();
    let h = history.clone();
    Outcome {
        weights: model.weights().unwrap(),
        history: [h.loss, h.accuracy, h.val_loss, h.val_accuracy],
        evaluation: (evaluation.loss, evaluation.errors),
        logits: model.predict(data).unwrap().logits.iter().map(|x| x.to_bits()).collect(),
    }
}

/// The outcomes of all members of a team.
fn by_team<T: Send>(size: usize, train: impl Fn(Option<Arc<dyn Team>>) -> T + Sync) -> Vec<T> {
    let train = &train;
    std::thread::scope(|scope| {
        let members: Vec<_> =
            in_threads(size).into_iter().map(|member| scope.spawn(move || train(Some(member)))).collect();
        members.into_iter().map(|member| member.join().expect("no panic")).collect()
    })
}

/// Compares what each member of teams of these sizes comes to with what one process does; gives the latter.
fn has_the_bits_of_one_process<T: PartialEq + Send>(
    sizes: &[usize],
    train: impl Fn(Option<Arc<dyn Team>>) -> T + Sync,
) -> T {
    let alone = train(None);
    for &size in sizes {
        for member in by_team(size, &train) {
            assert!(member == alone, "{size} members");
        }
    }
    alone
}

/// Both phases of the tutorial.
fn two_phases(dir: &Path, team: Option<Arc<dyn Team>>, views: bool) -> Outcome {
    let data = dataset(dir);
    let mut model = model(true, team);
    let mut options = FitOptions::epochs(2).micro_batch(2).validation_data(&data);
    if views {
        options = options.cache_augmented_views(1);
    }
    model.fit(&data, options).unwrap();
    model.base_model_mut().fine_tune_at("block_14_expand").unwrap();
    model.compile(RmsProp::new(1e-4), Loss::BinaryCrossentropy).unwrap();
    let options = FitOptions::epochs(3).initial_epoch(2).micro_batch(2).validation_data(&data);
    let history = model.fit(&data, options).unwrap();
    outcome(&model, &history, &data)
}

#[test]
fn both_phases_have_the_bits_of_one_process_for_any_number_of_members() {
    let dir = tempfile::tempdir().unwrap();
    draw(dir.path());
    for views in [false, true] {
        let alone = has_the_bits_of_one_process(&[1, 2, 3, 5], |team| two_phases(dir.path(), team, views));
        assert_eq!(alone.logits.len(), 24, "the damaged picture is left out");
    }
}

#[test]
fn fine_tune_has_the_bits_of_one_process() {
    let dir = tempfile::tempdir().unwrap();
    draw(dir.path());
    let train = |team: Option<Arc<dyn Team>>| {
        let data = dataset(dir.path());
        let mut model = model(false, team);
        let options = FineTuneOptions::epochs(2).micro_batch(3).validation_data(&data);
        let history = model.fine_tune(&data, options).unwrap();
        outcome(&model, &history, &data)
    };
    has_the_bits_of_one_process(&[2, 3], train);
}

#[test]
fn mixed_images_have_the_bits_of_one_process() {
    let dir = tempfile::tempdir().unwrap();
    draw(dir.path());
    let train = |team: Option<Arc<dyn Team>>| {
        let data = dataset(dir.path());
        let mut model = model(true, team);
        let history = model.fit(&data, FitOptions::epochs(2).micro_batch(3).mixup(0.4)).unwrap();
        outcome(&model, &history, &data)
    };
    has_the_bits_of_one_process(&[2, 3], train);
}

#[test]
fn what_is_unknown_has_the_bits_of_one_process() {
    let dir = tempfile::tempdir().unwrap();
    draw(dir.path());
    let unknown = |team: Option<Arc<dyn Team>>| {
        let data = dataset(dir.path());
        let mut model = model(false, team);
        model.fit_novelty(&data, &data, 0.3).unwrap();
        model.set_team(None);
        let file = dir.path().join("along/1.png");
        format!("{:?}", model.predict_file(file).unwrap())
    };
    has_the_bits_of_one_process(&[2, 4], unknown);
}

#[test]
fn members_look_at_the_files_together_and_all_learn_which_cannot_be_used() {
    let dir = tempfile::tempdir().unwrap();
    draw(dir.path());
    std::fs::write(dir.path().join("along/5.png"), "no image").unwrap();
    let listed = |team: Option<Arc<dyn Team>>| {
        let options = ImageDatasetOptions::default().image_size(SIDE, SIDE).max_left_out(0.5).team(team);
        let data = image_dataset_from_directory(dir.path(), options).unwrap();
        (data.file_paths().to_vec(), data.skipped())
    };
    let alone = has_the_bits_of_one_process(&[3], listed);
    assert_eq!((alone.0.len(), alone.1.len()), (24, 1));
}

#[test]
fn accumulated_gradients_are_those_of_the_whole_batch() {
    let dir = tempfile::tempdir().unwrap();
    draw(dir.path());
    let data = dataset(dir.path());
    let train = |micro_batch: Option<usize>| {
        let mut model = model(false, None);
        let mut options = FitOptions::epochs(1);
        if let Some(images) = micro_batch {
            options = options.micro_batch(images);
        }
        model.fit(&data, options).unwrap();
        model.weights().unwrap()
    };
    let whole = train(None);
    for images in [1, 3, 100] {
        for (name, tensor) in &train(Some(images)) {
            for (a, b) in tensor.data.iter().zip(&whole.get(name).unwrap().data) {
                assert!(
                    (a - b).abs() <= 1e-5 * (1.0 + b.abs()),
                    "{images} a micro-batch: {name}: {a} and {b}"
                );
            }
        }
    }
}

#[test]
fn a_run_of_three_members_goes_on_with_one_and_with_two() {
    let dir = tempfile::tempdir().unwrap();
    draw(dir.path());
    let train = |team: Option<Arc<dyn Team>>, epochs: usize, folder: Option<&Path>| {
        let data = dataset(dir.path());
        let mut model = model(true, team);
        let mut options = FitOptions::epochs(epochs).micro_batch(2).validation_data(&data);
        if let Some(folder) = folder {
            options = options.checkpoint(Checkpoints::new(folder).every_steps(1));
        }
        let history = model.fit(&data, options).unwrap();
        outcome(&model, &history, &data)
    };
    let unbroken = train(None, 4, None);
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("run");
    by_team(3, |team| train(team, 1, Some(&kept)));
    by_team(1, |team| train(team, 2, Some(&kept)));
    by_team(2, |team| train(team, 3, Some(&kept)));
    for member in by_team(3, |team| train(team, 4, Some(&kept))) {
        assert!(member == unbroken);
    }
}

#[test]
fn options_that_do_not_fit_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    draw(dir.path());
    let data = dataset(dir.path());
    let fit = |options: FitOptions| model(false, None).fit(&data, options).unwrap_err().to_string();
    assert!(fit(FitOptions::epochs(1).micro_batch(0)).contains("at least 1 image"));
}
