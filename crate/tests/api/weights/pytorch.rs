//! PyTorch's files (`make_pytorch.py`): good ones in each form, and hostile ones, which are all refused.

use std::path::{Path, PathBuf};

use transfer::architecture::{NameMap, Network};
use transfer::weights::{load_for, read_pytorch, write_safetensors, LoadOptions};
use transfer::Error;

use super::values::{from_pytorch, values};
use crate::network::tiny;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/api/weights/pytorch")
}

/// `second_wide_norm/moving_mean` is `net.second.wide.norm.running_mean`.
fn place(layer: &str, variable: &str) -> String {
    let variable = match variable {
        "kernel" | "depthwise_kernel" | "gamma" => "weight",
        "beta" => "bias",
        "moving_mean" => "running_mean",
        _ => "running_var",
    };
    format!("net.{}.{variable}", layer.replace('_', "."))
}

fn network() -> Network {
    tiny().names(NameMap::pytorch(place).top("net.fc"))
}

#[test]
fn every_form_that_pytorch_writes_gives_the_networks_variables_in_keras_layout() {
    for name in ["zip", "legacy", "nested", "protocol4", "half", "bfloat16", "views", "strided"] {
        let path = folder().join(format!("{name}.pth"));
        let weights = load_for(&network(), &path, LoadOptions::default()).unwrap();
        assert_eq!(weights.len(), tiny().variables().len(), "{name}: no other tensors");
        for (variable, shape) in tiny().variables() {
            let (layer, part) = variable.rsplit_once('/').unwrap();
            let theirs = values(&place(layer, part), shape.iter().product());
            let expected = from_pytorch(&theirs, &shape, part == "depthwise_kernel");
            let found = weights.get(&variable).unwrap();
            assert_eq!(found.shape, shape, "{name}: {variable}");
            // All values have at most 8 significant bits, so that nothing is rounded.
            assert!(found.data == expected.data, "{name}: {variable}");
        }
    }
}

#[test]
fn the_top_comes_along_where_it_is_asked_for() {
    let path = folder().join("legacy.pth");
    let weights = load_for(&network(), &path, LoadOptions::default().top(true)).unwrap();
    let kernel = weights.get("predictions/kernel").unwrap();
    assert_eq!(*kernel, from_pytorch(&values("net.fc.weight", 50), &[10, 5], false));
    assert_eq!(weights.get("predictions/bias").unwrap().data, values("net.fc.bias", 5));
    let without = tiny().names(NameMap::pytorch(place));
    let error = load_for(&without, &path, LoadOptions::default().top(true)).unwrap_err().to_string();
    assert!(error.contains("no layer for ImageNet's classes"), "{error}");
}

#[test]
fn safetensors_with_pytorchs_names_are_read_in_the_same_way() {
    let dir = tempfile::tempdir().unwrap();
    let theirs = read_pytorch(folder().join("zip.pth")).unwrap();
    assert!(theirs.contains("net.fc.bias") && !theirs.contains("net.stem.norm.num_batches_tracked"));
    let path = dir.path().join("model.safetensors");
    write_safetensors(path.as_path(), &theirs, &Default::default()).unwrap();
    let expected = load_for(&network(), folder().join("zip.pth"), LoadOptions::default()).unwrap();
    assert!(load_for(&network(), &path, LoadOptions::default()).unwrap() == expected);
    // One that is missing is named as it is called in the file.
    let mut fewer = theirs.clone();
    fewer.remove("net.third.each.norm.running_var");
    write_safetensors(path.as_path(), &fewer, &Default::default()).unwrap();
    let error = load_for(&network(), &path, LoadOptions::default()).unwrap_err().to_string();
    assert!(
        error.contains("net.third.each.norm.running_var") && error.contains("model.safetensors"),
        "{error}"
    );
}

#[test]
fn numbers_of_batches_in_safetensors_are_passed_over_and_other_integers_refused() {
    let dir = tempfile::tempdir().unwrap();
    for (name, good) in [("bn.num_batches_tracked", true), ("bn.weight", false)] {
        let header = format!("{{\"{name}\":{{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[0,8]}}}}");
        let bytes = [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &[0; 8]].concat();
        let path = dir.path().join("model.safetensors");
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(transfer::weights::load(&path).is_ok(), good, "{name}");
    }
}

