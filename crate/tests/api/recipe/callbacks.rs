//! Callbacks in trainings on small generated images: what they decide and write, also where a run is
//! interrupted.

use std::path::{Path, PathBuf};

use transfer::prelude::*;
use transfer::train::callbacks::{Action, Callback, Progress};

use crate::scenario::{dataset, digest, model, pictures, STEPS};

fn data() -> (tempfile::TempDir, Dataset) {
    let dir = tempfile::tempdir().unwrap();
    pictures(&dir.path().join("pictures"), 0).unwrap();
    let data = dataset(&dir.path().join("pictures")).unwrap();
    (dir, data)
}

/// A training of the head; what came of it, and its history.
fn fit(data: &Dataset, options: FitOptions) -> Result<(String, History)> {
    let mut model = model(Sequential::new())?;
    let history = model.fit(data, options)?;
    Ok((digest(&model, &History::default()), history))
}

/// Nothing ever improves by so much.
const NEVER: f64 = 100.0;

#[test]
fn early_stopping_ends_the_training_and_gives_the_best_weights_back() {
    let (_dir, data) = data();
    let first = fit(&data, FitOptions::epochs(1)).unwrap().0;
    let second = fit(&data, FitOptions::epochs(2)).unwrap().0;
    let stop = || EarlyStopping::new().monitor("loss").min_delta(NEVER).patience(1);
    let (weights, history) = fit(&data, FitOptions::epochs(9).callback(stop())).unwrap();
    assert_eq!((history.epochs(), history.stopped_epoch, history.restored_epoch), (2, Some(1), None));
    assert_eq!(weights, second, "those of the last epoch");
    let restoring = FitOptions::epochs(9).callback(stop().restore_best_weights(true));
    let (weights, history) = fit(&data, restoring).unwrap();
    assert_eq!((history.epochs(), history.stopped_epoch, history.restored_epoch), (2, Some(1), Some(0)));
    assert_eq!(weights, first);
    // Without a stop the best weights come back, too.
    let patient = stop().patience(9).restore_best_weights(true);
    let (weights, history) = fit(&data, FitOptions::epochs(3).callback(patient)).unwrap();
    assert_eq!((history.epochs(), history.stopped_epoch, history.restored_epoch), (3, None, Some(0)));
    assert_eq!(weights, first);
}

#[test]
fn a_plateau_lowers_the_rate_of_the_epochs_behind_it() {
    let (_dir, data) = data();
    let lower = || ReduceLrOnPlateau::new().monitor("loss").min_delta(NEVER).patience(1).factor(0.5);
    let history = fit(&data, FitOptions::epochs(4).callback(lower())).unwrap().1;
    let rate = f64::from(1e-3f32);
    assert_eq!(history.learning_rate, [rate, rate, rate / 2.0, rate / 4.0]);
    // Epochs with the same rate have the same numbers.
    let plain = fit(&data, FitOptions::epochs(4)).unwrap().1;
    assert_eq!(history.loss[..2], plain.loss[..2]);
    assert_ne!(history.loss[3], plain.loss[3]);
    let both = FitOptions::epochs(4).schedule(Schedule::one_cycle()).callback(lower());
    let error = fit(&data, both).unwrap_err().to_string();
    assert!(error.contains("Received: both"), "{error}");
}

#[test]
fn checkpoints_of_weights_have_names_by_epoch_and_only_the_best_where_asked() {
    let (dir, data) = data();
    let path = dir.path().join("weights/{epoch:02d}.safetensors");
    let best = dir.path().join("best.safetensors");
    let options = FitOptions::epochs(3)
        .validation_data(&data)
        .callback(ModelCheckpoint::new(&path))
        .callback(ModelCheckpoint::new(&best).save_best_only(true));
    let history = fit(&data, options).unwrap().1;
    let load = |path: PathBuf| {
        let mut model = model(Sequential::new()).unwrap();
        model.load_weights(path).unwrap();
        digest(&model, &History::default())
    };
    let least = (0..3).min_by(|&a, &b| history.val_loss[a].total_cmp(&history.val_loss[b])).unwrap();
    assert_eq!(load(best), load(dir.path().join(format!("weights/{:02}.safetensors", least + 1))));
    for epoch in 1..=3 {
        let expected = fit(&data, FitOptions::epochs(epoch)).unwrap().0;
        assert_eq!(load(dir.path().join(format!("weights/{epoch:02}.safetensors"))), expected);
    }
}

/// The events of a file without their times.
fn events(path: &Path) -> Vec<Vec<u8>> {
    let bytes = std::fs::read(path).unwrap();
    let (mut rest, mut events) = (bytes.as_slice(), Vec::new());
    while !rest.is_empty() {
        let n = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
        let mut event = rest[12..12 + n].to_vec();
        event[1..9].fill(0);
        events.push(event);
        rest = &rest[12 + n + 4..];
    }
    events
}

