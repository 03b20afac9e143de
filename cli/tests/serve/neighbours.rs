//! Photographs of the training that `train` keeps and `serve` shows.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Output;

use base64::Engine;
use serde_json::Value;
use transfer::explain::Neighbours;
use transfer::prelude::*;

use super::client::Server;
use super::{png, until};
use crate::common;

const EACH: u64 = 12;

/// A folder with photographs, weights that nothing has trained, and models trained on them.
struct Here(tempfile::TempDir);

impl Here {
    fn new() -> Self {
        let here = Here(tempfile::tempdir().unwrap());
        common::shapes(&here.at("photos"), EACH, 0, 48);
        common::untrained_weights(&here.at("weights.safetensors"));
        here
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn model(&self) -> PathBuf {
        self.at("m.safetensors")
    }

    fn kept(&self) -> PathBuf {
        self.at("m.safetensors.neighbours.safetensors")
    }

    fn run(&self, more: &[&str]) -> Output {
        let mut command = common::transfer();
        command.current_dir(self.0.path()).env("TRANSFER_WEIGHTS", self.at("weights.safetensors"));
        command.args([
            "train",
            "photos",
            "--epochs",
            "0",
            "--image-size",
            "32",
            "--folds",
            "0",
            "--device",
            "cpu",
        ]);
        let output = if more.contains(&"--output") { &[][..] } else { &["--output", "m.safetensors"] };
        command.args(output).args(more).output().unwrap()
    }

    fn train(&self, more: &[&str]) -> String {
        let output = self.run(more);
        assert_eq!(common::code(&output), 0, "{}", common::stderr(&output));
        common::stderr(&output)
    }
}

/// All photographs that are kept, by class and number.
fn all_of(kept: &Neighbours) -> Vec<(usize, u64)> {
    let all = kept.nearest(&vec![1.0; kept.width()], usize::MAX).unwrap();
    let class = |name: &str| common::SHAPES.iter().position(|other| *other == name).unwrap();
    let number = |file: &str| file.strip_suffix(".png").unwrap().parse().unwrap();
    let mut all: Vec<_> = all.iter().map(|one| (class(one.labels[0]), number(one.file))).collect();
    all.sort_unstable();
    all
}

fn said(server: &Server, bytes: &[u8], query: &str) -> Value {
    let answer = server.ask("POST", &format!("/predict{query}"), "Content-Type: image/png\r\n", bytes);
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

/// How many photographs of the training the server compares with.
fn compared(server: &Server) -> Option<u64> {
    server.ask("GET", "/model", "", b"").json()["neighbours"].as_u64()
}

#[test]
fn the_nearest_of_a_photograph_of_the_training_is_itself_and_no_path_is_shown() {
    let here = Here::new();
    let notes = here.train(&[]);
    let model = Model::load(here.model()).unwrap();
    let kept = Neighbours::load(here.kept(), &model).unwrap();
    let all = all_of(&kept);
    let n = model.trained_on().unwrap().training;
    assert!(n > 20 && n < 3 * EACH as usize, "{n}");
    assert_eq!((kept.len(), kept.training(), kept.width(), all.len()), (n, n, 1280, n));
    assert!(notes.contains(&format!("Thumbnails of {n} of {n} photographs")), "{notes}");
    // Two bytes a feature, at most 4 KB a thumbnail, names and the like.
    let bytes = std::fs::metadata(here.kept()).unwrap().len() as usize;
    assert!((kept.bytes()..n * (2 * 1280 + 4096 + 100) + 4096).contains(&bytes), "{bytes}");

    let server = Server::start(&here.model(), &[]);
    assert_eq!(compared(&server), Some(n as u64));
    for &(class, number) in &all {
        let bytes =
            std::fs::read(here.at(&format!("photos/{}/{number:05}.png", common::SHAPES[class]))).unwrap();
        let answer = said(&server, &bytes, "?neighbours=5");
        let near = answer["neighbours"].as_array().unwrap();
        assert_eq!(near.len(), 5);
        assert_eq!(near[0]["class"], common::SHAPES[class], "{class} {number}");
        assert_eq!(near[0]["file"], format!("{number:05}.png"), "{class} {number}");
        let similarity: Vec<f64> = near.iter().map(|one| one["similarity"].as_f64().unwrap()).collect();
        assert!(similarity[0] > 0.999_99 && similarity.is_sorted_by(|a, b| a >= b), "{similarity:?}");
        let mut plain = answer.clone();
        plain.as_object_mut().unwrap().remove("neighbours");
        assert_eq!(plain, said(&server, &bytes, ""), "what else is said stays the same, bit for bit");
        assert!(!answer.to_string().contains(here.0.path().to_str().unwrap()));
    }

    // Each number and text is the library's, and the thumbnail looks like the photograph.
    let photograph = png(1, 999);
    let image = model.image_of_bytes("photo", photograph.clone(), 1 << 30).unwrap();
    let (predictions, features) = model.predict_images_with_features(&["photo"], vec![image]).unwrap();
    let expected = kept.nearest(features.row(0).as_slice().unwrap(), 10).unwrap();
    let answer = said(&server, &photograph, "?heat_map=1&neighbours=10");
    assert_eq!(answer["confidence"].as_f64().unwrap() as f32, predictions[0].as_ref().unwrap().confidence);
    assert!(answer["heat_map"].is_object());
    for (one, expected) in answer["neighbours"].as_array().unwrap().iter().zip(&expected) {
        assert_eq!(
            (one["file"].as_str(), one["class"].as_str()),
            (Some(expected.file), Some(expected.labels[0]))
        );
        assert_eq!(one["similarity"].as_f64().unwrap() as f32, expected.similarity);
        let url = one["thumbnail"].as_str().unwrap();
        let jpeg = url.strip_prefix("data:image/jpeg;base64,").unwrap();
        let jpeg = base64::engine::general_purpose::STANDARD.decode(jpeg).unwrap();
        assert_eq!(jpeg, expected.thumbnail);
        let small = image::load_from_memory(&jpeg).unwrap().into_rgb8();
        assert_eq!(small.dimensions(), (64, 64));
        let class = common::SHAPES.iter().position(|name| one["class"] == *name).unwrap();
        let number: u64 = expected.file.trim_end_matches(".png").parse().unwrap();
        let mean = |picture: &image::RgbImage| {
            picture.as_raw().iter().map(|&x| f64::from(x)).sum::<f64>() / picture.as_raw().len() as f64
        };
        let whole = mean(&common::shape(class, number, 48));
        assert!((mean(&small) - whole).abs() < 3.0, "{class} {number}");
    }
    assert!(said(&server, &photograph, "?neighbours=0").get("neighbours").is_none());
    let refused = server.ask("POST", "/predict?neighbours=11", "", &photograph);
    assert_eq!(refused.status, 400);
}

#[test]
fn private_photographs_are_not_kept_and_those_of_an_earlier_training_go() {
    let here = Here::new();
    for private in ["--no-thumbnails", "--no-report"] {
        here.train(&[]);
        assert!(here.kept().is_file());
        here.train(&[private]);
        assert!(!here.kept().exists(), "{private}");
    }
    let server = Server::start(&here.model(), &[]);
    assert_eq!(compared(&server), None);
    assert_eq!(said(&server, &png(0, 1), "?neighbours=5")["neighbours"], Value::Null);
    // A file of somebody else is neither replaced nor removed.
    std::fs::write(here.kept(), "mine").unwrap();
    let output = here.run(&[]);
    let text = common::stderr(&output);
    assert!(
        common::code(&output) == 1 && text.contains("--no-thumbnails") && text.contains("is there already"),
        "{text}"
    );
    here.train(&["--no-thumbnails"]);
    assert_eq!(std::fs::read_to_string(here.kept()).unwrap(), "mine");
}

/// A server with its warnings.
fn warned(here: &Here, arguments: &[&str]) -> (Server, String) {
    let log = here.at("log");
    let server = Server::start_with(&here.model(), arguments, File::create(&log).unwrap());
    // It has read all files before it says where it is.
    (server, std::fs::read_to_string(log).unwrap())
}

#[test]
fn a_file_of_another_model_or_a_damaged_one_is_named_and_the_model_answers_without() {
    let here = Here::new();
    here.train(&[]);
    let whole = std::fs::read(here.kept()).unwrap();
    let answers_without = |what: &str, expected: &str| {
        let (server, said_of_it) = warned(&here, &[]);
        assert_eq!(compared(&server), None, "{what}");
        assert_eq!(said(&server, &png(0, 1), "?neighbours=5")["neighbours"], Value::Null, "{what}");
        for part in ["warning: ", "m.safetensors.neighbours.safetensors", expected] {
            assert!(said_of_it.contains(part), "{what}: {said_of_it}");
        }
    };
    for (what, content, expected) in [
        ("cut", whole[..whole.len() / 2].to_vec(), "cannot use"),
        ("empty", Vec::new(), "truncated"),
        ("text", b"my notes of the training".to_vec(), "cannot use"),
        ("weights", std::fs::read(here.at("weights.safetensors")).unwrap(), "F32"),
        ("one bit", [&whole[..whole.len() - 1], &[whole[whole.len() - 1] ^ 1]].concat(), "damaged"),
    ] {
        std::fs::write(here.kept(), content).unwrap();
        answers_without(what, expected);
    }
    #[cfg(unix)]
    {
        std::fs::remove_file(here.kept()).unwrap();
        std::os::unix::fs::symlink("/dev/zero", here.kept()).unwrap();
        answers_without("a device", "regular file");
        std::fs::remove_file(here.kept()).unwrap();
    }
    // Of a model that was trained on other photographs.
    std::fs::write(here.kept(), &whole).unwrap();
    std::fs::remove_file(here.at("photos/circle/00003.png")).unwrap();
    common::shape(0, 77, 48).save(here.at("photos/circle/00003.png")).unwrap();
    here.train(&["--output", "other.safetensors"]);
    std::fs::rename(here.at("other.safetensors"), here.model()).unwrap();
    answers_without("another model", "it is of another model");
    // And not at all where nobody wants to see them.
    std::fs::rename(here.at("other.safetensors.neighbours.safetensors"), here.kept()).unwrap();
    let (server, text) = warned(&here, &["--no-neighbours"]);
    assert_eq!((compared(&server), text.as_str()), (None, ""));
    drop(server);
    let (server, text) = warned(&here, &["--host", "0.0.0.0"]);
    assert!(compared(&server).is_some() && text.contains("--no-neighbours"), "{text}");
}

#[test]
fn a_model_that_is_replaced_brings_its_photographs_even_if_they_come_later() {
    let here = Here::new();
    here.train(&[]);
    let server = Server::start(&here.model(), &[]);
    let nearest = |bytes: &[u8]| said(&server, bytes, "?neighbours=1")["neighbours"][0]["file"].clone();
    let new = png(2, 5000);
    let before = nearest(&new);
    assert_ne!(before, "05000.png");
    // One more photograph of the training, and other results.
    for number in 5000..5004 {
        let path = here.at(&format!("photos/triangle/{number:05}.png"));
        common::shape(2, number, 48).save(path).unwrap();
    }
    here.train(&["--output", "next.safetensors"]);
    let next = here.at("next.safetensors.neighbours.safetensors");
    let kept = Neighbours::load(&next, &Model::load(here.at("next.safetensors")).unwrap()).unwrap();
    let n = kept.len();
    let new_one = all_of(&kept).into_iter().map(|one| one.1).find(|&number| number >= 5000);
    let new_one = new_one.expect("one of four is trained on");
    std::fs::rename(here.at("next.safetensors"), here.model()).unwrap();
    let number = |server: &Server| server.ask("GET", "/model", "", b"").json()["number"].clone();
    until("the new model answers", || number(&server) == 1);
    // The earlier photographs are of another model.
    assert_eq!(compared(&server), None);
    std::fs::rename(&next, here.kept()).unwrap();
    until("the new photographs are there", || compared(&server) == Some(n as u64));
    assert_eq!(nearest(&png(2, new_one)), format!("{new_one:05}.png"));
    assert_eq!(number(&server), 1);
    // A file that is damaged later changes nothing, and neither does one that is removed.
    let whole = std::fs::read(here.kept()).unwrap();
    std::fs::write(here.kept(), &whole[..whole.len() / 2]).unwrap();
    std::thread::sleep(std::time::Duration::from_secs(2));
    assert_eq!(compared(&server), Some(n as u64));
    std::fs::remove_file(here.kept()).unwrap();
    std::thread::sleep(std::time::Duration::from_secs(2));
    assert_eq!(nearest(&png(2, new_one)), format!("{new_one:05}.png"));
    assert!(Path::new(&here.model()).exists());
}
