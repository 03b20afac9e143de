//! One model, asked from many threads at the same time: it answers as it answers one, and it answers at all.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rayon::prelude::*;
use transfer::data::{image_dataset_from_directory, ImageDatasetOptions, ImageKey, ImageMap};
use transfer::prelude::*;

use super::{photographs, random_weights, trained};

/// The variable that names the folder to the child, and how long the child may take.
const FOLDER: &str = "TRANSFER_TEST_MANY_THREADS";
const PATIENCE: Duration = Duration::from_secs(180);

/// Models go from thread to thread, and are used from several.
#[allow(dead_code)]
fn a_model_may_be_shared(model: Model) -> impl Send + Sync {
    model
}

fn bits(model: &Model, path: &Path) -> Vec<u32> {
    let prediction = model.predict_file(path).unwrap();
    prediction.probabilities.iter().map(|p| p.to_bits()).collect()
}

/// A model of which every layer may train, so that all of it is computed unit by unit, and of images so large that
/// the threads share out the work on each of them.
fn of_large_images(data: &Dataset) -> Model {
    let mut base = MobileNetV2::with_weights((96, 96, 3), &random_weights()).unwrap();
    base.fine_tune_at(0).unwrap();
    let chain = Model::chain().then(Rescaling::new(1.0 / 127.5, -1.0)).then(base);
    let mut model = chain.then(GlobalAveragePooling2D).then(Dense::new(3).seed(3)).build().unwrap();
    model.set_class_names(data.class_names()).unwrap();
    model
}

/// So many files, each of them several times.
fn some_files(dir: &Path, count: usize) -> Vec<PathBuf> {
    let one = |i: usize| {
        dir.join("photos").join(["across", "along", "round"][i % 3]).join(format!("{}.png", i % 6))
    };
    (0..count).map(one).collect()
}

/// Ends the child if it does not end by itself: threads that wait for each other wait for ever.
fn run_child(test: &str, threads: &str, dir: &Path) {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--ignored", "--exact", test, "--nocapture", "--test-threads", "1"]);
    child.env(FOLDER, dir).env("TRANSFER_THREADS", threads).env("RAYON_NUM_THREADS", "4");
    let mut child = child.stdout(Stdio::piped()).spawn().unwrap();
    let start = Instant::now();
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None if start.elapsed() > PATIENCE => {
                child.kill().unwrap();
                child.wait().unwrap();
                panic!("{test} with {threads} threads hangs");
            }
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    };
    let said = std::io::read_to_string(child.stdout.take().unwrap()).unwrap();
    assert!(status.success() && said.contains("1 passed"), "{test} with {threads} threads: {said}");
}

#[test]
#[ignore = "the child of a_model_answers_any_number_of_threads_as_it_answers_one"]
fn child_that_asks_from_many_threads() {
    let dir = PathBuf::from(std::env::var_os(FOLDER).unwrap());
    ask(&dir.join("model.safetensors"), &some_files(&dir, 100));
    ask(&dir.join("large.safetensors"), &some_files(&dir, 24));
}

/// Eight threads, rayon's own pool and the pool that computes get the bits that one thread gets.
fn ask(saved: &Path, files: &[PathBuf]) {
    let model = Model::load(saved).unwrap();
    let expected: Vec<_> = files.iter().map(|path| bits(&model, path)).collect();

    // A model whose weights nobody has prepared yet, each time.
    for _ in 0..2 {
        let fresh = Model::load(saved).unwrap();
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let (model, expected) = (&fresh, &expected);
                scope.spawn(move || {
                    for i in (thread..files.len()).step_by(8) {
                        assert_eq!(bits(model, &files[i]), expected[i], "thread {thread}, file {i}");
                    }
                });
            }
        });
        let fresh = Model::load(saved).unwrap();
        let global: Vec<_> = files.par_iter().map(|path| bits(&fresh, path)).collect();
        assert!(global == expected, "from rayon's own pool");
        let fresh = Model::load(saved).unwrap();
        let ask = || files.par_iter().map(|path| bits(&fresh, path)).collect();
        let inside: Vec<_> = transfer::threads::pool().install(ask);
        assert!(inside == expected, "from the pool that computes");
    }
}

#[test]
fn a_model_answers_any_number_of_threads_as_it_answers_one() {
    let dir = tempfile::tempdir().unwrap();
    let data = photographs(&dir.path().join("photos"), 3);
    trained(&data, 3).save(dir.path().join("model.safetensors")).unwrap();
    of_large_images(&data).save(dir.path().join("large.safetensors")).unwrap();
    for threads in ["1", "2", "4"] {
        run_child("deploy::many_threads::child_that_asks_from_many_threads", threads, dir.path());
    }
}

/// Somebody's map that shares its work out to the threads that load images, and waits for them.
struct Waits;

impl ImageMap for Waits {
    fn apply(&self, image: &mut [f32], _: (usize, usize, usize), _: ImageKey, scratch: &mut Vec<f32>) {
        scratch.resize(image.len(), 0.0);
        let (first, second) = image.split_at_mut(image.len() / 2);
        let halve = |half: &mut [f32]| {
            std::thread::sleep(Duration::from_millis(1));
            half.iter_mut().for_each(|v| *v *= 0.5);
        };
        rayon::join(|| halve(first), || halve(second));
    }
}

#[test]
#[ignore = "the child of an_image_map_may_wait_for_the_threads_that_load_images"]
fn child_whose_image_map_waits() {
    let dir = PathBuf::from(std::env::var_os(FOLDER).unwrap());
    let options = ImageDatasetOptions::default().image_size(32, 32).batch_size(18);
    let data = image_dataset_from_directory(dir.join("photos"), options).unwrap();
    let plain = data.batches(0).unwrap().next().unwrap().unwrap();
    for _ in 0..20 {
        let mapped = data.batches_with(0, Arc::new(Waits)).unwrap().next().unwrap().unwrap();
        assert!(mapped.images == &plain.images * 0.5);
    }
}

#[test]
fn an_image_map_may_wait_for_the_threads_that_load_images() {
    let dir = tempfile::tempdir().unwrap();
    photographs(&dir.path().join("photos"), 3);
    run_child("deploy::many_threads::child_whose_image_map_waits", "3", dir.path());
}
