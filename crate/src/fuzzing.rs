//! Everything of this crate that reads bytes from outside, one function a reader, for the fuzzer in `fuzz/`
//! and for the tests that try the same inputs and mutations of them (`crate/tests/api/fuzz.rs`).
//!
//! Not for users: hidden in the documentation, and free to change.

use std::path::{Component, Path, PathBuf};

use ndarray::Array3;

#[cfg(feature = "hdf5")]
use crate::architecture::mobilenet_v2;
use crate::assets::files::{beside, RemoveOnDrop};
use crate::assets::{extract_zip, has_valid_note};
use crate::data::{
    image_dataset_from_directory, load_img, load_img_bytes_into, Fit, ImageDatasetOptions, LabelTable,
};
use crate::explain::{encode_neighbours, parse_neighbours};
use crate::model::{parse_model, About};
use crate::train::checkpoint::Checkpoint;
#[cfg(feature = "hdf5")]
use crate::weights::{decode_h5, Expected, LayerShapes, Layout};
use crate::weights::{decode_pytorch, parse, write_values, LoadOptions, Weights};

/// Names of the readers, as [`run`] takes them.
pub const TARGETS: [&str; 11] = [
    "tf_hub_h5",
    "keras_h5",
    "safetensors",
    "pytorch",
    "checkpoint",
    "model",
    "neighbours",
    "extraction",
    "image",
    "manifest",
    "labels",
];

/// Gives `bytes` to one reader; whether it takes them for good. Refusing is as fine as accepting.
///
/// # Panics
/// Where the reader broke a promise: that is what fuzzing looks for.
pub fn run(target: &str, bytes: &[u8]) -> bool {
    match target {
        #[cfg(feature = "hdf5")]
        "tf_hub_h5" => h5(bytes, Layout::Renamed),
        #[cfg(feature = "hdf5")]
        "keras_h5" => h5(bytes, Layout::Keras),
        "safetensors" => safetensors(bytes),
        "pytorch" => pytorch(bytes),
        "checkpoint" => checkpoint(bytes),
        "model" => model(bytes),
        "neighbours" => neighbours(bytes),
        "extraction" => extraction(bytes),
        "image" => image(bytes),
        "manifest" => manifest(bytes),
        "labels" => labels(bytes),
        other => panic!("no reader is called {other}; there are {TARGETS:?}"),
    }
}

/// Each photograph lies below the folder, whatever a table of labels says.
fn labels(bytes: &[u8]) -> bool {
    let Ok(table) = LabelTable::parse(Path::new("labels.csv"), bytes) else { return false };
    assert!(!table.is_empty() && table.class_names().windows(2).all(|pair| pair[0] < pair[1]));
    for file in table.files() {
        let plain = |part| matches!(part, Component::Normal(_));
        assert!(Path::new(file).components().all(plain), "{file:?}");
    }
    true
}

/// A network of three small layers: files of a few KB reach all of the reader.
#[cfg(feature = "hdf5")]
fn h5(bytes: &[u8], layout: Layout) -> bool {
    let norm =
        || ["gamma", "beta", "moving_mean", "moving_variance"].map(|variable| (variable, vec![2])).to_vec();
    let layers = vec![
        LayerShapes { name: "Conv1".into(), variables: vec![("kernel", vec![3, 3, 3, 2])] },
        LayerShapes { name: "bn_Conv1".into(), variables: norm() },
        LayerShapes {
            name: "expanded_conv_depthwise".into(),
            variables: vec![("depthwise_kernel", vec![3, 3, 2, 1])],
        },
    ];
    let expected = Expected { layers, names: mobilenet_v2().names };
    let Ok(weights) = decode_h5(bytes.to_vec(), layout, &expected, LoadOptions::default()) else {
        return false;
    };
    assert_eq!((weights.len(), weights.num_parameters()), (6, 54 + 8 + 18));
    assert_finite(&weights);
    true
}

fn safetensors(bytes: &[u8]) -> bool {
    let any = parse(bytes, LoadOptions::default().allow_non_finite(true));
    match parse(bytes, LoadOptions::default()) {
        Ok((weights, _)) => {
            assert_finite(&weights);
            assert!(4 * weights.num_parameters() <= bytes.len(), "more numbers than the file holds");
            true
        }
        Err(_) => {
            let only_strictly = any.is_ok_and(|(weights, _)| weights.check_finite().is_ok());
            assert!(!only_strictly, "finite values were refused for not being so");
            false
        }
    }
}

fn pytorch(bytes: &[u8]) -> bool {
    let Ok(weights) = decode_pytorch(bytes, LoadOptions::default()) else { return false };
    assert_finite(&weights);
    assert!(weights.num_parameters() <= bytes.len(), "more numbers than the file may hold");
    true
}

/// Also without the digest, which a fuzzer cannot forge: what is taken then can be written and read again.
fn checkpoint(bytes: &[u8]) -> bool {
    let verified = Checkpoint::parse(bytes.to_vec(), true).is_ok();
    let Ok(first) = Checkpoint::parse(bytes.to_vec(), false) else {
        assert!(!verified, "accepted with a digest and refused without");
        return false;
    };
    assert_finite(&first.weights);
    assert_finite(&first.moments);
    if let Ok((mut again, tensors)) = first.clone().encode() {
        write_values(&tensors, &mut again).expect("memory can be written");
        let second = Checkpoint::parse(again, true).expect("what was written is read");
        assert!(second == first, "what is read is not what was written");
    }
    true
}

