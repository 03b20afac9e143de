//! The recipe of `fine_tune`, on small generated pictures and a network of random weights.

use std::path::Path;
use std::sync::{Arc, Mutex};

use image::{Rgb, RgbImage};
use ndarray::Axis;
use transfer::prelude::*;
use transfer::random::Rng;
use transfer::train::callbacks::{Action, Callback, Progress};

use crate::listen::listen;
use crate::scenario::random_weights;
mod features;

const SIZE: usize = 32;

/// `counts[class]` noisy pictures of each class: stripes of another colour and direction.
fn photographs(dir: &Path, counts: &[usize]) -> Dataset {
    for (class, &count) in counts.iter().enumerate() {
        let folder = dir.join(["across", "along", "both"][class]);
        std::fs::create_dir_all(&folder).unwrap();
        for number in 0..count {
            let mut chance = Rng::new(&[class as u64, number as u64]);
            let shift = chance.below(8) as u32;
            let picture = RgbImage::from_fn(SIZE as u32, SIZE as u32, |x, y| {
                let at = [x, y, x + y][class] + shift;
                let noise = chance.below(60) as u8;
                Rgb(if (at / 4).is_multiple_of(2) {
                    [noise, 90 + noise, 190]
                } else {
                    [180 + noise, 150, 30 + noise]
                })
            });
            picture.save(folder.join(format!("{number}.png"))).unwrap();
        }
    }
    let options = ImageDatasetOptions::default().image_size(SIZE, SIZE).batch_size(8).seed(1);
    image_dataset_from_directory(dir, options).unwrap()
}

fn model(units: usize) -> Model {
    let mut base = MobileNetV2::with_weights((SIZE, SIZE, 3), &random_weights()).unwrap();
    base.set_trainable(false);
    let chain = Model::chain().then(Rescaling::new(1.0 / 127.5, -1.0)).then(base);
    chain
        .then(GlobalAveragePooling2D)
        .then(Dropout::new(0.2))
        .then(Dense::new(units))
        .seed(4)
        .build()
        .unwrap()
}

fn bits(model: &Model, data: &Dataset) -> Vec<u32> {
    model.predict(data).unwrap().logits.iter().map(|v| v.to_bits()).collect()
}

#[test]
fn it_learns_two_or_three_classes_and_its_history_begins_with_the_head() {
    for counts in [&[12usize, 12][..], &[10, 10, 10]] {
        let dir = tempfile::tempdir().unwrap();
        let data = photographs(dir.path(), counts);
        let mut model = model(if counts.len() == 2 { 1 } else { counts.len() });
        let options = FineTuneOptions::epochs(2).share(1.0).validation_data(&data);
        let history = model.fine_tune(&data, options).unwrap();
        assert_eq!((&history.epoch[..], history.kept), (&[0, 1, 2][..], None));
        assert_eq!(history.fine_tune_start, Some(1));
        assert_eq!((history.val_loss.len(), history.learning_rate.len()), (3, 3));
        assert!(history.val_accuracy[0] > 0.9, "the head alone: {:?}", history.val_accuracy);
        assert_eq!(model.class_names(), data.class_names());
        let after = model.evaluate(&data).unwrap();
        assert_eq!((after.loss, after.accuracy), (history.val_loss[2], history.val_accuracy[2]));
    }
}

#[test]
fn without_epochs_the_base_stays_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let data = photographs(dir.path(), &[8, 8]);
    let mut model = model(1);
    let before = model.weights().unwrap();
    let history = model.fine_tune(&data, FineTuneOptions::epochs(0)).unwrap();
    assert_eq!((history.epochs(), history.fine_tune_start), (1, None));
    assert_eq!(model.trainable_variables(), 2);
    for (name, tensor) in &model.weights().unwrap() {
        let same = tensor == before.get(name).unwrap();
        assert_eq!(same, !name.starts_with("dense/"), "{name}");
    }
}

#[test]
fn only_what_lies_above_the_border_changes_in_fine_tuning() {
    let dir = tempfile::tempdir().unwrap();
    let data = photographs(dir.path(), &[8, 8]);
    let mut model = model(1);
    let before = model.weights().unwrap();
    model.fine_tune(&data, FineTuneOptions::epochs(1).share(1.0).fine_tune_at("block_16_expand")).unwrap();
    let changed = |name: &str| model.weights().unwrap().get(name).unwrap() != before.get(name).unwrap();
    assert!(changed("block_16_expand/kernel") && changed("Conv_1/kernel"));
    assert!(!changed("block_15_project/kernel") && !changed("Conv1/kernel"));
}