#[test]
fn a_file_of_another_network_is_refused_with_what_it_has() {
    let path = folder().join("zip.pth");
    let error = load_for(&transfer::architecture::mobilenet_v2(), &path, LoadOptions::default());
    let error = error.unwrap_err().to_string();
    assert!(error.contains("names of another network") && error.contains("net.first.each"), "{error}");
}

/// File, and a part of the message that says why it is refused.
const HOSTILE: [(&str, &str); 46] = [
    ("a_list", "no dictionary of tensors"),
    ("beyond", "reaches beyond its storage"),
    ("big_endian", "big endian"),
    ("big_endian_legacy", "big endian"),
    ("circle", "no dictionary of tensors"),
    ("code", "`__builtin__.print`"),
    ("code_by_instance", "operation 0x69"),
    ("code_by_name", "`os.system`"),
    ("code_by_newobj", "operation 0x81"),
    ("code_by_object", "`builtins.list`"),
    ("code_by_stack", "`builtins.eval`"),
    ("code_legacy", "`__builtin__.print`"),
    ("compressed", "compressed"),
    ("doubled", "no dictionary of tensors"),
    ("empty_stack", "where there is none"),
    ("entry_twice", "twice"),
    ("expanded", "values together"),
    ("huge_shape", "memory can hold"),
    ("huge_storage", "values together"),
    ("huge_storage_legacy", "truncated"),
    ("long_storage", "has"),
    ("long_text", "a text of 4294967295 bytes"),
    ("many_of_one", "values together"),
    ("name_twice", "twice"),
    ("nan", "NaN"),
    ("negative_offset", "negative"),
    ("negative_shape", "negative"),
    ("no_storage", "no entry"),
    ("no_storage_legacy", "lacks the storage"),
    ("no_tensors", "no dictionary of tensors"),
    ("other_key_legacy", "no object refers"),
    ("overflowing_stride", "reaches beyond"),
    ("overlapping", "overlap"),
    ("pickle_goes_on", "ends before its entry"),
    ("short_storage", "28 bytes"),
    ("stack_left", "more than one object"),
    ("state_of_name", "gives a state"),
    ("storage_twice_legacy", "twice"),
    ("stride_beyond", "reaches beyond"),
    ("trailing_legacy", "4 bytes follow"),
    ("two_descriptions", "in two ways"),
    ("two_pickles", "expected one entry"),
    ("unknown_recall", "recalls object 5"),
    ("view_metadata_legacy", "unknown form"),
    ("whole_model", "torch.nn.modules.container.Sequential"),
    ("wrong_sum", "hecksum"),
];

#[test]
fn hostile_files_are_refused_with_the_reason() {
    let mut there: Vec<_> = folder().join("hostile").read_dir().unwrap().map(|e| e.unwrap().path()).collect();
    there.sort();
    let names: Vec<_> =
        there.iter().map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    assert_eq!(names, HOSTILE.map(|(name, _)| name));
    for (path, (name, why)) in there.iter().zip(HOSTILE) {
        match read_pytorch(path) {
            Err(Error::Weights(error)) => assert!(error.contains(why), "{name}: {error}"),
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[test]
fn every_truncation_is_an_error_and_bit_flips_never_panic() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["zip.pth", "legacy.pth"] {
        let whole = std::fs::read(folder().join(name)).unwrap();
        let path = dir.path().join(name);
        let lengths = (0..40).chain((40..whole.len()).step_by(211)).chain([whole.len() - 1]);
        for length in lengths {
            std::fs::write(&path, &whole[..length]).unwrap();
            assert!(matches!(read_pytorch(&path), Err(Error::Weights(_))), "{name}: {length} bytes");
        }
        for position in (0..whole.len()).step_by(13) {
            let mut flipped = whole.clone();
            flipped[position] ^= 1 << (position % 8);
            std::fs::write(&path, &flipped).unwrap();
            let _ = read_pytorch(&path);
        }
    }
}
