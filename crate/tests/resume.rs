//! Trainings that are interrupted and go on: bit for bit what an unbroken one gives, wherever they stop.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard};

use transfer::data::{ImageKey, ImageMap};
use transfer::prelude::*;
use transfer::threads::set_threads;

#[path = "resume/multi_label.rs"]
mod multi_label;
#[path = "common/scenario.rs"]
mod scenario;
use scenario::{dataset, digest, fine_tune, model, pictures, EPOCHS, STEPS};

/// The number of threads and the reporter belong to the process, so its tests take turns.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(|e| e.into_inner())
}

/// Fails at one image of one epoch: an interruption that a test can place.
#[derive(Clone, Copy)]
struct Fuse(Option<(u64, u64)>);

impl ImageMap for Fuse {
    fn apply(&self, _: &mut [f32], _: (usize, usize, usize), key: ImageKey, _: &mut Vec<f32>) {
        if self.0 == Some((key.epoch, key.index)) {
            panic!("the fuse blows in epoch {}, at image {}", key.epoch, key.index);
        }
    }
}

fn augmentation(fuse: Option<(u64, u64)>) -> Sequential {
    Sequential::new().add(Arc::new(Fuse(fuse)) as Arc<dyn ImageMap>)
}

/// What [`scenario::train`] does, with a fuse.
fn train(pictures: &Path, checkpoints: Option<&Path>, fuse: Option<(u64, u64)>) -> Result<String> {
    scenario::train_with(pictures, checkpoints, augmentation(fuse))
}

/// The checkpoints of a phase, oldest first.
fn files(checkpoints: &Path, phase: usize) -> Vec<PathBuf> {
    let folder = checkpoints.join(format!("phase {phase}"));
    let entries = folder.read_dir().unwrap().map(|entry| entry.unwrap().path());
    // The lock and the marker are hidden.
    let is_checkpoint = |path: &PathBuf| !path.file_name().unwrap().as_encoded_bytes().starts_with(b".");
    let mut files: Vec<PathBuf> = entries.filter(is_checkpoint).collect();
    files.sort();
    files
}

/// What is said while `work` runs.
fn said<T>(work: impl FnOnce() -> T) -> (T, String) {
    let lines: Arc<Mutex<String>> = Arc::default();
    let to = lines.clone();
    transfer::progress::set_reporter(Some(Arc::new(move |line: &str| {
        let mut lines = to.lock().unwrap();
        lines.push_str(line);
        lines.push('\n');
    })));
    let result = work();
    transfer::progress::set_reporter(None);
    let lines = lines.lock().unwrap().clone();
    (result, lines)
}

fn contains(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in: {text}");
    }
}

#[test]
fn a_training_interrupted_anywhere_ends_bit_for_bit_where_an_unbroken_one_does() {
    let _turn = turn();
    let dir = tempfile::tempdir().unwrap();
    pictures(dir.path().join("pictures").as_path(), 0).unwrap();
    let at = dir.path().join("pictures");
    set_threads(1);
    let unbroken = train(&at, None, None).unwrap();
    let checkpoints = dir.path().join("unbroken");
    assert_eq!(train(&at, Some(&checkpoints), None).unwrap(), unbroken, "checkpoints alone change nothing");
    for phase in [1, 2] {
        assert_eq!(files(&checkpoints, phase).len(), 2, "the last two are kept");
    }
    for (round, epoch) in (0..2 * EPOCHS as u64).cycle().take(8).enumerate() {
        let checkpoints = dir.path().join(format!("round {round}"));
        set_threads(1 + round % 3);
        let image = (round as u64 * 5 + 3) % 22;
        let error = train(&at, Some(&checkpoints), Some((epoch, image))).unwrap_err().to_string();
        contains(&error, &["the fuse blows", &format!("epoch {epoch}")]);
        set_threads(1 + (round + 1) % 3);
        let (resumed, lines) = said(|| train(&at, Some(&checkpoints), None).unwrap());
        assert_eq!(resumed, unbroken, "interrupted in epoch {epoch} at image {image}");
        assert!(epoch == 0 || lines.contains("Resuming") || lines.contains("done already"), "{lines}");
    }
}

#[test]
fn a_finished_training_gives_its_history_and_weights_back_at_once() {
    let _turn = turn();
    let dir = tempfile::tempdir().unwrap();
    pictures(dir.path().join("pictures").as_path(), 0).unwrap();
    let (at, checkpoints) = (dir.path().join("pictures"), dir.path().join("checkpoints"));
    let first = train(&at, Some(&checkpoints), None).unwrap();
    // Nothing is trained: the fuse would blow in the first step.
    let (again, lines) = said(|| train(&at, Some(&checkpoints), Some((0, 0))).unwrap());
    assert_eq!(again, first);
    contains(&lines, &["All 2 epochs are done already", "All 4 epochs are done already"]);
}