#[test]
fn predictions_are_those_of_the_mirror_image_unless_left_and_right_matter() {
    let dir = tempfile::tempdir().unwrap();
    let data = photographs(dir.path(), &[8, 8]);
    for flip in [true, false] {
        let mut model = model(1);
        model.fine_tune(&data, FineTuneOptions::epochs(1).flip(flip)).unwrap();
        assert_eq!(model.test_time_flip(), flip);
        let images = data.first_batch().unwrap().images.clone();
        let mut mirrored = images.clone();
        mirrored.invert_axis(Axis(2));
        let (a, b) = (model.predict_on_batch(&images).unwrap(), model.predict_on_batch(&mirrored).unwrap());
        assert_eq!(a.logits == b.logits, flip);
        // A data set's predictions take another way, through the cache.
        let of_data = model.predict(&data).unwrap();
        for (row, &index) in of_data.logits.outer_iter().zip(&of_data.indices) {
            let alone = model.predict_on_batch(&data.images(&[index]).unwrap()).unwrap();
            assert!((row[0] - alone.logits[[0, 0]]).abs() < 1e-4 * row[0].abs().max(1.0));
        }
        // It is part of the saved model.
        let path = dir.path().join("model.safetensors");
        model.save(&path).unwrap();
        assert_eq!(bits(&Model::load(&path).unwrap(), &data), bits(&model, &data));
    }
}

#[test]
fn the_same_seed_gives_the_same_bits_and_memory_does_not_matter_to_the_head() {
    let dir = tempfile::tempdir().unwrap();
    let data = photographs(dir.path(), &[9, 7]);
    let run = |epochs: usize, limit: usize| {
        let mut model = model(1);
        model.set_feature_cache_bytes(limit);
        let history = model.fine_tune(&data, FineTuneOptions::epochs(epochs)).unwrap();
        (history.loss, bits(&model, &data))
    };
    assert_eq!(run(1, 1 << 30), run(1, 1 << 30));
    assert_eq!(run(0, 1 << 30), run(0, 0));
    // Without memory for what lies below, images are mirrored by chance.
    let (losses, _) = run(2, 0);
    assert!(losses.iter().all(|loss| loss.is_finite()) && losses.len() == 3);
}

#[test]
fn a_finished_run_with_checkpoints_gives_its_result_again() {
    let dir = tempfile::tempdir().unwrap();
    let data = photographs(&dir.path().join("photos"), &[8, 8]);
    let checkpoints = dir.path().join("checkpoints");
    let run = || {
        let mut model = model(1);
        let options = FineTuneOptions::epochs(2).checkpoint(checkpoints.as_path());
        let history = model.fine_tune(&data, options).unwrap();
        (history.loss.clone(), history.fine_tune_start, bits(&model, &data))
    };
    let first = run();
    assert_eq!(run(), first);
}

#[test]
fn balanced_weights_move_the_head_towards_the_rarer_class() {
    let dir = tempfile::tempdir().unwrap();
    let data = photographs(dir.path(), &[20, 4]);
    let mean_logit = |options: FineTuneOptions| {
        let mut model = model(1);
        model.fine_tune(&data, options.l2(1.0)).unwrap();
        f64::from(model.predict(&data).unwrap().logits.mean().unwrap())
    };
    let plain = mean_logit(FineTuneOptions::epochs(0));
    let balanced = mean_logit(FineTuneOptions::epochs(0).class_weights(ClassWeights::balanced()));
    assert!(balanced > plain + 0.5, "{balanced} {plain}");
}

/// The lines that this thread says while `work` runs.
fn said<T>(work: impl FnOnce() -> T) -> (T, String) {
    let said = listen();
    let result = work();
    (result, said.lines_of_this_thread())
}

#[test]
fn the_head_says_in_how_many_iterations_it_was_solved() {
    let dir = tempfile::tempdir().unwrap();
    let data = photographs(dir.path(), &[8, 8]);
    let (_, lines) = said(|| model(1).fine_tune(&data, FineTuneOptions::epochs(0)).unwrap());
    assert!(lines.contains("Head, solved in ") && !lines.contains("NOT"), "{lines}");
}