#[test]
fn an_interrupted_run_decides_and_writes_what_an_unbroken_one_does() {
    let (dir, data) = data();
    let options = |folder: &Path| {
        FitOptions::epochs(6)
            .validation_data(&data)
            .callback(EarlyStopping::new().min_delta(NEVER).patience(3).restore_best_weights(true))
            .callback(ReduceLrOnPlateau::new().min_delta(NEVER).patience(2))
            .callback(CsvLogger::new(folder.join("log.csv")))
            .callback(TensorBoard::new(folder.join("board")))
            .callback(ModelCheckpoint::new(folder.join("{epoch}-{val_accuracy:.3f}.safetensors")))
    };
    let files = |folder: &Path| {
        let board =
            |name: &str| events(&folder.join(name).join("events.out.tfevents.0000000000.transfer.v2"));
        let csv = std::fs::read_to_string(folder.join("log.csv")).unwrap();
        let mut weights: Vec<_> = folder.read_dir().unwrap().map(|f| f.unwrap().file_name()).collect();
        weights.retain(|name| name.to_string_lossy().ends_with("safetensors"));
        weights.sort();
        (csv, board("board/train"), board("board/validation"), weights)
    };
    let whole = dir.path().join("whole");
    let (weights, history) = fit(&data, options(&whole)).unwrap();
    assert_eq!((history.epochs(), history.stopped_epoch, history.restored_epoch), (4, Some(3), Some(0)));
    let (csv, train, validation, kept) = files(&whole);
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(lines[0], "epoch,accuracy,learning_rate,loss,val_accuracy,val_loss");
    assert_eq!(lines.len(), 5);
    let rate = f64::from(1e-3f32);
    assert_eq!(
        lines[1],
        format!(
            "0,{},{rate},{},{},{}",
            history.accuracy[0], history.loss[0], history.val_accuracy[0], history.val_loss[0]
        )
    );
    assert_eq!((train.len(), validation.len(), kept.len()), (1 + 4 * 3, 1 + 4 * 2, 4));

    let without_seconds =
        |history: &History| History { seconds: Vec::new(), images_per_second: Vec::new(), ..history.clone() };
    for (round, newest) in [1, 2, 3 * STEPS - 2, 3 * STEPS + 1].into_iter().enumerate() {
        let folder = dir.path().join(format!("round {round}"));
        let often = || Checkpoints::new(folder.join("checkpoints")).every_steps(1);
        // As a process that is killed leaves it: files are ahead of the checkpoint, or half written.
        let killed = options(&folder).checkpoint(often()).callback(Killer(newest));
        assert!(fit(&data, killed).unwrap_err().to_string().contains("killed"));
        if round > 1 {
            let board = folder.join("board/train/events.out.tfevents.0000000000.transfer.v2");
            let bytes = std::fs::read(&board).unwrap();
            std::fs::write(&board, [&bytes[..], &bytes[..40]].concat()).unwrap();
            // A table is always whole; this one is behind.
            let table = std::fs::read_to_string(folder.join("log.csv")).unwrap();
            let header = table.split_inclusive('\n').next().unwrap();
            std::fs::write(folder.join("log.csv"), header).unwrap();
        }
        let (again, resumed) = fit(&data, options(&folder).checkpoint(often())).unwrap();
        assert_eq!((again, without_seconds(&resumed)), (weights.clone(), without_seconds(&history)));
        assert_eq!(files(&folder), (csv.clone(), train.clone(), validation.clone(), kept.clone()));
        // What is done stays done, and the weights come back once more.
        let (again, resumed) = fit(&data, options(&folder).checkpoint(often())).unwrap();
        assert_eq!((again, without_seconds(&resumed)), (weights.clone(), without_seconds(&history)));
        assert_eq!(files(&folder), (csv.clone(), train.clone(), validation.clone(), kept.clone()));
        // With other callbacks that decide it is another run.
        let other = FitOptions::epochs(6).validation_data(&data).checkpoint(often());
        let error = fit(&data, other).unwrap_err().to_string();
        assert!(error.contains("callbacks: expected EarlyStopping"), "{error}");
    }
}

/// Ends a run with an error once it has taken so many steps and an epoch is over.
#[derive(Debug)]
struct Killer(usize);

impl Callback for Killer {
    fn on_epoch_end(&self, run: &Progress<'_>) -> Result<Action> {
        if run.history.epochs() * STEPS > self.0 {
            return Err(Error::Invalid("killed".into()));
        }
        Ok(Action::GoOn)
    }
}