/// Also without the digest. A model of its weights is not made: that needs a whole MobileNetV2.
fn model(bytes: &[u8]) -> bool {
    let verified = parse_model(bytes.to_vec(), true).is_ok();
    let Ok((about, weights)) = parse_model(bytes.to_vec(), false) else {
        assert!(!verified, "accepted with a digest and refused without");
        return false;
    };
    assert_finite(&weights);
    assert_eq!(about.class_names.len(), about.classes(), "not one name for each class");
    let text = serde_json::to_string(&about).expect("what was read can be written");
    assert!(About::parse(&text).is_ok_and(|again| again == about), "what is read is not what was written");
    true
}

/// Also without the digest. What is read can be compared with, and can be written and read again.
fn neighbours(bytes: &[u8]) -> bool {
    let verified = parse_neighbours(bytes.to_vec(), true).is_ok();
    let Ok(kept) = parse_neighbours(bytes.to_vec(), false) else {
        assert!(!verified, "accepted with a digest and refused without");
        return false;
    };
    assert!(kept.bytes() <= bytes.len() && !kept.is_empty(), "more photographs than the file holds");
    let features: Vec<f32> = (0..kept.width()).map(|i| (i % 7) as f32 - 3.0).collect();
    let nearest = kept.nearest(&features, 3).expect("features of that width are compared");
    assert!(nearest.iter().all(|one| one.similarity.abs() <= 1.0 && !one.file.contains('/')));
    let again = encode_neighbours(&kept).expect("what was read can be written");
    assert!(
        parse_neighbours(again, true).is_ok_and(|again| again == kept),
        "what is read is not what was written"
    );
    true
}

fn extraction(bytes: &[u8]) -> bool {
    let place = Place::new();
    let (archive, folder) = (place.file("archive.zip", bytes), place.path().join("folder"));
    let done = extract_zip(&archive, &folder);
    let mut names: Vec<_> = place.names();
    names.sort();
    match done {
        Ok(()) => assert_eq!(names, ["archive.zip", "folder"]),
        Err(_) => assert_eq!(names, ["archive.zip"], "something of a refused archive is left"),
    }
    names.len() == 2
}

fn image(bytes: &[u8]) -> bool {
    let place = Place::new();
    let path = place.file("class/image", bytes);
    let options = ImageDatasetOptions::default().image_size(8, 9).batch_size(1);
    // The head of a file may be refused although a lenient decoder would make something of it; what is not
    // refused may still be damaged. So one says nothing about the other.
    let _ = image_dataset_from_directory(place.path(), options);
    let image: Result<Array3<f32>, _> = load_img(path, (8, 9));
    match image {
        Ok(image) => {
            assert!(image.iter().all(|v| (0.0..=255.0).contains(v)), "pixels outside of 0..255");
            true
        }
        Err(_) => false,
    }
}

/// The bytes of an image file that a server received; whether they are one. A decoder may take a megabyte for it.
///
/// # Panics
/// As [`run`].
pub fn upload(bytes: Vec<u8>) -> bool {
    let mut pixels = vec![f32::NAN; 8 * 9 * 3];
    let read = load_img_bytes_into((Path::new("upload"), bytes), (8, 9), Fit::Crop, 1 << 20, &mut pixels);
    let done = pixels.iter().all(|v| (0.0..=255.0).contains(v));
    assert!(done || read.is_err(), "pixels outside of 0..255");
    read.is_ok()
}

fn manifest(bytes: &[u8]) -> bool {
    let place = Place::new();
    place.file("train/cats/1.jpg", b"not looked into");
    place.file(".verified.json", bytes);
    has_valid_note(place.path()).is_ok_and(|valid| valid)
}

fn assert_finite(weights: &Weights) {
    assert!(weights.check_finite().is_ok(), "a value that is not finite was let through");
}

/// A folder that goes away.
struct Place(RemoveOnDrop);

impl Place {
    fn new() -> Self {
        // In memory where that is possible: on a busy disk thousands of small files take minutes.
        let memory = std::env::var_os("TMPDIR").is_none().then(|| "/dev/shm".into());
        let folders = memory.into_iter().chain([std::env::temp_dir()]);
        let path = folders.map(|folder: PathBuf| beside(&folder.join("transfer-fuzzing")));
        let mut path = path.filter(|path| std::fs::create_dir(path).is_ok());
        let path = path.next().expect("the folder for temporary files can be written");
        Place(RemoveOnDrop(path))
    }

    fn path(&self) -> &Path {
        &self.0 .0
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path().join(name);
        let parent = path.parent().unwrap_or(self.path());
        std::fs::create_dir_all(parent).expect("the folder for temporary files can be written");
        std::fs::write(&path, bytes).expect("the folder for temporary files can be written");
        path
    }

    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.path()).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    }
}