#[test]
fn the_models_own_augmentation_is_used_in_fine_tuning_and_stays() {
    let dir = tempfile::tempdir().unwrap();
    let data = photographs(dir.path(), &[8, 8]);
    let turned = || Sequential::new().add(RandomRotation::new(0.2)).seed(3);
    let run = |own: Option<Sequential>, asked: Option<Sequential>| {
        let mut model = model(1);
        model.set_augmentation(own.clone());
        let options = FineTuneOptions::epochs(2);
        let options = match asked {
            Some(layers) => options.augmentation(layers),
            None => options,
        };
        let history = model.fine_tune(&data, options).unwrap();
        assert_eq!(
            model.summary().to_string().contains("sequential"),
            own.is_some(),
            "what the model has stays"
        );
        (history.loss, bits(&model, &data))
    };
    let plain = run(None, None);
    let asked = run(None, Some(turned()));
    assert_ne!(asked.0, plain.0);
    assert_eq!(run(Some(turned()), None), asked, "the model's own is used");
    let flipped = Sequential::new().add(RandomFlip::vertical()).seed(3);
    assert_eq!(run(Some(flipped), Some(turned())), asked, "what is asked for comes first");
}

#[test]
fn more_room_for_features_than_a_gibibyte_is_no_mistake() {
    let dir = tempfile::tempdir().unwrap();
    let data = photographs(dir.path(), &[8, 8]);
    let run = |limit: usize| {
        let mut model = model(1);
        model.set_feature_cache_bytes(limit);
        (model.fine_tune(&data, FineTuneOptions::epochs(1)).unwrap().loss, bits(&model, &data))
    };
    assert_eq!(run(usize::MAX), run(1 << 30));
}

#[test]
fn mistakes_are_told_before_anything_is_computed() {
    let dir = tempfile::tempdir().unwrap();
    let data = photographs(dir.path(), &[4, 4, 4]);
    let mut binary = model(1);
    assert!(binary
        .fine_tune(&data, FineTuneOptions::default())
        .unwrap_err()
        .to_string()
        .contains("Dense::new"));
    let mut model = model(3);
    let wrong = |options: FineTuneOptions, model: &mut Model| {
        model.fine_tune(&data, options).unwrap_err().to_string()
    };
    assert!(wrong(FineTuneOptions::epochs(0).l2(-1.0), &mut model).contains("Received: -1"));
    assert!(wrong(FineTuneOptions::default().share(1.5), &mut model).contains("from 0 to 1"));
    assert!(wrong(FineTuneOptions::default().share(f32::NAN), &mut model).contains("NaN"));
    assert!(wrong(FineTuneOptions::default().groups(vec![0; 5]), &mut model).contains("each of 12 files"));
    assert!(wrong(FineTuneOptions::epochs(1).fine_tune_at("block_99"), &mut model).contains("block_99"));
    assert!(wrong(FineTuneOptions::epochs(1).learning_rate(f32::NAN), &mut model).contains("NaN"));
}

/// The weights of the layers that `fine_tune` trains.
fn upper(model: &Model) -> Vec<u32> {
    model.weights().unwrap().get("Conv_1/kernel").unwrap().data.iter().map(|v| v.to_bits()).collect()
}

#[test]
fn the_history_tells_what_the_held_out_photographs_decided_and_the_model_is_that() {
    let dir = tempfile::tempdir().unwrap();
    let data = photographs(dir.path(), &[24, 24]);
    // With too high a rate fine-tuning destroys what the network knows; with none at all it is no help either.
    for (rate, helps) in [(1.0, false), (1e-12, false), (1e-3, true)] {
        let mut model = model(1);
        let before = upper(&model);
        let options = FineTuneOptions::epochs(4).learning_rate(rate).validation_data(&data);
        let (history, lines) = said(|| model.fine_tune(&data, options).unwrap());
        let kept = history.kept.unwrap();
        assert_eq!(kept.held_out, 24, "a quarter of each of two runs");
        let after = model.evaluate(&data).unwrap();
        assert_eq!((Some(after.loss), Some(after.accuracy)), (kept.val_loss, kept.val_accuracy), "{rate}");
        if !helps {
            assert_eq!(kept.share, 0.0, "{rate}: {kept:?}");
            assert!(lines.contains("the head alone is kept"), "{lines}");
            assert_eq!(upper(&model), before, "{rate}: the network is as it was");
            assert_eq!(after.accuracy, history.val_accuracy[0]);
        } else if kept.share > 0.0 {
            assert!(lines.contains("Fine-tuning helped") && upper(&model) != before, "{lines}");
            assert!(kept.fine_tuned_loss < kept.head_loss, "{kept:?}");
        }
    }
}

