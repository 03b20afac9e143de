//! Long work that is watched and asked to end. In a program of its own, one test after the other, since whoever asks
//! for it asks the whole process.

use std::path::Path;
use std::sync::{Arc, Mutex};

use image::{Rgb, RgbImage};
use transfer::prelude::*;
use transfer::progress::{request_stop, resume, set_observer, stop_requested, Event};
use transfer::weights::Weights;

#[path = "common/random_weights.rs"]
mod random_weights;
use random_weights::random_weights;

#[path = "stop/assets.rs"]
mod assets;

/// Held by the test that may ask for an end.
static TURN: Mutex<()> = Mutex::new(());

const SIZE: usize = 32;
const EPOCHS: usize = 2;

fn pictures(dir: &Path) -> Dataset {
    for (class, name) in ["dark", "light"].into_iter().enumerate() {
        std::fs::create_dir_all(dir.join(name)).unwrap();
        for i in 0..9u8 {
            let v = 20 + 150 * class as u8 + 5 * i;
            let picture = RgbImage::from_fn(40, 30, |x, _| Rgb([v, v + (x % 9) as u8, v / 2]));
            picture.save(dir.join(name).join(format!("{i}.png"))).unwrap();
        }
    }
    open(dir)
}

fn open(dir: &Path) -> Dataset {
    let options = ImageDatasetOptions::default().batch_size(4).image_size(SIZE, SIZE).seed(5);
    image_dataset_from_directory(dir, options).unwrap()
}

fn network(start: &Weights) -> Result<Model> {
    let mut base = MobileNetV2::with_weights((SIZE, SIZE, 3), start)?;
    base.fine_tune_at(140)?;
    let changes = Sequential::new().add(RandomFlip::horizontal()).add(RandomRotation::new(0.2)).seed(6);
    let chain = Model::chain().then(changes).then(Rescaling::new(1.0 / 127.5, -1.0)).then(base);
    let mut model = chain.then(GlobalAveragePooling2D).then(Dense::new(1).seed(7)).seed(8).build()?;
    model.compile(Adam::new(1e-3), Loss::BinaryCrossentropy)?;
    Ok(model)
}

/// Trains with checkpoints in `folder`; the weights afterwards.
fn train(data: &Dataset, folder: &Path, start: &Weights) -> Result<(History, Weights)> {
    let mut model = network(start)?;
    // What is kept of an evaluation is not evaluated again, so that there would be nothing to interrupt.
    model.set_feature_cache_bytes(0);
    let options = FitOptions::epochs(EPOCHS).validation_data(data).checkpoint(folder);
    let history = model.fit(data, options)?;
    Ok((history, model.weights()?))
}

/// From the second epoch on a step takes its images from the cache; one that goes on finds the cache empty.
#[test]
fn a_training_with_a_cache_ends_as_an_unbroken_one_although_the_cache_is_empty_when_it_goes_on() {
    let _turn = TURN.lock().unwrap_or_else(|e| e.into_inner());
    let dir = tempfile::tempdir().unwrap();
    let photographs = dir.path().join("pictures");
    pictures(&photographs);
    let damaged = photographs.join("dark/3.png");
    let bytes = std::fs::read(&damaged).unwrap();
    std::fs::write(damaged, &bytes[..bytes.len() / 2]).unwrap();
    let start = random_weights();
    let (_, unbroken) = train(&open(&photographs).cache(), &dir.path().join("unbroken"), &start).unwrap();
    let folder = dir.path().join("stopped");
    let mut stops = 0;
    loop {
        assert!(stops < 100, "it makes no progress");
        resume();
        stop_at_step(3);
        match train(&open(&photographs).cache(), &folder, &start) {
            Err(Error::Interrupted(_)) => stops += 1,
            Err(other) => panic!("{other}"),
            Ok((_, weights)) => {
                assert!(weights == unbroken, "other weights");
                break;
            }
        }
    }
    set_observer(None);
    resume();
    assert!(stops > 1, "{stops}");
}