#[test]
fn a_damaged_newest_checkpoint_is_passed_over_for_the_one_before() {
    let _turn = turn();
    let dir = tempfile::tempdir().unwrap();
    pictures(dir.path().join("pictures").as_path(), 0).unwrap();
    let at = dir.path().join("pictures");
    let unbroken = train(&at, None, None).unwrap();
    let damages: [fn(Vec<u8>) -> Vec<u8>; 5] = [
        |_| Vec::new(),
        |bytes| bytes[..bytes.len() / 2].to_vec(),
        |mut bytes| {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            bytes
        },
        |_| b"not a checkpoint at all".to_vec(),
        |bytes| String::from_utf8_lossy(&bytes).replace("\\\"steps\\\":", "\\\"stepz\\\":").into_bytes(),
    ];
    for (round, damage) in damages.into_iter().enumerate() {
        let checkpoints = dir.path().join(format!("round {round}"));
        train(&at, Some(&checkpoints), Some((1, 9))).unwrap_err();
        let both = files(&checkpoints, 1);
        assert_eq!(both.len(), 2);
        std::fs::write(&both[1], damage(std::fs::read(&both[1]).unwrap())).unwrap();
        let (resumed, lines) = said(|| train(&at, Some(&checkpoints), None).unwrap());
        assert_eq!(resumed, unbroken, "round {round}");
        let (newest, before) = (both[1].display().to_string(), both[0].display().to_string());
        contains(&lines, &[&newest, &format!("Going back to the checkpoint before: {before}"), "Resuming"]);
    }
    // Both damaged: over from the start, which ends in the same place.
    let checkpoints = dir.path().join("both");
    train(&at, Some(&checkpoints), Some((1, 9))).unwrap_err();
    for file in files(&checkpoints, 1) {
        std::fs::write(file, "damaged").unwrap();
    }
    let (resumed, lines) = said(|| train(&at, Some(&checkpoints), None).unwrap());
    assert_eq!(resumed, unbroken);
    contains(&lines, &["No checkpoint is whole", "Epoch 1/2"]);
    assert_eq!(files(&checkpoints, 1).len(), 2, "damaged ones are gone");
}

#[test]
fn checkpoints_of_another_run_are_refused_with_what_differs() {
    let _turn = turn();
    let dir = tempfile::tempdir().unwrap();
    for seed in [0, 1] {
        pictures(&dir.path().join(seed.to_string()), seed).unwrap();
    }
    let data = dataset(&dir.path().join("0")).unwrap();
    let folder = dir.path().join("checkpoints");
    let options = || FitOptions::epochs(1).checkpoint(folder.as_path());
    let fresh = || model(Sequential::new()).unwrap();
    fresh().fit(&data, options()).unwrap();
    let before = std::fs::read(folder.join("checkpoint-0000000006.safetensors")).unwrap();
    let refused = |mut model: Model, data: &Dataset, options: FitOptions, what: &str| {
        let weights = digest(&model, &History::default());
        let error = model.fit(data, options).unwrap_err().to_string();
        contains(
            &error,
            &["another run", what, "expected", "Received", "resume(false)", "checkpoint-0000000006"],
        );
        assert_eq!(digest(&model, &History::default()), weights, "{what}: the model was changed");
    };
    // Same names, sizes and labels, other pixels.
    refused(fresh(), &dataset(&dir.path().join("1")).unwrap(), options(), "training data");
    refused(fresh(), &data.skip(1), options(), "training data");
    refused(fresh(), &data.cache(), options(), "training data");
    refused(fresh(), &data, options().validation_data(&data), "validation data");
    let mut other = fresh();
    other.compile(Adam::new(2e-3), Loss::BinaryCrossentropy).unwrap();
    refused(other, &data, options(), "optimizer");
    let mut other = fresh();
    other.base_model_mut().fine_tune_at(140).unwrap();
    refused(other, &data, options(), "layers of the base that train");
    refused(model(Sequential::new().add(RandomFlip::horizontal())).unwrap(), &data, options(), "model");
    let mut other = fresh();
    let batch = data.first_batch().unwrap();
    other.train_on_batch(&batch.images, &batch.labels.to_vec()).unwrap();
    refused(other, &data, options(), "weights at the start");
    assert_eq!(std::fs::read(folder.join("checkpoint-0000000006.safetensors")).unwrap(), before);

    // The same pictures in another place are the same, and the start can be left open.
    pictures(&dir.path().join("moved/here"), 0).unwrap();
    let moved = dataset(&dir.path().join("moved/here")).unwrap();
    let done = fresh().fit(&moved, options()).unwrap();
    let mut other = fresh();
    other.train_on_batch(&batch.images, &batch.labels.to_vec()).unwrap();
    let open = FitOptions::epochs(1).checkpoint(Checkpoints::new(&folder).from_any_start(true));
    assert_eq!(other.fit(&data, open).unwrap(), done);
    // Starting over forgets them.
    let over = || FitOptions::epochs(1).checkpoint(Checkpoints::new(&folder).resume(false));
    let (_, lines) = said(|| fresh().fit(&data.take(2), over()).unwrap());
    contains(&lines, &["Epoch 1/1 - 2/2"]);
    assert!(!folder.join("checkpoint-0000000006.safetensors").exists());
}

