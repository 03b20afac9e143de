//! Files that Keras 3 and tf_keras wrote (`make_keras.py`): of a base alone, and of models around one.

use std::path::{Path, PathBuf};

use transfer::weights::{load_for, LoadOptions};
use transfer::Error;

use super::values::values;
use crate::network::tiny;

const FILES: [&str; 7] = [
    "keras3_base.h5",
    "keras3_nested.h5",
    "keras3_nested.keras",
    "keras3_nested.weights.h5",
    "keras3_flat.weights.h5",
    "tf_keras_nested.h5",
    "tf_keras_nested.weights.h5",
];

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/api/weights/keras").join(name)
}

#[test]
fn every_form_that_keras_writes_gives_the_bases_variables_and_no_others() {
    for name in FILES {
        let weights = load_for(&tiny(), file(name), LoadOptions::default()).unwrap();
        assert_eq!(weights.len(), tiny().variables().len(), "{name}");
        for (variable, shape) in tiny().variables() {
            let tensor = weights.get(&variable).unwrap();
            let expected = values(&variable, shape.iter().product());
            assert!(tensor.shape == shape && tensor.data == expected, "{name}: {variable}");
        }
        let origin = weights.origin().unwrap();
        assert_eq!((origin.name.as_str(), origin.sha256.len()), (name, 64));
    }
}

#[test]
fn files_of_another_network_and_damaged_ones_are_refused_by_name() {
    let other = transfer::architecture::mobilenet_v2();
    for name in FILES {
        let error = load_for(&other, file(name), LoadOptions::default()).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains("MobileNetV2"), "{error}");
    }
    let dir = tempfile::tempdir().unwrap();
    for name in ["keras3_nested.keras", "keras3_nested.weights.h5"] {
        let whole = std::fs::read(file(name)).unwrap();
        let path = dir.path().join(name);
        for length in [0, 9, 100, whole.len() / 2, whole.len() - 1] {
            std::fs::write(&path, &whole[..length]).unwrap();
            let error = load_for(&tiny(), &path, LoadOptions::default());
            assert!(matches!(error, Err(Error::Weights(_))), "{name}: {length} bytes");
        }
        let mut rng = transfer::random::Rng::new(&[11]);
        for _ in 0..60 {
            let mut damaged = whole.clone();
            for _ in 0..4 {
                damaged[rng.below(whole.len())] ^= 1 << rng.below(8);
            }
            std::fs::write(&path, &damaged).unwrap();
            let _ = load_for(&tiny(), &path, LoadOptions::default());
        }
    }
}

#[test]
fn a_zip_archive_of_something_else_says_what_was_expected() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("photographs.zip");
    let mut archive = zip::ZipWriter::new(std::fs::File::create(&path).unwrap());
    archive.start_file("cat.jpg", zip::write::SimpleFileOptions::default()).unwrap();
    archive.finish().unwrap();
    let error = load_for(&tiny(), &path, LoadOptions::default()).unwrap_err().to_string();
    assert!(error.contains("photographs.zip") && error.contains("`data.pkl`"), "{error}");
}
