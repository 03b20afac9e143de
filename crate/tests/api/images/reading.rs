//! Files that cannot be read, which is no fact about their content: the work ends, and nothing is left out for it.

use crate::scenario::random_weights;
use image::{Rgb, RgbImage};
use std::path::{Path, PathBuf};
use transfer::prelude::*;
use transfer::train::callbacks::{Action, Callback, Progress};

const SIZE: usize = 32;

fn options() -> ImageDatasetOptions {
    ImageDatasetOptions::default().batch_size(8).image_size(SIZE, SIZE).seed(5)
}

/// `each` plain pictures in each of two classes.
fn pictures(folder: &Path, each: usize) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    for (class, name) in ["dark", "light"].into_iter().enumerate() {
        std::fs::create_dir_all(folder.join(name)).unwrap();
        for i in 0..each {
            let v = 20 + 150 * class as u8 + 3 * i as u8;
            let picture = RgbImage::from_fn(40, 30, |x, _| Rgb([v, v + (x % 9) as u8, v / 2]));
            paths.push(folder.join(name).join(format!("{i:02}.png")));
            picture.save(&paths[paths.len() - 1]).unwrap();
        }
    }
    paths
}

fn model() -> Model {
    let mut base = MobileNetV2::with_weights((SIZE, SIZE, 3), &random_weights()).unwrap();
    base.set_trainable(false);
    let chain = Model::chain().then(Rescaling::new(1.0 / 127.5, -1.0)).then(base);
    let mut model = chain.then(GlobalAveragePooling2D).then(Dense::new(1).seed(7)).build().unwrap();
    model.compile(Adam::new(1e-3), Loss::BinaryCrossentropy).unwrap();
    model
}

/// The head alone, with PNG's checksum of the pixels spoiled: it looks right until it is decoded.
fn spoil(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    let end = bytes.len() - 14;
    bytes[end] ^= 0x55;
    std::fs::write(path, bytes).unwrap();
}

fn text<T>(result: Result<T>) -> String {
    result.err().expect("an error").to_string()
}

#[test]
fn a_class_that_is_removed_while_it_is_used_ends_the_work_and_is_not_left_out() {
    let folder = tempfile::tempdir().unwrap();
    pictures(folder.path(), 12);
    let data = image_dataset_from_directory(folder.path(), options().max_left_out(1.0)).unwrap();
    std::fs::remove_dir_all(folder.path().join("light")).unwrap();
    let mut model = model();
    let errors = [
        text(model.fit(&data, FitOptions::epochs(2))),
        text(model.evaluate(&data)),
        text(model.predict(&data)),
        text(data.first_batch()),
        text(data.images(&[20])),
        text(model.fit(&data, FitOptions::epochs(1).checkpoint(folder.path().join("checkpoints").as_path()))),
    ];
    for error in errors {
        assert!(error.starts_with("cannot read the photograph ") && error.contains("light"), "{error}");
    }
    assert!(data.bad_images().is_empty(), "{:?}", data.bad_images());
}

#[test]
fn a_photograph_that_comes_back_within_two_seconds_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let paths = pictures(folder.path(), 3);
    let (path, away) = (paths[0].clone(), folder.path().join("away.png"));
    std::fs::rename(&path, &away).unwrap();
    let back = std::thread::spawn({
        let (away, path) = (away.clone(), path.clone());
        move || {
            std::thread::sleep(std::time::Duration::from_millis(30));
            std::fs::rename(away, path)
        }
    });
    let image = transfer::data::load_img(&path, (4, 4));
    back.join().unwrap().unwrap();
    image.unwrap();
}

#[test]
fn a_photograph_that_became_something_else_is_an_error_and_nobody_waits_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let paths = pictures(folder.path(), 12);
    let data = image_dataset_from_directory(folder.path(), options()).unwrap();
    std::fs::remove_file(&paths[3]).unwrap();
    std::fs::create_dir(&paths[3]).unwrap();
    let error = text(data.images(&[3]));
    assert!(error.contains("is a folder, not a regular file. It was one when"), "{error}");
    #[cfg(unix)]
    {
        let name = std::ffi::CString::new(paths[4].to_str().unwrap()).unwrap();
        std::fs::remove_file(&paths[4]).unwrap();
        // SAFETY: a plain system call with a string that ends in a zero.
        assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
        let error = text(data.images(&[4]));
        assert!(error.contains("is a pipe"), "{error}");
        assert!(text(model().predict_file(&paths[4])).contains("is a pipe"));
        assert!(text(Model::load(&paths[4])).contains("is a pipe"));
        assert!(text(transfer::weights::load(&paths[4])).contains("is a pipe"));
        assert!(text(transfer::assets::sha256_file(&paths[4])).contains("is a pipe"));
        let out = folder.path().join("out");
        assert!(text(transfer::assets::extract_zip(&paths[4], out)).contains("is a pipe"));
    }
}