#[test]
fn two_phases_stand_behind_each_other_in_one_table_and_one_folder() {
    let (dir, data) = data();
    let (csv, board) = (dir.path().join("log.csv"), dir.path().join("board"));
    let logged = |options: FitOptions| {
        options.callback(CsvLogger::new(&csv).append(true).separator(';')).callback(TensorBoard::new(&board))
    };
    for _ in 0..2 {
        let mut model = model(Sequential::new()).unwrap();
        model.fit(&data, logged(FitOptions::epochs(2))).unwrap();
        model.fit(&data, logged(FitOptions::epochs(3).initial_epoch(2))).unwrap();
        let text = std::fs::read_to_string(&csv).unwrap();
        let numbers: Vec<&str> = text.lines().map(|line| line.split(';').next().unwrap()).collect();
        assert_eq!(numbers, ["epoch", "0", "1", "2"]);
        let names = ["0000000000", "0000000002"].map(|n| format!("events.out.tfevents.{n}.transfer.v2"));
        assert_eq!(names.map(|name| events(&board.join("train").join(name)).len()), [7, 4]);
        assert!(!board.join("validation").exists());
    }
    let other = FitOptions::epochs(1).validation_data(&data).callback(CsvLogger::new(&csv).append(true));
    let error = fit(&data, other).unwrap_err().to_string();
    assert!(error.contains("log.csv") && error.contains("val_loss"), "{error}");
}

#[test]
fn what_cannot_work_is_said_before_anything_is_trained() {
    let (dir, data) = data();
    std::fs::write(dir.path().join("file"), "").unwrap();
    let below_a_file = dir.path().join("file/below");
    let plain = || FitOptions::epochs(1);
    let restoring = || EarlyStopping::new().monitor("loss").restore_best_weights(true);
    let refused = [
        (plain().callback(EarlyStopping::new()), "monitors val_loss, which needs validation data"),
        (plain().callback(EarlyStopping::new().monitor("acc")), "loss, accuracy, val_loss, val_accuracy"),
        (plain().callback(restoring().min_delta(-1.0)), "min_delta"),
        (plain().callback(restoring()).callback(restoring()), "at most one"),
        (plain().callback(ReduceLrOnPlateau::new().monitor("loss").factor(1.0)), "factor"),
        (plain().callback(ModelCheckpoint::new("x").save_best_only(true)), "needs validation data"),
        (plain().callback(ModelCheckpoint::new(dir.path().join("{acc}"))), "{acc}"),
        (plain().callback(ModelCheckpoint::new(dir.path())), "which is a folder"),
        (plain().callback(ModelCheckpoint::new(&below_a_file)), "file"),
        (plain().callback(CsvLogger::new(&below_a_file)), "file"),
        (plain().callback(CsvLogger::new(dir.path().join("x.csv")).separator('1')), "separator"),
        (plain().callback(TensorBoard::new(&below_a_file)), "file"),
    ];
    for (i, (options, what)) in refused.into_iter().enumerate() {
        let mut model = model(Sequential::new()).unwrap();
        let before = digest(&model, &History::default());
        let error = model.fit(&data, options).unwrap_err().to_string();
        assert!(error.contains(what), "case {i}: {what:?} is not in {error}");
        assert_eq!(digest(&model, &History::default()), before, "case {i}");
    }
}

#[test]
fn a_range_test_leaves_no_trace_and_shows_what_it_measured() {
    let (_dir, data) = data();
    let mut model = model(Sequential::new()).unwrap();
    model.base_model_mut().fine_tune_at(140).unwrap();
    model.compile(RmsProp::new(1e-4), Loss::BinaryCrossentropy).unwrap();
    let batch = data.first_batch().unwrap();
    let labels = batch.labels.to_vec();
    let go_on = |model: &mut Model| {
        model.train_on_batch(&batch.images, &labels).unwrap();
        digest(model, &History::default())
    };
    let first = go_on(&mut model);
    let options = LrFindOptions { start: 1e-6, end: 10.0, steps: 25, ..Default::default() };
    let found = model.lr_find(&data, options).unwrap();
    assert_eq!(digest(&model, &History::default()), first);
    assert!(found.diverged || found.losses.len() == 25, "{found:?}");
    assert!(found.losses.len() > 9, "{found:?}");
    let figure = found.figure().unwrap();
    assert!(found.suggestion().is_ok() && figure.caption().contains("valley"), "{}", figure.caption());
    // The moments are what they were: the next step is that of a model that was never tested.
    let tested = go_on(&mut model);
    let mut other = crate::scenario::model(Sequential::new()).unwrap();
    other.base_model_mut().fine_tune_at(140).unwrap();
    other.compile(RmsProp::new(1e-4), Loss::BinaryCrossentropy).unwrap();
    go_on(&mut other);
    assert_eq!(go_on(&mut other), tested);
    assert_eq!(other.lr_find(&data, options).unwrap().losses.len(), found.losses.len());
    let wrong = LrFindOptions { start: -1.0, ..Default::default() };
    assert!(model.lr_find(&data, wrong).unwrap_err().to_string().contains("start"));
}
