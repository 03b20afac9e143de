//! From a folder of pictures to predictions and an ONNX file, with nothing but the program.

mod common;

use std::path::Path;

use common::{shape, shapes, stdout, succeed, SHAPES};
use serde_json::Value;
use transfer::prelude::*;
use transfer::weights::Tensor;

#[test]
fn three_shapes_are_learned_evaluated_predicted_and_exported() {
    let dir = tempfile::tempdir().unwrap();
    let here = dir.path();
    shapes(&here.join("shapes"), 80, 0, 96);
    shapes(&here.join("more shapes"), 20, 1000, 96);
    std::fs::write(here.join("shapes/square/notes.txt"), "no picture").unwrap();
    let trained = succeed(
        here,
        &["train", "shapes", "--epochs", "6", "--image-size", "96", "--output", "m.safetensors"],
    );
    let accuracy: f64 = trained
        .split_once("validation: accuracy ")
        .and_then(|(_, rest)| rest.split(',').next()?.parse().ok())
        .unwrap_or_else(|| panic!("{trained}"));
    assert!(accuracy >= 0.95, "{trained}");
    assert!(trained.contains("of 48 wrong") && trained.contains("saved: m.safetensors"), "{trained}");
    assert!(trained.contains(", 95 % interval 0."), "{trained}");
    let mut left: Vec<_> = here.read_dir().unwrap().map(|e| e.unwrap().file_name()).collect();
    left.sort();
    let (kept, report) = ("m.safetensors.neighbours.safetensors", "m.safetensors.report.html");
    assert_eq!(left, ["m.safetensors", kept, report, "more shapes", "shapes"], "nothing else is left");
    let html = std::fs::read_to_string(here.join(report)).unwrap();
    assert!(html
        .contains(&format!("data-name=\"errors\" data-value=\"{}\"", 48 - (48.0 * accuracy).round() as u32)));
    for part in ["Learning curves", "Suspected labels", "Duplicates", "data:image/jpeg", "Cross-validation"] {
        assert!(html.contains(part), "{part}");
    }

    let said = succeed(here, &["evaluate", "m.safetensors", "more shapes", "--format", "json"]);
    let said: Value = serde_json::from_str(&said).unwrap();
    assert!(said["accuracy"].as_f64().unwrap() >= 0.95, "{said}");
    assert_eq!(said["images"], 60);
    let interval = [0, 1].map(|end| said["accuracy_interval"][end].as_f64().unwrap());
    assert!(interval[0] < 0.96 && interval[0] > 0.8 && interval[1] > 0.98, "{said}");
    assert!(said["expected_calibration_error"].as_f64().unwrap() < 0.2, "{said}");
    let matrix: u64 = (0..3)
        .flat_map(|i| (0..3).map(move |j| (i, j)))
        .map(|(i, j)| said["confusion_matrix"][i][j].as_u64().unwrap())
        .sum();
    assert_eq!(matrix, 60);
    assert_eq!(said["classes"][2]["name"], "triangle");
    let html = std::fs::read_to_string(here.join("m.safetensors.evaluation.html")).unwrap();
    for (name, value) in
        [("accuracy", &said["accuracy"]), ("loss", &said["loss"]), ("images", &said["images"])]
    {
        let value = value.as_f64().unwrap();
        assert!(html.contains(&format!("data-name=\"{name}\" data-value=\"{value}\"")), "{name}");
    }
    let plain = ["evaluate", "m.safetensors", "more shapes", "--no-thumbnails"];
    succeed(here, &plain);
    let html = std::fs::read_to_string(here.join("m.safetensors.evaluation.html")).unwrap();
    assert!(!html.contains("data:image/jpeg"));
    std::fs::write(here.join("m.safetensors.evaluation.html"), "mine").unwrap();
    let output = common::run(here, &plain);
    assert_eq!(common::code(&output), 0);
    assert!(common::stderr(&output).contains("There is no report in HTML"), "{}", common::stderr(&output));
    assert_eq!(std::fs::read_to_string(here.join("m.safetensors.evaluation.html")).unwrap(), "mine");
    let text = succeed(here, &["evaluate", "m.safetensors", "more shapes"]);
    assert!(text.contains("precision") && text.contains("predicted") && text.contains("triangle"), "{text}");

    // A picture that nothing was trained on; two processes say the same, to the last digit.
    shape(2, 5000, 96).save(here.join("new.png")).unwrap();
    let predict = ["predict", "m.safetensors", "new.png", "more shapes", "--format", "jsonl", "--top", "3"];
    let with_unknown = succeed(here, &predict);
    let predict = [&predict[..], &["--unknown", "off"]].concat();
    let first = succeed(here, &predict);
    assert!(!first.contains("\"unknown\""), "{first}");
    // The same, but for a few that are called unknown, and a picture of something else, which is.
    let unknown = |line: &Value| line["unknown"].as_bool().unwrap();
    let lines: Vec<Value> = with_unknown.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.len() == 61 && lines.iter().filter(|line| unknown(line)).count() <= 12, "{with_unknown}");
    let known = lines.iter().zip(first.lines()).find(|(line, _)| !unknown(line)).unwrap();
    let plain: Value = serde_json::from_str(known.1).unwrap();
    assert_eq!((&known.0["class"], &known.0["top"]), (&plain["class"], &plain["top"]));
    common::noise(96).save(here.join("noise.png")).unwrap();
    let noise = succeed(here, &["predict", "m.safetensors", "noise.png"]);
    assert!(noise.contains("unknown") && noise.contains("unlike the training photographs"), "{noise}");
    let off = succeed(here, &["predict", "m.safetensors", "noise.png", "--unknown", "off"]);
    assert!(!off.contains("unknown"), "{off}");
    assert_eq!(first, succeed(here, &predict));
    let lines: Vec<Value> = first.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 61);
    let right =
        lines.iter().filter(|line| line["file"].as_str().unwrap().contains(line["class"].as_str().unwrap()));
    assert!(right.count() >= 57, "{first}");
    let sum: f64 = (0..3).map(|i| lines[0]["top"][i]["probability"].as_f64().unwrap()).sum();
    assert!((sum - 1.0).abs() < 1e-5, "{}", lines[0]);

    // The library reads what the program wrote, in this process, and says the same.
    let model = transfer::model::Model::load(here.join("m.safetensors")).unwrap();
    assert_eq!(model.class_names(), SHAPES);
    let prediction = model.predict_file(here.join("new.png")).unwrap();
    assert_eq!(lines[0]["confidence"].as_f64().unwrap() as f32, prediction.confidence);

    let exported = succeed(here, &["export", "m.safetensors", "-o", "m.onnx"]);
    assert!(exported.starts_with("wrote m.onnx ("), "{exported}");
    assert!(std::fs::metadata(here.join("m.onnx")).unwrap().len() > 8_000_000);
    let small = ["export", "m.safetensors", "-o", "small.onnx", "--int8", "--calibrate", "shapes"];
    let small = [&small[..], &["--check", "more shapes", "--max-loss", "5"]].concat();
    let exported = succeed(here, &small);
    let lines: Vec<&str> = exported.lines().collect();
    assert_eq!(lines.len(), 5, "{exported}");
    assert_eq!(lines[0], "on 60 photographs of more shapes:");
    let right = (said["accuracy"].as_f64().unwrap() * 60.0).round();
    assert!(
        lines[1].starts_with("f32 ") && lines[1].contains(&format!("({right} of 60 right")),
        "{exported}"
    );
    assert!(lines[2].starts_with("int8  accuracy ") && lines[3].contains("unknown: "), "{exported}");
    let bytes = std::fs::metadata(here.join("small.onnx")).unwrap().len();
    assert!((2_000_000..5_000_000).contains(&bytes), "{bytes}");
    let summary = succeed(here, &["summary", "m.safetensors"]);
    assert!(summary.contains("circle") && summary.contains("resized to 96x96"), "{summary}");
    assert!(summary.contains("mobilenetv2_1.00_96"), "{summary}");
    for part in
        ["5-fold cross-validation of the head: accuracy", "calibration: temperature", "unknown: photographs"]
    {
        assert!(summary.contains(part), "{part} is not in: {summary}");
    }

    // `head` goes away early, and nobody minds.
    let mut child = common::transfer()
        .current_dir(here)
        .args(["predict", "m.safetensors", "shapes", "--format", "csv"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((common::code(&output), stdout(&output)), (0, String::new()));
    assert!(!common::stderr(&output).contains("panicked"), "{}", common::stderr(&output));
}

#[test]
fn what_was_left_out_of_a_training_is_counted_listed_and_kept_in_the_model() {
    let dir = tempfile::tempdir().unwrap();
    let here = dir.path();
    shapes(&here.join("shapes"), 12, 0, 40);
    let damaged = here.join("shapes/square/00003.png");
    let whole = std::fs::read(&damaged).unwrap();
    let mut bytes = whole.clone();
    let end = bytes.len() - 14;
    bytes[end] ^= 0x55;
    std::fs::write(&damaged, bytes).unwrap();
    std::fs::write(here.join("shapes/square/=1.jpg"), "").unwrap();
    let list = here.join("m.safetensors.left_out.csv");
    let train =
        ["--quiet", "train", "shapes", "--epochs", "0", "--image-size", "32", "--output", "m.safetensors"];

    // Two of thirteen are more than a tenth: no model.
    let output = common::run(here, &train);
    assert_eq!(common::code(&output), 1, "{}", stdout(&output));
    assert!(
        common::stderr(&output).contains("2 of 13 photographs of the class square"),
        "{}",
        common::stderr(&output)
    );
    assert!(!here.join("m.safetensors").exists() && !list.exists());

    let more: Vec<&str> = train.iter().copied().chain(["--max-left-out", "0.2"]).collect();
    let said = succeed(here, &more);
    assert!(
        said.ends_with("left out: 2 of 37 photographs, listed in m.safetensors.left_out.csv\n"),
        "{said}"
    );
    let text = std::fs::read_to_string(&list).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!((lines.len(), lines[0]), (3, "file,reason"), "{text}");
    assert!(lines[1].starts_with("shapes/square/00003.png,\"is a damaged png file"), "{text}");
    assert_eq!(lines[2], "shapes/square/=1.jpg,is empty (0 bytes)");
    let summary = succeed(here, &["summary", "m.safetensors"]);
    assert!(summary.contains("; 2 left out\n"), "{summary}");
    let strict: Vec<&str> = more.iter().copied().chain(["--strict"]).collect();
    let output = common::run(here, &strict);
    assert_eq!((common::code(&output), stdout(&output)), (1, said), "the same, with another exit code");

    // All are whole: no list, and the old one is gone.
    std::fs::write(&damaged, whole).unwrap();
    std::fs::remove_file(here.join("shapes/square/=1.jpg")).unwrap();
    assert!(!succeed(here, &strict).contains("left out"));
    assert!(!list.exists());

    // Somebody else's file of that name is found before anything is trained.
    std::fs::write(&list, "my notes").unwrap();
    let output = common::run(here, &train);
    assert_eq!((common::code(&output), stdout(&output)), (1, String::new()));
    assert_eq!(std::fs::read_to_string(&list).unwrap(), "my notes");
}

/// The program with these weights of its base.
fn with_weights(here: &Path, weights: &Path, arguments: &[&str]) -> std::process::Output {
    let mut command = common::transfer();
    command.current_dir(here).env("TRANSFER_WEIGHTS", weights).args(arguments).output().unwrap()
}

#[test]
fn another_base_is_trained_from_named_in_the_model_and_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let here = dir.path();
    let base = Base::named("efficientnet_lite0").unwrap();
    let weights = here.join("weights.safetensors");
    let random = common::random_weights::random_weights_of(&base.network());
    transfer::weights::write_safetensors(weights.as_path(), &random, &Default::default()).unwrap();
    shapes(&here.join("shapes"), 8, 0, 40);
    let train = ["train", "shapes", "--base", "efficientnet_lite0", "--image-size", "32", "--epochs", "1"];
    let train = [&train[..], &["--folds", "0", "--batch-size", "8", "-o", "m.safetensors"]].concat();
    let output = with_weights(here, &weights, &train);
    assert_eq!(common::code(&output), 0, "{}", common::stderr(&output));
    assert!(common::stderr(&output).contains("as TRANSFER_WEIGHTS says"), "{}", common::stderr(&output));

    // From here on the weights are in the model.
    let summary = succeed(here, &["summary", "m.safetensors"]);
    assert!(summary.contains("efficientnetlite0_32") && summary.contains("weights.safetensors"), "{summary}");
    let said = succeed(here, &["evaluate", "m.safetensors", "shapes", "--format", "json"]);
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(said["images"], 24);
    let predicted = succeed(here, &["predict", "m.safetensors", "shapes/circle", "--format", "jsonl"]);
    assert_eq!(predicted.lines().count(), 8);
    succeed(here, &["export", "m.safetensors", "-o", "m.onnx"]);
    let model = Model::load(here.join("m.safetensors")).unwrap();
    assert_eq!(model.base_model().network().name(), base.network().name());

    // Weights of another network, and a name that there is not.
    let error = with_weights(here, &weights, &["train", "shapes", "--image-size", "32"]);
    assert_eq!(common::code(&error), 1);
    assert!(common::stderr(&error).contains("Conv1"), "{}", common::stderr(&error));
    let error = common::run(here, &["train", "shapes", "--base", "efficientnet_lite9"]);
    assert_eq!(common::code(&error), 2);
    assert!(common::stderr(&error).contains("efficientnet_lite4"), "{}", common::stderr(&error));
}

