//! Weight files: both HDF5 layouts agree, safetensors round trips, and damaged files are errors.
//!
//! Those on the file in Keras' layout run where `TRANSFER_GOLDEN_DIR` names its folder, and say so where it is not
//! set. The weights in TF-Hub's layout are those that the notebook uses.

mod keras;
mod pytorch;
mod values;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use transfer::architecture::mobilenet_v2;
use transfer::weights::{
    check, load, load_with, read_keras_h5, read_safetensors, read_tf_hub_h5, write_safetensors, LoadOptions,
    Tensor, Weights,
};
use transfer::Error;

use transfer_kernels::testing::{folder_or_skip, skipped};

fn keras_file() -> Option<PathBuf> {
    let what = "it would name the folder with a file in Keras' layout";
    let folder = folder_or_skip("TRANSFER_GOLDEN_DIR", "TRANSFER_REQUIRE_GOLDEN", what)?;
    Some(folder.join("keras_layout_mobilenet_v2_160_no_top.h5"))
}

fn tf_hub_file() -> Option<PathBuf> {
    let path = transfer::assets::mobilenet_v2_weights().unwrap().path;
    match read_tf_hub_h5(&path) {
        Ok(_) => Some(path),
        Err(why) => {
            skipped(
                "TRANSFER_REQUIRE_WEIGHTS",
                format!("the weights in use are not in TF-Hub's layout: {why}"),
            );
            None
        }
    }
}

/// Numbers that no two tensors share.
fn small() -> Weights {
    let tensor = |n: usize, shape: &[usize]| {
        let values = (0..shape.iter().product::<usize>()).map(|i| (i as f32 - 3.0) / 7.0 + n as f32);
        Tensor::new(shape, values.collect()).unwrap()
    };
    let shapes: [(&str, &[usize]); 4] =
        [("z/kernel", &[3, 3, 2, 1]), ("a/gamma", &[5]), ("scalar", &[]), ("empty", &[0, 4])];
    shapes.iter().enumerate().map(|(i, (name, shape))| (name.to_string(), tensor(i, shape))).collect()
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn both_h5_layouts_hold_the_same_260_tensors() {
    let (Some(keras), Some(tf_hub)) = (keras_file(), tf_hub_file()) else { return };
    let (by_keras, by_tf_hub) = (read_keras_h5(&keras).unwrap(), read_tf_hub_h5(&tf_hub).unwrap());
    assert_eq!(by_keras.len(), 260);
    assert_eq!(by_keras.num_parameters(), 2_257_984);
    assert!(by_keras == by_tf_hub, "the two files hold different numbers");
    assert!(load(keras).unwrap() == by_keras && load(tf_hub).unwrap() == by_keras);
}

#[test]
fn a_file_of_the_other_layout_is_refused_by_name_of_what_is_missing() {
    if let Some(tf_hub) = tf_hub_file() {
        let error = read_keras_h5(tf_hub).unwrap_err().to_string();
        assert!(error.contains("layers with weights"), "{error}");
    }
    let Some(keras) = keras_file() else { return };
    assert!(read_tf_hub_h5(keras).unwrap_err().to_string().contains("no group `MobilenetV2`"));
}

#[test]
fn mobilenet_v2_survives_safetensors_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("base.safetensors");
    let weights = load(transfer::assets::mobilenet_v2_weights().unwrap().path).unwrap();
    write_safetensors(&path, &weights, &BTreeMap::new()).unwrap();
    let again = load(&path).unwrap();
    assert!(again == weights);
    check(&mobilenet_v2(), &again).unwrap();
}

#[test]
fn a_damaged_h5_file_is_an_error_or_readable_but_never_a_panic() {
    let real = transfer::assets::mobilenet_v2_weights().unwrap().path;
    for file in [Some(real), keras_file()].into_iter().flatten() {
        let bytes = std::fs::read(&file).unwrap();
        let folder = tempfile::tempdir().unwrap();
        for length in [0, 1, 7, 8, 9, 50, 96, 1000, 5000, bytes.len() / 2, bytes.len() - 1] {
            let path = write(folder.path(), "short.h5", &bytes[..length]);
            let error = load(&path).expect_err("a truncated file was taken for whole").to_string();
            assert!(error.contains("short.h5"), "{error}");
        }
        // Names, addresses and headers lie at the start and at the end, the numbers between them.
        let mut rng = transfer::random::Rng::new(&[7]);
        for round in 0..60 {
            let mut damaged = bytes.clone();
            for _ in 0..8 {
                let range = if round % 2 == 0 { 4096 } else { damaged.len() };
                damaged[rng.below(range)] ^= 1 << rng.below(8);
            }
            let _ = load(write(folder.path(), "damaged.h5", &damaged));
        }
    }
}