/// The numbers of the epochs that it sees, and their losses.
#[derive(Clone, Debug, Default)]
struct Watch(Arc<Mutex<Vec<(usize, f64)>>>);

impl Callback for Watch {
    fn on_epoch_end(&self, run: &Progress<'_>) -> Result<Action> {
        let (epoch, loss) = (run.history.epoch.last().unwrap(), run.history.loss.last().unwrap());
        self.0.lock().unwrap().push((*epoch, *loss));
        Ok(Action::GoOn)
    }
}

#[test]
fn with_a_refit_half_of_four_hundred_photographs_decide_in_a_trial_and_then_all_train() {
    let dir = tempfile::tempdir().unwrap();
    let data = photographs(&dir.path().join("photos"), &[200, 200]);
    let folder = dir.path().join("checkpoints");
    let run = |rate: f32, checkpoints: bool| {
        let mut model = model(1);
        let before = upper(&model);
        let watch = Watch::default();
        // Under so strong a penalty the head alone leaves something to learn.
        let options =
            FineTuneOptions::epochs(1).refit(true).l2(1.0).learning_rate(rate).callback(watch.clone());
        let options = if checkpoints { options.checkpoint(&*folder) } else { options };
        let (history, lines) = said(|| model.fine_tune(&data, options).unwrap());
        let changed = upper(&model) != before;
        let seen = watch.0.lock().unwrap().clone();
        (history, lines, seen, changed, bits(&model, &data))
    };
    let (history, lines, seen, changed, of_all) = run(1e-4, false);
    let kept = history.kept.unwrap();
    assert_eq!(kept.held_out, 200, "{lines}");
    assert!(kept.share > 0.0 && changed, "{kept:?}");
    assert!(lines.contains("Trial of fine-tuning: 1 epochs on 200 images"), "{lines}");
    assert!(lines.contains("will be kept") && lines.contains("with this share of the trial"), "{lines}");
    assert!(lines.contains("Fine-tuning: 1 epochs on all 400 images"), "{lines}");
    assert_eq!(history.epoch, [0, 1]);
    assert_eq!(seen, [(1, history.loss[1])], "the callback watches the run that is kept");

    let (history, lines, seen, changed, _) = run(1e-12, false);
    assert_eq!((history.kept.unwrap().share, changed, seen.len()), (0.0, false, 0), "{lines}");
    assert!(!lines.contains("on all 400 images"), "{lines}");
    assert_eq!(history.epoch, [0, 1], "that of the trial");

    assert_eq!(run(1e-4, true).4, of_all);
    let (_, lines, _, _, again) = run(1e-4, true);
    assert_eq!(again, of_all);
    assert_eq!(lines.matches("epochs are done already").count(), 2, "{lines}");
}

#[test]
fn a_step_of_fine_tuning_has_as_many_photographs_as_asked_for_whatever_the_data_set_s_batches_are() {
    let dir = tempfile::tempdir().unwrap();
    let data = photographs(dir.path(), &[24, 24]);
    let run = |data: &Dataset, options: FineTuneOptions| {
        let mut model = model(1);
        let history = model.fine_tune(data, options.share(1.0)).unwrap();
        (history.loss[1], bits(&model, data))
    };
    let usual = run(&data, FineTuneOptions::epochs(1));
    assert_eq!(run(&data, FineTuneOptions::epochs(1).batch_size(8)), usual, "those of the data set");
    let others = run(&data, FineTuneOptions::epochs(1).batch_size(16));
    assert!((others.0 - usual.0).abs() > 1e-3 * usual.0, "{others:?} {usual:?}");
    // The head is solved for on features in batches of another size, whose sums are rounded otherwise.
    let large = run(&data.rebatch(32), FineTuneOptions::epochs(1).batch_size(8));
    assert!((large.0 - usual.0).abs() < 1e-3 * usual.0, "{large:?} {usual:?}");
    let mut model = model(1);
    let none = model.fine_tune(&data, FineTuneOptions::epochs(1).batch_size(0)).unwrap_err();
    assert!(none.to_string().contains("batch_size of at least 1"), "{none}");
}

#[test]
fn half_of_the_way_is_half_of_the_way() {
    let dir = tempfile::tempdir().unwrap();
    let data = photographs(dir.path(), &[10, 10]);
    let run = |share: f32| {
        let mut model = model(1);
        model.fine_tune(&data, FineTuneOptions::epochs(1).share(share)).unwrap();
        model.weights().unwrap().get("Conv_1/kernel").unwrap().data.clone()
    };
    let (none, half, all) = (run(0.0), run(0.5), run(1.0));
    assert_ne!(none, all);
    for ((none, half), all) in none.iter().zip(&half).zip(&all) {
        assert!((half - 0.5 * (none + all)).abs() <= 1e-6 * none.abs().max(1.0), "{none} {half} {all}");
    }
}

