//! Options of `fit` in trainings on small generated images.

use std::path::Path;

use transfer::prelude::*;

use crate::scenario::{dataset, digest, fine_tune, model, pictures, STEPS};

/// Pictures in a folder that goes with the returned guard.
fn data() -> (tempfile::TempDir, Dataset) {
    let dir = tempfile::tempdir().unwrap();
    pictures(dir.path(), 0).unwrap();
    let data = dataset(dir.path()).unwrap();
    (dir, data)
}

/// A training of so many epochs; what came of it.
fn fit(data: &Dataset, options: FitOptions) -> Result<(String, History)> {
    let mut model = model(Sequential::new())?;
    fine_tune(&mut model)?;
    let history = model.fit(data, options)?;
    Ok((digest(&model, &history), history))
}

#[test]
fn a_constant_schedule_and_empty_rules_change_no_bit() {
    let (_dir, data) = data();
    let plain = fit(&data, FitOptions::epochs(1)).unwrap().0;
    let same = [
        FitOptions::epochs(1).schedule(Schedule::constant()),
        FitOptions::epochs(1).label_smoothing(0.0),
        FitOptions::epochs(1).layer_rates(LayerRates::decay(1.0)),
        FitOptions::epochs(1).class_weights(ClassWeights::by_class([1.0, 1.0])),
        // Both classes have as many images.
        FitOptions::epochs(1).class_weights(ClassWeights::balanced()),
    ];
    for (i, options) in same.into_iter().enumerate() {
        assert_eq!(fit(&data, options).unwrap().0, plain, "option {i}");
    }
    let others = [
        FitOptions::epochs(1).schedule(Schedule::one_cycle()),
        FitOptions::epochs(1).schedule(Schedule::cosine_decay()),
        FitOptions::epochs(1).label_smoothing(0.1),
        FitOptions::epochs(1).layer_rates(LayerRates::decay(0.5)),
        FitOptions::epochs(1).class_weights(ClassWeights::by_class([1.0, 2.0])),
        FitOptions::epochs(1).mixup(0.2),
    ];
    for (i, options) in others.into_iter().enumerate() {
        assert_ne!(fit(&data, options).unwrap().0, plain, "option {i}");
    }
}

#[test]
fn the_history_has_the_rate_of_each_epochs_last_step() {
    let (_dir, data) = data();
    let schedule = Schedule::one_cycle();
    let history = fit(&data, FitOptions::epochs(5).initial_epoch(2).schedule(schedule)).unwrap().1;
    let rate = f64::from(1e-4f32);
    let expected = [1, 2, 3].map(|n| rate * schedule.factor((n * STEPS - 1) as u64, 3 * STEPS as u64));
    assert_eq!(history.learning_rate, expected);
    assert_eq!(fit(&data, FitOptions::epochs(1)).unwrap().1.learning_rate, [rate]);
}

#[test]
fn after_a_schedule_the_compiled_rate_is_back() {
    let (_dir, data) = data();
    let batch = data.first_batch().unwrap();
    let labels = batch.labels.to_vec();
    let after = |options: FitOptions| {
        let mut model = model(Sequential::new()).unwrap();
        fine_tune(&mut model).unwrap();
        model.compile(Adam::new(0.0), Loss::BinaryCrossentropy).unwrap();
        model.fit(&data, options).unwrap();
        model.compile(RmsProp::new(1e-3), Loss::BinaryCrossentropy).unwrap();
        model.train_on_batch(&batch.images, &labels).unwrap();
        digest(&model, &History::default())
    };
    let twisted = FitOptions::epochs(1).schedule(Schedule::one_cycle()).layer_rates(LayerRates::decay(0.1));
    assert_eq!(after(twisted), after(FitOptions::epochs(1)));
}

#[test]
fn a_layer_rate_near_nothing_leaves_the_base_as_it_was_and_trains_the_head() {
    let (_dir, data) = data();
    let mut model = model(Sequential::new()).unwrap();
    fine_tune(&mut model).unwrap();
    let before = model.weights().unwrap();
    model.fit(&data, FitOptions::epochs(1).layer_rates(LayerRates::decay(1e-30))).unwrap();
    let after = model.weights().unwrap();
    let changed: Vec<&str> =
        before.iter().filter(|(name, t)| after.get(name).unwrap() != *t).map(|(name, _)| name).collect();
    assert_eq!(changed, ["dense/bias", "dense/kernel"]);
}