#[test]
fn safetensors_keep_tensors_and_metadata_and_write_the_same_bytes_again() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (folder.path().join("1.safetensors"), folder.path().join("2.safetensors"));
    let metadata: BTreeMap<String, String> =
        (0..20).map(|i| (format!("key {i}"), format!("\"värde\" {i}\n"))).collect();
    write_safetensors(&first, &small(), &metadata).unwrap();
    let (weights, read) = read_safetensors(&first).unwrap();
    let mut expected = metadata.clone();
    expected.insert("written_by".to_owned(), read["written_by"].clone());
    assert_eq!((&weights, &read), (&small(), &expected));
    assert!(read["written_by"].starts_with("transfer "));
    write_safetensors(&second, &weights, &read).unwrap();
    assert_eq!(std::fs::read(first).unwrap(), std::fs::read(second).unwrap());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
}

#[test]
fn every_truncation_of_a_safetensors_file_is_an_error_and_bit_flips_never_panic() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("whole.safetensors");
    write_safetensors(&path, &small(), &[("epoch".into(), "3".into())].into()).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    for length in 0..bytes.len() {
        let path = write(folder.path(), "short.safetensors", &bytes[..length]);
        assert!(matches!(read_safetensors(&path), Err(Error::Weights(_))), "{length} bytes");
        assert!(load(&path).is_err(), "{length} bytes");
    }
    for position in 0..bytes.len() {
        for bit in 0..8 {
            let mut flipped = bytes.clone();
            flipped[position] ^= 1 << bit;
            let _ = read_safetensors(write(folder.path(), "flipped.safetensors", &flipped));
        }
    }
}

#[test]
fn other_types_and_values_that_are_not_finite_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let header = br#"{"head/kernel":{"dtype":"F16","shape":[2],"data_offsets":[0,4]}}"#;
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(header);
    bytes.extend_from_slice(&[0; 4]);
    let error = load(write(folder.path(), "half.safetensors", &bytes)).unwrap_err().to_string();
    assert!(error.contains("head/kernel") && error.contains("F16"), "{error}");

    for bad in [f32::NAN, f32::INFINITY] {
        let mut weights = small();
        weights.insert("bad/bias", Tensor::new([2], vec![0.0, bad]).unwrap());
        let path = folder.path().join("bad.safetensors");
        let error = write_safetensors(&path, &weights, &BTreeMap::new()).unwrap_err().to_string();
        assert!(error.contains("bad/bias") && error.contains("position 1"), "{error}");
        assert!(!path.exists());
        // A file that somebody else wrote.
        let header = br#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#;
        let bytes = [(header.len() as u64).to_le_bytes().as_slice(), header, &bad.to_le_bytes()].concat();
        let path = write(folder.path(), "theirs.safetensors", &bytes);
        let error = load(&path).unwrap_err().to_string();
        assert!(error.contains("`a`") && error.contains("position 0"), "{error}");
        let read = load_with(&path, LoadOptions::default().allow_non_finite(true)).unwrap();
        assert_eq!(read.get("a").unwrap().data[0].to_bits(), bad.to_bits());
    }
}

#[test]
fn a_file_of_no_known_kind_says_what_was_expected() {
    let folder = tempfile::tempdir().unwrap();
    let page = write(folder.path(), "page.h5", b"<!DOCTYPE html><p>Not found");
    let error = load(page).unwrap_err().to_string();
    assert!(error.contains("page.h5") && error.contains("safetensors"), "{error}");
    assert!(matches!(load(folder.path().join("none.h5")), Err(Error::Io { .. })));
    assert!(load(folder.path()).is_err());
}

#[test]
fn a_missing_or_misshapen_tensor_is_named_with_what_is_there() {
    let zeros = |(name, shape): (String, Vec<usize>)| {
        let values = vec![0.0; shape.iter().product()];
        (name, Tensor::new(shape, values).unwrap())
    };
    let mut weights: Weights = mobilenet_v2().variables().into_iter().map(zeros).collect();
    check(&mobilenet_v2(), &weights).unwrap();
    let gamma = weights.remove("block_3_expand_BN/gamma").unwrap();
    let error = check(&mobilenet_v2(), &weights).unwrap_err().to_string();
    assert!(error.contains("block_3_expand_BN/gamma") && error.contains("block_3_expand_BN/beta"), "{error}");
    weights.insert("block_3_expand_BN/gamma", Tensor::new([1, gamma.data.len()], gamma.data).unwrap());
    let error = check(&mobilenet_v2(), &weights).unwrap_err().to_string();
    assert!(error.contains("[1, 144]") && error.contains("[144]"), "{error}");
}

#[test]
fn a_tensor_needs_as_many_values_as_its_shape_says() {
    let error = Tensor::new([2, 3], vec![0.0; 5]).unwrap_err().to_string();
    assert!(error.contains("[2, 3]") && error.contains('6') && error.contains('5'), "{error}");
    assert!(Tensor::new([usize::MAX, 2], Vec::new()).is_err());
}