#[test]
fn a_training_that_is_asked_to_stop_keeps_a_checkpoint_wherever_it_is_and_ends_as_an_unbroken_one() {
    let _turn = TURN.lock().unwrap_or_else(|e| e.into_inner());
    let dir = tempfile::tempdir().unwrap();
    let data = pictures(&dir.path().join("pictures"));
    let start = random_weights();
    let events: Arc<Mutex<Vec<Event>>> = Arc::default();
    let seen = events.clone();
    set_observer(Some(Arc::new(move |event| seen.lock().unwrap().push(event))));
    let (history, weights) = train(&data, &dir.path().join("unbroken"), &start).unwrap();
    let unbroken = std::mem::take(&mut *events.lock().unwrap());
    // Five batches are trained and five validated in each epoch.
    assert_eq!(unbroken.len(), EPOCHS * 10, "{unbroken:?}");
    let is_step = |event: &Event, at: usize| matches!(event, Event::Step { step, steps: 5, epochs: EPOCHS, .. } if *step == at);
    assert!(is_step(&unbroken[0], 1) && is_step(&unbroken[4], 5), "{unbroken:?}");
    assert_eq!(unbroken[9], Event::Computed { done: 18, total: 18 });
    match unbroken[14] {
        Event::Step { epoch: 1, loss, accuracy, .. } => {
            assert_eq!(
                (loss, accuracy),
                (history.loss[1], history.accuracy[1]),
                "the last step has the epoch's sums"
            );
        }
        ref other => panic!("{other:?}"),
    }

    // In turns stopped after two steps more, or in the next validation.
    let folder = dir.path().join("stopped");
    let mut stops = [0, 0];
    for attempt in 0.. {
        assert!(attempt < 100, "it makes no progress");
        resume();
        let (in_validation, steps) = (attempt % 2 == 1, Mutex::new(0));
        set_observer(Some(Arc::new(move |event| match event {
            Event::Step { .. } => {
                *steps.lock().unwrap() += 1;
                if !in_validation && *steps.lock().unwrap() == 2 {
                    request_stop();
                }
            }
            Event::Computed { .. } if in_validation => request_stop(),
            Event::Computed { .. } => {}
        })));
        match train(&data, &folder, &start) {
            Err(Error::Interrupted(text)) => {
                assert!(stop_requested());
                assert!(
                    text.contains("goes on from the checkpoint") && text.contains("checkpoint-0"),
                    "{text}"
                );
                stops[attempt % 2] += 1;
            }
            Err(other) => panic!("{other}"),
            Ok(_) => break,
        }
    }
    assert!(stops[0] > 1 && stops[1] > 1, "{stops:?}");
    // A folder is not even listed to its end.
    request_stop();
    let pictures = dir.path().join("pictures");
    for opened in [
        image_dataset_from_directory(&pictures, ImageDatasetOptions::default()).map(|_| ()),
        own_photographs(&pictures, ImageDatasetOptions::default()).map(|_| ()),
        transfer::data::ImageFiles::below(&pictures).collect::<Result<Vec<_>>>().map(|_| ()),
    ] {
        assert!(matches!(opened, Err(Error::Interrupted(_))), "{opened:?}");
    }
    resume();
    set_observer(None);
    let (again, same) = train(&data, &folder, &start).unwrap();
    assert_eq!((&again.loss, &again.val_loss), (&history.loss, &history.val_loss));
    assert!(same == weights, "the same bits");

    // A photograph that cannot be read is not tried again either.
    request_stop();
    let missing = transfer::data::load_img(dir.path().join("missing.png"), (4, 4)).unwrap_err();
    assert!(matches!(missing, Error::Interrupted(_)), "{missing}");
    let opened = image_dataset_from_directory(dir.path().join("pictures"), ImageDatasetOptions::default());
    assert!(matches!(opened, Err(Error::Interrupted(_))));
    resume();

    // A range test ends, too, and leaves no trace. So does a prediction of files.
    let mut model = network(&start).unwrap();
    let before = model.weights().unwrap();
    request_stop();
    let stopped = model.lr_find(&data, LrFindOptions::default()).map(drop);
    assert!(matches!(stopped, Err(Error::Interrupted(_))), "{stopped:?}");
    assert!(model.weights().unwrap() == before, "the same bits");
    let stopped = model.predict_files(&data.file_paths()[..1]).map(drop);
    assert!(matches!(stopped, Err(Error::Interrupted(_))), "{stopped:?}");
    resume();
    assert!(model.predict_files(&data.file_paths()[..1]).is_ok());
}

