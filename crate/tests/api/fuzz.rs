//! The fuzzer's readers on stable Rust and in seconds: each file of the corpus (`tests/fuzz/corpus`), and
//! mutations of it that are the same in each run. `cargo xtask fuzz` looks further.

use std::path::{Path, PathBuf};

use transfer::fuzzing::{run, TARGETS};
use transfer::random::Rng;

/// The corpus of a reader, by name.
fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz/corpus").join(target);
    let mut paths: Vec<PathBuf> =
        folder.read_dir().expect("the corpus is there").map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    paths.iter().map(|path| (name(path), std::fs::read(path).unwrap())).collect()
}

/// Something that a fuzzer would try: flipped bits, lengths that lie, parts that are missing, doubled or
/// taken from another file.
fn mutate(bytes: &[u8], other: &[u8], rng: &mut Rng) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..1 + rng.below(4) {
        if bytes.is_empty() {
            return vec![rng.below(256) as u8; rng.below(40)];
        }
        let at = rng.below(bytes.len());
        match rng.below(8) {
            0 => bytes[at] ^= 1 << rng.below(8),
            1 => bytes[at] = rng.below(256) as u8,
            2 => bytes.truncate(at),
            3 => drop(bytes.drain(at..(at + 1 + rng.below(16)).min(bytes.len()))),
            4 => {
                let number = [0, 1, 0x7F, 0x80, 0xFF, 0xFFFF, 0x7FFF_FFFF, u64::MAX, 1 << 40][rng.below(9)];
                let width = [1, 2, 4, 8][rng.below(4)].min(bytes.len() - at);
                bytes[at..at + width].copy_from_slice(&number.to_le_bytes()[..width]);
            }
            5 => {
                let part = bytes[at..(at + rng.below(64)).min(bytes.len())].to_vec();
                bytes.splice(at..at, part);
            }
            6 if !other.is_empty() => {
                let from = rng.below(other.len());
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
            _ => {
                // Digits in texts: another number, where a flipped bit is mostly no number at all.
                let digits: Vec<usize> = (0..bytes.len()).filter(|&i| bytes[i].is_ascii_digit()).collect();
                if !digits.is_empty() {
                    bytes[digits[rng.below(digits.len())]] = b'0' + rng.below(10) as u8;
                }
            }
        }
    }
    bytes
}

fn try_mutations(target: &str, each: usize) {
    let corpus = corpus(target);
    let mut accepted = 0;
    for (number, (name, bytes)) in corpus.iter().enumerate() {
        let mut rng = Rng::new(&[number as u64, 3]);
        for _ in 0..each {
            let other = &corpus[rng.below(corpus.len())].1;
            accepted += usize::from(run(target, &mutate(bytes, other, &mut rng)));
        }
        println!("{target}: {name}");
    }
    println!("{accepted} of {} mutations were accepted", each * corpus.len());
}

/// Which files of the corpus are good ones; all others must be refused.
fn good(target: &str) -> Vec<&'static str> {
    match target {
        "tf_hub_h5" => vec!["earliest.h5", "latest.h5", "shallow.h5"],
        "keras_h5" => {
            vec![
                "earliest.h5",
                "flat.h5",
                "keras3.h5",
                "latest.h5",
                "latest_renamed.h5",
                "numbered.h5",
                "numbered_nested.h5",
                "renamed.h5",
                "whole_model.h5",
            ]
        }
        "safetensors" => {
            vec!["empty.safetensors", "metadata.safetensors", "scalar.safetensors", "small.safetensors"]
        }
        "pytorch" => vec!["integers.pth", "legacy.pth", "nested.pth", "parameters.pth", "zip.pth"],
        // The damaged one differs in its digest alone, and a fuzzer goes on behind that.
        "checkpoint" => vec![
            "between_epochs.safetensors",
            "damaged.safetensors",
            "first_steps.safetensors",
            "in_an_epoch.safetensors",
            "no_validation.safetensors",
        ],
        "model" => vec!["binary.safetensors", "damaged.safetensors", "many.safetensors"],
        "neighbours" => {
            vec!["damaged.safetensors", "labels.safetensors", "zeros.safetensors"]
        }
        "extraction" => {
            vec!["comment.zip", "dense.zip", "empty.zip", "in_front.zip", "plain.zip", "stored.zip"]
        }
        "image" => vec![
            "bits.bmp",
            "bits.png",
            "bits_fax.tiff",
            "cmyk.jpeg",
            "cmyk.tiff",
            "found_unlike_its_head.jpeg",
            "grey.bmp",
            "grey.jpeg",
            "grey.png",
            "grey.tiff",
            "grey_alpha.png",
            "grey_pages.tiff",
            "palette.bmp",
            "palette.gif",
            "palette.png",
            "palette_frames.gif",
            "rgb.bmp",
            "rgb.jpeg",
            "rgb.png",
            "rgb.tiff",
            "rgb.webp",
            "rgb_lzw.tiff",
            "rgb_progressive.jpeg",
            "rgb_restarts.jpeg",
            "rgb_turned.jpeg",
            "rgba.png",
            "rgba.tiff",
            "rgba_lossless.webp",
            "sixteen.png",
            "sixteen_deflate.tiff",
        ],
        "labels" => vec!["plain.csv", "several.csv"],
        _ => vec!["archive.json", "valid.json"],
    }
}

#[test]
fn good_files_of_the_corpus_are_accepted_and_hostile_ones_refused() {
    for target in TARGETS {
        let accepted: Vec<String> = corpus(target)
            .into_iter()
            .filter_map(|(name, bytes)| run(target, &bytes).then_some(name))
            .collect();
        assert_eq!(accepted, good(target), "{target}");
    }
}

#[test]
fn mutations_of_h5_files_break_no_promise() {
    try_mutations("tf_hub_h5", 400);
    try_mutations("keras_h5", 400);
}

#[test]
fn mutations_of_safetensors_files_break_no_promise() {
    try_mutations("safetensors", 4000);
}

#[test]
fn mutations_of_pytorch_files_break_no_promise() {
    try_mutations("pytorch", 3000);
}

#[test]
fn mutations_of_checkpoints_break_no_promise() {
    try_mutations("checkpoint", 3000);
}

#[test]
fn mutations_of_saved_models_break_no_promise() {
    try_mutations("model", 3000);
}

#[test]
fn mutations_of_photographs_beside_a_model_break_no_promise() {
    try_mutations("neighbours", 3000);
}

#[test]
fn mutations_of_archives_break_no_promise() {
    try_mutations("extraction", 400);
}

#[test]
fn mutations_of_images_break_no_promise() {
    try_mutations("image", 60);
}

#[test]
fn mutations_of_the_manifest_break_no_promise() {
    try_mutations("manifest", 1000);
}