#[test]
fn a_model_that_is_less_accurate_in_int8_is_not_exported() {
    let dir = tempfile::tempdir().unwrap();
    let here = dir.path();
    common::untrained_model(&here.join("m.safetensors"));
    shapes(&here.join("shapes"), 40, 0, 40);
    // Photographs that are what the model says, by a hair: it has learned nothing.
    succeed(here, &["sort", "m.safetensors", "shapes", "as predicted", "--unsure", "0"]);
    let export = ["export", "m.safetensors", "-o", "m.onnx", "--int8", "--calibrate", "shapes"];
    let export = [&export[..], &["--check", "as predicted"]].concat();
    let output = common::run(here, &[&export[..], &["--max-loss", "0"]].concat());
    assert_eq!(common::code(&output), 1);
    let said = stdout(&output);
    assert!(said.contains("f32   accuracy 100.00 %  (120 of 120 right"), "{said}");
    let error = common::stderr(&output);
    assert!(error.contains("int8 expected to lose at most 0 percentage points"), "{error}");
    assert!(error.contains("Nothing was written"), "{error}");
    assert!(!here.join("m.onnx").exists());
    let left = here.read_dir().unwrap().count();
    assert_eq!(left, 3, "the model, the photographs, and the sorted ones");
    succeed(here, &[&export[..], &["--max-loss", "100"]].concat());
    // Without photographs to check, others of the folder than those of the calibration are taken.
    let said = succeed(here, &[&export[..7], &["--max-loss", "100"]].concat());
    assert!(said.starts_with("on 60 photographs of shapes that calibration did not use:"), "{said}");
    // The photographs are nobody's place for a file.
    let output = common::run(
        here,
        &["export", "m.safetensors", "-o", "shapes/m.onnx", "--int8", "--calibrate", "shapes"],
    );
    assert_eq!(common::code(&output), 1, "{}", common::stderr(&output));
}