#[test]
fn every_option_goes_on_bit_for_bit_where_it_was_interrupted() {
    let (dir, data) = data();
    let options = || {
        FitOptions::epochs(3)
            .schedule(Schedule::cosine_decay_with_warm_up(0.2))
            .layer_rates(LayerRates::down_to(0.1).group_of(2))
            .label_smoothing(0.1)
            .class_weights(ClassWeights::by_class([1.0, 2.0]))
            .mixup(0.4)
            .validation_data(&data)
    };
    let unbroken = fit(&data, options()).unwrap().0;
    let whole = dir.path().join("whole");
    let often = |folder: &Path| Checkpoints::new(folder).every_steps(2);
    assert_eq!(fit(&data, options().checkpoint(often(&whole))).unwrap().0, unbroken);
    // The last checkpoint is that of the end; the one before lies within the last epoch.
    let mut files: Vec<_> = whole.read_dir().unwrap().map(|f| f.unwrap().path()).collect();
    files.sort();
    std::fs::remove_file(files.last().unwrap()).unwrap();
    assert_eq!(fit(&data, options().checkpoint(often(&whole))).unwrap().0, unbroken);
    // With any other recipe it is another run.
    let other = [
        (options().schedule(Schedule::cosine_decay()), "schedule"),
        (options().layer_rates(LayerRates::decay(0.5)), "rates of layers"),
        (options().label_smoothing(0.2), "label smoothing"),
        (options().class_weights(ClassWeights::balanced()), "class weights"),
        (options().mixup(0.2), "mixup"),
    ];
    for (options, what) in other {
        let error = fit(&data, options.checkpoint(often(&whole))).unwrap_err().to_string();
        assert!(error.contains("another run") && error.contains(what), "{what}: {error}");
    }
    // A schedule over more epochs is another schedule.
    let longer = FitOptions::epochs(4).schedule(Schedule::one_cycle());
    let shorter = FitOptions::epochs(2).schedule(Schedule::one_cycle());
    let folder = dir.path().join("longer");
    fit(&data, shorter.checkpoint(folder.as_path())).unwrap();
    let error = fit(&data, longer.checkpoint(folder.as_path())).unwrap_err().to_string();
    assert!(error.contains("over 2 epochs") && error.contains("over 4 epochs"), "{error}");
}

#[test]
fn options_out_of_range_are_refused_before_anything_is_trained() {
    let (_dir, data) = data();
    let wrong = [
        (FitOptions::epochs(1).schedule(CosineDecay { warm_up: 2.0, alpha: 0.0 }), "warm_up"),
        (FitOptions::epochs(1).layer_rates(LayerRates::decay(0.0)), "LayerRates"),
        (FitOptions::epochs(1).label_smoothing(1.0), "label_smoothing"),
        (FitOptions::epochs(1).label_smoothing(f32::NAN), "label_smoothing"),
        (FitOptions::epochs(1).class_weights(ClassWeights::by_class([1.0, 1.0, 1.0])), "2 numbers"),
        (FitOptions::epochs(1).mixup(0.0), "alpha"),
        (FitOptions::epochs(1).mixup(0.2).cache_augmented_views(2), "mixup"),
    ];
    for (options, what) in wrong {
        let error = fit(&data, options).unwrap_err().to_string();
        assert!(error.contains(what) && error.contains("Received"), "{what}: {error}");
    }
}

#[test]
fn views_that_are_computed_once_go_with_schedules_rates_smoothing_and_weights() {
    let (_dir, data) = data();
    let options = || {
        FitOptions::epochs(2)
            .schedule(Schedule::one_cycle())
            .layer_rates(LayerRates::decay(0.5))
            .label_smoothing(0.1)
            .class_weights(ClassWeights::by_class([1.0, 2.0]))
    };
    let fresh = fit(&data, options()).unwrap().0;
    assert_eq!(fit(&data, options().cache_augmented_views(2)).unwrap().0, fresh);
}