#[test]
fn groups_stay_together_when_some_are_held_out() {
    let dir = tempfile::tempdir().unwrap();
    let data = photographs(dir.path(), &[12, 12]);
    let run = |groups: Option<Vec<u32>>| {
        let mut model = model(1);
        let options = FineTuneOptions::epochs(1);
        let options = match groups {
            Some(groups) => options.groups(groups),
            None => options,
        };
        model.fine_tune(&data, options).map(|history| history.kept)
    };
    let alone = run(Some((0..24).collect())).unwrap();
    assert_eq!(run(None).unwrap(), alone, "each in a group of its own");
    assert_ne!(run(Some((0..24).map(|i| i / 4).collect())).unwrap(), alone);
    // All of a class in one group: nothing can be held out.
    assert_eq!(run(Some((0..24).map(|i| i / 12).collect())).unwrap(), None);
}

#[test]
fn a_class_of_one_photograph_trains_the_head_alone_and_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let data = photographs(dir.path(), &[8, 1]);
    let mut model = model(1);
    let (history, lines) = said(|| model.fine_tune(&data, FineTuneOptions::epochs(2)).unwrap());
    assert_eq!((history.epochs(), history.kept), (1, None));
    assert!(lines.contains("No photographs can be held out"), "{lines}");
    // Who wants it all the same gets it.
    let history = model.fine_tune(&data, FineTuneOptions::epochs(1).share(1.0)).unwrap();
    assert_eq!(history.epochs(), 2);
}

#[test]
fn a_short_time_trains_the_head_alone() {
    let dir = tempfile::tempdir().unwrap();
    let data = photographs(dir.path(), &[8, 8]);
    let run = |limit: u64| {
        let options = FineTuneOptions::epochs(3).time_limit(std::time::Duration::from_millis(limit));
        let mut model = model(1);
        let (history, lines) = said(|| model.fine_tune(&data, options).unwrap());
        assert_eq!(
            model.trainable_variables() == 2,
            history.epochs() == 1,
            "what was not trained stays frozen"
        );
        (history.epochs(), lines)
    };
    let (epochs, lines) = run(1);
    assert_eq!(epochs, 1, "{lines}");
    assert!(lines.contains("0 of 3 epochs of fine-tuning fit into 1ms"), "{lines}");
    assert_eq!(run(600_000).0, 4);
}

#[test]
fn several_runs_go_on_from_their_checkpoints_and_are_discarded_together() {
    let dir = tempfile::tempdir().unwrap();
    let data = photographs(&dir.path().join("photos"), &[8, 8]);
    for each_run in [false, true] {
        let folder = dir.path().join(format!("checkpoints {each_run}"));
        let checkpoints = Checkpoints::new(&folder).each_run(each_run);
        let run = |options: FineTuneOptions| {
            let mut model = model(1);
            let history = model.fine_tune(&data, options).unwrap();
            (history.loss, history.kept, bits(&model, &data))
        };
        let unbroken = run(FineTuneOptions::epochs(2));
        assert_eq!(run(FineTuneOptions::epochs(2).checkpoint(checkpoints.clone())), unbroken);
        let (again, lines) = said(|| run(FineTuneOptions::epochs(2).checkpoint(checkpoints.clone())));
        assert_eq!(again, unbroken);
        assert_eq!(lines.matches("epochs are done already").count(), 2, "{lines}");
        checkpoints.discard().unwrap();
        let left = walk(&folder);
        assert!(left.is_empty(), "{left:?}");
    }
}

/// All files below a folder, if there is one.
fn walk(folder: &Path) -> Vec<std::path::PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

#[test]
fn a_few_photographs_train_the_head_alone_unless_epochs_are_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let data = photographs(dir.path(), &[8, 8]);
    let (history, lines) = said(|| model(1).fine_tune(&data, FineTuneOptions::default()).unwrap());
    assert_eq!((history.epochs(), history.kept), (1, None));
    assert!(lines.contains("16 photographs are too few to tell whether fine-tuning helps"), "{lines}");
    let asked = model(1).fine_tune(&data, FineTuneOptions::epochs(1)).unwrap();
    assert_eq!((asked.epochs(), asked.kept.unwrap().held_out), (2, 8));
}