#[test]
fn heads_that_look_right_do_not_hide_that_a_class_has_no_photograph() {
    let folder = tempfile::tempdir().unwrap();
    let paths = pictures(folder.path(), 15);
    paths[15..].iter().for_each(|path| spoil(path));
    let data = image_dataset_from_directory(folder.path(), options().max_left_out(1.0)).unwrap();
    assert!(data.bad_images().is_empty(), "nothing is known yet");
    let mut first = model();
    let error = text(first.fit(&data, FitOptions::epochs(1)));
    assert!(error.contains("the class light has no photograph that can be decoded: all 15"), "{error}");
    assert!(first.trained_on().is_none());
    // Nor is it forgotten.
    assert_eq!(text(first.fit(&data, FitOptions::epochs(1))), error);
    assert_eq!(text(model().evaluate(&data)), error);
    assert_eq!(text(model().fine_tune(&data, FineTuneOptions::epochs(0))), error);
}

#[test]
fn more_than_a_tenth_of_a_class_is_an_error_whether_it_shows_at_once_or_later() {
    let folder = tempfile::tempdir().unwrap();
    let paths = pictures(folder.path(), 20);
    paths[..3].iter().for_each(|path| spoil(path));
    let data = image_dataset_from_directory(folder.path(), options()).unwrap();
    let error = text(model().fit(&data, FitOptions::epochs(1)));
    assert!(
        error.contains("3 of 20 photographs of the class dark") && error.contains("at most 2"),
        "{error}"
    );
    paths[..3].iter().for_each(|path| std::fs::write(path, "").unwrap());
    assert_eq!(
        text(image_dataset_from_directory(folder.path(), options())).split('.').next(),
        error.split('.').next()
    );

    let more = image_dataset_from_directory(folder.path(), options().max_left_out(0.15)).unwrap();
    let mut trained = model();
    trained.fit(&more, FitOptions::epochs(1).validation_data(&more)).unwrap();
    let counts = trained.trained_on().unwrap();
    assert_eq!((counts.training, counts.validation, counts.left_out), (37, 37, 3));
    let path = folder.path().join("model.safetensors");
    trained.save(&path).unwrap();
    assert_eq!(Model::load(&path).unwrap().trained_on(), Some(counts));
}

#[test]
fn a_class_whose_only_photograph_to_validate_with_is_damaged_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let paths = pictures(folder.path(), 12);
    let data = image_dataset_from_directory(folder.path(), options()).unwrap();
    let (train, validation) = data.stratified_split(0.1, 1).unwrap();
    let only = validation.indices().into_iter().find(|&i| i < 12).unwrap();
    spoil(&paths[only]);
    let mut model = model();
    let error = text(model.fit(&train, FitOptions::epochs(1).validation_data(&validation)));
    assert!(error.contains("the class dark has no photograph left here: 1 of 1"), "{error}");
    assert!(error.contains(&format!("{:02}.png is a damaged png file", only)), "{error}");
}

/// Takes a file away when the first epoch is over.
#[derive(Debug)]
struct TakesAway(PathBuf, PathBuf);

impl Callback for TakesAway {
    fn on_epoch_end(&self, run: &Progress<'_>) -> Result<Action> {
        if run.history.epoch.len() == 1 {
            std::fs::rename(&self.0, &self.1).unwrap();
        }
        Ok(Action::GoOn)
    }
}

#[test]
fn a_training_that_cannot_read_on_keeps_what_it_learned_until_then() {
    let folder = tempfile::tempdir().unwrap();
    let photographs = folder.path().join("photographs");
    let paths = pictures(&photographs, 12);
    let data = image_dataset_from_directory(&photographs, options()).unwrap().prefetch(0);
    let checkpoints = folder.path().join("checkpoints");
    // In the last of the second epoch's three batches.
    let last = data.batches(1).unwrap().last().unwrap().unwrap().indices.clone();
    let (gone, away) = (paths[last[0]].clone(), folder.path().join("away.png"));
    let run = |options: FitOptions| {
        let mut model = model();
        let history = model.fit(&data, options)?;
        Ok::<_, Error>((history.loss, model.weights()?))
    };
    let undisturbed = run(FitOptions::epochs(2)).unwrap();
    let kept = || FitOptions::epochs(2).checkpoint(checkpoints.as_path());
    let error = text(run(kept().callback(TakesAway(gone.clone(), away.clone()))));
    assert!(
        error.contains("cannot read the photograph") && error.contains(gone.to_str().unwrap()),
        "{error}"
    );
    assert!(
        checkpoints.join("checkpoint-0000000005.safetensors").exists(),
        "two of three steps of the epoch"
    );
    std::fs::rename(&away, &gone).unwrap();
    assert_eq!(run(kept()).unwrap(), undisturbed, "it goes on from there, to the same bits");
}