#[test]
fn a_run_can_be_prolonged_and_not_shortened() {
    let _turn = turn();
    let dir = tempfile::tempdir().unwrap();
    pictures(dir.path().join("pictures").as_path(), 0).unwrap();
    let data = dataset(&dir.path().join("pictures")).unwrap();
    let fit = |epochs: usize, folder: &str| {
        let mut model = model(Sequential::new())?;
        fine_tune(&mut model)?;
        let history = model.fit(&data, FitOptions::epochs(epochs).checkpoint(dir.path().join(folder)))?;
        Ok::<_, Error>(digest(&model, &history))
    };
    let at_once = fit(3, "once").unwrap();
    fit(1, "twice").unwrap();
    assert_eq!(fit(3, "twice").unwrap(), at_once);
    let error = fit(2, "twice").unwrap_err().to_string();
    contains(&error, &["asked for 2 epochs", "epoch 4 already"]);
    let none = FitOptions::epochs(3).checkpoint(Checkpoints::new(dir.path().join("none")).every_steps(0));
    contains(&model(Sequential::new()).unwrap().fit(&data, none).unwrap_err().to_string(), &["every_steps"]);
}

#[test]
fn a_loss_that_is_not_finite_names_epoch_step_and_rate_and_leaves_the_last_good_checkpoint() {
    let _turn = turn();
    let dir = tempfile::tempdir().unwrap();
    pictures(dir.path().join("pictures").as_path(), 0).unwrap();
    let data = dataset(&dir.path().join("pictures")).unwrap();
    let fit = |rate: f32, folder: &Path| {
        let mut model = model(Sequential::new()).unwrap();
        model.compile(RmsProp::new(rate), Loss::BinaryCrossentropy).unwrap();
        let often = Checkpoints::new(folder).every_steps(1);
        model.fit(&data, FitOptions::epochs(2).checkpoint(often)).unwrap_err().to_string()
    };
    // The first step makes weights that are huge but finite, and the second one's loss is not.
    let folder = dir.path().join("loss");
    let error = fit(3e37, &folder);
    contains(&error, &["epoch 1, step 2", "learning rate 30000000", "checkpoint-0000000001"]);
    let mut good = model(Sequential::new()).unwrap();
    good.load_weights(folder.join("checkpoint-0000000001.safetensors")).unwrap();
    // Here the first step itself leaves the finite numbers, and nothing is written.
    let folder = dir.path().join("weight");
    let error = fit(3e38, &folder);
    contains(&error, &["dense/", "epoch 1, step 1", "learning rate 30000000", "none yet"]);
    assert!(!folder.exists(), "a run without a checkpoint leaves no folder");
}

#[test]
fn damaged_images_are_passed_over_on_both_sides_of_an_interruption() {
    let _turn = turn();
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().join("pictures");
    pictures(&at, 0).unwrap();
    // Their heads are fine, so they are found out only in the first epoch.
    for name in ["rings/3.bmp", "stripes/1.bmp", "stripes/7.bmp"] {
        let bytes = std::fs::read(at.join(name)).unwrap();
        std::fs::write(at.join(name), &bytes[..bytes.len() / 2]).unwrap();
    }
    let fit = |folder: Option<&Path>, fuse: Option<(u64, u64)>| {
        // Batches of one, so that a damaged image makes an empty batch.
        let options =
            ImageDatasetOptions::default().batch_size(1).image_size(32, 32).seed(5).max_left_out(0.2);
        let data = image_dataset_from_directory(&at, options)?;
        let mut model = model(augmentation(fuse))?;
        let options = FitOptions::epochs(2).validation_data(&data);
        let options = match folder {
            Some(folder) => options.checkpoint(Checkpoints::new(folder).every_steps(1)),
            None => options,
        };
        let history = model.fit(&data, options)?;
        assert_eq!(data.skipped().len(), 3);
        Ok::<_, Error>(digest(&model, &history))
    };
    let unbroken = fit(None, None).unwrap();
    for (round, fuse) in [(0, 2), (0, 20), (1, 5), (1, 11)].into_iter().enumerate() {
        let folder = dir.path().join(format!("round {round}"));
        fit(Some(&folder), Some(fuse)).unwrap_err();
        assert_eq!(fit(Some(&folder), None).unwrap(), unbroken, "{fuse:?}");
    }
}