/// Asks for an end at the step of this number, from 1.
fn stop_at_step(number: usize) {
    let steps = Mutex::new(0);
    set_observer(Some(Arc::new(move |event| {
        if let Event::Step { .. } = event {
            let mut steps = steps.lock().unwrap();
            *steps += 1;
            if *steps == number {
                request_stop();
            }
        }
    })));
}

#[test]
fn a_model_whose_training_was_interrupted_goes_on_where_it_stands() {
    let _turn = TURN.lock().unwrap_or_else(|e| e.into_inner());
    let dir = tempfile::tempdir().unwrap();
    let data = pictures(&dir.path().join("pictures"));
    let start = random_weights();
    let (history, weights) = train(&data, &dir.path().join("unbroken"), &start).unwrap();

    let mut model = network(&start).unwrap();
    let fit = |model: &mut Model| {
        let options = FitOptions::epochs(EPOCHS).validation_data(&data);
        model.fit(&data, options.checkpoint(dir.path().join("same_model")))
    };
    for stop in [2, 5] {
        stop_at_step(stop);
        let stopped = fit(&mut model).map(drop);
        assert!(matches!(stopped, Err(Error::Interrupted(_))), "{stopped:?}");
        assert!(model.weights().unwrap() != start, "it has what it learned");
        resume();
    }
    set_observer(None);
    let again = fit(&mut model).unwrap();
    assert_eq!((&again.loss, &again.val_loss), (&history.loss, &history.val_loss));
    assert!(model.weights().unwrap() == weights, "the same bits");
    // A model that was changed since is another start.
    stop_at_step(1);
    let options = FitOptions::epochs(EPOCHS + 1).initial_epoch(EPOCHS);
    let more = |model: &mut Model| model.fit(&data, options.clone().checkpoint(dir.path().join("more")));
    assert!(matches!(more(&mut model).map(drop), Err(Error::Interrupted(_))));
    resume();
    set_observer(None);
    model.compile(Adam::new(1e-3), Loss::BinaryCrossentropy).unwrap();
    let refused = more(&mut model).map(drop).unwrap_err().to_string();
    assert!(refused.contains("weights at the start"), "{refused}");
}

#[test]
fn a_fine_tuning_that_was_interrupted_leaves_the_trained_head_and_starts_as_before() {
    let _turn = TURN.lock().unwrap_or_else(|e| e.into_inner());
    let dir = tempfile::tempdir().unwrap();
    let data = pictures(&dir.path().join("pictures"));
    let start = random_weights();
    let options = || FineTuneOptions::epochs(2).share(1.0).seed(3);
    let mut unbroken = network(&start).unwrap();
    unbroken.fine_tune(&data, options()).unwrap();

    let mut model = network(&start).unwrap();
    stop_at_step(3);
    let stopped = model.fine_tune(&data, options()).map(drop);
    assert!(matches!(stopped, Err(Error::Interrupted(_))), "{stopped:?}");
    resume();
    set_observer(None);
    let (left, before) = (model.weights().unwrap(), network(&start).unwrap().weights().unwrap());
    let changed: Vec<&str> = before
        .iter()
        .filter(|(name, tensor)| left.get(name).unwrap().data != tensor.data)
        .map(|(name, _)| name)
        .collect();
    assert!(!changed.is_empty() && changed.iter().all(|name| name.starts_with("dense")), "{changed:?}");
    model.fine_tune(&data, options()).unwrap();
    assert!(model.weights().unwrap() == unbroken.weights().unwrap(), "the same bits");
}