#[test]
fn the_published_network_names_imagenets_classes() {
    let dir = tempfile::tempdir().unwrap();
    let here = dir.path();
    let base = Base::named("efficientnet_lite0").unwrap();
    let mut weights = common::random_weights::random_weights_of(&base.network());
    let mut rng = transfer::random::Rng::new(&[5]);
    let kernel = (0..1280 * 1000).map(|_| rng.uniform() - 0.5).collect();
    weights.insert("predictions/kernel", Tensor::new([1280, 1000], kernel).unwrap());
    weights.insert("predictions/bias", Tensor::new([1000], vec![0.0; 1000]).unwrap());
    let file = here.join("weights.safetensors");
    transfer::weights::write_safetensors(file.as_path(), &weights, &Default::default()).unwrap();
    for i in 0..2 {
        shape(2, i, 96).save(here.join(format!("{i}.png"))).unwrap();
    }
    let output = with_weights(here, &file, &["predict", "--imagenet", "0.png", "1.png", "--format", "jsonl"]);
    assert_eq!(common::code(&output), 0, "{}", common::stderr(&output));
    let classes = transfer::bases::imagenet_classes();
    let lines: Vec<Value> = stdout(&output).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    for line in &lines {
        let top = line["top"].as_array().unwrap();
        let probability = |i: usize| top[i]["probability"].as_f64().unwrap();
        assert!(top.len() == 5 && (1..5).all(|i| probability(i) <= probability(i - 1)), "{line}");
        assert!(classes.contains(&line["class"].as_str().unwrap()), "{line}");
    }
    let one = with_weights(here, &file, &["predict", "--imagenet", "0.png", "--top", "1"]);
    assert_eq!(
        (common::code(&one), stdout(&one).lines().count()),
        (0, 2),
        "a header and a line: {}",
        stdout(&one)
    );
    // Keras' files without a top cannot do it, and say which bases can.
    let error = common::run(here, &["predict", "--imagenet", "--base", "mobilenet_v2", "0.png"]);
    assert_eq!(common::code(&error), 1);
    assert!(common::stderr(&error).contains("efficientnet_lite0"), "{}", common::stderr(&error));
}

#[test]
fn the_bases_are_listed() {
    let dir = tempfile::tempdir().unwrap();
    let text = succeed(dir.path(), &["bases"]);
    let said: Value = serde_json::from_str(&succeed(dir.path(), &["bases", "--format", "json"])).unwrap();
    for (base, entry) in Base::all().iter().zip(said.as_array().unwrap()) {
        assert!(text.lines().any(|line| line.split(' ').next() == Some(base.name)), "{text}");
        assert_eq!(entry["name"], base.name);
    }
    assert_eq!(text.lines().filter(|line| line.ends_with("default")).count(), 1, "{text}");
}