#[test]
fn a_folder_serves_one_training_at_a_time() {
    let _turn = turn();
    let dir = tempfile::tempdir().unwrap();
    pictures(dir.path().join("pictures").as_path(), 0).unwrap();
    let data = dataset(&dir.path().join("pictures")).unwrap();
    let folder = dir.path().join("checkpoints");
    std::fs::create_dir(&folder).unwrap();
    let lock = std::fs::File::options().create(true).append(true).open(folder.join(".lock")).unwrap();
    lock.lock().unwrap();
    let options = || FitOptions::epochs(1).checkpoint(folder.as_path());
    let error = model(Sequential::new()).unwrap().fit(&data, options()).unwrap_err().to_string();
    contains(&error, &["Another training", &folder.display().to_string()]);
    drop(lock);
    model(Sequential::new()).unwrap().fit(&data, options()).unwrap();
}

#[test]
fn a_model_saved_and_loaded_is_the_same_bit_for_bit_and_another_one_is_refused() {
    let _turn = turn();
    let dir = tempfile::tempdir().unwrap();
    pictures(dir.path().join("pictures").as_path(), 0).unwrap();
    let data = dataset(&dir.path().join("pictures")).unwrap();
    let path = dir.path().join("model.safetensors");
    let mut trained = model(Sequential::new()).unwrap();
    fine_tune(&mut trained).unwrap();
    let history = trained.fit(&data, FitOptions::epochs(1)).unwrap();
    trained.save_weights(&path).unwrap();
    let mut loaded = model(Sequential::new()).unwrap();
    let none = History::default();
    assert_ne!(digest(&loaded, &history), digest(&trained, &history));
    loaded.load_weights(&path).unwrap();
    assert_eq!(digest(&loaded, &history), digest(&trained, &history));
    assert_eq!(loaded.evaluate(&data).unwrap(), trained.evaluate(&data).unwrap());

    let mut wide = Model::chain()
        .then(MobileNetV2::with_weights((32, 32, 3), &scenario::random_weights()).unwrap())
        .then(GlobalAveragePooling2D)
        .then(Dense::new(3).seed(1))
        .build()
        .unwrap();
    let before = digest(&wide, &none);
    let error = wide.load_weights(&path).unwrap_err().to_string();
    contains(&error, &["model.safetensors", "dense/kernel", "[1280, 3]", "[1280, 1]"]);
    assert_eq!(digest(&wide, &none), before, "nothing changes");
    let error = wide.load_weights(dir.path().join("none")).unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error}");
}

/// The training of the test below.
#[test]
#[ignore = "run by a_killed_process_ends_where_an_unbroken_one_does"]
fn child() {
    let dir =
        std::env::var_os("TRANSFER_TEST_CHILD").map(PathBuf::from).expect("the test below starts this one");
    let digest = scenario::train(&dir.join("pictures"), Some(&dir.join("checkpoints"))).unwrap();
    println!("digest {digest}");
}

fn start(dir: &Path, threads: usize) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--ignored", "--nocapture"])
        .env("TRANSFER_TEST_CHILD", dir)
        .env("TRANSFER_THREADS", threads.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn a_killed_process_ends_where_an_unbroken_one_does() {
    let _turn = turn();
    let dir = tempfile::tempdir().unwrap();
    pictures(dir.path().join("pictures").as_path(), 0).unwrap();
    let unbroken = scenario::train(&dir.path().join("pictures"), None).unwrap();
    // Each is killed a little after it has said this, in the midst of steps or of writing.
    let moments = [("Epoch 1/2", 3), ("Resuming", 11), ("Epoch 3/4", 0), ("Resuming", 40), ("Epoch 4/4", 1)];
    for (i, (line, milliseconds)) in moments.into_iter().enumerate() {
        let mut child = start(dir.path(), 1 + i % 3);
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        lines.by_ref().map(Result::unwrap).find(|l| l.contains(line)).unwrap_or_else(|| panic!("no {line}"));
        std::thread::sleep(std::time::Duration::from_millis(milliseconds));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let child = start(dir.path(), 2).wait_with_output().unwrap();
    let said = String::from_utf8(child.stdout).unwrap();
    assert!(child.status.success(), "{said}");
    contains(&said, &[&format!("digest {unbroken}"), "done already"]);
    for phase in [1, 2] {
        let steps = EPOCHS * STEPS;
        let files = files(&dir.path().join("checkpoints"), phase);
        let newest = files.last().unwrap().file_name().unwrap().to_str().unwrap();
        assert_eq!(newest, format!("checkpoint-{steps:010}.safetensors"));
        assert_eq!(files.len(), 2, "{files:?}");
    }
}
